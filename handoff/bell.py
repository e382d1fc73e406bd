"""The bell: what happened to a person's leads, newest first. Reading it is a POST; a GET changes nothing."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from handoff import notices
from leadflow import clock
from leadflow.accounts.models import User
from leadflow.leads.models import Lead

IN_BELL = 12
ON_PAGE = 100


@require_GET
def bell(request: HttpRequest) -> HttpResponse:
    """The fragment under the bell, or the whole page."""
    assert isinstance(request.user, User)
    fragment = bool(getattr(request, "htmx", False))
    rows = list(notices.latest(request.user, IN_BELL if fragment else ON_PAGE))
    links = dict(Lead.objects.filter(pk__in={row.lead_id for row in rows}).values_list("pk", "crm_url"))
    context = {
        "notices": [(row, links.get(row.lead_id or 0, "")) for row in rows],
        "fresh": max((row.pk for row in rows if row.read_at is None), default=0),
        "in_bell": fragment,
    }
    return render(request, "handoff/_notices.html" if fragment else "handoff/notices.html", context)


@require_POST
def read(request: HttpRequest) -> HttpResponse:
    """Note that the notices up to `upto` were seen; the number on the bell goes."""
    assert isinstance(request.user, User)
    upto = request.POST.get("upto", "")
    number = int(upto) if upto.isascii() and upto.isdigit() and len(upto) < 19 else 0
    notices.mark_read(request.user, clock.now(), number)
    return HttpResponse('<span hx-swap-oob="delete:#bell-count"></span>')
