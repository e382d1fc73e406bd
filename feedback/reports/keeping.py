"""What is kept beside the ways of the leads: their sums by day, and the handoffs with what came of them.

Written for the same leads in the same transaction as `LeadJourney` (`feedback.reports.journeys`), so that
all three say the same.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection

from feedback.reports import dues, lines, told
from feedback.reports.spans import LABELS, WEEKS, holds
from feedback.reports.weeks import Weekly

STEPS = ("mql", "offered", "accepted", "opportunity", "customer")
# The counts of a day: column → which leads of `LeadJourney` it counts.
COUNTED = {
    "leads": "true",
    **{step: f"{step}_at IS NOT NULL" for step in STEPS},
    **{f"span_{key}": holds(key) for key in LABELS},
}
_BY = "first_source, first_campaign_id, persona, stage, open_state"
_DAY = "(created_at AT TIME ZONE %(zone)s)::date"
# The sums as they would be counted now, of the days in `{which}`.
SUMS = f"""
    SELECT {_DAY} AS day, {_BY},
           {", ".join(f"count(*) FILTER (WHERE {holds}) AS {name}" for name, holds in COUNTED.items())}
    FROM feedback_leadjourney WHERE NOT gone AND {{which}} GROUP BY {_DAY}, {_BY}"""  # noqa: S608 ours
_COLUMNS = f"day, {_BY}, {', '.join(COUNTED)}"
_SPAN = """created_at >= %(day)s::timestamp AT TIME ZONE %(zone)s
    AND created_at < (%(day)s::date + 1)::timestamp AT TIME ZONE %(zone)s"""


def days_of(ids: Sequence[int], zone: str) -> set[Any]:
    """The days on which these leads came, as kept and as they stand."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT DISTINCT {_DAY} FROM feedback_leadjourney WHERE lead_id = ANY(%(ids)s)
            UNION SELECT {_DAY} FROM leads_lead WHERE id = ANY(%(ids)s)""",  # noqa: S608 ours
            {"ids": list(ids), "zone": zone},
        )
        return {row[0] for row in cursor.fetchall()}


def sum_days(days: set[Any], zone: str) -> None:
    """Sum these days anew."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM feedback_journeyday WHERE day = ANY(%s)", [list(days)])
        for day in sorted(days):
            cursor.execute(
                f"INSERT INTO feedback_journeyday ({_COLUMNS}) {SUMS.format(which=_SPAN)}",
                {"day": day, "zone": zone},
            )


def sum_all(zone: str) -> None:
    """Sum every day anew, in another zone maybe."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM feedback_journeyday")
        cursor.execute(
            f"INSERT INTO feedback_journeyday ({_COLUMNS}) {SUMS.format(which='true')}",
            {"zone": zone},
        )
    for weekly in WEEKLY:
        weekly.rebuild(zone)
    dues.sum_all(zone)


# Handoffs ----------------------------------------------------------------------------------

# What came of the handoffs in `{ids}` (a relation of lead ids), whenever it was.
HANDOFFS = """
    SELECT h.id AS handoff_id, h.lead_id, l.merged_into_id IS NOT NULL OR l.erased_at IS NOT NULL AS gone,
           count(*) OVER (PARTITION BY h.lead_id) = 1 AS alone, h.owner_id, h.team_id, h.agreement_id, h.kind,
           h.grade, l.first_source, l.first_campaign_id,
           CASE WHEN h.frozen #>> '{{persona,ideal}}' IS DISTINCT FROM 'false'
                THEN coalesce(h.frozen #>> '{{persona,key}}', '') ELSE '' END AS persona,
           h.frozen -> 'must_know_gaps' = '[]'::jsonb AS known, h.first_offered_at AS offered_at,
           h.first_touch_at AS touched_at, h.reached_at, said.answered_at, said.accepted_at, said.refused_at,
           deal.opportunity_at, deal.customer_at, deal.won_at, deal.revenue
    FROM handoff_handoff h JOIN leads_lead l ON l.id = h.lead_id
    LEFT JOIN LATERAL (
        SELECT min(a.at) AS answered_at, min(a.at) FILTER (WHERE a.kind = 'accepted') AS accepted_at,
               min(a.at) FILTER (WHERE a.kind <> 'accepted') AS refused_at
        FROM leads_answer a WHERE a.handoff_id = h.id AND a.voided_at IS NULL
          AND a.kind IN ('accepted', 'rejected', 'returned')) said ON true
    LEFT JOIN LATERAL (
        SELECT min(o.at) AS opportunity_at, min(o.at) FILTER (WHERE o.kind = 'won') AS customer_at,
               max(o.at) FILTER (WHERE o.kind = 'won') AS won_at,
               sum(o.amount) FILTER (WHERE o.kind = 'won') AS revenue
        FROM leads_outcome o WHERE o.lead_id = h.lead_id AND o.at >= h.first_offered_at
          AND o.kind IN ('opportunity', 'won') AND o.voided_at IS NULL
          AND o.replaced_by_id IS NULL) deal ON true
    WHERE h.lead_id IN (SELECT id FROM {ids})"""
_KEPT = (
    "handoff_id, lead_id, gone, alone, owner_id, team_id, agreement_id, kind, grade, first_source,"
    " first_campaign_id, persona, known, offered_at, touched_at, reached_at, answered_at, accepted_at,"
    " refused_at, opportunity_at, customer_at, won_at, revenue"
)
_KEEP_HANDOFFS = f"""
    WITH ids AS (SELECT unnest(%(ids)s::bigint[]) AS id), fresh AS ({HANDOFFS.format(ids="ids")})
    INSERT INTO feedback_handoverkept AS k ({_KEPT}) SELECT {_KEPT} FROM fresh
    ON CONFLICT (handoff_id) DO UPDATE SET ({_KEPT}) =
        ({", ".join("excluded." + name.strip() for name in _KEPT.split(","))})
    WHERE ({", ".join("k." + name.strip() for name in _KEPT.split(","))}) IS DISTINCT FROM
        ({", ".join("excluded." + name.strip() for name in _KEPT.split(","))})"""  # noqa: S608


def keep_handoffs(ids: Sequence[int]) -> None:
    """Bring the kept handoffs of these leads, their lines and what was answered up to the ledgers."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_HANDOFFS, {"ids": list(ids)})
    lines.keep(ids)
    told.keep(ids)


# The sums by week that are kept with them.
WEEKLY: tuple[Weekly, ...] = (WEEKS, lines.HANDED, told.WEEKS)


def forget() -> None:
    """Throw all of it away."""
    kept = ["feedback_journeyday", "feedback_handoverkept", "feedback_handoverlines"]
    kept += ["feedback_lineplace", "feedback_answerkept"]
    kept += ["feedback_promisekept", "feedback_promiseweek"]
    with connection.cursor() as cursor:
        for table in [*kept, *(weekly.table for weekly in WEEKLY)]:
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608 ours
