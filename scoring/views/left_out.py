"""The leads that are left out, whatever their points, with the rule that leaves them out."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from leadflow import clock
from leadflow.leads.models import Lead, Stage
from leadflow.web import csv_response
from scoring import current, exclusions

# So many of the newest are asked which rule it is; more than that nobody reads.
LOOKED_AT = 5_000
PER_PAGE = 50
# Left out, but no rule holds any more: the next scoring brings the lead back.
NO_MORE = "none"


@dataclass(frozen=True)
class Count:
    """One rule with how many leads it leaves out."""

    key: str
    text: str
    why: str
    leads: int
    here: bool


@dataclass(frozen=True)
class Row:
    lead: Lead
    rule: str
    since: datetime


@require_GET
def left_out(request: HttpRequest) -> HttpResponseBase:
    """Everybody who is left out, by rule; `?by=` one rule, `?format=csv` the whole list."""
    at, by = clock.now(), request.GET.get("by", "")
    everybody = Lead.objects.filter(stage=Stage.EXCLUDED, merged_into=None, erased_at=None)
    total = everybody.count()
    ids = list(everybody.order_by("-stage_since", "-pk").values_list("pk", flat=True)[:LOOKED_AT])
    now = current.current()
    found = exclusions.of(ids, at, now)
    keys = {lead: found[lead].id if lead in found else NO_MORE for lead in ids}
    rules = {rule.id: rule for rule in now.program.document.exclusions} if now else {}
    counted = Counter(keys.values())
    counts = [
        Count(key, rule.text, rule.why, counted[key], key == by) for key, rule in rules.items() if rule.on
    ]
    if counted[NO_MORE]:
        words = "No rule holds any more: the next scoring brings them back"
        counts.append(Count(NO_MORE, words, "", counted[NO_MORE], by == NO_MORE))
    wanted = [lead for lead in ids if not by or keys[lead] == by]
    if request.GET.get("format") == "csv":
        return _csv(wanted, keys, {c.key: c.text for c in counts})
    paginator = Paginator(wanted, PER_PAGE)
    page = paginator.get_page(request.GET.get("page"))
    rows = _rows(list(page.object_list), keys, {c.key: c.text for c in counts})
    context = {"page": page, "rows": rows, "counts": counts, "total": total, "looked_at": len(ids)}
    return render(request, "scoring/left_out.html", context)


def _rows(ids: list[int], keys: dict[int, str], texts: dict[str, str]) -> list[Row]:
    leads = Lead.objects.select_related("company").in_bulk(ids)
    return [Row(leads[pk], texts.get(keys[pk], ""), leads[pk].stage_since) for pk in ids if pk in leads]


def _csv(ids: list[int], keys: dict[int, str], texts: dict[str, str]) -> HttpResponseBase:
    rows = (
        [
            row.lead.pk,
            row.lead.name,
            row.lead.email,
            str(row.lead.company or ""),
            row.rule,
            row.since.isoformat(),
        ]
        for row in _rows(ids, keys, texts)
    )
    header = ["lead", "name", "email", "company", "left out by", "since"]
    return csv_response("left-out", header, rows)
