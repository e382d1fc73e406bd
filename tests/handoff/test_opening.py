"""How a lead comes to sales, and what is frozen then."""

from datetime import timedelta

import pytest

from handoff import machine
from handoff.models import Handoff, Outbox, RoomWait, State, Transition
from leadflow.leads.models import Answer, Stage
from tests.handoff.conftest import berlin, pending, stage_of

pytestmark = pytest.mark.django_db


def test_a_lead_above_the_bar_is_offered_to_a_rep_with_its_clocks(offered, people):
    handoff = offered()
    assert handoff.state == State.OFFERED
    assert handoff.kind == Handoff.Kind.BAR
    assert handoff.owner in (people.sam, people.ben)
    assert stage_of(handoff) == Stage.SALES_QUALIFIED
    assert handoff.sla_promise == "acceptance"
    # 09:12 and four working hours: lunch from 12:30 to 13:30.
    assert handoff.sla_due_at == berlin(2026, 11, 24, 14, 12)
    assert handoff.first_touch_due_at == berlin(2026, 11, 25, 9, 12)
    assert handoff.sla_tick_at < handoff.sla_due_at
    assert handoff.frozen["score"]["total"] == 50
    assert [line["criterion"] for line in handoff.frozen["explanation"]] == ["vp", "web"]
    assert handoff.frozen["must_know_gaps"] == ["last_acts"]
    assert "ttended a webinar" in handoff.why_now
    assert "rule 3" in handoff.route
    assert Answer.objects.get(handoff_id=handoff.pk).kind == "offered"
    assert Transition.objects.get(handoff=handoff).action == "open"
    assert {letter.channel for letter in Outbox.objects.all()} == {"bell", "email"}
    assert pending() == 0


def test_a_demo_request_runs_on_the_fast_track(offered):
    handoff = offered("fast_track")
    assert handoff.kind == Handoff.Kind.FAST_TRACK
    assert handoff.fast_track_no == 1
    assert handoff.policy == "fast_track"
    assert handoff.sla_due_at - handoff.offered_at == timedelta(minutes=15)


def test_the_number_of_statements_does_not_grow_with_the_leads(
    agreement, make_lead, did, django_assert_max_num_queries, at
):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from scoring import engine

    counts = []
    for size in (3, 30):
        for n in range(size):
            lead = make_lead(title="VP", company=f"Firm {size} {n}")
            did(lead, "demo_requested")
        engine.score_pending(at)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert machine.open_pending(at) == size
        counts.append(len(queries))
    assert counts[0] == counts[1], "\n".join(q["sql"][:120] for q in queries.captured_queries)
    assert counts[0] <= 50


def test_what_has_no_room_waits_and_comes_in_as_room_comes(reps, agreement, make_lead, did, flow, at):
    from leadflow import clock

    reps(5)
    with clock.use(berlin(2026, 11, 23, 9, 0)):
        for n in range(70):
            lead = make_lead(title="VP", company=f"Firm {n}")
            did(lead, "webinar_attended")
        for n in range(3):
            lead = make_lead(title="VP", company=f"Fast {n}")
            did(lead, "demo_requested")
        flow()
        assert Handoff.objects.filter(kind="bar").count() == 40
        assert Handoff.objects.filter(kind="fast_track").count() == 3
        assert RoomWait.objects.filter(left_at=None).count() == 30
        flow()
        assert Handoff.objects.filter(kind="bar").count() == 40
    with clock.use(berlin(2026, 11, 24, 9, 0)):
        flow()
        assert Handoff.objects.filter(kind="bar").count() == 70
        assert not RoomWait.objects.filter(left_at=None).exists()
    with clock.use(berlin(2026, 11, 25, 9, 0)):
        flow()
        assert Handoff.objects.count() == 73
