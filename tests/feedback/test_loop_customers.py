"""Outcomes and customers: clicked, from outside, unmatched, by month; who stays. Campaigns."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from feedback import outcomes
from feedback.campaigns import figures, keeping
from feedback.customers import unmatched
from feedback.reports import journeys
from feedback.reports.base import Filters
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import BadInput, Forbidden
from leadflow.leads import ledgers
from leadflow.leads.models import Campaign, Outcome, StageChange, UnmatchedOutcome

YEAR = "?from=2026-01-01&to=2026-12-31"


def bring(*rows):
    """Outcomes from another system."""
    return ledgers.record_outcomes(list(rows), actor=SYSTEM, source="crm")


@pytest.fixture
def customer(people, make_lead, did, at):
    """A lead that read, asked and bought, and what came after."""
    campaign = keeping.add({"name": "Autumn", "code": "autumn", "cost": "300"}, person(people.mia))
    lead = make_lead(campaign="autumn", source="Webinars")
    did(lead, "page_view", days_ago=20, path="/pricing/", campaign="autumn")
    did(lead, "webinar_attended", days_ago=12)
    outcomes.record(lead.pk, person(people.rosa), kind="won", amount=Decimal(1000), at=at)
    return lead, campaign


@pytest.mark.parametrize("kind", ["opportunity", "lost", "renewed", "expanded", "churned"])
def test_every_kind_is_a_click_on_the_lead(kind, people, make_lead, as_user):
    lead = make_lead()
    as_user(people.rosa).post(f"/leads/{lead.pk}/outcome/", {"kind": kind, "amount": "10"})
    assert lead.outcomes.get().kind == kind


@pytest.mark.parametrize(
    ("on", "words"), [("2026-11-25", "still to come"), ("2020-01-01", "before the lead")]
)
def test_a_day_that_cannot_be_is_told_in_words(on, words, people, make_lead, as_user, at):
    lead = make_lead()
    page = as_user(people.rosa).post(f"/leads/{lead.pk}/outcome/", {"kind": "won", "on": on})
    assert page.status_code == 400
    assert words in page.content.decode()
    assert not Outcome.objects.exists()


def test_a_click_counts_once_and_can_be_taken_back(people, make_lead, as_user, at):
    lead = make_lead()
    rosa = as_user(people.rosa)
    for _ in range(2):
        rosa.post(f"/leads/{lead.pk}/outcome/", {"kind": "won", "amount": "10"})
    made = lead.outcomes.get()
    lead.refresh_from_db()
    assert lead.stage == "customer"
    rosa.post(f"/feedback/outcomes/{made.pk}/back/")
    lead.refresh_from_db()
    made.refresh_from_db()
    assert lead.stage != "customer"
    assert made.voided_at is not None
    bring({"external_id": "d", "kind": "won", "email": lead.email})
    outside = lead.outcomes.get(source="crm")
    assert rosa.post(f"/feedback/outcomes/{outside.pk}/back/").status_code == 409


def test_a_renewal_is_written_down_while_sales_has_the_lead_too(offered, people):
    handoff = offered()
    made = outcomes.record(handoff.lead_id, person(people.rosa), kind="renewed", amount=Decimal(5))
    assert made.kind == "renewed"
    with pytest.raises(BadInput, match="on the handoff"):
        outcomes.record(handoff.lead_id, person(people.rosa), kind="won", amount=Decimal(5))


def test_what_is_dated_before_its_lead_is_taken_with_a_word_and_no_speed(make_lead, did, at):
    lead, known = make_lead(), make_lead()
    did(known, "page_view", days_ago=200, path="/")
    long_ago = (at - timedelta(days=90)).isoformat()
    taken = bring(
        {"external_id": "d1", "kind": "won", "email": lead.email, "at": long_ago},
        {"external_id": "d2", "kind": "won", "email": known.email, "at": long_ago},
        {"external_id": "d3", "kind": "won", "email": lead.email, "amount": "-5"},
    )
    assert (len(taken.created), taken.early) == (2, [0])
    assert taken.rejected[0].errors[0].path == "amount"
    whole = journeys.cohort(Filters(at.date(), at.date() + timedelta(days=1), at))
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {whole.text} SELECT lead_id, undated FROM base", whole.bound)
        assert dict(cursor.fetchall())[lead.pk] is True


def test_an_outcome_of_a_stranger_is_matched_by_hand_and_stays_matched(people, make_lead, as_user, at):
    lead = make_lead(email="ann@berg.example", name="Ann Berg")
    row = {"external_id": "d9", "kind": "won", "email": "a.berg@berg.example", "amount": "700"}
    bring(row)
    mia = as_user(people.mia)
    assert "a.berg@berg.example" in mia.get("/feedback/outcomes/").content.decode()
    stray = UnmatchedOutcome.objects.get()
    assert "Ann Berg" in mia.get(f"/feedback/outcomes/{stray.pk}/match/").content.decode()
    mia.post(f"/feedback/outcomes/{stray.pk}/match/", {"lead": lead.pk})
    assert lead.outcomes.get().amount == 700
    lead.refresh_from_db()
    assert lead.stage == "customer"
    assert not UnmatchedOutcome.objects.exists()
    again = bring({**row, "amount": "800"})
    assert len(again.changed) == 1
    assert lead.outcomes.get().amount == 800
    assert not UnmatchedOutcome.objects.exists()


def test_strays_find_leads_that_came_later_or_are_put_aside(people, make_lead, as_user, at):
    bring(
        {"external_id": "d1", "kind": "won", "email": "new@late.example"},
        {"external_id": "d2", "kind": "won", "email": "never@late.example"},
    )
    lead = make_lead(email="new@late.example")
    mia = as_user(people.mia)
    mia.post("/feedback/outcomes/again/")
    assert lead.outcomes.count() == 1
    stray = UnmatchedOutcome.objects.get()
    with pytest.raises(Forbidden):
        unmatched.drop(stray.pk, person(people.sam))
    mia.post(f"/feedback/outcomes/{stray.pk}/drop/")
    assert "Every outcome has its lead" in mia.get("/feedback/outcomes/").content.decode()


def test_customers_of_a_month_on_the_page_and_as_csv(customer, people, make_lead, as_user, at):
    lead, _ = customer
    other = make_lead(name="=cmd", source="Website")
    bring({"external_id": "o1", "kind": "won", "email": other.email, "amount": 50})
    mia = as_user(people.mia)
    page = mia.get("/feedback/customers/?month=2026-11").content.decode()
    assert str(lead) in page
    assert "undated" in page
    assert "Nobody became a customer" in mia.get("/feedback/customers/?month=2026-10").content.decode()
    text = b"".join(mia.get("/feedback/customers/?month=2026-11&format=csv").streaming_content).decode()
    assert len(text.strip().splitlines()) == 3
    assert "'=cmd" in text
    assert mia.get("/feedback/customers/?month=soon").status_code == 400


def test_who_stays_and_grows_by_source(customer, people, make_lead, as_user, at):
    lead, _ = customer
    gone = make_lead(source="Website")
    for one, kind, days in ((gone, "won", 3), (gone, "churned", 1), (lead, "expanded", 0)):
        outcomes.record(
            one.pk, person(people.rosa), kind=kind, amount=Decimal(10), at=at - timedelta(days=days)
        )
    mia = as_user(people.mia)
    page = mia.get(f"/feedback/customers/{YEAR}").content.decode()
    assert "1,010" in page
    stayed = mia.get(f"/feedback/customers/leads/{YEAR}&who=stayed").content.decode()
    assert str(lead) in stayed
    assert str(gone) not in stayed
    left = mia.get(f"/feedback/customers/leads/{YEAR}&who=left&of_source=Website").content.decode()
    assert str(gone) in left


def test_a_customer_has_its_way(customer, people, as_user, at):
    lead, _ = customer
    page = as_user(people.sam).get(f"/feedback/customers/{lead.pk}/").content.decode()
    for words in ("First touch", "/pricing", "Attended", "Autumn", "came by it", "Won", "1,000"):
        assert words in page, words


def test_a_campaign_counts_what_came_of_it_and_what_each_cost(customer, people, make_lead, as_user, at):
    lead, campaign = customer
    make_lead(campaign="autumn")
    StageChange.objects.create(lead=lead, from_stage="", to_stage="mql", at=at, known_at=at, cause="test")
    came = figures.came([campaign.pk], at + timedelta(minutes=1))[campaign.pk]
    assert (came.leads, came.mql, came.offered, came.customers, came.revenue) == (2, 1, 0, 1, 1000)
    assert came.cost_per("leads", campaign.cost) == 150
    assert came.cost_per("offered", campaign.cost) is None
    mia = as_user(people.mia)
    assert "150" in mia.get(f"/feedback/campaigns/{campaign.pk}/").content.decode()
    for cell in ("leads", "mql", "customers", "paid"):
        assert str(lead) in mia.get(f"/feedback/campaigns/{campaign.pk}/leads/?cell={cell}").content.decode()
    assert mia.get(f"/feedback/campaigns/{campaign.pk}/leads/?cell=x").status_code == 400


def test_the_rep_reads_the_message_of_a_campaign_on_the_lead(customer, people, as_user):
    lead, campaign = customer
    mia = as_user(people.mia)
    form = {"name": "Autumn", "message_for_sales": "We promised a price in a day.", "starts_on": "2026-11-01"}
    assert (
        mia.post(f"/feedback/campaigns/{campaign.pk}/edit/", {**form, "ends_on": "2026-10-01"}).status_code
        == 400
    )
    mia.post(f"/feedback/campaigns/{campaign.pk}/edit/", form)
    told = as_user(people.sam).get(f"/leads/{lead.pk}/loop/").content.decode()
    assert "We promised a price in a day." in told
    assert "running" in told
    assert "running" in mia.get("/feedback/campaigns/").content.decode()


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"cost": "-1"}, "cost"),
        ({"name": ""}, "name"),
        ({"starts_on": "soon"}, "starts_on"),
        ({"code": "autumn"}, "code"),
    ],
)
def test_a_campaign_that_cannot_be_is_told_in_words(fields, path, customer, people):
    with pytest.raises(BadInput) as wrong:
        keeping.add({"name": "Other", **fields}, person(people.mia))
    assert path in {fault.path for fault in wrong.value.faults}
    assert Campaign.objects.count() == 1
