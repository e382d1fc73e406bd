"""Acts of sales with an effect on nurture, as pages post them: they read the form and answer."""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.dateparse import parse_date
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.timezone import localtime
from django.views.decorators.http import require_POST

from feedback import outcomes, terms, verdicts
from handoff.models import Handoff
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Organisation, Role
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.numbers import money_typed
from leadflow.web import PageRequest, toast
from scoring import consequence

SALES = (Role.REP, Role.SALES_MANAGER)
UNDO_LIMIT = 60


def date_of(text: str, path: str = "date") -> dt.date | None:
    """A date written YYYY-MM-DD; None for nothing. BadInput in words for anything else."""
    if not text.strip():
        return None
    try:
        found = parse_date(text.strip())
    except ValueError:
        found = None
    if found is None:
        raise BadInput("This is no date.", [Fault(path, "Write the date as 2026-12-31.")])
    return found


def amount_of(text: str, path: str = "amount") -> Decimal | None:
    """An amount of money, not negative; None for nothing. BadInput in words for anything else."""
    if not text.strip():
        return None
    amount = money_typed(text)
    if amount is None:
        raise BadInput(
            "This is no amount.", [Fault(path, "Write it in figures, zero or more, as 24000 or 24000.50.")]
        )
    if amount >= 10**12:
        raise BadInput("This amount cannot be.", [Fault(path, "An amount is less than a million million.")])
    return amount


def answered(
    request: PageRequest, handoff: Handoff, action: str, words: str, *, detail: str = "", undo: bool = True
) -> HttpResponse:
    """The answer to an act: for htmx a toast with Undo and an event for the lists; else a redirect."""
    back = reverse("feedback:undo", args=[handoff.pk]) if undo else ""
    if request.htmx:
        response = HttpResponse(toast(words, detail=detail, undo=back))
        response["HX-Reswap"] = "none"
        event = {"id": handoff.pk, "lead": handoff.lead_id, "state": handoff.state, "action": action}
        response["HX-Trigger"] = json.dumps({"handoff-changed": event, "lf:close": {}})
        return response
    messages.success(request, f"{words} {detail}".strip())
    return redirect(_next(request) or f"/leads/{handoff.lead_id}/")


def _next(request: PageRequest) -> str:
    wanted = request.POST.get("next", "")
    safe = wanted[:1] == "/" and url_has_allowed_host_and_scheme(wanted, {request.get_host()})
    return wanted if safe else ""


def _by_reason(act: Callable[..., Handoff], action: str, done: str) -> Callable[..., HttpResponseBase]:
    @require_POST
    @roles(*SALES)
    def view(request: PageRequest, pk: int) -> HttpResponse:
        key = request.POST.get("reason") or request.POST.get("reason_key") or ""
        if not key:
            raise BadInput("Choose a reason.", [Fault("reason", "Choose one of the reasons.")])
        handoff = act(
            pk,
            person(request.user),
            reason_key=key,
            note=request.POST.get("note", "").strip(),
            date=date_of(request.POST.get("date", "")),
        )
        reason = terms.reason_of(handoff, handoff.reason_key)
        return answered(
            request,
            handoff,
            action,
            f"{handoff.lead} {done}: {reason.text.lower()}.",
            detail=consequence.follows(
                reason, terms.agreement_of(handoff)[1], at=handoff.closed_at or clock.now()
            ),
        )

    view.__name__ = action
    return view


reject = _by_reason(verdicts.reject, "reject", "rejected")
return_ = _by_reason(verdicts.return_, "return", "returned")
lose = _by_reason(verdicts.lose, "lose", "lost")


@require_POST
@roles(*SALES)
def qualify(request: PageRequest, pk: int) -> HttpResponse:
    """An opportunity, with amount, need and next date."""
    handoff = verdicts.qualify(
        pk,
        person(request.user),
        amount=amount_of(request.POST.get("amount", "")),
        need=request.POST.get("need", "").strip(),
        date=date_of(request.POST.get("date", "")),
    )
    return answered(request, handoff, "qualify", f"{handoff.lead} is an opportunity.")


@require_POST
@roles(*SALES)
def win(request: PageRequest, pk: int) -> HttpResponse:
    """A won deal."""
    amount = amount_of(request.POST.get("amount", ""))
    handoff = verdicts.win(pk, person(request.user), amount=amount)
    return answered(request, handoff, "win", f"Won: {handoff.lead} is a customer.")


@require_POST
@roles(*SALES, Role.MARKETER, Role.MARKETING_MANAGER)
def undo(request: PageRequest, pk: int) -> HttpResponse:
    """Take back the act just done."""
    handoff = verdicts.undo(pk, person(request.user))
    return answered(request, handoff, "undo", f"Taken back: {handoff.lead} is as before.", undo=False)


@require_POST
@roles(*SALES)
def undo_all(request: PageRequest) -> HttpResponse:
    """Take back an act that was done on several at once; what has moved on stays as it is, and is told."""
    actor = person(request.user)
    given = request.GET.getlist("handoff")[:UNDO_LIMIT]
    ids = [int(text) for text in given if text.isascii() and text.isdigit() and len(text) <= 18]
    done, left = [], []
    for pk in sorted(set(ids)):
        try:
            done.append(verdicts.undo(pk, actor))
        except (Conflict, Forbidden, NotVisible) as wrong:
            left.append(str(wrong) or "One of them is not yours any more.")
    if not done:
        raise Conflict(" ".join(dict.fromkeys(left)) or "There is nothing to take back.")
    words = f"Taken back: {len(done)} {'person is' if len(done) == 1 else 'people are'} as before."
    return answered(request, done[0], "undo", words, detail=" ".join(dict.fromkeys(left)), undo=False)


@require_POST
@roles(Role.MARKETER, Role.MARKETING_MANAGER)
def dispute(request: PageRequest, pk: int) -> HttpResponse:
    """Marketing objects to a rejection."""
    made = verdicts.dispute(pk, person(request.user), comment=request.POST.get("comment", ""))
    detail = f"Sales decides by {localtime(made.due_at):%a %-d %b}."
    return answered(request, made.handoff, "dispute", "Disputed.", detail=detail, undo=False)


@require_POST
@roles(Role.SALES_MANAGER)
def settle(request: PageRequest, pk: int) -> HttpResponse:
    """The sales manager decides about a dispute."""
    result: Any = request.POST.get("result", "")
    if result not in ("stands", "overturned"):
        raise BadInput(
            "Decide: the answer stands, or the lead is offered again.", [Fault("result", "Choose one.")]
        )
    made = verdicts.settle(
        pk,
        person(request.user),
        overturned=result == "overturned",
        comment=request.POST.get("comment", "").strip(),
    )
    return answered(
        request, made.handoff, "settle", f"Decided: {made.get_result_display().lower()}.", undo=False
    )


@require_POST
@roles(*SALES, Role.MARKETING_MANAGER)
def outcome(request: PageRequest, pk: int) -> HttpResponse:
    """What became of a lead: opportunity, won, lost, renewed, expanded, churned; today or earlier."""
    made = outcomes.record(
        pk,
        person(request.user),
        kind=request.POST.get("kind", ""),
        amount=amount_of(request.POST.get("amount", "")),
        reason=request.POST.get("reason", "").strip()[:2000],
        on=_instant_of(date_of(request.POST.get("on", ""), "on")),
    )
    messages.success(request, f"{made.lead}: {made.get_kind_display().lower()}, written down.")
    return redirect(_next(request) or f"/leads/{pk}/")


@require_POST
@roles(*SALES, Role.MARKETING_MANAGER)
def outcome_back(request: PageRequest, pk: int) -> HttpResponse:
    """What was clicked by mistake."""
    row = outcomes.take_back(pk, person(request.user))
    messages.success(request, f"Taken back: {row.get_kind_display().lower()}.")
    return redirect("feedback:customer", pk=row.lead_id)


def _instant_of(day: dt.date | None) -> dt.datetime | None:
    """When something happened that day, in the company's zone: its last instant, but never ahead of now."""
    if day is None:
        return None
    now = clock.now()
    zone = ZoneInfo(Organisation.get().tz)
    if day == now.astimezone(zone).date():
        return None
    return dt.datetime.combine(day, dt.time(23, 59, 59), zone)
