"""Home: three sentences for one's role, each a link, then what waits with a due date."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Exists, OuterRef, Q
from django.db.models.functions import JSONObject
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from feedback import mqls
from feedback.models import Decision, Dispute, PulseAnswer, Question, Task
from feedback.pulse import rounds
from feedback.reports import journeys, mutual
from feedback.reports.base import Filters
from handoff import keeping, outbox
from handoff.models import OPEN, Handoff, Promise, RoomWait, State
from leadflow import clock
from leadflow.accounts.models import MARKETING, ApiKey, AuditEntry, Organisation, Role, Team, User
from leadflow.accounts.templatetags.lf import num
from leadflow.jobs.models import Job
from leadflow.leads.models import Answer, Lead, Outcome
from leadflow.paging import count_of, in_words
from scoring.document import Document
from scoring.editing import changes
from scoring.models import Agreement
from scoring.workshops import sorting

WAITS_SHOWN = 12


@dataclass(frozen=True)
class Part:
    """A piece of a sentence; with `href` it is a link."""

    text: str
    href: str = ""


@dataclass(frozen=True)
class Sentence:
    """One of the three, with its icon."""

    icon: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Wait:
    """Something that waits for this person. `alone`: it goes on by itself, without them."""

    title: str
    what: str
    note: str
    due: datetime | None
    href: str
    action: str
    alone: bool = False


@dataclass(frozen=True)
class Kept:
    """One promise of one side and how it was kept; `promised` is empty when the agreement names no figure."""

    label: str
    kept: str
    href: str
    promised: str = ""
    short: bool = False


def say(icon: str, *parts: str | Part) -> Sentence:
    """A sentence from plain words and links."""
    return Sentence(icon, tuple(Part(part) if isinstance(part, str) else part for part in parts))


def home(request: HttpRequest) -> HttpResponse:
    """The first page after signing in."""
    user = request.user
    assert isinstance(user, User)
    now = clock.now()
    agreement = _agreements()
    says: dict[str, Callable[[User, datetime, dict[str, Agreement | None], Desk], list[Sentence]]] = {
        Role.MARKETER: _marketing,
        Role.MARKETING_MANAGER: _marketing,
        Role.REP: _rep,
        Role.SALES_MANAGER: _manager,
        Role.ADMIN: _admin,
    }
    desk = _desk(user, now)
    waits = _waits(user, now, agreement, desk)
    week = _last_week(now, desk.zone)
    customers = _customers(now)
    context = {
        "today": timezone.localtime(now),
        "sentences": says[user.role](user, now, agreement, desk),
        "waits": waits[:WAITS_SHOWN],
        "waits_more": max(0, len(waits) - WAITS_SHOWN),
        "customers": customers,
        "promises": _promises(journeys.marked(Filters(*week, now, desk.zone)), agreement["in_force"]),
        "week": week,
        "ticked_off": desk.ticked_off,
        "can_import": user.role in (*MARKETING, Role.ADMIN),
        "steps": [] if desk.any_lead else _first_steps(agreement),
        "not_arrived": desk.not_arrived,
    }
    return render(request, "pages/home.html", context)


# The small things that only this page shows, asked for together --------------------------------


@dataclass(frozen=True)
class Desk:
    """The company's zone, and what is few or only counted; empty what this person's role does not ask for."""

    zone: str = "UTC"
    any_lead: bool = False
    # The teams that the person belongs to or manages.
    teams: list[int] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    disputes: list[dict[str, Any]] = field(default_factory=list)
    pieces: list[dict[str, Any]] = field(default_factory=list)
    # The round of the pulse that runs, of who is asked, with the marks of those who answered.
    pulse: list[dict[str, Any]] = field(default_factory=list)
    # Who waits for room; tasks done since Monday.
    waiting: int = 0
    ticked_off: int = 0
    # An admin's: people and keys, the states of the week's jobs, changes since yesterday, lost messages.
    people: int = 0
    keys: int = 0
    jobs: list[str] = field(default_factory=list)
    changes: int = 0
    not_arrived: int = 0


def _desk(user: User, now: datetime) -> Desk:
    """One query, with a column for each."""
    asked: dict[str, Any] = {"any_lead": Exists(Lead.objects.all()), "decisions": _decided(user)}
    if user.role in (Role.SALES_MANAGER, Role.ADMIN):
        asked["disputes"] = _disputed()
    if user.role == Role.SALES_MANAGER:
        mine = Team.objects.filter(Q(manager=user.pk) | Q(pk=user.team_id))
        asked["teams"] = ArraySubquery(mine.order_by("pk").values("pk"))
    if rounds.asks(user):
        asked["pulse"] = _running(now)
    if user.role in MARKETING:
        monday = _day_start(now) - timedelta(days=timezone.localtime(now).weekday())
        done = Task.objects.filter(done_by=user, done_at__gte=monday, done_at__lte=now)
        asked |= {
            "pieces": _wanted(),
            "waiting": count_of(RoomWait.objects.filter(left_at=None)),
            "ticked_off": count_of(done),
        }
    if user.role == Role.ADMIN:
        jobs = Job.objects.filter(created_at__gte=now - timedelta(days=7))
        asked |= {
            "people": count_of(User.objects.filter(is_active=True)),
            "keys": count_of(ApiKey.objects.filter(revoked_at=None)),
            "jobs": ArraySubquery(jobs.order_by().values("state")),
            "changes": count_of(AuditEntry.objects.filter(at__gte=now - timedelta(days=1))),
            "not_arrived": count_of(outbox.given_up()),
        }
    row = Organisation.objects.filter(pk=1).annotate(**asked).values("tz", *asked).first()
    if row is None:
        Organisation.get()
        return _desk(user, now)
    return Desk(zone=row.pop("tz"), **row)


def _decided(user: User) -> ArraySubquery:
    rows = Decision.objects.filter(owner=user, done_at=None).order_by("due")[:WAITS_SHOWN]
    return ArraySubquery(rows.values(json=JSONObject(text="text", due="due", month="review__month")))


def _disputed() -> ArraySubquery:
    rows = Dispute.objects.filter(settled_at=None).order_by("due_at")[:WAITS_SHOWN]
    lead = "handoff__lead"
    told = JSONObject(
        name=f"{lead}__name",
        email=f"{lead}__email",
        lead="handoff__lead_id",
        by="by__name",
        comment="comment",
        due="due_at",
    )
    return ArraySubquery(rows.values(json=told))


def _running(now: datetime) -> ArraySubquery:
    answered = ArraySubquery(PulseAnswer.objects.filter(round=OuterRef("pk")).order_by().values("user_hash"))
    told = JSONObject(pk="pk", month="month", closes="closes_at", answered=answered)
    return ArraySubquery(rounds.running_at(now)[:1].values(json=told))


def _wanted() -> ArraySubquery:
    rows = Question.objects.filter(wanted_by__isnull=False, answered_at=None, group=None)
    rows = rows.order_by("wanted_by", "pk")[:WAITS_SHOWN]
    return ArraySubquery(rows.values(json=JSONObject(pk="pk", text="text", by="wanted_by")))


# The three sentences ----------------------------------------------------------------------


def _marketing(
    user: User, now: datetime, agreement: dict[str, Agreement | None], desk: Desk
) -> list[Sentence]:
    return [_answers(now, agreement), _mqls(now), _version(user, agreement)]


def _rep(user: User, now: datetime, agreement: dict[str, Agreement | None], desk: Desk) -> list[Sentence]:
    mine = Handoff.objects.filter(owner=user, state__in=OPEN)
    row = mine.aggregate(
        offered=Count("pk", filter=Q(state=State.OFFERED)),
        late=Count("pk", filter=Q(state=State.OFFERED, sla_due_at__lte=now)),
        today=Count("pk", filter=~Q(state=State.OFFERED) & Q(sla_due_at__lt=_tomorrow(now))),
        held=Count("pk", filter=~Q(state=State.OFFERED)),
    )
    first: list[str | Part] = [
        Part(f"{_leads(row['offered'])}", "/queue/"),
        f" wait{_s(row['offered'])} for your answer",
    ]
    if row["late"]:
        first += [", ", Part(f"{num(row['late'])} already late", "/queue/?tab=late"), "."]
    elif row["offered"]:
        first.append(", none of them late.")
    else:
        first = ["All answered: ", Part("no lead", "/queue/"), " waits for your answer."]
    second = (
        say(
            "phone",
            "You have ",
            Part(f"{num(row['held'])} in work", f"/leads/?owner={user.pk}"),
            "; ",
            Part(f"{num(row['today'])} want a call today", "/queue/"),
            ".",
        )
        if row["held"]
        else say("phone", "You have ", Part("no lead in work", f"/leads/?owner={user.pk}"), " at the moment.")
    )
    return [
        say("inbox", *first),
        second,
        # A rep's own share goes with them when they change teams.
        _in_time(
            keeping.answered(user.pk, now, desk.zone),
            keeping.days(now, desk.zone),
            f"holder.acceptance.all.rep={user.pk}",
            "You answered",
        ),
    ]


def _manager(user: User, now: datetime, agreement: dict[str, Agreement | None], desk: Desk) -> list[Sentence]:
    row = Handoff.objects.filter(team__in=desk.teams, state__in=OPEN).aggregate(
        offered=Count("pk", filter=Q(state=State.OFFERED)),
        late=Count("pk", filter=Q(sla_due_at__lte=now)),
        today=Count("pk", filter=Q(sla_due_at__gt=now, sla_due_at__lt=_tomorrow(now))),
    )
    first = say(
        "inbox",
        Part(_leads(row["offered"]), "/queue/"),
        f" wait{_s(row['offered'])} for your team’s answer; ",
        Part(f"{num(row['late'])} promise{_are(row['late'])} late", "/queue/?tab=late")
        if row["late"]
        else "nothing is late",
        ", ",
        Part(_due_today(row["today"]), "/queue/"),
        ".",
    )
    # The four weeks of the reader's teams, counted as on the board and in the report.
    weeks = keeping.four_weeks(desk.teams or [0], now, desk.zone)
    days = (weeks.start, weeks.end)
    second = _in_time(weeks.total.answered, days, "lead.acceptance.all", "Your team answered")
    return [first, second, _version(user, agreement)]


def _admin(user: User, now: datetime, agreement: dict[str, Agreement | None], desk: Desk) -> list[Sentence]:
    people, keys, jobs, changes = desk.people, desk.keys, Counter(desk.jobs), desk.changes
    first = say(
        "users",
        Part(f"{num(people)} people", "/settings/people/"),
        " can sign in, and ",
        Part(f"{num(keys)} API key{'' if keys == 1 else 's'}", "/settings/keys/"),
        " are open.",
    )
    running = jobs["waiting"] + jobs["running"]
    done = f"{num(jobs['done'])} imports and other long work done this week"
    second = say(
        "upload", Part(done, "/leads/import/"), f", {num(running)} running, {num(jobs['failed'])} failed."
    )
    third = say(
        "history", Part(f"{num(changes)} changes", "/settings/trail/"), " were written down since yesterday. "
    )
    version = _version(user, agreement)
    return [first, Sentence(second.icon, second.parts), Sentence(version.icon, third.parts + version.parts)]


def _answers(now: datetime, agreement: dict[str, Agreement | None]) -> Sentence:
    since, when = _last_workday(now)
    days = f"from={timezone.localtime(since):%Y-%m-%d}&to={timezone.localtime(now):%Y-%m-%d}"
    leads = f"/reports/answers/leads/?{days}&cell="
    answers = list(
        Answer.objects.filter(at__gte=since, at__lte=now, voided_at=None)
        .exclude(kind=Answer.Kind.OFFERED)
        .order_by("at", "pk")
        .values_list("kind", "reason_key", "lead__first_source")
    )
    kinds = Counter(kind for kind, _, _ in answers)
    refused = kinds[Answer.Kind.REJECTED] + kinds[Answer.Kind.RETURNED]
    if not answers:
        due = Handoff.objects.filter(state=State.OFFERED, acceptance_due_at__lt=_tomorrow(now)).count()
        words = f"{num(due)} {'is' if due == 1 else 'are'} due today" if due else "none is due today"
        return say("message-2", f"No answer from sales since {when}; ", Part(words, "/feedback/"), ".")
    parts: list[str | Part] = [
        "Sales answered ",
        Part(f"{num(len(answers))} of your leads", f"/feedback/?{days}"),
        f" since {when}: ",
        Part(f"{num(kinds[Answer.Kind.ACCEPTED])} accepted", f"{leads}accepted"),
        ", ",
        Part(f"{num(refused)} rejected", f"{leads}noes"),
    ]
    reasons = Counter(key for kind, key, _ in answers if key and kind != Answer.Kind.ACCEPTED)
    if reasons:
        key, count = reasons.most_common(1)[0]
        sources = Counter(source for _, reason, source in answers if reason == key and source)
        source, often = sources.most_common(1)[0] if sources else ("", 0)
        which = "all" if count == refused > 1 else f"{num(count)} of those"
        parts.append(f"; {which} because of “{_reason(agreement, key)}”")
        if often == count and count > 1:
            parts += [", ", Part(f"all from {source}", f"{leads}noes.{key}&source={quote(source)}")]
    return say("message-2", *parts, ".")


def _reason(agreement: dict[str, Agreement | None], key: str) -> str:
    current = agreement["in_force"] or agreement["coming"]
    texts = {reason.key: reason.text for reason in Document(current.content).reasons} if current else {}
    return texts.get(key, key)


def _mqls(now: datetime) -> Sentence:
    found = mqls.counts(now, mqls.bar_points())
    if not found["all"]:
        return say(
            "list-check",
            Part("No lead", "/leads/"),
            " is MQL at the moment; they come when scores reach the first bar.",
        )
    close, new, quiet = found["close"], found["new"], found["quiet"]
    return say(
        "list-check",
        Part(f"{_mqls_in_words(close)} of {_mqls_in_words(found['all'])} MQLs", "/mqls/?view=close"),
        f" {'is' if close == 1 else 'are'} close to the bar, ",
        Part(f"{_mqls_in_words(new)} {'is' if new == 1 else 'are'} new this week", "/mqls/?view=new"),
        " and ",
        Part(f"{_mqls_in_words(quiet)} {'is' if quiet == 1 else 'are'} going quiet", "/mqls/?view=quiet"),
        ".",
    )


def _mqls_in_words(count: int) -> str:
    return in_words(count, mqls.FEW)


def _version(user: User, agreement: dict[str, Agreement | None]) -> Sentence:
    coming, in_force = agreement["coming"], agreement["in_force"]
    if coming is None:
        if in_force is None:
            return say(
                "file-certificate",
                "There is no agreement yet: ",
                Part("write the first one", "/agreement/"),
                ".",
            )
        since = in_force.in_force_at
        words = f"since {timezone.localtime(since):%-d %B}" if since else ""
        return say(
            "file-certificate",
            Part(f"Agreement v{in_force.number}", "/agreement/"),
            f" is in force {words}; no draft is open.",
        )
    name = Part(f"v{coming.number}", "/agreement/")
    if coming.state == Agreement.State.PROPOSED:
        return say(
            "signature",
            "Version ",
            name,
            " is proposed and waits for ",
            Part("the signatures", "/agreement/"),
            ".",
        )
    if coming.state == Agreement.State.SIGNED:
        return say("signature", "Version ", name, " is signed by both sides and starts on its date.")
    changed = timezone.localtime(coming.changed_at)
    made = len(changes.between(in_force.content, coming.content)) if in_force else 0
    if in_force and not made:
        return say("file-certificate", "The draft of ", name, f" says the same as v{in_force.number} so far.")
    count = f"{num(made)} change{'' if made == 1 else 's'}" if in_force else "all to agree on"
    return say(
        "file-certificate",
        "The draft of ",
        name,
        " has ",
        Part(count, "/agreement/"),
        f", the last on {changed:%-d %B}; ",
        Part("see who would move", "/agreement/moves/"),
        ".",
    )


def _in_time(kept: keeping.Share, days: tuple[date, date], cell: str, who: str) -> Sentence:
    """Met ÷ (met + missed) of four weeks: a rep's own share, else the team's."""
    shown = f"from={days[0]}&to={days[1]}"
    if not kept.whole:
        return say(
            "clock",
            "No promise has fallen due in the last four weeks; ",
            Part("see how they are counted", f"/reports/sla/?{shown}"),
            ".",
        )
    return say(
        "clock",
        f"{who} ",
        Part(
            f"{num(kept.part)} of {num(kept.whole)} leads in time",
            f"/reports/sla/leads/?cell={cell}&{shown}",
        ),
        f" in the last four weeks, {kept.percent}%.",
    )


# What waits -----------------------------------------------------------------------------------


def _waits(user: User, now: datetime, agreement: dict[str, Agreement | None], desk: Desk) -> list[Wait]:
    waits = _signatures(user, agreement) + _workshops(user) + _tasks(user) + _decisions(desk)
    waits += _pulse(user, desk)
    if user.role in (Role.SALES_MANAGER, Role.ADMIN):
        waits += _disputes(desk)
    if user.role in (Role.REP, Role.SALES_MANAGER):
        waits += _handoffs(user, now, desk)
    if user.role in MARKETING:
        waits += _room(desk) + _pieces_wanted(desk)
    far = now + timedelta(days=3650)
    return sorted(waits, key=lambda wait: wait.due or far)


def _signatures(user: User, agreement: dict[str, Agreement | None]) -> list[Wait]:
    coming = agreement["coming"]
    side = {Role.MARKETING_MANAGER: "marketing", Role.SALES_MANAGER: "sales"}.get(Role(user.role))
    if coming is None or coming.state != Agreement.State.PROPOSED or side is None:
        return []
    if coming.signatures.filter(side=side, voided_at=None).exists():
        return []
    return [
        Wait(
            f"Sign v{coming.number}",
            f"for {side}",
            "it starts when both sides have signed",
            None,
            "/agreement/",
            "Read and sign",
        )
    ]


def _workshops(user: User) -> list[Wait]:
    return [
        Wait(
            "Workshop",
            f"{num(duty.sorted)} of {num(duty.cards)} sorted",
            f"{duty.name} · {duty.facilitator} asks you",
            None,
            f"/agreement/workshops/{duty.pk}/",
            "Sort",
        )
        for duty in sorting.duties(user)
    ]


def _decisions(desk: Desk) -> list[Wait]:
    waits = []
    for one in desk.decisions:
        month = date.fromisoformat(one["month"])
        due = datetime.combine(date.fromisoformat(one["due"]), time(17))
        waits.append(
            Wait(
                "Decided in the review",
                one["text"],
                f"review of {month:%B}",
                timezone.make_aware(due),
                f"/review/{month:%Y-%m}/#decisions",
                "Open",
            )
        )
    return waits


def _pulse(user: User, desk: Desk) -> list[Wait]:
    if not desk.pulse or rounds.is_among(desk.pulse[0]["answered"], desk.pulse[0]["pk"], user):
        return []
    month, closes = (desk.pulse[0][key] for key in ("month", "closes"))
    words = f"four questions about the leads of {date.fromisoformat(month):%B}"
    closes_at = datetime.fromisoformat(closes)
    return [Wait("Pulse", words, "one minute, without names", closes_at, rounds.URL, "Answer")]


def _tasks(user: User) -> list[Wait]:
    mine = Q(owner=user)
    if user.role in MARKETING:
        mine |= Q(owner=None)
    if user.team_id:
        mine |= Q(owner=None, team=user.team_id)
    rows = (
        Task.objects.filter(mine, done_at=None)
        .select_related("lead", "lead__company", "asked_by")
        .order_by("due_at")[: WAITS_SHOWN + 20]
    )
    # Who may open the list of tasks ticks them off there; the others see the lead.
    at_desk = user.role in (*MARKETING, Role.SALES_MANAGER, Role.ADMIN)
    return [
        Wait(
            row.get_kind_display() if row.asked_by is None else f"{row.asked_by.name} asks for a lead",
            row.text or str(row.lead),
            " · ".join(filter(None, [str(row.lead), row.lead.company.name if row.lead.company else ""])),
            row.due_at,
            f"/mqls/tasks/#task-{row.pk}" if at_desk else f"/leads/{row.lead_id}/",
            _TASK_ACTS.get(Task.Kind(row.kind), "Do it"),
        )
        for row in rows
    ]


_TASK_ACTS = {
    Task.Kind.REPAIR: "Repair",
    Task.Kind.ANSWER: "Answer",
    Task.Kind.ASK: "Answer",
    Task.Kind.CALL: "Call",
    Task.Kind.DUPLICATE: "Sort out",
}


def _disputes(desk: Desk) -> list[Wait]:
    return [
        Wait(
            "Decide a dispute",
            one["name"] or one["email"] or f"Lead {one['lead']}",
            f"{one['by']}: “{one['comment']}”",
            datetime.fromisoformat(one["due"]),
            "/feedback/",
            "Decide",
        )
        for one in desk.disputes
    ]


def _handoffs(user: User, now: datetime, desk: Desk) -> list[Wait]:
    rows = Handoff.objects.filter(state__in=OPEN, sla_due_at__lt=_tomorrow(now))
    rows = (
        rows.filter(owner=user)
        if user.role == Role.REP
        else rows.filter(team__in=desk.teams, sla_due_at__lte=now)
    )
    waits = []
    for row in rows.select_related("lead", "lead__company", "owner").order_by("sla_due_at")[:WAITS_SHOWN]:
        company = row.lead.company.name if row.lead.company else row.lead.title
        href = f"/queue/?lead={row.pk}"
        if user.role == Role.REP:
            act = _ACTS.get(State(row.state), "Call")
            waits.append(Wait(f"{act} {row.lead}", company, row.why_now, row.sla_due_at, href, act))
        else:
            late = _LATE[Promise(row.sla_promise)] if row.sla_promise else "Date passed:"
            holder = f"with {row.owner.name}" if row.owner else "in the pool, with nobody"
            waits.append(Wait(f"{late} {row.lead}", company, holder, row.sla_due_at, href, "Look"))
    return waits


_ACTS = {State.OFFERED: "Answer", State.OPPORTUNITY: "Look at"}
_LATE = {
    Promise.ACCEPTANCE: "No answer yet:",
    Promise.FIRST_TOUCH: "No call yet:",
    Promise.FOLLOW_UP: "No follow-up yet:",
}


def _pieces_wanted(desk: Desk) -> list[Wait]:
    """Questions for which somebody of marketing promised a new piece."""
    return [
        Wait(
            "Write a piece",
            f"“{one['text']}”",
            "sales asks for it",
            timezone.make_aware(datetime.combine(date.fromisoformat(one["by"]), time(17))),
            f"/feedback/questions/{one['pk']}/",
            "Answer",
        )
        for one in desk.pieces
    ]


def _room(desk: Desk) -> list[Wait]:
    if not desk.waiting:
        return []
    what = f"{num(desk.waiting)} ready people wait for room"
    return [
        Wait(
            "Sales is full",
            what,
            "they go over by themselves, best first",
            None,
            "/queue/waiting/",
            "See them",
            alone=True,
        )
    ]


# The rest of the page ------------------------------------------------------------------------------


def _customers(now: datetime) -> list[Outcome]:
    return list(
        Outcome.objects.filter(
            kind=Outcome.Kind.WON,
            at__gte=now - timedelta(days=7),
            at__lte=now,
            voided_at=None,
            replaced_by=None,
        )
        .select_related("lead", "lead__company", "lead__owner")
        .order_by("-at")[:5]
    )


def _last_week(now: datetime, zone: str) -> tuple[date, date]:
    """Monday and Sunday of the week before this one, by the company's days."""
    today = now.astimezone(ZoneInfo(zone)).date()
    monday = today - timedelta(days=today.weekday() + 7)
    return monday, monday + timedelta(days=6)


def _promises(filters: Filters, agreement: Agreement | None) -> list[dict[str, Any]]:
    """Both sides' promises of last week beside the figures that the agreement in force names: those of the
    report, by the days of the company."""
    kept = mutual.by_week(filters)[1]
    if not any(one.part or one.whole for one in kept.values()):
        return []
    goals = mutual.promised(agreement) if agreement else {}
    rows: dict[str, list[Kept]] = {"Marketing": [], "Sales": []}
    for one in mutual.PROMISES:
        mine, goal = kept[one.key], goals.get(one.key)
        rows[one.side].append(
            Kept(
                one.label,
                mine.text,
                mine.href or mutual.link(mine.cell, filters),
                promised=goal.words if goal else "",
                short=mutual.short(one, mine, goals),
            )
        )
    return [{"side": side, "rows": mine} for side, mine in rows.items()]


def _agreements() -> dict[str, Agreement | None]:
    """The one in force and the one on its way."""
    states = Agreement.State
    rows = Agreement.objects.filter(
        state__in=[states.IN_FORCE, states.DRAFT, states.PROPOSED, states.SIGNED]
    ).order_by("number")
    found: dict[str, Agreement | None] = {"in_force": None, "coming": None}
    for row in rows:
        found["in_force" if row.state == states.IN_FORCE else "coming"] = row
    return found


def _first_steps(agreement: dict[str, Agreement | None]) -> list[dict[str, Any]]:
    """Day one: what to do first."""
    signed = agreement["in_force"] is not None
    return [
        {"done": True, "title": "You can sign in", "text": "Your role decides what you see and may do."},
        {
            "done": False,
            "title": "Bring your leads",
            "text": "A CSV or Excel file with one person a line is enough.",
            "href": "/leads/import/",
            "action": "Import a list",
            "primary": True,
        },
        {
            "done": signed,
            "title": "Agree on what a lead is worth",
            "text": "A default agreement is there to start from; both sides sign it.",
            "href": "/agreement/",
            "action": "Open the agreement",
        },
    ]


def _day_start(now: datetime) -> datetime:
    return timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)


def _last_workday(now: datetime) -> tuple[datetime, str]:
    """The start of the last working day before today, and its word: a Monday looks back to Friday."""
    back = {0: 3, 6: 2}.get(timezone.localtime(now).weekday(), 1)
    return _day_start(now - timedelta(days=back)), "yesterday" if back == 1 else "Friday"


def _tomorrow(now: datetime) -> datetime:
    return _day_start(now + timedelta(days=1))


def _leads(count: int) -> str:
    return f"{num(count)} lead{'' if count == 1 else 's'}"


def _due_today(count: int) -> str:
    if not count:
        return "nothing more falls due today"
    return f"{num(count)} more fall{_s(count)} due today"


def _are(count: int) -> str:
    return " is" if count == 1 else "s are"


def _s(count: int) -> str:
    return "s" if count == 1 else ""
