"""What could be a rule and is none: facts and acts that enough decided leads have."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg2.sql import SQL, Composable, Literal

from leadflow.leads.models import ActivityKind, CustomField
from scoring.backtesting.leaks import NOT_ASKED
from scoring.conditions import fields
from scoring.conditions.explain import Words, sentence
from scoring.conditions.fields import Field
from scoring.document import Criterion
from scoring.rows import render

# A candidate must hold for so many decided leads, and be lacking in as many.
LEADS = 20
# So many are looked at, the most frequent first.
MOST = 160
# An act counts within so many days before the decision.
DAYS = 30
_FIRST_TOUCH = frozenset({"first_source", "first_campaign"})
# Conditions, and how many of the leads have them today.
Counted = list[tuple[int, Mapping[str, Any]]]
_WORDS = frozenset({"and", "of", "the", "for", "in", "de", "der", "und", "et", "a"})


@dataclass(frozen=True)
class Candidate:
    """A condition that could become a rule of a group."""

    condition: Mapping[str, Any]
    group: str
    text: str

    def criterion(self, n: int) -> Criterion:
        """As a rule of no points, for the statements of backtests; `n` tells them apart."""
        return Criterion(f"candidate {n}", self.group, "once", 0, self.condition)


def candidates(leads: Sequence[int], words: Words) -> list[Candidate]:
    """Conditions over facts and acts of these leads that some have and some do not. Four queries.

    Facts that were marked as written after contact, contacts by our people, and ends are never among them.
    """
    marked = {f"custom.{key}" for key in _marked()}
    known = [
        field
        for key, field in words.facts.items()
        if key not in marked and (key not in NOT_ASKED or key in _FIRST_TOUCH)
    ]
    found: list[tuple[int, Mapping[str, Any], str]] = []
    found += [(n, condition, "fit") for n, condition in _of_values(leads, known)]
    found += [(n, condition, "fit") for n, condition in _of_numbers(leads, known)]
    found += [(n, condition, "fit") for n, condition in _of_titles(leads)]
    found += [(n, condition, "behaviour") for n, condition in _of_acts(leads)]
    found.sort(key=lambda row: -min(row[0], len(leads) - row[0]))
    return [
        Candidate(condition, group, _capital(sentence(condition, words)))
        for _, condition, group in found[:MOST]
    ]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _marked() -> Iterable[str]:
    return CustomField.objects.filter(after_contact=True).values_list("key", flat=True)


def _of_values(leads: Sequence[int], known: Sequence[Field]) -> Counted:
    """A text fact is one value; a fact is known; a yes or no is yes."""
    columns: list[tuple[str, Field, Composable, Composable]] = []
    for field in known:
        value = fields.key_text(field, present=True) if field.is_text else SQL("NULL::text")
        shown = fields.shown_value(field, present=True)
        if field.is_text and field.key != "title":
            # The value as people write it; of a campaign the rule wants the code.
            columns.append(("is", field, value, value if field.key == "first_campaign" else shown))
        if field.type == "boolean":
            yes = SQL("NULLIF({}, FALSE)::text").format(fields.typed_value(field, present=True))
            columns.append(("is_true", field, yes, yes))
        elif field.key not in _FIRST_TOUCH:
            there = SQL("NULLIF({}, FALSE)::text").format(fields.is_known(field, present=True))
            columns.append(("known", field, there, there))
    listed = SQL(", ").join(
        SQL("({}, {}, ({})::text)").format(Literal(i), value, shown)
        for i, (_, _, value, shown) in enumerate(columns)
    )
    rows = _fetch(
        SQL(
            "SELECT v.i, min(v.shown), count(*) FROM leads_lead l"
            " LEFT JOIN leads_company c ON c.id = l.company_id"
            " CROSS JOIN LATERAL (VALUES {listed}) AS v(i, value, shown)"
            " WHERE l.id = ANY({ids}) AND v.value <> ''"
            " GROUP BY v.i, v.value HAVING count(*) BETWEEN {low} AND {high}"
        ).format(listed=listed, **_bounds(leads))
    )
    found: Counted = []
    for i, shown, count in rows:
        op, field = columns[i][0], columns[i][1]
        more = {"value": [shown]} if op == "is" else {}
        found.append((count, {"fact": field.key, "op": op, **more}))
    return found


def _of_numbers(leads: Sequence[int], known: Sequence[Field]) -> Counted:
    """A number is in its lowest or its highest quarter."""
    numbers = [f for f in known if f.type == "number"]
    if not numbers:
        return []
    parts = SQL(", ").join(
        SQL("percentile_disc(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY ({})::numeric), count({})").format(
            fields.typed_value(f, present=True), fields.typed_value(f, present=True)
        )
        for f in numbers
    )
    rows = _fetch(
        SQL(
            "SELECT {parts} FROM leads_lead l LEFT JOIN leads_company c ON c.id = l.company_id"
            " WHERE l.id = ANY({ids})"
        ).format(parts=parts, ids=_bounds(leads)["ids"])
    )
    found: Counted = []
    for i, field in enumerate(numbers):
        quarters, count = rows[0][2 * i], rows[0][2 * i + 1]
        if quarters is None or count < 4 * LEADS or quarters[0] == quarters[1]:
            continue
        low, high = (int(q) if q == q.to_integral_value() else float(q) for q in quarters)
        found.append((count // 4, {"fact": field.key, "op": "lte", "value": low}))
        found.append((count // 4, {"fact": field.key, "op": "gte", "value": high}))
    return found


def _of_titles(leads: Sequence[int]) -> Counted:
    """The job title has a word."""
    rows = _fetch(
        SQL(
            "SELECT x.word, count(DISTINCT l.id) FROM leads_lead l"
            " CROSS JOIN LATERAL regexp_split_to_table(trim(l.title_words), ' +') AS x(word)"
            " WHERE l.id = ANY({ids}) AND x.word <> '' GROUP BY 1"
            " HAVING count(DISTINCT l.id) BETWEEN {low} AND {high}"
        ).format(**_bounds(leads))
    )
    return [
        (count, {"fact": "title", "op": "has_word", "value": [word]})
        for word, count in rows
        if word not in _WORDS
    ]


def _of_acts(leads: Sequence[int]) -> Counted:
    """Something was done in the last month; a page under one folder was looked at."""
    kinds = ActivityKind.objects.filter(contact=False).values_list("key", flat=True)
    rows = _fetch(
        SQL(
            "SELECT k.key,"
            " CASE WHEN k.key = 'page_view' THEN '/' || split_part(a.path, '/', 2) ELSE '' END AS page,"
            " count(DISTINCT a.lead_id) FROM leads_activity a JOIN leads_activitykind k ON k.id = a.kind_id"
            " WHERE a.lead_id = ANY({ids}) AND k.key = ANY({kinds}) GROUP BY 1, 2"
            " HAVING count(DISTINCT a.lead_id) >= {low}"
        ).format(kinds=SQL("{}::text[]").format(Literal(list(kinds))), **_bounds(leads))
    )
    found: Counted = []
    for kind, page, count in rows:
        where = [{"property": "path", "op": "starts_with", "value": page}] if len(page) > 1 else []
        did = {"kinds": [kind], "where": where, "days": DAYS}
        found.append((count, {"did": did, "agg": "count", "op": "gte", "value": 1}))
        if kind == "page_view" and not where:
            found.append((count, {"did": {**did, "where": []}, "agg": "days", "op": "gte", "value": 3}))
    return found


def _bounds(leads: Sequence[int]) -> dict[str, Composable]:
    return {
        "ids": SQL("{}::bigint[]").format(Literal(list(leads))),
        "low": Literal(LEADS),
        "high": Literal(max(LEADS, len(set(leads)) - LEADS)),
    }


def _fetch(text: Composable) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(render(text).replace("%", "%%"))
        return list(cursor.fetchall())
