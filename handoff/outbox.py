"""What must leave the house waits here as rows, written with the act that caused them; sent at least once.

A letter's key is unique: the same act never sends twice. Bell notices of a batch are one statement; an
e-mail is one transaction each, so that a slow server holds up one row and no clock.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.db.models import F

from handoff import many, notices
from handoff.models import Notice, Outbox
from leadflow import nudge
from leadflow.accounts.telling import Word

log = logging.getLogger(__name__)

BELL_BATCH = 1_000
# One call works at most this long, so that the queue's other work gets its turn.
SECONDS_PER_CALL = 5
SMTP_SECONDS = 5
GIVE_UP_AFTER = 12
FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(hours=6)


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
    many.insert(
        [
            Outbox(
                key=letter.key,
                kind=letter.kind,
                channel=letter.channel,
                user_id=letter.user_id,
                payload=letter.payload,
                created_at=at,
                not_before=letter.not_before or at,
                next_try_at=letter.not_before or at,
            )
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
    began = time.monotonic()
    sent = 0
    while count := _ring_bells(at):
        sent += count
    while time.monotonic() - began < SECONDS_PER_CALL:
        done = _send_one(at)
        if done is None:
            break
        sent += done
    return sent


def _due(at: datetime, channel: str) -> Any:
    return (
        Outbox.objects.filter(channel=channel, next_try_at__lte=at)
        .order_by("next_try_at", "id")
        .select_for_update(skip_locked=True, of=("self",))
    )


@transaction.atomic
def _ring_bells(at: datetime) -> int:
    rows = list(_due(at, Outbox.Channel.BELL).select_related("user__team")[:BELL_BATCH])
    rung = [notice for row in rows if (notice := _notice(row)) is not None]
    Notice.objects.bulk_create(rung)
    Outbox.objects.filter(pk__in=[row.pk for row in rows]).update(
        delivered_at=at, next_try_at=None, attempts=F("attempts") + 1
    )
    return len(rows)


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


@transaction.atomic
def _send_one(at: datetime) -> int | None:
    """Send one e-mail; 1 sent, 0 failed (and tried again later), None when nothing is due."""
    row = _due(at, Outbox.Channel.EMAIL).select_related("user__team").first()
    if row is None:
        return None
    row.attempts += 1
    try:
        if row.user and row.user.is_active:
            _mail(row)
        elif row.recipient:
            _mail_out(row)
        row.delivered_at, row.next_try_at, row.error = at, None, ""
    except Exception as problem:
        log.warning("letter %s was not sent: %s", row.key, problem)
        row.error = f"{type(problem).__name__}: {problem}"[:2_000]
        row.next_try_at = None if row.attempts >= GIVE_UP_AFTER else at + retry_after(row.attempts)
    row.save(update_fields=["attempts", "delivered_at", "next_try_at", "error"])
    return 1 if row.delivered_at else 0


def _mail(row: Outbox) -> None:
    assert row.user is not None
    words = notices.render(row.kind, row.payload, row.user.zone)
    message = EmailMessage(
        subject=" ".join(words.text.split())[:200],
        body=words.body,
        to=[row.user.email],
        headers={"X-LeadFlow-Key": row.key},
        connection=get_connection(timeout=SMTP_SECONDS),
    )
    message.send()


def _mail_out(row: Outbox) -> None:
    """A letter to somebody outside (a nurture mail to a lead); the payload holds its words."""
    message = EmailMessage(
        subject=" ".join(str(row.payload["subject"]).split())[:200],
        body=str(row.payload["body"]),
        to=[row.recipient],
        headers={"X-LeadFlow-Key": row.key, **row.payload.get("headers", {})},
        connection=get_connection(timeout=SMTP_SECONDS),
    )
    message.send()


def retry_after(attempts: int) -> timedelta:
    """How long to wait after so many failures: doubling, up to six hours."""
    return min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** max(0, attempts - 1))


def failed(limit: int = 100) -> Iterable[Outbox]:
    """Letters that were given up, newest first."""
    return Outbox.objects.filter(
        delivered_at=None, cancelled_at=None, next_try_at=None, attempts__gte=GIVE_UP_AFTER
    ).order_by("-id")[:limit]
