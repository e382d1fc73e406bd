"""Warned, late, escalated: each once, in order, with the true lateness, and honestly counted."""

from copy import deepcopy
from datetime import timedelta

import pytest
from django.db import connection

from handoff import clocks, escalation, machine, outbox
from handoff.models import Absence, Handoff, LateException, Notice, Outbox, SlaResult, State
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import BadInput
from scoring.document import content_sha
from scoring.models import Agreement
from tests.handoff.conftest import berlin, fresh

pytestmark = pytest.mark.django_db


def tick(*parts):
    """Let the clocks tick until nothing is due at this time in Berlin; how many rows were looked at."""
    at = berlin(*parts)
    with clock.use(at):
        looked = total = clocks.tick(at)
        while looked:
            looked = clocks.tick(at)
            total += looked
    return total


def letters(kind):
    return set(Outbox.objects.filter(kind=kind).values_list("user__name", "channel"))


def test_nothing_happens_before_its_time(offered):
    handoff = offered()
    assert tick(2026, 11, 24, 12, 11) == 0
    assert fresh(handoff).warned_at is None


def test_the_owner_is_warned_at_three_quarters_and_once(offered):
    handoff = offered()
    assert tick(2026, 11, 24, 12, 12) == 1
    assert fresh(handoff).warned_at == berlin(2026, 11, 24, 12, 12)
    assert letters("warn") == {(handoff.owner.name, "bell")}
    assert tick(2026, 11, 24, 12, 30) == 0


def test_at_the_due_it_is_late_and_owner_and_manager_hear_of_it(offered, people):
    handoff = offered()
    tick(2026, 11, 24, 14, 12)
    after = fresh(handoff)
    assert after.breached_at == handoff.sla_due_at
    assert after.state == State.OFFERED
    assert letters("late") == {(handoff.owner.name, "bell")}
    assert letters("late_of") == {("Rosa", "bell"), ("Rosa", "email")}
    assert LateException.objects.get(handoff=handoff).promise == "acceptance"
    missed = SlaResult.objects.filter(handoff=handoff, result="missed", finished_at=None)
    assert {(row.scope, row.holder) for row in missed} == {("lead", handoff.owner), ("holder", handoff.owner)}
    tick(2026, 11, 25, 9, 12)
    assert LateException.objects.get(handoff=handoff, promise="acceptance").step_done == "exception"


def test_a_late_accept_is_legal_and_missed(offered):
    handoff = offered()
    tick(2026, 11, 24, 14, 12)
    with clock.use(berlin(2026, 11, 24, 14, 42)):
        machine.apply("accept", handoff.pk, person(handoff.owner))
    kept = SlaResult.objects.get(handoff=handoff, scope="lead", promise="acceptance")
    assert (kept.result, kept.late_by) == ("missed", 1800)
    assert not LateException.objects.filter(cleared_at=None).exists()
    assert fresh(handoff).sla_promise == "first_touch"


def test_a_never_answered_lead_misses_both_promises(offered):
    handoff = offered()
    tick(2026, 11, 25, 9, 12)
    rows = SlaResult.objects.filter(handoff=handoff, scope="lead", result="missed")
    assert {row.promise for row in rows} == {"acceptance", "first_touch"}


def test_a_fast_lead_goes_to_a_colleague_who_gets_full_time(offered, people):
    handoff = offered("fast_track")
    tick(2026, 11, 24, 9, 27)
    assert fresh(handoff).owner == handoff.owner
    tick(2026, 11, 24, 9, 42)
    after = fresh(handoff)
    assert after.owner != handoff.owner
    assert after.state == State.OFFERED
    assert after.sla_due_at == berlin(2026, 11, 24, 9, 57)
    assert after.lead_acceptance_due_at == berlin(2026, 11, 24, 9, 27)
    shares = SlaResult.objects.filter(handoff=handoff, scope="holder", holder=handoff.owner)
    assert {(row.promise, row.result) for row in shares} == {
        ("acceptance", "missed"),
        ("first_touch", "missed"),
    }
    with clock.use(berlin(2026, 11, 24, 9, 50)):
        machine.apply("touch", handoff.pk, person(after.owner), channel="phone", result="talked")
    assert (
        SlaResult.objects.filter(handoff=handoff, scope="holder", holder=after.owner, result="met").count()
        == 2
    )
    lead = SlaResult.objects.filter(handoff=handoff, scope="lead")
    assert {(row.promise, row.result) for row in lead} == {
        ("acceptance", "missed"),
        ("first_touch", "missed"),
    }


def test_with_nobody_else_there_a_late_lead_stays_on_the_managers_list(offered, people, at):
    handoff = offered("fast_track")
    for user in (people.sam, people.ben):
        if user != handoff.owner:
            Absence.objects.create(user=user, starts_at=at, ends_at=at + timedelta(days=3))
    tick(2026, 11, 24, 9, 45)
    after = fresh(handoff)
    assert after.owner == handoff.owner
    assert LateException.objects.get(handoff=handoff, promise="acceptance").step_done == "nobody left to ask"
    assert after.sla_tick_at is not None
    assert tick(2026, 11, 24, 9, 46) <= 1


def test_a_late_lead_goes_round_the_team_once_and_then_to_the_managers(offered, reps):
    reps(3)
    handoff = offered("fast_track")
    for hour in range(10, 18):
        for minute in (0, 20, 40):
            tick(2026, 11, 24, hour, minute)
    moves = handoff.transitions.filter(action="reassign")
    assert moves.count() == 2
    assert len({move.owner_after_id for move in moves} | {handoff.owner_id}) == 3
    left = LateException.objects.filter(handoff=handoff, cleared_at=None)
    assert set(left.values_list("step_done", flat=True)) == {"nobody left to ask"}


def test_a_lead_that_somebody_has_taken_is_passed_on_once_when_nobody_calls(offered, reps):
    reps(5)
    handoff = offered("fast_track")
    machine.apply("accept", handoff.pk, person(handoff.owner))
    for hour in range(10, 18):
        for minute in (0, 20, 40):
            tick(2026, 11, 24, hour, minute)
    assert handoff.transitions.filter(action="reassign").count() == 1
    assert fresh(handoff).state == State.ACCEPTED


def test_after_an_outage_everything_due_is_handled_once_with_its_true_lateness(offered):
    handoff = offered()
    tick(2026, 11, 26, 17, 0)
    assert fresh(handoff).breached_at == handoff.sla_due_at
    # Of acceptance and first touch; and nobody is warned of what is late already.
    assert Outbox.objects.filter(kind="late", user=handoff.owner).count() == 2
    assert letters("warn") == set()
    assert set(SlaResult.objects.values_list("due", flat=True)) == {
        handoff.acceptance_due_at,
        handoff.first_touch_due_at,
    }
    assert tick(2026, 11, 26, 17, 1) == 0


def test_what_sleeps_wakes_by_itself(offered):
    handoff = offered()
    machine.apply(
        "snooze", handoff.pk, person(handoff.owner), until=berlin(2026, 11, 25, 9, 12), reason="on a train"
    )
    tick(2026, 11, 25, 9, 11)
    assert fresh(handoff).snoozed_until is not None
    tick(2026, 11, 25, 9, 12)
    after = fresh(handoff)
    assert after.snoozed_until is None
    assert after.breached_at is None
    assert after.sla_due_at == berlin(2026, 11, 25, 14, 12)
    assert letters("woke") == {(handoff.owner.name, "bell")}


def test_an_opportunity_reminds_of_its_date_and_keeps_no_promise(offered):
    handoff = offered()
    owner = person(handoff.owner)
    machine.apply("accept", handoff.pk, owner)
    machine.apply("qualify", handoff.pk, owner, amount=5, need="x", date="2026-11-30")
    tick(2026, 11, 30, 9, 0)
    assert letters("remind") == {(handoff.owner.name, "bell")}
    assert not SlaResult.objects.filter(result="missed").exists()
    assert fresh(handoff).sla_tick_at == berlin(2026, 12, 1, 9, 0)


def test_a_row_that_raises_is_pushed_ahead_and_the_rest_goes_on(offered, monkeypatch):
    broken, sound = offered("fast_track"), offered("fast_track", company="Bravo")
    calls = []
    run = escalation.run

    def stumble(handoff_id, at):
        calls.append(handoff_id)
        if handoff_id == broken.pk:
            raise RuntimeError("no such road")
        run(handoff_id, at)

    monkeypatch.setattr(clocks.escalation, "run", stumble)
    tick(2026, 11, 24, 9, 45)
    after = fresh(broken)
    assert after.tick_failures == 1
    assert after.tick_error == "RuntimeError: no such road"
    assert after.sla_tick_at == berlin(2026, 11, 24, 9, 50)
    assert clocks.stumbling() == [after]
    assert letters("said") == {("Admin", "bell")}
    assert fresh(sound).owner != sound.owner
    assert calls.count(broken.pk) == 1


def test_a_row_that_cannot_even_be_read_holds_up_no_other(offered):
    rows = [offered(company=f"Firm {n}") for n in range(4)]
    broken = rows[1]
    Handoff.objects.filter(pk=broken.pk).update(sla_ticks=[{"at": "soon", "do": "warn", "promise": ""}])
    assert tick(2026, 11, 24, 14, 12) == 3
    after = fresh(broken)
    assert after.tick_failures == 1
    assert after.tick_error.startswith("DataError: invalid input syntax")
    assert after.sla_tick_at == berlin(2026, 11, 24, 14, 17)
    assert all(fresh(row).breached_at == row.sla_due_at for row in rows if row != broken)
    assert not clocks.try_again(broken.pk, berlin(2026, 11, 24, 14, 14))
    assert fresh(broken).tick_failures == 2
    Handoff.objects.filter(pk=broken.pk).update(sla_ticks=broken.sla_ticks)
    assert clocks.try_again(broken.pk, berlin(2026, 11, 24, 14, 15))
    healed = fresh(broken)
    assert (healed.tick_failures, healed.tick_error, healed.breached_at) == (0, "", broken.sla_due_at)
    assert not clocks.try_again(broken.pk, berlin(2026, 11, 24, 14, 16))


def test_the_figures_count_a_running_clock_past_due_as_missed_before_any_tick(offered, people):
    first = offered()
    second = offered(company="Bravo")
    with clock.use(berlin(2026, 11, 24, 10, 0)):
        machine.apply("accept", second.pk, person(second.owner))
    day = (berlin(2026, 11, 24), berlin(2026, 11, 25))
    before = clocks.attainment(*day, at=berlin(2026, 11, 24, 14, 0), promise="acceptance")[""]
    assert (before.met, before.missed, before.rate) == (1, 0, 1.0)
    late = clocks.attainment(*day, at=berlin(2026, 11, 24, 15, 0), promise="acceptance")[""]
    assert (late.met, late.missed, late.running, late.rate) == (1, 1, 1, 0.5)
    tick(2026, 11, 24, 15, 0)
    again = clocks.attainment(*day, at=berlin(2026, 11, 24, 15, 0), promise="acceptance")[""]
    assert again == late
    by_rep = clocks.attainment(*day, at=berlin(2026, 11, 24, 15, 0), scope="holder", by="holder")
    assert by_rep[first.owner.name].missed >= 1
    for by in clocks.GROUPS:
        clocks.attainment(*day, at=berlin(2026, 11, 24, 15, 0), by=by, team_id=people.north.pk)
    empty = clocks.attainment(berlin(2020, 1, 1), berlin(2020, 2, 1), at=berlin(2026, 11, 24), holder_id=1)[
        ""
    ]
    assert empty.rate is None


def test_a_tick_is_one_statement_for_any_number_of_rows(offered, django_assert_num_queries):
    for n in range(6):
        offered(company=f"Firm {n}")
    at = berlin(2026, 11, 24, 14, 12)
    with clock.use(at), django_assert_num_queries(3):
        # savepoint, the statement, release
        assert clocks.tick(at) == 6


def test_the_bell_rings_once_and_the_mail_says_why_now(offered, mailoutbox, people):
    handoff = offered()
    now = clock.now()
    assert outbox.deliver(now) == 2
    assert outbox.deliver(now) == 0
    notice = Notice.objects.get(user=handoff.owner)
    assert notice.text.startswith("A3: Lead 1 (Acme) is yours")
    assert notice.url == f"/queue/{handoff.pk}/"
    mail = mailoutbox[0]
    assert mail.to == [handoff.owner.email]
    assert "Why now: Attended a webinar" in mail.body
    assert "Answer by 14:12" in mail.body
    assert f"/queue/{handoff.pk}/" in mail.body


def test_a_mail_that_cannot_leave_is_tried_again_later_and_later(offered, monkeypatch, mailoutbox):
    offered()
    now = clock.now()

    def down(*args, **kwargs):
        raise OSError("no route to the mail server")

    monkeypatch.setattr(outbox, "get_connection", down)
    outbox.deliver(now)
    letter = Outbox.objects.get(channel="email")
    assert (letter.attempts, letter.delivered_at) == (1, None)
    assert "no route" in letter.error
    assert letter.next_try_at == now + timedelta(seconds=30)
    outbox.deliver(now + timedelta(seconds=31))
    letter.refresh_from_db()
    assert letter.next_try_at == now + timedelta(seconds=31 + 60)
    monkeypatch.undo()
    outbox.deliver(now + timedelta(minutes=5))
    assert len(mailoutbox) == 1


def test_the_same_letter_is_never_written_twice(offered):
    handoff = offered()
    letter = outbox.Letter("k", "offered", "bell", handoff.owner_id, {})
    outbox.put([letter, letter], clock.now())
    outbox.put([letter], clock.now())
    assert Outbox.objects.filter(key="k").count() == 1


def test_an_open_handoff_always_has_a_next_tick(offered):
    handoff = offered()
    for day in range(25, 30):
        tick(2026, 11, day, 12, 0)
        after = fresh(handoff)
        assert after.sla_tick_at > berlin(2026, 11, day, 12, 0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM handoff_handoff WHERE sla_tick_at IS NULL AND closed_at IS NULL")
        assert cursor.fetchone() == (0,)
    machine.apply("withdraw", handoff.pk, SYSTEM, at=berlin(2026, 11, 30, 9, 0), reason="test")
    assert Handoff.objects.get(pk=handoff.pk).sla_tick_at is None


# Promises as the agreement may write them


@pytest.fixture
def promised(agreement, offered):
    """Offer a lead under a promise that says something else than the usual."""

    def make(**change):
        content = deepcopy(agreement.content)
        content["sla"][1] |= change
        Agreement.objects.filter(pk=agreement.pk).update(content=content, sha256=content_sha(content))
        return offered()

    return make


def test_around_the_clock_a_promise_runs_through_lunch_and_night(promised):
    handoff = promised(hours={"accept": "always"})
    assert handoff.acceptance_due_at == berlin(2026, 11, 24, 13, 12)
    assert handoff.first_touch_due_at == berlin(2026, 11, 25, 9, 12)
    tick(2026, 11, 24, 20, 0)
    with clock.use(berlin(2026, 11, 24, 21, 12)):
        machine.apply("accept", handoff.pk, person(handoff.owner))
    assert SlaResult.objects.get(promise="acceptance", scope="holder").late_by == 8 * 3600


def test_first_contact_can_count_from_the_acceptance(promised):
    handoff = promised(first_touch_from="accept", first_touch=60)
    assert (handoff.first_touch_due_at, handoff.lead_first_touch_due_at) == (None, None)
    with clock.use(berlin(2026, 11, 24, 10, 0)):
        machine.apply("accept", handoff.pk, person(handoff.owner))
    after = fresh(handoff)
    assert after.sla_due_at == after.lead_first_touch_due_at == berlin(2026, 11, 24, 11, 0)
    with clock.use(berlin(2026, 11, 24, 10, 30)):
        machine.apply("touch", handoff.pk, person(handoff.owner), channel="phone", result="talked")
    rows = SlaResult.objects.filter(promise="first_touch")
    assert {(row.scope, row.result, row.start) for row in rows} == {
        ("lead", "met", berlin(2026, 11, 24, 10, 0)),
        ("holder", "met", berlin(2026, 11, 24, 10, 0)),
    }


def test_a_step_can_be_for_one_promise_alone_and_the_manager_hears_only_where_agreed(promised):
    steps = [{"after": 30, "do": "pool", "clock": "accept"}, {"after": 60, "do": "notify"}]
    handoff = promised(late=steps, warn=[])
    tick(2026, 11, 24, 14, 12)
    assert letters("late") == {(handoff.owner.name, "bell")}
    assert letters("late_of") == set()
    tick(2026, 11, 24, 14, 42)
    after = fresh(handoff)
    assert (after.owner, after.pool) == (None, True)
    assert [step["do"] for step in after.sla_ticks if step.get("promise") == "first_touch"].count("pool") == 0
    tick(2026, 11, 25, 12, 0)
    assert letters("late_of") == {("Rosa", "bell"), ("Rosa", "email")}


def test_sleep_and_giving_up_can_be_others_for_some_leads(promised):
    handoff = promised(
        snooze={"times": 1, "working_days": 1}, snooze_after_touch=True, give_up={"attempts": 1}
    )
    assert handoff.frozen["snooze"] == {"times": 1, "working_days": 1}
    assert handoff.frozen["give_up"] == {"attempts": 1, "working_days": 2, "channels": 2}
    owner, until = person(handoff.owner), berlin(2026, 11, 24, 17, 0)
    with pytest.raises(BadInput) as no:
        machine.apply("snooze", handoff.pk, owner, until=until, reason="on a train")
    assert no.value.faults[0].message.startswith("Get in touch first")
    machine.apply("touch", handoff.pk, owner, channel="phone", result="talked")
    machine.apply("snooze", handoff.pk, owner, until=until, reason="on a train")
    assert fresh(handoff).snoozed_until == until
