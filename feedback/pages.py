"""The feedback screen: what sales says about the leads, why, and what marketing says back."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from feedback import answers as said
from feedback import letters
from feedback.pages_reports import sources
from feedback.reports import answers
from feedback.reports.base import read_filters
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role, Team
from leadflow.accounts.rights import roles
from leadflow.leads.models import Answer
from leadflow.web import PageRequest, changed_query

PAGE = 12
# The picture of acceptance: width in its own units for wide and narrow screens.
WIDTHS = (("only-d", 540), ("only-m", 326))


@require_GET
def feedback(request: PageRequest) -> HttpResponseBase:
    """Sentence, band, reasons by source, points wasted, and the stream of answers."""
    filters = read_filters(request.GET.dict())
    terms = answers.current_terms()
    report = answers.build(filters, terms)
    show = request.GET.get("show", "")
    if show not in said.SHOW:
        show = ""
    page = Paginator(said.stream(filters, show), PAGE).get_page(request.GET.get("page"))
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
        "teams": Team.objects.filter(kind=Team.Kind.SALES),
        "sources": sources(),
        "by_links": [
            (label, changed_query(request.GET, {"by": key, "page": None}), key == (filters.by or "source"))
            for key, label in answers.BY.items()
        ],
        "unseen": said.unseen(user) if user.in_sales else [],
        "marketing": user.in_marketing or user.is_admin,
    }
    if request.htmx and request.htmx.target == "said":
        return render(request, "feedback/_said.html", context)
    return render(request, "feedback/feedback.html", context)


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
    return render(request, "feedback/_reply.html", context)


@require_GET
@roles(Role.MARKETER, Role.MARKETING_MANAGER)
def dispute_form(request: PageRequest, pk: int) -> HttpResponse:
    """The form for an objection."""
    return render(
        request, "feedback/_dispute.html", {"pk": pk, "next": f"/feedback/{changed_query(request.GET, {})}"}
    )


@require_POST
def put_away(request: PageRequest, pk: int) -> HttpResponse:
    """A rep has read marketing's answer."""
    said.put_away(request.user, pk, clock.now())
    if request.htmx:
        return HttpResponse("")
    return redirect("feedback:feedback")


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
