"""The page of the pulse: the questions for who is asked, what came out for everybody."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from feedback.pulse import figures, rounds
from leadflow import clock
from leadflow.accounts.models import SALES, Role
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput
from leadflow.web import PageRequest, csv_response

COLUMNS = ("Round", "Team", "Question", "Agree, %", "Measured, %", "Gap, points", "Answered", "Asked")


@require_GET
def pulse(request: PageRequest) -> HttpResponseBase:
    """The gap in front, then each question, the teams, the trend; `?format=csv` all that may be shown."""
    found = figures.rounds()
    if request.GET.get("format") == "csv":
        return csv_response("pulse", COLUMNS, _rows(found))
    return render(request, "feedback/review/pulse.html", _context(request, found))


@require_POST
@roles(*SALES, Role.ADMIN)
def answer(request: PageRequest) -> HttpResponse:
    """Write the answers of the person who is signed in; what is missing stands at its question."""
    try:
        rounds.answer(request.user, request.POST.dict())
    except BadInput as bad:
        faults = {fault.path: fault.message for fault in bad.faults}
        context = _context(request, figures.rounds()) | {"faults": faults, "said": request.POST.dict()}
        return render(request, "feedback/review/pulse.html", context, status=422)
    messages.success(request, "Thank you. Nobody sees who said what.")
    return redirect(rounds.URL)


def _context(request: PageRequest, found: list[figures.Round]) -> dict[str, object]:
    now = clock.now()
    # What is told is of the newest round that may be told.
    told = next((one for one in found if one.total.shown), None)
    first = figures.benchmark() if told else None
    return {
        "tab": "pulse",
        "waiting": rounds.waits_for(request.user, now),
        "running": rounds.running(now),
        "asks": rounds.ASKS,
        "scale": rounds.SCALE,
        "open": rounds.OPEN,
        "limit": rounds.OPEN_LIMIT,
        "least": rounds.LEAST,
        "rounds": found,
        "told": told,
        "first": first,
        "gap": figures.gap_words(told.total) if told else "",
        "opinions": figures.opinions(told.round) if told else [],
        "chart": figures.chart(found, first),
        "asked": request.user.role in SALES,
    }


def _rows(found: list[figures.Round]) -> list[tuple[object, ...]]:
    return [
        (
            f"{one.round.month:%Y-%m}",
            seen.team.name if seen.team else "All shown",
            line.name,
            line.said,
            line.measured,
            line.gap,
            seen.answers,
            seen.asked,
        )
        for one in found
        for seen in [*one.teams, one.total]
        for line in seen.lines
    ]
