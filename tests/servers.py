"""A PostgreSQL and a broker of the test run's own, so that it passes beside a running `make run`.

Who sets DATABASE_URL or REDIS_URL brings his own.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from leadflow import embedded


def ensure() -> None:
    """Start what the environment does not name, once per test run; its workers inherit the addresses."""
    os.environ.setdefault("SECRET_KEY", "a-key-for-the-tests-only-of-fifty-characters-or-more")
    own_database, own_broker = not os.environ.get("DATABASE_URL"), not os.environ.get("REDIS_URL")
    if not (own_database or own_broker):
        return
    data = Path(tempfile.mkdtemp(prefix="leadflow-test-"))
    servers = embedded.Servers(data, durable=False).start(database=own_database, broker=own_broker)
    if own_database:
        os.environ["DATABASE_URL"] = embedded.database_url(data)
    if own_broker:
        os.environ["REDIS_URL"] = embedded.redis_url(data)
    os.environ["LEADFLOW_DATA"] = str(data)
    owner = os.getpid()

    def leave() -> None:
        if os.getpid() == owner:
            servers.stop()
            shutil.rmtree(data, ignore_errors=True)

    atexit.register(leave)


def address_of(database: str) -> str:
    """The address of one database of the test run, for a process of its own."""
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}"))
