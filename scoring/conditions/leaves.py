"""Whether one condition can be applied: facts and kinds that exist, comparisons that fit, parts in reach."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from leadflow.errors import BadInput, Fault
from leadflow.leads.facts import known_facts
from leadflow.leads.folding import fold
from leadflow.leads.models import ActivityKind, Stage
from scoring.conditions import nodes as n
from scoring.conditions import sense
from scoring.conditions.fields import Field, catalogue
from scoring.conditions.parse import parse
from scoring.document import Document

# Properties of an activity that are columns, all of text.
_COLUMNS = ("path", "campaign", "content", "channel", "result", "message_key")
_TEXT_TYPES = ("text", "choice")
_DOMAIN_FACTS = ("email_domain", "company_domain")


@dataclass(frozen=True)
class Surroundings:
    """What rules may name: facts, and activity kinds with their typed properties; and what changed since.

    `retired` are kinds of which nothing is recorded any more; `types` the custom fields' types of today.
    """

    facts: Mapping[str, Field]
    kinds: Mapping[str, Mapping[str, str]]
    phrases: Mapping[str, str] = field(default_factory=dict)
    retired: frozenset[str] = frozenset()
    types: Mapping[str, str] = field(default_factory=dict)


def surroundings(document: Document) -> Surroundings:
    """Those of today. Two queries."""
    rows = list(ActivityKind.objects.all())
    today = known_facts(retired=True)
    return Surroundings(
        catalogue(document, today),
        {kind.key: kind.properties for kind in rows},
        {kind.key: kind.phrase for kind in rows},
        frozenset(kind.key for kind in rows if not kind.active),
        {key: fact.type for key, fact in today.items() if fact.custom},
    )


class ConditionChecker:
    """Collects the faults of conditions in the words of one agreement.

    `complete`: also what may stand in a draft but is never signed, as kinds and fields that are retired.
    """

    def __init__(self, document: Document, around: Surroundings, *, complete: bool = False) -> None:
        self.document, self.around, self.complete = document, around, complete
        self.names = sense.known_names(document, around.facts, around.phrases)
        self.faults: list[Fault] = []

    def fault(self, path: str, message: str) -> None:
        self.faults.append(Fault(path.removeprefix("."), message))

    # Conditions

    def condition(self, raw: Any, path: str, scope: str) -> n.Node | None:
        """Parse and check; None when it cannot be read."""
        try:
            node = parse(raw, path)
        except BadInput as bad:
            self.faults += bad.faults
            return None
        before = len(self.faults)
        for where, leaf in walk(node, path):
            self.leaf(leaf, where, scope)
        if len(self.faults) == before:
            # What names unknown things cannot be judged.
            here = path.removeprefix(".")
            self.faults += sense.nonsense(node, here, self.names)
            if scope == "criterion":
                self.faults += sense.emptiness(node, here, self.names)
        return node

    def leaf(self, leaf: n.Leaf, path: str, scope: str) -> None:
        match leaf:
            case n.FactIs():
                self._fact(leaf, path)
            case n.Changed():
                self.known_field(leaf.key, f"{path}.changed")
            case n.Behaviour():
                self._behaviour(leaf, path)
            case n.Ratio():
                self._kinds((leaf.of,), f"{path}.ratio.of")
                self._kinds((leaf.to,), f"{path}.ratio.to")
            case n.CriterionHolds():
                if self.document.criterion(leaf.id) is None:
                    self.fault(f"{path}.criterion", f"There is no criterion “{leaf.id}” in this agreement.")
            case n.PersonaIs():
                if all(p.key != leaf.key for p in self.document.personas):
                    self.fault(f"{path}.persona", f"There is no persona “{leaf.key}” in this agreement.")
            case n.StageIn():
                self.known(leaf.stages, [s.value for s in Stage], f"{path}.stage", "stage")
            case n.ScoreIs() | n.GradeIn():
                self._score(leaf, path, scope)
            case n.HandoffIs():
                if scope != "handoff":
                    self.fault(path, "What a handoff is can be asked only in promises and routing.")

    def _score(self, leaf: n.ScoreIs | n.GradeIn, path: str, scope: str) -> None:
        if scope == "criterion":
            self.fault(path, "A rule that gives points cannot ask for points. Use it in a bar.")
        elif isinstance(leaf, n.GradeIn):
            self.known(leaf.grades, self.document.grades.all, f"{path}.grade", "grade")
        else:
            limits = self.document.total if leaf.group == "total" else self.document.groups[leaf.group]
            if leaf.op in ("gte", "gt", "eq") and leaf.value + (leaf.op == "gt") > limits.cap:
                self.fault(
                    f"{path}.value",
                    f"No lead can reach {leaf.value}: the most for {leaf.group} is {limits.cap}.",
                )

    def known(self, given: Iterable[str], known: Iterable[str], path: str, what: str) -> None:
        for item in given:
            if item not in known:
                self.fault(path, f"There is no {what} “{item}”.")

    def known_field(self, key: str, path: str) -> Field | None:
        found = self.around.facts.get(key)
        if found is None:
            self.fault(
                path, f"There is no fact “{key}”. Choose one of the list, or add a field in the settings."
            )
        elif self.complete and found.retired:
            self.fault(path, f"“{found.label}” is retired: nobody fills it in any more. Choose another fact.")
        return found

    def _fact(self, leaf: n.FactIs, path: str) -> None:
        fact = self.known_field(leaf.key, f"{path}.fact")
        if fact is None or leaf.op in n.KNOWN_OPS:
            return
        fitting = ops_of(fact)
        if leaf.op not in fitting:
            self.fault(
                f"{path}.op",
                f"“{leaf.op}” does not fit {fact.label} (a {fact.type}). One of: {', '.join(fitting)}.",
            )
        elif leaf.op == "in_list":
            self._list(leaf.value, f"{path}.value")
        elif leaf.op == "domain_kind":
            self._snapshots(leaf.value, f"{path}.value")
        elif leaf.op == "is" and fact.options:
            self._options(leaf.value, fact, f"{path}.value")
        elif leaf.op in (*n.ORDER_OPS, "between"):
            self._comparable(leaf.value, fact.type, f"{path}.value")

    def _comparable(self, value: n.Value, type_: str, path: str) -> None:
        is_day = isinstance(value[0] if isinstance(value, tuple) else value, str)
        if type_ == "date" and not is_day:
            self.fault(path, "Write a day as 2026-11-24.")
        elif type_ == "number" and is_day:
            self.fault(path, "A number is expected here.")

    def _options(self, value: n.Value, fact: Field, path: str) -> None:
        known = {fold(option) for option in fact.options}
        for item in value if isinstance(value, tuple) else ():
            if fold(str(item)) not in known:
                options = ", ".join(fact.options)
                self.fault(path, f"“{item}” is no value of {fact.label}. It has: {options}.")

    def _list(self, value: n.Value, path: str) -> None:
        key = str(value[0]) if isinstance(value, tuple) and value else ""
        found = self.document.lists.get(key)
        if found is None:
            self.fault(path, f"There is no list “{key}” in this agreement.")
        elif not found.entries:
            self.fault(path, f"The list “{found.label}” is empty, so nobody can match.")

    def _snapshots(self, value: n.Value, path: str) -> None:
        kinds = {str(kind) for kind in value} if isinstance(value, tuple) else set()
        lists = {"free_mail", "throwaway"}
        for key in sorted(lists if "work" in kinds else lists & kinds):
            if not self.document.list_snapshots.get(key):
                self.fault(path, f"The list of domains “{key}” is not part of this agreement yet.")

    def _kinds(self, kinds: Iterable[str], path: str) -> None:
        given = list(kinds)
        self.known(given, self.around.kinds, path, "kind of activity")
        for kind in given if self.complete else ():
            if kind in self.around.retired:
                self.fault(path, f"The kind “{kind}” is retired: nothing new of it comes in. Choose another.")

    def _behaviour(self, leaf: n.Behaviour, path: str) -> None:
        self._kinds(leaf.did.kinds, f"{path}.did.kinds")
        for i, where in enumerate(leaf.did.where):
            self._where(leaf.did, where, f"{path}.did.where[{i}]")
        if leaf.agg == "sum" and self._property_type(leaf.did, leaf.property) != "number":
            self.fault(f"{path}.property", f"“{leaf.property}” is not a number of these activities.")

    def _where(self, did: n.Did, where: n.Where, path: str) -> None:
        type_ = self._property_type(did, where.property)
        if type_ is None:
            self.fault(f"{path}.property", f"These activities have no property “{where.property}”.")
        elif where.op == "in_list":
            self._list(where.value, f"{path}.value")
        elif where.op in (*n.ORDER_OPS, "between") and type_ not in ("number", "date"):
            self.fault(f"{path}.op", f"“{where.property}” is a text; it cannot be greater or less.")
        elif where.op in ("contains", "starts_with") and type_ not in _TEXT_TYPES:
            self.fault(f"{path}.op", f"“{where.property}” is a {type_}, not a text.")

    def _property_type(self, did: n.Did, name: str) -> str | None:
        if name in _COLUMNS:
            return "text"
        types = {self.around.kinds.get(kind, {}).get(name) for kind in did.kinds} - {None}
        return str(next(iter(types))) if types else None


def ops_of(fact: Field) -> tuple[str, ...]:
    """The comparisons that fit a fact."""
    known = n.KNOWN_OPS
    if fact.type == "number":
        return (*n.ORDER_OPS, "between", *known)
    if fact.type == "date":
        return (*n.ORDER_OPS, "between", "in_last_days", *known)
    if fact.type == "boolean":
        return (*n.BOOLEAN_OPS, *known)
    ops = [op for op in n.TEXT_OPS if op != "has_word" or fact.has_words]
    return (*ops, *(["domain_kind"] if fact.key in _DOMAIN_FACTS else []), *known)


def walk(node: n.Node, path: str) -> Iterator[tuple[str, n.Leaf]]:
    """Each leaf with its path."""
    if isinstance(node, n.All | n.Some):
        name = "all" if isinstance(node, n.All) else "any"
        for i, item in enumerate(node.items):
            yield from walk(item, f"{path}.{name}[{i}]" if path else f"{name}[{i}]")
    elif isinstance(node, n.Not):
        yield from walk(node.item, f"{path}.not" if path else "not")
    elif not isinstance(node, n.Always):
        yield path, node
