"""Whether an agreement's content can be applied: known facts, fitting types, no cycles, bars in reach.

A broken rule never saves. Each fault names its path and says what to do.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from leadflow.errors import BadInput, Fault
from leadflow.leads.models import ActivityKind, Stage
from scoring.conditions import nodes as n
from scoring.conditions.fields import Field, catalogue_today
from scoring.conditions.parse import parse, parse_measure
from scoring.document import DECAYS, GROUPS, MODES, Criterion, Document, Limits

MAX_CRITERIA = 200
MAX_POINTS = 1_000
SALES_PROMISES = ("accept", "first_touch", "next_attempt")
REASON_KINDS = ("fit", "timing", "person", "data", "process", "other")
EFFECTS = ("close", "track", "callback", "repair", "process")
BACKS = ("criteria", "fields", "any", "none", "repair")
# Properties of an activity that are columns, all of text.
_COLUMNS = ("path", "campaign", "content", "channel", "result", "message_key")
_TEXT_TYPES = ("text", "choice")
_DOMAIN_FACTS = ("email_domain", "company_domain")


@dataclass(frozen=True)
class Surroundings:
    """What rules may name: facts, and activity kinds with their typed properties."""

    facts: Mapping[str, Field]
    kinds: Mapping[str, Mapping[str, str]]


def surroundings(document: Document) -> Surroundings:
    """Those of today. Two queries."""
    kinds = {kind.key: kind.properties for kind in ActivityKind.objects.all()}
    return Surroundings(catalogue_today(document), kinds)


def check_document(document: Document, around: Surroundings | None = None) -> list[Fault]:
    """Everything that keeps this content from being applied; empty when it is sound."""
    return _Checker(document, around or surroundings(document)).document_faults()


def check_condition(
    raw: Any,
    document: Document,
    *,
    path: str = "",
    scope: str = "bar",
    around: Surroundings | None = None,
) -> list[Fault]:
    """The faults of one condition. scope: criterion (facts and behaviour), bar (score and grade too) or
    handoff (promises and routing: handoff leaves too)."""
    checker = _Checker(document, around or surroundings(document))
    checker.condition(raw, path, scope)
    return checker.faults


class _Checker:
    def __init__(self, document: Document, around: Surroundings) -> None:
        self.document, self.around = document, around
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
        for where, leaf in _walk(node, path):
            self._leaf(leaf, where, scope)
        return node

    def _leaf(self, leaf: n.Leaf, path: str, scope: str) -> None:
        match leaf:
            case n.FactIs():
                self._fact(leaf, path)
            case n.Changed():
                self._field(leaf.key, f"{path}.changed")
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
                self._known(leaf.stages, [s.value for s in Stage], f"{path}.stage", "stage")
            case n.ScoreIs() | n.GradeIn():
                self._score(leaf, path, scope)
            case n.HandoffIs():
                if scope != "handoff":
                    self.fault(path, "What a handoff is can be asked only in promises and routing.")

    def _score(self, leaf: n.ScoreIs | n.GradeIn, path: str, scope: str) -> None:
        if scope == "criterion":
            self.fault(path, "A rule that gives points cannot ask for points. Use it in a bar.")
        elif isinstance(leaf, n.GradeIn):
            self._known(leaf.grades, self.document.grades.all, f"{path}.grade", "grade")
        else:
            limits = self.document.total if leaf.group == "total" else self.document.groups[leaf.group]
            if leaf.op in ("gte", "gt", "eq") and leaf.value + (leaf.op == "gt") > limits.cap:
                self.fault(
                    f"{path}.value",
                    f"No lead can reach {leaf.value}: the most for {leaf.group} is {limits.cap}.",
                )

    def _known(self, given: Iterable[str], known: Iterable[str], path: str, what: str) -> None:
        for item in given:
            if item not in known:
                self.fault(path, f"There is no {what} “{item}”.")

    def _field(self, key: str, path: str) -> Field | None:
        found = self.around.facts.get(key)
        if found is None:
            self.fault(
                path, f"There is no fact “{key}”. Choose one of the list, or add a field in the settings."
            )
        return found

    def _fact(self, leaf: n.FactIs, path: str) -> None:
        fact = self._field(leaf.key, f"{path}.fact")
        if fact is None or leaf.op in n.KNOWN_OPS:
            return
        fitting = _ops_of(fact)
        if leaf.op not in fitting:
            self.fault(
                f"{path}.op",
                f"“{leaf.op}” does not fit {fact.label} (a {fact.type}). One of: {', '.join(fitting)}.",
            )
        elif leaf.op == "in_list":
            self._list(leaf.value, f"{path}.value")
        elif leaf.op == "domain_kind":
            self._snapshots(leaf.value, f"{path}.value")
        elif leaf.op in (*n.ORDER_OPS, "between"):
            self._comparable(leaf.value, fact.type, f"{path}.value")

    def _comparable(self, value: n.Value, type_: str, path: str) -> None:
        is_day = isinstance(value[0] if isinstance(value, tuple) else value, str)
        if type_ == "date" and not is_day:
            self.fault(path, "Write a day as 2026-11-24.")
        elif type_ == "number" and is_day:
            self.fault(path, "A number is expected here.")

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
        self._known(kinds, self.around.kinds, path, "kind of activity")

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

    # The document

    def document_faults(self) -> list[Fault]:
        """Every part in the order of the document."""
        document = self.document
        if document.zone not in available_timezones() or not ZoneInfo(document.zone):
            self.fault("zone", f"“{document.zone}” is no time zone. Write it as Europe/Berlin.")
        for name, limits in (*document.groups.items(), ("total", document.total)):
            self._limits(limits, f"groups.{name}" if name in GROUPS else "total")
        self._grades()
        for i, persona in enumerate(document.personas):
            if persona.condition:
                self.condition(persona.condition, f"personas[{i}].condition", "criterion")
        for i, exclusion in enumerate(document.exclusions):
            self.condition(exclusion.condition, f"exclusions[{i}].condition", "criterion")
        self._criteria()
        self._cycles()
        self._thresholds()
        for i, row in enumerate(document.stages):
            if row.condition:
                self.condition(row.condition, f"stages[{i}].condition", "bar")
        self._promises()
        self._reasons()
        return self.faults

    def _whole(self, value: Any, path: str, low: int, high: int) -> bool:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault(path, f"A whole number from {low:,} to {high:,} is expected here.")
            return False
        return True

    def _limits(self, limits: Limits, path: str) -> None:
        sound = [
            self._whole(limits.floor, f"{path}.floor", -MAX_POINTS, MAX_POINTS),
            self._whole(limits.cap, f"{path}.cap", -MAX_POINTS, MAX_POINTS),
        ]
        if all(sound) and limits.floor > limits.cap:
            self.fault(path, f"The cap ({limits.cap}) is below the floor ({limits.floor}). Turn them round.")

    def _grades(self) -> None:
        for name, steps in (
            ("letters", [start for _, start in self.document.grades.letters]),
            ("numbers", [start for _, start in self.document.grades.numbers]),
        ):
            if not steps or sorted(set(steps), reverse=True) != steps:
                self.fault(f"grade.{name}", "The steps must fall from the best to the last, each only once.")

    def _criteria(self) -> None:
        seen: set[str] = set()
        criteria = self.document.criteria
        if len(criteria) > MAX_CRITERIA:
            self.fault("criteria", f"At most {MAX_CRITERIA} criteria.")
        for i, criterion in enumerate(criteria):
            path = f"criteria[{i}]"
            if not criterion.id or criterion.id in seen:
                self.fault(f"{path}.id", f"The id “{criterion.id}” is empty or used twice.")
            seen.add(criterion.id)
            if criterion.group not in GROUPS:
                self.fault(f"{path}.group", f"One of: {', '.join(GROUPS)}.")
            self._criterion(criterion, path)

    def _criterion(self, criterion: Criterion, path: str) -> None:
        if criterion.mode not in MODES:
            self.fault(f"{path}.mode", f"One of: {', '.join(MODES)}.")
            return
        if criterion.decay and (
            criterion.decay.kind not in DECAYS
            or not self._whole(criterion.decay.days, f"{path}.decay.days", 1, 3650)
        ):
            self.fault(f"{path}.decay", f"Points fade as one of: {', '.join(DECAYS)}; over 1 to 3,650 days.")
        if criterion.mode == "bands":
            self._bands(criterion, path)
            return
        if self._whole(criterion.points, f"{path}.points", -MAX_POINTS, MAX_POINTS) and criterion.points == 0:
            self.fault(
                f"{path}.points", "A criterion of 0 points does nothing. Give it points or switch it off."
            )
        node = self.condition(criterion.condition, f"{path}.condition", "criterion")
        if node is None:
            return
        acts = len(n.positive_behaviours(node))
        if criterion.mode == "each":
            if acts != 1:
                self.fault(f"{path}.condition", "“Each time” needs exactly one behaviour to count.")
            self._each_limits(criterion, path)
        elif criterion.decay and acts != 1:
            self.fault(f"{path}.decay", "Points can fade only where exactly one behaviour tells their age.")

    def _each_limits(self, criterion: Criterion, path: str) -> None:
        if criterion.max_points is not None:
            self._whole(criterion.max_points, f"{path}.max_points", 1, MAX_POINTS)
        if criterion.max_per_day is not None:
            self._whole(criterion.max_per_day, f"{path}.max_per_day", 1, 1_000)

    def _bands(self, criterion: Criterion, path: str) -> None:
        if criterion.decay:
            self.fault(f"{path}.decay", "Bands do not fade; use a window of days instead.")
        starts = [band.start for band in criterion.bands]
        if not starts or sorted(set(starts)) != starts:
            self.fault(f"{path}.bands", "Write the bands from the lowest to the highest, each start once.")
        for i, band in enumerate(criterion.bands):
            self._whole(band.points, f"{path}.bands[{i}]", -MAX_POINTS, MAX_POINTS)
        try:
            measure = parse_measure(criterion.of, f"{path}.of")
        except BadInput as bad:
            self.faults += bad.faults
            return
        if isinstance(measure, n.Behaviour):
            self._leaf(measure, f"{path}.of", "criterion")
            if measure.agg == "recency":
                self.fault(f"{path}.of.agg", "Bands measure a count, days or a sum.")
            return
        fact = self._field(measure.key, f"{path}.of.fact")
        if fact is not None and fact.type != "number":
            self.fault(f"{path}.of.fact", f"{fact.label} is not a number.")

    def _cycles(self) -> None:
        names: dict[str, set[str]] = {}
        for criterion in self.document.criteria:
            names[f"criterion {criterion.id}"] = _names(criterion.condition)
        for persona in self.document.personas:
            names[f"persona {persona.key}"] = _names(persona.condition)
        paths = {
            f"criterion {c.id}": f"criteria[{i}].condition" for i, c in enumerate(self.document.criteria)
        }
        paths |= {
            f"persona {p.key}": f"personas[{i}].condition" for i, p in enumerate(self.document.personas)
        }
        for name in names:
            ring = _ring(name, names)
            if ring:
                self.fault(paths[name], f"It asks for itself in a circle: {' → '.join(ring)}.")

    def _thresholds(self) -> None:
        bars = self.document.thresholds
        for name, raw in (
            ("mql_when", bars.mql_when),
            ("mql_leave_when", bars.mql_leave_when),
            ("sql_when", bars.sales_when),
        ):
            if raw is None:
                self.fault(f"thresholds.{name}", "This bar is missing.")
            else:
                self.condition(raw, f"thresholds.{name}", "bar")
        numbers = [track.n for track in bars.fast_tracks]
        for i, track in enumerate(bars.fast_tracks):
            path = f"thresholds.fast_tracks[{i}]"
            if track.n < 1 or numbers.count(track.n) > 1:
                self.fault(f"{path}.n", "Each fast track has a number of its own, from 1.")
            self.condition(track.condition, f"{path}.condition", "bar")

    def _promises(self) -> None:
        policies = self.document.sla
        for i, policy in enumerate(policies):
            if policy.when:
                self.condition(policy.when, f"sla[{i}].when", "handoff")
            for name in SALES_PROMISES:
                self._whole(getattr(policy, name), f"sla[{i}].{name}", 1, 480 * 60)
        if policies and policies[-1].when:
            self.fault(f"sla[{len(policies) - 1}].when", "The last promise must be for everybody else.")

    def _reasons(self) -> None:
        keys = [reason.key for reason in self.document.reasons]
        tracks = {track.key for track in self.document.tracks}
        for i, reason in enumerate(self.document.reasons):
            path = f"reasons[{i}]"
            if not reason.key or keys.count(reason.key) > 1:
                self.fault(f"{path}.key", f"The key “{reason.key}” is empty or used twice.")
            self._known([reason.kind], REASON_KINDS, f"{path}.kind", "kind of reason")
            self._known([reason.effect], EFFECTS, f"{path}.effect", "effect")
            self._known([reason.back.kind], BACKS, f"{path}.back.kind", "evidence")
            if reason.track:
                self._known([reason.track], tracks, f"{path}.track", "track")
            self._known(
                reason.back.ids, {c.id for c in self.document.criteria}, f"{path}.back.ids", "criterion"
            )
            for key in reason.back.keys:
                self._field(key, f"{path}.back.keys")


def _ops_of(fact: Field) -> tuple[str, ...]:
    known = n.KNOWN_OPS
    if fact.type == "number":
        return (*n.ORDER_OPS, "between", *known)
    if fact.type == "date":
        return (*n.ORDER_OPS, "between", "in_last_days", *known)
    if fact.type == "boolean":
        return (*n.BOOLEAN_OPS, *known)
    ops = [op for op in n.TEXT_OPS if op != "has_word" or fact.has_words]
    return (*ops, *(["domain_kind"] if fact.key in _DOMAIN_FACTS else []), *known)


def _walk(node: n.Node, path: str) -> Iterator[tuple[str, n.Leaf]]:
    """Each leaf with its path."""
    if isinstance(node, n.All | n.Some):
        name = "all" if isinstance(node, n.All) else "any"
        for i, item in enumerate(node.items):
            yield from _walk(item, f"{path}.{name}[{i}]" if path else f"{name}[{i}]")
    elif isinstance(node, n.Not):
        yield from _walk(node.item, f"{path}.not" if path else "not")
    elif not isinstance(node, n.Always):
        yield path, node


def _names(raw: Mapping[str, Any] | None) -> set[str]:
    """The criteria and personas that a condition asks for."""
    try:
        node = parse(raw)
    except BadInput:
        return set()
    found = set()
    for leaf in n.leaves(node):
        if isinstance(leaf, n.CriterionHolds):
            found.add(f"criterion {leaf.id}")
        elif isinstance(leaf, n.PersonaIs):
            found.add(f"persona {leaf.key}")
    return found


def _ring(start: str, names: Mapping[str, set[str]]) -> list[str]:
    """The way from a name back to itself; empty when there is none."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for name in sorted(names.get(way[-1], ())):
            if name == start:
                return [*way, start]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []
