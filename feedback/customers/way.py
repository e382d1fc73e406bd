"""How one lead became a customer: first touch, conversion points, content, campaigns, time in each stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q

from leadflow.errors import NotVisible
from leadflow.leads.models import Activity, Campaign, Content, Lead, Outcome, Stage, StageChange, Visitor

# Where a visitor says who they are, or asks for something: the points at which interest turned into a name.
CONVERSIONS = (
    "form",
    "demo_requested",
    "trial_started",
    "download_educational",
    "download_buying",
    "webinar_registered",
    "webinar_attended",
    "show_scan",
    "show_talk",
    "question",
)
SHOWN = 40


@dataclass(frozen=True)
class Read:
    """A piece that the lead read or was sent: when first, how often, by whom sent."""

    content: Content
    at: datetime
    times: int
    sent_by: str


@dataclass(frozen=True)
class Ran:
    """A campaign that the lead acted in. `first`: it came by it."""

    campaign: Campaign
    start: datetime | None
    end: datetime | None
    acts: int
    first: bool


@dataclass(frozen=True)
class Spent:
    """The time in one stage, all stays together. `here`: it is there now."""

    stage: str
    since: datetime
    time: timedelta
    stays: int
    here: bool


@dataclass(frozen=True)
class Way:
    """The whole way of a lead. `first` is None where we know no act at all."""

    lead: Lead
    first: Activity | None
    visitor: Visitor | None
    conversions: Sequence[Activity]
    more_conversions: int
    read: Sequence[Read]
    campaigns: Sequence[Ran]
    stages: Sequence[Spent]
    outcomes: Sequence[Outcome]

    @property
    def to_customer(self) -> timedelta | None:
        """From the first touch to the first dated deal."""
        won = [row.at for row in self.outcomes if row.kind == Outcome.Kind.WON and not row.undated]
        start = self.lead.created_at
        if self.first is not None:
            start = min(start, self.first.occurred_at)
        return max(min(won) - start, timedelta()) if won else None


def way(lead_id: int, at: datetime) -> Way:
    """Everything about how this lead came to us; nine queries. Raises NotVisible."""
    lead = (
        Lead.objects.select_related("company", "first_campaign", "score", "owner")
        .filter(pk=lead_id, erased_at=None, merged_into=None)
        .first()
    )
    if lead is None:
        raise NotVisible("There is no such lead; it may have been erased.")
    acts = Activity.objects.filter(lead=lead, occurred_at__lte=at)
    first = (
        acts.filter(kind__own_act=True)
        .select_related("kind", "campaign", "content")
        .order_by("occurred_at", "id")
        .first()
    )
    points = acts.filter(Q(kind__key__in=CONVERSIONS) | Q(kind__own_act=True, kind__shipped=False))
    shown = list(
        points.select_related("kind", "content", "campaign").order_by("occurred_at", "id")[: SHOWN + 1]
    )
    return Way(
        lead,
        first,
        Visitor.objects.filter(lead=lead).order_by("first_seen_at").first(),
        shown[:SHOWN],
        points.count() - SHOWN if len(shown) > SHOWN else 0,
        _read(lead, at),
        _campaigns(lead, at),
        _stages(lead, at),
        list(Outcome.objects.filter(lead=lead, voided_at=None, replaced_by=None).order_by("at", "pk")),
    )


_READ = """
    SELECT content_id, min(at), count(*), coalesce(max(by), '') FROM (
        SELECT content_id, occurred_at AS at, NULL AS by FROM leads_activity
        WHERE lead_id = %(lead)s AND content_id IS NOT NULL AND occurred_at <= %(at)s
        UNION ALL
        SELECT use.content_id, use.at, coalesce(u.name, 'LeadFlow') FROM feedback_contentuse use
        LEFT JOIN accounts_user u ON u.id = use.by_id WHERE use.lead_id = %(lead)s AND use.at <= %(at)s) found
    GROUP BY content_id ORDER BY 2"""
_RAN = """
    SELECT campaign_id, min(occurred_at), max(occurred_at), count(*) FROM leads_activity
    WHERE lead_id = %(lead)s AND campaign_id IS NOT NULL AND occurred_at <= %(at)s GROUP BY 1 ORDER BY 2"""


def _rows(statement: str, lead: Lead, at: datetime) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"lead": lead.pk, "at": at})
        return list(cursor.fetchall())


def _read(lead: Lead, at: datetime) -> list[Read]:
    rows = _rows(_READ, lead, at)
    pieces = Content.objects.in_bulk([row[0] for row in rows]) if rows else {}
    return [Read(pieces[pk], first, n, by) for pk, first, n, by in rows]


def _campaigns(lead: Lead, at: datetime) -> list[Ran]:
    rows = _rows(_RAN, lead, at)
    found = Campaign.objects.in_bulk([row[0] for row in rows]) if rows else {}
    ran = [Ran(found[pk], low, high, n, pk == lead.first_campaign_id) for pk, low, high, n in rows]
    if lead.first_campaign is not None and lead.first_campaign_id not in found:
        ran.insert(0, Ran(lead.first_campaign, None, None, 0, True))
    return ran


def _stages(lead: Lead, at: datetime) -> list[Spent]:
    moves = list(StageChange.objects.filter(lead=lead, at__lte=at).order_by("at", "id"))
    spent: dict[str, Spent] = {}
    for move, following in zip(moves, [*moves[1:], None], strict=True):
        time = (following.at if following else at) - move.at
        was = spent.get(move.to_stage)
        spent[move.to_stage] = Spent(
            Stage(move.to_stage).label,
            was.since if was else move.at,
            (was.time if was else timedelta()) + time,
            (was.stays if was else 0) + 1,
            following is None,
        )
    return list(spent.values())
