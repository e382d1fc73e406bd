"""The agreement in the browser: read it, change a draft, see who moves, propose, sign, look back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import AuditEntry, Organisation, Role, User
from leadflow.accounts.rights import roles
from leadflow.charts import Cell, Chart, Series
from leadflow.errors import BadInput, Conflict, Fault, NotVisible
from leadflow.web import csv_response
from scoring import agreements, preview
from scoring.conditions.explain import Words, words_for
from scoring.document import Document
from scoring.editing import changes, parts, tree
from scoring.editing.changes import Change
from scoring.editing.parts import Field, Part
from scoring.models import Agreement, Decline, Signature

State = Agreement.State
DEFAULT_TAB = "behaviour"
STATE_WORDS = {
    State.DRAFT: ("Draft of v{}", "acc"),
    State.PROPOSED: ("v{} waits for signatures", "soon"),
    State.SIGNED: ("v{} is signed", "ok"),
    State.IN_FORCE: ("v{} in force", "ok"),
    State.SUPERSEDED: ("v{}, no longer in force", ""),
    State.DECLINED: ("v{}, declined", ""),
    State.WITHDRAWN: ("v{}, withdrawn", ""),
}
# What each page shows in cards and in lists, in this order.
LAYOUT: dict[str, tuple[tuple[str, str, str], ...]] = {
    "definitions": (
        ("card", "definitions", ""),
        ("list", "stage", "Stages: who holds the lead, and from when"),
        ("card", "words", ""),
    ),
    "who": (
        ("list", "persona", "Whom we look for"),
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


@dataclass(frozen=True)
class FieldView:
    """One plain field of a form."""

    field: Field
    value: str
    id: str
    error: str = ""
    chosen: Sequence[str] = ()


@dataclass(frozen=True)
class TreeView:
    """One condition of a form."""

    shape: parts.Tree
    name: str
    node: tree.NodeView
    none: bool


@dataclass(frozen=True)
class FormView:
    """A part as it is edited."""

    part: Part
    new: bool
    base: str
    fields: Sequence[FieldView]
    trees: Sequence[TreeView]
    measure: tree.NodeView | None
    bands: Sequence[tuple[int, str, str]]
    faults: Sequence[str]
    was: str
    group: str
    mode: str = ""
    conflict: str = ""
    by: Mapping[str, FieldView] = field(default_factory=dict)

    @property
    def rule_fields(self) -> list[FieldView]:
        """The fields that are not said within the sentence of a criterion."""
        if self.part.kind != "criterion":
            return list(self.fields)
        return [f for f in self.fields if f.field.name in ("text", "why", "on")]


@dataclass
class Desk:
    """One version as somebody looks at it, with what is around it. Loaded once per request."""

    user: User
    agreement: Agreement
    draft: Agreement | None
    in_force: Agreement | None
    base: Agreement | None

    def __post_init__(self) -> None:
        self.document = Document(self.agreement.content)
        self.words: Words = words_for(self.document)
        base = self.base.content if self.base else self.agreement.content
        self.changes: list[Change] = changes.between(base, self.agreement.content)

    @property
    def may_write(self) -> bool:
        return Role(self.user.role) in agreements.WRITERS

    @property
    def editable(self) -> bool:
        return self.agreement.state == State.DRAFT and self.may_write

    def change(self, part: Part) -> Change | None:
        return next((c for c in self.changes if c.slot == part.slot), None)


def _writers(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Marketers and managers of both sides change it; everybody reads it."""
    return wraps(view)(roles(*agreements.WRITERS)(view))


def _desk(request: HttpRequest, *, drafting: bool = False) -> Desk:
    """The version asked for by `?v=`, else the draft, the proposal or the one in force. One query of rows."""
    user: Any = request.user
    number = request.GET.get("v", "")
    open_states = [State.DRAFT, State.PROPOSED, State.SIGNED, State.IN_FORCE]
    found = {a.state: a for a in Agreement.objects.filter(state__in=open_states).order_by("number")}
    draft, proposal = found.get(State.DRAFT), found.get(State.PROPOSED) or found.get(State.SIGNED)
    force = found.get(State.IN_FORCE)
    if drafting:
        if draft is None:
            raise Conflict("There is no draft any more: somebody has proposed or discarded it.")
        shown = draft
    elif number:
        match = Agreement.objects.filter(number=int(number)) if number.isdigit() and len(number) < 9 else None
        asked = match.first() if match is not None else None
        if asked is None:
            raise NotVisible
        shown = asked
    else:
        writes = Role(user.role) in agreements.WRITERS
        candidates = (draft if writes else None, proposal, force, draft)
        chosen = next((a for a in candidates if a), None)
        if chosen is None:
            raise NotVisible
        shown = chosen
    return Desk(user, shown, draft, force, _base_of(shown, force))


def _base_of(shown: Agreement, force: Agreement | None) -> Agreement | None:
    if shown.based_on_id is None or (force and shown.based_on_id == force.pk):
        return force if shown.based_on_id else None
    return shown.based_on


# Reading ----------------------------------------------------------------------------------------


@require_GET
def page(request: HttpRequest, tab: str = DEFAULT_TAB) -> HttpResponseBase:
    """One tab of the agreement, as a page or as its body."""
    if tab not in parts.TABS:
        raise NotVisible
    if not request.GET.get("v") and not Agreement.objects.exists():
        return render(request, "scoring/none.html", {"may_write": _may_write(request)})
    desk = _desk(request)
    context = _context(request, desk, tab)
    slot = request.GET.get("edit", "")
    if slot and desk.editable:
        found = _part_of_slot(desk, slot)
        if found is not None:
            context["open_form"] = _form(desk, found)
    if request.htmx and request.htmx.target == "agreement-body":  # type: ignore[attr-defined]
        return render(request, "scoring/_body.html", context)
    return render(request, "scoring/agreement.html", context)


def _may_write(request: HttpRequest) -> bool:
    user: Any = request.user
    return Role(user.role) in agreements.WRITERS


def _part_of_slot(desk: Desk, slot: str) -> Part | None:
    kind, _, key = slot.partition("-")
    return parts.part(desk.agreement.content, kind, key)


def _context(request: HttpRequest, desk: Desk, tab: str) -> dict[str, Any]:
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
        "sections": _sections(desk, tab),
        "group": parts.TAB_GROUPS.get(tab, ""),
        "limits": _limits(desk, tab),
        "signers": _signers(desk),
        "recent": _authors(desk),
    }
    if tab == "sign":
        context |= _sign_context(desk)
    if tab == "history":
        context |= _history_context(desk)
    return context


def _sections(desk: Desk, tab: str) -> list[dict[str, Any]]:
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
                "rows": [_row(desk, p) for p in items],
                "add": shape.add if desk.editable else "",
                "sortable": kind == "criterion" and desk.editable,
                "gone": [c for c in desk.changes if c.how == "removed" and c.kind == kind and c.tab == tab],
            }
        )
    return found


def _row(desk: Desk, found: Part) -> RowView:
    raw, change = found.raw, desk.change(found)
    mark = change.how if change and desk.agreement.state != State.IN_FORCE else ""
    off = raw.get("on") is False
    if found.kind == "criterion":
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
        )
    sentences = [
        (one.label, parts.said(parts.get(raw, one.name), desk.words))
        for one in found.trees()
        if parts.get(raw, one.name)
    ]
    facts = [pair for pair in parts.facts(found, desk.document) if pair[1] not in ("–", found.title)]
    if found.kind == "reason":
        facts = [pair for pair in facts if pair[1] not in ("no", "0")]
    if found.kind == "exclusion":
        facts = [pair for pair in facts if pair[0] == "Why"]
    if found.kind == "list":
        facts = [(label, text) for label, text in facts if label == "Entries"]
    rules = [
        (one.label if len(found.trees()) > 1 else "", *parts.outline(parts.get(raw, one.name), desk.words))
        for one in found.trees()
        if parts.get(raw, one.name)
    ]
    drawn = [(" ".join(text for text in (label, head) if text), lines) for label, head, lines in rules]
    return RowView(found, "", "", "", mark, off, False, facts, sentences, drawn)


def _limits(desk: Desk, tab: str) -> RowView | None:
    group = parts.TAB_GROUPS.get(tab)
    found = parts.part(desk.agreement.content, "limits", group) if group else None
    return _row(desk, found) if found else None


def _signers(desk: Desk) -> list[dict[str, Any]]:
    """Per side: who signed, or who may."""
    agreement = desk.agreement
    signed = {s.side: s for s in agreement.signatures.filter(voided_at=None).select_related("user")}
    wanted = [Role.MARKETING_MANAGER, Role.SALES_MANAGER]
    may: dict[str, list[User]] = {}
    for user in User.objects.filter(is_active=True, role__in=wanted).order_by("name"):
        may.setdefault(agreements.SIGNERS[Role(user.role)], []).append(user)
    mine = agreements.side_of(desk.user)
    return [
        {
            "side": side,
            "label": side.label,
            "signature": signed.get(side),
            "who": may.get(side, []),
            "mine": mine == side,
            "may_sign": mine == side and agreement.state == State.PROPOSED and side not in signed,
        }
        for side in Signature.Side
    ]


def _authors(desk: Desk) -> dict[str, AuditEntry]:
    """The last change of each part of a draft: who and when."""
    if desk.agreement.state != State.DRAFT:
        return {}
    rows = (
        AuditEntry.objects.filter(
            object_type="scoring.agreement", object_id=str(desk.agreement.pk), verb="agreement.changed"
        )
        .select_related("actor")
        .order_by("at", "id")
    )
    return {str((row.after or {}).get("slot", "")): row for row in rows[:2_000]}


def _sign_context(desk: Desk) -> dict[str, Any]:
    agreement = desk.agreement
    faults = agreements.faults_of(agreement.content, complete=True) if agreement.state == State.DRAFT else []
    return {
        "faults": faults,
        "releases": [
            (key, words, key == desk.document.admission.on_release)
            for key, words in (
                ("trickle", "Trickle in: best first, as sales has room"),
                ("new_evidence", "Only on new evidence: they wait until they do something"),
            )
        ],
        "release_words": dict(Agreement.Release.choices).get(agreement.release, ""),
        "declined": Decline.objects.filter(agreement=agreement).select_related("user").first(),
        "other_proposal": agreements.proposal() if agreement.state == State.DRAFT else None,
        "previous": desk.base,
    }


def _history_context(desk: Desk) -> dict[str, Any]:
    versions = list(
        Agreement.objects.defer("content")
        .select_related("created_by", "proposed_by", "based_on")
        .prefetch_related("signatures__user", "declines__user")
        .order_by("-number")[:200]
    )
    trail = (
        AuditEntry.objects.filter(object_type="scoring.agreement")
        .select_related("actor")
        .order_by("-at", "-id")[:60]
    )
    numbers = {str(v.pk): v.number for v in versions}
    return {
        "versions": [
            {
                "row": v,
                "words": STATE_WORDS[State(v.state)][0].format(v.number),
                "look": STATE_WORDS[State(v.state)][1],
            }
            for v in versions
        ],
        "trail": [
            {
                "row": row,
                "number": numbers.get(row.object_id),
                "verb": row.verb.removeprefix("agreement.").replace("_", " "),
                "what": str((row.after or {}).get("what") or row.reason or ""),
            }
            for row in trail
        ],
    }


@require_GET
def printed(request: HttpRequest) -> HttpResponseBase:
    """The whole agreement on paper, with what changes against the version before."""
    desk = _desk(request)
    document = desk.document
    content = desk.agreement.content
    bars = [
        (p.title, parts.said(parts.get(p.raw, p.trees()[0].name), desk.words))
        for kind in ("mql", "leave", "bar", "fast")
        for p in parts.parts_of(content, kind)
    ]
    context = {
        "desk": desk,
        "agreement": desk.agreement,
        "document": document,
        "organisation": Organisation.get(),
        "definitions": parts.facts(next(parts.parts_of(content, "definitions")), document),
        "promises": parts.facts(next(parts.parts_of(content, "promises")), document),
        "cards": [
            (p.title, parts.facts(p, document))
            for k in ("admission", "rules", "must_know", "days", "grade")
            for p in parts.parts_of(content, k)
        ],
        "stages": [(_row(desk, p)) for p in parts.parts_of(content, "stage")],
        "groups": [
            (
                words,
                document.groups[group],
                [_row(desk, p) for p in parts.parts_of(content, "criterion") if p.raw.get("group") == group],
            )
            for group, words in (("fit", "Who"), ("behaviour", "What they do"), ("value", "Who is buying"))
        ],
        "exclusions": [_row(desk, p) for p in parts.parts_of(content, "exclusion")],
        "bars": bars,
        "sla": [
            (
                p.title,
                [parts.minutes(int(p.raw.get(k) or 0)) for k in ("accept", "first_touch", "next_attempt")],
            )
            for p in parts.parts_of(content, "sla")
        ],
        "signers": _signers(desk),
        "seal": " ".join(desk.agreement.sha256[i : i + 4] for i in range(0, 16, 4)).strip(),
    }
    return render(request, "scoring/print.html", context)


@require_GET
def live(request: HttpRequest, group: str) -> HttpResponseBase:
    """How many leads each criterion of a group matches now; asked for after the page stands."""
    desk = _desk(request)
    seen, found = preview.matches(desk.agreement, clock.now())
    items = [
        {"slot": p.slot, "found": found.get(p.key)}
        for p in parts.parts_of(desk.agreement.content, "criterion")
        if p.raw.get("group") == group
    ]
    return render(request, "scoring/_live.html", {"items": items, "look": seen})


@require_GET
@_writers
def moves(request: HttpRequest) -> HttpResponseBase:
    """Who would move if the draft, or the proposal, were in force now."""
    desk = _desk(request)
    against = desk.in_force if desk.in_force and desk.in_force.pk != desk.agreement.pk else desk.base
    context: dict[str, Any] = {"desk": desk, "agreement": desk.agreement, "against": against}
    if not (request.htmx or request.GET.get("csv")):  # type: ignore[attr-defined]
        return render(request, "scoring/moves.html", context)
    found = preview.who_moves(desk.agreement, clock.now(), against)
    if request.GET.get("csv"):
        rows = zip(found.steps, found.was, found.now, strict=True)
        return csv_response("scores", ["Score from", "Leads before", "Leads by the draft"], rows)
    rep_room = _room(desk)
    context |= {"found": found, "chart": _moves_chart(desk, found, against), "room": rep_room}
    return render(request, "scoring/_moves.html", context)


def _room(desk: Desk) -> int:
    reps = User.objects.filter(is_active=True, role=Role.REP).count()
    return reps * desk.document.admission.new_per_rep_per_day


def _moves_chart(desk: Desk, found: preview.Comparison, against: Agreement | None) -> Chart:
    name = f"v{against.number}" if against else "before"
    series = [Series(f"draft of v{desk.agreement.number}", found.now, "acc")]
    if against:
        series.insert(0, Series(name, found.was, "was"))
    return Chart(
        id="spread",
        title="Where the scores lie",
        kind="columns",
        labels=found.steps,
        series=series,
        says="Leads by score, the version before against the draft; the numbers are in the table.",
        columns=["Score from", name, "draft"],
        rows=[
            [Cell(step), Cell(f"{was:,}"), Cell(f"{now:,}")]
            for step, was, now in zip(found.steps, found.was, found.now, strict=True)
        ],
        note="Steps of 5 points",
        csv=f"{reverse('scoring:moves')}?csv=1",
    )


# Editing ----------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@_writers
def edit(request: HttpRequest, kind: str, key: str) -> HttpResponseBase:
    """The form of one part (GET), a change of its shape or its saving (POST)."""
    if kind not in parts.SHAPES:
        raise NotVisible
    desk = _desk(request, drafting=True)
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
        return render(request, "scoring/_form.html", {"form": _form(desk, found, choices, new=new)})
    return _posted(request, desk, found, choices, new)


def _posted(
    request: HttpRequest, desk: Desk, found: Part, choices: tree.Choices, new: bool
) -> HttpResponseBase:
    act = request.POST.get("act", "save")
    raw, faults = parts.read_form(found, request.POST, choices)
    if act != "save":
        raw = _reshaped(found, raw, act, choices)
        form = _form(desk, found, choices, new=new, raw=raw, base=request.POST.get("base", ""))
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
        form = _form(
            desk, found, choices, new=new, raw=raw, faults=faults, conflict=changed_by, base=found.mark
        )
        return render(request, "scoring/_form.html", {"form": form}, status=422)
    if content != desk.agreement.content:
        what = f"{_title(found, raw)}: {'new' if new else 'changed'}"
        _save(desk, content, what, found.slot)
    return _done(request, found)


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
    last = _authors(desk).get(found.slot)
    who = last.actor.name if last and last.actor else "Somebody"
    return (
        f"{who} changed this a moment ago; below is yours. Done puts yours in its place, Cancel keeps theirs."
    )


def _title(found: Part, raw: Any) -> str:
    return Part(found.shape, found.key, found.path, raw).title


def _save(desk: Desk, content: Mapping[str, Any], what: str, slot: str) -> None:
    draft = desk.agreement
    agreements.save_draft(draft, content, person(desk.user), draft.lock_version, what=what, slot=slot)


def _done(request: HttpRequest, found: Part, tab: str = "") -> HttpResponseBase:
    """The tab as it now is, with the focus where the hand was."""
    tab = tab or found.tab
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(f"{reverse('scoring:tab', args=[tab])}#part-{found.slot}")
    desk = _desk(request, drafting=True)
    response = redirect_body(request, desk, tab)
    response["HX-Trigger-After-Settle"] = f'{{"lf:focus": "part-{found.slot}"}}'
    return response


def redirect_body(request: HttpRequest, desk: Desk, tab: str) -> HttpResponse:
    """The body of a tab as an answer to a form that stood in it."""
    response = render(request, "scoring/_body.html", _context(request, desk, tab))
    response["HX-Retarget"] = "#agreement-body"
    response["HX-Reswap"] = "outerHTML"
    return response


@require_POST
@_writers
def act(request: HttpRequest, kind: str, key: str, do: str) -> HttpResponseBase:
    """Duplicate, remove, switch, move or put back one part."""
    desk = _desk(request, drafting=True)
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
        _save(desk, made, what, target.slot)
    return _done(request, target, found.tab)


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
    _save(desk, made, f"{shown.title}: as it was", target.slot)
    return _done(request, target, shown.tab)


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
@_writers
def order(request: HttpRequest, group: str) -> HttpResponseBase:
    """The criteria of a group in the order in which they were laid by hand; for reading only."""
    desk = _desk(request, drafting=True)
    keys = request.POST.getlist("key")
    rows = list(desk.agreement.content.get("criteria") or [])
    places = [i for i, raw in enumerate(rows) if raw.get("group") == group]
    by_key = {str(rows[i].get("id")): rows[i] for i in places}
    if group not in parts.GROUP_TABS or sorted(keys) != sorted(by_key):
        raise Conflict("The list has changed meanwhile. Look at it again.")
    for place, key in zip(places, keys, strict=True):
        rows[place] = by_key[key]
    if rows != desk.agreement.content["criteria"]:
        _save(desk, {**desk.agreement.content, "criteria": rows}, "Order of the criteria", "order-all")
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("scoring:tab", tab=parts.GROUP_TABS[group])
    return redirect_body(request, _desk(request, drafting=True), parts.GROUP_TABS[group])


def _form(
    desk: Desk,
    found: Part,
    choices: tree.Choices | None = None,
    *,
    new: bool = False,
    raw: Any = None,
    faults: Sequence[Fault] = (),
    conflict: str = "",
    base: str = "",
) -> FormView:
    choices = choices or tree.choices_for(desk.document)
    raw = found.raw if raw is None else raw
    mine = [f for f in faults if f.path.startswith(found.dotted)]
    rest = [f.message for f in faults if f not in mine]
    fields = []
    for one in found.shape.fields(raw, desk.document):
        path = f"{found.dotted}.{one.name}".strip(".")
        errors = [
            f for f in mine if f.path == path or (one.name == "decay.days" and f.path.endswith(".decay"))
        ]
        mine = [f for f in mine if f not in errors]
        value = parts.get(raw, one.name)
        chosen = [str(v) for v in value] if isinstance(value, list) else ()
        error = " ".join(f.message for f in errors)
        fields.append(FieldView(one, parts.typed(one, raw), f"f-{one.name.replace('.', '-')}", error, chosen))
    trees = []
    for tree_ in found.shape.trees(raw):
        condition, path = parts.get(raw, tree_.name), f"{found.dotted}.{tree_.name}"
        errors = [f for f in mine if f.path.startswith(path)]
        mine = [f for f in mine if f not in errors]
        name = parts.tree_name(tree_)
        node = tree.view(condition, name, path, tree_.scope, choices, errors)
        lost = [f.message for f in errors if f.message not in _shown(node)]
        rest += lost
        trees.append(TreeView(tree_, name, node, tree_.optional and not condition))
    measure, bands = None, []
    if raw.get("mode") == "bands":
        path = f"{found.dotted}.of"
        errors = [f for f in mine if f.path.startswith(path)]
        mine = [f for f in mine if f not in errors]
        measure = tree.measure_view(raw.get("of"), "o", path, choices, errors)
        bands = [(i, str(pair[0]), str(pair[1])) for i, pair in enumerate(raw.get("bands") or [])]
    change = desk.change(found)
    was = "; ".join(f"{s.label.lower()} {s.was}" for s in change.steps if s.was) if change else ""
    return FormView(
        found if new else Part(found.shape, found.key, found.path, raw),
        new,
        base or found.mark,
        fields,
        trees,
        measure,
        bands,
        [*rest, *dict.fromkeys(f.message for f in mine)],
        was,
        str(raw.get("group") or "") if isinstance(raw, Mapping) else "",
        str(raw.get("mode") or "") if found.kind == "criterion" else "",
        conflict,
        {one.field.name: one for one in fields},
    )


def _shown(node: tree.NodeView) -> set[str]:
    found = set(node.faults)
    for item in node.items:
        found |= _shown(item)
    return found


# The life of a version ----------------------------------------------------------------------------


@require_POST
@_writers
def start(request: HttpRequest) -> HttpResponseBase:
    """A new draft, of the version in force or of the one asked for."""
    user: Any = request.user
    number = request.POST.get("of", "")
    of = (
        Agreement.objects.filter(number=int(number)).first() if number.isdigit() and len(number) < 9 else None
    )
    made = agreements.create_draft(person(user), based_on=of)
    messages.success(request, f"Draft of v{made.number}: change it, then propose it to both sides.")
    return redirect("scoring:tab", tab=_tab(request))


@require_POST
@_writers
def discard(request: HttpRequest) -> HttpResponseBase:
    """Put the draft aside."""
    desk = _desk(request, drafting=True)
    agreements.discard_draft(desk.agreement, person(desk.user))
    messages.success(request, f"The draft of v{desk.agreement.number} is put aside; it stays in the history.")
    return redirect("scoring:agreement")


@require_POST
@_writers
def propose(request: HttpRequest) -> HttpResponseBase:
    """Freeze the draft and ask both sides to sign."""
    desk = _desk(request, drafting=True)
    try:
        made = agreements.propose(
            desk.agreement,
            person(desk.user),
            note=request.POST.get("note", ""),
            in_force_from=_day(request.POST, desk),
            release_choice=request.POST.get("release", Agreement.Release.TRICKLE),
        )
    except BadInput as bad:
        return _sign_page(request, bad)
    messages.success(request, f"v{made.number} is proposed: a manager of each side signs now.")
    return redirect("scoring:tab", tab="sign")


def _day(data: QueryDict, desk: Desk) -> datetime | None:
    """The day on which it is to be in force, in the zone of the agreement; None: at once."""
    text = data.get("in_force_from", "").strip()
    if data.get("when") != "day":
        return None
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise BadInput("Write the day and the hour.", [Fault("in_force_from", "Write the day and the hour.")])
    return timezone.make_aware(found, ZoneInfo(desk.user.zone)) if timezone.is_naive(found) else found


def _sign_page(request: HttpRequest, bad: BadInput) -> HttpResponseBase:
    """The sign-off page again, with what is wrong; what was typed stays."""
    context = _context(request, _desk(request), "sign")
    errors = {fault.path: fault.message for fault in bad.faults}
    context |= {"typed": request.POST, "wrong": bad.message, "errors": errors}
    return render(request, "scoring/agreement.html", context, status=400)


def _named(request: HttpRequest) -> Agreement:
    number = request.POST.get("v", "")
    found = (
        Agreement.objects.filter(number=int(number)).first() if number.isdigit() and len(number) < 9 else None
    )
    if found is None:
        raise NotVisible
    return found


@require_POST
@roles(Role.MARKETING_MANAGER, Role.SALES_MANAGER)
def sign(request: HttpRequest) -> HttpResponseBase:
    """Sign for one's side; the password is asked once more."""
    user: Any = request.user
    agreement = _named(request)
    password = request.POST.get("password", "")
    if authenticate(request, username=user.email, password=password) != user:
        wrong = BadInput("Not signed.", [Fault("password", "This is not your password.")])
        return _sign_page(request, wrong)
    made = agreements.sign(agreement, person(user))
    words = {
        State.IN_FORCE: f"v{made.number} is in force. Every lead is being scored by it.",
        State.SIGNED: f"v{made.number} is signed by both sides.",
    }
    messages.success(request, words.get(State(made.state), "Signed. The other side is asked now."))
    return redirect("scoring:tab", tab="sign")


@require_POST
@roles(Role.MARKETING_MANAGER, Role.SALES_MANAGER)
def decline(request: HttpRequest) -> HttpResponseBase:
    """Say no for one's side, with the reason."""
    user: Any = request.user
    agreement = _named(request)
    try:
        agreements.decline(agreement, person(user), request.POST.get("comment", ""))
    except BadInput as bad:
        return _sign_page(request, bad)
    messages.success(request, f"v{agreement.number} is declined; the reason stands in the history.")
    return redirect(f"{reverse('scoring:tab', args=['sign'])}?{urlencode({'v': agreement.number})}")


@require_POST
@_writers
def withdraw(request: HttpRequest) -> HttpResponseBase:
    """Take a proposal back."""
    user: Any = request.user
    agreement = _named(request)
    agreements.withdraw(agreement, person(user), request.POST.get("reason", "")[:500])
    messages.success(request, f"v{agreement.number} is withdrawn.")
    return redirect("scoring:agreement")


def _tab(request: HttpRequest) -> str:
    tab = request.POST.get("tab", DEFAULT_TAB)
    return tab if tab in parts.TABS else DEFAULT_TAB
