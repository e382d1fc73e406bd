"""Exact points: whole hundredths, rounded half away from zero, in Python once so that SQL shares no power."""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import lru_cache

from scoring.document import Decay

CENT = Decimal("0.01")
# Points fade for ten years at most; what is left of a very long half-life is cut there.
LAST_DAY = 3650


def cents(points: Decimal) -> int:
    """Points in hundredths, rounded half away from zero (ROUND_HALF_UP of Decimal does that)."""
    return int(points.quantize(CENT, rounding=ROUND_HALF_UP) * 100)


@lru_cache(maxsize=500)
def decay_table(points: int, decay: Decay | None) -> tuple[int, ...]:
    """The hundredths of a point that count after 0, 1, 2 … whole days; the last value holds ever after."""
    if decay is None:
        return (points * 100,)
    table: list[int] = []
    for day in range(LAST_DAY + 1):
        table.append(cents(_faded(points, decay, day)))
        if table[-1] == 0:
            break
    return tuple(table)


def _faded(points: int, decay: Decay, day: int) -> Decimal:
    whole = Decimal(points)
    if decay.kind == "expiry":
        return whole if day < decay.days else Decimal(0)
    if decay.kind == "linear":
        # One division last, so that a tie stays a tie.
        return whole * max(0, decay.days - day) / decay.days
    halvings, rest = divmod(day, decay.days)
    with localcontext(prec=40):
        return whole * Decimal("0.5") ** halvings * _part(rest, decay.days)


@lru_cache(maxsize=10_000)
def _part(days: int, half_life: int) -> Decimal:
    """2 to the power of −days ÷ half_life, to 40 digits; exactly 1 after 0 days."""
    with localcontext(prec=40):
        return Decimal(2) ** (-Decimal(days) / half_life)
