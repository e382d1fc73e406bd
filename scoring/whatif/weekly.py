"""How many leads a week a draft hands over, for each bar, and what sales said to such leads.

Both look back by what was known then: at the ends of the last weeks, and at sales' answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from scoring import forecast, rows
from scoring.program import SCORE_COLUMNS, TRIED_COLUMNS, Program
from scoring.whatif.bars import Bar

Json = Any

BACK = timedelta(days=183)
# Leads just above a bar: so many points.
BAND = 4
# Fewer answers than this and nothing is said about them.
ENOUGH = 10
_COLUMNS = (*SCORE_COLUMNS[:-1], *TRIED_COLUMNS)

_ANSWERED = """
    SELECT a.lead_id, a.at, a.known_at, a.kind = 'accepted', l.stage = 'customer' FROM (
        SELECT DISTINCT ON (handoff_id) lead_id, handoff_id, kind, at, known_at FROM (
            SELECT * FROM leads_answer WHERE kind = 'accepted' AND at > %(since)s AND at <= %(at)s
            AND voided_at IS NULL
            UNION ALL
            SELECT * FROM leads_answer WHERE kind IN ('rejected', 'returned') AND voided_at IS NULL
            AND at > %(since)s AND at <= %(at)s
        ) a ORDER BY handoff_id, at, id
    ) a JOIN leads_lead l ON l.id = a.lead_id ORDER BY a.at DESC LIMIT %(most)s
"""


@dataclass(frozen=True)
class _Seen:
    """One lead at one instant: its points, whether all but the bar is there, and what the bars say."""

    total: int
    free: bool
    track: bool
    over: bool
    under: bool

    def above(self, bar: int) -> bool:
        return self.free and (self.track or (self.over if self.total >= bar else self.under))


def a_week(
    new: Program,
    bar: Bar | None,
    old: Program | None,
    offered: float,
    at: datetime,
    most: int = forecast.SAMPLE,
) -> dict[str, Json]:
    """Per bar the expected handoffs a week of the version `new`, `now` those of the version in force, `old`
    (null: unknown).

    The same reckoning as `forecast.expected_a_week`: who would have reached the bar in the last weeks,
    brought to scale by what really was offered (`offered` a week).
    """
    looked = forecast.leads(most, at)
    mine = _reached(new, bar, looked, at)
    theirs = forecast.reached_a_week(old, looked, at) if old else None
    enough = bool(theirs and theirs * forecast.WEEKS >= forecast.ENOUGH and offered)
    factor = offered / theirs if enough and theirs else 1.0
    now = None if old is None or theirs is None else (offered if enough else theirs)
    return {"now": now, "bars": {str(key): n * factor for key, n in mine.items()}}


def _reached(program: Program, bar: Bar | None, looked: forecast.Looked, at: datetime) -> dict[int, float]:
    """Per bar how many leads came above it a week, over the last weeks. One statement."""
    ends = [at - timedelta(weeks=n) for n in range(forecast.WEEKS, -1, -1)]
    seen = _looked(program, bar, [(lead, end, end) for lead in looked.ids for end in ends])
    width = len(ends)
    bars = range(bar.low, bar.high + 1) if bar else range(1)
    counts = dict.fromkeys(bars, 0.0)
    for key, now in seen.items():
        if key % width == 0 or not now.free:
            continue
        before = seen.get(key - 1)
        for tried in bars:
            if now.above(tried) and not (before is not None and before.above(tried)):
                counts[tried] += looked.weights[key // width]
    return {tried: n / forecast.WEEKS for tried, n in counts.items()}


def _looked(
    program: Program, bar: Bar | None, subjects: Sequence[tuple[int, datetime, datetime]]
) -> dict[int, _Seen]:
    """Each lead as known at its instant, by its place in the list; who was no lead yet is missing."""
    if not subjects:
        return {}
    agreed = program.document.thresholds.sales_when
    statement = program.tried((bar.over if bar else agreed, bar.under if bar else agreed))
    leads, ats, known = (list(column) for column in zip(*subjects, strict=True))
    found = {}
    for row in rows.run(statement, (list(range(len(subjects))), leads, ats, known)):
        said = dict(zip(_COLUMNS, row, strict=True))
        free = said["fresh"] and not said["excluded"]
        found[said["key"]] = _Seen(said["total"], free, said["track"] > 0, said["over"], said["under"])
    return found


def answered(new: Program, bar: Bar | None, at: datetime, most: int) -> dict[str, list[int]]:
    """What sales said to leads of the last half year, by their points by `new` on the day of the answer:
    points → [answered, accepted, customers now]. The newest `most` answers; the first of each handoff."""
    with connection.cursor() as cursor:
        cursor.execute(_ANSWERED, {"since": at - BACK, "at": at, "most": most})
        found = cursor.fetchall()
    seen = _looked(new, bar, [row[:3] for row in found])
    made: dict[str, list[int]] = {}
    for i, (*_, accepted, won) in enumerate(found):
        if i in seen:
            counts = made.setdefault(str(seen[i].total), [0, 0, 0])
            counts[0] += 1
            counts[1] += accepted
            counts[2] += won
    return made


@dataclass(frozen=True)
class Such:
    """What sales said to leads just above a bar, and to all others offered."""

    low: int
    high: int
    count: int
    accepted: int
    won: int
    others: int
    others_accepted: int

    @property
    def enough(self) -> bool:
        return self.count >= ENOUGH

    @property
    def of_hundred(self) -> int:
        return round(100 * self.accepted / self.count) if self.count else 0

    @property
    def others_of_hundred(self) -> int:
        return round(100 * self.others_accepted / self.others) if self.others else 0

    @property
    def won_of_hundred(self) -> int:
        return round(100 * self.won / self.count) if self.count else 0


def such(answers: dict[str, list[int]], bar: int) -> Such:
    """Leads with `bar` to `bar` + 3 points against the rest."""
    inside, outside = [0, 0, 0], [0, 0, 0]
    for total, counts in answers.items():
        place = inside if bar <= int(total) < bar + BAND else outside
        for i, n in enumerate(counts):
            place[i] += n
    count, accepted, won = inside
    return Such(bar, bar + BAND - 1, count, accepted, won, outside[0], outside[1])
