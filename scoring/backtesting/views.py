"""The page of the backtest, and the leads behind its figures."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.errors import NotVisible
from leadflow.jobs import runner
from leadflow.web import PageRequest, csv_response
from scoring import agreements
from scoring.backtesting import cases, runs, showing
from scoring.backtesting.measures import BEST
from scoring.backtesting.showing import GOALS, Shown
from scoring.models import Agreement, BacktestRun
from scoring.views.desk import writers

PAGE = 50


@require_GET
@writers
def page(request: PageRequest) -> HttpResponseBase:
    """How a version would have sorted the leads whose end is known; `against` another one beside it."""
    versions = runs.versions()
    version = _version(request.GET.get("version"), versions) or _default(versions)
    if version is None:
        return render(request, "scoring/backtest/none.html")
    against = _version(request.GET.get("against"), versions)
    if against is not None and against.pk == version.pk:
        against = None
    goal = request.GET.get("goal", "")
    goal = goal if goal in GOALS else "customer"
    number = request.GET.get("best", "")
    best = int(number) if number.isdecimal() and len(number) < 4 and int(number) in BEST else 0
    query = {"version": version.number, "goal": goal}
    if against is not None:
        query["against"] = against.number
    address = f"{reverse('scoring:backtest')}?{urlencode(query)}"
    context: dict[str, Any] = {
        "version": version,
        "against": against,
        "versions": [(v.number, showing.name_of(v)) for v in versions],
        "goal": goal,
        "goals": [(key, words.label) for key, words in GOALS.items()],
        "words": GOALS[goal],
        "name": showing.name_of(version),
        "address": address,
    }
    one, other = runs.latest(version, goal), runs.latest(against, goal) if against else None
    shown = _shown(one, version, goal, best)
    beside = _shown(other, against, goal, shown.n) if shown and against else None
    table = request.GET.get("csv", "")
    if table:
        return _csv(table, shown, beside, address)
    context |= _state(one, other, goal, against is not None)
    context |= _figures(shown, beside, address) if shown else {"shown": None}
    template = "scoring/backtest/_backtest.html" if request.htmx else "scoring/backtest/backtest.html"
    return render(request, template, context)


def _version(number: str | None, versions: Sequence[Agreement]) -> Agreement | None:
    if not number:
        return None
    found = next((v for v in versions if str(v.number) == number), None)
    if found is None:
        raise NotVisible
    return found


def _default(versions: Sequence[Agreement]) -> Agreement | None:
    """The draft, else what is in force, else the newest."""
    for state in (Agreement.State.DRAFT, Agreement.State.IN_FORCE):
        found = next((v for v in versions if v.state == state), None)
        if found is not None:
            return found
    return versions[0] if versions else None


def _shown(run: BacktestRun | None, version: Agreement, goal: str, best: int) -> Shown | None:
    """The latest run, or the one before it while a new one is under way or came to nothing."""
    if run is not None and run.state != runs.State.DONE:
        run = runs.done(version, goal)
    return showing.shown(run, best, version) if run is not None else None


def _state(one: BacktestRun | None, other: BacktestRun | None, goal: str, comparing: bool) -> dict[str, Any]:
    """What is running, or what there would be to run."""
    running = next((r for r in (one, other) if r is not None and r.state == runs.State.RUNNING), None)
    job = runs.job_of(running) if running else None
    at = clock.now()
    complete = one is not None and one.state == runs.State.DONE
    if comparing:
        complete = complete and other is not None and other.state == runs.State.DONE
    # Of a base with many decisions the counting costs most of the page: once for both figures, and not at all
    # while a run, which knows how many it looks at, is watched.
    decided = job.total if job and job.total else cases.counts(goal, at)[0]
    return {
        "progress": runner.progress(job) if job else None,
        "running": running,
        "complete": complete,
        "failed": one is not None and one.state == runs.State.FAILED,
        "cancelled": one is not None and one.state == runs.State.CANCELLED,
        "decided": decided,
        "fresh": runs.fresh_decisions(one, decided) if one is not None and complete else 0,
    }


def _figures(shown: Shown, beside: Shown | None, address: str) -> dict[str, Any]:
    compared = runs.compare(shown.run, beside.run) if beside and shown.enough else None
    row = showing.difference_row(shown, beside, compared) if beside and compared else None
    behind = [showing.band_chart(shown, address), showing.curve_chart(shown, beside, address)]
    return {
        "shown": shown,
        "beside": beside,
        "numbers": [b["n"] for b in shown.result["best"]],
        "difference": showing.difference_words(shown, beside, compared) if beside and compared else "",
        "charts": [showing.grade_chart(shown, beside, address), showing.source_chart(shown, address)],
        "behind": [chart for chart in behind if chart is not None and shown.enough],
        "statistics": shown.statistics + ([row] if row else []),
        "statistics_beside": beside.statistics if beside else [],
    }


def _csv(table: str, shown: Shown | None, beside: Shown | None, address: str) -> HttpResponseBase:
    if shown is None:
        raise NotVisible
    charts = {
        "grades": showing.grade_chart(shown, beside, address),
        "sources": showing.source_chart(shown, address),
        "bands": showing.band_chart(shown, address),
        "curve": showing.curve_chart(shown, beside, address),
    }
    chart = charts.get(table)
    if chart is None:
        raise NotVisible
    rows = ([cell.text for cell in row] for row in chart.rows)
    return csv_response(f"backtest-{table}", chart.columns, rows)


@require_POST
@writers
def start(request: PageRequest) -> HttpResponseBase:
    """Try the version (and the one beside it) on the past, both at the same instant."""
    user: Any = request.user
    versions = runs.versions()
    version = _version(request.POST.get("version"), versions)
    if version is None:
        raise NotVisible
    against = _version(request.POST.get("against"), versions)
    goal = request.POST.get("goal", "")
    at = clock.now()
    query = {"version": version.number, "goal": goal}
    runs.start(agreements.get(version.pk), goal, person(user), at=at)
    if against is not None and against.pk != version.pk:
        runs.start(agreements.get(against.pk), goal, person(user), at=at)
        query["against"] = against.number
    return redirect(f"{reverse('scoring:backtest')}?{urlencode(query)}")


@require_GET
@writers
def leads(request: PageRequest) -> HttpResponseBase:
    """The leads behind one figure, a page at a time; `?csv=1` all of them."""
    pk = request.GET.get("run", "")
    run = None
    if pk.isdecimal() and len(pk) < 19:
        run = BacktestRun.objects.select_related("agreement").filter(pk=int(pk)).first()
    if run is None:
        raise NotVisible
    end = request.GET.get("end", "")
    title, found = showing.behind(run, request.GET.get("cell", ""), end if end in showing.ENDS else "")
    found = found.select_related("lead", "lead__company").order_by("-total", "-at", "pk")
    if request.GET.get("csv"):
        return csv_response("backtest-leads", _HEAD, map(_line, found.iterator(chunk_size=2_000)))
    context = {
        "title": title,
        "run": run,
        "words": GOALS[run.goal],
        "name": showing.name_of(run.agreement),
        "page": Paginator(found, PAGE).get_page(request.GET.get("page")),
        "back": f"{reverse('scoring:backtest')}?version={run.agreement.number}&goal={run.goal}",
    }
    return render(request, "scoring/backtest/leads.html", context)


_HEAD = ["Lead", "E-mail", "Company", "Source", "Decided by what was known at", "Score", "Grade", "Good end"]


def _line(case: Any) -> list[Any]:
    company = case.lead.company.name if case.lead.company else ""
    return [
        str(case.lead),
        case.lead.email,
        company,
        case.source,
        case.at.isoformat(timespec="minutes"),
        case.total,
        case.grade,
        "yes" if case.good else "no",
    ]
