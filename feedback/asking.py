"""Sales asks marketing for a lead that it must not contact yet; marketing hands it over, or says why not."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from feedback import tasks
from feedback.models import Task
from handoff import calendars, machine
from handoff.models import OPEN, Handoff
from leadflow import clock
from leadflow.accounts import audit, telling
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, SALES, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.leads.models import Lead, Stage

SHORTEST = 3
LONGEST = 280


def ask(lead_id: int, actor: Actor, *, why: str, at: datetime | None = None) -> Task:
    """Ask for a lead: marketing has it on its list with a date, and hears of it at once.

    Raises Forbidden for others than sales, BadInput without a reason, Conflict when the lead is with sales,
    is no lead, or somebody has asked already. The same person asking again gets the question back.
    """
    at = at or clock.now()
    if actor.user is None or actor.user.role not in SALES:
        raise Forbidden("Sales asks for leads.")
    why = why.strip()[:LONGEST]
    if len(why) < SHORTEST:
        raise BadInput("Say why.", [Fault("why", "One sentence is enough; marketing reads it.")])
    with transaction.atomic():
        lead = Lead.objects.select_for_update(no_key=True).filter(pk=lead_id).first()
        if lead is None or lead.erased_at or lead.merged_into_id:
            raise NotVisible("There is no such lead.")
        if lead.stage == Stage.EXCLUDED:
            raise Conflict("This is left out: not a lead.")
        held = Handoff.objects.filter(lead=lead, state__in=OPEN).select_related("owner").first()
        if held is not None:
            raise Conflict(f"It is with sales already: {held.owner or 'in the pool'}.")
        asked = asked_for(lead.pk)
        if asked is not None and asked.asked_by_id == actor.user_id:
            return asked
        if asked is not None:
            raise Conflict(f"{asked.asked_by} has asked for it already.")
        return _put(lead, actor.user, why, at)


def _put(lead: Lead, user: User, why: str, at: datetime) -> Task:
    team, owner = tasks.whose()
    due = calendars.for_team(team.pk if team else None).add(at, tasks.DUE[Task.Kind.ASK])
    made = Task.objects.create(
        kind=Task.Kind.ASK,
        lead=lead,
        text=why,
        team=team,
        owner=owner,
        asked_by=user,
        created_at=at,
        due_at=due,
    )
    audit.record(Actor(user), "lead.asked", lead, reason=why)
    desk = User.objects.filter(is_active=True, role__in=MARKETING) if owner is None else [owner]
    _tell(made, desk, f"{user.name} asks for {lead}: {why}", "/mqls/tasks/", at)
    return made


def asked_for(lead_id: int) -> Task | None:
    """The open question for this lead, with who asked."""
    found = Task.objects.filter(lead=lead_id, kind=Task.Kind.ASK, done_at=None)
    return found.select_related("asked_by").first()


def hand_over(task_id: int, actor: Actor, *, note: str = "", at: datetime | None = None) -> Handoff:
    """Yes: the lead goes to whoever asked, handed over by hand with the reason that they gave.

    When sales has it already by another way, the question is closed and that is told.
    """
    at = at or clock.now()
    with transaction.atomic():
        row = Task.objects.filter(pk=task_id, kind=Task.Kind.ASK).select_related("asked_by").first()
        if row is None:
            raise NotVisible("There is no such task.")
        held = Handoff.objects.filter(lead=row.lead_id, state__in=OPEN).first()
        # Handoffs are locked before leads: open first, then the task behind the lead's lock.
        made = held or machine.open_by_hand(
            row.lead_id, actor, f"{row.asked_by} asked: {row.text}", row.asked_by_id, at=at
        )
        task = tasks.lock(task_id, actor)
        result = "with sales already" if held else "handed over"
        tasks.done(task, actor, f"{result}: {note}" if note else result, at)
        words = f"{task.lead} is with sales already." if held else f"Yes: {task.lead} is yours."
        _tell(task, [task.asked_by], words, f"/queue/?lead={made.pk}", at)
    return made


def decline(task_id: int, actor: Actor, *, note: str, at: datetime | None = None) -> Task:
    """Not yet: with a word why, which whoever asked reads."""
    at = at or clock.now()
    if len(note.strip()) < SHORTEST:
        raise BadInput("Say why not yet.", [Fault("note", "Whoever asked reads it.")])
    with transaction.atomic():
        task = tasks.lock(task_id, actor)
        if task.kind != Task.Kind.ASK:
            raise BadInput("Nobody asked for this lead.")
        tasks.done(task, actor, f"not yet: {note.strip()}", at)
        _tell(
            task,
            [task.asked_by],
            f"Not yet: {task.lead}. {actor.user}: {note.strip()}",
            f"/leads/{task.lead_id}/",
            at,
        )
    return task


def _tell(task: Task, people: Iterable[User | None], text: str, url: str, at: datetime) -> None:
    done = "done" if task.done_at else "asked"
    telling.tell(
        [telling.Word(f"ask:{task.pk}:{done}:{one.pk}", one.pk, text[:300], url) for one in people if one], at
    )
