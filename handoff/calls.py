"""The call sheet: whom to call now, in order; and noting how a contact went."""

from collections.abc import Mapping
from datetime import datetime

from django.db.models import F

from handoff import guards, machine, queue
from handoff.models import Handoff, State
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import User
from leadflow.errors import BadInput, Fault

SHOWN = 40
# "They asked to be called back": talked, and the day that goes with it.
CALL_BACK = "call_back"


def due_now(user: User, at: datetime) -> list[Handoff]:
    """The person's own leads that wait for a call today: first due first, of equals the best; who has no
    number, or must not be called, comes last. One query.
    """
    day = queue.end_of_day(at, user.zone)
    found = (
        queue.opened(user)
        .filter(owner=user.pk, snoozed_until=None)
        .exclude(state=State.OPPORTUNITY)
        .exclude(state=State.WORKING, due_at__gte=day)
        .select_related("lead__company")
        .order_by("due_at", F("total").desc(nulls_last=True), "pk")[:SHOWN]
    )
    rows: list[Handoff] = list(found)
    return sorted(rows, key=lambda row: not row.lead.phone or row.lead.do_not_contact)


def act_of(handoff: Handoff) -> str:
    """Which act a contact is: the first one, or one more."""
    return "log_contact" if handoff.state == State.WORKING else "touch"


def note(handoff: Handoff, values: Mapping[str, str], actor: Actor, *, at: datetime | None = None) -> Handoff:
    """Note a contact with its result; the first one on an offer accepts too.

    `values`: result, channel, note, and `call_back`, the day on which they want to be called. Raises
    BadInput for an unknown result and for a call back without its day; else as the machine does.
    """
    result, back = values.get("result", ""), values.get("call_back", "")
    if result == CALL_BACK and not back:
        raise BadInput("Say when.", [Fault("call_back", "On which day do they want to be called?")])
    result = "talked" if result == CALL_BACK else result
    if result not in guards.RESULTS:
        known = ", ".join(guards.RESULTS.values()).lower()
        raise BadInput("Say how it went.", [Fault("result", f"One of {known}.")])
    given = {"channel": values.get("channel", ""), "note": values.get("note", ""), "call_back": back}
    return machine.apply(act_of(handoff), handoff.pk, actor, at=at, result=result, **given)


def words(done: Handoff, values: Mapping[str, str]) -> str:
    """What was noted, for the toast."""
    result = values.get("result", "")
    said = "wants to be called back" if result == CALL_BACK else guards.RESULTS[result].lower()
    return f"{done.lead}: {said}."
