"""Scoring what waits. Leads whose score is out of date wait as rows of LeadChanged.

A pass is one transaction: (1) claim rows with SKIP LOCKED and delete them, (2) lock their leads FOR NO KEY
UPDATE in id order, (3) only then, in a fresh statement, compute from everything that has been recorded, and
write what differs.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from leadflow import clock, nudge
from leadflow.leads import stages
from leadflow.leads.models import LeadChanged
from scoring import current as applied
from scoring import holds, rows
from scoring.current import Current
from scoring.engine import crossings, deciding
from scoring.engine.crossings import Counts
from scoring.engine.deciding import REFRESH_FIRST, Act
from scoring.models import Agreement
from scoring.rows import Source

# A lead that is still somebody: neither merged into another nor erased.
_HELD = """
    SELECT h.lead_id, h.id FROM scoring_hold h JOIN leads_lead l ON l.id = h.lead_id
    WHERE h.ended_at IS NULL AND l.merged_into_id IS NULL AND l.erased_at IS NULL
    AND l.created_at <= %s AND h.lead_id """


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
        counts = _score(causes, max(at, clock.now()), causes.keys() - loud, applied.current())
    if counts.crossings:
        nudge.wake("flow.open")
    return len(claimed)


def is_pending() -> bool:
    """Whether any lead waits to be scored."""
    return LeadChanged.objects.exists()


def score_leads(
    lead_ids: Iterable[int],
    *,
    at: datetime,
    cause: str,
    agreement: Agreement | None = None,
    quiet: bool = False,
) -> Counts:
    """Score leads now, inside the caller's transaction, which holds their locks."""
    causes = dict.fromkeys(sorted(set(lead_ids)), cause)
    now = applied.of(agreement) if agreement else applied.current()
    counts = _score(causes, at, set(causes) if quiet else set(), now)
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
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM (SELECT FROM leads_lead WHERE id BETWEEN %s AND %s"
                " ORDER BY id FOR NO KEY UPDATE) l",
                [from_id, to_id],
            )
            if not cursor.fetchone()[0]:
                return Counts()
        # Only now, behind the locks: a version that came into force while we waited for them counts already.
        now = applied.of(agreement) if agreement else applied.current()
        if now is None:
            return Counts()
        at = max(at, clock.now())
        _end_holds("BETWEEN %s AND %s", [from_id, to_id], at, now)
        counts, acts = _write("whole", (from_id, to_id, at, at), cause, at, now)
        leads = [act.lead for act in acts]
        counts.add(
            crossings.follow(acts, at, dict.fromkeys(leads, cause), set(leads) if quiet else set(), now)
        )
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


def end_holds(at: datetime) -> int:
    """Look at the holds whose date has come: end them, or leave them waiting for evidence.

    Where the date itself was agreed (`reopens_as`) the lead is offered again whatever its score.
    """
    return holds.pass_dates(at, applied.current())


def _claim(limit: int) -> list[tuple[int, str, bool, datetime]]:
    table = LeadChanged._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE id = ANY(ARRAY(SELECT id FROM {table} ORDER BY id LIMIT %s"  # noqa: S608
            " FOR UPDATE SKIP LOCKED)) RETURNING lead_id, cause, quiet, recorded_at",
            [limit],
        )
        return list(cursor.fetchall())


def _score(causes: Mapping[int, str], at: datetime, quiet: Iterable[int], now: Current | None) -> Counts:
    """Score leads, each with its cause. They are locked."""
    if now is None or not causes:
        return Counts()
    ids = list(causes)
    _end_holds("= ANY(%s)", [ids], at, now)
    instants = [at] * len(ids)
    counts, acts = _write("subjects", (ids, ids, instants, instants), list(causes.values()), at, now)
    counts.add(crossings.follow(acts, at, causes, set(quiet), now))
    return counts


def _end_holds(which: str, args: Sequence[Any], at: datetime, now: Current) -> None:
    """End the holds whose evidence has come, before the scoring asks what holds a lead back."""
    if now.preview:
        return
    with connection.cursor() as cursor:
        cursor.execute(_HELD + which, [at, *args])
        held = dict(cursor.fetchall())
    if held:
        holds.end_by_evidence(held, at, now.program)


def _write(
    source: Source, args: Sequence[Any], cause: Any, at: datetime, now: Current
) -> tuple[Counts, list[Act]]:
    statement = deciding.statement(now.program, source, preview=now.preview)
    found = rows.run(statement, (*args, cause, now.agreement_id, at))
    acts = [Act._make(row[3:]) for row in found if row[3] is not None]
    return Counts(*found[0][:3]), acts
