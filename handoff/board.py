"""The managers' board: clocks and load by rep, what is late, what nobody has dealt with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db.models import Count, Min, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from handoff import acting, desk, machine, presence
from handoff import queue as selectors
from handoff.models import OPEN, Handoff, LateException
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role, User
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible

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

    @property
    def open_now(self) -> int:
        """How many leads the rep has."""
        return self.late + self.today + self.later


@require_GET
@roles(Role.SALES_MANAGER)
def board(request: HttpRequest) -> HttpResponse:
    """The whole page."""
    assert isinstance(request.user, User)
    user, now = request.user, clock.now()
    reps, pool = _reps(user, now)
    urgent = _urgent(user, now)
    context = {
        "now": now,
        "reps": reps,
        "pool": pool,
        "urgent": urgent,
        "exceptions": _exceptions(user),
        "receivers": selectors.receivers(user, user.team_id),
        "sum": {
            "late": sum(one.late for one in reps) + pool["late"],
            "today": sum(one.today for one in reps) + pool["today"],
            "open": sum(one.open_now for one in reps) + pool["all"],
            "given": sum(one.seat.given for one in reps),
            "room": sum(one.seat.per_day for one in reps),
        },
        "desk": selectors.desk(user, now),
    }
    return render(request, "handoff/board.html", context)


def _reps(user: User, now: datetime) -> tuple[list[RepRow], dict[str, int]]:
    """Every rep the manager sees, by name, and the pool; a fixed number of queries."""
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
    admission = acting.terms_now().admission
    people = User.objects.filter(is_active=True, role=Role.REP).select_related("team")
    if user.role != Role.ADMIN:
        people = people.filter(Q(team=user.team_id) | Q(team__manager=user.pk))
    known = {one.pk: one for one in people}
    seats = presence.seats(
        now, capacity=admission.capacity_open, per_day=admission.new_per_rep_per_day, users=known
    )
    none: dict[str, Any] = {"late": 0, "today": 0, "all": 0, "oldest": None}
    rows = [_row(seat, known[seat.user_id], figures.get(seat.user_id, none)) for seat in seats]
    pool = figures.get(None, none)
    return sorted(rows, key=lambda one: (-one.late, one.seat.name)), pool


def _row(seat: presence.Seat, rep: User, found: dict[str, Any]) -> RepRow:
    return RepRow(
        seat=seat,
        team=rep.team.name if rep.team else "",
        late=found["late"],
        today=found["today"],
        later=found["all"] - found["late"] - found["today"],
        oldest=found["oldest"],
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


def _exceptions(user: User) -> list[LateException]:
    """What is late and nobody has dealt with, oldest first."""
    seen = Handoff.objects.filter(selectors.visible(user), state__in=[s.value for s in OPEN])
    return list(
        LateException.objects.filter(cleared_at=None, handoff__in=seen)
        .select_related("handoff__lead__company", "handoff__owner")
        .order_by("since", "pk")[:SHOWN]
    )


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
