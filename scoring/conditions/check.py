"""Whether an agreement's content can be applied: known facts, fitting types, no cycles, bars in reach.

A broken rule never saves. Each fault names its path and says what to do.
"""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from leadflow import clock
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Level, Stage
from scoring import sla
from scoring.conditions import nodes as n
from scoring.conditions.leaves import ConditionChecker, Surroundings, surroundings
from scoring.conditions.parse import parse, parse_measure
from scoring.document import DECAYS, GROUPS, MODES, PLACES, STEP_KINDS, Criterion, Document, Limits

MAX_CRITERIA = 200
MAX_POINTS = 1_000

REASON_KINDS = ("fit", "timing", "person", "data", "process", "other")
EFFECTS = ("close", "track", "callback", "repair", "process")
BACKS = ("criteria", "fields", "colleague", "any", "none", "repair")
# What sales may want to know beside facts: no single fact says it.
KNOWN_BESIDE = ("phone_or_email", "last_acts")
STAGE_WORDS = {"mql": "MQL", "sql": "SQL"}


def check_document(
    document: Document, around: Surroundings | None = None, *, complete: bool = False
) -> list[Fault]:
    """Everything that keeps this content from being applied; `complete`: from being signed, too."""
    return _Checker(document, around or surroundings(document), complete=complete).document_faults()


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


class _Checker(ConditionChecker):
    # The document

    def document_faults(self) -> list[Fault]:
        """Every part in the order of the document."""
        document = self.document
        if document.zone not in clock.zone_names() or not ZoneInfo(document.zone):
            self.fault("zone", f"“{document.zone}” is no time zone. Write it as Europe/Berlin.")
        for name, limits in (*document.groups.items(), ("total", document.total)):
            self._limits(limits, f"groups.{name}" if name in GROUPS else "total")
        self._grades()
        self._fields()
        self._personas()
        for i, exclusion in enumerate(document.exclusions):
            self.condition(exclusion.condition, f"exclusions[{i}].condition", "criterion")
        self._criteria()
        self._cycles()
        self._thresholds()
        self._stages()
        self._must_know()
        self._promises()
        self._reasons()
        self._tracks()
        self._keys()
        return self.faults

    def _keys(self) -> None:
        """Each part has a key of its own that an address can carry."""
        document = self.document
        stages = [f"{row.stage}/{row.level}" if row.level else row.stage for row in document.stages]
        for place, name, keys in (
            ("personas", "key", [one.key for one in document.personas]),
            ("exclusions", "id", [one.id for one in document.exclusions]),
            ("sla", "key", [one.key for one in document.sla]),
            ("tracks", "key", [one.key for one in document.tracks]),
            ("reasons", "key", [one.key for one in document.reasons]),
            ("stages", "stage", stages),
        ):
            for i, key in enumerate(keys):
                if not key or keys.count(key) > 1 or ("/" in key and place != "stages"):
                    self.fault(f"{place}[{i}].{name}", f"The key “{key}” is empty, used twice or has a “/”.")
        for key in document.lists:
            if not key or "/" in key:
                self.fault(f"lists.{key}", f"The key “{key}” is empty or has a “/”.")

    def _fields(self) -> None:
        """A field keeps the type that it had when it was agreed."""
        for i, field in enumerate(self.document.fields):
            key = f"custom.{field.key.removeprefix('custom.')}"
            today = self.around.types.get(key, "")
            same = field.type == today or {field.type, today} <= {"text", "choice"}
            if today and not same:
                self.fault(
                    f"fields[{i}].type",
                    f"“{field.label}” is a {field.type} here and a {today} in the settings."
                    " Make a new field for the new type.",
                )

    def _personas(self) -> None:
        for i, persona in enumerate(self.document.personas):
            path = f"personas[{i}]"
            if persona.condition:
                self.condition(persona.condition, f"{path}.condition", "criterion")
            if persona.not_ideal.condition:
                self.condition(persona.not_ideal.condition, f"{path}.not_ideal.condition", "criterion")

    def _stages(self) -> None:
        for i, row in enumerate(self.document.stages):
            path, name = f"stages[{i}]", row.level or STAGE_WORDS.get(row.stage, row.stage)
            self.known([row.stage], Stage.values, f"{path}.stage", "stage")
            if row.level:
                self.known([row.level], Level.values, f"{path}.level", "level")
            if row.condition:
                self.condition(row.condition, f"{path}.condition", "bar")
            elif row.level and row is not self.document.levels[0]:
                self.fault(f"{path}.condition", f"Say from when: else every prospect is at “{name}”.")
            if self.complete and not row.text.strip():
                self.fault(f"{path}.text", f"Say what “{name}” means.")
            if self.complete and not row.owner:
                self.fault(f"{path}.owner", f"Say who holds a lead that is at “{name}”.")

    def _must_know(self) -> None:
        for key in self.document.must_know:
            if key not in KNOWN_BESIDE and f"custom.{key}" not in self.around.facts:
                self.known_field(key, "must_know")

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
            if not criterion.id or criterion.id in seen or "/" in criterion.id:
                self.fault(f"{path}.id", f"The id “{criterion.id}” is empty, used twice or has a “/”.")
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
            self.leaf(measure, f"{path}.of", "criterion")
            if measure.agg == "recency":
                self.fault(f"{path}.of.agg", "Bands measure a count, days or a sum.")
            self._reach(criterion, measure, path)
            return
        fact = self.known_field(measure.key, f"{path}.of.fact")
        if fact is not None and fact.type != "number":
            self.fault(f"{path}.of.fact", f"{fact.label} is not a number.")

    def _reach(self, criterion: Criterion, measure: n.Behaviour, path: str) -> None:
        days = measure.did.days
        for i, band in enumerate(criterion.bands):
            if measure.agg == "days" and days is not None and band.start > days + 1:
                self.fault(f"{path}.bands[{i}]", f"No lead can reach {band.start} days in {days} days.")

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
        for i, policy in enumerate(self.document.sla):
            if policy.when:
                self.condition(policy.when, f"sla[{i}].when", "handoff")
        self.faults += sla.faults(self.document.content.get("sla"), complete=self.complete)

    def _reasons(self) -> None:
        tracks = {track.key for track in self.document.tracks}
        for i, reason in enumerate(self.document.reasons):
            path = f"reasons[{i}]"
            self.known([reason.kind], REASON_KINDS, f"{path}.kind", "kind of reason")
            self.known([reason.effect], EFFECTS, f"{path}.effect", "effect")
            self.known([reason.back.kind], BACKS, f"{path}.back.kind", "evidence")
            if reason.track:
                self.known([reason.track], tracks, f"{path}.track", "track")
            if reason.effect == "callback" and not reason.needs_date:
                self.fault(f"{path}.needs_date", "A lead that comes back on a date needs the date.")
            if reason.effect == "track" and not reason.track:
                self.fault(f"{path}.track", "Say which track it goes on.")
            if reason.back.kind == "none" and not (reason.closes or reason.needs_date or reason.wait_days):
                words = "It neither closes nor comes back: give it days to wait, a date, or close it."
                self.fault(f"{path}.wait_days", words)
            self.known(
                reason.back.ids, {c.id for c in self.document.criteria}, f"{path}.back.ids", "criterion"
            )
            for key in reason.back.keys:
                self.known_field(key, f"{path}.back.keys")

    def _tracks(self) -> None:
        personas = {persona.key for persona in self.document.personas}
        for i, track in enumerate(self.document.tracks):
            path = f"tracks[{i}]"
            self.known([step.kind for step in track.steps], STEP_KINDS, f"{path}.steps", "kind of step")
            days = [step.day for step in track.steps]
            if days != sorted(days) or any(day < 0 for day in days):
                self.fault(f"{path}.steps", "No step comes before the one ahead of it.")
            self.known(track.start.places, PLACES, f"{path}.start.places", "place")
            self.known(track.start.personas, personas, f"{path}.start.personas", "persona")


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
