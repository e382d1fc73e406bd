"""The MQL page and its dialogs, and the list of tasks."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from feedback import asking, mqls, nurture, tasks, terms
from feedback.acts import SALES, date_of
from feedback.models import Task
from feedback.pages_reports import sources
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role, User
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, Fault, NotVisible
from leadflow.leads.models import Lead, Stage
from leadflow.web import PageRequest, csv_response, with_toast

PAGE = 25
MARKETERS = (Role.MARKETER, Role.MARKETING_MANAGER)
ACTS = ("track", "contact", "handover", "park")
CHANNEL_WORDS = {"call": "Call", "message": "E-mail", "meeting": "Meeting"}
RESULT_WORDS = {
    "talked": "talked",
    "meeting": "agreed a meeting",
    "voicemail": "left a message",
    "no_answer": "no answer",
    "email": "wrote",
}


@require_GET
@roles(*MARKETERS, Role.SALES_MANAGER)
def page(request: PageRequest) -> HttpResponseBase:
    """The MQLs of a view, closest to the bar first."""
    at, points = clock.now(), mqls.bar_points()
    view = request.GET.get("view", "close")
    view = view if view in mqls.VIEWS else "close"
    sort = request.GET.get("sort", "-score")
    found = mqls.mqls(at, view, points, request.GET.get("q", ""), request.GET.get("source", ""))
    found = found.select_related("company", "score").order_by(*mqls.SORTS.get(sort, mqls.SORTS["-score"]))
    if request.GET.get("format") == "csv":
        return _csv(found, at)
    leads = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = {
        "page": leads,
        "rows": mqls.rows(list(leads.object_list), at, points),
        "view": view,
        "views": mqls.VIEWS,
        "counts": mqls.counts(at, points),
        "points": points,
        "days": mqls.usual_days(at),
        "sort": sort,
        "can_act": request.user.in_marketing or request.user.is_admin,
        "sources": sources(),
        "open_tasks": tasks.open_tasks().count(),
    }
    return render(request, "feedback/mqls.html", context)


def _csv(found: Any, at: datetime) -> HttpResponseBase:
    header = ("Lead", "E-mail", "Company", "Grade", "Score", "Days as MQL", "Last own act", "First source")
    rows = (
        (
            lead.name,
            lead.email,
            lead.company.name if lead.company else "",
            lead.score.grade if hasattr(lead, "score") else "",
            lead.score.total if hasattr(lead, "score") else "",
            (at - lead.stage_since).days,
            lead.last_own_act_at.date().isoformat() if lead.last_own_act_at else "",
            lead.first_source,
        )
        for lead in found.iterator(chunk_size=2000)
    )
    return csv_response("mqls", header, rows)


@require_GET
@roles(*MARKETERS)
def form(request: PageRequest, pk: int, act: str) -> HttpResponse:
    """The dialog of one act."""
    if act not in ACTS:
        raise NotVisible("There is no such act.")
    lead = get_object_or_404(Lead.objects.select_related("company"), pk=pk)
    context: dict[str, Any] = {"lead": lead, "act": act}
    if act == "track":
        context["tracks"] = terms.agreement_of()[1].tracks
    if act == "handover":
        people = User.objects.filter(is_active=True, role__in=(Role.REP, Role.SALES_MANAGER))
        context["people"] = people.select_related("team")
    if act == "contact":
        context |= {"channels": CHANNEL_WORDS, "results": RESULT_WORDS}
    if act == "park":
        context["earliest"] = (clock.now() + timedelta(days=1)).date()
    return render(request, "feedback/_mql_form.html", context)


@require_POST
@roles(*MARKETERS)
def do(request: PageRequest, pk: int, act: str) -> HttpResponse:
    """Carry out one act on the row and show the row as it is then."""
    deeds = {"track": _track, "contact": _contact, "handover": _hand_over, "park": _park}
    if act not in deeds:
        raise NotVisible("There is no such act.")
    words = deeds[act](request, pk)
    if not request.htmx:
        return redirect(request.POST.get("next") or "feedback:mqls")
    return _fresh(request, pk, words)


def _track(request: PageRequest, pk: int) -> str:
    made = nurture.start_by_hand(pk, request.POST.get("track", ""), person(request.user))
    return f"{made.lead} is on the track “{made.track}”."


def _contact(request: PageRequest, pk: int) -> str:
    mqls.log_contact(
        pk,
        person(request.user),
        kind=request.POST.get("kind", ""),
        result=request.POST.get("result", ""),
        note=request.POST.get("note", ""),
    )
    return "Contact written down."


def _hand_over(request: PageRequest, pk: int) -> str:
    to = request.POST.get("to", "")
    made = mqls.hand_over(
        pk,
        person(request.user),
        reason=request.POST.get("reason", ""),
        to=int(to) if to.isdecimal() else None,
    )
    return f"{made.lead} is offered to {made.owner or made.team or 'the pool'}."


def _park(request: PageRequest, pk: int) -> str:
    day = date_of(request.POST.get("until", ""), "until")
    if day is None:
        raise BadInput("Park it until when?", [Fault("until", "Choose a day.")])
    user: Any = request.user
    until = datetime.combine(day, time(7), ZoneInfo(user.zone)).astimezone(UTC)
    held = mqls.park(pk, person(user), until=until, note=request.POST.get("note", ""))
    return f"{held.lead} is parked until {day.day} {day:%b}."


def _fresh(request: PageRequest, pk: int, words: str) -> HttpResponse:
    at, points = clock.now(), mqls.bar_points()
    lead = Lead.objects.select_related("company", "score").get(pk=pk)
    html = HttpResponse("")
    if lead.stage == Stage.MQL:
        html = render(
            request, "feedback/_mql.html", {"row": mqls.rows([lead], at, points)[0], "can_act": True}
        )
    html["HX-Trigger"] = "lf:close"
    return with_toast(html, words)


# Tasks -----------------------------------------------------------------------------------


@require_GET
@roles(*MARKETERS, Role.SALES_MANAGER)
def task_page(request: PageRequest) -> HttpResponse:
    """What marketing has to do: repairs, answers, steps of tracks."""
    page_of = Paginator(tasks.open_tasks(), PAGE).get_page(request.GET.get("page"))
    return render(request, "feedback/tasks.html", {"page": page_of, "at": clock.now()})


@require_POST
@roles(*MARKETERS, Role.SALES_MANAGER)
def task_done(request: PageRequest, pk: int) -> HttpResponse:
    """Finish, repair or give up a task."""
    actor = person(request.user)
    note = request.POST.get("note", "").strip()
    how = request.POST.get("how", "done")
    if how == "repair":
        fields = {key: request.POST.get(key, "") for key in tasks.REPAIRABLE}
        task, words = tasks.repair(pk, actor, fields, note=note), "Repaired: sales gets the lead again."
    elif how == "give_up":
        task, words = tasks.give_up_repair(pk, actor, note=note), "Noted: it cannot be repaired."
    elif how == "hand_over":
        handoff = asking.hand_over(pk, actor, note=note)
        task = Task.objects.select_related("lead").get(pk=pk)
        words = f"{handoff.owner or 'Sales'} has it now."
    elif how == "not_yet":
        task, words = asking.decline(pk, actor, note=note), "Not yet: told to whoever asked."
    else:
        task, words = tasks.finish(pk, actor, result=note), "Done."
    if request.htmx:
        return with_toast(HttpResponse(""), words, link=(f"/leads/{task.lead_id}/", str(task.lead)))
    return redirect(reverse("feedback:tasks"))


# Sales asks for a lead -------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@roles(*SALES)
def ask(request: PageRequest, pk: int) -> HttpResponse:
    """Ask marketing for a lead: the dialog, and the question itself."""
    lead = get_object_or_404(Lead.objects.select_related("company"), pk=pk, erased_at=None)
    if request.method == "GET":
        return render(request, "feedback/_ask.html", {"lead": lead})
    made = asking.ask(pk, person(request.user), why=request.POST.get("why", ""))
    due = date_format(timezone.localtime(made.due_at), "D j M, H:i")
    messages.success(request, f"Asked: marketing answers by {due}.")
    if request.htmx:
        answer = HttpResponse(status=204)
        answer["HX-Refresh"] = "true"
        return answer
    return redirect("pages:lead", pk)
