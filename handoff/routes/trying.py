"""A dry run: where real leads would have gone by these sentences, beside where they went. Writes nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import OuterRef, Subquery

from handoff.acting import COUNTED
from handoff.models import Handoff, RoomWait, RouteRule, Transition
from handoff.routing import Ask, Route, Router
from leadflow.accounts.models import User
from leadflow.leads.models import Lead, Stage
from scoring.document import Document
from scoring.models import Crossing

SOURCES = {
    "came": "the last that came to sales",
    "waiting": "those who wait for room",
    "next": "the MQLs with the highest score",
}
SIZE = 200
BY_ITSELF = (*COUNTED, Handoff.Kind.FAST_TRACK)


@dataclass(frozen=True)
class Case:
    """A real lead, as it stood when it came (or stands now), and where it went: to whom, and in words."""

    lead: Lead
    ask: Ask
    at: datetime
    grade: str
    went: str
    went_to: int | None = None


@dataclass(frozen=True)
class Placed:
    """Where a lead would go: by which sentence (0: none fits), to which place (a person, a team whose reps
    take turns, a pool) and to whom; `moves`: it went to nobody of that place."""

    case: Case
    rule: int
    place: str
    to: str
    why: str
    moves: bool


@dataclass
class Row:
    """The leads that one sentence sends to one place."""

    rule: int
    text: str
    place: str
    leads: list[Placed] = field(default_factory=list)

    @property
    def people(self) -> list[tuple[str, int]]:
        """Who of the place gets how many, most first; nothing where the place is a person."""
        found = Counter(one.to for one in self.leads if one.to != self.place)
        return sorted(found.items(), key=lambda item: (-item[1], item[0]))

    @property
    def moving(self) -> int:
        """How many of them went elsewhere."""
        return sum(one.moves for one in self.leads)


@dataclass(frozen=True)
class Trial:
    """All of it, in the order in which the leads came."""

    placed: list[Placed]
    rules: list[RouteRule]
    source: str

    @property
    def moving(self) -> int:
        """How many went elsewhere."""
        return sum(one.moves for one in self.placed)

    @property
    def rows(self) -> list[Row]:
        """By sentence, then the place with most leads first."""
        texts = {n: rule.text for n, rule in enumerate(self.rules, start=1)}
        found: dict[tuple[int, str], Row] = {}
        for one in self.placed:
            key = (one.rule, one.place)
            row = found.setdefault(key, Row(one.rule, texts.get(one.rule, "No sentence fits"), one.place))
            row.leads.append(one)
        return sorted(found.values(), key=lambda row: (row.rule or 10_000, -len(row.leads), row.place))

    def by_rule(self) -> dict[int | None, int]:
        """How many leads each sentence takes, by its id."""
        found: dict[int | None, int] = {}
        for one in self.placed:
            if one.rule:
                pk = self.rules[one.rule - 1].pk
                found[pk] = found.get(pk, 0) + 1
        return found


def run(
    rules: Sequence[RouteRule], at: datetime, terms: Document, *, source: str = "came", size: int = SIZE
) -> Trial:
    """Send the leads of a source by `rules`, each as it stood when it came, as if everybody was there with
    room. The number of statements does not grow with the leads."""
    active = [rule for rule in rules if rule.active]
    cases = CASES[source](at, size)
    router = Router(
        [case.ask for case in cases],
        at,
        terms,
        rules=active,
        each={case.lead.pk: case.at for case in cases},
        everybody=True,
    )
    names = dict(User.objects.values_list("pk", "name"))
    placed = []
    for case in cases:
        route = router.route(case.ask)
        place, anybody = _place(route, active, router, names)
        to = names.get(route.owner_id or 0, place)
        there = case.went_to in anybody if anybody else place == case.went
        placed.append(Placed(case, route.rule, place, to, route.text, source == "came" and not there))
    return Trial(placed, active, source)


def _place(
    route: Route, rules: Sequence[RouteRule], router: Router, names: dict[int, str]
) -> tuple[str, set[int]]:
    """The place in words, and who of it might as well have got the lead: whose turn it is is chance."""
    target = rules[route.rule - 1].target if route.rule else {}
    if route.owner_id is None:
        return (
            f"pool of {router.teams[route.team_id]}" if route.team_id in router.teams else "nobody"
        ), set()
    if target.get("to") != "team":
        return names.get(route.owner_id, "somebody who left"), {route.owner_id}
    team = target.get("team")
    members = {seat.user_id for seat in router.reps if team is None or seat.team_id == team}
    return ("all teams" if team is None else f"team {router.teams[int(team)]}"), members


def _came(at: datetime, size: int) -> list[Case]:
    opening = Transition.objects.filter(handoff=OuterRef("pk"), action="open").order_by("pk")
    rows = (
        Handoff.objects.filter(kind__in=BY_ITSELF, first_offered_at__lte=at)
        .select_related("lead__company", "team")
        .defer("frozen", "sla_ticks")
        .annotate(first_owner=Subquery(opening.values("owner_after")[:1]))
        .order_by("-first_offered_at", "-pk")[:size]
    )
    found = list(rows)[::-1]
    names = dict(User.objects.values_list("pk", "name"))
    # A lead that came twice is asked about as it stood the last time.
    last = {row.lead_id: row.pk for row in found}
    return [
        Case(
            row.lead,
            _ask(row.lead, row.kind, row.total or 0, row.grade, row.fast_track_no),
            row.first_offered_at,
            row.grade,
            names.get(row.first_owner, "")
            if row.first_owner
            else f"pool of {row.team.name}"
            if row.team
            else "nobody",
            row.first_owner,
        )
        for row in found
        if last[row.lead_id] == row.pk
    ]


def _waiting(at: datetime, size: int) -> list[Case]:
    rows = (
        RoomWait.objects.filter(left_at=None)
        .select_related("lead__company", "lead__score")
        .order_by("-total", "entered_at", "id")[:size]
    )
    return [_now(row.lead, row.kind, row.total, at, "waits for room") for row in rows]


def _next(at: datetime, size: int) -> list[Case]:
    rows = (
        Lead.objects.filter(stage=Stage.MQL, merged_into=None, erased_at=None, score__isnull=False)
        .select_related("company", "score")
        .order_by("-score__total", "pk")[:size]
    )
    return [_now(row, Crossing.Kind.BAR, row.score.total, at, "with marketing") for row in rows]


def _now(lead: Lead, kind: str, total: int, at: datetime, went: str) -> Case:
    score = getattr(lead, "score", None)
    grade = score.grade if score else ""
    return Case(lead, _ask(lead, str(kind), total, grade, None), at, grade, went)


def _ask(lead: Lead, kind: str, total: int, grade: str, track: int | None) -> Ask:
    return Ask(
        lead_id=lead.pk,
        kind=str(kind),
        counted=False,
        total=total,
        grade=grade,
        fast_track_no=track,
        company_id=lead.company_id,
        company_owner_id=lead.company.owner_id if lead.company else None,
    )


CASES = {"came": _came, "waiting": _waiting, "next": _next}
