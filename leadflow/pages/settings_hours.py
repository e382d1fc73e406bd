"""Settings: working hours with a look at the next weeks, which team works by which, absence, clocks."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db import transaction
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from handoff import absences, calendars, clocks, promises
from handoff.calendars import WorkCalendar
from handoff.models import Absence, Calendar, CalendarDay, Handoff, Promise, TeamCalendar
from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import person
from leadflow.accounts.models import SALES, Organisation, Role, Team, User
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput
from leadflow.pages import hours
from leadflow.pages.forms_hours import (
    AbsenceForm,
    DayForm,
    HoursForm,
    TeamHoursForm,
    days_of,
    region_choices,
    today_in,
)
from leadflow.pages.settings import put_faults, settings_page
from leadflow.web import PageRequest
from scoring import agreements
from scoring.document import Document

log = logging.getLogger(__name__)

admins = roles(Role.ADMIN)
managers = roles(Role.SALES_MANAGER, Role.MARKETING_MANAGER)
sales = roles(*SALES)
WEEKS = 4
HOLIDAYS_SHOWN = 12


@dataclass(frozen=True)
class DayView:
    """One date of the look ahead."""

    day: date
    hours: str
    note: str = ""
    own: bool = False
    past: bool = False


def weeks(calendar: WorkCalendar, row: Calendar, at: datetime) -> list[list[DayView]]:
    """The next four weeks from today, in whole weeks."""
    today = today_in(calendar.zone, at)
    first = today - timedelta(days=today.weekday())
    last = today + timedelta(days=7 * WEEKS - 1)
    names = calendars.holiday_names(row.country, row.region)
    own = {day.date: day for day in row.days.filter(date__gte=first, date__lte=last)} if row.pk else {}
    found = []
    while first <= last:
        found.append(
            [
                _day_view(
                    calendar, first + timedelta(days=n), own, names.get(first + timedelta(days=n), ""), today
                )
                for n in range(7)
            ]
        )
        first += timedelta(days=7)
    return found


def _day_view(
    calendar: WorkCalendar, day: date, own: dict[date, CalendarDay], holiday: str, today: date
) -> DayView:
    spans = ", ".join(
        f"{opens:%H:%M}–{'24:00' if not closes.hour and not closes.minute else f'{closes:%H:%M}'}"
        for opens, closes in calendar.spans_of(day)
    )
    special = own.get(day)
    note = (special.label or ("own day" if spans else "closed")) if special else holiday
    return DayView(day, spans, note, bool(special), day < today)


def examples(calendar: WorkCalendar, at: datetime) -> list[tuple[str, datetime, datetime | None]]:
    """By when a lead offered now would be due under each promise of the agreement: answer, first contact."""
    agreement = agreements.in_force()
    if agreement is None:
        return []
    found = []
    for policy in Document(agreement.content).sla:
        accept, touch = (
            promises.hours_of(policy, promise, calendar).add(
                at, timedelta(minutes=promises.minutes(policy, promise))
            )
            for promise in (Promise.ACCEPTANCE, Promise.FIRST_TOUCH)
        )
        found.append((policy.text, accept, touch if policy.first_touch_from != "accept" else None))
    return found


# Working hours ----------------------------------------------------------------------------------------


@managers
def hours_list(request: HttpRequest) -> HttpResponse:
    """All calendars, and which team works by which."""
    assert isinstance(request.user, User)
    given = Prefetch("teams", TeamCalendar.objects.select_related("team"))
    rows = list(Calendar.objects.prefetch_related(given, "days").order_by("name"))
    teams = list(Team.objects.filter(kind=Team.Kind.SALES).select_related("team_calendar").order_by("name"))
    form = TeamHoursForm(request.POST or None, teams=teams)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            for team, calendar in form.chosen():
                hours.use_calendar(person(request.user), team, calendar)
        messages.success(request, "Saved: who works by which hours, for promises made from now on.")
        return redirect("pages:hours")
    named = [(row, *_whose_holidays(row)) for row in rows]
    return settings_page(request, "hours", {"rows": named, "team_form": form}, form if teams else None)


def _whose_holidays(row: Calendar) -> tuple[str, str]:
    region = calendars.regions(row.country).get(row.region, row.region) if row.region else ""
    return calendars.countries().get(row.country, row.country), region


@managers
def hours_edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Make or change working hours, with the days of their own and the next four weeks below."""
    row = get_object_or_404(Calendar, pk=pk) if pk else None
    copy = Calendar.objects.get(pk=pk) if pk else None
    form = HoursForm(request.POST or None, instance=copy, initial=_usual() if not pk else None)
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        saved = hours.save_calendar(person(request.user), row, form.cleaned_data)
        messages.success(request, f"{saved.name} is saved; it holds for promises made from now on.")
        return redirect("pages:hours_edit", saved.pk)
    _log_refused(request, "working hours", form)
    return settings_page(request, "calendar", _around(row), form)


def _log_refused(request: HttpRequest, what: str, form: Any) -> None:
    """What was refused stands in the log, as it does for acts."""
    if form.is_bound and form.errors:
        faults = " ".join(str(error) for errors in form.errors.values() for error in errors)
        log.warning("refused: %s by %s: %s", what, request.user, faults)


def _usual() -> dict[str, str]:
    """The usual week in the company's zone, with its country's holidays."""
    spans = ", ".join("-".join(span) for span in calendars.MORNING_AND_AFTERNOON)
    company = Organisation.get()
    country = company.country if company.country in calendars.countries() else ""
    return {"tz": company.tz, "country": country, **{f"day{n}": spans for n in range(5)}}


def _around(row: Calendar | None, day_form: DayForm | None = None) -> dict[str, Any]:
    at = clock.now()
    today = at.date()
    context: dict[str, Any] = {"row": row, "days": [], "holidays": []}
    if row is not None:
        calendar = calendars.calendar_of(row)
        today = today_in(calendar.zone, at)
        context["days"] = list(row.days.filter(date__gte=today).order_by("date")[:60])
        names = calendars.holiday_names(row.country, row.region)
        coming = sorted(day for day in names if today <= day < today + timedelta(days=365))
        context["holidays"] = [
            (day, names[day]) for day in coming if calendar.holiday(day) and calendar.usual(day)
        ][:HOLIDAYS_SHOWN]
        context |= _look(calendar, row, at)
    context["day_form"] = day_form or DayForm(today=today)
    return context


def _look(calendar: WorkCalendar, row: Calendar, at: datetime) -> dict[str, Any]:
    return {"weeks": weeks(calendar, row, at), "examples": examples(calendar, at), "zone": str(calendar.zone)}


@managers
@require_POST
def hours_look(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """The next four weeks by the hours as they stand in the form, before they are saved."""
    row = get_object_or_404(Calendar, pk=pk) if pk else Calendar()
    form = HoursForm(request.POST, instance=row)
    context: dict[str, Any] = {}
    if form.is_valid():
        chosen = form.save(commit=False)
        chosen.week = form.cleaned_data["week"]
        context = _look(calendars.calendar_of(chosen), chosen, clock.now())
    else:
        context["faults"] = [str(error) for errors in form.errors.values() for error in errors]
    return render(request, "pages/settings/_look.html", context)


@managers
@require_GET
def hours_regions(request: HttpRequest) -> HttpResponse:
    """The regions of the chosen country."""
    choices = region_choices(request.GET.get("country", ""))
    return render(request, "pages/settings/_regions.html", {"choices": choices})


@managers
@require_POST
def hours_day(request: HttpRequest, pk: int) -> HttpResponse:
    """Give days hours of their own, work on a public holiday, or let a day be as every week again."""
    assert isinstance(request.user, User)
    row = get_object_or_404(Calendar, pk=pk)
    actor, calendar = person(request.user), calendars.calendar_of(row)
    if drop := request.POST.get("drop", ""):
        hours.drop_day(
            actor, get_object_or_404(CalendarDay, calendar=row, pk=drop if drop.isdecimal() else 0)
        )
        messages.success(request, "That day is as every week again.")
        return redirect("pages:hours_edit", pk)
    form = DayForm(request.POST, today=today_in(calendar.zone, clock.now()))
    if not form.is_valid():
        _log_refused(request, "a day of its own", form)
        context = _around(row, form) | {"form": HoursForm(instance=row)}
        return settings_page(request, "calendar", context, form)
    data = form.cleaned_data
    days = days_of(data["date"], data["until"])
    with transaction.atomic():
        for day in days:
            spans = _spans_on(calendar, day, data["kind"], data["spans"])
            hours.set_day(actor, row, {"date": day, "hours": spans, "label": data["label"]})
    messages.success(request, "The day is saved." if len(days) == 1 else f"{len(days)} days are saved.")
    return redirect("pages:hours_edit", pk)


def _spans_on(calendar: WorkCalendar, day: date, kind: str, spans: list[list[str]]) -> list[list[str]]:
    if kind == "closed":
        return []
    if kind == "hours":
        return spans
    usual = calendar.usual(day)
    return calendars.spans_to(usual if kind == "open" else calendars.half(usual, morning=kind == "morning"))


# Absence ----------------------------------------------------------------------------------------------


@sales
def absence(request: PageRequest) -> HttpResponse:
    """Who is away in the next four weeks, and a form to plan it."""
    people, at = absences.whose(request.user), clock.now()
    form = AbsenceForm(request.POST or None, people=people)
    if request.method == "POST" and form.is_valid():
        user = next(one for one in people if one.pk == form.cleaned_data["user"].pk)
        try:
            made = absences.plan(user, form.plan(), person(request.user), at=at)
        except BadInput as error:
            put_faults(form, error)
        else:
            told = absences.told(made, calendars.for_teams([user.team_id]))
            messages.success(request, f"Noted: {user.name} is away {told}.")
            return redirect("pages:absence")
    _log_refused(request, "an absence", form)
    today = today_in(ZoneInfo(request.user.zone), at)
    first = today - timedelta(days=today.weekday())
    rows = list(absences.coming(people, at))
    by_team = calendars.for_teams({one.team_id for one in people})
    context = {
        "people": people,
        "lines": absences.ahead(people, first, 7 * (WEEKS + 1)),
        "weeks": [first + timedelta(days=7 * n) for n in range(WEEKS + 1)],
        "today": today,
        "rows": [(row, absences.told(row, by_team), _why(row)) for row in rows],
        "now": at,
    }
    return settings_page(request, "absence", context, form)


def _why(row: Absence) -> str:
    return row.reason.removeprefix(absences.PLANNED)


@sales
@require_POST
def absence_drop(request: PageRequest, pk: int) -> HttpResponse:
    """Take an absence back, or end it now."""
    row = get_object_or_404(Absence.objects.select_related("user__team"), pk=pk)
    absences.take_back(row, person(request.user), at=clock.now())
    messages.success(request, f"{row.user.name} is there.")
    return redirect("pages:absence")


# Clocks -----------------------------------------------------------------------------------------------


@admins
@require_GET
def clocks_page(request: HttpRequest) -> HttpResponse:
    """Whether the clocks keep up, and those that stumbled."""
    at = clock.now()
    due = Handoff.objects.filter(sla_tick_at__lte=at)
    context = {
        "behind": _waited(clocks.oldest_due(at)),
        "due": due.count(),
        "running": Handoff.objects.filter(sla_tick_at__isnull=False).count(),
        "rows": clocks.stumbling(),
        "now": at,
    }
    return settings_page(request, "clocks", context)


def _waited(behind: timedelta | None) -> str:
    if behind is None:
        return ""
    seconds = int(behind.total_seconds())
    return (
        f"{seconds} s"
        if seconds < 120
        else f"{seconds // 60} min"
        if seconds < 7_200
        else f"{seconds // 3_600} h"
    )


@admins
@require_POST
def clock_again(request: PageRequest) -> HttpResponse:
    """Let one clock that stumbled, or all of them, run now."""
    at = clock.now()
    asked = request.POST.get("handoff", "")
    rows: Sequence[int] = [row.pk for row in clocks.stumbling() if asked in ("all", str(row.pk))]
    well = [pk for pk in rows if clocks.try_again(pk, at)]
    for pk in rows:
        handoff = Handoff.objects.get(pk=pk)
        audit.record(person(request.user), "clock.again", handoff, after={"went_well": pk in well})
    if not rows:
        messages.info(request, "That clock runs already.")
    elif len(well) == len(rows):
        messages.success(request, "It went well this time." if len(rows) == 1 else "All of them run again.")
    else:
        n = len(rows) - len(well)
        messages.error(request, f"{n} of {len(rows)} stumbled again; the reason stands beside each.")
    return redirect("pages:clocks")
