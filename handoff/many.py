"""Many new rows in one statement, as one JSON document: ten times cheaper than a parameter per column."""

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

from django.db import connection
from django.db.models import Model

from leadflow.leads import bulk

Row = TypeVar("Row", bound=Model)


def insert(rows: Sequence[Row], *, conflict: str = "") -> Sequence[Row]:
    """Write new rows and give them their ids (before the write, so that others can point at them).

    `conflict`: the column whose unique value may be there already; such rows are skipped.
    """
    if not rows:
        return rows
    model = type(rows[0])
    table = model._meta.db_table
    types = _types(model)
    names = _attributes(model)
    with connection.cursor() as cursor:
        for row, pk in zip(rows, bulk.new_ids(cursor, table, len(rows)), strict=True):
            row.pk = pk
        data = [{column: getattr(row, name) for column, name in names.items()} for row in rows]
        end = f"ON CONFLICT ({conflict}) DO NOTHING" if conflict else ""
        bulk.insert(cursor, table, types, data, end)
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias
    return rows


@cache
def _types(model: type[Model]) -> dict[str, str]:
    return {str(f.column): str(f.db_type(connection)) for f in model._meta.concrete_fields}


@cache
def _attributes(model: type[Model]) -> dict[str, str]:
    return {str(f.column): f.attname for f in model._meta.concrete_fields}
