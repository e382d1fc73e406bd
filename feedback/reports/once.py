"""Small facts that one page asks for in several places: looked up once for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_found: ContextVar[dict[Any, Any] | None] = ContextVar("found", default=None)


@contextmanager
def asking_once() -> Iterator[None]:
    """As long as one page or report is made, what is `once` is asked once; outside of it each time anew."""
    token = _found.set({})
    try:
        yield
    finally:
        _found.reset(token)


def once(ask: Callable[P, T]) -> Callable[P, T]:
    """A look-up whose answer does not change while a page is made; its arguments must be hashable."""

    @wraps(ask)
    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        found = _found.get()
        if found is None:
            return ask(*args, **kwargs)
        key = (ask, args, tuple(sorted(kwargs.items())))
        if key not in found:
            found[key] = ask(*args, **kwargs)
        answer: T = found[key]
        return answer

    return asked
