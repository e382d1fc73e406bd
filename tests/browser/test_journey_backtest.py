"""A marketer tries the agreement on the past, reads what comes out, and takes an advice into a draft."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.jobs import runner
from leadflow.leads import intake
from leadflow.leads.models import CustomField, Outcome
from scoring import agreements
from tests.scoring import past

pytestmark = pytest.mark.django_db(transaction=True)


def work():
    while runner.work_one():
        pass


@pytest.fixture
def world(people, agreement_in_force):
    """Decided leads, and a field that sales fills in after the sale."""
    CustomField.objects.create(key="contract", subject="lead", type="text", label="Contract no.")
    work()
    now = clock.now()
    ids = past.plant(now, 260)
    won = set(Outcome.objects.filter(kind="won").values_list("lead_id", flat=True))
    with clock.use(now - timedelta(hours=3)):
        for lead in ids:
            if lead in won:
                intake.change_lead(lead, {"custom.contract": f"C{lead}"}, actor=SYSTEM, cause="crm")
    return people


def test_from_the_past_to_a_draft(world, open_as, looks, watch):
    page = open_as(world.mia, "/agreement/backtest/")
    wrong = []

    def look(where):
        wrong.extend(f"{where}: {finding}" for finding in looks(page))
        wrong.extend(f"{where}: {seen}" for seen in watch.wrong)
        watch.mend()

    look("not tried yet")
    page.get_by_role("button", name="Try v1 (in force) on the past").click()
    expect(page.get_by_role("status").filter(has_text="as they were known then")).to_be_visible()
    look("running")
    work()
    expect(page.get_by_text("became customers.", exact=False).first).to_be_visible(timeout=10_000)
    expect(page.get_by_text("Columns that give the end away")).to_be_visible()
    expect(page.get_by_text("Contract no.")).to_be_visible()
    expect(page.get_by_text("AUC", exact=True)).to_be_hidden()
    look("done")
    page.get_by_text("Details: the statistics").click()
    expect(page.get_by_text("AUC", exact=True)).to_be_visible()
    page.get_by_role("button", name="Table").first.click()
    look("details")
    page.locator(".lf-say a").first.click()
    expect(page.get_by_role("heading", name="The best")).to_be_visible()
    look("leads")

    page.goto(page.url.split("/agreement/")[0] + "/agreement/advice/")
    look("no advice yet")
    page.get_by_role("button", name="Look at v1 (in force)").click()
    work()
    expect(page.get_by_role("heading", name="Do nothing")).to_be_visible(timeout=10_000)
    look("advice")
    page.get_by_role("button", name="Switch it off in a draft").first.click()
    expect(page.get_by_text("This is who would move").first).to_be_visible()
    assert agreements.draft() is not None
    assert wrong == []
