"""Which leads the first look is at: those on whom the bar may decide nearly all, of the others a spread.

Few leads move, so a plain sample of a large base finds none of them. Here each lead that is looked at stands
for as many as its layer has for each one looked at, and the counts are weighted so.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from leadflow.leads.models import Stage
from scoring import room
from scoring.document import Document
from scoring.editing import sampling
from scoring.whatif.bars import Bar

# Points below the lower and above the higher bar within which a change of some rules may carry a lead over.
REACH = 15
# Where no bar is known: everybody with this many points.
FROM, HIGHEST = 25, 32_000
# The parts of a look that hold its first answer.
PARTS = (-1, -2)

# May the bar decide on it: near the bars, active, not held back, not yet with sales.
_MAY_MOVE = f"""
    l.last_own_act_at > %(fresh)s AND (o.total IS NULL OR o.total BETWEEN %(low)s AND %(high)s OR o.ready)
    AND (l.stage IN ('{Stage.CONVERSION}', '{Stage.PROSPECT}', '{Stage.MQL}') OR l.id = ANY(%(waiting)s))
    AND NOT EXISTS (SELECT FROM scoring_hold h WHERE h.lead_id = l.id AND h.ended_at IS NULL)
"""


@dataclass(frozen=True)
class Layer:
    """One layer of a sample: the number of its part, the leads, and how many of the base each stands for."""

    part: int
    ids: list[int]
    weight: float


@dataclass(frozen=True)
class Drawn:
    """A sample of a base of so many leads; `exact`: it is all of them."""

    base: int
    layers: tuple[Layer, ...]
    exact: bool

    @property
    def weights(self) -> dict[str, float]:
        """By the number of the part, as JSON keeps it."""
        return {str(layer.part): layer.weight for layer in self.layers}


def draw(document: Document, bar: Bar | None, old: int | None, at: datetime, most: int) -> Drawn:
    """The leads of the first look at a version with `bar`, against one whose bar is `old` points.

    Up to `most` leads all of them; always the same while nothing changes.
    """
    base = sampling.size()
    if base <= most:
        return Drawn(base, (Layer(PARTS[0], sampling.people(most, base).ids, 1.0),), True)
    known = [points for points in (bar.value if bar else None, old) if points is not None]
    low = min(known) - REACH if known else FROM
    high = max(known) + REACH if known else HIGHEST
    found = sampling.split(
        _MAY_MOVE,
        {
            "fresh": at - timedelta(days=document.thresholds.fresh_days),
            "low": low,
            "high": high,
            "waiting": room.waiting(),
        },
        base,
        (low, high),
    )
    # Mostly those on whom it depends; what they leave over is for the others.
    near = min(len(found.inside), most * 3 // 5)
    layers = ((found.inside, found.inside_each, near), (found.outside, found.outside_each, most - near))
    return Drawn(
        base,
        tuple(
            Layer(part, sampling.every(ids, take), each * max(1.0, len(ids) / take))
            for part, (ids, each, take) in zip(PARTS, layers, strict=True)
            if ids
        ),
        False,
    )
