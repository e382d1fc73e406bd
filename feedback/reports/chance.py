"""How sure a figure is: intervals that would hold the true value 95 times of 100. Pure arithmetic."""

import math

Z = 1.959964


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Between which shares (0 to 1) the true one probably lies; 0 to 1 of nothing."""
    if not whole:
        return 0.0, 1.0
    p = part / whole
    middle = (p + Z * Z / (2 * whole)) / (1 + Z * Z / whole)
    half = Z / (1 + Z * Z / whole) * math.sqrt(p * (1 - p) / whole + Z * Z / (4 * whole * whole))
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(part: int, whole: int, part_before: int, whole_before: int) -> tuple[float, float]:
    """Between which values (−1 to 1) the difference of two shares, now minus before, probably lies.

    Newcombe's way: from the intervals of both. −1 to 1 where one side is empty.
    """
    if not whole or not whole_before:
        return -1.0, 1.0
    now, was = part / whole, part_before / whole_before
    low, high = wilson(part, whole)
    low_before, high_before = wilson(part_before, whole_before)
    return (
        now - was - math.hypot(now - low, high_before - was),
        now - was + math.hypot(high - now, was - low_before),
    )


def counts_differ(now: int, before: int) -> bool:
    """Whether two counts of equally long periods differ by more than chance: half and half would not do."""
    low, high = wilson(now, now + before)
    return bool(now + before) and not low <= 0.5 <= high
