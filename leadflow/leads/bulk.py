"""Many rows in one statement: a list of rows as a typed table inside SQL."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def recordset(types: Mapping[str, str], rows: Iterable[Row]) -> tuple[str, str]:
    """The text `json_to_recordset(%s) AS r(…)` and its one parameter.

    `types` names the columns and their PostgreSQL types in order; missing values are NULL.
    """
    columns = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    data = [{name: row.get(name) for name in types} for row in rows]
    return f"json_to_recordset(%s) AS r({columns})", json.dumps(data, default=str)


def insert(
    cursor: Any, table: str, types: Mapping[str, str], rows: Sequence[Row], end: str = "", order: str = ""
) -> int:
    """INSERT the rows into `table`; `end` is what follows (ON CONFLICT …, RETURNING …). Returns the count.

    What all rows have in common is written once beside the rows, not in each of them.
    """
    if not rows:
        return 0
    first = rows[0]
    common = {name for name in types if all(row.get(name) == first.get(name) for row in rows)}
    own = {name: kind for name, kind in types.items() if name not in common}
    source, data = recordset(own, rows) if own else ("generate_series(1, %s)", len(rows))
    values = ", ".join(
        f'%s::{kind} AS "{name}"' if name in common else f'r."{name}"' for name, kind in types.items()
    )
    names = ", ".join(f'"{name}"' for name in types)
    params = [_bound(first.get(name), kind) for name, kind in types.items() if name in common]
    ordered = f" ORDER BY {order}" if order and own else ""
    # Names come from this package only, values are bound.
    cursor.execute(
        f"INSERT INTO {table} ({names}) SELECT {values} FROM {source}{ordered} {end}",  # noqa: S608
        [*params, data],
    )
    return int(cursor.rowcount)


def _bound(value: Any, kind: str) -> Any:
    return json.dumps(value, default=str) if kind == "jsonb" and value is not None else value


def update(cursor: Any, table: str, types: Mapping[str, str], rows: Sequence[Row]) -> int:
    """UPDATE the rows of `table` by `id`, all columns of `types`. Returns the count."""
    if not rows:
        return 0
    sets = ", ".join(f'"{name}" = r."{name}"' for name in types if name != "id")
    source, data = recordset(types, rows)
    cursor.execute(f"UPDATE {table} t SET {sets} FROM {source} WHERE t.id = r.id", [data])  # noqa: S608
    return int(cursor.rowcount)


def new_ids(cursor: Any, table: str, n: int) -> list[int]:
    """`n` fresh ids of a table, so that rows that point at each other can be written set by set."""
    if not n:
        return []
    cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [table, n])
    return [row[0] for row in cursor.fetchall()]
