"""The managers' board: its page, giving several leads to somebody, and who is away until when."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from handoff import acting, desk, giving, keeping, overview
from handoff import queue as selectors
from handoff.models import Handoff
from handoff.overview import SHOWN, Load
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role, User
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, Fault, NotVisible
from leadflow.numbers import whole
from leadflow.paging import page_of
from leadflow.web import PageRequest, csv_response

GIVE_LIMIT = 50
PROMISED = {"acceptance": "answered_in_time_percent", "first_touch": "first_touch_in_time_percent"}
LONGEST_ABSENCE = timedelta(days=366)


@require_GET
@roles(Role.SALES_MANAGER)
def board(request: PageRequest) -> HttpResponseBase:
    """The whole page; `?format=csv` the table by rep, `?live=1` the parts that change while one looks."""
    user, now = request.user, clock.now()
    terms = acting.terms_now()
    # First of all: it brings the teams that this manager answers for, which every list below asks for.
    mine = selectors.desk(user, now, terms)
    scope = overview.scope_of(user, mine.teams, request.GET.get("team", ""))
    hours = overview.hours_of(scope)
    weeks = keeping.four_weeks(scope.ids, now, mine.zone)
    ahead = overview.horizon(hours, now)
    load = overview.load(scope, now, ahead, terms.admission, weeks, hours)
    if request.GET.get("format") == "csv":
        return _csv(load, weeks)
    rep = request.GET.get("rep", "")
    chosen = next((one for one in load.reps if str(one.seat.user_id) == rep), None)
    found = overview.urgent(scope, ahead, chosen.seat.user_id if chosen else None)
    urgent = list(found[: SHOWN + 1])
    promised = terms.promises["sales"]
    context = {
        "now": now,
        "scope": scope,
        "ahead": ahead,
        "load": load,
        "weeks": weeks,
        "figures": [
            _figure("Answered in time", weeks.total.answered, weeks.before.answered, promised, "acceptance"),
            _figure("First call in time", weeks.total.called, weeks.before.called, promised, "first_touch"),
        ],
        "next": next((row for row in urgent if row.sla_due_at >= now), None),
        "rep": chosen,
        "urgent": urgent[:SHOWN],
        "more": found.count() - SHOWN if len(urgent) > SHOWN else 0,
        "exceptions": overview.exceptions(scope, now, terms, hours),
        "receivers": _receivers(user, scope.chosen or user.team_id, load),
        "desk": mine,
    }
    return render(
        request, "handoff/_board.html" if request.GET.get("live") else "handoff/board.html", context
    )


def _receivers(user: User, team_id: int | None, load: Load) -> list[tuple[User, str]]:
    """Who could take leads, with the load in words; who is away stands last."""
    seats = {one.seat.user_id: one.seat for one in load.reps}
    found = []
    for one in selectors.receivers(user, team_id):
        seat = seats.get(one.pk)
        if seat is None:
            found.append((one, f"{getattr(one, 'open_now', 0)} open"))
        else:
            found.append((one, f"{seat.open_now} of {seat.capacity} open" if seat.present else "away"))
    return sorted(found, key=lambda pair: pair[1] == "away")


def _figure(
    label: str, now: keeping.Share, before: keeping.Share, promised: Mapping[str, Any], promise: str
) -> dict[str, Any]:
    """A figure of the head: the share, what was promised, and the four weeks before."""
    goal = promised.get(PROMISED[promise])
    short = goal is not None and now.percent is not None and now.percent < goal
    return {
        "label": label,
        "share": now,
        "before": before,
        "goal": goal,
        "short": short,
        "cell": f"lead.{promise}.all",
    }


def _csv(load: Load, weeks: keeping.Weeks) -> HttpResponseBase:
    header = (
        "Rep",
        "Team",
        "Away",
        "Late",
        "Due soon",
        "Later",
        "Room",
        "New today",
        "Answers due",
        "Answered in time",
        "First calls due",
        "First call in time",
        "Reached",
    )
    rows = (
        (
            one.seat.name,
            one.team,
            "" if one.seat.present else "yes",
            one.late,
            one.soon,
            one.later,
            one.seat.capacity,
            one.seat.given,
            one.kept.answered.whole,
            one.kept.answered.part,
            one.kept.called.whole,
            one.kept.called.part,
            one.kept.reached.part,
        )
        for one in load.reps
    )
    return csv_response(f"reps-{weeks.start}-{weeks.end}", header, rows)


@require_GET
@roles(Role.SALES_MANAGER)
def called(request: PageRequest, pk: int) -> HttpResponseBase:
    """Whom a rep was to call for the first time in the last four weeks, and who was reached."""
    now, rep = clock.now(), _rep(request.user, pk)
    found = keeping.called(rep.pk, now)
    if request.GET.get("format") == "csv":
        header = ("Lead", "Company", "Grade", "Offered", "First contact", "Reached")
        return csv_response(f"calls-{rep.name.lower().replace(' ', '-')}", header, map(_called_row, found))
    page = page_of(found, request.GET.get("page"), SHOWN)
    reached = found.exclude(reached_at=None).count()
    return render(request, "handoff/called.html", {"page": page, "rep": rep, "reached": reached, "now": now})


def _called_row(row: Handoff) -> tuple[Any, ...]:
    company = row.lead.company.name if row.lead.company else ""
    days = (row.offered_at, row.first_touch_at, row.reached_at)
    return (str(row.lead), company, row.grade, *(day.date().isoformat() if day else "" for day in days))


def _rep(user: User, pk: int) -> User:
    rep = desk.managed(user).filter(pk=pk).first()
    if rep is None:
        raise NotVisible("There is nobody like that.")
    return rep


@require_POST
@roles(Role.SALES_MANAGER)
def give(request: PageRequest) -> HttpResponse:
    """Give the chosen leads to somebody, with one reason; each is an act of its own."""
    ids = [pk for text in request.POST.getlist("handoff") if (pk := whole(text)) is not None]
    chosen = list(
        Handoff.objects.filter(selectors.visible(request.user), pk__in=ids[:GIVE_LIMIT])
        .select_related("lead")
        .defer("frozen")
    )
    if ids and not chosen:
        raise NotVisible("They are not here any more.")
    reason, to = request.POST.get("reason", ""), request.POST.get("to", "")
    done, left = giving.give(chosen, to, reason, person(request.user))
    if done:
        messages.success(
            request,
            f"Gave {len(done)} {'lead' if len(done) == 1 else 'leads'}; each lead's own clock runs on.",
        )
    for text in dict.fromkeys(left):
        messages.error(request, text)
    return _back(request)


@require_http_methods(["GET", "POST"])
@roles(Role.SALES_MANAGER)
def away(request: PageRequest, pk: int) -> HttpResponse:
    """A rep is away: until when, and who takes what falls due meanwhile. Or the rep is back."""
    rep, now = _rep(request.user, pk), clock.now()
    if request.method == "GET":
        return _ask_away(request, rep, now)
    if request.POST.get("back"):
        desk.come_back(rep, person(request.user))
        messages.success(request, f"{rep.name} is back: new leads come again.")
        return _back(request)
    try:
        until = _until(request.POST, rep, now)
        gone = desk.go_away(
            rep, person(request.user), until=until, take=request.POST.get("take", desk.COLLEAGUES)
        )
    except BadInput as wrong:
        return _ask_away(request, rep, now, wrong)
    here = until.astimezone(ZoneInfo(rep.zone))
    words = f"{rep.name} is away until {here - timedelta(minutes=1):%a %d %b}: new leads go to colleagues."
    if gone.moved:
        words += f" {gone.moved} {'lead has' if gone.moved == 1 else 'leads have'} somebody else now."
    messages.success(request, words)
    for text in gone.left:
        messages.error(request, text)
    if request.htmx:
        return HttpResponse(status=204, headers={"HX-Redirect": _board_url(request)})
    return _back(request)


def _ask_away(request: PageRequest, rep: User, now: datetime, wrong: BadInput | None = None) -> HttpResponse:
    tonight = selectors.end_of_day(now, rep.zone)
    context = {
        "rep": rep,
        "answers": desk.falls_due(rep, now, tonight, offers_only=True).count(),
        "due": desk.falls_due(rep, now, tonight).count(),
        "receivers": [one for one in selectors.receivers(request.user, rep.team_id) if one.pk != rep.pk],
        "today": now.astimezone(ZoneInfo(rep.zone)).date(),
        "typed": request.POST,
        "wrong": (wrong.faults[0].message if wrong.faults else wrong.message) if wrong else "",
        "query": request.GET.urlencode(),
    }
    template = "handoff/_away.html" if request.htmx else "handoff/away.html"
    return render(request, template, context, status=422 if wrong else 200)


def _until(data: Mapping[str, str], rep: User, now: datetime) -> datetime:
    """The last day of an absence, read as midnight after it where the rep is. Raises BadInput."""
    if data.get("day", "today") != "date":
        return selectors.end_of_day(now, rep.zone)
    try:
        day = date.fromisoformat(data.get("until", ""))
    except ValueError:
        raise BadInput("Until which day?", [Fault("until", "Choose the last day of the absence.")]) from None
    until = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(rep.zone))
    if until - now > LONGEST_ABSENCE:
        raise BadInput("That is long.", [Fault("until", "At most a year; switch the person off instead.")])
    return until


def _board_url(request: PageRequest) -> str:
    team = request.GET.get("team") or request.POST.get("team") or ""
    return reverse("handoff:board") + (f"?team={team}" if team.isascii() and team.isdigit() else "")


def _back(request: PageRequest) -> HttpResponse:
    return redirect(_board_url(request))
