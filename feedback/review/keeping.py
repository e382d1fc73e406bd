"""What is written down in a review: notes by question, decisions with owner, date and the figure to move."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction

from feedback.models import Decision, Review
from feedback.review import month as months
from leadflow import clock
from leadflow.accounts import audit, telling
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MANAGERS, MARKETING, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from scoring import agreements
from scoring.models import Agreement

NOTE_LIMIT = 4_000
MAY_WRITE = (*MARKETING, *MANAGERS)


@dataclass(frozen=True)
class Moved:
    """A decision and whether its figure has moved since."""

    decision: Decision
    label: str
    before: str
    now: str
    # better · worse · same · "" where there is nothing to compare.
    way: str


def of(month: date) -> Review | None:
    """The review of a month, if somebody has written in it."""
    return Review.objects.select_related("closed_by").filter(month=month).first()


def latest(month: date) -> dict[date, Review]:
    """The reviews of the last two years, and that of a month."""
    rows = Review.objects.select_related("closed_by").order_by("-month")
    found = {row.month: row for row in rows[:24]}
    # Two years back somebody looks one up.
    if found and month not in found and month < min(found):
        found |= {row.month: row for row in rows.filter(month=month)}
    return found


def note(month: date, key: str, text: str, version: int, actor: Actor) -> Review:
    """Write the note of one question. Raises Conflict when somebody else wrote since `version`."""
    text = text.replace("\x00", "").strip()
    if key not in months.TOPICS:
        raise BadInput("There is no such question.", [Fault("key", "Open the review again.")])
    if len(text) > NOTE_LIMIT:
        raise BadInput("That is too long.", [Fault("text", f"Keep it under {NOTE_LIMIT:,} characters.")])
    with transaction.atomic():
        review = _open(month, actor)
        if review.lock_version != version and review.notes.get(key, "") != text:
            raise Conflict(
                "Somebody else wrote in this review just now. Your words are still in the field: open the "
                "review in another tab, and put them together.",
                {"version": review.lock_version, "note": review.notes.get(key, "")},
            )
        review.notes = {**review.notes, key: text}
        review.lock_version += 1
        review.save(update_fields=["notes", "lock_version"])
    return review


def decide(
    month: date, actor: Actor, *, text: str, owner: User | None, due: date | None, figure: str = ""
) -> Decision:
    """Write down a decision; what its figure was in this month is kept with it. The owner hears of it."""
    text, now = text.replace("\x00", "").strip(), clock.now()
    faults = []
    if not 5 <= len(text) <= 300:
        faults.append(Fault("text", "Say in 5 to 300 characters what is to be done."))
    if owner is None or not owner.is_active:
        faults.append(Fault("owner", "Choose who does it."))
    if due is None or due < now.date():
        faults.append(Fault("due", "Choose a day from today on."))
    if figure and figure not in months.FIGURES:
        faults.append(Fault("figure", "Choose one of the figures."))
    if faults or owner is None or due is None:
        raise BadInput("The decision is not complete.", faults)
    before = months.figures(month)[figure] if figure else None
    with transaction.atomic():
        made = Decision.objects.create(
            review=_open(month, actor),
            text=text,
            owner=owner,
            due=due,
            figure=figure,
            figure_before=None if before is None else Decimal(str(round(before, 3))),
            created_by=_person(actor),
            created_at=now,
        )
        if owner != actor.user:
            words = f"The review of {month:%B} decided: {text[:200]} Yours by {due:%-d %b}."
            telling.tell([telling.Word(f"decision:{made.pk}", owner.pk, words, _url(month), mail=True)], now)
        audit.record(actor, "review.decided", made, after={"text": text, "owner": owner.name})
    return made


def done(pk: int, actor: Actor, *, at: datetime | None = None) -> Decision:
    """Tick a decision off, or take that back."""
    with transaction.atomic():
        found = _decision(pk, actor)
        found.done_at = None if found.done_at else at or clock.now()
        found.save(update_fields=["done_at"])
        audit.record(actor, "review.done" if found.done_at else "review.reopened", found)
    return found


def drop(pk: int, actor: Actor) -> date:
    """Take a decision out of a review that is still open; returns its month."""
    with transaction.atomic():
        found = _decision(pk, actor)
        month = found.review.month
        _open(month, actor)
        audit.record(actor, "review.dropped", found, before={"text": found.text})
        found.delete()
    return month


def open_draft(pk: int, actor: Actor) -> Agreement:
    """A draft of the agreement for a decision: the one that there is, else a new one."""
    with transaction.atomic():
        found = _decision(pk, actor)
        draft = agreements.draft() or agreements.create_draft(
            actor, note=f"Review of {found.review.month:%B}: {found.text}"[:200]
        )
        found.agreement_id = draft.pk
        found.save(update_fields=["agreement_id"])
    return draft


def close(month: date, actor: Actor) -> Review:
    """End the meeting: the figures stand as they are now, notes and decisions stay."""
    figures = months.figures(month)
    with transaction.atomic():
        review = _open(month, actor)
        review.figures, review.closed_at, review.closed_by = figures, clock.now(), actor.user
        review.save(update_fields=["figures", "closed_at", "closed_by"])
        audit.record(actor, "review.closed", review)
    return review


def reopen(month: date, actor: Actor) -> Review:
    """Go on writing in a review that was ended."""
    _may(actor)
    with transaction.atomic():
        review = Review.objects.select_for_update().filter(month=month).first()
        if review is None:
            raise NotVisible("Nobody has written in this review.")
        review.closed_at = review.closed_by = None
        review.save(update_fields=["closed_at", "closed_by"])
        audit.record(actor, "review.reopened", review)
    return review


def earlier(month: date, figures: dict[str, float | None], currency: str) -> list[Moved]:
    """Decisions of the review before, and older ones that are still open, with their figure now."""
    found = Decision.objects.select_related("owner", "review").filter(review__month__lt=month)
    rows = list(found.order_by("-review__month", "due"))
    last = rows[0].review.month if rows else None
    shown = [one for one in rows if one.review.month == last or not one.done_at]
    return [moved(one, figures, currency) for one in shown[:30]]


def moved(decision: Decision, figures: dict[str, float | None], currency: str) -> Moved:
    """How the figure of a decision stands beside what it was."""
    key = decision.figure
    if key not in months.FIGURES:
        return Moved(decision, "", "", "", "")
    before = None if decision.figure_before is None else float(decision.figure_before)
    now = figures.get(key)
    label = months.FIGURES[key].label
    was, is_now = (months.words(key, value, currency) for value in (before, now))
    if before is None or now is None:
        return Moved(decision, label, was, is_now, "")
    # The gap is better the nearer it is to nothing.
    up = abs(before) - abs(now) if key == "gap" else now - before
    way = "same" if abs(up) < 0.5 else "better" if (up > 0) == months.FIGURES[key].more else "worse"
    return Moved(decision, label, was, is_now, way)


def _open(month: date, actor: Actor) -> Review:
    _may(actor)
    review, _ = Review.objects.get_or_create(month=month, defaults={"created_at": clock.now()})
    review = Review.objects.select_for_update().get(pk=review.pk)
    if review.closed_at:
        raise Conflict("This review has been ended. Open it again to go on writing.")
    return review


def _decision(pk: int, actor: Actor) -> Decision:
    _may(actor)
    found = Decision.objects.select_for_update(of=("self",)).select_related("review").filter(pk=pk).first()
    if found is None:
        raise NotVisible("There is no such decision.")
    return found


def _may(actor: Actor) -> None:
    if not actor.has_role(*MAY_WRITE):
        raise Forbidden("Marketing and the managers write in the review.")


def _person(actor: Actor) -> User:
    if actor.user is None:
        raise Forbidden("Only a person decides.")
    return actor.user


def _url(month: date) -> str:
    return f"/review/{month:%Y-%m}/"
