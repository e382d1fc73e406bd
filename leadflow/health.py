"""Is it alive, and does the work keep up? For load balancers, containers and `manage.py up`."""

from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from handoff import clocks
from leadflow import clock
from leadflow.celery import QUEUES, broker, last_run_key
from leadflow.leads.models import LeadChanged
from scoring.models import Crossing

# Seconds. A row waits for the next sweep, three seconds; two minutes means that nobody sweeps.
PENDING_LATE = 120
# Every queue has a sweep of five seconds or less; a long chunk of a job may hold one up.
RUN_LATE = {"flow": 60, "clock": 60, "bulk": 900}


@require_safe
@never_cache
@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers. Asks nobody else, so that a database failure restarts no web server."""
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
@login_not_required
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database, broker and all three queues work and no row waits long; else 503 and why."""
    at = clock.now()
    report: dict[str, Any] = {"at": at.isoformat()}
    late: list[str] = []
    report["database"] = _database(at, late)
    report["broker"] = _broker(at, late)
    report["late"] = late
    report["status"] = "late" if late else "ready"
    return JsonResponse(report, status=503 if late else 200)


def _database(at: datetime, late: list[str]) -> dict[str, Any]:
    """The age in seconds of the oldest row that waits on either side of the conveyor."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        pending = {
            "to_score": _age(
                at, LeadChanged.objects.order_by("id").values_list("recorded_at", flat=True).first()
            ),
            "to_open": _age(
                at,
                Crossing.objects.filter(handled_at=None)
                .order_by("id")
                .values_list("known_at", flat=True)
                .first(),
            ),
            "to_tick": None if (due := clocks.oldest_due(at)) is None else int(due.total_seconds()),
        }
    except DatabaseError as error:
        late.append(f"database: {str(error).strip().splitlines()[0]}")
        return {"ok": False}
    late += [
        f"{name}: waits {age} s" for name, age in pending.items() if age is not None and age > PENDING_LATE
    ]
    return {"ok": True, "oldest_pending_seconds": pending}


def _broker(at: datetime, late: list[str]) -> dict[str, Any]:
    """The age in seconds of each queue's last good run."""
    try:
        found = broker().mget([last_run_key(queue) for queue in QUEUES])
    except Exception as error:
        late.append(f"broker: {error}")
        return {"ok": False}
    ages = {
        queue: _age(at, datetime.fromisoformat(value.decode())) if value else None
        for queue, value in zip(QUEUES, found, strict=True)
    }
    for queue, age in ages.items():
        if age is None or age > RUN_LATE[queue]:
            late.append(f"{queue}: no run " + ("yet" if age is None else f"for {age} s"))
    return {"ok": True, "last_run_seconds": ages, "last_tick_seconds": ages["clock"]}


def _age(at: datetime, since: datetime | None) -> int | None:
    return None if since is None else max(int((at - since).total_seconds()), 0)
