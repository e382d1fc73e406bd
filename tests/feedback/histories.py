"""Made-up histories of leads, written straight into the ledgers that reports read."""

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model

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


@dataclass
class Told:
    """Rows of one writing, in the order in which they came to be; each table is written at once."""

    leads: list[Lead] = field(default_factory=list)
    merged: list[Lead] = field(default_factory=list)
    stages: list[StageChange] = field(default_factory=list)
    handoffs: list[Handoff] = field(default_factory=list)
    answers: list[tuple[Answer, Handoff]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def write(self) -> None:
        Lead.objects.bulk_create(self.leads)
        if self.merged:
            first = Lead.objects.earliest("pk")
            Lead.objects.filter(pk__in=[lead.pk for lead in self.merged]).update(merged_into=first)
        StageChange.objects.bulk_create(self.stages)
        Handoff.objects.bulk_create(self.handoffs)
        for answer, handoff in self.answers:
            answer.handoff_id = handoff.pk
        Answer.objects.bulk_create([answer for answer, _ in self.answers])
        for outcome in self.outcomes:
            outcome.external_id = f"o{outcome.lead.pk}"
        Outcome.objects.bulk_create(self.outcomes)


def write_histories(people: Any, now: datetime, count: int, seed: int = 7, days: int = 120) -> None:
    """`count` leads over the last `days`: some reach MQL, are offered, answered, won; some are taken back."""
    rng, told = random.Random(seed), Told()
    reps = [people.sam, people.ben, people.stranger]
    for n in range(count):
        created = now - timedelta(days=rng.uniform(0, days))
        lead = Lead(
            name=f"Lead {n}",
            email=f"h{n}@x{seed}.example",
            email_key=f"h{n}@x{seed}.example",
            first_source=rng.choice(SOURCES),
            stage_since=created,
            created_at=created,
            changed_at=created,
        )
        told.leads.append(lead)
        if n and rng.random() < 0.03:
            told.merged.append(lead)
        _live(told, lead, rng, reps, created, now)
    told.write()


def _live(
    told: Told, lead: Lead, rng: random.Random, reps: list[Any], created: datetime, now: datetime
) -> None:
    def later(at: datetime, days: float) -> datetime:
        return at + timedelta(days=rng.uniform(0, days))

    def stage(to: str, at: datetime) -> None:
        change = StageChange(lead=lead, from_stage="", to_stage=to, at=at, known_at=at, cause="test")
        told.stages.append(change)
        lead.stage = to

    stage("conversion", created)
    at = later(created, 20)
    if rng.random() < 0.3 or at > now:
        return
    stage("mql", at)
    at = later(at, 12)
    if rng.random() < 0.4 or at > now:
        return
    rep = rng.choice(reps)
    handoff = _handoff(lead, rep, at, rng)
    told.handoffs.append(handoff)
    stage("sql", at)
    _answer(told, handoff, "offered", at, rep)
    answered = later(at, 2)
    if answered > now:
        return
    if rng.random() < 0.3:
        key, kind = rng.choice(REASONS)
        _answer(told, handoff, "rejected", answered, rep, key, kind, voided=rng.random() < 0.1)
        handoff.state, handoff.closed_at = "rejected", answered
        stage("nurturing", answered)
        return
    _answer(told, handoff, "accepted", answered, rep, voided=rng.random() < 0.05)
    handoff.state, handoff.accepted_at = "accepted", answered
    at = later(answered, 15)
    if rng.random() < 0.4 or at > now:
        return
    kind = rng.choice(("opportunity", "won", "won", "lost"))
    told.outcomes.append(
        Outcome(
            lead=lead,
            source="test",
            kind=kind,
            at=at,
            recorded_at=at,
            undated=rng.random() < 0.1,
            voided_at=at if rng.random() < 0.1 else None,
        )
    )


def _handoff(lead: Lead, rep: Any, at: datetime, rng: random.Random) -> Handoff:
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
    return Handoff(
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
    told: Told,
    handoff: Handoff,
    kind: str,
    at: datetime,
    rep: Any,
    key: str = "",
    of: str = "",
    voided: bool = False,
) -> None:
    answer = Answer(
        lead=handoff.lead,
        kind=kind,
        at=at,
        known_at=at,
        rep=rep,
        reason_key=key,
        reason_kind=of,
        voided_at=at if voided else None,
    )
    told.answers.append((answer, handoff))


def write_promises(now: datetime, seed: int = 11) -> None:
    """For each handoff some promises, kept, missed, cancelled or taken back; some clocks still run."""
    rng = random.Random(seed)
    results, runs = [], []
    for handoff in Handoff.objects.filter(sla_results=None).order_by("pk"):
        for promise, hours in (("acceptance", 4), ("first_touch", 8)):
            due = handoff.first_offered_at + timedelta(hours=hours)
            for scope in ("lead", "holder"):
                if handoff.state == "offered" and rng.random() < 0.5:
                    # No row yet: only the columns of the handoff tell that it runs.
                    prefix = "lead_" if scope == "lead" else ""
                    setattr(handoff, f"{prefix}{promise}_due_at", due)
                    runs.append(handoff)
                    continue
                result = rng.choices(("met", "missed", "cancelled"), (6, 2, 1))[0]
                running = result == "missed" and rng.random() < 0.3
                results.append(
                    SlaResult(
                        handoff=handoff,
                        promise=promise,
                        scope=scope,
                        holder_id=handoff.owner_id if rng.random() < 0.9 else None,
                        team_id=handoff.team_id,
                        start=handoff.first_offered_at,
                        due=due,
                        finished_at=None if running else due,
                        result=result,
                        at=min(due, now),
                        voided_at=due if rng.random() < 0.05 else None,
                    )
                )
    SlaResult.objects.bulk_create(results)
    dues = [
        f"{prefix}{promise}_due_at" for prefix in ("", "lead_") for promise in ("acceptance", "first_touch")
    ]
    Handoff.objects.bulk_update({handoff.pk: handoff for handoff in runs}.values(), dues)


def enrich(now: datetime, seed: int = 5) -> None:
    """What else reports read: campaigns and their cost, contacts, amounts, content, last touches."""
    rng = random.Random(seed)
    campaigns = Campaign.objects.bulk_create(
        Campaign(name=f"Campaign {n}", code=f"c{n}", source=SOURCES[n], cost=1000 * n + 500) for n in range(3)
    )
    pieces = Content.objects.bulk_create(Content(key=f"p{n}", title=f"Piece {n}") for n in range(3))
    view = ActivityKind.objects.get(key="page_view")
    leads, acts = list(Lead.objects.order_by("pk")), []
    for lead in leads:
        lead.first_campaign = rng.choice([None, *campaigns])
        for n in range(rng.choice((0, 1, 2))):
            at = min(now, lead.created_at + timedelta(days=rng.uniform(0, 40)))
            acts.append(
                Activity(
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
            )
    _set(leads, "first_campaign")
    Activity.objects.bulk_create(acts)
    handoffs, uses = list(Handoff.objects.order_by("pk")), []
    for handoff in handoffs:
        if rng.random() < 0.7:
            handoff.first_touch_at = handoff.first_offered_at + timedelta(
                hours=rng.choice((0.1, 0.5, 3, 20, 60, 200))
            )
            if rng.random() < 0.6:
                handoff.reached_at = handoff.first_touch_at + timedelta(hours=rng.uniform(0, 30))
        if rng.random() < 0.5:
            at = min(now, handoff.first_offered_at + timedelta(days=rng.uniform(0, 5)))
            piece = rng.choice(pieces)
            uses.append(ContentUse(content=piece, lead_id=handoff.lead_id, handoff=handoff, at=at))
    Handoff.objects.bulk_update(handoffs, ["first_touch_at", "reached_at"])
    ContentUse.objects.bulk_create(uses)
    outcomes = list(Outcome.objects.order_by("pk"))
    for outcome in outcomes:
        outcome.amount = rng.choice((None, 1000, 2500))
    _set(outcomes, "amount")


def _set(rows: Iterable[Any], name: str) -> None:
    """Write this field, which has few different values: one statement for each of them."""
    by_value: dict[Any, list[Model]] = defaultdict(list)
    for row in rows:
        by_value[getattr(row, name)].append(row)
    for value, some in by_value.items():
        type(some[0])._default_manager.filter(pk__in=[row.pk for row in some]).update(**{name: value})
