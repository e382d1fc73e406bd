"""The marketer's MQL page: how long, what is missing to the bar, who goes quiet, and what can be done."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from feedback import bringing, nurture, tasks, terms
from feedback.bringing import Needs
from feedback.models import Enrolment
from feedback.results import PARKED
from handoff import machine
from handoff.models import OPEN, Handoff
from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, Role
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.leads import intake
from leadflow.leads.models import Company, Lead, Stage
from leadflow.paging import counts_of
from scoring import current as applied
from scoring import engine, personas
from scoring.conditions import nodes
from scoring.current import Current
from scoring.models import Hold

QUIET_DAYS = 21
NEW_DAYS = 7
# A tab counts so far, and its pages go as far; who wants all of them takes the CSV.
FEW = 1_000
# So many points below the bar still count as close.
CLOSE = 12
LOOK_BACK, CROSSED = timedelta(days=180), 2_000
LONGEST_PARK = timedelta(days=366)
VIEWS = {
    "close": "Closest to the bar",
    "new": "New this week",
    "quiet": "Going quiet",
    "notrack": "No track",
    "parked": "Parked",
    "all": "All",
}
# So many leads at most take one act together.
MOST_AT_ONCE = 200
SORTS: dict[str, tuple[Any, ...]] = {
    "score": ("score__total", "-score__lead"),
    "-score": ("-score__total", "score__lead"),
    "days": ("-stage_since", "pk"),
    "-days": ("stage_since", "pk"),
    "quiet": (F("last_own_act_at").desc(nulls_last=True), "pk"),
    "-quiet": (F("last_own_act_at").asc(nulls_first=True), "pk"),
    "name": ("name_key", "pk"),
    "-name": ("-name_key", "-pk"),
}
CONTACTS = {"call": "phone", "message": "email", "meeting": "meeting"}
RESULTS = ("talked", "meeting", "voicemail", "no_answer", "email")


@dataclass(frozen=True)
class Row:
    """One MQL as the page shows it."""

    lead: Lead
    # As of now; the list is in the order of the stored scores.
    total: int | None
    grade: str
    days: int
    bar: int | None
    needs: Needs
    # In whole days; None: nothing of their own yet.
    quiet_days: int | None
    last_act: str
    track: str
    track_key: str
    step: str
    starts_at: datetime | None
    held: Hold | None
    question: str

    @property
    def going_quiet(self) -> bool:
        return self.quiet_days is None or self.quiet_days >= QUIET_DAYS

    @property
    def parked(self) -> bool:
        return self.held is not None and self.held.reason_key == PARKED

    @property
    def whole(self) -> int:
        """The length of the bar in the picture: what there is and what is missing."""
        return (self.total or 0) + (self.needs.points or 0) or 1


@dataclass(frozen=True)
class Sieve:
    """What the page shows only: words of a name, a first source, a letter of the grade, a track."""

    query: str = ""
    source: str = ""
    letter: str = ""
    track: str = ""

    def __bool__(self) -> bool:
        return bool(self.query or self.source or self.letter or self.track)

    @cached_property
    def _named(self) -> Q:
        # Each part from an index of its own; companies that many are called like stay a question.
        words = self.query.strip().casefold()
        called = Company.objects.filter(name_key__contains=words).values_list("pk", flat=True)
        few = list(called[: FEW + 1])
        return Q(name_key__contains=words) | Q(company__in=few if len(few) <= FEW else called)

    def of(self, leads: QuerySet[Lead]) -> QuerySet[Lead]:
        """Those of the leads that pass."""
        if self.query.strip():
            leads = leads.filter(self._named)
        if self.source:
            leads = leads.filter(first_source=self.source)
        if self.letter:
            leads = leads.filter(score__grade__startswith=self.letter)
        if self.track:
            on_it = Enrolment.objects.filter(lead=OuterRef("pk"), ended_at=None, track=self.track)
            leads = leads.filter(Exists(on_it))
        return leads


def mqls(
    at: datetime, view: str, points: int | None, sieve: Sieve | None = None, few: Sequence[int] | None = None
) -> QuerySet[Lead]:
    """The MQLs of a view, without an order. `few`: who passes the sieve (`passing`), if that is known."""
    leads = Lead.objects.filter(stage=Stage.MQL, erased_at=None, merged_into=None)
    leads = (sieve or Sieve()).of(leads) if few is None else leads.filter(pk__in=few)
    return leads.filter(_view(view, at, points))


def _view(view: str, at: datetime, bar: int | None) -> Q:
    if view == "all":
        return Q()
    # They are few: an index of their own holds them, whoever else waits.
    parked = Q(pk__in=Hold.objects.filter(ended_at=None, until__gt=at, reason_key=PARKED).values("lead"))
    if view == "parked":
        return parked
    if view == "close":
        found = Q(score__total__gte=(bar or 0) - CLOSE)
    elif view == "new":
        found = Q(stage_since__gt=at - timedelta(days=NEW_DAYS))
    elif view == "quiet":
        # At the page's full size "never" is quiet too.
        found = Q(last_own_act_at__lte=at - timedelta(days=QUIET_DAYS)) | Q(last_own_act_at=None)
    else:
        found = Q(~Exists(Enrolment.objects.filter(lead=OuterRef("pk"), ended_at=None)))
    # Whom somebody parked, nobody is asked to look at before the day.
    return found & ~parked


def passing(sieve: Sieve) -> list[int] | None:
    """The MQLs that pass, where they are few: each view then looks at them alone. None: they are many."""
    found = sieve.of(Lead.objects.filter(stage=Stage.MQL, erased_at=None, merged_into=None))
    ids = list(found.order_by().values_list("pk", flat=True)[: FEW + 1])
    return ids if len(ids) <= FEW else None


def lists(
    at: datetime, points: int | None, sieve: Sieve | None = None, few: Sequence[int] | None = None
) -> dict[str, QuerySet[Lead]]:
    """The MQLs of each view. `few`: who passes the sieve, if they are few."""
    return {view: mqls(at, view, points, sieve, few) for view in VIEWS}


def counts(at: datetime, points: int | None) -> dict[str, int]:
    """How many MQLs each view holds, at most one more than a tab counts; one query."""
    return counts_of(lists(at, points), FEW)


def bar_points(now: Current | None = None) -> int | None:
    """The points that the agreement asks for before a lead goes to sales. `now`: the agreement, if known."""
    now = now or applied.current()
    for part in now.program.sales_parts if now else ():
        if isinstance(part, nodes.ScoreIs) and part.group == "total" and part.op in ("gte", "gt"):
            return int(part.value) + (part.op == "gt")
    return None


def usual_days(at: datetime) -> int | None:
    """How many days as MQL half of those took who crossed the bar last: in half a year, 2,000 at most."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM s.at - m.at) / 86400)
            FROM (SELECT lead_id, at FROM leads_stagechange
                  WHERE to_stage = 'sql' AND from_stage = 'mql' AND at > %s AND at <= %s
                  ORDER BY at DESC LIMIT %s) s
            CROSS JOIN LATERAL (
                SELECT max(m.at) AS at FROM leads_stagechange m
                WHERE m.lead_id = s.lead_id AND m.to_stage = 'mql' AND m.at <= s.at) m""",
            [at - LOOK_BACK, at, CROSSED],
        )
        days = cursor.fetchone()[0]
    return None if days is None else round(days)


def rows(leads: Sequence[Lead], at: datetime, now: Current | None) -> list[Row]:
    """What the page shows of these leads, by the agreement `now`; a fixed number of queries."""
    if not leads:
        return []
    ids = [lead.pk for lead in leads]
    enrolments = {e.lead_id: e for e in Enrolment.objects.filter(lead__in=ids, ended_at=None)}
    held = Hold.objects.filter(lead__in=ids, ended_at=None).filter(Q(until__gt=at) | Q(until=None))
    explained = engine.explain_many(ids, at, now, evidence=False) if now else {}
    known = _Known(
        at,
        bar_points(now) if now else None,
        explained,
        last_acts(ids, at),
        enrolments,
        terms.documents(e.agreement_id for e in enrolments.values()),
        {hold.lead_id: hold for hold in held},
        personas.of(ids, at, now) if now else {},
        {pk: bringing.needs(said, now.program) for pk, said in explained.items()} if now else {},
    )
    return [_row(lead, known) for lead in leads]


@dataclass(frozen=True)
class _Known:
    """What was read for all rows of a page at once."""

    at: datetime
    points: int | None
    explained: Mapping[int, Any]
    acts: Mapping[int, str]
    enrolments: Mapping[int, Enrolment]
    documents: Mapping[int, Any]
    held: Mapping[int, Hold]
    personas: Mapping[int, Any]
    needs: Mapping[int, Needs]


def _row(lead: Lead, known: _Known) -> Row:
    said = known.explained.get(lead.pk)
    enrolment = known.enrolments.get(lead.pk)
    track, step = _track(enrolment, known.documents)
    first = enrolment is not None and enrolment.step_no == 0
    seen = known.personas.get(lead.pk)
    return Row(
        lead=lead,
        total=said.total if said else None,
        grade=said.grade if said else "",
        days=(known.at - lead.stage_since).days,
        bar=known.points,
        needs=known.needs.get(lead.pk, Needs(None)),
        quiet_days=(known.at - lead.last_own_act_at).days if lead.last_own_act_at else None,
        last_act=known.acts.get(lead.pk, ""),
        track=track,
        track_key=enrolment.track if enrolment else "",
        step=step,
        starts_at=enrolment.next_step_at if first and enrolment else None,
        held=known.held.get(lead.pk),
        question=next(iter(seen.persona.questions), "") if seen and seen.ideal else "",
    )


def _track(enrolment: Enrolment | None, documents: Mapping[int, Any]) -> tuple[str, str]:
    if enrolment is None:
        return "", ""
    track = documents[enrolment.agreement_id].track(enrolment.track)
    if track is None:
        return enrolment.track, ""
    return track.name, f"step {min(enrolment.step_no + 1, len(track.steps))} of {len(track.steps)}"


def last_acts(lead_ids: Sequence[int], at: datetime) -> dict[int, str]:
    """The last thing that each lead did itself, in words; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT i.lead_id, a.phrase, a.path FROM unnest(%s::bigint[]) i(lead_id) CROSS JOIN LATERAL (
                SELECT k.phrase, a.path FROM leads_activity a JOIN leads_activitykind k ON k.id = a.kind_id
                WHERE a.lead_id = i.lead_id AND k.own_act AND a.occurred_at <= %s
                ORDER BY a.occurred_at DESC, a.id LIMIT 1) a""",
            [list(lead_ids), at],
        )
        return {
            lead: f"viewed {path}" if path and phrase == "viewed a page" else phrase
            for lead, phrase, path in cursor.fetchall()
        }


# Acts ------------------------------------------------------------------------------------


def log_contact(
    lead_id: int,
    actor: Actor,
    *,
    kind: str,
    result: str,
    note: str = "",
    again: dt.date | None = None,
    at: datetime | None = None,
) -> None:
    """Pre-sales talked to the lead, or tried to. `again`: on this day it is on the caller's list once more.

    Raises BadInput for an unknown channel or result, or a day that has passed.
    """
    _marketing(actor)
    if kind not in CONTACTS or result not in RESULTS:
        raise BadInput("Say how and with what result.", [Fault("kind", "Choose a channel and a result.")])
    _living(lead_id)
    at = at or clock.now()
    if again is not None:
        tasks.call_again(lead_id, actor, on=again, note=note, at=at)
    row = {
        "source": "leadflow",
        "external_id": f"contact:{lead_id}:{actor.user_id}:{at.isoformat()}",
        "kind": kind,
        "lead_id": lead_id,
        "occurred_at": at,
        "user_id": actor.user_id,
        "channel": CONTACTS[kind],
        "result": result,
        "properties": {"note": note.strip()[:2000]} if note.strip() else {},
    }
    taken = intake.record_activities([row], actor=actor)
    if taken.rejected:
        raise BadInput("This contact could not be taken.", taken.rejected[0].errors)


def hand_over(lead_id: int, actor: Actor, *, reason: str, to: int | None = None) -> Handoff:
    """Marketing hands a lead over with a reason, whatever its score."""
    return machine.open_by_hand(lead_id, actor, reason, to)


def park(lead_id: int, actor: Actor, *, until: datetime, note: str = "", at: datetime | None = None) -> Hold:
    """Nobody should touch this lead before a date, and then only if there is something new.

    Raises BadInput for a date that has passed or is more than a year away, Conflict while sales has it.
    """
    _marketing(actor)
    with transaction.atomic():
        lead = Lead.objects.select_for_update(no_key=True).filter(pk=lead_id).first()
        if lead is None or lead.erased_at or lead.merged_into_id:
            raise NotVisible("There is no such lead.")
        at = at or clock.now()
        if until <= at or until - at > LONGEST_PARK:
            raise BadInput(
                "Park it until a day within the next year.", [Fault("until", "Choose another day.")]
            )
        if Handoff.objects.filter(lead=lead, state__in=OPEN).exists():
            raise Conflict("Sales is talking to this lead.")
        stricter = Hold.objects.filter(lead=lead, ended_at=None).filter(Q(closes=True) | Q(until__gt=until))
        if stricter.exists():
            raise Conflict("This lead waits for longer already.")
        made = engine.hold(
            lead_id,
            since=at,
            until=until,
            evidence={"kind": "any"},
            reason_key=PARKED,
            closes=False,
            handoff_id=None,
        )
        Lead.objects.filter(pk=lead_id).update(review_at=until)
        audit.record(actor, "lead.parked", lead, after={"until": until.isoformat()}, reason=note[:500])
    return made


def unpark(lead_id: int, actor: Actor, *, at: datetime | None = None) -> Hold:
    """Take a parked lead back before its day. Conflict when it is not parked."""
    _marketing(actor)
    with transaction.atomic():
        lead = Lead.objects.select_for_update(no_key=True).filter(pk=lead_id).first()
        if lead is None or lead.erased_at or lead.merged_into_id:
            raise NotVisible("There is no such lead.")
        if not Hold.objects.filter(lead=lead, ended_at=None, reason_key=PARKED).exists():
            raise Conflict(f"{lead} is not parked.")
        at = at or clock.now()
        ended = engine.end_hold(lead_id, at=at, by=actor)
        assert ended is not None
        audit.record(actor, "lead.unparked", lead)
    return ended


def stop_track(lead_id: int, actor: Actor, *, at: datetime | None = None) -> None:
    """Take a lead off the track it is on. Conflict when it is on none."""
    _marketing(actor)
    with transaction.atomic():
        lead = Lead.objects.select_for_update(no_key=True).filter(pk=lead_id).first()
        if lead is None:
            raise NotVisible("There is no such lead.")
        if not nurture.end([lead_id], why=f"by hand: {actor}", at=at or clock.now()):
            raise Conflict(f"{lead} is on no track.")
        audit.record(actor, "track.stopped", lead)


def each(lead_ids: Sequence[int], act: Callable[[int], Any]) -> tuple[int, list[str]]:
    """Do an act for several leads, each by itself: how many it worked for, and the words of the others.

    Raises BadInput for none or too many, and for a form filled in so badly that none of them worked.
    """
    ids = sorted(set(lead_ids))
    if not ids or len(ids) > MOST_AT_ONCE:
        raise BadInput(f"Choose 1 to {MOST_AT_ONCE} leads.", [Fault("lead", "Tick the rows that you mean.")])
    left: list[str] = []
    wrong: list[BadInput] = []
    for pk in ids:
        try:
            act(pk)
        except BadInput as problem:
            wrong.append(problem)
            left.append(str(problem))
        except (Conflict, NotVisible) as problem:
            left.append(str(problem))
    if wrong and len(left) == len(ids):
        raise wrong[0]
    return len(ids) - len(left), list(dict.fromkeys(left))


def _marketing(actor: Actor) -> None:
    if not actor.has_role(*MARKETING, Role.ADMIN):
        raise Forbidden("This is for marketing.")


def _living(lead_id: int) -> None:
    if not Lead.objects.filter(pk=lead_id, erased_at=None, merged_into=None).exists():
        raise NotVisible("There is no such lead.")
