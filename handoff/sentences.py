"""For which of many leads a sentence of routing or of a promise holds, and in which words it says so.

What a sentence asks only of the handoff itself (kind, fast track, letter, hours) is answered here: it is
known already. Everything else is asked of the engine, in one statement for all leads.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from json import dumps, loads
from typing import Any

from scoring import engine
from scoring.conditions import nodes as n
from scoring.conditions.parse import parse

Given = Mapping[int, Mapping[str, Any]]
Condition = Mapping[str, Any]


def holding(
    condition: Condition | None, given: Given, at: datetime, *, each: Mapping[int, datetime] | None = None
) -> set[int]:
    """The leads of `given` for which a condition holds at `at` (or each at its own instant); None: all."""
    if not given or condition is None:
        return set(given)
    node = _node(dumps(condition, sort_keys=True))
    if node is not None:
        return {lead for lead, facts in given.items() if _holds(node, facts)}
    return engine.match(condition, list(given), at, given=given, each=each)


def given_of(kind: str, track: int | None, grade: str, team_hours: bool) -> dict[str, Any]:
    """What a sentence can ask of a handoff, in the words of the engine."""
    return {
        "kind": kind,
        "fast_track": "" if track is None else str(track),
        "letter": grade[:1],
        "team_hours": team_hours,
    }


@lru_cache(maxsize=256)
def _node(text: str) -> n.Node | None:
    """The condition read, where it asks nothing but what the handoff is; else None."""
    node = parse(loads(text))
    return node if all(isinstance(leaf, n.HandoffIs) for leaf in n.leaves(node)) else None


def _holds(node: n.Node, facts: Mapping[str, Any]) -> bool:
    match node:
        case n.All():
            return all(_holds(item, facts) for item in node.items)
        case n.Some():
            return any(_holds(item, facts) for item in node.items)
        case n.Not():
            return not _holds(node.item, facts)
        case n.HandoffIs():
            return _is(node.fact, node.values, facts)
    return isinstance(node, n.Always)


def _is(fact: str, values: Collection[str], facts: Mapping[str, Any]) -> bool:
    value = facts.get(fact)
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text in values or (fact == "fast_track" and "true" in values and text != "")
