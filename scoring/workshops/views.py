"""The workshop's pages: the list, setting one up, sorting card by card, and the comparison."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import MANAGERS, Role, User
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput, Forbidden
from leadflow.leads.models import Lead
from leadflow.web import PageRequest, csv_response
from scoring import agreements
from scoring.conditions.explain import words_for
from scoring.document import Document
from scoring.models import Agreement, Workshop, WorkshopMember, WorkshopVote
from scoring.views.desk import writers
from scoring.workshops import comparing, drawing, marks, sorting, suggesting
from scoring.workshops.comparing import Comparison
from scoring.workshops.knowing import Reader

PER_PAGE = 25
# Offered while typing what one would have wanted to know, so that the same is called the same.
COMMON = (
    "Budget",
    "Who decides",
    "When they want to start",
    "What they use now",
    "Size of the company",
    "Industry",
    "Country",
    "Job title",
    "Phone",
    "Why they asked",
)
MEANINGS = ((WorkshopVote.Vote.GOOD, "g"), (WorkshopVote.Vote.BAD, "n"), (WorkshopVote.Vote.UNSURE, "u"))


def _user(request: PageRequest) -> User:
    user = request.user
    assert isinstance(user, User)
    return user


@require_GET
def workshops(request: PageRequest) -> HttpResponseBase:
    """The workshops that this person may open."""
    user = _user(request)
    mine = WorkshopMember.objects.filter(workshop=OuterRef("pk"), user=user)
    rows = sorting.visible(user).annotate(
        people=Count("members", distinct=True),
        done=Count("members", filter=Q(members__finished_at__isnull=False), distinct=True),
        leads=Count("cards", distinct=True),
        mine_open=Exists(mine.filter(finished_at=None, left_at=None)),
        mine_done=Exists(mine.filter(finished_at__isnull=False)),
    )
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    any_lead = bool(page.object_list) or Lead.objects.exists()
    context = {
        "page": page,
        "may_lead": drawing.may_lead(user),
        "any_lead": any_lead,
        "may_import": user.in_marketing or user.is_admin,
        "duties": {duty.pk: duty for duty in sorting.duties(user)},
    }
    return render(request, "scoring/workshop/list.html", context)


@require_http_methods(["GET", "POST"])
@roles(*MANAGERS)
def new(request: PageRequest) -> HttpResponseBase:
    """Set one up: how many leads of how many days, and who sorts."""
    faults: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        try:
            made = drawing.set_up(
                person(_user(request)),
                request.POST.get("name", ""),
                cards=_whole(request, "cards"),
                days=_whole(request, "days"),
                people=[int(pk) for pk in request.POST.getlist("people") if _is_id(pk)],
            )
        except BadInput as problem:
            faults, status = {fault.path: fault.message for fault in problem.faults}, 422
        else:
            messages.success(request, f"{made.cards.count()} leads are drawn, the people are told.")
            return redirect("scoring:workshop", pk=made.pk)
    now = clock.now()
    today = timezone.localtime(now)
    given = request.POST if request.method == "POST" else None
    cards, days = _whole(request, "cards", drawing.USUAL), _whole(request, "days", drawing.USUAL_DAYS)
    context = {
        "name": given["name"] if given and "name" in given else f"Workshop of {today:%-d %B %Y}",
        "cards": cards,
        "days": days,
        "chosen": set(given.getlist("people")) if given else set(),
        "sides": _sides(),
        "faults": faults,
        "most": drawing.MOST,
        "fewest": drawing.FEWEST,
        **_pool(cards, days),
    }
    return render(request, "scoring/workshop/new.html", context, status=status)


@require_POST
@roles(*MANAGERS)
def add(request: PageRequest, pk: int) -> HttpResponseBase:
    """Ask more people to sort a workshop that runs."""
    user = _user(request)
    found, _ = sorting.get(pk, user)
    chosen = [int(one) for one in request.POST.getlist("people") if _is_id(one)]
    try:
        new = drawing.add(found, person(user), chosen)
    except BadInput as problem:
        messages.error(request, problem.faults[0].message if problem.faults else str(problem))
    else:
        names = ", ".join(one.name for one in new)
        messages.success(request, f"{names} {'is' if len(new) == 1 else 'are'} asked to sort, too.")
    return redirect("scoring:workshop", pk=pk)


@require_GET
@roles(*MANAGERS)
def pool(request: PageRequest) -> HttpResponseBase:
    """What would be drawn, while the numbers are typed."""
    cards, days = _whole(request, "cards", drawing.USUAL), _whole(request, "days", drawing.USUAL_DAYS)
    return render(request, "scoring/workshop/_pool.html", _pool(cards, days))


def _pool(cards: int, days: int) -> dict[str, Any]:
    if not 1 <= days <= drawing.LONGEST_DAYS or not 1 <= cards <= drawing.MOST:
        return {"pool": None}
    found = drawing.pool(days, clock.now())
    return {"pool": found, "drawn": found.drawn(cards), "sources": found.per_source(cards)[:12]}


def _sides() -> list[tuple[str, list[User]]]:
    people = drawing.candidates()
    return [(side.label, [one for one in people if drawing.side_of(one) == side]) for side in drawing.Side]


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 18


def _whole(request: PageRequest, name: str, default: int = 0) -> int:
    text = (request.POST if request.method == "POST" else request.GET).get(name, "").strip()
    if not text and request.method == "GET":
        return default
    return int(text) if _is_id(text) and len(text) < 7 else 0


@require_GET
def workshop(request: PageRequest, pk: int) -> HttpResponseBase:
    """How far one is, or how far all are; the comparison once one may see it."""
    user = _user(request)
    found, seat = sorting.get(pk, user)
    if sorting.may_compare(found, seat):
        return redirect("scoring:workshop_result", pk=pk)
    row = sorting.places(found, user) if seat else []
    people = sorting.people(found)
    context = {
        "workshop": found,
        "seat": seat,
        "may_sort": sorting.may_sort(seat),
        "may_lead": drawing.may_lead(user),
        "others": _others(found, user),
        "people": people,
        "finished": sum(1 for one in people if one.finished_at),
        **_far(row),
    }
    return render(request, "scoring/workshop/workshop.html", context)


def _others(found: Workshop, user: User) -> list[tuple[str, list[User]]]:
    """Who could be asked to sort, too, by side; for who may ask."""
    if found.state != Workshop.State.OPEN or not drawing.may_lead(user):
        return []
    people = drawing.not_yet(found)
    sides = [(side.label, [one for one in people if drawing.side_of(one) == side]) for side in drawing.Side]
    return [(label, some) for label, some in sides if some]


def _far(row: list[sorting.Place]) -> dict[str, Any]:
    count = sum(place.look != "gone" for place in row)
    done = sum(place.look == "done" for place in row)
    return {"row": row, "count": count, "done": done, "next": sorting.next_open(row), "whole": count == done}


@require_http_methods(["GET", "POST"])
def card(request: PageRequest, pk: int, n: int) -> HttpResponseBase:
    """One card to be sorted. A POST keeps the answer and stays, or goes on where `go` says."""
    found, seat = sorting.get(pk, _user(request))
    if seat is None:
        raise Forbidden("Only the people who were invited sort.")
    if not sorting.may_sort(seat):
        return _elsewhere(request, reverse("scoring:workshop", args=[pk]))
    if request.method == "GET":
        return _show_card(request, found, n)
    kept = _keep(request, found, n)
    go = request.POST.get("go", "")
    if not go:
        return _show_card(request, found, n, fresh=kept)
    row = sorting.places(found, _user(request))
    to = _beside(row, n, go) if go in ("prev", "after") else sorting.next_open(row, n)
    if to is None:
        return _elsewhere(request, reverse("scoring:workshop", args=[pk]))
    address = reverse("scoring:workshop_card", args=[pk, to])
    if not request.htmx:
        return redirect(address)
    answer = _show_card(request, found, to)
    answer["HX-Push-Url"] = address
    return answer


def _keep(request: PageRequest, found: Workshop, n: int) -> bool:
    """Keep what was said, if anything was; a text without an answer is refused, so that it is not lost."""
    vote = request.POST.get("vote", "")
    reason, wanted = request.POST.get("reason", ""), request.POST.get("wanted", "")
    if not vote:
        before = sorting.own_answer(sorting.card(found, n), _user(request))
        if before is None and not (reason.strip() or wanted.strip()):
            return False
        vote = before.vote if before else ""
    sorting.sort(found, n, person(_user(request)), vote, reason, wanted)
    return True


def _beside(row: list[sorting.Place], n: int, go: str) -> int | None:
    """The card before or after, left out ones passed over; the same one at either end."""
    there = [place.n for place in row if place.look != "gone"]
    beside = [i for i in there if (i < n if go == "prev" else i > n)]
    return (beside[-1] if go == "prev" else beside[0]) if beside else n


def _show_card(request: PageRequest, found: Workshop, n: int, *, fresh: bool = False) -> HttpResponse:
    user = _user(request)
    one = sorting.card(found, n)
    row = sorting.places(found, user)
    gone = sorting.gone(one)
    reader = Reader()
    context = {
        "workshop": found,
        "card": one,
        "n": n,
        "gone": gone,
        "known": None if gone else reader.facts([one]).get(one.pk),
        "acts": [] if gone else reader.acts(one),
        "vote": sorting.own_answer(one, user),
        "answers": [(vote.value, vote.label, key) for vote, key in MEANINGS],
        "common": COMMON,
        # The reason is the next thing to say, right after the answer.
        "focus": fresh and bool(request.POST.get("vote")),
        **_far(row),
    }
    whole = not request.htmx
    return render(request, f"scoring/workshop/{'card' if whole else '_card'}.html", context)


def _elsewhere(request: PageRequest, address: str) -> HttpResponse:
    if request.htmx:
        return HttpResponse(headers={"HX-Redirect": address})
    return redirect(address)


@require_POST
def finish(request: PageRequest, pk: int) -> HttpResponseBase:
    """One's answers are done."""
    found, _ = sorting.get(pk, _user(request))
    sorting.finish(found, person(_user(request)))
    messages.success(request, "Thank you: your answers stand.")
    return redirect("scoring:workshop", pk=pk)


@require_POST
def leave(request: PageRequest, pk: int) -> HttpResponseBase:
    """See the comparison of a closed workshop without having finished."""
    found, _ = sorting.get(pk, _user(request))
    sorting.leave(found, person(_user(request)))
    return redirect("scoring:workshop_result", pk=pk)


@require_POST
@roles(*MANAGERS)
def close(request: PageRequest, pk: int) -> HttpResponseBase:
    """End the sorting before everybody has finished."""
    found, _ = sorting.get(pk, _user(request))
    sorting.close(found, person(_user(request)))
    messages.success(request, "The workshop is closed. Who has not finished can still do so.")
    return redirect("scoring:workshop", pk=pk)


def _compared(request: PageRequest, pk: int) -> Comparison:
    """The comparison, for who may see it; nobody sees another's answers before the own ones are done."""
    found, seat = sorting.get(pk, _user(request))
    if not sorting.may_compare(found, seat):
        if sorting.may_sort(seat):
            raise Forbidden("You see what the others said once you have sorted all cards yourself.")
        raise Forbidden("The comparison opens when everybody has finished, or the workshop is closed.")
    return comparing.compare(found)


@require_GET
def result(request: PageRequest, pk: int) -> HttpResponseBase:
    """Where the sides agree and split, what the score says, what marks the good ones, what could change."""
    comparison = _compared(request, pk)
    if request.GET.get("csv"):
        return _as_csv(comparison)
    document = Document(_agreement(comparison))
    found = marks.find(comparison, words_for(document))
    user = _user(request)
    context = {
        "comparison": comparison,
        "workshop": comparison.workshop,
        "found": found,
        "suggestions": suggesting.suggest(comparison, found),
        "may_write": Role(user.role) in agreements.WRITERS,
        "measures": [
            ("Marketing against sales", comparison.between_sides),
            ("Everybody who finished", comparison.between_people),
        ],
    }
    page = "print" if request.GET.get("print") else "result"
    return render(request, f"scoring/workshop/{page}.html", context)


def _agreement(comparison: Comparison) -> Any:
    """The content by which conditions are put into words: the newest version, or none."""
    versions: list[Agreement] = [model.agreement for model in comparison.models]
    return versions[-1].content if versions else {}


@require_POST
@writers
def suggest(request: PageRequest, pk: int) -> HttpResponseBase:
    """Put one suggestion into the draft, then see who would move."""
    comparison = _compared(request, pk)
    found = marks.find(comparison, words_for(Document(_agreement(comparison))))
    offered = suggesting.suggest(comparison, found)
    draft, one = suggesting.put(offered, request.POST.get("key", ""), person(_user(request)))
    messages.success(request, f"In the draft of v{draft.number}: {one.text}.")
    return _elsewhere(request, reverse("scoring:moves"))


def _as_csv(comparison: Comparison) -> HttpResponseBase:
    head = ["Card", "Lead", "Name", "Source", "Side", "Person", "Answer", "Reason", "Wanted to know"]
    rows = (
        [
            one.card.n,
            one.card.lead_id,
            one.known.name,
            one.card.source,
            said.side,
            said.name,
            said.label,
            said.reason,
            said.wanted,
        ]
        for one in comparison.cards
        for said in one.said
    )
    return csv_response(f"workshop-{comparison.workshop.pk}", head, rows)
