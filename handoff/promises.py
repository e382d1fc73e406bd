"""What sales promised for one handoff: dues, ticks, and how a promise ends. Changes a row in memory only;
the machine holds the lock and saves.

A tick is {"at", "do", "promise", "scope", "from"}: instants as ISO text in UTC. `do` is warn, due (with the
scope whose promise falls due and the instant it ran from; "tell": "no" where the policy does not tell the
manager at once), a step of the policy (notify, reassign, pool, exception), wake (a snooze ends) or remind
(an opportunity's next date).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from handoff.calendars import AROUND_THE_CLOCK, WorkCalendar
from handoff.models import OPEN, Handoff, Promise, SlaResult, State
from scoring.sla import ACCEPT, Policy

Tick = dict[str, str]
SCOPES = (SlaResult.Scope.LEAD, SlaResult.Scope.HOLDER)
HOLDER_DUE = {
    Promise.ACCEPTANCE: "acceptance_due_at",
    Promise.FIRST_TOUCH: "first_touch_due_at",
    Promise.FOLLOW_UP: "followup_due_at",
}
LEAD_DUE = {promise: f"lead_{column}" for promise, column in HOLDER_DUE.items()}
# As the agreement's policy names the promise.
CLOCK = {
    Promise.ACCEPTANCE: "accept",
    Promise.FIRST_TOUCH: "first_touch",
    Promise.FOLLOW_UP: "next_attempt",
}
# Which promises run in which state.
RUNNING: dict[str, tuple[Promise, ...]] = {
    State.OFFERED: (Promise.ACCEPTANCE, Promise.FIRST_TOUCH),
    State.ACCEPTED: (Promise.FIRST_TOUCH,),
    State.WORKING: (Promise.FOLLOW_UP,),
}


def policy_of(handoff: Handoff) -> Policy:
    """The policy that was frozen when the lead was offered."""
    return Policy.of(handoff.frozen.get("sla") or {})


def minutes(policy: Policy, promise: Promise) -> int:
    """How long the promise may take."""
    return int(getattr(policy, CLOCK[promise]))


def hours_of(policy: Policy, promise: Promise | str, calendar: WorkCalendar) -> WorkCalendar:
    """The hours by which a promise is counted: the team's, or every hour there is."""
    always = promise in CLOCK and CLOCK[Promise(promise)] in policy.always
    return AROUND_THE_CLOCK if always else calendar


def start_offer(handoff: Handoff, calendar: WorkCalendar, policy: Policy, at: datetime) -> None:
    """Start acceptance and first touch, both from the offer: a late accept buys no time.

    Unless the policy lets the first touch run from the acceptance: then that starts with `start_touch`.
    """
    handoff.sla_ticks = []
    for promise in _of_offer(policy):
        _start_both(handoff, promise, calendar, policy, at)
    show(handoff)


def start_touch(handoff: Handoff, calendar: WorkCalendar, at: datetime) -> None:
    """Start the first touch at the acceptance, where the policy says so and it does not run yet."""
    policy = policy_of(handoff)
    if policy.first_touch_from == ACCEPT and handoff.lead_first_touch_due_at is None:
        _start_both(handoff, Promise.FIRST_TOUCH, calendar, policy, at)
        show(handoff)


def _of_offer(policy: Policy) -> tuple[Promise, ...]:
    """The promises that run from the offer."""
    return (Promise.ACCEPTANCE,) if policy.first_touch_from == ACCEPT else RUNNING[State.OFFERED]


def _start_both(
    handoff: Handoff, promise: Promise, calendar: WorkCalendar, policy: Policy, at: datetime
) -> None:
    due = _start_holder(handoff, promise, calendar, policy, at)
    setattr(handoff, LEAD_DUE[promise], due)
    handoff.sla_ticks += [_due_tick(promise, SlaResult.Scope.LEAD, due, at)]


def start_follow_up(
    handoff: Handoff, calendar: WorkCalendar, contact_at: datetime, agreed: datetime | None = None
) -> None:
    """Start (or renew) the follow-up from the last contact; whatever ran before is over.

    `agreed`: until when to call back, as agreed with the lead; by default the policy's next attempt.
    """
    handoff.last_contact_at = contact_at
    handoff.sla_ticks = []
    due = _start_holder(handoff, Promise.FOLLOW_UP, calendar, policy_of(handoff), contact_at, agreed)
    handoff.lead_followup_due_at = due
    handoff.sla_ticks += [_due_tick(Promise.FOLLOW_UP, SlaResult.Scope.LEAD, due, contact_at)]
    show(handoff)


def restart_for_holder(handoff: Handoff, calendar: WorkCalendar, at: datetime) -> None:
    """Give a new holder the policy's full time, and not less than until a call back that was agreed on.

    The lead's own dues and their ticks stay as they are.
    """
    kept = [tick for tick in handoff.sla_ticks if tick.get("scope") == SlaResult.Scope.LEAD]
    others = [tick for tick in handoff.sla_ticks if tick["do"] == "remind"]
    handoff.sla_ticks = [*kept, *others]
    policy = policy_of(handoff)
    running = _of_offer(policy) if handoff.state == State.OFFERED else RUNNING.get(handoff.state, ())
    for promise in running:
        full = _full(policy, promise, calendar, at)
        own = handoff.lead_followup_due_at if promise == Promise.FOLLOW_UP else None
        _start_holder(handoff, promise, calendar, policy, at, own if own and own > full else None)
    handoff.warned_at = handoff.breached_at = None
    show(handoff)


def drop(handoff: Handoff, *promises: Promise) -> None:
    """Forget the ticks of promises that are over."""
    handoff.sla_ticks = [tick for tick in handoff.sla_ticks if tick.get("promise") not in promises]
    show(handoff)


def remind_at(handoff: Handoff, when: datetime) -> None:
    """An opportunity: no promise any more, only the agreed next date."""
    handoff.next_date = when
    handoff.sla_ticks = [{"at": _text(when), "do": "remind", "promise": ""}]
    show(handoff)


def stop(handoff: Handoff) -> None:
    """The end: no promise, no tick."""
    handoff.sla_ticks = []
    handoff.snoozed_until = None
    show(handoff)


def pause(handoff: Handoff, calendar: WorkCalendar, at: datetime, until: datetime) -> None:
    """Let the clock stand still from `at` to `until`: what is still to come moves back by as much."""
    _shift(handoff, calendar, at, until)
    handoff.sla_ticks = [{"at": _text(until), "do": "wake", "promise": ""}, *handoff.sla_ticks]
    handoff.snoozed_until = until
    show(handoff)


def resume(handoff: Handoff, calendar: WorkCalendar, at: datetime) -> None:
    """Wake: the clock goes on, from now when somebody wakes it before its time."""
    handoff.sla_ticks = [tick for tick in handoff.sla_ticks if tick["do"] != "wake"]
    if handoff.snoozed_until and at < handoff.snoozed_until:
        _shift(handoff, calendar, handoff.snoozed_until, at)
    handoff.snoozed_until = None
    show(handoff)


def show(handoff: Handoff) -> None:
    """Set the promise shown (the earlier unmet one) and the next tick from dues and ticks."""
    open_dues = [
        (getattr(handoff, HOLDER_DUE[promise]), promise)
        for promise in RUNNING.get(handoff.state, ())
        if getattr(handoff, HOLDER_DUE[promise])
    ]
    due, promise = min(open_dues, default=(None, ""))
    handoff.sla_due_at, handoff.sla_promise = due, promise
    handoff.sla_ticks = sorted(handoff.sla_ticks, key=lambda tick: tick["at"])
    if handoff.sla_ticks:
        handoff.sla_tick_at = datetime.fromisoformat(handoff.sla_ticks[0]["at"])
    elif handoff.state in OPEN:
        # Everything has fired already: the daily look goes on until somebody acts.
        handoff.sla_tick_at = handoff.sla_tick_at or handoff.offered_at
    else:
        handoff.sla_tick_at = None


class Results:
    """The results of one locked handoff: those that wait to be finished, and those that an act adds.

    Nothing is written before `save`, so that an act costs one statement for each kind, not one a promise.
    """

    def __init__(self, handoff: Handoff, *, any_running: bool = True) -> None:
        """`any_running`: False where the caller knows that none fell due and waits for its end."""
        self.new: list[SlaResult] = []
        self.finished: list[SlaResult] = []
        unfinished = SlaResult.objects.filter(handoff=handoff, finished_at=None, voided_at=None)
        rows = unfinished.order_by("-pk") if any_running else ()
        self._running = {(row.promise, row.scope): row for row in rows}

    def running(self, promise: Promise, scope: SlaResult.Scope) -> SlaResult | None:
        """The result of a promise that fell due and was not finished yet."""
        found = self._running.get((promise, scope))
        return found if found is not None and found.finished_at is None else None

    def save(self) -> None:
        """Write what changed; new rows have their ids afterwards."""
        if self.new:
            SlaResult.objects.bulk_create(self.new)
        if self.finished:
            columns = ["finished_at", "late_by", "result", "corrected_from", "at"]
            SlaResult.objects.bulk_update(self.finished, columns)


def end(
    results: Results,
    handoff: Handoff,
    promise: Promise,
    calendar: WorkCalendar,
    at: datetime,
    *,
    known_at: datetime,
    kept: bool,
    scopes: Iterable[SlaResult.Scope] = SCOPES,
) -> None:
    """Note how a promise ended, at `at`: kept → met in time, else missed; not kept → missed past due, else
    cancelled. A promise that fell due before has its row already; that one is finished."""
    calendar = hours_of(policy_of(handoff), promise, calendar)
    for scope in scopes:
        due = getattr(handoff, (LEAD_DUE if scope == SlaResult.Scope.LEAD else HOLDER_DUE)[promise])
        if due is None:
            continue
        running = results.running(promise, scope)
        if running is not None:
            _finish(running, calendar, at, known_at, kept)
            results.finished.append(running)
        else:
            results.new.append(_ended(handoff, promise, scope, due, calendar, at, known_at, kept))


def _finish(running: SlaResult, calendar: WorkCalendar, at: datetime, known_at: datetime, kept: bool) -> None:
    running.finished_at = at
    running.late_by = max(0, int(calendar.between(running.due, at).total_seconds()))
    if kept and at <= running.due:
        # The contact came before the due and was recorded after it.
        running.result, running.corrected_from = SlaResult.Result.MET, running.result
        running.at = known_at


def _ended(
    handoff: Handoff,
    promise: Promise,
    scope: SlaResult.Scope,
    due: datetime,
    calendar: WorkCalendar,
    at: datetime,
    known_at: datetime,
    kept: bool,
) -> SlaResult:
    late = at > due
    result = SlaResult.Result.MET if kept else SlaResult.Result.CANCELLED
    return SlaResult(
        handoff=handoff,
        promise=promise,
        n=number(handoff, promise),
        scope=scope,
        holder_id=handoff.owner_id,
        team_id=handoff.team_id,
        start=start_of(handoff, promise, scope),
        due=due,
        finished_at=at,
        result=SlaResult.Result.MISSED if late else result,
        late_by=max(0, int(calendar.between(due, at).total_seconds())) if late else 0,
        at=known_at,
    )


def number(handoff: Handoff, promise: Promise) -> int:
    """Which one of its kind: follow-ups are counted."""
    return max(1, handoff.attempts) if promise == Promise.FOLLOW_UP else 1


def start_of(handoff: Handoff, promise: Promise, scope: SlaResult.Scope) -> datetime:
    """From when the promise ran."""
    holder = scope == SlaResult.Scope.HOLDER
    if promise == Promise.FOLLOW_UP and handoff.last_contact_at:
        return max(handoff.last_contact_at, handoff.offered_at) if holder else handoff.last_contact_at
    if (
        promise == Promise.FIRST_TOUCH
        and handoff.accepted_at
        and policy_of(handoff).first_touch_from == ACCEPT
    ):
        return max(handoff.accepted_at, handoff.offered_at) if holder else handoff.accepted_at
    return handoff.offered_at if holder else handoff.first_offered_at


def _start_holder(
    handoff: Handoff,
    promise: Promise,
    calendar: WorkCalendar,
    policy: Policy,
    at: datetime,
    agreed: datetime | None = None,
) -> datetime:
    hours = hours_of(policy, promise, calendar)
    due = agreed or _full(policy, promise, calendar, at)
    length = hours.between(at, due)
    setattr(handoff, HOLDER_DUE[promise], due)
    warns = [_tick(hours.add(at, length * share), "warn", promise) for share in policy.warn]
    late = [step for step in policy.late if step.clock in ("", CLOCK[promise])]
    # The notice at the due itself goes out with the due tick.
    told = any((step.after, step.do) == (0, "notify") for step in late)
    steps = [
        _tick(hours.add(due, timedelta(minutes=step.after)) if step.after else due, step.do, promise)
        for step in late
        if (step.after, step.do) != (0, "notify")
    ]
    tick = _due_tick(promise, SlaResult.Scope.HOLDER, due, at)
    handoff.sla_ticks += [*warns, tick if told else {**tick, "tell": "no"}, *steps]
    return due


def _full(policy: Policy, promise: Promise, calendar: WorkCalendar, at: datetime) -> datetime:
    """When the promise is due that starts at `at`."""
    return hours_of(policy, promise, calendar).add(at, timedelta(minutes=minutes(policy, promise)))


def _shift(handoff: Handoff, calendar: WorkCalendar, at: datetime, until: datetime) -> None:
    """Move every due and tick after `at` so that the working time left counts from `until`."""

    policy = policy_of(handoff)

    def moved(instant: datetime, promise: Promise | str) -> datetime:
        hours = hours_of(policy, promise, calendar)
        return hours.add(until, hours.between(at, instant)) if instant > at else instant

    for columns in (HOLDER_DUE, LEAD_DUE):
        for promise, column in columns.items():
            due = getattr(handoff, column)
            if due is not None:
                setattr(handoff, column, moved(due, promise))
    handoff.sla_ticks = [
        {**tick, "at": _text(moved(datetime.fromisoformat(tick["at"]), tick["promise"]))}
        for tick in handoff.sla_ticks
    ]


def _tick(at: datetime, do: str, promise: Promise) -> Tick:
    return {"at": _text(at), "do": do, "promise": str(promise)}


def _due_tick(promise: Promise, scope: SlaResult.Scope, due: datetime, start: datetime) -> Tick:
    return {**_tick(due, "due", promise), "scope": str(scope), "from": _text(start)}


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def ticks_due(ticks: Sequence[Tick], at: datetime, kinds: Iterable[str]) -> list[Tick]:
    """The ticks of these kinds whose instant has come, in order."""
    wanted = set(kinds)
    return [tick for tick in ticks if tick["do"] in wanted and datetime.fromisoformat(tick["at"]) <= at]
