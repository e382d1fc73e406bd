"""Two row sources for one list of columns, and prepared statements.

`subjects`: any leads, each at its own instant (key, lead, at, known_at), read through LATERAL.
`whole`: all leads of a range of ids at one instant, activities aggregated once.
A statement is a chain of fenced levels over the base rows; flattened it would cost several times as much.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from typing import Literal as Choice

from django.db import connection
from psycopg2.sql import SQL, Composable, Identifier, Literal

from scoring.conditions import fields
from scoring.conditions.compile import Columns

Source = Choice["subjects", "whole"]

# The parameters that every statement begins with.
TYPES: dict[Source, tuple[str, ...]] = {
    "subjects": ("bigint[]", "bigint[]", "timestamptz[]", "timestamptz[]"),
    "whole": ("bigint", "bigint", "timestamptz", "timestamptz"),
}
# Per connection: more prepared statements than this and the oldest goes.
KEPT = 60

_ACTIVITY = SQL(
    "a.id, a.kind_id, a.occurred_at, a.recorded_at, a.path, a.campaign_id, a.content_id, a.message_key,"
    " a.channel, a.result, a.properties, a.lead_id, a.first_lead_id"
)
_LATER = SQL(
    "jsonb_object_agg(x.field, jsonb_build_object('o', x.old, 'k', x.old_key, 'w', x.old_words)) AS j"
)


@dataclass(frozen=True)
class Statement:
    """A finished statement: its text and the types of its parameters."""

    text: str
    types: tuple[str, ...]

    @property
    def name(self) -> str:
        return "lf_" + hashlib.md5(self.text.encode(), usedforsecurity=False).hexdigest()[:24]


def build(
    columns: Columns,
    levels: Sequence[tuple[str, Sequence[Composable]]],
    final: Sequence[Composable],
    *,
    source: Source,
    zone: str,
    since: bool = False,
    given: bool = False,
    joins: Composable | None = None,
    where: Composable | None = None,
) -> Statement:
    """Base rows, then each level `SELECT b.*, …`, then the final select, all with the alias `b`.

    OFFSET 0 is the fence: unlike MATERIALIZED it lets the rows flow, and only the columns that are used.
    """
    text = SQL("WITH {subjects} SELECT {final} FROM ({rows} OFFSET 0) b {joins}{where}").format(
        subjects=_subjects(since, given) if source == "subjects" else _instant(),
        final=SQL(", ").join(final),
        rows=levelled(base(columns, source, zone), levels),
        joins=joins or SQL(""),
        where=SQL(" WHERE {}").format(where) if where is not None else SQL(""),
    )
    types = [*TYPES[source]]
    types += ["timestamptz[]"] * since + ["jsonb[]"] * given
    return Statement(render(text), tuple(types))


def levelled(rows: Composable, levels: Sequence[tuple[str, Sequence[Composable]]]) -> Composable:
    """Each level over the rows of the one before."""
    for _, select in levels:
        rows = SQL("SELECT {} FROM ({} OFFSET 0) b").format(SQL(", ").join([SQL("b.*"), *select]), rows)
    return rows


def instants(source: Source) -> Composable:
    """The first of a statement's named parts: whom it asks about, and when."""
    return _subjects(since=False, given=False) if source == "subjects" else _instant()


def render(text: Composable) -> str:
    """The text with its literals quoted by the driver."""
    connection.ensure_connection()
    return str(text.as_string(connection.connection))


def activity_rows(present: bool, *, of_range: bool = False, kinds: Iterable[int] | None = None) -> Composable:
    """The activities (of these kinds) that count for a lead at the instant (alias `a`).

    What moved since to another lead, by a joined visitor or a merge, counts for the one whose it was then; in
    the present nothing is yet to be moved. Needs `s` and, but for a range, `l`.
    """
    owner = SQL("a.lead_id BETWEEN $1 AND $2" if of_range else "a.lead_id = l.id")
    seen: Composable = SQL("a.occurred_at <= s.at AND a.recorded_at <= s.known_at")
    if kinds is not None:
        seen = SQL("{} AND a.kind_id = ANY({}::smallint[])").format(seen, Literal(sorted(kinds)))
    own = SQL("SELECT {}, a.lead_id AS owner FROM leads_activity a{} WHERE {} AND {}")
    cross = SQL(", s" if of_range else "")
    if present:
        return own.format(_ACTIVITY, cross, owner, seen)
    settled = SQL("{} AND (a.moved_at IS NULL OR a.moved_at <= s.known_at)").format(owner)
    return SQL("{} UNION ALL {}").format(
        own.format(_ACTIVITY, cross, settled, seen),
        _moved_in_range(seen) if of_range else _moved_of_one(seen),
    )


# A merge that held as known at the instant, and the joins of a visitor until then.
_MERGED = SQL("m.at <= s.known_at AND (m.undone_at IS NULL OR m.undone_at > s.known_at)")
_JOINED = SQL("j.at <= s.known_at")


def _moved_of_one(seen: Composable) -> Composable:
    """What was lead `l`'s and is another's now: recorded as its own, or as that of a lead merged into it
    then, or done by a visitor whom one of these had been joined with."""
    moved = SQL("SELECT a.* FROM leads_activity a {} AND a.moved_at > s.known_at AND {}")
    joined = SQL(
        "JOIN leads_visitorjoin j ON j.visitor_id = a.visitor_id AND j.lead_id = o.id AND {}"
        " AND NOT EXISTS (SELECT FROM leads_visitorjoin k WHERE k.visitor_id = j.visitor_id"
        " AND k.at <= s.known_at AND (k.at, k.id) > (j.at, j.id)) WHERE a.first_lead_id IS NULL"
    ).format(_JOINED)
    return SQL(
        "SELECT {columns}, l.id AS owner FROM (WITH RECURSIVE o(id) AS (SELECT l.id WHERE NOT EXISTS"
        " (SELECT FROM leads_leadmerge m WHERE m.from_lead_id = l.id AND {merged})"
        " UNION SELECT m.from_lead_id FROM o JOIN leads_leadmerge m ON m.into_id = o.id AND {merged}"
        ") SELECT id FROM o) o CROSS JOIN LATERAL ({first} UNION ALL {joined}) a"
    ).format(
        columns=_ACTIVITY,
        merged=_MERGED,
        first=moved.format(SQL("WHERE a.first_lead_id = o.id"), seen),
        joined=moved.format(joined, seen),
    )


def _moved_in_range(seen: Composable) -> Composable:
    """The same for a range of leads, from the side of what moved since."""
    return SQL(
        "SELECT {columns}, w.owner FROM s CROSS JOIN leads_activity a CROSS JOIN LATERAL ("
        "WITH RECURSIVE h(id) AS (SELECT COALESCE(a.first_lead_id, (SELECT j.lead_id FROM leads_visitorjoin j"
        " WHERE j.visitor_id = a.visitor_id AND {joined} ORDER BY j.at DESC, j.id DESC LIMIT 1))"
        " UNION SELECT m.into_id FROM h JOIN leads_leadmerge m ON m.from_lead_id = h.id AND {merged}"
        ") SELECT h.id AS owner FROM h WHERE NOT EXISTS ("
        "SELECT FROM leads_leadmerge m WHERE m.from_lead_id = h.id AND {merged})) w"
        " WHERE a.moved_at > s.known_at AND {seen} AND w.owner BETWEEN $1 AND $2"
    ).format(columns=_ACTIVITY, joined=_JOINED, merged=_MERGED, seen=seen)


def _subjects(since: bool, given: bool) -> Composable:
    names = ["key", "lead", "at", "known_at"] + ["since"] * since + ["given"] * given
    slots = ", ".join(f"${i}" for i in range(1, len(names) + 1))
    return SQL("s AS MATERIALIZED (SELECT * FROM unnest({}) AS s({}))").format(
        SQL(slots), SQL(", ").join(map(Identifier, names))
    )


def _instant() -> Composable:
    return SQL("s AS (SELECT $3::timestamptz AS at, $4::timestamptz AS known_at)")


def base(columns: Columns, source: Source, zone: str) -> Composable:
    """The rows that all levels stand on, for a statement that begins with `instants`."""
    key = SQL("s.key" if source == "subjects" else "l.id")
    names = [key + SQL(" AS key"), SQL("l.id AS lead"), SQL("s.at, s.known_at, c.id AS company")]
    names += columns.facts.select()
    for alias, group in (("u", columns.plain), ("t", columns.totals), ("q", columns.distinct)):
        names += [SQL("{}.{}").format(SQL(alias), Identifier(name)) for name in group.names()]
    return SQL("SELECT {} FROM {}").format(
        SQL(", ").join(names),
        _of_subjects(columns, zone) if source == "subjects" else _of_range(columns, zone),
    )


def _of_subjects(columns: Columns, zone: str) -> Composable:
    parts: list[Composable] = [
        SQL("s JOIN leads_lead l ON l.id = s.lead AND l.created_at <= {}").format(fields.INSTANT)
    ]
    if not columns.present:
        parts.append(_later_of_one("lead_id", SQL("l.id"), "lc"))
    parts.append(SQL("LEFT JOIN leads_company c ON c.id = {}").format(fields.company_id(columns.present)))
    if not columns.present:
        parts.append(_later_of_one("company_id", SQL("c.id"), "cc"))
    for alias, aggregate in _aggregates(columns, zone, of_range=False):
        parts.append(SQL("CROSS JOIN LATERAL ({}) {}").format(aggregate, SQL(alias)))
    return SQL(" ").join(parts)


def _of_range(columns: Columns, zone: str) -> Composable:
    parts: list[Composable] = [
        SQL("s JOIN leads_lead l ON l.id BETWEEN $1 AND $2 AND l.created_at <= {}").format(fields.INSTANT)
    ]
    if not columns.present:
        parts.append(_later_of_many())
    parts.append(SQL("LEFT JOIN leads_company c ON c.id = {}").format(fields.company_id(columns.present)))
    if not columns.present:
        parts.append(_later_of_one("company_id", SQL("c.id"), "cc"))
    for alias, aggregate in _aggregates(columns, zone, of_range=True):
        parts.append(SQL("LEFT JOIN ({}) {} ON {}.owner = l.id").format(aggregate, SQL(alias), SQL(alias)))
    return SQL(" ").join(parts)


def _aggregates(columns: Columns, zone: str, *, of_range: bool) -> list[tuple[str, Composable]]:
    """What is read of the activities, by alias; over a range per owner."""
    owner, source = (SQL("a.owner, "), SQL("s, ")) if of_range else (SQL(""), SQL(""))
    by_owner = SQL(" GROUP BY a.owner" if of_range else "")

    def rows(kinds: Iterable[int]) -> Composable:
        # One lead has few activities, found by one look; a range has many of no interest.
        return activity_rows(columns.present, of_range=of_range, kinds=kinds if of_range else None)

    found: list[tuple[str, Composable]] = []
    for alias, group, kinds in (
        ("u", columns.plain, columns.kinds | columns.message_kinds),
        ("q", columns.distinct, columns.message_kinds),
    ):
        if group.found:
            text = SQL("SELECT {}{} FROM {}({}) a{}").format(
                owner, _list(group.select()), source, rows(kinds), by_owner
            )
            found.append((alias, text))
    if columns.totals.found:
        days = SQL("SELECT {}{} FROM {}({}) a GROUP BY {}{}").format(
            owner, _list(columns.daily.select()), source, rows(columns.day_kinds), owner, _day(zone)
        )
        of_days = SQL(
            "SELECT d.owner, {} FROM ({}) d GROUP BY d.owner" if of_range else "SELECT {} FROM ({}) d"
        )
        found.append(("t", of_days.format(_list(columns.totals.select()), days)))
    return found


def _later_of_one(column: str, owner: Composable, alias: str) -> Composable:
    return SQL(
        "LEFT JOIN LATERAL (SELECT {later} FROM (SELECT DISTINCT ON (x.field)"
        " x.field, x.old, x.old_key, x.old_words FROM leads_factchange x"
        " WHERE x.{column} = {owner} AND x.recorded_at > {instant}"
        " ORDER BY x.field, x.recorded_at, x.id) x) {alias} ON TRUE"
    ).format(later=_LATER, column=Identifier(column), owner=owner, instant=fields.INSTANT, alias=SQL(alias))


def _later_of_many() -> Composable:
    return SQL(
        "LEFT JOIN (SELECT x.lead_id, {later} FROM (SELECT DISTINCT ON (x.lead_id, x.field)"
        " x.lead_id, x.field, x.old, x.old_key, x.old_words FROM leads_factchange x, s"
        " WHERE x.lead_id BETWEEN $1 AND $2"
        " AND x.recorded_at > {instant} ORDER BY x.lead_id, x.field, x.recorded_at, x.id) x"
        " GROUP BY x.lead_id) lc"
        " ON lc.lead_id = l.id"
    ).format(later=_LATER, instant=fields.INSTANT)


def _day(zone: str) -> Composable:
    return SQL("(a.occurred_at AT TIME ZONE {})::date").format(Literal(zone))


def _list(select: Sequence[Composable]) -> Composable:
    return SQL(", ").join(select)


def run(statement: Statement, args: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Execute through a prepared statement of this connection: planning costs more than a small pass."""
    with connection.cursor() as cursor:
        _prepare(cursor, statement)
        slots = ", ".join(f"%s::{kind}" for kind in statement.types[: len(args)])
        cursor.execute(f"{_modes(statement)} EXECUTE {statement.name}({slots})", list(args))
        found = list(cursor.fetchall())
        if statement.types[0] == "bigint":
            # Else the checks of keys are planned again for each row that the transaction writes.
            cursor.execute("SET LOCAL plan_cache_mode = auto")
        return found


def _modes(statement: Statement) -> str:
    """Compiling such statements to machine code costs seconds and gains nothing; planning one again for
    each pass costs ten times the pass, but a range must be planned for its size. SET LOCAL, for a plain SET
    goes with a transaction that fails."""
    if statement.types[0].endswith("[]"):
        return "SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan;"
    # Some thousand leads with their acts fit, and need not go through files.
    return "SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL work_mem = '32MB';"


def _prepare(cursor: Any, statement: Statement) -> None:
    raw = connection.connection
    known = getattr(connection, "leadflow_prepared", None)
    if known is None or known[0] is not raw:
        known = (raw, {})
        connection.leadflow_prepared = known  # type: ignore[attr-defined]
    names: dict[str, None] = known[1]
    if statement.name in names:
        return
    if len(names) >= KEPT:
        oldest = next(iter(names))
        cursor.execute(f"DEALLOCATE {oldest}")
        del names[oldest]
    cursor.execute(f"PREPARE {statement.name}({', '.join(statement.types)}) AS {statement.text}")
    names[statement.name] = None
