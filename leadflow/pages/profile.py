"""The facts of a lead as rows that can be filled in where they are missing."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from handoff.notices import is_web
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import User
from leadflow.accounts.templatetags.lf import num
from leadflow.errors import BadInput
from leadflow.leads import intake
from leadflow.leads.facts import known_facts
from leadflow.leads.models import Lead
from scoring import personas
from scoring.document import Document

# What everybody wants to see, in this order; must-know fields and custom fields follow.
STANDARD = ("title", "company_name", "employees", "industry", "country", "phone", "email", "first_source")
# Other facts that an agreement may want known.
MORE = ("name", "city")
# Where the lead stands in the CRM: no facts, rules do not read them.
OUTSIDE = {"external_owner": "Owner in the CRM", "crm_url": "CRM"}
EDITABLE = {"name", "title", "phone", "email", "country", "city", "industry", "employees"}
LABELS = {
    "title": "Title",
    "company_name": "Company",
    "employees": "People",
    "industry": "Industry",
    "country": "Country",
    "phone": "Phone",
    "email": "E-mail",
    "first_source": "First source",
    "name": "Name",
    "city": "City",
}


@dataclass(frozen=True)
class Row:
    """One fact on the page. `gap`: the agreement wants it known and it is not."""

    key: str
    label: str
    value: str
    gap: bool
    editable: bool
    href: str = ""


def profile_rows(lead: Lead, document: Document | None) -> list[Row]:
    """The profile, with the gaps that the agreement's must-know list leaves."""
    wanted = _wanted(document)
    rows = [_row(lead, key, LABELS[key], wanted) for key in STANDARD]
    # The name stands above; the others only where somebody wants them.
    more = [_row(lead, key, LABELS[key], wanted) for key in MORE if key in wanted]
    custom = _custom(lead, document)
    outside = [_outside(lead, key) for key in OUTSIDE]
    return [*(row for row in more if row.key != "name" or row.gap), *rows, *custom, *outside]


def acts_wanted(lead: Lead, document: Document | None) -> bool:
    """Whether sales must know what the lead did and nothing is known of that at all."""
    return document is not None and "last_acts" in document.must_know and lead.last_own_act_at is None


def _wanted(document: Document | None) -> set[str]:
    keys = set(document.must_know) if document else set()
    if "phone_or_email" in keys:
        keys = (keys - {"phone_or_email"}) | {"phone", "email"}
    return keys


def _row(lead: Lead, key: str, label: str, wanted: set[str]) -> Row:
    value = _value(lead, key)
    reachable = key in ("phone", "email") and bool(lead.phone or lead.email)
    gap = key in wanted and not value and not reachable
    href = f"/leads/?company={lead.company_id}" if key == "company_name" and lead.company_id else ""
    editable = key in EDITABLE and (key not in ("industry", "employees") or lead.company_id is not None)
    return Row(key, label, value, gap, editable, href)


def _outside(lead: Lead, key: str) -> Row:
    value = str(getattr(lead, key))
    web = key == "crm_url" and is_web(value)
    return Row(key, OUTSIDE[key], "Open in CRM" if web else value, False, True, value if web else "")


def _value(lead: Lead, key: str) -> str:
    company = lead.company
    if key == "company_name":
        return company.name if company else ""
    if key == "employees":
        return num(company.employees) if company and company.employees is not None else ""
    if key == "industry":
        return company.industry if company else ""
    if key == "country":
        return lead.country or (company.country if company else "")
    return str(getattr(lead, key, "") or "")


def _custom(lead: Lead, document: Document | None) -> list[Row]:
    rows = []
    wanted = {field.key: field for field in document.fields} if document else {}
    values: dict[str, Any] = dict(lead.custom)
    if lead.company:
        values |= lead.company.custom
    must = set(document.must_know) if document else set()
    for key in [*wanted, *(key for key in values if key not in wanted)]:
        value = values.get(key)
        label = wanted[key].label if key in wanted else key.replace("_", " ").capitalize()
        shown = (
            ""
            if value is None
            else num(value)
            if isinstance(value, (int, float)) and not isinstance(value, bool)
            else str(value)
        )
        gap = not shown and (key in must or f"custom.{key}" in must)
        rows.append(Row(f"custom.{key}", label, shown, gap, True))
    return rows


def profile_field(request: HttpRequest, pk: int, key: str) -> HttpResponse:
    """Fill in or change one fact in place: GET the field, POST the value, back comes the row."""
    from leadflow.pages.lead import _agreement, find_lead

    assert isinstance(request.user, User)
    lead = find_lead(pk)
    facts = known_facts()
    fact = facts.get(key)
    if key not in OUTSIDE and (fact is None or not (key in EDITABLE or key.startswith("custom."))):
        raise BadInput("This field cannot be changed here.")
    agreement = _agreement()
    document = Document(agreement.content) if agreement else None
    if request.method == "POST":
        value = request.POST.get("value", "").strip()
        if fact is not None and fact.subject == "company":
            if lead.company_id is None:
                raise BadInput("There is no company to say this of; fill in the company first.")
            intake.change_company(lead.company_id, {key: value}, actor=person(request.user), cause="by hand")
        else:
            intake.change_lead(lead.pk, {key: value}, actor=person(request.user), cause="by hand")
        lead = find_lead(pk)
    rows = {row.key: row for row in profile_rows(lead, document)}
    row = rows.get(key) or Row(key, fact.label if fact else OUTSIDE[key], "", False, True)
    edit = request.method == "GET" and "cancel" not in request.GET
    kind = {"number": "number", "date": "date"}.get(fact.type if fact else "", "text")
    context = {"lead": lead, "row": row, "edit": edit, "kind": kind, "raw": _raw(lead, key)}
    return render(request, "pages/_profile_row.html", context)


def lead_persona(request: HttpRequest, pk: int) -> HttpResponse:
    """The row of the profile that says which persona the lead is now; asked after the page is there."""
    from leadflow.pages.lead import find_lead

    lead = find_lead(pk)
    seen = personas.of([lead.pk], clock.now()).get(lead.pk)
    return render(request, "pages/_persona.html", {"lead": lead, "persona": seen})


def _raw(lead: Lead, key: str) -> str:
    if key.startswith("custom."):
        name = key.removeprefix("custom.")
        value = lead.custom.get(name, lead.company.custom.get(name) if lead.company else None)
        return "" if value is None else str(value)
    if key in OUTSIDE:
        return str(getattr(lead, key))
    if key == "employees":
        return str(lead.company.employees or "") if lead.company else ""
    return _value(lead, key)
