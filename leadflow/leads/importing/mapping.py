"""Which column of a file is which fact, and how its dates and numbers are written.

A mapping is JSON, made in the browser or kept beside the file:

    {"source": "fair-2026", "date_order": "DMY", "decimal": ",", "empty": ["Select"],
     "identify_by": "external_id" | "line" | "content",
     "columns": {"Prospect ID": {"to": "external_id"},
                 "Visits": {"to": "custom.visits", "type": "number", "label": "Visits"},
                 "Tags": {"to": "custom.tags", "after_contact": true},
                 "Notes": {"to": ""}},
     "outcome": {"Converted": {"1": "won"}}, "constants": {"country": "Germany"}}

A column that tells two things has a list of such entries. `identify_by` says what stands in for missing
ids: the number of the line, or a digest of all cells (so that the same row twice counts once).
"""

import hashlib
import re
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from leadflow import clock
from leadflow.errors import BadInput, Fault
from leadflow.leads.facts import CUSTOM, Fact
from leadflow.leads.folding import fold, words
from leadflow.leads.importing.reading import Row, Shape
from leadflow.leads.models import CustomField, Outcome

Kind = Literal["leads", "activities", "outcomes"]

# What a column may become besides a fact.
LEAD_TARGETS = {
    "external_id": "Id in the other system",
    "first_name": "First name",
    "last_name": "Last name",
    "external_owner": "Owner in the other system",
    "crm_url": "Link to the CRM",
}
ACTIVITY_TARGETS = {
    "external_id": "Id of the activity",
    "kind": "Kind",
    "occurred_at": "When it happened",
    "email": "E-mail of the lead",
    "lead_id": "LeadFlow id of the lead",
    "external_lead_id": "Id of the lead in the other system",
    "visitor_id": "Browser",
    "path": "Path of the page",
    "campaign": "Campaign code",
    "content": "Content",
    "message_key": "Which e-mail",
    "channel": "Channel",
    "result": "Result",
}
OUTCOME_TARGETS = {
    "external_id": "Id of the deal",
    "kind": "What became of it",
    "at": "Date",
    "amount": "Amount",
    "reason": "Reason",
    "email": "E-mail of the lead",
    "lead_id": "LeadFlow id of the lead",
    "external_lead_id": "Id of the lead in the other system",
}
PROPERTY = "properties."
SKIP = "skip"
IDENTIFY_BY = ("external_id", "line", "content")
WHOSE = ("email", "lead_id", "external_lead_id")
DATE_ORDERS = {"DMY": "24.11.2026", "MDY": "11/24/2026", "YMD": "2026-11-24"}
_CUSTOM_KEY = re.compile(r"[a-z0-9_]{1,50}")
_TIME = r"(?:[T ,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*([AaPp][Mm])?)?"
_DATE = re.compile(r"(\d{1,4})[-./](\d{1,2})[-./](\d{1,4})" + _TIME)

# Headers people use, folded, and the fact they mean.
SYNONYMS = {
    "e mail": "email",
    "email address": "email",
    "mail": "email",
    "full name": "name",
    "contact": "name",
    "contact name": "name",
    "vorname": "first_name",
    "nachname": "last_name",
    "firstname": "first_name",
    "lastname": "last_name",
    "surname": "last_name",
    "telephone": "phone",
    "phone number": "phone",
    "mobile": "phone",
    "job title": "title",
    "position": "title",
    "role": "title",
    "account": "company_name",
    "company": "company_name",
    "company name": "company_name",
    "organisation": "company_name",
    "organization": "company_name",
    "website": "company_domain",
    "domain": "company_domain",
    "sector": "industry",
    "number of employees": "employees",
    "company size": "employees",
    "lead source": "first_source",
    "source": "first_source",
    "campaign": "first_campaign",
    "id": "external_id",
    "lead id": "external_id",
    "prospect id": "external_id",
    "record id": "external_id",
    "opportunity id": "external_id",
    "sales agent": "external_owner",
    "owner": "external_owner",
    "timestamp": "occurred_at",
    "date": "at",
    "close date": "at",
    "close value": "amount",
    "stage": "kind",
    "deal stage": "kind",
    "event": "kind",
    "user id": "external_lead_id",
}
# The same header means another thing in a file of another kind.
_OTHERWISE = {"at": "occurred_at", "occurred_at": "at", "external_id": "external_lead_id"}


@dataclass(frozen=True)
class Column:
    """One column's target; `type` and `label` make a custom field when there is none yet."""

    name: str
    to: str
    type: str = "text"
    label: str = ""
    after_contact: bool = False
    values: AnyMapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mapping:
    """A checked mapping."""

    kind: Kind
    source: str
    columns: tuple[Column, ...]
    date_order: str = "DMY"
    decimal: str = "."
    empty: frozenset[str] = frozenset()
    identify_by: str = "external_id"
    constants: AnyMapping[str, Any] = field(default_factory=dict)
    zone: str = "UTC"

    def convert(self, row: Row) -> tuple[dict[str, Any], list[Fault]]:
        """A row of a file as a row of the intake, and what is wrong with it, named by its column."""
        if row.problem:
            return {}, [Fault("", row.problem)]
        made: dict[str, Any] = dict(self.constants)
        faults: list[Fault] = []
        for column in self.columns:
            text = row.cells.get(column.name, "")
            if not text or (self.empty and fold(text) in self.empty):
                continue
            try:
                value = self._value(column, text)
            except ValueError as error:
                faults.append(Fault(column.name, str(error)))
                continue
            self._put(made, column.to, value)
        if made.get("kind") == SKIP:
            return {"kind": SKIP}, []
        return self._complete(made, row), faults

    def _value(self, column: Column, text: str) -> Any:
        if column.values:
            found = column.values.get(fold(text))
            if found is None:
                known = ", ".join(sorted(column.values))
                raise ValueError(f"“{text[:60]}” is none of the values that the mapping knows ({known}).")
            return found
        if column.to.startswith(PROPERTY):
            return self._property(column, text)
        if column.type == "number":
            return self.number(text)
        if column.type == "date":
            return self.moment(text).date().isoformat()
        if column.type == "instant":
            return self.moment(text)
        return text

    def _property(self, column: Column, text: str) -> Any:
        if text in ("true", "false") and column.type in ("boolean", "text"):
            return text == "true"
        return float(self.number(text)) if column.type == "number" else text

    def number(self, text: str) -> str:
        """A number as the file writes it, with a point for the decimal sign. Raises ValueError."""
        if text.isascii() and text.isdigit():
            return text
        plain = re.sub(r"[\s' _€$£%]", "", text)
        plain = plain.replace("." if self.decimal == "," else ",", "").replace(",", ".")
        if not re.fullmatch(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?|[-+]?\d+\.", plain):
            raise ValueError(f"“{text[:60]}” is not a number.")
        return plain

    def moment(self, text: str) -> datetime:
        """A date, perhaps with a time, in the file's order and the mapping's zone. Raises ValueError."""
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            found = self._written(text)
        return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(self.zone))

    def _written(self, text: str) -> datetime:
        match = _DATE.fullmatch(text.strip())
        wanted = (
            f"“{text[:60]}” is not a date. This file's dates are read like {DATE_ORDERS[self.date_order]}."
        )
        if not match:
            raise ValueError(wanted)
        a, b, c = (int(n) for n in match.group(1, 2, 3))
        order = "YMD" if len(match.group(1)) == 4 else self.date_order
        year, month, day = {"DMY": (c, b, a), "MDY": (c, a, b), "YMD": (a, b, c)}[order]
        hour, minute, second = (int(n or 0) for n in match.group(4, 5, 6))
        if (match.group(7) or "").lower() == "pm" and hour < 12:
            hour += 12
        try:
            return datetime(year + 2000 if year < 100 else year, month, day, hour, minute, second)  # noqa: DTZ001
        except ValueError:
            raise ValueError(wanted) from None

    def _put(self, made: dict[str, Any], to: str, value: Any) -> None:
        if to.startswith(PROPERTY):
            made.setdefault("properties", {})[to.removeprefix(PROPERTY)] = value
        else:
            made[to] = value

    def _complete(self, made: dict[str, Any], row: Row) -> dict[str, Any]:
        first, last = made.pop("first_name", ""), made.pop("last_name", "")
        if (first or last) and not made.get("name"):
            made["name"] = f"{first} {last}".strip()
        if self.identify_by != "external_id":
            # An outcome is found again in the file that brought its lead; an activity has an id of its own.
            made.setdefault("external_lead_id" if self.kind == "outcomes" else "external_id", self._id(row))
        if self.kind == "outcomes":
            # A deal without an id of its own is named after its lead.
            whose = [made[name] for name in ("external_lead_id", "email", "lead_id") if name in made]
            if whose:
                made.setdefault("external_id", str(whose[0]))
        return made

    def _id(self, row: Row) -> str:
        if self.identify_by == "line":
            return f"line-{row.line}"
        cells = "\x1f".join(row.raw).encode("utf-8", "surrogatepass")
        return f"row-{hashlib.sha256(cells).hexdigest()[:32]}"


def targets(kind: Kind, facts: AnyMapping[str, Fact]) -> dict[str, str]:
    """What a column of such a file may become: key and label."""
    if kind == "leads":
        return LEAD_TARGETS | {key: fact.label for key, fact in facts.items() if not fact.derived}
    return ACTIVITY_TARGETS if kind == "activities" else OUTCOME_TARGETS


def parse(
    raw: Any, kind: Kind, shape: Shape, facts: AnyMapping[str, Fact], *, source: str = "", zone: str = "UTC"
) -> Mapping:
    """Check a mapping against the file and the known facts. Raises BadInput that names each fault."""
    if not isinstance(raw, dict) or not isinstance(raw.get("columns"), dict):
        raise BadInput("A mapping is a JSON object with “columns”: {column: {“to”: fact}}.")
    faults: list[Fault] = []
    columns = [
        column
        for name, entries in raw["columns"].items()
        for entry in (entries if isinstance(entries, list) else [entries])
        if (column := _column(name, entry, kind, shape, facts, faults)) is not None
    ]
    columns += _outcome_columns(raw, kind, shape, faults)
    faults += _twice(columns) + _settings(raw, targets(kind, facts))
    if not columns and not faults:
        faults.append(Fault("columns", "No column is mapped: say what at least one of them is."))
    if faults:
        where = "; ".join(f"{f.path}: {f.message}" for f in faults[:5])
        raise BadInput(f"The mapping does not fit this file. {where}", faults)
    return Mapping(
        kind=kind,
        source=source or str(raw.get("source") or "import"),
        columns=tuple(columns),
        date_order=raw.get("date_order", "DMY"),
        decimal=raw.get("decimal", "."),
        empty=frozenset(fold(str(text)) for text in raw.get("empty", [])),
        identify_by=raw.get("identify_by", "external_id"),
        constants=raw.get("constants", {}),
        zone=str(raw.get("zone") or zone),
    )


def incomplete(mapping: Mapping) -> list[Fault]:
    """What no row of the file would have, so that each would be rejected: said once, before it starts."""
    told = {column.to for column in mapping.columns} | set(mapping.constants)
    own_id = mapping.identify_by != "external_id"
    faults = []
    if mapping.kind == "leads":
        if not own_id and not told & {"external_id", "email"}:
            faults.append(Fault("columns", "No column tells who it is: map the e-mail or an id."))
        return faults
    faults += [
        Fault("columns", f"No column is mapped to “{name}” ({label}).")
        for name, label in (("kind", "what it was"), ("occurred_at", "when it happened"))
        if name not in told and (name == "kind" or mapping.kind == "activities")
    ]
    by_row = own_id and mapping.kind == "outcomes"
    if not by_row and not told & {*WHOSE, *(("visitor_id",) if mapping.kind == "activities" else ())}:
        faults.append(
            Fault("columns", "No column tells whose it is: map the e-mail, the lead's id or LeadFlow's id.")
        )
    if mapping.kind == "activities" and not own_id and "external_id" not in told:
        faults.append(
            Fault("identify_by", "The activities have no ids: write “content”, so that each counts once.")
        )
    return faults


def _settings(raw: dict[str, Any], known: AnyMapping[str, str]) -> list[Fault]:
    faults = []
    if raw.get("identify_by", "external_id") not in IDENTIFY_BY:
        faults.append(Fault("identify_by", f"Write one of: {', '.join(IDENTIFY_BY)}."))
    if raw.get("zone") and raw["zone"] not in clock.zone_names():
        faults.append(Fault("zone", "Write a time zone such as Europe/Berlin."))
    if raw.get("date_order", "DMY") not in DATE_ORDERS:
        faults.append(Fault("date_order", "Write DMY, MDY or YMD."))
    if raw.get("decimal", ".") not in (".", ","):
        faults.append(Fault("decimal", "Write a point or a comma."))
    if not isinstance(raw.get("empty", []), list):
        faults.append(Fault("empty", "Write a list of the texts that mean nothing, such as Select."))
    if not isinstance(raw.get("constants", {}), dict):
        faults.append(Fault("constants", "Write an object of fact: value."))
    else:
        faults += [
            Fault(f"constants.{name}", f"There is no fact “{name}”. Known: {', '.join(known)}.")
            for name in raw.get("constants", {})
            if name not in known
        ]
    return faults


def _twice(columns: list[Column]) -> list[Fault]:
    seen: dict[str, str] = {}
    faults = []
    for column in columns:
        if column.to in seen:
            faults.append(Fault(column.name, f"“{seen[column.to]}” is mapped to {column.to} already."))
        seen[column.to] = column.name
    return faults


def _column(
    name: str, entry: Any, kind: Kind, shape: Shape, facts: AnyMapping[str, Fact], faults: list[Fault]
) -> Column | None:
    spec = {"to": entry} if isinstance(entry, str) else entry
    if not isinstance(spec, dict):
        faults.append(Fault(name, "Write {“to”: fact}."))
        return None
    to = str(spec.get("to") or "")
    if not to:
        return None
    if name not in shape.columns:
        near = ", ".join(shape.columns[:12])
        faults.append(Fault(name, f"The file has no column of this name. It has: {near}."))
        return None
    # A field that exists keeps its type; a mapping only says the type of a new one.
    type_ = facts[to].type if to in facts else str(spec.get("type") or "text")
    if not _known(to, kind, facts) and not (kind == "leads" and to.startswith(CUSTOM)):
        faults.append(Fault(name, f"There is no fact “{to}”. Known: {', '.join(targets(kind, facts))}."))
        return None
    if to.startswith(CUSTOM) and to not in facts:
        if not _CUSTOM_KEY.fullmatch(to.removeprefix(CUSTOM)):
            faults.append(
                Fault(name, f"“{to}” is no name for a new field: write custom. and up to 50 of a-z, 0-9, _.")
            )
            return None
        if type_ not in CustomField.Type.values:
            faults.append(Fault(name, f"A new field holds one of: {', '.join(CustomField.Type.values)}."))
            return None
    if to in ("occurred_at", "at"):
        type_ = "instant"
    if to == "amount":
        type_ = "number"
    values = spec.get("values") or {}
    if not isinstance(values, dict):
        faults.append(Fault(name, "Write “values” as {text in the file: value}."))
        return None
    label = str(spec.get("label") or name)
    return Column(name, to, type_, label, bool(spec.get("after_contact")), _folded(values))


def _folded(values: AnyMapping[str, Any]) -> dict[str, Any]:
    return {fold(str(text)): value for text, value in values.items()}


def _known(to: str, kind: Kind, facts: AnyMapping[str, Fact]) -> bool:
    return to in targets(kind, facts) or (kind == "activities" and to.startswith(PROPERTY))


def _outcome_columns(raw: dict[str, Any], kind: Kind, shape: Shape, faults: list[Fault]) -> list[Column]:
    """The short form of a column that tells the outcome: {"Converted": {"1": "won"}}."""
    if kind != "outcomes" or not raw.get("outcome"):
        return []
    if not isinstance(raw["outcome"], dict):
        faults.append(Fault("outcome", "Write {column: {text in the file: won, lost … or skip}}."))
        return []
    made = []
    for name, values in raw["outcome"].items():
        if not isinstance(values, dict):
            faults.append(Fault(name, "Write {text in the file: won, lost … or skip}."))
            continue
        if name not in shape.columns:
            faults.append(Fault(name, "The file has no column of this name."))
            continue
        wrong = [str(v) for v in values.values() if v not in Outcome.Kind.values and v != SKIP]
        if wrong:
            faults.append(
                Fault(name, f"Unknown: {', '.join(wrong)}. Known: {', '.join(Outcome.Kind.values)}, skip.")
            )
        made.append(Column(name, "kind", values=_folded(values)))
    return made


def suggest(shape: Shape, sample: list[Row], kind: Kind, facts: AnyMapping[str, Fact]) -> dict[str, str]:
    """A first guess: for each column the fact it seems to be, or ''."""
    allowed = targets(kind, facts)
    labels = {fold(label): key for key, label in allowed.items()} | {fold(key): key for key in allowed}
    taken: set[str] = set()
    guess: dict[str, str] = {}
    for column in shape.columns:
        name = words(column).strip()
        to = labels.get(fold(column)) or labels.get(name) or SYNONYMS.get(name, "")
        to = _OTHERWISE.get(to, to) if to not in allowed else to
        if not to and "email" in allowed and _looks_like_email([r.cells.get(column, "") for r in sample]):
            to = "email"
        if kind == "activities" and column.startswith(PROPERTY):
            to = column
        elif to not in allowed or to in taken:
            to = ""
        taken.add(to)
        guess[column] = to
    return guess


def suggest_kind(values: list[str]) -> str:
    """The type that a column's values seem to have: number, date, boolean or text."""
    given = [v for v in values if v][:100]
    if not given:
        return "text"
    if all(re.fullmatch(r"[-+]?\d+(?:[.,]\d+)?", v) for v in given):
        return "number"
    if all(_DATE.fullmatch(v) for v in given):
        return "date"
    if {fold(v) for v in given} <= {"yes", "no", "true", "false"}:
        return "boolean"
    return "text"


def _looks_like_email(values: list[str]) -> bool:
    given = [v for v in values if v]
    return bool(given) and sum("@" in v and "." in v for v in given) > len(given) * 0.8


def ensure_fields(mapping: Mapping) -> None:
    """Make the custom fields that the mapping names and that do not exist yet."""
    have = set(CustomField.objects.values_list("key", flat=True))
    CustomField.objects.bulk_create(
        [
            CustomField(
                key=column.to.removeprefix(CUSTOM),
                subject=CustomField.Subject.LEAD,
                type=column.type if column.type in CustomField.Type.values else CustomField.Type.TEXT,
                label=column.label[:80],
                after_contact=column.after_contact,
            )
            for column in mapping.columns
            if column.to.startswith(CUSTOM) and column.to.removeprefix(CUSTOM) not in have
        ],
        ignore_conflicts=True,  # another import may be making the same
    )
