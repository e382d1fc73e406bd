"""Long work: shared, safe against kills, cancellable, finished once."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest
from django.db import OperationalError, connection

from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.accounts.models import AuditEntry
from leadflow.jobs import runner
from leadflow.jobs.models import Job, JobChunk, JobError
from tests.servers import address_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def kind():
    """A kind of work that notes what it did; gone after the test."""
    done: list[str] = []

    def run(chunk: JobChunk) -> int:
        done.append(f"{chunk.from_id}-{chunk.to_id}")
        return chunk.to_id - chunk.from_id + 1

    runner.register("count", run, lambda job: done.append("finished"), label="Counting")
    yield done
    del runner._kinds["count"]


def start(chunks=((1, 10, {}), (11, 15, {})), actor=SYSTEM, kind="count"):
    return runner.start(kind, {}, actor, chunks, sum(b - a + 1 for a, b, _ in chunks))


@pytest.mark.django_db
def test_chunks_are_done_in_order_and_the_job_is_finished_once(kind):
    job = start()
    assert runner.progress(job).percent == 0
    assert runner.work_one()
    job.refresh_from_db()
    assert (job.state, runner.progress(job).percent) == ("running", 66)
    while runner.work_one():
        pass
    job.refresh_from_db()
    assert (job.state, job.done, runner.progress(job).percent) == ("done", 15, 100)
    assert kind == ["1-10", "11-15", "finished"]


@pytest.mark.django_db
def test_a_job_without_chunks_is_done_at_once(kind):
    assert start(()).state == "done"
    assert kind == ["finished"]


@pytest.mark.django_db
def test_a_cancelled_job_begins_no_further_chunk(kind):
    job = start()
    runner.work_one()
    assert runner.cancel(job)
    assert not runner.work_one()
    assert (job.state, runner.is_cancelled(job.pk), runner.cancel(job)) == ("cancelled", True, False)
    assert kind == ["1-10"]


@pytest.mark.django_db
def test_a_chunk_that_fails_leaves_nothing_behind_and_the_others_go_on(kind):
    def run(chunk: JobChunk) -> int:
        AuditEntry.objects.create(verb=f"v{chunk.n}", object_type="x", object_id="1")
        if chunk.n == 0:
            raise ValueError("no such thing")
        return 5

    runner.register("half", run, lambda job: kind.append("finished"))
    job = start(kind="half")
    while runner.work_one():
        pass
    job.refresh_from_db()
    assert (job.state, job.message, job.done) == ("failed", "ValueError: no such thing", 5)
    assert list(AuditEntry.objects.values_list("verb", flat=True)) == ["v1"]
    assert kind == []


@pytest.mark.django_db
def test_a_deadlock_is_tried_again_three_times_at_most(kind):
    tries: list[int] = []

    def run(chunk: JobChunk) -> int:
        tries.append(1)
        raise OperationalError("deadlock detected")

    runner.register("locked", run)
    job = start(((1, 1, {}),), kind="locked")
    while runner.work_one():
        pass
    job.refresh_from_db()
    assert (len(tries), job.state) == (3, "failed")


@pytest.mark.django_db(transaction=True)
def test_two_workers_share_the_chunks_and_finish_once(kind):
    job = start([(n, n, {}) for n in range(20)])
    gate = Barrier(2)

    def work() -> None:
        gate.wait()
        while runner.work_one():
            pass
        connection.close()

    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    job.refresh_from_db()
    assert (job.state, job.done) == ("done", 20)
    assert sorted(kind) == sorted([f"{n}-{n}" for n in range(20)] + ["finished"])


DYING = """
import django, os, time
django.setup()
from leadflow.accounts.models import AuditEntry
from leadflow.jobs import runner
def run(chunk):
    AuditEntry.objects.create(verb="half", object_type="x", object_id="1")
    print("in the middle", flush=True)
    time.sleep(60)
runner.register("count", run)
runner.work_one()
"""


@pytest.mark.django_db(transaction=True)
def test_a_chunk_whose_worker_was_killed_is_taken_again_and_counts_once(kind):
    job = start(((1, 10, {}),))
    env = {
        **os.environ,
        "DATABASE_URL": address_of(connection.settings_dict["NAME"]),
        "DJANGO_SETTINGS_MODULE": "leadflow.settings",
        "NUDGES": "false",
    }
    worker = subprocess.Popen(
        [sys.executable, "-c", DYING], env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline().strip() == "in the middle"
    with clock.use(clock.now() + timedelta(minutes=20)):
        assert not runner.work_one(), "a chunk at work is nobody else's, however long it takes"
        worker.kill()
        worker.wait()
        deadline = time.monotonic() + 10
        while not runner.work_one():
            assert time.monotonic() < deadline
            time.sleep(0.1)
    job.refresh_from_db()
    assert (job.state, job.done, job.chunks.get().attempts) == ("done", 10, 2)
    assert not AuditEntry.objects.exists()
    assert kind == ["1-10", "finished"]


@pytest.mark.django_db
def test_the_page_shows_progress_and_stops_the_work(kind, people, as_user):
    job = start(actor=person(people.mia))
    runner.work_one()
    JobError.objects.create(job=job, line=3, field="email", reason="It is no address.", raw=["=cmd"])
    Job.objects.filter(pk=job.pk).update(failed=1)
    mia = as_user(people.mia)
    page = mia.get(f"/jobs/{job.pk}/").content.decode()
    assert "Counting" in page
    assert 'value="66"' in page
    assert "It is no address." in page
    assert "<html" not in mia.get(f"/jobs/{job.pk}/", headers={"HX-Request": "true"}).content.decode()
    assert b"email" in b"".join(mia.get(f"/jobs/{job.pk}/left-out.csv").streaming_content)
    assert as_user(people.sam).get(f"/jobs/{job.pk}/").status_code == 404
    assert mia.post(f"/jobs/{job.pk}/stop/").status_code == 302
    job.refresh_from_db()
    assert job.state == "cancelled"
