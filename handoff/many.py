"""Many new rows in one statement, as one JSON document: ten times cheaper than a parameter per column."""

from collections.abc import Mapping, Sequence
from functools import cache
from json import dumps
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model

from leadflow.leads import bulk

Row = TypeVar("Row", bound=Model)


def insert(rows: Sequence[Row], *, conflict: str = "") -> Sequence[Row]:
    """Write new rows and give them their ids. `conflict`: as in `add`."""
    if not rows:
        return rows
    model = type(rows[0])
    for row, pk in zip(rows, ids(model, len(rows)), strict=True):
        row.pk = pk
    names = [(str(f.column), f.attname) for f in model._meta.concrete_fields]
    add(model, [{column: getattr(row, name) for column, name in names} for row in rows], conflict=conflict)
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias
    return rows


def ids(model: type[Model], n: int) -> list[int]:
    """`n` fresh ids of a model, so that others can point at rows before they are written."""
    with connection.cursor() as cursor:
        return bulk.new_ids(cursor, model._meta.db_table, n)


def add(
    model: type[Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    shared: Mapping[str, Mapping[str, Any]] | None = None,
    conflict: str = "",
) -> None:
    """Write new rows, each as its columns; what is left out has the model's default, and an `id` that is
    left out is made.

    `conflict`: the column whose unique value may be there already; such rows are skipped. `shared`: per JSON
    column what all of the rows have in common; it travels once and joins each row's own.
    """
    if not rows:
        return
    usual = _defaults(model, "id" in rows[0])
    columns = {name: [row.get(name, value) for row in rows] for name, value in usual.items()}
    with connection.cursor() as cursor:
        _write(cursor, model, columns, shared or {}, _unless(conflict))


@cache
def _defaults(model: type[Model], with_id: bool) -> dict[str, Any]:
    return {
        str(f.column): f.get_default() for f in model._meta.concrete_fields if with_id or not f.primary_key
    }


def _unless(conflict: str) -> str:
    return f"ON CONFLICT ({conflict}) DO NOTHING" if conflict else ""


def _write(
    cursor: Any,
    model: type[Model],
    columns: Mapping[str, Sequence[Any]],
    shared: Mapping[str, Mapping[str, Any]],
    end: str,
) -> None:
    types = {name: _types(model)[name] for name in columns}
    # What all rows have in common is written once beside them: most columns of a batch.
    same = {
        name: held[0]
        for name, held in columns.items()
        if name not in shared and all(value == held[0] for value in held)
    }
    own = [name for name in columns if name not in same]
    source: str = "generate_series(1, %s)"
    document: str | int = len(next(iter(columns.values())))
    if own:
        each = zip(*(columns[name] for name in own), strict=True)
        data = [dict(zip(own, values, strict=True)) for values in each]
        listed = ", ".join(f'"{name}" {types[name]}' for name in own)
        source, document = f"json_to_recordset(%s) AS r({listed})", dumps(data, default=str)
    values, params = [], []
    for name, kind in types.items():
        if name in same:
            values.append(f"%s::{kind}")
            params.append(_bound(same[name], kind))
        elif name in shared:
            values.append(f'%s::jsonb || r."{name}"')
            params.append(_bound(shared[name], kind))
        else:
            values.append(f'r."{name}"')
    names = ", ".join(f'"{name}"' for name in types)
    # Names come from the models only, values are bound.
    cursor.execute(
        f"INSERT INTO {model._meta.db_table} ({names}) SELECT {', '.join(values)} FROM {source} {end}",  # noqa: S608
        [*params, document],
    )


def _bound(value: Any, kind: str) -> Any:
    return dumps(value, default=str) if kind == "jsonb" and value is not None else value


@cache
def _types(model: type[Model]) -> dict[str, str]:
    return {str(f.column): str(f.db_type(connection)) for f in model._meta.concrete_fields}
