"""The bar for sales, as the one number that a slider moves."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scoring.document import Document

Json = Any

REACH = 10
TICKS = 6
# Points that no total reaches.
NEVER = 30_000


@dataclass(frozen=True)
class Bar:
    """The bar of a version: `value` points in all, and the range in which others are tried.

    `over` is the agreed condition with the bar at the range's low end, `under` with one that nobody reaches:
    a lead with t points is ready by a bar b as `over` says when t ≥ b, else as `under` says, however the
    condition is built.
    """

    value: int
    low: int
    high: int
    over: Mapping[str, Json]
    under: Mapping[str, Json]

    def tried(self, asked: str) -> int:
        """The bar that an address asks for, else the agreed one."""
        wanted = int(asked) if asked.isdecimal() and len(asked) < 4 else self.value
        return min(max(wanted, self.low), self.high)

    @property
    def ticks(self) -> list[int]:
        """Bars at even distances, both ends among them."""
        steps = TICKS - 1
        return [self.low + round((self.high - self.low) * i / steps) for i in range(TICKS)]


def of(document: Document) -> Bar | None:
    """The bar of a version; None where its condition for sales asks for no total, or for several."""
    raw = document.thresholds.sales_when
    places = _places(raw, ())
    if raw is None or len(places) != 1:
        return None
    value = int(_at(raw, places[0])["value"])
    low = max(min(value, document.total.floor + 1), value - REACH)
    high = min(max(value, document.total.cap), value + REACH)
    return Bar(value, low, high, _with(raw, places[0], low), _with(raw, places[0], NEVER))


def with_bar(content: Mapping[str, Json], bar: int) -> dict[str, Json]:
    """A copy of an agreement's content whose bar for sales is `bar`. It must have one (see `of`)."""
    made = copy.deepcopy(dict(content))
    tree = made["thresholds"]["sql_when"]
    made["thresholds"]["sql_when"] = _with(tree, _places(tree, ())[0], bar)
    return made


def _places(node: Json, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    """Where a condition asks for a total of at least so many points."""
    if isinstance(node, Mapping):
        if node.get("score") == "total" and node.get("op") == "gte":
            return [path]
        return [found for key, inner in node.items() for found in _places(inner, (*path, key))]
    if isinstance(node, list):
        return [found for i, inner in enumerate(node) for found in _places(inner, (*path, i))]
    return []


def _at(node: Json, path: Sequence[str | int]) -> Json:
    for key in path:
        node = node[key]
    return node


def _with(tree: Mapping[str, Json], path: Sequence[str | int], value: int) -> dict[str, Json]:
    made = copy.deepcopy(dict(tree))
    _at(made, path)["value"] = value
    return made
