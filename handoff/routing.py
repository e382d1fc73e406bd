"""Who gets which lead: ordered sentences, then presence and room. Set-based; hands out in memory, one write.

Nothing here decides what goes to sales, only to whom; when nobody has room the lead waits (`admission`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db import connection

from handoff import calendars, presence, sentences
from handoff.calendars import WorkCalendar
from handoff.models import OPEN, Handoff, RoundRobin, RouteRule, State, Transition
from handoff.presence import Seat
from leadflow.accounts.models import Role, Team
from scoring.document import Document

# An owner who is away longer than this gets a colleague instead, and is told.
SHORT_ABSENCE = timedelta(hours=4)

STRATEGIES = {"round_robin": "round robin", "fewest_open": "fewest open"}

DEFAULT_RULES: tuple[tuple[str, dict[str, Any] | None, dict[str, Any]], ...] = (
    ("The company has an owner", None, {"to": "company_owner"}),
    (
        "Fast track",
        {"handoff": "kind", "op": "is", "value": "fast_track"},
        {"to": "team", "team": None, "strategy": "fewest_open"},
    ),
    (
        "Everybody else",
        None,
        {"to": "team", "team": None, "strategy": "round_robin"},
    ),
)


@dataclass(frozen=True)
class Ask:
    """A lead that looks for a rep. `counted`: one of those that the agreement limits per day.

    `past_day`: it may come although the day's limit is reached (a release "all now"), never past the room on
    the rep's desk or in the pool.
    """

    lead_id: int
    kind: str
    counted: bool
    total: int
    grade: str
    fast_track_no: int | None = None
    company_id: int | None = None
    company_owner_id: int | None = None
    # Who had it before: call-backs and repaired leads go back to the same rep.
    before_id: int | None = None
    past_day: bool = False


@dataclass(frozen=True)
class Route:
    """Where a lead goes: an owner, a team's pool, or (`wait`) nowhere yet. `text` says why."""

    owner_id: int | None
    team_id: int | None
    text: str
    pool: bool = False
    wait: bool = False
    # Nobody was there: the manager hears of it.
    alarm: bool = False
    # The owner who is away and is told that a colleague got it.
    away_id: int | None = None
    # Which sentence sent it, counted from 1; 0: none did.
    rule: int = 0


@dataclass
class _Turns:
    """The running weights of the round robin: user id → weight, and whose changed."""

    current: dict[int, int]
    touched: set[int] = field(default_factory=set)

    def next(self, seats: Sequence[Seat]) -> Seat:
        """Smooth weighted round robin: everybody gains their weight, the first pays the sum of all."""
        for seat in seats:
            self.current[seat.user_id] = self.current.get(seat.user_id, 0) + seat.weight
            self.touched.add(seat.user_id)
        chosen = max(seats, key=lambda s: (self.current[s.user_id], -s.user_id))
        self.current[chosen.user_id] -= sum(seat.weight for seat in seats)
        return chosen


class Router:
    """One round of handing out, with the world read once: rules, people, load, turns.

    `rules`: other sentences than those in use, to try them; `everybody`: as if all were there with an empty
    desk, and turns began anew.
    """

    def __init__(
        self,
        asks: Sequence[Ask],
        at: datetime,
        terms: Document,
        *,
        rules: Sequence[RouteRule] | None = None,
        each: Mapping[int, datetime] | None = None,
        everybody: bool = False,
    ) -> None:
        self.at = at
        admission = terms.admission
        self.per_day = admission.new_per_rep_per_day
        self.rules = rules_in_use() if rules is None else [rule for rule in rules if rule.active]
        extra = {a for ask in asks for a in (ask.company_owner_id, ask.before_id) if a}
        extra |= {int(rule.target["user"]) for rule in self.rules if rule.target.get("to") == "user"}
        found = presence.of_sales(at, capacity=admission.capacity_open, per_day=self.per_day, others=extra)
        if everybody:
            found.clear_desks()
        self.reps = found.reps
        self.seats = {seat.user_id: seat for seat in (*found.reps, *found.others)}
        self.hours = found.hours
        self.matches = [self._matching(rule, asks, each) for rule in self.rules]
        self.turns = _Turns({} if everybody else dict(RoundRobin.objects.values_list("user_id", "current")))
        self.company_holder = {} if everybody else _company_holders(asks)

    @cached_property
    def away(self) -> dict[int, datetime]:
        """Until when those are away who are."""
        return presence.away_until([s.user_id for s in self.seats.values() if not s.present], self.at)

    @cached_property
    def teams(self) -> dict[int, str]:
        """The sales teams by name."""
        return dict(Team.objects.filter(kind=Team.Kind.SALES).order_by("pk").values_list("pk", "name"))

    @cached_property
    def pool_taken(self) -> dict[int, int]:
        """New leads that each pool got today."""
        return _pool_taken(self.at, self.hours)

    def _matching(
        self, rule: RouteRule, asks: Sequence[Ask], each: Mapping[int, datetime] | None
    ) -> set[int] | None:
        """The leads for which a sentence holds; None: for all."""
        if not rule.condition:
            return None
        given = {
            ask.lead_id: sentences.given_of(
                ask.kind, ask.fast_track_no, ask.grade, self._at_work(each.get(ask.lead_id) if each else None)
            )
            for ask in asks
        }
        return sentences.holding(rule.condition, given, self.at, each=each)

    def _at_work(self, then: datetime | None) -> bool:
        """Whether any team of reps works now, or then."""
        if then is None:
            return any(seat.in_hours for seat in self.reps)
        return any(calendar.is_open(then) for calendar in self.hours.values())

    def route(self, ask: Ask) -> Route:
        """Find the place of one lead and note the load."""
        route = self._same_rep(ask) or self._by_rules(ask) or self._nobody(ask)
        if route.owner_id is not None:
            self.seats[route.owner_id].give(ask.counted)
            if ask.company_id is not None:
                self.company_holder[ask.company_id] = route.owner_id
        elif route.pool and ask.counted and route.team_id is not None:
            self.pool_taken[route.team_id] = self.pool_taken.get(route.team_id, 0) + 1
        return route

    def _same_rep(self, ask: Ask) -> Route | None:
        if ask.before_id is None or ask.before_id not in self.seats:
            return None
        return self._to_person(ask, self.seats[ask.before_id], "back to the same rep")

    def _by_rules(self, ask: Ask) -> Route | None:
        for n, (rule, matching) in enumerate(zip(self.rules, self.matches, strict=True), start=1):
            if matching is not None and ask.lead_id not in matching:
                continue
            route = self._by_rule(ask, rule, f"rule {n}: {rule.text}")
            if route is not None:
                return replace(route, rule=n)
        return None

    def _by_rule(self, ask: Ask, rule: RouteRule, text: str) -> Route | None:
        target = rule.target
        to, team = target.get("to"), target.get("team")
        if to == "company_owner":
            return self._company_owner(ask, text)
        if to == "user":
            seat = self.seats.get(int(target["user"]))
            return self._to_person(ask, seat, text) if seat else None
        if to == "pool":
            return self._to_pool(ask, team, text)
        if team is not None and int(team) not in self.teams:
            return None
        strategy = str(target.get("strategy") or "round_robin")
        members = [s for s in self.reps if team is None or s.team_id == team]
        where = "all teams" if team is None else f"team {self.teams[int(team)]}"
        return self._pick(ask, members, strategy, f"{text} → {where}; {STRATEGIES[strategy]}")

    def _company_owner(self, ask: Ask, text: str) -> Route | None:
        if ask.company_owner_id in self.seats:
            return self._to_person(ask, self.seats[ask.company_owner_id], text)
        holder = self.company_holder.get(ask.company_id) if ask.company_id is not None else None
        if holder in self.seats and self.seats[holder].present:
            return self._to_person(ask, self.seats[holder], f"{text} → same company, same rep")
        return None

    def _to_person(self, ask: Ask, seat: Seat, text: str) -> Route:
        if not seat.present and not self._back_soon(seat):
            colleagues = [s for s in self.reps if s.team_id == seat.team_id and s.user_id != seat.user_id]
            found = self._pick(ask, colleagues, "fewest_open", f"{text} → {seat.name} is away; a colleague")
            if found is None:
                text = f"{text} → {seat.name} is away, nobody else is there"
                return Route(None, seat.team_id, text, pool=True, wait=ask.counted, alarm=True)
            return replace(found, away_id=seat.user_id)
        if ask.counted and seat.left(past_day=ask.past_day) <= 0:
            return Route(None, seat.team_id, f"{text} → {seat.name} has no room today", wait=True)
        return Route(seat.user_id, seat.team_id, f"{text} → {self._load(seat)}")

    def _back_soon(self, seat: Seat) -> bool:
        until = self.away.get(seat.user_id)
        return until is None or self.hours[seat.team_id].between(self.at, until) <= SHORT_ABSENCE

    def _pick(self, ask: Ask, members: Sequence[Seat], strategy: str, text: str) -> Route | None:
        there = [seat for seat in members if seat.present]
        if not there:
            return None
        free = [seat for seat in there if seat.left(past_day=ask.past_day) > 0] if ask.counted else there
        if not free:
            return Route(None, _one_team(there), f"{text}: nobody has room today", wait=True)
        # Whoever is at work now answers sooner; outside all hours everybody is in the round.
        at_work = [seat for seat in free if seat.in_hours] or free
        if strategy == "fewest_open":
            chosen = min(at_work, key=lambda s: (s.open_now, s.given, s.user_id))
        else:
            chosen = self.turns.next(at_work)
        return Route(chosen.user_id, chosen.team_id, f"{text}: {self._load(chosen)}")

    def _to_pool(self, ask: Ask, team_id: int | None, text: str) -> Route | None:
        team = int(team_id) if team_id is not None else min(self.teams, default=None)
        if team is None or team not in self.teams:
            return None
        there = sum(1 for s in self.reps if s.present and s.team_id == team)
        full = ask.counted and self.pool_taken.get(team, 0) >= self.per_day * there
        words = f"{text} → pool of {self.teams[team]}"
        return Route(None, team, f"{words}{', full today' if full else ''}", pool=not full, wait=full)

    def _nobody(self, ask: Ask) -> Route:
        team = min(self.teams, default=None)
        if ask.counted:
            return Route(None, team, "nobody is there today", wait=True, alarm=True)
        return Route(None, team, "nobody was there: the team's pool", pool=True, alarm=True)

    def _load(self, seat: Seat) -> str:
        return f"{seat.name}, {seat.open_now + 1} of {seat.capacity} open"

    def save_turns(self) -> None:
        """Keep the running weights; one statement."""
        touched = [self.seats[user] for user in sorted(self.turns.touched) if self.seats[user].team_id]
        if not touched:
            return
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO handoff_roundrobin (team_id, user_id, current)
                SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::int[])
                ON CONFLICT (team_id, user_id) DO UPDATE SET current = excluded.current
                """,
                [
                    [seat.team_id for seat in touched],
                    [seat.user_id for seat in touched],
                    [self.turns.current[seat.user_id] for seat in touched],
                ],
            )

    def counts(self) -> dict[tuple[int, Any], int]:
        """What was handed out, per person and day."""
        return {(s.user_id, s.day): s.taken for s in self.seats.values() if s.taken}


def route(asks: Sequence[Ask], at: datetime, terms: Document) -> dict[int, Route]:
    """Where each of these leads would go now, in their order; changes nothing (a dry run)."""
    router = Router(asks, at, terms)
    return {ask.lead_id: router.route(ask) for ask in asks}


def ensure_rules() -> int:
    """Write the default sentences, unless there are any. Returns how many were written."""
    if RouteRule.objects.exists():
        return 0
    return len(RouteRule.objects.bulk_create(shipped_rules()))


def rules_in_use() -> list[RouteRule]:
    """The sentences that are on, in their order; as they ship where nobody wrote any."""
    rules = list(RouteRule.objects.all())
    return [rule for rule in rules if rule.active] if rules else shipped_rules()


def shipped_rules() -> list[RouteRule]:
    """The sentences as they ship, unsaved."""
    return [
        RouteRule(position=n, text=text, condition=condition, target=target)
        for n, (text, condition, target) in enumerate(DEFAULT_RULES, start=1)
    ]


def _company_holders(asks: Sequence[Ask]) -> dict[int, int]:
    """Companies that a rep knows: who has an open lead of it, else who won its last deal."""
    companies = {ask.company_id for ask in asks if ask.company_id is not None}
    if not companies:
        return {}
    rows = (
        Handoff.objects.filter(
            lead__company__in=companies,
            state__in=(*OPEN, State.WON),
            owner__isnull=False,
            owner__is_active=True,
            owner__role=Role.REP,
        )
        .order_by("pk")
        .values_list("lead__company_id", "owner_id", "state")
    )
    known = [(company, owner, state == State.WON) for company, owner, state in rows if company and owner]
    won = {company: owner for company, owner, is_won in known if is_won}
    return won | {company: owner for company, owner, is_won in known if not is_won}


def _pool_taken(at: datetime, hours: Mapping[int | None, WorkCalendar]) -> dict[int, int]:
    """New leads that each pool got today (of the counted kinds)."""
    calendar = next(iter(hours.values()), None) or calendars.for_team(None)
    midnight = at.astimezone(calendar.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = Transition.objects.filter(
        action="open",
        at__gte=midnight,
        owner_after=None,
        handoff__kind__in=(Handoff.Kind.BAR, Handoff.Kind.EXISTING_CUSTOMER),
    ).values_list("handoff__team_id", flat=True)
    found: dict[int, int] = {}
    for team in rows:
        found[team] = found.get(team, 0) + 1
    return found


def _one_team(seats: Sequence[Seat]) -> int | None:
    teams = {seat.team_id for seat in seats}
    return teams.pop() if len(teams) == 1 else None
