"""Both sides talk in the demo company: a pulse each month, the last reviews, a goal."""

import random
from datetime import date, datetime, timedelta
from decimal import Decimal

from feedback.models import Goal, Review
from feedback.pulse import rounds
from feedback.review import keeping
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import User
from leadflow.demo.story import Cast

# How sales feels, the first month and the last: it grows kinder, and kinder about time than about worth.
FELT = {"q1": (2.4, 3.4), "q2": (3.2, 3.9), "q3": (3.0, 3.8)}
SAID = (
    "The guide readers from the portals waste our mornings.",
    "Webinar people are great, keep them coming.",
    "Tell us which depot they asked about.",
    "Fewer tiny firms, please.",
)
# Who has not answered yet when one looks: so that there is something to do.
WAITING = "sam"
DECIDED = (
    ("Guides give fewer points", "mia", "accepted"),
    ("Whoever is late says so on the board by noon", "rosa", "answered"),
)


def play(seed: int, cast: Cast, start: datetime, end: datetime) -> None:
    """Write it down at its time. A company younger than a month has nothing to talk about yet."""
    rng, first = random.Random(f"{seed}:review"), rounds.month_of(start)
    months = _months(first, rounds.month_of(end))
    for n, one in enumerate(months[1:]):
        at = max(rounds.bounds(one)[0] + timedelta(hours=9), start)
        if at < end:
            _pulse(rng, cast, at, end, n / max(1, len(months) - 2))
    if len(months) > 2:
        _review(cast, months[-3], end)
        _goal(cast, end)


def _months(first: date, last: date) -> list[date]:
    found = [first]
    while found[-1] < last:
        found.append(rounds.next_month(found[-1]))
    return found


def _pulse(rng: random.Random, cast: Cast, at: datetime, end: datetime, way: float) -> None:
    with clock.use(at):
        opened = rounds.tick(at)
    last = opened is not None and opened.closes_at > end
    for user in rounds.asked():
        said = {name: _felt(rng, low + (high - low) * way) for name, (low, high) in FELT.items()}
        opinion = rng.choice(SAID) if rng.random() < 0.4 else ""
        asked = at + timedelta(hours=rng.uniform(1, 60))
        if asked < end and not (last and _handle(user) == WAITING):
            with clock.use(asked):
                rounds.answer(user, {**said, "open": opinion}, asked)


def _felt(rng: random.Random, mean: float) -> str:
    return str(min(5, max(1, round(rng.gauss(mean, 0.8)))))


def _handle(user: User) -> str:
    return user.email.partition("@")[0]


def _review(cast: Cast, before: date, end: datetime) -> None:
    """A month was looked at; two things were decided, one is done."""
    with clock.use(end - timedelta(days=9)):
        actor = person(cast.noah)
        keeping.note(
            before, "lousy", "Who reads three guides is a student more often than a buyer.", 1, actor
        )
        for text, who, figure in DECIDED:
            due = (end + timedelta(days=5)).date()
            keeping.decide(before, actor, text=text, owner=getattr(cast, who), due=due, figure=figure)
        keeping.close(before, actor)
        done = Review.objects.get(month=before).decisions.order_by("pk").last()
        assert done is not None
        keeping.done(done.pk, actor)


def _goal(cast: Cast, end: datetime) -> None:
    goes = date(end.year + (end.month > 6), 1 if end.month > 6 else 7, 1)
    Goal.objects.create(
        name=f"Half a year from {goes:%B %Y}",
        amount=Decimal(600_000),
        starts_on=goes,
        ends_on=goes + timedelta(days=180),
        created_by=cast.noah,
        created_at=end - timedelta(days=9),
    )
