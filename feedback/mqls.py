"""The marketer's MQL page: how long, what is missing to the bar, who goes quiet, and what can be done."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from feedback import terms
from feedback.models import Enrolment
from handoff import machine
from handoff.models import OPEN, Handoff
from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, Role
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.leads import intake
from leadflow.leads.models import Lead, Stage
from scoring import current as applied
from scoring import engine
from scoring.conditions import nodes
from scoring.models import Hold

QUIET_DAYS = 21
NEW_DAYS = 7
# So many points below the bar still count as close.
CLOSE = 12
# Longer words about what is missing are cut to the first ways.
LONG = 90
LOOK_BACK = timedelta(days=180)
LONGEST_PARK = timedelta(days=366)
VIEWS = {
    "close": "Closest to the bar",
    "new": "New this week",
    "quiet": "Going quiet",
    "notrack": "No track",
    "all": "All",
}
SORTS: dict[str, tuple[Any, ...]] = {
    "score": (F("score__total").asc(nulls_first=True), "pk"),
    "-score": (F("score__total").desc(nulls_last=True), "pk"),
    "days": ("-stage_since", "pk"),
    "-days": ("stage_since", "pk"),
    "quiet": ("-last_own_act_at", "pk"),
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
    # Points of the total that are missing; 0 when there are enough.
    gap: int
    bar: int | None
    missing: tuple[str, ...]
    hint: str
    quiet_days: int | None
    last_act: str
    track: str
    step: str
    starts_at: datetime | None
    parked_until: datetime | None

    @property
    def would_do(self) -> str:
        """What would bring the points that are missing: "“Visited pricing” or “Webinar” would do"."""
        return self.hint.partition(": ")[2]


def mqls(at: datetime, view: str, points: int | None, query: str = "", source: str = "") -> QuerySet[Lead]:
    """The MQLs of a view, without an order."""
    leads = Lead.objects.filter(stage=Stage.MQL, erased_at=None, merged_into=None)
    if query.strip():
        words = query.strip()
        leads = leads.filter(
            Q(name_key__contains=words.casefold()) | Q(company__name_key__contains=words.casefold())
        )
    if source:
        leads = leads.filter(first_source=source)
    return leads.filter(_view(view, at, points))


def _view(view: str, at: datetime, bar: int | None) -> Q:
    if view == "close":
        return Q(score__total__gte=(bar or 0) - CLOSE)
    if view == "new":
        return Q(stage_since__gt=at - timedelta(days=NEW_DAYS))
    if view == "quiet":
        # At the page's full size "never" is quiet too.
        return Q(last_own_act_at__lte=at - timedelta(days=QUIET_DAYS)) | Q(last_own_act_at=None)
    if view == "notrack":
        return Q(~Exists(Enrolment.objects.filter(lead=OuterRef("pk"), ended_at=None)))
    return Q()


def counts(at: datetime, points: int | None) -> dict[str, int]:
    """How many MQLs each view holds; one query."""
    found = Lead.objects.filter(stage=Stage.MQL, erased_at=None, merged_into=None)
    return found.aggregate(
        **{view: Count("pk", filter=_view(view, at, points)) for view in VIEWS if view != "all"},
        all=Count("pk"),
    )


def bar_points() -> int | None:
    """The points that the agreement asks for before a lead goes to sales."""
    now = applied.current()
    for part in now.program.sales_parts if now else ():
        if isinstance(part, nodes.ScoreIs) and part.group == "total" and part.op in ("gte", "gt"):
            return int(part.value) + (part.op == "gt")
    return None


def usual_days(at: datetime) -> int | None:
    """How many days as MQL half of those took who crossed the bar in the last half year."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM s.at - m.at) / 86400)
            FROM leads_stagechange s CROSS JOIN LATERAL (
                SELECT max(m.at) AS at FROM leads_stagechange m
                WHERE m.lead_id = s.lead_id AND m.to_stage = 'mql' AND m.at <= s.at) m
            WHERE s.to_stage = 'sql' AND s.from_stage = 'mql' AND s.at > %s AND s.at <= %s""",
            [at - LOOK_BACK, at],
        )
        days = cursor.fetchone()[0]
    return None if days is None else round(days)


def rows(leads: Sequence[Lead], at: datetime, points: int | None) -> list[Row]:
    """What the page shows of these leads; a fixed number of queries, whatever their number."""
    ids = [lead.pk for lead in leads]
    explained = engine.explain_many(ids, at)
    acts = last_acts(ids, at)
    enrolments = {e.lead_id: e for e in Enrolment.objects.filter(lead__in=ids, ended_at=None)}
    documents = terms.documents(e.agreement_id for e in enrolments.values())
    parked = dict(
        Hold.objects.filter(lead__in=ids, ended_at=None, until__gt=at).values_list("lead_id", "until")
    )
    return [
        _row(lead, at, points, explained.get(lead.pk), acts, enrolments.get(lead.pk), documents, parked)
        for lead in leads
    ]


def _row(
    lead: Lead,
    at: datetime,
    points: int | None,
    explained: Any,
    acts: Mapping[int, str],
    enrolment: Enrolment | None,
    documents: Mapping[int, Any],
    parked: Mapping[int, datetime | None],
) -> Row:
    total = explained.total if explained else 0
    quiet = (at - lead.last_own_act_at).days if lead.last_own_act_at else None
    track, step = _track(enrolment, documents)
    first = enrolment is not None and enrolment.step_no == 0
    return Row(
        lead=lead,
        total=explained.total if explained else None,
        grade=explained.grade if explained else "",
        days=(at - lead.stage_since).days,
        gap=max(0, (points or 0) - total),
        bar=points,
        missing=tuple(brief(text) for text in explained.thresholds.missing) if explained else (),
        hint=explained.thresholds.hint if explained else "",
        quiet_days=quiet,
        last_act=acts.get(lead.pk, ""),
        track=track,
        step=step,
        starts_at=enrolment.next_step_at if first and enrolment else None,
        parked_until=parked.get(lead.pk),
    )


def brief(text: str) -> str:
    """A condition of the agreement for one line: of many ways that would do, the first two."""
    ways = re.findall(r"“[^”]+”", text)
    if len(text) <= LONG or len(ways) < 2:
        return text
    return f"{ways[0]}, {ways[1]} or another such sign"


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
    lead_id: int, actor: Actor, *, kind: str, result: str, note: str = "", at: datetime | None = None
) -> None:
    """Pre-sales talked to the lead, or tried to."""
    _marketing(actor)
    if kind not in CONTACTS or result not in RESULTS:
        raise BadInput("Say how and with what result.", [Fault("kind", "Choose a channel and a result.")])
    _living(lead_id)
    at = at or clock.now()
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
            reason_key="parked",
            closes=False,
            handoff_id=None,
        )
        Lead.objects.filter(pk=lead_id).update(review_at=until)
        audit.record(actor, "lead.parked", lead, after={"until": until.isoformat()}, reason=note[:500])
    return made


def _marketing(actor: Actor) -> None:
    if not actor.has_role(*MARKETING, Role.ADMIN):
        raise Forbidden("This is for marketing.")


def _living(lead_id: int) -> None:
    if not Lead.objects.filter(pk=lead_id, erased_at=None, merged_into=None).exists():
        raise NotVisible("There is no such lead.")
