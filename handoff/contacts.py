"""Contacts that came in by intake (a call logged in a CRM, a mail sent by hand) count as if clicked: the call
before the click accepts and touches. The earliest wins."""

import logging
from datetime import datetime

from django.db import transaction

from handoff.models import Handoff, State
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import BadInput, Conflict, Forbidden
from leadflow.leads.models import Activity, ContactSeen

log = logging.getLogger(__name__)

BEFORE_DEAL = (State.OFFERED, State.ACCEPTED, State.WORKING)


def pull_contacts(at: datetime, limit: int = 200) -> int:
    """Look at the contacts that nobody has looked at; returns how many.

    One contact, one transaction: handoffs are locked before leads, and one bad row stops no other.
    """
    pending = list(ContactSeen.objects.order_by("id").values_list("pk", flat=True)[:limit])
    return sum(_pull(pk, at) for pk in pending)


@transaction.atomic
def _pull(pk: int, at: datetime) -> int:
    seen = ContactSeen.objects.select_for_update(skip_locked=True).filter(pk=pk).first()
    if seen is None:
        return 0
    activity = Activity.objects.select_related("user", "kind").filter(pk=seen.activity_id).first()
    if activity is not None:
        handoff = _meant(activity)
        if handoff is not None:
            _count(activity, handoff, at)
    seen.delete()
    return 1


def _meant(activity: Activity) -> Handoff | None:
    """The open handoff that the contact belongs to: of its lead, held by who made it (or still pooled),
    begun before it."""
    found = Handoff.objects.filter(
        lead=activity.lead_id, state__in=BEFORE_DEAL, first_offered_at__lte=activity.occurred_at
    ).first()
    if found is None:
        return None
    mine = found.owner_id == activity.user_id if found.owner_id else found.pool
    return found if mine and activity.user_id is not None else None


def _count(activity: Activity, handoff: Handoff, at: datetime) -> None:
    from handoff import machine

    action = "log_contact" if handoff.state == State.WORKING else "touch"
    actor = person(activity.user) if activity.user else SYSTEM
    try:
        with transaction.atomic():
            machine.apply(
                action,
                handoff.pk,
                actor,
                at=at,
                activity_id=activity.pk,
                occurred_at=activity.occurred_at,
                channel=_channel(activity),
                result=activity.result or "talked",
            )
    except (BadInput, Conflict, Forbidden) as no:
        # The contact stays in the timeline; it just does not move the handoff.
        log.info("contact %s does not count for handoff %s: %s", activity.pk, handoff.pk, no)


def _channel(activity: Activity) -> str:
    usual = {"call": "phone", "meeting": "meeting", "message": "email"}
    return activity.channel or usual.get(activity.kind.key, "message")
