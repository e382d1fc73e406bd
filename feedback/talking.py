"""Sales is talking: whom marketing must not write to now, for tools that send mail of their own."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from handoff.models import OPEN, Handoff

HEADER = ("E-mail", "Lead", "Company", "With", "State", "Since", "Lead number")


def with_sales(query: str = "") -> QuerySet[Handoff]:
    """Open handoffs, the newest first, with lead, company and who talks; `query`: part of a name."""
    found = Handoff.objects.filter(state__in=OPEN, lead__erased_at=None).select_related(
        "lead__company", "owner", "team"
    )
    words = query.strip().casefold()
    if words:
        found = found.filter(lead__name_key__contains=words) | found.filter(
            lead__company__name_key__contains=words
        )
    return found.order_by("-first_offered_at", "-pk")


def changed_since(rows: QuerySet[Handoff], since: datetime | None) -> QuerySet[Handoff]:
    """Only those that came to sales after an instant."""
    return rows if since is None else rows.filter(first_offered_at__gt=since)


def who(handoff: Handoff) -> str:
    """Who talks to the lead: a person, or a team's pool."""
    if handoff.owner is not None:
        return handoff.owner.name
    return f"pool of {handoff.team.name}" if handoff.team else "the pool"


def lines(rows: QuerySet[Handoff]) -> Iterator[tuple[Any, ...]]:
    """The list as rows of a file."""
    for one in rows.iterator(chunk_size=2000):
        lead = one.lead
        company = lead.company.name if lead.company else ""
        since = one.first_offered_at.isoformat(timespec="seconds")
        yield (lead.email, lead.name, company, who(one), one.get_state_display(), since, lead.pk)
