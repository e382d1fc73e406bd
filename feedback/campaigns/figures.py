"""What came of each campaign, from leads to revenue, and what each of them cost."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Answer, Campaign, Lead, Outcome, StageChange

STEPS = ("leads", "mql", "offered", "accepted", "customers")
LABELS = {
    "leads": "Leads",
    "mql": "MQL",
    "offered": "SQL offered",
    "accepted": "SQL accepted",
    "customers": "Customers",
}
EARNING = (Outcome.Kind.WON, Outcome.Kind.RENEWED, Outcome.Kind.EXPANDED)


@dataclass(frozen=True)
class Came:
    """The leads whose first campaign it was and how far they came; revenue is won, renewed and expanded."""

    leads: int = 0
    mql: int = 0
    offered: int = 0
    accepted: int = 0
    customers: int = 0
    revenue: Decimal = Decimal(0)

    def cost_per(self, step: str, cost: Decimal | None) -> Decimal | None:
        """What one of them cost; None without a cost or without any."""
        count = getattr(self, step)
        return round(cost / count, 2) if cost is not None and count else None


# A lead counts once in each step, as in the conversion report.
_CAME = """
    WITH cohort AS (
        SELECT id, first_campaign_id AS campaign FROM leads_lead
        WHERE first_campaign_id = ANY(%(ids)s) AND merged_into_id IS NULL AND erased_at IS NULL
          AND created_at <= %(at)s),
    mql AS (SELECT DISTINCT lead_id FROM leads_stagechange WHERE to_stage IN ('mql', 'sql') AND at <= %(at)s),
    said AS (SELECT lead_id, bool_or(kind = 'offered') AS offered, bool_or(kind = 'accepted') AS accepted
             FROM leads_answer WHERE kind IN ('offered', 'accepted') AND voided_at IS NULL AND at <= %(at)s
             GROUP BY 1),
    got AS (SELECT lead_id, bool_or(kind = 'won') AS won,
                   sum(amount) FILTER (WHERE replaced_by_id IS NULL) AS amount
            FROM leads_outcome
            WHERE kind IN ('won', 'renewed', 'expanded') AND voided_at IS NULL AND at <= %(at)s GROUP BY 1)
    SELECT campaign, count(*), count(mql.lead_id), count(*) FILTER (WHERE said.offered),
           count(*) FILTER (WHERE said.accepted), count(*) FILTER (WHERE got.won),
           coalesce(sum(got.amount), 0)
    FROM cohort LEFT JOIN mql ON mql.lead_id = cohort.id LEFT JOIN said ON said.lead_id = cohort.id
    LEFT JOIN got ON got.lead_id = cohort.id GROUP BY campaign"""


def came(campaign_ids: Iterable[int], at: datetime) -> dict[int, Came]:
    """The figures of these campaigns, in one statement."""
    ids = list(campaign_ids)
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_CAME, {"ids": ids, "at": at})
        found = {pk: Came(*row) for pk, *row in cursor.fetchall()}
    return {pk: found.get(pk, Came()) for pk in ids}


def drill(campaign: Campaign, cell: str, at: datetime) -> QuerySet[Lead]:
    """The leads behind a step, or `paid`: those who brought revenue. Raises BadInput for another cell."""
    leads = Lead.objects.filter(first_campaign=campaign, merged_into=None, erased_at=None, created_at__lte=at)
    rows: QuerySet[Any]
    if cell == "leads":
        return leads
    if cell == "mql":
        rows = StageChange.objects.filter(to_stage__in=("mql", "sql"))
    elif cell in ("offered", "accepted"):
        rows = Answer.objects.filter(kind=cell, voided_at=None)
    elif cell == "customers":
        rows = Outcome.objects.filter(kind=Outcome.Kind.WON, voided_at=None)
    elif cell == "paid":
        rows = Outcome.objects.filter(kind__in=EARNING, voided_at=None, replaced_by=None, amount__gt=0)
    else:
        raise BadInput("This figure is not on the page.", [Fault("cell", "Open it from the page.")])
    return leads.filter(Exists(rows.filter(lead=OuterRef("pk"), at__lte=at)))
