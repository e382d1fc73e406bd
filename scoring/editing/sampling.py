"""Which leads the editor looks at when it counts: all of a small base, of a large one a spread of them.

Nothing here reads more than BOUND rows of leads, however many there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

BOUND = 20_000
# Of a large base so many are looked at to tell layers apart.
PROBES = 2_500
# Probes at even distances of the primary key: each is one step in its index.
_SPREAD = """
    SELECT DISTINCT found.id
    FROM (SELECT min(id) AS low, max(id) AS high FROM leads_lead) ends,
         generate_series(0, %s - 1) AS step,
         LATERAL (SELECT id FROM leads_lead
                  WHERE id >= ends.low + (ends.high - ends.low) * step / %s
                    AND merged_into_id IS NULL AND erased_at IS NULL
                  ORDER BY id LIMIT 1) found
    ORDER BY 1
"""
_LIVING = "SELECT id FROM leads_lead WHERE merged_into_id IS NULL AND erased_at IS NULL LIMIT %s"
_COUNTED = """
    SELECT count(*) FROM (
        SELECT FROM leads_lead WHERE merged_into_id IS NULL AND erased_at IS NULL LIMIT %s) x
"""
# Every living lead `l`, or those at even distances of the primary key, with its stored score `o`.
_ALL = "leads_lead l"
_PROBED = """(SELECT DISTINCT ON (found.id) found.* FROM
    (SELECT min(id) AS low, max(id) AS high FROM leads_lead) ends,
    generate_series(0, %(probes)s - 1) AS step,
    LATERAL (SELECT * FROM leads_lead WHERE id >= ends.low + (ends.high - ends.low) * step / %(probes)s
        AND merged_into_id IS NULL AND erased_at IS NULL ORDER BY id LIMIT 1) found) l
"""
_ABOUT = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'leads_lead'::regclass"


@dataclass(frozen=True)
class Sample:
    """The leads looked at. `base`: how many there are, about so where `exact` is false."""

    base: int
    ids: list[int]
    exact: bool

    def about(self, count: int) -> int:
        """A count of the leads looked at, for the whole base."""
        return count if self.exact or not self.ids else rounded(count * self.base / len(self.ids))


def rounded(number: float) -> int:
    """To two digits: an estimate that shows more of them lies."""
    return int(round(number, -max(0, len(str(int(number))) - 2)))


def size() -> int:
    """How many living leads there are: counted up to BOUND, beyond that as the database estimates it."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED, [BOUND + 1])
        counted = int(cursor.fetchone()[0])
        if counted <= BOUND:
            return counted
        cursor.execute(_ABOUT)
        return max(BOUND + 1, int(cursor.fetchone()[0]))


def people(most: int, base: int | None = None) -> Sample:
    """Up to `most` leads, always the same ones while no lead comes or goes. Two small queries."""
    base = size() if base is None else base
    with connection.cursor() as cursor:
        if base <= most:
            cursor.execute(_LIVING, [most])
        else:
            cursor.execute(_SPREAD, [most, most])
        ids = [row[0] for row in cursor.fetchall()]
    return Sample(base, ids, base <= most)


@dataclass(frozen=True)
class Split:
    """Leads told apart by a test, of a base of so many: all of a small base, of a large one a spread."""

    base: int
    inside: list[int]
    outside: list[int]

    def share(self, ids: Sequence[int], most: int) -> float:
        """How many of the base each of up to `most` of these leads stands for."""
        looked = len(self.inside) + len(self.outside)
        taken = min(most, len(ids))
        return self.base / looked * len(ids) / taken if taken else 0.0


def split(test: str, args: Mapping[str, Any], base: int) -> Split:
    """Tell the living leads apart by a condition over `l`, the lead, and `o`, its stored score. One query.

    `test` is text of the house, never of a user; its values are bound by name.
    """
    rows = _ALL if base <= BOUND else _PROBED
    text = (
        f"SELECT l.id, COALESCE({test}, FALSE) FROM {rows}"  # noqa: S608 - see above
        " LEFT JOIN scoring_leadscore o ON o.lead_id = l.id"
        " WHERE l.merged_into_id IS NULL AND l.erased_at IS NULL ORDER BY l.id"
    )
    with connection.cursor() as cursor:
        cursor.execute(text, {**args, "probes": PROBES})
        found = cursor.fetchall()
    return Split(base, [i for i, hit in found if hit], [i for i, hit in found if not hit])


def every(ids: Sequence[int], most: int) -> list[int]:
    """Up to `most` of these, at even distances; always the same ones."""
    if len(ids) <= most:
        return list(ids)
    return [ids[place * len(ids) // most] for place in range(most)]
