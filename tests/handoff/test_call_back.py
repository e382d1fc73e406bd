""" "Call back on a date": a contact's result that moves the next attempt to the day that was agreed on."""

from datetime import timedelta

import pytest

from handoff import machine
from handoff.models import SlaResult, State
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.errors import BadInput
from leadflow.leads.models import Activity
from tests.handoff.conftest import berlin, fresh

pytestmark = pytest.mark.django_db


def test_a_call_back_that_was_agreed_on_is_the_next_promise(offered, people):
    handoff = offered(owner=people.sam)
    done = machine.apply("touch", handoff.pk, person(people.sam), result="talked", call_back="2026-11-26")
    # Until the closing of that day; on an offer it accepts too.
    assert (done.state, done.sla_due_at) == (State.WORKING, berlin(2026, 11, 26, 18))
    assert done.sla_promise == "follow_up"
    said = Activity.objects.get(handoff_id=handoff.pk)
    assert said.properties["note"] == "Call back by Thu 26 Nov, 18:00."
    with clock.use(berlin(2026, 11, 26, 11)):
        machine.apply("log_contact", handoff.pk, person(people.sam), result="meeting")
    kept = SlaResult.objects.get(handoff=handoff, promise="follow_up", scope="lead")
    assert (kept.result, kept.due) == (SlaResult.Result.MET, berlin(2026, 11, 26, 18))


def test_a_new_holder_keeps_the_day_that_was_agreed_on(offered, people):
    handoff = offered(owner=people.sam)
    machine.apply(
        "touch", handoff.pk, person(people.sam), result="talked", call_back=berlin(2026, 11, 30, 14)
    )
    moved = machine.apply("reassign", handoff.pk, person(people.rosa), to=people.ben, reason="holiday")
    assert moved.sla_due_at == moved.lead_followup_due_at == berlin(2026, 11, 30, 14)


@pytest.mark.parametrize("when", ["2026-11-23", "2027-03-01", "soon"])
def test_a_call_back_in_the_past_or_beyond_what_may_wait_is_refused_in_words(offered, people, when):
    handoff = offered(owner=people.sam)
    with pytest.raises(BadInput) as no:
        machine.apply("touch", handoff.pk, person(people.sam), result="talked", call_back=when)
    assert no.value.faults[0].path == "call_back"
    assert fresh(handoff).state == State.OFFERED


def test_taking_it_back_brings_the_old_promise_back(offered, people):
    handoff = offered(owner=people.sam)
    machine.apply("touch", handoff.pk, person(people.sam), result="talked", call_back="2026-11-26")
    with clock.use(clock.now() + timedelta(minutes=9)):
        back = machine.apply("undo", handoff.pk, person(people.sam))
    assert (back.state, back.sla_due_at) == (State.OFFERED, handoff.sla_due_at)
