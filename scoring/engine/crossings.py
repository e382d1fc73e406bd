"""What follows from a scoring beyond the score: moves, quiet holds, and the crossings that handoff pulls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from leadflow.leads import stages
from leadflow.leads.models import Level, Stage
from scoring import holds
from scoring.current import Current
from scoring.engine.deciding import WITH_SALES, Act
from scoring.models import Crossing


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


def follow(
    acts: Sequence[Act], at: datetime, causes: Mapping[int, str], quiet: set[int], now: Current
) -> Counts:
    """Move the leads that belong elsewhere, hold back the quiet ones that are ready, tell handoff the rest.

    The leads are locked. `quiet`: those of which nothing loud was recorded.
    """
    counts = Counts()
    # Who moves gets the level at once: a lead's row has many indexes, and is written once.
    moves = [
        stages.Move(a.lead, Stage(a.target), _why(a, causes), level=Level(a.level))
        for a in acts
        if a.target != a.stage
    ]
    counts.moves = stages.move(moves, at=at, agreement_id=now.agreement_id, locked=True)
    stages.set_levels(
        [(a.lead, Level(a.level)) for a in acts if a.target == a.stage and a.level != a.had_level]
    )
    ready = [act for act in acts if act.ready and act.stage not in WITH_SALES]
    qualified = {a.lead for a in acts if a.target == Stage.MQL != a.stage} | {act.lead for act in ready}
    holds.wake_colleagues(sorted(qualified), at)
    out = [act for act in acts if act.excluded and act.stage not in (Stage.EXCLUDED, Stage.CUSTOMER)]
    counts.ready = len(ready)
    counts.holds = holds.hold_quiet([act.lead for act in ready if act.lead in quiet], at)
    counts.crossings = _cross([act for act in ready if act.lead not in quiet], out, at, now)
    return counts


def _why(act: Act, causes: Mapping[int, str]) -> str:
    return "left out" if act.target == Stage.EXCLUDED else f"score: {causes[act.lead]}"


def _cross(ready: Sequence[Act], excluded: Sequence[Act], at: datetime, now: Current) -> int:
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


def _kind(row: Act) -> str:
    if row.stage == Stage.CUSTOMER:
        return Crossing.Kind.EXISTING_CUSTOMER
    return Crossing.Kind.FAST_TRACK if row.track else Crossing.Kind.BAR


# Crossings `k` of lead `l` after which no other of its kind is written: one is pending; a customer's handoff
# runs since (every end writes a hold); or it was told already, since the last move, that this is no lead.
TOLD = """
    k.handled_at IS NULL
    OR (k.kind = 'exclude' AND k.at >= l.stage_since)
    OR (l.stage = 'customer' AND k.kind <> 'exclude' AND k.handled_as IN ('opened', 'waiting')
        AND NOT EXISTS (SELECT 1 FROM scoring_hold h WHERE h.lead_id = k.lead_id AND h.since >= k.at))
"""


def _not_again(lead_ids: Sequence[int]) -> set[tuple[int, str]]:
    """What must not be written again, by lead: "ready" or "exclude"."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT k.lead_id, CASE WHEN k.kind = 'exclude' THEN 'exclude' ELSE 'ready' END
            FROM scoring_crossing k JOIN leads_lead l ON l.id = k.lead_id
            WHERE k.lead_id = ANY(%s) AND ({TOLD})
            """,  # noqa: S608 - a constant
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
