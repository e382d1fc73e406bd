"""See who moves: the page, its fragments, the leads behind its numbers, and the bar put into the draft."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from leadflow.accounts.actors import person
from leadflow.errors import BadInput, Fault, NotVisible
from leadflow.numbers import whole
from leadflow.web import PageRequest, csv_response
from scoring import agreements
from scoring.document import Document
from scoring.models import PreviewRun
from scoring.views.desk import State, desk_of, writers
from scoring.whatif import bars, runs, showing, tally
from scoring.whatif.showing import Shown

PAGE = 50
# Rows of a CSV that are explained: each costs a look at both versions.
EXPLAINED = 2_000


@require_GET
@writers
def page(request: PageRequest) -> HttpResponseBase:
    """Who would move if the draft (or the version asked for by `v`) were in force now.

    The whole page is a frame that asks for its fragment; the fragment starts the look. `bar` tries a bar,
    `again` looks anew, `by` cuts the matrix.
    """
    desk = desk_of(request)
    against = desk.in_force
    context: dict[str, Any] = {"desk": desk, "agreement": desk.agreement, "against": against}
    if not request.htmx:
        return render(request, "scoring/whatif/whatif.html", context)
    user: Any = request.user
    run = runs.start(desk.agreement, against, person(user), again="again" in request.GET)
    return render(request, "scoring/whatif/_whatif.html", context | _context(request, run))


@require_GET
@writers
def state(request: PageRequest) -> HttpResponseBase:
    """How far the exact answer is; once it is there, it takes the place of the first one."""
    run = _run(request)
    shown = _shown(request, run)
    if shown.standing.running:
        words = {"shown": shown, "agreement": run.draft, "by": request.GET.get("by", "")}
        return render(request, "scoring/whatif/_state.html", words)
    context = {"desk": desk_of(request), "agreement": run.draft, "against": run.against}
    answer = render(request, "scoring/whatif/_whatif.html", context | _context(request, run))
    answer["HX-Retarget"], answer["HX-Reswap"] = "#whatif", "outerHTML"
    return answer


@require_GET
@writers
def leads(request: PageRequest) -> HttpResponseBase:
    """The leads behind one number."""
    run = _run(request)
    shown = _shown(request, run)
    name = request.GET.get("cell", "")
    found, group = tally.cell(name), tally.group_of(name)
    if found is None:
        raise NotVisible
    args: dict[str, Any] = {"sample": shown.sample, "group": group}
    if request.GET.get("csv"):
        return csv_response(f"moves-{name.replace(':', '-')}", _LEAD_HEADS, _lead_rows(shown, found, args))
    total = tally.count(run, found, shown.tried, **args)
    pages = Paginator(range(total), PAGE)
    here = pages.get_page(request.GET.get("page"))
    lines = tally.lines(run, found, shown.tried, **args, limit=PAGE, offset=max(0, here.start_index() - 1))
    context = {
        "shown": shown,
        "title": found.title,
        "group": group,
        "agreement": run.draft,
        "against": run.against,
        "total": total,
        "page": here,
        "movers": showing.movers(shown, lines),
        "back": _page_address(run, shown),
    }
    return render(request, "scoring/whatif/leads.html", context)


_LEAD_HEADS = (
    "Lead",
    "Name",
    "Title",
    "Company",
    "Score before",
    "Grade before",
    "Score",
    "Grade",
    "What moved it",
)


def _lead_rows(shown: Shown, found: tally.Cell, args: dict[str, Any]) -> Iterator[Sequence[Any]]:
    for offset in range(0, EXPLAINED, 200):
        lines = tally.lines(shown.run, found, shown.tried, **args, limit=200, offset=offset)
        for one in showing.movers(shown, lines):
            causes = " · ".join(" ".join(cause).strip() for cause in one.causes)
            was = one.line.was if one.line.was >= 0 else ""
            yield (
                *(one.line.lead, one.name, one.title, one.company, was, one.line.was_grade),
                *(one.line.now, one.line.now_grade, causes),
            )
        if len(lines) < 200:
            return


@require_GET
@writers
def table(request: PageRequest) -> HttpResponseBase:
    """The figures of one part of the page as CSV."""
    run = _run(request)
    shown = _shown(request, run)
    name = request.GET.get("table", "")
    made = _tables(shown, request.GET.get("by", "")).get(name)
    if made is None:
        raise NotVisible
    return csv_response(f"moves-{name}", *made)


def _tables(shown: Shown, by: str) -> dict[str, tuple[Sequence[str], list[Sequence[Any]]]]:
    cut = shown.matrix(by)
    groups = ("Open leads", "Up", "Down", "Become MQL", "Stop being MQL", "Enter the queue", "Leave it")
    return {
        "scores": (
            ("Score from", "Leads before", "Leads by the draft"),
            [(c.low, c.was, c.now) for c in shown.columns],
        ),
        "grades": (
            ("Before", *(f"to {head}" for head in cut.heads), "All"),
            [(was, *(cell.count for cell in cells), total) for was, cells, total in cut.rows],
        ),
        "bars": (
            ("Bar", "Enter the queue", "Leave it", "Handoffs a week"),
            [
                (bar, shown.whole(enter), shown.whole(leave), round(shown.found["weekly"]["bars"][bar], 1))
                for bar, (enter, leave) in shown.found["bars"].items()
            ],
        ),
        **{
            name: (
                (name[:-1].capitalize(), *groups),
                [(one["name"], *(count for count, _ in one["cells"])) for one in shown.groups(name[:-1])],
            )
            for name in ("sources", "owners")
        },
    }


@require_POST
@writers
def put_bar(request: PageRequest) -> HttpResponseBase:
    """Put the tried bar into the draft; where there is none, into a new one."""
    user: Any = request.user
    actor = person(user)
    draft = agreements.draft() or agreements.create_draft(actor)
    bar = bars.of(Document(draft.content))
    wanted = whole(request.POST.get("bar"))
    if bar is None or wanted is None or not bar.low <= wanted <= bar.high:
        raise BadInput("This bar cannot be put into the draft.", [Fault("bar", "Choose it on the slider.")])
    lock = whole(request.POST.get("lock_version"))
    same = request.POST.get("v") == str(draft.number)
    agreements.save_draft(
        draft,
        bars.with_bar(draft.content, wanted),
        actor,
        lock if same and lock is not None else draft.lock_version,
        what=f"The bar for sales: {bar.value} → {wanted} points",
    )
    messages.success(request, f"The draft of v{draft.number} asks for {wanted} points now.")
    address = reverse("scoring:moves")
    if request.htmx:
        answer = HttpResponse(status=204)
        answer["HX-Redirect"] = address
        return answer
    return redirect(address)


def _run(request: PageRequest) -> PreviewRun:
    key = request.GET.get("run", "")
    if not key.isdecimal() or len(key) > 15:
        raise NotVisible
    return runs.get(int(key))


def _shown(request: PageRequest, run: PreviewRun) -> Shown:
    document = Document(run.draft.content)
    bar = bars.of(document) if runs.sha_of(run.draft) == run.draft_sha else None
    tried = bar.tried(request.GET.get("bar", "")) if bar else 0
    return Shown(run, bar, tried)


def _context(request: PageRequest, run: PreviewRun) -> dict[str, Any]:
    shown = _shown(request, run)
    by = request.GET.get("by", "")
    context: dict[str, Any] = {"shown": shown, "by": by, "here": _page_address(run, shown)}
    if not shown.empty:
        context |= {
            "matrix": shown.matrix(by),
            "lists": shown.lists,
            "is_draft": run.draft.state == State.DRAFT,
            "words": shown.words,
            "tables": {name: shown.csv(name) for name in ("scores", "grades", "bars", "sources", "owners")},
            "cuts": showing.CUTS,
            "sources": shown.groups("source"),
            "owners": shown.groups("owner"),
        }
    return context


def _page_address(run: PreviewRun, shown: Shown) -> str:
    return f"{reverse('scoring:moves')}?{urlencode({'v': run.draft.number, 'bar': shown.tried})}"
