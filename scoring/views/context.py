"""What every page of the agreement needs, and what this one shows."""

from typing import Any

from django.http import HttpRequest

from scoring.editing import parts, steps
from scoring.views.desk import STATE_WORDS, Desk, State, authors
from scoring.views.reading import TAB_WORDS, limits_of, sections_of
from scoring.views.sides import history_context, sign_context, signers


def page_context(request: HttpRequest, desk: Desk, tab: str) -> dict[str, Any]:
    """What every tab needs, and what this one shows."""
    agreement = desk.agreement
    words, look = STATE_WORDS[State(agreement.state)]
    counts: dict[str, int] = {}
    for change in desk.changes:
        counts[change.tab] = counts.get(change.tab, 0) + 1
    title, sub = TAB_WORDS[tab]
    context: dict[str, Any] = {
        "desk": desk,
        "agreement": agreement,
        "state_words": words.format(agreement.number),
        "state_look": look,
        "tab": tab,
        "tabs": [
            (key, label, counts.get(key, 0) if desk.editable else 0) for key, label in parts.TABS.items()
        ],
        "title": title,
        "sub": sub,
        "version": f"?v={agreement.number}" if request.GET.get("v") else "",
        "sections": sections_of(desk, tab),
        "group": parts.TAB_GROUPS.get(tab, ""),
        "limits": limits_of(desk, tab),
        "floor_holds": tab in parts.TAB_GROUPS and desk.document.groups[parts.TAB_GROUPS[tab]].floor < 0,
        "signers": signers(desk),
        "recent": authors(desk),
    }
    if desk.editable:
        context |= {"undo": steps.next_undo(agreement), "redo": steps.next_redo(agreement)}
    if tab == "sign":
        context |= sign_context(request, desk)
    if tab == "history":
        context |= history_context(desk)
    return context
