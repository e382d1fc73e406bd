"""What somebody of sales does beside the acts on one handoff: be away, and add a lead of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from handoff import escalation, giving, machine
from handoff.models import Absence, Handoff, State
from handoff.queue import end_of_day
from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import SYSTEM, Actor
from leadflow.accounts.models import Role, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.leads import intake
from leadflow.numbers import whole

SOURCE = "sales"


@dataclass(frozen=True)
class Gone:
    """Somebody is away: until when, how many leads somebody else has now, and which could not be given."""

    absence: Absence
    moved: int = 0
    left: tuple[str, ...] = ()


# Who takes what falls due meanwhile: colleagues who are there, or nobody (else a person's id).
COLLEAGUES, STAYS = "colleagues", ""


def go_away(
    user: User,
    actor: Actor,
    *,
    at: datetime | None = None,
    until: datetime | None = None,
    take: str = COLLEAGUES,
) -> Gone:
    """From now to `until` (by default midnight) the person gets no leads; another's needs their manager.

    Leads with an answer that falls due meanwhile go to colleagues who are there; a manager may give
    everything that falls due to somebody (`take`: a person's id), or leave it. Raises Forbidden, BadInput.
    """
    at = at or clock.now()
    until = until or end_of_day(at, user.zone)
    _check_may(user, actor)
    if until <= at:
        raise BadInput("That is over already.", [Fault("until", "Choose a day from today on.")])
    with transaction.atomic():
        found = _present_absence(user, at)
        if found is None or found.ends_at < until:
            if found is None:
                found = Absence(user=user, starts_at=at, reason="away", created_by=actor.user)
            found.ends_at = until
            found.save()
            audit.record(actor, "person.away", user, after={"until": until.isoformat()})
    if take == STAYS:
        return Gone(found)
    moved, left = _hand_on(user, actor, at, until, take)
    return Gone(found, moved, tuple(left))


def falls_due(user: User, at: datetime, until: datetime, *, offers_only: bool = False) -> QuerySet[Handoff]:
    """What this person has that is late already or falls due before `until`, and does not sleep."""
    states = (State.OFFERED,) if offers_only else (State.OFFERED, State.ACCEPTED, State.WORKING)
    return Handoff.objects.filter(
        owner=user, state__in=states, snoozed_until=None, sla_due_at__lt=until
    ).order_by("sla_due_at", "pk")


def _hand_on(user: User, actor: Actor, at: datetime, until: datetime, take: str) -> tuple[int, list[str]]:
    own = actor.user_id == user.pk
    by = SYSTEM if own else actor
    reason = f"{user.name} is away"
    found = list(
        falls_due(user, at, until, offers_only=take == COLLEAGUES).select_related("lead").defer("frozen")
    )
    if take != COLLEAGUES:
        if own or not found:
            return 0, []
        done, left = giving.give(found, take, reason, by, at=at)
        return len(done), left
    moved = 0
    for row in found:
        with transaction.atomic():
            moved += escalation.move_on(row.pk, at, reason=reason, by=by)
    return moved, []


def come_back(user: User, actor: Actor, *, at: datetime | None = None) -> None:
    """The person is there again: every absence of now ends."""
    at = at or clock.now()
    _check_may(user, actor)
    with transaction.atomic():
        ended = Absence.objects.filter(user=user, starts_at__lte=at, ends_at__gt=at).update(ends_at=at)
        if ended:
            audit.record(actor, "person.back", user)


MOST_ROOM, MOST_WEIGHT = 1_000, 20


def set_room(user: User, capacity: str, weight: str, actor: Actor) -> None:
    """How many open leads fit on a rep's desk (empty: as the agreement says), and the share of the round.

    For the rep's manager and admins. Raises Forbidden, BadInput.
    """
    if actor.user is None or not _manages(actor.user, user):
        raise Forbidden("Room is for the rep's manager to set.")
    faults: list[Fault] = []
    room = _whole(capacity, 0, MOST_ROOM, "capacity", faults) if capacity.strip() else None
    share = _whole(weight, 1, MOST_WEIGHT, "weight", faults)
    if faults:
        raise BadInput("That is no room.", faults)
    with transaction.atomic():
        row = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        before = {"capacity_open": row.capacity_open, "weight": row.weight}
        after = {"capacity_open": room, "weight": share}
        if before != after:
            User.objects.filter(pk=user.pk).update(**after)
            audit.record(actor, "person.room", user, before=before, after=after)


def _whole(text: str, low: int, high: int, name: str, faults: list[Fault]) -> int:
    found = whole(text.strip(), low, high)
    if found is not None:
        return found
    faults.append(Fault(name, f"A whole number from {low} to {high}."))
    return low


def managed(me: User) -> QuerySet[User]:
    """The active reps whom a manager answers for; for an admin all."""
    people = User.objects.filter(is_active=True, role=Role.REP).select_related("team")
    if me.role != Role.ADMIN:
        people = people.filter(Q(team=me.team_id) | Q(team__manager=me.pk))
    return people


def _present_absence(user: User, at: datetime) -> Absence | None:
    # The person's row is the lock: two clicks make one absence.
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    return Absence.objects.filter(user=user, starts_at__lte=at, ends_at__gt=at).order_by("-ends_at").first()


def _check_may(user: User, actor: Actor) -> None:
    me = actor.user
    if me is None or (me.pk != user.pk and not _manages(me, user)):
        raise Forbidden("You can set your own absence; others' is for their manager.")


def _manages(me: User, user: User) -> bool:
    if me.role == Role.ADMIN:
        return True
    if me.role != Role.SALES_MANAGER or user.team is None:
        return False
    return me.team_id == user.team_id or user.team.manager_id == me.pk


def add_own(values: Mapping[str, str], actor: Actor, *, at: datetime | None = None) -> Handoff:
    """Take a lead in that sales found itself, and open its handoff with the actor; both or neither.

    Raises BadInput with a fault per field, Conflict when the lead is with sales or no agreement is in force.
    """
    row = {name: text.strip() for name, text in values.items() if text.strip()}
    if not row.get("name"):
        raise BadInput("Who is it?", [Fault("name", "Write the name.")])
    if not row.get("email"):
        raise BadInput(
            "Without an address we cannot recognise the lead.", [Fault("email", "Write the e-mail.")]
        )
    reason = row.pop("reason", "")
    with transaction.atomic():
        taken = intake.upsert_leads([{**row, "source": SOURCE}], source=SOURCE, actor=actor, at=at)
        if taken.rejected:
            raise BadInput("That cannot be taken.", list(taken.rejected[0].errors))
        return machine.open_own(taken.accepted[0], actor, reason=reason, at=at)


def accept_all(
    chosen: Sequence[Handoff], actor: Actor, *, at: datetime | None = None
) -> tuple[list[Handoff], list[str]]:
    """Accept several, each as an act of its own: those accepted, and in words what could not be.

    One that somebody else took meanwhile stops none of the others.
    """
    done: list[Handoff] = []
    left: list[str] = []
    for row in sorted(chosen, key=lambda one: one.pk):
        try:
            done.append(machine.apply("accept", row.pk, actor, at=at))
        except (Conflict, Forbidden, NotVisible) as wrong:
            left.append(f"{row.lead}: {wrong}" if str(wrong) else f"{row.lead} is with somebody else.")
    return done, left
