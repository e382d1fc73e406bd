"""What the managers' board shows: clocks now and load by rep, what is late or will be, what stayed so."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BigIntegerField, Case, Count, F, Min, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Coalesce, JSONObject

from handoff import calendars, desk, keeping, outbox, presence
from handoff import queue as selectors
from handoff.calendars import WorkCalendar
from handoff.guards import WORKING_DAY
from handoff.models import OPEN, Handoff, LateException, Outbox, Pause, Promise, Transition
from handoff.templatetags.queue import due_words
from leadflow.accounts.models import Role, User
from leadflow.numbers import whole
from scoring.document import Admission, Document, Snooze

SHOWN = 50
# A break of the day that ends the morning: until then it is "before lunch".
LUNCH = time(14)
LOOKED_AHEAD = 8


# The handoff that a letter, or what an endpoint hears, is about; and who reads it.
ABOUT = Cast(
    Coalesce(
        KeyTextTransform("id", KeyTransform("handoff", KeyTransform("data", "payload"))),
        KeyTextTransform("handoff", "payload"),
    ),
    BigIntegerField(),
)
READER = Coalesce("endpoint__name", "user__name", "recipient")


def undelivered(user: User) -> QuerySet[Outbox]:
    """What was tried and has not arrived, newest first: for an admin all of it; for a sales manager what is
    about the handoffs of the own teams or goes to their people, or to the manager."""
    rows = outbox.stuck()
    if user.role == Role.ADMIN:
        return rows
    handoffs = Handoff.objects.filter(selectors.visible(user)).values("pk")
    people = desk.managed(user).values("pk")
    rows = rows.annotate(about=ABOUT)
    return rows.filter(Q(about__in=handoffs) | Q(user__in=people) | Q(user=user.pk))


@dataclass(frozen=True)
class Scope:
    """Whose board it is: the teams that the manager answers for, or the one that was chosen."""

    user: User
    teams: dict[int, str]
    chosen: int | None = None

    @property
    def ids(self) -> list[int] | None:
        """The teams that count; None for all there are."""
        if self.chosen is not None:
            return [self.chosen]
        return None if self.user.role == Role.ADMIN else sorted(self.teams)

    @property
    def query(self) -> str:
        """The choice as a part of an address."""
        return f"?team={self.chosen}" if self.chosen is not None else ""

    def opened(self) -> QuerySet[Any]:
        """The open handoffs on this board."""
        found = selectors.opened(self.user)
        return found if self.chosen is None else found.filter(team=self.chosen)

    def reps(self) -> QuerySet[User]:
        """The reps on this board."""
        found = desk.managed(self.user)
        return found if self.chosen is None else found.filter(team=self.chosen)


def scope_of(user: User, teams: dict[int, str], wanted: str) -> Scope:
    """The board of this person, who answers for `teams`; `wanted`: the id of one of them."""
    chosen = whole(wanted)
    return Scope(user, teams, chosen if chosen in teams else None)


@dataclass(frozen=True)
class Horizon:
    """The next end of work: what falls due until then is late "before lunch", or before the day ends."""

    at: datetime
    # "before lunch", "before the day ends"; `column`: "before 12:30", "before Mon 12:30".
    words: str
    column: str
    today: bool


def hours_of(scope: Scope) -> presence.Hours:
    """The hours of the teams on the board."""
    return calendars.for_teams(scope.ids or list(scope.teams) or [None])


def horizon(hours: presence.Hours, now: datetime) -> Horizon:
    """The next closing of the teams' hours, in the zone of the reader."""
    at, calendar = min(
        ((_closing(calendar, now), calendar) for calendar in hours.values()), key=lambda one: one[0]
    )
    here, there = at.astimezone(calendar.zone), now.astimezone(calendar.zone)
    today = here.date() == there.date()
    lunch = here.time() < LUNCH and any(a >= here.time() for a, _ in calendar.spans_of(here.date()))
    words = "before lunch" if lunch else "before the day ends"
    return Horizon(
        at,
        words if today else f"{words} on {here:%A}",
        f"before {here:%H:%M}" if today else f"before {here:%a %H:%M}",
        today,
    )


def _closing(calendar: WorkCalendar, now: datetime) -> datetime:
    day = now.astimezone(calendar.zone).date()
    for ahead in range(LOOKED_AHEAD):
        date = day + timedelta(days=ahead)
        for _, end in calendar.spans_of(date):
            midnight = end == time(0)
            closing = datetime.combine(date + timedelta(days=midnight), end, calendar.zone)
            if closing > now:
                return closing
    return now + timedelta(days=1)


@dataclass(frozen=True)
class RepRow:
    """One rep: clocks now, load against room."""

    seat: presence.Seat
    team: str
    late: int
    soon: int
    later: int
    oldest: datetime | None
    kept: keeping.Kept
    away_until: datetime | None = None

    @property
    def last_day(self) -> datetime | None:
        """An instant of the last day away: an absence ends with the midnight after it."""
        return self.away_until - timedelta(seconds=1) if self.away_until else None

    @property
    def open_now(self) -> int:
        """How many leads the rep has."""
        return self.late + self.soon + self.later


@dataclass(frozen=True)
class PoolRow:
    """What a team's pool holds."""

    team_id: int | None
    team: str
    late: int = 0
    soon: int = 0
    later: int = 0

    @property
    def open_now(self) -> int:
        """How many leads wait in it."""
        return self.late + self.soon + self.later


@dataclass
class Load:
    """Every rep that the manager sees, the late ones first, the pools, and the sums."""

    reps: list[RepRow] = field(default_factory=list)
    pools: list[PoolRow] = field(default_factory=list)

    @property
    def sum(self) -> dict[str, int]:
        """All of them together."""
        rows: Sequence[RepRow | PoolRow] = [*self.reps, *self.pools]
        return {
            "late": sum(one.late for one in rows),
            "soon": sum(one.soon for one in rows),
            "later": sum(one.later for one in rows),
            "open": sum(one.open_now for one in rows),
            "given": sum(one.seat.given for one in self.reps),
            "room": sum(one.seat.per_day for one in self.reps),
        }

    @property
    def latest(self) -> RepRow | None:
        """Who has most that is late."""
        return self.reps[0] if self.reps and self.reps[0].late else None


def load(
    scope: Scope,
    now: datetime,
    ahead: Horizon,
    admission: Admission,
    weeks: keeping.Weeks,
    hours: presence.Hours,
) -> Load:
    """Clocks and load; a fixed number of queries."""
    late = selectors.late(now)
    soon = Q(snoozed_until=None, sla_due_at__lt=ahead.at) & ~late
    counts = {
        "late": Count("pk", filter=late),
        "soon": Count("pk", filter=soon),
        "all": Count("pk"),
        "oldest": Min("sla_due_at", filter=late),
    }
    # By owner; what nobody has, by team.
    pool = Case(When(owner=None, then=F("team")))
    found = scope.opened().values("owner", of_team=pool, name=Case(When(owner=None, then=F("team__name"))))
    sums = list(found.order_by().annotate(**counts))
    by_owner = {row["owner"]: row for row in sums if row["owner"] is not None}
    pooled = sorted((row for row in sums if row["owner"] is None), key=lambda row: row["name"] or "")
    seats = presence.seats(
        now,
        capacity=admission.capacity_open,
        per_day=admission.new_per_rep_per_day,
        users=scope.reps().values("pk"),
        hours=hours,
    )
    away = presence.away_until([seat.user_id for seat in seats if not seat.present], now)
    none: dict[str, Any] = {"late": 0, "soon": 0, "all": 0, "oldest": None}
    rows = [_row(seat, scope, by_owner.get(seat.user_id, none), weeks, away) for seat in seats]
    pools = [
        PoolRow(
            row["of_team"],
            row["name"] or "",
            row["late"],
            row["soon"],
            row["all"] - row["late"] - row["soon"],
        )
        for row in pooled
    ]
    return Load(sorted(rows, key=lambda one: (-one.late, one.seat.name)), pools)


def _row(
    seat: presence.Seat, scope: Scope, found: dict[str, Any], weeks: keeping.Weeks, away: dict[int, datetime]
) -> RepRow:
    return RepRow(
        seat=seat,
        team=scope.teams.get(seat.team_id or 0, ""),
        late=found["late"],
        soon=found["soon"],
        later=found["all"] - found["late"] - found["soon"],
        oldest=found["oldest"],
        kept=weeks.reps.get(seat.user_id, keeping.Kept()),
        away_until=away.get(seat.user_id),
    )


def urgent(scope: Scope, ahead: Horizon, rep: int | None = None) -> QuerySet[Any]:
    """Late, or late until then if nobody acts; first due first."""
    found = scope.opened().filter(snoozed_until=None, sla_due_at__lt=ahead.at)
    if rep is not None:
        found = found.filter(owner=rep)
    return found.select_related("lead__company", "owner", "team").defer("frozen").order_by("sla_due_at", "pk")


@dataclass(frozen=True)
class Exceptional:
    """A lead that somebody must decide about: since when, why in words, and where that is done."""

    handoff: Handoff
    since: datetime
    age: timedelta
    words: str
    url: str
    act: str = "Decide"


LATE_WORDS = {
    Promise.ACCEPTANCE: "the answer",
    Promise.FIRST_TOUCH: "the first call",
    Promise.FOLLOW_UP: "the next attempt",
}


def exceptions(scope: Scope, now: datetime, terms: Document, hours: presence.Hours) -> list[Exceptional]:
    """What stayed late, what routing found nobody for, which objections wait, what sleeps longer than agreed
    or woke to silence, which messages never arrived; one line each, oldest first. Three queries."""
    found = [*_late(scope, now), *_objections(scope, now), *_silent(scope, now, terms, hours)]
    return sorted(found, key=lambda one: (one.since, one.handoff.pk))[:SHOWN]


def _late(scope: Scope, now: datetime) -> list[Exceptional]:
    seen = Handoff.objects.filter(selectors.visible(scope.user), state__in=[s.value for s in OPEN])
    if scope.chosen is not None:
        seen = seen.filter(team=scope.chosen)
    rows = (
        # What is merely late stands in the list beside; here is what the agreement says is for managers.
        LateException.objects.filter(cleared_at=None, handoff__in=seen)
        .exclude(step_done="")
        .select_related("handoff__lead__company", "handoff__owner")
        .defer("handoff__frozen")
        .order_by("since", "pk")[: 2 * SHOWN]
    )
    by_lead: dict[int, list[LateException]] = {}
    for row in rows:
        by_lead.setdefault(row.handoff_id, []).append(row)
    return [
        Exceptional(
            mine[0].handoff,
            mine[0].since,
            now - mine[0].since,
            _late_words(mine, now),
            f"/queue/{mine[0].handoff_id}/?tab=team",
            "Give" if mine[0].handoff.owner_id is None else "Decide",
        )
        for mine in by_lead.values()
    ]


def _late_words(rows: list[LateException], now: datetime) -> str:
    handoff = rows[0].handoff
    names = list(dict.fromkeys(LATE_WORDS[Promise(row.promise)] for row in rows if row.promise))
    if not names:
        return "Routing found nobody: it waits in the pool"
    what = " and ".join(names)
    text = f"{what[0].upper()}{what[1:]} {'are' if len(names) > 1 else 'is'} late"
    if handoff.owner is None:
        return f"{text}, nobody has it"
    if handoff.sla_due_at and handoff.sla_due_at > now:
        return f"{text}; {handoff.owner.name} has it now, {due_words(handoff.sla_due_at, now)}"
    return f"{text}, no word from {handoff.owner.name}"


def _objections(scope: Scope, now: datetime) -> list[Exceptional]:
    """Objections of marketing that sales has not answered."""
    visible = Handoff.objects.filter(selectors.visible(scope.user), state="rejected")
    if scope.chosen is not None:
        visible = visible.filter(team=scope.chosen)
    rows = (
        Transition.objects.filter(action="dispute", handoff__in=visible)
        .exclude(handoff__transitions__action="settle")
        .select_related("handoff__lead__company", "actor")
        .defer("handoff__frozen", "before")
        .order_by("at", "pk")[:SHOWN]
    )
    return [
        Exceptional(
            row.handoff,
            row.at,
            now - row.at,
            f"Objection: {row.actor.name if row.actor else 'marketing'} says the rejection was wrong"
            + (f": {row.note}" if row.note else ""),
            "/feedback/",
        )
        for row in rows
    ]


def _silent(scope: Scope, now: datetime, terms: Document, hours: presence.Hours) -> list[Exceptional]:
    """Leads that slept (beyond what is agreed today, past the end of their sleep, or awake with nothing done
    since) and those about whom a message never arrived. One query; few handoffs ever slept."""
    last = Transition.objects.filter(handoff=OuterRef("pk")).order_by("-at", "-pk")
    began = Pause.objects.filter(handoff=OuterRef("pk")).order_by("-starts_at").values("starts_at")
    lost = outbox.stuck().select_related(None).filter(next_try_at=None).annotate(about=ABOUT)
    told = JSONObject(at="created_at", channel="channel", to=READER)
    seen = Handoff.objects.filter(selectors.visible(scope.user), state__in=[s.value for s in OPEN])
    if scope.chosen is not None:
        seen = seen.filter(team=scope.chosen)
    rows = seen.annotate(
        last_act=Subquery(last.values("action")[:1]),
        last_at=Subquery(last.values("at")[:1]),
        asleep_since=Subquery(began[:1]),
        lost=ArraySubquery(lost.filter(about=OuterRef("pk")).order_by("id").values(told=told)),
    )
    slept = Handoff.objects.filter(state__in=[s.value for s in OPEN], snooze_count__gt=0)
    told_of = lost.filter(about__isnull=False)
    few = slept.order_by().values("pk").union(told_of.order_by().values("about"), all=True)
    concerning = Q(snooze_count__gt=0) & (Q(snoozed_until__isnull=False) | Q(last_act="wake"))
    rows = rows.filter(concerning | Q(pk__in=told_of.order_by().values("about")), pk__in=few)
    rows = rows.select_related("lead__company", "owner").defer("frozen").order_by("changed_at", "pk")
    found = []
    for row in rows[: 2 * SHOWN]:
        if row.lost:
            found.append(_unsent(row, row.lost, now))
        asleep = _sleep_words(row, now, terms.snooze, hours) if row.snooze_count else None
        if asleep is not None:
            since, words = asleep
            found.append(Exceptional(row, since, now - since, words, f"/queue/{row.pk}/?tab=team"))
    return found


def _sleep_words(
    row: Any, now: datetime, agreed: Snooze, hours: presence.Hours
) -> tuple[datetime, str] | None:
    """Since when, and why a lead that slept concerns the manager; None: all is as agreed."""
    who = row.owner.name if row.owner else "nobody"
    if row.snoozed_until is None and row.last_act != "wake":
        return None
    if row.snoozed_until is None:
        return row.last_at, f"It woke and nothing has happened since; with {who}"
    if row.snoozed_until <= now:
        return row.snoozed_until, f"Its sleep is over and it has not woken; with {who}"
    began = row.asleep_since or row.changed_at
    if row.snooze_count > agreed.times:
        return began, f"It slept {row.snooze_count} times, {agreed.times} are agreed; with {who}"
    calendar = hours.get(row.team_id) or next(iter(hours.values()))
    if row.snoozed_until > calendar.add(began, WORKING_DAY * agreed.working_days):
        return began, f"It sleeps longer than the {agreed.working_days} working days agreed; with {who}"
    return None


def _unsent(handoff: Handoff, lost: Sequence[dict[str, Any]], now: datetime) -> Exceptional:
    """Messages about a lead that nobody tries any more: one line, the oldest counts."""
    what = "The mail" if lost[0]["channel"] == Outbox.Channel.EMAIL else "The message"
    more = f", {len(lost) - 1} more did not" if len(lost) > 1 else ""
    since = datetime.fromisoformat(lost[0]["at"])
    return Exceptional(
        handoff,
        since,
        now - since,
        f"{what} about it never reached {lost[0]['to']}{more}",
        "/settings/messages/",
        "Send again",
    )
