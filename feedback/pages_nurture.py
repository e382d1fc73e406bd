"""Tracks, audiences, and the list of those to whom sales is talking."""

from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from feedback import audiences, talking, tasks, tracks
from feedback.pages_mqls import MARKETERS
from leadflow import clock, paging
from leadflow.accounts.models import Role
from leadflow.accounts.rights import roles
from leadflow.errors import NotVisible
from leadflow.leads.models import Lead
from leadflow.web import PageRequest, csv_response

PAGE = 50


@require_GET
@roles(*MARKETERS, Role.SALES_MANAGER)
def track_page(request: PageRequest) -> HttpResponse:
    """Each track: what starts it, its steps with what came of them, who is on it."""
    context = {"tracks": tracks.overview(clock.now()), "here": "tracks"}
    return render(request, "feedback/tracks.html", context | tasks.counts())


@require_GET
@roles(*MARKETERS, Role.SALES_MANAGER)
def track_leads(request: PageRequest, key: str) -> HttpResponse:
    """Who is on one track: the step, the next date, and whether it rests while sales talks."""
    found = tracks.on_track(key)
    page_of = paging.page_of(found, request.GET.get("page"), PAGE)
    context = {
        "page": page_of,
        "rows": tracks.enrolment_rows(list(page_of.object_list)),
        "name": tracks.name_of(key),
        "here": "tracks",
    }
    return render(request, "feedback/track_leads.html", context | tasks.counts())


@require_GET
def of_lead(request: PageRequest, pk: int) -> HttpResponse:
    """What marketing does with one lead: its track, what it got, and (for marketing) the acts; a fragment."""
    lead = get_object_or_404(Lead, pk=pk, erased_at=None, merged_into=None)
    user: Any = request.user
    context = {
        "lead": lead,
        "of": tracks.of_lead(lead, clock.now()),
        "can_act": user.in_marketing or user.is_admin,
    }
    return render(request, "feedback/_nurture_of_lead.html", context)


@require_GET
@roles(*MARKETERS, Role.SALES_MANAGER)
def audience_page(request: PageRequest) -> HttpResponse:
    """The audiences that steps of tracks made, each with its size and its file."""
    context = {"audiences": audiences.all_of_them(clock.now()), "here": "audiences"}
    return render(request, "feedback/audiences.html", context | tasks.counts())


@require_GET
@roles(*MARKETERS)
def audience_csv(request: PageRequest) -> HttpResponseBase:
    """One audience as a file for other tools. 404 for a name that no step ever wrote."""
    name = request.GET.get("name", "")
    if name not in {one.name for one in audiences.all_of_them(clock.now())}:
        raise NotVisible("There is no such audience.")
    rows = audiences.members(name, clock.now())
    return csv_response("audience", audiences.HEADER, audiences.lines(rows))


@require_GET
@roles(*MARKETERS, Role.SALES_MANAGER)
def talking_page(request: PageRequest) -> HttpResponseBase:
    """Sales is talking: whom marketing must not write to now, as a page and as a file."""
    query = request.GET.get("q", "")[:100]
    found = talking.with_sales(query)
    if request.GET.get("format") == "csv":
        return csv_response("sales-is-talking", talking.HEADER, talking.lines(found))
    page_of = paging.page_of(found, request.GET.get("page"), PAGE)
    rows = [(one, talking.who(one)) for one in page_of]
    context = {"page": page_of, "rows": rows, "here": "talking", "query": query}
    return render(request, "feedback/talking.html", context | tasks.counts())
