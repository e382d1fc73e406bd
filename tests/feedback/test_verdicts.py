"""Sales' answers and what follows from them."""

from datetime import date, timedelta

import pytest

from feedback import nurture, outcomes, tasks, verdicts
from feedback.models import Dispute, Enrolment, Task
from handoff.models import OPEN, Handoff, Outbox
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import BadInput, Conflict, Forbidden
from leadflow.leads import ledgers
from leadflow.leads.models import Answer, Lead, Outcome
from scoring.models import Hold
from tests.feedback.conftest import owner_of


def stage_of(handoff):
    return Lead.objects.get(pk=handoff.lead_id).stage


def test_a_rejection_starts_the_track_of_its_reason_and_waits(offered, at):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="2", note="Next quarter")
    enrolment = Enrolment.objects.get(lead=handoff.lead_id)
    hold = Hold.objects.get(lead=handoff.lead_id, ended_at=None)
    assert (enrolment.track, enrolment.next_step_at) == ("educate", at + timedelta(days=1))
    assert enrolment.hold_id == hold.pk
    assert hold.until == at + timedelta(days=30)
    assert stage_of(handoff) == "nurturing"
    assert Answer.objects.get(handoff_id=handoff.pk, kind="rejected").reason_kind == "timing"


def test_the_same_answer_twice_is_one_answer(offered):
    handoff = offered()
    for _ in range(2):
        verdicts.reject(handoff.pk, owner_of(handoff), reason_key="2")
    assert Enrolment.objects.filter(lead=handoff.lead_id).count() == 1
    assert Answer.objects.filter(handoff_id=handoff.pk, kind="rejected").count() == 1


def test_a_reason_that_closes_ends_every_track(offered):
    handoff = offered()
    nurture.enrol(handoff.lead_id, "early", cause="test")
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="1")
    assert not Enrolment.objects.filter(lead=handoff.lead_id, ended_at=None).exists()
    assert stage_of(handoff) == "disqualified"


def test_undo_restores_what_was_before_with_its_track(offered, at):
    handoff = offered()
    nurture.enrol(handoff.lead_id, "early", cause="test")
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="2")
    with clock.use(at + timedelta(minutes=5)):
        verdicts.undo(handoff.pk, owner_of(handoff))
    handoff.refresh_from_db()
    assert handoff.state == "offered"
    assert stage_of(handoff) == "sql"
    assert [e.track for e in Enrolment.objects.filter(lead=handoff.lead_id, ended_at=None)] == ["early"]
    assert not Hold.objects.filter(lead=handoff.lead_id, ended_at=None).exists()
    assert Answer.objects.get(handoff_id=handoff.pk, kind="rejected").voided_at


def test_undo_takes_back_a_repair_too(offered, at):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="6")
    assert tasks.open_tasks().get().kind == Task.Kind.REPAIR
    with clock.use(at + timedelta(minutes=5)):
        verdicts.undo(handoff.pk, owner_of(handoff))
    assert not tasks.open_tasks().exists()


def test_undo_comes_too_late_after_ten_minutes(offered, at):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="2")
    with clock.use(at + timedelta(minutes=11)), pytest.raises(Conflict):
        verdicts.undo(handoff.pk, owner_of(handoff))


def test_another_rep_may_not_answer(offered, people):
    handoff = offered()
    other = next(p for p in (people.sam, people.ben, people.stranger) if p != handoff.owner)
    with pytest.raises((Forbidden, Conflict)):
        verdicts.reject(handoff.pk, person(other), reason_key="2")


def test_other_needs_a_note_and_a_date_reason_needs_a_date(offered):
    handoff = offered()
    with pytest.raises(BadInput):
        verdicts.reject(handoff.pk, owner_of(handoff), reason_key="0", note="no")
    with pytest.raises(BadInput):
        verdicts.reject(handoff.pk, owner_of(handoff), reason_key="3")
    assert not Enrolment.objects.filter(lead=handoff.lead_id).exists()


def test_no_budget_until_a_date_rings_on_that_date_with_the_same_rep(offered, at, flow):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="3", date=date(2027, 1, 15))
    day_before = at.replace(year=2027, month=1, day=14)
    flow(at + timedelta(days=39))
    assert Outbox.objects.filter(key__startswith="callback-soon:").count() == 1
    flow(day_before)
    assert not Handoff.objects.filter(lead=handoff.lead_id, state__in=OPEN).exists()
    flow(day_before + timedelta(days=1))
    again = Handoff.objects.get(lead=handoff.lead_id, state__in=OPEN)
    assert (again.kind, again.owner) == ("callback", handoff.owner)
    assert Enrolment.objects.get(lead=handoff.lead_id, ended_at=None).paused_at


def test_a_repaired_lead_returns_to_the_same_rep(offered, at, flow, people):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="6", note="number is dead")
    task = tasks.open_tasks().get()
    later = at + timedelta(hours=3)
    with clock.use(later):
        with pytest.raises(BadInput):
            tasks.repair(task.pk, person(people.mia), {"phone": task.lead.phone})
        tasks.repair(task.pk, person(people.mia), {"phone": "+49 30 999999"})
    flow(later)
    again = Handoff.objects.get(lead=handoff.lead_id, state__in=OPEN)
    assert (again.kind, again.owner) == ("repaired", handoff.owner)
    with pytest.raises(Conflict):
        tasks.repair(task.pk, person(people.mia), {"phone": "+49 30 888888"})


def test_what_cannot_be_repaired_goes_back_to_marketing_with_a_date(offered, at, people):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="6")
    tasks.give_up_repair(tasks.open_tasks().get().pk, person(people.mia), note="left the firm")
    lead = Lead.objects.get(pk=handoff.lead_id)
    assert lead.stage in ("mql", "prospect")
    assert lead.review_at > at


def test_already_ours_asks_a_person_to_sort_it_out(offered):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="7", note="same as Weiss")
    task = tasks.open_tasks().get()
    assert task.kind == Task.Kind.DUPLICATE
    assert "same as Weiss" in task.text


def test_a_rejected_lead_comes_back_on_new_evidence_with_the_old_reason(offered, at, did, flow):
    """Reject 2 → wait of 30 days; a demo request is a fast track and ends it at once."""
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="2", note="Looks around until spring")
    flow(at + timedelta(days=3))
    assert not Handoff.objects.filter(lead=handoff.lead_id, state__in=OPEN).exists()
    early = at + timedelta(days=5)
    with clock.use(early):
        did(handoff.lead, "page_view", path="/blog/")
    flow(early)
    assert not Handoff.objects.filter(lead=handoff.lead_id, state__in=OPEN).exists()
    with clock.use(early + timedelta(hours=1)):
        did(handoff.lead, "demo_requested")
    flow(early + timedelta(hours=1))
    again = Handoff.objects.get(lead=handoff.lead_id, state__in=OPEN)
    assert again.kind == "fast_track"
    assert stage_of(again) == "sql"
    assert Enrolment.objects.get(lead=handoff.lead_id, ended_at=None).paused_at == again.first_offered_at
    before = Handoff.objects.get(pk=handoff.pk)
    assert (before.reason_key, before.note) == ("2", "Looks around until spring")


def test_a_named_sign_brings_it_back_only_after_the_wait(offered, at, did, flow):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="2")
    for days in (28, 29):
        with clock.use(at + timedelta(days=days)):
            did(handoff.lead, "page_view", path="/pricing/")
            did(handoff.lead, "webinar_attended")
        flow(at + timedelta(days=days))
        assert not Handoff.objects.filter(lead=handoff.lead_id, state__in=OPEN).exists()
    flow(at + timedelta(days=30, hours=1))
    assert Hold.objects.filter(lead=handoff.lead_id, ended_at=None).count() == 0
    assert Handoff.objects.filter(lead=handoff.lead_id, state__in=OPEN).exists()


def test_a_wait_without_new_signs_ends_the_track_and_sets_a_date(offered, at, flow):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="2")
    end = at + timedelta(days=31)
    for days in (2, 11, 21, 31):
        flow(at + timedelta(days=days))
    lead = Lead.objects.get(pk=handoff.lead_id)
    assert lead.stage in ("mql", "prospect", "conversion")
    assert lead.review_at == end + timedelta(days=90)
    assert not Enrolment.objects.filter(lead=lead, ended_at=None).exists()
    assert not Handoff.objects.filter(lead=lead, state__in=OPEN).exists()


def test_won_is_a_customer_and_the_outcome_stands_in_the_ledger(offered):
    handoff = offered()
    from handoff import machine

    machine.apply("accept", handoff.pk, owner_of(handoff))
    verdicts.win(handoff.pk, owner_of(handoff), amount=24000)
    assert stage_of(handoff) == "customer"
    assert Outcome.objects.get(lead=handoff.lead_id, kind="won").amount == 24000


def test_an_imported_win_reaches_the_open_handoff(offered, at, flow):
    handoff = offered()
    rows = [
        {"source": "crm", "external_id": "D1", "kind": "won", "lead_id": handoff.lead_id, "amount": "9000"}
    ]
    ledgers.record_outcomes(rows, actor=SYSTEM)
    flow(at + timedelta(minutes=1))
    handoff.refresh_from_db()
    assert handoff.state == "won"
    assert stage_of(handoff) == "customer"
    assert (
        Outcome.objects.filter(lead=handoff.lead_id, kind="won", voided_at=None, replaced_by=None).count()
        == 1
    )


def test_an_imported_win_of_a_lead_without_handoff_moves_the_stage_only(
    at, agreement_in_force, make_lead, flow
):
    lead = make_lead()
    rows = [
        {
            "source": "crm",
            "external_id": "D2",
            "kind": "won",
            "lead_id": lead.pk,
            "at": "2026-11-01T10:00:00Z",
        },
        {"source": "crm", "external_id": "D3", "kind": "lost", "lead_id": make_lead().pk},
    ]
    ledgers.record_outcomes(rows, actor=SYSTEM)
    assert outcomes.pull(at) == 2
    assert outcomes.pull(at) == 0
    lead.refresh_from_db()
    assert lead.stage == "customer"
    assert not lead.handoffs.exists()


def test_a_customer_that_leaves_is_nurtured_and_held(at, agreement_in_force, make_lead, people):
    lead = make_lead()
    outcomes.record(lead.pk, person(people.rosa), kind="won", amount=100)
    outcomes.record(lead.pk, person(people.rosa), kind="churned", reason="went away")
    lead.refresh_from_db()
    assert lead.stage == "nurturing"
    assert Hold.objects.filter(lead=lead, ended_at=None).exists()
    with pytest.raises(Forbidden):
        outcomes.record(lead.pk, person(people.mia), kind="won")
    with pytest.raises(BadInput):
        outcomes.record(lead.pk, person(people.rosa), kind="married")


# Disputes --------------------------------------------------------------------------------


@pytest.fixture
def rejected(offered):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="2", note="just looking")
    return handoff


def test_marketing_disputes_once(rejected, people):
    verdicts.dispute(rejected.pk, person(people.mia), comment="She asked for a demo")
    with pytest.raises(Conflict, match="Mia"):
        verdicts.dispute(rejected.pk, person(people.noah), comment="I say so too, really")
    assert (
        Outbox.objects.filter(key__startswith="dispute:", user=people.rosa).exists()
        or rejected.team_id != people.north.pk
    )


def test_a_dispute_is_due_in_two_working_days(rejected, people):
    made = verdicts.dispute(rejected.pk, person(people.mia), comment="She asked for a demo")
    # Tuesday 09:12 and sixteen working hours: Thursday 09:12.
    assert made.due_at.astimezone(made.at.tzinfo) - made.at == timedelta(days=2)


def test_only_marketing_disputes_and_only_with_words(rejected, people):
    with pytest.raises(Forbidden):
        verdicts.dispute(rejected.pk, person(people.sam), comment="I changed my mind")
    with pytest.raises(BadInput):
        verdicts.dispute(rejected.pk, person(people.mia), comment="no")


def test_a_dispute_after_thirty_days_is_too_late(rejected, people, at):
    with clock.use(at + timedelta(days=31)), pytest.raises(Conflict, match="30 days"):
        verdicts.dispute(rejected.pk, person(people.mia), comment="She asked for a demo")


def test_an_overturned_answer_offers_the_lead_again_linked(rejected, people):
    verdicts.dispute(rejected.pk, person(people.mia), comment="She asked for a demo")
    with pytest.raises(Forbidden):
        verdicts.settle(rejected.pk, person(people.mia), overturned=True)
    found = verdicts.settle(rejected.pk, person(people.admin), overturned=True, comment="Right")
    again = Handoff.objects.get(lead=rejected.lead_id, state__in=OPEN)
    assert found.result == Dispute.Result.OVERTURNED
    assert found.new_handoff == again
    assert (again.kind, again.linked_to_id) == ("overturned", rejected.pk)
    assert not Enrolment.objects.filter(lead=rejected.lead_id, ended_at=None).exists()
    assert not Hold.objects.filter(lead=rejected.lead_id, ended_at=None).exists()
    rejected.refresh_from_db()
    assert rejected.state == "rejected"
    with pytest.raises(Conflict, match="already"):
        verdicts.settle(rejected.pk, person(people.admin), overturned=False)


def test_an_answer_that_stands_changes_nothing(rejected, people):
    verdicts.dispute(rejected.pk, person(people.mia), comment="She asked for a demo")
    found = verdicts.settle(rejected.pk, person(people.admin), overturned=False, comment="No budget, he said")
    assert found.result == Dispute.Result.STANDS
    assert not Handoff.objects.filter(lead=rejected.lead_id, state__in=OPEN).exists()
    assert Enrolment.objects.filter(lead=rejected.lead_id, ended_at=None).exists()


def test_an_overturned_answer_is_only_linked_while_sales_has_the_lead(rejected, people, at, did, flow):
    verdicts.dispute(rejected.pk, person(people.mia), comment="She asked for a demo")
    later = at + timedelta(hours=2)
    with clock.use(later):
        did(rejected.lead, "demo_requested")
    flow(later)
    with clock.use(later):
        found = verdicts.settle(rejected.pk, person(people.admin), overturned=True)
    assert found.result == Dispute.Result.LINKED
    assert Handoff.objects.filter(lead=rejected.lead_id, state__in=OPEN).count() == 1
