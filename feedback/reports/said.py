"""Sales' answers of a period under the filters of a page, from what is kept of them and what came since."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from django.db.models.expressions import RawSQL

from feedback.reports import journeys, summed
from feedback.reports.base import Filters
from feedback.reports.cube import Listed
from feedback.reports.lines import Given, gave, given
from feedback.reports.summed import Asked
from feedback.reports.told import COLUMNS, JUDGED, LIVE

# Periods up to so many days are looked at by week, longer ones by month.
BY_WEEK = 56
_PERIOD = "{row}.at >= %(low)s AND {row}.at < %(high)s AND {row}.at <= %(at)s"
# The array between makes it a look-up by hash, whatever number the plan expects.
_MOVED = "k.lead_id IN (SELECT unnest(ARRAY(SELECT id FROM moved)))"
ASKED = {
    **summed.ASKED,
    "rep": Asked("k.rep_id = %(rep)s", "%(rep)s::text"),
    "criterion": Asked(
        gave("criterion", "k"),
        "(SELECT place::text FROM feedback_lineplace WHERE criterion = %(criterion)s AND NOT took)",
    ),
}


@dataclass(frozen=True)
class Way:
    """A way of grouping answers: a column of theirs (`place`), and over the groups `g` their key and name."""

    column: str
    key: str
    name: str
    joined: str = ""


_DAY = "to_char(g.place, 'YYYY-MM-DD')"
WAYS = {
    "source": Way("first_source", "g.place", "coalesce(nullif(g.place, ''), 'No source')"),
    "campaign": Way(
        "first_campaign_id",
        "coalesce(c.code, '')",
        "coalesce(c.name, 'No campaign')",
        "LEFT JOIN leads_campaign c ON c.id = g.place",
    ),
    # Who only looks like a persona stands apart from it.
    "persona": Way("persona", "g.place", "coalesce(nullif(g.persona_name, ''), 'No persona')"),
    "rep": Way(
        "rep_id",
        "coalesce(g.place::text, '')",
        "coalesce(u.name, 'Nobody')",
        "LEFT JOIN accounts_user u ON u.id = g.place",
    ),
    "period": Way("date_trunc(%(unit)s, at AT TIME ZONE %(zone)s)", _DAY, _DAY),
}


def by_week(filters: Filters) -> bool:
    """Whether columns of time are weeks; else they are months."""
    return (filters.end - filters.start).days < BY_WEEK


def bound(filters: Filters) -> dict[str, Any]:
    """The values that the statements below bind."""
    return summed.values(filters, ASKED) | {
        "unit": "week" if by_week(filters) else "month",
        "reason": filters.reason,
    }


def told(filters: Filters, sums: summed.Sums | None = None) -> str:
    """`told`: the answers of the period, each with the weight `w` = 1.

    With sums by week, those in their weeks are left out, but for what is not as the sums have it: such
    answers once with -1 as they are kept, and once as they are.
    """
    moved, parts = _parts(filters, sums)
    return f"{moved}told AS ({' UNION ALL '.join(parts)})"


def _parts(filters: Filters, sums: summed.Sums | None = None) -> tuple[str, list[str]]:
    asked = summed.holds(filters, ASKED)
    row = f"SELECT 1 AS w, {COLUMNS} FROM"
    if journeys.kept(filters) is None:
        return "", [f"{row} ({LIVE.format(which=_PERIOD.format(row='a'))}) k WHERE {asked}"]
    period = _PERIOD.format(row="k")
    of_kept = sums.beside.format(at="k.at") if sums else period
    live = LIVE.format(which="a.lead_id IN (SELECT id FROM moved)")
    parts = [
        f"{row} feedback_answerkept k WHERE {of_kept} AND NOT {_MOVED} AND {asked}",
        f"{row} ({live}) k WHERE {period} AND {asked}",
    ]
    if sums:
        parts.append(
            f"SELECT -1, {COLUMNS} FROM feedback_answerkept k WHERE {sums.inside.format(at='k.at')}"  # noqa: S608
            f" AND k.lead_id = ANY(ARRAY(SELECT id FROM moved)) AND {asked}"
        )
    return f"moved AS MATERIALIZED ({journeys.MOVED}), ", parts


def _first(filters: Filters, order: str, size: int, where: str = "TRUE") -> str:
    """`told`, but only the first `size` answers for which `where` holds; an index finds them in each part."""
    moved, parts = _parts(filters)
    first = f"ORDER BY {order} LIMIT {size}"
    each = (f"(SELECT * FROM ({part}) p WHERE {where} {first})" for part in parts)  # noqa: S608 ours
    return f"{moved}told AS (SELECT * FROM ({' UNION ALL '.join(each)}) t {first})"  # noqa: S608 ours


_NEWEST = "at DESC, answer_id DESC"


def page(filters: Filters, where: str, start: int, size: int) -> RawSQL:
    """The ids of `size` answers for which `where` holds, from the place `start` on; the newest first."""
    filters = summed.known(filters)
    text = f"""WITH {_first(filters, _NEWEST, start + size, where)}
        SELECT answer_id FROM told ORDER BY {_NEWEST} OFFSET {start}"""  # noqa: S608 ours
    values = bound(filters)
    # What Django embeds is bound by place.
    names = _BOUND.findall(text)
    return RawSQL(_BOUND.sub("%s", text), [values[name] for name in names])  # noqa: S611 the pieces are ours


def seen(filters: Filters, where: str, most: int) -> int:
    """How many answers there are for which `where` holds, at most one more than `most`."""
    rows = f"SELECT 1 FROM told WHERE {where} LIMIT {most + 1}"  # noqa: S608 ours
    return int(ask(f"SELECT count(*) FROM ({rows}) r", filters)[0][0])  # noqa: S608


_BOUND = re.compile(r"%\((\w+)\)s")


def ask(statement: str, filters: Filters, **more: Any) -> list[tuple[Any, ...]]:
    """Rows of a statement over `told`, the answers of the period."""
    filters = summed.known(filters)
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {told(filters)} {statement}", bound(filters) | more)
        return list(cursor.fetchall())


# (of the period itself, kind, reason, key, name, answers, judged)
Row = tuple[bool, str, str, str, str, int, int]


def counts(filters: Filters, by: str, *, before: bool = False) -> list[Row]:
    """How many answers of each kind, reason and column; with `before` also those of the period before, as
    they stand now, in the same statement."""
    way, name = WAYS[by], "max(persona_name)" if by == "persona" else "NULL"
    statement = f"""
        SELECT g.now, g.kind, g.reason_key, {way.key}, {way.name}, g.n, g.judged FROM (
            SELECT at >= %(start)s AS now, kind, reason_key, {way.column} AS place, {name} AS persona_name,
                   count(*) AS n, count(*) FILTER (WHERE {JUDGED}) AS judged
            FROM told GROUP BY 1, 2, 3, 4) g {way.joined}"""  # noqa: S608 ours
    period = replace(filters, start=filters.before.start) if before else filters
    return ask(statement, period, start=filters.low, unit=bound(filters)["unit"])


def leads(filters: Filters, where: str, by: str, key: str, **more: Any) -> list[int]:
    """Leads with an answer `g` for which `where` holds; with `by` those in its column `key`."""
    return [row[0] for row in ask(_leads(where, by), filters, key=key, **more)]


def listed(filters: Filters, where: str, by: str, key: str, start: int, size: int, **more: Any) -> Listed:
    """A page of these leads, those with the highest numbers first, and how many there are."""
    statement = f""", found AS MATERIALIZED ({_leads(where, by)})
        SELECT (SELECT count(*) FROM found), ARRAY(
            SELECT lead_id FROM found ORDER BY lead_id DESC LIMIT %(size)s OFFSET %(start)s)"""  # noqa: S608
    ((total, ids),) = ask(statement, filters, key=key, start=start, size=size, **more)
    return ids, total


def _leads(where: str, by: str) -> str:
    found, column = "told g", "true"
    if by == "criterion":
        column = gave("key", "g")
    elif by:
        way = WAYS[by]
        found = f"(SELECT told.*, {way.column} AS place FROM told) g {way.joined}"  # noqa: S608 ours
        column = f"{way.key} = %(key)s"
    return f"SELECT DISTINCT g.lead_id FROM {found} WHERE {column} AND ({where})"  # noqa: S608 ours


KEYS = ("kind", "reason_key", "judged")
Points = dict[tuple[str, str, bool], Given]


def points(filters: Filters) -> Points:
    """What the rules gave to the answered leads, by kind, reason, and whether they were judged by it; one
    statement."""
    filters = summed.known(filters)
    sums = summed.sums(filters, "feedback_answerweek", KEYS, ASKED)
    ctes = f"""{told(filters, sums)},
        part AS (SELECT w, handoff_id, kind, reason_key, {JUDGED} AS judged FROM told)"""  # noqa: S608 ours
    values = bound(filters) | (dict(sums.bound) if sums else {})
    return given(ctes, "part", KEYS, values, sums.selects if sums else "")


# The rules in the latest handoffs, each with its words; in an explanation a rule has one line.
_SAMPLE = 40
_WORDS = """
    SELECT DISTINCT ON (1) piece ->> 'criterion', piece ->> 'text'
    FROM handoff_handoff h CROSS JOIN LATERAL jsonb_path_query(
        h.frozen, '$.explanation[*] ? (@.points.double() > 0)') piece
    WHERE h.id IN ({ids}) ORDER BY 1, h.id DESC"""


def words(filters: Filters, rules: Collection[str]) -> dict[str, str]:
    """What each rule was called in the latest handoff of the period to which it gave points.

    Nearly every rule stands in the latest few; for those that do not, all are asked.
    """
    if not rules:
        return {}
    filters = summed.known(filters)
    values = bound(filters)
    latest = f"WITH {_first(filters, 'handoff_id DESC', _SAMPLE)} SELECT handoff_id FROM told"  # noqa: S608 ours
    with connection.cursor() as cursor:
        cursor.execute(_WORDS.format(ids=latest), values)
        found = dict(cursor.fetchall())
        rare = {f"rule_{n}": rule for n, rule in enumerate(rule for rule in rules if rule not in found)}
        if rare:
            columns = [f"max(g.handoff_id) FILTER (WHERE {gave(name, 'g')}) AS {name}" for name in rare]
            each = f"SELECT {', '.join(columns)} FROM told g"  # noqa: S608 ours
            latest = f"WITH {told(filters)} SELECT unnest(ARRAY[{', '.join(rare)}]) FROM ({each}) m"  # noqa: S608
            cursor.execute(_WORDS.format(ids=latest), values | rare)
            found = dict(cursor.fetchall()) | found
    return {rule: found.get(rule) or rule for rule in rules}
