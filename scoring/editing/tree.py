"""A condition as a tree of form controls, and back.

The form names carry the shape: `c` is the root, `c.0` its first part, `c.0.is` what that part is. Reading is
lenient: what cannot be a number stays the text that was typed, so that the check can point at it and nothing
that somebody wrote is lost.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from leadflow import numbers
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import ActivityKind, Stage
from scoring.conditions import nodes as n
from scoring.conditions.explain import DOMAIN_WORDS, HANDOFF_KINDS
from scoring.conditions.fields import Field, catalogue_today
from scoring.conditions.parse import parse
from scoring.conditions.uses import uses_of
from scoring.document import Document

Json = Any
Options = list[tuple[str, str]]

GROUPS: Options = [("all", "all of these"), ("any", "any of these")]
LEAVES: dict[str, str] = {
    "fact": "A fact",
    "changed": "A fact that changed",
    "did": "Something they did",
    "ratio": "Share of e-mails",
    "criterion": "Another criterion",
    "active_days": "Active",
    "contactable": "Can be contacted",
    "persona": "A persona",
    "stage": "A stage",
    "score": "Points",
    "grade": "A grade",
    "handoff": "The handoff",
}
SCOPES: dict[str, tuple[str, ...]] = {
    "criterion": ("fact", "changed", "did", "ratio", "criterion", "active_days", "contactable", "persona"),
    "bar": tuple(key for key in LEAVES if key != "handoff"),
    "handoff": tuple(LEAVES),
}
OPS = {
    "is": "is",
    "is_not": "is known and not",
    "has_word": "has the word",
    "contains": "contains",
    "starts_with": "starts with",
    "in_list": "is in the list",
    "eq": "is exactly",
    "ne": "is other than",
    "lt": "is less than",
    "lte": "is at most",
    "gt": "is more than",
    "gte": "is at least",
    "between": "is between",
    "in_last_days": "is in the last … days",
    "is_true": "is yes",
    "is_false": "is no",
    "known": "is known",
    "unknown": "is not known",
    "domain_kind": "is",
}
COMPARED = {
    "gte": "at least",
    "lte": "at most",
    "gt": "more than",
    "lt": "less than",
    "eq": "exactly",
    "ne": "other than",
}
AGGREGATES = {
    "count": "times",
    "days": "different days",
    "sum": "the sum of",
    "recency": "days since the last",
}
HANDOFF_FACTS = {
    "kind": "kind",
    "fast_track": "fast track",
    "letter": "letter of the grade",
    "team_hours": "team's hours",
}
COLUMNS = ("path", "campaign", "content", "channel", "result", "message_key")
PROPERTY_WORDS = {
    "path": "page",
    "campaign": "campaign",
    "content": "content",
    "channel": "channel",
    "result": "result",
    "message_key": "message",
}
SCORE_WORDS = {"total": "score", "fit": "fit", "behaviour": "behaviour", "value": "value"}
_TEXT_OPS = ("is", "is_not", "has_word", "contains", "starts_with")
_SPLIT = re.compile(r"[;\n]")


@dataclass(frozen=True)
class Control:
    """One input. kind: select, choices (check boxes), number, date, words, hidden, said (plain words)."""

    kind: str
    name: str = ""
    label: str = ""
    value: str = ""
    options: Options = field(default_factory=list)
    groups: list[tuple[str, Options]] = field(default_factory=list)
    chosen: tuple[str, ...] = ()
    refresh: bool = False
    # What to ask for values that leads have, as the query of the address; empty: there is nothing to ask.
    suggest: str = ""

    @property
    def id(self) -> str:
        return "i-" + self.name.replace(".", "-")


@dataclass(frozen=True)
class NodeView:
    """A part of a condition as the template draws it."""

    name: str
    kind: str
    negated: bool
    controls: list[Control]
    items: list["NodeView"]
    faults: list[str]
    what: Control
    joint: str = ""
    removable: bool = True

    @property
    def slot(self) -> str:
        """The id of the place where its faults are told."""
        return "e-" + self.name.replace(".", "-")

    @property
    def is_group(self) -> bool:
        return self.kind in ("all", "any")


@dataclass(frozen=True)
class Choices:
    """What the controls offer: facts, kinds of activity with their properties, criteria, personas, lists."""

    document: Document
    facts: Mapping[str, Field]
    kinds: Mapping[str, tuple[str, Mapping[str, str]]]
    # Of how many per cent of the leads a fact is known; how many leads did a kind of activity.
    known: Mapping[str, int] = field(default_factory=dict)
    done: Mapping[str, int] = field(default_factory=dict)

    def kind_options(self) -> Options:
        return [(key, self._counted(key, label)) for key, (label, _) in self.kinds.items()]

    def _counted(self, key: str, label: str) -> str:
        """A kind of activity with how many leads did it."""
        return f"{label} ({self.done.get(key, 0):,})" if self.done else label

    def _filled(self, fact: Field) -> str:
        """A fact with how often it is known."""
        return f"{fact.label} ({self.known[fact.key]}%)" if fact.key in self.known else fact.label

    def fact_groups(self, types: Iterable[str] = ()) -> list[tuple[str, Options]]:
        wanted = set(types)
        found: dict[str, Options] = {"The person": [], "The company": []}
        for key, fact in self.facts.items():
            if not wanted or fact.type in wanted:
                found["The person" if fact.subject == "lead" else "The company"].append(
                    (key, self._filled(fact))
                )
        return [(label, options) for label, options in found.items() if options]

    def criterion_options(self) -> Options:
        return [(c.id, c.text or c.id) for c in self.document.criteria]

    def property_options(self, kinds: Iterable[str]) -> Options:
        found = {key: PROPERTY_WORDS[key] for key in COLUMNS}
        for kind in kinds:
            for name in self.kinds.get(kind, ("", {}))[1]:
                found.setdefault(name, name.replace("_", " "))
        return list(found.items())

    def property_type(self, kinds: Iterable[str], name: str) -> str:
        if name in COLUMNS:
            return "text"
        return next(
            (str(p[name]) for k in kinds if (p := self.kinds.get(k, ("", {}))[1]) and name in p), "text"
        )


def choices_for(document: Document) -> Choices:
    """Everything that the controls offer today; what is retired only where a rule has it. Two queries."""
    used = uses_of(document.content)
    kinds = {
        k.key: (k.label, k.properties)
        for k in ActivityKind.objects.order_by("id")
        if k.active or k.key in used.kinds
    }
    facts = catalogue_today(document).items()
    return Choices(document, {k: f for k, f in facts if not f.retired or k in used.facts}, kinds)


# From the form ------------------------------------------------------------------------------


def read(data: QueryDict, name: str, choices: Choices) -> Json:
    """The condition that a form holds under `name`."""
    kind = data.get(f"{name}.is", "")
    if kind in ("all", "any"):
        count = whole(data.get(f"{name}.n", "0"))
        items = [read(data, f"{name}.{i}", choices) for i in range(count if isinstance(count, int) else 0)]
        raw: Json = {kind: items[:200]}
    else:
        raw = read_leaf(data, name, choices)
    return {"not": raw} if data.get(f"{name}.not") == "1" else raw


def read_leaf(data: QueryDict, name: str, choices: Choices, *, measure: bool = False) -> Json:
    """One leaf; one of a kind just chosen begins with that kind's usual values."""
    kind = data.get(f"{name}.is", "")
    if kind not in LEAVES:
        return {}
    if data.get(f"{name}.was") != kind:
        return start(kind, choices, measure=measure)
    return _READERS[kind](data, name, choices, measure)


def start(kind: str, choices: Choices, *, measure: bool = False) -> Json:
    """A leaf of a kind as it begins."""
    document = choices.document
    first = next(iter(document.criteria), None)
    made: dict[str, Json] = {
        "fact": {"fact": "title", "op": "has_word", "value": []},
        "changed": {"changed": "title", "days": 30},
        "did": {
            "did": {"kinds": ["page_view"], "where": [], "days": 30},
            "agg": "count",
            "op": "gte",
            "value": 1,
        },
        "ratio": {
            "ratio": {"of": "email_clicked", "to": "email_sent", "days": 90, "min": 5},
            "op": "gte",
            "value": 0.2,
        },
        "criterion": {"criterion": first.id if first else ""},
        "active_days": {"active_days": 30},
        "contactable": {"contactable": True},
        "persona": {"persona": document.personas[0].key if document.personas else ""},
        "stage": {"stage": ["mql"]},
        "score": {"score": "total", "op": "gte", "value": 40},
        "grade": {"grade": ["A1"]},
        "handoff": {"handoff": "kind", "op": "is", "value": "fast_track"},
    }
    if measure:
        numbers = [key for key, fact in choices.facts.items() if fact.type == "number"]
        did = {"did": {"kinds": ["page_view"], "where": [], "days": 30}, "agg": "days"}
        return did if kind == "did" else {"fact": numbers[0] if numbers else ""}
    return made[kind]


def _read_fact(data: QueryDict, name: str, choices: Choices, measure: bool) -> Json:
    key = data.get(f"{name}.fact", "")
    if measure:
        return {"fact": key}
    fact = choices.facts.get(key)
    op = data.get(f"{name}.op", "")
    fitting = ops_of(fact)
    if op not in fitting:
        op = fitting[0]
    leaf: Json = {"fact": key, "op": op}
    value = _read_value(data, name, op, fact.type if fact else "text")
    return leaf if value is None else {**leaf, "value": value}


def _read_value(data: QueryDict, name: str, op: str, type_: str) -> Json:
    if op in (*n.KNOWN_OPS, *n.BOOLEAN_OPS):
        return None
    if op == "domain_kind":
        return data.getlist(f"{name}.kinds")
    if op in ("in_list", "in_last_days"):
        raw = data.get(f"{name}.value", "").strip()
        return raw if op == "in_list" else whole(raw)
    if op == "between":
        pair = [data.get(f"{name}.value", "").strip(), data.get(f"{name}.to", "").strip()]
        return pair if type_ == "date" else [number(item) for item in pair]
    if op in n.ORDER_OPS:
        raw = data.get(f"{name}.value", "").strip()
        return raw if type_ == "date" else number(raw)
    return split_words(data.get(f"{name}.value", ""))


def _read_changed(data: QueryDict, name: str, choices: Choices, measure: bool) -> Json:
    return {"changed": data.get(f"{name}.fact", ""), "days": whole(data.get(f"{name}.days", ""))}


def _read_did(data: QueryDict, name: str, choices: Choices, measure: bool) -> Json:
    kinds = [key for key in data.getlist(f"{name}.kinds") if key]
    days = data.get(f"{name}.days", "").strip()
    count = whole(data.get(f"{name}.w", "0"))
    where = []
    for i in range(min(count, 20) if isinstance(count, int) else 0):
        found = _read_where(data, f"{name}.w{i}", choices, kinds)
        if found is not None:
            where.append(found)
    leaf: Json = {"did": {"kinds": kinds, "where": where, "days": whole(days) if days else None}}
    leaf["agg"] = data.get(f"{name}.agg", "count")
    if leaf["agg"] == "sum":
        leaf["property"] = data.get(f"{name}.property", "")
    if measure:
        return leaf
    return {**leaf, "op": data.get(f"{name}.op", "gte"), "value": number(data.get(f"{name}.value", "1"))}


def _read_where(data: QueryDict, name: str, choices: Choices, kinds: Sequence[str]) -> Json | None:
    property_ = data.get(f"{name}.property", "")
    if not property_:
        return None
    type_ = choices.property_type(kinds, property_)
    op = data.get(f"{name}.op", "")
    fitting = where_ops(type_)
    if op not in fitting:
        op = fitting[0]
    value = _read_value(data, name, op, type_)
    found: Json = {"property": property_, "op": op}
    return found if value is None else {**found, "value": value}


def _read_ratio(data: QueryDict, name: str, choices: Choices, measure: bool) -> Json:
    share = number(data.get(f"{name}.value", ""))
    if isinstance(share, int | float):
        share = _plain(Decimal(str(share)) / 100)
    ratio = {
        "of": data.get(f"{name}.of", ""),
        "to": data.get(f"{name}.to", ""),
        "days": whole(data.get(f"{name}.days", "")),
        "min": whole(data.get(f"{name}.min", "")),
    }
    return {"ratio": ratio, "op": data.get(f"{name}.op", "gte"), "value": share}


def _read_criterion(data: QueryDict, name: str, choices: Choices, measure: bool) -> Json:
    days = data.get(f"{name}.days", "").strip()
    leaf: Json = {"criterion": data.get(f"{name}.criterion", "")}
    return {**leaf, "own_act_days": whole(days)} if days else leaf


def _read_score(data: QueryDict, name: str, choices: Choices, measure: bool) -> Json:
    return {
        "score": data.get(f"{name}.score", ""),
        "op": data.get(f"{name}.op", "gte"),
        "value": number(data.get(f"{name}.value", "")),
    }


def _read_handoff(data: QueryDict, name: str, choices: Choices, measure: bool) -> Json:
    fact = data.get(f"{name}.handoff", "kind")
    value: Json = data.get(f"{name}.value", "").strip()
    if fact == "team_hours":
        value = value != "false"
    elif fact == "fast_track":
        value = True if value in ("", "true", "any") else whole(value)
    else:
        known, first = (HANDOFF_KINDS, "fast_track") if fact == "kind" else (_letters(choices.document), "A")
        given = [item for item in data.getlist(f"{name}.value") if item in known]
        value = given if len(given) > 1 else given[0] if given else first
    return {"handoff": fact, "op": "is", "value": value}


_READERS = {
    "fact": _read_fact,
    "changed": _read_changed,
    "did": _read_did,
    "ratio": _read_ratio,
    "criterion": _read_criterion,
    "active_days": lambda d, name, c, m: {"active_days": whole(d.get(f"{name}.days", ""))},
    "contactable": lambda d, name, c, m: {"contactable": True},
    "persona": lambda d, name, c, m: {"persona": d.get(f"{name}.persona", "")},
    "stage": lambda d, name, c, m: {"stage": d.getlist(f"{name}.stage")},
    "score": _read_score,
    "grade": lambda d, name, c, m: {"grade": d.getlist(f"{name}.grade")},
    "handoff": _read_handoff,
}


def change(raw: Json, act: str, name: str, scope: str, choices: Choices) -> Json:
    """The condition after a button: `add:c.1`, `group:c`, `cut:c.0`, or `filter:c.0` (one more filter)."""
    verb, _, target = act.partition(":")
    if target != name and not target.startswith(name + "."):
        return raw
    way = [place for part in target[len(name) :].split(".") if (place := numbers.whole(part)) is not None]
    first = start(SCOPES[scope][0] if scope == "criterion" else "score", choices)
    if verb == "cut":
        return _cut(raw, way)
    if verb == "filter":
        return _at(raw, way, _with_filter)
    more = {"any": [first]} if verb == "group" else first
    return _at(raw, way, lambda node: _with(node, more)) if verb in ("add", "group") else raw


def _at(raw: Json, way: Sequence[int], do: Any) -> Json:
    if isinstance(raw, Mapping) and "not" in raw:
        return {"not": _at(raw["not"], way, do)}
    if not way:
        return do(raw)
    key = "all" if "all" in raw else "any"
    items = list(raw.get(key) or [])
    if way[0] < len(items):
        items[way[0]] = _at(items[way[0]], way[1:], do)
    return {key: items}


def _with(node: Json, more: Json) -> Json:
    for key in ("all", "any"):
        if key in node:
            return {key: [*node[key], more]}
    return {"all": [node, more]}


def _with_filter(node: Json) -> Json:
    did = node.get("did") or {}
    where = [*(did.get("where") or []), {"property": "path", "op": "starts_with", "value": []}]
    return {**node, "did": {**did, "where": where}}


def _cut(raw: Json, way: Sequence[int]) -> Json:
    if not way:
        return raw

    def without(node: Json) -> Json:
        key = "all" if "all" in node else "any"
        items = [item for i, item in enumerate(node.get(key) or []) if i != way[-1]]
        # One left over needs no group around it.
        return items[0] if len(items) == 1 else {key: items} if items else node

    return _at(raw, way[:-1], without)


def same_or(old: Json, new: Json) -> Json:
    """The old writing where both mean the same, so that saving without a change changes nothing."""
    try:
        return old if old is not None and parse(old) == parse(new) else new
    except BadInput:
        return new


# To the form --------------------------------------------------------------------------------


def view(
    raw: Json,
    name: str,
    path: str,
    scope: str,
    choices: Choices,
    faults: Sequence[Fault] = (),
    *,
    joint: str = "",
    root: bool = True,
) -> NodeView:
    """The controls of a condition. `path` is its place in the content, by which faults find their control."""
    raw = raw if isinstance(raw, Mapping) and raw else start(SCOPES[scope][0], choices)
    negated = "not" in raw
    while isinstance(raw, Mapping) and "not" in raw:
        path, raw = f"{path}.not", raw["not"] or {}
    kind = next((key for key in ("all", "any", *LEAVES) if key in raw), "fact")
    if (kind == "contactable" and raw["contactable"] is False) or (
        kind == "handoff" and raw.get("op") == "is_not"
    ):
        negated = not negated
    options = [*([] if kind not in ("all", "any") else GROUPS)]
    if kind in ("all", "any"):
        word = " and " if kind == "all" else " or "
        items = [
            view(
                item,
                f"{name}.{i}",
                f"{path}.{kind}[{i}]",
                scope,
                choices,
                faults,
                joint=word.strip() if i else "",
                root=False,
            )
            for i, item in enumerate(raw[kind] if isinstance(raw[kind], list) else [])
        ]
        mine = [f.message for f in faults if f.path in (path, f"{path}.{kind}")]
        what = Control("select", f"{name}.is", "Match", kind, options)
        return NodeView(name, kind, negated, [], items, mine, what, joint, not root)
    mine = [f.message for f in faults if f.path == path or f.path.startswith((f"{path}.", f"{path}["))]
    what = Control(
        "select", f"{name}.is", "What", kind, [(k, LEAVES[k]) for k in SCOPES[scope]], refresh=True
    )
    controls = _WRITERS[kind](raw, name, choices, False)
    return NodeView(name, kind, negated, controls, [], list(dict.fromkeys(mine)), what, joint, not root)


def measure_view(raw: Json, name: str, path: str, choices: Choices, faults: Sequence[Fault] = ()) -> NodeView:
    """The controls of what a criterion with steps measures."""
    kind = "did" if isinstance(raw, Mapping) and "did" in raw else "fact"
    raw = raw or start("fact", choices, measure=True)
    mine = [f.message for f in faults if f.path.startswith(path)]
    options = [("fact", "A number we know"), ("did", "Something they did")]
    what = Control("select", f"{name}.is", "Measure", kind, options, refresh=True)
    return NodeView(name, kind, False, _WRITERS[kind](raw, name, choices, True), [], mine, what, "", False)


def _write_fact(raw: Json, name: str, choices: Choices, measure: bool) -> list[Control]:
    key = str(raw.get("fact", ""))
    types = ("number",) if measure else ()
    which = Control(
        "select", f"{name}.fact", "Fact", key, groups=choices.fact_groups(types), refresh=not measure
    )
    if measure:
        return [which]
    fact, op = choices.facts.get(key), str(raw.get("op", ""))
    ops = [(o, OPS[o]) for o in ops_of(fact)]
    how = Control("select", f"{name}.op", "Comparison", op, ops, refresh=True)
    suggest = urlencode({"fact": key, "op": op}) if fact and fact.is_text else ""
    type_ = fact.type if fact else "text"
    return [which, how, *_value_controls(raw.get("value"), name, op, type_, choices, suggest)]


def _value_controls(
    value: Json, name: str, op: str, type_: str, choices: Choices, suggest: str = ""
) -> list[Control]:
    if op in (*n.KNOWN_OPS, *n.BOOLEAN_OPS):
        return []
    if op == "domain_kind":
        chosen = tuple(value) if isinstance(value, list) else (str(value),)
        return [
            Control(
                "choices",
                f"{name}.kinds",
                "Kind of domain",
                options=_chosen_first(list(DOMAIN_WORDS.items()), chosen),
                chosen=chosen,
            )
        ]
    if op == "in_list":
        lists = [(key, found.label) for key, found in choices.document.lists.items()]
        return [Control("select", f"{name}.value", "List", str(value or ""), lists)]
    kind = "date" if type_ == "date" and op != "in_last_days" else "number"
    if op == "between":
        low, high = (*value, "", "")[:2] if isinstance(value, list) else ("", "")
        return [
            Control(kind, f"{name}.value", "From", shown(low)),
            Control("said", value="and"),
            Control(kind, f"{name}.to", "To", shown(high)),
        ]
    if op == "in_last_days" or op in n.ORDER_OPS:
        return [Control(kind, f"{name}.value", "Value", shown(value))]
    return [
        Control("words", f"{name}.value", "Values, with commas between", join_words(value), suggest=suggest)
    ]


def _write_changed(raw: Json, name: str, choices: Choices, measure: bool) -> list[Control]:
    return [
        Control("select", f"{name}.fact", "Fact", str(raw.get("changed", "")), groups=choices.fact_groups()),
        Control("said", value="in the last"),
        Control("number", f"{name}.days", "Days", shown(raw.get("days"))),
        Control("said", value="days"),
    ]


def _write_did(raw: Json, name: str, choices: Choices, measure: bool) -> list[Control]:
    did = raw.get("did") if isinstance(raw.get("did"), Mapping) else {}
    kinds = did.get("kinds") or []
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    found: list[Control] = []
    for i, key in enumerate([*kinds, ""]):
        blank: Options = [("", "or also …" if kinds else "choose …")] if key == "" else [("", "leave out")]
        label = "What they did" if i == 0 else "or what else"
        found.append(
            Control(
                "select", f"{name}.kinds", label, str(key), [*blank, *choices.kind_options()], refresh=True
            )
        )
    where = did.get("where") or []
    found.append(Control("hidden", f"{name}.w", value=str(len(where))))
    for i, one in enumerate(where):
        found += _write_where(one, f"{name}.w{i}", choices, kinds)
    found += [
        Control("said", value="in the last"),
        Control("number", f"{name}.days", "Days, empty for ever", shown(did.get("days"))),
        Control("said", value="days" if did.get("days") else "days (empty: ever)"),
    ]
    agg = str(raw.get("agg") or "count")
    aggregates = [(k, v) for k, v in AGGREGATES.items() if not (measure and k == "recency")]
    if not measure:
        found.append(
            Control("select", f"{name}.op", "Comparison", str(raw.get("op") or "gte"), list(COMPARED.items()))
        )
        found.append(Control("number", f"{name}.value", "How many", shown(raw.get("value", 1))))
    found.append(Control("select", f"{name}.agg", "Counted as", agg, aggregates, refresh=True))
    if agg == "sum":
        numbers = [
            (p, p.replace("_", " "))
            for p, _ in choices.property_options(kinds)
            if choices.property_type(kinds, p) == "number"
        ]
        found.append(
            Control("select", f"{name}.property", "Of what", str(raw.get("property") or ""), numbers)
        )
    return found


def _write_where(one: Json, name: str, choices: Choices, kinds: Sequence[str]) -> list[Control]:
    property_, op = str(one.get("property", "")), str(one.get("op", ""))
    op = "is" if op == "in" else op
    type_ = choices.property_type(kinds, property_)
    ops = [(o, OPS[o]) for o in where_ops(type_)]
    options = [("", "no filter"), *choices.property_options(kinds)]
    return [
        Control("said", value="where"),
        Control("select", f"{name}.property", "Property", property_, options, refresh=True),
        Control("select", f"{name}.op", "Operator", op, ops, refresh=True),
        *_value_controls(
            one.get("value"),
            name,
            op,
            type_,
            choices,
            urlencode({"kind": list(kinds), "property": property_}, doseq=True) if property_ else "",
        ),
    ]


def _write_ratio(raw: Json, name: str, choices: Choices, measure: bool) -> list[Control]:
    ratio = raw.get("ratio") if isinstance(raw.get("ratio"), Mapping) else {}
    share = raw.get("value")
    if isinstance(share, int | float):
        share = _plain(Decimal(str(share)) * 100)
    kinds = choices.kind_options()
    return [
        Control("select", f"{name}.of", "Share of", str(ratio.get("of", "")), kinds),
        Control("said", value="is"),
        Control("select", f"{name}.op", "Comparison", str(raw.get("op") or "gte"), list(COMPARED.items())),
        Control("number", f"{name}.value", "Per cent", shown(share)),
        Control("said", value="% of"),
        Control("select", f"{name}.to", "Of what", str(ratio.get("to", "")), kinds),
        Control("said", value="of at least"),
        Control("number", f"{name}.min", "Messages at least", shown(ratio.get("min"))),
        Control("said", value="in"),
        Control("number", f"{name}.days", "Days", shown(ratio.get("days"))),
        Control("said", value="days"),
    ]


def _write_criterion(raw: Json, name: str, choices: Choices, measure: bool) -> list[Control]:
    return [
        Control(
            "select",
            f"{name}.criterion",
            "Criterion",
            str(raw.get("criterion", "")),
            choices.criterion_options(),
        ),
        Control("said", value="by an act of the last"),
        Control("number", f"{name}.days", "Days, empty for any time", shown(raw.get("own_act_days"))),
        Control("said", value="days (empty: any time)"),
    ]


def _write_active(raw: Json, name: str, choices: Choices, measure: bool) -> list[Control]:
    return [
        Control("said", value="in the last"),
        Control("number", f"{name}.days", "Days", shown(raw.get("active_days"))),
        Control("said", value="days"),
    ]


def _write_score(raw: Json, name: str, choices: Choices, measure: bool) -> list[Control]:
    return [
        Control("select", f"{name}.score", "Of", str(raw.get("score", "")), list(SCORE_WORDS.items())),
        Control("select", f"{name}.op", "Comparison", str(raw.get("op", "")), list(COMPARED.items())),
        Control("number", f"{name}.value", "Points", shown(raw.get("value"))),
    ]


def _write_grade(raw: Json, name: str, choices: Choices, measure: bool) -> list[Control]:
    grades = [(g, g) for g in choices.document.grades.all]
    chosen = _listed(raw.get("grade"))
    return [
        Control("choices", f"{name}.grade", "Grades", options=_chosen_first(grades, chosen), chosen=chosen)
    ]


def _write_stage(raw: Json, name: str, choices: Choices, measure: bool) -> list[Control]:
    options = [(s.value, str(s.label)) for s in Stage]
    chosen = _listed(raw.get("stage"))
    return [
        Control("choices", f"{name}.stage", "Stages", options=_chosen_first(options, chosen), chosen=chosen)
    ]


def _write_persona(raw: Json, name: str, choices: Choices, measure: bool) -> list[Control]:
    options = [(p.key, p.name or p.key) for p in choices.document.personas]
    return [Control("select", f"{name}.persona", "Persona", str(raw.get("persona", "")), options)]


def _write_handoff(raw: Json, name: str, choices: Choices, measure: bool) -> list[Control]:
    fact, value = str(raw.get("handoff", "")), raw.get("value")
    chosen = _listed(value)
    value = value[0] if isinstance(value, list) and value else value
    found = [
        Control(
            "select", f"{name}.handoff", "Of the handoff", fact, list(HANDOFF_FACTS.items()), refresh=True
        )
    ]
    options: Options
    if fact == "kind":
        options = list(HANDOFF_KINDS.items())
    elif fact == "letter":
        options = [(letter, letter) for letter in _letters(choices.document)]
    elif fact == "team_hours":
        options = [("true", "inside"), ("false", "outside")]
    else:
        tracks = choices.document.thresholds.fast_tracks
        options = [("true", "any"), *((str(t.n), t.text or str(t.n)) for t in tracks)]
    if fact in ("kind", "letter"):
        offered = _chosen_first(options, chosen)
        return [*found, Control("choices", f"{name}.value", "Values", options=offered, chosen=chosen)]
    shown_value = str(value).lower() if isinstance(value, bool) else str(value)
    return [*found, Control("select", f"{name}.value", "Value", shown_value, options)]


_WRITERS = {
    "fact": _write_fact,
    "changed": _write_changed,
    "did": _write_did,
    "ratio": _write_ratio,
    "criterion": _write_criterion,
    "active_days": _write_active,
    "contactable": lambda raw, name, choices, measure: [],
    "persona": _write_persona,
    "stage": _write_stage,
    "score": _write_score,
    "grade": _write_grade,
    "handoff": _write_handoff,
}


# Small things -------------------------------------------------------------------------------


def ops_of(fact: Field | None) -> list[str]:
    """The comparisons that fit a fact."""
    if fact is None or fact.type in ("text", "choice"):
        words = [op for op in _TEXT_OPS if op != "has_word" or fact is None or fact.has_words]
        domain = (
            ["domain_kind"] if fact is not None and fact.key in ("email_domain", "company_domain") else []
        )
        return [*domain, *words, "in_list", *n.KNOWN_OPS]
    if fact.type == "number":
        return ["gte", "lte", "between", "gt", "lt", "eq", "ne", *n.KNOWN_OPS]
    if fact.type == "date":
        return ["in_last_days", "gte", "lte", "between", "gt", "lt", "eq", "ne", *n.KNOWN_OPS]
    return [*n.BOOLEAN_OPS, *n.KNOWN_OPS]


def where_ops(type_: str) -> list[str]:
    """The comparisons that fit a property of an activity."""
    if type_ in ("number", "date"):
        return ["gte", "lte", "between", "gt", "lt", "eq", "ne", *n.KNOWN_OPS]
    if type_ == "boolean":
        return ["is", "is_not", *n.KNOWN_OPS]
    return ["starts_with", "is", "is_not", "contains", "in_list", *n.KNOWN_OPS]


def split_words(text: str) -> list[str]:
    """A list typed with commas; with semicolons or line breaks where an entry itself has a comma."""
    parts = _SPLIT.split(text) if _SPLIT.search(text) else text.split(",")
    return [part.strip() for part in parts if part.strip()]


def join_words(value: Json) -> str:
    """A list as it is typed."""
    items = (
        [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)] if value else []
    )
    if any("," in item or ";" in item for item in items):
        return "; ".join(items) + ";" * (len(items) == 1)
    return ", ".join(items)


def shown(value: Json) -> str:
    """A number or day in a field."""
    return "" if value is None else str(value)


def _chosen_first(options: Options, chosen: Sequence[str]) -> Options:
    """The chosen ones first and as they stand, so that saving without a change keeps their order."""
    rest = [(key, label) for key, label in options if key not in chosen]
    names = dict(options)
    return [*((key, names[key]) for key in chosen if key in names), *rest]


def _listed(value: Json) -> tuple[str, ...]:
    return tuple(str(v) for v in value) if isinstance(value, list) else () if value is None else (str(value),)


def _letters(document: Document) -> list[str]:
    return [*(name for name, _ in document.grades.letters), document.grades.last_letter]


def whole(text: str) -> Json:
    """A whole number as typed; the text itself when it is none."""
    text = text.strip()
    return int(text) if re.fullmatch(r"[+-]?\d{1,12}", text) else text


def number(text: str) -> Json:
    """A number as typed, with a point or a comma; the text itself when it is none."""
    text = text.strip().replace("−", "-")
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        found = Decimal(text)
    except InvalidOperation:
        return text
    return _plain(found) if found.is_finite() and abs(found) < Decimal(10) ** 14 else text


def _plain(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
