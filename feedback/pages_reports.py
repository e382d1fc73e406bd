"""The report pages: index, one page for each report, the leads behind a figure, CSV, the weekly mail."""

from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from feedback import reports
from feedback.reports import journeys, weekly
from feedback.reports.base import Filters, Report, Table, read_filters
from feedback.reports.cube import Known, page_of_ids
from feedback.reports.frame import campaign_names, persona_names
from feedback.reports.once import asking_once
from feedback.reports.origins import sources
from handoff.models import OPEN, Handoff
from leadflow.accounts.models import Organisation, Team
from leadflow.leads.models import Lead
from leadflow.web import PageRequest, csv_response
from scoring.models import Agreement

PAGE = 50
# Leads that a download reads at a time.
PART = 2000


def tabs() -> list[tuple[str, str, str, str]]:
    """(name, title, what it answers, icon) of every report that has a page here."""
    return [(one.NAME, one.TITLE, one.ASKS, one.ICON) for one in reports.SHOWN]


@require_GET
def index(request: HttpRequest) -> HttpResponseBase:
    """What there is to read; each report's headline comes by a request of its own."""
    return render(request, "feedback/reports.html", {"index": tabs(), "tabs": tabs(), "here": ""})


@require_GET
@asking_once()
def headline(request: HttpRequest, name: str) -> HttpResponseBase:
    """The sentence of a report for its usual period, as a fragment for the index."""
    module, filters = reports.named(name), journeys.marked(_filters(request, name))
    if (done := _filling(name, filters)) is not None:
        return render(request, "feedback/_report_filling.html", {"done": done, "short": True})
    report: Report = module.build(filters)
    return render(request, "feedback/_report_headline.html", {"report": report})


@require_GET
@asking_once()
def show(request: PageRequest, name: str) -> HttpResponseBase:
    """One report: sentence, figures, charts, tables; `?format=csv&table=` the rows of one table."""
    module, filters = reports.named(name), journeys.marked(_filters(request, name))
    csv = request.GET.get("format") == "csv"
    asks_again = bool(request.htmx and request.htmx.target == "filling")
    if not csv and "now" not in request.GET and (done := _filling(name, filters)) is not None:
        context = {"done": done, "tabs": tabs(), "here": name, "title": module.TITLE}
        return render(request, f"feedback/{'_' if asks_again else ''}report_filling.html", context)
    if asks_again:
        return HttpResponse(headers={"HX-Refresh": "true"})
    report: Report = module.build(filters)
    if csv:
        return table_csv(report, request.GET.get("table", ""))
    context = {
        "report": report,
        "tabs": tabs(),
        "here": name,
        "charted": {chart.id for chart in report.charts},
        "weekly": weekly.of(request.user, name, request.GET),
        **choices(report.filters),
    }
    own = f"feedback/report_{name}.html"
    return render(request, [own, "feedback/report.html"], context)


def _filling(name: str, filters: Filters) -> int | None:
    """How many per cent are kept of what this report reads; None where nobody has to wait for it."""
    return None if filters.mark or name not in reports.OF_WAYS else journeys.filling()


def choices(filters: Filters) -> dict[str, Any]:
    """What the filter form offers."""
    versions = Agreement.objects.filter(in_force_at__isnull=False).order_by("-number")
    return {
        "filters": filters,
        "teams": Team.objects.filter(kind=Team.Kind.SALES),
        "sources": sources(),
        "campaigns": campaign_names(),
        "personas": persona_names(),
        "versions": list(versions.values_list("number", flat=True)[:50]),
        "narrowed": sum(bool(one) for one in (filters.campaign, filters.persona, filters.version)),
    }


@require_GET
@asking_once()
def leads(request: HttpRequest, name: str) -> HttpResponseBase:
    """The leads behind one figure, a page at a time; `?format=csv` all of them."""
    module, filters = reports.named(name), _filters(request, name)
    cell = request.GET.get("cell", "")
    if request.GET.get("format") == "csv":
        return _leads_csv(name, _every(module, cell, filters))
    page = _page(module, cell, filters, request.GET.get("page"))
    context = {
        "page": page,
        "filters": filters,
        "name": name,
        "title": getattr(module, "TITLE", "Sales’ answers"),
        "tabs": tabs(),
        "here": name,
        "cell_words": cell_words(name, cell, filters),
    }
    return render(request, "feedback/report_leads.html", context)


def _every(module: ModuleType, cell: str, filters: Filters) -> Iterator[Lead]:
    """All leads behind a figure, the first of them at once: sorted by parts, not all before the first."""
    if hasattr(module, "walked"):
        parts: Iterable[Sequence[int]] = module.walked(cell, filters)
    else:
        found = module.drill(cell, filters)
        if not isinstance(found, Known):
            return _in_order(found).iterator(chunk_size=PART)
        ids = sorted(found.ids, reverse=True)
        parts = (ids[start : start + PART] for start in range(0, len(ids), PART))
    return (lead for ids in parts for lead in _read(ids))


def _read(ids: Sequence[int]) -> list[Lead]:
    """These leads, in this order."""
    found = {lead.pk: lead for lead in _in_order(Lead.objects.filter(pk__in=ids))}
    return [found[pk] for pk in ids if pk in found]


def _page(module: ModuleType, cell: str, filters: Filters, wanted: str | None) -> Page[Any]:
    """A page of the leads behind a figure: a hundred thousand are counted, fifty of them are read."""
    number = int(wanted) if wanted and wanted.isascii() and wanted.isdecimal() and len(wanted) < 9 else 1
    listed = getattr(module, "listed", None) or (
        lambda cell, filters, start, size: page_of_ids(module.drill(cell, filters), start, size)
    )
    ids, total = listed(cell, filters, max(0, number - 1) * PAGE, PAGE)
    pages: Any = Paginator(range(total), PAGE)
    page: Page[Any] = pages.get_page(number)
    if page.number != number:
        ids, _ = listed(cell, filters, (page.number - 1) * PAGE, PAGE)
    page.object_list = _read(ids)
    return page


def _in_order(leads: QuerySet[Lead]) -> QuerySet[Lead]:
    """Newest first, with what a row shows."""
    present = Handoff.objects.filter(lead=OuterRef("pk"), state__in=OPEN)
    rows = leads.select_related("company", "score").order_by("-created_at", "-pk")
    return rows.annotate(held_by=Subquery(present.values("owner__name")[:1]))


@require_POST
def subscribe(request: PageRequest, name: str) -> HttpResponse:
    """Get this report, with its filters, by mail each week; once more ends it."""
    reports.named(name)
    _filters(request, name)
    weekly.toggle(request.user, name, request.GET)
    query = request.GET.urlencode()
    return redirect(f"/reports/{name}/{'?' if query else ''}{query}")


def table_csv(report: Report, key: str) -> HttpResponseBase:
    """One table of a report as a CSV download."""
    table: Table = report.table(key)
    rows = ([figure.value for figure in row] for row in [*table.rows, *([table.foot] if table.foot else [])])
    return csv_response(
        f"{report.name}-{table.key}-{report.filters.start}-{report.filters.end}", table.columns, rows
    )


def _filters(request: HttpRequest, name: str) -> Filters:
    return read_filters(request.GET.dict(), days=reports.days(name))


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
