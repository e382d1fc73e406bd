"""What must leave the house waits here as rows, written with the act that caused them; sent at least once.

A letter's key is unique: the same act never sends twice. Bell notices of a batch are one statement. What
needs the network (mails, endpoints) goes out in rounds: some mails and the oldest messages of each endpoint
at once, each endpoint's in order. A round has an end that holds for all of it, so that a server that hangs
costs its own readers a try and nobody else anything.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import F, Min, QuerySet

from handoff import many, notices
from handoff.endpoints import sending, shapes
from handoff.endpoints.sending import Reply
from handoff.models import DeliveryLog, Handoff, Notice, Outbox, WebhookEndpoint
from leadflow import nudge
from leadflow.accounts.models import Organisation
from leadflow.accounts.telling import Word

log = logging.getLogger(__name__)

BELL_BATCH = 1_000
# One call works at most this long, so that the queue's other work gets its turn.
SECONDS_PER_CALL = 4.8
# The last round begins so early that a server still has the time to answer.
LAST_ROUND = 2.5
GRACE = 0.2
# Half of the clock worker's four threads at most: a deadline never waits for somebody else's server.
AT_ONCE = 2
# Each of a round's postmen carries his mails over one connection.
POSTMEN, MAILS_EACH = 4, 6
ENDPOINTS_PER_ROUND = 6
MESSAGES_PER_ENDPOINT = 25
GIVE_UP_AFTER = 12
# Waiting behind a dead endpoint is no try, so age ends it, too.
GIVE_UP_AGE = timedelta(days=2)
FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(hours=6)
MAIL_BACKENDS_OFF = ("console", "dummy")

_slots = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class Letter:
    """One message to one person by one channel. `not_before` None: at once."""

    key: str
    kind: str
    channel: str
    user_id: int
    payload: dict[str, Any] = field(default_factory=dict)
    not_before: datetime | None = None


def put(letters: Sequence[Letter], at: datetime) -> None:
    """Write letters into the outbox, in the caller's transaction; a key that is there already is skipped."""
    if not letters:
        return
    many.add(
        Outbox,
        [
            {
                "key": letter.key,
                "kind": letter.kind,
                "channel": letter.channel,
                "user_id": letter.user_id,
                "payload": letter.payload,
                "created_at": at,
                "not_before": letter.not_before or at,
                "next_try_at": letter.not_before or at,
            }
            for letter in letters
        ],
        conflict="key",
    )
    nudge.wake("clock.deliver")


def carry(words: Sequence[Word], at: datetime) -> None:
    """Letters of what another room tells: at the bell, and by e-mail where it asks for it."""
    channels = {False: (Outbox.Channel.BELL,), True: (Outbox.Channel.BELL, Outbox.Channel.EMAIL)}
    put(
        [
            Letter(
                f"{word.key}:{channel}",
                "said",
                channel,
                word.user_id,
                {"text": word.text, "url": word.url, "more": word.more},
            )
            for word in words
            for channel in channels[word.mail]
        ],
        at,
    )


def cancel(prefix: str, at: datetime) -> int:
    """Take back the letters of an act (keys that begin with `prefix`) that have not left yet."""
    waiting = Outbox.objects.filter(key__startswith=prefix, delivered_at=None, cancelled_at=None)
    return waiting.update(cancelled_at=at, next_try_at=None)


def deliver(at: datetime) -> int:
    """Deliver what is due at `at`, for a few seconds at most; returns how many letters left."""
    sent = 0
    while count := _ring_bells(at):
        sent += count
    if not _slots.acquire(blocking=False):
        return sent
    try:
        return sent + _send_rounds(at)
    finally:
        _slots.release()


def _send_rounds(at: datetime) -> int:
    began, sent = time.monotonic(), 0
    while time.monotonic() - began < LAST_ROUND:
        done = _round(at, began + SECONDS_PER_CALL)
        if done is None:
            return sent
        sent += done
    nudge.wake("clock.deliver")
    return sent


@transaction.atomic
def _ring_bells(at: datetime) -> int:
    rows = list(_due(at, Outbox.Channel.BELL).select_related("user__team")[:BELL_BATCH])
    rung = [notice for row in rows if (notice := _notice(row)) is not None]
    Notice.objects.bulk_create(rung)
    Outbox.objects.filter(pk__in=[row.pk for row in rows]).update(
        delivered_at=at, next_try_at=None, attempts=F("attempts") + 1
    )
    return len(rows)


def _due(at: datetime, channel: str) -> QuerySet[Outbox]:
    return (
        Outbox.objects.filter(channel=channel, next_try_at__lte=at)
        .order_by("next_try_at", "id")
        .select_for_update(skip_locked=True, of=("self",))
    )


def _notice(row: Outbox) -> Notice | None:
    """What the bell shows; None for somebody who has left, or a letter that cannot be read any more."""
    if row.user is None or not row.user.is_active:
        return None
    try:
        words = notices.render(row.kind, row.payload, row.user.zone)
    except (KeyError, ValueError, TypeError):
        # One broken letter must not keep the others from their readers.
        log.exception("letter %s cannot be read", row.key)
        return None
    return Notice(
        user=row.user,
        kind=row.kind,
        text=words.text[:300],
        url=words.url,
        lead_id=row.payload.get("lead"),
        handoff_id=row.payload.get("handoff"),
        at=max(row.not_before, row.created_at),
    )


# ---- Rounds: what needs the network -----------------------------------------------------------------------


@dataclass
class Errand:
    """Rows that one thread carries, in order, and what came back for those it got to.

    `carry` sends one row within the seconds given. It stops at the first failure: the others would wait for
    the same server. `end` comes after the last.
    """

    rows: Sequence[Outbox]
    carry: Callable[[Outbox, float], Reply]
    end: Callable[[], None] = lambda: None
    replies: list[Reply] = field(default_factory=list)

    def run(self, until: float) -> None:
        """Carry them; for a thread of its own, so it asks the database nothing."""
        try:
            self._carry_all(until)
        finally:
            self.end()

    def _carry_all(self, until: float) -> None:
        for row in self.rows:
            left = until - time.monotonic()
            if left <= 0:
                return
            try:
                self.replies.append(self.carry(row, left))
            except Exception as problem:  # a failed try like any other; nobody above a thread would hear it
                self.replies.append(Reply(None, f"{type(problem).__name__}: {problem}"[:2_000]))
            if not self.replies[-1].ok:
                return


def _round(at: datetime, until: float) -> int | None:
    """Send some of what is due; how many arrived, None when nothing is due.

    The rows stay locked until what came of them is written: who is killed on the way leaves them due.
    """
    with transaction.atomic():
        errands = [*_mail_errands(at), *_endpoint_errands(at)]
        if not errands:
            return None
        _run(errands, until)
        arrived = [row for errand in errands for row in _settle(errand, at)]
        Outbox.objects.filter(pk__in=[row.pk for row in arrived]).update(
            attempts=F("attempts") + 1, delivered_at=at, next_try_at=None, error=""
        )
        return len(arrived)


def _run(errands: Sequence[Errand], until: float) -> None:
    """All at once, each in a thread; whoever has not come back at the end is left behind."""
    threads = [threading.Thread(target=errand.run, args=(until,), daemon=True) for errand in errands]
    for thread in threads:
        thread.start()
    for thread in threads:
        # A little longer than they have: whoever gives up in time is heard.
        thread.join(max(0.0, until + GRACE - time.monotonic()))


def _settle(errand: Errand, at: datetime) -> list[Outbox]:
    """Write what came of an errand; the rows that arrived are returned, to be marked all at once."""
    replies = list(errand.replies)
    if len(replies) < len(errand.rows) and (not replies or replies[-1].ok):
        # Either the time was over between two, or the one on its way hangs.
        hangs = not replies
        replies += [Reply(None, f"no answer within {SECONDS_PER_CALL:.0f} s")] if hangs else []
    said = list(zip(errand.rows, replies, strict=False))
    for row, reply in said:
        if row.endpoint_id is not None:
            _log(row, row.endpoint_id, reply, at)
        if not reply.ok:
            _failed(row, reply, at)
    return [row for row, reply in said if reply.ok]


def _log(row: Outbox, endpoint_id: int, reply: Reply, at: datetime) -> None:
    DeliveryLog.objects.create(
        message=row, endpoint_id=endpoint_id, at=at, status=reply.status, took_ms=reply.took_ms,
        answer=reply.text[:500],
    )  # fmt: skip


def _failed(row: Outbox, reply: Reply, at: datetime) -> None:
    log.warning("letter %s was not sent: %s", row.key, reply.words)
    row.attempts += 1
    over = row.attempts >= GIVE_UP_AFTER or row.created_at < at - GIVE_UP_AGE
    row.error = reply.words[:2_000]
    row.next_try_at = None if over else at + retry_after(row.attempts)
    row.save(update_fields=["attempts", "next_try_at", "error"])
    if row.endpoint_id is not None:
        _hold_back(row.endpoint_id, at + retry_after(row.attempts))


def _hold_back(endpoint_id: int, until: datetime) -> None:
    """What else waits for an endpoint that fails waits with the one that was tried."""
    waiting = Outbox.objects.filter(endpoint=endpoint_id, next_try_at__lt=until)
    waiting.update(next_try_at=until)


def _mail_errands(at: datetime) -> Iterable[Errand]:
    due = _due(at, Outbox.Channel.EMAIL).select_related("user__team")
    rows = list(due[: POSTMEN * MAILS_EACH])
    standing = _standing(rows)
    gone = [row.pk for row in rows if row.user is not None and not row.user.is_active]
    if gone:
        Outbox.objects.filter(pk__in=gone).update(delivered_at=at, next_try_at=None)
    going = [row for row in rows if row.pk not in gone]
    for n in range(min(POSTMEN, len(going))):
        postman = Postman(standing)
        yield Errand(going[n::POSTMEN], postman.carry, postman.end)


@dataclass
class Postman:
    """Writes each of his mails and sends it, all over the connection that the first one opened."""

    standing: Mapping[int, notices.Standing]
    connection: BaseEmailBackend | None = None

    def carry(self, row: Outbox, seconds: float) -> Reply:
        """Send one mail."""
        message = _mail(row, self.standing)
        if message is not None:
            if self.connection is None:
                self.connection = get_connection(timeout=seconds)
                self.connection.open()
            self.connection.send_messages([message])
        return Reply(250, "")

    def end(self) -> None:
        """Say goodbye to the server. All that counts has been said before."""
        if self.connection is not None:
            with suppress(Exception):
                self.connection.close()


def _standing(rows: Iterable[Outbox]) -> Mapping[int, notices.Standing]:
    """How the handoffs of these letters stand now; one query."""
    ids = {row.payload.get("handoff") for row in rows} - {None}
    if not ids:
        return {}
    found = Handoff.objects.filter(pk__in=ids).values_list("pk", "state", "lead__crm_url")
    return {pk: notices.Standing(state, crm_url) for pk, state, crm_url in found}


def _mail(row: Outbox, standing: Mapping[int, notices.Standing]) -> EmailMultiAlternatives | None:
    """The mail of a letter; None for somebody who is not here any more."""
    if row.user is not None:
        if not row.user.is_active:
            return None
        words = notices.render(
            row.kind, row.payload, row.user.zone, standing.get(row.payload.get("handoff", 0))
        )
        message = _message(row, words.text, words.body, row.user.email)
        message.attach_alternative(words.html, "text/html")
        return message
    if not row.recipient:
        return None
    # To somebody outside (a nurture mail to a lead): the payload holds its words.
    return _message(
        row,
        str(row.payload["subject"]),
        str(row.payload["body"]),
        row.recipient,
        row.payload.get("headers", {}),
    )


def _message(
    row: Outbox, subject: str, body: str, to: str, headers: Mapping[str, str] | None = None
) -> EmailMultiAlternatives:
    return EmailMultiAlternatives(
        subject=" ".join(subject.split())[:200],
        body=body,
        to=[to],
        headers={"X-LeadFlow-Key": row.key, **(headers or {})},
    )


def _endpoint_errands(at: datetime) -> Iterable[Errand]:
    """The oldest messages of each endpoint; whoever holds the endpoint's row sends for it, so that its
    messages leave in order."""
    waiting = (
        Outbox.objects.filter(endpoint__isnull=False, next_try_at__lte=at)
        .values("endpoint")
        .annotate(first=Min("next_try_at"))
        .order_by("first")
        .values_list("endpoint", flat=True)
    )
    ids = list(waiting[:ENDPOINTS_PER_ROUND])
    endpoints = (
        WebhookEndpoint.objects.filter(pk__in=ids)
        .select_for_update(skip_locked=True, of=("self",), no_key=True)
        .select_related("team")
    )
    for endpoint in endpoints:
        due = Outbox.objects.filter(endpoint=endpoint, next_try_at__lte=at).order_by("created_at", "id")
        rows = list(due.select_for_update(skip_locked=True)[:MESSAGES_PER_ENDPOINT])
        if not endpoint.active:
            Outbox.objects.filter(pk__in=[row.pk for row in rows]).update(cancelled_at=at, next_try_at=None)
        elif rows:
            yield Errand(rows, _courier(endpoint, at))


def _courier(endpoint: WebhookEndpoint, at: datetime) -> Callable[[Outbox, float], Reply]:
    zone = endpoint.team.tz if endpoint.team else Organisation.get().tz

    def carry(row: Outbox, seconds: float) -> Reply:
        body = shapes.body(endpoint, row.payload, zone)
        return sending.post(endpoint.url, body, headers_of(endpoint, row.payload, body, at), seconds)

    return carry


def headers_of(
    endpoint: WebhookEndpoint, message: Mapping[str, Any], body: bytes, at: datetime
) -> dict[str, str]:
    """What a message is sent with; a signed one carries id, time and signature."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if endpoint.shape == WebhookEndpoint.Shape.SIGNED:
        stamp = int(at.timestamp())
        headers |= {
            "LeadFlow-Id": str(message["id"]),
            "LeadFlow-Event": str(message["event"]),
            "LeadFlow-Timestamp": str(stamp),
            "LeadFlow-Signature": f"v1={sending.signature(endpoint.secret, stamp, body)}",
        }
    return headers


def send_now(row: Outbox, at: datetime) -> Reply:
    """Send one message of an endpoint at once, for a test button; notes what came back."""
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_related("team").get(messages=row)
        errand = Errand([row], _courier(endpoint, at))
        _run([errand], time.monotonic() + SECONDS_PER_CALL)
        _settle(errand, at)
    return errand.replies[0] if errand.replies else Reply(None, row.error)


def retry_after(attempts: int) -> timedelta:
    """How long to wait after so many failures: doubling, up to six hours."""
    return min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** max(0, attempts - 1))


# ---- What did not arrive ----------------------------------------------------------------------------------


def stuck() -> QuerySet[Outbox]:
    """Letters that were tried and have not arrived, newest first; given up where no next try is set."""
    rows = Outbox.objects.filter(attempts__gt=0, delivered_at=None, cancelled_at=None)
    return rows.select_related("user", "endpoint").order_by("-id")


def given_up() -> QuerySet[Outbox]:
    """The letters that nobody tries any more."""
    return Outbox.objects.filter(attempts__gt=0, delivered_at=None, cancelled_at=None, next_try_at=None)


def send_again(ids: Iterable[int], at: datetime) -> int:
    """Try these once more at once, with their old keys: a reader that has one already knows it by its id."""
    rows = Outbox.objects.filter(pk__in=list(ids), cancelled_at=None)
    rows = rows.exclude(channel=Outbox.Channel.BELL)
    found = rows.update(next_try_at=at, attempts=0, delivered_at=None, created_at=at)
    nudge.wake("clock.deliver")
    return found


def mail_is_off() -> bool:
    """Whether mails end in the log: no server is named in EMAIL_URL, or the console."""
    name = str(settings.EMAIL_BACKEND).split(".")[-2]
    return name in MAIL_BACKENDS_OFF
