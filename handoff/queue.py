"""What the queue shows: which handoffs, in which order, and what there is to know about the open one.

Only reads. Who may see a handoff is decided here for pages; who may act on it by the machine's table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import IntEnum
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    Case,
    Count,
    DateTimeField,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, JSONObject

from handoff import acting, calendars, corrections, guards, machine, promises, why
from handoff.models import OPEN, Absence, DailyOffer, Handoff, Promise, RoomWait, SavedView, SlaResult, State
from handoff.sieve import Sieve
from handoff.states import TABLE, Action
from leadflow.accounts.actors import person
from leadflow.accounts.models import SALES, Organisation, Role, Team, User
from leadflow.errors import NotVisible
from leadflow.leads.models import TAKEN_BACK, Activity, Answer, Company, Content, FactChange, Lead
from scoring import consequence
from scoring.document import Document, Reason

TABS = ("mine", "pool", "team", "late")
PAGE = 60
# A handoff's `changed_at` is stamped under its lock and seen at commit: look back a little further.
OVERLAP = timedelta(seconds=30)
ACTS_SHOWN = 3
ACTS_READ = 40
QUIET = timedelta(days=14)
FACTS_TOLD = ("title", "phone", "email", "country", "city")
TO_SEND = 3
RECEIVERS = 200
RESULT_KEYS = (
    ("t", "talked", "Talked"),
    ("m", "meeting", "Meeting"),
    ("v", "voicemail", "Voicemail"),
    ("n", "no_answer", "No answer"),
    ("e", "email", "E-mail sent"),
)
ALL = Sieve()
_OPEN = [s.value for s in OPEN]


class Section(IntEnum):
    """Where a row stands: to be answered, to be followed up today, or later."""

    ANSWER = 1
    TODAY = 2
    LATER = 3


# ---- Who sees what ----------------------------------------------------------------------------------------


def visible(user: User) -> Q:
    """The handoffs that a person of sales may see: their own, their team's, what nobody's team has."""
    if user.role == Role.ADMIN:
        return Q()
    if user.role not in SALES:
        return Q(pk__in=[])
    found = Q(owner=user.pk)
    if user.team_id is not None:
        found |= Q(team=user.team_id)
    if user.role == Role.SALES_MANAGER:
        return found | Q(team__in=_managed(user)) | Q(team=None)
    return found | Q(team=None, pool=True)


def _managed(user: User) -> list[int]:
    """The teams that the person manages, asked for once a request: ids, so that the index on teams serves."""
    found: list[int] | None = user.__dict__.get("_managed_teams")
    if found is None:
        found = list(Team.objects.filter(manager=user.pk).values_list("pk", flat=True))
        user.__dict__["_managed_teams"] = found
    return found


def opened(user: User) -> QuerySet[Any]:
    """The open handoffs that the person may see; `due_at` is what the list goes by."""
    return Handoff.objects.filter(visible(user), state__in=_OPEN).annotate(
        due_at=Coalesce("snoozed_until", "sla_due_at", "next_date", output_field=DateTimeField())
    )


def default_tab(user: User) -> str:
    """Reps start with their own leads, managers with the team's."""
    return "mine" if user.role == Role.REP else "team"


def tabs_of(user: User) -> tuple[str, ...]:
    """The tabs of this person; an admin owns no leads."""
    return TABS[1:] if user.role == Role.ADMIN else TABS


def tab_of(user: User, wanted: str) -> str:
    """The tab of this name, if the person has it; else the one they start with."""
    return wanted if wanted in tabs_of(user) else default_tab(user)


def in_tab(user: User, tab: str, at: datetime) -> Q:
    """Which of the visible handoffs stand in a tab."""
    if tab == "mine":
        return Q(owner=user.pk)
    if tab == "pool":
        return Q(pool=True, owner=None)
    if tab == "late":
        return late(at) & (Q(owner=user.pk) if user.role == Role.REP else Q())
    return Q()


def narrowed(user: User, tab: str, at: datetime, sieve: Sieve) -> Q:
    """Which of the visible handoffs stand in a tab and go through the filter."""
    return in_tab(user, tab, at) & sieve.condition(late(at))


def late(at: datetime) -> Q:
    """A promise is past due and runs."""
    return Q(sla_due_at__lte=at, snoozed_until=None) & ~Q(sla_promise="")


def end_of_day(at: datetime, zone: str) -> datetime:
    """Midnight after `at` where the reader is."""
    here = at.astimezone(ZoneInfo(zone))
    return datetime.combine(here.date() + timedelta(days=1), time(), here.tzinfo)


# ---- Counts -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """Figures of the tabs, and of the sections of the tab that is open as far as the filter goes.

    `asked`: how many answers the navigation shows; `kept`: how many each view shows that was asked about.
    """

    tabs: dict[str, int]
    answer: int
    today: int
    later: int
    late: int
    asked: int
    kept: list[int] = field(default_factory=list)


def asked(user: User) -> Q:
    """The answers that this person, or their teams, owe: what the navigation counts."""
    mine = Q(owner=user.pk)
    if user.role == Role.SALES_MANAGER:
        teams = Team.objects.filter(Q(manager=user.pk) | Q(pk=user.team_id))
        mine = Q(team__in=teams.values("pk"))
    elif user.role == Role.ADMIN:
        mine = Q()
    return _answer() & mine


def counts(
    user: User, tab: str, at: datetime, sieve: Sieve = ALL, kept: Sequence[tuple[str, Sieve]] = ()
) -> Counts:
    """All figures of the page's head in one query; `kept` are further tabs, each with its filter."""
    tabs = tabs_of(user)
    here, day = narrowed(user, tab, at, sieve), end_of_day(at, user.zone)
    # Q() as a filter counts everything; Count refuses an empty one.
    everything = Q(pk__isnull=False)
    found = opened(user).aggregate(
        **{f"tab_{name}": Count("pk", filter=in_tab(user, name, at) or everything) for name in tabs},
        answer=Count("pk", filter=here & _answer()),
        today=Count("pk", filter=here & _today(day)),
        all=Count("pk", filter=here or everything),
        late=Count("pk", filter=here & late(at)),
        asked=Count("pk", filter=asked(user)),
        **{
            f"kept_{n}": Count("pk", filter=narrowed(user, name, at, only) or everything)
            for n, (name, only) in enumerate(kept)
        },
    )
    return Counts(
        tabs={name: found[f"tab_{name}"] for name in tabs},
        answer=found["answer"],
        today=found["today"],
        later=found["all"] - found["answer"] - found["today"],
        late=found["late"],
        asked=found["asked"],
        kept=[found[f"kept_{n}"] for n in range(len(kept))],
    )


def _answer() -> Q:
    return Q(state=State.OFFERED, snoozed_until=None)


def _today(day: datetime) -> Q:
    """What falls due today, and every first call: nobody should wait for the last minute."""
    return Q(snoozed_until=None) & (Q(state=State.ACCEPTED) | ~Q(state=State.OFFERED) & Q(due_at__lt=day))


@dataclass(frozen=True)
class Desk:
    """Where the person stands today: room in the agreement's sense, and whether they are away."""

    waiting: int
    given: int
    per_day: int
    away_until: datetime | None
    views: list[SavedView]
    # The company's zone; the teams of sales that they answer for or belong to, for an admin all, by name.
    zone: str = "UTC"
    teams: dict[int, str] = field(default_factory=dict)


def desk(user: User, at: datetime, terms: Document | None = None) -> Desk:
    """How many ready leads wait for room in the team, how many new ones came today, and what the person
    brings along: teams to manage, views kept. Two queries; one for who has read the terms already."""
    waits = _waits(user)
    views = SavedView.objects.filter(user=user.pk, page=SavedView.QUEUE).order_by("pk")
    row = (
        User.objects.filter(pk=user.pk)
        .annotate(
            waiting=_number(waits),
            given=Subquery(
                DailyOffer.objects.filter(
                    user=user.pk, date=at.astimezone(ZoneInfo(user.zone)).date()
                ).values("count")[:1]
            ),
            away=Subquery(
                Absence.objects.filter(user=user.pk, starts_at__lte=at, ends_at__gt=at)
                .order_by("-ends_at")
                .values("ends_at")[:1]
            ),
            teams=ArraySubquery(_teams(user)),
            views=ArraySubquery(views.values(json=JSONObject(pk="pk", name="name", query="query"))),
            company_zone=Subquery(Organisation.objects.filter(pk=1).values("tz")),
        )
        .values("waiting", "given", "away", "teams", "views", "company_zone")
        .get()
    )
    teams = row["teams"]
    user.__dict__["_managed_teams"] = [team["pk"] for team in teams if team["manager"] == user.pk]
    return Desk(
        waiting=row["waiting"] or 0,
        given=row["given"] or 0,
        per_day=(terms or acting.terms_now()).admission.new_per_rep_per_day,
        away_until=row["away"],
        views=[SavedView(user=user, page=SavedView.QUEUE, **view) for view in row["views"]],
        zone=row["company_zone"] or "UTC",
        teams={team["pk"]: team["name"] for team in teams if team["kind"] == Team.Kind.SALES},
    )


def _teams(user: User) -> QuerySet[Any]:
    """The teams that concern the person, by name."""
    found = Team.objects.order_by("name", "pk")
    if user.role != Role.ADMIN:
        found = found.filter(Q(manager=user.pk) | Q(pk=user.team_id))
    return found.values(json=JSONObject(pk="pk", name="name", kind="kind", manager="manager_id"))


def _waits(user: User) -> QuerySet[Any]:
    """Who waits for room, as far as it concerns the person: a rep's own team, else all."""
    waits = RoomWait.objects.filter(left_at=None)
    if user.role == Role.REP:
        waits = waits.filter(team=user.team_id) if user.team_id else waits.filter(team=None)
    return waits


def waiting(user: User) -> QuerySet[Any]:
    """Who waits for room in the order in which they come: best first, then the longest waiting."""
    return (
        _waits(user)
        .select_related("lead__company", "lead__score", "team")
        .order_by("-total", "entered_at", "id")
    )


def opening(user: User, desk: Desk, at: datetime) -> datetime | None:
    """When new leads come again; None for any moment now. Two queries at most.

    Outside working hours with the next opening; when today's share is out or the person is away, after that.
    """
    hours = calendars.for_team(user.team_id)
    start = at
    if desk.away_until is not None:
        start = desk.away_until
    elif user.role == Role.REP and desk.per_day and desk.given >= desk.per_day:
        start = end_of_day(at, user.zone)
    opens = hours.add(start, timedelta(0))
    return opens if opens > at else None


def _number(rows: QuerySet[Any]) -> Subquery:
    counted = rows.order_by().annotate(one=Value(1)).values("one").annotate(n=Count("*")).values("n")
    return Subquery(counted, output_field=IntegerField())


# ---- The list ---------------------------------------------------------------------------------------------


def rows(user: User, tab: str, at: datetime, *, later: bool = False, sieve: Sieve = ALL) -> list[Handoff]:
    """The rows of a tab, by section, then (due, total); the first sixty. One query.

    Each carries `section`, `due_at`, `attempts_agreed`, `result` (of the last contact). `frozen` is left
    in the database: it is large and the list does not show it. Which sixty they are is found out on narrow
    rows first: who sees all teams' 50,000 would else sort them with everything that a row shows.
    """
    order = ("section", "due_at", F("total").desc(nulls_last=True), "pk")
    first = opened(user).annotate(section=_section(user, at)).filter(narrowed(user, tab, at, sieve))
    if not later:
        first = first.filter(section__lt=Section.LATER)
    ids = first.order_by(*order).values("pk")[:PAGE]
    return list(_listed(user, at).filter(pk__in=ids).order_by(*order))


def _section(user: User, at: datetime) -> Case:
    return Case(
        When(_answer(), then=Section.ANSWER),
        When(_today(end_of_day(at, user.zone)), then=Section.TODAY),
        default=Section.LATER,
        output_field=IntegerField(),
    )


def _listed(user: User, at: datetime) -> QuerySet[Any]:
    noted = Activity.objects.filter(lead=OuterRef("lead"), kind__contact=True)
    contact = noted.exclude(properties__has_key=TAKEN_BACK)
    listed: QuerySet[Any] = (
        opened(user)
        .select_related("lead__company", "owner", "team")
        .defer("frozen")
        .annotate(
            section=_section(user, at),
            attempts_agreed=KT("frozen__give_up__attempts"),
            result=Subquery(contact.order_by("-occurred_at", "-id").values("result")[:1]),
        )
    )
    return listed


@dataclass(frozen=True)
class Card:
    """Several people of one company: they stand together, where the first of them is due.

    `key` names the card in the page; `free` are those whom the reader may accept.
    """

    key: str
    company: Company
    rows: list[Handoff]
    free: list[Handoff]

    @property
    def first(self) -> Handoff:
        """Who is due first."""
        return self.rows[0]

    @property
    def best(self) -> Handoff:
        """Who has the most points; the first due of equals."""
        return max(self.rows, key=lambda row: row.total if row.total is not None else -1000)

    @property
    def pks(self) -> list[int]:
        """The ids of its rows, as the page keeps them."""
        return [row.pk for row in self.rows]


@dataclass(frozen=True)
class Part:
    """One section of the list: rows, and cards of several people of one company."""

    section: int
    items: list[Card | Handoff]


def parts(user: User, listed: Sequence[Handoff]) -> list[Part]:
    """The list by section; people of one company in one card. No query."""
    found: list[Part] = []
    for section in Section:
        here = [row for row in listed if row.section == section]  # type: ignore[attr-defined]
        if here:
            found.append(Part(int(section), _items(user, int(section), here)))
    return found


def _items(user: User, section: int, here: Sequence[Handoff]) -> list[Card | Handoff]:
    together: dict[int | None, list[Handoff]] = {}
    for row in here:
        together.setdefault(row.lead.company_id, []).append(row)
    items: list[Card | Handoff] = []
    for row in here:
        group = together[row.lead.company_id]
        if row.lead.company_id is None or len(group) == 1:
            items.append(row)
        elif row is group[0]:
            items.append(card(user, f"{section}-{row.lead.company_id}", group))
    return items


def card(user: User, key: str, group: Sequence[Handoff]) -> Card:
    """The card of these people of one company, in the order given."""
    company = group[0].lead.company
    assert company is not None
    return Card(key, company, list(group), [row for row in group if _free(user, row)])


def _free(user: User, row: Handoff) -> bool:
    """Whether the list offers to accept it; the machine decides."""
    if row.state != State.OFFERED or row.snoozed_until is not None:
        return False
    return row.owner_id == user.pk or (row.owner_id is None and row.pool and user.role == Role.REP)


@dataclass(frozen=True)
class News:
    """What is different from the rows that a page shows. `cards`: those that hold a row that changed."""

    changed: list[Handoff]
    gone: list[Handoff]
    new: int
    cards: list[Card] = field(default_factory=list)
    empty_cards: list[str] = field(default_factory=list)


def stamp(handoff: Handoff) -> str:
    """What a page remembers of a row, to see later whether it is the same."""
    return _stamp(handoff.pk, handoff.lock_version, handoff.changed_at)


def _stamp(pk: int, version: int, changed_at: datetime) -> str:
    return f"{pk}:{version}.{int(changed_at.timestamp() * 1_000_000)}"


def news(
    user: User,
    tab: str,
    since: datetime,
    shown: dict[int, str],
    at: datetime,
    *,
    sieve: Sieve = ALL,
    cards: Mapping[str, Sequence[int]] | None = None,
) -> News:
    """What changed since a page was built: rows to swap, rows that left, how many are new.

    One query of three columns when nothing has changed, as nearly always; else three. `shown` maps the ids
    of the page's rows to their stamps, `cards` the keys of its cards to their rows: a card with news is made
    anew as a whole.
    """
    seen = Handoff.objects.filter(Q(pk__in=list(shown)) | visible(user), changed_at__gt=since - OVERLAP)
    stamps = seen.values_list("pk", "lock_version", "changed_at")
    fresh = [pk for pk, version, changed in stamps if shown.get(pk) != _stamp(pk, version, changed)]
    if not fresh:
        return News([], [], 0)
    found = Handoff.objects.filter(pk__in=fresh).select_related("lead", "owner", "team").defer("frozen")
    moved = {row.pk: row for row in found}
    touched = {key: pks for key, pks in (cards or {}).items() if moved.keys() & set(pks)}
    beside = {pk for pks in touched.values() for pk in pks}
    wanted = _listed(user, at).filter(narrowed(user, tab, at, sieve), pk__in=moved.keys() | beside)
    here = {row.pk: row for row in wanted}
    anew = {key: [here[pk] for pk in pks if pk in here] for key, pks in touched.items()}
    return News(
        changed=[row for pk, row in here.items() if pk in moved and pk in shown and pk not in beside],
        gone=[row for pk, row in moved.items() if pk in shown and pk not in here],
        new=sum(
            1 for pk, row in here.items() if pk in moved and pk not in shown and row.section < Section.LATER
        ),
        cards=[card(user, key, group) for key, group in anew.items() if _of_one(group)],
        empty_cards=[key for key, group in anew.items() if not _of_one(group)],
    )


def _of_one(group: Sequence[Handoff]) -> bool:
    return bool(group) and group[0].lead.company_id is not None


def told(gone: Sequence[Handoff], user: User, at: datetime) -> list[tuple[str, str]]:
    """For rows that left a page: who did it and when; what the reader did is not told. One query."""
    words = []
    lasts = machine.last_acts([row.pk for row in gone]) if gone else {}
    for row in gone:
        last = lasts.get(row.pk)
        if last is None or last.actor_id == user.pk:
            continue
        who = last.actor.name if last.actor else "LeadFlow"
        if last.action == "reassign":
            to = "you" if row.owner_id == user.pk else row.owner.name if row.owner else "the team's pool"
            text = f"{who} gave {row.lead} to {to} {guards.ago(at - last.at)}."
        else:
            text = f"{who} {TABLE[last.action].done} {row.lead} {guards.ago(at - last.at)}."
        where = "It left the pool" if last.action in ("accept", "claim", "touch") else "It left this list"
        words.append((text, f"{where}; you changed nothing."))
    return words


# ---- The open one -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chip:
    """A reason as the panel offers it: `small` is what follows in three words, `says` in a sentence."""

    reason: Reason
    small: str
    says: str
    off: bool


@dataclass(frozen=True)
class Earlier:
    """What sales said about this lead before, and what is new since."""

    by: str
    reason: str
    note: str
    at: datetime
    news: list[str]


@dataclass
class Panel:
    """Everything that the side panel shows of one handoff."""

    handoff: Handoff
    acts: dict[str, Action]
    recent: list[Activity]
    earlier: Earlier | None
    gaps: list[why.Gap]
    chips: list[Chip]
    send: list[Content]
    start: datetime | None
    late: bool
    soon: bool
    history: str
    receivers: list[User] = field(default_factory=list)
    # What a contact that we heard of late put right: in words, and from which contact.
    corrected: list[tuple[str, str]] = field(default_factory=list)


def choices(user: User, now: datetime) -> dict[str, Any]:
    """What the forms of the acts offer: the days of a snooze by one key, and the results of a call."""
    today = now.astimezone(ZoneInfo(user.zone)).date()
    monday = today + timedelta(days=7 - today.weekday())
    offered = {
        today + timedelta(days=1): "Tomorrow",
        today + timedelta(days=2): "In two days",
    }
    # On a Saturday and a Sunday that is one of the two: a day is offered once.
    offered.setdefault(monday, "Next Monday")
    days = [(str(n), words, day) for n, (day, words) in enumerate(sorted(offered.items()), start=1)]
    return {"today": today, "snooze_days": days, "results": RESULT_KEYS}


def doing(user: User, handoff: Handoff, at: datetime) -> Panel:
    """What the reader may do with a handoff and how its clock stands, without its story; two queries at
    most, one more for a pooled one."""
    acts = {row.name: row for row in machine.allowed(handoff, person(user), at) if row.button}
    return Panel(
        handoff=handoff,
        acts=acts,
        recent=[],
        earlier=None,
        gaps=[],
        chips=_chips(handoff, acts, at),
        send=[],
        start=_start(handoff),
        late=bool(handoff.sla_promise and handoff.sla_due_at and handoff.sla_due_at <= at),
        soon=(warn_at(handoff) or at + OVERLAP) <= at,
        history=_history(handoff),
        receivers=receivers(user, handoff.team_id) if "reassign" in acts else [],
    )


def find(user: User, pk: int) -> Handoff:
    """A handoff, open or closed, that the person may see. Raises NotVisible."""
    found = (
        Handoff.objects.filter(visible(user), pk=pk)
        .select_related("lead__company", "lead__first_campaign", "owner", "team")
        .annotate(corrected=corrections.beside_handoffs())
        .first()
    )
    if found is None:
        raise NotVisible("There is no such lead in your queue.")
    return found


def panel(user: User, handoff: Handoff, at: datetime) -> Panel:
    """What there is to know about one handoff (from `find`), and what the reader may do; five queries at
    most, one more for a pooled one (is there room?)."""
    found = doing(user, handoff, at)
    told = corrections.of_rows(getattr(handoff, "corrected", ()))
    found.corrected = [corrections.words(one) for one in told]
    done = list(
        Activity.objects.filter(lead=handoff.lead_id, kind__own_act=True, occurred_at__lte=at)
        .select_related("kind", "content")
        .order_by("-occurred_at", "-id")[:ACTS_READ]
    )
    found.recent = done[:ACTS_SHOWN]
    found.earlier = _earlier(user, handoff, done)
    found.gaps = why.still_open(handoff, len(done))
    pieces = Content.objects.filter(active=True).exclude(url="")
    found.send = list(pieces.order_by("-stage", "title")[:TO_SEND])
    return found


def _start(handoff: Handoff) -> datetime | None:
    """From when the promise shown runs."""
    if not handoff.sla_promise:
        return None
    return promises.start_of(handoff, Promise(handoff.sla_promise), SlaResult.Scope.HOLDER)


def receivers(user: User, team_id: int | None) -> list[User]:
    """Who could take a lead: the active people of sales, those of its team first, with their load; the
    first two hundred."""
    held = Handoff.objects.filter(owner=OuterRef("pk"), state__in=_OPEN)
    people = User.objects.filter(is_active=True, role__in=SALES).annotate(
        far=Case(When(team=team_id, then=0), default=1, output_field=IntegerField()),
        open_now=Coalesce(_number(held), 0),
    )
    if user.role != Role.ADMIN:
        people = people.filter(Q(team=user.team_id) | Q(team__manager=user.pk) | Q(team=team_id))
    return list(people.order_by("far", "name")[:RECEIVERS])


def _history(handoff: Handoff) -> str:
    """How a closed one ended, in words; empty while it is open."""
    if handoff.state in OPEN:
        return ""
    text = str(State(handoff.state).label)
    reason = Document(handoff.frozen).reason(handoff.reason_key) if handoff.reason_key else None
    return f"{text}: {reason.text.lower()}" if reason else text


def _chips(handoff: Handoff, acts: Iterable[str], now: datetime) -> list[Chip]:
    names = set(acts)
    if not names & {"reject", "return", "lose"}:
        return []
    terms, whole = Document(handoff.frozen), consequence.terms_of(handoff.agreement_id)
    return [
        Chip(
            reason,
            _small(reason, terms),
            consequence.follows(reason, whole, at=now),
            off=reason.return_only and "return" not in names,
        )
        for reason in terms.reasons
    ]


def _small(reason: Reason, terms: Document) -> str:
    if reason.return_only:
        return f"after {terms.give_up.attempts} attempts"
    if reason.note_min:
        return "note needed"
    if reason.effect == "callback":
        return "back on that date"
    if reason.effect == "repair":
        return "repair, back to you"
    if reason.closes or reason.effect == "close":
        return "closes"
    if reason.effect == "process":
        return "sorted out by hand"
    wait = f"back in {reason.wait_days} days" if reason.wait_days else "back on new interest"
    return f"{reason.track.replace('_', ' ')}, {wait}" if reason.track else wait


def _earlier(user: User, handoff: Handoff, done: Sequence[Activity]) -> Earlier | None:
    said = (
        Answer.objects.filter(
            lead=handoff.lead_id,
            kind__in=(Answer.Kind.REJECTED, Answer.Kind.RETURNED),
            voided_at=None,
            at__lte=handoff.first_offered_at,
        )
        .exclude(handoff_id=handoff.pk)
        .annotate(changed=_changes())
        .select_related("rep")
        .order_by("-at", "-id")
        .first()
    )
    if said is None:
        return None
    reason = Document(handoff.frozen).reason(said.reason_key)
    who = "Sales" if said.rep is None else "You" if said.rep_id == user.pk else said.rep.name
    return Earlier(
        by=who,
        reason=(reason.text if reason else said.reason_key).lower(),
        note=said.note,
        at=said.at,
        news=[*_new_acts(done, said.at), *_new_facts(handoff.lead, said.changed)],
    )


def _new_acts(done: Sequence[Activity], since: datetime) -> list[str]:
    fresh = [act for act in done if act.occurred_at > since]
    words = list(dict.fromkeys(phrase(act) for act in fresh))[:3]
    before = next((act for act in done if act.occurred_at <= since), None)
    if fresh and before is not None:
        quiet = fresh[-1].occurred_at - before.occurred_at
        if quiet >= QUIET:
            words.append(f"back after {quiet.days} quiet days")
    return words


def phrase(act: Activity) -> str:
    """What a lead did, in words: "viewed a page /pricing"."""
    if act.content is not None:
        return f"{act.kind.phrase} “{act.content.title}”"
    return f"{act.kind.phrase} {act.path}" if act.path else act.kind.phrase


def _changes() -> ArraySubquery:
    """Beside an answer: the facts of its lead that changed since, the oldest change first."""
    rows = FactChange.objects.filter(
        lead=OuterRef("lead"), field__in=FACTS_TOLD, recorded_at__gt=OuterRef("at")
    )
    told = JSONObject(field="field", was="old", at="recorded_at")
    return ArraySubquery(rows.order_by("recorded_at", "id").values(told=told)[:20])


def _new_facts(lead: Lead, changes: Iterable[dict[str, Any]]) -> list[str]:
    """Facts that changed since: "job title is VP now, was Head (15 Oct)"."""
    oldest: dict[str, dict[str, Any]] = {}
    for change in changes:
        oldest.setdefault(change["field"], change)
    words = []
    for name, change in oldest.items():
        now, was = getattr(lead, name), change["was"]
        if now and now != was:
            text = f"{why.label(name).lower()} is {now} now"
            on = datetime.fromisoformat(change["at"])
            words.append(f"{text}, was {was} ({on:%-d %b})" if was else text)
    return words


def warn_at(handoff: Handoff) -> datetime | None:
    """From when the promise shown counts as soon: its next warn tick, or the warning that was given."""
    for tick in handoff.sla_ticks:
        if tick.get("do") == "warn" and tick.get("promise") == handoff.sla_promise:
            return datetime.fromisoformat(tick["at"])
    return handoff.warned_at if handoff.sla_promise else None
