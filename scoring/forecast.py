"""How many leads a week a version hands over: it is asked who would have reached the bar in the last weeks.

Each lead is looked at as it was known at the end of each week; who is above the bar then and was not a week
before has reached it. Of a big base a sample is looked at. Holds and rooms are left out, so the count is
brought to scale by what the version in force counts so and what really was handed over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scoring import current as applied
from scoring import rows
from scoring.editing import sampling
from scoring.engine import Row
from scoring.models import Agreement
from scoring.program import Program

WEEKS = 4
SAMPLE = 2_000
# Who did something within these weeks and the days before them that count as fresh, and has these points now
# or was with sales, may have reached a bar; points fade, so it is asked for fewer than any bar.
LATELY = timedelta(weeks=WEEKS, days=14)
WORTH_A_LOOK, HIGHEST = 25, 32_000
_LATELY = """
    l.last_own_act_at > %(since)s AND (o.total IS NULL OR o.total >= %(points)s OR EXISTS (
        SELECT FROM leads_answer a WHERE a.lead_id = l.id AND a.kind = 'offered' AND a.at > %(since)s))
"""
# Below this there is nothing to bring to scale by.
ENOUGH = 5


def expected_a_week(
    agreement: Agreement, in_force: Agreement | None, offered_a_week: float, at: datetime
) -> float | None:
    """Leads a week that `agreement` would hand over; None while there is too little to say.

    `offered_a_week`: what really was offered a week lately, by bar and fast track.
    """
    looked = leads(SAMPLE, at)
    mine = reached_a_week(applied.of(agreement).program, looked, at)
    if mine is None:
        return None
    if in_force is None or in_force.pk == agreement.pk:
        return offered_a_week if in_force is not None and offered_a_week else mine
    theirs = reached_a_week(applied.of(in_force).program, looked, at)
    if not theirs or theirs * WEEKS < ENOUGH or not offered_a_week:
        return mine
    return offered_a_week * mine / theirs


@dataclass(frozen=True)
class Looked:
    """The leads that are looked at, and how many of the base each stands for."""

    ids: Sequence[int]
    weights: Sequence[float]


def reached_a_week(program: Program, looked: Looked, at: datetime) -> float | None:
    """How many leads would have reached the bar a week, over the last four. One statement."""
    if not looked.ids:
        return None
    ends = [at - timedelta(weeks=n) for n in range(WEEKS, -1, -1)]
    subjects = [lead for lead in looked.ids for _ in ends]
    instants = ends * len(looked.ids)
    found = rows.run(
        program.score("subjects", present=False), (list(range(len(subjects))), subjects, instants, instants)
    )
    above = [False] * len(subjects)
    for row in found:
        said = Row._make([*row, *(None,) * (len(Row._fields) - len(row))])
        above[said.key] = said.above
    width = len(ends)
    reached = sum(
        looked.weights[i // width] for i in range(len(above)) if i % width and above[i] and not above[i - 1]
    )
    return reached / WEEKS


def leads(most: int, at: datetime) -> Looked:
    """Up to `most` living leads; always the same ones, so that two versions are compared on the same.

    Of a bigger base only such as may have been near a bar lately; of the many others hardly one was, and that
    one would stand for hundreds.
    """
    base = sampling.size()
    if base <= most:
        ids = sampling.people(most, base).ids
        return Looked(ids, [1.0] * len(ids))
    found = sampling.split(
        _LATELY, {"since": at - LATELY, "points": WORTH_A_LOOK}, base, (WORTH_A_LOOK, HIGHEST)
    )
    near = sampling.every(found.inside, most)
    each = found.inside_each * max(1.0, len(found.inside) / most)
    return Looked(near, [each] * len(near))
