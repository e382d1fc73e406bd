"""Make, change and try endpoints; every change leaves its trace, no trace holds a secret."""

import logging
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from handoff import outbox
from handoff.endpoints import addresses, events, pulling
from handoff.endpoints.sending import Reply
from handoff.models import DeliveryLog, Outbox, WebhookEndpoint
from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.errors import BadInput, Fault

log = logging.getLogger(__name__)

SECRET_BYTES = 32
TOLD = ("name", "shape", "url", "events", "team_id", "active")


def save(actor: Actor, row: WebhookEndpoint | None, values: Mapping[str, Any]) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint, or change one: name, shape, url, events, team, active.

    Returns it with the secret when it was just made for it (a signed webhook), to be shown this once.
    Raises BadInput for an address that messages may not go to, and without an event.
    """
    chosen = [name for name in values["events"] if name in events.NAMES]
    if not chosen:
        raise BadInput("Nothing is chosen.", [Fault("events", "Choose what it shall hear of.")])
    _check_address(actor, values["url"])
    endpoint, secret = row or WebhookEndpoint(created_by=actor.user, created_at=clock.now()), ""
    before = None if row is None else _told(row)
    sleeping = row is None or not row.active
    for name in ("name", "shape", "team", "active"):
        setattr(endpoint, name, values[name])
    endpoint.url, endpoint.events = values["url"].strip(), _tidied(chosen)
    if endpoint.shape == WebhookEndpoint.Shape.SIGNED and not endpoint.secret:
        secret = endpoint.secret = new_secret()
    with transaction.atomic():
        if sleeping:
            # What happened before, or while it was off, is not told.
            pulling.start(endpoint)
        endpoint.save()
        verb = "endpoint.created" if row is None else "endpoint.changed"
        audit.record(actor, verb, endpoint, before=before, after=_told(endpoint))
    return endpoint, secret


def _check_address(actor: Actor, url: str) -> None:
    try:
        addresses.check(url)
    except BadInput as no:
        log.warning("refused: an endpoint by %s: %s", actor, no)
        raise


def _tidied(chosen: Sequence[str]) -> list[str]:
    """Without what a chosen family holds already."""
    families = [name[:-1] for name in chosen if name.endswith(".*")]
    return [
        name
        for name in events.NAMES
        if name in chosen and (name.endswith(".*") or not any(name.startswith(one) for one in families))
    ]


def _told(row: WebhookEndpoint) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in TOLD}
    # The address of a chat's channel is its key: whoever has it may write there.
    return told if row.shape == WebhookEndpoint.Shape.SIGNED else told | {"url": addresses.read(row.url).host}


def new_secret() -> str:
    """256 random bits, with a beginning that tells what it is."""
    return f"lfwh_{secrets.token_urlsafe(SECRET_BYTES)}"


def renew_secret(actor: Actor, row: WebhookEndpoint) -> str:
    """Give it a new secret at once; the old one is worth nothing from now on. Returns it, to show once."""
    row.secret = new_secret()
    row.save(update_fields=["secret"])
    audit.record(actor, "endpoint.secret_renewed", row)
    return row.secret


def remove(actor: Actor, row: WebhookEndpoint) -> None:
    """Delete it with its messages and its log."""
    with transaction.atomic():
        audit.record(actor, "endpoint.removed", row, before=_told(row))
        row.delete()


def test(actor: Actor, row: WebhookEndpoint) -> Reply:
    """Send a test message now and wait for the answer; it stands in the log like any other."""
    at = clock.now()
    key = f"test-{secrets.token_hex(8)}"
    data = {"by": str(actor), "text": "This is a test: nothing has happened to a lead."}
    # Without a next try: no worker shall send it, too.
    values = pulling.message(row, key, events.TEST, data, at, at) | {"next_try_at": None}
    made = Outbox.objects.create(**values)
    reply = outbox.send_now(made, at)
    # A test is over whatever came of it: nobody wants it later.
    Outbox.objects.filter(pk=made.pk, delivered_at=None).update(next_try_at=None, cancelled_at=at)
    return reply


def listed() -> QuerySet[WebhookEndpoint]:
    """All endpoints, with how the last try went, what waits and what was given up."""
    last = DeliveryLog.objects.filter(endpoint=OuterRef("pk")).order_by("-at", "-id")
    stuck = Q(messages__delivered_at=None, messages__cancelled_at=None, messages__attempts__gt=0)
    return (
        WebhookEndpoint.objects.select_related("team")
        .annotate(
            last_at=Subquery(last.values("at")[:1]),
            last_status=Subquery(last.values("status")[:1]),
            last_answer=Subquery(last.values("answer")[:1]),
            waiting=Count("messages", filter=Q(messages__next_try_at__isnull=False)),
            failed=Count("messages", filter=stuck & Q(messages__next_try_at=None)),
        )
        .order_by("-active", "name", "pk")
    )


def log_of(row: WebhookEndpoint) -> QuerySet[DeliveryLog]:
    """Every try of the last month, newest first."""
    return DeliveryLog.objects.filter(endpoint=row).select_related("message").order_by("-at", "-id")


def send_again(actor: Actor, ids: Sequence[int], at: datetime) -> int:
    """Try messages that did not arrive (or were lost on the other side) once more; returns how many."""
    done = outbox.send_again(ids, at)
    for row in Outbox.objects.filter(pk__in=ids)[:1] if done else ():
        audit.record(actor, "message.sent_again", row, after={"messages": done})
    return done
