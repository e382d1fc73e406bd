"""Steps of a clock that need a decision per lead: wake what slept, give what is late to somebody there."""

from datetime import datetime

from handoff import acting, presence, promises
from handoff.models import Handoff, LateException, Promise
from handoff.presence import Seat
from leadflow.accounts.actors import SYSTEM, Actor
from leadflow.accounts.models import SALES, User

ROW_STEPS = ("wake", "reassign", "pool")
LATE: dict[str, str] = {
    Promise.ACCEPTANCE: "not answered in time",
    Promise.FIRST_TOUCH: "not contacted in time",
    Promise.FOLLOW_UP: "not followed up in time",
}


def run(handoff_id: int, at: datetime) -> None:
    """Carry out the due row steps of one handoff, oldest first; needs a transaction.

    The row is locked and read again: a second worker finds the step done.
    """
    from handoff import machine

    for _ in range(len(ROW_STEPS)):
        handoff = machine.lock(handoff_id)
        due = promises.ticks_due(handoff.sla_ticks, at, ROW_STEPS)
        if not due:
            return
        if due[0]["do"] == "wake":
            machine.apply("wake", handoff_id, SYSTEM, at=at)
            continue
        to_pool = due[0]["do"] == "pool"
        reason = LATE.get(due[0]["promise"], "late")
        if _passed_round(handoff, due[0]["promise"], reason) or not move_on(
            handoff_id, at, reason=reason, to_pool=to_pool
        ):
            _drop(handoff, due[0], at)


def _passed_round(handoff: Handoff, promise: str, reason: str) -> bool:
    """Whether passing it on once more helps nobody: an offer goes to each colleague at most once, what
    somebody has taken is passed on once for each promise. After that it is the managers' to decide."""
    if promise == Promise.ACCEPTANCE:
        return False
    return handoff.transitions.filter(action="reassign", actor=None, note=reason).exists()


def move_on(handoff_id: int, at: datetime, *, reason: str, by: Actor = SYSTEM, to_pool: bool = False) -> bool:
    """Give a lead to the present colleague with the fewest open ones who has not had it yet; without any the
    step fails (False), unless the owner is no longer active: then the team's pool takes it."""
    from handoff import machine

    handoff = machine.lock(handoff_id)
    seat = None if to_pool else _next(handoff, at)
    if seat is not None:
        machine.apply("reassign", handoff_id, by, at=at, to=seat.user_id, reason=reason)
        return True
    homeless = handoff.owner is not None and not _sells(handoff.owner)
    if homeless or (to_pool and handoff.owner_id is not None):
        machine.apply("reassign", handoff_id, by, at=at, to="pool", reason=reason)
        return True
    return False


def _next(handoff: Handoff, at: datetime) -> Seat | None:
    admission = acting.terms_now().admission
    held = handoff.transitions.exclude(owner_before=None).values_list("owner_before_id", flat=True)
    had = {*held, handoff.owner_id} if handoff.owner is None or _sells(handoff.owner) else {handoff.owner_id}
    found = presence.seats(at, capacity=admission.capacity_open, per_day=admission.new_per_rep_per_day)
    there = [
        seat
        for seat in found
        if seat.present
        and seat.user_id not in had
        and seat.open_now < seat.capacity
        and handoff.team_id in (None, seat.team_id)
    ]
    return min(there, key=lambda s: (not s.in_hours, s.open_now, s.user_id), default=None)


def _sells(owner: User) -> bool:
    return owner.is_active and owner.role in SALES


def _drop(handoff: Handoff, tick: promises.Tick, at: datetime) -> None:
    """Nobody is there to take it: it stays, on the managers' list."""
    handoff.sla_ticks = [other for other in handoff.sla_ticks if other != tick]
    due = handoff.sla_due_at
    promises.show(handoff)
    handoff.changed_at = at
    handoff.sla_tick_at = handoff.sla_tick_at or at
    handoff.save(update_fields=["sla_ticks", "sla_tick_at", "sla_due_at", "sla_promise", "changed_at"])
    LateException.objects.get_or_create(
        handoff=handoff, promise=tick["promise"], cleared_at=None, defaults={"since": due or at}
    )
    handoff.exceptions.filter(promise=tick["promise"], cleared_at=None).update(step_done="nobody left to ask")
