"""From JSON to nodes. Every fault is told with its path, such as `all[2].value`."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from leadflow.errors import BadInput, Fault
from leadflow.leads.folding import fold
from scoring.conditions import nodes as n

MAX_DEPTH = 6
MAX_LEAVES = 200
MAX_DAYS = 3650
MAX_VALUES = 500
MAX_TEXT = 200
_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse(raw: Any, path: str = "") -> n.Node:
    """The nodes of a condition. Raises BadInput with a fault for each place that is wrong."""
    parser = _Parser()
    node = parser.node(raw, path, 1)
    if parser.faults or node is None:
        first = parser.faults[0]
        where = f" at {first.path}" if first.path else ""
        raise BadInput(f"This condition cannot be read{where}: {first.message}", parser.faults)
    return node


def parse_measure(raw: Any, path: str = "") -> n.FactIs | n.Behaviour:
    """What a `bands` criterion measures: a number fact or a figure over activities, without op and value."""
    if isinstance(raw, Mapping) and set(raw) == {"fact"} and isinstance(raw["fact"], str):
        return n.FactIs(raw["fact"], "known")
    if isinstance(raw, Mapping) and "did" in raw and "op" not in raw and "value" not in raw:
        node = parse(raw, path)
        if isinstance(node, n.Behaviour):
            return node
    raise BadInput(
        "Name what is measured: a number fact, or a behaviour.",
        [Fault(path, "Write {“fact”: …} or {“did”: …, “agg”: …}, without op and value.")],
    )


class _Parser:
    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.leaves = 0
        self.by_key: dict[str, Callable[[Mapping[str, Any], str], n.Node | None]] = {
            "fact": self._fact,
            "changed": self._changed,
            "did": self._behaviour,
            "ratio": self._ratio,
            "criterion": self._criterion,
            "active_days": self._active,
            "contactable": self._contactable,
            "score": self._score,
            "grade": self._grade,
            "persona": self._persona,
            "stage": self._stage,
            "handoff": self._handoff,
        }

    def fault(self, path: str, message: str) -> None:
        self.faults.append(Fault(path, message))

    def node(self, raw: Any, path: str, depth: int) -> n.Node | None:
        if not isinstance(raw, Mapping) or not raw:
            self.fault(path, "A condition is expected here.")
            return None
        if depth > MAX_DEPTH:
            self.fault(path, f"Conditions are nested more than {MAX_DEPTH} deep. Make it flatter.")
            return None
        if "version" in raw:
            raw = {k: v for k, v in raw.items() if k != "version"}
        for key in ("all", "any", "not"):
            if key in raw:
                return self._branch(raw, key, path, depth)
        return self._leaf(raw, path)

    def _branch(self, raw: Mapping[str, Any], key: str, path: str, depth: int) -> n.Node | None:
        here = _at(path, key)
        if len(raw) > 1:
            self.fault(path, f"Beside “{key}” nothing else may stand.")
            return None
        if key == "not":
            inner = self.node(raw["not"], here, depth + 1)
            return None if inner is None else n.Not(inner)
        parts = raw[key]
        if not isinstance(parts, list) or not parts:
            self.fault(here, "A list of at least one condition is expected here.")
            return None
        found = [self.node(part, f"{here}[{i}]", depth + 1) for i, part in enumerate(parts)]
        items = tuple(item for item in found if item is not None)
        return n.All(items) if key == "all" else n.Some(items)

    def _leaf(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self.leaves += 1
        if self.leaves == MAX_LEAVES + 1:
            self.fault(path, f"More than {MAX_LEAVES} conditions in one rule. Split it.")
        if self.leaves > MAX_LEAVES:
            return None
        read = next((self.by_key[key] for key in self.by_key if key in raw), None)
        if read is None:
            self.fault(path, f"“{', '.join(map(str, raw))[:80]}” is no condition that we know.")
            return None
        return read(raw, path)

    def _only(self, raw: Mapping[str, Any], path: str, *known: str) -> None:
        for key in raw:
            if key not in known:
                self.fault(_at(path, str(key)), "There is no such part here.")

    def _fact(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self._only(raw, path, "fact", "op", "value")
        key, op = raw["fact"], raw.get("op")
        if not isinstance(key, str) or not key:
            self.fault(_at(path, "fact"), "Name a fact.")
            return None
        if op not in n.FACT_OPS:
            self.fault(_at(path, "op"), f"“{op}” is no comparison. One of: {', '.join(n.FACT_OPS)}.")
            return None
        return n.FactIs(key, op, self._value(op, raw.get("value"), _at(path, "value")))

    def _value(self, op: str, raw: Any, path: str) -> n.Value:
        if op in (*n.KNOWN_OPS, *n.BOOLEAN_OPS):
            if raw is not None:
                self.fault(path, "This comparison takes no value.")
            return None
        if op == "in_list":
            return (self._text(raw, path) or "",)
        if op == "domain_kind":
            kinds = self._texts(raw, path)
            for kind in kinds:
                if kind not in n.DOMAIN_KINDS:
                    self.fault(path, f"“{kind}” is no kind of domain. One of: {', '.join(n.DOMAIN_KINDS)}.")
            return kinds
        if op == "in_last_days":
            return Decimal(self._days(raw, path))
        if op == "between":
            return self._pair(raw, path)
        if op in n.ORDER_OPS:
            return self._comparable(raw, path)
        return self._texts(raw, path)

    def _text(self, raw: Any, path: str) -> str | None:
        if not isinstance(raw, str) or not fold(raw):
            self.fault(path, "A text is expected here.")
        elif len(raw) > MAX_TEXT:
            self.fault(path, f"At most {MAX_TEXT} characters.")
        elif "\x00" in raw or any("\ud800" <= c <= "\udfff" for c in raw):
            self.fault(path, "It holds characters that are no text.")
        else:
            return raw
        return None

    def _texts(self, raw: Any, path: str) -> tuple[str, ...]:
        if not isinstance(raw, list):
            text = self._text(raw, path)
            return () if text is None else (text,)
        if not raw or len(raw) > MAX_VALUES:
            self.fault(path, f"1 to {MAX_VALUES} texts are expected here.")
            return ()
        found = [self._text(item, f"{path}[{i}]") for i, item in enumerate(raw)]
        return tuple(text for text in found if text is not None)

    def _number(self, raw: Any, path: str) -> Decimal:
        if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal):
            self.fault(path, "A number is expected here.")
            return Decimal(0)
        number = Decimal(str(raw))
        if not number.is_finite() or abs(number) >= Decimal(10) ** 14:
            self.fault(path, "The number is too large.")
            return Decimal(0)
        return number

    def _comparable(self, raw: Any, path: str) -> Decimal | str:
        return self._day(raw, path) if isinstance(raw, str) else self._number(raw, path)

    def _day(self, raw: str, path: str) -> str:
        try:
            if not _ISO_DAY.fullmatch(raw):
                raise ValueError
            date.fromisoformat(raw)
        except ValueError:
            self.fault(path, "Write a number, or a day as 2026-11-24.")
        return raw

    def _pair(self, raw: Any, path: str) -> n.Value:
        if not isinstance(raw, list) or len(raw) != 2:
            self.fault(path, "Two values are expected here: from and to.")
            return None
        low, high = self._comparable(raw[0], f"{path}[0]"), self._comparable(raw[1], f"{path}[1]")
        if isinstance(low, str) and isinstance(high, str):
            if low > high:
                self.fault(path, "“From” is later than “to”.")
            return low, high
        if isinstance(low, Decimal) and isinstance(high, Decimal):
            if low > high:
                self.fault(path, "“From” is greater than “to”.")
            return low, high
        self.fault(path, "Both must be numbers, or both days.")
        return None

    def _days(self, raw: Any, path: str) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= MAX_DAYS:
            self.fault(path, f"A whole number of days from 1 to {MAX_DAYS} is expected here.")
            return 1
        return raw

    def _changed(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self._only(raw, path, "changed", "days")
        key = self._text(raw["changed"], _at(path, "changed"))
        return n.Changed(key or "", self._days(raw.get("days"), _at(path, "days")))

    def _behaviour(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self._only(raw, path, "did", "agg", "property", "op", "value")
        did = self._did(raw["did"], _at(path, "did"))
        agg, op = raw.get("agg") or "count", raw.get("op") or "gte"
        if agg not in n.AGGREGATES:
            self.fault(_at(path, "agg"), f"One of: {', '.join(n.AGGREGATES)}.")
        if op not in n.ORDER_OPS:
            self.fault(_at(path, "op"), f"One of: {', '.join(n.ORDER_OPS)}.")
        prop = raw.get("property") or ""
        if agg == "sum" and not isinstance(raw.get("property"), str):
            self.fault(_at(path, "property"), "Name the property to add up.")
        value = self._number(raw.get("value", 1), _at(path, "value"))
        return None if did is None else n.Behaviour(did, agg, str(prop), op, value)

    def _did(self, raw: Any, path: str) -> n.Did | None:
        if not isinstance(raw, Mapping):
            self.fault(path, "Name kinds of activities.")
            return None
        self._only(raw, path, "kinds", "where", "days")
        kinds = self._texts(raw.get("kinds"), _at(path, "kinds"))
        where = raw.get("where") or []
        if not isinstance(where, list) or len(where) > 20:
            self.fault(_at(path, "where"), "A list of at most 20 filters is expected here.")
            where = []
        filters = [self._where(w, f"{_at(path, 'where')}[{i}]") for i, w in enumerate(where)]
        days = raw.get("days")
        window = None if days is None else self._days(days, _at(path, "days"))
        return n.Did(kinds, tuple(w for w in filters if w is not None), window)

    def _where(self, raw: Any, path: str) -> n.Where | None:
        if not isinstance(raw, Mapping) or not isinstance(raw.get("property"), str) or not raw["property"]:
            self.fault(path, "A filter names a property, a comparison and a value.")
            return None
        self._only(raw, path, "property", "op", "value")
        op = "is" if raw.get("op") == "in" else raw.get("op")
        if op not in n.WHERE_OPS:
            self.fault(_at(path, "op"), f"One of: {', '.join(n.WHERE_OPS)}.")
            return None
        return n.Where(raw["property"], op, self._value(op, raw.get("value"), _at(path, "value")))

    def _ratio(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self._only(raw, path, "ratio", "op", "value")
        inner, here = raw["ratio"], _at(path, "ratio")
        if not isinstance(inner, Mapping):
            self.fault(here, "Name two kinds: of and to.")
            return None
        self._only(inner, here, "of", "to", "days", "min")
        of, to = self._text(inner.get("of"), _at(here, "of")), self._text(inner.get("to"), _at(here, "to"))
        days = self._days(inner.get("days"), _at(here, "days"))
        least = inner.get("min", 1)
        if isinstance(least, bool) or not isinstance(least, int) or not 1 <= least <= 10_000:
            self.fault(_at(here, "min"), "A whole number from 1 to 10,000 is expected here.")
            least = 1
        op = raw.get("op") or "gte"
        if op not in n.ORDER_OPS:
            self.fault(_at(path, "op"), f"One of: {', '.join(n.ORDER_OPS)}.")
        return n.Ratio(
            of or "", to or "", days, least, op, self._number(raw.get("value"), _at(path, "value"))
        )

    def _criterion(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self._only(raw, path, "criterion", "own_act_days")
        key = self._text(raw["criterion"], _at(path, "criterion"))
        days = raw.get("own_act_days")
        window = None if days is None else self._days(days, _at(path, "own_act_days"))
        return n.CriterionHolds(key or "", window)

    def _active(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self._only(raw, path, "active_days")
        return n.Active(self._days(raw["active_days"], _at(path, "active_days")))

    def _contactable(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self._only(raw, path, "contactable")
        if not isinstance(raw["contactable"], bool):
            self.fault(_at(path, "contactable"), "true or false is expected here.")
        return n.Contactable() if raw["contactable"] else n.Not(n.Contactable())

    def _score(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self._only(raw, path, "score", "op", "value")
        if raw["score"] not in n.SCORES:
            self.fault(_at(path, "score"), f"One of: {', '.join(n.SCORES)}.")
        if raw.get("op") not in n.ORDER_OPS:
            self.fault(_at(path, "op"), f"One of: {', '.join(n.ORDER_OPS)}.")
        value = self._number(raw.get("value"), _at(path, "value"))
        return n.ScoreIs(str(raw["score"]), str(raw.get("op")), value)

    def _grade(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self._only(raw, path, "grade")
        return n.GradeIn(self._texts(raw["grade"], _at(path, "grade")))

    def _persona(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self._only(raw, path, "persona")
        return n.PersonaIs(self._text(raw["persona"], _at(path, "persona")) or "")

    def _stage(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self._only(raw, path, "stage")
        return n.StageIn(self._texts(raw["stage"], _at(path, "stage")))

    def _handoff(self, raw: Mapping[str, Any], path: str) -> n.Node | None:
        self._only(raw, path, "handoff", "op", "value")
        fact, value, op = raw["handoff"], raw.get("value"), raw.get("op", "is")
        if fact not in n.HANDOFF_FACTS:
            self.fault(_at(path, "handoff"), f"One of: {', '.join(n.HANDOFF_FACTS)}.")
        if op not in ("is", "is_not"):
            self.fault(_at(path, "op"), "One of: is, is_not.")
        given = value if isinstance(value, list) else [value]
        values = tuple("" if v is None else _plain(v) for v in given)
        node = n.HandoffIs(str(fact), values)
        return n.Not(node) if op == "is_not" else node


def _plain(value: Any) -> str:
    # JSON's own words, so that SQL can compare `->>` with them.
    return str(value).lower() if isinstance(value, bool) else str(value)


def _at(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part
