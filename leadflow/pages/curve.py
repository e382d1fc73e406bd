"""The score over time as a picture made here: a few SVG numbers, no script needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.utils import timezone

from scoring.models import ScoreChange

WIDTH, HEIGHT = 742, 190
LEFT, RIGHT, TOP, BOTTOM = 30, 742, 10, 166
NARROW = 326
# Numbers nearer than this get in each other's way; the words at the bar are so long.
CLOSE, WORDS = 16, 120
# What counts as a jump worth a number, and how many numbers fit.
JUMP, MARKS = 4, 6
MONTHS_SHOWN = 8
# Up to here days stand under the curve, then months.
SHORT = timedelta(days=50)


@dataclass(frozen=True)
class Mark:
    """A numbered jump of the score."""

    n: int
    x: float
    y: float
    label_y: float
    change: ScoreChange


@dataclass(frozen=True)
class Bar:
    """The bar for sales, with the place of its words: where fewest of the marks are."""

    y: float
    label_y: float
    value: int
    x: float
    anchor: str


@dataclass(frozen=True)
class Version:
    """Where another agreement took over; its name stands beside the line, on the side with room."""

    x: float
    number: int
    anchor: str


@dataclass(frozen=True)
class Curve:
    """Everything the template draws; x and y in the picture's own units."""

    width: int
    line: str
    grid: list[tuple[float, float, int]]
    ticks: list[tuple[float, str]]
    marks: list[Mark]
    bar: Bar | None
    versions: list[Version]
    first: int
    last: int


def curve(
    changes: Sequence[ScoreChange], now: datetime, bar: int | None, narrow: bool = False
) -> Curve | None:
    """The curve of these score changes (oldest first) up to now; None when there is none."""
    if not changes:
        return None
    right = NARROW if narrow else RIGHT
    start = min(changes[0].at, now - timedelta(days=7))
    whole = max((now - start).total_seconds(), 1.0)

    def x(at: datetime) -> float:
        return round(LEFT + (right - LEFT - 6) * (at - start).total_seconds() / whole, 1)

    def y(total: int) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * max(0, min(100, total)) / 100, 1)

    spots = [(x(changes[0].at), y(changes[0].total))]
    for change in changes[1:]:
        if change.from_total is not None:
            spots.append((x(change.at), y(change.from_total)))
        spots.append((x(change.at), y(change.total)))
    spots.append((x(now), y(changes[-1].total)))
    marks = _marks([(x(change.at), y(change.total), change) for change in jumps(changes)])
    return Curve(
        width=right,
        line=" ".join(f"{px},{py}" for px, py in spots),
        grid=[(y(value), y(value) + 4, value) for value in (0, 25, 50, 75, 100)],
        ticks=_ticks(start, now, x, 4 if narrow else MONTHS_SHOWN),
        marks=marks,
        bar=_bar(y(bar), bar, spots, right) if bar is not None else None,
        versions=[
            Version(x(change.at), change.agreement.number, "te" if x(change.at) > right - WORDS else "")
            for before, change in pairwise(changes)
            if change.agreement_id != before.agreement_id
        ],
        first=changes[0].total,
        last=changes[-1].total,
    )


def _marks(spots: Sequence[tuple[float, float, ScoreChange]]) -> list[Mark]:
    """Numbers above their circles; of two close ones the lower has its number below."""
    marks = []
    for n, (px, py, change) in enumerate(spots):
        neighbours = [spots[at] for at in (n - 1, n + 1) if 0 <= at < len(spots)]
        below = any(abs(px - ox) < CLOSE and py > oy for ox, oy, _ in neighbours)
        marks.append(Mark(n + 1, px, py, py + 19 if below else max(py - 9, 10), change))
    return marks


def _bar(py: float, value: int, spots: Sequence[tuple[float, float]], right: int) -> Bar:
    """Its words stand where the curve leaves most room: left or right, above the line or below."""

    def crowd(left: float, top: float) -> int:
        """How often the curve comes by, drawn as steps: each piece counts where it passes the words."""
        hits = 0
        for (ax, ay), (bx, by) in pairwise(spots):
            beside = max(ax, bx) >= left and min(ax, bx) <= left + WORDS
            hits += beside and max(ay, by) >= top and min(ay, by) <= top + 22
        return hits

    places = [
        Bar(py, py + shift, value, LEFT + 4 if at_left else right, "" if at_left else "te")
        for shift in (-6, 16)
        for at_left in (True, False)
    ]
    return min(places, key=lambda one: crowd(LEFT if one.anchor == "" else right - WORDS, one.label_y - 16))


def jumps(changes: Sequence[ScoreChange]) -> list[ScoreChange]:
    """The first score and the largest moves, in the order of time; each gets a number."""
    if not changes:
        return []
    moved = [c for c in changes[1:] if c.from_total is not None and abs(c.total - c.from_total) >= JUMP]
    largest = sorted(moved, key=lambda c: abs(c.total - (c.from_total or 0)), reverse=True)[: MARKS - 1]
    return [changes[0], *sorted(largest, key=lambda c: (c.at, c.pk))]


def _ticks(
    start: datetime, now: datetime, x: Callable[[datetime], float], most: int
) -> list[tuple[float, str]]:
    """Dates under the curve: months on a long one, days on a short one, at most so many."""
    here = timezone.localtime(start).replace(hour=0, minute=0, second=0, microsecond=0)
    if now - start < SHORT:
        step = max(1, -(-(now - start).days // (most // 2)))
        days = [here + timedelta(days=1 + n) for n in range(0, (now - start).days, step)]
        return [(x(one), f"{one.day} {one:%b}") for one in days]
    months = []
    month = here.replace(day=1)
    while month <= now:
        if month >= start:
            months.append(month)
        month = (month + timedelta(days=32)).replace(day=1)
    step = max(1, -(-len(months) // most))
    return [(x(one), f"{one:%b}") for one in months[::step]]
