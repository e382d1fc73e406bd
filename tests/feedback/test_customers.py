"""A deal won by a click: the company is a customer, its people are known as such, and undo takes it back."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection

from feedback import outcomes, verdicts
from handoff import machine
from handoff.models import OPEN, Handoff
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.leads import customers, intake
from leadflow.leads.models import Company, Lead, Stage
from scoring import engine
from scoring.models import LeadScore
from tests.feedback.conftest import GOOD, owner_of


def settle(flow, at):
    while customers.pull(at):
        pass
    flow(at)


def value_of(lead):
    return LeadScore.objects.get(lead=lead).value


def win(handoff):
    """Taken and won."""
    machine.apply("accept", handoff.pk, owner_of(handoff))
    verdicts.win(handoff.pk, owner_of(handoff), amount=100)


@pytest.fixture
def pair(offered, make_lead, flow, at):
    """A lead with sales, and a colleague of the same company who is not."""
    handoff = offered(company="Acme", company_domain="acme.example")
    colleague = make_lead(**{**GOOD, "company": "Acme", "company_domain": "acme.example"})
    settle(flow, at)
    return handoff, colleague


def test_a_win_gives_colleagues_the_points_of_a_customer_and_undo_takes_them(pair, flow, at):
    handoff, colleague = pair
    before = value_of(colleague)
    win(handoff)
    settle(flow, at)
    assert Company.objects.get(pk=colleague.company_id).customer_since == at
    assert value_of(colleague) > before
    verdicts.undo(handoff.pk, owner_of(handoff))
    settle(flow, at)
    assert Company.objects.get(pk=colleague.company_id).customer_since is None
    assert value_of(colleague) == before


def test_a_win_written_down_on_the_lead_page_tells_the_company_too(pair, people, flow, at):
    _, colleague = pair
    outcomes.record(colleague.pk, person(people.rosa), kind="won")
    settle(flow, at)
    assert Company.objects.get(pk=colleague.company_id).customer_since == at


def test_a_customers_new_interest_goes_to_who_won_the_deal(pair, flow, did, at):
    handoff, _ = pair
    win(handoff)
    settle(flow, at)
    later = at + timedelta(days=1)
    with clock.use(later):
        did(handoff.lead, "demo_requested")
        settle(flow, later)
    again = Handoff.objects.get(lead=handoff.lead_id, state__in=OPEN)
    assert (again.kind, again.owner_id) == (Handoff.Kind.EXISTING_CUSTOMER, handoff.owner_id)


def test_a_customers_new_interest_goes_to_the_accounts_owner_first(pair, people, flow, did, at):
    handoff, _ = pair
    other = people.ben if handoff.owner_id != people.ben.pk else people.sam
    win(handoff)
    settle(flow, at)
    Company.objects.filter(pk=handoff.lead.company_id).update(owner=other)
    later = at + timedelta(days=1)
    with clock.use(later):
        did(handoff.lead, "demo_requested")
        settle(flow, later)
    assert Handoff.objects.get(lead=handoff.lead_id, state__in=OPEN).owner_id == other.pk


def test_a_colleague_of_a_customer_goes_to_who_won_the_deal(pair, flow, did, at):
    handoff, colleague = pair
    win(handoff)
    settle(flow, at)
    later = at + timedelta(days=1)
    with clock.use(later):
        did(colleague, "demo_requested")
        settle(flow, later)
    assert Handoff.objects.get(lead=colleague, state__in=OPEN).owner_id == handoff.owner_id


@pytest.mark.django_db(transaction=True)
def test_wins_by_click_and_changes_of_their_company_at_once(offered, flow, at):
    handoffs = [offered(company="Acme", company_domain="acme.example") for _ in range(4)]
    company = handoffs[0].lead.company_id
    start = Barrier(4)

    def elsewhere(work):
        def run():
            try:
                with clock.use(at):
                    start.wait()
                    return work()
            finally:
                connection.close()

        return run

    def wins(mine):
        for handoff in mine:
            win(handoff)

    def changes():
        for n in range(10):
            intake.change_company(company, {"employees": 300 + n}, actor=SYSTEM, cause="by hand")

    def pulls():
        for _ in range(20):
            customers.pull(at, limit=1)
            engine.score_pending(at, limit=2)

    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(elsewhere(work))
            for work in (lambda: wins(handoffs[:2]), lambda: wins(handoffs[2:]), changes, pulls)
        ]
        for job in jobs:
            job.result(30)
    settle(flow, at)
    row = Company.objects.get(pk=company)
    assert (row.customer_since, row.employees) == (at, 309)
    stages = set(Lead.objects.filter(company=company).values_list("stage", flat=True))
    assert stages == {Stage.CUSTOMER}
