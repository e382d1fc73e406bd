"""What a draft would do, before anybody signs: how many leads a criterion matches, and who would move.

Nothing is written. Up to EXACT leads all of them are looked at; of more, a sample, and the page says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, Func, IntegerField
from psycopg2.sql import SQL, Composable, Identifier, Literal

from leadflow.leads.models import Lead, Stage
from scoring import current as applied
from scoring import rows
from scoring.engine import WITH_SALES, Row
from scoring.models import Agreement
from scoring.program import Program
from scoring.rows import Source, build

EXACT = 20_000
SAMPLE = 2_000
NAMES = 5
STEP = 5
_LIVING = SQL("w.merged_into_id IS NULL AND w.erased_at IS NULL")


@dataclass(frozen=True)
class Matched:
    """How many of the leads looked at a criterion matches, and how many of the customers among them."""

    leads: int
    customers: int
    all_leads: int
    all_customers: int

    @property
    def times(self) -> float | None:
        """How many times as often among customers as among all; None where there is too little to say."""
        if not self.leads or self.all_customers < 10 or not self.all_leads:
            return None
        return (self.customers / self.all_customers) / (self.leads / self.all_leads)

    @property
    def words(self) -> str:
        """The comparison as one would say it."""
        times = self.times
        if times is None:
            return ""
        if self.customers == 0:
            return f"0 of {self.all_customers:,} customers"
        if times >= 1.3:
            return (
                f"{times:.0f} × more often among customers"
                if times >= 2
                else "a little more often among customers"
            )
        if times <= 0.77:
            return (
                f"{1 / times:.0f} × less often among customers"
                if times <= 0.5
                else "a little less often among customers"
            )
        return "as often among customers as elsewhere"


@dataclass(frozen=True)
class Look:
    """Which leads were looked at."""

    base: int
    looked: int

    @property
    def exact(self) -> bool:
        return self.base == self.looked


def look() -> tuple[Look, list[int]]:
    """All living leads, or a sample of them. One or two queries."""
    living = Lead.objects.filter(merged_into=None, erased_at=None)
    base = living.count()
    if base <= EXACT:
        return Look(base, base), []
    # By a hash of the id: the same leads at each look, so that two versions are compared on the same ones.
    spread = Func(F("pk"), function="hashint8", output_field=IntegerField())
    ids = living.order_by(spread, "pk").values_list("pk", flat=True)
    found = list(ids[:SAMPLE])
    return Look(base, len(found)), found


def matches(agreement: Agreement, at: datetime) -> tuple[Look, dict[str, Matched]]:
    """Per criterion that is on: how many leads it matches now. One statement whatever their number."""
    seen, ids = look()
    program = applied.of(agreement).program
    criteria = program.document.active_criteria
    if not criteria or not seen.base:
        return seen, {}
    compiler = program.compiler(present=True)
    holds: list[Composable] = [
        SQL("{} AS {}").format(compiler.holds(c), Identifier(f"h{i}")) for i, c in enumerate(criteria)
    ]
    customer = SQL("w.stage = {}").format(Literal(str(Stage.CUSTOMER)))
    final: list[Composable] = [SQL("count(*)"), SQL("count(*) FILTER (WHERE {})").format(customer)]
    for i in range(len(criteria)):
        final.append(SQL(f"count(*) FILTER (WHERE b.h{i})"))
        final.append(SQL(f"count(*) FILTER (WHERE b.h{i} AND {{}})").format(customer))
    source: Source = "subjects" if ids else "whole"
    statement = build(
        compiler.columns,
        [("held", holds)],
        final,
        source=source,
        zone=program.document.zone,
        joins=SQL("JOIN leads_lead w ON w.id = b.lead AND {}").format(_LIVING),
    )
    leads, customers, *found = rows.run(statement, _args(ids, at))[0]
    return seen, {
        c.id: Matched(found[2 * i], found[2 * i + 1], leads, customers) for i, c in enumerate(criteria)
    }


@dataclass(frozen=True)
class Mover:
    """One lead whose place changes."""

    lead_id: int
    name: str
    title: str
    company: str
    was_grade: str
    grade: str
    was_total: int
    total: int


@dataclass(frozen=True)
class Moves:
    """Those who move one way: all of them counted, the best named."""

    count: int
    names: list[Mover]

    @property
    def more(self) -> int:
        return self.count - len(self.names)


@dataclass(frozen=True)
class Comparison:
    """Two versions on the same leads at the same instant."""

    look: Look
    at: datetime
    first: bool
    enter: Moves
    leave: Moves
    become: Moves
    fall: Moves
    out: Moves
    up: int
    down: int
    same: int
    with_sales: int
    steps: list[str] = field(default_factory=list)
    was: list[int] = field(default_factory=list)
    now: list[int] = field(default_factory=list)

    def about(self, count: int) -> int:
        """A count of the leads looked at, for the whole base."""
        return (
            count
            if self.look.exact or not self.look.looked
            else round(count * self.look.base / self.look.looked)
        )


def who_moves(draft: Agreement, at: datetime, against: Agreement | None) -> Comparison:
    """Score the same leads by both versions at one instant. `against` None: nothing is in force yet."""
    seen, ids = look()
    new = _scored(applied.of(draft).program, ids, at)
    old = _scored(applied.of(against).program, ids, at) if against else {}
    enter: list[int] = []
    leave: list[int] = []
    become: list[int] = []
    fall: list[int] = []
    out: list[int] = []
    up = down = stay = 0
    for lead, row in new.items():
        was = old.get(lead)
        if row.gone:
            continue
        is_sales = row.stage in WITH_SALES or row.stage == Stage.CUSTOMER
        stay += row.stage in WITH_SALES
        ready, was_ready = row.above and row.hold is None, bool(was and was.above and was.hold is None)
        if not is_sales:
            _sort(ready, was_ready, lead, enter, leave)
            mine, before = row.mql and not row.excluded, bool(was and was.mql and not was.excluded)
            _sort(mine, before, lead, become, fall)
            if row.excluded and not (was and was.excluded):
                out.append(lead)
        change = _grade_order(was.grade) - _grade_order(row.grade) if was else 0
        up, down = up + (change > 0), down + (change < 0)
    names = _named([enter, leave, become, fall, out], new, old)
    living = [row for row in new.values() if not row.gone]
    return Comparison(
        seen,
        at,
        against is None,
        enter=names[0],
        leave=names[1],
        become=names[2],
        fall=names[3],
        out=names[4],
        up=up,
        down=down,
        same=len(living) - up - down,
        with_sales=stay,
        steps=[f"{start}" for start in range(0, 101, STEP)],
        was=_spread(old[row.lead].total for row in living if row.lead in old),
        now=_spread(row.total for row in living),
    )


def _sort(now: bool, before: bool, lead: int, enter: list[int], leave: list[int]) -> None:
    if now and not before:
        enter.append(lead)
    elif before and not now:
        leave.append(lead)


def _spread(totals: Any) -> list[int]:
    found = [0] * (100 // STEP + 1)
    for total in totals:
        found[max(0, min(100, total)) // STEP] += 1
    return found


def _grade_order(grade: str) -> int:
    """Smaller is better: the letter first, then the number."""
    return ord(grade[0]) * 100 + int(grade[1:])


def _scored(program: Program, ids: Sequence[int], at: datetime) -> dict[int, Row]:
    source: Source = "subjects" if ids else "whole"
    found = rows.run(program.score(source, present=True), _args(ids, at))
    return {row.lead: row for row in map(Row._make, found)}


def _args(ids: Sequence[int], at: datetime) -> tuple[Any, ...]:
    if ids:
        return (list(ids), list(ids), [at] * len(ids), [at] * len(ids))
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(id), 0) FROM leads_lead")
        return (0, cursor.fetchone()[0], at, at)


def _named(groups: Sequence[list[int]], new: dict[int, Row], old: dict[int, Row]) -> list[Moves]:
    best = [sorted(group, key=lambda lead: (-new[lead].total, lead))[:NAMES] for group in groups]
    leads = Lead.objects.select_related("company").in_bulk({lead for group in best for lead in group})

    def mover(key: int) -> Mover:
        lead, was, now = leads[key], old.get(key), new[key]
        company = lead.company.name if lead.company else ""
        before = (was.grade, was.total) if was else ("", 0)
        return Mover(key, str(lead), lead.title, company, before[0], now.grade, before[1], now.total)

    return [Moves(len(group), [mover(key) for key in top]) for group, top in zip(groups, best, strict=True)]
