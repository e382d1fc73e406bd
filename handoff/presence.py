"""Who is there, and how much room each has, read in a fixed number of queries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from handoff import calendars
from handoff.models import OPEN, Absence, DailyOffer, Handoff
from leadflow.accounts.models import SALES, Role, Team, User

Hours = Mapping[int | None, calendars.WorkCalendar]


@dataclass
class Seat:
    """One rep at one instant. `left_today` and `left_open` go down as the router hands out leads."""

    user_id: int
    name: str
    team_id: int | None
    weight: int
    present: bool
    in_hours: bool
    open_now: int
    capacity: int
    day: date
    given: int
    per_day: int
    taken: int = field(default=0)

    @property
    def room(self) -> int:
        """How many more new leads this rep can get today."""
        return max(0, self.left()) if self.present else 0

    def left(self, *, past_day: bool = False) -> int:
        """Room on the desk, and unless `past_day` within the day's limit; below 0 when it is overfull."""
        desk = self.capacity - self.open_now
        return desk if past_day else min(self.per_day - self.given, desk)

    def give(self, counted: bool) -> None:
        """Note one more lead; `counted`: one of those that the agreement limits per day."""
        self.open_now += 1
        if counted:
            self.given += 1
            self.taken += 1


@dataclass(frozen=True)
class Present:
    """Sales at one instant: the active reps, others who were asked for, and the hours of their teams."""

    reps: list[Seat]
    others: list[Seat]
    hours: dict[int | None, calendars.WorkCalendar]

    def clear_desks(self) -> None:
        """As if everybody was there with an empty desk (to try sentences)."""
        for seat in (*self.reps, *self.others):
            seat.present = seat.in_hours = True
            seat.open_now = seat.given = 0


def seats(
    at: datetime,
    *,
    capacity: int,
    per_day: int,
    users: Iterable[int] | QuerySet[Any] | None = None,
    hours: Hours | None = None,
) -> list[Seat]:
    """The active reps (or just `users`, whatever their role) with their load; three queries.

    `capacity` and `per_day` are the agreement's; a person's own capacity goes first. `hours`: those of teams
    that were read already; `users` may be a query of ids.
    """
    people = _people(at)
    people = (
        people.filter(_REPS)
        if users is None
        else people.filter(pk__in=users if isinstance(users, QuerySet) else list(users))
    )
    return _seated(list(people), at, capacity, per_day, hours)[0]


def of_sales(at: datetime, *, capacity: int, per_day: int, others: Iterable[int] = ()) -> Present:
    """The active reps, and those of `others` who are in sales (a manager who keeps an account); three
    queries."""
    people = _people(at).filter(_REPS | Q(pk__in=list(others), role__in=SALES))
    rows: list[Any] = list(people)
    found, hours = _seated(rows, at, capacity, per_day)
    reps = {row.pk for row in rows if row.role == Role.REP and row.in_sales_team}
    return Present(
        [s for s in found if s.user_id in reps], [s for s in found if s.user_id not in reps], hours
    )


_REPS = Q(role=Role.REP, team__kind=Team.Kind.SALES)


def _people(at: datetime) -> QuerySet[User]:
    opened = Handoff.objects.filter(owner=OuterRef("pk"), state__in=[s.value for s in OPEN]).order_by()
    return (
        User.objects.filter(is_active=True)
        .only("name", "role", "team", "weight", "capacity_open")
        .annotate(
            away=Exists(absences(at).filter(user=OuterRef("pk"))),
            # A look into the index of open ones: closed handoffs grow without end.
            open_now=Coalesce(Subquery(opened.values("owner").annotate(n=Count("*")).values("n")), 0),
            in_sales_team=Q(team__kind=Team.Kind.SALES),
        )
        .order_by("pk")
    )


def _seated(
    rows: Sequence[Any], at: datetime, capacity: int, per_day: int, known: Hours | None = None
) -> tuple[list[Seat], dict[int | None, calendars.WorkCalendar]]:
    if not rows:
        return [], {}
    hours = dict(known or {})
    if unknown := {row.team_id for row in rows} - hours.keys():
        hours |= calendars.for_teams(unknown)
    days = {team: hours[team].working_date(at) for team in hours}
    given = {
        (user, day): count
        for user, day, count in DailyOffer.objects.filter(
            user__in=[row.pk for row in rows], date__in=set(days.values())
        ).values_list("user_id", "date", "count")
    }
    return [_seat(row, at, hours, days, given, capacity, per_day) for row in rows], hours


def _seat(
    row: Any,
    at: datetime,
    hours: dict[int | None, calendars.WorkCalendar],
    days: dict[int | None, date],
    given: dict[tuple[int, date], int],
    capacity: int,
    per_day: int,
) -> Seat:
    day = days[row.team_id]
    return Seat(
        user_id=row.pk,
        name=row.name,
        team_id=row.team_id,
        weight=max(1, row.weight),
        present=not row.away,
        in_hours=hours[row.team_id].is_open(at),
        open_now=row.open_now,
        capacity=row.capacity_open if row.capacity_open is not None else capacity,
        day=day,
        given=given.get((row.pk, day), 0),
        per_day=per_day,
    )


class AtDesk(NamedTuple):
    """Whether somebody is there, and how many open leads of how many they have."""

    present: bool
    open_now: int
    capacity: int

    @property
    def has_room(self) -> bool:
        """Whether they may take one more from the pool."""
        return self.present and self.open_now < self.capacity


# In SQL: it is asked in front of every lead that somebody takes from a pool, and for every page of the queue.
_AT_DESK = """
    SELECT EXISTS (SELECT FROM handoff_absence a
            WHERE a.user_id = u.id AND a.starts_at <= %s AND a.ends_at > %s),
        (SELECT count(*) FROM handoff_handoff h WHERE h.owner_id = u.id AND h.state IN %s), u.capacity_open
    FROM accounts_user u WHERE u.id = %s AND u.is_active
"""


def at_desk(user_id: int, at: datetime, capacity: int) -> AtDesk | None:
    """Where this person stands, None when inactive (the agreement's `capacity`, unless they have their own);
    one query."""
    with connection.cursor() as cursor:
        cursor.execute(_AT_DESK, [at, at, tuple(state.value for state in OPEN), user_id])
        row = cursor.fetchone()
    if row is None:
        return None
    away, open_now, own = row
    return AtDesk(not away, open_now, capacity if own is None else own)


def absences(at: datetime) -> Any:
    """The absences that cover `at`."""
    return Absence.objects.filter(starts_at__lte=at, ends_at__gt=at)


def is_present(user_id: int, at: datetime) -> bool:
    """Whether nobody said that this person is away."""
    return not absences(at).filter(user_id=user_id).exists()


def away_until(user_ids: Iterable[int], at: datetime) -> dict[int, datetime]:
    """Those of them who are away, and until when."""
    found: dict[int, datetime] = {}
    for user_id, until in absences(at).filter(user__in=list(user_ids)).values_list("user_id", "ends_at"):
        found[user_id] = max(until, found.get(user_id, until))
    return found
