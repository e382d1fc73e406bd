"""The managers' board: clocks and load by rep, what is late, what nobody has dealt with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Min, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from handoff import acting, desk, keeping, machine, presence
from handoff import queue as selectors
from handoff.models import OPEN, Handoff, LateException, Promise
from handoff.templatetags.queue import due_words
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role, Team, User
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.web import csv_response
from scoring.document import Admission

SHOWN = 50
GIVE_LIMIT = 50


@dataclass(frozen=True)
class RepRow:
    """One rep: clocks now, load against room."""

    seat: presence.Seat
    team: str
    late: int
    today: int
    later: int
    oldest: datetime | None
    kept: keeping.Kept

    @property
    def open_now(self) -> int:
        """How many leads the rep has."""
        return self.late + self.today + self.later


@require_GET
@roles(Role.SALES_MANAGER)
def board(request: HttpRequest) -> HttpResponseBase:
    """The whole page; `?format=csv` the table by rep."""
    assert isinstance(request.user, User)
    user, now = request.user, clock.now()
    terms = acting.terms_now()
    weeks = keeping.four_weeks(_teams(user), now)
    reps, pool = _reps(user, now, terms.admission, weeks)
    if request.GET.get("format") == "csv":
        return _csv(reps, weeks)
    urgent = _urgent(user, now)
    promised = terms.promises["sales"]
    exceptions = _exceptions(user, now)
    context = {
        "now": now,
        "reps": reps,
        "pool": pool,
        "weeks": weeks,
        "figures": [
            _figure("Answered in time", weeks.total.answered, weeks.before.answered, promised, "acceptance"),
            _figure("First call in time", weeks.total.called, weeks.before.called, promised, "first_touch"),
        ],
        "urgent": urgent,
        "exceptions": exceptions,
        "receivers": selectors.receivers(user, user.team_id),
        "sum": {
            "late": sum(one.late for one in reps) + pool["late"],
            "today": sum(one.today for one in reps) + pool["today"],
            "later": sum(one.later for one in reps) + pool["all"] - pool["late"] - pool["today"],
            "open": sum(one.open_now for one in reps) + pool["all"],
            "given": sum(one.seat.given for one in reps),
            "room": sum(one.seat.per_day for one in reps),
        },
        "desk": selectors.desk(user, now),
    }
    return render(request, "handoff/board.html", context)


PROMISED = {"acceptance": "answered_in_time_percent", "first_touch": "first_touch_in_time_percent"}


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


def _teams(user: User) -> list[int] | None:
    """The teams whose promises the manager answers for; None for all."""
    if user.role == Role.ADMIN:
        return None
    found = set(Team.objects.filter(manager=user).values_list("pk", flat=True))
    return sorted(found | ({user.team_id} if user.team_id else set()))


def _csv(reps: list[RepRow], weeks: keeping.Weeks) -> HttpResponseBase:
    header = (
        "Rep",
        "Team",
        "Away",
        "Late",
        "Due today",
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
            one.today,
            one.later,
            one.seat.capacity,
            one.seat.given,
            one.kept.answered.whole,
            one.kept.answered.part,
            one.kept.called.whole,
            one.kept.called.part,
            one.kept.reached.part,
        )
        for one in reps
    )
    return csv_response(f"reps-{weeks.start}-{weeks.end}", header, rows)


@require_GET
@roles(Role.SALES_MANAGER)
def called(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Whom a rep was to call for the first time in the last four weeks, and who was reached."""
    assert isinstance(request.user, User)
    user, now = request.user, clock.now()
    rep = _managed(user).filter(pk=pk).first()
    if rep is None:
        raise NotVisible("There is nobody like that.")
    found = keeping.called(rep.pk, now)
    if request.GET.get("format") == "csv":
        header = ("Lead", "Company", "Grade", "Offered", "First contact", "Reached")
        return csv_response(f"calls-{rep.name.lower().replace(' ', '-')}", header, map(_called_row, found))
    page = Paginator(found, SHOWN).get_page(request.GET.get("page"))
    reached = found.exclude(reached_at=None).count()
    return render(request, "handoff/called.html", {"page": page, "rep": rep, "reached": reached, "now": now})


def _called_row(row: Handoff) -> tuple[Any, ...]:
    company = row.lead.company.name if row.lead.company else ""
    days = (row.offered_at, row.first_touch_at, row.reached_at)
    return (str(row.lead), company, row.grade, *(day.date().isoformat() if day else "" for day in days))


def _managed(user: User) -> QuerySet[User]:
    """The active reps whom the manager answers for."""
    people = User.objects.filter(is_active=True, role=Role.REP).select_related("team")
    if user.role != Role.ADMIN:
        people = people.filter(Q(team=user.team_id) | Q(team__manager=user.pk))
    return people


def _reps(
    user: User, now: datetime, admission: Admission, weeks: keeping.Weeks
) -> tuple[list[RepRow], dict[str, int]]:
    """Every rep the manager sees, the late ones first, and the pool; a fixed number of queries."""
    day = selectors.end_of_day(now, user.zone)
    late = selectors.late(now)
    today = Q(snoozed_until=None, due_at__lt=day) & ~late
    figures: dict[int | None, dict[str, Any]] = {
        row["owner"]: row
        for row in selectors.opened(user)
        .values("owner")
        .annotate(
            late=Count("pk", filter=late),
            today=Count("pk", filter=today),
            all=Count("pk"),
            oldest=Min("sla_due_at", filter=late),
        )
    }
    known = {one.pk: one for one in _managed(user)}
    seats = presence.seats(
        now, capacity=admission.capacity_open, per_day=admission.new_per_rep_per_day, users=known
    )
    none: dict[str, Any] = {"late": 0, "today": 0, "all": 0, "oldest": None}
    rows = [
        _row(
            seat,
            known[seat.user_id],
            figures.get(seat.user_id, none),
            weeks.reps.get(seat.user_id, keeping.Kept()),
        )
        for seat in seats
    ]
    pool = figures.get(None, none)
    return sorted(rows, key=lambda one: (-one.late, one.seat.name)), pool


def _row(seat: presence.Seat, rep: User, found: dict[str, Any], kept: keeping.Kept) -> RepRow:
    return RepRow(
        seat=seat,
        team=rep.team.name if rep.team else "",
        late=found["late"],
        today=found["today"],
        later=found["all"] - found["late"] - found["today"],
        oldest=found["oldest"],
        kept=kept,
    )


def _urgent(user: User, now: datetime) -> list[Handoff]:
    """Late, or due before the day ends; first due first."""
    day = selectors.end_of_day(now, user.zone)
    return list(
        selectors.opened(user)
        .filter(snoozed_until=None, sla_due_at__lt=day)
        .select_related("lead__company", "owner", "team")
        .defer("frozen")
        .order_by("sla_due_at", "pk")[:SHOWN]
    )


@dataclass(frozen=True)
class Exceptional:
    """A lead that stayed late too long: since when, and in words what is late and who has it."""

    handoff: Handoff
    since: datetime
    age: timedelta
    words: str


LATE_WORDS = {
    Promise.ACCEPTANCE: "the answer",
    Promise.FIRST_TOUCH: "the first call",
    Promise.FOLLOW_UP: "the next attempt",
}


def _exceptions(user: User, now: datetime) -> list[Exceptional]:
    """What is late and nobody has dealt with, one line for a lead, oldest first."""
    seen = Handoff.objects.filter(selectors.visible(user), state__in=[s.value for s in OPEN])
    found: dict[int, list[LateException]] = {}
    for row in (
        LateException.objects.filter(cleared_at=None, handoff__in=seen)
        .select_related("handoff__lead__company", "handoff__owner")
        .defer("handoff__frozen")
        .order_by("since", "pk")[: 2 * SHOWN]
    ):
        found.setdefault(row.handoff_id, []).append(row)
    return [
        Exceptional(rows[0].handoff, rows[0].since, now - rows[0].since, _late_words(rows, now))
        for rows in list(found.values())[:SHOWN]
    ]


def _late_words(rows: list[LateException], now: datetime) -> str:
    names = [LATE_WORDS[Promise(row.promise)] for row in rows if row.promise]
    what = " and ".join(dict.fromkeys(names)) or "it"
    handoff = rows[0].handoff
    text = f"{what[0].upper()}{what[1:]} {'are' if len(set(names)) > 1 else 'is'} late"
    if handoff.owner is None:
        return f"{text}, nobody has it"
    if handoff.sla_due_at and handoff.sla_due_at > now:
        return f"{text}; {handoff.owner.name} has it now, {due_words(handoff.sla_due_at, now)}"
    return f"{text}, no word from {handoff.owner.name}"


@require_POST
@roles(Role.SALES_MANAGER)
def give(request: HttpRequest) -> HttpResponse:
    """Give the chosen leads to somebody, with one reason; each is an act of its own."""
    assert isinstance(request.user, User)
    ids = [int(text) for text in request.POST.getlist("handoff") if text.isascii() and text.isdigit()][
        :GIVE_LIMIT
    ]
    reason = request.POST.get("reason", "").strip()
    if not ids:
        raise BadInput("Choose at least one lead.", [Fault("handoff", "Tick the leads to give.")])
    if not reason:
        raise BadInput("Say why.", [Fault("reason", "One sentence is enough; it stays on record.")])
    to, done, left = request.POST.get("to", ""), 0, []
    for handoff_id in ids:
        try:
            machine.apply("reassign", handoff_id, person(request.user), to=to, reason=reason)
            done += 1
        except (Conflict, Forbidden, NotVisible) as wrong:
            left.append(str(wrong) or "It is not here any more.")
    if done:
        messages.success(
            request, f"Gave {done} {'lead' if done == 1 else 'leads'}; each lead's own clock runs on."
        )
    for text in dict.fromkeys(left):
        messages.error(request, text)
    return redirect(reverse("handoff:board"))


@require_POST
@roles(Role.SALES_MANAGER)
def away(request: HttpRequest, pk: int) -> HttpResponse:
    """Note that a rep is away today, or back."""
    assert isinstance(request.user, User)
    rep = User.objects.select_related("team").filter(pk=pk, is_active=True).first()
    if rep is None:
        raise NotVisible("There is nobody like that.")
    if request.POST.get("back"):
        desk.come_back(rep, person(request.user))
        messages.success(request, f"{rep.name} is back.")
    else:
        desk.go_away(rep, person(request.user))
        messages.success(request, f"{rep.name} is away today: new leads go to colleagues.")
    return redirect(reverse("handoff:board"))
