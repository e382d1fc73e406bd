"""Made-up histories of leads, written straight into the ledgers that reports read."""

import random
from datetime import datetime, timedelta
from typing import Any

from feedback.models import ContentUse
from handoff.models import Handoff, SlaResult
from leadflow.leads.models import (
    Activity,
    ActivityKind,
    Answer,
    Campaign,
    Content,
    Lead,
    Outcome,
    StageChange,
)

SOURCES = ("Website", "Webinar", "Paid search", "")
REASONS = (("1", "fit"), ("2", "timing"), ("4", "person"), ("6", "data"), ("7", "process"))


def write_histories(people: Any, now: datetime, count: int, seed: int = 7, days: int = 120) -> None:
    """`count` leads over the last `days`: some reach MQL, are offered, answered, won; some are taken back."""
    rng = random.Random(seed)
    reps = [people.sam, people.ben, people.stranger]
    for n in range(count):
        created = now - timedelta(days=rng.uniform(0, days))
        lead = Lead.objects.create(
            name=f"Lead {n}",
            email=f"h{n}@x{seed}.example",
            email_key=f"h{n}@x{seed}.example",
            first_source=rng.choice(SOURCES),
            stage="conversion",
            stage_since=created,
            created_at=created,
            changed_at=created,
            merged_into=Lead.objects.order_by("pk").first() if n and rng.random() < 0.03 else None,
        )
        _live(lead, rng, reps, created, now, n)


def _live(lead: Lead, rng: random.Random, reps: list[Any], created: datetime, now: datetime, n: int) -> None:
    def later(at: datetime, days: float) -> datetime:
        return at + timedelta(days=rng.uniform(0, days))

    def stage(to: str, at: datetime) -> None:
        StageChange.objects.create(lead=lead, from_stage="", to_stage=to, at=at, known_at=at, cause="test")
        Lead.objects.filter(pk=lead.pk).update(stage=to)

    stage("conversion", created)
    at = later(created, 20)
    if rng.random() < 0.3 or at > now:
        return
    stage("mql", at)
    at = later(at, 12)
    if rng.random() < 0.4 or at > now:
        return
    rep = rng.choice(reps)
    handoff = _handoff(lead, rep, at, rng, n)
    stage("sql", at)
    _answer(lead, handoff, "offered", at, rep)
    answered = later(at, 2)
    if answered > now:
        return
    if rng.random() < 0.3:
        key, kind = rng.choice(REASONS)
        _answer(lead, handoff, "rejected", answered, rep, key, kind, voided=rng.random() < 0.1)
        Handoff.objects.filter(pk=handoff.pk).update(state="rejected", closed_at=answered)
        stage("nurturing", answered)
        return
    _answer(lead, handoff, "accepted", answered, rep, voided=rng.random() < 0.05)
    Handoff.objects.filter(pk=handoff.pk).update(state="accepted", accepted_at=answered)
    at = later(answered, 15)
    if rng.random() < 0.4 or at > now:
        return
    kind = rng.choice(("opportunity", "won", "won", "lost"))
    Outcome.objects.create(
        lead=lead,
        source="test",
        external_id=f"o{lead.pk}",
        kind=kind,
        at=at,
        recorded_at=at,
        undated=rng.random() < 0.1,
        voided_at=at if rng.random() < 0.1 else None,
    )


def _handoff(lead: Lead, rep: Any, at: datetime, rng: random.Random, n: int) -> Handoff:
    lines = [
        {
            "criterion": c,
            "text": f"rule {c}",
            "group": "fit",
            "points": str(rng.choice((-5, 5, 12.5, 15))),
            "evidence": "",
        }
        for c in rng.sample(("f1", "f2", "b3", "b5", "f10"), 3)
    ]
    return Handoff.objects.create(
        lead=lead,
        kind="bar",
        state="offered",
        owner=rep,
        team=rep.team,
        offered_at=at,
        first_offered_at=at,
        changed_at=at,
        grade=rng.choice(("A1", "A2", "B1", "")),
        frozen={"explanation": [*lines, {"criterion": "rounding", "text": "rounding", "points": "0.31"}]},
    )


def _answer(
    lead: Lead,
    handoff: Handoff,
    kind: str,
    at: datetime,
    rep: Any,
    key: str = "",
    of: str = "",
    voided: bool = False,
) -> None:
    Answer.objects.create(
        lead=lead,
        handoff_id=handoff.pk,
        kind=kind,
        at=at,
        known_at=at,
        rep=rep,
        reason_key=key,
        reason_kind=of,
        voided_at=at if voided else None,
    )


def write_promises(now: datetime, seed: int = 11) -> None:
    """For each handoff some promises, kept, missed, cancelled or taken back; some clocks still run."""
    rng = random.Random(seed)
    for handoff in Handoff.objects.filter(sla_results=None).order_by("pk"):
        for promise, hours in (("acceptance", 4), ("first_touch", 8)):
            due = handoff.first_offered_at + timedelta(hours=hours)
            for scope in ("lead", "holder"):
                if handoff.state == "offered" and rng.random() < 0.5:
                    # No row yet: only the columns of the handoff tell that it runs.
                    prefix = "lead_" if scope == "lead" else ""
                    Handoff.objects.filter(pk=handoff.pk).update(**{f"{prefix}{promise}_due_at": due})
                    continue
                result = rng.choices(("met", "missed", "cancelled"), (6, 2, 1))[0]
                running = result == "missed" and rng.random() < 0.3
                SlaResult.objects.create(
                    handoff=handoff,
                    promise=promise,
                    scope=scope,
                    holder=handoff.owner if rng.random() < 0.9 else None,
                    team=handoff.team,
                    start=handoff.first_offered_at,
                    due=due,
                    finished_at=None if running else due,
                    result=result,
                    at=min(due, now),
                    voided_at=due if rng.random() < 0.05 else None,
                )


def enrich(now: datetime, seed: int = 5) -> None:
    """What else reports read: campaigns and their cost, contacts, amounts, content, last touches."""
    rng = random.Random(seed)
    campaigns = [
        Campaign.objects.create(name=f"Campaign {n}", code=f"c{n}", source=SOURCES[n], cost=1000 * n + 500)
        for n in range(3)
    ]
    pieces = [Content.objects.create(key=f"p{n}", title=f"Piece {n}") for n in range(3)]
    view = ActivityKind.objects.get(key="page_view")
    for lead in Lead.objects.order_by("pk"):
        lead.first_campaign = rng.choice([None, *campaigns])
        lead.save(update_fields=["first_campaign"])
        for n in range(rng.choice((0, 1, 2))):
            at = min(now, lead.created_at + timedelta(days=rng.uniform(0, 40)))
            Activity.objects.create(
                source="test",
                external_id=f"a{lead.pk}.{n}",
                kind=view,
                lead=lead,
                first_lead=lead,
                occurred_at=at,
                recorded_at=at,
                campaign=rng.choice([None, *campaigns]),
                content=rng.choice([None, *pieces]),
            )
    for handoff in Handoff.objects.order_by("pk"):
        if rng.random() < 0.7:
            handoff.first_touch_at = handoff.first_offered_at + timedelta(
                hours=rng.choice((0.1, 0.5, 3, 20, 60, 200))
            )
            if rng.random() < 0.6:
                handoff.reached_at = handoff.first_touch_at + timedelta(hours=rng.uniform(0, 30))
            handoff.save(update_fields=["first_touch_at", "reached_at"])
        if rng.random() < 0.5:
            at = min(now, handoff.first_offered_at + timedelta(days=rng.uniform(0, 5)))
            ContentUse.objects.create(content=rng.choice(pieces), lead=handoff.lead, handoff=handoff, at=at)
    for outcome in Outcome.objects.order_by("pk"):
        outcome.amount = rng.choice((None, 1000, 2500))
        outcome.save(update_fields=["amount"])
