"""The report pages: index, one page for each report, the leads behind a figure, CSV."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from feedback import reports
from feedback.reports.base import Filters, Report, Table, read_filters
from handoff.models import OPEN, Handoff
from leadflow import audit, clock
from leadflow.accounts.models import Organisation, Team
from leadflow.leads.models import Lead
from leadflow.web import csv_response

PAGE = 50
DAYS = {"conversion": 91}
# (name, title, what it answers, icon)
INDEX = (
    ("sla", "Promises kept", "Does sales answer in time? By team, rep and grade.", "clock"),
    ("conversion", "Conversion", "How many leads become customers, and where they stop.", "chart-bar"),
    ("cracks", "Cracks", "Did anyone fall through? Every lead has one place.", "search"),
)


@require_GET
def index(request: HttpRequest) -> HttpResponseBase:
    """What there is to read."""
    return render(request, "feedback/reports.html", {"index": INDEX, "tabs": INDEX, "here": ""})


@require_GET
def show(request: HttpRequest, name: str) -> HttpResponseBase:
    """One report: sentence, chart, tables; `?format=csv&table=` the rows of one table."""
    filters = _filters(request, name)
    report: Report = reports.named(name).build(filters)
    if request.GET.get("format") == "csv":
        return table_csv(report, request.GET.get("table", ""))
    context = {
        "report": report,
        "filters": filters,
        "tabs": INDEX,
        "here": name,
        "teams": Team.objects.filter(kind=Team.Kind.SALES),
        "sources": sources(),
    }
    return render(request, f"feedback/report_{name}.html", context)


@require_GET
def leads(request: HttpRequest, name: str) -> HttpResponseBase:
    """The leads behind one figure, a page at a time; `?format=csv` all of them."""
    filters = _filters(request, name)
    cell = request.GET.get("cell", "")
    present = Handoff.objects.filter(lead=OuterRef("pk"), state__in=OPEN)
    found = reports.named(name).drill(cell, filters).select_related("company", "score")
    found = found.annotate(held_by=Subquery(present.values("owner__name")[:1]))
    found = found.order_by("-created_at", "-pk")
    if request.GET.get("format") == "csv":
        return _leads_csv(name, found.iterator(chunk_size=2000))
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "filters": filters,
        "name": name,
        "title": {row[0]: row[1] for row in INDEX}.get(name, "Sales’ answers"),
        "tabs": INDEX,
        "here": name,
        "cell_words": cell_words(name, cell, filters),
    }
    return render(request, "feedback/report_leads.html", context)


@require_GET
def cracks(request: HttpRequest) -> HttpResponseBase:
    """Where every lead stands, and what does not add up."""
    at = clock.now()
    places = audit.places()
    strays = list(audit.strays(at))
    context = {
        "places": places,
        "total": sum(places.values()),
        "strays": strays,
        "at": at,
        "tabs": INDEX,
        "here": "cracks",
    }
    return render(request, "feedback/report_cracks.html", context)


def table_csv(report: Report, key: str) -> HttpResponseBase:
    """One table of a report as a CSV download."""
    table: Table = report.table(key)
    rows = ([figure.value for figure in row] for row in [*table.rows, *([table.foot] if table.foot else [])])
    return csv_response(
        f"{report.name}-{table.key}-{report.filters.start}-{report.filters.end}", table.columns, rows
    )


def sources() -> list[str]:
    """The first sources that leads came by."""
    found = Lead.objects.exclude(first_source="").values_list("first_source", flat=True)
    return sorted(found.distinct())


def _filters(request: HttpRequest, name: str) -> Filters:
    return read_filters(request.GET.dict(), days=DAYS.get(name, 28))


def _leads_csv(name: str, found: Any) -> HttpResponseBase:
    header = (
        "Lead",
        "E-mail",
        "Job title",
        "Company",
        "Stage",
        "Score",
        "Grade",
        "First source",
        "Lead since",
    )
    rows = (
        (
            lead.name,
            lead.email,
            lead.title,
            lead.company.name if lead.company else "",
            lead.get_stage_display(),
            lead.score.total if hasattr(lead, "score") else "",
            lead.score.grade if hasattr(lead, "score") else "",
            lead.first_source,
            lead.created_at.date().isoformat(),
        )
        for lead in found
    )
    return csv_response(f"{name}-leads-{Organisation.get().name.lower().replace(' ', '-')}", header, rows)


def cell_words(name: str, cell: str, filters: Filters) -> str:
    """What a cell counts, in words for the head of the list."""
    return str(reports.named(name).words(cell, filters))
