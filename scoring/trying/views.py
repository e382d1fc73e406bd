"""Try a lead: the page."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.db.models import Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from leadflow import clock
from leadflow.errors import BadInput, NotVisible
from leadflow.leads.folding import fold
from leadflow.leads.models import ActivityKind, Company, Lead
from scoring.models import Agreement
from scoring.trying import firing, imaginary
from scoring.trying.imaginary import Act
from scoring.views.desk import Desk, desk_of, writers

FOUND = 8
SHORTEST = 2
ROWS = 4


@require_GET
@writers
def page(request: HttpRequest) -> HttpResponseBase:
    """A lead by the draft (or `v`) and by the version in force: `lead` a real one, `imaginary` a typed one.

    Everything is in the address, so that it can be sent to somebody; nothing is written.
    """
    desk = desk_of(request)
    other = desk.in_force if desk.in_force and desk.in_force.pk != desk.agreement.pk else None
    query = request.GET.get("q", "").strip()[:200]
    is_imaginary = "imaginary" in request.GET
    context: dict[str, Any] = {
        "desk": desk,
        "agreement": desk.agreement,
        "against": other,
        "q": query,
        "hits": _search(query),
        "imaginary": is_imaginary,
        "version": request.GET.get("v", ""),
        "here": f"{reverse('scoring:try')}?{urlencode({'v': desk.agreement.number})}",
    }
    if is_imaginary:
        context |= _imaginary(request.GET, desk, other)
    elif request.GET.get("lead"):
        context |= _real(request.GET["lead"], desk, other)
    return render(request, "scoring/trying/try.html", context)


def _search(query: str) -> list[Lead]:
    """Some living leads whose name, address or company has the text."""
    key = fold(query)
    if len(key) < SHORTEST:
        return []
    # A union, not one OR: each search then uses its own trigram index.
    every = Lead.objects.order_by().values("pk")
    ids = every.filter(name_key__contains=key).union(
        every.alias(mail=Coalesce("email_key", Value(""))).filter(mail__contains=key),
        every.filter(company__in=Company.objects.filter(name_key__contains=key).values("pk")),
    )
    living = Lead.objects.filter(pk__in=ids, merged_into=None, erased_at=None)
    return list(living.select_related("company").order_by("-changed_at")[:FOUND])


def _real(key: str, desk: Desk, other: Agreement | None) -> dict[str, Any]:
    if not key.isdecimal() or len(key) > 15:
        raise NotVisible
    lead = Lead.objects.select_related("company").filter(pk=int(key), erased_at=None).first()
    if lead is None:
        raise NotVisible
    return {"lead": lead, **_sides(lead.pk, desk, other)}


def _imaginary(query: QueryDict, desk: Desk, other: Agreement | None) -> dict[str, Any]:
    facts = imaginary.facts()
    values = {fact.key: query.get(f"f.{fact.key}", "").strip() for fact in facts}
    acts, rows = _acts(query)
    context: dict[str, Any] = {
        "kinds": list(ActivityKind.objects.order_by("label").values_list("key", "label")),
        "rows": rows,
    }
    faults: Mapping[str, str] = {}
    if any(values.values()) or acts:
        try:
            with imaginary.lead(values, acts) as lead_id:
                context |= _sides(lead_id, desk, other)
        except BadInput as bad:
            faults = {fault.path: fault.message for fault in bad.faults}
            context["wrong"] = bad.message
    context["fields"] = [
        {"fact": fact, "value": values[fact.key], "fault": faults.get(f"fact.{fact.key}", "")}
        for fact in facts
    ]
    known = {f"fact.{fact.key}" for fact in facts}
    context["faults"] = [text for path, text in faults.items() if path not in known]
    return context


def _acts(query: QueryDict) -> tuple[list[Act], list[dict[str, str]]]:
    """The acts that were typed, and the rows of the form: those, and some empty ones."""
    made: list[Act] = []
    rows: list[dict[str, str]] = []
    for i in range(imaginary.MOST_ROWS):
        row = {name: query.get(f"a{i}.{name}", "").strip() for name in ("kind", "times", "days", "path")}
        if row["kind"]:
            made.append(Act(row["kind"], _whole(row["times"], 1), _whole(row["days"], 0), row["path"]))
            rows.append({**row, "n": str(len(rows))})
    wanted = min(imaginary.MOST_ROWS, max(ROWS, len(rows) + 1))
    while len(rows) < wanted:
        rows.append({"kind": "", "times": "", "days": "", "path": "", "n": str(len(rows))})
    return made, rows


def _whole(text: str, default: int) -> int:
    """A number as typed; -1, which no act may have, for what is none."""
    if not text:
        return default
    return int(text) if text.isdecimal() and len(text) < 6 else -1


def _sides(lead_id: int, desk: Desk, other: Agreement | None) -> dict[str, Any]:
    at = clock.now()
    one = firing.tried(lead_id, desk.agreement, at)
    if one is None:
        raise NotVisible
    two = firing.tried(lead_id, other, at) if other else None
    sides = [side for side in (one, two) if side]
    return {"one": one, "two": two, "sides": sides, "groups": _groups(one, two), "at": at}


def _groups(one: firing.Tried, two: firing.Tried | None) -> list[dict[str, Any]]:
    return [
        {
            "words": words,
            "lines": lines,
            "limits": [(line, "one") for line in one.limits(group)]
            + [(line, "two") for line in (two.limits(group) if two else [])],
            "one": one.told.groups[group],
            "two": two.told.groups[group] if two else None,
        }
        for group, words, lines in firing.beside(one, two)
    ]
