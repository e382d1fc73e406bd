"""What somebody of sales does beside the acts on one handoff: be away, and add a lead of their own."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from handoff import machine
from handoff.models import Absence, Handoff
from handoff.queue import end_of_day
from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import Role, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.leads import intake

SOURCE = "sales"


def go_away(user: User, actor: Actor, *, at: datetime | None = None) -> Absence:
    """From now to midnight the person gets no leads. Somebody else's absence needs their manager."""
    at = at or clock.now()
    _check_may(user, actor)
    with transaction.atomic():
        found = _present_absence(user, at)
        if found is not None:
            return found
        made = Absence.objects.create(
            user=user,
            starts_at=at,
            ends_at=end_of_day(at, user.zone),
            reason="away today",
            created_by=actor.user,
        )
        audit.record(actor, "person.away", user, after={"until": made.ends_at.isoformat()})
    return made


def come_back(user: User, actor: Actor, *, at: datetime | None = None) -> None:
    """The person is there again: every absence of now ends."""
    at = at or clock.now()
    _check_may(user, actor)
    with transaction.atomic():
        ended = Absence.objects.filter(user=user, starts_at__lte=at, ends_at__gt=at).update(ends_at=at)
        if ended:
            audit.record(actor, "person.back", user)


def _present_absence(user: User, at: datetime) -> Absence | None:
    # The person's row is the lock: two clicks make one absence.
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    return Absence.objects.filter(user=user, starts_at__lte=at, ends_at__gt=at).first()


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
