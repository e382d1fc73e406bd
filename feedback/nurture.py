"""Nurture: what happens to a lead that marketing holds, step by step, until it answers or wants no more.

A track's steps stand in the agreement. A lead is on one track at most; it rests while the lead is with
sales, and ends with a reply, a stop, another track, or the end of the wait.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Cast, Concat, Greatest
from django.urls import reverse
from django.utils import timezone

from feedback import outcomes, tasks, terms
from feedback.models import Enrolment, StepRun, Task
from handoff import outbox
from handoff.models import OPEN, Handoff, Outbox, RoomWait
from leadflow import clock, nudge
from leadflow.accounts import audit
from leadflow.accounts.actors import SYSTEM, Actor
from leadflow.accounts.models import MARKETING, Role
from leadflow.errors import Conflict, Forbidden, NotVisible
from leadflow.leads import intake, stages
from leadflow.leads.models import Consent, Lead, LeadChanged, Stage, TrackSignal
from scoring import engine
from scoring.document import Document, Step
from scoring.models import Crossing, Hold

# How many due rows one transaction takes, and how many such transactions one tick makes.
BATCH = 500
PASSES = 20
REVIEW_AFTER = timedelta(days=90)
CALLBACK_NOTICE = timedelta(days=14)
FINAL = (Stage.CUSTOMER, Stage.DISQUALIFIED, Stage.EXCLUDED)
MAIL_STEPS = ("email", "webinar")
STOP_SALT = "leadflow.nurture.stop"


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
            next_step_at=_step_at(at, steps, 0, document),
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
    return active.update(ended_at=at, ended_why=why[:40], next_step_at=None)


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
    due = _step_at(newest.started_at, steps, newest.step_no, document)
    if due is None:
        return
    Enrolment.objects.filter(pk=newest.pk).update(
        ended_at=None, ended_why="", paused_at=newest.paused_at or at, next_step_at=max(due, at)
    )


def _step_at(start: datetime, steps: Sequence[Step], number: int, document: Document) -> datetime | None:
    if number >= len(steps):
        return None
    return start + max(timedelta(days=steps[number].day), timedelta(minutes=document.undo_minutes))


def _lock(lead_id: int) -> Lead:
    lead = Lead.objects.select_for_update(no_key=True).filter(pk=lead_id).first()
    if lead is None or lead.erased_at or lead.merged_into_id:
        raise NotVisible("There is no such lead.")
    return lead


# The tick --------------------------------------------------------------------------------


def tick(at: datetime) -> int:
    """Everything of nurture that is due; returns how many leads were touched. Safe to run twice at once."""
    done = outcomes.pull(at)
    done += _until_empty(lambda: pull_signals(at))
    done += pause_and_resume(at)
    done += _until_empty(lambda: return_to_score(at))
    done += _until_empty(lambda: run_steps(at))
    done += remind_of_callbacks(at)
    return done


def _until_empty(step) -> int:  # type: ignore[no-untyped-def]
    total = 0
    for _ in range(PASSES):
        count = step()
        total += count
        if not count:
            break
    return total


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
    # Only leads on a track: a lead with sales is the rep's to answer.
    on_track = Enrolment.objects.filter(lead_id__in=lead_ids, ended_at=None, paused_at=None)
    tasks.create_many(
        [
            (lead, "Answered one of our e-mails; somebody should answer")
            for lead in on_track.values_list("lead", flat=True)
        ],
        kind=Task.Kind.ANSWER,
        at=at,
    )


def pause_and_resume(at: datetime) -> int:
    """Tracks rest from the offer on and go on, later by the time they rested, once sales is done."""
    open_handoff = Handoff.objects.filter(lead=OuterRef("lead"), state__in=OPEN)
    active = Enrolment.objects.filter(ended_at=None)
    ended = active.filter(
        Q(lead__stage__in=FINAL) | Q(lead__erased_at__isnull=False) | Q(lead__merged_into__isnull=False)
    ).update(ended_at=at, ended_why="closed", next_step_at=None)
    paused = (
        active.filter(Exists(open_handoff), paused_at=None)
        .annotate(offered=Subquery(open_handoff.values("first_offered_at")[:1]))
        .update(paused_at=Greatest(F("offered"), F("started_at")))
    )
    resumed = active.filter(~Exists(open_handoff), paused_at__isnull=False).update(
        next_step_at=F("next_step_at") + (at - F("paused_at")), paused_at=None
    )
    return ended + paused + resumed


def return_to_score(at: datetime) -> int:
    """Nurturing leads whose wait is over get the stage that their score says.

    Where the wait ended without evidence the track ends too, and somebody looks again in 90 days. Leads
    that are just about to be scored or offered are left to that.
    """
    hold = Hold.objects.filter(lead=OuterRef("pk"), ended_at=None)
    # The engine looks first at a hold whose date has come: the evidence may be there already.
    waiting = hold.filter(Q(until=None) | Q(until__gt=at) | ~Q(reopens_as="") | Q(checked_at=None))
    with transaction.atomic():
        free = list(
            Lead.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
            .filter(stage=Stage.NURTURING, erased_at=None, merged_into=None)
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


# Steps -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Due:
    """A step that is due for a lead, and what its track says about it."""

    enrolment: Enrolment
    step: Step
    # Why the lead may not be written to, in words; empty: it may.
    refusal: str
    next_step_at: datetime | None


def run_steps(at: datetime) -> int:
    """Do the steps that are due, each once; returns how many.

    1. Find due rows without a lock. 2. Lock their leads in id order, skipping what others hold. 3. Read
    the enrolments again: one that was paused, ended or done in between is left alone.
    """
    candidates = Enrolment.objects.filter(ended_at=None, paused_at=None, next_step_at__lte=at)
    lead_ids = list(candidates.order_by("next_step_at", "id").values_list("lead_id", flat=True)[:BATCH])
    if not lead_ids:
        return 0
    with transaction.atomic():
        locked = Lead.objects.select_for_update(no_key=True, skip_locked=True).filter(pk__in=lead_ids)
        leads = {lead.pk: lead for lead in locked.order_by("pk")}
        with_sales = Handoff.objects.filter(lead=OuterRef("lead"), state__in=OPEN)
        rows = list(
            candidates.filter(~Exists(with_sales), lead__in=leads.keys())
            .select_related("lead")
            .order_by("lead_id")
        )
        due = _due(rows, leads)
        _record(due, at)
        _advance(due, at)
        return len(due)


def _due(rows: Sequence[Enrolment], leads: dict[int, Lead]) -> list[_Due]:
    documents = terms.documents(row.agreement_id for row in rows)
    refused = _refused_mail([row.lead_id for row in rows])
    found = []
    for row in rows:
        document = documents[row.agreement_id]
        steps = terms.track_named(document, row.track).steps
        # A pause moves all later steps, so the distance to the next one counts, not the start.
        gap = steps[row.step_no + 1].day - steps[row.step_no].day if row.step_no + 1 < len(steps) else None
        assert row.next_step_at is not None
        found.append(
            _Due(
                enrolment=row,
                step=steps[row.step_no],
                refusal=_refusal(leads[row.lead_id], row.lead_id in refused),
                next_step_at=None if gap is None else row.next_step_at + timedelta(days=max(gap, 1)),
            )
        )
    return found


def _refusal(lead: Lead, refused: bool) -> str:
    if not lead.email:
        return "no e-mail address"
    if lead.bounced_at:
        return "the address bounces"
    if lead.unsubscribed_at or refused:
        return "does not want e-mail"
    return "asked not to be contacted" if lead.do_not_contact else ""


def _refused_mail(lead_ids: Iterable[int]) -> set[int]:
    """Leads whose latest word about e-mail is no."""
    latest = (
        Consent.objects.filter(lead_id__in=list(lead_ids), channel="email")
        .order_by("lead_id", "-at", "-id")
        .distinct("lead_id")
        .values_list("lead_id", "given")
    )
    return {lead for lead, given in latest if not given}


def _result(one: _Due) -> str:
    if one.step.kind in MAIL_STEPS:
        return f"left out: {one.refusal}"[:40] if one.refusal else "sent"
    return "asked a person" if one.step.kind == "task" else "on the list"


def _record(due: Sequence[_Due], at: datetime) -> None:
    StepRun.objects.bulk_create(
        [
            StepRun(
                enrolment=one.enrolment,
                step=one.enrolment.step_no,
                kind=one.step.kind,
                text=one.step.text[:200],
                due_at=one.enrolment.next_step_at or at,
                done_at=at,
                result=_result(one),
            )
            for one in due
        ],
        ignore_conflicts=True,
    )
    tasks.create_many(
        [(one.enrolment.lead_id, one.step.text) for one in due if one.step.kind == "task"],
        kind=Task.Kind.TRACK,
        at=at,
    )
    _mail([one for one in due if one.step.kind in MAIL_STEPS and not one.refusal], at)


def _mail(due: Sequence[_Due], at: datetime) -> None:
    if not due:
        return
    Outbox.objects.bulk_create([_letter(one, at) for one in due], ignore_conflicts=True)
    nudge.wake("clock.deliver")
    intake.record_activities(
        [
            {
                "source": "leadflow",
                "external_id": _key(one),
                "kind": "email_sent",
                "lead_id": one.enrolment.lead_id,
                "occurred_at": at,
                "message_key": _key(one),
                "properties": {"subject": one.step.text},
            }
            for one in due
        ],
        actor=SYSTEM,
        at=at,
    )


def _key(one: _Due) -> str:
    return f"track-step:{one.enrolment.pk}:{one.enrolment.step_no}"


def _letter(one: _Due, at: datetime) -> Outbox:
    stop = f"{settings.BASE_URL}{reverse('feedback:stop', args=[stop_token(one.enrolment.lead_id)])}"
    return Outbox(
        key=_key(one),
        kind="nurture",
        channel=Outbox.Channel.EMAIL,
        recipient=one.enrolment.lead.email,
        payload={
            "subject": one.step.text,
            "body": f"{one.step.text}\n\nYou asked us for information. No more of it: {stop}",
            "headers": {"List-Unsubscribe": f"<{stop}>"},
        },
        created_at=at,
        not_before=at,
        next_try_at=at,
    )


def _advance(due: Sequence[_Due], at: datetime) -> None:
    """Move on to the next step; a track without one is finished."""
    for one in due:
        row = one.enrolment
        row.step_no += 1
        row.next_step_at = one.next_step_at
        if one.next_step_at is None:
            row.ended_at, row.ended_why = at, "finished"
    Enrolment.objects.bulk_update(
        [one.enrolment for one in due], ["step_no", "next_step_at", "ended_at", "ended_why"]
    )
    Lead.objects.filter(
        pk__in=[one.enrolment.lead_id for one in due if one.next_step_at is None], review_at=None
    ).update(review_at=at + REVIEW_AFTER)


def said(key: str, user_id: int | None, text: str, url: str) -> list[outbox.Letter]:
    """A bell notice in our own words; none where nobody is there to hear it."""
    if user_id is None:
        return []
    return [outbox.Letter(key, "said", Outbox.Channel.BELL, user_id, {"text": text, "url": url})]


# The way out of it, and the callback ------------------------------------------------------


def stop_token(lead_id: int) -> str:
    """What the link at the end of each e-mail carries: it stops e-mail to this lead and does nothing else."""
    return signing.dumps(lead_id, salt=STOP_SALT)


def lead_of_token(token: str) -> int:
    """Whose link it is. Raises NotVisible for one that is not ours."""
    try:
        return int(signing.loads(token, salt=STOP_SALT))
    except (signing.BadSignature, ValueError, TypeError):
        raise NotVisible("This link is not valid.") from None


def stop_mail(token: str, *, at: datetime | None = None) -> None:
    """The lead wants no more e-mail. Raises NotVisible for a link that is not ours; twice is once."""
    lead_id = lead_of_token(token)
    row = {
        "source": "leadflow",
        "external_id": f"stop:{lead_id}",
        "kind": "email_unsubscribed",
        "lead_id": lead_id,
        "occurred_at": at or clock.now(),
    }
    intake.record_activities([row], actor=SYSTEM, at=at)


def remind_of_callbacks(at: datetime) -> int:
    """Tell the rep two weeks ahead that an agreed date comes up; short waits need no reminder."""
    told = Outbox.objects.filter(key=Concat(Value("callback-soon:"), Cast(OuterRef("pk"), CharField())))
    coming = (
        Hold.objects.filter(
            ended_at=None,
            reopens_as=Handoff.Kind.CALLBACK,
            until__gt=at,
            until__lte=at + CALLBACK_NOTICE,
            since__lt=F("until") - CALLBACK_NOTICE,
        )
        .filter(~Exists(told))
        .select_related("lead")[:BATCH]
    )
    rows = list(coming)
    owners = dict(Handoff.objects.filter(pk__in=[row.handoff_id for row in rows]).values_list("pk", "owner"))
    letters = []
    for row in rows:
        assert row.until is not None
        owner, day = owners.get(row.handoff_id or 0), timezone.localtime(row.until)
        words = f"Call {row.lead} back on {day.day} {day:%b}, as agreed."
        letters += said(f"callback-soon:{row.pk}", owner, words, f"/leads/{row.lead_id}/")
    outbox.put(letters, at)
    return len(rows)
