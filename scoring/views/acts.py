"""What the buttons of a draft do: duplicate, remove, switch, move, order, put back, undo, redo."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from leadflow.accounts.actors import person
from leadflow.errors import Conflict, NotVisible
from leadflow.web import PageRequest, with_toast
from scoring import agreements
from scoring.editing import parts, tree
from scoring.editing.parts import Part
from scoring.views.desk import Desk, desk_of, writers
from scoring.views.edit import again, done, gone, redirect_body, save


@require_POST
@writers
@again
def act(request: PageRequest, kind: str, key: str, do: str) -> HttpResponseBase:
    """Duplicate, remove, switch, move or put back one part."""
    desk = desk_of(request, drafting=True)
    content = desk.agreement.content
    found = parts.part(content, kind, key)
    if do == "restore":
        return _restore(request, desk, found, kind, key)
    if found is None:
        raise gone(desk, f"{kind}-{key}")
    made: Mapping[str, Any]
    target, what = found, f"{found.title}: {do}"
    if do == "copy" and found.shape.add:
        target = parts.copied(content, found, tree.choices_for(desk.document))
        made, what = _beneath(content, found, target), f"{found.title}: duplicated"
    elif do == "remove" and found.shape.add:
        made, what = parts.without_part(content, found), f"{found.title}: removed"
    elif do == "switch" and "on" in found.raw:
        on = not found.raw["on"]
        made, what = (
            parts.with_part(content, found, {**found.raw, "on": on}),
            f"{found.title}: switched {'on' if on else 'off'}",
        )
    elif do in ("up", "down") and kind in ("criterion", "exclusion", "sla"):
        made, what = _moved(content, found, -1 if do == "up" else 1), f"{found.title}: moved"
    else:
        raise NotVisible
    if made != content:
        save(desk, made, what, target.slot)
    return done(request, target, found.tab)


def _beneath(content: Mapping[str, Any], found: Part, copy: Part) -> dict[str, Any]:
    """The content with the copy right after the one it was made of (a promise: ahead of the last one)."""
    made = parts.with_part(content, copy, copy.raw)
    if found.kind == "sla":
        return made
    rows = parts.inner(made, found.shape.where)
    if isinstance(rows, list) and isinstance(found.path[-1], int):
        rows.insert(found.path[-1] + 1, rows.pop())
    return made


def _restore(request: PageRequest, desk: Desk, found: Part | None, kind: str, key: str) -> HttpResponseBase:
    """As it was in the version before; what was not in it goes."""
    before = parts.part(desk.base.content, kind, key) if desk.base else None
    content = desk.agreement.content
    if before is not None:
        place = found or Part(
            before.shape, key, (*before.shape.where, key if kind == "list" else 10**6), before.raw
        )
        made = parts.with_part(content, place, before.raw)
        target = place
    elif found is not None and desk.base:
        made, target = parts.without_part(content, found), found
    else:
        raise Conflict("There is no version before in which to look.")
    shown = before or target
    save(desk, made, f"{shown.title}: as it was", target.slot)
    return done(request, target, shown.tab)


def _moved(content: Mapping[str, Any], found: Part, by: int) -> dict[str, Any]:
    """The part moved by one among those of its own tab."""
    mine = [p.path[-1] for p in parts.parts_of(content, found.kind) if p.tab == found.tab]
    at = mine.index(found.path[-1])
    to = at + by
    made = dict(content)
    if 0 <= to < len(mine):
        rows = list(parts.inner(content, found.shape.where))
        i, j = int(mine[at]), int(mine[to])
        if found.kind == "sla" and not (rows[i].get("when") and rows[j].get("when")):
            raise Conflict("The promise for everybody else stays the last: the first that fits counts.")
        rows[i], rows[j] = rows[j], rows[i]
        made[found.shape.where[0]] = rows
    return made


@require_POST
@writers
@again
def order(request: PageRequest, group: str) -> HttpResponseBase:
    """The criteria of a group in the order in which they were laid by hand; for reading only."""
    desk = desk_of(request, drafting=True)
    keys = request.POST.getlist("key")
    rows = list(desk.agreement.content.get("criteria") or [])
    places = [i for i, raw in enumerate(rows) if raw.get("group") == group]
    by_key = {str(rows[i].get("id")): rows[i] for i in places}
    if group not in parts.GROUP_TABS or sorted(keys) != sorted(by_key):
        raise Conflict("The list has changed meanwhile. Look at it again.")
    for place, key in zip(places, keys, strict=True):
        rows[place] = by_key[key]
    if rows != desk.agreement.content["criteria"]:
        save(
            desk,
            {**desk.agreement.content, "criteria": rows},
            f"Order of the criteria: {parts.TABS[parts.GROUP_TABS[group]].lower()}",
            f"order-{group}",
        )
    if not request.htmx:
        return redirect("scoring:tab", tab=parts.GROUP_TABS[group])
    return redirect_body(request, desk_of(request, drafting=True), parts.GROUP_TABS[group])


@require_POST
@writers
def undo(request: PageRequest) -> HttpResponseBase:
    """Take the newest step of the draft back."""
    return _stepped(request, redo=False)


@require_POST
@writers
def redo(request: PageRequest) -> HttpResponseBase:
    """Put the step undone last back."""
    return _stepped(request, redo=True)


def _stepped(request: PageRequest, *, redo: bool) -> HttpResponseBase:
    desk = desk_of(request, drafting=True)
    seen = request.POST.get("lock", "")
    lock = int(seen) if seen.isdecimal() and len(seen) < 9 else desk.agreement.lock_version
    _, what = agreements.undo(desk.agreement, person(desk.user), lock, redo=redo)
    tab = request.POST.get("tab", "")
    tab = tab if tab in parts.TABS else "behaviour"
    if not request.htmx:
        return redirect("scoring:tab", tab=tab)
    response = redirect_body(request, desk_of(request, drafting=True), tab)
    return with_toast(response, f"{'Put back' if redo else 'Undone'}: {what or 'the last change'}")
