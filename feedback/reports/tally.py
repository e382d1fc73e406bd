"""Counts of a cohort from its kept days: the same numbers as over its leads, without reading them.

The days' sums are taken, less the leads that went a step after the instant of looking or about which
something was written since the mark; those are counted one by one, as they were or are.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from feedback.reports import journeys
from feedback.reports.base import NO_SOURCE, Filters
from feedback.reports.cube import ALL, Counts, Cube, Listed, Measure, Relation, page_of_ids
from feedback.reports.keeping import COUNTED, STEPS

_CUT = ", ".join(f"CASE WHEN {step}_at <= %(at)s THEN {step}_at END AS {step}_at" for step in STEPS)
_WHO = "lead_id, first_source, first_campaign_id, persona, stage, created_at"
_RAW = f"{_WHO}, {', '.join(f'{step}_at' for step in STEPS)}, undated"
_STEPS = f"{_WHO}, {_CUT}, undated"
_FULL = "created_at >= %(from)s AND created_at < %(until)s"
_EDGE = """(created_at >= %(low)s AND created_at < least(%(from)s, %(high)s)
    OR created_at >= greatest(%(until)s, %(from)s, %(low)s) AND created_at < %(high)s)"""
_NOT_MOVED = "NOT EXISTS (SELECT 1 FROM moved WHERE moved.id = j.lead_id)"
# `{kept}` from the mark's rows, `{live}` from the ledgers; `part` has one row per day and kind of lead, and
# one or two per lead that does not stand in its day as it was.
_PARTS = f"""
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
        UNION ALL SELECT 1, {_STEPS} FROM feedback_leadjourney j
            WHERE NOT gone AND created_at <= %(at)s AND {_EDGE} AND {_NOT_MOVED}
        UNION ALL SELECT 1, {_STEPS.replace("persona", "%(fresh_persona)s")} FROM live
            WHERE NOT gone AND created_at <= %(at)s),
    part AS (
        SELECT NULL::bigint AS lead_id, first_source, first_campaign_id, persona, stage, {", ".join(COUNTED)}
        FROM feedback_journeyday WHERE day >= %(first)s AND day <= %(last)s
        UNION ALL SELECT lead_id, first_source, first_campaign_id, persona, stage,
            {", ".join(f"CASE WHEN {holds} THEN w ELSE 0 END" for holds in COUNTED.values())} FROM one)"""  # noqa: S608


@dataclass(frozen=True)
class _Span:
    """The instants of a cohort: whole days among them come from their sums, the rest from the rows."""

    low: datetime
    high: datetime
    first: date
    last: date
    start: datetime
    until: datetime


def _span(filters: Filters, low: datetime, high: datetime) -> _Span:
    zone = ZoneInfo(filters.zone)
    first, last = low.astimezone(zone).date(), (high - timedelta(microseconds=1)).astimezone(zone).date()

    def midnight(day: date) -> datetime:
        return datetime.combine(day, time(), zone)

    if midnight(first) < low:
        first += timedelta(days=1)
    if high < midnight(last + timedelta(days=1)):
        last -= timedelta(days=1)
    return _Span(low, high, first, last, midnight(first), midnight(last + timedelta(days=1)))


def relation(filters: Filters) -> Relation | None:
    """`base` with the columns source, campaign, campaign_id, stage and the counts of each row, to be summed.

    None where days are not kept, or not by what is asked (a team, another zone).
    """
    kept = journeys.kept(filters)
    if kept is None or kept.zone != filters.zone or filters.team:
        return None
    low, high = journeys.limits(filters)
    span = _span(filters, low, max(low, high))
    where, bound = journeys.narrowed(filters, kept.mark, "p")
    bound |= {
        "low": span.low,
        "high": span.high,
        "first": span.first,
        "last": span.last,
        "from": span.start,
        "until": span.until,
    }
    text = f"""{journeys.MOVED_AND_LIVE}, {_PARTS},
    base AS (SELECT coalesce(nullif(p.first_source, ''), '{NO_SOURCE}') AS source, c.code AS campaign,
                    p.first_campaign_id AS campaign_id, p.stage, {", ".join(f"p.{name}" for name in COUNTED)}
             FROM part p LEFT JOIN leads_campaign c ON c.id = p.first_campaign_id
             WHERE {" AND ".join(where) or "true"})"""  # noqa: S608 the pieces are ours
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
        if not one.days or relation(filters) is None:
            return page_of_ids(self.drill(cell, filters), start, size)
        counts = replace(self, measures={measure: one}).count(filters, *([dim] if dim else []))
        total = counts.get((dim, key) if dim else ALL, {}).get(measure, 0)
        where, bound = self._where(measure, dim, key)
        rows = self.relation(filters)
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH {rows.text} SELECT lead_id FROM base WHERE {where}"  # noqa: S608 ours
                " ORDER BY created_at DESC, lead_id DESC LIMIT %(size)s OFFSET %(start)s",
                {**rows.bound, **bound, "size": size, "start": start},
            )
            return [row[0] for row in cursor.fetchall()], total
