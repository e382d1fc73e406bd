"""Groups of questions as they are read: how many asked, who, the answer; one query for a page of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from feedback.models import Question
from feedback.reports.base import Filters
from leadflow.leads.models import Lead

STATES = {"": "All", "open": "No answer yet", "wanted": "A piece is being written", "answered": "Answered"}


@dataclass(frozen=True)
class Group:
    """What stands together: its first question, and how often it was heard in the period."""

    head: Question
    heard: int
    leads: int
    last: datetime


_GROUPS = """
    SELECT coalesce(q.group_id, q.id) AS head, count(*), count(DISTINCT q.lead_id), max(q.at)
    FROM feedback_question q JOIN feedback_question h ON h.id = coalesce(q.group_id, q.id)
    LEFT JOIN leads_lead l ON l.id = q.lead_id
    WHERE q.at >= %(low)s AND q.at < %(high)s AND q.at <= %(at)s
      AND (%(kind)s = '' OR q.kind = %(kind)s)
      AND (%(source)s = '' OR l.first_source = %(source)s)
      AND (%(campaign)s = ''
           OR l.first_campaign_id = (SELECT id FROM leads_campaign WHERE code = %(campaign)s))
      AND (%(team)s IS NULL OR q.asked_by_id IN (SELECT id FROM accounts_user WHERE team_id = %(team)s))
      AND CASE %(state)s WHEN 'open' THEN h.answered_at IS NULL
                         WHEN 'wanted' THEN h.wanted_by IS NOT NULL AND h.answered_at IS NULL
                         WHEN 'answered' THEN h.answered_at IS NOT NULL ELSE true END
    GROUP BY 1 ORDER BY 2 DESC, 4 DESC, 1"""


def heard(filters: Filters, *, kind: str = "", state: str = "") -> list[tuple[int, int, int, datetime]]:
    """(first question, times heard, leads, last) of each group of the period, the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(_GROUPS, _bound(filters) | {"kind": kind, "state": state})
        return list(cursor.fetchall())


def most_heard(filters: Filters, kinds: Sequence[str], top: int) -> dict[str, list[tuple[int, str, int]]]:
    """(first question, its words, times heard) of the most frequent groups of each kind; one query."""
    each = _GROUPS.replace("%(kind)s", "k.kind")
    found: dict[str, list[tuple[int, str, int]]] = {kind: [] for kind in kinds}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT k.kind, g.head, first.text, g.times
            FROM unnest(%(kinds)s::text[]) WITH ORDINALITY k(kind, n)
            CROSS JOIN LATERAL ({each} LIMIT %(top)s) g(head, times, leads, last)
            JOIN feedback_question first ON first.id = g.head
            ORDER BY k.n, g.times DESC, g.last DESC, g.head""",  # noqa: S608 ours
            _bound(filters) | {"kinds": list(kinds), "state": "", "top": top},
        )
        for kind, head, text, times in cursor.fetchall():
            found[kind].append((head, text, times))
    return found


def _bound(filters: Filters) -> dict[str, Any]:
    return {
        "low": filters.low,
        "high": filters.high,
        "at": filters.at,
        "source": filters.source,
        "campaign": filters.campaign,
        "team": filters.team,
    }


def dressed(rows: Sequence[tuple[int, int, int, datetime]]) -> list[Group]:
    """The same with what is said of them; one query."""
    heads = Question.objects.select_related("content", "answered_by").in_bulk([row[0] for row in rows])
    return [Group(heads[head], n, leads, last) for head, n, leads, last in rows if head in heads]


def of_head(pk: int) -> QuerySet[Question]:
    """All of a group, newest first."""
    found = Question.objects.filter(Q(pk=pk) | Q(group=pk))
    return found.select_related("lead__company", "asked_by").order_by("-at", "-pk")


def counted(heads: Sequence[int]) -> dict[int, int]:
    """How many leads asked each, ever."""
    if not heads:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(group_id, id), count(DISTINCT coalesce(lead_id, -id)) FROM feedback_question"
            " WHERE id = ANY(%s) OR group_id = ANY(%s) GROUP BY 1",
            [list(heads), list(heads)],
        )
        return dict(cursor.fetchall())


def of_lead(lead_id: int) -> list[dict[str, Any]]:
    """What one lead asked, each with its answer and how many others ask it; three queries."""
    rows = list(
        Question.objects.filter(lead=lead_id)
        .select_related("content", "group__content", "asked_by")
        .order_by("-at", "-pk")[:30]
    )
    heads = [row.group or row for row in rows]
    counts = counted([head.pk for head in heads])
    return [
        {"row": row, "head": head, "leads": counts.get(head.pk, 1)}
        for row, head in zip(rows, heads, strict=True)
    ]


def leads_of(pk: int) -> QuerySet[Lead]:
    """Who asked it."""
    asked = Question.objects.filter(Q(pk=pk) | Q(group=pk)).values("lead")
    return Lead.objects.filter(pk__in=asked)
