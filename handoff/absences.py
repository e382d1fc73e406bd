"""Who is away when: planned ahead by day or half a day, taken back, and what is done on the day it begins.

Away "from now on" is one button of the desk (`handoff.desk`); this is the calendar beside it.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet

from handoff import calendars, escalation
from handoff.calendars import WorkCalendar
from handoff.models import Absence, Handoff, State
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import SALES, Role, User
from leadflow.errors import BadInput, Fault, Forbidden

log = logging.getLogger(__name__)

LONGEST = timedelta(days=366)
PLANNED = "planned: "
REASONS = ("holiday", "training", "business trip", "ill", "other")
# So long after its beginning an absence's leads are still passed on, should the clocks have stood still.
BEGINS_WITHIN = timedelta(minutes=15)
MORNING, AFTERNOON, ALL_DAY = "morning", "afternoon", "all day"


@dataclass(frozen=True)
class Plan:
    """What somebody wants: first and last day; `from_middle`, `until_middle`: half of those days only."""

    first: date
    last: date
    from_middle: bool = False
    until_middle: bool = False
    reason: str = ""


def plan(user: User, wanted: Plan, actor: Actor, *, at: datetime) -> Absence:
    """Note that somebody of sales will be away. Raises Forbidden for another's, BadInput in words."""
    check_may(user, actor)
    hours = calendars.for_team(user.team_id)
    faults = []
    if wanted.last < wanted.first:
        faults.append(Fault("last", "The last day lies before the first."))
    starts, ends = _span(wanted, hours)
    if not faults and ends <= starts:
        faults.append(Fault("last", "From the middle of a day until the middle of the same is no time."))
    if not faults and ends <= at:
        faults.append(Fault("last", "That is over already: choose a day from today on."))
    if not faults and ends - starts > LONGEST:
        faults.append(Fault("last", "At most a year at once."))
    if wanted.reason and wanted.reason not in REASONS:
        faults.append(Fault("reason", "Choose one of the list."))
    if faults:
        raise BadInput("That absence cannot be noted.", faults)
    with transaction.atomic():
        # Two people who plan the same days at once wait for each other here.
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        other = Absence.objects.filter(user=user, starts_at__lt=ends, ends_at__gt=starts).first()
        if other is not None:
            there = f"{_day(other.starts_at, hours)} to {_day(other.ends_at - timedelta(seconds=1), hours)}"
            raise BadInput(
                "That absence cannot be noted.",
                [Fault("first", f"{user.name} is away from {there} already.")],
            )
        made = Absence.objects.create(
            user=user,
            starts_at=starts,
            ends_at=ends,
            reason=f"{PLANNED}{wanted.reason or REASONS[0]}",
            created_by=actor.user,
        )
        audit.record(
            actor, "person.away_planned", user, after={"from": starts.isoformat(), "to": ends.isoformat()}
        )
    return made


def take_back(absence: Absence, actor: Actor, *, at: datetime) -> None:
    """The person is there after all: what has not begun goes, what has begun ends now."""
    check_may(absence.user, actor)
    with transaction.atomic():
        before = {"from": absence.starts_at.isoformat(), "to": absence.ends_at.isoformat()}
        if absence.starts_at >= at:
            absence.delete()
        elif absence.ends_at > at:
            Absence.objects.filter(pk=absence.pk).update(ends_at=at)
        else:
            raise BadInput("That absence is over; it stays on record.")
        audit.record(actor, "person.back", absence.user, before=before)


def check_may(user: User, actor: Actor) -> None:
    """Raise Forbidden unless it is one's own, or the actor manages the person; only sales has absences."""
    if user.role not in SALES:
        raise BadInput(f"{user.name} is not in sales: only who gets leads is away for them.")
    if actor.user is None or (actor.user_id != user.pk and not manages(actor.user, user)):
        raise Forbidden("Absence is for the person or their manager to say.")


def manages(manager: User, user: User) -> bool:
    """Whether somebody is an admin, or the sales manager of the person's team."""
    if manager.role == Role.ADMIN:
        return True
    if manager.role != Role.SALES_MANAGER or user.team is None:
        return False
    return manager.pk == user.team.manager_id or manager.team_id == user.team_id


def whose(user: User) -> list[User]:
    """The people whose absences somebody may plan, themselves first."""
    rows = User.objects.filter(is_active=True, role__in=SALES).select_related("team")
    if user.role == Role.SALES_MANAGER:
        rows = rows.filter(Q(pk=user.pk) | Q(team__manager=user) | Q(team__isnull=False, team=user.team_id))
    elif user.role != Role.ADMIN:
        rows = rows.filter(pk=user.pk)
    return sorted(rows, key=lambda row: (row.pk != user.pk, row.name))


def _span(wanted: Plan, hours: WorkCalendar) -> tuple[datetime, datetime]:
    after_last = wanted.last + timedelta(days=1)
    starts = _instant(wanted.first, hours.middle(wanted.first) if wanted.from_middle else time(0), hours)
    if wanted.until_middle:
        return starts, _instant(wanted.last, hours.middle(wanted.last), hours)
    return starts, _instant(after_last, time(0), hours)


def _instant(day: date, moment: time, hours: WorkCalendar) -> datetime:
    return datetime.combine(day, moment, hours.zone)


def _day(at: datetime, hours: WorkCalendar) -> str:
    return f"{at.astimezone(hours.zone):%-d %b}"


# The day it begins ------------------------------------------------------------------------------------


def begin(at: datetime, limit: int = 50) -> int:
    """Planned absences that have begun: offers that fall due meanwhile go to colleagues who are there.

    Returns how many moved. An offer whose colleagues are all away stays, as when it is late.
    """
    found = _waiting(at)[:limit]
    moved = 0
    for pk, name in found:
        try:
            with transaction.atomic():
                moved += escalation.move_on(pk, at, reason=f"{name} is away")
        except Exception:
            # It stays with its owner, and its own clock goes on.
            log.exception("handoff %s was not passed on", pk)
    return moved


def _waiting(at: datetime) -> Sequence[tuple[int, str]]:
    away = Absence.objects.filter(
        reason__startswith=PLANNED, starts_at__lte=at, starts_at__gt=at - BEGINS_WITHIN, ends_at__gt=at
    )
    ends = dict(away.values_list("user_id", "ends_at"))
    if not ends:
        return []
    rows = Handoff.objects.filter(
        owner__in=ends,
        state=State.OFFERED,
        snoozed_until=None,
        offered_at__lte=F("owner__absences__starts_at"),
        owner__absences__in=away,
        sla_due_at__lt=F("owner__absences__ends_at"),
    )
    return list(rows.order_by("sla_due_at", "pk").values_list("pk", "owner__name"))


# The next weeks ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One day of one person: closed, there, or away for all of it or half."""

    day: date
    closed: bool
    away: str = ""

    @property
    def words(self) -> str:
        """What the day is, for who cannot see colours."""
        return "closed" if self.closed else f"away, {self.away}" if self.away else "there"


@dataclass(frozen=True)
class Line:
    """One person's next weeks."""

    user: User
    cells: Sequence[Cell]


def ahead(people: Sequence[User], first: date, days: int = 28) -> list[Line]:
    """Who is there in the next weeks; two queries, whatever the number of people."""
    hours = calendars.for_teams({user.team_id for user in people})
    low = datetime.combine(first, time(0), UTC)
    rows = Absence.objects.filter(
        user__in=people, ends_at__gt=low - timedelta(days=1), starts_at__lt=low + timedelta(days=days + 1)
    )
    away: dict[int, list[Absence]] = {}
    for row in rows:
        away.setdefault(row.user_id, []).append(row)
    span = [first + timedelta(days=n) for n in range(days)]
    return [
        Line(user, [_cell(day, hours[user.team_id], away.get(user.pk, ())) for day in span])
        for user in people
    ]


def _cell(day: date, hours: WorkCalendar, rows: Iterable[Absence]) -> Cell:
    spans = hours.spans_of(day)
    if not spans:
        return Cell(day, True)
    middle = _instant(day, hours.middle(day), hours)
    low, high = _instant(day, time(0), hours), _instant(day + timedelta(days=1), time(0), hours)
    gone = [row for row in rows if row.starts_at < high and row.ends_at > low]
    morning = any(row.starts_at < middle for row in gone)
    afternoon = any(row.ends_at > middle for row in gone)
    if morning and afternoon:
        return Cell(day, False, ALL_DAY)
    return Cell(day, False, MORNING if morning else AFTERNOON if afternoon else "")


def coming(people: Sequence[User], at: datetime) -> QuerySet[Absence]:
    """The absences that are not over, by day."""
    found = Absence.objects.filter(user__in=people, ends_at__gt=at)
    return found.select_related("user", "created_by").order_by("starts_at", "pk")


def told(absence: Absence, hours: Mapping[int | None, WorkCalendar]) -> str:
    """From when to when, in days and halves: "Mon 30 Nov to Wed 2 Dec, until midday"."""
    zone = hours[absence.user.team_id].zone
    first, last = absence.starts_at.astimezone(zone), absence.ends_at.astimezone(zone)
    from_half, until_half = first.time() != time(0), last.time() != time(0)
    last_day = last.date() if until_half else last.date() - timedelta(days=1)
    parts = [f"{first:%a %-d %b}{f', from {first:%H:%M}' if from_half else ''}"]
    if last_day != first.date():
        parts.append(f"{last_day:%a %-d %b}{f', until {last:%H:%M}' if until_half else ''}")
    elif until_half:
        parts[0] += f" until {last:%H:%M}" if from_half else f", until {last:%H:%M}"
    return " to ".join(parts)
