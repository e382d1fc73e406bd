"""What the agreement's pages ask of sales: who is there, how much fits on each desk, and what came lately."""

from datetime import date, datetime, timedelta

from django.db.models import Count, Q

from handoff import calendars, presence
from handoff.acting import COUNTED
from handoff.calendars import WorkCalendar
from handoff.models import Handoff, RoomWait
from leadflow.accounts.models import Team
from scoring import room
from scoring.document import Document
from scoring.room import Rep, Room

BY_ITSELF = (*COUNTED, Handoff.Kind.FAST_TRACK)
LATELY = timedelta(days=28)
# Far enough to say when a wait is over; later than that is "not within two months".
DAYS_AHEAD = 60


def of_sales(document: Document, at: datetime) -> Room:
    """The room of all of sales at `at`; a fixed number of queries."""
    admission = document.admission
    sales = presence.of_sales(at, capacity=admission.capacity_open, per_day=admission.new_per_rep_per_day)
    teams = dict(Team.objects.values_list("pk", "name"))
    lately = Handoff.objects.filter(kind__in=BY_ITSELF, first_offered_at__gt=at - LATELY)
    counted = Count("pk", filter=Q(kind__in=COUNTED))
    offers = list(lately.order_by().values_list("owner").annotate(n=Count("pk"), counted=counted))
    return Room(
        reps=tuple(
            Rep(
                user_id=seat.user_id,
                name=seat.name,
                team_id=seat.team_id,
                team=teams.get(seat.team_id or 0, ""),
                present=seat.present,
                open_now=seat.open_now,
                capacity=seat.capacity,
                per_day=seat.per_day,
                given_today=seat.given,
            )
            for seat in sales.reps
        ),
        waiting=RoomWait.objects.filter(left_at=None).count(),
        days=_working_days(list(sales.hours.values()), at),
        offers={owner: n for owner, n, _ in offers if owner is not None},
        limited=sum(counted for *_, counted in offers),
    )


def waiting(span: tuple[int, int] | None) -> list[int]:
    """The leads that wait for room, of a range of ids or all."""
    found = RoomWait.objects.filter(left_at=None)
    if span is not None:
        found = found.filter(lead_id__gte=span[0], lead_id__lte=span[1])
    return list(found.values_list("lead_id", flat=True))


def _working_days(hours: list[WorkCalendar], at: datetime) -> tuple[date, ...]:
    """The coming days on which any of these teams works, the one that counts at `at` first."""
    hours = hours or [calendars.for_team(None)]
    first = min(calendar.working_date(at) for calendar in hours)
    ahead = (first + timedelta(days=n) for n in range(DAYS_AHEAD))
    return tuple(day for day in ahead if any(calendar.spans_of(day) for calendar in hours))


def register() -> None:
    """Tell the agreement whom to ask."""
    room.register(of_sales, waiting)
