"""Who would move if the draft were in force now."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from leadflow import clock
from leadflow.accounts.models import Role, User
from leadflow.charts import Cell, Chart, Series
from leadflow.web import csv_response
from scoring import preview
from scoring.models import Agreement
from scoring.views.desk import Desk, desk_of, writers


@require_GET
@writers
def moves(request: HttpRequest) -> HttpResponseBase:
    """Who would move if the draft, or the proposal, were in force now."""
    desk = desk_of(request)
    against = desk.in_force if desk.in_force and desk.in_force.pk != desk.agreement.pk else desk.base
    context: dict[str, Any] = {"desk": desk, "agreement": desk.agreement, "against": against}
    if not (request.htmx or request.GET.get("csv")):  # type: ignore[attr-defined]
        return render(request, "scoring/moves.html", context)
    found = preview.who_moves(desk.agreement, clock.now(), against)
    if request.GET.get("csv"):
        rows = zip(found.steps, found.was, found.now, strict=True)
        return csv_response("scores", ["Score from", "Leads before", "Leads by the draft"], rows)
    rep_room = _room(desk)
    context |= {"found": found, "chart": _moves_chart(desk, found, against), "room": rep_room}
    return render(request, "scoring/_moves.html", context)


def _room(desk: Desk) -> int:
    reps = User.objects.filter(is_active=True, role=Role.REP).count()
    return reps * desk.document.admission.new_per_rep_per_day


def _moves_chart(desk: Desk, found: preview.Comparison, against: Agreement | None) -> Chart:
    name = f"v{against.number}" if against else "before"
    series = [Series(f"draft of v{desk.agreement.number}", found.now, "acc")]
    if against:
        series.insert(0, Series(name, found.was, "was"))
    return Chart(
        id="spread",
        title="Where the scores lie",
        kind="columns",
        labels=found.steps,
        series=series,
        says="Leads by score, the version before against the draft; the numbers are in the table.",
        columns=["Score from", name, "draft"],
        rows=[
            [Cell(step), Cell(f"{was:,}"), Cell(f"{now:,}")]
            for step, was, now in zip(found.steps, found.was, found.now, strict=True)
        ],
        note="Steps of 5 points",
        csv=f"{reverse('scoring:moves')}?csv=1",
    )
