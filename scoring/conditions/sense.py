"""Conditions that nobody can ever fulfil: parts that exclude each other, or one that lies out of all reach.

Everything that stands side by side under "all" is compared in pairs. Under "any" each branch is looked at for
itself and together with what stands beside it. What is found is told at the later of the two parts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from leadflow.errors import Fault
from leadflow.leads.folding import fold, phone_key, words
from scoring.conditions import nodes as n
from scoring.conditions.explain import Words, sentence

_TURNED = {"eq": "ne", "ne": "eq", "lt": "gte", "gte": "lt", "gt": "lte", "lte": "gt"}
# Pairs of domain kinds that one domain cannot be.
_APART = ({"work", "free_mail"}, {"work", "throwaway"})


@dataclass(frozen=True)
class Part:
    """One thing that must hold (or, not `holds`, must not), and where it stands."""

    path: str
    node: n.Node
    holds: bool = True

    @property
    def turned(self) -> n.Node:
        return self.node if self.holds else n.Not(self.node)


def nonsense(node: n.Node, path: str, known: Words) -> Iterator[Fault]:
    """A fault for each part that can never hold where it stands."""
    yield from _together(_parts(node, path), known)


def _parts(node: n.Node, path: str, holds: bool = True) -> list[Part]:
    """What must hold at once, flattened: all of all, and not of any."""
    if isinstance(node, n.Not):
        # These two say their "not" by a value of their own.
        own = isinstance(node.item, n.Contactable | n.HandoffIs)
        return _parts(node.item, path if own else _below(path, "not"), not holds)
    if isinstance(node, n.All if holds else n.Some):
        name = "all" if isinstance(node, n.All) else "any"
        assert isinstance(node, n.All | n.Some)
        return [
            part
            for i, item in enumerate(node.items)
            for part in _parts(item, _below(path, f"{name}[{i}]"), holds)
        ]
    return [Part(path, node, holds)]


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _together(parts: Sequence[Part], known: Words) -> Iterator[Fault]:
    plain = [part for part in parts if not isinstance(part.node, n.All | n.Some)]
    found = list(_clashes(plain, known))
    yield from found
    for part in parts:
        if isinstance(part.node, n.All | n.Some):
            yield from _branches(part, [] if found else plain, known)


def _branches(part: Part, beside: Sequence[Part], known: Words) -> Iterator[Fault]:
    """The branches of an "any" (or of a "not all"): each for itself, then together with what is beside."""
    name = "all" if isinstance(part.node, n.All) else "any"
    assert isinstance(part.node, n.All | n.Some)
    branches = [
        _parts(item, _below(part.path, f"{name}[{i}]"), part.holds) for i, item in enumerate(part.node.items)
    ]
    inner = [fault for branch in branches for fault in _together(branch, known)]
    yield from inner
    if inner or not beside:
        return
    if all(_first_clash(beside, [p for p in branch if _is_leaf(p)], known) for branch in branches):
        yield Fault(part.path, "None of these can hold together with what stands beside it.")


def _is_leaf(part: Part) -> bool:
    return not isinstance(part.node, n.All | n.Some)


def _clashes(parts: Sequence[Part], known: Words) -> Iterator[Fault]:
    for i, part in enumerate(parts):
        if never(part, known):
            yield Fault(part.path, f"“{sentence(part.turned, known)}” can never hold.")
            continue
        other = next((p for p in parts[:i] if clash(p, part, known)), None)
        if other is not None:
            first, second = sentence(other.turned, known), sentence(part.turned, known)
            yield Fault(part.path, f"“{first}” and “{second}” cannot both hold.")


def _first_clash(left: Sequence[Part], right: Sequence[Part], known: Words) -> bool:
    return any(clash(a, b, known) for a in left for b in right)


# One part ---------------------------------------------------------------------------------------


def never(part: Part, known: Words) -> bool:
    """Whether one part lies out of all reach."""
    leaf = part.node
    if isinstance(leaf, n.Behaviour) and (part.holds or leaf.agg != "recency"):
        return not _figures(leaf, part.holds).meets(_reach(leaf))
    if isinstance(leaf, n.Ratio) and part.holds:
        return not _range(leaf.op, leaf.value).meets(Range(low=Decimal(0)))
    if isinstance(leaf, n.ScoreIs):
        limits = known.document.total if leaf.group == "total" else known.document.groups.get(leaf.group)
        sound = limits is not None and all(isinstance(x, int) for x in (limits.floor, limits.cap))
        if limits is None or not sound or limits.floor > limits.cap:
            return False  # the limits themselves are told as wrong
        reach = Range(Decimal(limits.floor), Decimal(limits.cap))
        return not _whole(_range(_op(leaf.op, part.holds), leaf.value)).meets(reach)
    return False


def emptiness(node: n.Node, path: str, known: Words) -> Iterator[Fault]:
    """A fault for each part that holds for everybody, such as "at least 0 times": it says nothing, and a rule
    for "not a lead" that begins so would leave out all."""
    for part in _every(_parts(node, path)):
        turned = Part(part.path, part.node, not part.holds)
        # Without a figure neither a comparison of the last act nor its opposite holds.
        if isinstance(part.node, n.Behaviour) and never(turned, known):
            told = sentence(part.turned, known)
            yield Fault(part.path, f"“{told}” holds for everybody, so it says nothing. Leave it out.")


def _every(parts: Sequence[Part]) -> Iterator[Part]:
    for part in parts:
        if isinstance(part.node, n.All | n.Some):
            name = "all" if isinstance(part.node, n.All) else "any"
            for i, item in enumerate(part.node.items):
                yield from _every(_parts(item, _below(part.path, f"{name}[{i}]"), part.holds))
        else:
            yield part


def _reach(leaf: n.Behaviour) -> "Range":
    """Between which figures a behaviour can lie at all."""
    days = leaf.did.days
    if leaf.agg == "recency":
        # Whole days since the newest act of a window: fewer than the window has.
        return Range(Decimal(0), None if days is None else Decimal(days - 1))
    if leaf.agg == "days":
        # A window of 30 times 24 hours touches at most 31 calendar days.
        return Range(Decimal(0), None if days is None else Decimal(days + 1))
    return Range(None if leaf.agg == "sum" else Decimal(0))


# Two parts --------------------------------------------------------------------------------------


def clash(one: Part, other: Part, known: Words) -> bool:
    """Whether two parts can never hold at once. Never true by mistake; not every clash is found."""
    a, b = one.node, other.node
    if type(a) is not type(b):
        return False
    if a == b:
        return one.holds != other.holds
    match a, b:
        case n.FactIs(), n.FactIs():
            return a.key == b.key and _facts_clash(one, other, known)
        case n.Behaviour(), n.Behaviour():
            same = (a.did, a.agg, a.property) == (b.did, b.agg, b.property)
            # "Days since the last" has no figure where nothing was ever done, so its Not says less.
            sure = a.agg != "recency" or (one.holds and other.holds)
            return same and sure and not _figures(a, one.holds).meets(_figures(b, other.holds))
        case n.Active(), n.Active():
            if one.holds == other.holds:
                return False
            held, refused = (a, b) if one.holds else (b, a)
            return refused.days >= held.days
        case n.ScoreIs(), n.ScoreIs():
            left, right = _range(_op(a.op, one.holds), a.value), _range(_op(b.op, other.holds), b.value)
            return a.group == b.group and not _whole(left).meets(_whole(right))
        case n.GradeIn(), n.GradeIn():
            return _sets_clash(set(a.grades), one.holds, set(b.grades), other.holds)
        case n.StageIn(), n.StageIn():
            return _sets_clash(set(a.stages), one.holds, set(b.stages), other.holds)
        case n.HandoffIs(), n.HandoffIs():
            if a.fact != b.fact or "true" in (*a.values, *b.values):
                return False
            return _sets_clash(set(a.values), one.holds, set(b.values), other.holds)
    return False


def _sets_clash(a: set[str], a_holds: bool, b: set[str], b_holds: bool) -> bool:
    if a_holds and b_holds:
        return not a & b
    if a_holds:
        return a <= b
    return b_holds and b <= a


def _facts_clash(one: Part, other: Part, known: Words) -> bool:
    a, b = _known_or_not(one), _known_or_not(other)
    assert isinstance(a.node, n.FactIs)
    assert isinstance(b.node, n.FactIs)
    ops = {a.node.op, b.node.op}
    if "unknown" in ops:
        rest = b if a.node.op == "unknown" else a
        return rest.holds and isinstance(rest.node, n.FactIs) and rest.node.op != "unknown"
    if ops == {"is_true", "is_false"}:
        return a.holds and b.holds
    if ops <= {*n.ORDER_OPS, "between"}:
        return _orders_clash(a, b)
    if ops == {"domain_kind"}:
        return a.holds and b.holds and _domains_clash(a.node, b.node)
    if ops <= set(n.TEXT_OPS):
        return _texts_clash(a, b, known)
    return False


def _known_or_not(part: Part) -> Part:
    """Not known is unknown, and the other way round."""
    leaf = part.node
    if isinstance(leaf, n.FactIs) and not part.holds and leaf.op in n.KNOWN_OPS:
        return Part(part.path, n.FactIs(leaf.key, "unknown" if leaf.op == "known" else "known"))
    return part


def _orders_clash(a: Part, b: Part) -> bool:
    if not a.holds and not b.holds:
        return False  # a fact that is missing fulfils both
    ranges = []
    for part in (a, b):
        assert isinstance(part.node, n.FactIs)
        if part.node.op == "between":
            if not part.holds or not isinstance(part.node.value, tuple):
                return False
            low, high = part.node.value[0], part.node.value[-1]
            ranges.append(Range(low, high))
        else:
            ranges.append(_range(_op(part.node.op, part.holds), part.node.value))
    if not all(r.is_like(ranges[0]) for r in ranges):
        return False
    return not ranges[0].meets(ranges[1])


def _domains_clash(a: n.FactIs, b: n.FactIs) -> bool:
    left, right = _given(a), _given(b)
    return all({x, y} in _APART for x in left for y in right)


def _texts_clash(a: Part, b: Part, known: Words) -> bool:
    left, right = a.node, b.node
    assert isinstance(left, n.FactIs)
    assert isinstance(right, n.FactIs)
    for exact, leaf, test, holds in ((a, left, right, b.holds), (b, right, left, a.holds)):
        if exact.holds and leaf.op in ("is", "in_list"):
            values = _values(leaf, known)
            return bool(values) and not any(_fits(value, test, known) == holds for value in values)
    if a.holds and b.holds and left.op == right.op == "starts_with":
        ones, others = _values(left, known), _values(right, known)
        return not any(x.startswith(y) or y.startswith(x) for x in ones for y in others)
    return False


def _given(leaf: n.FactIs) -> tuple[str, ...]:
    return tuple(str(v) for v in leaf.value) if isinstance(leaf.value, tuple) else ()


def _values(leaf: n.FactIs, known: Words) -> list[str]:
    read = phone_key if leaf.key == "phone" else fold
    if leaf.op != "in_list":
        return [read(v) for v in _given(leaf)]
    found = known.document.lists.get(next(iter(_given(leaf)), ""))
    return [fold(entry) for entry in found.entries] if found else []


def _fits(value: str, leaf: n.FactIs, known: Words) -> bool:
    """Whether a folded text would pass a comparison."""
    given = _values(leaf, known)
    match leaf.op:
        case "is" | "in_list":
            return value in given
        case "is_not":
            return value not in given
        case "contains":
            return any(text in value for text in given)
        case "starts_with":
            return any(value.startswith(text) for text in given)
        case "has_word":
            held = words(value)
            return any((wanted := words(text)) and wanted in held for text in given)
    return True


# Numbers and days -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """From low to high; None: no end. `but`: one value that is left out. Numbers, or days as ISO texts."""

    low: Any = None
    high: Any = None
    low_open: bool = False
    high_open: bool = False
    but: Any = None

    def is_like(self, other: "Range") -> bool:
        kinds = {isinstance(v, str) for r in (self, other) for v in (r.low, r.high, r.but) if v is not None}
        return len(kinds) == 1

    def meets(self, other: "Range") -> bool:
        """Whether some value lies in both."""
        low, low_open = _later((self.low, self.low_open), (other.low, other.low_open))
        high, high_open = _earlier((self.high, self.high_open), (other.high, other.high_open))
        if low is None or high is None:
            return True
        if low != high:
            return bool(low < high)
        return not (low_open or high_open) and low not in (self.but, other.but)


def _later(a: tuple[Any, bool], b: tuple[Any, bool]) -> tuple[Any, bool]:
    if a[0] is None or b[0] is None:
        return b if a[0] is None else a
    return (a[0], a[1] or b[1]) if a[0] == b[0] else max(a, b)


def _earlier(a: tuple[Any, bool], b: tuple[Any, bool]) -> tuple[Any, bool]:
    if a[0] is None or b[0] is None:
        return b if a[0] is None else a
    return (a[0], a[1] or b[1]) if a[0] == b[0] else min(a, b)


def _range(op: str, value: Any) -> Range:
    match op:
        case "eq":
            return Range(value, value)
        case "ne":
            return Range(but=value)
        case "lt":
            return Range(high=value, high_open=True)
        case "lte":
            return Range(high=value)
        case "gt":
            return Range(low=value, low_open=True)
    return Range(low=value)


def _op(op: str, holds: bool) -> str:
    return op if holds else _TURNED.get(op, op)


def _figures(leaf: n.Behaviour, holds: bool) -> Range:
    found = _range(_op(leaf.op, holds), leaf.value)
    return found if leaf.agg == "sum" else _whole(found)


def _whole(found: Range) -> Range:
    """The same range over whole numbers, its ends included. An empty one has its low above its high."""
    low, high = found.low, found.high
    if low is not None:
        up = low.to_integral_value(rounding="ROUND_CEILING")
        low = up + 1 if found.low_open and up == low else up
    if high is not None:
        down = high.to_integral_value(rounding="ROUND_FLOOR")
        high = down - 1 if found.high_open and down == high else down
    return Range(low, high, but=found.but)


def known_names(document: Any, facts: Mapping[str, Any], phrases: Mapping[str, str] | None = None) -> Words:
    """What `nonsense` needs to speak of a condition."""
    return Words(document, facts, phrases or {})
