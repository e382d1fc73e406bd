"""Exact points: whole hundredths, rounded half away from zero, in Python once so that SQL shares no power."""

from decimal import ROUND_HALF_UP, Decimal, localcontext

from scoring.document import Decay

CENT = Decimal("0.01")
# Points fade for ten years at most; a half-life of 3,650 days is cut there.
LAST_DAY = 3650


def cents(points: Decimal) -> int:
    """Points in hundredths, rounded half away from zero (ROUND_HALF_UP of Decimal does that)."""
    return int(points.quantize(CENT, rounding=ROUND_HALF_UP) * 100)


def decay_table(points: int, decay: Decay | None) -> list[int]:
    """The hundredths of a point that count after 0, 1, 2 … whole days; the last value holds ever after."""
    if decay is None:
        return [points * 100]
    table: list[int] = []
    for day in range(LAST_DAY + 1):
        table.append(cents(_faded(points, decay, day)))
        if table[-1] == 0:
            break
    return table


def _faded(points: int, decay: Decay, day: int) -> Decimal:
    whole = Decimal(points)
    if decay.kind == "expiry":
        return whole if day < decay.days else Decimal(0)
    if decay.kind == "linear":
        return whole * max(Decimal(0), 1 - Decimal(day) / decay.days)
    with localcontext(prec=40):
        return whole * Decimal(2) ** (-Decimal(day) / decay.days)
