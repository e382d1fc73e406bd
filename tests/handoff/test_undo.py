"""Every act that a person does can be taken back within ten minutes: the row is as it was, to the column."""

from datetime import timedelta

import pytest

from feedback import verdicts
from handoff import acting, machine
from handoff.guards import NOT_UNDOABLE
from handoff.states import TABLE
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import Conflict
from leadflow.leads.models import Answer, Lead, Outcome
from scoring.models import Hold
from tests.handoff.conftest import berlin, fresh

pytestmark = pytest.mark.django_db

TALKED = ("touch", {"result": "talked"})
UNTIL = {"until": berlin(2026, 11, 25, 10), "reason": "later"}
# What leads there, the act, what it is given.
ACTS = [
    ([], "claim", {}),
    ([], "accept", {}),
    ([], "touch", {"result": "voicemail"}),
    ([], "reject", {"reason_key": "2"}),
    ([], "reject", {"reason_key": "6"}),
    ([TALKED], "log_contact", {"result": "talked", "call_back": "2026-11-26"}),
    ([TALKED], "return", {"reason_key": "3", "date": "2027-01-11"}),
    ([TALKED], "qualify", {"amount": "100", "need": "it", "date": "2026-12-01"}),
    ([TALKED], "win", {"amount": "100"}),
    ([TALKED], "lose", {"reason_key": "1"}),
    ([], "reassign", {"to": "pool", "reason": "test"}),
    ([TALKED], "snooze", UNTIL),
    ([TALKED, ("snooze", UNTIL)], "wake", {}),
]
DOORS = {"reject": verdicts.reject, "return": verdicts.return_, "win": verdicts.win, "lose": verdicts.lose}


def test_the_list_names_every_act_that_can_be_taken_back():
    assert {name for _, name, _ in ACTS} == set(TABLE) - set(NOT_UNDOABLE)


@pytest.mark.parametrize(("before", "name", "args"), ACTS)
def test_ten_minutes_later_it_is_as_if_it_had_not_been(offered, people, before, name, args):
    handoff, who = offered(owner=people.sam), person(people.sam)
    if name == "claim":
        machine.apply("reassign", handoff.pk, SYSTEM, to="pool", reason="test")
    for one, given in before:
        machine.apply(one, handoff.pk, who, **given)
    who = person(people.rosa) if name == "reassign" else who
    was, stage = acting.snapshot(fresh(handoff)), Lead.objects.get(pk=handoff.lead_id).stage
    answers = set(Answer.objects.filter(voided_at=None).values_list("pk", flat=True))
    if name in DOORS:
        DOORS[name](handoff.pk, who, **args)
    else:
        machine.apply(name, handoff.pk, who, **args)
    changed = acting.snapshot(fresh(handoff))
    assert changed != was
    with clock.use(clock.now() + timedelta(minutes=10)):
        verdicts.undo(handoff.pk, who)
        assert acting.snapshot(fresh(handoff)) == was
        with pytest.raises(Conflict):
            verdicts.undo(handoff.pk, who)
    assert Lead.objects.get(pk=handoff.lead_id).stage == stage
    assert set(Answer.objects.filter(voided_at=None).values_list("pk", flat=True)) == answers
    assert not Hold.objects.filter(lead=handoff.lead_id, ended_at=None).exists()
    assert not Outcome.objects.filter(lead=handoff.lead_id, voided_at=None).exists()


def test_a_second_more_is_too_late(offered, people):
    handoff = offered(owner=people.sam)
    machine.apply("accept", handoff.pk, person(people.sam))
    later = clock.now() + timedelta(minutes=10, seconds=1)
    with clock.use(later), pytest.raises(Conflict, match="10 minutes"):
        verdicts.undo(handoff.pk, person(people.sam))
