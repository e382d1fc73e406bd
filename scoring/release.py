"""Score the whole base by a version: when it comes into force, or as a preview of a draft.

A job in chunks of lead ids. A chunk that is done twice changes nothing: a score is written only when it
differs, and a lead with an open handoff, a wait for room or an unhandled crossing gets no second one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Min, OuterRef, Subquery

from leadflow import clock
from leadflow.accounts.actors import SYSTEM, Actor
from leadflow.jobs import runner
from leadflow.jobs.models import Job, JobChunk
from leadflow.leads import statistics
from leadflow.leads.models import Lead
from scoring import engine
from scoring.models import Agreement

KIND = "release"
# Ids in a chunk: some seconds of work, so that a cancel is quick and a kill costs little.
CHUNK = 10_000
# How leads that are above the bar already are treated: quietly means only on new evidence.
QUIET = {Agreement.Release.NEW_EVIDENCE}
# A release that failed is begun again after this long, so that no lead stays at an old version.
TRY_AGAIN = timedelta(minutes=10)
# What a release reads besides the leads and their acts, and before how many of its chunks it is asked whether
# the database knows how full all that is: the first may begin beside others, and fills the scores.
READ = ("scoring_leadscore", "scoring_hold", "scoring_crossing")
LOOKS = 3


@dataclass(frozen=True)
class Standing:
    """How far the release of a version is. `running`: leads still have scores of the version before.

    `all_until`: leads that were above the bar by then come in past the day's limit; None: none does.
    """

    running: bool
    all_until: datetime | None


def start(agreement: Agreement, actor: Actor) -> Job:
    """Lay down the job that scores every lead by `agreement`; an older one that still runs is cancelled."""
    for old in Job.objects.filter(kind=KIND, state__in=runner.OPEN):
        runner.cancel(old)
    span = Lead.objects.aggregate(first=Min("id"), last=Max("id"))
    first, last = span["first"] or 1, span["last"] or 0
    chunks: list[tuple[int, int, dict[str, Any]]] = [
        (at, min(at + CHUNK - 1, last), {}) for at in range(first, last + 1, CHUNK)
    ]
    quiet = agreement.release in QUIET
    return runner.start(
        KIND, {"agreement": agreement.pk, "quiet": quiet}, actor, chunks, Lead.objects.count()
    )


def standing(agreement_id: int, at: datetime) -> Standing:
    """How far the release of this version is at `at`. One query."""
    job = Job.objects.filter(pk=OuterRef("release_job_id"))
    rows = Agreement.objects.filter(pk=agreement_id).values_list(
        "release", Subquery(job.values("state")), Subquery(job.values("finished_at"))
    )
    choice, state, finished_at = rows.first() or ("", None, None)
    running = state in runner.OPEN
    if choice != Agreement.Release.ALL_NOW or state is None:
        return Standing(running, None)
    return Standing(running, at if running else finished_at)


def again_if_failed(agreement: Agreement, at: datetime) -> Job | None:
    """Begin a release again that failed some minutes ago; None when there is nothing to do."""
    failed = Job.objects.filter(state=Job.State.FAILED, finished_at__lte=at - TRY_AGAIN)
    if not failed.filter(pk=agreement.release_job_id or 0).exists():
        return None
    return start(agreement, SYSTEM)


def run_chunk(chunk: JobChunk) -> int:
    """Score the leads of one chunk; returns how many were looked at."""
    agreement = Agreement.objects.get(pk=chunk.job.params["agreement"])
    if chunk.n < LOOKS:
        statistics.refresh((*statistics.TABLES, *READ))
    counts = engine.score_range(
        chunk.from_id,
        chunk.to_id,
        at=clock.now(),
        cause=f"agreement v{agreement.number}",
        quiet=chunk.job.params["quiet"],
    )
    return counts.scored


def register() -> None:
    """Tell the workers of long jobs how a release is done."""
    runner.register(KIND, run_chunk, label="Score every lead by the agreement", stoppable=False)
