"""Counts of a cohort from its kept days and weeks: the same numbers as over its leads, without reading them.

The kept sums are taken, less the leads that went a step after the instant of looking or about which
something was written since the mark; those are counted one by one, as they were or are.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from feedback.reports import journeys
from feedback.reports.base import NO_SOURCE, Filters
from feedback.reports.behind import Part
from feedback.reports.cube import ALL, Counts, Cube, Listed, Measure, Relation, page_of_ids
from feedback.reports.keeping import COUNTED, STEPS
from feedback.reports.spans import gone
from feedback.reports.weeks import within

_CUT = ", ".join(f"CASE WHEN {step}_at <= %(at)s THEN {step}_at END AS {step}_at" for step in STEPS)
_WHO = "lead_id, first_source, first_campaign_id, persona, stage, open_state, created_at"
_RAW = f"{_WHO}, {', '.join(f'{step}_at' for step in STEPS)}, undated"
_STEPS = f"{_WHO}, {_CUT}, undated"
_FULL = "created_at >= %(from)s AND created_at < %(until)s"
_EDGES = (
    "created_at >= %(low)s AND created_at < least(%(from)s, %(high)s)",
    "created_at >= greatest(%(until)s, %(from)s, %(low)s) AND created_at < %(high)s",
)
_NOT_MOVED = "NOT EXISTS (SELECT 1 FROM moved WHERE moved.id = j.lead_id)"
_AT_EDGES = " ".join(
    f"UNION ALL SELECT 1, {_STEPS} FROM feedback_leadjourney j"  # noqa: S608 ours
    f" WHERE NOT gone AND created_at <= %(at)s AND {edge} AND {_NOT_MOVED}"
    for edge in _EDGES
)
# `one` has the leads that do not stand in the sums as they count: less than they gave (`w` -1), more (+1).
_ONE = f"""
    off AS MATERIALIZED (
        SELECT lead_id FROM feedback_leadjourney WHERE NOT gone AND last_at > %(at)s AND {_FULL}
        UNION SELECT j.lead_id FROM feedback_leadjourney j JOIN moved ON moved.id = j.lead_id
        WHERE NOT gone AND {_FULL}),
    stray AS MATERIALIZED (
        SELECT one.*, EXISTS (SELECT 1 FROM moved WHERE moved.id = one.lead_id) AS moved
        FROM off CROSS JOIN LATERAL (
            SELECT {_RAW} FROM feedback_leadjourney j WHERE j.lead_id = off.lead_id OFFSET 0) one),
    one AS (
        SELECT -1 AS w, {_RAW} FROM stray
        UNION ALL SELECT 1, {_STEPS} FROM stray WHERE created_at <= %(at)s AND NOT moved
        {_AT_EDGES}
        UNION ALL SELECT 1, {_STEPS.replace("persona", "%(fresh_persona)s")} FROM live
            WHERE NOT gone AND created_at <= %(at)s)"""  # noqa: S608
# One row per day or week and kind of lead, and one or two per lead of `one`.
_DAYS = f"""
        SELECT NULL::bigint AS lead_id, first_source, first_campaign_id, persona, stage, open_state,
            {", ".join(COUNTED)}
        FROM feedback_journeyday WHERE day >= %(first)s AND day < %(end)s
        UNION ALL SELECT lead_id, first_source, first_campaign_id, persona, stage, open_state,
            {", ".join(f"CASE WHEN {holds} THEN w ELSE 0 END" for holds in COUNTED.values())} FROM one"""  # noqa: S608
_WEEKS = f"""
        SELECT NULL::bigint AS lead_id, first_source, first_campaign_id, persona, span, tenths, n
        FROM feedback_spanweek WHERE week >= %(first)s AND week < %(end)s
        UNION ALL SELECT lead_id, first_source, first_campaign_id, persona, span, tenths, w
        FROM ({gone("lead_id, first_source, first_campaign_id, persona, w", "one")}) g"""  # noqa: S608

_OF_ROWS = gone("source, n", "(SELECT *, 1 AS n FROM base) one")


def _days(filters: Filters, low: datetime, high: datetime) -> tuple[date, date]:
    """The whole days between two instants, from the first until before the second."""
    zone = ZoneInfo(filters.zone)
    first, end = low.astimezone(zone).date(), high.astimezone(zone).date()
    if _midnight(first, zone) < low:
        first += timedelta(days=1)
    return first, max(first, end)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


_Parts = tuple[str, list[str], dict[str, Any]]


def _parts(filters: Filters, parts: str, *, weeks: bool = False) -> _Parts | None:
    """`part` with the kept sums and what is to be put right in them; the conditions on it; what is bound.

    None where sums are not kept, or not by what is asked (a team, another zone).
    """
    kept = journeys.kept(filters)
    if kept is None or kept.zone != filters.zone or filters.team:
        return None
    low, high = journeys.limits(filters)
    high = max(low, high)
    first, end = _days(filters, low, high)
    if weeks:
        whole = within(first, end)
        first, end = whole.first, whole.until
    where, bound = journeys.narrowed(filters, kept.mark, "p")
    zone = ZoneInfo(filters.zone)
    bound |= {"low": low, "high": high, "first": first, "end": end}
    bound |= {"from": _midnight(first, zone), "until": _midnight(end, zone)}
    return f"{journeys.MOVED_AND_LIVE}, {_ONE}, part AS ({parts})", where, bound


def relation(filters: Filters) -> Relation | None:
    """`base` with the columns source, campaign, campaign_id, stage, open_state and the counts of each row, to
    be summed.

    None where days are not kept, or not by what is asked.
    """
    found = _parts(filters, _DAYS)
    if found is None:
        return None
    text, where, bound = found
    columns = ", ".join(f"p.{name}" for name in ("stage", "open_state", *COUNTED))
    text += f""",
    base AS (SELECT coalesce(nullif(p.first_source, ''), '{NO_SOURCE}') AS source, c.code AS campaign,
                    p.first_campaign_id AS campaign_id, {columns}
             FROM part p LEFT JOIN leads_campaign c ON c.id = p.first_campaign_id
             WHERE {" AND ".join(where) or "true"})"""  # noqa: S608 the pieces are ours
    return Relation(text, bound)


def lengths(filters: Filters) -> Relation:
    """`lengths` with the columns source, span, tenths (of a day) and n leads of the cohort, to be summed."""
    found = _parts(filters, _WEEKS, weeks=True)
    if found is None:
        rows = journeys.cohort(filters)
        return Relation(f"{rows.text}, lengths AS ({_OF_ROWS})", rows.bound)
    text, where, bound = found
    text += f""",
    lengths AS (SELECT coalesce(nullif(p.first_source, ''), '{NO_SOURCE}') AS source, p.span, p.tenths, p.n
                FROM part p WHERE {" AND ".join(where) or "true"})"""  # noqa: S608 the pieces are ours
    return Relation(text, bound)


@dataclass(frozen=True)
class Cohort(Cube):
    """A cube over the cohort of entry that counts from the kept days where it can."""

    few: Callable[[Filters], Relation] | None = None

    def count(self, filters: Filters, *dims: str) -> Counts:
        """As `Cube.count`; measures with `days` come from the sums, the others from the leads in `few`."""
        days = relation(filters) if any(one.days for one in self.measures.values()) else None
        if days is None:
            return super().count(filters, *dims)
        summed = {
            name: Measure(one.words, custom=f"coalesce(sum({one.days}), 0)::bigint")
            for name, one in self.measures.items()
            if one.days
        }
        rest = {name: one for name, one in self.measures.items() if not one.days}
        found = Cube(self.relation, summed, self.dims).read(days, *dims, having="sum(leads) > 0")
        more: Counts = {}
        if rest:
            more = Cube(self.relation, rest, self.dims).read((self.few or self.relation)(filters), *dims)
        nothing = {name: None if one.custom else 0 for name, one in self.measures.items()}
        if ALL not in found:
            found[ALL] = dict.fromkeys(summed, 0)
        counts: Counts = defaultdict(lambda: dict(nothing))
        for place, numbers in found.items():
            counts[place] = nothing | numbers | more.get(place, {})
        return counts

    def listed(self, cell: str, filters: Filters, start: int, size: int) -> Listed:
        """A page of the leads behind a cell: counted from the days, read from where it begins."""
        if cell.startswith("before."):
            return self.listed(cell.removeprefix("before."), filters.before, start, size)
        measure, dim, key = self._read(cell)
        one = self.measures[measure]
        filters = journeys.marked(filters)
        if not one.days:
            return page_of_ids(self.drill(cell, filters), start, size)
        counts = replace(self, measures={measure: one}).count(filters, *([dim] if dim else []))
        total = counts.get((dim, key) if dim else ALL, {}).get(measure, 0)
        return self._part(cell, filters).page(start, size, total), total

    def walked(self, cell: str, filters: Filters) -> Iterator[list[int]]:
        """The ids behind a cell, the newest first, a chunk at a time."""
        if cell.startswith("before."):
            return self.walked(cell.removeprefix("before."), filters.before)
        return self._part(cell, journeys.marked(filters)).chunks()

    def _part(self, cell: str, filters: Filters) -> Part:
        where, bound = self._where(*self._read(cell))
        return Part(filters, where, bound)
