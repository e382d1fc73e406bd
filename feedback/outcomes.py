"""What became of a lead: by one click, or from outside. An open handoff hears of it through the machine."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from handoff import machine
from handoff.models import OPEN, Handoff
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, Actor
from leadflow.accounts.models import Role
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.leads import ledgers, stages
from leadflow.leads.models import Lead, Outcome, Stage, TrackSignal
from scoring import engine

BATCH = 500
CLICKED = "leadflow"
SAME_CLICK = timedelta(minutes=1)
# What an outcome without an open handoff does to the stage; the others leave it.
STAGE = {
    Outcome.Kind.OPPORTUNITY: Stage.OPPORTUNITY,
    Outcome.Kind.WON: Stage.CUSTOMER,
    Outcome.Kind.CHURNED: Stage.NURTURING,
}
# Who left us is asked again after this, and only if there is something new.
CHURN_WAIT = timedelta(days=90)
TO_HANDOFF = (Outcome.Kind.OPPORTUNITY, Outcome.Kind.WON, Outcome.Kind.LOST)
MAY = (Role.REP, Role.SALES_MANAGER, Role.MARKETING_MANAGER, Role.ADMIN)


def record(
    lead_id: int,
    actor: Actor,
    *,
    kind: str,
    amount: Decimal | None = None,
    reason: str = "",
    on: datetime | None = None,
    at: datetime | None = None,
) -> Outcome:
    """One click on the lead page; the stage follows. `on`: when it happened, if not now.

    Raises BadInput (unknown kind, a deal of a lead with sales: use the handoff's own buttons, a date before
    the lead existed or ahead), Forbidden, NotVisible.
    """
    if not actor.has_role(*MAY):
        raise Forbidden("Outcomes are written down by sales or the managers.")
    if kind not in Outcome.Kind.values:
        raise BadInput(
            "This is no outcome.", [Fault("kind", f"Choose one of {', '.join(Outcome.Kind.values)}.")]
        )
    with transaction.atomic():
        held = Handoff.objects.select_for_update().filter(lead=lead_id, state__in=OPEN).exists()
        if held and kind in TO_HANDOFF:
            raise BadInput("This lead is with sales: say won or lost on the handoff.")
        lead = Lead.objects.select_for_update(no_key=True).filter(pk=lead_id, erased_at=None).first()
        if lead is None:
            raise NotVisible("There is no such lead.")
        at = at or clock.now()
        _check_day(lead_id, on, at)
        again = _clicked_just_now(lead_id, kind, amount, at)
        if again is not None:
            return again
        made = ledgers.record_outcome(
            source=CLICKED,
            external_id=f"lead:{lead_id}:{at.isoformat(timespec='seconds')}",
            kind=kind,
            lead_id=lead_id,
            at=on or at,
            amount=amount,
            reason=reason,
            actor=actor,
        )
        if not held:
            _move([made], at, actor)
    return made


def _clicked_just_now(lead_id: int, kind: str, amount: Decimal | None, at: datetime) -> Outcome | None:
    """The same click a moment ago: a second one of a nervous hand adds nothing."""
    return Outcome.objects.filter(
        lead=lead_id,
        kind=kind,
        amount=amount,
        source=CLICKED,
        handoff_id=None,
        voided_at=None,
        recorded_at__gt=at - SAME_CLICK,
        recorded_at__lte=at,
    ).first()


def take_back(outcome_id: int, actor: Actor, *, at: datetime | None = None) -> Outcome:
    """Take back what was clicked by mistake; the stage is what the other outcomes, else the score, say.

    Raises Forbidden, NotVisible, Conflict for what another system said (correct it there) or a handoff has.
    """
    if not actor.has_role(*MAY):
        raise Forbidden("Outcomes are taken back by sales or the managers.")
    at = at or clock.now()
    with transaction.atomic():
        row = Outcome.objects.filter(pk=outcome_id, voided_at=None).first()
        if row is None:
            raise NotVisible("There is no such outcome.")
        if row.source != CLICKED or row.handoff_id is not None or row.replaced_by_id is not None:
            raise Conflict("This was not clicked here: correct it where it was said.")
        held = Handoff.objects.select_for_update().filter(lead=row.lead_id, state__in=OPEN).exists()
        Lead.objects.select_for_update(no_key=True).get(pk=row.lead_id)
        ledgers.take_outcome_back(row, at, actor)
        if row.kind == Outcome.Kind.CHURNED:
            engine.end_hold(row.lead_id, at=at, by="undo")
        if not held and row.kind in STAGE:
            _stage_again(row.lead_id, at, actor)
    return row


def _stage_again(lead_id: int, at: datetime, actor: Actor) -> None:
    said = Outcome.objects.filter(lead=lead_id, voided_at=None, replaced_by=None, kind__in=STAGE)
    # A customer that opens a new opportunity stays one.
    kinds = [row.kind for row in said.order_by("at", "pk")]
    deals = [kind for kind in kinds if kind != Outcome.Kind.OPPORTUNITY] or kinds
    to = STAGE[Outcome.Kind(deals[-1])] if deals else engine.stage_by_score([lead_id], at).get(lead_id)
    if to is not None:
        stages.move([stages.Move(lead_id, to, "outcome taken back")], at=at, actor=actor)


def _check_day(lead_id: int, on: datetime | None, at: datetime) -> None:
    if on is None:
        return
    if on > at:
        raise BadInput("That day is still to come.", [Fault("on", "Choose a day up to today.")])
    since = ledgers.existed_since([lead_id])[lead_id]
    if on < since:
        raise BadInput(
            f"This is before the lead existed: we know it since {since:%-d %b %Y}.",
            [Fault("on", "Choose a later day.")],
        )


def pull(at: datetime) -> int:
    """Outcomes that came from outside reach the open handoff, else the stage; returns how many were taken."""
    total = 0
    for _ in range(20):
        count = _pull_some(at)
        total += count
        if not count:
            break
    return total


def _pull_some(at: datetime) -> int:
    with transaction.atomic():
        signals = list(
            TrackSignal.objects.select_for_update(skip_locked=True)
            .filter(kind="outcome")
            .order_by("id")[:BATCH]
        )
        if not signals:
            return 0
        TrackSignal.objects.filter(pk__in=[signal.pk for signal in signals]).delete()
        rows = Outcome.objects.filter(pk__in=[signal.activity_id for signal in signals], voided_at=None)
        taken = list(rows.order_by("lead_id", "at", "pk"))
        # Handoffs before leads: the lock order of the house.
        open_by_lead = {
            found.lead_id: found
            for found in Handoff.objects.select_for_update()
            .filter(lead__in=[row.lead_id for row in taken], state__in=OPEN)
            .order_by("pk")
        }
        alone = [row for row in taken if row.lead_id not in open_by_lead or row.kind not in TO_HANDOFF]
        for row in taken:
            if row.lead_id in open_by_lead and row.kind in TO_HANDOFF:
                _tell(open_by_lead[row.lead_id], row, at)
        _move([row for row in alone if row.lead_id not in open_by_lead], at, SYSTEM)
        return len(signals)


def _tell(handoff: Handoff, row: Outcome, at: datetime) -> None:
    present = Handoff.objects.get(pk=handoff.pk)
    if present.state not in OPEN or (row.kind == "opportunity" and present.state == "opportunity"):
        return
    machine.apply(
        "outcome",
        handoff.pk,
        SYSTEM,
        at=at,
        kind=row.kind,
        amount=row.amount,
        reason=row.reason,
        outcome_id=row.pk,
    )


def _move(rows: Sequence[Outcome], at: datetime, actor: Actor) -> None:
    """The stage follows the outcome; a customer stays one until it churns, a lost deal changes nothing."""
    moves = {}
    for row in rows:
        to = STAGE.get(Outcome.Kind(row.kind))
        if to is not None:
            moves[row.lead_id] = stages.Move(row.lead_id, to, f"outcome: {row.get_kind_display().lower()}")
    customers = set(Lead.objects.filter(pk__in=moves, stage=Stage.CUSTOMER).values_list("pk", flat=True))
    for row in rows:
        if row.kind == Outcome.Kind.CHURNED:
            engine.hold(
                row.lead_id,
                since=at,
                until=at + CHURN_WAIT,
                evidence={"kind": "any"},
                reason_key="",
                closes=False,
                handoff_id=None,
            )
    wanted = [m for m in moves.values() if m.to != Stage.OPPORTUNITY or m.lead_id not in customers]
    stages.move(wanted, at=at, actor=actor)
