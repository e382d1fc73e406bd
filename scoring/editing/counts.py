"""Beside each rule of a draft: how many leads it matches now, and how many of the won and the lost ones.

All leads of a small base are looked at; of a large one a spread of them for "how many", and the newest won
and lost ones for the shares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from psycopg2.sql import SQL, Composable, Literal

from scoring import rows
from scoring.conditions.compile import Compiler
from scoring.conditions.parse import parse
from scoring.document import Criterion
from scoring.editing import sampling
from scoring.program import Level, Program
from scoring.rows import build

Json = Any

SPREAD = 1_000
ENDED = 400
_FLAGS = ("everybody", "won", "lost")
# Fewer won leads than this and a comparison says nothing.
FEW = 10
_LIVING = SQL("JOIN leads_lead w ON w.id = b.lead AND w.merged_into_id IS NULL AND w.erased_at IS NULL ")
# Lost: sales said no or the deal was lost, and the lead did not become a customer.
_LOST = """
    SELECT lead_id FROM leads_answer WHERE kind IN ('rejected', 'returned') AND voided_at IS NULL
    UNION SELECT lead_id FROM leads_outcome
    WHERE kind = 'lost' AND voided_at IS NULL AND replaced_by_id IS NULL
"""
_WHOLE = SQL(
    "LEFT JOIN (" + _LOST + ") lost ON lost.lead_id = w.id CROSS JOIN LATERAL (SELECT TRUE AS everybody,"
    " w.stage = 'customer' AS won, lost.lead_id IS NOT NULL AND w.stage <> 'customer' AS lost) f"
)
_SUBJECTS = SQL("CROSS JOIN LATERAL (SELECT b.key = 0 AS everybody, b.key = 1 AS won, b.key = 2 AS lost) f")
_NEWEST_WON = "SELECT id FROM leads_lead WHERE stage = 'customer' ORDER BY stage_since DESC LIMIT %s"
_NEWEST_LOST = """
    SELECT DISTINCT l.id FROM (
        (SELECT lead_id FROM leads_answer WHERE kind = 'rejected' ORDER BY at DESC LIMIT %s)
        UNION ALL (SELECT lead_id FROM leads_answer WHERE kind = 'returned' ORDER BY at DESC LIMIT %s)
        UNION ALL (SELECT lead_id FROM leads_outcome WHERE kind = 'lost' ORDER BY at DESC LIMIT %s)
    ) x JOIN leads_lead l ON l.id = x.lead_id AND l.stage <> 'customer'
"""


@dataclass(frozen=True)
class Seen:
    """Who was looked at."""

    base: int
    looked: int
    won: int
    lost: int
    exact: bool


@dataclass(frozen=True)
class Counted:
    """What one rule matches among those looked at."""

    seen: Seen
    leads: int
    won: int
    lost: int

    @property
    def about(self) -> int:
        """How many leads of the whole base."""
        if self.seen.exact or not self.seen.looked:
            return self.leads
        return sampling.rounded(self.leads * self.seen.base / self.seen.looked)

    @property
    def enough(self) -> bool:
        """Whether there are enough won leads to say anything."""
        return self.seen.won >= FEW

    @property
    def won_percent(self) -> int:
        return round(100 * self.won / self.seen.won) if self.seen.won else 0

    @property
    def lost_percent(self) -> int:
        return round(100 * self.lost / self.seen.lost) if self.seen.lost else 0

    @property
    def times(self) -> float | None:
        """How many times as often among the won as on average; None where there is too little to say."""
        if not self.leads or not self.enough or not self.seen.looked:
            return None
        return (self.won / self.seen.won) / (self.leads / self.seen.looked)

    @property
    def words(self) -> str:
        """The comparison as one would say it."""
        times = self.times
        if times is None:
            return ""
        if self.won == 0:
            return "no customer among them"
        if times >= 1.3:
            return f"{times:.0f} × more often than average" if times >= 2 else "a little more than average"
        if times <= 0.77:
            return (
                f"{1 / times:.0f} × less often than average" if times <= 0.5 else "a little less than average"
            )
        return "as often as on average"

    @property
    def tone(self) -> str:
        """A rule that does not tell winners from the rest is worth a second look."""
        return "soon" if self.words.startswith(("as often", "no customer")) else ""


def of_criteria(program: Program, criteria: Sequence[Criterion], at: datetime) -> dict[str, Counted]:
    """Per criterion what it matches now. One statement whatever their number."""
    compiler = program.compiler(present=True)
    found = _count(program, compiler, [compiler.holds(c) for c in criteria], at) if criteria else []
    return {c.id: counted for c, counted in zip(criteria, found, strict=True)}


@dataclass(frozen=True)
class Group:
    """A group of criteria on the leads as they are now.

    `criteria`: what each matches; `at_limit`: how many leads get all that a criterion gives at most;
    `at_cap`, `at_floor`: for how many the group is at its limits. All of those looked at (see `about`).
    """

    seen: Seen | None
    criteria: dict[str, Counted]
    at_limit: dict[str, int]
    at_cap: int
    at_floor: int

    def about(self, count: int) -> int:
        """A count of those looked at, for the whole base."""
        return Counted(self.seen, count, 0, 0).about if self.seen else count


def of_group(program: Program, group: str, at: datetime) -> Group:
    """Everything that the page of a group says in figures. One statement whatever the number of criteria."""
    found = _group(program, group)
    if not found.criteria:
        return Group(None, {}, {}, 0, 0)
    marks = [*found.at_limit.values(), found.at_cap, found.at_floor]
    holds = [found.compiler.holds(c) for c in found.criteria]
    counted = _count(program, found.compiler, holds, at, levels=found.levels, marks=marks)
    plain = [one.leads for one in counted[len(holds) :]]
    return Group(
        counted[0].seen,
        {c.id: one for c, one in zip(found.criteria, counted, strict=False)},
        dict(zip(found.at_limit, plain, strict=False)),
        plain[-2],
        plain[-1],
    )


def leads_of_group(program: Program, group: str, wanted: str, at: datetime) -> tuple[Seen, list[int]] | None:
    """The leads behind a figure of a group, best score first: `matches:ID`, `limit:ID`, `cap` or `floor`.

    None for any other name. Of a large base those of the spread that was looked at.
    """
    found = _group(program, group)
    kind, _, key = wanted.partition(":")
    one = next((c for c in found.criteria if c.id == key), None)
    mark: Composable | None = {"cap": found.at_cap, "floor": found.at_floor}.get(wanted)
    if kind == "limit":
        mark = found.at_limit.get(key)
    elif kind == "matches" and one is not None:
        mark = SQL("b.hit")
    if mark is None:
        return None
    levels = list(found.levels)
    if one is not None and kind == "matches":
        levels.insert(0, ("held", [SQL("{} AS hit").format(found.compiler.holds(one))]))
    base = sampling.size()
    whole = base <= sampling.BOUND
    statement = build(
        found.compiler.columns,
        levels,
        [SQL("b.lead")],
        source="whole" if whole else "subjects",
        zone=program.document.zone,
        joins=_LIVING + SQL("LEFT JOIN scoring_leadscore o ON o.lead_id = b.lead"),
        where=SQL("{} ORDER BY o.total DESC NULLS LAST, b.lead").format(mark),
    )
    ids = [] if whole else sampling.people(SPREAD, base).ids
    args = _range(at) if whole else (ids, ids, [at] * len(ids), [at] * len(ids))
    seen = Seen(base, base if whole else len(ids), 0, 0, whole)
    return seen, [row[0] for row in rows.run(statement, args)]


@dataclass(frozen=True)
class _Group:
    compiler: Compiler
    criteria: list[Criterion]
    levels: list[Level]
    at_limit: dict[str, Composable]
    at_cap: Composable
    at_floor: Composable


def _group(program: Program, group: str) -> _Group:
    compiler = program.compiler(present=True)
    criteria = [c for c in program.document.active_criteria if c.group == group]
    points = [SQL(f"{{}} AS of_group{i}").format(compiler.points(c)) for i, c in enumerate(criteria)]
    total = SQL(" + ").join([SQL(f"b.of_group{i}") for i in range(len(criteria))] or [SQL("0")])
    limits = program.document.groups[group]
    return _Group(
        compiler,
        criteria,
        [("points", points), ("sum", [SQL("({})::int AS group_sum").format(total)])],
        {
            c.id: SQL(f"abs(b.of_group{i}) >= {{}}").format(Literal(c.max_points * 100))
            for i, c in enumerate(criteria)
            if c.max_points
        },
        # A group is rounded to whole points: half a point below the cap is the cap.
        SQL("b.group_sum >= {}").format(Literal(limits.cap * 100 - 50)),
        SQL("b.group_sum <= {}").format(Literal(limits.floor * 100 + 50)),
    )


def of_condition(program: Program, condition: Json, at: datetime) -> Counted:
    """What one condition over facts and behaviour matches now."""
    compiler = program.compiler(present=True)
    return _count(program, compiler, [compiler.node(parse(condition))], at)[0]


def _count(
    program: Program,
    compiler: Compiler,
    holds: Sequence[Composable],
    at: datetime,
    *,
    levels: Sequence[Level] = (),
    marks: Sequence[Composable] = (),
) -> list[Counted]:
    """What each of `holds` matches, then each of `marks`, which look at what `levels` add."""
    base = sampling.size()
    whole = base <= sampling.BOUND
    final: list[Composable] = []
    for test in (SQL("TRUE"), *(SQL(f"b.m{i}") for i in range(len(holds))), *marks):
        final += [SQL(f"count(*) FILTER (WHERE ({{}}) AND f.{flag})").format(test) for flag in _FLAGS]
    statement = build(
        compiler.columns,
        [("held", [SQL(f"{{}} AS m{i}").format(hold) for i, hold in enumerate(holds)]), *levels],
        final,
        source="whole" if whole else "subjects",
        zone=program.document.zone,
        joins=_LIVING + (_WHOLE if whole else _SUBJECTS),
    )
    args = _range(at) if whole else _subjects(base, at)
    looked, won, lost, *rest = rows.run(statement, args)[0]
    seen = Seen(base, looked, won, lost, whole)
    return [Counted(seen, *rest[3 * i : 3 * i + 3]) for i in range(len(holds) + len(marks))]


def _range(at: datetime) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(id), 0) FROM leads_lead")
        return (0, cursor.fetchone()[0], at, at)


def _subjects(base: int, at: datetime) -> tuple[Any, ...]:
    """The spread, then the newest won and lost ones; the key tells which of the three a row is for."""
    groups = [sampling.people(SPREAD, base).ids]
    with connection.cursor() as cursor:
        for statement, slots in ((_NEWEST_WON, 1), (_NEWEST_LOST, 3)):
            cursor.execute(statement, [ENDED] * slots)
            groups.append([row[0] for row in cursor.fetchall()])
    keys = [key for key, ids in enumerate(groups) for _ in ids]
    leads = [lead for ids in groups for lead in ids]
    return (keys, leads, [at] * len(leads), [at] * len(leads))
