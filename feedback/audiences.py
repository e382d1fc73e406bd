"""Audiences: lists of leads that a step of a track makes, for mail tools, advertising and call lists.

A lead is on the list from its step on, until the track ends; while sales talks to it, it is off the list.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, F, Max, OuterRef, Prefetch, Q, QuerySet

from feedback.letters import EMAIL
from feedback.models import StepRun
from feedback.results import FINAL, LISTED
from handoff.endpoints import pulling
from handoff.models import OPEN, Handoff
from leadflow.leads.models import Consent, LeadKey

HEADER = ("E-mail", "Phone", "Lead", "Job title", "Company", "Country", "Track", "Since", "Lead number")
KIND = "audience"
JOINED, LEFT = "audience.joined", "audience.left"
# A track that came to its end leaves its people on the list so long.
KEPT = timedelta(days=90)


def _on(at: datetime) -> Q:
    """On the list now: the track runs or has finished, and nothing speaks against writing to the lead."""
    with_sales = Handoff.objects.filter(lead=OuterRef("enrolment__lead"), state__in=OPEN)
    yes_again = Consent.objects.filter(
        lead=OuterRef("enrolment__lead"),
        channel=EMAIL,
        given=True,
        at__gt=OuterRef("enrolment__lead__unsubscribed_at"),
    )
    running = Q(enrolment__ended_at=None) | Q(enrolment__ended_why="finished", done_at__gt=at - KEPT)
    return (
        running
        & Q(
            enrolment__lead__erased_at=None,
            enrolment__lead__merged_into=None,
            enrolment__lead__do_not_contact=False,
        )
        & ~Q(enrolment__lead__stage__in=FINAL)
        & (Q(enrolment__lead__unsubscribed_at=None) | Exists(yes_again))
        & ~Exists(with_sales)
    )


@dataclass(frozen=True)
class Audience:
    """A list by its name, with how many are on it."""

    name: str
    size: int
    # How many were ever put on it.
    ever: int
    newest: Any


def all_of_them(at: datetime) -> list[Audience]:
    """Every audience that a step ever wrote to; one query."""
    rows = (
        StepRun.objects.filter(kind=KIND, result=LISTED)
        .values("text")
        .annotate(
            size=Count("enrolment__lead", filter=_on(at), distinct=True),
            ever=Count("pk"),
            newest=Max("done_at"),
        )
        .order_by("text")
    )
    return [Audience(row["text"], row["size"], row["ever"], row["newest"]) for row in rows]


def tell(enrolment_ids: Iterable[int], event: str, at: datetime) -> int:
    """Tell other systems that the leads of these enrolments joined or left the audiences that their steps put
    them on. Two statements where no step did."""
    ids = list(enrolment_ids)
    if not ids:
        return 0
    runs = StepRun.objects.filter(enrolment__in=ids, kind=KIND, result=LISTED).select_related(
        "enrolment__lead__company"
    )
    rows = list(runs.prefetch_related(Prefetch("enrolment__lead__keys", LeadKey.objects.order_by("pk"))))
    return pulling.emit(
        event,
        [(f"{event}:{one.pk}:{at.isoformat()}", _told(one)) for one in rows],
        at,
    )


def _told(one: StepRun) -> dict[str, Any]:
    return {
        "audience": one.text,
        "track": one.enrolment.track,
        "lead": pulling.about_lead(one.enrolment.lead),
    }


def members(name: str, at: datetime) -> QuerySet[StepRun]:
    """Who is on an audience now, the latest first."""
    return (
        StepRun.objects.filter(_on(at), kind=KIND, text=name, result=LISTED)
        .select_related("enrolment__lead__company")
        .order_by(F("done_at").desc(nulls_last=True), "-pk")
    )


def lines(rows: QuerySet[StepRun]) -> Iterator[tuple[Any, ...]]:
    """An audience as rows of a file."""
    for one in rows.iterator(chunk_size=2000):
        lead = one.enrolment.lead
        company = lead.company.name if lead.company else ""
        since = one.done_at.isoformat(timespec="seconds") if one.done_at else ""
        yield (
            lead.email, lead.phone, lead.name, lead.title, company, lead.country,
            one.enrolment.track, since, lead.pk,
        )  # fmt: skip
