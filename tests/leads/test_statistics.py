"""After a first big import the database looks at its tables at once, and only then."""

import pytest
from django.db import connection

from leadflow.accounts.actors import SYSTEM
from leadflow.jobs import runner
from leadflow.leads import statistics
from scoring import agreements, release

pytestmark = pytest.mark.django_db


def known(table: str) -> float:
    """How many rows the database thinks there are; below nothing: it never looked."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [table])
        return float(cursor.fetchone()[0])


@pytest.fixture
def unknown():
    """A table as a new database has it."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE leads_factchange")
    assert known("leads_factchange") == -1
    return "leads_factchange"


def test_a_table_that_was_never_looked_at_is_looked_at_once(unknown):
    assert unknown in statistics.refresh()
    assert known(unknown) == 0
    assert unknown not in statistics.refresh()


def test_a_release_begins_with_a_look_where_one_is_missing(unknown, agreement_in_force, make_lead):
    make_lead()
    release.start(agreements.get(agreement_in_force.pk), SYSTEM)
    while runner.work_one():
        pass
    assert known(unknown) == 0
