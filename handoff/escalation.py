"""Steps of a clock that need a decision per lead: wake what slept, give what is late to somebody there."""

from datetime import datetime

from handoff import acting, presence, promises
from handoff.models import Handoff, LateException
from handoff.presence import Seat
from leadflow.accounts.actors import SYSTEM, Actor

ROW_STEPS = ("wake", "reassign", "pool")


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
        if not move_on(handoff_id, at, reason="not answered in time", to_pool=to_pool):
            _drop(handoff, due[0], at)


def move_on(handoff_id: int, at: datetime, *, reason: str, by: Actor = SYSTEM, to_pool: bool = False) -> bool:
    """Give a lead to the present colleague with the fewest open ones; without any the step fails (False),
    unless the owner is no longer active: then the team's pool takes it."""
    from handoff import machine

    handoff = machine.lock(handoff_id)
    seat = None if to_pool else _next(handoff, at)
    if seat is not None:
        machine.apply("reassign", handoff_id, by, at=at, to=seat.user_id, reason=reason)
        return True
    homeless = handoff.owner is not None and not handoff.owner.is_active
    if homeless or (to_pool and handoff.owner_id is not None):
        machine.apply("reassign", handoff_id, by, at=at, to="pool", reason=reason)
        return True
    return False


def _next(handoff: Handoff, at: datetime) -> Seat | None:
    admission = acting.terms_now().admission
    found = presence.seats(at, capacity=admission.capacity_open, per_day=admission.new_per_rep_per_day)
    there = [
        seat
        for seat in found
        if seat.present
        and seat.user_id != handoff.owner_id
        and seat.open_now < seat.capacity
        and handoff.team_id in (None, seat.team_id)
    ]
    return min(there, key=lambda s: (not s.in_hours, s.open_now, s.user_id), default=None)


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
    handoff.exceptions.filter(promise=tick["promise"], cleared_at=None).update(step_done="nobody there")
