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
# Stored totals within a band are counted up to so many.
COUNTED = 40_000
# More are not all read, where they are at least one lead in so many.
READ, WIDE = 150_000, 8
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
_PROBED = """(SELECT found.* FROM
    (SELECT min(id) AS low, max(id) - min(id) AS width FROM leads_lead) ends,
    generate_series(0, %(probes)s - 1) AS step,
    LATERAL (SELECT * FROM leads_lead WHERE id >= ends.low + ends.width * step / %(probes)s
        -- Each its own, so that nobody is met twice; the last also meets the last lead.
        AND id < ends.low + ends.width * (step + 1) / %(probes)s + (step = %(probes)s - 1)::int
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
    """Leads told apart by a test, and how many of the base each one of them stands for: one, where all of a
    small base were looked at."""

    inside: list[int]
    outside: list[int]
    inside_each: float
    outside_each: float


def split(test: str, args: Mapping[str, Any], base: int, band: tuple[int, int]) -> Split:
    """Tell the living leads apart by a condition over `l`, the lead, and `o`, its stored score.

    Of a large base few leads pass, and a spread would hardly meet one: they are looked for among the stored
    totals of `band`, which have an index. `test` is text of the house, never of a user; its values are bound
    by name. One query, of a large base three.
    """
    if base <= BOUND:
        found = _told(test, _ALL, "TRUE", args)
        return Split([i for i, hit in found if hit], [i for i, hit in found if not hit], 1.0, 1.0)
    bounds = {"low_total": band[0], "high_total": band[1]}
    between = "o.total BETWEEN %(low_total)s AND %(high_total)s"
    spread = _told(test, _PROBED, "TRUE", {**args, "probes": PROBES})
    every_one = base / len(spread) if spread else 1.0
    with connection.cursor() as cursor:
        text = f"SELECT count(*) FROM (SELECT FROM scoring_leadscore o WHERE {between} LIMIT %(most)s) x"  # noqa: S608
        cursor.execute(text, {**bounds, "most": COUNTED + 1})
        there = int(cursor.fetchone()[0])
    if there > COUNTED:
        # So many that the spread says well enough how many there are.
        there = round(every_one * len(_told(between, _PROBED, between, {**bounds, "probes": PROBES})))
    if there > max(READ, base // WIDE):
        # Among so many a closer spread meets enough of them, and does not read them all.
        closer = {**args, **bounds, "probes": PROBES * base // there}
        near = _told(f"({test}) AND {between}", _PROBED, "TRUE", closer)
        each = base / len(near)
    else:
        step = max(1, there // PROBES)
        which = f"{between} AND o.lead_id %% %(step)s = 0"
        near, each = _told(test, _ALL, which, {**args, **bounds, "step": step}), float(step)
    return Split([i for i, hit in near if hit], [i for i, hit in spread if not hit], each, every_one)


def _told(test: str, rows: str, which: str, args: Mapping[str, Any]) -> list[tuple[int, bool]]:
    text = (
        f"SELECT l.id, COALESCE({test}, FALSE) FROM {rows}"  # noqa: S608 - text of the house
        " LEFT JOIN scoring_leadscore o ON o.lead_id = l.id"
        f" WHERE l.merged_into_id IS NULL AND l.erased_at IS NULL AND {which} ORDER BY l.id"
    )
    with connection.cursor() as cursor:
        cursor.execute(text, dict(args))
        return list(cursor.fetchall())


def every(ids: Sequence[int], most: int) -> list[int]:
    """Up to `most` of these, at even distances; always the same ones."""
    if len(ids) <= most:
        return list(ids)
    return [ids[place * len(ids) // most] for place in range(most)]
