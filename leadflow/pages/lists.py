"""A long list in pages: counted only as far as anybody turns pages."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.paginator import EmptyPage, Page, PageNotAnInteger, Paginator
from django.db.models import QuerySet

COUNTED = 10_000

if TYPE_CHECKING:
    Base = Paginator[Any]
else:
    Base = Paginator


class LongPaginator(Base):
    """Counts up to 10,000 rows and then stops: nobody turns to page 201 of a million leads."""

    object_list: QuerySet[Any]

    @cached_property
    def seen(self) -> int:
        """How many rows there are, at most one more than is counted."""
        return self.object_list.order_by()[: COUNTED + 1].count()

    @cached_property
    def count(self) -> int:
        """Rows that can be paged to."""
        return min(self.seen, COUNTED)

    @property
    def more(self) -> bool:
        """Whether there are more rows than can be paged to."""
        return self.seen > COUNTED


def page_of(rows: QuerySet[Any], number: str | None, size: int = 50) -> Page[Any]:
    """The page asked for; the first for nonsense, the last for one too far."""
    paginator = LongPaginator(rows, size)
    try:
        return paginator.page(number or 1)
    except PageNotAnInteger:
        return paginator.page(1)
    except EmptyPage:
        return paginator.page(paginator.num_pages)
