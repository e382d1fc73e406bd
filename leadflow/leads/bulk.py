"""Many rows in one statement: a list of rows as a typed table inside SQL."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

# Between the values of a text column, and in place of a missing one: clean text holds no such characters.
_BETWEEN, _MISSING = "\x1f", "\x1e"
# Made once: with a default of its own each `json.dumps` would make another.
_as_json = json.JSONEncoder(default=str).encode


def recordset(types: Mapping[str, str], rows: Iterable[Row]) -> tuple[str, str]:
    """The text `json_to_recordset(%s) AS r(…)` and its one parameter.

    `types` names the columns and their PostgreSQL types in order; missing values are NULL.
    """
    columns = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    data = [{name: row.get(name) for name in types} for row in rows]
    return f"json_to_recordset(%s) AS r({columns})", _as_json(data)


def numbers(ids: Iterable[int]) -> str:
    """Numbers as the text of an array, for `%s::bigint[]`: nothing for SQL's parser to walk through."""
    return f"{{{','.join(map(str, ids))}}}"


def table(types: Mapping[str, str], columns: Mapping[str, Sequence[Any]]) -> tuple[str, list[Any]]:
    """The text `unnest(…) AS r(…)` and its parameters: columns of values, all of one length, as a table.

    `types` names the columns and their PostgreSQL types in order. No column is walked through by SQL's parser
    and none is built of objects: each is one text, taken apart by the server.
    """
    parts, params = [], []
    for name, kind in types.items():
        text, value = _column(kind, columns[name])
        parts.append(text)
        params.append(value)
    names = ", ".join(f'"{name}"' for name in types)
    return f"unnest({', '.join(parts)}) AS r({names})", params


def _column(kind: str, values: Sequence[Any]) -> tuple[str, Any]:
    json_ = kind == "jsonb"
    if not json_ and not kind.startswith(("text", "varchar")):
        # Instants take long to write down, and many acts of a batch share a few.
        say = _Said().__getitem__ if kind == "timestamptz" and _few(values) else str
        plain = ["NULL" if v is None else say(v) for v in values] if None in values else map(say, values)
        return f"%s::{kind}[]", f"{{{','.join(plain)}}}"
    said: Sequence[Any] = [None if v is None else _as_json(v) for v in values] if json_ else values
    cast = "::jsonb[]" if json_ else ""
    # One text of nothing would be taken apart into no text at all.
    if len(said) > 1:
        missing = said.count(None)
        whole = _BETWEEN.join([_MISSING if v is None else v for v in said] if missing else said)
        if whole.count(_BETWEEN) == len(said) - 1 and whole.count(_MISSING) == missing:
            return f"string_to_array(%s, E'\\x1f', E'\\x1e'){cast}", whole
    return f"%s::text[]{cast}", said


class _Said(dict[Any, str]):
    """Values as text, each written down once."""

    def __missing__(self, value: Any) -> str:
        text = self[value] = str(value)
        return text


def _few(values: Sequence[Any], sample: int = 200) -> bool:
    """Whether values come again and again, as far as the first of them tell."""
    seen = values[:sample]
    return len(set(seen)) * 2 < len(seen)


def insert(
    cursor: Any, into: str, types: Mapping[str, str], rows: Sequence[Row], end: str = "", order: str = ""
) -> int:
    """INSERT the rows into `into`; `end` is what follows (ON CONFLICT …, RETURNING …). Returns the count."""
    columns = {name: [row.get(name) for row in rows] for name in types}
    return insert_columns(cursor, into, types, columns, end, order)


def insert_columns(
    cursor: Any,
    into: str,
    types: Mapping[str, str],
    columns: Mapping[str, Sequence[Any]],
    end: str = "",
    order: str = "",
) -> int:
    """INSERT what stands in columns, all of one length. Returns the count.

    What all rows have in common is written once beside the rows, not in each of them.
    """
    count = len(next(iter(columns.values())))
    if not count:
        return 0
    own = {n: kind for n, kind in types.items() if not _same(columns[n])}
    source, params = table(own, columns) if own else ("generate_series(1, %s)", [count])
    values = ", ".join(f'r."{n}"' if n in own else f'%s::{kind} AS "{n}"' for n, kind in types.items())
    common = [_bound(columns[n][0], kind) for n, kind in types.items() if n not in own]
    names = ", ".join(f'"{name}"' for name in types)
    ordered = f" ORDER BY {order}" if order and own else ""
    # Names come from this package only, values are bound.
    cursor.execute(
        f"INSERT INTO {into} ({names}) SELECT {values} FROM {source}{ordered} {end}",  # noqa: S608
        [*common, *params],
    )
    return int(cursor.rowcount)


def _same(values: Sequence[Any]) -> bool:
    # Where the ends differ nothing is counted.
    return bool(values[0] == values[-1]) and values.count(values[0]) == len(values)


def _bound(value: Any, kind: str) -> Any:
    return _as_json(value) if kind == "jsonb" and value is not None else value


def update(cursor: Any, into: str, types: Mapping[str, str], rows: Sequence[Row]) -> int:
    """UPDATE the rows of `into` by `id`, all columns of `types`. Returns the count."""
    if not rows:
        return 0
    sets = ", ".join(f'"{name}" = r."{name}"' for name in types if name != "id")
    source, params = table(types, {name: [row.get(name) for row in rows] for name in types})
    cursor.execute(
        f"UPDATE {into} t SET {sets} FROM {source} WHERE t.id = r.id AND t.id = ANY(%s::bigint[])",  # noqa: S608
        [*params, numbers(row["id"] for row in rows)],
    )
    return int(cursor.rowcount)


def new_ids(cursor: Any, table: str, n: int) -> list[int]:
    """`n` fresh ids of a table, so that rows that point at each other can be written set by set."""
    if not n:
        return []
    # The sequence is looked for once, not for each id.
    cursor.execute(
        "SELECT nextval(s.found) FROM generate_series(1, %s),"
        " (SELECT pg_get_serial_sequence(%s, 'id')::regclass AS found OFFSET 0) s",
        [n, table],
    )
    return [row[0] for row in cursor.fetchall()]
