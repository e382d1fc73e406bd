"""Each act: who may, what it does, what it refuses, and that it can be taken back."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from handoff import calendars, guards, machine, outbox, states
from handoff.acts import EFFECTS
from handoff.guards import CHECKS
from handoff.models import (
    OPEN,
    DailyOffer,
    Handoff,
    LateException,
    Notice,
    Outbox,
    SlaResult,
    State,
    Transition,
)
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, Actor, person
from leadflow.errors import BadInput, Conflict, Forbidden, NotVisible
from leadflow.leads.models import TAKEN_BACK, Activity, Answer, ContactSeen, Outcome, Stage
from leadflow.pages.story import story
from scoring.models import Hold
from tests.handoff.conftest import berlin, fresh, stage_of

pytestmark = pytest.mark.django_db


def act(name, handoff, who, minutes=0, **args):
    """An act so many minutes after the house's now."""
    return machine.apply(name, handoff.pk, who, at=clock.now() + timedelta(minutes=minutes), **args)


def results(handoff, scope="lead"):
    rows = SlaResult.objects.filter(handoff=handoff, scope=scope, voided_at=None)
    return {row.promise: row.result for row in rows}


# The table


def test_every_act_of_the_table_has_an_effect_and_its_guards_exist():
    for row in states.TABLE.values():
        assert row.who, f"{row.name}: closed by default means that somebody must be named"
        assert row.done, row.name
        if row.name != "open":
            assert row.name in EFFECTS
            assert set(row.guards) <= set(CHECKS), row.name


def test_every_act_on_an_ended_handoff_is_a_conflict_or_not_for_this_person(offered, people):
    handoff = offered()
    act("reject", handoff, person(handoff.owner), 1, reason_key="2")
    for name in set(EFFECTS) - {"undo", "dispute", "settle", "reject"}:
        with pytest.raises(Conflict) as no:
            act(name, handoff, person(handoff.owner), 20, reason_key="1", to=people.sam.pk)
        assert handoff.owner.name in str(no.value)
        assert "19 min ago" in str(no.value)


# Accept


def test_accepting_keeps_the_promise_and_leaves_the_first_touch_running(offered):
    handoff = offered()
    act("accept", handoff, person(handoff.owner), 30)
    after = fresh(handoff)
    assert after.state == State.ACCEPTED
    assert after.sla_promise == "first_touch"
    assert after.sla_due_at == handoff.first_touch_due_at
    assert results(handoff) == {"acceptance": "met"}
    assert results(handoff, "holder") == {"acceptance": "met"}
    assert list(
        Answer.objects.filter(handoff_id=handoff.pk).values_list("kind", flat=True).order_by("id")
    ) == [
        "offered",
        "accepted",
    ]


def test_accepting_twice_gives_the_same_handoff_back_and_changes_nothing(offered):
    handoff = offered()
    act("accept", handoff, person(handoff.owner))
    act("accept", handoff, person(handoff.owner), 1)
    assert Transition.objects.filter(handoff=handoff, action="accept").count() == 1


def test_a_second_person_hears_who_was_faster(offered, people):
    handoff = offered()
    machine.apply("reassign", handoff.pk, SYSTEM, to="pool", reason="test")
    act("accept", handoff, person(people.ben), 1)
    with clock.use(clock.now() + timedelta(seconds=80)), pytest.raises(Conflict) as no:
        machine.apply("accept", handoff.pk, person(people.sam))
    assert str(no.value) == "Ben accepted this 20 s ago."
    assert no.value.current["owner"] == people.ben.pk


def test_what_is_with_somebody_else_cannot_be_accepted(offered, people):
    handoff = offered()
    other = people.ben if handoff.owner == people.sam else people.sam
    with pytest.raises(Conflict, match="with") as no:
        act("accept", handoff, person(other))
    assert no.value.current["owner"] == handoff.owner_id
    with pytest.raises(Forbidden):
        act("accept", handoff, person(people.mia))
    with pytest.raises(Conflict):
        act("accept", handoff, person(people.stranger))
    with pytest.raises(Forbidden):
        act("accept", handoff, Actor())
    with pytest.raises(NotVisible):
        machine.apply("accept", 987654, person(people.sam))


def test_a_pooled_lead_goes_to_whoever_is_there_and_has_room(offered, people):
    handoff = offered()
    machine.apply("reassign", handoff.pk, SYSTEM, to="pool", reason="test")
    assert {a.name for a in machine.allowed(fresh(handoff), person(people.ben), clock.now())} >= {
        "accept",
        "claim",
    }
    people.ben.capacity_open = 0
    people.ben.save()
    with pytest.raises(Forbidden, match="as many as agreed"):
        act("accept", handoff, person(people.ben))
    assert not machine.allowed(fresh(handoff), person(people.ben), clock.now())
    before = sum(DailyOffer.objects.values_list("count", flat=True))
    act("accept", handoff, person(people.sam))
    after = fresh(handoff)
    assert (after.owner, after.pool, after.state) == (people.sam, False, State.ACCEPTED)
    assert sum(DailyOffer.objects.values_list("count", flat=True)) == before + 1


# Reject


@pytest.mark.parametrize(
    ("args", "path"),
    [
        ({}, "reason_key"),
        ({"reason_key": "99"}, "reason_key"),
        ({"reason_key": "0", "note": "short"}, "note"),
        ({"reason_key": "3"}, "date"),
        ({"reason_key": "3", "date": "2026-11-01"}, "date"),
        ({"reason_key": "3", "date": "soon"}, "date"),
        ({"reason_key": "8"}, "reason_key"),
        ({"reason_key": "2", "note": "x" * 3000}, "note"),
    ],
)
def test_a_rejection_says_why_and_says_it_fully(offered, args, path):
    handoff = offered()
    with pytest.raises(BadInput) as no:
        act("reject", handoff, person(handoff.owner), **args)
    assert [fault.path for fault in no.value.faults] == [path]
    assert fresh(handoff).state == State.OFFERED


def test_a_rejection_ends_the_clocks_holds_the_lead_and_sends_it_back(offered):
    handoff = offered()
    act("reject", handoff, person(handoff.owner), 30, reason_key="2", note="still looking")
    after = fresh(handoff)
    assert after.state == State.REJECTED
    assert after.sla_tick_at is None
    assert after.sla_due_at is None
    assert results(handoff) == {"acceptance": "met", "first_touch": "cancelled"}
    assert stage_of(handoff) == Stage.NURTURING
    hold = Hold.objects.get(lead=handoff.lead_id, ended_at=None)
    assert hold.evidence == {"kind": "criteria", "ids": ["demo"]}
    assert hold.until == clock.now() + timedelta(days=30, minutes=30)
    answer = Answer.objects.get(handoff_id=handoff.pk, kind="rejected")
    assert (answer.reason_key, answer.reason_kind, answer.rep) == ("2", "timing", handoff.owner)
    told = Transition.objects.get(handoff=handoff, action="reject")
    assert (told.reason_key, told.note) == ("2", "still looking")


def test_a_reason_that_closes_disqualifies(offered):
    handoff = offered()
    act("reject", handoff, person(handoff.owner), reason_key="1")
    assert stage_of(handoff) == Stage.DISQUALIFIED
    assert Hold.objects.get(ended_at=None).closes


def test_a_call_back_rings_on_the_day_with_the_same_rep(offered, flow, people):
    handoff = offered()
    act("reject", handoff, person(handoff.owner), reason_key="3", date="2026-12-10")
    hold = Hold.objects.get(ended_at=None)
    assert (hold.until, hold.reopens_as) == (berlin(2026, 12, 10, 9, 0), "callback")
    with clock.use(berlin(2026, 12, 10, 9, 0)):
        flow()
    again = Handoff.objects.get(lead=handoff.lead_id, state__in=[s.value for s in OPEN])
    assert (again.kind, again.owner_id) == (Handoff.Kind.CALLBACK, handoff.owner_id)


# Contacts


def test_the_first_contact_of_an_offer_accepts_it_and_starts_the_follow_up(offered):
    handoff = offered()
    act("touch", handoff, person(handoff.owner), 10, channel="phone", result="voicemail", note="tried")
    after = fresh(handoff)
    assert after.state == State.WORKING
    assert after.sla_promise == "follow_up"
    assert after.attempts == 1
    assert after.reached_at is None
    assert results(handoff) == {"acceptance": "met", "first_touch": "met"}
    call = Activity.objects.get(lead=handoff.lead_id, kind__key="call")
    assert (call.result, call.handoff_id, call.user) == ("voicemail", handoff.pk, handoff.owner)
    assert not ContactSeen.objects.exists()
    act("log_contact", handoff, person(handoff.owner), 60, channel="email", result="talked")
    assert fresh(handoff).reached_at is not None
    assert results(handoff)["follow_up"] == "met"


def test_the_call_before_the_click_counts_as_accepted_and_contacted(offered, did, flow):
    handoff = offered()
    with clock.use(clock.now() + timedelta(minutes=20)):
        did(handoff.lead, "call", user_id=handoff.owner_id, channel="phone", result="talked", days_ago=0.005)
        flow()
        after = fresh(handoff)
    assert after.state == State.WORKING
    assert (
        after.first_touch_at
        == after.accepted_at
        == clock.now() + timedelta(minutes=20) - timedelta(days=0.005)
    )
    assert results(handoff) == {"acceptance": "met", "first_touch": "met"}
    assert Activity.objects.filter(lead=handoff.lead_id, kind__key="call").count() == 1


def test_a_contact_by_somebody_else_or_before_the_offer_moves_nothing(offered, did, flow, people):
    handoff = offered()
    with clock.use(clock.now() + timedelta(minutes=20)):
        did(handoff.lead, "call", user_id=people.rosa.pk, channel="phone", result="talked", days_ago=0.005)
        did(handoff.lead, "call", user_id=handoff.owner_id, channel="phone", result="talked", days_ago=1)
        flow()
    assert fresh(handoff).state == State.OFFERED
    assert not ContactSeen.objects.exists()


def test_a_contact_that_came_in_late_corrects_a_missed_first_touch(offered, did, flow):
    from handoff import clocks

    handoff = offered("fast_track")
    with clock.use(clock.now() + timedelta(minutes=40)):
        clocks.tick(clock.now())
        first = fresh(handoff)
        act("touch", first, person(first.owner), channel="phone", result="talked")
        assert results(handoff)["first_touch"] == "missed"
        did(
            handoff.lead, "call", user_id=first.owner_id, channel="phone", result="talked", days_ago=25 / 1440
        )
        flow()
    kept = SlaResult.objects.get(handoff=handoff, promise="first_touch", scope="lead", voided_at=None)
    assert (kept.result, kept.corrected_from) == ("met", "missed")
    answered = SlaResult.objects.get(handoff=handoff, promise="acceptance", scope="lead", voided_at=None)
    assert (answered.result, answered.corrected_from) == ("met", "missed")


def test_giving_up_needs_the_agreed_attempts_days_and_channels(offered):
    handoff = offered()
    owner = person(handoff.owner)
    act("touch", handoff, owner, channel="phone", result="no_answer")
    with pytest.raises(BadInput) as no:
        act("return", handoff, owner, 5, reason_key="8")
    assert "3 attempts (so far 1)" in no.value.faults[0].message
    act("log_contact", handoff, owner, 60, channel="email", result="email")
    act("log_contact", handoff, owner, 600, channel="phone", result="no_answer")
    with clock.use(clock.now() + timedelta(days=3)):
        act("return", handoff, owner, reason_key="8")
    assert fresh(handoff).state == State.RETURNED
    assert stage_of(handoff) == Stage.NURTURING


# Deals


def test_an_opportunity_needs_amount_need_and_date(offered):
    handoff = offered()
    owner = person(handoff.owner)
    act("accept", handoff, owner)
    with pytest.raises(BadInput) as no:
        act("qualify", handoff, owner, amount="lots", date="2026-01-01")
    assert {fault.path for fault in no.value.faults} == {"amount", "need", "date"}
    act("qualify", handoff, owner, 5, amount="38400", need="tour planning", date="2026-12-08")
    after = fresh(handoff)
    assert (after.state, after.sla_promise, after.sla_due_at) == (State.OPPORTUNITY, "", None)
    assert after.sla_tick_at == berlin(2026, 12, 8, 9, 0)
    assert results(handoff) == {"acceptance": "met", "first_touch": "met"}
    assert stage_of(handoff) == Stage.OPPORTUNITY
    assert Outcome.objects.get().kind == "opportunity"
    act("win", handoff, owner, 10, amount="40000")
    assert fresh(handoff).state == State.WON
    assert stage_of(handoff) == Stage.CUSTOMER
    assert Hold.objects.filter(ended_at=None).exists()


def test_a_lost_deal_goes_back_to_marketing_by_its_reason(offered):
    handoff = offered()
    owner = person(handoff.owner)
    act("accept", handoff, owner)
    act("lose", handoff, owner, 5, reason_key="2")
    assert fresh(handoff).state == State.LOST
    assert stage_of(handoff) == Stage.NURTURING
    assert Outcome.objects.get().kind == "lost"


def test_an_outcome_from_outside_does_what_the_click_would_do(offered):
    handoff = offered()
    act("outcome", handoff, SYSTEM, kind="won", amount=None)
    assert fresh(handoff).state == State.WON
    assert stage_of(handoff) == Stage.CUSTOMER
    with pytest.raises(Conflict):
        act("outcome", handoff, SYSTEM, 1, kind="lost")


def test_a_customers_new_interest_never_takes_the_customer_stage_away(offered, flow, did):
    handoff = offered()
    owner = person(handoff.owner)
    act("accept", handoff, owner)
    act("win", handoff, owner, 1, amount="100")
    with clock.use(clock.now() + timedelta(days=1)):
        did(handoff.lead, "demo_requested")
        flow()
        again = Handoff.objects.get(lead=handoff.lead_id, state="offered")
        assert again.kind == Handoff.Kind.EXISTING_CUSTOMER
        assert stage_of(again) == Stage.CUSTOMER
        act("reject", again, person(again.owner), reason_key="2")
    assert stage_of(handoff) == Stage.CUSTOMER


def test_a_customer_who_is_called_back_as_agreed_stays_a_customer(offered, flow, did):
    handoff = offered()
    owner = person(handoff.owner)
    act("accept", handoff, owner)
    act("win", handoff, owner, 1, amount="100")
    with clock.use(clock.now() + timedelta(days=1)):
        did(handoff.lead, "demo_requested")
        flow()
        more = Handoff.objects.get(lead=handoff.lead_id, state="offered")
        act("reject", more, person(more.owner), reason_key="3", date="2026-12-10")
        assert stage_of(handoff) == Stage.CUSTOMER
    with clock.use(berlin(2026, 12, 10, 9, 0)):
        flow()
        again = Handoff.objects.get(lead=handoff.lead_id, state="offered")
        assert again.kind == Handoff.Kind.CALLBACK
        act("accept", again, person(again.owner))
        act("qualify", again, person(again.owner), 1, amount="50", need="more", date="2026-12-20")
        assert stage_of(handoff) == Stage.CUSTOMER
        act("lose", again, person(again.owner), 2, reason_key="1")
    assert stage_of(handoff) == Stage.CUSTOMER


# Reassign, snooze, withdraw


def test_a_new_holder_gets_full_time_and_the_leads_own_clock_runs_on(offered, people):
    handoff = offered()
    other = people.ben if handoff.owner == people.sam else people.sam
    act("reassign", handoff, person(people.rosa), 60, to=other.pk, reason="holiday")
    after = fresh(handoff)
    assert (after.owner, after.state) == (other, State.OFFERED)
    assert after.acceptance_due_at == berlin(2026, 11, 24, 15, 12)
    assert after.lead_acceptance_due_at == handoff.acceptance_due_at
    assert results(handoff, "holder") == {"acceptance": "cancelled", "first_touch": "cancelled"}
    assert results(handoff) == {}
    act("accept", handoff, person(other), 320)
    assert results(handoff) == {"acceptance": "missed"}
    assert SlaResult.objects.get(handoff=handoff, scope="holder", holder=other).result == "met"


def test_only_the_teams_manager_moves_leads_and_only_to_sales(offered, people):
    handoff = offered()
    with pytest.raises(Forbidden):
        act("reassign", handoff, person(handoff.owner), to=people.ben.pk)
    for to in (people.mia.pk, people.stranger.pk, 99999, "", None):
        with pytest.raises(BadInput):
            act("reassign", handoff, person(people.rosa), to=to)


def test_a_snooze_stops_the_clock_on_the_record_within_what_was_agreed(offered):
    handoff = offered()
    owner = person(handoff.owner)
    for args in (
        {"until": clock.now() - timedelta(hours=1), "reason": "x"},
        {"until": clock.now() + timedelta(days=30), "reason": "x"},
        {"until": clock.now() + timedelta(days=1), "reason": ""},
    ):
        with pytest.raises(BadInput):
            act("snooze", handoff, owner, **args)
    act("snooze", handoff, owner, until=berlin(2026, 11, 25, 9, 12), reason="on a train")
    asleep = fresh(handoff)
    assert asleep.state == State.OFFERED
    assert asleep.sla_tick_at == berlin(2026, 11, 25, 9, 12)
    assert asleep.sla_due_at == berlin(2026, 11, 25, 14, 12)
    assert handoff.pauses.count() == 1
    with pytest.raises(BadInput, match="asleep"):
        act("snooze", handoff, owner, 1, until=berlin(2026, 11, 26, 9, 0), reason="again")
    act("wake", handoff, owner, 60)
    awake = fresh(handoff)
    assert awake.sla_due_at == berlin(2026, 11, 24, 15, 12)
    assert awake.snoozed_until is None
    act("snooze", handoff, owner, 70, until=berlin(2026, 11, 25, 9, 0), reason="again")
    act("wake", handoff, owner, 80)
    with pytest.raises(BadInput, match="cannot sleep"):
        act("snooze", handoff, owner, 90, until=berlin(2026, 11, 26, 9, 0), reason="third")


def test_a_lead_that_turns_out_to_be_none_is_withdrawn(offered, flow, agreement):
    from leadflow.leads import intake

    handoff = offered()
    with clock.use(clock.now() + timedelta(hours=1)):
        intake.change_lead(handoff.lead_id, {"title": "Student"}, actor=SYSTEM, cause="told us")
        flow()
        outbox.deliver(clock.now())
    assert fresh(handoff).state == State.WITHDRAWN
    assert stage_of(handoff) == Stage.EXCLUDED
    assert results(handoff) == {"acceptance": "cancelled", "first_touch": "cancelled"}
    assert Notice.objects.filter(user=handoff.owner, kind="withdrawn").exists()


def test_a_manager_withdraws_with_a_reason_and_the_stage_is_what_the_score_says(offered, people):
    handoff = offered()
    with pytest.raises(BadInput):
        act("withdraw", handoff, person(people.rosa))
    act("withdraw", handoff, person(people.rosa), reason="double")
    assert stage_of(handoff) == Stage.MQL


# Undo


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("accept", {}),
        ("reject", {"reason_key": "1"}),
        ("touch", {"channel": "phone", "result": "talked"}),
        ("snooze", {"until": berlin(2026, 11, 25, 10, 0), "reason": "later"}),
    ],
)
def test_an_act_can_be_taken_back_within_ten_minutes(offered, name, args):
    handoff = offered()
    owner = person(handoff.owner)
    act(name, handoff, owner, 5, **args)
    assert machine.undoable(fresh(handoff), owner, clock.now() + timedelta(minutes=14))
    act("undo", handoff, owner, 14)
    after = fresh(handoff)
    clocks = ("sla_due_at", "sla_tick_at", "sla_ticks", "sla_promise", "snoozed_until")
    acts = (
        "state",
        "owner_id",
        "pool",
        "closed_at",
        "accepted_at",
        "first_touch_at",
        "attempts",
        "reason_key",
    )
    for column in (*clocks, *acts):
        assert getattr(after, column) == getattr(handoff, column), column
    assert results(handoff) == {}
    assert not Answer.objects.filter(handoff_id=handoff.pk, voided_at=None).exclude(kind="offered").exists()
    assert not Hold.objects.filter(lead=handoff.lead_id, ended_at=None).exists()
    assert stage_of(handoff) == Stage.SALES_QUALIFIED
    assert not handoff.pauses.exists()
    undo = Transition.objects.get(handoff=handoff, action="undo")
    assert undo.undoes.action == name
    act(name, handoff, owner, 15, **args)


def test_undo_is_for_the_last_act_of_the_same_person_in_time(offered, people):
    handoff = offered()
    owner = person(handoff.owner)
    with pytest.raises(Conflict):
        act("undo", handoff, owner)
    act("accept", handoff, owner, 1)
    with pytest.raises(Conflict, match="accepted"):
        act("undo", handoff, person(people.rosa), 2)
    with pytest.raises(Conflict, match="10 minutes"):
        act("undo", handoff, owner, 12)
    act("touch", handoff, owner, 2, channel="phone", result="talked")
    act("undo", handoff, owner, 3)
    with pytest.raises(Conflict):
        act("undo", handoff, owner, 4)


def test_a_contact_taken_back_stays_in_the_story_as_such_and_counts_as_none(offered):
    handoff = offered()
    owner = person(handoff.owner)
    act("touch", handoff, owner, 2, channel="phone", result="talked")
    act("undo", handoff, owner, 3)
    noted = Activity.objects.get(handoff_id=handoff.pk)
    assert TAKEN_BACK in noted.properties
    told = {item.text: item.detail for item in story(handoff.lead)}
    assert "taken back" in told[f"{owner.user.name} was in touch"]
    assert "noted by mistake" in told["Was called by us"]
    act("touch", handoff, owner, 4, channel="email", result="email")
    give_up = SimpleNamespace(attempts=2, working_days=0, channels=2)
    later = clock.now() + timedelta(hours=1)
    missing = guards.attempts_missing(fresh(handoff), give_up, calendars.for_team(None), later)
    assert "so far 1)" in missing
    assert "2 channels (so far 1)" in missing


def test_a_won_deal_taken_back_and_won_again_are_two_outcomes_one_void(offered):
    handoff = offered()
    owner = person(handoff.owner)
    act("accept", handoff, owner)
    act("win", handoff, owner, 1, amount="100")
    act("undo", handoff, owner, 2)
    assert stage_of(handoff) == Stage.SALES_QUALIFIED
    act("win", handoff, owner, 3, amount="200")
    assert [o.voided_at is None for o in Outcome.objects.order_by("id")] == [False, True]


# By hand


def test_a_marketer_hands_a_lead_over_with_a_reason(agreement, make_lead, flow, people, did):
    lead = make_lead(title="Clerk", company="Acme")
    flow()
    with pytest.raises(BadInput):
        machine.open_by_hand(lead.pk, person(people.mia), "")
    with pytest.raises(Forbidden):
        machine.open_by_hand(lead.pk, person(people.sam), "I want it")
    handoff = machine.open_by_hand(lead.pk, person(people.mia), "met at the fair", to=people.sam.pk)
    assert (handoff.kind, handoff.owner, handoff.opened_by) == (Handoff.Kind.BY_HAND, people.sam, people.mia)
    assert stage_of(handoff) == Stage.SALES_QUALIFIED
    with pytest.raises(Conflict, match="with Sam"):
        machine.open_by_hand(lead.pk, person(people.mia), "again")
    act("reject", handoff, person(people.sam), 1, reason_key="2")
    letter = Outbox.objects.get(user=people.mia)
    assert letter.not_before == clock.now() + timedelta(minutes=11)
    act("undo", handoff, person(people.sam), 2)
    letter.refresh_from_db()
    assert letter.cancelled_at is not None


def test_a_rep_brings_an_own_lead_and_without_agreement_nothing_opens(agreement, make_lead, flow, people):
    lead = make_lead(title="Clerk")
    flow()
    handoff = machine.open_own(lead.pk, person(people.sam))
    assert (handoff.kind, handoff.owner) == (Handoff.Kind.OWN, people.sam)
    other = make_lead()
    agreement.state = "superseded"
    agreement.save()
    with pytest.raises(Conflict, match="agreement"):
        machine.open_own(other.pk, person(people.sam))


def test_who_leaves_owns_nothing(offered, people):
    first, second = offered(), offered(company="Bravo")
    for handoff in (first, second):
        machine.apply("reassign", handoff.pk, SYSTEM, to=people.sam, reason="test")
    people.sam.is_active = False
    people.sam.save()
    assert machine.release_owner(people.sam.pk, person(people.rosa)) == 2
    assert {fresh(h).owner for h in (first, second)} == {people.ben}
    people.ben.is_active = False
    people.ben.save()
    machine.release_owner(people.ben.pk, person(people.rosa))
    assert all(fresh(h).pool for h in (first, second))
    assert not LateException.objects.exists()
