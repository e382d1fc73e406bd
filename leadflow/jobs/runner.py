"""Long work in chunks: shared by any number of workers, safe against kills, cancellable, with progress.

A room registers its kind of work in its app's `ready()`; workers then claim chunks.

A chunk is carried out like this:
1. Claim, a short transaction: take the first free chunk (SKIP LOCKED), count the attempt.
2. Work, one transaction that keeps the chunk's row locked: the work's own writes, the chunk's end and the
   job's progress are committed together. A killed worker's transaction is undone by the database and its
   row is free at once, so the chunk is taken again, and nothing of it counts twice.
3. The one who ends the last chunk finishes the job, under the job's row lock: exactly once.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Max

from leadflow import clock, nudge
from leadflow.accounts.actors import Actor
from leadflow.errors import BadInput
from leadflow.jobs.models import Job, JobChunk

log = logging.getLogger(__name__)

ATTEMPTS = 3
# Between claim and work a chunk is claimed but not locked; nobody takes it from its worker that quickly.
GRACE = timedelta(seconds=5)
# So long a job may lie before it begins, and then between two chunks, until its page says that it waits.
BEGINS_IN, GOES_ON_IN = timedelta(seconds=10), timedelta(seconds=60)
OPEN = (Job.State.WAITING, Job.State.RUNNING)
OPEN_CHUNK = (JobChunk.State.WAITING, JobChunk.State.RUNNING)

RunChunk = Callable[[JobChunk], int | None]
Finish = Callable[[Job], None]


@dataclass(frozen=True)
class Kind:
    """One kind of long work: how a chunk is done, what happens at the end, how it is called on a page."""

    run_chunk: RunChunk
    finish: Finish | None
    label: str
    link: Callable[[Job], tuple[str, str]] | None
    stoppable: bool


_kinds: dict[str, Kind] = {}


@dataclass(frozen=True)
class Progress:
    """How far a job is. `percent` is None while the total is unknown, `left` while there is no pace; `waits`:
    for some time no worker has taken anything of it."""

    job: Job
    label: str
    percent: int | None
    left: timedelta | None
    running: bool
    link: tuple[str, str] | None
    stoppable: bool
    waits: bool = False


def register(
    kind: str,
    run_chunk: RunChunk,
    finish: Finish | None = None,
    *,
    label: str = "",
    link: Callable[[Job], tuple[str, str]] | None = None,
    stoppable: bool = True,
) -> None:
    """Name the worker of a kind.

    `run_chunk` gets the chunk (with its job), runs inside a transaction, and returns how many rows it did
    (None: it counts `Job.done` itself). `finish` runs once, after all chunks ended well. `label` is the
    title of the progress page, `link` gives (address, words) of what to look at in the end. What is not
    `stoppable` leaves the house in disorder when it is left half done.
    """
    _kinds[kind] = Kind(run_chunk, finish, label or kind.replace("_", " ").capitalize(), link, stoppable)


def start(
    kind: str,
    params: Mapping[str, Any],
    actor: Actor,
    chunks: Iterable[tuple[int, int, Mapping[str, Any]]],
    total: int | None,
) -> Job:
    """Lay a job down; workers begin after the commit. `chunks`: (from, to, params); `total` counts rows."""
    with transaction.atomic():
        job = Job.objects.create(
            kind=kind, params=dict(params), created_by=actor.user, created_at=clock.now(), total=total
        )
        rows = [
            JobChunk(job=job, n=n, from_id=first, to_id=last, params=dict(more))
            for n, (first, last, more) in enumerate(chunks)
        ]
        JobChunk.objects.bulk_create(rows, batch_size=2_000)
        if not rows:
            _finish_if_done(job.pk)
            job.refresh_from_db()
        nudge.wake("bulk.work")
    return job


def work_one() -> bool:
    """Do one chunk of any job; False when there is none to do."""
    chunk_id = _claim()
    if chunk_id is None:
        return False
    try:
        with transaction.atomic():
            _work(chunk_id)
    except Exception as error:
        _failed(chunk_id, error)
    return True


def may_stop(job: Job) -> bool:
    """Whether a person may stop this job half way."""
    kind = _kinds.get(job.kind)
    return kind is None or kind.stoppable


def cancel(job: Job) -> bool:
    """Stop a job: chunks that run still end, no other begins. False when it had ended already."""
    now = clock.now()
    stopped = Job.objects.filter(pk=job.pk, state__in=OPEN).update(
        state=Job.State.CANCELLED, cancelled_at=now, finished_at=now
    )
    job.refresh_from_db()
    return bool(stopped)


def is_cancelled(job_id: int) -> bool:
    """For a long chunk that wants to stop early."""
    return Job.objects.filter(pk=job_id, state=Job.State.CANCELLED).exists()


def progress(job: Job) -> Progress:
    """How far the job is, and how long it may still take at the present pace."""
    kind = _kinds.get(job.kind)
    running = job.state in OPEN
    percent = left = None
    if job.state == Job.State.DONE:
        percent = 100
    elif job.total:
        percent = min(100, 100 * job.done // job.total)
        if running and job.started_at and job.done:
            left = (clock.now() - job.started_at) * ((job.total - job.done) / job.done)
    link = kind.link(job) if kind and kind.link and job.state == Job.State.DONE else None
    label, may_stop = (kind.label, kind.stoppable) if kind else (job.kind, True)
    return Progress(job, label, percent, left, running, link, may_stop, running and _waits(job))


def _waits(job: Job) -> bool:
    now = clock.now()
    if job.started_at is None:
        return now - job.created_at > BEGINS_IN
    if now - job.started_at < GOES_ON_IN:
        return False
    taken = job.chunks.aggregate(last=Max("claimed_at"))["last"]
    return taken is None or now - taken > GOES_ON_IN


def _claim() -> int | None:
    now = clock.now()
    with transaction.atomic(), connection.cursor() as cursor:
        # A running chunk whose row is not locked lost its worker; GRACE covers the step from claim to work.
        cursor.execute(
            """
            SELECT c.id, c.job_id, c.attempts FROM jobs_jobchunk c JOIN jobs_job j ON j.id = c.job_id
            WHERE j.state IN ('waiting', 'running') AND j.kind = ANY(%s)
              AND (c.state = 'waiting' OR (c.state = 'running' AND c.claimed_at < %s))
            ORDER BY c.job_id, c.n LIMIT 1 FOR UPDATE OF c SKIP LOCKED
            """,
            [list(_kinds), now - GRACE],
        )
        found = cursor.fetchone()
        if found is None:
            return None
        chunk_id, job_id, attempts = int(found[0]), found[1], found[2]
        if attempts >= ATTEMPTS:
            _end_badly(chunk_id, job_id, "Its worker died three times.", now)
            return chunk_id
        JobChunk.objects.filter(pk=chunk_id).update(
            state=JobChunk.State.RUNNING, claimed_at=now, attempts=F("attempts") + 1
        )
        Job.objects.filter(pk=job_id, state=Job.State.WAITING).update(state=Job.State.RUNNING)
        Job.objects.filter(pk=job_id, started_at=None).update(started_at=now)
        return chunk_id


def _work(chunk_id: int) -> None:
    # Waits, never skips: another worker's search for a chunk may hold this row for a moment.
    chunk = (
        JobChunk.objects.select_for_update(of=("self",))
        .select_related("job")
        .filter(pk=chunk_id, state=JobChunk.State.RUNNING)
        .first()
    )
    if chunk is None:
        return  # somebody else has it, or it ended
    rows = _kinds[chunk.job.kind].run_chunk(chunk)
    JobChunk.objects.filter(pk=chunk_id).update(state=JobChunk.State.DONE, error="")
    if rows:
        Job.objects.filter(pk=chunk.job_id).update(done=F("done") + rows)
    _finish_if_done(chunk.job_id)


def _failed(chunk_id: int, error: Exception) -> None:
    """A lost connection or a deadlock is tried again; anything else ends the chunk."""
    now = clock.now()
    log.warning("chunk %s failed", chunk_id, exc_info=error)
    with transaction.atomic():
        chunk = JobChunk.objects.select_for_update(of=("self",)).get(pk=chunk_id)
        if isinstance(error, OperationalError | InterfaceError) and chunk.attempts < ATTEMPTS:
            chunk.state, chunk.error = JobChunk.State.WAITING, str(error)
            chunk.save(update_fields=["state", "error"])
        else:
            words = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
            _end_badly(chunk_id, chunk.job_id, words, now)


def _end_badly(chunk_id: int, job_id: int, words: str, now: datetime) -> None:
    JobChunk.objects.filter(pk=chunk_id).update(state=JobChunk.State.FAILED, error=words[:2_000])
    Job.objects.filter(pk=job_id, message="").update(message=words[:2_000])
    _finish_if_done(job_id)


def _finish_if_done(job_id: int) -> None:
    # The lock makes the two who end the last two chunks look one after the other.
    job = Job.objects.select_for_update(of=("self",)).get(pk=job_id)
    if job.state not in OPEN or job.chunks.filter(state__in=OPEN_CHUNK).exists():
        return
    job.finished_at = clock.now()
    if job.chunks.filter(state=JobChunk.State.FAILED).exists():
        job.state = Job.State.FAILED
    else:
        job.state = Job.State.DONE
        finish = _kinds[job.kind].finish
        if finish is not None:
            finish(job)
    job.save(update_fields=["state", "finished_at"])
