"""Propose, sign, decline, take back, print."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET, require_POST

from leadflow.accounts.actors import person
from leadflow.accounts.models import Organisation, Role
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, Fault, NotVisible
from scoring import agreements
from scoring.editing import parts
from scoring.models import Agreement
from scoring.views.context import page_context
from scoring.views.desk import Desk, State, desk_of, writers
from scoring.views.reading import row_view
from scoring.views.sides import signers


@require_GET
def printed(request: HttpRequest) -> HttpResponseBase:
    """The whole agreement on paper, with what changes against the version before."""
    desk = desk_of(request)
    document = desk.document
    content = desk.agreement.content
    bars = [
        (p.title, parts.said(parts.get(p.raw, p.trees()[0].name), desk.words))
        for kind in ("mql", "leave", "bar", "fast")
        for p in parts.parts_of(content, kind)
    ]
    context = {
        "desk": desk,
        "agreement": desk.agreement,
        "document": document,
        "organisation": Organisation.get(),
        "definitions": parts.facts(next(parts.parts_of(content, "definitions")), document),
        "promises": parts.facts(next(parts.parts_of(content, "promises")), document),
        "cards": [
            (p.title, parts.facts(p, document))
            for k in ("admission", "rules", "must_know", "days", "grade")
            for p in parts.parts_of(content, k)
        ],
        "stages": [(row_view(desk, p)) for p in parts.parts_of(content, "stage")],
        "groups": [
            (
                words,
                document.groups[group],
                [
                    row_view(desk, p)
                    for p in parts.parts_of(content, "criterion")
                    if p.raw.get("group") == group
                ],
            )
            for group, words in (("fit", "Who"), ("behaviour", "What they do"), ("value", "Who is buying"))
        ],
        "exclusions": [row_view(desk, p) for p in parts.parts_of(content, "exclusion")],
        "bars": bars,
        "sla": [
            (
                p.title,
                [parts.minutes(int(p.raw.get(k) or 0)) for k in ("accept", "first_touch", "next_attempt")],
            )
            for p in parts.parts_of(content, "sla")
        ],
        "signers": signers(desk),
        "seal": " ".join(desk.agreement.sha256[i : i + 4] for i in range(0, 16, 4)).strip(),
    }
    return render(request, "scoring/print.html", context)


@require_POST
@writers
def propose(request: HttpRequest) -> HttpResponseBase:
    """Freeze the draft and ask both sides to sign."""
    desk = desk_of(request, drafting=True)
    try:
        made = agreements.propose(
            desk.agreement,
            person(desk.user),
            note=request.POST.get("note", ""),
            in_force_from=_day(request.POST, desk),
            release_choice=request.POST.get("release", Agreement.Release.TRICKLE),
        )
    except BadInput as bad:
        return _sign_page(request, bad)
    messages.success(request, f"v{made.number} is proposed: a manager of each side signs now.")
    return redirect("scoring:tab", tab="sign")


def _day(data: QueryDict, desk: Desk) -> datetime | None:
    """The day on which it is to be in force, in the zone of the agreement; None: at once."""
    text = data.get("in_force_from", "").strip()
    if data.get("when") != "day":
        return None
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise BadInput("Write the day and the hour.", [Fault("in_force_from", "Write the day and the hour.")])
    return timezone.make_aware(found, ZoneInfo(desk.user.zone)) if timezone.is_naive(found) else found


def _sign_page(request: HttpRequest, bad: BadInput) -> HttpResponseBase:
    """The sign-off page again, with what is wrong; what was typed stays."""
    context = page_context(request, desk_of(request), "sign")
    errors = {fault.path: fault.message for fault in bad.faults}
    context |= {"typed": request.POST, "wrong": bad.message, "errors": errors}
    return render(request, "scoring/agreement.html", context, status=400)


def _named(request: HttpRequest) -> Agreement:
    number = request.POST.get("v", "")
    found = (
        Agreement.objects.filter(number=int(number)).first() if number.isdigit() and len(number) < 9 else None
    )
    if found is None:
        raise NotVisible
    return found


@require_POST
@roles(Role.MARKETING_MANAGER, Role.SALES_MANAGER)
def sign(request: HttpRequest) -> HttpResponseBase:
    """Sign for one's side; the password is asked once more."""
    user: Any = request.user
    agreement = _named(request)
    password = request.POST.get("password", "")
    if authenticate(request, username=user.email, password=password) != user:
        wrong = BadInput("Not signed.", [Fault("password", "This is not your password.")])
        return _sign_page(request, wrong)
    made = agreements.sign(agreement, person(user))
    words = {
        State.IN_FORCE: f"v{made.number} is in force. Every lead is being scored by it.",
        State.SIGNED: f"v{made.number} is signed by both sides.",
    }
    messages.success(request, words.get(State(made.state), "Signed. The other side is asked now."))
    return redirect("scoring:tab", tab="sign")


@require_POST
@roles(Role.MARKETING_MANAGER, Role.SALES_MANAGER)
def decline(request: HttpRequest) -> HttpResponseBase:
    """Say no for one's side, with the reason."""
    user: Any = request.user
    agreement = _named(request)
    try:
        agreements.decline(agreement, person(user), request.POST.get("comment", ""))
    except BadInput as bad:
        return _sign_page(request, bad)
    messages.success(request, f"v{agreement.number} is declined; the reason stands in the history.")
    return redirect(f"{reverse('scoring:tab', args=['sign'])}?{urlencode({'v': agreement.number})}")


@require_POST
@writers
def withdraw(request: HttpRequest) -> HttpResponseBase:
    """Take a proposal back."""
    user: Any = request.user
    agreement = _named(request)
    agreements.withdraw(agreement, person(user), request.POST.get("reason", "")[:500])
    messages.success(request, f"v{agreement.number} is withdrawn.")
    return redirect("scoring:agreement")
