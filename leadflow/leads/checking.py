"""One cheap look at each row: is it readable, and what does it say? No database here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from leadflow.errors import Fault
from leadflow.leads.facts import (
    ALIASES,
    CUSTOM,
    Fact,
    Unreadable,
    clean,
    decimal_of,
    read_day,
    read_email,
)
from leadflow.leads.folding import fold
from leadflow.leads.models import ActivityKind

AHEAD = timedelta(minutes=5)
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
ID_LIMIT = 2**63 - 1
PROPERTIES_LIMIT = 50
TEXT_LIMIT = 2_000
PATH_LIMIT = 300
# Columns of a lead that are no facts: rules do not read them.
PLAIN = {"crm_url": 500, "external_owner": 120}


@dataclass(slots=True)
class LeadRow:
    """A readable row about a lead; values in the form in which they are stored."""

    index: int
    key: tuple[str, str] | None = None
    email_key: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    company: dict[str, Any] = field(default_factory=dict)
    plain: dict[str, Any] = field(default_factory=dict)


class ActivityRow:
    """A readable row about an activity. What a row does not say stays as it stands here.

    One is made for each of ten thousand rows: it takes over the names and values that its reader found.
    """

    index: int
    source: str
    external_id: str
    kind: ActivityKind
    occurred_at: datetime
    lead_id: int | None = None
    key: tuple[str, str] | None = None
    email: str | None = None
    email_key: str | None = None
    visitor: str | None = None
    user_id: int | None = None
    handoff_id: int | None = None
    path: str = ""
    campaign: str = ""
    content: str = ""
    message_key: str = ""
    channel: str = ""
    result: str = ""
    properties: dict[str, Any]
    # Its id is one that we have just made: nobody can have sent it before.
    ours: bool = False
    person: Any = None
    # Its number once it is recorded; 0: it is not, or was before.
    id: int = 0

    def __init__(self, said: dict[str, Any]) -> None:
        self.__dict__ = said


class Bad(Exception):
    """All that is wrong with one row."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults


class LeadReader:
    """Reads rows about leads against the catalogue of facts."""

    def __init__(self, known: Mapping[str, Fact], source: str) -> None:
        self.known = known
        self.source = source
        # The same few titles, countries and companies come again and again in one batch.
        self.seen: dict[tuple[str, Any], Any] = {}
        self.names: dict[str, Fact] = {key: fact for key, fact in known.items() if not fact.derived}
        self.names |= {alias: known[key] for alias, key in ALIASES.items()}
        for fact in known.values():
            if fact.custom:
                self.names.setdefault(fact.custom, fact)

    def read(self, index: int, row: Mapping[str, Any]) -> LeadRow:
        """The row as facts. Raises Bad with every fault of the row."""
        if not isinstance(row, Mapping):
            raise Bad([Fault("", "A lead is an object of names and values.")])
        read = LeadRow(index)
        faults: list[Fault] = []
        for name, raw in row.items():
            if name == "custom" and isinstance(raw, Mapping):
                for key, value in raw.items():
                    self._one(read, f"{CUSTOM}{key}", value, faults)
            else:
                self._one(read, name, raw, faults)
        if not faults and read.key is None and read.email_key is None:
            faults.append(Fault("email", "Say who it is: give an email or an external_id."))
        if faults:
            raise Bad(faults)
        return read

    def _one(self, read: LeadRow, name: str, raw: Any, faults: list[Fault]) -> None:
        try:
            if name == "external_id":
                external_id = clean(raw, 200) if raw is not None else ""
                if external_id:
                    read.key = (self.source, external_id)
            elif name in PLAIN:
                if raw:
                    read.plain[name] = clean(raw, PLAIN[name])
            else:
                self._fact(read, name, raw, faults)
        except Unreadable as wrong:
            faults.append(Fault(name, str(wrong)))

    def _fact(self, read: LeadRow, name: str, raw: Any, faults: list[Fault]) -> None:
        fact = self.names.get(name)
        if fact is None:
            faults.append(Fault(str(name)[:80], self._unknown(str(name))))
            return
        value = self._value(fact, raw)
        if value is None:
            return
        if fact.subject == "company":
            read.company[fact.key] = value
            return
        read.facts[fact.key] = value
        if fact.key == "email":
            read.email_key = fold(value)

    def _value(self, fact: Fact, raw: Any) -> Any:
        if not isinstance(raw, str):
            return fact.read(raw)
        at = (fact.key, raw)
        if at not in self.seen:
            self.seen[at] = fact.read(raw)
        return self.seen[at]

    def _unknown(self, name: str) -> str:
        if name.startswith(CUSTOM):
            return (
                f"There is no custom field “{name.removeprefix(CUSTOM)[:40]}”. Make it in the settings first."
            )
        fields = ", ".join(sorted(n for n in self.names if not n.startswith(CUSTOM)))
        return (
            f"There is no field of this name. Known: external_id, {fields}. Make a custom field for others."
        )


class _Seen(dict[Any, Any]):
    """What values of one field were read as: the same few come again and again in one batch."""

    def __init__(self, reader: Callable[[Any], Any]) -> None:
        self.reader = reader

    def __missing__(self, raw: Any) -> Any:
        value = self[raw] = self.reader(raw)
        return value


# The name of a field, how a plain value of it is read, how any other.
_Field = tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]


class ActivityReader:
    """Reads rows about activities against the catalogue of kinds."""

    def __init__(self, kinds: Mapping[str, ActivityKind], now: datetime, ours: Any = None) -> None:
        """`ours` makes (source, external_id) for our own rows that bring none; None: rows must bring both."""
        self.kinds = kinds
        self.latest = now + AHEAD
        self.ours = ours
        readers = {**_ACTIVITY_READERS, "kind": self._kind, "occurred_at": self._instant}
        self.fields: dict[Any, _Field] = {
            # What is different in each row is not kept: it would not come again.
            name: (name, reader if name == "external_id" else _Seen(reader).__getitem__, reader)
            for name, reader in readers.items()
        }
        # Not read by itself: what properties are depends on the kind.
        self.fields["properties"] = ("properties", _nothing, _nothing)
        # A batch has few shapes: which fields a row holds, and which there are none of, is looked up once.
        self.shapes: dict[tuple[Any, ...], tuple[list[_Field], list[Fault]]] = {}
        self.keys = _Seen(fold)

    def named(self) -> set[Any]:
        """What of an ActivityRow any of the rows read so far may have filled in."""
        fields = {name for shape in self.shapes for name in shape}
        return fields.union(("source", "external_id"), *(_FILLS[name] for name in _FILLS if name in fields))

    def read(self, index: int, row: Mapping[str, Any]) -> ActivityRow:
        """The row as an activity. Raises Bad with every fault of the row."""
        if not (type(row) is dict or isinstance(row, Mapping)):
            raise Bad([Fault("", "An activity is an object of names and values.")])
        names = tuple(row)
        fields, unknown = self.shapes.get(names) or self._shape(names)
        faults = unknown.copy()
        # What the row leaves out or leaves empty is not among what it said.
        said: dict[str, Any] = {"index": index}
        for (name, plain, other), raw in zip(fields, row.values(), strict=True):
            if raw is not None:
                try:
                    value = plain(raw) if type(raw) in _PLAIN else other(raw)
                except Unreadable as wrong:
                    faults.append(Fault(name, str(wrong)))
                else:
                    if value:
                        said[name] = value
        if not said.keys() >= _NEEDED:
            self._missing(said, faults)
        given = row.get("properties")
        said["properties"] = properties = (
            {} if given is None else _properties(given, said.get("kind"), faults)
        )
        if not faults and said.keys().isdisjoint(_WHOSE):
            faults.append(Fault("email", "Say whose it is: email, lead_id, external_lead_id or visitor_id."))
        if faults:
            raise Bad(faults)
        if properties:
            _taken_out(said, properties)
        if "email" in said:
            said["email_key"] = self.keys[said["email"]]
        if "visitor_id" in said:
            said["visitor"] = said["visitor_id"]
        if "external_lead_id" in said:
            said["key"] = (said.get("lead_source") or said["source"], said["external_lead_id"])
        return ActivityRow(said)

    def _shape(self, names: tuple[Any, ...]) -> tuple[list[_Field], list[Fault]]:
        words = f"There is no such field. Known are: {', '.join(_ACTIVITY_NAMES)}."
        unknown = [Fault(str(name)[:80], words) for name in names if name not in self.fields]
        fields = [self.fields.get(name, (name, _nothing, _nothing)) for name in names]
        self.shapes[names] = fields, unknown
        return fields, unknown

    def _missing(self, said: dict[str, Any], faults: list[Fault]) -> None:
        """What each row must bring is given by us, or is a fault."""
        if self.ours and "source" not in said and "external_id" not in said:
            said["source"], said["external_id"] = self.ours()
            said["ours"] = True
        words = "It is missing. With source and external_id an activity sent twice counts once."
        told = {fault.path for fault in faults}
        faults += [Fault(n, words) for n in ("source", "external_id") if n not in said and n not in told]
        for name in ("kind", "occurred_at"):
            if name not in said and name not in told:
                try:
                    self.fields[name][2](None)
                except Unreadable as wrong:
                    faults.append(Fault(name, str(wrong)))

    def _kind(self, raw: Any) -> ActivityKind:
        kind = self.kinds.get(raw) if isinstance(raw, str) else None
        if kind is None:
            given = isinstance(raw, str) and raw
            words = f"“{raw[:40]}” is not a kind of activity." if given else "The kind is missing."
            raise Unreadable(f"{words} Known kinds are: {', '.join(sorted(self.kinds))}.")
        return kind

    def _instant(self, raw: Any) -> datetime:
        return read_instant(raw, self.latest)


def _nothing(raw: Any) -> None:
    """Of a field that is read elsewhere, or that there is none of, nothing is said."""


def read_instant(raw: Any, latest: datetime) -> datetime:
    """An instant in UTC, with its zone said. Raises Unreadable, also when it is after `latest`."""
    if raw is None or raw == "":
        raise Unreadable("It is missing. Write it as 2026-11-24T09:12:00Z.")
    try:
        instant = raw if isinstance(raw, datetime) else datetime.fromisoformat(str(raw).strip())
    except ValueError:
        raise Unreadable(f"“{str(raw)[:40]}” is not a time. Write it as 2026-11-24T09:12:00Z.") from None
    if instant.tzinfo is None or instant.utcoffset() is None:
        raise Unreadable("The time zone is missing. Write it as 2026-11-24T09:12:00Z or with +01:00.")
    if not EARLIEST.year <= instant.year < 9999:
        raise Unreadable(f"It lies before {EARLIEST.year} or too far ahead. Check the year.")
    if instant > latest:
        raise Unreadable(
            "It lies in the future. Activities are what has happened: check the clock and the time zone."
        )
    return instant if instant.tzinfo is UTC else instant.astimezone(UTC)


def read_id(raw: Any) -> int | None:
    """A number that names a row. Raises Unreadable."""
    if raw is None or raw == "":
        return None
    if isinstance(raw, int) and not isinstance(raw, bool):
        number = raw
    elif isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) < 20:
        number = int(raw)
    else:
        raise Unreadable("It is not a number of LeadFlow.")
    if not 0 < number <= ID_LIMIT:
        raise Unreadable("It is not a number of LeadFlow.")
    return number


def _line(limit: int) -> Callable[[Any], str]:
    def read(raw: Any) -> str:
        # As `clean` does it with what is plain, printable and short: nearly everything.
        if type(raw) is str and len(raw) <= limit and raw.isascii() and raw.isprintable():
            return raw.strip()
        return clean(raw, limit)

    return read


def _path(raw: Any) -> str:
    """The folded path of a page: without address, question mark part and anchor; cut at its limit."""
    text = clean(raw, 100_000)
    if "://" in text[:12]:
        text = "/" + text.partition("://")[2].partition("/")[2]
    return fold(text.partition("?")[0].partition("#")[0])[:PATH_LIMIT]


# How a value that is given is read; what is empty after it counts as left out.
_ACTIVITY_READERS: dict[str, Callable[[Any], Any]] = {
    "source": _line(80),
    "external_id": _line(200),
    "lead_id": read_id,
    "external_lead_id": _line(200),
    "lead_source": _line(80),
    "email": lambda raw: read_email(raw) if raw != "" else None,
    "visitor_id": _line(80),
    "user_id": read_id,
    "handoff_id": read_id,
    "path": _path,
    "campaign": _line(80),
    "content": _line(80),
    "message_key": _line(120),
    "channel": _line(20),
    "result": _line(20),
}
# True is not taken for 1, nor 1.0: only what equals nothing of another type is looked up among the seen.
_PLAIN = frozenset({str, int})
_NEEDED = frozenset({"source", "external_id", "kind", "occurred_at"})
# What a field fills in besides itself.
_FILLS = {
    "email": ("email_key",),
    "visitor_id": ("visitor",),
    "external_lead_id": ("key",),
    "properties": ("path", "campaign", "content", "message_key"),
}
_ACTIVITY_NAMES = (*_ACTIVITY_READERS, "kind", "occurred_at", "properties")
_WHOSE = frozenset({"lead_id", "external_lead_id", "email", "visitor_id"})


def _taken_out(said: dict[str, Any], properties: dict[str, Any]) -> None:
    """What stands among the properties and has a column of its own goes there, unless that is filled."""
    if "path" not in said:
        said["path"] = _path(str(properties.pop("path", "")))
    for name, limit in (("campaign", 80), ("content", 80), ("message_key", 120)):
        if name not in said:
            said[name] = str(properties.pop(name, ""))[:limit]


def _properties(raw: Any, kind: ActivityKind | None, faults: list[Fault]) -> dict[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping) or len(raw) > PROPERTIES_LIMIT:
        faults.append(
            Fault("properties", f"They are an object of at most {PROPERTIES_LIMIT} names and values.")
        )
        return {}
    types = kind.properties if kind else {}
    read: dict[str, Any] = {}
    for name, value in raw.items():
        try:
            key = clean(name, 60)
            typed = _property(types.get(name), value)
        except Unreadable as wrong:
            faults.append(Fault(f"properties.{str(name)[:60]}", str(wrong)))
        else:
            if typed is not None:
                read[key] = typed
    return read


def _property(type_: str | None, value: Any) -> Any:
    if value is None:
        return None
    if type_ == "number" or (
        type_ is None and isinstance(value, int | float) and not isinstance(value, bool)
    ):
        number = decimal_of(value)
        return int(number) if number == number.to_integral_value() else float(number)
    if type_ == "boolean" or (type_ is None and isinstance(value, bool)):
        if not isinstance(value, bool):
            raise Unreadable("It is yes or no: write true or false.")
        return value
    if type_ == "date":
        return read_day(value)
    if not isinstance(value, str):
        raise Unreadable("Write one text, number, true or false; no lists and no objects.")
    return clean(value, TEXT_LIMIT)
