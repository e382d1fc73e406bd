"""The only writer of Lead.stage, Lead.level and Lead.stage_since. Each move leaves a StageChange."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from leadflow.accounts.actors import SYSTEM, Actor
from leadflow.leads import bulk
from leadflow.leads.models import Level, Stage


@dataclass(frozen=True)
class Move:
    """One lead to one stage, and why (the cause is at most 80 characters).

    `level`: that of a prospect, set with the stage; None leaves it as it is.
    """

    lead_id: int
    to: Stage
    cause: str
    handoff_id: int | None = None
    level: Level | None = None


def move(
    moves: Sequence[Move],
    *,
    at: datetime,
    known_at: datetime | None = None,
    actor: Actor = SYSTEM,
    agreement_id: int | None = None,
    locked: bool = False,
) -> int:
    """Move leads; returns how many really changed. A lead named twice takes the last move.

    1. Locks the leads in id order, unless the caller says that it holds them already (`locked`).
    2. In a fresh statement changes those whose stage differs and writes their StageChange.
    """
    wanted = {m.lead_id: m for m in moves}
    if not wanted:
        return 0
    rows = [
        {
            "lead_id": m.lead_id,
            "to": str(Stage(m.to)),
            "cause": m.cause[:80],
            "handoff_id": m.handoff_id,
            "level": None if m.level is None else str(m.level),
        }
        for m in wanted.values()
    ]
    source, data = bulk.recordset(
        {"lead_id": "bigint", "to": "text", "cause": "text", "handoff_id": "bigint", "level": "text"}, rows
    )
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        if not locked:
            lock(wanted)
        cursor.execute(
            f"""
            WITH wanted AS (
                SELECT r.*, l.stage AS was FROM {source} JOIN leads_lead l ON l.id = r.lead_id
                WHERE l.stage <> r."to"
            ), moved AS (
                UPDATE leads_lead l SET stage = w."to", stage_since = %s, changed_at = %s,
                    level = CASE WHEN w."to" = 'prospect' THEN COALESCE(w.level, l.level) ELSE '' END
                FROM wanted w WHERE l.id = w.lead_id
            )
            INSERT INTO leads_stagechange
                (lead_id, from_stage, to_stage, at, known_at, cause, actor_id, handoff_id, agreement_id)
            SELECT lead_id, was, "to", %s, %s, cause, %s, handoff_id, %s FROM wanted ORDER BY lead_id
            """,  # noqa: S608 - only the column list is composed, values are bound
            [data, at, known_at or at, at, known_at or at, actor.user_id, agreement_id],
        )
        return int(cursor.rowcount)


def created(lead_ids: Iterable[int], at: datetime, *, cause: str = "created", actor: Actor = SYSTEM) -> None:
    """Write the StageChange of creation for new leads, which are conversions."""
    ids = list(lead_ids)
    if not ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO leads_stagechange (lead_id, from_stage, to_stage, at, known_at, cause, actor_id)"
            " SELECT id, '', %s, %s, %s, %s, %s FROM unnest(%s::bigint[]) AS id",
            [Stage.CONVERSION.value, at, at, cause[:80], actor.user_id, ids],
        )


def set_levels(pairs: Sequence[tuple[int, Level]]) -> None:
    """Set the level of leads, where it differs. Levels are recomputed with each score and leave no trace."""
    if not pairs:
        return
    source, data = bulk.recordset(
        {"id": "bigint", "level": "text"}, [{"id": lead_id, "level": str(level)} for lead_id, level in pairs]
    )
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        lock([lead_id for lead_id, _ in pairs])
        cursor.execute(
            f"UPDATE leads_lead l SET level = r.level FROM {source} WHERE l.id = r.id AND l.level <> r.level",  # noqa: S608
            [data],
        )


def lock(lead_ids: Iterable[int]) -> None:
    """Lock leads in id order, so that no two transactions wait for each other. Needs a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM leads_lead WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [sorted(lead_ids)]
        )
