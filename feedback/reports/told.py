"""Sales' answers as they are kept: one narrow row each, and what the rules gave by week.

Written with the ways of the leads (`feedback.reports.journeys`), in the same transaction.
"""

from collections.abc import Sequence

from django.db import connection

from feedback.reports import lines
from feedback.reports.weeks import WEEK, Weekly

# Only these kinds of reason speak about the lead.
QUALITY = ("fit", "timing", "person")
JUDGED = f"kind = 'rejected' AND reason_kind IN {QUALITY}"
# Behind the key of a persona that a lead only looked like.
NOT_IDEAL = "~"
COLUMNS = (
    "answer_id, lead_id, handoff_id, kind, reason_key, reason_kind, rep_id, at, first_source,"
    " first_campaign_id, persona, persona_name, team_id, agreement_id, places"
)
# The answers for which `{which}` (over `a`) is true, as the ledgers say.
LIVE = f"""
    SELECT a.id AS answer_id, a.lead_id, a.handoff_id, a.kind, a.reason_key, a.reason_kind, a.rep_id, a.at,
           l.first_source, l.first_campaign_id,
           coalesce(h.frozen #>> '{{{{persona,key}}}}', '')
           || CASE WHEN h.frozen #>> '{{{{persona,ideal}}}}' = 'false' THEN '{NOT_IDEAL}' ELSE '' END
               AS persona,
           coalesce(h.frozen #>> '{{{{persona,name}}}}', '') AS persona_name,
           h.team_id, h.agreement_id, v.places
    FROM leads_answer a JOIN leads_lead l ON l.id = a.lead_id
    LEFT JOIN handoff_handoff h ON h.id = a.handoff_id
    LEFT JOIN feedback_handoverlines v ON v.handoff_id = a.handoff_id
    WHERE a.kind IN ('accepted', 'rejected', 'returned') AND a.voided_at IS NULL AND {{which}}"""  # noqa: S608
_ROW = ", ".join(f"{{alias}}.{name.strip()}" for name in COLUMNS.split(","))
_KEEP = f"""
    WITH fresh AS MATERIALIZED ({LIVE.format(which="a.lead_id = ANY(%(ids)s)")}),
    gone AS (DELETE FROM feedback_answerkept k WHERE k.lead_id = ANY(%(ids)s)
             AND NOT EXISTS (SELECT 1 FROM fresh WHERE fresh.answer_id = k.answer_id))
    INSERT INTO feedback_answerkept AS k ({COLUMNS}) SELECT {COLUMNS} FROM fresh
    ON CONFLICT (answer_id) DO UPDATE SET ({COLUMNS}) = ({_ROW.format(alias="excluded")})
    WHERE ({_ROW.format(alias="k")}) IS DISTINCT FROM ({_ROW.format(alias="excluded")})"""  # noqa: S608 ours

# What the rules gave to answered leads, by the week of the answer.
WEEKS = Weekly(
    "feedback_answerweek",
    {"by": "text", "key": "text", "kind": "text", "reason_key": "text", "judged": "boolean"},
    {"n": "bigint", "lines": "numeric"},
    f"""SELECT {WEEK.format(at="k.at")} AS week, b.by, b.key, k.kind, k.reason_key, {JUDGED} AS judged,
               count(*) AS n, coalesce(sum(v.lines), 0) AS lines
        FROM feedback_answerkept k LEFT JOIN feedback_handoverlines v ON v.handoff_id = k.handoff_id
        CROSS JOIN LATERAL (
            VALUES {lines.NARROW}, ('rep', k.rep_id::text)
            UNION ALL SELECT 'criterion', place::text FROM unnest(k.places) AS place) b(by, key)
        WHERE b.key IS NOT NULL AND {{which}} GROUP BY 1, 2, 3, 4, 5, 6""",  # noqa: S608 ours
)


def keep(ids: Sequence[int]) -> None:
    """Bring the kept answers about these leads up to the ledgers; their handoffs' lines are kept already."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, {"ids": list(ids)})
