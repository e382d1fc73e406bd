"""The parts of an agreement that a person can edit, each with its fields. Forms, the list of changes and the
printed page all read this one list, so that nothing can be edited that the list of changes would not show."""

import copy
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from leadflow.errors import BadInput, Fault
from leadflow.leads.models import CustomField
from leadflow.numbers import whole
from scoring.conditions.check import BACKS, EFFECTS, REASON_KINDS
from scoring.conditions.explain import Words, criterion_sentence, measure_words, sentence
from scoring.conditions.parse import parse_measure
from scoring.document import Criterion, Document, canonical
from scoring.editing import tree

Json = Any
Pairs = tuple[tuple[str, str], ...]

TABS: dict[str, str] = {
    "definitions": "Definitions",
    "who": "Who",
    "behaviour": "What they do",
    "value": "Who is buying",
    "thresholds": "Thresholds",
    "handoff": "Handoff & SLA",
    "reasons": "Reasons & nurture",
    "sign": "Sign-off",
    "history": "History",
}
GROUP_TABS = {"fit": "who", "behaviour": "behaviour", "value": "value"}
TAB_GROUPS = {tab: group for group, tab in GROUP_TABS.items()}
GROUP_NAMES = {"fit": "Fit", "behaviour": "Behaviour", "value": "Value"}
MODES: Pairs = (("once", "once"), ("each", "each time"), ("bands", "in steps"))
DECAYS: Pairs = (
    ("", "never fades"),
    ("half_life", "halves every"),
    ("linear", "fades to nothing over"),
    ("expiry", "ends after"),
)
EFFECT_WORDS = {
    "close": "closes the lead",
    "track": "goes on a track",
    "callback": "comes back on a date",
    "repair": "goes on the repair list",
    "process": "goes to the owner",
}
BACK_WORDS = {
    "any": "any act of theirs",
    "criteria": "one of these criteria",
    "fields": "a change of one of these facts",
    "colleague": "a colleague who becomes an MQL or ready for sales",
    "none": "nothing: only the date or a person",
    "repair": "the repair itself",
}
KIND_WORDS = {
    "fit": "does not fit",
    "timing": "wrong time",
    "person": "wrong person",
    "data": "wrong data",
    "process": "nobody's fault",
    "other": "other",
}
MUST_KNOW: Pairs = (
    ("name", "Name"),
    ("company_name", "Company"),
    ("title", "Job title"),
    ("phone_or_email", "Phone or e-mail"),
    ("first_source", "Source"),
    ("last_acts", "Last three acts"),
    ("phone", "Phone"),
    ("email", "E-mail"),
    ("country", "Country"),
    ("city", "City"),
    ("industry", "Industry"),
    ("employees", "Size of the company"),
)
# The kinds of field of a promise; `editing.sla` reads and tells them.
OWN_KINDS = ("time", "hours", "from", "warn", "late", "stands")
STEP_KINDS = ("email", "task", "webinar", "audience")
OWNERS: Pairs = (("marketing", "Marketing"), ("sales", "Sales"))
_ID = re.compile(r"[a-z]+(\d{1,9})")


@dataclass(frozen=True)
class Field:
    """One field of a part. `name` is its place inside the part; kind: text, area, whole, maybe (whole or
    nothing), yes, choice, many, lines, steps, share (a percentage kept as a fraction)."""

    name: str
    label: str
    kind: str = "text"
    low: int = 0
    high: int = 100_000
    choices: Pairs = ()
    hint: str = ""
    need: bool = False
    limit: int = 500


@dataclass(frozen=True)
class Tree:
    """A condition inside a part."""

    name: str
    label: str
    scope: str
    optional: bool = False


@dataclass(frozen=True)
class Shape:
    """A kind of part: where its items stand, how one is told from the other, what can be edited in it."""

    kind: str
    tab: str
    where: tuple[str, ...]
    title: str
    fields: Callable[[Json, Document], Sequence[Field]]
    key: str = ""
    trees: Callable[[Json], Sequence[Tree]] = lambda raw: ()
    add: str = ""
    one: str = ""


@dataclass(frozen=True)
class Part:
    """One editable part of one content."""

    shape: Shape
    key: str
    path: tuple[str | int, ...]
    raw: Json

    @property
    def kind(self) -> str:
        return self.shape.kind

    @property
    def slot(self) -> str:
        """By which addresses and element ids name it."""
        return f"{self.kind}-{self.key}"

    @property
    def tab(self) -> str:
        if self.kind == "criterion":
            return GROUP_TABS.get(str(self.raw.get("group")), "who")
        return GROUP_TABS[self.key] if self.kind == "limits" and self.key in GROUP_TABS else self.shape.tab

    @property
    def dotted(self) -> str:
        """Its path as faults write it."""
        return dotted(self.path)

    @property
    def mark(self) -> str:
        """A short hash of it as it stands, by which two people's edits of the same part are told."""
        return hashlib.sha256(canonical({"_": self.raw}).encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        if self.shape.title:
            return self.shape.title
        if self.kind == "limits":
            return (
                f"Limits of {GROUP_NAMES.get(self.key, self.key).lower()}"
                if self.key != "total"
                else "Limits of the total"
            )
        if self.kind == "persona" and self.raw.get("name"):
            return str(self.raw["name"])
        if self.kind == "stage":
            stage = str(self.raw.get("level") or self.raw.get("stage") or "")
            return {"mql": "MQL", "sql": "SQL", "excluded": "Left out: not a lead"}.get(
                stage, stage.capitalize()
            )
        return (
            str(self.raw.get("text") or self.raw.get("name") or self.raw.get("label") or "").strip()
            or self.key
        )

    def fields(self, document: Document) -> Sequence[Field]:
        return self.shape.fields(self.raw, document)

    def trees(self) -> Sequence[Tree]:
        return self.shape.trees(self.raw)


def dotted(path: Sequence[str | int]) -> str:
    """`criteria[2].condition` of a path."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


# What can be edited ---------------------------------------------------------------------------


def _definitions(raw: Json, document: Document) -> list[Field]:
    labels = {
        "lead": "Lead",
        "good_lead": "Good lead",
        "bad_lead": "Bad lead",
        "mql": "MQL",
        "sql": "SQL",
        "opportunity": "Opportunity",
        "customer": "Customer",
    }
    return [Field(key, label, "area", limit=1_000) for key, label in labels.items()]


def _persona(raw: Json, document: Document) -> list[Field]:
    return [
        Field("name", "Name", need=True, limit=120),
        Field("text", "Who this is", "area", limit=1_000),
        Field("pains", "What hurts", "lines", hint="one per line"),
        Field("goals", "What they want", "lines", hint="one per line"),
        Field("questions", "What they ask", "lines", hint="one per line"),
        Field("not_ideal.name", "Looks like it and is not", limit=120),
        Field("not_ideal.text", "Why not", "area", limit=1_000),
    ]


def _exclusion(raw: Json, document: Document) -> list[Field]:
    return [
        Field("text", "In words", need=True, limit=200),
        Field("why", "Why", limit=500),
        Field("on", "This rule counts", "yes"),
    ]


def _criterion(raw: Json, document: Document) -> list[Field]:
    found = [Field("text", "In words", limit=200, hint="empty: the sentence that the rule itself gives")]
    mode = raw.get("mode")
    found.append(Field("mode", "Counts", "choice", choices=MODES))
    if mode != "bands":
        found.append(Field("points", "Points", "whole", -1_000, 1_000))
        found.append(Field("decay.kind", "Fading", "choice", choices=DECAYS))
        if raw.get("decay"):
            found.append(Field("decay.days", "Days of fading", "whole", 1, 3_650))
    if mode == "each":
        found.append(Field("max_per_day", "At most a day", "maybe", 1, 1_000))
        found.append(Field("max_points", "At most points in all", "maybe", 1, 1_000))
    return [*found, Field("why", "Why", limit=500), Field("on", "This criterion counts", "yes")]


def _fast(raw: Json, document: Document) -> list[Field]:
    return [Field("text", "In words", need=True, limit=200)]


def _limits(raw: Json, document: Document) -> list[Field]:
    return [
        Field("cap", "At most", "whole", -1_000, 1_000),
        Field("floor", "At least", "whole", -1_000, 1_000),
    ]


def _grade(raw: Json, document: Document) -> list[Field]:
    letters = [
        Field(f"letters.{i}.1", f"{step[0]} from (fit and value together)", "whole", -1_000, 1_000)
        for i, step in enumerate(raw.get("letters") or [])
    ]
    numbers = [
        Field(f"numbers.{i}.1", f"{step[0]} from (behaviour)", "whole", -1_000, 1_000)
        for i, step in enumerate(raw.get("numbers") or [])
    ]
    return [*letters, *numbers]


def _bars(raw: Json, document: Document) -> list[Field]:
    return [
        Field("mql_leave_days", "An MQL falls back after so many days without a break", "whole", 1, 365),
        Field("fresh_days", "Sales gets a lead only with news of the last so many days", "whole", 1, 365),
    ]


def _none(raw: Json, document: Document) -> list[Field]:
    return []


def _stage(raw: Json, document: Document) -> list[Field]:
    return [
        Field("text", "What it means", "area", need=True, limit=500),
        Field("owner", "Who holds the lead", "choice", choices=OWNERS),
    ]


def _must_know(raw: Json, document: Document) -> list[Field]:
    own = {
        f"custom.{row.key}": row.label
        for row in CustomField.objects.filter(retired_at=None).order_by("label")
    }
    choices = (*MUST_KNOW, *own.items())
    return [Field("must_know", "What sales must know of each lead", "many", choices=choices)]


def _admission(raw: Json, document: Document) -> list[Field]:
    on_import: Pairs = (("new_evidence", "wait for new evidence"), ("fresh", "go to sales at once"))
    on_release: Pairs = (
        ("trickle", "trickle in, best first"),
        ("new_evidence", "only on new evidence"),
    )
    return [
        Field("new_per_rep_per_day", "New leads per rep and working day, at most", "whole", 1, 500),
        Field("capacity_open", "Open leads per rep, at most", "whole", 1, 5_000),
        Field("on_import", "Leads of an import that are above the bar", "choice", choices=on_import),
        Field(
            "on_release", "Leads above the bar when a version comes into force", "choice", choices=on_release
        ),
    ]


def _rules(raw: Json, document: Document) -> list[Field]:
    return [
        Field("give_up.attempts", "Attempts before “no answer”, at least", "whole", 1, 50),
        Field("give_up.working_days", "Working days since the first attempt, at least", "whole", 0, 100),
        Field("give_up.channels", "By so many channels", "whole", 1, 5),
        Field("snooze.times", "Snooze, at most so often", "whole", 0, 20),
        Field("snooze.working_days", "Working days per snooze, at most", "whole", 1, 60),
        Field("undo_minutes", "Minutes in which an act can be undone", "whole", 1, 60),
    ]


def _sla(raw: Json, document: Document) -> list[Field]:
    from scoring.editing import sla

    return sla.fields(raw)


def _reason(raw: Json, document: Document) -> list[Field]:
    tracks = (("", "no track"), *((t.key, t.name) for t in document.tracks))
    found = [
        Field("text", "Reason, as sales reads it", need=True, limit=80),
        Field("says", "What will happen, as sales reads it", "area", need=True, limit=300),
        Field("kind", "Counts as", "choice", choices=tuple((k, KIND_WORDS[k]) for k in REASON_KINDS)),
        Field("effect", "What it does", "choice", choices=tuple((k, EFFECT_WORDS[k]) for k in EFFECTS)),
        Field("track", "Track", "choice", choices=tracks),
        Field("wait_days", "Waits so many days at least", "maybe", 0, 3_650),
        Field("back.kind", "Comes back with", "choice", choices=tuple((k, BACK_WORDS[k]) for k in BACKS)),
    ]
    back = (raw.get("back") or {}).get("kind")
    if back == "criteria":
        criteria = tuple((c.id, c.text or c.id) for c in document.criteria)
        found.append(Field("back.ids", "Which criteria", "many", choices=criteria, need=True))
    elif back in ("fields", "colleague"):
        from leadflow.leads.facts import known_facts

        facts = tuple((key, fact.label) for key, fact in known_facts().items())
        label = "Which facts" if back == "fields" else "Or a change of one of these facts"
        found.append(Field("back.keys", label, "many", choices=facts, need=back == "fields"))
    return [
        *found,
        Field("note_min", "Asks for a note of so many characters", "whole", 0, 500),
        Field("needs_date", "Asks for a date", "yes"),
        Field("return_only", "Only after the agreed attempts", "yes"),
        Field("closes", "Not even a fast track opens it again", "yes"),
    ]


def _track(raw: Json, document: Document) -> list[Field]:
    from scoring.editing import nurture

    return nurture.fields(raw, document)


def _list(raw: Json, document: Document) -> list[Field]:
    return [
        Field("label", "Name", need=True, limit=80),
        Field(
            "entries", "Entries", "lines", hint="one per line; upper and lower case do not matter", need=True
        ),
    ]


PROMISED = {
    "marketing": {
        "sql_per_week": "SQL a week",
        "grade_a_percent": "% of them grade A",
        "context_complete_percent": "% with all that sales must know",
        "dispute_days": "Working days to decide a dispute",
        "question_days": "Working days to answer a question",
    },
    "sales": {
        "answered_in_time_percent": "% answered in time",
        "first_touch_in_time_percent": "% contacted in time",
        "with_reason_percent": "% of refusals with a reason",
        "attempts": "Attempts before giving up",
    },
}


def _promises(raw: Json, document: Document) -> list[Field]:
    sides = {"marketing": "Marketing", "sales": "Sales"}
    found = [
        Field(
            f"promises.{side}.{key}", f"{sides[side]}: {label}", "maybe", 0, 100 if "%" in label else 10_000
        )
        for side, labels in PROMISED.items()
        for key, label in labels.items()
    ]
    return [
        *found,
        Field("acceptance_band.0", "Acceptance is healthy from %", "whole", 0, 100),
        Field("acceptance_band.1", "Acceptance is healthy up to %", "whole", 0, 100),
    ]


def _zone(raw: Json, document: Document) -> list[Field]:
    return [
        Field("title", "Title of the agreement", limit=120),
        Field("zone", "Days begin in the time zone", need=True, limit=60, hint="for example Europe/Berlin"),
    ]


def _one_tree(label: str, scope: str, name: str = "condition") -> Callable[[Json], Sequence[Tree]]:
    return lambda raw: (Tree(name, label, scope),)


def _criterion_trees(raw: Json) -> Sequence[Tree]:
    return () if raw.get("mode") == "bands" else (Tree("condition", "When", "criterion"),)


def _persona_trees(raw: Json) -> Sequence[Tree]:
    twin = Tree("not_ideal.condition", "Not ideal when", "criterion", optional=True)
    return (Tree("condition", "Who this is", "criterion", optional=True), twin)


def _stage_trees(raw: Json) -> Sequence[Tree]:
    # Other stages are reached by acts; the lowest level is for everybody and needs no rule.
    if raw.get("condition") or raw.get("level"):
        return (Tree("condition", "From when", "bar", optional=bool(raw.get("level"))),)
    return ()


def _sla_trees(raw: Json) -> Sequence[Tree]:
    return (Tree("when", "For leads of which", "handoff"),) if raw.get("when") else ()


SHAPES: dict[str, Shape] = {
    shape.kind: shape
    for shape in (
        Shape("words", "definitions", (), "Title and time zone", _zone),
        Shape("definitions", "definitions", ("definitions",), "Definitions", _definitions),
        Shape("stage", "definitions", ("stages",), "", _stage, "stage", _stage_trees),
        Shape(
            "persona",
            "definitions",
            ("personas",),
            "",
            _persona,
            "key",
            _persona_trees,
            "Add a persona",
            "persona",
        ),
        Shape(
            "exclusion",
            "who",
            ("exclusions",),
            "",
            _exclusion,
            "id",
            _one_tree("Left out when", "criterion"),
            "Add a rule for “not a lead”",
            "rule for “not a lead”",
        ),
        Shape(
            "criterion",
            "who",
            ("criteria",),
            "",
            _criterion,
            "id",
            _criterion_trees,
            "Add a criterion",
            "criterion",
        ),
        Shape("list", "who", ("lists",), "", _list, "", lambda raw: (), "Add a list", "list"),
        Shape("limits", "thresholds", ("groups",), "", _limits),
        Shape("total", "thresholds", ("total",), "Limits of the total", _limits),
        Shape("grade", "thresholds", ("grade",), "Grade", _grade),
        Shape(
            "mql",
            "thresholds",
            ("thresholds",),
            "MQL when",
            _none,
            "",
            _one_tree("MQL when", "bar", "mql_when"),
        ),
        Shape(
            "leave",
            "thresholds",
            ("thresholds",),
            "An MQL falls back when",
            _none,
            "",
            _one_tree("Falls back when", "bar", "mql_leave_when"),
        ),
        Shape(
            "bar",
            "thresholds",
            ("thresholds",),
            "Ready for sales (SQL) when",
            _none,
            "",
            _one_tree("Ready for sales when", "bar", "sql_when"),
        ),
        Shape("days", "thresholds", ("thresholds",), "Days", _bars),
        Shape(
            "fast",
            "thresholds",
            ("thresholds", "fast_tracks"),
            "",
            _fast,
            "n",
            _one_tree("At once to sales when", "bar"),
            "Add a fast track",
            "fast track",
        ),
        Shape("sla", "handoff", ("sla",), "", _sla, "key", _sla_trees, "Add a promise", "promise"),
        Shape("admission", "handoff", ("admission",), "Room", _admission),
        Shape("rules", "handoff", (), "Giving up, snooze, undo", _rules),
        Shape("must_know", "handoff", (), "What sales must know", _must_know),
        Shape("promises", "handoff", (), "What we promise each other", _promises),
        Shape(
            "reason", "reasons", ("reasons",), "", _reason, "key", lambda raw: (), "Add a reason", "reason"
        ),
        Shape("track", "reasons", ("tracks",), "", _track, "key", lambda raw: (), "Add a track", "track"),
    )
}
# Parts that share a mapping with others: only their own members are theirs.
_OWN = {
    "mql": ("mql_when",),
    "leave": ("mql_leave_when",),
    "bar": ("sql_when",),
    "days": ("mql_leave_days", "fresh_days"),
    "rules": ("give_up", "snooze", "undo_minutes"),
    "must_know": ("must_know",),
    "promises": ("promises", "acceptance_band"),
    "words": ("title", "zone"),
}


def all_parts(content: Mapping[str, Json]) -> Iterator[Part]:
    """Every part, in the order of the document."""
    for shape in SHAPES.values():
        yield from parts_of(content, shape.kind)


def parts_of(content: Mapping[str, Json], kind: str) -> Iterator[Part]:
    """The parts of one kind."""
    shape = SHAPES[kind]
    place = inner(content, shape.where)
    if isinstance(place, list):
        for i, raw in enumerate(place):
            yield Part(shape, key_of(kind, raw), (*shape.where, i), raw)
    elif kind in ("list", "limits"):
        for key, raw in (place or {}).items():
            yield Part(shape, key, (*shape.where, key), raw)
    else:
        mine = _OWN.get(kind)
        raw = {k: v for k, v in (place or {}).items() if mine is None or k in mine}
        yield Part(shape, "all", shape.where, raw)


def part(content: Mapping[str, Json], kind: str, key: str) -> Part | None:
    """One part, or None."""
    if kind not in SHAPES:
        return None
    return next((found for found in parts_of(content, kind) if found.key == key), None)


def key_of(kind: str, raw: Mapping[str, Json]) -> str:
    """By which an item of a list is known."""
    if kind == "stage":
        return f"{raw.get('stage', '')}{'_' if raw.get('level') else ''}{raw.get('level') or ''}"
    return str(raw.get(SHAPES[kind].key, ""))


def inner(raw: Json, path: Sequence[str | int]) -> Json:
    """The value at a path; None when there is none."""
    for step in path:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def get(raw: Json, name: str) -> Json:
    """A member of a part by its dotted name."""
    return inner(raw, _steps(name))


def put(raw: Json, name: str, value: Json) -> None:
    """Set a member of a part by its dotted name."""
    *way, last = _steps(name)
    for step in way:
        if isinstance(raw, dict) and not isinstance(raw.get(step), dict | list):
            raw[step] = {}
        raw = raw[step]
    raw[last] = value


def _steps(name: str) -> list[str | int]:
    return [step if (place := whole(step)) is None else place for step in name.split(".")]


# Changing a content ---------------------------------------------------------------------------


def with_part(content: Mapping[str, Json], found: Part, raw: Json) -> dict[str, Json]:
    """A copy of the content with this part replaced, or added when it is new."""
    made: dict[str, Json] = copy.deepcopy(dict(content))
    place = inner(made, found.path)
    if found.kind in _OWN:
        place.update(raw)
    elif place is not None:
        inner(made, found.path[:-1])[found.path[-1]] = raw
    elif found.kind == "sla":
        # The last promise is for everybody else; nothing comes after it.
        made["sla"] = [*(made.get("sla") or [])[:-1], raw, *(made.get("sla") or [])[-1:]]
    else:
        _container(made, found.shape)
        where = inner(made, found.shape.where)
        if isinstance(where, list):
            where.append(raw)
        else:
            where[found.key] = raw
    return made


def without_part(content: Mapping[str, Json], found: Part) -> dict[str, Json]:
    """A copy without this part. Raises BadInput when others need it."""
    made: dict[str, Json] = copy.deepcopy(dict(content))
    if found.kind == "sla" and not found.raw.get("when"):
        raise BadInput("This promise is for everybody else: without it some leads would have none.")
    users = users_of(content, found)
    if users:
        raise BadInput(f"“{found.title}” cannot go: {', '.join(users)} asks for it. Change that first.")
    del inner(made, found.path[:-1])[found.path[-1]]
    return made


def users_of(content: Mapping[str, Json], found: Part) -> list[str]:
    """The titles of the parts that name this one."""
    leaf = {"criterion": "criterion", "persona": "persona"}.get(found.kind)
    users = []
    for other in all_parts(content):
        if other.slot == found.slot:
            continue
        text = canonical({"_": other.raw})
        asked = leaf and f'"{leaf}":"{found.key}"' in text
        asked = asked or (found.kind == "criterion" and found.key in (get(other.raw, "back.ids") or []))
        asked = asked or (found.kind == "list" and f'"op":"in_list","value":"{found.key}"' in text)
        asked = asked or (
            found.kind == "track" and other.kind == "reason" and other.raw.get("track") == found.key
        )
        if asked:
            users.append(f"“{other.title}”")
    return users


def _container(content: dict[str, Json], shape: Shape) -> None:
    place: Json = content
    for i, step in enumerate(shape.where):
        last = i == len(shape.where) - 1
        empty: Json = {} if not last or shape.kind == "list" else []
        place = place.setdefault(step, empty)


def fresh(content: Mapping[str, Json], kind: str, choices: tree.Choices, group: str = "fit") -> Part:
    """A new part of a kind, not yet in the content."""
    from scoring.editing import sla

    shape = SHAPES[kind]
    used = {found.key for found in parts_of(content, kind)}
    first = tree.start("did" if group == "behaviour" else "fact", choices)
    key = _next_key(kind, group, used)
    made: dict[str, Json] = {
        "criterion": {
            "id": key,
            "group": group,
            "mode": "once",
            "points": 5,
            "condition": first,
            "decay": None,
            "max_points": None,
            "max_per_day": None,
            "bands": None,
            "of": None,
            "text": "",
            "why": "",
            "on": True,
        },
        "exclusion": {"id": key, "text": "", "why": "", "on": True, "condition": tree.start("fact", choices)},
        "fast": {
            "n": whole(key) or 0,
            "text": "",
            "condition": tree.start("did", choices),
        },
        "persona": {
            "key": key,
            "name": "",
            "text": "",
            "pains": [],
            "goals": [],
            "questions": [],
            "condition": None,
            "not_ideal": {"name": "", "text": "", "condition": None},
        },
        "reason": {
            "key": key,
            "text": "",
            "kind": "other",
            "effect": "track",
            "track": choices.document.tracks[0].key if choices.document.tracks else "",
            "wait_days": 30,
            "back": {"kind": "any"},
            "needs_date": False,
            "note_min": 0,
            "return_only": False,
            "closes": False,
            "says": "",
        },
        "track": {"key": key, "name": "", "steps": []},
        "list": {"label": "", "entries": []},
        "sla": sla.fresh(key, len(used)),
    }
    if kind not in made:
        raise BadInput("Of these there is a fixed number.")
    place = inner(content, shape.where) or []
    path: tuple[str | int, ...] = (*shape.where, key if kind == "list" else len(place))
    return Part(shape, key, path, made[kind])


def _next_key(kind: str, group: str, used: set[str]) -> str:
    letter = {
        "criterion": group[:1],
        "exclusion": "x",
        "persona": "persona",
        "track": "track",
        "list": "list",
        "sla": "promise",
    }.get(kind, "")
    numbers = (
        [int(m[1]) for key in used if (m := _ID.fullmatch(key)) and key.startswith(letter)] if letter else []
    )
    if not letter:
        numbers = [number for key in used if (number := whole(key)) is not None]
    n = max(numbers, default=0) + 1
    while f"{letter}{n}" in used:
        n += 1
    return f"{letter}{n}"


def copied(content: Mapping[str, Json], found: Part, choices: tree.Choices) -> Part:
    """A second one like this."""
    new = fresh(content, found.kind, choices, str(found.raw.get("group") or "fit"))
    raw = copy.deepcopy(found.raw)
    if found.shape.key:
        raw[found.shape.key] = new.raw[found.shape.key]
    if found.kind == "sla":
        raw["when"] = raw.get("when") or new.raw["when"]
    for name in ("text", "name", "label"):
        if raw.get(name):
            raw[name] = f"{raw[name]} (copy)"
            break
    return Part(found.shape, new.key, new.path, raw)


# Forms ------------------------------------------------------------------------------------------


def read_form(found: Part, data: QueryDict, choices: tree.Choices) -> tuple[Json, list[Fault]]:
    """The part as the form has it, and what is wrong with its plain fields. Wrong texts stay as typed."""
    raw = copy.deepcopy(found.raw)
    faults: list[Fault] = []
    if found.kind == "criterion":
        _read_mode(raw, data)
    if found.kind == "sla":
        from scoring.editing import sla

        faults += sla.read(raw, data, found.dotted)
    if found.kind == "track":
        from scoring.editing import nurture

        faults += nurture.read(raw, data, found.dotted)
    if found.kind == "reason" and data.get("back.kind"):
        kind = data["back.kind"]
        raw["back"] = {"kind": kind} if kind != raw["back"].get("kind") else raw["back"]
    for field in found.shape.fields(raw, choices.document):
        if field.kind in OWN_KINDS or field.kind == "steps":
            continue
        if field.name == "decay.kind" or (field.kind not in ("yes", "many") and field.name not in data):
            continue
        value, message = _read_field(field, data)
        if field.kind == "many":
            value = _as_before(value, get(found.raw, field.name))
        put(raw, field.name, value)
        if message:
            faults.append(Fault(f"{found.dotted}.{field.name}".strip("."), message))
    for one in found.shape.trees(raw):
        name = tree_name(one)
        if f"{name}.is" not in data:
            continue
        condition = tree.read(data, name, choices)
        if one.optional and data.get(f"{name}.none") == "1":
            condition = None
        put(raw, one.name, tree.same_or(get(found.raw, one.name), condition))
    if raw.get("mode") == "bands":
        _read_bands(found, raw, data, choices, faults)
    if found.kind == "sla":
        sla.tidy(raw)
    if found.kind == "track":
        nurture.tidy(raw)
    return raw, faults


def tree_name(one: Tree) -> str:
    """Under which names the controls of a condition stand in the form."""
    return "c" if one.name != "not_ideal.condition" else "t"


def _read_mode(raw: Json, data: QueryDict) -> None:
    mode = data.get("mode", raw["mode"])
    raw["mode"] = mode if mode in dict(MODES) else raw["mode"]
    kind = data.get("decay.kind", "")
    if raw["mode"] == "bands":
        raw.update(points=0, decay=None, max_points=None, max_per_day=None, condition=None)
        raw["bands"] = raw.get("bands") or [[1, 5]]
        return
    raw.update(bands=None, of=None)
    if raw["mode"] == "once":
        raw.update(max_points=None, max_per_day=None)
    days = (raw.get("decay") or {}).get("days") or 30
    if "decay.kind" in data:
        raw["decay"] = {"kind": kind, "days": days} if kind in dict(DECAYS) and kind else None


def _read_bands(found: Part, raw: Json, data: QueryDict, choices: tree.Choices, faults: list[Fault]) -> None:
    if "o.is" in data:
        of = tree.read_leaf(data, "o", choices, measure=True)
        raw["of"] = of if not _same_measure(found.raw.get("of"), of) else found.raw["of"]
    raw["of"] = raw.get("of") or tree.start("fact", choices, measure=True)
    if "bands.n" not in data:
        return
    bands = []
    count = tree.whole(str(data["bands.n"]))
    for i in range(min(count, 20) if isinstance(count, int) else 0):
        start, points = data.get(f"bands.{i}.0", "").strip(), data.get(f"bands.{i}.1", "").strip()
        if not start and not points:
            continue
        pair = [tree.number(start), tree.whole(points.replace("+", "").replace("−", "-"))]
        if not isinstance(pair[0], int | float) or not isinstance(pair[1], int):
            faults.append(Fault(f"{found.dotted}.bands", "Each step needs a number and whole points."))
        bands.append(pair)
    raw["bands"] = bands


def _same_measure(old: Json, new: Json) -> bool:
    try:
        return bool(old) and parse_measure(old) == parse_measure(new)
    except BadInput:
        return False


def _as_before(value: Sequence[str], old: Json) -> list[str]:
    """What was chosen before stays in its order; what is new comes after."""
    before = [str(v) for v in old] if isinstance(old, list) else []
    return [*(key for key in before if key in value), *(key for key in value if key not in before)]


def _read_field(field: Field, data: QueryDict) -> tuple[Json, str]:
    if field.kind == "yes":
        return data.get(field.name) == "1", ""
    if field.kind == "many":
        found = [key for key in data.getlist(field.name) if key in dict(field.choices)]
        return found, "Choose at least one." if field.need and not found else ""
    text = data.get(field.name, "").replace("\r\n", "\n").strip()
    if "\x00" in text:
        text = text.replace("\x00", "")
    if field.kind in ("whole", "maybe", "share"):
        return _read_number(field, text)
    if field.kind == "choice":
        known = dict(field.choices)
        return (text, "") if text in known else (text, "Choose one of the list.")
    if field.kind == "lines":
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        if any(len(line) > 200 for line in lines):
            return lines, "A line has at most 200 characters."
        return lines, "Write at least one line." if field.need and not lines else ""
    if len(text) > field.limit:
        return text, f"At most {field.limit} characters; these are {len(text)}."
    return text, "Write something here." if field.need and not text else ""


def _read_number(field: Field, text: str) -> tuple[Json, str]:
    if field.kind == "maybe" and not text:
        return None, ""
    value = tree.whole(text.replace("−", "-"))
    if not isinstance(value, int) or not field.low <= value <= field.high:
        return value, (
            f"A whole number from {field.low:,} to {field.high:,} is expected here.".replace("-", "−")
        )
    return (value / 100 if field.kind == "share" else value), ""


def typed(field: Field, raw: Json) -> str:
    """A field's value as it stands in its input."""
    value = get(raw, field.name)
    if field.kind in OWN_KINDS:
        from scoring.editing import sla

        return sla.typed(field, raw, value)
    if field.kind == "share" and isinstance(value, int | float):
        return str(round(value * 100))
    if field.kind == "lines" and isinstance(value, list):
        return "\n".join(str(v) for v in value)
    if field.kind == "steps" and isinstance(value, list):
        return "\n".join(f"{s.get('day')} {s.get('kind')} {s.get('text')}" for s in value)
    return "" if value is None else str(value)


def words_of(field: Field, raw: Json) -> str:
    """A field's value for people."""
    value = get(raw, field.name)
    if field.kind in OWN_KINDS:
        from scoring.editing import sla

        return sla.words(field, raw, value)
    if value is None or value == "" or value == []:
        return "–"
    if field.kind == "yes":
        return "yes" if value else "no"
    if field.kind == "choice":
        return dict(field.choices).get(str(value), str(value))
    if field.kind == "many":
        names = dict(field.choices)
        return ", ".join(names.get(str(v), str(v)) for v in value)
    if field.kind == "lines" and isinstance(value, list):
        return "; ".join(str(v) for v in value)
    if field.kind == "steps":
        from scoring.editing import nurture

        return nurture.words(value)
    if field.kind == "share" and isinstance(value, int | float):
        return f"{round(value * 100)}%"
    return f"{value:,}".replace("-", "−") if isinstance(value, int) else str(value)


# Sentences ----------------------------------------------------------------------------------------


def finished(raw: Mapping[str, Json]) -> bool:
    """Whether a criterion can be read as a rule."""
    try:
        return bool(criterion_of(raw).bands and parse_measure(raw.get("of") or {}))
    except (BadInput, TypeError, ValueError, AttributeError):
        return False


def criterion_of(raw: Mapping[str, Json]) -> Criterion:
    """A criterion's JSON with types."""
    return Document({"criteria": [raw]}).criteria[0]


def how(raw: Mapping[str, Json], words: Words) -> str:
    """What a criterion looks at, in the rule's own words; what cannot be read yet says so."""
    try:
        return criterion_sentence(criterion_of(raw), words)
    except (BadInput, TypeError, ValueError, AttributeError):
        return "not finished yet"


def said(condition: Json, words: Words) -> str:
    """A condition as a sentence."""
    if not condition:
        return "always"
    try:
        return sentence(condition, words)
    except BadInput:
        return "not finished yet"


def outline(condition: Json, words: Words) -> tuple[str, list[str]]:
    """A condition as a head and lines: ("all of these", ["score 55 or more", …]); a leaf is one line."""
    for key, head in (("all", "all of these"), ("any", "at least one of these")):
        items = condition.get(key) if isinstance(condition, Mapping) else None
        if isinstance(items, list) and len(items) > 1:
            return head, [_line(item, words) for item in items]
    return "", [said(condition, words)]


def _line(item: Json, words: Words) -> str:
    head, lines = outline(item, words)
    return f"{head}: {'; '.join(lines)}" if head else lines[0]


def points(raw: Mapping[str, Json]) -> str:
    """+15 · +5 each · +3 / +6 / +10."""
    if raw.get("mode") == "bands":
        return " / ".join(signed(pair[1]) for pair in raw.get("bands") or [])
    return signed(raw.get("points") or 0) + (" each" if raw.get("mode") == "each" else "")


def signed(value: Json) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return f"+{value}" if value >= 0 else f"−{-value}"


def facts(found: Part, document: Document) -> list[tuple[str, str]]:
    """Label and value of every plain field, for cards."""
    return [(field.label, words_of(field, found.raw)) for field in found.fields(document)]


def named(raw: Mapping[str, Json], words: Words) -> str:
    """A text for a criterion that was given none: its own sentence."""
    try:
        criterion = criterion_of(raw)
        text = (
            measure_words(criterion, words)
            if raw.get("mode") == "bands"
            else sentence(raw.get("condition") or {}, words)
        )
    except (BadInput, TypeError, ValueError, AttributeError):
        return ""
    return (text[:1].upper() + text[1:])[:200]
