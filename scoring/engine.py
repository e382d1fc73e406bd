"""The engine: the only writer of scores, crossings and holds.

Leads whose score is out of date wait as rows of LeadChanged. A pass is one transaction of three statements:
(1) claim rows with SKIP LOCKED and delete them, (2) lock their leads FOR NO KEY UPDATE in id order, (3) only
then, in a fresh statement, compute from everything that has been recorded, and write what differs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from psycopg2.extras import Json

from leadflow import clock, nudge
from leadflow.leads import stages
from leadflow.leads.models import LeadChanged, Level, Stage
from scoring import current as applied
from scoring import holds, rows
from scoring.current import Current
from scoring.explanation import Explanation, explain, explain_many, why_now
from scoring.holds import end_hold, hold
from scoring.models import Agreement, Crossing
from scoring.program import Program

__all__ = [
    "Explanation",
    "compiled",
    "end_hold",
    "end_holds",
    "explain",
    "explain_many",
    "hold",
    "is_ready",
    "match",
    "queue_refresh",
    "score_leads",
    "score_pending",
    "score_range",
    "stage_by_score",
    "why_now",
]

# A score that time changes is looked at again after 16 to 24 hours, spread by the lead's id.
REFRESH_FIRST, REFRESH_SPREAD = 16 * 3600, 8 * 3600
# The stages among which the engine itself moves leads.
OURS = frozenset({Stage.CONVERSION, Stage.PROSPECT, Stage.MQL})
# From here a lead may be found to be none; with sales the machine withdraws first.
LEAVABLE = OURS | {Stage.NURTURING, Stage.DISQUALIFIED}
WITH_SALES = frozenset({Stage.SALES_QUALIFIED, Stage.OPPORTUNITY})
# The quiet hold of an import: ready by its score, but nobody did anything since.
QUIET = "quiet"


class Row(NamedTuple):
    """What the scoring statement answers for one lead, then what is stored of it now."""

    key: int
    lead: int
    fit: int
    behaviour: int
    value: int
    total: int
    grade: str
    excluded: int
    mql: bool
    sales: bool
    track: int
    leave: bool
    level: int
    fresh: bool
    next_change: datetime | None
    stage: str
    had_level: str
    stage_since: datetime
    gone: bool
    hold: int | None
    old_fit: int | None
    old_behaviour: int | None
    old_value: int | None
    old_total: int | None
    old_grade: str | None
    old_agreement: int | None
    old_draft: str | None
    old_preview: bool | None
    old_ready: bool | None
    leave_since: datetime | None
    refresh_due: datetime | None

    @property
    def integers(self) -> tuple[int, int, int, int, str]:
        return (self.fit, self.behaviour, self.value, self.total, self.grade)

    @property
    def above(self) -> bool:
        """Above the bar with fresh evidence, and a lead at all; holds are another matter."""
        return not self.excluded and self.fresh and (self.sales or self.track > 0)


@dataclass
class Counts:
    """What a scoring did."""

    scored: int = 0
    written: int = 0
    changed: int = 0
    ready: int = 0
    crossings: int = 0
    holds: int = 0
    moves: int = 0

    def add(self, other: "Counts") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class _Writes:
    scores: list[tuple[Any, ...]] = field(default_factory=list)
    changes: list[tuple[Any, ...]] = field(default_factory=list)
    moves: list[stages.Move] = field(default_factory=list)
    levels: list[tuple[int, Level]] = field(default_factory=list)
    ready: list[Row] = field(default_factory=list)
    excluded: list[Row] = field(default_factory=list)


def compiled(agreement: Agreement) -> Program:
    """The agreement's statements, kept by its content."""
    return applied.of(agreement).program


def score_pending(at: datetime, limit: int = 500) -> int:
    """Score the leads of up to `limit` waiting rows; returns how many rows were consumed.

    `at` is where the caller's clock stood; what was recorded until the leads were locked counts too.
    """
    with transaction.atomic():
        claimed = _claim(limit)
        if not claimed:
            return 0
        causes: dict[int, str] = {}
        loud: set[int] = set()
        for lead, cause, quiet, recorded_at in claimed:
            causes[lead] = cause
            at = max(at, recorded_at)
            if not quiet:
                loud.add(lead)
        stages.lock(causes)
        counts = _score(list(causes), max(at, clock.now()), causes, causes.keys() - loud, applied.current())
    if counts.crossings:
        nudge.wake("flow.open")
    return len(claimed)


def score_leads(
    lead_ids: Iterable[int],
    *,
    at: datetime,
    cause: str,
    agreement: Agreement | None = None,
    quiet: bool = False,
) -> Counts:
    """Score leads now, inside the caller's transaction, which holds their locks."""
    ids = sorted(set(lead_ids))
    counts = _score(
        ids,
        at,
        dict.fromkeys(ids, cause),
        set(ids) if quiet else set(),
        applied.of(agreement) if agreement else applied.current(),
    )
    if counts.crossings:
        nudge.wake("flow.open")
    return counts


def score_range(
    from_id: int,
    to_id: int,
    *,
    at: datetime,
    cause: str = "rescore",
    quiet: bool = False,
    agreement: Agreement | None = None,
) -> Counts:
    """Score all leads with from_id ≤ id ≤ to_id in one transaction. Chunks of some thousand are best.

    quiet: leads above the bar wait for new evidence instead of going to sales.
    """
    now = applied.of(agreement) if agreement else applied.current()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM leads_lead WHERE id BETWEEN %s AND %s ORDER BY id FOR NO KEY UPDATE",
                [from_id, to_id],
            )
            ids = [row[0] for row in cursor.fetchall()]
        if now is None or not ids:
            return Counts()
        at = max(at, clock.now())
        found = rows.run(now.program.score("whole", present=True), (from_id, to_id, at, at))
        counts = _apply(found, at, dict.fromkeys(ids, cause), set(ids) if quiet else set(), now)
    if counts.crossings:
        nudge.wake("flow.open")
    return counts


def queue_refresh(at: datetime, limit: int = 5_000) -> int:
    """Queue the leads whose points have faded since they were scored; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH due AS (
                SELECT lead_id FROM scoring_leadscore WHERE refresh_due_at <= %s
                ORDER BY refresh_due_at, lead_id LIMIT %s FOR UPDATE SKIP LOCKED
            ), later AS (
                -- Not due twice while it waits; the scoring sets its own date.
                UPDATE scoring_leadscore s SET refresh_due_at = %s FROM due WHERE s.lead_id = due.lead_id
            )
            INSERT INTO leads_leadchanged (lead_id, cause, quiet, recorded_at)
            SELECT lead_id, 'time', FALSE, %s FROM due
            """,
            [at, limit, at + timedelta(seconds=REFRESH_FIRST), at],
        )
        return int(cursor.rowcount)


def refresh(lead_id: int, at: datetime) -> None:
    """Queue one lead that somebody looks at, when its score may have faded for more than an hour."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO leads_leadchanged (lead_id, cause, quiet, recorded_at)"
            " SELECT lead_id, 'time', FALSE, %s FROM scoring_leadscore"
            " WHERE lead_id = %s AND refresh_due_at IS NOT NULL AND scored_at < %s",
            [at, lead_id, at - timedelta(hours=1)],
        )
        if cursor.rowcount:
            nudge.wake("flow.score")


def is_ready(lead_ids: Iterable[int], at: datetime) -> set[int]:
    """Which of these leads are ready at `at`, asked afresh: nothing is written, no hold is ended."""
    now = applied.current()
    if now is None or now.preview:
        return set()
    return {row.lead for row in _read(lead_ids, at, now) if row.above and row.hold is None and not row.gone}


def stage_by_score(lead_ids: Iterable[int], at: datetime) -> dict[int, Stage]:
    """The stage that the score alone gives: excluded, conversion, prospect or MQL."""
    now = applied.current()
    if now is None or now.preview:
        return dict.fromkeys(lead_ids, Stage.CONVERSION)
    return {row.lead: _stage_of(row) for row in _read(lead_ids, at, now)}


def match(
    condition: Mapping[str, Any],
    lead_ids: Iterable[int] | None,
    at: datetime,
    given: Mapping[int, Mapping[str, Any]] | None = None,
    agreement: Agreement | None = None,
) -> set[int]:
    """The leads (None: of all) for which a condition holds at `at`, in the words of the agreement.

    `given` tells per lead what handoff leaves ask for: kind, fast_track, letter, team_hours. Raises
    BadInput for a condition that cannot be read; without any agreement nothing matches.
    """
    now = applied.of(agreement) if agreement else applied.current()
    if now is None:
        return set()
    if lead_ids is None:
        statement = now.program.match(condition, "whole")
        return {row[0] for row in rows.run(statement, (0, 2**62, at, at))}
    ids = list(lead_ids)
    statement = now.program.match(condition, "subjects")
    args: list[Any] = [ids, ids, [at] * len(ids), [at] * len(ids)]
    if len(statement.types) > len(args):
        args.append([_json(given.get(i, {}) if given else {}) for i in ids])
    return {row[0] for row in rows.run(statement, args)}


def end_holds(at: datetime) -> int:
    """Look at the holds whose date has come: end them, or leave them waiting for evidence.

    Where the date itself was agreed (`reopens_as`) the lead is offered again whatever its score.
    """
    return holds.pass_dates(at, applied.current())


# One pass


def _claim(limit: int) -> list[tuple[int, str, bool, datetime]]:
    table = LeadChanged._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE id = ANY(ARRAY(SELECT id FROM {table} ORDER BY id LIMIT %s"  # noqa: S608
            " FOR UPDATE SKIP LOCKED)) RETURNING lead_id, cause, quiet, recorded_at",
            [limit],
        )
        return list(cursor.fetchall())


def _score(
    lead_ids: Sequence[int],
    at: datetime,
    causes: Mapping[int, str],
    quiet: Iterable[int],
    now: Current | None,
) -> Counts:
    if now is None or not lead_ids:
        return Counts()
    return _apply(_raw(lead_ids, at, now), at, causes, set(quiet), now)


def _raw(lead_ids: Iterable[int], at: datetime, now: Current) -> list[tuple[Any, ...]]:
    ids = list(lead_ids)
    instants = [at] * len(ids)
    return rows.run(now.program.score("subjects", present=True), (ids, ids, instants, instants))


def _read(lead_ids: Iterable[int], at: datetime, now: Current) -> list[Row]:
    return [Row._make(row) for row in _raw(lead_ids, at, now)]


def _apply(
    found: Sequence[tuple[Any, ...]], at: datetime, causes: Mapping[int, str], quiet: set[int], now: Current
) -> Counts:
    """Compare with what is stored and write the differences. The leads are locked."""
    answers = [row for row in map(Row._make, found) if not row.gone]
    held = {row.lead: row.hold for row in answers if row.hold is not None}
    if held and not now.preview:
        ended = holds.end_by_evidence(held, at, now.program)
        held = {lead: key for lead, key in held.items() if lead not in ended}
    writes = _Writes()
    for row in answers:
        _decide(row, at, causes, now, row.lead in held, writes)
    _write_scores(writes, at, now)
    counts = Counts(scored=len(answers), written=len(writes.scores), changed=len(writes.changes))
    if now.preview:
        return counts
    counts.moves = stages.move(writes.moves, at=at, agreement_id=now.agreement_id)
    stages.set_levels(writes.levels)
    counts.ready = len(writes.ready)
    counts.holds = holds.hold_quiet([row.lead for row in writes.ready if row.lead in quiet], at)
    counts.crossings = _cross(
        [row for row in writes.ready if row.lead not in quiet], writes.excluded, at, now
    )
    return counts


def _decide(
    row: Row, at: datetime, causes: Mapping[int, str], now: Current, is_held: bool, writes: _Writes
) -> None:
    was_real = row.old_total is not None and not row.old_preview
    before = (row.old_fit, row.old_behaviour, row.old_value, row.old_total, row.old_grade)
    ready, leave_since, stage = False, None, Stage(row.stage)
    if not now.preview:
        ready = row.above and not is_held
        stage, leave_since = _target(row, at, now)
        _move(row, stage, causes[row.lead], now, writes)
        if ready and row.stage not in WITH_SALES:
            writes.ready.append(row)
        if row.excluded and row.stage not in (Stage.EXCLUDED, Stage.CUSTOMER):
            writes.excluded.append(row)
    due = _refresh_due(row, at, leave_since, now)
    draft = now.program.sha if now.preview else ""
    state = (*row.integers, now.agreement_id, draft, now.preview, ready, leave_since, due)
    stored = (*before, row.old_agreement, row.old_draft, row.old_preview, row.old_ready)
    if state == (*stored, row.leave_since, row.refresh_due):
        return
    writes.scores.append((row.lead, *state))
    if not now.preview and not (was_real and before == row.integers):
        old = before if was_real else (None, None, None, None, "")
        writes.changes.append((row.lead, *old, *row.integers, causes[row.lead]))


def _stage_of(row: Row) -> Stage:
    if row.excluded:
        return Stage.EXCLUDED
    return Stage.MQL if row.mql else Stage.PROSPECT


def _target(row: Row, at: datetime, now: Current) -> tuple[Stage, datetime | None]:
    """The stage where the lead belongs, and since when it has been below the lower bar of an MQL."""
    stage, score = Stage(row.stage), _stage_of(row)
    if row.excluded:
        return (score if stage in LEAVABLE else stage), None
    if stage in (Stage.CONVERSION, Stage.PROSPECT, Stage.EXCLUDED):
        return score, None
    if stage != Stage.MQL or not row.leave or row.mql:
        return stage, None
    since = row.leave_since or at
    days = now.program.document.thresholds.mql_leave_days
    if at - since < timedelta(days=days):
        return stage, since
    return score, None


def _move(row: Row, stage: Stage, cause: str, now: Current, writes: _Writes) -> None:
    if stage != row.stage:
        why = "left out" if stage == Stage.EXCLUDED else f"score: {cause}"
        writes.moves.append(stages.Move(row.lead, stage, why))
    level = Level.NONE
    if stage == Stage.PROSPECT and row.level:
        level = Level(now.program.document.levels[row.level - 1].level)
    if level != row.had_level:
        writes.levels.append((row.lead, level))


def _refresh_due(row: Row, at: datetime, leave_since: datetime | None, now: Current) -> datetime | None:
    """When to look again: within 24 hours after time alone may have changed something; None: never."""
    changes = [row.next_change] if row.next_change else []
    if row.fresh:
        # Evidence grows old; whether it was an act or a fact does not matter here.
        changes.append(at)
    if leave_since is not None:
        changes.append(leave_since + timedelta(days=now.program.document.thresholds.mql_leave_days))
    if not changes:
        return None
    # A multiplicative hash spreads neighbours over the hours.
    spread = row.lead * 2_654_435_761 % 2**32 % REFRESH_SPREAD
    due = max(at + timedelta(seconds=REFRESH_FIRST + spread), min(changes) + timedelta(seconds=spread))
    if row.refresh_due is not None and at < row.refresh_due <= due:
        return row.refresh_due
    return due


_SCORE_COLUMNS = (
    "fit, behaviour, value, total, grade, agreement_id, draft_sha, preview, ready, leave_since,"
    " refresh_due_at, scored_at, known_at"
)
_SCORE_INSERT = (
    f"INSERT INTO scoring_leadscore (lead_id, {_SCORE_COLUMNS}) SELECT u.*, %s, %s FROM {{rows}}"  # noqa: S608
    f" ON CONFLICT (lead_id) DO UPDATE SET ({_SCORE_COLUMNS}) ="
    f" ({', '.join(f'EXCLUDED.{name.strip()}' for name in _SCORE_COLUMNS.split(','))})"
)
_CHANGE_INSERT = (
    "INSERT INTO scoring_scorechange (lead_id, from_fit, from_behaviour, from_value, from_total, from_grade,"
    " fit, behaviour, value, total, grade, cause, at, known_at, agreement_id)"
    " SELECT u.*, %s, %s, %s FROM {rows}"
)
_SCORE_TYPES = (
    "bigint",
    "smallint",
    "smallint",
    "smallint",
    "smallint",
    "text",
    "bigint",
    "text",
    "boolean",
    "boolean",
    "timestamptz",
    "timestamptz",
)
_CHANGE_TYPES = (
    "bigint",
    *("smallint",) * 4,
    "text",
    *("smallint",) * 4,
    "text",
    "text",
)


def _write_scores(writes: _Writes, at: datetime, now: Current) -> None:
    if writes.scores:
        _insert(_SCORE_INSERT, _SCORE_TYPES, writes.scores, [at, at])
    if writes.changes:
        _insert(
            _CHANGE_INSERT,
            _CHANGE_TYPES,
            writes.changes,
            [at, at, now.agreement_id],
        )
        # What the API's `changed_since` pages by.
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE leads_lead SET changed_at = %s WHERE id = ANY(%s)",
                [at, [row[0] for row in writes.changes]],
            )


def _insert(text: str, types: Sequence[str], data: Sequence[Sequence[Any]], more: Sequence[Any]) -> None:
    columns = [list(column) for column in zip(*data, strict=True)]
    source = f"unnest({', '.join(f'%s::{t}[]' for t in types)}) u"
    with connection.cursor() as cursor:
        cursor.execute(text.replace("{rows}", source), [*more, *columns])


# Crossings


def _cross(ready: Sequence[Row], excluded: Sequence[Row], at: datetime, now: Current) -> int:
    """Write a Crossing for each lead that became ready, and for each that is found to be none."""
    if not ready and not excluded:
        return 0
    quiet = _not_again([row.lead for row in (*ready, *excluded)])
    made: list[tuple[int, str, int | None]] = []
    for row in ready:
        kind = _kind(row)
        if (row.lead, "ready") not in quiet:
            made.append((row.lead, kind, row.track or None))
    out = Crossing.Kind.EXCLUDE.value
    made += [(row.lead, out, None) for row in excluded if (row.lead, out) not in quiet]
    if not made:
        return 0
    causes = _causes([lead for lead, _, _ in made], at)
    Crossing.objects.bulk_create(
        [
            Crossing(
                lead_id=lead,
                at=at,
                known_at=at,
                kind=kind,
                fast_track_no=track,
                agreement_id=now.agreement_id,
                cause=causes.get(lead, {}),
            )
            for lead, kind, track in made
        ]
    )
    return len(made)


def _kind(row: Row) -> str:
    if row.stage == Stage.CUSTOMER:
        return Crossing.Kind.EXISTING_CUSTOMER
    return Crossing.Kind.FAST_TRACK if row.track else Crossing.Kind.BAR


def _not_again(lead_ids: Sequence[int]) -> set[tuple[int, str]]:
    """What must not be written: one is pending; a customer's handoff runs since (every end writes a hold);
    or it was told already, since the last move, that this is no lead."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT k.lead_id, CASE WHEN k.kind = 'exclude' THEN 'exclude' ELSE 'ready' END
            FROM scoring_crossing k JOIN leads_lead l ON l.id = k.lead_id
            WHERE k.lead_id = ANY(%s) AND (
                k.handled_at IS NULL
                OR (k.kind = 'exclude' AND k.at >= l.stage_since)
                OR (l.stage = 'customer' AND k.kind <> 'exclude' AND k.handled_as IN ('opened', 'waiting')
                    AND NOT EXISTS (
                        SELECT 1 FROM scoring_hold h WHERE h.lead_id = k.lead_id AND h.since >= k.at)))
            """,
            [list(lead_ids)],
        )
        return set(cursor.fetchall())


def _causes(lead_ids: Sequence[int], at: datetime) -> dict[int, dict[str, Any]]:
    """The newest thing that was recorded of each lead: an own act, or a change of a fact."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT ON (n.lead_id) n.lead_id, n.what, n.which FROM (
                SELECT i.lead_id, 'activity' AS what, a.id::text AS which, a.recorded_at
                FROM unnest(%s::bigint[]) i(lead_id) CROSS JOIN LATERAL (
                    SELECT a.id, a.recorded_at FROM leads_activity a
                    JOIN leads_activitykind k ON k.id = a.kind_id
                    WHERE a.lead_id = i.lead_id AND k.own_act AND a.occurred_at <= %s
                    ORDER BY a.occurred_at DESC, a.id LIMIT 1) a
                UNION ALL
                SELECT i.lead_id, 'field', x.field, x.recorded_at
                FROM unnest(%s::bigint[]) i(lead_id) CROSS JOIN LATERAL (
                    SELECT x.field, x.recorded_at FROM leads_factchange x WHERE x.lead_id = i.lead_id
                    ORDER BY x.recorded_at DESC, x.id DESC LIMIT 1) x
            ) n ORDER BY n.lead_id, n.recorded_at DESC, n.what
            """,
            [list(lead_ids), at, list(lead_ids)],
        )
        return {
            lead: {"activity": int(which)} if what == "activity" else {"field": which}
            for lead, what, which in cursor.fetchall()
        }


def _json(value: Mapping[str, Any]) -> Any:
    return Json({k: v for k, v in value.items() if v is not None})
