"""Within how many days a tenth, a quarter, half of the leads went from one step to another."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate

from django.db import connection

from feedback.reports import tally
from feedback.reports.base import Filters
from feedback.reports.spans import LABELS

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
HALF = SHARES.index(0.5)
# (source, "" for all) → span → its days at each of SHARES, None without any lead.
Days = dict[str, dict[str, list[float] | None]]


def days(filters: Filters) -> Days:
    """Of the cohort of these filters, of all and by first source; lengths rounded as `spans.ROUNDED` says."""
    found = tally.lengths(filters)
    counted: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH {found.text} SELECT source, span, tenths, sum(n)::bigint FROM lengths "  # noqa: S608 ours
            "GROUP BY source, span, tenths HAVING sum(n) > 0",
            found.bound,
        )
        for source, span, tenths, n in cursor.fetchall():
            for part in ("", source):
                counted[part, span][tenths] += n
    sources = dict.fromkeys(["", *(source for source, _ in counted)])
    return {source: {span: _days(counted.get((source, span), {})) for span in LABELS} for source in sources}


def _days(counted: dict[int, int]) -> list[float] | None:
    return [tenths / 10 for tenths in percentiles(sorted(counted.items()), SHARES)] if counted else None


def percentiles(counted: Sequence[tuple[float, int]], shares: Sequence[float]) -> list[float]:
    """The values at these shares of (value, how many have it), in order of the values; there must be any.

    As `percentile_cont` of the SQL standard over the values one by one: the share p of N lies at the place
    p * (N - 1), counted from 0, between two neighbours as far as the place lies between theirs.
    """
    until = list(accumulate(n for _, n in counted))
    found = []
    for share in shares:
        place = share * (until[-1] - 1)
        low = int(place)
        one = counted[bisect_right(until, low)][0]
        other = counted[bisect_right(until, min(low + 1, until[-1] - 1))][0]
        found.append(one + (other - one) * (place - low))
    return found
