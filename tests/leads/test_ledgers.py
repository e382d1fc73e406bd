"""Stages, answers and outcomes: each has one writer and leaves a trace."""

from datetime import timedelta
from decimal import Decimal

import pytest

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.accounts.models import AuditEntry
from leadflow.errors import BadInput
from leadflow.leads import ledgers, stages
from leadflow.leads.models import Answer, Level, Outcome, Stage, StageChange, TrackSignal, UnmatchedOutcome
from leadflow.leads.stages import Move

pytestmark = pytest.mark.django_db


def test_only_real_moves_are_written_and_levels_belong_to_prospects(at, make_lead):
    one, two = make_lead(), make_lead()
    moves = [Move(one.pk, Stage.PROSPECT, "score"), Move(two.pk, Stage.CONVERSION, "score")]
    assert stages.move(moves, at=at) == 1
    stages.set_levels([(one.pk, Level.INVESTIGATOR)])
    one.refresh_from_db()
    assert (one.stage, one.level, one.stage_since) == ("prospect", "investigator", at)
    assert stages.move([Move(one.pk, Stage.MQL, "score", handoff_id=3)], at=at, agreement_id=1) == 1
    one.refresh_from_db()
    assert (one.stage, one.level) == ("mql", "")
    steps = (
        StageChange.objects.filter(lead=one)
        .order_by("id")
        .values_list("from_stage", "to_stage", "handoff_id")
    )
    assert list(steps) == [("", "conversion", None), ("conversion", "prospect", None), ("prospect", "mql", 3)]


def test_an_answer_shows_the_lead_as_changed_and_stays_on_the_record_when_taken_back(at, make_lead):
    with clock.use(at - timedelta(days=1)):
        lead = make_lead()
    answer = ledgers.record_answer(
        lead_id=lead.pk, handoff_id=1, kind="rejected", at=at, reason_key="1", reason_kind="fit"
    )
    assert ledgers.void_answers(1, [answer.pk], at) == 1
    assert Answer.objects.get().voided_at == at
    lead.refresh_from_db()
    assert lead.changed_at == at


def test_an_outcome_sent_again_corrects_it_and_leaves_a_trace(at, make_lead):
    lead = make_lead()
    row = {
        "source": "crm",
        "external_id": "d1",
        "kind": "won",
        "lead_id": lead.pk,
        "amount": "100",
        "at": clock.now().isoformat(),
    }
    assert len(ledgers.record_outcomes([row], actor=SYSTEM).accepted) == 1
    assert ledgers.record_outcomes([row], actor=SYSTEM).duplicate == [0]
    ledgers.record_outcomes([{**row, "amount": 250}], actor=SYSTEM)
    assert Outcome.objects.get().amount == Decimal("250.00")
    assert AuditEntry.objects.get(verb="outcome.corrected").before == {"amount": "100.00"}
    assert TrackSignal.objects.filter(kind="outcome").count() == 2


def test_an_imported_deal_takes_the_place_of_the_clicked_one(at, make_lead):
    lead = make_lead()
    clicked = ledgers.record_outcome(
        source="leadflow", external_id="h5", kind="won", lead_id=lead.pk, at=at, handoff_id=5, actor=SYSTEM
    )
    ledgers.record_outcomes(
        [{"source": "crm", "external_id": "d1", "kind": "won", "email": lead.email, "amount": 9}],
        actor=SYSTEM,
    )
    clicked.refresh_from_db()
    assert clicked.replaced_by is not None
    assert clicked.replaced_by.handoff_id == 5
    assert not TrackSignal.objects.exists()


def test_an_outcome_without_a_date_is_marked_and_one_without_a_lead_is_kept_aside(at, make_lead):
    lead = make_lead()
    rows = [
        {"external_id": "d1", "kind": "lost", "email": lead.email},
        {"external_id": "d2", "kind": "won", "email": "nobody@acme.example"},
        {"external_id": "d3", "kind": "won", "email": lead.email, "amount": -1},
        {"external_id": "d4", "kind": "party", "email": lead.email},
        {"external_id": "d5", "kind": "won", "email": lead.email, "at": clock.now() + timedelta(days=1)},
        {"external_id": "d6", "kind": "won"},
    ]
    result = ledgers.record_outcomes(rows, actor=SYSTEM, source="crm")
    assert Outcome.objects.get().undated
    assert {r.index: r.errors[0].path for r in result.rejected} == {
        1: "email",
        2: "amount",
        3: "kind",
        4: "at",
        5: "email",
    }
    assert UnmatchedOutcome.objects.get().raw["external_id"] == "d2"
    with pytest.raises(BadInput):
        ledgers.record_outcome(
            source="x", external_id="1", kind="won", lead_id=lead.pk, at=at, amount=Decimal(-1), actor=SYSTEM
        )
