"""What the editor asks for while somebody works: values to choose from, and how many leads a rule matches."""

from typing import Any

from django.http import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from leadflow import clock
from leadflow.errors import NotVisible
from leadflow.web import PageRequest
from scoring import current
from scoring.conditions.check import check_condition
from scoring.document import Document
from scoring.editing import counts, parts, suggest, tree
from scoring.editing.counts import Counted
from scoring.editing.parts import Part
from scoring.views.desk import desk_of, writers
from scoring.views.edit import faults_in, part_asked
from scoring.views.forms import COUNTED, form_view


@require_GET
@writers
def values(request: PageRequest) -> HttpResponseBase:
    """Values that leads have, with how many: of a fact, or of a property of some kinds of activity."""
    desk = desk_of(request)
    typed = request.GET.get("q", "")
    if "fact" in request.GET:
        field = tree.choices_for(desk.document).facts.get(request.GET["fact"])
        if field is None:
            raise NotVisible
        sample, found = suggest.of_fact(field, request.GET.get("op", ""), typed)
    else:
        name = request.GET.get("property", "")
        if not name:
            raise NotVisible
        sample, found = suggest.of_activity(request.GET.getlist("kind"), name, typed)
    return render(request, "scoring/_values.html", {"found": found, "sample": sample})


@require_GET
def live(request: PageRequest, group: str) -> HttpResponseBase:
    """What each criterion of a group matches now; asked for after the page stands."""
    desk = desk_of(request)
    program = current.of(desk.agreement).program
    criteria = [c for c in desk.document.active_criteria if c.group == group]
    found = counts.of_criteria(program, criteria, clock.now())
    items = [
        {"slot": p.slot, "found": found.get(p.key)}
        for p in parts.parts_of(desk.agreement.content, "criterion")
        if p.raw.get("group") == group
    ]
    seen = next((one.seen for one in found.values()), None)
    return render(request, "scoring/_live.html", {"items": items, "seen": seen})


@require_POST
@writers
def check(request: PageRequest, kind: str, key: str) -> HttpResponseBase:
    """What is wrong with the part that stands in an open form, and how many leads its rule matches."""
    if kind not in parts.SHAPES:
        raise NotVisible
    desk = desk_of(request, drafting=True)
    choices = tree.choices_for(desk.document)
    found = part_asked(request, desk, choices, kind, key)
    raw, plain = parts.read_form(found, request.POST, choices)
    if found.kind == "criterion" and not raw.get("text"):
        raw["text"] = parts.named(raw, desk.words)
    content = parts.with_part(desk.agreement.content, found, raw)
    faults = faults_in(found, raw, plain, content, choices)
    form = form_view(desk, found, choices, new=key == "new", raw=raw, faults=faults)
    counted = _counted(found, raw, Document(content)) if kind in COUNTED else None
    return render(request, "scoring/_check.html", {"form": form, "found": counted})


def _counted(found: Part, raw: Any, document: Document) -> Counted | None:
    """What a rule matches; None while it is not finished."""
    at = clock.now()
    if found.kind == "criterion" and raw.get("mode") == "bands":
        wanted = next((c for c in document.criteria if c.id == raw["id"]), None)
        if wanted is None or not parts.finished(raw):
            return None
        return counts.of_criteria(current.program_of(document), [wanted], at).get(wanted.id)
    condition = raw.get("condition")
    if not condition or check_condition(condition, document, path="", scope="criterion"):
        return None
    return counts.of_condition(current.program_of(document), condition, at)
