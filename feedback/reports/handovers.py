"""Leads that were handed to sales in a period, each once by its first handover there, and what came of it."""

from typing import Any

from feedback.reports.base import NO_SOURCE, Filters
from feedback.reports.cube import Dim, Relation
from leadflow.accounts.models import Team, User

NOBODY = "0"
# Over `h`: the persona that the lead was at its offer, and the agreement under which it was made.
PERSONA = (
    "h.frozen -> 'persona' ->> 'key' = %(persona)s"
    " AND h.frozen -> 'persona' ->> 'ideal' IS DISTINCT FROM 'false'"
)
VERSION = "h.agreement_id = (SELECT id FROM scoring_agreement WHERE number = %(version)s)"


def handed_over(filters: Filters, extra: str = "") -> Relation:
    """One row per lead first offered in the period, as known at `filters.at`.

    Columns: lead_id, handoff_id, owner_id, team_id, grade, kind, agreement_id, source, campaign (code),
    offered_at, answered_at (any answer), accepted_at, refused_at (rejected or returned), touched_at,
    reached_at, opportunity_at, customer_at and revenue (of deals won since the offer). `extra` adds columns
    over `p` (the handover), `said` and `deal`.
    """
    where = [
        "h.first_offered_at >= %(low)s",
        "h.first_offered_at < %(high)s",
        "h.first_offered_at <= %(at)s",
        "l.merged_into_id IS NULL",
        "l.erased_at IS NULL",
    ]
    bound: dict[str, Any] = {"low": filters.low, "high": filters.high, "at": filters.at, "zone": filters.zone}
    if filters.source:
        where.append("l.first_source = %(source)s")
        bound["source"] = "" if filters.source == NO_SOURCE else filters.source
    if filters.campaign:
        where.append("c.code = %(campaign)s")
        bound["campaign"] = filters.campaign
    if filters.team:
        where.append("h.team_id = %(team)s")
        bound["team"] = filters.team
    if filters.version:
        where.append(VERSION)
        bound["version"] = filters.version
    if filters.persona:
        where.append(PERSONA)
        bound["persona"] = filters.persona
    text = f"""
    picked AS MATERIALIZED (
        SELECT DISTINCT ON (h.lead_id) h.id AS handoff_id, h.lead_id, h.owner_id, h.team_id, h.kind,
               coalesce(nullif(h.grade, ''), 'none') AS grade, h.agreement_id,
               coalesce(nullif(l.first_source, ''), '{NO_SOURCE}') AS source, c.code AS campaign,
               h.first_offered_at AS offered_at,
               CASE WHEN h.first_touch_at <= %(at)s THEN h.first_touch_at END AS touched_at,
               CASE WHEN h.reached_at <= %(at)s THEN h.reached_at END AS reached_at
        FROM handoff_handoff h JOIN leads_lead l ON l.id = h.lead_id
        LEFT JOIN leads_campaign c ON c.id = l.first_campaign_id
        WHERE {" AND ".join(where)} ORDER BY h.lead_id, h.first_offered_at, h.id),
    said AS (
        SELECT a.handoff_id, min(a.at) AS answered_at,
               min(a.at) FILTER (WHERE a.kind = 'accepted') AS accepted_at,
               min(a.at) FILTER (WHERE a.kind <> 'accepted') AS refused_at
        FROM leads_answer a WHERE a.handoff_id = ANY(ARRAY(SELECT handoff_id FROM picked))
          AND a.voided_at IS NULL
          AND a.at >= %(low)s AND a.at <= %(at)s AND a.kind IN ('accepted', 'rejected', 'returned')
        GROUP BY a.handoff_id),
    deal AS (
        SELECT p.handoff_id, min(o.at) AS opportunity_at,
               min(o.at) FILTER (WHERE o.kind = 'won') AS customer_at,
               sum(o.amount) FILTER (WHERE o.kind = 'won') AS revenue
        FROM picked p JOIN leads_outcome o ON o.lead_id = p.lead_id AND o.at >= p.offered_at
        WHERE o.kind IN ('opportunity', 'won') AND o.voided_at IS NULL AND o.replaced_by_id IS NULL
          AND o.at <= %(at)s GROUP BY p.handoff_id),
    base AS (
        SELECT p.*, said.answered_at, said.accepted_at, said.refused_at, deal.opportunity_at,
               deal.customer_at, coalesce(deal.revenue, 0) AS revenue{extra}
        FROM picked p LEFT JOIN said USING (handoff_id) LEFT JOIN deal USING (handoff_id))"""  # noqa: S608
    return Relation(text, bound)


def narrowed(filters: Filters) -> tuple[list[str], dict[str, Any]]:
    """What the filters ask of a lead `l` with first campaign `c`, wherever it stands; and the bound values.

    Team, version and persona are those of any handover of the lead.
    """
    where = ["l.merged_into_id IS NULL", "l.erased_at IS NULL"]
    bound: dict[str, Any] = {"low": filters.low, "high": filters.high, "at": filters.at}
    if filters.source:
        where.append("l.first_source = %(source)s")
        bound["source"] = "" if filters.source == NO_SOURCE else filters.source
    if filters.campaign:
        where.append("c.code = %(campaign)s")
        bound["campaign"] = filters.campaign
    asked = {"team": "h.team_id = %(team)s", "version": VERSION, "persona": PERSONA}
    for name, condition in asked.items():
        if getattr(filters, name):
            handed = f"SELECT 1 FROM handoff_handoff h WHERE h.lead_id = l.id AND {condition}"  # noqa: S608
            where.append(f"EXISTS ({handed})")
            bound[name] = getattr(filters, name)
    return where, bound


def teams(keys: Any) -> dict[str, str]:
    """Names of teams by id as text."""
    ids = [int(key) for key in keys if key.isdecimal()]
    return {str(pk): name for pk, name in Team.objects.filter(pk__in=ids).values_list("pk", "name")} | {
        NOBODY: "No team"
    }


def reps(keys: Any) -> dict[str, str]:
    """Names of people by id as text."""
    ids = [int(key) for key in keys if key.isdecimal()]
    return {str(pk): name for pk, name in User.objects.filter(pk__in=ids).values_list("pk", "name")} | {
        NOBODY: "In the pool, nobody yet"
    }


TEAM = Dim("Team", f"coalesce(team_id::text, '{NOBODY}')", teams)
REP = Dim("Rep", f"coalesce(owner_id::text, '{NOBODY}')", reps)
GRADE = Dim("Grade", "grade", lambda keys: {"none": "No grade"})
SOURCE = Dim("Source", "source")
