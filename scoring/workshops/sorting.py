"""Sorting: each for himself. Nothing here shows anybody another's answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from leadflow import clock
from leadflow.accounts import audit, telling
from leadflow.accounts.actors import SYSTEM, Actor
from leadflow.accounts.models import User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.leads.facts import is_text_sound
from scoring.models import Workshop, WorkshopCard, WorkshopMember, WorkshopVote
from scoring.workshops import drawing

Vote = WorkshopVote.Vote
State = Workshop.State

TEXT_LIMIT = 1_000
# What changes when somebody sorts a card again.
ANSWERED = ("side", "vote", "reason", "wanted_to_know", "at")
GONE = Q(lead__merged_into__isnull=False) | Q(lead__erased_at__isnull=False)


@dataclass(frozen=True)
class Place:
    """A card in somebody's row of cards: its number, and whether it is sorted, open, or left out."""

    n: int
    look: str


def get(pk: int, user: User) -> tuple[Workshop, WorkshopMember | None]:
    """A workshop and the person's seat in it. Raises NotVisible for who neither sorts nor leads workshops."""
    workshop = Workshop.objects.select_related("facilitator").filter(pk=pk).first()
    seat = WorkshopMember.objects.filter(workshop=pk, user=user).first() if workshop else None
    if workshop is None or (seat is None and not drawing.may_lead(user)):
        raise NotVisible
    return workshop, seat


def visible(user: User) -> QuerySet[Workshop]:
    """The workshops that somebody may open: their own, and all of them for managers. Newest first."""
    rows = Workshop.objects.select_related("facilitator").order_by("-created_at", "-pk")
    if drawing.may_lead(user):
        return rows
    return rows.filter(Exists(WorkshopMember.objects.filter(workshop=OuterRef("pk"), user=user)))


def may_sort(seat: WorkshopMember | None) -> bool:
    """Whether this seat's answers can still change: also after the closing, until the comparison is seen."""
    return seat is not None and seat.finished_at is None and seat.left_at is None


def may_compare(workshop: Workshop, seat: WorkshopMember | None) -> bool:
    """Whether the comparison may be shown: it is closed, and this person's own answers are done."""
    return workshop.state == State.CLOSED and not may_sort(seat)


def places(workshop: Workshop, user: User) -> list[Place]:
    """All cards in order, as this person has sorted them. One query."""
    mine = WorkshopVote.objects.filter(card=OuterRef("pk"), user=user)
    cards = WorkshopCard.objects.filter(workshop=workshop).annotate(gone=GONE, sorted=Exists(mine))
    found = cards.order_by("n").values_list("n", "gone", "sorted")
    return [Place(n, "gone" if gone else "done" if done else "open") for n, gone, done in found]


def next_open(row: Sequence[Place], after: int = 0) -> int | None:
    """The number of the next card to be sorted: after this one, else the first; None when all are."""
    waiting = [place.n for place in row if place.look == "open"]
    return next((n for n in waiting if n > after), waiting[0] if waiting else None)


def card(workshop: Workshop, n: int) -> WorkshopCard:
    """A card with its lead. Raises NotVisible."""
    found = WorkshopCard.objects.filter(workshop=workshop, n=n).select_related("lead").first()
    if found is None:
        raise NotVisible
    return found


def gone(one: WorkshopCard) -> str:
    """Why a card is left out, in words; empty while it counts."""
    if one.lead.erased_at is not None:
        return "This lead was erased since the cards were drawn. The card is left out."
    if one.lead.merged_into_id is not None:
        return "This lead was merged into another since the cards were drawn. The card is left out."
    return ""


def own_answer(one: WorkshopCard, user: User) -> WorkshopVote | None:
    """What this person said of the card."""
    return WorkshopVote.objects.filter(card=one, user=user).first()


def sort(
    workshop: Workshop, n: int, actor: Actor, vote: str, reason: str = "", wanted: str = ""
) -> WorkshopVote:
    """Put one card into good, not good or unsure; again to change one's mind.

    Raises Forbidden for who has no seat, Conflict once they have finished or for a card that is left out,
    BadInput for an unknown answer or a text that is too long.
    """
    if vote not in Vote.values:
        raise BadInput("Say first: good, not good or unsure.", [Fault("vote", "Good, not good or unsure.")])
    for name, text in (("reason", reason), ("wanted", wanted)):
        if len(text) > TEXT_LIMIT:
            raise BadInput(
                f"At most {TEXT_LIMIT:,} characters, please.", [Fault(name, f"{len(text):,} characters")]
            )
        if not is_text_sound(text):
            raise BadInput("It holds characters that are no text.", [Fault(name, "Write it again.")])
    with transaction.atomic():
        seat = _seat(workshop, actor)
        found = card(workshop, n)
        if word := gone(found):
            raise Conflict(word)
        made = WorkshopVote(
            card=found,
            user=seat.user,
            side=seat.side,
            vote=vote,
            reason=reason.strip(),
            wanted_to_know=wanted.strip(),
            at=clock.now(),
        )
        WorkshopVote.objects.bulk_create(
            [made], update_conflicts=True, unique_fields=["card", "user"], update_fields=ANSWERED
        )
    return made


def finish(workshop: Workshop, actor: Actor) -> WorkshopMember:
    """Say that one's answers are done; with the last one of all the workshop closes.

    Raises BadInput while a card waits, Conflict when that was said before, Forbidden without a seat.
    """
    with transaction.atomic():
        locked = _locked(workshop)
        seat = _seat(locked, actor)
        waiting = sum(place.look == "open" for place in places(locked, seat.user))
        if waiting:
            raise BadInput(f"{waiting} {'card waits' if waiting == 1 else 'cards wait'} for your answer.")
        seat.finished_at = clock.now()
        seat.save(update_fields=["finished_at"])
        audit.record(actor, "workshop.finished", locked)
        if locked.state == State.OPEN and not _still_sorting(locked).exists():
            _close(locked, SYSTEM)
    return seat


def leave(workshop: Workshop, actor: Actor) -> WorkshopMember:
    """Look at the comparison of a closed workshop without finishing: these answers never count.

    Raises Conflict while it is open, or after finishing.
    """
    with transaction.atomic():
        locked = _locked(workshop)
        if locked.state != State.CLOSED:
            raise Conflict("The workshop is not closed yet: there is no comparison to look at.")
        seat = _seat(locked, actor)
        seat.left_at = clock.now()
        seat.save(update_fields=["left_at"])
        audit.record(actor, "workshop.left", locked)
    return seat


def close(workshop: Workshop, actor: Actor) -> Workshop:
    """End the sorting although somebody has not finished. Raises Forbidden, or Conflict when it is closed."""
    if actor.user is None or not drawing.may_lead(actor.user):
        raise Forbidden("Marketing managers, sales managers and admins close a workshop.")
    with transaction.atomic():
        locked = _locked(workshop)
        if locked.state == State.CLOSED:
            raise Conflict("It is closed already.")
        _close(locked, actor)
    return locked


@dataclass(frozen=True)
class Person:
    """Somebody invited: how far, and when done. Never what was answered."""

    user: User
    side: str
    sorted: int
    cards: int
    finished_at: datetime | None
    left_at: datetime | None
    late: bool

    @property
    def state(self) -> str:
        """In words, beside the name."""
        if self.finished_at:
            return "finished late" if self.late else "finished"
        if not self.user.is_active:
            return "has left"
        far = f"{self.sorted} of {self.cards}"
        return f"{far}, looked without finishing" if self.left_at else f"{far} sorted"


def people(workshop: Workshop) -> list[Person]:
    """Everybody invited, by side and name. Two queries."""
    cards = workshop.cards.exclude(GONE).count()
    rows = (
        WorkshopMember.objects.filter(workshop=workshop)
        .select_related("user")
        .annotate(far=_far())
        .order_by("side", "user__name", "user_id")
    )
    return [
        Person(
            row.user,
            row.side,
            row.far or 0,
            cards,
            row.finished_at,
            row.left_at,
            bool(row.finished_at and workshop.closed_at and row.finished_at > workshop.closed_at),
        )
        for row in rows
    ]


@dataclass(frozen=True)
class Duty:
    """A workshop that waits for somebody's answers."""

    pk: int
    name: str
    sorted: int
    cards: int
    facilitator: str


def duties(user: User) -> list[Duty]:
    """What is still to be sorted by this person, oldest first. One query."""
    cards = (
        WorkshopCard.objects.exclude(GONE)
        .filter(workshop=OuterRef("workshop"))
        .order_by()
        .values("workshop")
        .annotate(n=Count("pk"))
        .values("n")
    )
    rows = (
        WorkshopMember.objects.filter(user=user, finished_at=None, left_at=None, workshop__state=State.OPEN)
        .annotate(far=_far(), cards=cards)
        .order_by("workshop__created_at")
        .values_list("workshop", "workshop__name", "far", "cards", "workshop__facilitator__name")
    )
    return [Duty(pk, name, far or 0, cards or 0, who) for pk, name, far, cards, who in rows]


def forget_erased() -> int:
    """Empty what was written about leads that were erased since; returns how many answers held something.

    The answers themselves (good, not good) say nothing about anybody and stay, but count no more.
    """
    said = WorkshopVote.objects.filter(card__lead__erased_at__isnull=False)
    return said.exclude(reason="", wanted_to_know="").update(reason="", wanted_to_know="")


def _far() -> Any:
    """How many cards that still count the member of the outer row has sorted."""
    return (
        WorkshopVote.objects.filter(card__workshop=OuterRef("workshop"), user=OuterRef("user"))
        .exclude(Q(card__lead__merged_into__isnull=False) | Q(card__lead__erased_at__isnull=False))
        .order_by()
        .values("user")
        .annotate(n=Count("pk"))
        .values("n")
    )


def _still_sorting(workshop: Workshop) -> QuerySet[WorkshopMember]:
    return WorkshopMember.objects.filter(
        workshop=workshop, finished_at=None, left_at=None, user__is_active=True
    )


def _locked(workshop: Workshop) -> Workshop:
    return Workshop.objects.select_for_update().get(pk=workshop.pk)


def _seat(workshop: Workshop, actor: Actor) -> WorkshopMember:
    """The actor's seat, locked, whose answers can still change."""
    seat = (
        WorkshopMember.objects.select_for_update(of=("self",))
        .select_related("user")
        .filter(workshop=workshop, user=actor.user)
        .first()
        if actor.user
        else None
    )
    if seat is None:
        raise Forbidden("Only the people who were invited sort.")
    if seat.finished_at:
        raise Conflict("You have said that you are done: your answers stand.")
    if seat.left_at:
        raise Conflict("You have looked at the comparison: it is too late to sort.")
    return seat


def _close(workshop: Workshop, actor: Actor) -> None:
    at = clock.now()
    workshop.state = State.CLOSED
    workshop.closed_at = at
    workshop.save(update_fields=["state", "closed_at"])
    audit.record(actor, "workshop.closed", workshop)
    told = set(
        WorkshopMember.objects.filter(workshop=workshop, user__is_active=True).values_list("user", flat=True)
    ) | {workshop.facilitator_id}
    telling.tell(
        [
            telling.Word(
                f"workshop:{workshop.pk}:closed:{user}",
                user,
                f"“{workshop.name}” is closed: see where you agree",
                f"/agreement/workshops/{workshop.pk}/",
            )
            for user in sorted(told - {actor.user_id})
        ],
        at,
    )
