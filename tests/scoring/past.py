"""Leads with a known end, for backtest and advisor: taken in by the real door, their past put in place."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any

from django.db import connection
from django.db.models import F

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import intake, ledgers
from leadflow.leads.models import Activity, Lead, Outcome

_handoffs = iter(range(1, 10_000_000))


def take_in(rows: Iterable[Mapping[str, Any]], at: datetime) -> list[int]:
    """Leads as they were known at `at`; their ids in order."""
    with clock.use(at):
        result = intake.upsert_leads(list(rows), source="past", actor=SYSTEM)
    assert not result.rejected, result.rejected
    return list(result.accepted)


def did(lead: int, kind: str, occurred: datetime, recorded: datetime | None = None, **more: Any) -> None:
    """An activity that occurred at one instant and was recorded at another (None: the same)."""
    with clock.use(recorded or occurred):
        row = {"source": "past", "external_id": f"{lead}-{kind}-{occurred}", "kind": kind, "lead_id": lead}
        result = intake.record_activities([row | {"occurred_at": occurred} | more], actor=SYSTEM)
    assert not result.rejected, result.rejected


def _answer(lead: int, handoff: int, kind: str, at: datetime) -> dict[str, Any]:
    return {"lead_id": lead, "handoff_id": handoff, "kind": kind, "at": at, "known_at": at}


def offer(
    lead: int, at: datetime, said: str = "", said_at: datetime | None = None, *, voided: bool = False
) -> int:
    """A handoff offered at `at`, with sales' first word (none while `said` is empty); its id."""
    handoff = next(_handoffs)
    rows = [_answer(lead, handoff, "offered", at)]
    if said:
        later = said_at or at + timedelta(hours=2)
        mark = later if voided else None
        rows.append({**_answer(lead, handoff, said, later), "voided_at": mark})
    ledgers.record_answers(rows)
    return handoff


def end(lead: int, kind: str, at: datetime, *, undated: bool = False) -> Outcome:
    """What became of a lead."""
    with clock.use(at):
        return ledgers.record_outcome(
            source="crm",
            external_id=f"{lead}-{kind}-{at}",
            kind=kind,
            lead_id=lead,
            at=at,
            undated=undated,
            actor=SYSTEM,
        )


def plant(
    now: datetime, count: int = 400, seed: int = 5, chances: Mapping[str, float] | None = None
) -> list[int]:
    """`count` leads that were all offered over 200 days and have an end. The planted truth:

    chiefs of firms of 50 to 1,000 buy (0.55), others seldom (0.08); of Syndication hardly anybody does,
    whoever they are; who reads guides buys half as often; the country says nothing.
    """
    rng = Random(seed)
    rows, truth = [], []
    for n in range(count):
        chief, sized = rng.random() < 0.65, rng.random() < 0.65
        fit = chief and sized
        source = rng.choices(["Website", "Fair", "Syndication"], weights=[5, 3, 2])[0]
        guide = rng.random() < 0.4
        chance = (0.55 if fit else 0.08) * (0.2 if source == "Syndication" else 1) * (0.5 if guide else 1)
        rows.append(
            {
                "external_id": f"p{n}",
                "email": f"p{n}@firm{n}.example",
                "title": "CEO" if chief else rng.choice(["Clerk", "Planner"]),
                "company": f"Firm {n}",
                "company_domain": f"firm{n}.example",
                "employees": rng.randint(60, 900) if sized else rng.choice([3, 30, 9_000]),
                "industry": rng.choice(["Software", "Farming"]),
                "country": rng.choice(["Germany", "Austria"]),
                "source": source,
            }
        )
        truth.append((now - timedelta(days=rng.uniform(20, 200)), guide, rng.random() < chance))
    ids = take_in(rows, now - timedelta(days=230))
    acts = []
    for lead, (at, guide, _) in zip(ids, truth, strict=True):
        kinds = ["page_view", *(["download_educational"] if guide else [])]
        acts += [
            {
                "source": "past",
                "external_id": f"{kind}{lead}",
                "kind": kind,
                "lead_id": lead,
                "occurred_at": at - timedelta(days=rng.uniform(0.1, 6)),
            }
            for kind in kinds
        ]
    intake.record_activities(acts, actor=SYSTEM)
    Activity.objects.filter(source="past").update(recorded_at=F("occurred_at"))
    answers, outcomes = [], []
    for lead, (at, _, buys) in zip(ids, truth, strict=True):
        handoff = next(_handoffs)
        later = at + timedelta(hours=3)
        said = "accepted" if buys or rng.random() < 0.5 else "rejected"
        for kind, moment in (("offered", at), (said, later)):
            answers.append(_answer(lead, handoff, kind, moment))
        if said == "accepted":
            closed = at + timedelta(days=15)
            outcomes.append(
                Outcome(
                    lead_id=lead,
                    source="crm",
                    external_id=str(lead),
                    kind="won" if buys else "lost",
                    at=closed,
                    recorded_at=closed,
                    handoff_id=handoff,
                )
            )
    ledgers.record_answers(answers)
    Outcome.objects.bulk_create(outcomes)
    Lead.objects.filter(pk__in=ids).update(stage="mql")
    # As on any living base: without it the database plans for empty tables, and may plan badly.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE leads_lead, leads_company, leads_activity, leads_answer, leads_outcome")
    return ids
