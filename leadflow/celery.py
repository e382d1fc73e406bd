"""Celery wakes workers up; the pending work itself is rows in PostgreSQL.

Three queues, so that a hanging webhook or a big import never delays a clock: `flow` (score and open), `clock`
(deadlines, mail and webhooks), `bulk` (long jobs). A task's queue is the first word of its name.
"""

import logging
import os
from datetime import timedelta
from typing import Any

from celery import Celery, signals
from celery.schedules import crontab

from leadflow import clock, memory

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leadflow.settings")

log = logging.getLogger(__name__)

QUEUES = ("flow", "clock", "bulk")

app = Celery("leadflow")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["leadflow"], related_name="flow")


def _every(task: str, seconds: float) -> dict[str, Any]:
    """A sweep; one that has waited as long as its own interval expires instead of piling up."""
    return {"task": task, "schedule": timedelta(seconds=seconds), "options": {"expires": seconds}}


def _cron(task: str, *, expires: float, **when: str) -> dict[str, Any]:
    """Work on the hour or the day. Crontab, because intervals start anew with each deploy."""
    return {"task": task, "schedule": crontab(**when), "options": {"expires": expires}}


app.conf.beat_schedule = {
    # A nudge that the broker lost costs the lead these seconds at most.
    "score what changed": _every("flow.score", 3),
    # The finest promise is 15 minutes; what falls due is seen within five seconds, the way to it included.
    "tick the clocks": _every("clock.tick", 4),
    # Retries of mail and webhooks come due between two nudges.
    "deliver notices": _every("clock.deliver", 5),
    # A chunk whose worker died is claimed again from here.
    "work on jobs": _every("bulk.work", 5),
    # Reports read what changed since the last look from the ledgers: a minute of changes is little.
    "keep the reports' figures": _cron("bulk.reports", expires=55, minute="*"),
    # A track that starts by itself has its first step a day later: minutes are soon enough.
    "tracks that start by themselves": _cron("bulk.tracks", expires=540, minute="4-59/10"),
    # An agreement goes into force at a date, and dates begin at midnight of the agreement's zone.
    "agreements in force": _cron("clock.in_force", expires=55, minute="*"),
    # Kept 24 hours and a month; once a day is often enough, in a quiet hour.
    "forget what is old": _cron("clock.tidy", expires=3600, minute="41", hour="2"),
    # Every score that fades is at most a day old; six runs an hour spread that over the day.
    "refresh fading scores": _cron("flow.refresh", expires=540, minute="*/10"),
}


@signals.worker_ready.connect
def _settle(**_: Any) -> None:
    """Everything is loaded."""
    memory.settle()


@signals.task_success.connect
def _remember(sender: Any = None, **_: Any) -> None:
    """Leave the time of each queue's last good run for /readyz."""
    from django.conf import settings

    queue = sender.name.partition(".")[0]
    if queue in QUEUES and settings.NUDGES:
        try:
            broker().set(last_run_key(queue), clock.now().isoformat())
        except Exception:
            log.warning("broker out of reach, the run of %s is not remembered", sender.name)


def last_run_key(queue: str) -> str:
    """Where the broker keeps the time of the last good run of a queue's tasks."""
    return f"leadflow:ran:{queue}"


def broker() -> Any:
    """A client of the broker that gives up after half a second: no page waits for it."""
    import redis
    from django.conf import settings

    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)
