"""Workers that are killed at the worst moments, on the production path: real Celery, real brokers, real rows.

A lock on the table that comes next holds a worker at the very place where it is to die.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
from celery import Celery
from django.conf import settings
from django.db import connection

from handoff.models import Handoff, Outbox, Transition
from leadflow.leads.models import Answer, LeadChanged
from scoring.models import Crossing, LeadScore
from tests.house.installation import ROOT, spare_port, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

LEADS = 12


@pytest.fixture
def broker_url(request, tmp_path) -> Iterator[str]:
    """The Valkey of the wheel, or a Redis of Debian's started here."""
    if request.param == "valkey":
        yield settings.REDIS_URL.replace("unix://", "redis+socket://", 1)
        return
    port = spare_port()
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: _listens(port), 10)
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait(10)


@pytest.fixture
def log(tmp_path) -> Path:
    """What the workers said."""
    return tmp_path / "worker.log"


@pytest.fixture
def worker(broker_url, tmp_path, log) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Start a worker of the queue `flow` on the test's database; called again, another one."""
    started: list[subprocess.Popen[bytes]] = []
    script = tmp_path / "worker_settings.py"
    # The test's own database, under the product's own settings.
    script.write_text(
        "from tests.settings import *\n"
        f"DATABASES['default'] |= {{'NAME': {connection.settings_dict['NAME']!r}}}\n"
        f"CELERY_BROKER_URL = {broker_url!r}\n"
    )

    words = "celery -A leadflow worker -Q flow -P solo -l WARNING --without-gossip --without-mingle"
    environment = {
        "DJANGO_SETTINGS_MODULE": "worker_settings",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "CELERY_SKIP_CHECKS": "true",
    }

    def start() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", *words.split()],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=log.open("ab"),
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def sweep(broker_url) -> Callable[[], None]:
    """Send what beat sends every few seconds."""
    sender = Celery(broker=broker_url)
    return lambda: sender.send_task("flow.score", queue="flow")


@pytest.fixture
def asked(agreement_in_force, make_lead, did) -> list[int]:
    """Leads that have just asked for a demo: a fast track, so each must reach a rep."""
    leads = [make_lead(title="Head of Operations") for _ in range(LEADS)]
    for lead in leads:
        did(lead, "demo_requested")
    return [lead.pk for lead in leads]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def held(table: str) -> Iterator[None]:
    """Nobody writes into this table meanwhile; reading goes on."""
    params = connection.get_connection_params()
    params.pop("cursor_factory", None)
    with closing(psycopg2.connect(**{k: v for k, v in params.items() if isinstance(v, str | int)})) as other:
        with other.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
            yield
        other.rollback()


def _somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


def _kill(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def _nobody_else_works() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
        return not cursor.fetchone()[0]


def _each_reached_a_rep_once(leads: list[int]) -> None:
    assert sorted(Handoff.objects.values_list("lead_id", flat=True)) == sorted(leads)
    assert Crossing.objects.filter(handled_at=None).count() == 0
    assert Crossing.objects.count() == len(leads)
    assert LeadChanged.objects.count() == 0
    assert LeadScore.objects.count() == len(leads)
    assert Answer.objects.filter(kind=Answer.Kind.OFFERED).count() == len(leads)
    assert Transition.objects.filter(action="open").count() == len(leads)
    assert len(set(Outbox.objects.values_list("key", flat=True))) == Outbox.objects.count()


MOMENTS = [
    pytest.param("valkey", "scoring_leadscore", 0, id="while it scores"),
    pytest.param("valkey", "handoff_handoff", LEADS, id="between score and handoff"),
    pytest.param("valkey", "handoff_transition", LEADS, id="while it opens"),
]
if shutil.which("redis-server") or os.environ.get("CI") == "true":
    MOMENTS.append(pytest.param("redis", "handoff_handoff", LEADS, id="between score and handoff, on Redis"))


@pytest.mark.parametrize(("broker_url", "table", "scored"), MOMENTS, indirect=["broker_url"])
def test_a_worker_killed_loses_nothing_and_does_nothing_twice(asked, worker, sweep, log, table, scored):
    with held(table):
        victim = worker()
        sweep()
        wait_until(_somebody_waits_for_a_lock, 120, log.read_text)
        _kill(victim)
    # The dead worker's statement goes on until PostgreSQL finds nobody to tell; then all of it is undone.
    wait_until(_nobody_else_works, 60)
    assert LeadScore.objects.count() == scored
    assert LeadChanged.objects.exists() is (scored == 0)
    assert Handoff.objects.count() == 0

    worker()

    def swept() -> bool:
        sweep()
        return Handoff.objects.count() == LEADS and not Crossing.objects.filter(handled_at=None).exists()

    wait_until(swept, 120, log.read_text)
    time.sleep(1)
    _each_reached_a_rep_once(asked)


@pytest.mark.parametrize("broker_url", ["valkey"], indirect=True)
def test_two_workers_on_the_same_leads_open_each_handoff_once(asked, worker, sweep, log):
    with held("scoring_leadscore"):
        worker(), worker()
        sweep(), sweep()
        wait_until(_somebody_waits_for_a_lock, 120, log.read_text)

    def swept() -> bool:
        sweep()
        return Handoff.objects.count() == LEADS

    wait_until(swept, 120, log.read_text)
    time.sleep(1)
    _each_reached_a_rep_once(asked)


def test_a_broker_that_is_down_costs_the_visitor_nothing(agreement_in_force, make_lead, did, settings):
    settings.NUDGES = True
    settings.REDIS_URL = "redis://127.0.0.1:1"
    began = time.monotonic()
    did(make_lead(), "demo_requested")
    # Half a second for each nudge, at most.
    assert time.monotonic() - began < 3
    assert LeadChanged.objects.count() >= 1
