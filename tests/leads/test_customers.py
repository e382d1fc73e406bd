"""A won deal makes the company a customer; its colleagues are scored by that."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import customers, intake, ledgers
from leadflow.leads.models import Company, CustomerSignal, FactChange, LeadChanged

PATIENCE = 30


def drain():
    while customers.pull(clock.now()):
        pass


def won(lead, kind="won", at=None, external_id=None, handoff_id=None):
    return ledgers.record_outcome(
        source="leadflow",
        external_id=external_id or f"{kind}-{lead.pk}",
        kind=kind,
        lead_id=lead.pk,
        at=at or clock.now(),
        handoff_id=handoff_id,
        actor=SYSTEM,
    )


def company_of(lead):
    return Company.objects.get(pk=lead.company_id)


@pytest.fixture
def colleagues(at, make_lead):
    LeadChanged.objects.all().delete()
    return [make_lead(company="Acme", company_domain="acme.example") for _ in range(2)]


def test_a_win_makes_the_company_a_customer_and_its_leads_are_scored_anew(colleagues, at):
    LeadChanged.objects.all().delete()
    won(colleagues[0])
    drain()
    assert company_of(colleagues[0]).customer_since == at
    assert set(LeadChanged.objects.values_list("lead_id", flat=True)) == {c.pk for c in colleagues}
    change = FactChange.objects.get(field="is_customer")
    assert (change.company_id, change.old, change.cause) == (colleagues[0].company_id, False, customers.WON)


def test_a_win_that_is_taken_back_takes_the_customer_back(colleagues):
    won(colleagues[0], handoff_id=7)
    drain()
    ledgers.void_outcomes(7, clock.now())
    drain()
    assert company_of(colleagues[0]).customer_since is None
    assert list(FactChange.objects.order_by("id").values_list("field", "old")) == [
        ("is_customer", False),
        ("is_customer", True),
    ]


def test_a_win_taken_back_before_anybody_heard_of_it_changes_nothing(colleagues):
    won(colleagues[0], handoff_id=7)
    ledgers.void_outcomes(7, clock.now())
    drain()
    assert company_of(colleagues[0]).customer_since is None
    assert not FactChange.objects.filter(field="is_customer").exists()


def test_another_deal_keeps_the_customer(colleagues):
    won(colleagues[0], handoff_id=7)
    won(colleagues[1], handoff_id=8)
    drain()
    ledgers.void_outcomes(7, clock.now())
    drain()
    assert company_of(colleagues[0]).customer_since is not None


def test_what_a_person_said_is_not_taken_back(colleagues):
    intake.change_company(colleagues[0].company_id, {"is_customer": True}, actor=SYSTEM, cause="by hand")
    won(colleagues[0], handoff_id=7)
    drain()
    ledgers.void_outcomes(7, clock.now())
    drain()
    assert company_of(colleagues[0]).customer_since is not None


def test_a_flag_taken_off_by_hand_does_not_come_back_by_an_old_deal(colleagues):
    won(colleagues[0], handoff_id=7)
    drain()
    intake.change_company(colleagues[0].company_id, {"is_customer": False}, actor=SYSTEM, cause="by hand")
    won(colleagues[1], kind="churned")
    drain()
    assert company_of(colleagues[0]).customer_since is None


def test_a_customer_that_leaves_is_none_until_the_next_deal(colleagues, at):
    won(colleagues[0])
    drain()
    with clock.use(at + timedelta(days=30)):
        won(colleagues[0], kind="churned")
        drain()
        assert company_of(colleagues[0]).customer_since is None
    with clock.use(at + timedelta(days=60)):
        won(colleagues[0], external_id="again")
        drain()
        assert company_of(colleagues[0]).customer_since == at + timedelta(days=60)


def test_a_deal_from_a_file_tells_its_company_and_an_old_one_quietly(colleagues, make_lead, at):
    other = make_lead(company="Beta", company_domain="beta.example")
    LeadChanged.objects.all().delete()
    rows = [
        {"external_id": "1", "kind": "won", "lead_id": colleagues[0].pk, "at": at.isoformat()},
        {"external_id": "2", "kind": "won", "lead_id": other.pk, "at": (at - timedelta(days=90)).isoformat()},
    ]
    assert not ledgers.record_outcomes(rows, actor=SYSTEM, source="crm").rejected
    drain()
    assert company_of(colleagues[0]).customer_since == at
    assert company_of(other).customer_since == at - timedelta(days=90)
    quiet = dict(LeadChanged.objects.values_list("lead_id", "quiet"))
    assert quiet == {colleagues[0].pk: False, colleagues[1].pk: False, other.pk: True}


def test_a_deal_that_turns_out_to_be_another_leads_moves_the_customer(colleagues, make_lead, at):
    other = make_lead(company="Beta", company_domain="beta.example")
    row = {"external_id": "1", "kind": "won", "lead_id": colleagues[0].pk, "at": at.isoformat()}
    ledgers.record_outcomes([row], actor=SYSTEM, source="crm")
    drain()
    ledgers.record_outcomes([{**row, "lead_id": other.pk}], actor=SYSTEM, source="crm")
    drain()
    assert company_of(colleagues[0]).customer_since is None
    assert company_of(other).customer_since is not None


def test_a_lost_deal_or_a_lead_without_company_tells_nobody(colleagues, make_lead):
    won(colleagues[0], kind="lost")
    assert not CustomerSignal.objects.exists()
    won(make_lead(email="someone@gmail.com"))
    drain()
    assert not Company.objects.exclude(customer_since=None).exists()


def test_the_number_of_statements_does_not_grow_with_the_deals(at, make_lead, django_assert_max_num_queries):
    leads = [make_lead(company=f"Firm {n}", company_domain=f"firm{n}.example") for n in range(12)]
    for lead in leads:
        won(lead)
    with django_assert_max_num_queries(20):
        assert customers.pull(at) == 12
    assert Company.objects.exclude(customer_since=None).count() == 12


def elsewhere(pool, work):
    def run():
        try:
            return work()
        finally:
            connection.close()

    return pool.submit(run)


@pytest.mark.django_db(transaction=True)
def test_wins_and_changes_of_one_company_at_once_do_not_wait_for_each_other_for_ever(people, make_lead):
    leads = [make_lead(company="Acme", company_domain="acme.example") for _ in range(6)]
    company = leads[0].company_id
    rounds, workers = 8, 4
    start = Barrier(workers)

    def wins(mine):
        start.wait()
        for n in range(rounds):
            for lead in mine:
                won(lead, external_id=f"{lead.pk}-{n}")

    def changes():
        start.wait()
        for n in range(rounds * 2):
            intake.change_company(company, {"employees": n + 1}, actor=SYSTEM, cause="by hand")

    def pulls():
        start.wait()
        for _ in range(rounds * 3):
            customers.pull(clock.now(), limit=2)

    with ThreadPoolExecutor(workers) as pool:
        jobs = [
            elsewhere(pool, lambda: wins(leads[:3])),
            elsewhere(pool, lambda: wins(leads[3:])),
            elsewhere(pool, changes),
            elsewhere(pool, pulls),
        ]
        for job in jobs:
            job.result(PATIENCE)
    drain()
    row = Company.objects.get(pk=company)
    assert row.customer_since is not None
    assert row.employees == rounds * 2
    assert FactChange.objects.filter(company=company, field="is_customer").count() == 1
