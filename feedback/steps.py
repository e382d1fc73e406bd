"""The steps of the tracks: what is due is done once for each lead, many leads in a few statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef

from feedback import audiences, letters, tasks, terms
from feedback.models import ContentUse, Enrolment, StepRun, Task
from feedback.results import ASKED, FINAL, LEFT_OUT, LISTED, SENT
from handoff import many
from handoff.models import OPEN, Handoff, Outbox
from leadflow import nudge
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import intake
from leadflow.leads.models import Content, Lead
from scoring.document import Step, Track

# How many due rows one transaction takes.
BATCH = 500
REVIEW_AFTER = timedelta(days=90)
A_DAY = timedelta(days=1)
MAIL_STEPS = ("email", "webinar")


@dataclass(frozen=True)
class _Due:
    """A step that is due for a lead, and what its track says about it."""

    enrolment: Enrolment
    track: Track
    step: Step
    # Why the lead may not be written to, in words; empty: it may.
    refusal: str
    next_step_at: datetime | None

    @property
    def mails(self) -> bool:
        return self.step.kind in MAIL_STEPS and not self.refusal

    @property
    def key(self) -> str:
        return f"track-step:{self.enrolment.pk}:{self.enrolment.step_no}"


def run(at: datetime) -> int:
    """Do the steps that are due, each once; returns how many.

    1. Find due rows without a lock. 2. Lock their leads in id order, skipping what others hold. 3. Read
    the enrolments again: one that was paused, ended or done in between is left alone.
    """
    with_sales = Handoff.objects.filter(lead=OuterRef("lead"), state__in=OPEN)
    candidates = Enrolment.objects.filter(
        ~Exists(with_sales), ended_at=None, paused_at=None, next_step_at__lte=at
    )
    lead_ids = list(candidates.order_by("next_step_at", "id").values_list("lead_id", flat=True)[:BATCH])
    if not lead_ids:
        return 0
    with transaction.atomic():
        locked = Lead.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
        leads = {
            lead.pk: lead for lead in locked.select_related("company").filter(pk__in=lead_ids).order_by("pk")
        }
        rows = list(candidates.filter(lead__in=leads.keys()).order_by("lead_id"))
        due = _due(rows, leads, at)
        _record(due, at)
        _advance(due, at)
        # The lead may be closed, or the draft may have lost the track since: nothing is left to do on it.
        gone = {row.pk for row in rows} - {one.enrolment.pk for one in due}
        Enrolment.objects.filter(pk__in=gone).update(ended_at=at, ended_why="closed", next_step_at=None)
        return len(rows)


def _due(rows: Sequence[Enrolment], leads: dict[int, Lead], at: datetime) -> list[_Due]:
    documents = terms.documents(row.agreement_id for row in rows)
    said = letters.words_about_mail([row.lead_id for row in rows])
    found = []
    for row in rows:
        row.lead = leads[row.lead_id]
        track = documents[row.agreement_id].track(row.track)
        number = row.step_no
        if track is None or number >= len(track.steps) or _closed(row.lead):
            continue
        # A pause moves all later steps, so the distance to the next one counts, not the start.
        more = number + 1 < len(track.steps)
        gap = track.steps[number + 1].day - track.steps[number].day if more else None
        assert row.next_step_at is not None
        found.append(
            _Due(
                enrolment=row,
                track=track,
                step=track.steps[number],
                refusal=letters.refusal(row.lead, said.get(row.lead_id)),
                # After an outage nobody gets two steps in one day.
                next_step_at=None if gap is None else max(row.next_step_at + timedelta(days=gap), at + A_DAY),
            )
        )
    return found


def _closed(lead: Lead) -> bool:
    return lead.stage in FINAL or lead.erased_at is not None or lead.merged_into_id is not None


def _result(one: _Due) -> str:
    if one.step.kind in MAIL_STEPS:
        return f"{LEFT_OUT}: {one.refusal}"[:40] if one.refusal else SENT
    if one.step.kind == "audience":
        # An audience is written to by other systems: the lead's no holds there too.
        refused = one.refusal and one.refusal != "no e-mail address"
        return f"{LEFT_OUT}: {one.refusal}"[:40] if refused else LISTED
    return ASKED


def _record(due: Sequence[_Due], at: datetime) -> None:
    runs = many.insert(
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
        ]
    )
    tasks.create_many(
        [(one.enrolment.lead_id, one.step.text) for one in due if one.step.kind == "task"],
        kind=Task.Kind.TRACK,
        at=at,
    )
    joined = [one.enrolment.pk for one in due if one.step.kind == audiences.KIND]
    audiences.tell(joined, audiences.JOINED, at)
    mailed = [(one, run) for one, run in zip(due, runs, strict=True) if one.mails]
    _mail([one for one, _ in mailed], at)
    _note_content([(one, run) for one, run in mailed if one.step.link], at)


def _mail(due: Sequence[_Due], at: datetime) -> None:
    if not due:
        return
    sender = letters.sender()
    written = [(one, *letters.written(one.step, one.enrolment.lead, sender)) for one in due]
    many.insert([_letter(one, subject, body, at) for one, subject, body in written], conflict="key")
    nudge.wake("clock.deliver")
    intake.record_activities(
        [
            {
                "source": "leadflow",
                "external_id": one.key,
                "kind": "email_sent",
                "lead_id": one.enrolment.lead_id,
                "occurred_at": at,
                "message_key": one.key,
                "properties": {"subject": subject},
            }
            for one, subject, _ in written
        ],
        actor=SYSTEM,
        at=at,
    )


def _letter(one: _Due, subject: str, body: str, at: datetime) -> Outbox:
    lead = one.enrolment.lead
    return Outbox(
        key=one.key,
        kind="nurture",
        channel=Outbox.Channel.EMAIL,
        recipient=lead.email,
        payload={"subject": subject, "body": body, "headers": letters.headers(lead.pk)},
        created_at=at,
        not_before=at,
        next_try_at=at,
    )


def _note_content(mailed: Sequence[tuple[_Due, StepRun]], at: datetime) -> None:
    """A mail whose link is a piece of our content counts as that piece given to the lead."""
    if not mailed:
        return
    known = dict(
        Content.objects.filter(url__in={one.step.link for one, _ in mailed}).values_list("url", "pk")
    )
    many.insert(
        [
            ContentUse(content_id=known[one.step.link], lead_id=one.enrolment.lead_id, step=run, at=at)
            for one, run in mailed
            if one.step.link in known
        ]
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
