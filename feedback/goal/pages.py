"""The page of the revenue goal: a sum and a day, back to leads; each rate may be tried otherwise."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from feedback.goal import figures
from feedback.models import Goal
from feedback.reports.base import Filters
from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import person
from leadflow.accounts.models import Organisation, Role
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, Fault
from leadflow.numbers import money_typed
from leadflow.web import PageRequest, csv_response
from scoring import agreements, room
from scoring.document import Document

WRITERS = (Role.MARKETER, Role.MARKETING_MANAGER, Role.SALES_MANAGER, Role.ADMIN)
LONGEST = 366 * 3


@require_GET
def goal(request: PageRequest) -> HttpResponseBase:
    """What it takes. Without figures in the address those of the last goal that was kept."""
    kept = Goal.objects.select_related("created_by").order_by("-created_at", "-pk").first()
    said = _said(request.GET.dict(), kept)
    context: dict[str, Any] = {"tab": "goal", "kept": kept, "said": said, "names": figures.LABELS}
    context["may"] = request.user.role in WRITERS
    try:
        found = _plan(said)
    except BadInput as bad:
        context["faults"] = {fault.path: fault.message for fault in bad.faults}
        return render(request, "feedback/review/goal.html", context, status=422)
    if request.GET.get("format") == "csv" and found:
        rows = (
            [one.name, one.leads, one.customers, one.weekly_now, one.weekly_was, one.weekly]
            for one in found.sources
        )
        heads = (
            "Source",
            "Leads measured",
            "Customers",
            "A week so far",
            "Needed as measured",
            "A week needed",
        )
        return csv_response("goal", heads, rows)
    context |= {"plan": found, "room": _room(found)}
    return render(request, "feedback/review/goal.html", context)


@require_POST
@roles(*WRITERS)
def keep(request: PageRequest) -> HttpResponse:
    """Keep a goal with the figures that were typed."""
    said = request.POST.dict()
    amount, start, end = _goal(said)
    made = Goal.objects.create(
        name=said.get("name", "").replace("\x00", "").strip()[:80] or f"By {end:%-d %b %Y}",
        amount=Decimal(str(round(amount, 2))),
        starts_on=start,
        ends_on=end,
        rates=_typed(said),
        created_by=request.user,
        created_at=clock.now(),
    )
    audit.record(person(request.user), "goal.kept", made, after={"amount": amount, "by": end.isoformat()})
    messages.success(request, "The goal is kept.")
    return redirect(reverse("feedback:goal"))


def _said(query: Mapping[str, str], kept: Goal | None) -> dict[str, str]:
    if query.get("amount") or kept is None:
        return dict(query)
    return {
        "name": kept.name,
        "amount": f"{kept.amount:.0f}",
        "start": kept.starts_on.isoformat(),
        "end": kept.ends_on.isoformat(),
        **{name: f"{value:g}" if name != "try" else value for name, value in kept.rates.items()},
    }


def _typed(said: Mapping[str, str]) -> dict[str, Any]:
    """What was typed, as a goal keeps it. Raises BadInput."""
    found: dict[str, Any] = dict(figures.typed_of(said))
    trial = figures.trial_of(said)
    if trial and trial.typed:
        found |= {"try": trial.source} | {f"try_{name}": value for name, value in trial.typed.items()}
    return found


def _plan(said: Mapping[str, str]) -> figures.Plan | None:
    if not said.get("amount") and not said.get("end"):
        return None
    amount, start, end = _goal(said)
    period = Filters(start, end, clock.now(), Organisation.get().tz)
    return figures.plan(amount, period, figures.typed_of(said), clock.now(), figures.trial_of(said))


def _goal(said: Mapping[str, str]) -> tuple[float, dt.date, dt.date]:
    faults, today = [], clock.now().date()
    amount = float(money_typed(said.get("amount", "")) or 0)
    if not 0 < amount < 1e12:
        faults.append(Fault("amount", "Write a sum above zero, such as 500000."))
    start, end = _day(said.get("start", "")) or today.replace(day=1), _day(said.get("end", ""))
    if end is None or end <= today:
        faults.append(Fault("end", "Choose a day that is still to come."))
    elif start > end:
        faults.append(Fault("start", "The goal ends before it begins."))
    elif (end - start).days > LONGEST:
        faults.append(Fault("end", "Three years are the most."))
    if faults or end is None:
        raise BadInput("The goal is not complete.", faults)
    return amount, start, end


def _day(text: str) -> dt.date | None:
    try:
        found = dt.date.fromisoformat(text)
    except ValueError:
        return None
    return found if 2000 <= found.year <= 2100 else None


def _room(found: figures.Plan | None) -> dict[str, Any] | None:
    """How many of the leads handed over sales has room for in a week."""
    if found is None or found.handed is None:
        return None
    agreement = agreements.current()
    if agreement is None:
        return None
    sales = room.ask(Document(agreement.content), clock.now())
    return {
        "have": sales.per_week,
        "reps": len(sales.present),
        "over": max(0.0, found.handed - sales.per_week),
    }
