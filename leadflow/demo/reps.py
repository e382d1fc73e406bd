"""How the demo company's sales people behave: how fast they answer, what they say, whether they sell.

Pure decisions over the truth of a person (`world.Person`); `play` carries them out through the machine.
"""

import random
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from leadflow.demo.world import Person

SLOW = "tomasz"


@dataclass(frozen=True)
class Decision:
    """A rep's answer to an offer: accept, or reject with a reason, a note, perhaps a date in days."""

    accept: bool
    reason: str = ""
    note: str = ""
    in_days: int | None = None


NOTES = {
    "1": (
        "Founder of a tiny firm; size was not known.",
        "Four people and one van.",
        "Nice chat, but far too small for us.",
    ),
    "2": ("Just looking around.", "Comparing vendors, decides next year.", "Wanted the guide, not a call."),
    "3": (
        "Contract with the present planner runs out then.",
        "Budget comes with the new year.",
        "Asked to be called back then.",
    ),
    "4": (
        "Planner. Somebody else buys.",
        "Cannot decide; names the head of transport.",
        "Works in IT, not in logistics.",
    ),
    "5": (
        "No tours of their own.",
        "Writing a thesis about route planning.",
        "Outsourced all transport last year.",
    ),
    "6": ("Number does not exist.", "Mail came back."),
    "7": ("In talks with Clara already.",),
    "9": ("Student.", "Sells a planner himself."),
    "0": ("Moves to another firm next month.",),
}


def minutes_to_answer(rng: random.Random, handle: str, fast: bool) -> timedelta:
    """Working time until a rep looks at an offer: mostly minutes on the fast track, else about an hour."""
    median = (50 if fast else 430) if handle == SLOW else (7 if fast else 65)
    return timedelta(minutes=median * rng.lognormvariate(0, 0.75))


def answer(rng: random.Random, p: Person, asked: bool) -> Decision:
    """What the rep says once the lead has been looked at; `asked`: the lead asked for us itself."""
    reason = _objection(rng, p, asked)
    if not reason:
        return Decision(accept=True)
    days = rng.randint(30, 75) if reason == "3" else None
    return Decision(
        False, reason, rng.choice(NOTES[reason]) if rng.random() < 0.6 or reason == "0" else "", days
    )


def _objection(rng: random.Random, p: Person, asked: bool) -> str:
    if p.bad_phone and rng.random() < 0.5:
        return "6"
    if p.seniority == "nobody":
        return "9"
    if p.tiny and rng.random() < (0.7 if asked else 0.8):
        return "1"
    if p.seniority == "junior" and rng.random() < 0.3:
        return "4"
    draw = rng.random()
    if p.type == "reader":
        return "2" if draw < 0.3 else "5" if draw < 0.5 else ""
    if p.type == "evaluator":
        return "2" if draw < 0.1 else "3" if draw < 0.16 else "4" if draw < 0.2 else ""
    return "3" if draw < 0.03 else "7" if draw < 0.04 else "0" if draw < 0.05 else ""


def reaches(rng: random.Random, p: Person, late: bool) -> bool:
    """Whether a contact reaches the person; a late first call reaches fewer."""
    chance = {"buyer": 0.68, "evaluator": 0.55, "reader": 0.42, "gone": 0.2}[p.type]
    return rng.random() < chance - (0.22 if late else 0)


def after_talk(rng: random.Random, p: Person, late: bool) -> Decision:
    """After the talk: accept = there is a deal to be made; otherwise why the lead goes back."""
    chance = {"buyer": 0.74, "evaluator": 0.2, "reader": 0.03, "gone": 0.0}[p.type]
    if not p.good_fit:
        chance *= 0.4
    if rng.random() < chance - (0.12 if late else 0):
        return Decision(accept=True)
    reason = "1" if p.tiny else rng.choices("235", weights=[5, 3, 2 if p.type == "buyer" else 4])[0]
    return Decision(False, reason, rng.choice(NOTES[reason]), rng.randint(25, 80) if reason == "3" else None)


def amount(rng: random.Random, p: Person) -> Decimal:
    """The size of a deal in €: grows with the firm, 8 to 80 thousand."""
    size = p.facts.get("employees") or 120
    return Decimal(int(min(80_000, max(8_000, 9_000 + size * rng.uniform(25, 70))) // 100 * 100))


def wins(rng: random.Random, p: Person) -> bool:
    return rng.random() < (0.52 if p.type == "buyer" and p.good_fit else 0.25)
