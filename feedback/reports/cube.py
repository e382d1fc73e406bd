"""One relation, counted by measures along dimensions: figures, the leads behind each, and their words.

A report names a relation (SQL that ends in a `base` with one row per lead), its measures (a condition over
`base`) and its dimensions (a text column over `base`). Counting, drilling and wording are the same for all.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from feedback.reports.base import Filters
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Lead

ALL = ("", "")
Number = int | Decimal


class Known(QuerySet[Lead]):
    """Leads whose ids are known: a page of them asks for no more than its own rows."""

    ids: Sequence[int] = ()


def leads_of(ids: Sequence[int]) -> QuerySet[Lead]:
    """The leads of these ids, which may be a hundred thousand: they go over as one value."""
    found = RawSQL("SELECT unnest(%s::bigint[])", ["{" + ",".join(map(str, ids)) + "}"])
    leads = Known(Lead).filter(pk__in=found)
    leads.ids = ids
    return leads


# Ids of a page, newest leads first, and how many there are in all.
Listed = tuple[list[int], int]


def page_of_ids(found: QuerySet[Lead], start: int, size: int) -> Listed:
    """`size` of these leads from the place `start` on."""
    if isinstance(found, Known):
        # Who came later has the higher number.
        return sorted(found.ids, reverse=True)[start : start + size], len(found.ids)
    rows = found.order_by("-pk").values_list("pk", flat=True)
    return list(rows[start : start + size]), rows.count()


@dataclass(frozen=True)
class Relation:
    """`text`: common table expressions, of which `base` has a `lead_id`; `bound`: the values in them.

    `parts` are the expressions whose rows together are `base`: to count, each is read by itself, because a
    plan gets more out of a table than out of a union. `whole` is one with the same columns and one row per
    lead, where `base` has more of them: all leads are counted there.
    """

    text: str
    bound: Mapping[str, Any]
    parts: Sequence[str] = ("base",)
    whole: str = ""


@dataclass(frozen=True)
class Measure:
    """Rows of `base` for which `holds` is true are counted; `words` say which leads that are.

    With `sums` the expression is summed over them instead (money). With `middle`, a wait in seconds, half of
    them waited no longer than that; it is counted by wait, so waits are rounded. `custom` is an
    aggregate of its own. The cell of each leads to the same leads. `days` names the count of `JourneyDay`
    that says the same.
    """

    words: str
    holds: str = "true"
    sums: str = ""
    middle: str = ""
    custom: str = ""
    days: str = ""

    @property
    def column(self) -> str:
        """The aggregate of the measure."""
        if self.custom:
            return self.custom
        if self.sums:
            return f"coalesce(sum({self.sums}) FILTER (WHERE {self.holds}), 0)"
        return f"count(*) FILTER (WHERE {self.holds})"

    @property
    def nothing(self) -> int | None:
        """What it says of no rows."""
        return None if self.middle or self.custom else 0


@dataclass(frozen=True)
class Dim:
    """A column over `base` that parts its rows; `names` finds words for its keys, `label` heads its column.

    Keys are its values as text, `none` for a row without one.
    """

    label: str
    column: str
    names: Callable[[Collection[str]], Mapping[str, str]] | None = None
    none: str = ""

    @property
    def key(self) -> str:
        """The key of a row."""
        return f"coalesce(({self.column})::text, '{self.none}')"

    def named(self, keys: Collection[str]) -> dict[str, str]:
        """Words for each key."""
        found = self.names(keys) if self.names else {}
        return {key: found.get(key, key) for key in keys}


# Half of the leads of each place waited no longer than `middle`; `fine` counts them by wait.
_MIDDLE = """,
    waits AS (SELECT {place}, wait, sum(n) AS n FROM fine WHERE wait IS NOT NULL {sets}),
    ranked AS (
        SELECT dim, key, wait, sum(n) OVER (PARTITION BY dim, key ORDER BY wait)::bigint AS until,
               sum(n) OVER (PARTITION BY dim, key)::bigint AS whole FROM waits),
    middles AS (
        SELECT dim, key, ((min(wait) FILTER (WHERE until > (whole - 1) / 2))::float8
               + min(wait) FILTER (WHERE until > whole / 2)) / 2 AS middle
        FROM ranked GROUP BY dim, key)"""


def _sets(columns: Sequence[str], *within: str, all_of: bool = True) -> str:
    """Groups of all and along each column."""
    sets = [", ".join([*one, *within]) for one in ([], *([column] for column in columns)) if one or all_of]
    return f"GROUP BY GROUPING SETS ({', '.join(f'({one})' for one in sets)})" if columns or within else ""


def _place(columns: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Which dimension (-1: of all) a group belongs to, and its key there."""
    if not columns:
        return ["-1 AS dim", "'' AS key"]
    dim = " ".join(f"WHEN grouping({column}) = 0 THEN {n}" for n, column in enumerate(columns))
    key = " ".join(
        f"WHEN grouping({column}) = 0 THEN {key}" for column, key in zip(columns, keys, strict=True)
    )
    return [f"CASE {dim} ELSE -1 END AS dim", f"CASE {key} ELSE '' END AS key"]


# (dimension, key) → measure → number; of all rows under ("", "").
Counts = dict[tuple[str, str], dict[str, Any]]


@dataclass(frozen=True)
class Cube:
    """The figures of a report.

    A cell is `measure` or `measure@dimension=key`; `before.` in front is the period before.
    """

    relation: Callable[[Filters], Relation]
    measures: Mapping[str, Measure]
    dims: Mapping[str, Dim]
    period: str = "{words}"

    def only(self, *measures: str) -> "Cube":
        """The same with fewer measures: for the period before, of which little is shown."""
        return replace(self, measures={name: self.measures[name] for name in measures})

    def count(self, filters: Filters, *dims: str) -> Counts:
        """Every measure, of all and along each of `dims`."""
        return self.read(self.relation(filters), *dims)

    def read(self, relation: Relation, *dims: str, having: str = "true") -> Counts:
        """The same over a relation; of aggregates of their own only groups for which `having` holds.

        One statement, and one more for each middle value after the first.
        """
        nothing = {name: one.nothing for name, one in self.measures.items()}
        counts: Counts = defaultdict(lambda: dict(nothing))
        for names, statement in self._statements(relation, dims, having):
            with connection.cursor() as cursor:
                cursor.execute(f"WITH {relation.text}{statement}", relation.bound)
                for dim, key, *numbers in cursor.fetchall():
                    place = ALL if dim < 0 else (dims[dim], key)
                    counts[place] |= zip(names, numbers, strict=True)
        return counts

    def _statements(
        self, relation: Relation, dims: Sequence[str], having: str
    ) -> Iterator[tuple[list[str], str]]:
        """Statements with the names of what they count; a row begins with its dimension's number and key."""
        if any(one.custom for one in self.measures.values()):
            yield list(self.measures), self._at_once(dims, having)
            return
        middles = [name for name, one in self.measures.items() if one.middle]
        numbers = [name for name, one in self.measures.items() if not one.middle]
        first = middles[:1]
        if numbers:
            yield [*numbers, *first], self._in_steps(relation, dims, numbers, *first)
        for name in middles[1:] if numbers else middles:
            yield [name], self._in_steps(relation, dims, [], name)

    def _at_once(self, dims: Sequence[str], having: str) -> str:
        columns = [self.dims[dim].key for dim in dims]
        picked = [*_place(columns, columns), *(one.column for one in self.measures.values())]
        return f" SELECT {', '.join(picked)} FROM base {_sets(columns)} HAVING {having}"  # noqa: S608 ours

    def _in_steps(
        self, relation: Relation, dims: Sequence[str], numbers: Sequence[str], middle: str = ""
    ) -> str:
        """Count by all dimensions (and the wait) together first: few rows, to be added up along each."""
        columns = [f"d{n}" for n in range(len(dims))]
        place = ", ".join(
            _place(columns, [replace(self.dims[d], column=c).key for c, d in zip(columns, dims, strict=True)])
        )
        text = self._fine(relation, dims, numbers, middle)
        if middle:
            text += _MIDDLE.format(place=place, sets=_sets(columns, "wait"))
        if not numbers:
            return f"{text} SELECT dim, key, middle FROM middles"  # noqa: S608 ours
        sums = ", ".join(f"coalesce(sum(m{n}), 0) AS m{n}" for n in range(len(numbers)))
        apart = bool(columns and relation.whole)
        counted = f"SELECT {place}, {sums} FROM fine {_sets(columns, all_of=not apart)}"  # noqa: S608 ours
        if apart:
            whole = ", ".join(self.measures[name].column for name in numbers)
            counted += f" UNION ALL SELECT -1, '', {whole} FROM {relation.whole}"  # noqa: S608 ours
        if not middle:
            return f"{text} {counted}"
        return f"""{text}, counted AS ({counted})
            SELECT counted.*, middle FROM counted LEFT JOIN middles USING (dim, key)"""  # noqa: S608 ours

    def _fine(self, relation: Relation, dims: Sequence[str], numbers: Sequence[str], middle: str) -> str:
        wait = self.measures[middle] if middle else None
        keys = [f"{self.dims[dim].column} AS d{n}" for n, dim in enumerate(dims)]
        keys += [f"CASE WHEN {wait.holds} THEN {wait.middle} END AS wait"] if wait else []
        where = f"WHERE {wait.holds}" if wait and not numbers else ""
        grouped = f"GROUP BY {', '.join(str(n + 1) for n in range(len(keys)))}" if keys else ""
        measures = [self.measures[name] for name in numbers]
        counts = [f"{one.column}{'' if one.sums else '::int'} AS m{n}" for n, one in enumerate(measures)]
        picked = ", ".join([*keys, *counts, "count(*)::int AS n"])
        rows = " UNION ALL ".join(
            f"SELECT {picked} FROM {part} {where} {grouped}"  # noqa: S608 ours
            for part in ([relation.whole] if relation.whole and not dims else relation.parts)
        )
        return f", fine AS MATERIALIZED ({rows})"

    def drill(self, cell: str, filters: Filters) -> QuerySet[Lead]:
        """The leads behind a cell. Raises BadInput for a cell that is none."""
        if cell.startswith("before."):
            return self.drill(cell.removeprefix("before."), filters.before)
        measure, dim, key = self._read(cell)
        relation = self.relation(filters)
        where, bound = self._where(measure, dim, key)
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH {relation.text} SELECT DISTINCT lead_id FROM base WHERE {where}",  # noqa: S608 ours
                {**relation.bound, **bound},
            )
            return leads_of([row[0] for row in cursor.fetchall()])

    def listed(self, cell: str, filters: Filters, start: int, size: int) -> Listed:
        """A page of the leads behind a cell, and how many there are."""
        return page_of_ids(self.drill(cell, filters), start, size)

    def _where(self, measure: str, dim: str, key: str) -> tuple[str, dict[str, str]]:
        where = f"({self.measures[measure].holds})"
        if dim:
            where += f" AND {self.dims[dim].key} = %(cell_key)s"
        return where, {"cell_key": key}

    def words(self, cell: str, filters: Filters) -> str:
        """What a cell counts, for the head of the list of its leads."""
        period = filters
        if cell.startswith("before."):
            cell, period = cell.removeprefix("before."), filters.before
        measure, dim, key = self._read(cell)
        text = f"{self.measures[measure].words}, {self.period.format(words=period.words)}"
        if dim:
            text += f", {self.dims[dim].label.lower()}: {self.dims[dim].named([key])[key] or 'none'}"
        return text[:1].upper() + text[1:]

    def _read(self, cell: str) -> tuple[str, str, str]:
        measure, _, place = cell.partition("@")
        dim, _, key = place.partition("=")
        if measure not in self.measures or (place and dim not in self.dims) or "\x00" in key:
            raise BadInput("This figure is not in the report.", [Fault("cell", "Open it from the report.")])
        return measure, dim, key
