"""PostgreSQL's own programs from the wheel, pointed at the database of the settings."""

import os
from typing import Any

from django.db import connection
from psycopg2.extensions import make_dsn

from leadflow import embedded

NOT_LIBPQ = {
    "cursor_factory",
    "isolation_level",
    "server_side_binding",
    "pool",
    "assume_role",
    "connection_factory",
}


def command(program: str, *words: str) -> list[str]:
    """The command line of `program` with the address of the database; the password is never on it."""
    params = {name: value for name, value in _params().items() if name != "password"}
    return [embedded.binary(program), "--dbname", make_dsn(**params), *words]


def environment() -> dict[str, str]:
    """The environment for `command`."""
    password = _params().get("password")
    return os.environ | ({"PGPASSWORD": password} if password else {})


def _params() -> dict[str, Any]:
    return {
        name: value for name, value in connection.get_connection_params().items() if name not in NOT_LIBPQ
    }
