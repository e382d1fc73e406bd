"""Search over everything that has a name: leads and companies."""

from urllib.parse import urlencode

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import redirect, render

from leadflow.leads.folding import fold
from leadflow.leads.models import Company
from leadflow.pages.leads import living, matching
from leadflow.web import PageRequest

SHORTEST = 2
SHOWN = 8


def search(request: PageRequest) -> HttpResponse:
    """A few leads and companies for the box; sending the box leads to the list of leads."""
    text = request.GET.get("q", "").strip()
    if not request.htmx:
        return redirect(f"/leads/?{urlencode({'q': text})}" if text else "/leads/")
    if len(text) < SHORTEST:
        return render(request, "pages/_found.html", {"text": text, "short": True})
    found = list(
        living().filter(matching(text)).select_related("company", "score").order_by("-changed_at")[:SHOWN]
    )
    companies = list(
        Company.objects.filter(name_key__contains=fold(text))
        .annotate(people=Count("leads"))
        .order_by("name_key")[:4]
    )
    return render(request, "pages/_found.html", {"text": text, "leads": found, "companies": companies})
