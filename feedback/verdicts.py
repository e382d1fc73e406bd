"""Sales' answers and what follows from them: act of the handoff and effect in one transaction."""

import datetime as dt
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from feedback import nurture, promised, tasks, terms
from feedback.models import Dispute, Enrolment, Task
from handoff import machine, outbox
from handoff.models import OPEN, Handoff, Outbox, State
from leadflow import clock
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, Role, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from scoring.document import Reason
from scoring.models import Hold

DISPUTE_WITHIN = timedelta(days=30)


def reject(
    handoff_id: int,
    actor: Actor,
    *,
    reason_key: str,
    note: str = "",
    date: dt.date | None = None,
    at: datetime | None = None,
) -> Handoff:
    """Sales says no to an offer; track, repair list, callback or close follow from the reason.

    Raises BadInput (unknown reason, missing note or date), Conflict (somebody was faster), Forbidden.
    """
    return _answer("reject", handoff_id, actor, reason_key=reason_key, note=note, date=date, at=at)


def return_(
    handoff_id: int,
    actor: Actor,
    *,
    reason_key: str,
    note: str = "",
    date: dt.date | None = None,
    at: datetime | None = None,
) -> Handoff:
    """Sales gives an accepted lead back; as `reject`."""
    return _answer("return", handoff_id, actor, reason_key=reason_key, note=note, date=date, at=at)


def lose(
    handoff_id: int,
    actor: Actor,
    *,
    reason_key: str,
    note: str = "",
    date: dt.date | None = None,
    at: datetime | None = None,
) -> Handoff:
    """The deal is lost; the lead is nurtured or closed by the reason."""
    return _answer("lose", handoff_id, actor, reason_key=reason_key, note=note, date=date, at=at)


def qualify(
    handoff_id: int,
    actor: Actor,
    *,
    amount: Decimal | None = None,
    need: str = "",
    date: dt.date | None = None,
    at: datetime | None = None,
) -> Handoff:
    """Need, person, date and amount are known: an opportunity."""
    return machine.apply("qualify", handoff_id, actor, at=at, amount=amount, need=need, date=date)


def win(
    handoff_id: int, actor: Actor, *, amount: Decimal | None = None, at: datetime | None = None
) -> Handoff:
    """The deal is won: the lead is a customer, and whatever track it was on ends."""
    with transaction.atomic():
        handoff = machine.apply("win", handoff_id, actor, at=at, amount=amount)
        nurture.end_for_answer(handoff, handoff.closed_at or clock.now())
    return handoff


def undo(handoff_id: int, actor: Actor, *, at: datetime | None = None) -> Handoff:
    """Take back the act just done, with the track and the tasks that followed from it."""
    with transaction.atomic():
        handoff = machine.apply("undo", handoff_id, actor, at=at)
        if handoff.state in OPEN:
            at = at or clock.now()
            nurture.void(handoff, at=at)
            tasks.undo(handoff, at=at)
            outbox.cancel(_proposal(handoff), at)
    return handoff


def _answer(action: str, handoff_id: int, actor: Actor, *, at: datetime | None, **said: Any) -> Handoff:
    with transaction.atomic():
        handoff = machine.apply(action, handoff_id, actor, at=at, **said)
        _follow(handoff, terms.reason_of(handoff, said["reason_key"]), handoff.closed_at or clock.now())
    return handoff


def _follow(handoff: Handoff, reason: Reason, at: datetime) -> None:
    """What the reason's effect asks of marketing. Repeating the same answer changes nothing."""
    if _followed(handoff, at):
        return
    follow: dict[str, Callable[[], Any]] = {
        "close": lambda: nurture.end_for_answer(handoff, at),
        "repair": lambda: _task(handoff, Task.Kind.REPAIR, reason, at),
        "process": lambda: _task(handoff, Task.Kind.DUPLICATE, reason, at),
    }
    follow.get(reason.effect, lambda: None)()
    if reason.proposes_exclusion:
        _propose_exclusion(handoff, reason, at)
    if reason.track:
        cause = f"sales' answer: {reason.text}"
        held = Hold.objects.filter(lead=handoff.lead_id, ended_at=None).values_list("pk", flat=True).first()
        nurture.enrol(handoff.lead_id, reason.track, cause=cause, at=at, handoff=handoff, hold_id=held)


def _followed(handoff: Handoff, at: datetime) -> bool:
    enrolled = Enrolment.objects.filter(handoff=handoff, started_at=at).exclude(ended_why="undone")
    asked = Task.objects.filter(handoff=handoff, created_at=at).exclude(result="undone")
    return enrolled.exists() or asked.exists()


def _proposal(handoff: Handoff) -> str:
    return f"not-a-lead:{handoff.pk}:"


def _propose_exclusion(handoff: Handoff, reason: Reason, at: datetime) -> None:
    """Marketing’s managers hear, once it cannot be taken back, that a rule for “not a lead” is due."""
    _, document = terms.agreement_of(handoff)
    who = f"{handoff.lead} ({handoff.lead.company.name})" if handoff.lead.company else str(handoff.lead)
    text = f"{handoff.owner or 'Sales'} proposes {who} for “not a lead”: {reason.text.lower()}"
    payload = {"text": text, "url": "/agreement/who/", "lead": handoff.lead_id}
    managers = User.objects.filter(is_active=True, role=Role.MARKETING_MANAGER).values_list("pk", flat=True)
    later = at + timedelta(minutes=document.undo_minutes)
    outbox.put(
        [
            outbox.Letter(f"{_proposal(handoff)}{pk}", "said", Outbox.Channel.BELL, pk, payload, later)
            for pk in managers
        ],
        at,
    )


def _task(handoff: Handoff, kind: Task.Kind, reason: Reason, at: datetime) -> None:
    text = f"{reason.text}: {handoff.note}" if handoff.note else reason.text
    tasks.create_many([(handoff.lead_id, text)], kind=kind, at=at, handoff=handoff)


# Disputes --------------------------------------------------------------------------------


def dispute(handoff_id: int, actor: Actor, *, comment: str, at: datetime | None = None) -> Dispute:
    """Marketing objects to a rejection: once, within 30 days; the sales manager decides in the time promised.

    Raises BadInput without a comment, Conflict for a second one, for another state, or when it is too late.
    """
    if actor.user is None or not actor.has_role(*MARKETING, Role.ADMIN):
        raise Forbidden("Only marketing disputes an answer of sales.")
    if len(comment.strip()) < 10:
        raise BadInput("Say why, in ten characters or more.", [Fault("comment", "Why was it a good lead?")])
    with transaction.atomic():
        handoff = _locked(handoff_id)
        at = at or clock.now()
        _guard_dispute(handoff, at)
        machine.apply("dispute", handoff_id, actor, at=at, note=comment)
        made = Dispute.objects.create(
            handoff=handoff,
            by=actor.user,
            comment=comment.strip(),
            at=at,
            due_at=promised.dispute_due(at, handoff.team_id),
        )
        _tell_manager(made, handoff, actor, at)
    return made


def _guard_dispute(handoff: Handoff, at: datetime) -> None:
    earlier = Dispute.objects.filter(handoff=handoff).select_related("by").first()
    if earlier:
        raise Conflict(
            f"{earlier.by} has disputed this already.",
            {"by": earlier.by.name, "at": earlier.at.isoformat(), "comment": earlier.comment},
        )
    if handoff.state != State.REJECTED or handoff.closed_at is None:
        raise Conflict("Only a rejection can be disputed.", {"state": handoff.state})
    if at - handoff.closed_at > DISPUTE_WITHIN:
        raise Conflict("A rejection can be disputed for 30 days; this one is older.")


def settle(
    handoff_id: int, actor: Actor, *, overturned: bool, comment: str = "", at: datetime | None = None
) -> Dispute:
    """The sales manager decides. Overturned: wait and track end, and the lead is offered again, linked.

    When the lead is with sales by then, the two are only linked. Raises Conflict when it is settled.
    """
    with transaction.atomic():
        handoff = _locked(handoff_id)
        found = (
            Dispute.objects.select_for_update(of=("self",))
            .select_related("settled_by")
            .filter(handoff=handoff)
            .first()
        )
        if found is None:
            raise NotVisible("Nobody disputed this answer.")
        _may_settle(handoff, actor)
        if found.settled_at:
            raise Conflict(
                f"{found.settled_by} has decided this already.",
                {"by": str(found.settled_by), "at": found.settled_at.isoformat(), "result": found.result},
            )
        at = at or clock.now()
        machine.apply("settle", handoff_id, actor, at=at, note=comment)
        found.settled_by, found.settled_at, found.settle_comment = actor.user, at, comment.strip()
        found.result = Dispute.Result.STANDS
        if overturned:
            found.result, found.new_handoff = _overturn(handoff, actor, at)
        found.save()
        _tell_marketer(found, handoff, at)
    return found


def _overturn(handoff: Handoff, actor: Actor, at: datetime) -> tuple[str, Handoff]:
    present = Handoff.objects.filter(lead=handoff.lead_id, state__in=OPEN).first()
    if present:
        return Dispute.Result.LINKED, present
    nurture.end([handoff.lead_id], why="overturned", at=at)
    tasks.undo(handoff, at=at)
    made = machine.open_overturned(handoff.lead_id, actor, linked_to=handoff.pk, at=at)
    return Dispute.Result.OVERTURNED, made


def _may_settle(handoff: Handoff, actor: Actor) -> None:
    if actor.has_role(Role.ADMIN):
        return
    user = actor.user
    leads_team = handoff.team is None or (
        user is not None and (handoff.team.manager_id == user.pk or handoff.team_id == user.team_id)
    )
    if not (actor.has_role(Role.SALES_MANAGER) and leads_team):
        raise Forbidden("The sales manager of the team decides this.")


def _locked(handoff_id: int) -> Handoff:
    found = (
        Handoff.objects.select_for_update(of=("self",)).select_related("team", "lead").filter(pk=handoff_id)
    )
    handoff = found.first()
    if handoff is None:
        raise NotVisible("There is no such handoff.")
    return handoff


# Words to the people concerned ------------------------------------------------------------


def _tell_manager(made: Dispute, handoff: Handoff, actor: Actor, at: datetime) -> None:
    manager = handoff.team.manager_id if handoff.team else None
    words = f"{actor} objects to the rejection of {handoff.lead}; please decide."
    outbox.put(nurture.said(f"dispute:{made.pk}", manager, words, "/feedback/?show=disputed"), at)


def _tell_marketer(made: Dispute, handoff: Handoff, at: datetime) -> None:
    words = f"{handoff.lead}: {made.get_result_display().lower()}. {made.settle_comment}".strip()
    outbox.put(
        nurture.said(f"dispute-settled:{made.pk}", made.by_id, words, f"/leads/{handoff.lead_id}/"), at
    )
