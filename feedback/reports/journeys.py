"""The way of each lead, from becoming one to customer: the cohort that most reports count.

`LeadJourney` keeps when a lead first reached each step. What changed since the last look is read from the
ledgers themselves, so a report is exact at any instant; without any kept rows it reads ledgers only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache, partial
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, Min

from feedback.models import ReportRollup
from feedback.reports import dues, keeping
from feedback.reports.base import NO_SOURCE, Filters
from feedback.reports.cube import Relation
from feedback.reports.once import once
from leadflow import clock
from leadflow.accounts.models import Organisation
from leadflow.leads.models import Lead
from scoring import current, personas
from scoring.models import Agreement

# Rows are stamped before they are seen: what was stamped this long before the last look is read again.
OVERLAP = timedelta(minutes=10)
# Leads in one statement of a rebuild, and how many of them one pass makes.
CHUNK = 20_000
PASSES = 5
_PLACE = {"report": "journeys", "key": "mark", "day": date(2000, 1, 1)}

# What the ledgers say of the leads in `{ids}`: when each step was first reached. Each is laid down once: a
# plan that expects no rows, because a table was empty a minute ago, would reckon it anew for every lead.
_LIVE = """
    mql AS MATERIALIZED (SELECT lead_id, min(at) AS at FROM leads_stagechange
            WHERE to_stage IN ('mql', 'sql') AND lead_id IN (SELECT id FROM {ids}) GROUP BY lead_id),
    said AS MATERIALIZED (SELECT lead_id, min(at) FILTER (WHERE kind = 'offered') AS offered_at,
                    min(at) FILTER (WHERE kind = 'accepted') AS accepted_at FROM leads_answer
            WHERE kind IN ('offered', 'accepted') AND voided_at IS NULL
              AND lead_id IN (SELECT id FROM {ids}) GROUP BY lead_id),
    deal AS MATERIALIZED (SELECT lead_id, min(at) AS opportunity_at,
                    min(at) FILTER (WHERE kind = 'won') AS customer_at,
                    bool_or(undated OR o.at < p.created_at) AS undated
            FROM leads_outcome o JOIN leads_lead p ON p.id = o.lead_id
            WHERE kind IN ('opportunity', 'won') AND voided_at IS NULL AND replaced_by_id IS NULL
              AND lead_id IN (SELECT id FROM {ids}) GROUP BY lead_id),
    belongs AS MATERIALIZED (SELECT lead_id,
                       array_agg(DISTINCT team_id) FILTER (WHERE team_id IS NOT NULL) AS teams,
                       max(state) FILTER (
                           WHERE state IN ('offered', 'accepted', 'working', 'opportunity')) AS open_state
            FROM handoff_handoff WHERE lead_id IN (SELECT id FROM {ids}) GROUP BY lead_id),
    live AS (SELECT l.id AS lead_id, l.created_at, l.first_source, l.first_campaign_id,
                    l.merged_into_id IS NOT NULL OR l.erased_at IS NOT NULL AS gone, l.stage,
                    coalesce(belongs.open_state, '') AS open_state, mql.at AS mql_at,
                    said.offered_at, said.accepted_at, deal.opportunity_at, deal.customer_at,
                    coalesce(deal.undated, false) AS undated, belongs.teams
            FROM leads_lead l LEFT JOIN mql ON mql.lead_id = l.id LEFT JOIN said ON said.lead_id = l.id
            LEFT JOIN belongs ON belongs.lead_id = l.id
            LEFT JOIN deal ON deal.lead_id = l.id WHERE l.id IN (SELECT id FROM {ids}))"""
_COLUMNS = (
    "lead_id, created_at, first_source, first_campaign_id, gone, stage, open_state, mql_at, offered_at,"
    " accepted_at, opportunity_at, customer_at, undated, teams"
)
# What a cohort reads: no more than stands in the index of its rows.
_READ = ", ".join(name for name in _COLUMNS.split(", ") if name not in ("gone", "teams"))
# Leads about which anything was written since the mark.
MOVED = """
    SELECT id FROM leads_lead WHERE changed_at > %(mark)s
    UNION SELECT lead_id FROM handoff_handoff WHERE changed_at > %(mark)s
    UNION SELECT lead_id FROM leads_outcome WHERE recorded_at > %(mark)s
    UNION SELECT lead_id FROM leads_outcome WHERE voided_at > %(mark)s"""
MOVED_AND_LIVE = f"""
    moved AS MATERIALIZED ({MOVED}),
    fresh AS MATERIALIZED (SELECT l.id FROM leads_lead l JOIN moved USING (id)
        WHERE l.created_at >= %(low)s AND l.created_at < %(high)s),
    {_LIVE.format(ids="fresh")}"""  # noqa: S608
_KEPT = f"""{MOVED_AND_LIVE},
    every AS (
        SELECT {_READ}, persona{{teams}} FROM {{rows}} j
        WHERE NOT gone AND created_at >= %(low)s AND created_at < %(high)s
          AND NOT EXISTS (SELECT 1 FROM moved WHERE moved.id = j.lead_id)
        UNION ALL SELECT {_READ}, %(fresh_persona)s{{teams}} FROM live WHERE NOT gone)"""  # noqa: S608
LIVE_ALONE = f"""
    fresh AS MATERIALIZED (SELECT id FROM leads_lead WHERE created_at >= %(low)s AND created_at < %(high)s),
    {_LIVE.format(ids="fresh")}"""  # noqa: S608
_ONLY_LIVE = f"""{LIVE_ALONE},
    every AS (SELECT {_READ}, %(fresh_persona)s AS persona{{teams}} FROM live WHERE NOT gone)"""  # noqa: S608
_CAMPAIGN = "(SELECT one.id FROM leads_campaign one WHERE one.code = %(campaign)s)"
# Of some leads alone: looked up one by one.
_FEW = """({few}) picked(id) CROSS JOIN LATERAL (
    SELECT * FROM feedback_leadjourney r WHERE r.lead_id = picked.id OFFSET 0)"""
STEPS = ("mql", "offered", "accepted", "opportunity", "customer")
# The columns of a cohort over its rows `e`, as known at an instant.
_CUT = ", ".join(f"CASE WHEN e.{step}_at <= %(at)s THEN e.{step}_at END AS {step}_at" for step in STEPS)
ROW = f"""SELECT e.lead_id, e.created_at, coalesce(nullif(e.first_source, ''), '{NO_SOURCE}') AS source,
        {{campaign}} AS campaign, e.first_campaign_id AS campaign_id, e.stage, e.open_state, {_CUT},
        e.undated"""


@dataclass(frozen=True)
class Kept:
    """Up to when the kept rows say what the ledgers say, and in which zone their days are ("": in none)."""

    mark: datetime
    zone: str


def mark() -> datetime | None:
    """Up to when the kept rows say what the ledgers say; None as long as they are not complete."""
    found = _kept()
    return found.mark if found else None


def kept(filters: Filters) -> Kept | None:
    """What is kept, as the filters know it already (`marked`) or as it stands."""
    found: Kept | None = _kept() if filters.mark is ... else filters.mark
    return found


def _kept() -> Kept | None:
    said = ReportRollup.objects.filter(**_PLACE).values_list("figures", flat=True).first()
    if not said or not said.get("mark"):
        return None
    return Kept(datetime.fromisoformat(said["mark"]), said.get("zone") or "")


def marked(filters: Filters) -> Filters:
    """The same filters with the mark in them: for a report that reads several cohorts."""
    found = kept(filters)
    # Only reports on cohorts ask whose persona is another one today.
    leads = cache(partial(of_persona, filters, found.mark)) if found and filters.persona else ...
    return replace(filters, mark=found, persona_leads=leads)


def filling() -> int | None:
    """How many per cent of the leads the first filling has kept; None when it is done or soon will be."""
    said = ReportRollup.objects.filter(**_PLACE).values_list("figures", flat=True).first() or {}
    if said.get("mark") or not Lead.objects.order_by("pk")[CHUNK : CHUNK + 1].exists():
        return None
    ends = Lead.objects.aggregate(first=Min("pk"), last=Max("pk"))
    done = max(0, (said.get("next") or 0) - ends["first"])
    return int(100 * done / (ends["last"] - ends["first"] + 1))


def limits(filters: Filters) -> tuple[datetime, datetime]:
    """From when to when a cohort became leads: the period, as far as its version was in force."""
    if not filters.version:
        return filters.low, filters.high
    since, until = _in_force(filters.version)
    return max(filters.low, since or filters.high), min(filters.high, until or filters.high)


@once
def _in_force(version: int) -> tuple[datetime | None, datetime | None]:
    found = Agreement.objects.filter(number=version, in_force_at__isnull=False)
    return found.values_list("in_force_at", "superseded_at").first() or (None, None)


def cohort(filters: Filters, extra: str = "", only: str = "", few: str = "") -> Relation:
    """One row per person who became a lead in the period, as known at `filters.at`.

    Columns: lead_id, created_at, source, campaign (code), campaign_id, and for each step `<step>_at`, null
    if not reached by then; `undated`. `extra` adds columns over `e` (the row) and %(at)s, `only` a condition;
    `few` selects the only `lead_id`s that are looked at, each once.
    """
    found = kept(filters)
    where, bound = wanted(filters, found)
    if only:
        where.append(only)
    if few:
        where.append(f"e.lead_id IN ({few})")
    rows = _FEW.format(few=few) if few else "feedback_leadjourney"
    every = (_KEPT if found else _ONLY_LIVE).format(rows=rows, teams=", teams" if filters.team else "")
    text = f"""{every},
    base AS ({ROW.format(campaign="c.code")}{extra}
             FROM every e LEFT JOIN leads_campaign c ON c.id = e.first_campaign_id
             WHERE {" AND ".join(where)})"""
    return Relation(text, bound)


def wanted(filters: Filters, found: Kept | None) -> tuple[list[str], dict[str, Any]]:
    """What is asked of the rows `e` of a cohort, of which none is gone; and what is bound."""
    low, high = limits(filters)
    where, bound = narrowed(filters, found.mark if found else None, "e")
    bound |= {"low": low, "high": high}
    where.append("e.created_at <= %(at)s")
    if filters.team:
        where.append("e.teams IS NOT NULL AND e.teams @> ARRAY[%(team)s]::bigint[]")
        bound["team"] = filters.team
    return where, bound


def narrowed(filters: Filters, since: datetime | None, row: str) -> tuple[list[str], dict[str, Any]]:
    """What source, campaign and persona ask of the alias `row`; and what is bound."""
    where = []
    bound: dict[str, Any] = {"at": filters.at, "mark": since, "fresh_persona": ""}
    if filters.source:
        where.append(f"{row}.first_source = %(source)s")
        bound["source"] = "" if filters.source == NO_SOURCE else filters.source
    if filters.campaign:
        where.append(f"{row}.first_campaign_id = {_CAMPAIGN}")
        bound["campaign"] = filters.campaign
    if filters.persona:
        where.append(f"({row}.persona = %(persona)s OR {row}.lead_id = ANY(%(persona_leads)s))")
        bound["persona"] = filters.persona
        bound["persona_leads"] = of_persona(filters, since)
    return where, bound


def of_persona(filters: Filters, since: datetime | None) -> list[int]:
    """Of the leads that are read from the ledgers, those of the wanted persona today.

    With a mark those of any period: they are few, and a report asks once for all its cohorts.
    """
    if filters.persona_leads is not ...:
        return list(filters.persona_leads())
    which = (
        MOVED
        if since
        else ("SELECT id FROM leads_lead WHERE created_at >= %(low)s AND created_at < %(high)s")
    )
    with connection.cursor() as cursor:
        cursor.execute(which, {"low": filters.low, "high": filters.high, "mark": since})
        ids = [row[0] for row in cursor.fetchall()]
    return [lead for lead, key in _personas(ids, clock.now()).items() if key == filters.persona]


def _personas(ids: Sequence[int], at: datetime) -> dict[int, str]:
    return {lead: seen.persona.key for lead, seen in personas.of(ids, at).items() if seen.ideal}


# Keeping -----------------------------------------------------------------------------------


def _listed(alias: str) -> str:
    return ", ".join(f"{alias}.{name.strip()}" for name in (*_COLUMNS.split(","), "persona"))


_WRITE = f"""
    WITH ids AS (SELECT unnest(%(ids)s::bigint[]) AS id), {_LIVE.format(ids="ids")},
    named AS (SELECT * FROM unnest(%(who)s::bigint[], %(keys)s::text[]) AS n(lead_id, persona)),
    fresh AS (SELECT live.*, coalesce(named.persona, '') AS persona
              FROM live LEFT JOIN named USING (lead_id))
    INSERT INTO feedback_leadjourney AS j ({_COLUMNS}, persona) SELECT {_COLUMNS}, persona FROM fresh
    ON CONFLICT (lead_id) DO UPDATE SET ({_COLUMNS}, persona) = ({_listed("excluded")})
    WHERE ({_listed("j")}) IS DISTINCT FROM ({_listed("excluded")})"""  # noqa: S608


@transaction.atomic
def refresh(at: datetime, passes: int = PASSES) -> int:
    """Bring the kept rows up to `at`: all of them once, then what moved. Returns how many leads were read.

    Another agreement in force may see other personas: then all rows are made anew, a part in each call. One
    worker at a time; a killed one leaves nothing half done, its part is simply made again.
    """
    row, _ = ReportRollup.objects.get_or_create(
        **_PLACE, defaults={"built_at": at, "figures": {"mark": None, "next": 0, "from": None}}
    )
    row = ReportRollup.objects.select_for_update().get(pk=row.pk)
    state, present = dict(row.figures), current.current()
    agreement = present.agreement_id if present else None
    if state.get("agreement", agreement) != agreement:
        state["next"] = 0
    state["agreement"] = agreement
    zone, read = Organisation.get().tz, 0
    if state.get("zone") != zone:
        # Another zone has other days.
        keeping.sum_all(zone)
        state["zone"] = zone
    if state.get("next") is not None:
        state["from"] = state["from"] if state["next"] else (at - OVERLAP).isoformat()
        for _ in range(passes):
            ids = _ids(
                "SELECT id FROM leads_lead WHERE id > %(next)s ORDER BY id LIMIT %(limit)s", state["next"]
            )
            _write(ids, at, zone)
            read += len(ids)
            state["next"] = ids[-1] if len(ids) == CHUNK else None
            if state["next"] is None:
                # A rebuild beside a mark that holds goes on from the mark: nothing between was left out.
                state["mark"] = state["mark"] or state["from"]
                break
    if state["mark"] and state["next"] is None:
        with connection.cursor() as cursor:
            cursor.execute(MOVED, {"mark": datetime.fromisoformat(state["mark"])})
            ids = sorted(row[0] for row in cursor.fetchall())
        for start in range(0, len(ids), CHUNK):
            _write(ids[start : start + CHUNK], at, zone)
        read += len(ids)
        state["mark"] = (at - OVERLAP).isoformat()
    row.figures, row.built_at = state, at
    row.save(update_fields=["figures", "built_at"])
    return read


def forget() -> None:
    """Throw the kept rows away: reports read the ledgers until they are made anew."""
    with transaction.atomic(), connection.cursor() as cursor:
        ReportRollup.objects.filter(**_PLACE).delete()
        cursor.execute("DELETE FROM feedback_leadjourney")
        keeping.forget()


def _ids(statement: str, after: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"next": after, "limit": CHUNK})
        return [row[0] for row in cursor.fetchall()]


def _write(ids: Sequence[int], at: datetime, zone: str) -> None:
    if not ids:
        return
    found, days = _personas(ids, at), keeping.days_of(ids, zone)
    gave = [weekly.of(ids, zone) for weekly in keeping.WEEKLY]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, {"ids": list(ids), "who": list(found), "keys": list(found.values())})
    keeping.sum_days(days, zone)
    keeping.keep_handoffs(ids)
    dues.keep(ids, zone)
    for weekly, was in zip(keeping.WEEKLY, gave, strict=True):
        weekly.move(was, ids, zone)
