"""How a lead comes to sales, and what is frozen then."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Count

from handoff import clocks, machine
from handoff.models import Handoff, Outbox, RoomWait, SlaResult, State, Transition
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.leads import intake
from leadflow.leads.models import Answer, Lead, Stage
from scoring import current, engine
from scoring.explanation import Reached, explain_many, explain_offers
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
    from django.test.utils import CaptureQueriesContext

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
    assert counts[0] <= 32


FAST, ALL = 12, 2_000


def qualify(count: int, fast: int) -> None:
    """So many strangers come at once and do enough to be ready; `fast` of them ask for a demo."""
    people = [
        {"email": f"p{n}@firm{n}.example", "name": f"P {n}", "title": "VP", "company": f"Firm {n}"}
        for n in range(count)
    ]
    ids = intake.upsert_leads(people, source="fair", actor=SYSTEM).accepted
    counted()
    acts = [
        {
            "source": "fair",
            "external_id": f"a{n}",
            "kind": "demo_requested" if n < fast else "webinar_attended",
            "lead_id": pk,
            "occurred_at": clock.now().isoformat(),
            "properties": {},
        }
        for n, pk in enumerate(ids)
    ]
    assert not intake.record_activities(acts, actor=SYSTEM).rejected
    counted()


def counted() -> None:
    """What autovacuum does when a table grows; a test's own transaction hides the rows from it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE leads_lead, leads_company, leads_activity, leads_leadchanged, scoring_leadscore"
        )


def test_two_thousand_who_qualify_on_monday_morning_come_in_as_there_is_room(
    reps, agreement, flow, django_assert_max_num_queries
):
    team = reps(5)
    with clock.use(berlin(2026, 11, 23, 9, 0)):
        now = clock.now()
        qualify(ALL, FAST)
        while engine.score_pending(now):
            counted()
        # No query for each lead: the same at 500 as at 3 (see above).
        with django_assert_max_num_queries(50):
            assert machine.open_pending(now, 500) == 500
        flow()
        offers = Handoff.objects.values_list("kind").order_by("kind").annotate(n=Count("pk"))
        assert dict(offers) == {"bar": 40, "fast_track": FAST}
        assert {user.handoffs.filter(kind="bar").count() for user in team} == {8}
        assert RoomWait.objects.filter(left_at=None).count() == ALL - FAST - 40
        assert pending() == 0
    for hour, minute in ((9, 14), (17, 59)):
        with clock.use(berlin(2026, 11, 23, hour, minute)):
            for handoff in Handoff.objects.filter(state="offered").select_related("owner"):
                machine.apply("touch", handoff.pk, person(handoff.owner), result="talked")
            while clocks.tick(clock.now()):
                pass
            flow()
    # The day is over: nobody was late for want of room, and nobody is lost.
    assert not SlaResult.objects.filter(result="missed").exists()
    assert Handoff.objects.count() == 40 + FAST
    assert Lead.objects.filter(stage=Stage.SALES_QUALIFIED).count() == ALL
    assert RoomWait.objects.filter(left_at=None).count() + Handoff.objects.count() == ALL
    with clock.use(berlin(2026, 11, 24, 9, 0)):
        flow()
    assert Handoff.objects.filter(kind="bar").count() == 80


def test_what_has_no_room_waits_and_comes_in_as_room_comes(reps, agreement, make_lead, did, flow, at):
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


def test_what_is_recorded_after_the_instant_of_the_offer_is_not_in_its_explanation(
    agreement, make_lead, did, at
):
    leads = [make_lead(title="VP Sales"), make_lead(title="VP Sales", company="Acme")]
    for lead in leads:
        did(lead, "webinar_attended")
    ids, now = [lead.pk for lead in leads], current.of(agreement)
    before = explain_offers(ids, at, now)
    assert before == {pk: replace(told, thresholds=Reached()) for pk, told in explain_many(ids, at).items()}
    assert before[ids[0]].lines
    with clock.use(at + timedelta(minutes=5)):
        intake.change_lead(ids[0], {"title": "Student"}, actor=SYSTEM, cause="test")
    assert Lead.objects.get(pk=ids[0]).title == "Student"
    assert explain_offers(ids, at, now) == before
