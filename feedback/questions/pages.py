"""The pages of the question log: the groups, one group, the answer; and the form on the lead."""

import datetime as dt
import json
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from feedback.campaigns import keeping
from feedback.content import library
from feedback.listing import lead_list
from feedback.models import ContentUse, Question
from feedback.questions import groups, log
from feedback.reports.base import read_filters
from feedback.reports.origins import sources
from handoff.models import OPEN, Handoff
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role, Team
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, Fault, NotVisible
from leadflow.leads.models import Content, Lead
from leadflow.paging import page_of
from leadflow.web import PageRequest, changed_query, csv_response, fragment, toast

PAGE = 30
DAYS = 91
MARKETING = (Role.MARKETER, Role.MARKETING_MANAGER)
COLUMNS = ("What they said", "Kind", "Heard", "Leads", "Last heard", "Answered with", "Answer", "Wanted by")
KINDS = (
    (Question.Kind.QUESTION, "Questions"),
    (Question.Kind.OBJECTION, "Objections"),
    (Question.Kind.COMPETITOR, "Competitors"),
    (Question.Kind.CHANGE, "Changes"),
)
# How many letters of a new question are enough to look for its like.
ENOUGH = 6


@require_GET
def questions(request: PageRequest) -> HttpResponseBase:
    """What was heard in the period, alike together, the most frequent first; `?format=csv`."""
    filters = read_filters(request.GET.dict(), days=DAYS)
    kind = _choice(request.GET.get("kind", ""), Question.Kind.values)
    state = _choice(request.GET.get("state", ""), list(groups.STATES))
    found = groups.heard(filters, kind=kind, state=state)
    if request.GET.get("format") == "csv":
        rows = (_line(group) for group in groups.dressed(found))
        return csv_response(f"questions-{filters.start}-{filters.end}", COLUMNS, rows)
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "groups": groups.dressed(list(page.object_list)),
        "heard": sum(row[1] for row in found),
        "unanswered": None if state else _unanswered(found),
        "filters": filters,
        "kinds": KINDS,
        "kind": kind,
        "states": groups.STATES,
        "state": state,
        "sources": sources(),
        "teams": Team.objects.filter(kind=Team.Kind.SALES),
        "marketing": _marketing(request),
        "any": bool(found) or Question.objects.exists(),
        "tab": "questions",
    }
    return render(request, "feedback/loop/questions.html", context)


def _choice(text: str, known: Any) -> str:
    return text if text in known else ""


def _unanswered(found: list[tuple[int, int, int, Any]]) -> int:
    return Question.objects.filter(pk__in=[row[0] for row in found], answered_at=None).count()


def _line(group: groups.Group) -> list[Any]:
    head = group.head
    return [
        head.text,
        head.get_kind_display(),
        group.heard,
        group.leads,
        group.last.date().isoformat(),
        head.content.title if head.content else "",
        head.answer,
        head.wanted_by.isoformat() if head.wanted_by else "",
    ]


def _marketing(request: PageRequest) -> bool:
    return bool(request.user.in_marketing or request.user.is_admin)


@require_GET
def question(request: PageRequest, pk: int) -> HttpResponseBase:
    """One question in all its wordings: who asked, what the answer is; `?leads=1` lists who asked."""
    head = log.head_of(pk)
    if request.GET.get("leads"):
        return lead_list(
            request,
            groups.leads_of(head.pk),
            title=f"Who said “{head.text}”",
            back=(reverse("feedback:question", args=[head.pk]), "The question"),
            name=f"question-{head.pk}-leads",
            tab="questions",
        )
    rows = groups.of_head(head.pk)
    page = page_of(rows, request.GET.get("page"), PAGE)
    near = Question.objects.in_bulk(log.nearest(head.text, kind=head.kind, besides=head.pk))
    context = {
        "head": head,
        "page": page,
        "leads": groups.counted([head.pk]).get(head.pk, 0),
        "near": list(near.values()),
        "marketing": _marketing(request),
        "tab": "questions",
    }
    return render(request, "feedback/loop/question.html", context)


@require_http_methods(["GET", "POST"])
@roles(*MARKETING)
def answer(request: PageRequest, pk: int) -> HttpResponseBase:
    """Answer with a piece or in words. GET: the form, with the pieces that are like the question first."""
    head = log.head_of(pk)
    if request.method == "GET":
        today = clock.now().date()
        context = {
            "head": head,
            "alike": library.alike(head.text),
            "pieces": library.to_send(),
            "today": today,
            "in_two_weeks": today + dt.timedelta(days=14),
        }
        return fragment(request, "feedback/loop/_answer.html", context, title="Answer a question")
    piece = request.POST.get("content", "")
    log.answer(
        head.pk,
        person(request.user),
        content_id=int(piece) if piece.isascii() and piece.isdigit() and len(piece) < 18 else None,
        text=request.POST.get("text", ""),
    )
    messages.success(request, "Answered: who asked hears of it.")
    return redirect("feedback:question", pk=head.pk)


@require_POST
@roles(*MARKETING)
def want(request: PageRequest, pk: int) -> HttpResponse:
    """None of the pieces fits: a new one by a day."""
    try:
        by = dt.date.fromisoformat(request.POST.get("by", ""))
    except ValueError:
        raise BadInput("This is no date.", [Fault("by", "Write the day as 2026-12-31.")]) from None
    head = log.want(pk, person(request.user), by=by)
    messages.success(request, f"A new piece is wanted by {by:%-d %b}.")
    return redirect("feedback:question", pk=head.pk)


@require_POST
@roles(*MARKETING)
def join(request: PageRequest, pk: int) -> HttpResponse:
    """Two questions are one."""
    into = request.POST.get("into", "")
    if not (into.isascii() and into.isdigit() and len(into) < 18):
        raise BadInput("Say with which.", [Fault("into", "Choose the other question.")])
    head = log.join(pk, int(into), person(request.user))
    messages.success(request, "They stand together now.")
    return redirect("feedback:question", pk=head.pk)


@require_POST
@roles(*MARKETING)
def part(request: PageRequest, pk: int) -> HttpResponse:
    """One of the group is another question."""
    found = log.part(pk, person(request.user))
    messages.success(request, "It stands alone now.")
    return redirect("feedback:question", pk=found.pk)


@require_GET
def like(request: PageRequest) -> HttpResponseBase:
    """What was asked before that is like what somebody types, with the answers; a fragment."""
    text = request.GET.get("text", "")[: log.LONGEST]
    heads = log.nearest(text) if len(text.strip()) >= ENOUGH else []
    counts = groups.counted(heads)
    rows = Question.objects.select_related("content").in_bulk(heads)
    found = [(rows[pk], counts.get(pk, 1)) for pk in heads if pk in rows]
    return render(request, "feedback/loop/_like.html", {"found": found})


# On the lead -----------------------------------------------------------------------------------


def _lead(pk: int) -> Lead:
    found = Lead.objects.select_related("company").filter(pk=pk, erased_at=None, merged_into=None).first()
    if found is None:
        raise NotVisible("There is no such lead.")
    return found


@require_http_methods(["GET", "POST"])
def of_lead(request: PageRequest, pk: int) -> HttpResponseBase:
    """Write down what a lead asked or said. GET: the form as a dialog."""
    lead = _lead(pk)
    if request.method == "GET":
        context = {"lead": lead, "kinds": Question.Kind.choices}
        return fragment(request, "feedback/loop/_log.html", context, title="What they asked or said")
    held = Handoff.objects.filter(lead=lead, state__in=OPEN).values_list("pk", flat=True).first()
    made = log.log(
        log.Said(
            request.POST.get("text", ""),
            request.POST.get("kind", Question.Kind.QUESTION),
            lead_id=lead.pk,
            handoff_id=held,
        ),
        person(request.user),
    )
    head = made.group or made
    words, link = _what_we_say(head)
    if request.htmx:
        response = HttpResponse(toast("Written down.", detail=words, link=link))
        response["HX-Reswap"] = "none"
        response["HX-Trigger"] = json.dumps({"lf:close": {}, "loop-changed": {}})
        return response
    messages.success(request, f"Written down. {words}")
    return redirect(f"/leads/{lead.pk}/")


def _what_we_say(head: Question) -> tuple[str, tuple[str, str] | None]:
    """What the rep can say at once: marketing's answer to the like of it."""
    others = groups.counted([head.pk]).get(head.pk, 1) - 1
    asked = f"{others} other{'s' if others != 1 else ''} said the same. " if others else ""
    if head.content is not None:
        link = (head.content.url, head.content.title) if head.content.url.startswith("http") else None
        return f"{asked}The answer: {head.content.title}. {head.answer}".strip(), link
    if head.answer:
        return f"{asked}The answer: {head.answer}", None
    return f"{asked}Marketing sees it.", None


@require_GET
def loop(request: PageRequest, pk: int) -> HttpResponseBase:
    """What marketing and sales know of a lead besides its acts: messages, questions, pieces; a fragment."""
    lead = _lead(pk)
    now = clock.now()
    held = Handoff.objects.filter(lead=lead, state__in=OPEN, owner=request.user).first()
    told = keeping.told(lead, now)
    asked = groups.of_lead(lead.pk)
    context = {
        "lead": lead,
        "told": [(row, keeping.running(row, now.date())) for row in told],
        "asked": asked,
        "sent": ContentUse.objects.filter(lead=lead)
        .select_related("content", "by")
        .order_by("-at", "-pk")[:10],
        "handoff": held,
        "pieces": _fitting(lead, asked) if held is not None and lead.email else [],
        "compact": bool(request.GET.get("panel")),
    }
    return render(request, "feedback/loop/_loop.html", context)


def _fitting(lead: Lead, asked: list[dict[str, Any]]) -> list[Content]:
    """Pieces to send: first those that answer what this lead asked, then those for its stage."""
    answers = {one["head"].content_id for one in asked}
    return sorted(
        library.to_send(), key=lambda p: (p.pk not in answers, p.stage != lead.stage, p.title.casefold())
    )


@require_POST
@roles(Role.REP, Role.SALES_MANAGER)
def send(request: PageRequest, pk: int) -> HttpResponse:
    """The holder sends a piece; the answer carries a link that opens the e-mail with it."""
    piece = request.POST.get("content", "")
    if not (piece.isascii() and piece.isdigit() and len(piece) < 18):
        raise BadInput("Choose a piece.", [Fault("content", "Choose what to send.")])
    use = library.send(pk, int(piece), person(request.user))
    address = library.letter(use)
    words = f"Noted: {use.content.title} for {use.lead}."
    if request.htmx:
        response = HttpResponse(toast(words, link=(address, "Write the e-mail")))
        response["HX-Reswap"] = "none"
        held = get_object_or_404(Handoff, pk=pk)
        event = {"id": held.pk, "lead": held.lead_id, "state": held.state, "action": "send"}
        response["HX-Trigger"] = json.dumps({"handoff-changed": event, "loop-changed": {}})
        return response
    messages.success(request, words)
    return redirect(f"/leads/{use.lead_id}/{changed_query(request.GET, {})}")
