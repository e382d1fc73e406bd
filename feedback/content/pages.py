"""The pages of the library: all pieces with their figures, one piece, the leads behind a figure."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from feedback.content import figures, library
from feedback.content.figures import Used
from feedback.listing import lead_list
from feedback.models import ContentUse, Question
from feedback.questions import groups, log
from feedback.reports.answers import current_terms
from feedback.reports.base import Filters, read_filters
from leadflow.accounts.actors import person
from leadflow.accounts.models import Organisation, Role
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, NotVisible
from leadflow.leads.models import Content
from leadflow.web import PageRequest, csv_response

DAYS = 365
MARKETING = (Role.MARKETER, Role.MARKETING_MANAGER)
SORTS = {
    "title": lambda row: (row[0].title.casefold(),),
    "sent": lambda row: (-row[1].handoffs, row[0].title.casefold()),
    "asked": lambda row: (-row[1].asked, row[0].title.casefold()),
    "won": lambda row: (-row[1].won, row[0].title.casefold()),
    "revenue": lambda row: (-row[1].revenue, row[0].title.casefold()),
}
Row = tuple[Content, Used]


@require_GET
def pieces(request: PageRequest) -> HttpResponseBase:
    """Every piece: for whom, which question it answers, where it was used, what it touched; `?format=csv`."""
    filters = read_filters(request.GET.dict(), days=DAYS)
    retired, stage, persona = (request.GET.get(name, "") for name in ("retired", "stage", "persona"))
    terms = current_terms()
    sort = request.GET.get("sort", "revenue").removeprefix("-")
    rows = _rows(filters, retired=bool(retired), stage=stage, persona=persona)
    rows.sort(key=SORTS.get(sort, SORTS["revenue"]))
    if request.GET.get("format") == "csv":
        return _csv(rows, filters, terms.personas)
    context = {
        "rows": [(piece, used, terms.personas.get(piece.persona_key, "")) for piece, used in rows],
        "stages": library.STAGES,
        "personas": terms.personas,
        "stage": stage,
        "persona": persona,
        "retired": retired,
        "any_retired": Content.objects.filter(active=False).exists(),
        "filters": filters,
        "marketing": _marketing(request),
        "unanswered": len(groups.heard(filters, state="open")),
        "tab": "content",
    }
    return render(request, "feedback/loop/pieces.html", context)


def _rows(filters: Filters, *, retired: bool, stage: str, persona: str) -> list[Row]:
    found = Content.objects.filter(active=not retired)
    if stage:
        found = found.filter(stage=stage)
    if persona:
        found = found.filter(persona_key=persona)
    used = figures.used(filters)
    return [(piece, used.get(piece.pk, Used())) for piece in found]


def _csv(rows: list[Row], filters: Filters, personas: dict[str, str]) -> HttpResponseBase:
    currency = Organisation.get().currency
    head = (
        "Title",
        "Key",
        "Address",
        "Stage",
        "Persona",
        "Question it answers",
        "Sent in handoffs",
        "Leads who asked for it",
        "In won deals",
        f"Revenue touched ({currency})",
    )
    lines = (
        (
            piece.title,
            piece.key,
            piece.url,
            library.STAGES.get(piece.stage, ""),
            personas.get(piece.persona_key, piece.persona_key),
            piece.question,
            used.handoffs,
            used.asked,
            used.won,
            used.revenue,
        )
        for piece, used in rows
    )
    return csv_response(f"content-{filters.start}-{filters.end}", head, lines)


def _marketing(request: PageRequest) -> bool:
    return bool(request.user.in_marketing or request.user.is_admin)


def _find(pk: int) -> Content:
    found = Content.objects.filter(pk=pk).first()
    if found is None:
        raise NotVisible("There is no such piece.")
    return found


@require_GET
def piece(request: PageRequest, pk: int) -> HttpResponseBase:
    """One piece: what it is for, its figures, the questions that it answers, who was sent it."""
    found = _find(pk)
    filters = read_filters(request.GET.dict(), days=DAYS)
    answers = list(Question.objects.filter(content=found, group=None).order_by("-at")[:20])
    counts = groups.counted([row.pk for row in answers])
    context = {
        "piece": found,
        "used": figures.used(filters).get(found.pk, Used()),
        "filters": filters,
        "stage": library.STAGES.get(found.stage, ""),
        "persona": current_terms().personas.get(found.persona_key, found.persona_key),
        "answers": [(row, counts.get(row.pk, 1)) for row in answers],
        "sent": ContentUse.objects.filter(content=found)
        .select_related("lead__company", "by")
        .order_by("-at", "-pk")[:12],
        "marketing": _marketing(request),
        "tab": "content",
    }
    return render(request, "feedback/loop/piece.html", context)


@require_GET
def leads(request: PageRequest, pk: int) -> HttpResponseBase:
    """The leads behind a figure of a piece: `?cell=sent`, `asked` or `won`."""
    found = _find(pk)
    filters = read_filters(request.GET.dict(), days=DAYS)
    cell = request.GET.get("cell", "")
    rows = figures.drill(found.pk, cell, filters)
    return lead_list(
        request,
        rows,
        title=f"“{found.title}”: {figures.CELLS[cell]}, {filters.words}",
        back=(reverse("feedback:piece", args=[found.pk]), "The piece"),
        name=f"content-{found.key}-{cell}",
        tab="content",
    )


@require_http_methods(["GET", "POST"])
@roles(*MARKETING)
def edit(request: PageRequest, pk: int | None = None) -> HttpResponseBase:
    """Add a piece or change one; `?question=` answers that question with the new piece."""
    found = _find(pk) if pk is not None else None
    asked = request.GET.get("question", "")
    head = log.head_of(int(asked)) if asked.isascii() and asked.isdigit() and len(asked) < 18 else None
    values: dict[str, Any] = {name: getattr(found, name, "") for name in library.FIELDS}
    if head is not None and found is None:
        values["question"] = head.text
    faults: dict[str, str] = {}
    if request.method == "POST":
        values = {name: request.POST.get(name, "") for name in library.FIELDS}
        actor = person(request.user)
        try:
            made = library.change(found.pk, values, actor) if found else library.add(values, actor)
        except BadInput as bad:
            faults = {fault.path: fault.message for fault in bad.faults}
        else:
            if head is not None:
                log.answer(head.pk, actor, content_id=made.pk)
            messages.success(request, f"“{made.title}” is in the library.")
            return redirect("feedback:piece", pk=made.pk)
    context = {
        "piece": found,
        "values": values,
        "faults": faults,
        "head": head,
        "alike": library.alike(values["question"] or values["title"]) if found is None else [],
        "stages": library.STAGES,
        "personas": current_terms().personas,
        "tab": "content",
    }
    return render(request, "feedback/loop/piece_form.html", context, status=400 if faults else 200)


@require_POST
@roles(*MARKETING)
def retire(request: PageRequest, pk: int) -> HttpResponse:
    """Take a piece out of use, or with `back` into it again."""
    found = library.retire(pk, person(request.user), back=bool(request.POST.get("back")))
    words = "is in use again" if found.active else "is retired: nobody is offered it any more"
    messages.success(request, f"“{found.title}” {words}.")
    return redirect("feedback:piece", pk=pk)
