"""What a tab shows: its cards and lists, row by row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scoring.editing import nurture, parts, sla
from scoring.editing.parts import Part
from scoring.views import overview
from scoring.views.desk import Desk, State

# What each page shows in cards and in lists, in this order.
LAYOUT: dict[str, tuple[tuple[str, str, str], ...]] = {
    "definitions": (
        ("definitions", "definitions", ""),
        ("personas", "persona", "Whom we look for"),
        ("stages", "stage", "Stages: who holds the lead, and from when"),
        ("card", "words", ""),
    ),
    "who": (
        ("list", "criterion", ""),
        ("list", "exclusion", "Left out: not a lead, whatever the points say"),
        ("list", "list", "Lists that the rules use"),
    ),
    "behaviour": (("list", "criterion", ""),),
    "value": (("list", "criterion", ""),),
    "thresholds": (
        ("list", "bar", ""),
        ("list", "fast", "At once to sales: fast tracks"),
        ("list", "mql", ""),
        ("list", "leave", ""),
        ("card", "days", ""),
        ("card", "grade", ""),
        ("card", "total", ""),
    ),
    "handoff": (
        ("list", "sla", "How fast sales answers: the first that fits counts"),
        ("card", "admission", ""),
        ("card", "rules", ""),
        ("card", "must_know", ""),
        ("card", "promises", ""),
    ),
    "reasons": (
        ("list", "reason", "Why sales says no, and what follows"),
        ("list", "track", "Tracks: what marketing sends while it waits"),
    ),
    "sign": (),
    "history": (),
}


# Drawn in ways of their own, by fragments of their own.
ROWS: dict[str, Callable[[Desk], Sequence[Any]]] = {
    "personas": overview.persona_cards,
    "stages": overview.stage_lines,
}
TAB_WORDS = {
    "definitions": ("Definitions", "The words we use, so that both sides mean the same."),
    "who": ("Who", "How well a lead fits. With “who is buying” it makes the letter in the grade: A1, B2."),
    "behaviour": ("What they do", "How ready a lead is. It makes the number in the grade: A1, B2."),
    "value": ("Who is buying", "How big the prize may be. With “who” it makes the letter in the grade."),
    "thresholds": ("Thresholds", "From when marketing works a lead, and from when sales does."),
    "handoff": ("Handoff & SLA", "How a lead changes hands, and what we promise each other."),
    "reasons": ("Reasons & nurture", "What sales can answer, and what becomes of the lead then."),
    "sign": ("Sign-off", ""),
    "history": ("History", ""),
}


@dataclass(frozen=True)
class RowView:
    """One part as it is read."""

    part: Part
    how: str = ""
    points: str = ""
    points_was: str = ""
    mark: str = ""
    off: bool = False
    live: bool = False
    facts: Sequence[tuple[str, str]] = ()
    sentences: Sequence[tuple[str, str]] = ()
    rules: Sequence[tuple[str, Sequence[str]]] = ()
    movable: bool = False
    switch: bool = False
    note: str = ""


def sections_of(desk: Desk, tab: str) -> list[dict[str, Any]]:
    found = []
    for style, kind, title in LAYOUT[tab]:
        items = [p for p in parts.parts_of(desk.agreement.content, kind) if p.tab == tab]
        if kind == "criterion":
            count = len([p for p in items if p.raw.get("on", True)])
            title = f"{count} {'criterion' if count == 1 else 'criteria'}"
        shape = parts.SHAPES[kind]
        found.append(
            {
                "style": style,
                "kind": kind,
                "title": title,
                "rows": ROWS[style](desk) if style in ROWS else [row_view(desk, p) for p in items],
                "words": overview.definitions(desk) if style == "definitions" else (),
                "add": shape.add if desk.editable else "",
                "sortable": kind == "criterion" and desk.editable,
                "gone": [c for c in desk.changes if c.how == "removed" and c.kind == kind and c.tab == tab],
            }
        )
    return found


def row_view(desk: Desk, found: Part) -> RowView:
    """One part as it is read, with its mark where it changed."""
    change = desk.change(found)
    mark = change.how if change and desk.agreement.state != State.IN_FORCE else ""
    if found.kind != "criterion":
        return _part_row(desk, found, mark)
    raw, off = found.raw, found.raw.get("on") is False
    was = next((s.was for s in change.steps if s.label == "Points"), "") if change else ""
    return RowView(
        found,
        parts.how(raw, desk.words),
        parts.points(raw),
        was if mark else "",
        mark,
        off,
        not off,
        movable=True,
        switch=True,
        note=str(raw.get("why") or ""),
    )


def _part_row(desk: Desk, found: Part, mark: str) -> RowView:
    conditions = [(one.label, parts.get(found.raw, one.name)) for one in found.trees()]
    said = [(label, condition) for label, condition in conditions if condition]
    rules = [
        (label if len(conditions) > 1 else "", *parts.outline(condition, desk.words))
        for label, condition in said
    ]
    if found.kind == "sla":
        head, lines = parts.outline(found.raw.get("when"), desk.words)
        said_so = "; ".join(lines) if found.raw.get("when") else "everybody else"
        rules = [("For", " ".join(filter(None, [head, said_so])), sla.sentences(found.raw))]
    if found.kind == "reason":
        rules = [("", "", [nurture.reason_sentence(found, desk.document, desk.words)])]
    if found.kind == "track":
        rules = [("", "Steps", nurture.lines(found, desk.document) or ["no steps yet"])]
    return RowView(
        found,
        mark=mark,
        off=found.raw.get("on") is False,
        facts=() if found.kind in ("sla", "track") else _shown_facts(desk, found),
        sentences=[(label, parts.said(condition, desk.words)) for label, condition in said],
        rules=[(" ".join(text for text in (label, head) if text), lines) for label, head, lines in rules],
        movable=found.kind in ("exclusion", "sla"),
        switch=found.kind == "exclusion",
    )


def _shown_facts(desk: Desk, found: Part) -> list[tuple[str, str]]:
    """The plain fields that a row tells: what its title says, or says nothing, is left out."""
    facts = [pair for pair in parts.facts(found, desk.document) if pair[1] not in ("–", found.title)]
    if found.kind == "reason":
        return [pair for pair in facts if pair[0] in nurture.BESIDE and pair[1] not in ("no", "0")]
    only = {"exclusion": "Why", "list": "Entries"}.get(found.kind)
    return [pair for pair in facts if only in (None, pair[0])]


def limits_of(desk: Desk, tab: str) -> RowView | None:
    group = parts.TAB_GROUPS.get(tab)
    found = parts.part(desk.agreement.content, "limits", group) if group else None
    return row_view(desk, found) if found else None
