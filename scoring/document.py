"""The agreement's content, read with types. Nobody else looks into the JSON.

A `Document` never fails on a part that is missing: a draft may be half written. Whether it is whole is
`conditions.check.check_document`'s business.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scoring.sla import Policy

Json = Any
Condition = Mapping[str, Json]

GROUPS = ("fit", "behaviour", "value")
# What a step of a track can be.
STEP_KINDS = ("email", "task", "webinar", "audience")
# Where a track may start by itself; elsewhere sales' answer decides, or the lead is closed.
PLACES = {
    "conversion": "Conversion",
    "prospect/researcher": "Researcher",
    "prospect/influencer": "Influencer",
    "prospect/investigator": "Investigator",
    "mql": "MQL",
}
MODES = ("once", "each", "bands")
DECAYS = ("half_life", "linear", "expiry")


@dataclass(frozen=True)
class Decay:
    """How points fade: `kind` half_life (halves every `days`), linear or expiry (gone after `days`)."""

    kind: str
    days: int


@dataclass(frozen=True)
class Band:
    """From this number on (inclusive) these points count; the highest band reached wins."""

    start: float
    points: int


@dataclass(frozen=True)
class Criterion:
    """One scoring rule. `points` are whole; `max_points` limits the absolute value of the sum (mode each)."""

    id: str
    group: str
    mode: str
    points: int
    condition: Condition | None
    decay: Decay | None = None
    max_points: int | None = None
    max_per_day: int | None = None
    bands: tuple[Band, ...] = ()
    # For mode bands: a fact or behaviour leaf without op and value.
    of: Condition | None = None
    text: str = ""
    why: str = ""
    on: bool = True

    @property
    def highest(self) -> int:
        """The most points that it can give (or take, when negative)."""
        if self.mode == "bands":
            return max((b.points for b in self.bands), key=abs, default=0)
        if self.mode == "each" and self.max_points is not None:
            return self.max_points if self.points >= 0 else -self.max_points
        return self.points


@dataclass(frozen=True)
class Limits:
    """Floor and cap, in points."""

    floor: int
    cap: int


@dataclass(frozen=True)
class Exclusion:
    """A rule that says: not a lead."""

    id: str
    text: str
    why: str
    on: bool
    condition: Condition


@dataclass(frozen=True)
class NotIdeal:
    """The twin of a persona that looks like it and is not."""

    name: str = ""
    text: str = ""
    condition: Condition | None = None


@dataclass(frozen=True)
class Persona:
    """A kind of buyer, in words and as a condition."""

    key: str
    name: str
    text: str
    pains: tuple[str, ...]
    goals: tuple[str, ...]
    questions: tuple[str, ...]
    condition: Condition | None
    not_ideal: NotIdeal


@dataclass(frozen=True)
class FieldDef:
    """A custom fact that the agreement uses, with the type it had when it was agreed."""

    key: str
    subject: str
    type: str
    label: str


@dataclass(frozen=True)
class NamedList:
    """A list of folded words or values kept in the agreement."""

    key: str
    label: str
    entries: tuple[str, ...]


@dataclass(frozen=True)
class FastTrack:
    """A condition that sends a lead to sales at once. `n` counts from 1."""

    n: int
    text: str
    condition: Condition


@dataclass(frozen=True)
class StageRow:
    """What a stage (or a level of it) means, who owns it, and when a lead is there."""

    stage: str
    level: str
    text: str
    owner: str
    condition: Condition | None


@dataclass(frozen=True)
class Back:
    """Which evidence ends a hold: criteria (ids), fields (keys), colleague (or keys), any, none, repair."""

    kind: str
    ids: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The form in which `Hold.evidence` keeps it."""
        found: dict[str, Json] = {"kind": self.kind}
        if self.ids:
            found["ids"] = list(self.ids)
        if self.keys:
            found["keys"] = list(self.keys)
        return found


@dataclass(frozen=True)
class Reason:
    """Why sales said no, and what follows."""

    key: str
    text: str
    kind: str
    effect: str
    track: str
    wait_days: int | None
    back: Back
    needs_date: bool
    note_min: int
    return_only: bool
    closes: bool
    says: str

    @property
    def proposes_exclusion(self) -> bool:
        """It closes for good: whoever is like that should be left out by a rule."""
        return self.effect == "close" and self.closes and self.back.kind == "none"


@dataclass(frozen=True)
class Step:
    """A nurture step on a day counted from the start of the track.

    `text` is the subject of a mail, the wish of a task, the name of an audience; `body` what the mail says;
    `link` where it leads (a piece of content, the page of a webinar).
    """

    day: int
    kind: str
    text: str
    body: str = ""
    link: str = ""


@dataclass(frozen=True)
class Start:
    """For whom a track starts by itself: at one of these places ("mql", "prospect/investigator") and, where
    personas are named, one of those. Without a place only a reason or a person starts it."""

    places: tuple[str, ...] = ()
    personas: tuple[str, ...] = ()


@dataclass(frozen=True)
class Track:
    """What marketing does with a lead that is not with sales."""

    key: str
    name: str
    steps: tuple[Step, ...]
    start: Start = Start()


@dataclass(frozen=True)
class Admission:
    """How many new handoffs sales takes."""

    new_per_rep_per_day: int = 8
    capacity_open: int = 40
    on_import: str = "new_evidence"
    on_release: str = "trickle"


@dataclass(frozen=True)
class GiveUp:
    """When a rep may return a lead with "no answer"."""

    attempts: int = 6
    working_days: int = 10
    channels: int = 2


@dataclass(frozen=True)
class Snooze:
    """How often, and for how many working days at most, a rep may let a lead sleep."""

    times: int = 2
    working_days: int = 5


@dataclass(frozen=True)
class Grades:
    """Letter by fit + value, number by behaviour; each list from the highest start down."""

    letters: tuple[tuple[str, int], ...]
    numbers: tuple[tuple[int, int], ...]

    @property
    def last_letter(self) -> str:
        return chr(ord("A") + len(self.letters))

    @property
    def last_number(self) -> int:
        return len(self.numbers) + 1

    @property
    def all(self) -> list[str]:
        """Every grade, best letter first."""
        letters = [name for name, _ in self.letters] + [self.last_letter]
        numbers = [n for n, _ in self.numbers] + [self.last_number]
        return [f"{letter}{n}" for letter in letters for n in numbers]


@dataclass(frozen=True)
class Thresholds:
    """The bars."""

    mql_when: Condition | None
    mql_leave_when: Condition | None
    mql_leave_days: int
    sales_when: Condition | None
    fresh_days: int
    fast_tracks: tuple[FastTrack, ...] = field(default=())


def canonical(content: Mapping[str, Json]) -> str:
    """The one way to write the content, of which the hash is taken."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_sha(content: Mapping[str, Json]) -> str:
    """SHA-256 over the canonical JSON."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


class Document:
    """Typed, read-only access to one agreement's content."""

    def __init__(self, content: Mapping[str, Json]) -> None:
        self.content = content

    @property
    def zone(self) -> str:
        """The time zone in which days begin."""
        return str(self.content.get("zone") or "UTC")

    @property
    def title(self) -> str:
        return str(self.content.get("title") or "")

    @property
    def definitions(self) -> dict[str, str]:
        return {str(k): str(v or "") for k, v in self._map("definitions").items()}

    @cached_property
    def criteria(self) -> tuple[Criterion, ...]:
        """Every criterion in the order of the document, those switched off too."""
        return tuple(_criterion(raw) for raw in self._list("criteria"))

    @cached_property
    def active_criteria(self) -> tuple[Criterion, ...]:
        return tuple(c for c in self.criteria if c.on)

    def criterion(self, key: str) -> Criterion | None:
        return next((c for c in self.criteria if c.id == key), None)

    @cached_property
    def groups(self) -> dict[str, Limits]:
        given = self._map("groups")
        return {name: _limits(given.get(name), -1000, 1000) for name in GROUPS}

    @cached_property
    def total(self) -> Limits:
        return _limits(self.content.get("total"), 0, 100)

    @cached_property
    def exclusions(self) -> tuple[Exclusion, ...]:
        return tuple(
            Exclusion(
                str(raw.get("id", "")),
                str(raw.get("text") or ""),
                str(raw.get("why") or ""),
                bool(raw.get("on", True)),
                raw.get("condition") or {},
            )
            for raw in self._list("exclusions")
        )

    @cached_property
    def personas(self) -> tuple[Persona, ...]:
        return tuple(_persona(raw) for raw in self._list("personas"))

    @cached_property
    def fields(self) -> tuple[FieldDef, ...]:
        return tuple(
            FieldDef(
                str(raw.get("key", "")),
                str(raw.get("subject") or "lead"),
                str(raw.get("type") or "text"),
                str(raw.get("label") or raw.get("key", "")),
            )
            for raw in self._list("fields")
        )

    @cached_property
    def lists(self) -> dict[str, NamedList]:
        return {
            key: NamedList(key, str(raw.get("label") or key), tuple(str(e) for e in raw.get("entries") or ()))
            for key, raw in self._map("lists").items()
        }

    @property
    def list_snapshots(self) -> dict[str, str]:
        """Name of a long list → SHA-256 of its stored snapshot."""
        return {str(k): str(v) for k, v in self._map("list_snapshots").items()}

    @cached_property
    def grades(self) -> Grades:
        raw = self._map("grade")
        return Grades(
            tuple(
                (str(name), int(start))
                for name, start in raw.get("letters") or [["A", 40], ["B", 27], ["C", 14]]
            ),
            tuple((int(n), int(start)) for n, start in raw.get("numbers") or [[1, 25], [2, 15], [3, 5]]),
        )

    @cached_property
    def thresholds(self) -> Thresholds:
        raw = self._map("thresholds")
        return Thresholds(
            mql_when=raw.get("mql_when") or None,
            mql_leave_when=raw.get("mql_leave_when") or None,
            mql_leave_days=int(raw.get("mql_leave_days") or 30),
            sales_when=raw.get("sql_when") or None,
            fresh_days=int(raw.get("fresh_days") or 14),
            fast_tracks=tuple(
                FastTrack(int(t.get("n") or i), str(t.get("text") or ""), t.get("condition") or {})
                for i, t in enumerate(raw.get("fast_tracks") or [], start=1)
            ),
        )

    def fast_track(self, n: int | None) -> FastTrack | None:
        return next((t for t in self.thresholds.fast_tracks if t.n == n), None)

    @cached_property
    def stages(self) -> tuple[StageRow, ...]:
        return tuple(
            StageRow(
                str(raw.get("stage", "")),
                str(raw.get("level") or ""),
                str(raw.get("text") or ""),
                str(raw.get("owner") or ""),
                raw.get("condition") or None,
            )
            for raw in self._list("stages")
        )

    @property
    def levels(self) -> tuple[StageRow, ...]:
        """The rows of stage prospect, lowest first."""
        return tuple(row for row in self.stages if row.stage == "prospect")

    @property
    def must_know(self) -> tuple[str, ...]:
        return tuple(str(k) for k in self._list("must_know"))

    @cached_property
    def admission(self) -> Admission:
        return Admission(**_known(Admission, self._map("admission")))

    @cached_property
    def sla(self) -> tuple[Policy, ...]:
        """The promises of sales in order; the first whose `when` holds counts."""
        return tuple(Policy.of(raw) for raw in self._list("sla"))

    @cached_property
    def give_up(self) -> GiveUp:
        return GiveUp(**_known(GiveUp, self._map("give_up")))

    @cached_property
    def snooze(self) -> Snooze:
        return Snooze(**_known(Snooze, self._map("snooze")))

    @property
    def undo_minutes(self) -> int:
        return int(self.content.get("undo_minutes") or 10)

    @cached_property
    def reasons(self) -> tuple[Reason, ...]:
        return tuple(_reason(raw) for raw in self._list("reasons"))

    def reason(self, key: str) -> Reason | None:
        return next((r for r in self.reasons if r.key == str(key)), None)

    @cached_property
    def tracks(self) -> tuple[Track, ...]:
        return tuple(_track(raw) for raw in self._list("tracks"))

    def track(self, key: str) -> Track | None:
        return next((t for t in self.tracks if t.key == key), None)

    @property
    def pulse(self) -> dict[str, Json]:
        return dict(self._map("pulse"))

    @property
    def promises(self) -> dict[str, dict[str, Json]]:
        """What each side promises: {"marketing": {…}, "sales": {…}}."""
        given = self._map("promises")
        return {side: dict(given.get(side) or {}) for side in ("marketing", "sales")}

    @property
    def acceptance_band(self) -> tuple[int, int]:
        """Between these percentages acceptance is healthy."""
        low, high = self.content.get("acceptance_band") or (70, 90)
        return int(low), int(high)

    def _list(self, key: str) -> Sequence[Any]:
        return self.content.get(key) or ()

    def _map(self, key: str) -> Mapping[str, Any]:
        return self.content.get(key) or {}


def _criterion(raw: Mapping[str, Json]) -> Criterion:
    decay = raw.get("decay")
    return Criterion(
        id=str(raw.get("id", "")),
        group=str(raw.get("group", "")),
        mode=str(raw.get("mode") or "once"),
        points=raw.get("points") or 0,
        condition=raw.get("condition") or None,
        decay=Decay(str(decay.get("kind")), decay.get("days") or 0) if decay else None,
        max_points=raw.get("max_points"),
        max_per_day=raw.get("max_per_day"),
        bands=tuple(Band(start, points) for start, points in raw.get("bands") or ()),
        of=raw.get("of") or None,
        text=str(raw.get("text") or ""),
        why=str(raw.get("why") or ""),
        on=bool(raw.get("on", True)),
    )


def _limits(raw: Mapping[str, Json] | None, floor: int, cap: int) -> Limits:
    given = raw or {}
    return Limits(given.get("floor", floor), given.get("cap", cap))


def _persona(raw: Mapping[str, Json]) -> Persona:
    twin = raw.get("not_ideal") or {}
    return Persona(
        key=str(raw.get("key", "")),
        name=str(raw.get("name") or ""),
        text=str(raw.get("text") or ""),
        pains=tuple(raw.get("pains") or ()),
        goals=tuple(raw.get("goals") or ()),
        questions=tuple(raw.get("questions") or ()),
        condition=raw.get("condition") or None,
        not_ideal=NotIdeal(
            str(twin.get("name") or ""), str(twin.get("text") or ""), twin.get("condition") or None
        ),
    )


def _reason(raw: Mapping[str, Json]) -> Reason:
    back = raw.get("back") or {"kind": "any"}
    wait = raw.get("wait_days")
    return Reason(
        key=str(raw.get("key", "")),
        text=str(raw.get("text") or ""),
        kind=str(raw.get("kind") or "other"),
        effect=str(raw.get("effect") or "track"),
        track=str(raw.get("track") or ""),
        wait_days=None if wait is None else int(wait),
        back=Back(str(back.get("kind", "any")), tuple(back.get("ids") or ()), tuple(back.get("keys") or ())),
        needs_date=bool(raw.get("needs_date")),
        note_min=int(raw.get("note_min") or 0),
        return_only=bool(raw.get("return_only")),
        closes=bool(raw.get("closes")),
        says=str(raw.get("says") or ""),
    )


def _track(raw: Mapping[str, Json]) -> Track:
    start = raw.get("start") or {}
    return Track(
        str(raw.get("key", "")),
        str(raw.get("name") or raw.get("key", "")),
        tuple(
            Step(
                int(step.get("day") or 0),
                str(step.get("kind") or "email"),
                str(step.get("text") or ""),
                str(step.get("body") or ""),
                str(step.get("link") or ""),
            )
            for step in raw.get("steps") or ()
        ),
        Start(
            tuple(str(place) for place in start.get("places") or ()),
            tuple(str(key) for key in start.get("personas") or ()),
        ),
    )


def _known(kind: type, raw: Mapping[str, Json]) -> dict[str, Json]:
    return {k: v for k, v in raw.items() if k in kind.__dataclass_fields__ and v is not None}  # type: ignore[attr-defined]
