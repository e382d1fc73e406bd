"""The MQL page and its dialogs."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from feedback import asking, mqls, nurture, tasks, terms
from feedback.acts import SALES, date_of
from feedback.reports.origins import sources
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role, User
from leadflow.accounts.rights import roles
from leadflow.accounts.templatetags.lf import day_text
from leadflow.errors import BadInput, Fault, NotVisible
from leadflow.leads.models import Lead, Stage
from leadflow.numbers import whole
from leadflow.paging import counts_of, in_words, page_of
from leadflow.web import PageRequest, csv_response, fragment, with_toast
from scoring import current as applied
from scoring.conditions import nodes
from scoring.current import Current

PAGE = 25
MARKETERS = (Role.MARKETER, Role.MARKETING_MANAGER)
# The acts that ask for something first; the last ones of them also for several leads together.
FORMS = ("contact", "track", "handover", "park")
FORMS_MANY = ("track", "handover", "park")
MANY_WORDS = {"track": "Started for", "handover": "Handed over:", "park": "Parked:"}
CONTACT_WORDS = "Contact written down."
# So many of the refusals of an act on several leads are told in words.
SHOWN_LEFT = 3
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
    at, now = clock.now(), applied.current()
    points, document = mqls.bar_points(now), now.program.document if now else None
    view = request.GET.get("view", "close")
    view = view if view in mqls.VIEWS else "close"
    sort = request.GET.get("sort", "-score")
    sieve = mqls.Sieve(
        request.GET.get("q", "")[:100],
        request.GET.get("source", ""),
        request.GET.get("grade", "")[:1],
        request.GET.get("track", ""),
    )
    few = mqls.passing(sieve) if sieve else None
    found = mqls.mqls(at, view, points, sieve, few).select_related("company", "score")
    found = found.order_by(*mqls.SORTS.get(sort, mqls.SORTS["-score"]))
    # By score in the order of its index; nobody is MQL without a score.
    found = found.filter(score__isnull=False) if sort.endswith("score") else found
    if request.GET.get("format") == "csv":
        return _csv(found, at)
    # What stands on the tabs, counted together.
    tabs = mqls.lists(at, points, sieve, few) | {"open_tasks": tasks.open_tasks()}
    counts = counts_of(tabs, mqls.FEW)
    number = request.GET.get("page")
    leads = page_of(found, number, PAGE, seen=counts[view], most=mqls.FEW, first_ids=True)
    shown = {key: in_words(count, mqls.FEW) for key, count in counts.items()}
    context = {
        "page": leads,
        "rows": mqls.rows(list(leads.object_list), at, now),
        "view": view,
        "views": mqls.VIEWS,
        "counts": shown,
        "sieve": sieve,
        "points": points,
        "grades": asked_grades(now),
        "letters": [*(name for name, _ in document.grades.letters), document.grades.last_letter]
        if document
        else [],
        "tracks": document.tracks if document else (),
        "days": mqls.usual_days(at),
        "sort": sort,
        "can_act": request.user.in_marketing or request.user.is_admin,
        "sources": sources(),
        "open_tasks": shown["open_tasks"],
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


def asked_grades(now: Current | None) -> str:
    """The grades that the bar asks for, in words: "A1, A2 or B1"; empty: it asks for none."""
    for part in now.program.sales_parts if now else ():
        if isinstance(part, nodes.GradeIn):
            *some, last = part.grades
            return f"{', '.join(some)} or {last}" if some else last
    return ""


@require_GET
@roles(*MARKETERS)
def form(request: PageRequest, pk: int, act: str) -> HttpResponse:
    """The dialog of one act."""
    if act not in FORMS:
        raise NotVisible("There is no such act.")
    lead = get_object_or_404(Lead.objects.select_related("company"), pk=pk)
    # From another page than the list: that page is shown anew afterwards.
    whole = bool(request.GET.get("whole"))
    return fragment(
        request, "feedback/_mql_form.html", {"lead": lead, "whole": whole, **_asked(act)}, title=str(lead)
    )


@require_GET
@roles(*MARKETERS)
def form_many(request: PageRequest, act: str) -> HttpResponse:
    """The dialog of one act for the chosen rows."""
    if act not in FORMS_MANY:
        raise NotVisible("There is no such act.")
    ids = chosen(request.GET.getlist("lead"))
    found = {lead.pk: lead for lead in Lead.objects.filter(pk__in=ids)}
    leads = [found[pk] for pk in ids if pk in found]
    return fragment(
        request, "feedback/_mql_form.html", {"leads": leads, **_asked(act)}, title="The chosen MQLs"
    )


def _asked(act: str) -> dict[str, Any]:
    """What the dialog of an act offers."""
    context: dict[str, Any] = {"act": act}
    if act == "track":
        context["tracks"] = terms.agreement_of()[1].tracks
    if act == "handover":
        people = User.objects.filter(is_active=True, role__in=(Role.REP, Role.SALES_MANAGER))
        context["people"] = people.select_related("team")
    if act == "contact":
        context |= {"channels": CHANNEL_WORDS, "results": RESULT_WORDS}
    if act in ("park", "contact"):
        context["earliest"] = (clock.now() + timedelta(days=1)).date()
    return context


def chosen(given: Sequence[str]) -> list[int]:
    """The ids of the rows that were ticked, each once."""
    ids = [int(text) for text in given if text.isascii() and text.isdigit() and len(text) <= 18]
    return list(dict.fromkeys(ids))


@require_POST
@roles(*MARKETERS)
def do(request: PageRequest, pk: int, act: str) -> HttpResponse:
    """Carry out one act on the row and show the row as it is then."""
    if act not in DEEDS:
        raise NotVisible("There is no such act.")
    words = DEEDS[act](request, pk)
    if not request.htmx:
        messages.success(request, words)
        return redirect(next_of(request) or "feedback:mqls")
    if request.POST.get("whole"):
        messages.success(request, words)
        answer = HttpResponse(status=204)
        answer["HX-Refresh"] = "true"
        return answer
    return _fresh(request, pk, words)


@require_POST
@roles(*MARKETERS)
def do_many(request: PageRequest, act: str) -> HttpResponse:
    """Carry out one act on all chosen rows; what could not be done is told by name."""
    if act not in FORMS_MANY:
        raise NotVisible("There is no such act.")
    done, left = mqls.each(chosen(request.POST.getlist("lead")), partial(DEEDS[act], request))
    words = f"{MANY_WORDS[act]} {done} {'lead' if done == 1 else 'leads'}."
    if left:
        rest = f" and {len(left) - SHOWN_LEFT} more" if len(left) > SHOWN_LEFT else ""
        words += f" Not done: {' '.join(left[:SHOWN_LEFT])}{rest}"
    (messages.success if done else messages.error)(request, words)
    if not request.htmx:
        return redirect(next_of(request) or "feedback:mqls")
    answer = HttpResponse(status=204)
    answer["HX-Refresh"] = "true"
    return answer


def next_of(request: PageRequest) -> str:
    """Where the form wants to go afterwards, if that is a page of ours."""
    wanted = request.POST.get("next", "")
    safe = wanted[:1] == "/" and url_has_allowed_host_and_scheme(wanted, {request.get_host()})
    return wanted if safe else ""


def _track(request: PageRequest, pk: int) -> str:
    key = request.POST.get("track", "")
    made = nurture.start_by_hand(pk, key, person(request.user))
    name = terms.track_named(terms.agreement_of()[1], key).name
    return f"{made.lead} is on the track “{name}”."


def _stop(request: PageRequest, pk: int) -> str:
    mqls.stop_track(pk, person(request.user))
    return "The track has ended."


def _contact(request: PageRequest, pk: int) -> str:
    again = date_of(request.POST.get("again", ""), "again")
    mqls.log_contact(
        pk,
        person(request.user),
        kind=request.POST.get("kind", ""),
        result=request.POST.get("result", ""),
        note=request.POST.get("note", ""),
        again=again,
    )
    return f"Contact written down; on your list again on {day_text(again)}." if again else CONTACT_WORDS


def _hand_over(request: PageRequest, pk: int) -> str:
    made = mqls.hand_over(
        pk,
        person(request.user),
        reason=request.POST.get("reason", ""),
        to=whole(request.POST.get("to")),
    )
    return f"{made.lead} is offered to {made.owner or made.team or 'the pool'}."


def _park(request: PageRequest, pk: int) -> str:
    day = date_of(request.POST.get("until", ""), "until")
    if day is None:
        raise BadInput("Park it until when?", [Fault("until", "Choose a day.")])
    user: Any = request.user
    until = datetime.combine(day, time(7), ZoneInfo(user.zone)).astimezone(UTC)
    held = mqls.park(pk, person(user), until=until, note=request.POST.get("note", ""))
    return f"{held.lead} is parked until {day_text(day)}."


def _unpark(request: PageRequest, pk: int) -> str:
    held = mqls.unpark(pk, person(request.user))
    return f"{held.lead} is back in the lists."


DEEDS: dict[str, Callable[[PageRequest, int], str]] = {
    "track": _track,
    "stop": _stop,
    "contact": _contact,
    "handover": _hand_over,
    "park": _park,
    "unpark": _unpark,
}


def _fresh(request: PageRequest, pk: int, words: str) -> HttpResponse:
    at, now = clock.now(), applied.current()
    lead = Lead.objects.select_related("company", "score").get(pk=pk)
    html = HttpResponse("")
    if lead.stage == Stage.MQL:
        html = render(request, "feedback/_mql.html", {"row": mqls.rows([lead], at, now)[0], "can_act": True})
    html["HX-Trigger"] = "lf:close"
    return with_toast(html, words)


# Sales asks for a lead -------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@roles(*SALES)
def ask(request: PageRequest, pk: int) -> HttpResponse:
    """Ask marketing for a lead: the dialog, and the question itself."""
    lead = get_object_or_404(Lead.objects.select_related("company"), pk=pk, erased_at=None)
    if request.method == "GET":
        return fragment(request, "feedback/_ask.html", {"lead": lead}, title=f"Ask for {lead}")
    made = asking.ask(pk, person(request.user), why=request.POST.get("why", ""))
    due = date_format(timezone.localtime(made.due_at), "D j M, H:i")
    messages.success(request, f"Asked: marketing answers by {due}.")
    if request.htmx:
        answer = HttpResponse(status=204)
        answer["HX-Refresh"] = "true"
        return answer
    return redirect("pages:lead", pk)
