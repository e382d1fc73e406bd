"""Tests that commit leave an empty house in a blink.

Django truncates every table and writes all permissions and kinds anew: half a second for a hundred tests and
more. Here only what has rows is emptied, and what the house is born with stays.
"""

from typing import Any

from django.db import connection
from django.test import TransactionTestCase
from psycopg2.sql import SQL, Identifier

# Written by the migrations, after them and before the first test; no test changes these.
BORN_WITH = (
    *("django_migrations", "django_content_type", "auth_permission"),
    *("scoring_listsnapshot", "scoring_listentry"),
)


def pytest_configure() -> None:
    """Take the place of Django's own way."""
    TransactionTestCase._fixture_teardown = lambda case: empty()  # type: ignore[method-assign]


def empty() -> None:
    """Delete every row and give the kinds back that the house is born with, all or nothing."""
    from django.apps import apps

    from leadflow.leads.catalogue import ensure_kinds

    tables = sorted(set(connection.introspection.django_table_names(only_existing=True)) - {*BORN_WITH})
    with connection.cursor() as cursor:
        look = SQL(" UNION ALL ").join(
            SQL("(SELECT {name} FROM {table} LIMIT 1)").format(name=SQL("%s::text"), table=Identifier(table))
            for table in tables
        )
        cursor.execute(look, tables)
        filled = [row[0] for row in cursor.fetchall()]
        if filled:
            _delete(cursor, filled)
    ensure_kinds(sender=apps.get_app_config("leads"))


def _delete(cursor: Any, tables: list[str]) -> None:
    cursor.execute("BEGIN")
    # Foreign keys are checked at the end, so the order does not matter; who may leaves out the checks.
    cursor.execute(
        "SELECT set_config('session_replication_role', 'replica', true)"
        " FROM pg_roles WHERE rolname = current_user AND rolsuper"
    )
    for table in tables:
        cursor.execute(SQL("DELETE FROM {}").format(Identifier(table)))
    cursor.execute("COMMIT")
