"""How many leads a week a version hands over: it is asked who would have reached the bar in the last weeks.

Each lead is looked at as it was known at the end of each week; who is above the bar then and was not a week
before has reached it. Of a big base a sample is looked at. Holds and rooms are left out, so the count is
brought to scale by what the version in force counts so and what really was handed over.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from scoring import current as applied
from scoring import rows
from scoring.editing import sampling
from scoring.engine import Row
from scoring.models import Agreement

WEEKS = 4
SAMPLE = 2_000
# Below this there is nothing to bring to scale by.
ENOUGH = 5


def expected_a_week(
    agreement: Agreement, in_force: Agreement | None, offered_a_week: float, at: datetime
) -> float | None:
    """Leads a week that `agreement` would hand over; None while there is too little to say.

    `offered_a_week`: what really was offered a week lately, by bar and fast track.
    """
    ids, scale = leads()
    mine = reached_a_week(agreement, ids, at)
    if mine is None:
        return None
    if in_force is None or in_force.pk == agreement.pk:
        return offered_a_week if in_force is not None and offered_a_week else mine * scale
    theirs = reached_a_week(in_force, ids, at)
    if not theirs or theirs * WEEKS < ENOUGH or not offered_a_week:
        return mine * scale
    return offered_a_week * mine / theirs


def reached_a_week(agreement: Agreement, lead_ids: Sequence[int], at: datetime) -> float | None:
    """How many of these leads would have reached the bar a week, over the last four. One statement."""
    if not lead_ids:
        return None
    program = applied.of(agreement).program
    ends = [at - timedelta(weeks=n) for n in range(WEEKS, -1, -1)]
    subjects = [lead for lead in lead_ids for _ in ends]
    instants = ends * len(lead_ids)
    found = rows.run(
        program.score("subjects", present=False), (list(range(len(subjects))), subjects, instants, instants)
    )
    above = [False] * len(subjects)
    for row in found:
        said = Row._make([*row, *(None,) * (len(Row._fields) - len(row))])
        above[said.key] = said.above
    width = len(ends)
    reached = sum(above[i] and not above[i - 1] for i in range(len(above)) if i % width)
    return reached / WEEKS


def leads(most: int = SAMPLE) -> tuple[list[int], float]:
    """Up to `most` living leads, and how many each stands for; always the same ones, so that two versions are
    compared on the same leads."""
    found = sampling.people(most)
    return found.ids, found.base / len(found.ids) if found.ids else 1.0
