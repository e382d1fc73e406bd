"""Changing a draft: one part at a time, in place."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from leadflow.accounts.actors import person
from leadflow.errors import Conflict, Fault, NotVisible
from scoring import agreements
from scoring.editing import parts, tree
from scoring.editing.parts import Part
from scoring.views.context import page_context
from scoring.views.desk import Desk, authors, desk_of, writers
from scoring.views.forms import form_view


@require_http_methods(["GET", "POST"])
@writers
def edit(request: HttpRequest, kind: str, key: str) -> HttpResponseBase:
    """The form of one part (GET), a change of its shape or its saving (POST)."""
    if kind not in parts.SHAPES:
        raise NotVisible
    desk = desk_of(request, drafting=True)
    choices = tree.choices_for(desk.document)
    new = key == "new"
    data = request.POST if request.method == "POST" else request.GET
    group = data.get("group", "fit")
    group = group if group in parts.GROUP_TABS else "fit"
    content = desk.agreement.content
    found = parts.fresh(content, kind, choices, group) if new else parts.part(content, kind, key)
    if found is None:
        raise Conflict("Somebody has removed this meanwhile.")
    if request.method == "GET":
        if not request.htmx:  # type: ignore[attr-defined]
            return redirect(f"{reverse('scoring:tab', args=[found.tab])}?edit={found.slot}")
        if request.GET.get("close"):
            return redirect_body(request, desk, found.tab)
        return render(request, "scoring/_form.html", {"form": form_view(desk, found, choices, new=new)})
    return _posted(request, desk, found, choices, new)


def _posted(
    request: HttpRequest, desk: Desk, found: Part, choices: tree.Choices, new: bool
) -> HttpResponseBase:
    act = request.POST.get("act", "save")
    raw, faults = parts.read_form(found, request.POST, choices)
    if act != "save":
        raw = _reshaped(found, raw, act, choices)
        form = form_view(desk, found, choices, new=new, raw=raw, base=request.POST.get("base", ""))
        return render(request, "scoring/_form.html", {"form": form})
    if found.kind == "criterion" and not raw.get("text"):
        raw["text"] = parts.named(raw, desk.words)
    content = parts.with_part(desk.agreement.content, found, raw)
    if not faults:
        faults = agreements.faults_of(content)
    else:
        faults += _tree_faults(found, raw, choices)
    base = request.POST.get("base", "")
    changed_by = "" if new or base == found.mark else _conflict_words(desk, found)
    if faults or changed_by:
        form = form_view(
            desk, found, choices, new=new, raw=raw, faults=faults, conflict=changed_by, base=found.mark
        )
        return render(request, "scoring/_form.html", {"form": form}, status=422)
    if content != desk.agreement.content:
        what = f"{_title(found, raw)}: {'new' if new else 'changed'}"
        save(desk, content, what, found.slot)
    return done(request, found)


def _reshaped(found: Part, raw: Any, act: str, choices: tree.Choices) -> Any:
    for one in found.shape.trees(raw):
        name = parts.tree_name(one)
        condition = parts.get(raw, one.name)
        if act == f"start:{name}":
            parts.put(raw, one.name, tree.start("fact", choices))
        elif act == f"drop:{name}":
            parts.put(raw, one.name, None)
        elif condition:
            parts.put(raw, one.name, tree.change(condition, act, name, one.scope, choices))
    if act == "filter:o" and raw.get("of"):
        raw["of"] = tree.change(raw["of"], act, "o", "criterion", choices)
    if act == "band" and isinstance(raw.get("bands"), list):
        raw["bands"].append(["", ""])
    if found.kind == "criterion" and raw.get("mode") != "bands" and not raw.get("condition"):
        raw["condition"] = tree.start("did" if raw.get("group") == "behaviour" else "fact", choices)
    if raw.get("mode") == "each" and raw.get("points") == 0:
        raw["points"] = 5
    if found.kind == "criterion" and raw.get("mode") == "bands" and not raw.get("of"):
        raw["of"] = tree.start("did" if raw.get("group") == "behaviour" else "fact", choices, measure=True)
    return raw


def _tree_faults(found: Part, raw: Any, choices: tree.Choices) -> list[Fault]:
    """Faults of the conditions while plain fields are wrong too, so that all are told at once."""
    from scoring.conditions.check import check_condition

    faults: list[Fault] = []
    for one in found.shape.trees(raw):
        condition = parts.get(raw, one.name)
        if condition or not one.optional:
            path = f"{found.dotted}.{one.name}"
            faults += check_condition(condition, choices.document, path=path, scope=one.scope)
    return faults


def _conflict_words(desk: Desk, found: Part) -> str:
    last = authors(desk).get(found.slot)
    who = last.actor.name if last and last.actor else "Somebody"
    return (
        f"{who} changed this a moment ago; below is yours. Done puts yours in its place, Cancel keeps theirs."
    )


def _title(found: Part, raw: Any) -> str:
    return Part(found.shape, found.key, found.path, raw).title


def save(desk: Desk, content: Mapping[str, Any], what: str, slot: str) -> None:
    draft = desk.agreement
    agreements.save_draft(draft, content, person(desk.user), draft.lock_version, what=what, slot=slot)


def done(request: HttpRequest, found: Part, tab: str = "") -> HttpResponseBase:
    """The tab as it now is, with the focus where the hand was."""
    tab = tab or found.tab
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(f"{reverse('scoring:tab', args=[tab])}#part-{found.slot}")
    desk = desk_of(request, drafting=True)
    response = redirect_body(request, desk, tab)
    response["HX-Trigger-After-Settle"] = f'{{"lf:focus": "part-{found.slot}"}}'
    return response


def redirect_body(request: HttpRequest, desk: Desk, tab: str) -> HttpResponse:
    """The body of a tab as an answer to a form that stood in it."""
    response = render(request, "scoring/_body.html", page_context(request, desk, tab))
    response["HX-Retarget"] = "#agreement-body"
    response["HX-Reswap"] = "outerHTML"
    return response


@require_POST
@writers
def act(request: HttpRequest, kind: str, key: str, do: str) -> HttpResponseBase:
    """Duplicate, remove, switch, move or put back one part."""
    desk = desk_of(request, drafting=True)
    content = desk.agreement.content
    found = parts.part(content, kind, key)
    if do == "restore":
        return _restore(request, desk, found, kind, key)
    if found is None:
        raise Conflict("Somebody has removed this meanwhile.")
    made: Mapping[str, Any]
    target, what = found, f"{found.title}: {do}"
    if do == "copy" and found.shape.add:
        target = parts.copied(content, found, tree.choices_for(desk.document))
        made = parts.with_part(content, target, target.raw)
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


def _restore(request: HttpRequest, desk: Desk, found: Part | None, kind: str, key: str) -> HttpResponseBase:
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
        rows[i], rows[j] = rows[j], rows[i]
        made[found.shape.where[0]] = rows
    return made


@require_POST
@writers
def order(request: HttpRequest, group: str) -> HttpResponseBase:
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
        save(desk, {**desk.agreement.content, "criteria": rows}, "Order of the criteria", "order-all")
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("scoring:tab", tab=parts.GROUP_TABS[group])
    return redirect_body(request, desk_of(request, drafting=True), parts.GROUP_TABS[group])
