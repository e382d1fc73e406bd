"""The leads behind a figure of a cohort: a page of them, or all in parts, read from where they begin."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from feedback.reports import journeys
from feedback.reports.base import Filters

# Leads in one statement of a download.
CHUNK = 2000
_ROW = journeys.ROW.format(campaign="(SELECT c.code FROM leads_campaign c WHERE c.id = e.first_campaign_id)")
# Not an anti join: that would forget the order in which the rows come out of their index.
_KEPT = f"""
    SELECT created_at, lead_id FROM ({_ROW} FROM feedback_leadjourney e
        WHERE NOT e.gone AND {{where}} AND e.created_at >= %(low)s AND e.created_at < %(high)s
          AND e.lead_id NOT IN (SELECT id FROM moved)) base
    WHERE {{holds}} {{order}} LIMIT %(start)s + %(size)s"""  # noqa: S608
_LIVE = f"""
    SELECT created_at, lead_id FROM ({_ROW} FROM (
            SELECT *, %(fresh_persona)s AS persona FROM live WHERE NOT gone) e WHERE {{where}}) base
    WHERE {{holds}}"""  # noqa: S608
_Row = tuple[datetime, int]


@dataclass(frozen=True)
class Part:
    """Leads of a cohort for which `holds` is true, over the columns of `journeys.cohort`.

    `ctes` (each followed by a comma) go before it.
    """

    filters: Filters
    holds: str
    bound: Mapping[str, Any]
    ctes: str = ""

    def page(self, start: int, size: int, total: int) -> list[int]:
        """Ids of a page, the newest first. `total` says how many there are: the end is read from the end, and
        nothing is looked for behind the last one.
        """
        size = max(0, min(size, total - start))
        if not size:
            return []
        if start <= total / 2:
            return [lead for _, lead in self._read("DESC", start, size)]
        rows = self._read("ASC", total - start - size, size)
        return [lead for _, lead in reversed(rows)]

    def chunks(self) -> Iterator[list[int]]:
        """All ids, the newest first: each part is read from where the one before ended."""
        rows = self._read("DESC", 0, CHUNK)
        while rows:
            yield [lead for _, lead in rows]
            rows = self._read("DESC", 0, CHUNK, rows[-1])

    def _read(self, way: str, start: int, size: int, after: _Row | None = None) -> list[_Row]:
        found = journeys.kept(self.filters)
        where, bound = journeys.wanted(self.filters, found)
        if after:
            where += ["e.created_at <= %(at_last)s", "(e.created_at, e.lead_id) < (%(at_last)s, %(last)s)"]
            bound |= {"at_last": after[0], "last": after[1]}
        order = f"ORDER BY created_at {way}, lead_id {way}"
        pieces = {"where": " AND ".join(where), "holds": self.holds, "order": order}
        rows = f"({_KEPT.format(**pieces)}) UNION ALL {_LIVE.format(**pieces)}"
        text = f"{journeys.MOVED_AND_LIVE}, page AS ({rows})"
        if not found:
            text = f"{journeys.LIVE_ALONE}, page AS ({_LIVE.format(**pieces)})"
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH {self.ctes} {text} SELECT created_at, lead_id FROM page "  # noqa: S608 ours
                f"{order} LIMIT %(size)s OFFSET %(start)s",
                {**bound, **self.bound, "start": start, "size": size},
            )
            return list(cursor.fetchall())
