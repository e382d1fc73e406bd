"""What was known of a workshop's leads, each at its own instant: facts, and what happened. Never a score,
a stage, or what sales did."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

from psycopg2.sql import SQL, Composable, Literal

from leadflow.leads.facts import known_facts
from leadflow.leads.models import ActivityKind, CustomField
from scoring import rows
from scoring.conditions import fields
from scoring.conditions.compile import Columns
from scoring.conditions.fields import Field
from scoring.document import Document
from scoring.models import WorkshopCard

ACTS_SHOWN = 40
# What is shown as the heading, or says nothing beside the address.
_HEAD = ("name", "title", "company_name", "email_domain", "company_domain")
# Said only when it is so.
_FLAGS = ("is_target", "is_competitor", "is_partner", "is_own", "is_customer", "do_not_contact")
_TYPES = ("bigint[]", "bigint[]", "timestamptz[]", "timestamptz[]")


@dataclass(frozen=True)
class Act:
    """One thing that happened. `own`: the lead did it."""

    kind: str
    text: str
    detail: str
    at: datetime
    own: bool


@dataclass(frozen=True)
class Known:
    """The facts of one lead at its instant, as texts; missing ones are not there."""

    values: Mapping[str, str]
    fields: Mapping[str, Field]

    @property
    def name(self) -> str:
        return self.values.get("name") or self.values.get("email") or "No name yet"

    @property
    def head(self) -> str:
        """Job title and company."""
        return ", ".join(filter(None, [self.values.get("title"), self.values.get("company_name")]))

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Label and value of each fact below the heading."""
        return [
            (self.fields[key].label, shown(self.fields[key], value))
            for key, value in self.values.items()
            if key not in _HEAD and (key not in _FLAGS or value == "true")
        ]


class Reader:
    """Reads the leads of some cards; the catalogue of facts and kinds is loaded once. Two queries for it."""

    @cached_property
    def catalogue(self) -> dict[str, Field]:
        """The facts that may be shown: none that is written after sales was in touch."""
        hidden = set(CustomField.objects.filter(after_contact=True).values_list("key", flat=True))
        every = fields.catalogue(Document({}), known_facts())
        return {key: one for key, one in every.items() if one.custom not in hidden}

    def facts(self, cards: Sequence[WorkshopCard]) -> dict[int, Known]:
        """What was known, by card id. One query."""
        if not cards:
            return {}
        columns = Columns(present=False)
        final: list[Composable] = [SQL("b.key")]
        final += [columns.facts.add(_as_text(one)) for one in self.catalogue.values()]
        statement = rows.build(columns, [], final, source="subjects", zone="UTC")
        found = {}
        for key, *values in rows.run(statement, _subjects(cards)):
            known = zip(self.catalogue, values, strict=True)
            found[key] = Known({k: v for k, v in known if v not in (None, "")}, self.catalogue)
        return found

    def acts(self, card: WorkshopCard) -> list[Act]:
        """What happened until the card's instant, newest first. One query."""
        text = SQL(
            "WITH s AS MATERIALIZED (SELECT * FROM unnest($1, $2, $3, $4) AS s(key, lead, at, known_at))"
            " SELECT k.key, k.phrase, k.own_act, a.occurred_at, a.path,"
            " COALESCE(c.title, a.properties->>'title', a.properties->>'show', ''),"
            " COALESCE(a.properties->>'text', a.properties->>'subject', '')"
            " FROM s JOIN leads_lead l ON l.id = s.lead CROSS JOIN LATERAL ({rows}) a"
            " JOIN leads_activitykind k ON k.id = a.kind_id AND NOT k.contact"
            " LEFT JOIN leads_content c ON c.id = a.content_id"
            " ORDER BY a.occurred_at DESC, a.id DESC LIMIT {limit}"
        ).format(rows=rows.activity_rows(present=False), limit=Literal(ACTS_SHOWN))
        found = rows.run(rows.Statement(rows.render(text), _TYPES), _subjects([card]))
        viewed = {row[3] for row in found if row[0] == "page_view"}
        return [_act(*row) for row in found if row[0] != "visit" or row[3] not in viewed]

    def counts(self, cards: Sequence[WorkshopCard], days: int) -> dict[int, dict[tuple[str, str], int]]:
        """By card id: how often each kind of thing happened in the last `days` days, and for pages also
        under which first part of the path: {("page_view", "/pricing"): 3, ("page_view", ""): 8}."""
        if not cards:
            return {}
        text = SQL(
            "WITH s AS MATERIALIZED (SELECT * FROM unnest($1, $2, $3, $4) AS s(key, lead, at, known_at))"
            " SELECT s.key, k.key, CASE WHEN k.key = 'page_view' THEN substring(a.path FROM '^/[^/]+')"
            " END AS part, count(*)"
            " FROM s JOIN leads_lead l ON l.id = s.lead CROSS JOIN LATERAL ({rows}) a"
            " JOIN leads_activitykind k ON k.id = a.kind_id AND NOT k.contact"
            " WHERE a.occurred_at > s.at - {window}::interval GROUP BY 1, 2, 3"
        ).format(rows=rows.activity_rows(present=False), window=Literal(f"{days * 24} hours"))
        found: dict[int, dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))
        for key, kind, part, count in rows.run(rows.Statement(rows.render(text), _TYPES), _subjects(cards)):
            found[key][kind, ""] += count
            if part:
                found[key][kind, part] += count
        return found


def kinds() -> dict[str, str]:
    """The kinds of activity that a card can show: key → phrase. One query."""
    return dict(ActivityKind.objects.filter(contact=False).values_list("key", "phrase"))


def shown(field: Field, value: str) -> str:
    """A fact's text as people write it: 1,200 instead of 1200.00, yes and no."""
    if field.type == "boolean":
        return "yes" if value == "true" else "no"
    number = number_of(value) if field.type == "number" else None
    if number is None:
        return value
    whole = number == number.to_integral_value()
    return f"{int(number):,}" if whole else f"{number.normalize():,f}"


def number_of(value: str) -> Decimal | None:
    """The finite number that a text is, if it is one."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _subjects(cards: Iterable[WorkshopCard]) -> list[list[Any]]:
    every = [(card.pk, card.lead_id, card.at, card.known_at) for card in cards]
    return [list(column) for column in zip(*every, strict=True)]


def _as_text(field: Field) -> Composable:
    if field.type == "boolean":
        return SQL("({})::text").format(fields.typed_value(field, False))
    return fields.shown_value(field, False)


def _act(kind: str, phrase: str, own: bool, at: datetime, path: str, title: str, said: str) -> Act:
    text = phrase[:1].upper() + phrase[1:]
    if title:
        text = f"{text}: “{title}”"
    elif path:
        text = f"{text}: {path}"
    return Act(kind, text, said, at, own)
