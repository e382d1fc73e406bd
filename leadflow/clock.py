"""The one clock of the house.

Everything that needs "now" asks here, so that tests and the demo company can live at another time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from zoneinfo import available_timezones

_fixed: ContextVar[datetime | None] = ContextVar("leadflow_clock", default=None)


def now() -> datetime:
    """The present instant, aware, in UTC; the injected one inside `use`."""
    return _fixed.get() or datetime.now(UTC)


@contextmanager
def use(at: datetime) -> Iterator[None]:
    """Let `now()` answer `at` inside the block. Raises ValueError for a naive datetime."""
    if at.tzinfo is None:
        raise ValueError("the clock takes an aware datetime")
    token = _fixed.set(at.astimezone(UTC))
    try:
        yield
    finally:
        _fixed.reset(token)


def is_injected() -> bool:
    """Whether somebody holds the clock; waking real workers makes no sense then."""
    return _fixed.get() is not None


@cache
def zone_names() -> frozenset[str]:
    """Every time zone that this machine knows: read from its files once, which takes 10 ms and more."""
    return frozenset(available_timezones())
