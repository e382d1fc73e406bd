"""The page on which one watches long work."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from leadflow.accounts.models import MANAGERS, MARKETING, User
from leadflow.errors import Conflict, NotVisible
from leadflow.jobs import runner
from leadflow.jobs.models import Job, JobError
from leadflow.web import csv_response

# How many rows that were left out the page shows; all of them are in the file.
SHOWN = 20


def _job(request: HttpRequest, pk: int) -> Job:
    """The job, for who started it, for marketing and for managers."""
    user = request.user
    found = Job.objects.filter(pk=pk).first()
    assert isinstance(user, User)
    if found is None or not (found.created_by_id == user.pk or user.role in (*MARKETING, *MANAGERS)):
        raise NotVisible
    return found


def _context(job: Job) -> dict[str, Any]:
    errors = JobError.objects.filter(job=job)
    return {
        "progress": runner.progress(job),
        "job": job,
        "errors": list(errors.order_by("line", "id")[:SHOWN]) if job.failed else [],
    }


def job(request: HttpRequest, pk: int) -> HttpResponse:
    """The whole page; for htmx its moving part, which asks again while the work goes on."""
    template = "jobs/_job.html" if getattr(request, "htmx", False) else "jobs/job.html"
    return render(request, template, _context(_job(request, pk)))


@require_POST
def stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop the work; what is done stays done. Raises Conflict for work that must not stay half done."""
    found = _job(request, pk)
    if not runner.may_stop(found):
        raise Conflict("This work cannot be stopped half way: it ends by itself, and soon.")
    runner.cancel(found)
    if getattr(request, "htmx", False):
        return render(request, "jobs/_job.html", _context(found))
    return redirect("jobs:job", pk=pk)


def left_out(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The rows that could not be taken, with line, field and reason."""
    found = _job(request, pk)
    rows = JobError.objects.filter(job=found).order_by("line", "id").iterator(chunk_size=2_000)
    return csv_response(
        f"left-out-{found.pk}",
        ["line", "field", "reason", "row"],
        ([e.line, e.field, e.reason, json.dumps(e.raw, ensure_ascii=False)] for e in rows),
    )
