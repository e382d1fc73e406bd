"""What became of the agreement: any two versions side by side in words, and an old one as a new draft."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from leadflow.accounts.actors import person
from leadflow.errors import NotVisible
from scoring import agreements
from scoring.editing import parts
from scoring.editing.changes import Change
from scoring.models import Agreement
from scoring.signing import proof
from scoring.views.desk import STATE_WORDS, Desk, State, authors, writers

SHOWN = ("number", "state", "based_on__number")


@require_GET
def compare(request: HttpRequest) -> HttpResponseBase:
    """What one version says otherwise than another: who, when, signed by whom, and each change in words."""
    user: Any = request.user
    versions = {row["number"]: row for row in Agreement.objects.order_by("-number").values(*SHOWN)}
    if not versions:
        raise NotVisible
    new = _number(request.GET.get("new", ""), max(versions))
    before = versions[new]["based_on__number"] if new in versions else None
    old = _number(request.GET.get("old", ""), before or new)
    rows = Agreement.objects.filter(number__in={old, new}).select_related("created_by", "proposed_by")
    found = {row.number: row for row in rows.prefetch_related("signatures__user", "declines__user")}
    if not {old, new} <= found.keys():
        raise NotVisible
    open_draft = next((row["number"] for row in versions.values() if row["state"] == State.DRAFT), None)
    desk = Desk(user, found[new], None, None, found[old])
    by_tab: dict[str, list[Change]] = {}
    for change in desk.changes:
        by_tab.setdefault(change.tab, []).append(change)
    context = {
        "desk": desk,
        "old": _column(found[old]),
        "new": _column(found[new]),
        "open_draft": open_draft,
        "count": len(desk.changes),
        "groups": [(parts.TABS[tab], by_tab[tab]) for tab in parts.TABS if tab in by_tab],
        "choices": [
            (number, STATE_WORDS[State(row["state"])][0].format(number)) for number, row in versions.items()
        ],
        "version": f"?v={new}",
        "recent": authors(desk),
        "proofs": proof.WORDS,
    }
    return render(request, "scoring/compare.html", context)


def _number(text: str, otherwise: int) -> int:
    """The version that is asked for; 0, which none has, for what is no number."""
    if not text:
        return otherwise
    return int(text) if text.isdecimal() and len(text) < 9 else 0


def _column(agreement: Agreement) -> dict[str, Any]:
    words, look = STATE_WORDS[State(agreement.state)]
    return {"row": agreement, "words": words.format(agreement.number), "look": look}


@require_POST
@writers
def restore(request: HttpRequest) -> HttpResponseBase:
    """The text of a version as a new draft, or put into the one that is open (where undo takes it back)."""
    user: Any = request.user
    number = _number(request.POST.get("of", ""), 0)
    of = Agreement.objects.filter(number=number).exclude(state=State.DRAFT).first()
    if of is None:
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
