"""What a field of a rule can be, from the leads that are there: values with how many leads have them.

Read from a spread of leads and the newest activities of each, so that it costs the same at any size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from psycopg2.sql import SQL, Composable, Identifier, Literal

from leadflow import clock
from leadflow.leads.folding import fold
from leadflow.leads.models import ActivityKind
from scoring.conditions import fields
from scoring.conditions.fields import Field
from scoring.editing import sampling
from scoring.editing.sampling import Sample
from scoring.editing.tree import Choices
from scoring.rows import render

LOOKED = 2_000
PER_LEAD = 50
SHOWN = 12
TYPED_LIMIT = 100
_OF_ACTIVITY: dict[str, tuple[str, str]] = {
    "path": ("a.path", ""),
    "channel": ("a.channel", ""),
    "result": ("a.result", ""),
    "message_key": ("a.message_key", ""),
    "campaign": ("p.code", "LEFT JOIN leads_campaign p ON p.id = a.campaign_id"),
    "content": ("p.key", "LEFT JOIN leads_content p ON p.id = a.content_id"),
}
# Each lead has its own: nothing to choose from.
_OF_ONE = ("name", "email", "phone")
_FACTS = SQL(
    "FROM unnest({ids}::bigint[]) i(id) JOIN leads_lead l ON l.id = i.id"
    " LEFT JOIN leads_company c ON c.id = l.company_id"
    " CROSS JOIN (SELECT {at}::timestamptz AS at, {at}::timestamptz AS known_at) s"
)
_ACTS = SQL(
    "FROM unnest({ids}::bigint[]) i(id) CROSS JOIN LATERAL (SELECT * FROM leads_activity a"
    " WHERE a.lead_id = i.id{kinds} ORDER BY a.occurred_at DESC LIMIT {most}) a"
)
_BEST = SQL(
    "SELECT mode() WITHIN GROUP (ORDER BY x.value), count(DISTINCT x.lead) AS n FROM ({rows}) x"
    " WHERE x.value <> '' AND position({typed} IN x.folded) > 0"
    " GROUP BY x.folded ORDER BY position({typed} IN x.folded) = 1 DESC, n DESC, x.folded LIMIT {most}"
)


@dataclass(frozen=True)
class Suggestion:
    """A value and how many leads have it, about so where not all were looked at."""

    value: str
    leads: int


def of_fact(field: Field, op: str, typed: str) -> tuple[Sample, list[Suggestion]]:
    """Values of a text fact, the most frequent first; single words where the rule asks for words."""
    sample = sampling.people(LOOKED)
    if not field.is_text or field.key in _OF_ONE:
        return sample, []
    if op == "has_word" and field.has_words:
        words = fields.words_text(field, present=True)
        select = SQL("SELECT i.id AS lead, word AS value, word AS folded {} CROSS JOIN LATERAL").format(
            _facts_of(sample)
        )
        rows = select + SQL(" unnest(string_to_array(btrim({}), ' ')) word WHERE length(word) > 1").format(
            words
        )
    else:
        rows = SQL("SELECT i.id AS lead, {} AS value, {} AS folded {}").format(
            fields.shown_value(field, present=True), fields.key_text(field, present=True), _facts_of(sample)
        )
    return sample, _best(rows, sample, typed)


def of_activity(kinds: Sequence[str], name: str, typed: str) -> tuple[Sample, list[Suggestion]]:
    """Values of a property of activities of these kinds (of any, when none is named)."""
    sample = sampling.people(LOOKED)
    ids = list(ActivityKind.objects.filter(key__in=kinds).values_list("id", flat=True)) if kinds else []
    value, join = _OF_ACTIVITY.get(name, ("", ""))
    read = SQL(value) if value else SQL("a.properties->>{}").format(Literal(name))
    only = SQL(" AND a.kind_id = ANY({})").format(Literal(ids)) if kinds else SQL("")
    source = _ACTS.format(ids=Literal(sample.ids), kinds=only, most=Literal(PER_LEAD))
    rows = SQL(
        "SELECT i.id AS lead, left({0}, 200) AS value, lower(left({0}, 200)) AS folded {1} {2}"
    ).format(read, source, SQL(join))
    return sample, _best(rows, sample, typed)


def with_counts(choices: Choices) -> Choices:
    """The same choices, each fact with how often it is known, each kind of activity with who did it."""
    return replace(choices, known=known(choices.facts), done=done())


def known(catalogue: Mapping[str, Field]) -> dict[str, int]:
    """Per fact: of how many per cent of the leads it is known. One statement over the spread."""
    sample = sampling.people(LOOKED)
    if not sample.ids or not catalogue:
        return {}
    counts = [
        SQL("count(*) FILTER (WHERE {}) AS {}").format(fields.is_known(field, present=True), Identifier(key))
        for key, field in catalogue.items()
    ]
    row = _run(SQL("SELECT {} {}").format(SQL(", ").join(counts), _facts_of(sample)))[0]
    return {key: round(100 * int(n) / len(sample.ids)) for key, n in zip(catalogue, row, strict=True)}


def done() -> dict[str, int]:
    """Per kind of activity: how many leads did it, among the newest activities of each."""
    sample = sampling.people(LOOKED)
    source = _ACTS.format(ids=Literal(sample.ids), kinds=SQL(""), most=Literal(PER_LEAD))
    select = SQL(
        "SELECT k.key, count(DISTINCT i.id) {} JOIN leads_activitykind k ON k.id = a.kind_id GROUP BY 1"
    )
    rows = _run(select.format(source))
    return {key: sample.about(int(n)) for key, n in rows}


def _facts_of(sample: Sample) -> Composable:
    return _FACTS.format(ids=Literal(sample.ids), at=Literal(clock.now()))


def _best(rows: Composable, sample: Sample, typed: str) -> list[Suggestion]:
    needle = Literal(fold(typed[:TYPED_LIMIT]))
    found = _run(_BEST.format(rows=rows, typed=needle, most=Literal(SHOWN)))
    return [Suggestion(value, sample.about(int(leads))) for value, leads in found]


def _run(statement: Composable) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(render(statement))
        return list(cursor.fetchall())
