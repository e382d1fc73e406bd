"""How SQL reads a fact as it was known at an instant.

The aliases are fixed: `l` lead, `c` the company of that instant, `lc` and `cc` a json object of the first
later change of each fact of the two ({"o": old, "k": folded, "w": words}), `s` the instant (at, known_at).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg2.sql import SQL, Composable, Identifier, Literal

from leadflow.leads.facts import FACTS, Fact, Type, known_facts
from scoring.document import Document

# Facts whose present value stands in no plain column of its own.
_PRESENT: dict[str, str] = {
    "first_campaign": "(SELECT lower(p.code) FROM leads_campaign p WHERE p.id = l.first_campaign_id)",
    "is_customer": "CASE WHEN c.id IS NULL THEN NULL ELSE COALESCE(c.customer_since <= {instant}, FALSE) END",
}
_ISO = SQL("'^[0-9]{4}-[0-9]{2}-[0-9]{2}$'")
INSTANT = SQL("LEAST(s.at, s.known_at)")


@dataclass(frozen=True)
class Field:
    """A fact as a rule sees it."""

    key: str
    label: str
    subject: str
    type: Type
    has_words: bool
    key_column: str
    words_column: str
    column: str
    custom: str = ""
    # The values of a choice; empty: any text.
    options: tuple[str, ...] = ()
    retired: bool = False

    @property
    def is_text(self) -> bool:
        return self.type in ("text", "choice")


def catalogue(document: Document, known: Mapping[str, Fact] | None = None) -> dict[str, Field]:
    """The facts that an agreement's rules may name: the standard ones, and custom ones as it fixed them.

    `known` (facts.known_facts()) adds the custom fields of today; the agreement's own types win.
    """
    found = {key: _field(fact) for key, fact in (FACTS if known is None else known).items()}
    for given in document.fields:
        name = given.key.removeprefix("custom.")
        today = found.get(f"custom.{name}")
        found[f"custom.{name}"] = _custom(
            name,
            given.label,
            given.subject,
            given.type,  # type: ignore[arg-type]
            today.options if today else (),
            retired=today is not None and today.retired,
        )
    return found


def catalogue_today(document: Document) -> dict[str, Field]:
    """As `catalogue`, with every custom field that exists now, retired ones too. One query."""
    return catalogue(document, known_facts(retired=True))


def _field(fact: Fact) -> Field:
    if fact.custom:
        return _custom(fact.custom, fact.label, fact.subject, fact.type, fact.options, retired=fact.retired)
    return Field(
        fact.key,
        fact.label,
        fact.subject,
        fact.type,
        bool(fact.words_column),
        fact.key_column,
        fact.words_column,
        fact.column,
    )


def _custom(
    name: str, label: str, subject: str, type_: Type, options: tuple[str, ...] = (), *, retired: bool = False
) -> Field:
    has_words = type_ in ("text", "choice")
    return Field(
        f"custom.{name}", label, subject, type_, has_words, "", "", "", name, options, retired=retired
    )


def _tables(field: Field) -> tuple[SQL, SQL]:
    return (SQL("l"), SQL("lc")) if field.subject == "lead" else (SQL("c"), SQL("cc"))


def key_text(field: Field, present: bool) -> Composable:
    """The folded text (for dates the ISO day) of a fact; null or '' when it is not known."""
    row, _ = _tables(field)
    if field.key == "email_domain":
        return _email_domain(present)
    if field.custom:
        now: Composable = SQL("{}.custom_keys->>{}").format(row, Literal(field.custom))
    elif field.key in _PRESENT:
        now = SQL(_PRESENT[field.key])
    else:
        now = SQL("{}.{}").format(row, Identifier(field.key_column))
    return _as_of(field, now, SQL("->>'k'"), present)


def words_text(field: Field, present: bool) -> Composable:
    """The words of a text fact, each between blanks."""
    row, _ = _tables(field)
    if field.custom:
        now: Composable = SQL("{}.custom_words->>{}").format(row, Literal(field.custom))
    else:
        now = SQL("{}.{}").format(row, Identifier(field.words_column))
    return _as_of(field, now, SQL("->>'w'"), present)


def typed_value(field: Field, present: bool) -> Composable:
    """The numeric, boolean or ISO-day value; null when unknown or of another type."""
    row, _ = _tables(field)
    if field.custom:
        now: Composable = _from_json(SQL("({}.custom->{})").format(row, Literal(field.custom)), field.type)
    elif field.key in _PRESENT:
        now = SQL(_PRESENT[field.key]).format(instant=INSTANT)
    else:
        now = SQL("{}.{}").format(row, Identifier(field.column))
    if present:
        return now
    _, later = _tables(field)
    old = SQL("({}.j->{}->'o')").format(later, Literal(field.key))
    return SQL("CASE WHEN {later}.j ? {key} THEN {old} ELSE {now} END").format(
        later=later, key=Literal(field.key), old=_from_json(old, field.type), now=now
    )


def shown_value(field: Field, present: bool) -> Composable:
    """The value as a text for people."""
    row, later = _tables(field)
    if field.custom:
        now: Composable = SQL("{}.custom->>{}").format(row, Literal(field.custom))
    elif field.key == "first_campaign":
        now = SQL("(SELECT p.name FROM leads_campaign p WHERE p.id = l.first_campaign_id)")
    elif field.key == "is_customer":
        now = SQL("(c.customer_since IS NOT NULL)::text")
    else:
        now = SQL("{}.{}::text").format(row, Identifier(field.column))
    if present or field.key == "email_domain":
        return now
    return SQL("CASE WHEN {later}.j ? {key} THEN {later}.j->{key}->>'o' ELSE {now} END").format(
        later=later, key=Literal(field.key), now=now
    )


def is_known(field: Field, present: bool) -> Composable:
    """True or false, never null."""
    if field.is_text:
        return SQL("COALESCE({} <> '', FALSE)").format(key_text(field, present))
    return SQL("({} IS NOT NULL)").format(typed_value(field, present))


def company_id(present: bool) -> Composable:
    """The id of the company that the lead belonged to at the instant."""
    if present:
        return SQL("l.company_id")
    return SQL("CASE WHEN lc.j ? 'company' THEN (lc.j->'company'->>'o')::bigint ELSE l.company_id END")


def _as_of(field: Field, now: Composable, part: SQL, present: bool) -> Composable:
    if present:
        return now
    _, later = _tables(field)
    return SQL("CASE WHEN {later}.j ? {key} THEN {later}.j->{key}{part} ELSE {now} END").format(
        later=later, key=Literal(field.key), part=part, now=now
    )


def _email_domain(present: bool) -> Composable:
    # The domain is derived: a change of the address is the change of the domain.
    if present:
        return SQL("l.email_domain")
    return SQL(
        "CASE WHEN lc.j ? 'email_domain' THEN lc.j->'email_domain'->>'k'"
        " WHEN lc.j ? 'email' THEN substring(lc.j->'email'->>'k' FROM '@([^@]*)$') ELSE l.email_domain END"
    )


def _from_json(value: Composable, type_: str) -> Composable:
    if type_ == "number":
        return SQL("CASE WHEN jsonb_typeof({v}) = 'number' THEN ({v})::numeric END").format(v=value)
    if type_ == "boolean":
        return SQL("CASE WHEN jsonb_typeof({v}) = 'boolean' THEN ({v})::boolean END").format(v=value)
    text = SQL("({}#>>'{{}}')").format(value)
    return SQL("CASE WHEN {t} ~ {iso} THEN {t} END").format(t=text, iso=_ISO)
