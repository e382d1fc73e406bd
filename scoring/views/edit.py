"""Changing one part of a draft in place."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from leadflow.accounts.actors import person
from leadflow.errors import Conflict, Fault, NotVisible
from leadflow.web import PageRequest, with_toast
from scoring import agreements
from scoring.conditions.check import check_condition
from scoring.editing import merging, nurture, parts, sla, steps, suggest, tree
from scoring.editing.merging import Clash
from scoring.editing.parts import Part
from scoring.views.context import page_context
from scoring.views.desk import Author, Desk, authors, desk_of, writers
from scoring.views.forms import form_view

TRIES = 3


@dataclass
class Draft:
    """A part as the form has it, on its way into the draft."""

    raw: Any
    faults: list[Fault] = field(default_factory=list)
    clashing: list[str] = field(default_factory=list)
    merged: bool = False
    rival: Author | None = None


def again(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Look again and do it again when somebody saved another part in the same instant."""

    @wraps(view)
    def inner(request: PageRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        for last in range(1, TRIES + 1):
            try:
                return view(request, *args, **kwargs)
            except Conflict as conflict:
                if last == TRIES or "lock_version" not in conflict.current:
                    raise
        raise NotVisible

    return inner


@require_http_methods(["GET", "POST"])
@writers
@again
def edit(request: PageRequest, kind: str, key: str) -> HttpResponseBase:
    """The form of one part (GET), a change of its shape or its saving (POST)."""
    if kind not in parts.SHAPES:
        raise NotVisible
    desk = desk_of(request, drafting=True)
    choices = tree.choices_for(desk.document)
    new = key == "new"
    found = part_asked(request, desk, choices, kind, key)
    if request.method == "POST":
        return _posted(request, desk, found, choices, new)
    if not request.htmx:
        return redirect(f"{reverse('scoring:tab', args=[found.tab])}?edit={found.slot}")
    if request.GET.get("close"):
        return focused(redirect_body(request, desk, found.tab), found)
    choices = suggest.with_counts(choices)
    return render(request, "scoring/_form.html", {"form": form_view(desk, found, choices, new=new)})


def part_asked(request: PageRequest, desk: Desk, choices: tree.Choices, kind: str, key: str) -> Part:
    """The part that an address names, or a new one. Raises Conflict when it is gone."""
    data = request.POST if request.method == "POST" else request.GET
    group = data.get("group", "fit")
    group = group if group in parts.GROUP_TABS else "fit"
    content = desk.agreement.content
    found = parts.fresh(content, kind, choices, group) if key == "new" else parts.part(content, kind, key)
    if found is None:
        raise gone(desk, f"{kind}-{key}")
    return found


def gone(desk: Desk, slot: str) -> Conflict:
    """What to say of a part that is not there any more."""
    last = authors(desk).get(slot)
    who = f"{last.name} removed this {last.since}" if last else "It is not in this draft any more"
    return Conflict(f"{who}. What you typed is still here; Undo puts the removed one back.")


def _posted(
    request: PageRequest, desk: Desk, found: Part, choices: tree.Choices, new: bool
) -> HttpResponseBase:
    draft = _read(request, desk, found, choices, new)
    if request.POST.get("act", "save") != "save":
        return _drawn(request, desk, found, choices, new, draft)
    if found.kind == "criterion" and not draft.raw.get("text"):
        draft.raw["text"] = parts.named(draft.raw, desk.words)
    content = parts.with_part(desk.agreement.content, found, draft.raw)
    draft.faults = faults_in(found, draft.raw, draft.faults, content, choices)
    # Clashes that the form itself sent were shown already: Done says that mine stands.
    if draft.faults or (draft.merged and draft.clashing):
        return _drawn(request, desk, found, choices, new, draft, status=422)
    if content != desk.agreement.content:
        save(desk, content, f"{_title(found, draft.raw)}: {'new' if new else 'changed'}", found.slot)
    response = done(request, found)
    if draft.merged and isinstance(response, HttpResponse) and request.htmx:
        who = draft.rival.name if draft.rival else "somebody"
        with_toast(response, f"Saved. What {who} changed in it meanwhile stays.")
    return response


def _read(request: PageRequest, desk: Desk, found: Part, choices: tree.Choices, new: bool) -> Draft:
    """The form, after the button that was pressed and after a merge with what others saved since."""
    data = request.POST
    draft = Draft(*parts.read_form(found, data, choices))
    act, base = data.get("act", "save"), data.get("base", "")
    draft.clashing = [unit for unit in data.getlist("clash") if not act.endswith(f":{unit}")]
    if act.startswith("theirs:"):
        draft.raw = merging.take(draft.raw, found, act.removeprefix("theirs:"), desk.document)
        draft.faults = []
    elif act not in ("save", "refresh") and not act.startswith("mine:"):
        draft.raw = _reshaped(found, draft.raw, act, choices)
    if not new and base != found.mark and act == "save":
        loaded = steps.part_as_loaded(desk.agreement, found.kind, found.key, base)
        draft.raw, draft.clashing = merging.merge(
            loaded.raw if loaded else None, found, draft.raw, desk.document
        )
        draft.merged = True
    if draft.merged or draft.clashing:
        draft.rival = authors(desk).get(found.slot)
    if act != "save":
        draft.raw = _completed(found, draft.raw, choices)
        draft.faults = []
    return draft


def _drawn(
    request: PageRequest,
    desk: Desk,
    found: Part,
    choices: tree.Choices,
    new: bool,
    draft: Draft,
    status: int = 200,
) -> HttpResponseBase:
    """The form again, with what is wrong and with what two people both changed."""
    base = request.POST.get("base", "")
    form = form_view(
        desk,
        found,
        suggest.with_counts(choices),
        new=new,
        raw=draft.raw,
        faults=draft.faults,
        base=found.mark if draft.merged else base,
        clashes=_clashes(desk, found, draft),
        rival=draft.rival,
    )
    return render(request, "scoring/_form.html", {"form": form}, status=status)


def _clashes(desk: Desk, found: Part, draft: Draft) -> list[Clash]:
    return merging.clashes(found, draft.raw, draft.clashing, desk.document) if draft.clashing else []


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
    if found.kind == "sla":
        sla.reshaped(raw, act)
    if found.kind == "track":
        nurture.reshaped(raw, act)
    if act == "filter:o" and raw.get("of"):
        raw["of"] = tree.change(raw["of"], act, "o", "criterion", choices)
    if act == "band" and isinstance(raw.get("bands"), list):
        raw["bands"].append(["", ""])
    return raw


def _completed(found: Part, raw: Any, choices: tree.Choices) -> Any:
    """What a change of shape asks for next: a condition, points, something to measure."""
    if found.kind == "criterion" and raw.get("mode") != "bands" and not raw.get("condition"):
        raw["condition"] = tree.start("did" if raw.get("group") == "behaviour" else "fact", choices)
    if raw.get("mode") == "each" and raw.get("points") == 0:
        raw["points"] = 5
    if found.kind == "criterion" and raw.get("mode") == "bands" and not raw.get("of"):
        raw["of"] = tree.start("did" if raw.get("group") == "behaviour" else "fact", choices, measure=True)
    return raw


def faults_in(
    found: Part, raw: Any, plain: Sequence[Fault], content: Mapping[str, Any], choices: tree.Choices
) -> list[Fault]:
    """Everything that keeps this part from being saved, those of its plain fields (`plain`) first."""
    return [*plain, *_tree_faults(found, raw, choices)] if plain else agreements.faults_of(content)


def _tree_faults(found: Part, raw: Any, choices: tree.Choices) -> list[Fault]:
    """Faults of the conditions while plain fields are wrong too, so that all are told at once."""
    faults: list[Fault] = []
    for one in found.shape.trees(raw):
        condition = parts.get(raw, one.name)
        if condition or not one.optional:
            path = f"{found.dotted}.{one.name}"
            faults += check_condition(condition, choices.document, path=path, scope=one.scope)
    return faults


def _title(found: Part, raw: Any) -> str:
    return Part(found.shape, found.key, found.path, raw).title


def save(desk: Desk, content: Mapping[str, Any], what: str, slot: str) -> None:
    draft = desk.agreement
    agreements.save_draft(draft, content, person(desk.user), draft.lock_version, what=what, slot=slot)


def done(request: PageRequest, found: Part, tab: str = "") -> HttpResponseBase:
    """The tab as it now is, with the focus where the hand was."""
    tab = tab or found.tab
    if not request.htmx:
        return redirect(f"{reverse('scoring:tab', args=[tab])}#part-{found.slot}")
    desk = desk_of(request, drafting=True)
    return focused(redirect_body(request, desk, tab), found)


def focused(response: HttpResponse, found: Part) -> HttpResponse:
    """The same answer, with the focus on a part's row once it stands."""
    response["HX-Trigger-After-Settle"] = json.dumps({"lf:focus": f"part-{found.slot}"})
    return response


def redirect_body(request: PageRequest, desk: Desk, tab: str) -> HttpResponse:
    """The body of a tab as an answer to a form that stood in it."""
    response = render(request, "scoring/_body.html", page_context(request, desk, tab))
    response["HX-Retarget"] = "#agreement-body"
    response["HX-Reswap"] = "outerHTML"
    return response
