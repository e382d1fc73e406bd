"""What marketing promised to answer in time: questions of sales, and its own objections to a no.

Each counts once, in the week in which it fell due; one that nobody has answered by then is late for good.
"""

from typing import Any

from django.db.models import QuerySet

from feedback.reports import said
from feedback.reports.base import NO_SOURCE, Filters
from feedback.reports.handovers import PERSONA, VERSION
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Lead

WORDS = {
    "disputes": "Leads with an objection of marketing to be decided",
    "questions": "Leads with a question of sales to be answered",
}
_WHERE = {
    "team": "coalesce(h.team_id, p.team_id) = %(team)s",
    "source": f"coalesce(nullif(l.first_source, ''), '{NO_SOURCE}') = %(source)s",
    "campaign": "l.first_campaign_id = (SELECT id FROM leads_campaign WHERE code = %(campaign)s)",
    "persona": PERSONA,
    "version": VERSION,
}
_COUNTS = """
    SELECT promise, date_trunc('week', due_at AT TIME ZONE %(zone)s)::date::text, count(*),
           count(*) FILTER (WHERE done_at <= due_at)
    FROM base GROUP BY 1, 2
    UNION ALL
    SELECT 'reason', date_trunc('week', a.at AT TIME ZONE %(zone)s)::date::text, count(*),
           count(*) FILTER (WHERE a.reason_key <> '')
    FROM told a WHERE a.kind IN ('rejected', 'returned') GROUP BY 2"""
_LEADS = """
    SELECT DISTINCT lead_id FROM base
    WHERE promise = %(promise)s AND lead_id IS NOT NULL
      AND (%(week)s = '' OR date_trunc('week', due_at AT TIME ZONE %(zone)s)::date::text = %(week)s)"""

# Promise → week (its Monday) → (all, of them kept).
Weeks = dict[str, dict[str, tuple[int, int]]]


def count(filters: Filters) -> Weeks:
    """What fell due in the period by promise and week, and the noes ("reason") with those that say why; one
    statement."""
    found: Weeks = {promise: {} for promise in (*WORDS, "reason")}
    for promise, week, due, kept in _rows(_COUNTS, filters):
        found[promise][week] = (due, kept)
    return found


def drill(promise: str, week: str, filters: Filters) -> QuerySet[Lead]:
    """The leads behind the promises that fell due; a question that was asked of no lead has none."""
    if promise not in WORDS or "\x00" in week:
        raise BadInput("This figure is not in the report.", [Fault("cell", "Open it from the report.")])
    rows = _rows(_LEADS, filters, promise=promise, week=week)
    return Lead.objects.filter(pk__in=[row[0] for row in rows])


def _rows(statement: str, filters: Filters, **more: Any) -> list[tuple[Any, ...]]:
    """Rows of a statement over `base` (what marketing owed) and `told` (sales' answers)."""
    where = " AND ".join(["TRUE", *(said for name, said in _WHERE.items() if getattr(filters, name))])
    due = "due_at >= %(low)s AND due_at < %(high)s AND due_at <= %(at)s"
    owed = f"""
    , promised AS (
        SELECT 'disputes' AS promise, d.due_at, d.settled_at AS done_at, d.handoff_id,
               NULL::bigint AS lead_id, NULL::bigint AS team_id
        FROM feedback_dispute d WHERE {due}
        UNION ALL
        SELECT 'questions', q.due_at, q.first_answer_at, q.handoff_id, q.lead_id, u.team_id
        FROM feedback_question q JOIN accounts_user u ON u.id = q.asked_by_id WHERE {due}),
    base AS (
        SELECT p.promise, p.due_at, p.done_at, coalesce(p.lead_id, h.lead_id) AS lead_id
        FROM promised p LEFT JOIN handoff_handoff h ON h.id = p.handoff_id
        LEFT JOIN leads_lead l ON l.id = coalesce(p.lead_id, h.lead_id)
        WHERE {where})"""  # noqa: S608 the pieces are ours, values are bound
    return said.ask(f"{owed} {statement}", filters, **more)
