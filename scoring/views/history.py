"""What became of the agreement: any two versions side by side in words, and an old one as a new draft."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from leadflow.accounts.actors import person
from leadflow.errors import NotVisible
from scoring import agreements
from scoring.editing import changes, parts
from scoring.models import Agreement
from scoring.signing import proof
from scoring.views.desk import STATE_WORDS, Desk, State, authors, desk_of, writers


@require_GET
def compare(request: HttpRequest) -> HttpResponseBase:
    """What one version says otherwise than another: who, when, signed by whom, and each change in words."""
    numbers = list(Agreement.objects.order_by("-number").values_list("number", "state"))
    if not numbers:
        raise NotVisible
    desk = desk_of(request)
    old, new = _pair(request, desk)
    found = changes.between(old.content, new.content)
    by_tab: dict[str, list[changes.Change]] = {}
    for change in found:
        by_tab.setdefault(change.tab, []).append(change)
    context = {
        "desk": desk,
        "old": _column(old),
        "new": _column(new),
        "count": len(found),
        "groups": [(parts.TABS[tab], by_tab[tab]) for tab in parts.TABS if tab in by_tab],
        "choices": [(number, STATE_WORDS[State(state)][0].format(number)) for number, state in numbers],
        "version": f"?v={new.number}",
        "recent": authors(Desk(desk.user, new, desk.draft, desk.in_force, old)),
        "proofs": proof.WORDS,
    }
    return render(request, "scoring/compare.html", context)


def _pair(request: HttpRequest, desk: Desk) -> tuple[Agreement, Agreement]:
    """The two versions that are asked for; else the one on the desk and what it was drafted from."""
    rows = Agreement.objects.select_related("created_by", "proposed_by").prefetch_related(
        "signatures__user", "declines__user"
    )
    new = _numbered(rows, request.GET.get("new", ""), desk.agreement.number)
    before = new.based_on.number if new.based_on else new.number
    return _numbered(rows, request.GET.get("old", ""), before), new


def _numbered(rows: Any, text: str, otherwise: int) -> Agreement:
    number = int(text) if text.isdigit() and len(text) < 9 else otherwise if not text else -1
    found: Agreement | None = rows.filter(number=number).first()
    if found is None:
        raise NotVisible
    return found


def _column(agreement: Agreement) -> dict[str, Any]:
    words, look = STATE_WORDS[State(agreement.state)]
    return {"row": agreement, "words": words.format(agreement.number), "look": look}


@require_POST
@writers
def restore(request: HttpRequest) -> HttpResponseBase:
    """The text of a version as a new draft, or put into the one that is open (where undo takes it back)."""
    user: Any = request.user
    of = _numbered(Agreement.objects.all(), request.POST.get("of", ""), -1)
    if of.state == State.DRAFT:
        raise NotVisible
    what = f"the text of v{of.number}"
    draft = agreements.draft()
    if draft is None:
        based_on = agreements.in_force() or of
        made = agreements.create_draft(person(user), based_on=based_on, content=of.content)
        messages.success(request, f"Draft of v{made.number}, with {what}: change it, then propose it.")
    else:
        made = agreements.save_draft(draft, of.content, person(user), draft.lock_version, what=what)
        messages.success(request, f"The draft of v{made.number} has {what} now. Undo takes it back.")
    return redirect("scoring:tab", tab="definitions")
