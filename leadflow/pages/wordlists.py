"""A company's word lists beside those of the agreement: what differs, and how one gets into a draft.

A signed agreement keeps its own copy of each list. What is changed here counts when somebody takes it into a
draft, which shows as a change like any other and is signed with it.
"""

from dataclasses import dataclass

from leadflow.accounts.actors import Actor
from leadflow.leads.models import WordList
from scoring import agreements
from scoring.document import Document


@dataclass(frozen=True)
class Row:
    """A list; `pk` None: only the agreement has it. state: same, other (entries differ), new, agreed."""

    pk: int | None
    key: str
    label: str
    entries: list[str]
    state: str


def rows() -> list[Row]:
    """All lists by name: the company's own, then those that only the agreement has. Three queries."""
    shown = agreements.draft() or agreements.in_force()
    agreed = Document(shown.content).lists if shown else {}
    found = []
    for row in WordList.objects.order_by("label"):
        there = agreed.get(row.key)
        same = there is not None and set(there.entries) == set(row.entries)
        state = "new" if there is None else "same" if same else "other"
        found.append(Row(row.pk, row.key, row.label, list(row.entries), state))
    own = {row.key for row in found}
    found += [
        Row(None, one.key, one.label, list(one.entries), "agreed")
        for one in agreed.values()
        if one.key not in own
    ]
    return found


def take(actor: Actor, row: WordList) -> int:
    """Put a list into the draft, or into a new one; returns its number. Raises BadInput for an empty list
    that a rule needs, Conflict when somebody saved in between."""
    draft = agreements.draft() or agreements.create_draft(actor)
    lists = {
        **(draft.content.get("lists") or {}),
        row.key: {"label": row.label, "entries": list(row.entries)},
    }
    content = {**draft.content, "lists": lists}
    if content != draft.content:
        what, slot = f"List “{row.label}”: taken from the settings", f"list-{row.key}"
        agreements.save_draft(draft, content, actor, draft.lock_version, what=what, slot=slot)
    return draft.number
