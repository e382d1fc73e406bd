"""The call sheet: whom to call now, in order; and noting how a contact went."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Count, F, Q, When, Window

from handoff import guards, machine, queue
from handoff.models import Handoff, State
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import User
from leadflow.errors import BadInput, Fault

SHOWN = 40
# "They asked to be called back": talked, and the day that goes with it.
CALL_BACK = "call_back"


# Who has a number and may be called on it.
_CALLABLE = ~Q(lead__phone="") & Q(lead__do_not_contact=False)


@dataclass(frozen=True)
class Sheet:
    """Those who can be called now, in order: the first of `count`; and how many more wait for a call but have
    no number, or must not be contacted."""

    rows: list[Handoff]
    count: int = 0
    without_number: int = 0
    banned: int = 0


def due_now(user: User, at: datetime) -> Sheet:
    """The person's own leads that wait for a call today: first due first, of equals the best. One query."""
    day = queue.end_of_day(at, user.zone)
    banned = Q(lead__do_not_contact=True)
    found = list(
        queue.opened(user)
        .filter(owner=user.pk, snoozed_until=None)
        .exclude(state=State.OPPORTUNITY)
        .exclude(state=State.WORKING, due_at__gte=day)
        .select_related("lead__company")
        .annotate(
            can=Case(When(_CALLABLE, then=True), default=False),
            count=Window(Count("pk", filter=_CALLABLE)),
            without=Window(Count("pk", filter=Q(lead__phone="") & ~banned)),
            banned=Window(Count("pk", filter=banned)),
        )
        .order_by("-can", "due_at", F("total").desc(nulls_last=True), "pk")[:SHOWN]
    )
    if not found:
        return Sheet([])
    all_of = found[0]
    return Sheet([row for row in found if row.can], all_of.count, all_of.without, all_of.banned)


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
