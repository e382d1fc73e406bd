"""A connection to the database that stayed open between two requests."""

import pytest
from django.db import connection, connections

pytestmark = pytest.mark.django_db


def _server_process(asked):
    with asked.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def test_a_connection_that_the_server_ended_is_replaced_before_it_is_used():
    other = connections.create_connection("default")
    try:
        first = _server_process(other)
        other.close_if_unusable_or_obsolete()
        assert _server_process(other) == first
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
        other.close_if_unusable_or_obsolete()
        assert _server_process(other) != first
    finally:
        other.close()
