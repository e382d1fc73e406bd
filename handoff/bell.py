"""The bell: what happened to a person's leads, newest first. Reading it is a POST; a GET changes nothing."""

from collections.abc import Iterable, Sequence

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from handoff import notices
from handoff.models import Handoff, Notice
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
    context = {
        "notices": list(_with_links(rows, request.user)),
        "fresh": max((row.pk for row in rows if row.read_at is None), default=0),
        "in_bell": fragment,
    }
    return render(request, "handoff/_notices.html" if fragment else "handoff/notices.html", context)


def _with_links(rows: Sequence[Notice], user: User) -> Iterable[tuple[Notice, list[notices.Link], str]]:
    """Each notice with the acts that its reader can still do, and the lead in the CRM; two queries."""
    mine = Handoff.objects.filter(pk__in={row.handoff_id for row in rows}).filter(
        Q(owner=user) | Q(owner=None)
    )
    states = dict(mine.values_list("pk", "state"))
    crm = dict(Lead.objects.filter(pk__in={row.lead_id for row in rows}).values_list("pk", "crm_url"))
    for row in rows:
        pk = row.handoff_id or 0
        acts = notices.act_paths(pk, states[pk]) if pk in states and row.kind in notices.MINE else []
        yield row, acts, crm.get(row.lead_id or 0, "")


@require_POST
def read(request: HttpRequest) -> HttpResponse:
    """Note that the notices up to `upto` were seen; the number on the bell goes."""
    assert isinstance(request.user, User)
    upto = request.POST.get("upto", "")
    number = int(upto) if upto.isascii() and upto.isdigit() and len(upto) < 19 else 0
    notices.mark_read(request.user, clock.now(), number)
    return HttpResponse('<span hx-swap-oob="delete:#bell-count"></span>')
