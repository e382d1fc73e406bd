"""What a scoring decides and writes, as one statement over the answers of `Program.score`.

Levels: the answers → placed → dated → decided → the writes. The decisions are made in the database, so that a
million leads cost no round trip of rows; Python gets the few that move, become ready or turn out to be none.
Nothing but literals of the agreement is composed, values are bound.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from psycopg2.sql import Literal

from leadflow.leads.models import Stage
from scoring.program import SCORE_COLUMNS, STORED_COLUMNS, Program
from scoring.rows import Source, Statement, render

# A score that time changes is looked at again after 16 to 24 hours, spread by the lead's id.
REFRESH_FIRST, REFRESH_SPREAD = 16 * 3600, 8 * 3600
# The stages among which the engine itself moves leads.
OURS = (Stage.CONVERSION, Stage.PROSPECT, Stage.MQL)
# From here a lead may be found to be none; with sales the machine withdraws first.
LEAVABLE = (*OURS, Stage.NURTURING, Stage.DISQUALIFIED)
WITH_SALES = (Stage.SALES_QUALIFIED, Stage.OPPORTUNITY)
# Where the score alone says the stage.
BY_SCORE = (Stage.CONVERSION, Stage.PROSPECT, Stage.EXCLUDED)

_GROUPS = ("fit", "behaviour", "value", "total", "grade")
_STATE = (
    *_GROUPS,
    *("agreement_id", "draft_sha", "preview", "ready", "leave_since", "refresh_due_at"),
)
_NOW = ", ".join(f"b.{name}" for name in _GROUPS)
_OLD = ", ".join(f"b.old_{name}" for name in _GROUPS)


class Act(NamedTuple):
    """A lead that asks for more than a new score; `target` and `level` say where it belongs now."""

    lead: int
    stage: str
    target: str
    had_level: str
    level: str
    ready: bool
    excluded: bool
    track: int


def statement(program: Program, source: Source, *, preview: bool) -> Statement:
    """Score, compare with what is stored, write the differences.

    Answers how many leads were scored, written and changed, then the columns of `Act`: a row for each lead
    that asks for more; one row with nulls when none does.

    Parameters: those of the source, then the cause (of each subject, or one for the range), the id of the
    agreement and the instant. The leads are locked; holds that end by evidence have been ended before.
    """
    key = (source, preview)
    if key not in program.writes:
        program.writes[key] = _statement(program, source, preview)
    return program.writes[key]


def _statement(program: Program, source: Source, preview: bool) -> Statement:
    score = program.score(source, present=True)
    many = source == "subjects"
    acts = "FALSE" if preview else _ACTS
    names = ", ".join((*SCORE_COLUMNS, *STORED_COLUMNS))
    text = f"""
        WITH decided AS MATERIALIZED (
            SELECT b.*, {preview} AS preview, {_comparing(preview)} FROM (
            SELECT b.*, {_dating(program)} FROM (
            SELECT b.*, {_nowhere(program) if preview else placing(program)}
            FROM ({score.text}) b ({names}) WHERE NOT b.gone OFFSET 0) b OFFSET 0) b
        ), {_writes(many)}
        SELECT n.*, b.lead, b.stage, b.target, b.had_level, b.new_level, b.now_ready, b.excluded > 0, b.track
        FROM (
            SELECT count(*), count(*) FILTER (WHERE differs), count(*) FILTER (WHERE changes) FROM decided
        ) n
        LEFT JOIN decided b ON {acts}"""  # noqa: S608 - literals of the agreement, quoted by the driver
    return Statement(text, (*score.types, "text[]" if many else "text", "bigint", "timestamptz"))


# What is more than a score: a move, another level, a lead for sales, a lead that is none.
_ACTS = f"""(b.target <> b.stage OR b.new_level <> b.had_level
    OR (b.now_ready AND b.stage <> ALL('{{{",".join(WITH_SALES)}}}'::text[]))
    OR (b.excluded > 0 AND b.stage NOT IN ('excluded', 'customer')))"""


def _nowhere(program: Program) -> str:
    """A preview moves nobody and makes nobody ready."""
    return f"""FALSE AS now_ready, b.stage AS target, b.had_level AS new_level,
        NULL::timestamptz AS now_leaving, {_literal(program.sha)}::text AS draft_now"""


def placing(program: Program) -> str:
    """Ready or not, the stage and level where the lead belongs, since when it has been below its bar."""
    falling = "b.excluded = 0 AND b.stage = 'mql' AND b.leave AND NOT b.mql"
    in_time = f"$7 < COALESCE(b.leave_since, $7) + {_fall_back(program)}"
    target = f"""CASE
        WHEN b.excluded > 0 THEN CASE WHEN b.stage = ANY({_array(LEAVABLE)}) THEN 'excluded' ELSE b.stage END
        WHEN b.stage = ANY({_array(BY_SCORE)}) THEN CASE WHEN b.mql THEN 'mql' ELSE 'prospect' END
        WHEN {falling} AND NOT {in_time} THEN 'prospect'
        ELSE b.stage END"""
    levels = _array(row.level for row in program.document.levels)
    return f"""
        (b.excluded = 0 AND b.fresh AND (b.sales OR b.track > 0) AND b.hold IS NULL) AS now_ready,
        {target} AS target,
        CASE WHEN {target} = 'prospect' THEN COALESCE(({levels})[b.level], '') ELSE '' END AS new_level,
        CASE WHEN {falling} AND {in_time} THEN COALESCE(b.leave_since, $7) END AS now_leaving,
        '' AS draft_now"""


def _dating(program: Program) -> str:
    """When to look again: within 24 hours after time alone may have changed something; null: never."""
    # A multiplicative hash spreads neighbours over the hours: id · 2654435761 mod 2³², in halves that fit.
    spread = f"""make_interval(secs => ((((b.lead & 65535) * 2654435761
        + ((((b.lead >> 16) & 65535) * 2654435761) & 65535) * 65536) & 4294967295)
        % {REFRESH_SPREAD})::float8)"""
    # Evidence grows old; whether it was an act or a fact does not matter here.
    first = f"LEAST(b.next_change, CASE WHEN b.fresh THEN $7 END, b.now_leaving + {_fall_back(program)})"
    due = f"GREATEST($7 + '{REFRESH_FIRST} seconds'::interval + {spread}, {first} + {spread})"
    return f"""CASE WHEN {first} IS NOT NULL THEN
        CASE WHEN $7 < b.refresh_due_at AND b.refresh_due_at <= {due} THEN b.refresh_due_at ELSE {due} END
        END AS now_due"""


def _comparing(preview: bool) -> str:
    """Whether the row differs from what is stored, and whether one of its integers does."""
    changes = "FALSE" if preview else f"(b.old_preview IS NOT FALSE OR ({_NOW}) IS DISTINCT FROM ({_OLD}))"
    return f"""
        (({_NOW}, $6, b.draft_now, {preview}, b.now_ready, b.now_leaving, b.now_due) IS DISTINCT FROM
        ({_OLD}, b.old_agreement, b.old_draft, b.old_preview, b.old_ready, b.leave_since, b.refresh_due_at)
        ) AS differs,
        {changes} AS changes, b.old_preview IS FALSE AS was_real"""


def _writes(many: bool) -> str:
    columns = ", ".join((*_STATE, "scored_at", "known_at"))
    state = f"{_NOW}, $6, b.draft_now, b.preview, b.now_ready, b.now_leaving, b.now_due, $7, $7"
    was = ", ".join(f"CASE WHEN b.was_real THEN b.old_{name} END" for name in _GROUPS[:-1])
    told = "JOIN unnest($2, $5) t(lead, cause) ON t.lead = b.lead" if many else ""
    return f"""added AS (
            INSERT INTO scoring_leadscore (lead_id, {columns}, changed_at)
            SELECT b.lead, {state}, CASE WHEN b.changes THEN $7 END FROM decided b WHERE b.old_total IS NULL
            ORDER BY b.lead
        ), renewed AS (
            UPDATE scoring_leadscore o SET ({columns}, changed_at) =
                ROW({state}, CASE WHEN b.changes THEN $7 ELSE o.changed_at END)
            FROM decided b WHERE o.lead_id = b.lead AND b.old_total IS NOT NULL AND b.differs
        ), told AS (
            INSERT INTO scoring_scorechange (lead_id, from_fit, from_behaviour, from_value, from_total,
                from_grade, fit, behaviour, value, total, grade, cause, at, known_at, agreement_id)
            SELECT b.lead, {was}, CASE WHEN b.was_real THEN b.old_grade ELSE '' END, {_NOW},
                {"t.cause" if many else "$5"}, $7, $7, $6
            FROM decided b {told} WHERE b.changes ORDER BY b.lead
        )"""  # noqa: S608 - names of columns only


def _fall_back(program: Program) -> str:
    # Hours, because a day of 24 hours is meant whatever the session's time zone does that night.
    return f"'{program.document.thresholds.mql_leave_days * 24} hours'::interval"


def _array(values: Iterable[str]) -> str:
    return f"{_literal([str(value) for value in values])}::text[]"


def _literal(value: Any) -> str:
    return render(Literal(value))
