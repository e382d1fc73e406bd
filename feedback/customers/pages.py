"""The pages of customers: a month of them, one's way to us, who stays and grows; outcomes without a lead."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from feedback.customers import months, unmatched, way
from feedback.customers.months import Customer
from feedback.listing import lead_list
from feedback.reports.base import Filters, read_filters
from feedback.reports.origins import sources
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Organisation, Role, Team
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, Fault, NotVisible
from leadflow.leads.models import UnmatchedOutcome
from leadflow.paging import page_of
from leadflow.web import PageRequest, csv_response, fragment

PAGE = 50
DAYS = 365
MAY = (Role.MARKETER, Role.MARKETING_MANAGER, Role.SALES_MANAGER)


def _filters(request: PageRequest) -> tuple[Filters, str]:
    """The filters, and the month where one is chosen (by default the present one)."""
    filters = read_filters(request.GET.dict(), days=DAYS)
    text = request.GET.get("month", "")
    if text or not (request.GET.get("from") or request.GET.get("to")):
        text = text or months.this_month()
        return months.of_month(filters, text), text
    return filters, ""


@require_GET
def customers(request: PageRequest) -> HttpResponseBase:
    """Who became a customer in a month (or from, to), and who of them stays and grows; `?format=csv`."""
    filters, month = _filters(request)
    found = months.customers(filters)
    org = Organisation.get()
    if request.GET.get("format") == "csv":
        rows = (months.line(row, org.tz) for row in found)
        return csv_response(f"customers-{filters.start}-{filters.end}", months.columns(org.currency), rows)
    known = months.months(filters.at, filters.zone)
    if month and month not in {one.key for one in known}:
        known = sorted([*known, months.Month(month, f"{filters.start:%B %Y}")], key=lambda m: m.key)[::-1]
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "total": months.of("all", found),
        "undated": sum(row.undated for row in found),
        "tables": [
            ("Source", _linked(months.kept(found, "source"), "source", filters)),
            ("Persona", _linked(months.kept(found, "persona"), "persona", filters)),
        ],
        "links": {fate: _link(filters, fate) for fate in months.FATES},
        "filters": filters,
        "months": known,
        "month": month,
        "sources": sources(),
        "teams": Team.objects.filter(kind=Team.Kind.SALES),
        "strays": UnmatchedOutcome.objects.count(),
        "tab": "customers",
    }
    return render(request, "feedback/loop/customers.html", context)


def _link(filters: Filters, fate: str, **more: str) -> str:
    query = {**filters.query, **{f"of_{name}": value for name, value in more.items()}, "who": fate}
    return f"{reverse('feedback:customer-leads')}?{urlencode(query)}"


def _linked(rows: Sequence[months.Kept], by: str, filters: Filters) -> list[dict[str, Any]]:
    return [
        {"row": row, "links": {fate: _link(filters, fate, **{by: row.key}) for fate in months.FATES}}
        for row in rows
    ]


@require_GET
def leads(request: PageRequest) -> HttpResponseBase:
    """The leads behind a figure of the page."""
    filters = read_filters(request.GET.dict(), days=DAYS)
    who, source, persona = (request.GET.get(name) for name in ("who", "of_source", "of_persona"))
    found: list[Customer] = months.chosen(months.customers(filters), who or "all", source, persona)
    of = f", {source or persona or 'without'}" if source is not None or persona is not None else ""
    return lead_list(
        request,
        months.leads(found),
        title=f"Customers from {filters.words} who {months.FATES[who or 'all']}{of}",
        back=(f"{reverse('feedback:customers')}?{urlencode(filters.query)}", "Customers"),
        name="customers",
        tab="customers",
        seen=len(found),
    )


@require_GET
def customer(request: PageRequest, pk: int) -> HttpResponseBase:
    """One customer's way: first touch, conversion points, content, campaigns, stages, outcomes."""
    found = way.way(pk, clock.now())
    return render(
        request, "feedback/loop/customer.html", {"way": found, "lead": found.lead, "tab": "customers"}
    )


# Outcomes that named nobody ----------------------------------------------------------------------


@require_GET
@roles(*MAY)
def strays(request: PageRequest) -> HttpResponseBase:
    """Outcomes that named no lead we know."""
    page = page_of(unmatched.strays(), request.GET.get("page"), PAGE)
    context = {"page": page, "strays": unmatched.dressed(list(page.object_list)), "tab": "customers"}
    return render(request, "feedback/loop/strays.html", context)


@require_http_methods(["GET", "POST"])
@roles(*MAY)
def match(request: PageRequest, pk: int) -> HttpResponseBase:
    """Say whose an outcome is. GET: a dialog with the leads that it may be."""
    if request.method == "POST":
        lead = request.POST.get("lead", "")
        if not (lead.isascii() and lead.isdigit() and len(lead) < 18):
            raise BadInput("Say whose it is.", [Fault("lead", "Choose one of the leads.")])
        made = unmatched.match(pk, int(lead), person(request.user))
        messages.success(request, f"{made.lead}: {made.get_kind_display().lower()}, matched by hand.")
        return redirect("feedback:strays")
    row = UnmatchedOutcome.objects.filter(pk=pk).first()
    if row is None:
        raise NotVisible("It is not on the list any more.")
    words = request.GET.get("q", "")
    context = {
        "stray": unmatched.dressed([row])[0],
        "found": unmatched.candidates(row, words),
        "words": words,
    }
    searching = request.htmx and request.htmx.target == "match-found"
    if searching:
        return render(request, "feedback/loop/_found.html", context)
    return fragment(request, "feedback/loop/_match.html", context, title="Whose is it?")


@require_POST
@roles(*MAY)
def drop(request: PageRequest, pk: int) -> HttpResponse:
    """Off the list."""
    unmatched.drop(pk, person(request.user))
    messages.success(request, "Off the list; it stays on the record.")
    return redirect("feedback:strays")


@require_POST
@roles(*MAY)
def again(request: PageRequest) -> HttpResponse:
    """Look again: some leads are known by now."""
    count = unmatched.again(person(request.user))
    messages.success(
        request,
        f"{count} found {'its lead' if count == 1 else 'their leads'}." if count else "None is known yet.",
    )
    return redirect("feedback:strays")
