"""How the rules of a version fall on the leads as they are now: one statement, then counting."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from psycopg2.sql import SQL, Composable, Identifier

from scoring import rows
from scoring.preview import Look, look
from scoring.program import Program
from scoring.rows import Source, build


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
    compiler = program.compiler(present=True)
    held: list[Composable] = [
        SQL("{} AS {}").format(compiler.holds(c), Identifier(f"h{i}")) for i, c in enumerate(criteria)
    ]
    marks = SQL(" || ").join(SQL(f"b.h{i}::int::text") for i in range(len(criteria)))
    source: Source = "subjects" if ids else "whole"
    statement = build(
        compiler.columns,
        [("held", held)],
        [marks, SQL("count(*)")],
        source=source,
        zone=program.document.zone,
        joins=SQL("JOIN leads_lead w ON w.id = b.lead AND w.merged_into_id IS NULL AND w.erased_at IS NULL"),
        # Leads that fall under the same rules are one row: the answer stays small on any base.
        where=SQL("TRUE GROUP BY 1"),
    )
    if ids:
        args: tuple[object, ...] = (ids, ids, [at] * len(ids), [at] * len(ids))
    else:
        args = (0, _last(), at, at)
    found: Counter[frozenset[int]] = Counter()
    for pattern, count in rows.run(statement, args):
        found[frozenset(i for i, mark in enumerate(pattern) if mark == "1")] += count
    return Base(seen, found)


def _last() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(id), 0) FROM leads_lead")
        return int(cursor.fetchone()[0])
