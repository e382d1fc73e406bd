"""Customers of a month, and which of them stayed and grew, by source and persona."""

import calendar
import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from feedback.reports.base import Filters
from leadflow import clock
from leadflow.accounts.models import Organisation
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Lead

NOBODY = "–"
# What may be asked of the list, and its words.
FATES = {
    "all": "became customers",
    "stayed": "are customers still",
    "renewed": "renewed",
    "expanded": "bought more",
    "left": "left us",
}


@dataclass(frozen=True)
class Customer:
    """Who became a customer: since when, by which deal, and what came after."""

    lead_id: int
    since: datetime
    undated: bool
    first_amount: Decimal | None
    revenue: Decimal
    renewed: bool
    expanded: bool
    left_at: datetime | None
    source: str
    campaign: str
    persona: str
    rep: str
    name: str
    company: str
    email: str

    def fate(self, name: str) -> bool:
        """Whether one of FATES is true of it."""
        return {
            "all": True,
            "stayed": self.left_at is None,
            "renewed": self.renewed,
            "expanded": self.expanded,
            "left": self.left_at is not None,
        }[name]


# Since when: the first deal won. Who left and came back later is with us: what counts is which was last.
_CUSTOMERS = """
    WITH told AS (
        SELECT lead_id, kind, at, amount, undated, handoff_id FROM leads_outcome
        WHERE kind IN ('won', 'renewed', 'expanded', 'churned') AND voided_at IS NULL
          AND replaced_by_id IS NULL AND at <= %(now)s),
    first AS (SELECT DISTINCT ON (lead_id) * FROM told WHERE kind = 'won' ORDER BY lead_id, at, undated),
    who AS (SELECT * FROM first WHERE at >= %(low)s AND at < %(high)s),
    after AS (
        SELECT told.lead_id, bool_or(told.kind = 'renewed') AS renewed,
               bool_or(told.kind = 'expanded') AS expanded,
               max(told.at) FILTER (WHERE told.kind = 'churned') AS left_at,
               max(told.at) FILTER (WHERE told.kind <> 'churned') AS paid_at,
               sum(told.amount) FILTER (WHERE told.kind <> 'churned') AS revenue
        FROM told JOIN who ON who.lead_id = told.lead_id GROUP BY 1)
    SELECT who.lead_id, who.at, who.undated, who.amount, coalesce(after.revenue, 0), after.renewed,
           after.expanded, CASE WHEN after.left_at >= after.paid_at THEN after.left_at END, l.first_source,
           coalesce(c.name, ''), coalesce(h.frozen #>> '{persona,name}', ''),
           coalesce((SELECT u.name FROM accounts_user u WHERE u.id = h.owner_id), ''),
           coalesce(nullif(l.name, ''), nullif(l.email, ''), 'Lead ' || l.id), coalesce(co.name, ''), l.email
    FROM who JOIN after ON after.lead_id = who.lead_id
    JOIN leads_lead l ON l.id = who.lead_id AND l.erased_at IS NULL AND l.merged_into_id IS NULL
    LEFT JOIN leads_campaign c ON c.id = l.first_campaign_id
    LEFT JOIN leads_company co ON co.id = l.company_id
    LEFT JOIN LATERAL (
        SELECT frozen, owner_id FROM handoff_handoff h WHERE h.lead_id = l.id AND h.first_offered_at <= who.at
        ORDER BY (h.id = who.handoff_id) DESC NULLS LAST, h.first_offered_at DESC LIMIT 1) h ON true
    WHERE (%(source)s = '' OR l.first_source = %(source)s)
      AND (%(campaign)s = '' OR c.code = %(campaign)s)
      AND (%(team)s IS NULL OR h.owner_id IN (SELECT id FROM accounts_user WHERE team_id = %(team)s))
      AND (%(persona)s = '' OR (h.frozen #>> '{persona,key}' = %(persona)s
           AND h.frozen #>> '{persona,ideal}' IS DISTINCT FROM 'false'))
    ORDER BY who.at DESC, who.lead_id DESC"""


def customers(filters: Filters) -> list[Customer]:
    """Who became a customer in the period, the latest first; one statement."""
    bound: dict[str, Any] = {
        "low": filters.low,
        "high": filters.high,
        "now": filters.at,
        "source": filters.source,
        "campaign": filters.campaign,
        "persona": filters.persona,
        "team": filters.team,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CUSTOMERS, bound)
        return [Customer(*row) for row in cursor.fetchall()]


@dataclass(frozen=True)
class Kept:
    """Of the customers of one source or persona: how many, how many stayed, grew, left."""

    key: str
    count: int
    stayed: int
    renewed: int
    expanded: int
    left: int
    revenue: Decimal


def kept(rows: Iterable[Customer], by: str) -> list[Kept]:
    """Who stays and grows, by `source` or `persona`; the most customers first."""
    found: dict[str, list[Customer]] = defaultdict(list)
    for row in rows:
        found[getattr(row, by)].append(row)
    made = [of(key, group) for key, group in found.items()]
    return sorted(made, key=lambda row: (-row.count, row.key))


def of(key: str, rows: Sequence[Customer]) -> Kept:
    """The sums of some customers."""
    count = {name: sum(row.fate(name) for row in rows) for name in FATES}
    return Kept(
        key,
        count["all"],
        count["stayed"],
        count["renewed"],
        count["expanded"],
        count["left"],
        sum((row.revenue for row in rows), Decimal(0)),
    )


def chosen(
    rows: Iterable[Customer], fate: str, source: str | None = None, persona: str | None = None
) -> list[Customer]:
    """Those of whom something is true. Raises BadInput for a fate that is none."""
    if fate not in FATES:
        raise BadInput("This figure is not on the page.", [Fault("who", "Open it from the page.")])
    return [
        row
        for row in rows
        if row.fate(fate) and source in (None, row.source) and persona in (None, row.persona)
    ]


def leads(rows: Iterable[Customer]) -> QuerySet[Lead]:
    """Their leads."""
    # As one value: thousands of placeholders cost more than the leads.
    ids = RawSQL("SELECT unnest(%s::bigint[])", [[row.lead_id for row in rows]])
    return Lead.objects.filter(pk__in=ids)


@dataclass(frozen=True)
class Month:
    """A month that somebody may look at."""

    key: str
    label: str


def month(text: str) -> tuple[dt.date, dt.date]:
    """First and last day of a month written 2026-10. Raises BadInput."""
    try:
        first = dt.date.fromisoformat(f"{text}-01")
    except ValueError:
        first = dt.date.min
    if not 2000 <= first.year <= 2100:
        raise BadInput("That is no month.", [Fault("month", "Write it as 2026-10.")])
    return first, first.replace(day=calendar.monthrange(first.year, first.month)[1])


def of_month(filters: Filters, text: str) -> Filters:
    """The same filters for one month."""
    start, end = month(text)
    return replace(filters, start=start, end=end)


def months(at: datetime, zone: str) -> list[Month]:
    """The months from the first customer until now, the latest first; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(at) FROM leads_outcome WHERE kind = 'won' AND voided_at IS NULL AND at <= %s", [at]
        )
        (first,) = cursor.fetchone()
    day = at.astimezone(ZoneInfo(zone)).date().replace(day=1)
    last = (first or at).astimezone(ZoneInfo(zone)).date().replace(day=1)
    found: list[Month] = []
    while day >= last and len(found) < 120:
        found.append(Month(f"{day:%Y-%m}", f"{day:%B %Y}"))
        day = (day - dt.timedelta(days=1)).replace(day=1)
    return found


def this_month() -> str:
    """The present month in the company's zone, as 2026-11."""
    return f"{clock.now().astimezone(ZoneInfo(Organisation.get().tz)):%Y-%m}"


def columns(currency: str) -> list[str]:
    """The head of the CSV."""
    return [
        "Lead",
        "E-mail",
        "Company",
        "Customer since",
        "Undated",
        f"First deal ({currency})",
        f"Revenue so far ({currency})",
        "Renewed",
        "Bought more",
        "Left on",
        "First source",
        "First campaign",
        "Persona",
        "Rep",
    ]


def line(row: Customer, zone: str) -> list[Any]:
    """A row of the CSV."""
    here = ZoneInfo(zone)

    def yes(value: bool) -> str:
        return "yes" if value else "no"

    return [
        row.name,
        row.email,
        row.company,
        row.since.astimezone(here).date().isoformat(),
        yes(row.undated),
        row.first_amount,
        row.revenue,
        yes(row.renewed),
        yes(row.expanded),
        row.left_at.astimezone(here).date().isoformat() if row.left_at else "",
        row.source,
        row.campaign,
        row.persona,
        row.rep,
    ]
