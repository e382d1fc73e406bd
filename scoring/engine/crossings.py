"""What follows from a scoring beyond the score: moves, quiet holds, and the crossings that handoff pulls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

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
    # In the order of the leads, whatever plan found them: crossings are numbered as they are written.
    acts = sorted(acts, key=attrgetter("lead"))
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
    """Write a Crossing for each lead that became ready, and for each that is found to be none.

    Unless it was told already. Each with the newest thing recorded of its lead: an own act, or a change of a
    fact.
    """
    told = [(row.lead, str(_kind(row)), row.track or None) for row in ready]
    told += [(row.lead, str(Crossing.Kind.EXCLUDE), None) for row in excluded]
    if not told:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [at, at, now.agreement_id, *map(list, zip(*told, strict=True)), at])
        return int(cursor.rowcount)


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

_WRITE = f"""
    INSERT INTO scoring_crossing (lead_id, kind, fast_track_no, cause, at, known_at, agreement_id, handled_as)
    SELECT w.lead, w.kind, w.track,
        CASE WHEN n.what IS NULL THEN '{{}}' ELSE jsonb_build_object(n.what, n.which) END, %s, %s, %s, ''
    FROM unnest(%s::bigint[], %s::text[], %s::smallint[]) WITH ORDINALITY w(lead, kind, track, n)
    LEFT JOIN LATERAL (
        SELECT * FROM (
            (SELECT 'activity' AS what, to_jsonb(a.id) AS which, a.recorded_at FROM leads_activity a
            JOIN leads_activitykind k ON k.id = a.kind_id
            WHERE a.lead_id = w.lead AND k.own_act AND a.occurred_at <= %s
            ORDER BY a.occurred_at DESC, a.id LIMIT 1)
            UNION ALL
            (SELECT 'field', to_jsonb(x.field), x.recorded_at FROM leads_factchange x WHERE x.lead_id = w.lead
            ORDER BY x.recorded_at DESC, x.id DESC LIMIT 1)
        ) n ORDER BY n.recorded_at DESC, n.what LIMIT 1
    ) n ON TRUE
    WHERE NOT EXISTS (
        SELECT FROM scoring_crossing k JOIN leads_lead l ON l.id = k.lead_id
        WHERE k.lead_id = w.lead AND (k.kind = 'exclude') = (w.kind = 'exclude') AND ({TOLD}))
    ORDER BY w.n
"""  # noqa: S608 - a constant
