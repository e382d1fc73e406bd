"""Search over everything that has a name: leads and companies."""

from urllib.parse import urlencode

from django.db.models import Count, Exists, OuterRef
from django.http import HttpResponse
from django.shortcuts import redirect, render

from handoff.models import OPEN, Handoff
from leadflow.leads.folding import fold
from leadflow.leads.models import Company, Stage
from leadflow.pages.leads import living, matching
from leadflow.web import PageRequest

SHORTEST = 2
SHOWN = 8
# With no handoff open, marketing has these: sales asks before it calls.
MARKETINGS = tuple(s for s in Stage if s not in (Stage.OPPORTUNITY, Stage.CUSTOMER, Stage.EXCLUDED))


def search(request: PageRequest) -> HttpResponse:
    """A few leads and companies for the box; sending the box leads to the list of leads."""
    text = request.GET.get("q", "").strip()
    if not request.htmx:
        return redirect(f"/leads/?{urlencode({'q': text})}" if text else "/leads/")
    if len(text) < SHORTEST:
        return render(request, "pages/_found.html", {"text": text, "short": True})
    found = list(
        living()
        .filter(matching(text))
        .annotate(with_sales=Exists(Handoff.objects.filter(lead=OuterRef("pk"), state__in=OPEN)))
        .select_related("company", "score")
        .order_by("-changed_at")[:SHOWN]
    )
    companies = list(
        Company.objects.filter(name_key__contains=fold(text))
        .annotate(people=Count("leads"))
        .order_by("name_key")[:4]
    )
    context = {"text": text, "leads": found, "companies": companies, "held": MARKETINGS}
    return render(request, "pages/_found.html", context)
