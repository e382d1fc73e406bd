"""The agreement on paper: in the browser, and as a file to sign by hand or to put on the table."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from leadflow import clock
from scoring import room
from scoring.forecast import expected_a_week
from scoring.signing import paper, proof
from scoring.signing.paper import Paper
from scoring.views.desk import desk_of


@require_GET
def printed(request: HttpRequest) -> HttpResponseBase:
    """Two pages to print: what we mean and what changes, then every rule."""
    found = _paper(request)
    context = {
        "paper": found,
        "title": paper.TITLE,
        "rules_title": paper.RULES_TITLE,
        "subtitle": paper.subtitle(found),
        "proofs": proof.WORDS,
    }
    return render(request, "scoring/print.html", context)


@require_GET
def pdf(request: HttpRequest) -> HttpResponseBase:
    """The same two pages as a PDF."""
    from scoring.signing import pdf as writer

    found = _paper(request)
    response = HttpResponse(writer.write(found), content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="agreement-v{found.agreement.number}.pdf"'
    return response


def _paper(request: HttpRequest) -> Paper:
    desk = desk_of(request)
    at = clock.now()
    sales = room.ask(desk.document, at)
    shown, force = desk.agreement, desk.in_force
    coming = shown.state in paper.COMING
    expected = expected_a_week(shown, force, sales.offered_a_week, at) if coming else None
    return paper.build(
        shown, desk.base, force, sales, expected, words=desk.words, changed=desk.changes if desk.base else ()
    )
