"""The feedback screen: what sales says about the leads, why, and what marketing says back."""

from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from feedback import answers as said
from feedback import letters, promised, rules
from feedback.reports import answers
from feedback.reports.base import Report, read_filters
from feedback.reports.counted import BY
from feedback.reports.origins import sources
from handoff.models import Handoff
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import SALES, Role, Team, User
from leadflow.accounts.rights import roles
from leadflow.leads.models import Answer, Campaign
from leadflow.paging import page_of
from leadflow.web import PageRequest, changed_query, fragment
from scoring import agreements
from scoring.document import Document
from scoring.editing import parts
from scoring.models import Agreement

PAGE = 12
SHOWN = 5
RULE_DAYS = 91
WASTED = 8
# The picture of acceptance: width in its own units for wide and narrow screens.
WIDTHS = (("only-d", 540), ("only-m", 326))


@require_GET
def feedback(request: PageRequest) -> HttpResponseBase:
    """Sentence, band, reasons by source, points wasted, and the stream of answers."""
    filters = read_filters(request.GET.dict())
    terms = answers.current_terms()
    teams = list(Team.objects.filter(kind=Team.Kind.SALES))
    reps = list(User.objects.filter(role__in=SALES, is_active=True).order_by("name"))
    report, counted = answers.screen(filters, terms, [*teams, *reps])
    show = request.GET.get("show", "")
    if show not in said.SHOW:
        show = ""
    stream = said.Stream(report.filters, show)
    page = page_of(cast(Any, stream), request.GET.get("page"), PAGE, stream.seen(counted))
    user: Any = request.user
    context = {
        "report": report,
        "filters": filters,
        "gauge": report.figures[0],
        "drawings": [drawing(css, width, report.figures[0]) for css, width in WIDTHS],
        "page": page,
        "said": said.dress(page.object_list, user, terms, clock.now()),
        "show": show,
        "shows": said.SHOW,
        "reasons": terms.reasons,
        "terms": terms,
        "teams": teams,
        "sources": sources(),
        "campaigns": Campaign.objects.order_by("name"),
        "reps": reps,
        "narrowed": any(getattr(filters, name) for name in ("campaign", "persona", "rep", "criterion")),
        "wasted": wasted(report, terms),
        "may_draft": user.role in agreements.WRITERS,
        "tab": "answers",
        "by_links": [
            (label, changed_query(request.GET, {"by": key, "page": None}), key == (filters.by or "source"))
            for key, label in BY.items()
        ],
        "unseen": said.unseen(user) if user.in_sales else [],
        "marketing": user.in_marketing or user.is_admin,
    }
    if request.htmx and request.htmx.target == "said":
        return render(request, "feedback/_said.html", context)
    return render(request, "feedback/feedback.html", context)


def wasted(report: Report, terms: answers.Terms) -> list[dict[str, Any]]:
    """The rows of the points wasted: each with the length of its bar, whether its rule is there still, and
    what a draft says of it already."""
    rows = report.tables[1].rows[:WASTED]
    most = max((row[1].value for row in rows), default=1) or 1
    changed = _in_draft()
    return [
        {
            "key": row[0].tone,
            "title": row[0].words,
            "hint": row[0].small,
            "figures": row[1:],
            "bar": round(90 * row[1].value / most),
            "there": row[0].tone in terms.criteria,
            "draft": changed.get(row[0].tone, ""),
        }
        for row in rows
    ]


def _in_draft() -> dict[str, str]:
    """What the open draft says otherwise, by rule: "in draft v5: +1"; one query."""
    states = (Agreement.State.DRAFT, Agreement.State.IN_FORCE)
    found = {row.state: row for row in Agreement.objects.filter(state__in=states).order_by("number")}
    if len(found) < 2:
        return {}
    draft, base = (Document(found[state].content) for state in states)
    number = found[Agreement.State.DRAFT].number
    mine = {rule.id: rule for rule in draft.criteria}
    words = {}
    for rule in base.criteria:
        other = mine.get(rule.id)
        if other is None:
            words[rule.id] = f"not in draft v{number}"
        elif other.points != rule.points:
            words[rule.id] = f"in draft v{number}: {other.points:+d}".replace("-", "−")
        elif other != rule:
            words[rule.id] = f"changed in draft v{number}"
    return words


def drawing(css: str, width: int, gauge: dict[str, Any]) -> dict[str, Any]:
    """Where the band, the interval and the point lie on a line of this width."""

    def x(value: float) -> float:
        return round(width * value / 100, 1)

    low, high = gauge["band"]
    start, stop = gauge["interval"]
    rate = gauge["rate"]
    return {
        "css": css,
        "width": width,
        "band_x": x(low),
        "band_width": x(high - low),
        "high_x": x(high),
        "from_x": x(start),
        "to_x": x(stop),
        "rate_x": None if rate is None else x(rate),
        "text_x": None if rate is None else min(max(x(rate), 10), width - 10),
    }


@require_POST
@roles(Role.MARKETER, Role.MARKETING_MANAGER)
def reply(request: PageRequest, pk: int) -> HttpResponse:
    """Marketing answers a rep."""
    count = said.reply(
        pk,
        person(request.user),
        text=request.POST.get("text", ""),
        others=bool(request.POST.get("others")),
        filters=read_filters(request.GET.dict()),
    )
    messages.success(request, f"Sent to {count} {'person' if count == 1 else 'people'}.")
    return redirect(f"/feedback/{changed_query(request.GET, {})}")


@require_GET
@roles(Role.MARKETER, Role.MARKETING_MANAGER)
def reply_form(request: PageRequest, pk: int) -> HttpResponse:
    """The form for an answer, with the names of those it would reach."""
    filters = read_filters(request.GET.dict())
    answer = get_object_or_404(Answer.objects.select_related("rep", "lead"), pk=pk)
    others = list(said.same_reason(answer, filters)) if answer.reason_key else []
    context = {"answer": answer, "others": others, "query": changed_query(request.GET, {})}
    return fragment(request, "feedback/_reply.html", context, title="Answer a rep")


@require_GET
@roles(Role.MARKETER, Role.MARKETING_MANAGER)
def dispute_form(request: PageRequest, pk: int) -> HttpResponse:
    """The form for an objection."""
    get_object_or_404(Handoff.objects.only("pk"), pk=pk)
    context = {
        "pk": pk,
        "next": f"/feedback/{changed_query(request.GET, {})}",
        "days": promised.dispute_days(clock.now()),
    }
    return fragment(request, "feedback/_dispute.html", context, title="Object to an answer")


@require_POST
def put_away(request: PageRequest, pk: int) -> HttpResponse:
    """A rep has read marketing's answer."""
    said.put_away(request.user, pk, clock.now())
    if request.htmx:
        return HttpResponse("")
    return redirect("feedback:feedback")


@require_GET
def replies(request: PageRequest) -> HttpResponse:
    """What marketing said to the reader and the reader has not read: on top of queue and home; a fragment."""
    return render(request, "feedback/_unseen.html", {"unseen": list(said.unseen(request.user)[:SHOWN])})


# A rule in the light of the answers ---------------------------------------------------------------


@require_GET
def rule(request: PageRequest, criterion: str) -> HttpResponse:
    """The numbers of one rule, and its backtest: stands beside it in the draft; a fragment."""
    filters = read_filters(request.GET.dict(), days=RULE_DAYS)
    terms = answers.current_terms()
    version = agreements.draft() or agreements.in_force()
    user: Any = request.user
    found = rules.numbers(filters, criterion, terms)
    context = {
        "numbers": found,
        "tried": rules.tried(version, criterion) if version else None,
        "version": version,
        "filters": filters,
        "goal": rules.GOAL,
        "marketing": user.in_marketing or user.is_admin,
        "may_draft": user.role in agreements.WRITERS,
    }
    return fragment(request, "feedback/_rule.html", context, title=f"The rule “{found.text}”")


@require_POST
def draft(request: PageRequest, criterion: str) -> HttpResponse:
    """One click: a draft opens at a rule, with its numbers beside it, and its backtest starts."""
    made = rules.open_draft(criterion, person(request.user))
    found = parts.part(made.content, "criterion", criterion)
    tab = found.tab if found is not None else "behaviour"
    where = urlencode({"edit": f"criterion-{criterion}", "from": request.POST.get("from", "")})
    return redirect(f"{reverse('scoring:tab', args=[tab])}?{where}")


@require_http_methods(["GET", "POST"])
@roles(Role.MARKETER, Role.MARKETING_MANAGER)
def tell(request: PageRequest, criterion: str) -> HttpResponse:
    """Say to the reps who rejected leads with points from a rule what became of it. GET: the form."""
    filters = read_filters(request.GET.dict(), days=RULE_DAYS)
    if request.method == "GET":
        terms = answers.current_terms()
        context = {
            "criterion": criterion,
            "text": terms.criteria.get(criterion, criterion),
            "people": rules.who_said_no(filters, criterion),
            "query": changed_query(request.GET, {}),
        }
        return fragment(request, "feedback/_tell.html", context, title="Tell the reps")
    chosen = [int(pk) for pk in request.POST.getlist("to") if pk.isascii() and pk.isdigit() and len(pk) < 18]
    count = rules.tell(
        criterion, person(request.user), text=request.POST.get("text", ""), to=chosen, filters=filters
    )
    messages.success(request, f"Sent to {count} {'person' if count == 1 else 'people'}.")
    return redirect(f"/feedback/{changed_query(request.GET, {})}")


@csrf_exempt
@login_not_required
def stop(request: PageRequest, token: str) -> HttpResponse:
    """The page behind the link in each e-mail to a lead: one button, no login.

    A mail program presses the button itself (RFC 8058) and has no page to take a token from; the signed
    link names one lead and does one thing.
    """
    if request.method == "POST":
        letters.stop_mail(token)
        return render(request, "feedback/stopped.html", {"done": True})
    letters.lead_of_token(token)
    return render(request, "feedback/stopped.html", {"done": False})
