"""Live the demo company's months through the real doors: intake, engine, machine, verdicts.

Time jumps from one due instant to the next: hours at which what leads did is taken in, instants at which
a rep acts, instants at which a promise falls due. The house's clock is injected at each of them.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection

from feedback import nurture, tasks, verdicts
from feedback.models import Task
from handoff import admission, calendars, clocks, machine
from handoff.models import Handoff, State
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.accounts.models import User
from leadflow.demo import reps
from leadflow.demo.story import Cast
from leadflow.demo.world import Event, Person
from leadflow.errors import BadInput, Conflict, Forbidden
from leadflow.leads import customers, intake
from scoring import engine

# When what leads did since the last time is taken in, local to the company; coarser long ago, where nobody
# looks at the minute, so that months take seconds.
RECENT = timedelta(days=7)
RECENT_HOURS = (time(8, 45), time(11, 30), time(15, 45))
EARLIER_HOURS = (time(10, 45),)
EARLIER_DAYS = (0, 2, 4)
LONG_AGO = timedelta(days=60)
LONG_AGO_DAYS = (0, 3)
WEEKEND_HOURS = (time(13, 0),)
# Those who ask for us are seen at once.
AT_ONCE = frozenset({"demo_requested", "trial_started"})
# Nurture steps and the ends of waits are looked at with the first hour of a Monday.
DAILY = time(10, 50)
# Of what came in within this much working time of the end, most is still to be answered.
UNANSWERED = timedelta(hours=9)
# Tables grow from nothing here faster than the database looks at them: without fresh statistics it plans
# as if they were still empty.
FRESH_STATISTICS = (2, 14, 60, 120)
GROWING = (
    *("leads_lead", "leads_company", "leads_activity", "leads_factchange", "leads_stagechange"),
    *("scoring_leadscore", "scoring_scorechange", "scoring_hold", "scoring_crossing"),
    *("handoff_handoff", "handoff_transition", "handoff_slaresult", "handoff_roomwait", "handoff_outbox"),
    *("feedback_enrolment", "feedback_task", "handoff_notice"),
)
# Every so many weeks the demo looks at the points that fade; the house itself does so within a day.
REFRESHED = 4
# How many rows a pass takes; one that took fewer has emptied what waited.
BATCH = 2_000
# What marketing has not done yet at the end is younger than this.
UNDONE = timedelta(days=4)
# After so many contacts without an answer the reps of the demo say "not ready".
ATTEMPTS = 3
Act = Callable[[datetime], object]


class Held(NamedTuple):
    """What a rep must know of a handoff to decide what to do with it."""

    pk: int
    lead_id: int
    kind: str
    state: str
    owner_id: int | None
    team_id: int | None
    first_touch_due_at: datetime | None


_HELD = """
SELECT id, lead_id, kind, state, owner_id, team_id, first_touch_due_at FROM handoff_handoff
WHERE state = ANY(%s) AND (id = %s OR %s) ORDER BY id
"""


def _held(states: Sequence[State], pk: int | None = None) -> list[Held]:
    # Asked before every act: writing the statement anew each time would cost more than the answer.
    with connection.cursor() as cursor:
        cursor.execute(_HELD, [[*states], pk, pk is None])
        return list(itertools.starmap(Held, cursor.fetchall()))


def _analyze(at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(GROWING)}")


class Play:
    """One run: the people of the world against the people of the company."""

    def __init__(self, seed: int, people: list[Person], cast: Cast, end: datetime) -> None:
        self.seed = seed
        self.people = people
        self.cast = cast
        self.end = end
        self.zone = ZoneInfo("Europe/Berlin")
        self.calendar = calendars.for_team(cast.sam.team_id)
        self.by_lead: dict[int, Person] = {}
        self.lead_of: dict[int, int] = {}
        self.seen: set[tuple[int, int | None]] = set()
        self._agenda: list[tuple[datetime, int, Act]] = []
        self._order = count()
        self._newcomers = 0
        self._stream: list[tuple[datetime, int, int, Event]] = sorted(
            (e.at, p.n, i, e) for p in people for i, e in enumerate(p.events)
        )
        self._streamed = 0

    def plan(self, at: datetime, act: Act) -> None:
        """Put an act on the agenda; what lies after the end never happens."""
        if at < self.end:
            heapq.heappush(self._agenda, (at, next(self._order), act))

    def run(self, progress: Callable[[datetime], None] = lambda at: None) -> None:
        """Live from the first lead to the end."""
        for at in self._hours():
            self.plan(at, self.take_in)
        for days in FRESH_STATISTICS:
            self.plan(self.people[0].created_at + timedelta(days=days), _analyze)
        for at, _, _, event in self._stream:
            if event.kind in AT_ONCE and at > self.end - RECENT:
                self.plan(at + timedelta(seconds=20), self.take_in)
        while self._agenda:
            at, _, act = heapq.heappop(self._agenda)
            with clock.use(at):
                act(at)
                self._keep_promises(at)
            progress(at)
        with clock.use(self.end):
            engine.queue_refresh(self.end)
            self.take_in(self.end)
            # Early tracks begin today: their first mails leave tomorrow.
            nurture.sweep(self.end)
            self._keep_promises(self.end)

    def _hours(self) -> Iterator[datetime]:
        day = self.people[0].created_at.astimezone(self.zone).date()
        while day <= self.end.astimezone(self.zone).date():
            for hour in self._hours_of(day):
                yield datetime.combine(day, hour, self.zone).astimezone(UTC)
            day += timedelta(days=1)

    def _hours_of(self, day: date) -> tuple[time, ...]:
        if day > (self.end - RECENT).date():
            return RECENT_HOURS if day.weekday() < 5 else WEEKEND_HOURS
        days = EARLIER_DAYS if day > (self.end - LONG_AGO).date() else LONG_AGO_DAYS
        return EARLIER_HOURS if day.weekday() in days else ()

    # What leads do

    def take_in(self, at: datetime) -> None:
        """Record who came and what was done up to `at`, score it, and hand over who is ready."""
        self._take_people(at)
        self._take_events(at)
        here = at.astimezone(self.zone)
        if here.time() < DAILY and here.weekday() == 0 and here.isocalendar().week % REFRESHED == 0:
            engine.queue_refresh(at)
        while customers.pull(at):
            pass
        while engine.score_pending(at, BATCH) >= BATCH:
            pass
        if here.time() < DAILY and here.weekday() == 0:
            engine.end_holds(at)
            nurture.tick(at)
            # A tick looks back two days; here it comes once a week.
            nurture.return_to_score(at, since=None)
        while machine.open_pending(at, BATCH) >= BATCH:
            pass
        admission.refill(at)
        self._do_tasks(at)
        self._meet_offers()

    def _do_tasks(self, at: datetime) -> None:
        """Mia does what marketing was asked for, but for what came in these last days."""
        mia = person(self.cast.mia)
        for task in tasks.open_tasks().filter(due_at__lt=min(at, self.end - UNDONE)):
            truth = self.by_lead[task.lead_id]
            if task.kind == Task.Kind.REPAIR:
                number = f"+49 40 5551 {truth.n % 10000:04d}"
                self._try(partial(tasks.repair, task.pk, mia, {"phone": number}, at=at))
                truth.bad_phone = False
            else:
                self._try(partial(tasks.finish, task.pk, mia, result="done", at=at))

    def _take_people(self, at: datetime) -> None:
        arrived: list[Person] = []
        while self._newcomers < len(self.people) and self.people[self._newcomers].created_at <= at:
            arrived.append(self.people[self._newcomers])
            self._newcomers += 1
        if not arrived:
            return
        rows = [{**p.facts, "external_id": f"p{p.n}"} for p in arrived]
        result = intake.upsert_leads(rows, source="demo", actor=SYSTEM)
        for p, lead_id in zip(arrived, result.accepted, strict=True):
            self.by_lead[lead_id] = p
            self.lead_of[p.n] = lead_id

    def _take_events(self, at: datetime) -> None:
        rows = []
        while self._streamed < len(self._stream) and self._stream[self._streamed][0] <= at:
            moment, n, i, event = self._stream[self._streamed]
            self._streamed += 1
            rows.append(
                {
                    "source": "demo",
                    "external_id": f"p{n}-{i}",
                    "kind": event.kind,
                    "lead_id": self.lead_of[n],
                    "occurred_at": moment,
                    **event.more,
                }
            )
        if rows:
            intake.record_activities(rows, actor=SYSTEM)

    # What sales does

    def _rng(self, handoff: Held, what: str) -> random.Random:
        return random.Random(f"{self.seed}:{self.by_lead[handoff.lead_id].n}:{handoff.kind}:{what}")

    def _handle(self, user: User) -> str:
        return user.email.partition("@")[0]

    def _meet_offers(self) -> None:
        """Let the holder of each new or moved lead plan what to do with it."""
        states = (State.OFFERED, State.ACCEPTED, State.WORKING)
        for handoff in _held(states):
            known = (handoff.pk, handoff.owner_id)
            if known in self.seen:
                continue
            self.seen.add(known)
            owner = next((r for r in self.cast.reps if r.pk == handoff.owner_id), None)
            rng = self._rng(handoff, f"answer {owner and self._handle(owner)}")
            team = [r for r in self.cast.reps if r.team_id == handoff.team_id] or self.cast.reps
            rep = owner or rng.choice(team)
            asked = handoff.kind == Handoff.Kind.FAST_TRACK
            when = self.calendar.add(clock.now(), reps.minutes_to_answer(rng, self._handle(rep), asked))
            if handoff.state != State.OFFERED:
                self.plan(when, partial(self.call, pk=handoff.pk, rep=rep, attempt=1))
            elif self.calendar.between(clock.now(), self.end) > UNANSWERED or rng.random() > 0.8:
                self.plan(when, partial(self.answer, pk=handoff.pk, rep=rep, asked=asked))

    def _holds(self, pk: int, rep: User, *states: State) -> Held | None:
        found = _held(states, pk)
        return found[0] if found and found[0].owner_id in (None, rep.pk) else None

    def answer(self, at: datetime, pk: int, rep: User, asked: bool) -> None:
        """The rep looks at the offer: accept, call at once, or reject."""
        handoff = self._holds(pk, rep, State.OFFERED)
        if handoff is None:
            return
        rng = self._rng(handoff, "verdict")
        decision = reps.answer(rng, self.by_lead[handoff.lead_id], asked)
        if decision.accept and rng.random() < 0.7:
            self.call(at, pk, rep, 1)
        elif decision.accept:
            if self._try(lambda: machine.apply("accept", pk, person(rep), at=at)):
                self.seen.add((pk, rep.pk))
                median = 300 if self._handle(rep) == reps.SLOW else 12 if asked else 90
                wait = timedelta(minutes=median * rng.lognormvariate(0, 0.6))
                self.plan(self.calendar.add(at, wait), lambda then: self.call(then, pk, rep, 1))
        else:
            self._reject(at, handoff, rep, decision)

    def _reject(self, at: datetime, handoff: Held, rep: User, decision: reps.Decision) -> None:
        date = (at + timedelta(days=decision.in_days)).date() if decision.in_days else None
        done = self._try(
            lambda: verdicts.reject(
                handoff.pk, person(rep), reason_key=decision.reason, note=decision.note, date=date, at=at
            )
        )
        rng = self._rng(handoff, "dispute")
        if done and decision.reason in ("2", "5") and rng.random() < 0.12:
            self.plan(at + timedelta(hours=rng.uniform(3, 40)), lambda then: self.dispute(then, handoff))

    def call(self, at: datetime, pk: int, rep: User, attempt: int) -> None:
        """One contact; reached leads are decided in the talk or some days later."""
        handoff = self._holds(pk, rep, State.OFFERED, State.ACCEPTED, State.WORKING)
        if handoff is None:
            return
        rng = self._rng(handoff, f"call{attempt}")
        p = self.by_lead[handoff.lead_id]
        late = bool(handoff.first_touch_due_at and at > handoff.first_touch_due_at and attempt == 1)
        reached = reps.reaches(rng, p, late)
        result = (
            rng.choice(["talked", "talked", "meeting"]) if reached else rng.choice(["voicemail", "no_answer"])
        )
        channel = "phone" if attempt % 3 or reached else "email"
        action = "log_contact" if handoff.state == State.WORKING else "touch"
        note = "Wants to see two depots." if reached and rng.random() < 0.2 else ""
        if not self._try(
            lambda: machine.apply(action, pk, person(rep), at=at, channel=channel, result=result, note=note)
        ):
            return
        self.seen.add((pk, rep.pk))
        # The next contact is promised within one working day on the fast track, two otherwise.
        promised = timedelta(hours=8 if handoff.kind == Handoff.Kind.FAST_TRACK else 16)
        if reached:
            wait = promised * rng.choice([0.05, 0.3, 0.6, 0.9])
            self.plan(self.calendar.add(at, wait), lambda then: self.decide(then, pk, rep, late))
        elif attempt < ATTEMPTS:
            wait = promised * rng.uniform(0.5, 1.05 if self._handle(rep) != reps.SLOW else 1.8)
            self.plan(self.calendar.add(at, wait), lambda then: self.call(then, pk, rep, attempt + 1))
        else:
            note = "Nobody picks up; the guide was all they wanted."
            self.plan(
                self.calendar.add(at, promised / 2),
                lambda then: self._try(
                    lambda: verdicts.return_(pk, person(rep), reason_key="2", note=note, at=then)
                ),
            )

    def decide(self, at: datetime, pk: int, rep: User, late: bool) -> None:
        """After the talk: an opportunity, or back to marketing."""
        handoff = self._holds(pk, rep, State.ACCEPTED, State.WORKING)
        if handoff is None:
            return
        rng = self._rng(handoff, "decide")
        p = self.by_lead[handoff.lead_id]
        decision = reps.after_talk(rng, p, late)
        if not decision.accept:
            date = (at + timedelta(days=decision.in_days)).date() if decision.in_days else None
            self._try(
                lambda: verdicts.return_(
                    pk, person(rep), reason_key=decision.reason, note=decision.note, date=date, at=at
                )
            )
            return
        amount = reps.amount(rng, p)
        close = at + timedelta(days=rng.randint(12, 50))
        if self._try(
            lambda: verdicts.qualify(
                pk, person(rep), amount=amount, need="Plans tours by hand today.", date=close.date(), at=at
            )
        ):
            self.plan(self.calendar.add(close, timedelta()), lambda then: self.close(then, pk, rep, amount))

    def close(self, at: datetime, pk: int, rep: User, amount: Decimal) -> None:
        """The deal is won or lost."""
        handoff = self._holds(pk, rep, State.OPPORTUNITY)
        if handoff is None:
            return
        rng = self._rng(handoff, "close")
        if reps.wins(rng, self.by_lead[handoff.lead_id]):
            self._try(lambda: verdicts.win(pk, person(rep), amount=amount, at=at))
        else:
            reason = rng.choice(["2", "5"])
            self._try(
                lambda: verdicts.lose(
                    pk, person(rep), reason_key=reason, note="Went with what they have.", at=at
                )
            )

    def dispute(self, at: datetime, handoff: Held) -> None:
        """Mia objects to a rejection; most are settled within two days."""
        rng, pk = self._rng(handoff, "settle"), handoff.pk
        if not self._try(
            lambda: verdicts.dispute(
                pk, person(self.cast.mia), comment="Came to the pricing page twice that week.", at=at
            )
        ):
            return
        wait = timedelta(hours=rng.uniform(2, 30))
        stands = rng.random() < 0.6
        self.plan(
            self.calendar.add(at, wait),
            lambda then: self._try(
                lambda: verdicts.settle(
                    pk,
                    person(self.cast.rosa),
                    overturned=not stands,
                    comment="Heard the call, agreed.",
                    at=then,
                )
            ),
        )

    def _keep_promises(self, at: datetime) -> None:
        """Let the clocks tick at the very instants that fell due since the last look."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM handoff_handoff WHERE sla_tick_at <= %s LIMIT 1", [at])
            if cursor.fetchone() is None:
                return
        while clocks.tick(at, BATCH) >= BATCH:
            pass
        self._meet_offers()

    @staticmethod
    def _try(act: Callable[[], object]) -> bool:
        """Carry out an act; a person whose lead has moved on meanwhile simply goes on to the next."""
        try:
            act()
        except (Conflict, Forbidden, BadInput):
            return False
        return True
