"""The pages of routing: the sentences, their form, the dry run, and how much room each rep has."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from handoff import desk, presence, routing
from handoff.models import RouteRule
from handoff.routes import editing, trying
from handoff.routes.editing import Typed, World
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import AuditEntry, Role, User
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, Fault, NotVisible
from leadflow.numbers import whole
from leadflow.web import PageRequest, csv_response, with_toast
from scoring import current
from scoring.conditions.explain import Words, words_for
from scoring.document import Document
from scoring.editing import suggest, tree

SHOWN = 50
LATELY = 12
writers = roles(Role.SALES_MANAGER)


@dataclass(frozen=True)
class Line:
    """A sentence as it is read: its number among those that are on, for whom, and where it leads."""

    rule: RouteRule
    number: int
    when: str
    to: str
    # Below a sentence that takes everybody nothing arrives any more.
    idle: bool


def _document() -> Document:
    now = current.current()
    return Document({}) if now is None else now.program.document


def _lines(rules: list[RouteRule], words: Words, world: World) -> list[Line]:
    found: list[Line] = []
    number, closed = 0, False
    for rule in rules:
        number += rule.active
        when = editing.when_words(rule.condition, words)
        to = editing.target_words(rule.target, world)
        found.append(Line(rule, number if rule.active else 0, when, to, closed and rule.active))
        closed = closed or (rule.active and not rule.condition and rule.target.get("to") != "company_owner")
    return found


def _rules() -> list[RouteRule]:
    return list(RouteRule.objects.select_related("changed_by")) or routing.shipped_rules()


def _context(request: PageRequest) -> dict[str, Any]:
    terms = current.current()
    document = Document({}) if terms is None else terms.program.document
    words, world = words_for(document), World.now()
    # A preview is no agreement: until one is in force the house's own limits count.
    admission = (Document({}) if terms is None or terms.preview else document).admission
    now = clock.now()
    may = request.user.role in (Role.SALES_MANAGER, Role.ADMIN)
    entries = AuditEntry.objects.filter(verb__startswith="route.").select_related("actor")
    return {
        "lines": _lines(_rules(), words, world),
        "may": may,
        "reps": presence.seats(now, capacity=admission.capacity_open, per_day=admission.new_per_rep_per_day),
        "managed": set(desk.managed(request.user).values_list("pk", flat=True)) if may else set(),
        "teams": world.teams,
        "usual": admission,
        "own": dict(User.objects.filter(role=Role.REP).values_list("pk", "capacity_open")),
        "trail": entries.order_by("-at", "-id")[:LATELY],
    }


@require_GET
def routes(request: PageRequest) -> HttpResponseBase:
    """Who gets which lead: the sentences in order, the reps' room, and who changed what."""
    return render(request, "handoff/routes/routes.html", _context(request))


def _body(request: PageRequest, said: str = "") -> HttpResponse:
    response = render(request, "handoff/routes/_body.html", _context(request))
    response["HX-Retarget"], response["HX-Reswap"] = "#routes-body", "outerHTML"
    return with_toast(response, said) if said else response


@require_http_methods(["GET", "POST"])
@writers
def edit(request: PageRequest, key: str) -> HttpResponseBase:
    """The form of one sentence (GET), a change of its shape or its saving (POST)."""
    rule = _asked(key)
    if not request.htmx and request.method == "GET":
        return redirect("handoff:routes")
    if request.GET.get("close"):
        return _body(request)
    document = _document()
    choices = tree.choices_for(document)
    if request.method == "GET":
        typed = Typed.of(rule) if rule else Typed(condition=tree.start("fact", choices))
        return _form(request, key, rule, typed, choices)
    typed = editing.read(request.POST, choices)
    do = request.POST.get("act", "save")
    if do != "save":
        typed.condition = _reshaped(typed.condition, do, choices)
        return _form(request, key, rule, typed, choices)
    try:
        made = editing.save(
            typed,
            rule.pk if rule else None,
            person(request.user),
            words_for(document),
            base=request.POST.get("base", ""),
            world=World.now(),
            document=document,
        )
    except BadInput as wrong:
        typed.faults = wrong.faults
        return _form(request, key, rule, typed, choices, status=422)
    if not request.htmx:
        return redirect("handoff:routes")
    return _body(request, f"“{made.text}” holds for every lead from now on.")


def _asked(key: str) -> RouteRule | None:
    if key == "new":
        return None
    number = whole(key)
    if number is None:
        raise NotVisible
    routing.ensure_rules()
    found = RouteRule.objects.filter(pk=number).select_related("changed_by").first()
    if found is None:
        raise NotVisible("This sentence is not there any more.")
    return found


def _reshaped(condition: Any, do: str, choices: tree.Choices) -> Any:
    if do == "everybody":
        return None
    if do == "start":
        return tree.start("fact", choices)
    if condition is None or do == "refresh":
        return condition
    return tree.change(condition, do, "c", "handoff", choices)


def _form(
    request: PageRequest,
    key: str,
    rule: RouteRule | None,
    typed: Typed,
    choices: tree.Choices,
    status: int = 200,
) -> HttpResponse:
    counted = suggest.with_counts(choices)
    node = None
    if typed.condition is not None:
        node = tree.view(typed.condition, "c", "c", "handoff", counted, typed.faults)
    context = {
        "key": key,
        "rule": rule,
        "base": editing.mark(rule) if rule else "",
        "typed": typed,
        "node": node,
        "wrong": {fault.path: fault.message for fault in typed.faults if not fault.path.startswith("c")},
        "targets": editing.TARGETS.items(),
        "strategies": editing.STRATEGIES.items(),
        "world": World.now(),
    }
    return render(request, "handoff/routes/_form.html", context, status=status)


@require_POST
@writers
def act(request: PageRequest, pk: int, do: str) -> HttpResponseBase:
    """Switch, copy, remove or move one sentence."""
    editing.act(do, pk, person(request.user), words_for(_document()), World.now())
    return _body(request) if request.htmx else redirect("handoff:routes")


@require_POST
@writers
def order(request: PageRequest) -> HttpResponseBase:
    """The sentences in another order."""
    keys = [number for key in request.POST.getlist("key") if (number := whole(key)) is not None]
    editing.order(keys, person(request.user))
    return _body(request) if request.htmx else redirect("handoff:routes")


@require_POST
@writers
def begin(request: PageRequest) -> HttpResponseBase:
    """Write down the sentences that hold by themselves, so that they can be changed."""
    routing.ensure_rules()
    return redirect("handoff:routes")


@require_POST
@writers
def room(request: PageRequest, pk: int) -> HttpResponseBase:
    """How many open leads fit on a rep's desk, and the rep's share of the round."""
    rep = User.objects.select_related("team").filter(pk=pk, is_active=True).first()
    if rep is None:
        raise NotVisible("There is nobody like that.")
    desk.set_room(rep, request.POST.get("capacity", ""), request.POST.get("weight", ""), person(request.user))
    messages.success(request, f"{rep.name}'s room is noted.")
    return redirect(f"{reverse('handoff:routes')}#reps")


# Trying --------------------------------------------------------------------------------------


def _source(data: Any) -> str:
    return data.get("of") if data.get("of") in trying.SOURCES else "came"


@require_GET
def dry_run(request: PageRequest) -> HttpResponseBase:
    """Where real leads would have gone by the sentences in use, beside where they went."""
    source = _source(request.GET)
    trial = trying.run(routing.rules_in_use(), clock.now(), _document(), source=source)
    chosen, title = _chosen(request, trial)
    if request.GET.get("format") == "csv":
        header = ("Lead", "Company", "Grade", "Came", "Would go to", "By", "Went to")
        return csv_response("routing-dry-run", header, map(_csv_row, chosen))
    context = {
        "trial": trial,
        "rows": trial.rows,
        "sources": trying.SOURCES.items(),
        "of": source,
        "title": title,
        "page": Paginator(chosen, SHOWN).get_page(request.GET.get("page")),
    }
    return render(request, "handoff/routes/trying.html", context)


def _chosen(request: PageRequest, trial: trying.Trial) -> tuple[list[trying.Placed], str]:
    """The leads that the filters of the address leave, newest first, and in words which they are."""
    rule = whole(request.GET.get("rule"))
    to, moved = request.GET.get("to", ""), request.GET.get("moved", "")
    found = [
        one
        for one in trial.placed
        if (rule is None or one.rule == rule) and (not to or one.place == to) and (not moved or one.moves)
    ]
    words = [f"by sentence {rule}" if rule else "", f"to {to}" if to else ""]
    words.append("not where they went" if moved else "")
    return found[::-1], ", ".join(word for word in words if word)


def _csv_row(one: trying.Placed) -> tuple[Any, ...]:
    lead = one.case.lead
    company = lead.company.name if lead.company else ""
    when = one.case.at.date().isoformat()
    return (str(lead), company, one.case.grade, when, one.to, one.why, one.case.went)


@require_POST
@writers
def try_it(request: PageRequest) -> HttpResponseBase:
    """The sentence of an open form, tried on real leads before it holds, beside the sentences in use."""
    document = _document()
    typed = editing.read(request.POST, tree.choices_for(document))
    faults = editing.faults_of(typed, World.now(), document)
    if faults:
        return render(request, "handoff/routes/_tried.html", {"faults": faults})
    key, source, at = request.POST.get("key", ""), _source(request.POST), clock.now()
    rules = _rules()
    mine = next((n for n, rule in enumerate(rules) if str(rule.pk) == key), None)
    tried = typed.as_rule(rules[mine] if mine is not None else None)
    changed = list(rules)
    if mine is not None:
        tried.active = True
        changed[mine] = tried
    else:
        last = rules[-1] if rules and not rules[-1].condition and typed.condition else None
        changed.insert(len(rules) - 1 if last else len(rules), tried)
    was = {one.case.lead.pk: one for one in trying.run(rules, at, document, source=source).placed}
    trial = trying.run(changed, at, document, source=source)
    number = next(n for n, rule in enumerate(trial.rules, start=1) if rule is tried)
    moved = [(one, was[one.case.lead.pk]) for one in trial.placed if one.place != was[one.case.lead.pk].place]
    context = {
        "trial": trial,
        "taken": sum(one.rule == number for one in trial.placed),
        "rows": [row for row in trial.rows if row.rule == number],
        "moved": moved,
        "source": trying.SOURCES[source],
        "faults": list[Fault](),
    }
    return render(request, "handoff/routes/_tried.html", context)


@require_GET
def counts(request: PageRequest) -> HttpResponseBase:
    """How many of the last leads each sentence took, to put beside them."""
    trial = trying.run(_rules(), clock.now(), _document())
    taken = trial.by_rule()
    context = {
        "items": [(rule.pk, taken.get(rule.pk, 0)) for rule in _rules() if rule.pk and rule.active],
        "all": len(trial.placed),
    }
    return render(request, "handoff/routes/_counts.html", context)
