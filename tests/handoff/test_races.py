"""Two at once, with real threads and real transactions: exactly one wins, and the other hears who."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from django.db import connection

from handoff import admission, clocks, machine
from handoff.models import OPEN, Handoff, LateException, Outbox, SlaResult, State, Transition
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import Conflict, Forbidden
from scoring import engine
from scoring.models import Crossing
from tests.handoff.conftest import berlin, fresh

pytestmark = pytest.mark.django_db(transaction=True)


def together(*acts):
    """Run the acts at the same moment, each in a thread with its own connection; their answers or errors."""
    start = Barrier(len(acts))
    now = clock.now()

    def run(one):
        try:
            with clock.use(now):
                start.wait(10)
                return one()
        except (Conflict, Forbidden) as no:
            return no
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result(60) for future in [pool.submit(run, one) for one in acts]]


def test_two_accept_from_a_pool_and_one_gets_it(offered, people, reps):
    everybody = reps(6)
    for n in range(4):
        handoff = offered(company=f"Firm {n}")
        machine.apply("reassign", handoff.pk, SYSTEM, to="pool", reason="test")
        answers = together(*[partial(machine.apply, "accept", handoff.pk, person(u)) for u in everybody])
        won = [a for a in answers if isinstance(a, Handoff)]
        lost = [a for a in answers if isinstance(a, Conflict)]
        assert (len(won), len(lost)) == (1, 5)
        owner = fresh(handoff).owner
        assert all(str(no).startswith(f"{owner.name} accepted this") for no in lost)
        assert Transition.objects.filter(handoff=handoff, action="accept").count() == 1
        assert SlaResult.objects.filter(handoff=handoff, scope="lead").count() == 1


def test_the_last_place_of_a_rep_is_taken_once(offered, people):
    first, second = offered(), offered(company="Bravo")
    for handoff in (first, second):
        machine.apply("reassign", handoff.pk, SYSTEM, to="pool", reason="test")
    people.sam.capacity_open = 1
    people.sam.save()
    answers = together(
        lambda: machine.apply("accept", first.pk, person(people.sam)),
        lambda: machine.apply("accept", second.pk, person(people.sam)),
    )
    assert sorted(type(a).__name__ for a in answers) == ["Forbidden", "Handoff"]


def test_an_accept_and_the_tick_of_its_lateness_agree(offered):
    for n in range(3):
        handoff = offered("fast_track", company=f"Firm {n}")
        owner = person(handoff.owner)
        with clock.use(handoff.sla_due_at):
            answers = together(
                partial(machine.apply, "accept", handoff.pk, owner), partial(clocks.tick, handoff.sla_due_at)
            )
        assert isinstance(answers[0], Handoff)
        after = fresh(handoff)
        assert after.state == State.ACCEPTED
        rows = SlaResult.objects.filter(handoff=handoff, scope="lead", promise="acceptance", voided_at=None)
        assert rows.count() == 1
        assert rows.get().finished_at is not None
        assert not LateException.objects.filter(
            handoff=handoff, promise="acceptance", cleared_at=None
        ).exists()


def test_an_accept_and_the_escalation_end_with_one_owner(offered):
    handoff = offered("fast_track")
    at = berlin(2026, 11, 24, 9, 42)
    with clock.use(at):
        answers = together(
            lambda: machine.apply("accept", handoff.pk, person(handoff.owner)), lambda: clocks.tick(at)
        )
    after = fresh(handoff)
    if isinstance(answers[0], Handoff):
        assert (after.state, after.owner) == (State.ACCEPTED, handoff.owner)
    else:
        assert isinstance(answers[0], Conflict)
        assert after.state == State.OFFERED
        assert after.owner != handoff.owner


def test_four_ticks_at_once_handle_each_row_once(offered):
    for n in range(12):
        offered(company=f"Firm {n}")
    at = berlin(2026, 11, 24, 14, 12)
    with clock.use(at):
        answers = together(*[lambda: clocks.tick(at, limit=5) for _ in range(4)])
        assert sum(answers) <= 12
        while clocks.tick(at):
            pass
    assert Outbox.objects.filter(kind="late").count() == 12
    assert LateException.objects.count() == 12
    assert SlaResult.objects.filter(scope="lead").count() == 12
    assert set(Handoff.objects.values_list("lock_version", flat=True)) == {2}


def test_two_openings_at_once_open_each_lead_once_and_keep_the_limit(agreement, make_lead, did, at):
    for n in range(30):
        lead = make_lead(title="VP", company=f"Firm {n}")
        did(lead, "webinar_attended")
    engine.score_pending(at)
    together(*[lambda: machine.open_pending(at, limit=10) for _ in range(4)])
    while machine.open_pending(at):
        pass
    assert not Crossing.objects.filter(handled_at=None).exists()
    assert Handoff.objects.count() == 16
    together(*[lambda: admission.refill(at) for _ in range(3)])
    assert Handoff.objects.count() == 16


def test_a_reject_and_a_reassignment_at_once_leave_one_story(offered, people):
    handoff = offered()
    other = people.ben if handoff.owner == people.sam else people.sam
    answers = together(
        lambda: machine.apply("reject", handoff.pk, person(handoff.owner), reason_key="2"),
        lambda: machine.apply("reassign", handoff.pk, person(people.rosa), to=other.pk, reason="x"),
    )
    after = fresh(handoff)
    if after.state == State.REJECTED:
        assert isinstance(answers[1], Conflict) or after.owner == handoff.owner
    else:
        assert after.owner == other
        assert isinstance(answers[0], Conflict | Forbidden)
    assert Handoff.objects.filter(lead=handoff.lead_id, state__in=[s.value for s in OPEN]).count() <= 1
