"""The page of the advice, and its few buttons."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from leadflow.accounts.actors import person
from leadflow.errors import NotVisible
from leadflow.jobs import runner
from leadflow.jobs.models import Job
from leadflow.leads.models import Lead
from leadflow.web import PageRequest
from scoring import agreements
from scoring.advising import acts, behind, looking, showing
from scoring.advising.findings import DECIDED, KINDS
from scoring.backtesting import runs
from scoring.backtesting.measures import ENOUGH
from scoring.backtesting.showing import GOALS, name_of
from scoring.conditions.explain import words_for
from scoring.document import Document
from scoring.models import AdvisorFinding, Agreement
from scoring.views.desk import writers

PAGE = 50


@require_GET
@writers
def page(request: PageRequest) -> HttpResponseBase:
    """What the figures say about a version: the draft, or what is in force."""
    versions = runs.versions()
    number = request.GET.get("version", "")
    version = next((v for v in versions if str(v.number) == number), None)
    if number and version is None:
        raise NotVisible
    version = version or _default()
    if version is None:
        return render(request, "scoring/advice/none.html")
    job = looking.latest(version)
    running = job is not None and job.state in runner.OPEN
    context: dict[str, Any] = {
        "version": version,
        "name": name_of(version),
        "versions": [(v.number, name_of(v)) for v in versions],
        "job": job,
        "running": running,
        "progress": runner.progress(job) if job and running else None,
        "done": job is not None and job.state == Job.State.DONE,
        "changed": job is None and looking.looked_before(version),
    }
    if context["done"] and job is not None:
        context |= _findings(version, job)
    template = "scoring/advice/_advice.html" if request.htmx else "scoring/advice/advice.html"
    return render(request, template, context)


def _default() -> Agreement | None:
    return agreements.draft() or agreements.in_force() or agreements.current()


def _findings(version: Agreement, job: Job) -> dict[str, Any]:
    document = Document(version.content)
    rows = AdvisorFinding.objects.filter(agreement=version, sha256=job.params["sha"]).order_by("pk")
    living = [row for row in rows if row.dismissed_at is None]
    away = [row for row in rows if row.dismissed_at is not None]
    words = words_for(document)
    result = job.result
    return {
        "groups": showing.grouped(living, document, words),
        "count": len(living),
        "away": [showing.shown(row, document, words) for row in away if row.kind in KINDS],
        "result": result,
        "words": GOALS.get(result.get("goal", ""), GOALS["accepted"]),
        "bad": result.get("decided", 0) - result.get("good", 0),
        "needed": DECIDED,
        "enough_of_each": ENOUGH,
    }


@require_POST
@writers
def look(request: PageRequest) -> HttpResponseBase:
    """Begin a look at the version."""
    user: Any = request.user
    number = request.POST.get("version", "")
    version = next((v for v in runs.versions() if str(v.number) == number), None)
    if version is None:
        raise NotVisible
    looking.start(agreements.get(version.pk), person(user))
    return redirect(f"{reverse('scoring:advice')}?version={version.number}")


@require_GET
@writers
def leads(request: PageRequest, pk: int) -> HttpResponseBase:
    """The leads behind a finding, a page at a time."""
    finding = acts.get(pk)
    found = behind.behind(finding)
    shown_page = Paginator(found.ids, PAGE).get_page(request.GET.get("page"))
    by_id = Lead.objects.select_related("company").in_bulk(list(shown_page.object_list))
    ends = found.ends
    document = Document(finding.agreement.content)
    context = {
        "shown": showing.shown(finding, document, words_for(document)),
        "words": GOALS[finding.figures["goal"]] if ends is not None else None,
        "page": shown_page,
        "rows": [(by_id[i], (ends or {}).get(i)) for i in shown_page.object_list if i in by_id],
        "back": f"{reverse('scoring:advice')}?version={finding.agreement.number}",
    }
    return render(request, "scoring/advice/leads.html", context)


@require_POST
@writers
def take(request: PageRequest, pk: int) -> HttpResponseBase:
    """Put the change into the draft, then show who would move."""
    user: Any = request.user
    finding = acts.get(pk)
    draft = acts.take(finding, person(user))
    words = acts.words_of(draft.content, finding.proposal).removeprefix("advice: ")
    messages.success(request, f"In the draft of v{draft.number}: {words}. This is who would move.")
    return redirect("scoring:moves")


@require_POST
@writers
def dismiss(request: PageRequest, pk: int) -> HttpResponseBase:
    """Put a finding away, or with `back` take it back."""
    user: Any = request.user
    finding = acts.get(pk)
    acts.dismiss(finding, person(user), away=not request.POST.get("back"))
    return redirect(f"{reverse('scoring:advice')}?version={finding.agreement.number}")
