"""What comes back to marketing in the demo company: questions and answers, pieces sent, who stays."""

import random
from datetime import datetime, timedelta
from decimal import Decimal

from feedback import outcomes
from feedback.content import library
from feedback.models import ContentUse, Question
from feedback.questions import log
from handoff.models import Handoff, State
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.demo.story import Cast
from leadflow.leads import customers, ledgers
from leadflow.leads.models import Content, Outcome
from scoring import engine

# What prospects say, each in the words of several, the likelier the earlier.
HEARD: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("question", ("Does it handle two depots?", "Does it handle two depots at once?")),
    ("objection", ("Too expensive for twelve trucks.", "It is too expensive for twelve trucks")),
    ("question", ("Does it work with our ERP?", "Does it work with our old ERP?")),
    ("competitor", ("Routenmeister", "Routenmeister")),
    ("question", ("Who hosts the data?", "And who hosts the data?")),
    ("objection", ("Our dispatchers will not give up their boards.",)),
    ("question", ("How long until the first plan runs?",)),
    ("competitor", ("TourPilot",)),
    ("change", ("The toll goes up in January.", "The toll goes up again in January")),
    ("question", ("Can drivers change the order of stops?",)),
)
# Which piece answers which of them.
ANSWERS = (
    ("Does it handle two depots?", "Two depots, one plan"),
    ("Too expensive for twelve trucks.", "ROI sheet"),
    ("Routenmeister", "Route planners compared"),
)
ASKED = "Who hosts the data?"
SPOKEN = (State.ACCEPTED, State.WORKING, State.OPPORTUNITY, State.WON, State.LOST, State.RETURNED)
# One in so many talks leaves a question, or a piece that was sent.
EVERY_QUESTION, EVERY_PIECE = 4, 3


def play(seed: int, cast: Cast, end: datetime) -> None:
    """Write it all down at its time; what marketing answers it answers within days of the first asking."""
    rng = random.Random(f"{seed}:loop")
    held = Handoff.objects.filter(state__in=SPOKEN, owner__isnull=False).order_by("pk").defer("frozen")
    talks = [row for row in held if row.first_offered_at + timedelta(days=1) < end]
    with clock.use(end):
        _say_what_pieces_answer(cast)
        _questions(rng, cast, talks, end)
        _pieces(rng, talks, end)
    _customers(rng, end)


def _say_what_pieces_answer(cast: Cast) -> None:
    pieces = {piece.title: piece for piece in Content.objects.all()}
    for text, title in ANSWERS:
        fields = {"question": text, "persona_key": "core"}
        library.change(pieces[title].pk, fields, person(cast.noah))


def _questions(rng: random.Random, cast: Cast, talks: list[Handoff], end: datetime) -> None:
    said = []
    for row in talks[::EVERY_QUESTION]:
        kind, wordings = HEARD[min(int(rng.expovariate(0.35)), len(HEARD) - 1)]
        at = min(row.first_offered_at + timedelta(hours=rng.uniform(3, 24)), end)
        said.append(
            log.Said(rng.choice(wordings), kind, row.lead_id, row.pk, asked_by_id=row.owner_id, at=at)
        )
    log.log_many(sorted(said, key=lambda one: one.at or end), person(cast.sam))
    heads = {row.text: row for row in Question.objects.filter(group=None)}
    pieces = {piece.title: piece.pk for piece in Content.objects.all()}
    for text, title in ANSWERS[:2]:
        if text in heads:
            at = min(end, heads[text].at + timedelta(hours=rng.uniform(18, 60)))
            log.answer(heads[text].pk, person(cast.mia), content_id=pieces[title], at=at)
    if ASKED in heads:
        log.want(heads[ASKED].pk, person(cast.mia), by=(end + timedelta(days=6)).date())


def _pieces(rng: random.Random, talks: list[Handoff], end: datetime) -> None:
    """Some reps sent a piece after the talk; all in one statement."""
    pieces = list(Content.objects.filter(stage="mql").order_by("pk"))
    ContentUse.objects.bulk_create(
        ContentUse(
            content=rng.choice(pieces),
            lead_id=row.lead_id,
            handoff=row,
            by_id=row.owner_id,
            at=min(row.first_offered_at + timedelta(hours=rng.uniform(4, 22)), end),
        )
        for row in talks[1::EVERY_PIECE]
    )


def _customers(rng: random.Random, end: datetime) -> None:
    """The billing system says who renewed, bought more and left; two of its lines name nobody we know."""
    won = Outcome.objects.filter(kind="won", voided_at=None, at__lt=end - timedelta(days=12)).order_by(
        "at", "pk"
    )
    rows = []
    for deal in won:
        kind = rng.choices(("", "expanded", "renewed", "churned"), (70, 14, 10, 6))[0]
        if kind:
            share = Decimal(rng.choice((15, 30, 50))) / 100
            rows.append(
                {
                    "external_id": f"contract-{deal.pk}",
                    "kind": kind,
                    "lead_id": deal.lead_id,
                    "amount": None if kind == "churned" else round((deal.amount or 0) * share, -2),
                    "at": (deal.at + (end - deal.at) * rng.uniform(0.4, 0.95)).isoformat(),
                }
            )
    rows += [
        {"external_id": f"contract-x{n}", "kind": kind, "email": email, "amount": amount}
        for n, (kind, email, amount) in enumerate(
            (("renewed", "einkauf@hafenlogistik.example", 8400), ("won", "office@nordwind.example", 12600))
        )
    ]
    with clock.use(end):
        ledgers.record_outcomes(rows, actor=SYSTEM, source="billing")
        outcomes.pull(end)
        while customers.pull(end):
            pass
        while engine.score_pending(end, 2_000) >= 2_000:
            pass
