"""Sums by week of what reports count, so that years are added up from a few thousand numbers.

They are kept by difference: whenever kept rows of some leads are written anew, what these leads gave to the
sums before is taken out and what they give now put in, in the same transaction. Nothing else is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import connection

from feedback.reports.base import Filters

# The week of an instant of kept rows: its Monday in the company's zone.
WEEK = "date_trunc('week', {at} AT TIME ZONE %(zone)s)::date"


@dataclass(frozen=True)
class Weekly:
    """`table` holds numbers by `week` and `keys` (columns with their types) that sum up kept rows.

    `rows` selects week, keys and numbers over the kept rows for which `{which}` (over their `lead_id`) is
    true, grouped; the zone is bound as %(zone)s. Whole numbers and decimals only: they take out exactly what
    was put in.
    """

    table: str
    keys: Mapping[str, str]
    numbers: Mapping[str, str]
    rows: str

    def of(self, ids: Sequence[int], zone: str) -> str:
        """What these leads give to the sums, as their rows are kept now (JSON)."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT coalesce(json_agg(r), '[]')::text FROM ({self._rows('lead_id = ANY(%(ids)s)')}) r",  # noqa: S608
                {"ids": list(ids), "zone": zone},
            )
            return str(cursor.fetchone()[0])

    def move(self, was: str, ids: Sequence[int], zone: str) -> None:
        """Take out what the leads gave and put in what they give now."""
        keys = ["week", *self.keys]
        typed = {"week": "date"} | dict(self.keys) | dict(self.numbers)
        nothing = " AND ".join(f"sum({name}) = 0" for name in self.numbers)
        empty = " AND ".join(f"{name} = 0" for name in self.numbers)
        with connection.cursor() as cursor:
            cursor.execute(
                f"""INSERT INTO {self.table} AS t ({", ".join(typed)})
                SELECT {", ".join(keys)}, {", ".join(f"sum({name})" for name in self.numbers)} FROM (
                    SELECT {", ".join(keys)}, {", ".join(f"-{name} AS {name}" for name in self.numbers)}
                    FROM json_to_recordset(%(was)s::json)
                        AS o({", ".join(f"{name} {kind}" for name, kind in typed.items())})
                    UNION ALL {self._rows("lead_id = ANY(%(ids)s)")}) d
                GROUP BY {", ".join(keys)} HAVING NOT ({nothing})
                ON CONFLICT ({", ".join(keys)}) DO UPDATE
                SET {", ".join(f"{name} = t.{name} + excluded.{name}" for name in self.numbers)}""",  # noqa: S608
                {"was": was, "ids": list(ids), "zone": zone},
            )
            cursor.execute(f"DELETE FROM {self.table} WHERE {empty}")  # noqa: S608 ours

    def rebuild(self, zone: str) -> None:
        """Sum everything that is kept anew, in another zone maybe."""
        columns = ", ".join(["week", *self.keys, *self.numbers])
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {self.table}")  # noqa: S608 ours
            cursor.execute(
                f"INSERT INTO {self.table} ({columns}) {self._rows('true')}",
                {"zone": zone},
            )

    def _rows(self, which: str) -> str:
        return self.rows.format(which=which)


@dataclass(frozen=True)
class Whole:
    """The whole weeks of a period, from the Monday `first` until before the Monday `until`; none if they
    are the same."""

    first: date
    until: date


def whole(filters: Filters, *, before: date | None = None) -> Whole:
    """The whole weeks within the period, of those that ended before the day `before`."""
    end = filters.end + timedelta(days=1)
    return within(filters.start, min(end, before) if before else end)


def within(first: date, end: date) -> Whole:
    """The whole weeks from the day `first` until before the day `end`."""
    monday = first + timedelta(days=-first.weekday() % 7)
    return Whole(monday, max(monday, end - timedelta(days=end.weekday())))
