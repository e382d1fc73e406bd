"""A manager gives several leads at once to somebody else: each is an act of its own, one reason for all."""

from collections.abc import Sequence
from datetime import datetime

from handoff import machine
from handoff.models import Handoff
from leadflow.accounts.actors import Actor
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible


def give(
    chosen: Sequence[Handoff], to: str, reason: str, actor: Actor, *, at: datetime | None = None
) -> tuple[list[Handoff], list[str]]:
    """Give each to `to` (a person's id, or "pool"): those that moved, and in words what could not.

    What closed or moved meanwhile stops none of the others. Raises BadInput without anybody chosen, without
    a reason, or when nobody can take them.
    """
    if not chosen:
        raise BadInput("Choose at least one lead.", [Fault("handoff", "X chooses the one that is open.")])
    if not reason.strip():
        raise BadInput("Say why.", [Fault("reason", "One sentence is enough; it stays on record.")])
    done: list[Handoff] = []
    left: list[str] = []
    for row in sorted(chosen, key=lambda one: one.pk):
        try:
            done.append(machine.apply("reassign", row.pk, actor, at=at, to=to, reason=reason.strip()))
        except (Conflict, Forbidden, NotVisible) as wrong:
            left.append(f"{row.lead}: {wrong}" if str(wrong) else f"{row.lead} is not here any more.")
    return done, left
