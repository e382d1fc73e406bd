"""The pages of the monthly review: the agenda of a month, notes, decisions, on paper."""

import datetime as dt

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from feedback.models import Decision, Review
from feedback.review import keeping, month
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role, User
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput
from leadflow.web import PageRequest

WRITERS = (Role.MARKETER, Role.MARKETING_MANAGER, Role.SALES_MANAGER, Role.ADMIN)


@require_GET
def latest(request: PageRequest) -> HttpResponse:
    """The review of the last month that is over."""
    return redirect("feedback:review", f"{month.last_full():%Y-%m}")


@require_GET
def review(request: PageRequest, text: str) -> HttpResponseBase:
    """One month: the decisions of the last review, four questions with what is known, notes, decisions."""
    page = "print" if request.GET.get("print") else "review"
    return render(request, f"feedback/review/{page}.html", _context(request, month.read(text)))


def _context(request: PageRequest, of: dt.date) -> dict[str, object]:
    reviews = keeping.latest(of)
    kept = reviews.get(of)
    agenda = month.agenda(of, whole_page=bool(request.GET.get("print")))
    notes = kept.notes if kept else {}
    decisions = kept.decisions.select_related("owner").order_by("due", "pk") if kept else []
    closed = kept is not None and kept.closed_at is not None
    may = request.user.role in WRITERS
    return {
        "tab": "review",
        "month": of,
        "path": f"{of:%Y-%m}",
        "over": of <= month.last_full(),
        "months": month.listed(reviews, agenda.first_asked),
        "review": kept,
        "version": kept.lock_version if kept else 1,
        "closed": closed,
        "may": may,
        "writes": may and not closed,
        "topics": [(topic, notes.get(topic.key, "")) for topic in agenda.topics],
        "promises": agenda.promises,
        "figures": [
            (key, known.label, month.words(key, _figure(kept, key, agenda.figures), agenda.currency))
            for key, known in month.FIGURES.items()
        ],
        "earlier": keeping.earlier(of, agenda.figures, agenda.currency),
        "decisions": [keeping.moved(one, agenda.figures, agenda.currency) for one in decisions],
        "people": User.objects.filter(is_active=True).order_by("name") if may and not closed else [],
    }


def _figure(kept: Review | None, key: str, figures: dict[str, float | None]) -> float | None:
    # A review that was ended shows what both sides saw.
    return kept.figures.get(key) if kept and kept.closed_at else figures[key]


@require_POST
@roles(*WRITERS)
def note(request: PageRequest, text: str, key: str) -> HttpResponse:
    """Keep the note of one question."""
    of = month.read(text)
    version = request.POST.get("version", "")
    number = int(version) if version.isascii() and version.isdecimal() and len(version) < 9 else 0
    kept = keeping.note(of, key, request.POST.get("text", ""), number, person(request.user))
    if request.htmx:
        return render(request, "feedback/review/_kept.html", {"version": kept.lock_version})
    return redirect("feedback:review", text)


@require_POST
@roles(*WRITERS)
def decide(request: PageRequest, text: str) -> HttpResponse:
    """Write down a decision; what is missing stands at its field, and nothing typed is lost."""
    of = month.read(text)
    said = request.POST.dict()
    try:
        keeping.decide(
            of,
            person(request.user),
            text=said.get("text", ""),
            owner=_owner(said.get("owner", "")),
            due=_day(said.get("due", "")),
            figure=said.get("figure", ""),
        )
    except BadInput as bad:
        faults = {fault.path: fault.message for fault in bad.faults}
        context = _context(request, of) | {"faults": faults, "said": said}
        return render(request, "feedback/review/review.html", context, status=422)
    messages.success(request, "Decided. Its owner hears of it.")
    return redirect(f"{reverse('feedback:review', args=[text])}#decisions")


def _owner(text: str) -> User | None:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        return None
    return User.objects.filter(pk=int(text), is_active=True).first()


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


@require_POST
@roles(*WRITERS)
def done(request: PageRequest, pk: int) -> HttpResponse:
    """Tick a decision off, or take that back."""
    return _back(request, keeping.done(pk, person(request.user)))


@require_POST
@roles(*WRITERS)
def drop(request: PageRequest, pk: int) -> HttpResponse:
    """Take a decision out again."""
    return redirect("feedback:review", f"{keeping.drop(pk, person(request.user)):%Y-%m}")


@require_POST
@roles(*WRITERS)
def draft(request: PageRequest, pk: int) -> HttpResponse:
    """Open a draft of the agreement for a decision."""
    keeping.open_draft(pk, person(request.user))
    return redirect("scoring:agreement")


@require_POST
@roles(*WRITERS)
def close(request: PageRequest, text: str) -> HttpResponse:
    """End the meeting, or open it again."""
    of, actor = month.read(text), person(request.user)
    if request.POST.get("again"):
        keeping.reopen(of, actor)
    else:
        keeping.close(of, actor)
        messages.success(request, "The review is ended; its figures stay as they are now.")
    return redirect("feedback:review", text)


def _back(request: PageRequest, decision: Decision) -> HttpResponse:
    # From the page on which it was ticked, which may be that of a later month.
    page = request.POST.get("page", "")
    of = month.read(page) if page else decision.review.month
    return redirect(f"{reverse('feedback:review', args=[f'{of:%Y-%m}'])}#decisions")
