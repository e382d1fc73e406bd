"""What the editor asks for while somebody works: values to choose from, and how many leads a rule matches."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from leadflow import clock
from leadflow.errors import NotVisible
from leadflow.leads.models import Lead
from leadflow.web import PageRequest
from scoring import current
from scoring.conditions.check import check_condition
from scoring.document import Document
from scoring.editing import counts, parts, presence, steps, suggest, tree
from scoring.editing.counts import Counted
from scoring.editing.parts import Part
from scoring.models import Agreement
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


# By this status htmx asks no more.
STOP_ASKING = 286


@require_POST
@writers
def here(request: PageRequest) -> HttpResponseBase:
    """The page says every few seconds that it is open, and hears who else is in the draft."""
    user: Any = request.user
    number = request.POST.get("v", "")
    draft = Agreement.objects.filter(state=Agreement.State.DRAFT).order_by("number").last()
    if draft is None or number != str(draft.number):
        return render(request, "scoring/_here.html", {"ended": True}, status=STOP_ASKING)
    at, opened = clock.now(), request.POST.get("open", "")
    presence.say(draft, user, opened, at)
    last = steps.next_undo(draft) if request.POST.get("lock") != str(draft.lock_version) else None
    context = {
        "others": presence.others(draft, user, at),
        "rival": last.by if last and last.by_id != user.pk else None,
        "what": last.what if last else "",
        "opened": opened,
        "tab": request.POST.get("tab", ""),
    }
    return render(request, "scoring/_here.html", context)


@require_GET
def live(request: PageRequest, group: str) -> HttpResponseBase:
    """What each criterion of a group matches now, and who is at a limit; asked for after the page stands."""
    if group not in parts.GROUP_TABS:
        raise NotVisible
    desk = desk_of(request)
    found = counts.of_group(current.of(desk.agreement).program, group, clock.now())
    items = [
        {
            "slot": p.slot,
            "key": p.key,
            "found": found.criteria.get(p.key),
            "tone": _tone(p, found.criteria.get(p.key)),
            "at_limit": found.about(found.at_limit.get(p.key, 0)),
        }
        for p in parts.parts_of(desk.agreement.content, "criterion")
        if p.raw.get("group") == group
    ]
    limits = desk.document.groups[group]
    context = {
        "items": items,
        "seen": found.seen,
        "group": group,
        "v": desk.agreement.number,
        "linked": desk.may_write,
        "at_cap": found.about(found.at_cap),
        # A floor of nothing holds nobody.
        "at_floor": found.about(found.at_floor) if limits.floor < 0 else None,
    }
    return render(request, "scoring/_live.html", context)


def _tone(part: Part, found: Counted | None) -> str:
    """A rule that takes points from those who never become customers does what it should."""
    right = found is not None and not found.won and (part.raw.get("points") or 0) < 0
    return "" if found is None or right else found.tone


PAGE = 50


@require_GET
@writers
def matching(request: PageRequest, group: str) -> HttpResponseBase:
    """The leads behind a figure beside a criterion or a group: `of` is matches:ID, limit:ID, cap or floor."""
    if group not in parts.GROUP_TABS:
        raise NotVisible
    desk = desk_of(request)
    wanted = request.GET.get("of", "")
    found = counts.leads_of_group(current.of(desk.agreement).program, group, wanted, clock.now())
    if found is None:
        raise NotVisible
    seen, ids = found
    page = Paginator(ids, PAGE).get_page(request.GET.get("page"))
    by_id = Lead.objects.select_related("company", "score").in_bulk(list(page.object_list))
    context = {
        "title": _behind(desk.document, group, wanted),
        "agreement": desk.agreement,
        "in_force": desk.in_force,
        "seen": seen,
        "page": page,
        "leads": [by_id[i] for i in page.object_list if i in by_id],
        "tab": parts.GROUP_TABS[group],
    }
    return render(request, "scoring/matching.html", context)


def _behind(document: Document, group: str, wanted: str) -> str:
    kind, _, key = wanted.partition(":")
    name = parts.GROUP_NAMES[group]
    if kind in ("cap", "floor"):
        limit = getattr(document.groups[group], kind)
        return f"{name}: at the {'most' if kind == 'cap' else 'least'}, {limit} points"
    criterion = document.criterion(key)
    text = criterion.text if criterion else key
    return f"{text}: all {criterion.max_points} points" if kind == "limit" and criterion else text


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
