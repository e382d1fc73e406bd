"""What came of each campaign, from leads to revenue, and what each of them cost."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from feedback.reports import sources
from feedback.reports.base import Filters
from feedback.reports.cube import Dim
from feedback.reports.tally import Cohort
from leadflow.accounts.models import Organisation
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


# A lead counts once in each step, as in the reports. Revenue is of those who became customers.
_CUBE = Cohort(
    sources.relation,
    sources.CUBE.measures,
    {"id": Dim("Campaign", "campaign_id")},
    few=sources.CUBE.few,
)
_PICKED = ("leads", "mql", "offered", "accepted", "customer", "revenue")
_BEGINNING = date(2000, 1, 1)


def came(campaign_ids: Iterable[int], at: datetime) -> dict[int, Came]:
    """The figures of these campaigns, in a fixed number of queries."""
    ids = list(campaign_ids)
    if not ids:
        return {}
    zone = Organisation.get().tz
    counts = _CUBE.count(Filters(_BEGINNING, at.date() + timedelta(days=1), at, zone), "id")
    found = {pk: counts["id", str(pk)] for pk in ids if ("id", str(pk)) in counts}
    return {pk: Came(*(found[pk][name] for name in _PICKED)) if pk in found else Came() for pk in ids}


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
        rows = Outcome.objects.filter(kind=Outcome.Kind.WON, voided_at=None, replaced_by=None)
    elif cell == "paid":
        leads = drill(campaign, "customers", at)
        rows = Outcome.objects.filter(kind__in=EARNING, voided_at=None, replaced_by=None, amount__gt=0)
    else:
        raise BadInput("This figure is not on the page.", [Fault("cell", "Open it from the page.")])
    return leads.filter(Exists(rows.filter(lead=OuterRef("pk"), at__lte=at)))
