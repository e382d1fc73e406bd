"""Pages beside the queue: the views that a person keeps, the call sheet, and giving several leads at once."""

import json
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from handoff import calls, giving, kept, sieve
from handoff import queue as selectors
from handoff.models import Handoff
from handoff.views import GIVE_LIMIT, SALES, ids_of, next_due, reader
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, Conflict
from leadflow.web import PageRequest, toast

# ---- Kept views -------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@roles(*SALES)
def keep(request: PageRequest) -> HttpResponse:
    """Keep what is shown as a tab of its own: the form, and the act."""
    user = reader(request)
    tab, only = selectors.tab_of(user, request.GET.get("tab", "")), sieve.read(request.GET)
    context: dict[str, Any] = {"query": kept.address(tab, only), "sieve": only, "name": ""}
    if request.method == "POST":
        try:
            made = kept.save(user, request.POST.get("name", ""), tab, only)
        except BadInput as wrong:
            return _form(request, {**context, "name": request.POST.get("name", "")}, wrong)
        messages.success(request, f"“{made.name}” is a tab of yours now.")
        return _to(request, made.query)
    return _form(request, context)


@require_http_methods(["GET", "POST"])
@roles(*SALES)
def view(request: PageRequest, pk: int) -> HttpResponse:
    """A kept view: another name, its link for colleagues, or away with it (`delete`)."""
    user = reader(request)
    found = kept.find(user, pk)
    link = request.build_absolute_uri(f"{reverse('handoff:queue')}?{found.query}")
    context: dict[str, Any] = {"view": found, "sieve": found.sieve, "name": found.name, "link": link}
    if request.method == "GET":
        return _form(request, context)
    if request.POST.get("delete"):
        kept.delete(user, pk)
        messages.success(request, f"“{found.name}” is no tab any more.")
        return _to(request, urlencode({"tab": found.tab}))
    try:
        kept.rename(user, pk, request.POST.get("name", ""))
    except BadInput as wrong:
        return _form(request, {**context, "name": request.POST.get("name", "")}, wrong)
    return _to(request, found.query)


def _form(request: PageRequest, context: dict[str, Any], wrong: BadInput | None = None) -> HttpResponse:
    fault = (wrong.faults[0].message if wrong.faults else wrong.message) if wrong else ""
    template = "handoff/_keep.html" if request.htmx else "handoff/keep.html"
    return render(request, template, {**context, "fault": fault}, status=422 if fault else 200)


def _to(request: PageRequest, query: str) -> HttpResponse:
    url = f"{reverse('handoff:queue')}?{query}"
    if not request.htmx:
        return redirect(url)
    return HttpResponse(status=204, headers={"HX-Redirect": url})


# ---- The call sheet ---------------------------------------------------------------------------------------


@require_GET
@roles(*SALES)
def sheet(request: PageRequest) -> HttpResponse:
    """Whom to call now, in order: tap to call, one tap for how it went, the next one opens."""
    return _sheet(request)


@require_POST
@roles(*SALES)
def called(request: PageRequest, pk: int) -> HttpResponse:
    """How a call of the sheet went; answers with the sheet as it is then."""
    found = selectors.find(reader(request), pk)
    done = calls.note(found, request.POST, person(request.user))
    words, detail = calls.words(done, request.POST), next_due("Next attempt", done)
    if not request.htmx:
        messages.success(request, f"{words} {detail}".strip())
        return redirect("handoff:calls")
    response = _sheet(request)
    response.content += toast(words, detail=detail, undo=reverse("feedback:undo", args=[pk])).encode()
    return response


def _sheet(request: PageRequest) -> HttpResponse:
    user, now = reader(request), clock.now()
    context = {"sheet": calls.due_now(user, now), "now": now, **selectors.choices(user, now)}
    return render(request, "handoff/_calls.html" if request.htmx else "handoff/calls.html", context)


# ---- Several at once --------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@roles(Role.SALES_MANAGER)
def give(request: PageRequest) -> HttpResponse:
    """Give the chosen leads to somebody else, with one reason: the bar above the list, and the act."""
    user = reader(request)
    if request.method == "GET":
        context = {"receivers": selectors.receivers(user, user.team_id)}
        return render(request, "handoff/_give.html", context)
    wanted = ids_of(request.POST.getlist("handoff"), GIVE_LIMIT)
    chosen = list(Handoff.objects.filter(selectors.visible(user), pk__in=wanted).select_related("lead"))
    to = request.POST.get("to", "")
    done, left = giving.give(chosen, to, request.POST.get("reason", ""), person(user))
    if not done:
        raise Conflict(" ".join(left))
    name = done[0].owner.name if done[0].owner else "the team's pool"
    words = f"Gave {len(done)} {'lead' if len(done) == 1 else 'leads'} to {name}."
    detail = " ".join([*left, "Each lead's own clock runs on."])
    if not request.htmx:
        messages.success(request, f"{words} {detail}")
        return redirect("handoff:queue")
    back = f"{reverse('feedback:undo-all')}?{urlencode([('handoff', row.pk) for row in done])}"
    response = HttpResponse(toast(words, detail=detail, undo=back))
    response["HX-Reswap"] = "none"
    event = {"id": done[-1].pk, "ids": [row.pk for row in done], "action": "reassign"}
    response["HX-Trigger"] = json.dumps({"handoff-changed": event})
    return response
