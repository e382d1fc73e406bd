"""Which leads have an end that sales or time has decided, and what was known of each at that time.

Goal "accepted": each handoff to which sales said yes or no, as the lead was known when it was offered.
Goal "customer": each lead once, as it was known when it was first offered; a lead that was never offered
as it was known just before its first dated outcome. Nothing that was recorded later is looked at: what the
reps heard on the phone, or what the CRM got to know with the contract, is not there yet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.db import connection
from psycopg2.sql import SQL, Composable, Identifier

from scoring import rows
from scoring.document import Criterion
from scoring.program import SCORE_COLUMNS, Program
from scoring.rows import Source, Statement, build

Goal = Literal["accepted", "customer"]
GOALS: tuple[Goal, ...] = ("accepted", "customer")
# Why a lead with some news has no case.
LEFT_OUT = {
    "open": "not decided yet",
    "undated": "without a date: nobody knows what was known before",
    "customer": "customers already when they were offered",
    "unknown": "decided before we knew the lead",
}

# Answers and outcomes that still stand, up to the instant, of the leads of a range.
_STANDING = """
    a AS (SELECT * FROM leads_answer WHERE voided_at IS NULL AND at <= %(at)s
          AND lead_id BETWEEN %(low)s AND %(high)s),
    o AS (SELECT * FROM leads_outcome WHERE voided_at IS NULL AND replaced_by_id IS NULL AND at <= %(at)s
          AND kind IN ('opportunity', 'won', 'lost') AND lead_id BETWEEN %(low)s AND %(high)s),
    offered AS (SELECT handoff_id, lead_id, min(at) AS at FROM a WHERE kind = 'offered'
          GROUP BY handoff_id, lead_id)"""

# The first word of sales on each handoff; a return without a word before it had been taken.
_ACCEPTED = f"""
    WITH {_STANDING},
    said AS (SELECT DISTINCT ON (handoff_id) handoff_id, kind <> 'rejected' AS good FROM a
          WHERE kind <> 'offered' ORDER BY handoff_id, at, id),
    found AS (SELECT f.lead_id, f.handoff_id, f.at, COALESCE(s.good, FALSE) AS good,
          CASE WHEN s.handoff_id IS NULL THEN 'open' ELSE '' END AS why
          FROM offered f LEFT JOIN said s USING (handoff_id))"""  # noqa: S608 - the pieces are ours

# One row per lead. The last offer has come to an end when sales gave it back or a dated loss followed.
_CUSTOMER = f"""
    WITH {_STANDING},
    offers AS (SELECT lead_id, min(at) AS first_at, max(at) AS last_at,
          (array_agg(handoff_id ORDER BY at, handoff_id))[1] AS handoff_id FROM offered GROUP BY lead_id),
    back AS (SELECT lead_id, max(at) AS at FROM a WHERE kind IN ('rejected', 'returned') GROUP BY lead_id),
    ends AS (SELECT lead_id,
          min(at) FILTER (WHERE kind = 'won' AND NOT undated) AS won_at,
          max(at) FILTER (WHERE kind = 'lost' AND NOT undated) AS lost_at,
          min(at) FILTER (WHERE NOT undated) AS dated_at,
          bool_or(undated AND kind <> 'opportunity') AS undated FROM o GROUP BY lead_id),
    found AS (SELECT COALESCE(f.lead_id, e.lead_id) AS lead_id, f.handoff_id,
          COALESCE(f.first_at, e.dated_at - interval '1 microsecond') AS at,
          e.won_at IS NOT NULL AS good,
          CASE WHEN e.won_at < f.first_at THEN 'customer'
               WHEN e.won_at IS NOT NULL THEN ''
               WHEN e.undated THEN 'undated'
               WHEN f.lead_id IS NULL AND e.lost_at IS NOT NULL THEN ''
               WHEN GREATEST(b.at, e.lost_at) >= f.last_at THEN ''
               ELSE 'open' END AS why
          FROM offers f FULL JOIN ends e USING (lead_id) LEFT JOIN back b ON b.lead_id = f.lead_id)"""  # noqa: S608 - the pieces are ours
_FROM: dict[str, str] = {"accepted": _ACCEPTED, "customer": _CUSTOMER}
_WHY = "CASE WHEN w.why <> '' THEN w.why WHEN l.created_at > w.at THEN 'unknown' ELSE '' END"
_LIVING = "JOIN leads_lead l ON l.id = w.lead_id AND l.merged_into_id IS NULL AND l.erased_at IS NULL"
_EVERYBODY = (0, 2**62)


@dataclass(frozen=True)
class Decided:
    """A lead with a decided end. It is looked at as known at `at`."""

    lead: int
    handoff: int | None
    at: datetime
    good: bool
    source: str


def decided(goal: str, at: datetime, low: int = 0, high: int = 2**62) -> list[Decided]:
    """The cases of leads with low ≤ id ≤ high, by what stood at `at`. One query."""
    columns = "w.lead_id, w.handoff_id, w.at, w.good, l.first_source"
    text = f"{_of_cases(goal, columns)} ORDER BY w.lead_id, w.at, w.handoff_id"
    return [Decided(*row) for row in _fetch(text, at, low, high)]


def left_out(goal: str, at: datetime) -> dict[str, int]:
    """How many have news but no case, by the keys of LEFT_OUT. One query."""
    text = _query(goal, f"{_WHY}, count(*)", f"{_WHY} <> '' GROUP BY 1 ORDER BY 2 DESC")
    return dict(_fetch(text, at, *_EVERYBODY))


def counts(goal: str, at: datetime) -> tuple[int, int]:
    """How many cases there are, and how many of them came to a good end. One query."""
    text = _of_cases(goal, "count(*), count(*) FILTER (WHERE w.good)")
    all_, good = _fetch(text, at, *_EVERYBODY)[0]
    return all_, good


def _of_cases(goal: str, columns: str) -> str:
    # Most are not decided yet: their leads are not looked up.
    ended = "(SELECT * FROM found WHERE why = '' OFFSET 0) w"
    return f"{_FROM[goal]} SELECT {columns} FROM {ended} {_LIVING} WHERE l.created_at <= w.at"  # noqa: S608 - ours


def _query(goal: str, columns: str, where: str) -> str:
    return f"{_FROM[goal]} SELECT {columns} FROM found w {_LIVING} WHERE {where}"  # noqa: S608 - ours


def ranges(at: datetime, size: int) -> list[tuple[int, int]]:
    """Ranges of lead ids with about `size` leads that have news each. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(lead_id), max(lead_id) FROM (SELECT lead_id,"
            " (row_number() OVER (ORDER BY lead_id) - 1) / %s AS part FROM ("
            "SELECT lead_id FROM leads_answer WHERE at <= %s UNION"
            " SELECT lead_id FROM leads_outcome WHERE at <= %s) x) y GROUP BY part ORDER BY 1",
            [size, at, at],
        )
        return [(low, high) for low, high in cursor.fetchall()]


def _fetch(text: str, at: datetime, low: int, high: int) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text, {"at": at, "low": low, "high": high})
        return list(cursor.fetchall())


@dataclass(frozen=True)
class Scored:
    """What a version says of one case: total, grade, whether it is left out or let through to sales."""

    total: int
    grade: str
    excluded: bool
    sales: bool


def scored(program: Program, found: Sequence[Decided]) -> dict[int, Scored]:
    """By the place of the case: its score as it was known then. One statement."""
    if not found:
        return {}
    answers = rows.run(program.score("subjects", present=False), _subjects(found))
    told = (dict(zip(SCORE_COLUMNS, answer, strict=True)) for answer in answers)
    return {
        row["key"]: Scored(
            row["total"], row["grade"], row["excluded"] > 0, bool(row["sales"] or row["track"] > 0)
        )
        for row in told
    }


def held(
    program: Program, criteria: Sequence[Criterion], found: Sequence[Decided], *, now: datetime | None = None
) -> dict[int, list[tuple[bool, float]]]:
    """By the place of the case: for each criterion whether it matched, and the points that it gave.

    As it was known then; with `now` in hindsight instead: facts as they stand, and every activity that had
    happened by then, even one recorded long after. One statement.
    """
    if not found or not criteria:
        return {}
    statement = _held(program, criteria, hindsight=now is not None)
    answers = rows.run(statement, _subjects(found, now))
    return {row[0]: [(hit, points / 100) for hit, points in _pairs(row[1:])] for row in answers}


def _held(program: Program, criteria: Sequence[Criterion], *, hindsight: bool) -> Statement:
    compiler = program.compiler(present=hindsight)
    selects: list[Composable] = []
    for i, criterion in enumerate(criteria):
        selects.append(SQL("{} AS {}").format(compiler.holds(criterion), Identifier(f"h{i}")))
        selects.append(SQL("{} AS {}").format(compiler.points(criterion), Identifier(f"p{i}")))
    final: list[Composable] = [SQL("b.key")]
    for i in range(len(criteria)):
        final += [SQL(f"b.h{i}"), SQL(f"b.p{i}")]
    source: Source = "subjects"
    return build(compiler.columns, [("held", selects)], final, source=source, zone=program.document.zone)


def _pairs(values: Sequence[Any]) -> Iterator[tuple[bool, int]]:
    for i in range(0, len(values), 2):
        yield bool(values[i]), int(values[i + 1])


def _subjects(found: Sequence[Decided], known_at: datetime | None = None) -> list[list[Any]]:
    return [
        list(range(len(found))),
        [d.lead for d in found],
        [d.at for d in found],
        [known_at or d.at for d in found],
    ]
