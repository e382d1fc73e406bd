"""Outcomes that named no lead we know: looked at again, matched by hand, or put aside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Q, QuerySet

from feedback import outcomes
from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MANAGERS, MARKETING, Role
from leadflow.errors import BadInput, Fault, Forbidden, NotVisible
from leadflow.leads import ledgers
from leadflow.leads.checking import read_instant
from leadflow.leads.facts import Unreadable, decimal_of
from leadflow.leads.folding import domain_of, fold
from leadflow.leads.models import Lead, Outcome, UnmatchedOutcome

# What says whose an outcome is; by hand a person says it.
WHOSE = ("email", "lead_id", "external_lead_id", "lead_source")
MAY = (*MARKETING, *MANAGERS, Role.ADMIN)
AGAIN = 500
FOUND = 8
T = TypeVar("T")


@dataclass(frozen=True)
class Stray:
    """One of them as the page shows it."""

    row: UnmatchedOutcome
    kind: str
    whose: str
    # As the row said them, and as they are read; None where nothing can be read.
    amount: str
    at: str
    worth: Decimal | None
    on: datetime | None


def strays() -> QuerySet[UnmatchedOutcome]:
    """All of them, the newest first."""
    return UnmatchedOutcome.objects.order_by("-at", "-pk")


def dressed(rows: Sequence[UnmatchedOutcome]) -> list[Stray]:
    """What the page says of each."""
    kinds = dict(Outcome.Kind.choices)
    made = []
    for row in rows:
        raw = said(row)
        made.append(
            Stray(
                row,
                kinds.get(raw.get("kind", "").lower(), raw.get("kind", "")),
                raw.get("email") or raw.get("external_lead_id") or raw.get("lead_id", ""),
                raw.get("amount", ""),
                raw.get("at", ""),
                _read(raw.get("amount", ""), decimal_of),
                _read(raw.get("at", ""), lambda text: read_instant(text, clock.now())),
            )
        )
    return made


def _read(text: str, reader: Callable[[str], T]) -> T | None:
    try:
        return reader(text)
    except Unreadable:
        return None


def said(row: UnmatchedOutcome) -> dict[str, str]:
    """What the row said, without the empty cells."""
    return {name: text for name, text in row.raw.items() if text not in ("", "None")}


def candidates(row: UnmatchedOutcome, words: str) -> list[Lead]:
    """Leads that it may be: by what somebody types, else by the address's domain; at most eight."""
    raw = said(row)
    key = fold(words) or fold(raw.get("email", ""))
    if len(key) < 2:
        return []
    domain = domain_of(key)
    wanted = Q(email_key__contains=key) | Q(name_key__contains=key) | Q(company__name_key__contains=key)
    if domain:
        wanted |= Q(email_domain=domain)
    found = Lead.objects.filter(wanted, erased_at=None, merged_into=None)
    return list(found.select_related("company").order_by("name", "pk")[:FOUND])


def match(pk: int, lead_id: int, actor: Actor) -> Outcome:
    """A person says whose it is: the outcome is taken as if it had named that lead.

    The same row of a later file finds its lead by itself. Raises Forbidden, NotVisible, BadInput in the words
    of the outcome (an amount that is none, a date before the lead existed).
    """
    _may(actor)
    with transaction.atomic():
        row = UnmatchedOutcome.objects.select_for_update().filter(pk=pk).first()
        if row is None:
            raise NotVisible("It is not on the list any more.")
        if not Lead.objects.filter(pk=lead_id, erased_at=None, merged_into=None).exists():
            raise BadInput("There is no such lead.", [Fault("lead", "Choose one of the leads.")])
        raw: Mapping[str, Any] = {n: v for n, v in said(row).items() if n not in WHOSE}
        result = ledgers.record_outcomes([{**raw, "lead_id": lead_id}], actor=actor, source=row.source)
        if result.rejected:
            raise BadInput("The outcome cannot be taken.", result.rejected[0].errors)
        name = {"source": raw.get("source", row.source), "external_id": raw["external_id"]}
        made = Outcome.objects.get(**name, kind=str(raw["kind"]).lower())
        audit.record(actor, "outcome.matched", made, before=row.raw, after={"lead": lead_id})
        row.delete()
    outcomes.pull(clock.now())
    return made


def drop(pk: int, actor: Actor) -> None:
    """Nobody's that we care for: off the list, on the record. A file that names it again lists it again."""
    _may(actor)
    with transaction.atomic():
        row = UnmatchedOutcome.objects.select_for_update().filter(pk=pk).first()
        if row is None:
            raise NotVisible("It is not on the list any more.")
        audit.record(actor, "outcome.dropped", row, before={"source": row.source, **row.raw})
        row.delete()


def again(actor: Actor) -> int:
    """Look again for the leads of all: some are known by now. Returns how many found theirs."""
    _may(actor)
    found = 0
    with transaction.atomic():
        rows = list(strays().select_for_update()[:AGAIN])
        raws = [{**said(row), "source": said(row).get("source", row.source)} for row in rows]
        result = ledgers.record_outcomes(raws, actor=actor, listed=False)
        wrong = {one.index for one in result.rejected}
        taken = [row.pk for index, row in enumerate(rows) if index not in wrong]
        found = len(taken)
        UnmatchedOutcome.objects.filter(pk__in=taken).delete()
    outcomes.pull(clock.now())
    return found


def _may(actor: Actor) -> None:
    if actor.api_key is None and not actor.has_role(*MAY):
        raise Forbidden("Marketing and the managers match outcomes.")
