"""How well scores and ends go together. Pure: lists of cases in, figures out.

Shares have Wilson's interval, differences of shares Newcombe's, the area under the curve DeLong's; all at
95 % unless another z is given.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

Json = Any

Z95 = 1.959964
# Fewer than so many of either end, and nothing is said about how good a version is. With 20 of each the
# interval of the area is about ±0.16 at 0.7: one can tell good sorting from drawing lots, no more.
ENOUGH = 20
# A share of fewer cases is not shown as one.
CELL = 10
# Which "best n a week" are kept; the page begins with the largest that still leaves a choice.
BEST = (3, 5, 10, 20, 50, 100)
BAND = 10
NO_SOURCE = "(none)"
# How many points of the curve are kept for drawing.
CURVE = 120


@dataclass(frozen=True)
class Case:
    """One lead of a backtest: its score as known at `at`, and whether it came to a good end."""

    at: datetime
    good: bool
    total: int
    grade: str
    source: str = ""
    excluded: bool = False
    sales: bool = False
    key: int = 0

    @property
    def rank(self) -> int:
        """For ordering: whoever the version leaves out stands behind everybody else."""
        return self.total if not self.excluded else -1_000


@dataclass(frozen=True)
class Share:
    """`good` of `of`, with Wilson's interval. All shares are between 0 and 1."""

    good: int
    of: int

    @property
    def value(self) -> float | None:
        """None of nothing."""
        return self.good / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.good, self.of)

    def as_json(self) -> dict[str, Json]:
        low, high = self.interval
        return {"good": self.good, "of": self.of, "low": round(low, 4), "high": round(high, 4)}


def share_of(cases: Iterable[Case]) -> Share:
    """How many of these came to a good end."""
    found = list(cases)
    return Share(sum(c.good for c in found), len(found))


def wilson(good: int, of: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a share (E. B. Wilson, JASA 22, 1927); (0, 1) of nothing.

    (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n). It stays inside 0 to 1 and holds for few cases.
    """
    if not of:
        return 0.0, 1.0
    p, zz = good / of, z * z
    middle = p + zz / (2 * of)
    half = z * sqrt(p * (1 - p) / of + zz / (4 * of * of))
    whole = 1 + zz / of
    low = 0.0 if good == 0 else (middle - half) / whole
    high = 1.0 if good == of else (middle + half) / whole
    return low, high


def difference(one: Share, other: Share, z: float = Z95) -> tuple[float, float, float]:
    """The difference of two shares of different leads, with low and high (R. G. Newcombe, method 10, 1998).

    d − √((p₁−l₁)² + (u₂−p₂)²) to d + √((u₁−p₁)² + (p₂−l₂)²), with l and u of Wilson's intervals.
    (0, −1, 1) where one of them is of nothing.
    """
    if not one.of or not other.of:
        return 0.0, -1.0, 1.0
    p1, p2 = one.good / one.of, other.good / other.of
    l1, u1 = wilson(one.good, one.of, z)
    l2, u2 = wilson(other.good, other.of, z)
    d = p1 - p2
    return d, d - sqrt((p1 - l1) ** 2 + (u2 - p2) ** 2), d + sqrt((u1 - p1) ** 2 + (p2 - l2) ** 2)


@dataclass(frozen=True)
class Area:
    """The share of pairs (one good, one bad) in which the good one ranks higher; ties count half."""

    value: float
    variance: float

    @property
    def interval(self) -> tuple[float, float]:
        half = Z95 * sqrt(self.variance)
        return max(0.0, self.value - half), min(1.0, self.value + half)


def placements(good: Sequence[float], bad: Sequence[float]) -> tuple[list[float], list[float]]:
    """For each good one the share of the bad that rank below it; for each bad one that of the good above.

    By midranks (X. Sun, W. Xu, IEEE Signal Processing Letters 21, 2014): n log n, ties count half.
    """
    m, n = len(good), len(bad)
    among_all = _midranks([*good, *bad])
    of_good, of_bad = _midranks(good), _midranks(bad)
    v10 = [(among_all[i] - of_good[i]) / n for i in range(m)]
    v01 = [1 - (among_all[m + j] - of_bad[j]) / m for j in range(n)]
    return v10, v01


def area(good: Sequence[float], bad: Sequence[float]) -> Area | None:
    """The area under the curve with DeLong's variance (E. R. DeLong and others, Biometrics 44, 1988).

    var = S₁₀/m + S₀₁/n, the sample variances of the placements. None with fewer than two of a kind.
    """
    if len(good) < 2 or len(bad) < 2:
        return None
    v10, v01 = placements(good, bad)
    return Area(_mean(v10), _variance(v10) / len(good) + _variance(v01) / len(bad))


def area_difference(
    one: tuple[Sequence[float], Sequence[float]], other: tuple[Sequence[float], Sequence[float]]
) -> tuple[float, float, float] | None:
    """The difference of two areas over the same cases in the same order, low and high (DeLong, paired).

    Each argument is (ranks of the good, ranks of the bad). None with fewer than two of a kind.
    """
    (g1, b1), (g2, b2) = one, other
    if len(g1) < 2 or len(b1) < 2:
        return None
    x1, y1 = placements(g1, b1)
    x2, y2 = placements(g2, b2)
    d10 = [a - b for a, b in zip(x1, x2, strict=True)]
    d01 = [a - b for a, b in zip(y1, y2, strict=True)]
    d = _mean(x1) - _mean(x2)
    half = Z95 * sqrt(_variance(d10) / len(g1) + _variance(d01) / len(b1))
    return d, d - half, d + half


def curve(good: Sequence[float], bad: Sequence[float]) -> list[tuple[float, float]]:
    """The curve from (0, 0) to (1, 1): share of the bad and of the good that reach each score, best first."""
    counts: dict[float, list[int]] = defaultdict(lambda: [0, 0])
    for value in good:
        counts[value][1] += 1
    for value in bad:
        counts[value][0] += 1
    points, wrong, right = [(0.0, 0.0)], 0, 0
    for value in sorted(counts, reverse=True):
        wrong, right = wrong + counts[value][0], right + counts[value][1]
        points.append((wrong / max(1, len(bad)), right / max(1, len(good))))
    return points


def ranks(cases: Sequence[Case]) -> tuple[list[float], list[float]]:
    """The ranks of the good and of the bad, each in the order of the cases."""
    return [float(c.rank) for c in cases if c.good], [float(c.rank) for c in cases if not c.good]


def weeks(cases: Iterable[Case], zone: str) -> dict[tuple[int, int], list[Case]]:
    """The cases by the ISO week in which sales was to decide, in the agreement's zone."""
    found: dict[tuple[int, int], list[Case]] = defaultdict(list)
    tz = ZoneInfo(zone)
    for case in cases:
        year, week, _ = case.at.astimezone(tz).isocalendar()
        found[year, week].append(case)
    return found


def best_of_week(cases: Iterable[Case], n: int, zone: str) -> list[Case]:
    """The n best of each week by score, of equal ones the earlier; never one that is left out."""
    chosen: list[Case] = []
    for week in weeks(cases, zone).values():
        admitted = [c for c in week if not c.excluded]
        chosen += sorted(admitted, key=lambda c: (-c.rank, c.at, c.key))[:n]
    return chosen


def usual_week(cases: Iterable[Case], zone: str) -> float:
    """The median number of cases in a week that has any."""
    found = [len(week) for week in weeks(cases, zone).values()]
    return float(median(found)) if found else 0.0


def choice_of(best: Sequence[int], week: float) -> int:
    """The largest n that still leaves a choice: at most three fifths of a usual week, else the smallest."""
    return max((n for n in best if n <= 0.6 * week), default=best[0])


def enough(good: int, bad: int) -> bool:
    """Whether there are cases enough to judge a version by them."""
    return good >= ENOUGH and bad >= ENOUGH


def summary(cases: Sequence[Case], zone: str, letters: Sequence[str]) -> dict[str, Json]:
    """Every figure of one version on these cases, as it is kept and shown."""
    good, bad = ranks(cases)
    found = area(good, bad)
    week = usual_week(cases, zone)
    above = share_of(c for c in cases if c.sales and not c.excluded)
    caught = Share(above.good, len(good))
    return {
        "all": share_of(cases).as_json(),
        "enough": enough(len(good), len(bad)),
        "week": week,
        "best": [{"n": n, **share_of(best_of_week(cases, n, zone)).as_json()} for n in BEST],
        "n": choice_of(BEST, week),
        "grades": [
            {"grade": x, **share_of(c for c in cases if c.grade[:1] == x and not c.excluded).as_json()}
            for x in letters
        ],
        "excluded": share_of(c for c in cases if c.excluded).as_json(),
        "sources": _sources(cases),
        "bands": [
            {"from": start, **share_of(c for c in cases if _band(c) == start and not c.excluded).as_json()}
            for start in sorted({_band(c) for c in cases if not c.excluded})
        ],
        "bar": {
            "above": above.as_json(),
            "below": share_of(c for c in cases if not c.sales or c.excluded).as_json(),
            "caught": caught.as_json(),
        },
        "area": {"value": found.value, "low": found.interval[0], "high": found.interval[1]}
        if found
        else None,
        "curve": _thinned(curve(good, bad)) if found else [],
    }


def _sources(cases: Sequence[Case]) -> list[dict[str, Json]]:
    by: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by[case.source or NO_SOURCE].append(case)
    rows = [
        {
            "source": source,
            **share_of(found).as_json(),
            "points": round(_mean([c.total for c in found]), 1),
            "above": sum(c.sales and not c.excluded for c in found),
        }
        for source, found in by.items()
    ]
    return sorted(rows, key=lambda row: (-row["of"], row["source"]))


def _band(case: Case) -> int:
    return min(90, max(0, case.total) // BAND * BAND)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    step = max(1, len(points) // CURVE)
    kept = points[::step]
    if kept[-1] != points[-1]:
        kept.append(points[-1])
    return [(round(x, 4), round(y, 4)) for x, y in kept]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    middle = _mean(values)
    return sum((v - middle) ** 2 for v in values) / (len(values) - 1)


def _midranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in range(start, end + 1):
            found[order[place]] = (start + end) / 2 + 1
        start = end + 1
    return found
