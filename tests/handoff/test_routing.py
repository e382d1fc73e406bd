"""Who gets which lead, and what happens when nobody is there."""

from datetime import timedelta

import pytest

from handoff import machine, routing
from handoff.models import OPEN, Absence, Handoff, Outbox, RoomWait, RouteRule
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.leads import intake
from leadflow.leads.models import Company, Stage
from leadflow.pages import leaving
from tests.handoff.conftest import berlin, fresh, stage_of

pytestmark = pytest.mark.django_db


def away(user, at, days=3):
    """Say that this person is away."""
    Absence.objects.create(user=user, starts_at=at - timedelta(hours=1), ends_at=at + timedelta(days=days))


def test_leads_go_round_by_weight(offered, people):
    people.sam.weight = 2
    people.sam.save()
    owners = [offered(company=f"Firm {n}").owner.name for n in range(6)]
    assert owners.count("Sam") == 4
    assert owners[:3] in (["Sam", "Ben", "Sam"],)


def test_people_of_one_company_go_to_the_same_rep(offered):
    first, second = offered(company="Acme"), offered(company="Acme")
    assert first.owner == second.owner
    assert "same company" in second.route


def test_the_companys_owner_gets_its_leads(offered, people, make_lead):
    make_lead(company="Acme", company_domain="acme.example")
    Company.objects.filter(name="Acme").update(owner=people.rosa)
    handoff = offered(company="Acme", company_domain="acme.example")
    assert handoff.owner == people.rosa
    assert handoff.route.startswith("rule 1: The company has an owner")


def test_an_owner_who_is_away_longer_is_told_that_a_colleague_got_it(offered, people, make_lead, at):
    make_lead(company="Acme", company_domain="acme.example")
    Company.objects.filter(name="Acme").update(owner=people.sam)
    away(people.sam, at)
    handoff = offered("fast_track", company="Acme", company_domain="acme.example")
    assert handoff.owner == people.ben
    assert "Sam is away" in handoff.route
    assert Outbox.objects.filter(kind="owner_away", user=people.sam).count() == 1


def test_an_owner_who_is_back_within_hours_keeps_the_account(offered, people, make_lead, at):
    make_lead(company="Acme", company_domain="acme.example")
    Company.objects.filter(name="Acme").update(owner=people.sam)
    Absence.objects.create(user=people.sam, starts_at=at, ends_at=at + timedelta(hours=2))
    assert offered("fast_track", company="Acme", company_domain="acme.example").owner == people.sam


def test_a_fast_lead_goes_to_whoever_has_the_fewest_open_and_never_waits(offered, people):
    for n in range(3):
        machine.apply("reassign", offered(company=f"Firm {n}").pk, SYSTEM, to=people.sam, reason="test")
    assert offered("fast_track", company="Fast").owner == people.ben
    for user in (people.sam, people.ben):
        user.capacity_open = 0
        user.save()
    assert offered("fast_track", company="Faster").owner is not None


def test_with_nobody_there_a_fast_lead_waits_in_the_pool_and_the_manager_is_alarmed(offered, people, at):
    away(people.sam, at)
    away(people.ben, at)
    handoff = offered("fast_track")
    assert handoff.pool
    assert handoff.team == people.north
    alarm = set(Outbox.objects.filter(kind="nobody").values_list("user__name", "channel"))
    assert alarm == {("Rosa", "bell"), ("Rosa", "email")}
    machine.apply("accept", handoff.pk, person(people.rosa))
    assert fresh(handoff).owner == people.rosa


def test_with_nobody_there_a_lead_at_the_bar_waits_for_room_without_a_clock(
    agreement, make_lead, did, flow, people, at
):
    away(people.sam, at, 1)
    away(people.ben, at, 1)
    lead = make_lead(title="VP")
    did(lead, "webinar_attended")
    flow()
    assert not Handoff.objects.exists()
    assert RoomWait.objects.get(lead=lead, left_at=None).total == 50
    lead.refresh_from_db()
    assert lead.stage == Stage.SALES_QUALIFIED
    with clock.use(at + timedelta(days=1, hours=2)):
        flow()
    assert Handoff.objects.get(lead=lead).owner is not None
    assert RoomWait.objects.get(lead=lead).left_why == "offered"


def test_the_best_come_in_first_and_who_is_no_longer_ready_leaves_at_once(
    agreement, make_lead, did, flow, people, at
):
    people.ben.is_active = False
    people.ben.save()
    people.sam.capacity_open = 1
    people.sam.save()
    leads = []
    for n, webinars in enumerate((1, 1, 3, 2)):
        lead = make_lead(title="VP", company=f"Firm {n}")
        for _ in range(webinars):
            did(lead, "webinar_attended")
        leads.append(lead)
    flow()
    assert Handoff.objects.get().lead == leads[2]
    with clock.use(at + timedelta(minutes=5)):
        intake.change_lead(leads[3].pk, {"title": "Clerk"}, actor=SYSTEM, cause="told us")
        intake.change_lead(leads[1].pk, {"title": "Student"}, actor=SYSTEM, cause="told us")
        flow()
        for n, why in ((3, "not_ready"), (1, "excluded")):
            assert RoomWait.objects.get(lead=leads[n]).left_why == why
            leads[n].refresh_from_db()
        assert leads[3].stage != Stage.SALES_QUALIFIED
        assert leads[1].stage == Stage.EXCLUDED
        first = Handoff.objects.get()
        machine.apply("reject", first.pk, person(people.sam), reason_key="2")
        flow()
        assert Handoff.objects.get(state__in=[s.value for s in OPEN]).lead == leads[0]


def test_who_waits_and_asks_for_a_demo_is_offered_at_once(agreement, make_lead, did, flow, people, at):
    people.sam.capacity_open = people.ben.capacity_open = 0
    people.sam.save()
    people.ben.save()
    lead = make_lead(title="VP")
    did(lead, "webinar_attended")
    flow()
    assert RoomWait.objects.filter(lead=lead, left_at=None).exists()
    with clock.use(at + timedelta(minutes=5)):
        did(lead, "demo_requested")
        flow()
    assert Handoff.objects.get(lead=lead).kind == Handoff.Kind.FAST_TRACK
    assert RoomWait.objects.get(lead=lead).left_why == "fast_track"


def test_a_sentence_with_a_condition_sends_to_a_team_a_person_or_a_pool(offered, people):
    people.stranger.is_active = True
    people.stranger.save()
    country = {"fact": "country", "op": "is", "value": "Austria"}
    rule = RouteRule.objects.create(
        position=0,
        text="Austria: team South",
        condition=country,
        target={"to": "team", "team": people.south.pk},
    )
    assert offered(country="Austria", company="A").owner == people.stranger
    assert offered(country="France", company="B").owner != people.stranger
    rule.target = {"to": "user", "user": people.ben.pk}
    rule.save()
    assert offered(country="Austria", company="C").owner == people.ben
    rule.target = {"to": "pool", "team": people.north.pk}
    rule.save()
    handoff = offered(country="Austria", company="D")
    assert (handoff.pool, handoff.team) == (True, people.north)
    assert Outbox.objects.filter(kind="pooled").count() == 3


def test_a_dry_run_changes_nothing(agreement, people, make_lead):
    lead = make_lead()
    ask = routing.Ask(lead.pk, "bar", True, 60, "A2")
    before = routing.route([ask], clock.now(), agreement_terms(agreement))
    assert routing.route([ask], clock.now(), agreement_terms(agreement)) == before
    assert not Handoff.objects.exists()


def agreement_terms(agreement):
    """The agreement's document."""
    from scoring.document import Document

    return Document(agreement.content)


def test_leads_of_the_weekend_count_for_monday(agreement, make_lead, did, flow):
    with clock.use(berlin(2026, 11, 21, 12, 0)):
        for n in range(20):
            lead = make_lead(title="VP", company=f"Firm {n}")
            did(lead, "webinar_attended")
        flow()
        assert Handoff.objects.count() == 16
    with clock.use(berlin(2026, 11, 23, 9, 0)):
        flow()
        assert Handoff.objects.count() == 16
    with clock.use(berlin(2026, 11, 24, 9, 0)):
        flow()
        assert Handoff.objects.count() == 20


def test_a_lead_whose_score_falls_is_marked_as_cooling_and_stays(offered, flow, at):
    handoff = offered()
    with clock.use(at + timedelta(hours=1)):
        intake.change_lead(handoff.lead_id, {"title": "Clerk"}, actor=SYSTEM, cause="told us")
        flow()
    after = fresh(handoff)
    assert after.cooling
    assert after.state == "offered"
    assert stage_of(handoff) == Stage.SALES_QUALIFIED


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": "marketer"}])
def test_who_leaves_sales_keeps_no_open_lead(offered, people, as_user, change):
    rows = [offered(owner=people.sam, company=name) for name in "AB"]
    moved = leaving.change_person(person(people.admin), people.sam, change)
    assert moved == 2
    assert {fresh(row).owner for row in rows} == {people.ben}
    leaving.change_person(person(people.admin), people.ben, change)
    assert {(row.owner, row.pool) for row in map(fresh, rows)} == {(None, True)}
    assert not Handoff.objects.filter(owner__is_active=False, state__in=[s.value for s in OPEN]).exists()
