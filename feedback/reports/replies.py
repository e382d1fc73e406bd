"""What marketing promised to answer in time: questions of sales, and its own objections to a no.

Each counts once, in the week in which it fell due; one that nobody has answered by then is late for good.
"""

from typing import Any

from django.db import connection
from django.db.models import QuerySet

from feedback.reports import said, summed
from feedback.reports.base import Filters
from feedback.reports.handovers import PERSONA, VERSION
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Lead

WORDS = {
    "disputes": "Leads with an objection of marketing to be decided",
    "questions": "Leads with a question of sales to be answered",
}
_WHERE = {
    "team": "coalesce(h.team_id, p.team_id) = %(team)s",
    "source": "coalesce(l.first_source, '') = %(source)s",
    "campaign": "l.first_campaign_id = (SELECT id FROM leads_campaign WHERE code = %(campaign)s)",
    "persona": PERSONA,
    "version": VERSION,
}
_COUNTS = """
    SELECT promise, date_trunc('week', due_at AT TIME ZONE %(zone)s)::date::text, count(*),
           count(*) FILTER (WHERE done_at <= due_at)
    FROM base GROUP BY 1, 2
    UNION ALL
    SELECT 'reason', week::text, sum(n)::bigint, coalesce(sum(n) FILTER (WHERE reason_key <> ''), 0)::bigint
    FROM ({noes}) noes WHERE kind IN ('rejected', 'returned') GROUP BY week HAVING sum(n) <> 0"""
# Sales' answers, in the weeks of the sums and beside them.
_NOES = (
    "SELECT date_trunc('week', at AT TIME ZONE %(zone)s)::date AS week, kind, reason_key, w AS n FROM told"
)
_SUMMED = "SELECT week, kind, reason_key, n FROM ({sums}) s"
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
    filters = summed.known(filters)
    sums = summed.sums(filters, "feedback_answerweek", ("week", "kind", "reason_key"), said.ASKED)
    noes = [_NOES, *([_SUMMED.format(sums=sums.selects)] if sums else [])]
    statement = _COUNTS.format(noes=" UNION ALL ".join(noes))
    told = f", {said.told(filters, sums)}"
    bound = dict(sums.bound) if sums else {}
    for promise, week, due, kept in _rows(statement, filters, told, **bound):
        found[promise][week] = (due, kept)
    return found


def drill(promise: str, week: str, filters: Filters) -> QuerySet[Lead]:
    """The leads behind the promises that fell due; a question that was asked of no lead has none."""
    if promise not in WORDS or "\x00" in week:
        raise BadInput("This figure is not in the report.", [Fault("cell", "Open it from the report.")])
    rows = _rows(_LEADS, filters, promise=promise, week=week)
    return Lead.objects.filter(pk__in=[row[0] for row in rows])


def _rows(statement: str, filters: Filters, more: str = "", **bound: Any) -> list[tuple[Any, ...]]:
    """Rows of a statement over `base`, what marketing owed, and `more` named parts."""
    where = " AND ".join(["TRUE", *(asked for name, asked in _WHERE.items() if getattr(filters, name))])
    due = "due_at >= %(low)s AND due_at < %(high)s AND due_at <= %(at)s"
    owed = f"""
    WITH promised AS (
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
    with connection.cursor() as cursor:
        cursor.execute(f"{owed} {more} {statement}", said.bound(filters) | bound)
        return list(cursor.fetchall())
