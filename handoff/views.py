"""The queue: the rep's screen, its fragments, and the acts that have no effect on nurture.

Reject, give back, opportunity, won, lost and undo are feedback's addresses; the page posts to them and
hears of every act by the event `handoff-changed`.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from handoff import acting, calls, desk, kept, machine, sieve
from handoff import queue as selectors
from handoff.models import Handoff
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role, User
from leadflow.accounts.rights import roles
from leadflow.accounts.templatetags.lf import due_text
from leadflow.errors import BadInput, Conflict, Fault, NotVisible
from leadflow.paging import page_of
from leadflow.web import PageRequest, toast
from scoring import history

SALES = (Role.REP, Role.SALES_MANAGER)
LABELS = {"mine": "Mine", "pool": "Pool", "late": "Late"}
OWN_FIELDS = ("name", "email", "phone", "title", "company", "country", "reason")
SEEN_LIMIT = 400
ALL_LIMIT = 60
GIVE_LIMIT = 200
WAITING_PAGE = 50
CARD = re.compile(r"[1-3]-[0-9]{1,18}")


# ---- Pages and fragments ----------------------------------------------------------------------------------


@require_GET
@roles(*SALES)
def queue(request: PageRequest) -> HttpResponse:
    """The whole page; `?tab=`, `?later=1`, and `?lead=` the handoff that is open."""
    wanted = request.GET.get("lead", "")
    return render(request, "handoff/queue.html", _page(request, _id(wanted), single=bool(wanted)))


@require_GET
@roles(*SALES)
def one(request: PageRequest, pk: int) -> HttpResponse:
    """The page with this lead open; on a phone only the lead. Where a notice lands."""
    return render(request, "handoff/queue.html", _page(request, pk, single=True))


@require_GET
@roles(*SALES)
def fresh(request: PageRequest) -> HttpResponse:
    """List, panel and figures anew, after an act or on a click on "2 new"."""
    single = request.GET.get("single") == "1"
    context = _page(request, _id(request.GET.get("open", "")), single=single, lenient=True)
    return render(request, "handoff/_fresh.html", context)


@require_GET
@roles(*SALES)
def narrow(request: PageRequest) -> HttpResponse:
    """The form that narrows the list: what the tab holds, by grade, source, campaign, kind."""
    user, now = reader(request), clock.now()
    tab = _tab(request, user)
    found = selectors.opened(user).filter(selectors.in_tab(user, tab, now))
    context = {
        "tab": tab,
        "later": request.GET.get("later") == "1",
        "sieve": sieve.read(request.GET),
        "letters": sieve.LETTERS,
        **sieve.choices(found.order_by()),
    }
    return render(request, "handoff/_filter.html", context)


@require_GET
def waiting(request: PageRequest) -> HttpResponse:
    """Who is ready and waits for room: marketing's until then; reps see their team's as a hint."""
    user, now = reader(request), clock.now()
    page = page_of(selectors.waiting(user), request.GET.get("page"), WAITING_PAGE)
    at_desk = selectors.desk(user, now) if user.in_sales else None
    context = {
        "page": page,
        "now": now,
        "opening": selectors.opening(user, at_desk, now) if at_desk else None,
        "terms": acting.terms_now().admission,
    }
    return render(request, "handoff/waiting.html", context)


@require_GET
@roles(*SALES)
def side(request: PageRequest, pk: int) -> HttpResponse:
    """The side panel of one lead."""
    user, now = reader(request), clock.now()
    found = selectors.panel(user, selectors.find(user, pk), now)
    lead_id = found.handoff.lead_id
    since = history.since(lead_id, history.look(user.pk, lead_id, now))
    context = {"panel": found, "now": now, "since": since, **selectors.choices(user, now)}
    return render(request, "handoff/_panel.html", context)


@require_GET
@roles(*SALES)
def poll(request: PageRequest) -> HttpResponse:
    """What changed since the page was built: 204 for nothing, else rows to swap, in place."""
    user, now = reader(request), clock.now()
    tab, only = _tab(request, user), sieve.read(request.GET)
    news = selectors.news(
        user,
        tab,
        _since(request.GET.get("since", "")),
        _shown(request),
        now,
        sieve=only,
        cards=_cards(request),
    )
    if not news.changed and not news.gone and news.new == (_id(request.GET.get("new", "")) or 0):
        response = HttpResponse(status=204)
        if not news.new:
            # Nothing is outstanding: the next question starts here.
            response["HX-Trigger"] = json.dumps({"queue-seen": {"at": now.isoformat()}})
        return response
    open_id = _id(request.GET.get("open", ""))
    in_cards = {pk for pks in _cards(request).values() for pk in pks}
    context = {
        "rows": news.changed,
        "gone": [row for row in news.gone if row.pk not in in_cards],
        "cards": news.cards,
        "empty_cards": news.empty_cards,
        "new": news.new,
        "open_id": open_id,
        "told": selectors.told(news.gone, user, now),
        "now": now,
        "tab": tab,
        **_head(user, tab, now, only, kept.of(user)),
    }
    response = render(request, "handoff/_poll.html", context)
    in_news = [*news.changed, *news.gone, *(row for card in news.cards for row in card.rows)]
    if open_id in {row.pk for row in in_news}:
        response["HX-Trigger"] = json.dumps({"queue-open-changed": {"id": open_id}})
    return response


def _page(request: PageRequest, pk: int | None, *, single: bool, lenient: bool = False) -> dict[str, Any]:
    """Everything of the page. `lenient`: a lead not visible any more is no error, the first row opens.

    Fifteen queries at most, the same at 3 rows and at 30: session with person and team, two of the frame,
    the figures, the desk and the agreement's terms, the rows, and of the panel: handoff, last act (pooled:
    one more for the room left), acts, earlier answer with the facts since, content to send, receivers.
    """
    user, now = reader(request), clock.now()
    tab, only = _tab(request, user), sieve.read(request.GET)
    later = request.GET.get("later") == "1"
    at_desk = selectors.desk(user, now)
    rows = selectors.rows(user, tab, now, later=later, sieve=only)
    parts = selectors.parts(user, rows)
    handoff = _opened(user, pk, _as_shown(parts), lenient)
    return {
        "rows": rows,
        "parts": parts,
        "place": _place(parts, handoff),
        "panel": selectors.panel(user, handoff, now) if handoff else None,
        "open_id": handoff.pk if handoff else None,
        "desk": at_desk,
        # Asked for by the template only where it stands: when nothing is left, or people wait for room.
        "opening": partial(selectors.opening, user, at_desk, now),
        "single": single and handoff is not None,
        "later": later,
        "now": now,
        "tab": tab,
        **selectors.choices(user, now),
        **_head(user, tab, now, only, kept.of(user, at_desk.views)),
    }


def _as_shown(parts: list[selectors.Part]) -> list[Handoff]:
    """The rows in the order in which they stand on the page."""
    items = [item for part in parts for item in part.items]
    return [row for item in items for row in (item.rows if isinstance(item, selectors.Card) else [item])]


def _place(parts: list[selectors.Part], handoff: Handoff | None) -> int:
    """The how manieth to answer the open one is; 0 when it is none of those."""
    answer = [row.pk for row in _as_shown([part for part in parts if part.section == 1])]
    return answer.index(handoff.pk) + 1 if handoff and handoff.pk in answer else 0


def _opened(user: User, pk: int | None, rows: list[Handoff], lenient: bool) -> Handoff | None:
    if pk is not None:
        try:
            return selectors.find(user, pk)
        except NotVisible:
            if not lenient:
                raise
    return selectors.find(user, rows[0].pk) if rows else None


def _head(
    user: User, tab: str, now: datetime, only: sieve.Sieve, views: Sequence[kept.Kept]
) -> dict[str, Any]:
    figures = selectors.counts(user, tab, now, only, [(one.tab, one.sieve) for one in views])
    own = f"Team {user.team.name}" if user.team else "Team"
    team = {Role.ADMIN: "All teams", Role.SALES_MANAGER: "My teams"}.get(Role(user.role), own)
    labels = {**LABELS, "team": team}
    tabs = [(name, labels[name], figures.tabs[name]) for name in selectors.tabs_of(user)]
    return {
        "figures": figures,
        "tabs": tabs,
        "kept": list(zip(views, figures.kept, strict=True)),
        "view": kept.shown(views, tab, only),
        "sieve": only,
        "may_give": user.role != Role.REP,
        "here": kept.address(tab, only),
    }


# ---- Acts -------------------------------------------------------------------------------------------------


@require_POST
@roles(*SALES)
def accept(request: PageRequest, pk: int) -> HttpResponse:
    """Take the lead; from the pool this claims it too."""
    done = _apply(request, pk, "accept")
    return answered(request, done, "accept", f"Accepted {done.lead}.", detail=next_due("First call", done))


@require_POST
@roles(*SALES)
def accept_all(request: PageRequest) -> HttpResponse:
    """Take several people of one company at once; each is an act of its own."""
    user = reader(request)
    ids = ids_of(request.POST.getlist("handoff"), ALL_LIMIT)
    chosen = list(Handoff.objects.filter(selectors.visible(user), pk__in=ids).select_related("lead__company"))
    if not chosen:
        raise BadInput("Nobody is chosen.", [Fault("handoff", "Choose the people to accept.")])
    done, left = desk.accept_all(chosen, person(user))
    if not done:
        raise Conflict(" ".join(left))
    company = chosen[0].lead.company
    many = f"{len(done)} of {len(chosen)}" if left else str(len(done))
    words = f"Accepted {many} {'person' if len(chosen) == 1 else 'people'}"
    words += f" at {company.name}." if company else "."
    detail = " ".join([*left, next_due("First call", done[0])]).strip()
    if not request.htmx:
        messages.success(request, f"{words} {detail}".strip())
        return redirect(_next(request) or reverse("handoff:queue"))
    back = f"{reverse('feedback:undo-all')}?{urlencode([('handoff', row.pk) for row in done])}"
    response = HttpResponse(toast(words, detail=detail, undo=back))
    response["HX-Reswap"] = "none"
    event = {"id": done[-1].pk, "ids": [row.pk for row in chosen], "action": "accept"}
    response["HX-Trigger"] = json.dumps({"handoff-changed": event})
    return response


@require_POST
@roles(*SALES)
def claim(request: PageRequest, pk: int) -> HttpResponse:
    """Take the lead out of the pool; it still wants an answer."""
    done = _apply(request, pk, "claim")
    words = "The clock runs on: accept or reject."
    return answered(request, done, "claim", f"{done.lead} is yours.", detail=words)


@require_POST
@roles(*SALES)
def contact(request: PageRequest, pk: int) -> HttpResponse:
    """A contact with its result; the first one on an offer accepts too."""
    found = selectors.find(reader(request), pk)
    action = calls.act_of(found)
    done = calls.note(found, request.POST, person(reader(request)))
    words = calls.words(done, request.POST)
    return answered(request, done, action, words, detail=next_due("Next attempt", done))


@require_POST
@roles(*SALES)
def snooze(request: PageRequest, pk: int) -> HttpResponse:
    """Let it sleep until a day, with a reason; the clock stands still."""
    until, reason = request.POST.get("until", ""), request.POST.get("reason", "")
    done = _apply(request, pk, "snooze", until=until, reason=reason)
    assert done.snoozed_until is not None
    wakes = done.snoozed_until.astimezone(ZoneInfo(reader(request).zone))
    return answered(
        request, done, "snooze", f"{done.lead} sleeps.", detail=f"Back on {wakes:%a %-d %b, %H:%M}."
    )


@require_POST
@roles(*SALES)
def wake(request: PageRequest, pk: int) -> HttpResponse:
    """The clock goes on."""
    done = _apply(request, pk, "wake")
    return answered(request, done, "wake", f"{done.lead} is awake, the clock runs.")


@require_POST
@roles(Role.SALES_MANAGER)
def reassign(request: PageRequest, pk: int) -> HttpResponse:
    """A manager gives the lead to somebody else, with a reason."""
    reason = request.POST.get("reason", "").strip()
    if not reason:
        raise BadInput("Say why.", [Fault("reason", "One sentence is enough; it stays on record.")])
    done = _apply(request, pk, "reassign", to=request.POST.get("to", ""), reason=reason)
    to = done.owner.name if done.owner else "the team's pool"
    words = f"{done.lead} is with {to} now." if done.owner else f"{done.lead} is in {to} now."
    return answered(request, done, "reassign", words, detail="The lead's own clock runs on.")


@require_POST
@roles(Role.SALES_MANAGER)
def withdraw(request: PageRequest, pk: int) -> HttpResponse:
    """A manager takes the lead back from sales, with a reason."""
    reason = request.POST.get("reason", "").strip()
    if not reason:
        raise BadInput("Say why.", [Fault("reason", "One sentence is enough; it stays on record.")])
    done = _apply(request, pk, "withdraw", reason=reason)
    words = f"{done.lead} is back with marketing."
    return answered(request, done, "withdraw", words, detail="The stage is what the score says.", undo=False)


@require_http_methods(["GET", "POST"])
@roles(*SALES)
def own(request: PageRequest) -> HttpResponse:
    """Add a lead that sales found itself: a form in the dialog, or a page of its own."""
    values = {name: request.POST.get(name, "") for name in OWN_FIELDS}
    faults: dict[str, str] = {}
    if request.method == "POST":
        try:
            done = desk.add_own(values, person(reader(request)))
        except BadInput as wrong:
            faults = _by_field(wrong)
        except Conflict as taken:
            # Somebody has this lead already: what was typed stays.
            faults = {"": taken.message}
        else:
            detail = "Marketing sees that sales found this lead."
            return answered(request, done, "open", f"{done.lead} is yours.", detail=detail, undo=False)
    context = {"values": values, "faults": faults, "fault": faults.get("", "")}
    template = "handoff/_own.html" if request.htmx else "handoff/own.html"
    return render(request, template, context, status=422 if faults else 200)


def _by_field(wrong: BadInput) -> dict[str, str]:
    """Faults by the form's fields; what belongs to none stands on top."""
    faults: dict[str, str] = {}
    for fault in wrong.faults or [Fault("", wrong.message)]:
        name = fault.path.rpartition(".")[2]
        faults.setdefault(name if name in OWN_FIELDS else "", fault.message)
    return faults


@require_POST
@roles(*SALES)
def away(request: PageRequest) -> HttpResponse:
    """Away until midnight, or back."""
    user = reader(request)
    if request.POST.get("back"):
        desk.come_back(user, person(user))
        messages.success(request, "Welcome back: new leads come to you again.")
    else:
        moved = desk.go_away(user, person(user)).moved
        told = f" {moved} that you had not answered went with them." if moved else ""
        messages.success(request, f"Away today: new leads go to colleagues until midnight.{told}")
    return redirect(_next(request) or reverse("handoff:queue"))


def _apply(request: PageRequest, pk: int, action: str, **args: Any) -> Handoff:
    return machine.apply(action, pk, person(reader(request)), **args)


def next_due(what: str, handoff: Handoff) -> str:
    """What is promised next: "First call by 14:00."."""
    due = handoff.sla_due_at
    return f"{what} {due_text(due, clock.now())[1]}." if due else ""


def answered(
    request: PageRequest, handoff: Handoff, action: str, words: str, *, detail: str = "", undo: bool = True
) -> HttpResponse:
    """The answer to an act: for htmx a toast (with Undo) and the event that lists hear; else a redirect."""
    if request.htmx:
        back = reverse("feedback:undo", args=[handoff.pk]) if undo else ""
        response = HttpResponse(toast(words, detail=detail, undo=back))
        response["HX-Reswap"] = "none"
        event = {"id": handoff.pk, "lead": handoff.lead_id, "state": handoff.state, "action": action}
        response["HX-Trigger"] = json.dumps({"handoff-changed": event, "lf:close": {}})
        return response
    messages.success(request, f"{words} {detail}".strip())
    return redirect(_next(request) or reverse("handoff:one", args=[handoff.pk]))


# ---- Reading requests -------------------------------------------------------------------------------------


def reader(request: PageRequest) -> User:
    """Whoever asks."""
    assert isinstance(request.user, User)
    return request.user


def _tab(request: PageRequest, user: User) -> str:
    return selectors.tab_of(user, request.GET.get("tab", ""))


def _id(text: str) -> int | None:
    """An id out of an address; None for what cannot be one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def ids_of(texts: Sequence[str], limit: int) -> list[int]:
    """The ids among these, of the first `limit`."""
    return [pk for pk in map(_id, texts[:limit]) if pk is not None]


def _since(text: str) -> datetime:
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise BadInput("Say since when.", [Fault("since", "An instant such as 2026-11-24T09:12:00Z.")])
    return found


def _shown(request: PageRequest) -> dict[int, str]:
    """The rows that the page shows: their ids and stamps."""
    pairs = ((_id(text.partition(":")[0]), text) for text in request.GET.getlist("row")[:SEEN_LIMIT])
    return {pk: text for pk, text in pairs if pk is not None}


def _cards(request: PageRequest) -> dict[str, list[int]]:
    """The cards that the page shows: "1-77:5,9" is the card of company 77 in the first section."""
    found: dict[str, list[int]] = {}
    for text in request.GET.getlist("card")[:SEEN_LIMIT]:
        key, _, pks = text.partition(":")
        if CARD.fullmatch(key):
            found[key] = [pk for pk in map(_id, pks.split(",")) if pk is not None]
    return found


def _next(request: PageRequest) -> str:
    wanted = request.POST.get("next", "")
    safe = wanted[:1] == "/" and url_has_allowed_host_and_scheme(wanted, {request.get_host()})
    return wanted if safe else ""
