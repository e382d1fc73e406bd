"""The pages of the campaigns: all with their figures, one, its leads, and the form."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from feedback.campaigns import figures, keeping
from feedback.campaigns.figures import Came
from feedback.listing import lead_list
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Organisation, Role
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, NotVisible
from leadflow.leads.models import Campaign
from leadflow.web import PageRequest, csv_response

MARKETING = (Role.MARKETER, Role.MARKETING_MANAGER)
WORDS = {
    "leads": "came by it",
    "mql": "came by it and reached MQL",
    "offered": "came by it and were offered to sales",
    "accepted": "came by it and were accepted by sales",
    "customers": "came by it and became customers",
    "paid": "came by it and brought revenue",
}


@require_GET
def campaigns(request: PageRequest) -> HttpResponseBase:
    """Every campaign: its word for sales, whether it runs, its cost and what came of it; `?format=csv`."""
    now = clock.now()
    zone = ZoneInfo(Organisation.get().tz)
    today = now.astimezone(zone).date()
    rows = list(Campaign.objects.order_by("-starts_on", "name"))
    came = figures.came([row.pk for row in rows], now)
    if request.GET.get("format") == "csv":
        return _csv(rows, came)
    lines = [(row, came[row.pk], _each(row, came[row.pk]), keeping.running(row, today)) for row in rows]
    lines.sort(key=lambda line: (not line[3], -line[1].leads))
    context = {
        "lines": lines,
        "running": [row for row, _, _, here in lines if here],
        "marketing": _marketing(request),
        "tab": "campaigns",
    }
    return render(request, "feedback/loop/campaigns.html", context)


def _each(campaign: Campaign, came: Came) -> list[tuple[str, str, int, Any]]:
    """(step, label, count, cost of each) of a campaign."""
    return [
        (step, figures.LABELS[step], getattr(came, step), came.cost_per(step, campaign.cost))
        for step in figures.STEPS
    ]


def _csv(rows: Sequence[Campaign], came: dict[int, Came]) -> HttpResponseBase:
    head = [
        "Campaign",
        "Code",
        "Source",
        "From",
        "To",
        "Cost",
        "Currency",
        *figures.LABELS.values(),
        "Revenue",
        *(f"Cost per {label}" for label in figures.LABELS.values()),
        "What sales should know",
    ]

    def line(row: Campaign) -> list[Any]:
        found = came[row.pk]
        return [
            row.name,
            row.code,
            row.source,
            row.starts_on or "",
            row.ends_on or "",
            row.cost,
            row.currency,
            *(getattr(found, step) for step in figures.STEPS),
            found.revenue,
            *(found.cost_per(step, row.cost) for step in figures.STEPS),
            row.message_for_sales,
        ]

    return csv_response("campaigns", head, map(line, rows))


def _marketing(request: PageRequest) -> bool:
    return bool(request.user.in_marketing or request.user.is_admin)


def _find(pk: int) -> Campaign:
    found = Campaign.objects.filter(pk=pk).first()
    if found is None:
        raise NotVisible("There is no such campaign.")
    return found


@require_GET
def campaign(request: PageRequest, pk: int) -> HttpResponseBase:
    """One campaign: the word for sales in full, each step with its leads and what one of them cost."""
    found = _find(pk)
    now = clock.now()
    came = figures.came([pk], now)[pk]
    context = {
        "campaign": found,
        "came": came,
        "each": _each(found, came),
        "running": keeping.running(found, now.astimezone(ZoneInfo(Organisation.get().tz)).date()),
        "marketing": _marketing(request),
        "tab": "campaigns",
    }
    return render(request, "feedback/loop/campaign.html", context)


@require_GET
def leads(request: PageRequest, pk: int) -> HttpResponseBase:
    """The leads behind a figure of a campaign: `?cell=` one of its steps, or `paid`."""
    found = _find(pk)
    cell = request.GET.get("cell", "leads")
    rows = figures.drill(found, cell, clock.now())
    return lead_list(
        request,
        rows,
        title=f"{found.name}: {WORDS[cell]}",
        back=(reverse("feedback:campaign", args=[pk]), "The campaign"),
        name=f"campaign-{found.pk}-{cell}",
        tab="campaigns",
    )


@require_http_methods(["GET", "POST"])
@roles(*MARKETING)
def edit(request: PageRequest, pk: int | None = None) -> HttpResponseBase:
    """Add a campaign or change one."""
    found = _find(pk) if pk is not None else None
    names = [*keeping.FIELDS, *([] if found else ["code"])]
    values: dict[str, Any] = {name: getattr(found, name, "") for name in names}
    faults: dict[str, str] = {}
    if request.method == "POST":
        values = {name: request.POST.get(name, "") for name in names}
        actor = person(request.user)
        try:
            made = keeping.change(found.pk, values, actor) if found else keeping.add(values, actor)
        except BadInput as bad:
            faults = {fault.path: fault.message for fault in bad.faults}
        else:
            messages.success(request, f"“{made.name}” is kept.")
            return redirect("feedback:campaign", pk=made.pk)
    context = {"campaign": found, "values": values, "faults": faults, "tab": "campaigns"}
    return render(request, "feedback/loop/campaign_form.html", context, status=400 if faults else 200)
