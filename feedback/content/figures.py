"""What each piece is used for: sent in handoffs, in won deals, the revenue that it touched."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from feedback.reports.base import Filters
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Lead

CELLS = {
    "sent": "were sent it by sales",
    "asked": "asked a question that it answers",
    "won": "became customers after they had read it or were sent it",
}
# What was paid counts once: not what was taken back, not a click whose place an import took.
EARNED = "o.kind IN ('won', 'renewed', 'expanded') AND o.voided_at IS NULL AND o.replaced_by_id IS NULL"


@dataclass(frozen=True)
class Used:
    """The figures of one piece in a period. `revenue` is of all deals it touched: pieces share it."""

    handoffs: int = 0
    sent: int = 0
    asked: int = 0
    won: int = 0
    revenue: Decimal = Decimal(0)


# A piece touched a deal when the lead had read it, or was sent it, before the deal was won. The acts of
# winners are few and found by lead; nobody reads all activities.
_TOUCHED = f"""
    won AS (SELECT o.lead_id, max(o.at) AS at, sum(coalesce(o.amount, 0)) AS amount
            FROM leads_outcome o JOIN leads_lead l ON l.id = o.lead_id AND l.erased_at IS NULL
            WHERE {EARNED} AND o.kind = 'won' AND o.at >= %(low)s AND o.at < %(high)s AND o.at <= %(at)s
            GROUP BY 1),
    touched AS (
        SELECT a.content_id, won.lead_id, won.amount FROM won
        JOIN leads_activity a ON a.lead_id = won.lead_id AND a.occurred_at <= won.at
        WHERE a.content_id IS NOT NULL
        UNION
        SELECT u.content_id, won.lead_id, won.amount FROM won
        JOIN feedback_contentuse u ON u.lead_id = won.lead_id AND u.at <= won.at)"""  # noqa: S608 our own pieces
_SENT = """
    sent AS (SELECT content_id, lead_id, handoff_id FROM feedback_contentuse
             WHERE at >= %(low)s AND at < %(high)s AND at <= %(at)s)"""
_ASKED = """
    asked AS (SELECT h.content_id, coalesce(q.lead_id, -q.id) AS lead_id
              FROM feedback_question q JOIN feedback_question h ON h.id = coalesce(q.group_id, q.id)
              WHERE h.content_id IS NOT NULL AND q.at >= %(low)s AND q.at < %(high)s AND q.at <= %(at)s)"""
_ALL = f"""
    WITH {_TOUCHED}, {_SENT}, {_ASKED}
    SELECT c.id, coalesce(s.handoffs, 0), coalesce(s.leads, 0), coalesce(q.leads, 0), coalesce(t.leads, 0),
           coalesce(t.amount, 0)
    FROM leads_content c
    LEFT JOIN (SELECT content_id, count(DISTINCT handoff_id) AS handoffs, count(DISTINCT lead_id) AS leads
               FROM sent GROUP BY 1) s ON s.content_id = c.id
    LEFT JOIN (SELECT content_id, count(DISTINCT lead_id) AS leads FROM asked GROUP BY 1) q
           ON q.content_id = c.id
    LEFT JOIN (SELECT content_id, count(*) AS leads, sum(amount) AS amount FROM touched GROUP BY 1) t
           ON t.content_id = c.id"""  # noqa: S608


def _bound(filters: Filters) -> dict[str, Any]:
    return {"low": filters.low, "high": filters.high, "at": filters.at}


def used(filters: Filters) -> dict[int, Used]:
    """The figures of every piece, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_ALL, _bound(filters))
        return {pk: Used(*row) for pk, *row in cursor.fetchall()}


def drill(content_id: int, cell: str, filters: Filters) -> QuerySet[Lead]:
    """The leads behind a figure: sent, asked or won. Raises BadInput for another cell."""
    tables = {"sent": (_SENT, "sent"), "asked": (_ASKED, "asked"), "won": (_TOUCHED, "touched")}
    if cell not in tables:
        raise BadInput("This figure is not on the page.", [Fault("cell", "Open it from the page.")])
    ctes, table = tables[cell]
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH {ctes} SELECT DISTINCT lead_id FROM {table} WHERE content_id = %(content)s",  # noqa: S608
            _bound(filters) | {"content": content_id},
        )
        return Lead.objects.filter(pk__in=[row[0] for row in cursor.fetchall()])
