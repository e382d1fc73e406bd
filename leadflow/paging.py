"""A long list in pages: counted only as far as anybody turns pages."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet
from django.core.paginator import EmptyPage, Page, PageNotAnInteger, Paginator
from django.db import connection
from django.db.models import IntegerField, QuerySet, Subquery

COUNTED = 10_000

if TYPE_CHECKING:
    Base = Paginator[Any]
else:
    Base = Paginator


class LongPaginator(Base):
    """Counts up to `most` rows and then stops: nobody turns to page 201 of a million leads.

    `first_ids`: the rows of a page are chosen by their ids alone before they are read, so that what is
    sorted is narrow however wide a row is. Such rows have no annotations.
    """

    object_list: QuerySet[Any]

    def __init__(
        self, rows: QuerySet[Any], size: int, *, most: int = COUNTED, first_ids: bool = False
    ) -> None:
        super().__init__(rows, size)
        self.most, self.first_ids = most, first_ids

    @cached_property
    def seen(self) -> int:
        """How many rows there are, at most one more than is counted."""
        return self.object_list.order_by()[: self.most + 1].count()

    @cached_property
    def count(self) -> int:
        """Rows that can be paged to."""
        return min(self.seen, self.most)

    @property
    def more(self) -> bool:
        """Whether there are more rows than can be paged to."""
        return self.seen > self.most

    def page(self, number: Any) -> Page[Any]:
        """One page; raises EmptyPage, PageNotAnInteger."""
        if not self.first_ids:
            return super().page(number)
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        asked = self.object_list.query
        ids = self.object_list.values("pk")[first : min(first + self.per_page, self.count)]
        rows = self.object_list.model._default_manager.filter(pk__in=ids).order_by(*asked.order_by)
        rows.query.select_related = asked.select_related
        return Page(rows, number, self)


def page_of(
    rows: QuerySet[Any],
    number: str | None,
    size: int = 50,
    seen: int | None = None,
    *,
    most: int = COUNTED,
    first_ids: bool = False,
) -> Page[Any]:
    """The page asked for; the first for nonsense, the last for one too far. `seen`: counted before."""
    paginator = LongPaginator(rows, size, most=most, first_ids=first_ids)
    if seen is not None:
        paginator.seen = seen
    try:
        return paginator.page(number or 1)
    except PageNotAnInteger:
        return paginator.page(1)
    except EmptyPage:
        return paginator.page(paginator.num_pages)


def counts_of(lists: Mapping[str, QuerySet[Any]], most: int = COUNTED) -> dict[str, int]:
    """How many rows each list has, at most one more than `most`; one query."""
    parts: list[str] = []
    bound: list[Any] = []
    for rows in lists.values():
        try:
            text, params = rows.order_by().values("pk")[: most + 1].query.sql_with_params()
        except EmptyResultSet:
            text, params = "SELECT 1 WHERE FALSE", ()
        parts.append(f"(SELECT count(*) FROM ({text}) counted)")  # noqa: S608 the ORM's own
        bound += params
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}", bound)
        return dict(zip(lists, cursor.fetchone(), strict=True))


class CountOf(Subquery):
    """The number of rows as a column, so that several counts come in one query."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()


def count_of(rows: QuerySet[Any]) -> CountOf:
    """These rows counted as a column of another query; a slice is counted as far as it goes."""
    return CountOf((rows if rows.query.is_sliced else rows.order_by()).values("pk"))


def in_words(count: int, most: int = COUNTED) -> str:
    """Writes "5,038", "10,000+" for what was counted no further."""
    return f"{most:,}+" if count > most else f"{count:,}"
