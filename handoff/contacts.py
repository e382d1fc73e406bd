"""Contacts that came in by intake (a call logged in a CRM, a mail sent by hand) count as if clicked: the call
before the click accepts and touches. The earliest wins; one that we hear of when somebody else has the lead,
or nobody any more, corrects the figures of its time."""

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from handoff import calendars, corrections, outbox, promises
from handoff.guards import REACHED
from handoff.models import Handoff, Outbox, Promise, State, Transition
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import BadInput, Conflict, Forbidden
from leadflow.leads.models import Activity, ContactSeen

log = logging.getLogger(__name__)

BEFORE_DEAL = (State.OFFERED, State.ACCEPTED, State.WORKING)
UNTIL_TOUCHED = (Promise.ACCEPTANCE, Promise.FIRST_TOUCH)
CORRECTED = (
    "first_touch_at",
    "reached_at",
    "changed_at",
    "lock_version",
    "sla_ticks",
    "sla_tick_at",
    "sla_due_at",
    "sla_promise",
)


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
    if activity is not None and activity.user_id is not None:
        handoff = _meant(activity)
        if handoff is not None:
            _count(activity, handoff, at)
        elif past := _held_then(activity):
            _correct(activity, past, at)
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
    return found if mine else None


def _held_then(activity: Activity) -> int | None:
    """The handoff that who made the contact held at that time: somebody else has it now, or it is closed."""
    when = activity.occurred_at
    rows = Handoff.objects.filter(lead=activity.lead_id, first_offered_at__lte=when)
    rows = rows.filter(Q(closed_at=None) | Q(closed_at__gte=when))
    pk = rows.order_by("-first_offered_at").values_list("pk", flat=True).first()
    if pk is None:
        return None
    acts = Transition.objects.filter(handoff=pk, at__lte=when).order_by("-at", "-pk")
    holder = acts.values_list("owner_after_id", flat=True).first()
    return pk if holder == activity.user_id else None


def _correct(activity: Activity, handoff_id: int, at: datetime) -> None:
    """The contact counts for the time in which it was made: the figures are corrected, the present holder
    is told and goes on."""
    from handoff import machine

    handoff = machine.lock(handoff_id)
    when, calendar = activity.occurred_at, calendars.for_team(handoff.team_id)
    done = corrections.correct(handoff, activity.user_id, when, calendar, known_at=at, of=UNTIL_TOUCHED)
    kept = corrections.keep_for_lead(handoff, when, calendar, known_at=at)
    if handoff.first_touch_at is None or when < handoff.first_touch_at:
        handoff.first_touch_at = when
    if activity.result in REACHED:
        handoff.reached_at = min(handoff.reached_at or when, when)
    handoff.changed_at = at
    handoff.lock_version += 1
    handoff.save(update_fields=[*CORRECTED, *promises.LEAD_DUE.values()])
    if handoff.owner_id not in (None, activity.user_id) and (done.made or kept) and activity.user:
        zone = calendar.zone
        told = {
            "text": f"{activity.user.name} had been in touch at {when.astimezone(zone):%H:%M} on"
            f" {when.astimezone(zone):%-d %b}; we heard of it at {at.astimezone(zone):%H:%M}",
            "url": f"/queue/{handoff.pk}/",
        }
        key = f"heard:{activity.pk}:{handoff.owner_id}"
        outbox.put([outbox.Letter(key, "said", Outbox.Channel.BELL, handoff.owner_id, told)], at)


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
