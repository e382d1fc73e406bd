"""What people of ours should do for a lead by a date: repairs, answers, steps of a track, duplicates."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from feedback.models import Task
from handoff import calendars
from handoff.models import Handoff
from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, Role, Team, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.leads import intake, stages
from leadflow.leads.models import TAKEN_BACK, Activity, Lead, Stage
from leadflow.paging import counts_of, in_words
from scoring import engine

WORKING_DAY = timedelta(hours=8)
DUE = {
    Task.Kind.REPAIR: 2 * WORKING_DAY,
    Task.Kind.DUPLICATE: 2 * WORKING_DAY,
    Task.Kind.ANSWER: WORKING_DAY,
    Task.Kind.TRACK: WORKING_DAY,
    Task.Kind.CALL: WORKING_DAY,
    Task.Kind.ASK: WORKING_DAY,
}
REVIEW_AFTER = timedelta(days=90)
REPAIRABLE = ("email", "phone", "name")
TRIES_SHOWN = 3


def create_many(
    wanted: Sequence[tuple[int, str]], *, kind: Task.Kind, at: datetime, handoff: Handoff | None = None
) -> None:
    """One task of marketing for each (lead id, words), due in working time."""
    if not wanted:
        return
    team, owner = whose()
    due = calendars.for_team(team.pk if team else None).add(at, DUE[kind])
    Task.objects.bulk_create(
        [
            Task(
                kind=kind,
                lead_id=lead,
                text=text[:300],
                team=team,
                owner=owner,
                handoff=handoff,
                created_at=at,
                due_at=due,
            )
            for lead, text in wanted
        ]
    )


def call_again(lead_id: int, actor: Actor, *, on: dt.date, note: str, at: datetime) -> Task:
    """A call that somebody of marketing plans for a day. Raises BadInput for a day that has passed."""
    team, _ = whose()
    hours = calendars.for_team(team.pk if team else None)
    if on < at.astimezone(hours.zone).date():
        raise BadInput("That day has passed.", [Fault("again", "Choose today or a later day.")])
    begins = max(at, datetime.combine(on, dt.time(0), hours.zone))
    return Task.objects.create(
        kind=Task.Kind.CALL,
        lead_id=lead_id,
        text=f"Call again: {note.strip()}"[:300] if note.strip() else "Call again",
        team=team,
        owner=actor.user,
        created_at=at,
        due_at=hours.add(begins, DUE[Task.Kind.CALL]),
    )


def whose() -> tuple[Team | None, User | None]:
    """Marketing's team, which does the tasks; a house without one still has somebody who does them."""
    team = Team.objects.filter(kind=Team.Kind.MARKETING).order_by("pk").first()
    return team, None if team else _somebody()


def _somebody() -> User | None:
    found = User.objects.filter(is_active=True, role__in=(*MARKETING, Role.ADMIN))
    return found.order_by("role", "pk").last()


# A tab counts so far.
COUNTED = 1_000


def open_tasks() -> QuerySet[Task]:
    """All that is still to be done, soonest first."""
    living = Q(lead__erased_at=None, lead__merged_into=None)
    return (
        Task.objects.filter(living, done_at=None)
        .select_related("lead__company", "owner", "asked_by")
        .order_by("due_at", "pk")
    )


def counts() -> dict[str, str]:
    """How many tasks are open, and how many of them are repairs, in words for the tabs. One query."""
    lists = {"open_tasks": open_tasks(), "open_repairs": open_tasks().filter(kind=Task.Kind.REPAIR)}
    return {key: in_words(count, COUNTED) for key, count in counts_of(lists, COUNTED).items()}


# The repair list -------------------------------------------------------------------------

REPAIR_HEADER = ("Lead", "Company", "E-mail", "Phone", "What sales said", "Who said it", "Due", "Lead number")


@dataclass(frozen=True)
class Repair:
    """A lead whose contact data is wrong: who said what, and what was tried last."""

    task: Task
    said_by: str
    note: str
    tried: tuple[Activity, ...]
    email_wrong: str


def repairs() -> QuerySet[Task]:
    """The open repairs, soonest first."""
    return open_tasks().filter(kind=Task.Kind.REPAIR).select_related("lead__company", "handoff__owner")


def repair_rows(found: Sequence[Task]) -> list[Repair]:
    """What each repair shows; one more query, whatever their number."""
    tried: dict[int, list[Activity]] = defaultdict(list)
    ids = [task.handoff_id for task in found if task.handoff_id]
    leads = [task.lead_id for task in found]
    made = Activity.objects.filter(lead__in=leads, handoff_id__in=ids, kind__contact=True)
    made = made.exclude(properties__has_key=TAKEN_BACK).select_related("kind", "user")
    for act in made.order_by("-occurred_at", "-pk"):
        if act.handoff_id is not None and len(tried[act.handoff_id]) < TRIES_SHOWN:
            tried[act.handoff_id].append(act)
    return [
        Repair(
            task,
            task.handoff.owner.name if task.handoff and task.handoff.owner else "Sales",
            task.handoff.note if task.handoff else "",
            tuple(tried[task.handoff_id or 0]),
            "bounces" if task.lead.bounced_at else "",
        )
        for task in found
    ]


def repair_lines(found: QuerySet[Task]) -> Iterator[tuple[Any, ...]]:
    """The repair list as rows of a file."""
    for task in found.iterator(chunk_size=2000):
        lead, handoff = task.lead, task.handoff
        yield (
            lead.name,
            lead.company.name if lead.company else "",
            lead.email,
            lead.phone,
            task.text,
            handoff.owner.name if handoff and handoff.owner else "",
            task.due_at.isoformat(timespec="minutes"),
            lead.pk,
        )


def undo(handoff: Handoff, *, at: datetime) -> None:
    """The answer that asked for these tasks was taken back."""
    Task.objects.filter(handoff=handoff, done_at=None).update(done_at=at, result="undone")


def finish(task_id: int, actor: Actor, *, result: str, at: datetime | None = None) -> Task:
    """A person did the task; `result` says what came of it. Conflict when somebody else was faster."""
    with transaction.atomic():
        task = lock(task_id, actor)
        if task.kind == Task.Kind.REPAIR:
            raise BadInput("A repair needs the mended data, or the word that it cannot be mended.")
        if task.kind == Task.Kind.ASK:
            raise BadInput("Whoever asks for a lead gets a yes or a no.")
        return done(task, actor, result or "done", at or clock.now())


def repair(
    task_id: int, actor: Actor, fields: Mapping[str, str], *, note: str = "", at: datetime | None = None
) -> Task:
    """The contact data is mended: the lead is offered again, to the same rep.

    `fields` holds what is new among e-mail, phone and name; without a change a note must say how the old
    data was confirmed. Raises BadInput, Conflict, Forbidden.
    """
    with transaction.atomic():
        task = lock(task_id, actor)
        if task.kind != Task.Kind.REPAIR:
            raise BadInput("This task is no repair.")
        at = at or clock.now()
        wanted = {key: value.strip() for key, value in fields.items() if key in REPAIRABLE and value.strip()}
        changed = {key: value for key, value in wanted.items() if value != getattr(task.lead, key)}
        if not changed and len(note.strip()) < 10:
            raise BadInput(
                "Nothing is different.",
                [
                    Fault(
                        "note",
                        "Give a new e-mail or phone, or say in ten characters how you confirmed the old one.",
                    )
                ],
            )
        if changed:
            intake.change_lead(task.lead_id, changed, actor=actor, cause="repair", at=at)
        done(task, actor, note or "mended: " + ", ".join(sorted(changed)), at)
        engine.end_hold(task.lead_id, at=at, by="repaired")
    return task


def give_up_repair(task_id: int, actor: Actor, *, note: str, at: datetime | None = None) -> Task:
    """The data cannot be mended: the lead goes back to what its score says and is looked at in 90 days."""
    with transaction.atomic():
        task = lock(task_id, actor)
        at = at or clock.now()
        done(task, actor, f"cannot be mended: {note}", at)
        # The hold stays: only a person's handing over by hand ends it.
        Lead.objects.filter(pk=task.lead_id).update(review_at=at + REVIEW_AFTER)
        fallen = engine.stage_by_score([task.lead_id], at)
        stage = fallen.get(task.lead_id, Stage.PROSPECT)
        stages.move([stages.Move(task.lead_id, stage, "cannot be mended")], at=at, actor=actor)
    return task


def lock(task_id: int, actor: Actor) -> Task:
    """The open task, locked with its lead. Forbidden, NotVisible, or Conflict when it is done already."""
    if not actor.has_role(*MARKETING, Role.ADMIN, Role.SALES_MANAGER):
        raise Forbidden("These tasks are marketing's.")
    # The lead first, as everywhere; the task row is read again behind that lock.
    lead_id = Task.objects.filter(pk=task_id).values_list("lead_id", flat=True).first()
    if lead_id is None:
        raise NotVisible("There is no such task.")
    Lead.objects.select_for_update(no_key=True).get(pk=lead_id)
    task = Task.objects.select_for_update(of=("self",)).select_related("done_by").get(pk=task_id)
    if task.done_at:
        raise Conflict(
            f"{task.done_by or 'LeadFlow'} has done this already.",
            {"by": str(task.done_by or "LeadFlow"), "at": task.done_at.isoformat()},
        )
    return task


def done(task: Task, actor: Actor, result: str, at: datetime) -> Task:
    """Note that a locked task is done, and what came of it."""
    task.done_at, task.done_by, task.result = at, actor.user, result[:200]
    task.save(update_fields=["done_at", "done_by", "result"])
    audit.record(actor, "task.done", task, after={"result": task.result})
    return task
