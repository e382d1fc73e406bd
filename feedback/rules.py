"""One rule in the light of sales' answers: its numbers, a draft at it, a word to the reps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from feedback import answers as answering
from feedback.models import RepAnswer
from feedback.reports import counted, said, summed, wasted
from feedback.reports.answers import Terms
from feedback.reports.base import Filters
from feedback.reports.counted import Acceptance
from leadflow import clock
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import User
from leadflow.errors import BadInput, Fault
from scoring import agreements
from scoring.backtesting import cases, runs
from scoring.document import Document
from scoring.models import Agreement

GOAL = "accepted"
# In the words to a rep, how many such leads this rep rejected.
COUNT = "{n}"


@dataclass(frozen=True)
class Tried:
    """How a version's backtest parts the leads whose end is known: with the rule and without it."""

    version: int
    of: int
    good: int
    others: int
    others_good: int
    running: bool = False


@dataclass(frozen=True)
class RuleNumbers:
    """What sales' answers of a period say about one rule."""

    criterion: str
    text: str
    given: int
    rejected: int
    judged: int
    reasons: Sequence[tuple[str, str, int, int]]
    having: Acceptance
    without: Acceptance


def numbers(filters: Filters, criterion: str, terms: Terms) -> RuleNumbers:
    """Points wasted by one rule, by reason, and acceptance of the leads with it and without it."""
    filters = summed.known(filters)
    now, given = counted.count(filters), said.points(filters)
    lines = wasted.of_rule(given, criterion)
    text = terms.criteria.get(criterion) or said.words(filters, [criterion])[criterion]
    return RuleNumbers(
        criterion,
        text,
        int(lines.points),
        lines.rejected,
        now.judged,
        [
            (reason, terms.reasons.get(reason, reason), n, now.sum(kind="rejected", reason=reason))
            for reason, n in sorted(lines.by_reason.items(), key=lambda item: (-item[1], item[0]))
        ],
        Acceptance(lines.accepted, lines.refused),
        Acceptance(now.acceptance.accepted - lines.accepted, now.acceptance.rejected - lines.refused),
    )


_PARTED = """
    SELECT count(*) FILTER (WHERE %(one)s = ANY (held)),
           count(*) FILTER (WHERE good AND %(one)s = ANY (held)),
           count(*) FILTER (WHERE NOT %(one)s = ANY (held)),
           count(*) FILTER (WHERE good AND NOT %(one)s = ANY (held))
    FROM scoring_backtestcase WHERE run_id = %(run)s"""


def tried(agreement: Agreement, criterion: str) -> Tried | None:
    """The rule in the newest backtest of this version; None where it was never tried."""
    run = runs.done(agreement, GOAL)
    newest = runs.latest(agreement, GOAL)
    going = newest is not None and newest.state == runs.State.RUNNING
    ids = [rule.id for rule in Document(agreement.content).active_criteria]
    if run is None or criterion not in ids:
        return Tried(agreement.number, 0, 0, 0, 0, going) if going else None
    with connection.cursor() as cursor:
        cursor.execute(_PARTED, {"one": ids.index(criterion), "run": run.pk})
        held, good, others, others_good = cursor.fetchone()
    return Tried(agreement.number, held, good, others, others_good, going)


def open_draft(criterion: str, actor: Actor, *, at: datetime | None = None) -> Agreement:
    """The draft, or a new one, to change a rule in; its backtest starts at once.

    Raises Forbidden for who may not write agreements, Conflict while a proposal waits, BadInput where the
    rule is not in it.
    """
    at = at or clock.now()
    draft = agreements.draft() or agreements.create_draft(actor)
    if not any(rule.id == criterion for rule in Document(draft.content).criteria):
        raise BadInput("This rule is not in the agreement any more.", [Fault("criterion", "Choose another.")])
    if runs.latest(draft, GOAL) is None and cases.counts(GOAL, at)[0]:
        runs.start(draft, GOAL, actor, at=at)
    return draft


def who_said_no(filters: Filters, criterion: str) -> list[tuple[User, int]]:
    """The reps who rejected leads that had points from a rule, and how many each; the most first."""
    found = dict(wasted.rejections_by_rep(filters, criterion))
    people = User.objects.filter(is_active=True).in_bulk(list(found))
    told = [(people[pk], n) for pk, n in found.items() if pk in people]
    return sorted(told, key=lambda one: (-one[1], one[0].name, one[0].pk))


def tell(
    criterion: str,
    actor: Actor,
    *,
    text: str,
    to: Sequence[int],
    filters: Filters,
    at: datetime | None = None,
) -> int:
    """Say to reps what became of a rule because of their rejections; `{n}` is each one's own number.

    Raises Forbidden (not marketing), BadInput for an empty text or nobody.
    """
    words = answering.checked(actor, text)
    at = at or clock.now()
    people = [(user, n) for user, n in who_said_no(filters, criterion) if user.pk in set(to)]
    if not people or actor.user is None:
        raise BadInput("Nobody is chosen.", [Fault("to", "Choose who should hear it.")])
    with transaction.atomic():
        answering.send(
            [
                RepAnswer(
                    to=user, by=actor.user, text=words.replace(COUNT, str(n)), criterion=criterion[:20], at=at
                )
                for user, n in people
            ],
            actor,
            at,
        )
    return len(people)
