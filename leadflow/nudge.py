"""Wake a worker by the name of its task, after the commit.

The pending work is rows in PostgreSQL; a nudge only shortens the wait until the next sweep. It may be
lost, so it never raises, and it is skipped while one of the same name is queued.
"""

import logging
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import transaction

from leadflow import clock

log = logging.getLogger(__name__)

# A nudge older than this is taken for lost: the key expires and the next one passes.
QUEUED_SECONDS = 5


def wake(task: str) -> None:
    """Ask a worker to run the task named `task` once the present transaction has committed."""
    if clock.is_injected() or not settings.NUDGES:
        return
    transaction.on_commit(lambda: _send(task))


def clear(task: str) -> None:
    """Say that the queued nudge has arrived; called first by the task itself."""
    if not settings.NUDGES:
        return
    try:
        _broker().delete(_key(task))
    except Exception:
        log.warning("broker out of reach, nudge mark of %s stays until it expires", task)


def _send(task: str) -> None:
    from leadflow.celery import app

    try:
        if _broker().set(_key(task), 1, nx=True, ex=QUEUED_SECONDS):
            app.send_task(task, expires=60, retry=False)
    except Exception:
        # The sweep finds the row within seconds; a web request never fails for a missing broker.
        log.warning("broker out of reach, %s waits for the next sweep", task)


def _key(task: str) -> str:
    return f"leadflow:nudge:{task}"


def _broker() -> Any:
    return _client(settings.REDIS_URL)


@lru_cache(maxsize=1)
def _client(url: str) -> Any:
    """One for the process: its connections stay open, or each of a hundred acts a second would make one."""
    import redis

    return redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)
