"""How the rules of a version fall on the leads as they are now: one statement, then counting."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from psycopg2.sql import SQL, Composable, Identifier

from scoring import rows
from scoring.document import Criterion
from scoring.editing import sampling
from scoring.program import Program
from scoring.rows import Source, build

# Leads that are looked at where there are more than `sampling.BOUND`.
SAMPLE = 2_000


@dataclass(frozen=True)
class Look:
    """How many leads there are, and how many of them were looked at."""

    base: int
    looked: int


def look() -> tuple[Look, list[int]]:
    """All living leads (no ids then), or the ids of a sample of them, always the same."""
    base = sampling.size()
    if base <= sampling.BOUND:
        return Look(base, base), []
    found = sampling.people(SAMPLE, base)
    return Look(base, len(found.ids)), found.ids


@dataclass(frozen=True)
class Base:
    """Which rules match together, over the leads that were looked at.

    `patterns`: the numbers of the rules that match (among those switched on), and how many leads have them.
    """

    look: Look
    patterns: Counter[frozenset[int]]

    def matched(self, i: int) -> int:
        """How many leads a rule matches."""
        return sum(n for held, n in self.patterns.items() if i in held)

    def both(self, i: int, j: int) -> int:
        """How many leads two rules match."""
        return sum(n for held, n in self.patterns.items() if i in held and j in held)


def base(program: Program, at: datetime) -> Base:
    """Every living lead, or of many a sample (always the same)."""
    seen, ids = look()
    criteria = program.document.active_criteria
    if not seen.base or not criteria:
        return Base(seen, Counter())
    marks = SQL(" || ").join(SQL(f"b.h{i}::int::text") for i in range(len(criteria)))
    # Leads that fall under the same rules are one row: the answer stays small on any base.
    found: Counter[frozenset[int]] = Counter()
    for pattern, count in _run(program, criteria, ids, at, [marks, SQL("count(*)")], SQL("TRUE GROUP BY 1")):
        found[frozenset(i for i, mark in enumerate(pattern) if mark == "1")] += count
    return Base(seen, found)


def leads(program: Program, criteria: Sequence[Criterion], at: datetime) -> list[int]:
    """The leads of the same look that match all of these rules, newest first."""
    seen, ids = look()
    if not seen.base or not criteria:
        return []
    every = SQL(" AND ").join(SQL(f"b.h{i}") for i in range(len(criteria)))
    return sorted((row[0] for row in _run(program, criteria, ids, at, [SQL("b.lead")], every)), reverse=True)


def _run(
    program: Program,
    criteria: Sequence[Criterion],
    ids: Sequence[int],
    at: datetime,
    final: Sequence[Composable],
    where: Composable,
) -> list[tuple[Any, ...]]:
    compiler = program.compiler(present=True)
    held: list[Composable] = [
        SQL("{} AS {}").format(compiler.holds(c), Identifier(f"h{i}")) for i, c in enumerate(criteria)
    ]
    source: Source = "subjects" if ids else "whole"
    statement = build(
        compiler.columns,
        [("held", held)],
        final,
        source=source,
        zone=program.document.zone,
        joins=SQL("JOIN leads_lead w ON w.id = b.lead AND w.merged_into_id IS NULL AND w.erased_at IS NULL"),
        where=where,
    )
    if ids:
        listed = list(ids)
        return rows.run(statement, (listed, listed, [at] * len(listed), [at] * len(listed)))
    return rows.run(statement, (0, _last(), at, at))


def _last() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(id), 0) FROM leads_lead")
        return int(cursor.fetchone()[0])
