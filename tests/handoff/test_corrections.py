"""Contacts that we hear of late put right what was counted for want of them, and leave a trace."""

from datetime import timedelta

import pytest

from handoff import clocks, machine
from handoff.models import Handoff, Notice, Outbox, SlaResult, State
from leadflow import clock
from leadflow.accounts.actors import person
from tests.handoff.conftest import berlin, fresh

pytestmark = pytest.mark.django_db


@pytest.fixture
def called(did, flow):
    """A call at one time of today that we hear of at another."""

    def run(handoff, user, when, heard, result="talked"):
        days = (heard - when) / timedelta(days=1)
        with clock.use(heard):
            did(handoff.lead, "call", user_id=user.pk, channel="phone", result=result, days_ago=days)
            flow()

    return run


def standing(handoff, **which):
    rows = SlaResult.objects.filter(handoff=handoff, voided_at=None, **which)
    return {(row.promise, row.result, row.corrected_from, row.late_by) for row in rows}


def nine(minute, hour=9):
    return berlin(2026, 11, 24, hour, minute)


def test_a_call_in_time_that_came_in_late_turns_missed_into_met_and_says_so(offered, called, as_user, people):
    handoff = offered("fast_track")
    with clock.use(nine(50)):
        clocks.tick(nine(28))
        machine.apply("touch", handoff.pk, person(handoff.owner), channel="phone", result="no_answer")
    assert {row[1] for row in standing(handoff)} == {"missed"}
    called(handoff, handoff.owner, nine(20), nine(0, 11))
    # Both promises, the lead's and the holder's; what was wrong stays, marked void.
    assert standing(handoff) == {("acceptance", "met", "missed", 0), ("first_touch", "met", "missed", 0)}
    assert SlaResult.objects.filter(handoff=handoff, result="missed").exclude(voided_at=None).count() == 4
    after = fresh(handoff)
    assert (after.first_touch_at, after.reached_at) == (nine(20), nine(20))
    assert after.last_contact_at == nine(50)
    with clock.use(nine(1, 11)):
        page = as_user(people.rosa).get(f"/leads/{handoff.lead_id}/story/").content.decode()
    assert "The first contact counts as in time: it was late, corrected" in page
    panel = as_user(people.rosa).get(f"/queue/{handoff.pk}/panel/").content.decode()
    assert "The first contact counts as in time: it was late, corrected" in panel
    assert page.count("called at 09:20, recorded at 11:00") == 2


def test_a_call_that_was_late_all_the_same_corrects_by_how_much(offered, called):
    handoff = offered("fast_track")
    with clock.use(nine(0, 11)):
        clocks.tick(nine(41))
        machine.apply("touch", handoff.pk, person(fresh(handoff).owner), channel="phone", result="talked")
    called(handoff, handoff.owner, nine(50), nine(30, 11))
    assert ("first_touch", "missed", "missed", 8 * 60) in standing(handoff, scope="lead")


def test_a_call_of_the_one_who_had_it_counts_although_a_colleague_has_it_now(offered, called):
    handoff = offered("fast_track")
    caller = handoff.owner
    with clock.use(nine(43)):
        while clocks.tick(nine(43)):
            pass
    other = fresh(handoff).owner
    assert other != caller
    called(handoff, caller, nine(20), nine(45))
    assert standing(handoff, scope="lead") == {
        ("acceptance", "met", "missed", 0),
        ("first_touch", "met", "missed", 0),
    }
    assert {row[1:3] for row in standing(handoff, scope="holder", holder=caller)} == {("met", "missed")}
    after = fresh(handoff)
    assert (after.state, after.owner, after.first_touch_at) == (State.OFFERED, other, nine(20))
    letter = Outbox.objects.get(user=other, kind="said")
    assert letter.payload["text"].startswith(f"{caller.name} had been in touch at 09:20")
    with clock.use(nine(50)):
        machine.apply("touch", handoff.pk, person(other), channel="phone", result="talked")
    assert standing(handoff, scope="holder", holder=other) == {
        ("acceptance", "met", "", 0),
        ("first_touch", "met", "", 0),
    }
    assert SlaResult.objects.filter(handoff=handoff, scope="lead", voided_at=None).count() == 2
    figures = clocks.attainment(nine(0, 0), nine(0, 23), at=nine(0, 20), scope="lead")[""]
    assert (figures.met, figures.missed) == (2, 0)


def test_a_call_before_the_answer_no_counts_when_it_comes_in_after_the_end(offered, called):
    handoff = offered("fast_track")
    with clock.use(nine(25)):
        machine.apply("reject", handoff.pk, person(handoff.owner), reason_key="1")
    assert ("first_touch", "cancelled", "", 0) in standing(handoff)
    called(handoff, handoff.owner, nine(20), nine(0, 11))
    assert standing(handoff, promise="first_touch") == {("first_touch", "met", "cancelled", 0)}
    assert fresh(handoff).state == State.REJECTED
    assert Notice.objects.count() == 0


def test_a_call_between_two_contacts_moves_no_follow_up(offered, called):
    handoff = offered()
    owner = person(handoff.owner)
    for hour in (10, 15):
        with clock.use(nine(0, hour)):
            action = "touch" if hour == 10 else "log_contact"
            machine.apply(action, handoff.pk, owner, channel="phone", result="no_answer")
    due = fresh(handoff).followup_due_at
    called(handoff, handoff.owner, nine(0, 12), nine(0, 16))
    after = fresh(handoff)
    assert (after.last_contact_at, after.followup_due_at, after.attempts) == (nine(0, 15), due, 3)
    assert after.reached_at == nine(0, 12)
    assert Handoff.objects.get(pk=handoff.pk).first_touch_at == nine(0, 10)
