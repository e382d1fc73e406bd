"""Rules that look into the future, and columns that only seem to foresee.

Two questions. Of a rule: does it match decided leads only by what was recorded after the decision? Of a
fact: does one value of it nearly decide the end, or was it marked when it was imported as written after
contact? The first needs dates, the second none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg2.sql import SQL, Composable, Literal

from leadflow.leads.models import ActivityKind, CustomField
from scoring.backtesting.measures import Share, difference, wilson
from scoring.conditions import fields
from scoring.conditions import nodes as n
from scoring.conditions.fields import Field
from scoring.conditions.parse import parse, parse_measure
from scoring.document import Criterion, Document
from scoring.program import Program
from scoring.rows import render

# A value nearly decides when at least so many decided leads have it, …
LEADS = 30
# … all but a twentieth (or but a fiftieth) of them ended one way, …
NEARLY_ALL, NEARLY_NONE = 0.95, 0.02
# … and Wilson's interval keeps half the way from the share of all to certainty.
# A rule peeks when it matches at least so many leads only in hindsight, and good and bad ends differ in it.
PEEKED = 10
# Ends themselves, who somebody is, and the first touch: no value of these can be news from after the contact.
NOT_ASKED = frozenset(
    {
        "is_customer",
        "name",
        "email",
        "email_domain",
        "phone",
        "company_name",
        "company_domain",
        "first_source",
        "first_campaign",
    }
)
# Values of one fact that are named.
NAMED = 3


@dataclass(frozen=True)
class Leak:
    """A fact that gives the end away: marked so, or by values of which nearly all ended one way."""

    key: str
    label: str
    marked: bool
    values: tuple[tuple[str, Share], ...]
    used_by: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "label": self.label,
            "marked": self.marked,
            "values": [{"value": value, **share.as_json()} for value, share in self.values],
            "used_by": list(self.used_by),
        }


@dataclass(frozen=True)
class Peek:
    """A rule that knows what was not known yet: how many of each end it matches only in hindsight.

    `n`: its number among the rules switched on, `then`: how many it matched by what was known.
    `why`: "recorded" (the figures say so), "sales" (it counts what our people did), "marked" (its field is).
    """

    n: int
    criterion: str
    text: str
    why: str
    good: Share
    bad: Share
    then: int

    def as_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "criterion": self.criterion,
            "text": self.text,
            "why": self.why,
            "good": self.good.as_json(),
            "bad": self.bad.as_json(),
            "then": self.then,
        }


def nearly_decides(value: Share, everybody: Share) -> bool:
    """Whether having this value nearly settles the end (see LEADS, NEARLY_ALL, NEARLY_NONE)."""
    if value.of < LEADS or not everybody.of:
        return False
    usual, found = everybody.good / everybody.of, value.good / value.of
    low, high = wilson(value.good, value.of)
    return (found >= NEARLY_ALL and low >= (1 + usual) / 2) or (found <= NEARLY_NONE and high <= usual / 2)


def facts_used(criterion: Criterion) -> set[str]:
    """The keys of the facts that a criterion reads."""
    if criterion.mode == "bands":
        measure = parse_measure(criterion.of)
        return {measure.key} if isinstance(measure, n.FactIs) else set()
    return {x.key for x in n.leaves(parse(criterion.condition or {})) if isinstance(x, n.FactIs | n.Changed)}


def kinds_used(criterion: Criterion) -> set[str]:
    """The keys of the kinds of activities that a criterion counts."""
    if criterion.mode == "bands":
        measure = parse_measure(criterion.of)
        return set(measure.did.kinds) if isinstance(measure, n.Behaviour) else set()
    found: set[str] = set()
    for leaf in n.leaves(parse(criterion.condition or {})):
        if isinstance(leaf, n.Behaviour):
            found |= set(leaf.did.kinds)
        elif isinstance(leaf, n.Ratio):
            found |= {leaf.of}
    return found


def leaks(program: Program) -> list[Leak]:
    """The facts that give the end away, as they stand today, over every lead that was won or lost.

    Undated ends count here: whether a column was written afterwards shows in the column. Three queries.
    """
    marked = {f"fact.{key}": label for key, label in _marked().items()}
    known = fields.catalogue_today(program.document)
    asked = [f for f in known.values() if f.key not in NOT_ASKED and f.type in ("text", "choice", "boolean")]
    everybody, found = _shares(asked, [f for f in known.values() if f.custom])
    users = _users(program.document)
    rows = []
    for key, field in known.items():
        values = sorted(
            (v for v in found.get(key, ()) if nearly_decides(v[1], everybody)), key=lambda v: -v[1].of
        )
        is_marked = f"fact.{key}" in marked
        if is_marked or values:
            rows.append(Leak(key, field.label, is_marked, tuple(values[:NAMED]), tuple(users.get(key, ()))))
    return sorted(rows, key=lambda leak: (not leak.used_by, not leak.marked, leak.label))


def peeks(document: Document, held: Sequence[tuple[bool, Iterable[int], Iterable[int]]]) -> list[Peek]:
    """The rules that look into the future.

    `held`: per case whether its end was good, the numbers of the criteria that matched by what was known
    then, and of those that match only in hindsight.
    """
    criteria = document.active_criteria
    good = sum(1 for case in held if case[0])
    bad = len(held) - good
    later = [[0, 0] for _ in criteria]
    then = [0] * len(criteria)
    for is_good, hits, afterwards in held:
        for i in hits:
            then[i] += 1
        for i in afterwards:
            later[i][not is_good] += 1
    outbound = set(ActivityKind.objects.filter(contact=True).values_list("key", flat=True))
    marked = _marked()
    found = []
    for i, criterion in enumerate(criteria):
        of_good, of_bad = Share(later[i][0], good), Share(later[i][1], bad)
        why = _why(criterion, of_good, of_bad, marked, outbound)
        if why:
            found.append(Peek(i, criterion.id, criterion.text, why, of_good, of_bad, then[i]))
    return found


def _why(criterion: Criterion, good: Share, bad: Share, marked: dict[str, str], outbound: set[str]) -> str:
    if facts_used(criterion) & marked.keys():
        return "marked"
    if kinds_used(criterion) & outbound:
        return "sales"
    if good.good + bad.good < PEEKED:
        return ""
    _, low, high = difference(good, bad)
    return "recorded" if low > 0 or high < 0 else ""


def _marked() -> dict[str, str]:
    rows = CustomField.objects.filter(after_contact=True).values_list("key", "label")
    return {f"custom.{key}": label for key, label in rows}


def _users(document: Document) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for criterion in document.active_criteria:
        for key in facts_used(criterion):
            users.setdefault(key, []).append(criterion.text or criterion.id)
    return users


def _shares(
    asked: Sequence[Field], custom: Sequence[Field]
) -> tuple[Share, dict[str, list[tuple[str, Share]]]]:
    """The share won of all that ended, and per fact of each value that LEADS or more of them have.

    Of own fields also "known" and "unknown": a field that is only filled in after the sale says so by that.
    """
    # Columns first, so that each lead is read once whatever the number of facts.
    columns: list[Composable] = []
    names: list[tuple[str, str]] = []
    for field in asked:
        shown = fields.shown_value(field, present=True)
        columns.append(SQL("NULLIF({}, '')").format(shown) if field.is_text else shown)
        names.append((field.key, ""))
    for field in custom:
        known = fields.is_known(field, present=True)
        columns.append(SQL("CASE WHEN {} THEN 'known' ELSE 'unknown' END").format(known))
        names.append((field.key, "?"))
    listed = SQL(", ").join(SQL("({}, ({})::text)").format(Literal(i), c) for i, c in enumerate(columns))
    text = SQL(
        "WITH ended AS (SELECT lead_id, bool_or(kind = 'won') AS good FROM leads_outcome"
        " WHERE voided_at IS NULL AND replaced_by_id IS NULL AND kind IN ('won', 'lost') GROUP BY lead_id),"
        " base AS MATERIALIZED (SELECT e.good, v.i, v.value FROM ended e"
        " JOIN leads_lead l ON l.id = e.lead_id AND l.merged_into_id IS NULL AND l.erased_at IS NULL"
        " LEFT JOIN leads_company c ON c.id = l.company_id"
        " CROSS JOIN LATERAL (VALUES (-1, 'all'), {listed}) AS v(i, value))"
        " SELECT i, value, count(*) FILTER (WHERE good), count(*) FROM base WHERE value IS NOT NULL"
        " GROUP BY i, value HAVING count(*) >= {least} OR i = -1"
    ).format(listed=listed, least=Literal(LEADS))
    everybody = Share(0, 0)
    found: dict[str, list[tuple[str, Share]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(render(text).replace("%", "%%"))
        for i, value, good, of in cursor.fetchall():
            if i < 0:
                everybody = Share(good, of)
                continue
            key, kind = names[i]
            shown = f"({value})" if kind else str(value)
            found.setdefault(key, []).append((shown, Share(good, of)))
    return everybody, found
