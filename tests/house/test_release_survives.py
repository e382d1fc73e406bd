"""A worker that is killed in the middle of a release: every lead is scored, each handoff opened once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest
from celery import Celery
from django.conf import settings
from django.db import connection

from handoff import machine
from handoff.models import Handoff, Transition
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.jobs.models import Job, JobChunk
from scoring import agreements, engine, release
from scoring.models import Crossing, LeadScore
from tests.house.installation import ROOT, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]
HOT = {"title": "VP Operations", "employees": 320, "industry": "Software", "country": "Germany"}
LEADS, CHUNK = 9, 3


@pytest.fixture
def bulk(tmp_path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Start a worker of the queue of long jobs on the test's database."""
    broker = settings.REDIS_URL.replace("unix://", "redis+socket://", 1)
    (tmp_path / "worker_settings.py").write_text(
        "from tests.settings import *\n"
        f"DATABASES['default'] |= {{'NAME': {connection.settings_dict['NAME']!r}}}\n"
        f"CELERY_BROKER_URL = {broker!r}\n"
    )
    environment = {
        "DJANGO_SETTINGS_MODULE": "worker_settings",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "CELERY_SKIP_CHECKS": "true",
    }
    words = "celery -A leadflow worker -Q bulk -P solo -l WARNING --without-gossip --without-mingle"
    started: list[subprocess.Popen[bytes]] = []
    log = (tmp_path / "worker.log").open("ab")

    def start() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", *words.split()],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def sweep() -> Callable[[], None]:
    """Send what beat sends every few seconds."""
    sender = Celery(broker=settings.REDIS_URL.replace("unix://", "redis+socket://", 1))
    return lambda: sender.send_task("bulk.work", queue="bulk")


@contextmanager
def held(lead_id: int) -> Iterator[None]:
    """Nobody writes this lead's score meanwhile: the worker stops in the middle of its chunk."""
    params = connection.get_connection_params()
    params.pop("cursor_factory", None)
    plain = {k: v for k, v in params.items() if isinstance(v, str | int)}
    with closing(psycopg2.connect(**plain)) as other:
        with other.cursor() as cursor:
            cursor.execute("SELECT FROM scoring_leadscore WHERE lead_id = %s FOR UPDATE", [lead_id])
            yield
        other.rollback()


def _waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


def _nobody_else_works() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
        return not cursor.fetchone()[0]


def test_a_release_whose_worker_is_killed_goes_on_where_it_stood(
    agreement_in_force, people, make_lead, did, bulk, sweep, monkeypatch
):
    leads = [make_lead(**HOT, email=f"vp{n}@house{n}.example") for n in range(LEADS)]
    for lead in leads:
        for days in (0, 1, 2):
            did(lead, "page_view", days, path="/pricing")
        did(lead, "download_buying", 4)
    while engine.score_pending(clock.now()):
        pass
    while machine.open_pending(clock.now()):
        pass
    assert Handoff.objects.count() == LEADS
    opened = Transition.objects.filter(action="open").count()

    monkeypatch.setattr(release, "CHUNK", CHUNK)
    draft = agreements.create_draft(person(people.mia))
    content = {**draft.content, "title": "Second"}
    content["criteria"] = [c | {"points": 14} if c["id"] == "f1" else c for c in content["criteria"]]
    agreements.save_draft(draft, content, person(people.mia), 1)
    agreements.propose(draft, person(people.mia))
    agreements.sign(draft, person(people.noah))
    # The second chunk stops at its middle lead.
    with held(leads[CHUNK + 1].pk):
        second = agreements.sign(draft, person(people.rosa))
        victim = bulk()
        sweep()
        wait_until(_waits_for_a_lock, 120)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    wait_until(_nobody_else_works, 60)
    job = Job.objects.get(pk=agreements.get(second.pk).release_job_id)
    assert (job.done, job.total) == (CHUNK, LEADS)
    assert LeadScore.objects.filter(agreement=second).count() == CHUNK

    bulk()

    def done() -> bool:
        sweep()
        time.sleep(0.5)
        job.refresh_from_db()
        return job.state == Job.State.DONE

    wait_until(done, 120)
    assert job.done == LEADS
    assert set(JobChunk.objects.filter(job=job).values_list("state", flat=True)) == {JobChunk.State.DONE}
    assert set(LeadScore.objects.values_list("agreement", flat=True)) == {second.pk}
    while machine.open_pending(clock.now()):
        pass
    assert Handoff.objects.count() == LEADS
    assert Transition.objects.filter(action="open").count() == opened
    assert Crossing.objects.filter(handled_at=None).count() == 0
