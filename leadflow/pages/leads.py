"""The list of leads: filters, order, pages, CSV."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Contains
from django.http import HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone

from feedback.reports.origins import sources
from leadflow import clock
from leadflow.accounts.models import MARKETING, Role, User
from leadflow.accounts.rights import roles
from leadflow.accounts.templatetags.lf import stage_name
from leadflow.leads.folding import fold, phone_key
from leadflow.leads.models import Campaign, Company, Lead, Stage
from leadflow.numbers import whole
from leadflow.paging import page_of
from leadflow.web import PageRequest, changed_query, csv_response

SORTS = {
    "created": ("created_at", "id"),
    "score": ("score__total", "-score__lead"),
    "seen": ("last_own_act_at", "id"),
    "since": ("stage_since", "id"),
    "name": ("name_key", "id"),
}
DEFAULT_SORT = "-created"
# So many companies or phones that hold a searched text are looked up one by one.
FEW = 1_000
_GRADE = re.compile(r"[A-D][1-4]?\Z")
CSV_HEAD = (
    "id",
    "name",
    "email",
    "phone",
    "title",
    "company",
    "country",
    "source",
    "stage",
    "level",
    "grade",
    "score",
    "fit",
    "behaviour",
    "value",
    "owner",
    "last own act",
    "in stage since",
    "lead since",
)


def living() -> QuerySet[Lead]:
    """Leads that were neither merged away nor erased."""
    return Lead.objects.filter(merged_into=None, erased_at=None)


def filtered(params: Any) -> QuerySet[Lead]:
    """The leads that the query's filters leave; anything not understood is ignored."""
    rows = living()
    if stage := params.get("stage"):
        rows = rows.filter(stage=stage)
    if (grade := params.get("grade", "")) and _GRADE.match(grade):
        rows = (
            rows.filter(score__grade=grade)
            if len(grade) == 2
            else rows.filter(score__grade__startswith=grade)
        )
    if source := params.get("source"):
        rows = rows.filter(first_source=source)
    if (campaign := whole(params.get("campaign"))) is not None:
        rows = rows.filter(first_campaign_id=campaign)
    if (company := whole(params.get("company"))) is not None:
        rows = rows.filter(company_id=company)
    rows = _owned(rows, params.get("owner", ""))
    if text := params.get("q", "").strip():
        rows = rows.filter(matching(text))
    return rows


def _owned(rows: QuerySet[Lead], owner: str) -> QuerySet[Lead]:
    if owner == "marketing":
        return rows.filter(owner=None)
    whose = whole(owner)
    return rows if whose is None else rows.filter(owner_id=whose)


def matching(text: str) -> Q:
    """Leads whose name, e-mail, phone or company holds the text.

    One condition over the lead's own columns: of a rare text each part comes from its index, of a frequent
    one the list is walked in its order until a page is full.
    """
    key = fold(text)
    found = Q(name_key__contains=key) | Q(Contains(Coalesce("email_key", Value("")), key))
    found |= _few("company__in", Company.objects.filter(name_key__contains=key))
    digits = phone_key(text).lstrip("+0")
    if len(digits) >= 5 and not any(letter.isalpha() for letter in text):
        found |= _few("pk__in", Lead.objects.filter(phone_key__contains=digits))
    return found


def _few(name: str, rows: QuerySet[Any]) -> Q:
    """These rows one by one, so that an index serves them; as a question of their own where they are many."""
    ids = list(rows.order_by().values_list("pk", flat=True)[: FEW + 1])
    return Q(**{name: ids if len(ids) <= FEW else rows.order_by().values("pk")})


def ordered(rows: QuerySet[Lead], sort: str) -> QuerySet[Lead]:
    """In the order asked for. By score only scored leads can stand in a row, so the others are left out."""
    down, key = sort.startswith("-"), sort.lstrip("-")
    first, second = SORTS.get(key, SORTS["created"])
    if key == "score":
        rows = rows.filter(score__isnull=False)
    if key == "seen":
        lead_order = F(first).desc(nulls_last=True) if down else F(first).asc(nulls_last=True)
        return rows.order_by(lead_order, f"-{second}" if down else second)
    flipped = second.lstrip("-") if second.startswith("-") else f"-{second}"
    return rows.order_by(f"-{first}" if down else first, flipped if down else second)


def leads(request: PageRequest) -> HttpResponse:
    """The list, filtered by the address; a fragment for htmx."""
    params = request.GET
    sort = params.get("sort", DEFAULT_SORT)
    if sort.lstrip("-") not in SORTS:
        sort = DEFAULT_SORT
    rows = ordered(filtered(params), sort).select_related("company", "owner", "score")
    used = {
        key: params[key]
        for key in ("stage", "grade", "source", "owner", "q", "campaign", "company")
        if params.get(key)
    }
    context = {
        "page": page_of(rows, params.get("page"), first_ids=True),
        "sort": sort,
        "used": used,
        "stages": Stage.choices,
        "sources": sources(),
        "owners": User.objects.filter(role__in=(Role.REP, Role.SALES_MANAGER), is_active=True),
        "campaign": Campaign.objects.filter(pk=whole(used["campaign"]) or 0).first()
        if "campaign" in used
        else None,
        "can_export": _may_export(request),
        "can_import": isinstance(request.user, User)
        and request.user.role in [role.value for role in (*MARKETING, Role.ADMIN)],
        "grades": ("A", "B", "C", "D"),
        "now": clock.now(),
    }
    # htmx also asks for whole pages (history); only the filter form asks for the list alone.
    part = request.htmx and request.htmx.target == "leads-list"
    response = render(request, "pages/_leads.html" if part else "pages/leads.html", context)
    if part:
        response["HX-Push-Url"] = request.path + changed_query(QueryDict(), used | _kept(params))
    return response


def _kept(params: Any) -> dict[str, str]:
    return {"sort": params["sort"]} if params.get("sort") else {}


def _may_export(request: PageRequest) -> bool:
    return isinstance(request.user, User) and request.user.role != Role.REP


@roles(Role.MARKETER, Role.MARKETING_MANAGER, Role.SALES_MANAGER)
def leads_csv(request: PageRequest) -> StreamingHttpResponse:
    """All leads of the filtered list as CSV, streamed; cells are safe for spreadsheets."""
    rows = ordered(filtered(request.GET), request.GET.get("sort", DEFAULT_SORT))
    rows = rows.select_related("company", "owner", "score")
    return csv_response("leads", CSV_HEAD, _lines(rows))


def _lines(rows: QuerySet[Lead]) -> Iterator[tuple[Any, ...]]:
    for lead in rows.iterator(chunk_size=2000):
        score = getattr(lead, "score", None)
        yield (
            lead.pk,
            lead.name,
            lead.email,
            lead.phone,
            lead.title,
            lead.company.name if lead.company else "",
            lead.country,
            lead.first_source,
            stage_name(lead.stage),
            lead.get_level_display() if lead.stage == Stage.PROSPECT else "",
            score.grade if score else "",
            score.total if score else "",
            score.fit if score else "",
            score.behaviour if score else "",
            score.value if score else "",
            lead.owner.name if lead.owner else "Marketing",
            _stamp(lead.last_own_act_at),
            _stamp(lead.stage_since),
            _stamp(lead.created_at),
        )


def _stamp(value: datetime | None) -> str:
    return timezone.localtime(value).strftime("%Y-%m-%d %H:%M") if value else ""
