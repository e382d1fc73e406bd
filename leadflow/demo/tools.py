"""What the demo company has tried already: a workshop of both sides, a backtest, a look for advice."""

import random
from datetime import datetime, timedelta

from leadflow.accounts.actors import person
from leadflow.accounts.models import User
from leadflow.demo.story import Cast
from leadflow.demo.world import Person
from scoring import agreements
from scoring.advising import looking
from scoring.backtesting import runs
from scoring.models import WorkshopVote
from scoring.workshops import drawing, sorting

# How long before the end both sides sat down together, and with how many leads of how many days.
SAT_DOWN = timedelta(days=30)
CARDS = 40
DAYS = 30
# The share of readers whom marketing takes for buyers.
EAGER = 0.25

Vote = WorkshopVote.Vote
# By what the lead really is: what sales would have liked to know.
WANTED = {
    "buyer": ("When does the present contract end?", "Who signs?"),
    "evaluator": ("How many people work there?", "When does the present contract end?"),
    "reader": ("How many people work there?", "Is there a project at all?"),
    "gone": ("Is there a project at all?", ""),
}
WHY = {
    "tiny": "Too small for us.",
    "junior": "Cannot decide.",
    "reader": "Reads guides, nothing more.",
    "buyer": "Looks at prices and has the say.",
}


def hold_workshop(cast: Cast, people: dict[int, Person], seed: int) -> None:
    """Rosa draws recent leads; two of each side sort them, each by what their side looks at."""
    sorters = (cast.mia, cast.noah, cast.sam, cast.ben)
    made = drawing.set_up(
        person(cast.rosa),
        "What is a good lead?",
        cards=CARDS,
        days=DAYS,
        people=[one.pk for one in sorters],
    )
    for user in sorters:
        for card in made.cards.order_by("n"):
            p = people[card.lead_id]
            # What marketing takes for intent it takes for intent together.
            eager = random.Random(f"{seed}:workshop:{p.n}").random() < EAGER
            rng = random.Random(f"{seed}:workshop:{p.n}:{user.email}")
            vote, why, wanted = _says(rng, user, p, eager)
            sorting.sort(made, card.n, person(user), vote, why, wanted)
        sorting.finish(made, person(user))


def _says(rng: random.Random, user: User, p: Person, eager: bool) -> tuple[str, str, str]:
    """Sales looks at who signs and how large the firm is; marketing also takes interest for intent."""
    wanted = rng.choice(WANTED[p.type]) if rng.random() < 0.5 else ""
    good = p.type in ("buyer", "evaluator") and p.good_fit
    if user.in_marketing:
        good = good or (p.type != "gone" and not p.tiny and eager)
    if rng.random() < 0.04:
        return Vote.UNSURE, "", wanted
    if good:
        return Vote.GOOD, WHY["buyer"] if p.type == "buyer" else "", wanted
    why = WHY["tiny"] if p.tiny else WHY["junior"] if p.seniority == "junior" else WHY["reader"]
    return Vote.BAD, why if rng.random() < 0.7 else "", wanted


def try_on_the_past(cast: Cast, at: datetime) -> None:
    """Lay down what Mia asked for: the version in force and her draft on the past, and advice on both."""
    mia = person(cast.mia)
    for version in (agreements.in_force(), agreements.draft()):
        if version is not None:
            runs.start(version, "customer", mia, at=at)
            looking.start(version, mia)
