"""Propose, sign, decline, take back: on the sign-off page, and by the link in a mail."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, NotVisible
from scoring import agreements, room
from scoring.models import Agreement, SignLink
from scoring.signing import links, load, proof, refusals, when
from scoring.views.context import page_context
from scoring.views.desk import Desk, State, desk_of, writers

View = Callable[..., HttpResponseBase]
DONE = {
    State.IN_FORCE: "v{} is in force. Every lead is being scored by it.",
    State.SIGNED: "v{} is signed by both sides.",
    State.PROPOSED: "You have signed v{}. The other side is asked now.",
}


def noting(act: str) -> Callable[[View], View]:
    """Leave a refusal of this act in the audit trail, whoever gives it: the role, the state, or the input."""

    def wrap(view: View) -> View:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated or request.method != "POST":
                return view(request, *args, **kwargs)
            about = agreements.draft() if act == "propose" else _asked(request)
            with refusals.noted(person(request.user), act, about):
                return view(request, *args, **kwargs)

        return inner

    return wrap


@require_POST
@noting("propose")
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
        refusals.note(person(desk.user), "propose", desk.agreement, refusals.words(bad))
        return _sign_page(request, bad, desk)
    messages.success(request, f"v{made.number} is proposed: a manager of each side signs now.")
    return redirect(_page_of(made))


def _day(data: QueryDict, desk: Desk) -> datetime | None:
    """The day on which it is to be in force, in the zone of the agreement; None: at once."""
    if data.get("when") != "day":
        return None
    return when.instant(data.get("in_force_from", ""), desk.document.zone)


@require_POST
@noting("sign")
@roles(Role.MARKETING_MANAGER, Role.SALES_MANAGER)
def sign(request: HttpRequest) -> HttpResponseBase:
    """Sign for one's side; the password is asked once more unless it was given just now."""
    user: Any = request.user
    agreement = _named(request)
    if agreements.side_of(user) is None:
        return _signed(request, agreement, "")
    try:
        method = proof.given(request, request.POST.get("password", ""))
    except BadInput as bad:
        refusals.note(person(user), "sign", agreement, refusals.words(bad))
        return _sign_page(request, bad)
    return _signed(request, agreement, method)


@never_cache
@noting("sign")
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, secret: str) -> HttpResponseBase:
    """What the link in the mail leads to: looking changes nothing, the button signs."""
    user: Any = request.user
    link = links.find(secret)
    if link is None:
        raise NotVisible
    trouble = links.trouble(link, user, agreements.side_of(user), clock.now())
    if trouble:
        refusals.note(person(user), "sign", link.agreement, trouble)
        # Who holds somebody else's link learns nothing of what it is about.
        whose = link if link.user_id == user.pk else None
        context = {"trouble": trouble, "agreement": whose.agreement if whose else None}
        return render(request, "scoring/by_link.html", context, status=410 if whose else 403)
    if request.method != "POST":
        return _link_page(request, link)
    try:
        method = proof.given(request, request.POST.get("password", ""), by_link=True)
    except BadInput as bad:
        refusals.note(person(user), "sign", link.agreement, refusals.words(bad))
        return _link_page(request, link, bad)
    return _signed(request, link.agreement, method, link)


def _link_page(request: HttpRequest, link: SignLink, bad: BadInput | None = None) -> HttpResponse:
    request.GET = QueryDict(f"v={link.agreement.number}")
    desk = desk_of(request)
    context = {
        "desk": desk,
        "agreement": link.agreement,
        "link": link,
        "side": link.get_side_display(),
        "needs_password": proof.needs_password(request, by_link=True),
        "errors": {fault.path: fault.message for fault in bad.faults} if bad else {},
        "recent": {},
        "release_words": Agreement.Release(link.agreement.release).label,
    }
    return render(request, "scoring/by_link.html", context, status=400 if bad else 200)


def _signed(
    request: HttpRequest, agreement: Agreement, method: str, link: SignLink | None = None
) -> HttpResponseBase:
    user: Any = request.user
    side = request.POST.get("side", "")
    made = agreements.sign(agreement, person(user), method=method, link=link, side=side)
    messages.success(request, DONE[State(made.state)].format(made.number))
    return redirect(_page_of(made))


@require_POST
@noting("decline")
@roles(Role.MARKETING_MANAGER, Role.SALES_MANAGER)
def decline(request: HttpRequest) -> HttpResponseBase:
    """Say no for one's side, with the reason."""
    user: Any = request.user
    agreement = _named(request)
    try:
        agreements.decline(agreement, person(user), request.POST.get("comment", ""))
    except BadInput as bad:
        refusals.note(person(user), "decline", agreement, refusals.words(bad))
        return _sign_page(request, bad)
    messages.success(request, f"v{agreement.number} is declined; both sides read why.")
    return redirect(_page_of(agreement))


@require_POST
@noting("withdraw")
@writers
def withdraw(request: HttpRequest) -> HttpResponseBase:
    """Take a proposal back."""
    user: Any = request.user
    agreement = _named(request)
    agreements.withdraw(agreement, person(user), request.POST.get("reason", "")[:500])
    messages.success(request, f"v{agreement.number} is withdrawn.")
    return redirect(_page_of(agreement))


@require_GET
def loads(request: HttpRequest) -> HttpResponseBase:
    """What each way of letting in those above the bar means for the reps; asked for after the page stands."""
    desk = desk_of(request)
    at = clock.now()
    found = load.of(desk.agreement, room.ask(desk.document, at), at)
    return render(request, "scoring/_load.html", {"load": found, "chosen": request.GET.get("chosen", "")})


def _sign_page(request: HttpRequest, bad: BadInput, desk: Desk | None = None) -> HttpResponseBase:
    """The sign-off page again, with what is wrong; what was typed stays."""
    if desk is None:
        request.GET = QueryDict(urlencode({"v": _named(request).number}))
        desk = desk_of(request)
    context = page_context(request, desk, "sign")
    errors = {fault.path: fault.message for fault in bad.faults}
    context |= {"typed": request.POST, "wrong": bad.message, "errors": errors}
    return render(request, "scoring/agreement.html", context, status=400)


def _page_of(agreement: Agreement) -> str:
    return f"{reverse('scoring:tab', args=['sign'])}?{urlencode({'v': agreement.number})}"


def _asked(request: HttpRequest) -> Agreement | None:
    """The version that a form names."""
    number = request.POST.get("v", "")
    if not (number.isdecimal() and len(number) < 9):
        return None
    return Agreement.objects.filter(number=int(number)).first()


def _named(request: HttpRequest) -> Agreement:
    found = _asked(request)
    if found is None:
        raise NotVisible
    return found
