"""The only writer of handoffs: lock, read again, guard, then row, transition, ledgers, letters in one go.

Lock order of the house: handoffs (by id), then leads (by id), then the rest.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from handoff import acting, guards, presence
from handoff.acting import Act
from handoff.acts import EFFECTS
from handoff.contacts import pull_contacts
from handoff.models import OPEN, Handoff, Transition
from handoff.opening import open_by_hand, open_overturned, open_own, open_pending
from handoff.states import TABLE, Action, Who
from leadflow import clock
from leadflow.accounts.actors import Actor
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible

log = logging.getLogger(__name__)

__all__ = [
    "allowed",
    "allowed_many",
    "apply",
    "open_by_hand",
    "open_overturned",
    "open_own",
    "open_pending",
    "pull_contacts",
    "release_owner",
    "undoable",
]

# In SQL, because every act of every rep begins with them: to put such a question together costs Django more
# than the server to answer it.
LOCK = "SELECT * FROM handoff_handoff WHERE id = %s FOR NO KEY UPDATE"
LAST_ACT = """
    SELECT t.*,
        EXISTS (SELECT FROM handoff_slaresult r
            WHERE r.handoff_id = t.handoff_id AND r.finished_at IS NULL AND r.voided_at IS NULL
        ) AS has_overdue,
        EXISTS (SELECT FROM handoff_lateexception x
            WHERE x.handoff_id = t.handoff_id AND x.cleared_at IS NULL
        ) AS has_exceptions
    FROM handoff_transition t WHERE t.handoff_id = %s ORDER BY t.at DESC, t.id DESC LIMIT 1
"""

# A repeat of these makes another fact; of all others it is answered with the row as it stands.
EACH_COUNTS = ("log_contact", "undo", "dispute", "settle")


def apply(action: str, handoff_id: int, actor: Actor, *, at: datetime | None = None, **args: Any) -> Handoff:
    """Carry out one act and return the handoff as it is then.

    1. Lock the row and read it again, with its last act.
    2. The same actor repeating the act that made the current state gets it back, unchanged.
    3. Guard: state (Conflict with who and when), right (Forbidden), input (BadInput).
    4. Write row, clocks, ledgers, stage, hold, transition and letters.

    `at`: when it counts, by default the clock's now, read after the lock. Raises NotVisible for no handoff.
    What is refused stands in the log.
    """
    try:
        return _apply(action, handoff_id, actor, at, args)
    except (BadInput, Conflict, Forbidden) as no:
        log.warning("refused: %s of handoff %s by %s: %s", action, handoff_id, actor, no)
        raise


def _apply(
    action: str, handoff_id: int, actor: Actor, at: datetime | None, args: Mapping[str, Any]
) -> Handoff:
    row = TABLE.get(action)
    if row is None or action not in EFFECTS:
        raise BadInput("There is no such act.", [Fault("action", f"Known: {', '.join(sorted(EFFECTS))}.")])
    with transaction.atomic():
        handoff = lock(handoff_id)
        if actor.user is not None and handoff.owner_id == actor.user.pk:
            handoff.owner = actor.user
        at = at or clock.now()
        last = _last_act(handoff_id)
        if _repeated(row, handoff, actor, last, args):
            return handoff
        guards.check_source(handoff, row, last, at)
        guards.check_who(handoff, row, actor, last, at)
        act = Act(handoff, row, actor, at, args, last)
        check_arguments(row, act)
        for name in row.guards:
            guards.CHECKS[name](act)
        EFFECTS[action](act)
        act.save()
        return handoff


def lock(handoff_id: int) -> Handoff:
    """The handoff, locked and fresh, alone: few acts need more of its lead, owner or team than their ids.

    Raises NotVisible.
    """
    found = Handoff.objects.raw(LOCK, [handoff_id])[:]
    if not found:
        raise NotVisible
    return found[0]


def _last_act(handoff_id: int) -> Transition | None:
    """The newest transition of a locked handoff, and whether promises or exceptions of it are open: nearly
    never, and an act that knows it need not ask for them."""
    return next(iter(Transition.objects.raw(LAST_ACT, [handoff_id])), None)


def check_arguments(row: Action, act: Act) -> None:
    """An act without checks of its own needs each argument of the table. Raises BadInput."""
    missing = [] if row.guards else [name for name in row.needs if act.args.get(name) in (None, "")]
    if missing:
        raise BadInput("Something is missing.", [Fault(name, "This is needed.") for name in missing])


def allowed(handoff: Handoff, actor: Actor, at: datetime) -> list[Action]:
    """What the actor may do with the handoff now; at most three queries."""
    return allowed_many([handoff], actor, at)[handoff.pk]


def allowed_many(handoffs: Sequence[Handoff], actor: Actor, at: datetime) -> dict[int, list[Action]]:
    """What the actor may do with each of these; the number of queries does not grow with them."""
    lasts = last_acts([h.pk for h in handoffs])
    pooled = any(Who.POOL in guards.capacities(h, actor) for h in handoffs)
    has_room = pooled and _has_room(actor, at)
    disputes = _disputes(handoffs)
    return {
        h.pk: [
            row
            for row in TABLE.values()
            if row.name in EFFECTS
            and _may(row, h, actor, at, lasts.get(h.pk), has_room, disputes.get(h.pk, set()))
        ]
        for h in handoffs
    }


def _has_room(actor: Actor, at: datetime) -> bool:
    capacity = acting.terms_now().admission.capacity_open
    desk = presence.at_desk(actor.user_id, at, capacity) if actor.user_id else None
    return desk is not None and desk.has_room


def _may(
    row: Action,
    handoff: Handoff,
    actor: Actor,
    at: datetime,
    last: Transition | None,
    has_room: bool,
    disputes: set[str],
) -> bool:
    if handoff.state not in row.sources:
        return False
    me = guards.capacities(handoff, actor) & set(row.who)
    if me == {Who.POOL} and not has_room:
        return False
    if not me:
        return False
    if row.name == "undo":
        return last is not None and guards.may_undo(last, actor, at, _undo_minutes(handoff))
    if row.name == "snooze":
        return handoff.snoozed_until is None
    if row.name == "wake":
        return handoff.snoozed_until is not None
    if row.name in ("dispute", "settle"):
        return "dispute" not in disputes if row.name == "dispute" else disputes == {"dispute"}
    return True


def _disputes(handoffs: Sequence[Handoff]) -> dict[int, set[str]]:
    """Who objected and what was settled, of those that can be disputed; no query where none can."""
    sources = {state for name in ("dispute", "settle") for state in TABLE[name].sources}
    ids = [h.pk for h in handoffs if h.state in sources]
    found: dict[int, set[str]] = {}
    if ids:
        acts = Transition.objects.filter(handoff__in=ids, action__in=("dispute", "settle"))
        for pk, action in acts.values_list("handoff_id", "action"):
            found.setdefault(pk, set()).add(action)
    return found


def undoable(handoff: Handoff, actor: Actor, at: datetime) -> bool:
    """Whether the actor can take back the last act on this handoff."""
    last = last_acts([handoff.pk]).get(handoff.pk)
    return last is not None and guards.may_undo(last, actor, at, _undo_minutes(handoff))


def _undo_minutes(handoff: Handoff) -> int:
    return int(handoff.frozen.get("undo_minutes") or 10)


def last_acts(handoff_ids: Iterable[int]) -> Mapping[int, Transition]:
    """The newest transition of each handoff, with its actor; one query."""
    rows = (
        Transition.objects.filter(handoff__in=list(handoff_ids))
        .select_related("actor")
        .order_by("handoff_id", "-at", "-id")
        .distinct("handoff_id")
    )
    return {row.handoff_id: row for row in rows}


def release_owner(user_id: int, actor: Actor, *, at: datetime | None = None) -> int:
    """Inactive people own nothing: move their open handoffs to present colleagues, else to the team's pool.

    Call it in the transaction that deactivates them. Returns how many moved.
    """
    from handoff import escalation

    at = at or clock.now()
    ids = Handoff.objects.filter(owner_id=user_id, state__in=OPEN).order_by("pk").values_list("pk", flat=True)
    for handoff_id in list(ids):
        escalation.move_on(handoff_id, at, reason="owner is not active any more", by=actor)
    return len(ids)


def _repeated(
    row: Action, handoff: Handoff, actor: Actor, last: Transition | None, args: Mapping[str, Any]
) -> bool:
    if last is None or row.name in EACH_COUNTS or actor.is_system:
        return False
    same = last.actor_id == actor.user_id and last.api_key_id == (actor.api_key.pk if actor.api_key else None)
    if not same or last.action != row.name or handoff.state != last.to_state:
        return False
    if row.name == "reassign":
        to = args.get("to")
        return handoff.pool if to == "pool" else handoff.owner_id == acting.person_of(to).pk
    if row.name == "snooze":
        return handoff.snoozed_until is not None and handoff.snoozed_until == args.get("until")
    if row.name == "wake":
        return handoff.snoozed_until is None
    return row.target is None or handoff.state == row.target
