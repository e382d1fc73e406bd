"""The agreement in the browser: its tabs, the counts beside the criteria, and a new draft."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from leadflow.accounts.actors import person
from leadflow.accounts.models import Role
from leadflow.errors import NotVisible
from leadflow.web import PageRequest
from scoring import agreements
from scoring.editing import parts, suggest, tree
from scoring.editing.parts import Part
from scoring.models import Agreement
from scoring.views.context import page_context
from scoring.views.desk import Desk, desk_of, writers
from scoring.views.forms import form_view

DEFAULT_TAB = "behaviour"


@require_GET
def page(request: PageRequest, tab: str = DEFAULT_TAB) -> HttpResponseBase:
    """One tab of the agreement, as a page or as its body."""
    if tab not in parts.TABS:
        raise NotVisible
    if not request.GET.get("v") and not Agreement.objects.exists():
        return render(request, "scoring/none.html", {"may_write": _may_write(request)})
    desk = desk_of(request)
    context = page_context(request, desk, tab)
    slot = request.GET.get("edit", "")
    if slot and desk.editable:
        found = _part_of_slot(desk, slot)
        if found is not None:
            context["open_form"] = form_view(
                desk, found, suggest.with_counts(tree.choices_for(desk.document))
            )
    if request.htmx and request.htmx.target == "agreement-body":
        return render(request, "scoring/_body.html", context)
    return render(request, "scoring/agreement.html", context)


def _may_write(request: PageRequest) -> bool:
    user: Any = request.user
    return Role(user.role) in agreements.WRITERS


def _part_of_slot(desk: Desk, slot: str) -> Part | None:
    kind, _, key = slot.partition("-")
    return parts.part(desk.agreement.content, kind, key)


@require_POST
@writers
def start(request: PageRequest) -> HttpResponseBase:
    """A new draft, of the version in force or of the one asked for."""
    user: Any = request.user
    number = request.POST.get("of", "")
    of = (
        Agreement.objects.filter(number=int(number)).first()
        if number.isdecimal() and len(number) < 9
        else None
    )
    made = agreements.create_draft(person(user), based_on=of)
    messages.success(request, f"Draft of v{made.number}: change it, then propose it to both sides.")
    return redirect("scoring:tab", tab=tab_of(request))


@require_POST
@writers
def discard(request: PageRequest) -> HttpResponseBase:
    """Put the draft aside."""
    desk = desk_of(request, drafting=True)
    agreements.discard_draft(desk.agreement, person(desk.user))
    messages.success(request, f"The draft of v{desk.agreement.number} is put aside; it stays in the history.")
    return redirect("scoring:agreement")


def tab_of(request: PageRequest) -> str:
    tab = request.POST.get("tab", DEFAULT_TAB)
    return tab if tab in parts.TABS else DEFAULT_TAB
