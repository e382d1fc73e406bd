"""An edit of a draft makes the looks at it worthless: those that still run are stopped."""

from leadflow import clock
from leadflow.jobs import runner
from leadflow.jobs.models import Job
from scoring.models import PreviewRun

State = PreviewRun.State


def stop(draft_id: int) -> int:
    """Stop every look at this draft that still runs; returns how many. Inside the edit's transaction."""
    running = list(PreviewRun.objects.filter(draft_id=draft_id, state=State.RUNNING))
    for job in Job.objects.filter(pk__in=[run.job_id for run in running if run.job_id]):
        runner.cancel(job)
    PreviewRun.objects.filter(pk__in=[run.pk for run in running]).update(
        state=State.CANCELLED, finished_at=clock.now()
    )
    return len(running)
