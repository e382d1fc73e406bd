"""What an offer reads of leads and crossings: some columns of many rows at once, without a model for each."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from json import loads
from typing import Any, NamedTuple

from django.db import connection

from leadflow.leads.models import Lead, Stage


class Known(NamedTuple):
    """A lead with its company and campaign, as far as an offer keeps or asks them."""

    pk: int
    name: str
    email: str
    phone: str
    title: str
    country: str
    city: str
    first_source: str
    first_campaign: str
    custom: dict[str, Any]
    stage: str
    merged_into_id: int | None
    erased: bool
    company_id: int | None
    company_owner_id: int | None
    company_name: str
    industry: str
    employees: int | None
    company_custom: dict[str, Any]

    @property
    def shown(self) -> str:
        """The name by which people know the lead."""
        return self.name or self.email or f"Lead {self.pk}"

    @property
    def may_open(self) -> bool:
        """Whether the lead is there and not left out."""
        return self.merged_into_id is None and not self.erased and self.stage != Stage.EXCLUDED


class Cross(NamedTuple):
    """A pending crossing with the present score of its lead. `activity`: the act that caused it."""

    pk: int
    lead_id: int
    at: datetime
    known_at: datetime
    kind: str
    fast_track_no: int | None
    activity: int | None
    total: int
    grade: str


def leads(lead_ids: Iterable[int]) -> dict[int, Known]:
    """The leads; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT l.id, l.name, l.email, l.phone, l.title, l.country, l.city, l.first_source,
                COALESCE(p.name, ''), l.custom::text, l.stage,
                l.merged_into_id, l.erased_at IS NOT NULL,
                c.id, c.owner_id, COALESCE(c.name, ''), COALESCE(c.industry, ''), c.employees, c.custom::text
            FROM leads_lead l LEFT JOIN leads_company c ON c.id = l.company_id
            LEFT JOIN leads_campaign p ON p.id = l.first_campaign_id
            WHERE l.id = ANY(%s)
            """,
            [list(lead_ids)],
        )
        rows = cursor.fetchall()
    return {row[0]: Known._make((*row[:9], _object(row[9]), *row[10:18], _object(row[18]))) for row in rows}


def of_lead(lead: Lead) -> Known:
    """The same of a lead that is at hand."""
    company = lead.company
    return Known(
        lead.pk, lead.name, lead.email, lead.phone, lead.title, lead.country, lead.city, lead.first_source,
        lead.first_campaign.name if lead.first_campaign else "", lead.custom, lead.stage,
        lead.merged_into_id, lead.erased_at is not None, lead.company_id,
        company.owner_id if company else None, company.name if company else "",
        company.industry if company else "", company.employees if company else None,
        company.custom if company else {},
    )  # fmt: skip


def crossings(limit: int, counted: Sequence[str], exclude: str) -> list[Cross]:
    """Claim pending crossings, but for those of the kind `exclude`: fast ones before the `counted`, then the
    best first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT x.id, x.lead_id, x.at, x.known_at, x.kind, x.fast_track_no, (x.cause->>'activity')::bigint,
                COALESCE(s.total, 0), COALESCE(s.grade, '')
            FROM scoring_crossing x LEFT JOIN scoring_leadscore s ON s.lead_id = x.lead_id
            WHERE x.handled_at IS NULL AND x.kind <> %s
            ORDER BY x.kind = ANY(%s), COALESCE(s.total, 0) DESC, x.at, x.id
            LIMIT %s FOR UPDATE OF x SKIP LOCKED
            """,
            [exclude, list(counted), limit],
        )
        return [Cross(*row) for row in cursor.fetchall()]


def _object(text: str | None) -> dict[str, Any]:
    return loads(text) if text and text != "{}" else {}
