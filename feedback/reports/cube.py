"""One relation, counted by measures along dimensions: figures, the leads behind each, and their words.

A report names a relation (SQL that ends in a `base` with one row per lead), its measures (a condition over
`base`) and its dimensions (a text column over `base`). Counting, drilling and wording are the same for all.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
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
    """`text`: common table expressions, of which `base` has a `lead_id`; `bound`: the values in them."""

    text: str
    bound: Mapping[str, Any]


@dataclass(frozen=True)
class Measure:
    """Rows of `base` for which `holds` is true are counted; `words` say which leads that are.

    With `sums` the expression is summed over them instead (money); `custom` is an aggregate of its own (a
    middle value), of which the cell leads to the same leads. `days` names the count of `JourneyDay` that says
    the same.
    """

    words: str
    holds: str = "true"
    sums: str = ""
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


@dataclass(frozen=True)
class Dim:
    """A text over `base` that parts its rows; `names` finds words for its keys, `label` heads its column."""

    label: str
    column: str
    names: Callable[[Collection[str]], Mapping[str, str]] | None = None

    def named(self, keys: Collection[str]) -> dict[str, str]:
        """Words for each key."""
        found = self.names(keys) if self.names else {}
        return {key: found.get(key, key) for key in keys}


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

    def count(self, filters: Filters, *dims: str) -> Counts:
        """Every measure, of all and along each of `dims`."""
        return self.read(self.relation(filters), *dims)

    def read(self, relation: Relation, *dims: str, having: str = "true") -> Counts:
        """The same over a relation, in one statement; only groups for which `having` holds."""
        columns = [f"({self.dims[dim].column})::text" for dim in dims]
        sets = ", ".join(["()", *(f"({column})" for column in columns)])
        keys = [f"CASE WHEN grouping({c}) = 0 THEN {n} END, {c}" for n, c in enumerate(columns)]
        picked = ", ".join([*keys, *(measure.column for measure in self.measures.values())])
        grouped = f"GROUP BY GROUPING SETS ({sets})" if dims else ""
        nothing = {name: None if measure.custom else 0 for name, measure in self.measures.items()}
        counts: Counts = defaultdict(lambda: dict(nothing))
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH {relation.text} SELECT {picked} FROM base {grouped} HAVING {having}",  # noqa: S608 ours
                relation.bound,
            )
            for row in cursor.fetchall():
                head, numbers = row[: 2 * len(dims)], row[2 * len(dims) :]
                place = next(
                    (
                        (dims[head[n]], head[n + 1] or "")
                        for n in range(0, len(head), 2)
                        if head[n] is not None
                    ),
                    ALL,
                )
                counts[place] = dict(zip(self.measures, numbers, strict=True))
        return counts

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
            where += f" AND coalesce(({self.dims[dim].column})::text, '') = %(cell_key)s"
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
