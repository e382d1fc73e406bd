"""What a rep should know at first sight: why now, what is known, what is still to be found out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Count

from handoff import known
from handoff.known import Known
from handoff.models import Handoff
from leadflow.leads.models import Activity, Lead
from scoring.document import Document
from scoring.explanation import Explanation
from scoring.models import Crossing

MUST_KNOW = {
    "name": "Name",
    "company_name": "Company",
    "title": "Job title",
    "phone_or_email": "Phone or e-mail",
    "phone": "Phone",
    "email": "E-mail",
    "industry": "Industry",
    "employees": "Company size",
    "country": "Country",
    "first_source": "Source",
    "last_acts": "Last three acts",
}
BEGINNINGS: dict[str, str] = {
    Crossing.Kind.CALLBACK: "Call back as agreed",
    Crossing.Kind.REPAIRED: "The contact data is repaired",
    Crossing.Kind.EXISTING_CUSTOMER: "Customer shows new interest",
}
ACTS_WANTED = 3
# How much one line says at most.
MOST_PARTS = 3


class Ground(NamedTuple):
    """Why a lead is offered: the kind of its crossing (with a key), the act that caused it, its score."""

    key: int
    kind: str
    activity: int | None
    explanation: Explanation


def lines(found: Sequence[Ground]) -> dict[int, str]:
    """One line per crossing: what made the lead ready, then its strongest behaviour. One query."""
    acts = {ground.activity for ground in found if ground.activity}
    said = {
        pk: f"{phrase} “{title}”" if title else f"{phrase} {path}" if path else str(phrase)
        for pk, phrase, title, path in Activity.objects.filter(pk__in=acts).values_list(
            "pk", "kind__phrase", "content__title", "path"
        )
    }
    return {ground.key: _line(ground, said.get(ground.activity or 0, "")) for ground in found}


def _line(ground: Ground, act: str) -> str:
    explanation = ground.explanation
    parts = [BEGINNINGS[ground.kind]] if ground.kind in BEGINNINGS else []
    if act:
        parts.append(act)
    strongest = sorted(
        (line for line in explanation.lines if line.group == "behaviour" and line.points > 0 and line.text),
        key=lambda line: -line.points,
    )
    for line in strongest:
        if len(parts) == MOST_PARTS:
            break
        if _start(line.text) not in {_start(part) for part in parts}:
            parts.append(line.text[:1].lower() + line.text[1:])
    text = " · ".join(parts) or f"{explanation.total} points, grade {explanation.grade}"
    return text[:1].upper() + text[1:]


def _start(text: str) -> tuple[str, ...]:
    # A rule and the act that it counts begin alike: "Viewed a page under /pricing", "viewed a page /pricing".
    return tuple(text.lower().split()[:2])


def facts(lead: Known) -> dict[str, Any]:
    """What was known of the lead at the offer."""
    found = {
        "name": lead.name,
        "email": lead.email,
        "phone": lead.phone,
        "title": lead.title,
        "country": lead.country,
        "city": lead.city,
        "first_source": lead.first_source,
        "first_campaign": lead.first_campaign,
        "company_name": lead.company_name,
        "industry": lead.industry,
        "employees": lead.employees,
        **lead.custom,
        **lead.company_custom,
    }
    return {key: value for key, value in found.items() if value not in ("", None)}


def gaps(
    leads: Iterable[Known], facts_of: Mapping[int, Mapping[str, Any]], terms: Document
) -> dict[int, list[str]]:
    """The must-know fields that are still unknown, per lead, beside its `facts`. One query."""
    rows = list(leads)
    acts = (
        dict(
            Activity.objects.filter(lead__in=[lead.pk for lead in rows], kind__own_act=True)
            .values_list("lead_id")
            .annotate(Count("pk"))
        )
        if "last_acts" in terms.must_know
        else {}
    )
    return {lead.pk: _missing(facts_of[lead.pk], terms.must_know, acts.get(lead.pk, 0)) for lead in rows}


def _missing(facts_known: Mapping[str, Any], keys: Iterable[str], acts: int) -> list[str]:
    def missing(key: str) -> bool:
        if key == "last_acts":
            return acts < ACTS_WANTED
        if key == "phone_or_email":
            return not (facts_known.get("phone") or facts_known.get("email"))
        return key.removeprefix("custom.") not in facts_known

    return [key for key in keys if missing(key)]


def line(one: Any) -> dict[str, Any]:
    """A line of the explanation as it is frozen."""
    return {
        "criterion": one.criterion,
        "text": one.text,
        "group": one.group,
        "points": str(one.points),
        "evidence": one.evidence,
    }


def label(key: str) -> str:
    """The name of a must-know field for people."""
    return MUST_KNOW.get(key, key.removeprefix("custom.").replace("_", " ").capitalize())


def gaps_of(handoff: Handoff) -> list[str]:
    """The gaps frozen at the offer, in words."""
    return [label(key) for key in handoff.frozen.get("must_know_gaps", [])]


@dataclass(frozen=True)
class Gap:
    """Something that sales must know and does not. `field`: the fact that can be filled in; empty: none."""

    key: str
    label: str
    field: str


# What a person can fill in of a lead; the rest comes with what the lead does.
_FILLED_IN = {key: key for key in ("name", "title", "phone", "email", "country", "city")}
_FILLED_IN["phone_or_email"] = "phone"
_OF_COMPANY = ("industry", "employees")


def still_open(handoff: Handoff, acts: int) -> list[Gap]:
    """What was not known at the offer and is not known now. `acts`: how many acts of the lead are known."""
    lead = handoff.lead
    keys = [str(key) for key in handoff.frozen.get("must_know_gaps", [])]
    lacking = _missing(facts(known.of_lead(lead)), keys, acts)
    return [Gap(key, label(key), _field_of(lead, key)) for key in lacking]


def _field_of(lead: Lead, key: str) -> str:
    if key in _OF_COMPANY:
        return key if lead.company_id else ""
    name = key.removeprefix("custom.")
    return _FILLED_IN.get(key, "" if key in MUST_KNOW else f"custom.{name}")
