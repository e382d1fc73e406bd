"""Nurture: what happens to a lead that marketing holds, step by step, until it answers or wants no more.

A track's steps stand in the agreement. A lead is on one track at most; it rests while the lead is with
sales, and ends with a reply, a stop, another track, or the end of the wait.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Greatest

from feedback import audiences, callbacks, outcomes, starting, steps, tasks, terms
from feedback.models import Enrolment, Task
from feedback.results import FINAL
from feedback.steps import REVIEW_AFTER
from handoff import outbox
from handoff.models import OPEN, Handoff, Outbox, RoomWait
from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import SYSTEM, Actor
from leadflow.accounts.models import MARKETING, Role
from leadflow.errors import Conflict, Forbidden, NotVisible
from leadflow.leads import stages
from leadflow.leads.models import Lead, LeadChanged, Stage, StageChange, TrackSignal
from scoring import engine
from scoring.models import Crossing, Hold

# How many due rows one transaction takes, and how many such transactions one tick makes.
BATCH = 500
PASSES = 20
# How far back a tick looks for what came to its end; what is older is the sweep's.
LATELY = timedelta(days=2)
# A reply so long after the last mail of a track still is one to it.
ANSWER_WITHIN = timedelta(days=30)


# Starting and ending ---------------------------------------------------------------------


def enrol(
    lead_id: int,
    track: str,
    *,
    cause: str,
    at: datetime | None = None,
    handoff: Handoff | None = None,
    hold_id: int | None = None,
    actor: Actor = SYSTEM,
) -> Enrolment:
    """Put a lead on a track; another track it is on ends. The first step comes no sooner than an undo can.

    Raises BadInput when the agreement has no such track.
    """
    with transaction.atomic(savepoint=False):
        lead = _lock(lead_id)
        at = at or clock.now()
        agreement_id, document = terms.agreement_of(handoff)
        steps = terms.track_named(document, track).steps
        end([lead_id], why=f"track:{track}"[:40], at=at)
        made = Enrolment.objects.create(
            lead=lead,
            track=track,
            agreement_id=agreement_id,
            cause=cause[:80],
            handoff=handoff,
            hold_id=hold_id,
            started_at=at,
            next_step_at=terms.step_at(at, steps, 0, document),
        )
        if not actor.is_system:
            audit.record(actor, "track.started", lead, after={"track": track}, reason=cause)
    return made


def start_by_hand(lead_id: int, track: str, actor: Actor, *, at: datetime | None = None) -> Enrolment:
    """A marketer starts a track. Conflict while sales is talking to the lead or when the lead is closed."""
    if not actor.has_role(*MARKETING, Role.ADMIN):
        raise Forbidden("Tracks are started by marketing.")
    with transaction.atomic():
        lead = _lock(lead_id)
        if Handoff.objects.filter(lead=lead, state__in=OPEN).exists():
            raise Conflict("Sales is talking to this lead; tracks rest until they are done.")
        if lead.stage in FINAL:
            raise Conflict(f"{lead} is at “{Stage(lead.stage).label}”: no track starts there.")
        return enrol(lead_id, track, cause=f"by hand: {actor}", at=at, actor=actor)


def end(lead_ids: Iterable[int], *, why: str, at: datetime) -> int:
    """End whatever tracks these leads are on; returns how many ended."""
    active = Enrolment.objects.filter(lead_id__in=list(lead_ids), ended_at=None)
    ids = list(active.values_list("pk", flat=True))
    if not ids:
        return 0
    audiences.tell(ids, audiences.LEFT, at)
    return Enrolment.objects.filter(pk__in=ids, ended_at=None).update(
        ended_at=at, ended_why=why[:40], next_step_at=None
    )


def end_for_answer(handoff: Handoff, at: datetime) -> int:
    """A closing answer or a win ends the track; `void` can bring it back."""
    return end([handoff.lead_id], why=_answer_mark(handoff.pk), at=at)


def void(handoff: Handoff, *, at: datetime) -> None:
    """An answer of sales was taken back: what it started ends, the track it replaced goes on resting."""
    started = Enrolment.objects.filter(handoff=handoff, ended_at=None).first()
    if started is None:
        _revive(Enrolment.objects.filter(lead=handoff.lead_id, ended_why=_answer_mark(handoff.pk)), at)
        return
    end([handoff.lead_id], why="undone", at=at)
    mark = f"track:{started.track}"[:40]
    _revive(Enrolment.objects.filter(lead=handoff.lead_id, ended_at=started.started_at, ended_why=mark), at)


def _answer_mark(handoff_id: int) -> str:
    return f"answer:{handoff_id}"


def _revive(ended: QuerySet[Enrolment], at: datetime) -> None:
    # Only where no other has started since: one active per lead is the law.
    newest = ended.order_by("-ended_at", "-id").first()
    if newest is None or Enrolment.objects.filter(lead=newest.lead_id, ended_at=None).exists():
        return
    document = terms.documents([newest.agreement_id])[newest.agreement_id]
    steps = terms.track_named(document, newest.track).steps
    due = terms.step_at(newest.started_at, steps, newest.step_no, document)
    if due is None:
        return
    Enrolment.objects.filter(pk=newest.pk).update(
        ended_at=None, ended_why="", paused_at=newest.paused_at or at, next_step_at=max(due, at)
    )


def _lock(lead_id: int) -> Lead:
    lead = Lead.objects.select_for_update(no_key=True).filter(pk=lead_id).first()
    if lead is None or lead.erased_at or lead.merged_into_id:
        raise NotVisible("There is no such lead.")
    return lead


# The tick --------------------------------------------------------------------------------

# What is due, in one statement: it is asked every few seconds and mostly finds nothing. Each part follows a
# small index: queue rows, what the ledgers say of the last hours, open handoffs, tracks at rest, dates.
_DUE = """
SELECT EXISTS (SELECT 1 FROM leads_tracksignal) AS signals,
    EXISTS (
        SELECT 1 FROM leads_stagechange s JOIN feedback_enrolment e
            ON e.lead_id = s.lead_id AND e.ended_at IS NULL
        WHERE s.to_stage = ANY(%(final)s) AND s.at > %(lately)s) AS closed,
    EXISTS (
        SELECT 1 FROM handoff_handoff h JOIN feedback_enrolment e
            ON e.lead_id = h.lead_id AND e.ended_at IS NULL AND e.paused_at IS NULL
        WHERE h.state = ANY(%(open)s))
    OR EXISTS (
        SELECT 1 FROM feedback_enrolment e WHERE e.ended_at IS NULL AND e.paused_at IS NOT NULL
            AND NOT EXISTS (
                SELECT 1 FROM handoff_handoff h
                WHERE h.lead_id = e.lead_id AND h.state = ANY(%(open)s))) AS rests,
    EXISTS (
        SELECT 1 FROM (
            SELECT w.lead_id FROM scoring_hold w WHERE w.ended_at > %(lately)s
            UNION ALL
            SELECT w.lead_id FROM scoring_hold w WHERE w.ended_at IS NULL AND w.checked_at > %(lately)s) t
        JOIN leads_lead l ON l.id = t.lead_id AND l.stage = 'nurturing'
            AND l.erased_at IS NULL AND l.merged_into_id IS NULL
        WHERE NOT EXISTS (
            SELECT 1 FROM scoring_hold w WHERE w.lead_id = l.id AND w.ended_at IS NULL AND (
                w.until IS NULL OR w.until > %(at)s OR w.reopens_as <> '' OR w.checked_at IS NULL))) AS waits,
    EXISTS (
        SELECT 1 FROM feedback_enrolment e WHERE e.ended_at IS NULL AND e.paused_at IS NULL
            AND e.next_step_at <= %(at)s) AS steps,
    EXISTS (
        SELECT 1 FROM scoring_hold w WHERE w.ended_at IS NULL AND w.until > %(at)s
            AND w.until <= %(notice)s AND w.reopens_as = 'callback'
            AND NOT EXISTS (
                SELECT 1 FROM handoff_outbox o WHERE o.key = 'callback-soon:' || w.id::text)) AS callbacks
"""


def tick(at: datetime) -> int:
    """Everything of nurture that is due; returns how many leads were touched. Safe to run twice at once.

    One small statement when nothing is due.
    """
    done = 0
    for _ in range(PASSES):
        due = what_is_due(at)
        work: list[Callable[[datetime], int]] = [act for name, act in _WORK if name in due]
        count = sum(act(at) for act in work)
        done += count
        # What is due and cannot be done now is held by somebody else, who does it.
        if not count:
            break
    return done


def what_is_due(at: datetime) -> set[str]:
    """The names of the kinds of work that wait: signals, closed, rests, waits, steps, callbacks."""
    asked: dict[str, Any] = {
        "at": at,
        "open": list(OPEN),
        "final": list(FINAL),
        "lately": at - LATELY,
        "notice": at + callbacks.NOTICE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DUE, asked)
        row = cursor.fetchone()
        return {column.name for column, due in zip(cursor.description, row, strict=True) if due}


def sweep(at: datetime) -> int:
    """What needs a look at many leads and may wait some minutes: tracks that start by themselves, and what a
    tick would have seen while none ran."""
    ended = end_closed(at, since=None)
    back = _until_empty(lambda: return_to_score(at, since=None))
    return ended + back + starting.start_by_place(at)


def _until_empty(step: Callable[[], int]) -> int:
    total = 0
    for _ in range(PASSES):
        count = step()
        total += count
        if not count:
            break
    return total


def end_closed(at: datetime, since: datetime | None) -> int:
    """Tracks of leads that are closed, customers, erased or merged end; `since`: who moved after that."""
    closed = Q(lead__stage__in=FINAL) | Q(lead__erased_at__isnull=False) | Q(lead__merged_into__isnull=False)
    found = Enrolment.objects.filter(closed, ended_at=None)
    if since is not None:
        moved = StageChange.objects.filter(to_stage__in=FINAL, at__gt=since)
        found = found.filter(lead__in=moved.values("lead"))
    return end(list(found.values_list("lead_id", flat=True)), why="closed", at=at)


def pull_signals(at: datetime) -> int:
    """Replies and stops end the track they meet; a reply asks a person of marketing to answer."""
    with transaction.atomic():
        ids = list(
            TrackSignal.objects.select_for_update(skip_locked=True)
            .filter(kind__in=("reply", "stop"))
            .order_by("id")
            .values_list("pk", "lead_id", "kind")[:BATCH]
        )
        if not ids:
            return 0
        TrackSignal.objects.filter(pk__in=[row[0] for row in ids]).delete()
        replied = {lead for _, lead, kind in ids if kind == "reply"}
        stopped = {lead for _, lead, kind in ids if kind == "stop"}
        _ask_to_answer(replied, at)
        end(replied, why="replied", at=at)
        end(stopped, why="stopped", at=at)
        return len(ids)


def _ask_to_answer(lead_ids: set[int], at: datetime) -> None:
    # A lead with sales is the rep's to answer; one that never got a mail of a track answered somebody else.
    with_sales = Handoff.objects.filter(lead=OuterRef("lead"), state__in=OPEN)
    asked = Task.objects.filter(lead=OuterRef("lead"), kind=Task.Kind.ANSWER, done_at=None)
    written_to = Enrolment.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=at - ANSWER_WITHIN), ~Exists(with_sales), ~Exists(asked)
    )
    leads = written_to.filter(lead_id__in=lead_ids).order_by("lead").values_list("lead", flat=True)
    tasks.create_many(
        [(lead, "Answered one of our e-mails; somebody should answer") for lead in leads.distinct()],
        kind=Task.Kind.ANSWER,
        at=at,
    )


def pause_and_resume(at: datetime) -> int:
    """Tracks rest from the offer on and go on, later by the time they rested, once sales is done.

    While a track rests its leads are off the audiences, and other systems hear of it.
    """
    open_handoff = Handoff.objects.filter(lead=OuterRef("lead"), state__in=OPEN)
    active = Enrolment.objects.filter(ended_at=None)
    with transaction.atomic():
        rests = active.filter(Exists(open_handoff), paused_at=None)
        goes_on = active.filter(~Exists(open_handoff), paused_at__isnull=False)
        off, on = (list(rows.values_list("pk", flat=True)) for rows in (rests, goes_on))
        audiences.tell(off, audiences.LEFT, at)
        audiences.tell(on, audiences.JOINED, at)
        paused = (
            rests.filter(pk__in=off)
            .annotate(offered=Subquery(open_handoff.values("first_offered_at")[:1]))
            .update(paused_at=Greatest(F("offered"), F("started_at")))
        )
        resumed = goes_on.filter(pk__in=on).update(
            next_step_at=F("next_step_at") + (at - F("paused_at")), paused_at=None
        )
    return paused + resumed


def return_to_score(at: datetime, since: datetime | None) -> int:
    """Nurturing leads whose wait is over get the stage that their score says; `since`: only waits that came
    to their end after that.

    Where the wait ended without evidence the track ends too, and somebody looks again in 90 days. Leads
    that are just about to be scored or offered are left to that.
    """
    hold = Hold.objects.filter(lead=OuterRef("pk"), ended_at=None)
    # The engine looks first at a hold whose date has come: the evidence may be there already.
    lately = Q()
    if since is not None:
        over = Hold.objects.filter(Q(ended_at__gt=since) | Q(ended_at=None, checked_at__gt=since))
        lately = Q(pk__in=over.values("lead"))
    waiting = hold.filter(Q(until=None) | Q(until__gt=at) | ~Q(reopens_as="") | Q(checked_at=None))
    with transaction.atomic():
        free = list(
            Lead.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
            .filter(lately, stage=Stage.NURTURING, erased_at=None, merged_into=None)
            .filter(~Exists(waiting))
            .filter(~Exists(Handoff.objects.filter(lead=OuterRef("pk"), state__in=OPEN)))
            .filter(~Exists(Crossing.objects.filter(lead=OuterRef("pk"), handled_at=None)))
            .filter(~Exists(RoomWait.objects.filter(lead=OuterRef("pk"), left_at=None)))
            .filter(~Exists(LeadChanged.objects.filter(lead_id=OuterRef("pk"))))
            .order_by("pk")
            .values_list("pk", flat=True)[:BATCH]
        )
        if not free:
            return 0
        without_evidence = set(
            Hold.objects.filter(lead__in=free, ended_at=None).values_list("lead_id", flat=True)
        )
        end(without_evidence, why="wait over", at=at)
        Lead.objects.filter(pk__in=free).update(review_at=at + REVIEW_AFTER)
        fallen = engine.stage_by_score(free, at)
        stages.move(
            [
                stages.Move(
                    lead,
                    fallen.get(lead, Stage.PROSPECT),
                    "wait over" if lead in without_evidence else "hold ended",
                )
                for lead in free
            ],
            at=at,
        )
        return len(free)


_WORK: tuple[tuple[str, Callable[[datetime], int]], ...] = (
    ("signals", outcomes.pull),
    ("signals", pull_signals),
    ("closed", lambda at: end_closed(at, at - LATELY)),
    ("rests", pause_and_resume),
    ("waits", lambda at: return_to_score(at, at - LATELY)),
    ("steps", steps.run),
    ("callbacks", callbacks.remind),
)


def said(key: str, user_id: int | None, text: str, url: str) -> list[outbox.Letter]:
    """A bell notice in our own words; none where nobody is there to hear it."""
    if user_id is None:
        return []
    return [outbox.Letter(key, "said", Outbox.Channel.BELL, user_id, {"text": text, "url": url})]
