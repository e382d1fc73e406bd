"""The leads behind a figure of the loop's pages: one list, one CSV."""

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render

from handoff.models import OPEN, Handoff
from leadflow.leads.models import Lead
from leadflow.paging import page_of
from leadflow.web import csv_response

PAGE = 50
HEADER = ("Lead", "E-mail", "Job title", "Company", "Stage", "Score", "Grade", "First source", "Lead since")


def lead_list(
    request: HttpRequest,
    found: QuerySet[Lead],
    *,
    title: str,
    back: tuple[str, str],
    name: str,
    tab: str,
    seen: int | None = None,
) -> HttpResponseBase:
    """A page of leads, newest first, or all of them with `?format=csv`; `back` is (address, words). `seen`:
    how many they are, if that is known."""
    present = Handoff.objects.filter(lead=OuterRef("pk"), state__in=OPEN)
    rows = found.select_related("company", "score").order_by("-created_at", "-pk")
    if request.GET.get("format") == "csv":
        return csv_response(name, HEADER, (_line(lead) for lead in rows.iterator(chunk_size=2000)))
    page = page_of(rows, request.GET.get("page"), PAGE, seen=seen, first_ids=True)
    leads: Any = page.object_list
    page.object_list = leads.annotate(held_by=Subquery(present.values("owner__name")[:1]))
    context = {"page": page, "title": title, "back": back, "tab": tab}
    return render(request, "feedback/loop/leads.html", context)


def _line(lead: Lead) -> tuple[Any, ...]:
    score = getattr(lead, "score", None)
    return (
        lead.name,
        lead.email,
        lead.title,
        lead.company.name if lead.company else "",
        lead.get_stage_display(),
        score.total if score else "",
        score.grade if score else "",
        lead.first_source,
        lead.created_at.date().isoformat(),
    )
