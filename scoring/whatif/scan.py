"""One range of leads scored by both versions at one instant, in one statement, kept packed.

Both versions are compiled as they are to score, over one reading of the leads: what both look at is read
once, and a criterion that is the same in both is worked out once. Where a lead would stand is decided by the
very words with which the engine decides (`engine.deciding.placing`), so what is looked at here is what a
release does.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from psycopg2.sql import SQL, Identifier

from leadflow.leads.models import Stage
from scoring import holds, room, rows
from scoring.conditions.compile import Columns, Named
from scoring.engine.crossings import TOLD
from scoring.engine.deciding import LEAVABLE, WITH_SALES, placing
from scoring.program import SCORE_COLUMNS, TRIED_COLUMNS, Bars, Program
from scoring.rows import TYPES, Source, Statement, base, instants, render
from scoring.whatif.bars import Bar

# Stages as numbers, in the order of the house.
STAGES = tuple(str(stage) for stage in Stage)
# Counted among the open leads: not yet customer, not closed, not left out.
CLOSED = ("customer", "disqualified", "excluded")

# Where a lead stands, whatever the version.
_STOOD = ("stage", "had_level", "leave_since", "hold")
# Where no version is in force.
_NOBODY = """
    SELECT NULL::bigint AS lead, -1 AS total, '' AS grade, 0 AS excluded, FALSE AS now_ready,
        ''::text AS target, NULL::timestamptz AS now_leaving WHERE FALSE"""

# The bits of `flags`. FREE: nothing but the bar keeps it from sales (and fresh evidence is there); OVER and
# UNDER: the condition for sales by a bar that the total reaches, and by one that it does not; TRACK: a fast
# track; WAS_READY: by the version in force, and not with sales; KNOWN: it is in the queue or on its way.
OPEN, SALES, WAITING, FREE, TRACK, OVER, UNDER, WAS_READY, KNOWN, BECOMES, STOPS, OUT, BACK = (
    1 << i for i in range(13)
)

_HELD = """
    SELECT h.lead_id, h.id FROM scoring_hold h JOIN leads_lead l ON l.id = h.lead_id
    WHERE h.ended_at IS NULL AND l.merged_into_id IS NULL AND l.erased_at IS NULL AND h.lead_id """
_PACKED = ("leads", "was", "now", "was_grade", "now_grade", "was_stage", "now_stage", "flags")


def scan_range(
    run_id: int,
    n: int,
    span: tuple[int, int],
    new: Program,
    bar: Bar | None,
    old: Program | None,
    at: datetime,
) -> int:
    """Score the leads of a range of ids and keep what was found; returns how many."""
    freed = _freed("BETWEEN %s AND %s", list(span), at, new)
    args = (*span, at, at, freed, room.waiting(span), at, run_id, n)
    return int(rows.run(_statement("whole", new, bar, old), args)[0][0])


def scan_leads(
    run_id: int,
    part: int,
    leads: Sequence[int],
    new: Program,
    bar: Bar | None,
    old: Program | None,
    at: datetime,
    *,
    exact: bool,
) -> int:
    """The same for single leads into the part of this number: the first look.

    Unless `exact` it is not asked which holds would end.
    """
    ids, instants = list(leads), [at] * len(leads)
    freed = _freed("= ANY(%s)", [ids], at, new) if exact else []
    args = (ids, ids, instants, instants, freed, room.waiting(), at, run_id, part)
    return int(rows.run(_statement("subjects", new, bar, old), args)[0][0])


def _freed(which: str, args: list[Any], at: datetime, program: Program) -> list[int]:
    """The leads whose hold ends when this version first scores them, for its evidence is there."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD + which, args)
        held = dict(cursor.fetchall())
    return sorted(holds.would_end(held, at, program)) if held else []


def _statement(source: Source, new: Program, bar: Bar | None, old: Program | None) -> Statement:
    key = f"scan {source} {old.sha if old else ''} {bar!r}"
    found = new.scans.get(key)
    if found is None:
        if len(new.scans) > 8:
            new.scans.clear()
        found = new.scans[key] = _build(source, new, bar, old)
    return found


class _Reading:
    """What versions read of the leads, and what their criteria give, once for all that share it."""

    def __init__(self, name: str, zone: str) -> None:
        self.name, self.zone = name, zone
        self.columns = Columns(present=True)
        self.points = Named("c", "b")

    def side(self, program: Program, bars: Bars | None, hold: str) -> str:
        """The answers of one version by name, and where each lead would stand by it, under this `hold`."""
        columns = self.columns.beside()
        rows = SQL("SELECT * FROM {}").format(Identifier(self.name))
        also = [SQL("b.{}").format(Identifier(name)) for name in (*_STOOD[:-1], hold)]
        text = render(program.side(columns, self.points, rows, bars, also))
        names = ", ".join((*SCORE_COLUMNS[:-1], *(TRIED_COLUMNS if bars else ()), *_STOOD))
        return f"SELECT b.*, {placing(program)} FROM ({text} OFFSET 0) b ({names})"  # noqa: S608 - literals

    def text(self, source: Source) -> str:
        """The rows that the sides stand on; after them, for they say what is to be read."""
        stage, level, gone = (
            self.columns.facts.add(SQL(column))
            for column in ("l.stage", "l.level", "(l.merged_into_id IS NOT NULL OR l.erased_at IS NOT NULL)")
        )
        made = SQL(
            "SELECT b.*, {points}{stage} AS stage, {level} AS had_level, o.leave_since, h.id AS hold,"
            " CASE WHEN b.lead = ANY($5) THEN NULL ELSE h.id END AS freed FROM ({base} OFFSET 0) b {stored}"
            " WHERE NOT {gone}"
        ).format(
            points=SQL("").join([SQL("{}, ").format(given) for given in self.points.select()]),
            stage=stage,
            level=level,
            gone=gone,
            base=base(self.columns, source, self.zone),
            stored=_stored(source),
        )
        return f"{self.name} AS MATERIALIZED ({render(made)})"


def _stored(source: Source) -> SQL:
    # A range says itself again, else each chunk would read the whole tables.
    within = "" if source == "subjects" else " AND {}.lead_id BETWEEN $1 AND $2"
    return SQL(
        f"LEFT JOIN scoring_leadscore o ON o.lead_id = b.lead{within.format('o')} "
        f"LEFT JOIN scoring_hold h ON h.lead_id = b.lead AND h.ended_at IS NULL{within.format('h')}"
    )


def _build(source: Source, new: Program, bar: Bar | None, old: Program | None) -> Statement:
    agreed = new.document.thresholds.sales_when
    readings = [_Reading("r", new.document.zone)]
    if old is not None and old.document.zone != new.document.zone:
        # Days of another zone are other days: nothing is shared.
        readings.append(_Reading("r2", old.document.zone))
    mine = readings[0].side(new, (bar.over if bar else agreed, bar.under if bar else agreed), "freed")
    theirs = readings[-1].side(old, None, "hold") if old is not None else _NOBODY
    ctes = [render(instants(source)), *(reading.text(source) for reading in readings)]
    ctes += [f"n AS ({mine} OFFSET 0)", f"o AS ({theirs} OFFSET 0)"]
    text = f"""
        WITH {", ".join(ctes)}, f AS (
            SELECT n.lead, COALESCE(o.total, -1) AS was, n.total AS now,
                {_grade("o.grade")} AS was_grade, {_grade("n.grade")} AS now_grade,
                {_stage("COALESCE(o.target, n.stage)")} AS was_stage, {_stage("n.target")} AS now_stage,
                {_flags()} AS flags
            FROM (SELECT n.*, n.lead = ANY($6) AS waiting, n.stage = ANY({_array(WITH_SALES)})
                AND NOT n.lead = ANY($6) AS with_sales FROM n) n
            LEFT JOIN o ON o.lead = n.lead
        ), kept AS (
            INSERT INTO scoring_previewpart (run_id, n, {", ".join(_PACKED)})
            SELECT $8, $9, {", ".join(_pack(name) for name in _PACKED)} FROM f
            ON CONFLICT (run_id, n) DO UPDATE SET ({", ".join(_PACKED)}) =
                ROW({", ".join(f"EXCLUDED.{name}" for name in _PACKED)})
            RETURNING cardinality(leads) AS looked
        ) SELECT looked FROM kept"""  # noqa: S608
    more = ("bigint[]", "bigint[]", "timestamptz", "bigint", "integer")
    return Statement(text, (*TYPES[source], *more))


def _flags() -> str:
    free = "n.excluded = 0 AND n.fresh AND n.hold IS NULL AND NOT n.with_sales"
    reached = f"({free} AND (n.over OR n.under OR n.track > 0))"
    was = "COALESCE(o.target, n.stage)"
    stops = "(n.target <> 'mql' OR n.now_leaving IS NOT NULL) AND n.excluded = 0"
    bits = (
        (OPEN, f"n.stage <> ALL({_array(CLOSED)})"),
        (SALES, "n.with_sales"),
        (WAITING, "n.waiting"),
        (FREE, free),
        (TRACK, "n.track > 0"),
        (OVER, "n.over"),
        (UNDER, "n.under"),
        (WAS_READY, "COALESCE(o.now_ready, FALSE) AND NOT n.with_sales"),
        # Only of those that may be ready is it asked whether they were told of already.
        (
            KNOWN,
            f"""CASE WHEN n.waiting THEN TRUE WHEN {reached} THEN EXISTS (SELECT FROM scoring_crossing k
                JOIN leads_lead l ON l.id = k.lead_id WHERE k.lead_id = n.lead AND k.kind <> 'exclude'
                AND ({TOLD})) ELSE FALSE END""",
        ),
        (BECOMES, f"n.target = 'mql' AND {was} <> 'mql'"),
        (STOPS, f"{was} = 'mql' AND {stops} AND o.now_leaving IS NULL"),
        (OUT, f"n.excluded > 0 AND COALESCE(o.excluded, 0) = 0 AND n.stage = ANY({_array(LEAVABLE)})"),
        (BACK, "n.excluded = 0 AND n.stage = 'excluded' AND COALESCE(o.excluded, 1) > 0"),
    )
    return " + ".join(f"CASE WHEN {test} THEN {bit} ELSE 0 END" for bit, test in bits)


def _pack(name: str) -> str:
    one = {"leads": "lead::bigint", "flags": "flags::int"}.get(name, f"{name}::smallint")
    kind = {"leads": "bigint", "flags": "int"}.get(name, "smallint")
    return f"COALESCE(array_agg({one} ORDER BY lead), '{{}}'::{kind}[])"


def _grade(column: str) -> str:
    """A1 → 11, D4 → 44; no grade → 0."""
    return f"COALESCE((ascii(left({column}, 1)) - 64) * 10 + right({column}, 1)::int, 0)"


def _stage(column: str) -> str:
    return f"COALESCE(array_position({_array(STAGES)}, {column}::text), 0)"


def _array(values: Sequence[str]) -> str:
    """Names of stages: constants of the house."""
    return f"'{{{','.join(str(value) for value in values)}}}'::text[]"
