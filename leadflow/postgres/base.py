"""The database backend that the settings name."""

import select
from typing import Any

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Knows without asking whether the server hung up.

    A server that ended a connection has said so, or closed the line: on an idle line there is something to
    read then, and never else. Django asks `SELECT 1` instead, at the start of each request.
    """

    health_check_enabled: bool
    health_check_done: bool

    def close_if_health_check_failed(self) -> None:
        """Close an idle connection that the server has ended."""
        if self.connection is None or not self.health_check_enabled or self.health_check_done:
            return
        if _hung_up(self.connection):
            self.close()
        self.health_check_done = True


def _hung_up(connection: Any) -> bool:
    if connection.closed:
        return True
    # Not select(): a busy process has more open files than that can count.
    line = select.poll()
    line.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(line.poll(0))
