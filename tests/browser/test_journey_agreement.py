"""The marketer changes a rule, both sides sign, it goes into force, and the queue changes."""

import pytest
from playwright.sync_api import expect

from handoff import machine
from handoff.models import Handoff
from leadflow import clock
from leadflow.jobs import runner
from scoring import agreements, engine
from tests.browser.conftest import NARROW

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct horse battery"


def _work() -> None:
    """What the workers do."""
    while runner.work_one():
        pass
    while engine.score_pending(clock.now()):
        pass
    while machine.open_pending(clock.now()):
        pass


@pytest.fixture
def director(agreement_in_force, make_lead, did):
    """A director of 53 points and grade B2: an MQL, and by the first version not for sales."""
    facts = {
        "title": "Director of Supply",
        "employees": 120,
        "industry": "Manufacturing",
        "country": "Germany",
    }
    lead = make_lead(name="Hanna Virtanen", **facts)
    did(lead, "webinar_attended", 10)
    did(lead, "page_view", 3, path="/pricing")
    did(lead, "page_view", 5, path="/pricing")
    _work()
    assert not Handoff.objects.filter(lead=lead).exists()
    return lead


def test_a_rule_is_changed_signed_by_both_and_the_queue_changes(director, people, open_as, axe, watch):
    for user in (people.noah, people.rosa):
        user.set_password(PASSWORD)
        user.save()
    page = open_as(people.mia, "/agreement/")
    page.get_by_role("button", name="Start a draft").click()

    # She changes the points of one rule in place: prices are worth twice as much.
    page.get_by_role("link", name="Viewed a page under /pricing").click()
    watch.allowed.append("/agreement/part/criterion/b3/")
    page.get_by_label("Points", exact=True).fill("many")
    expect(page.get_by_text("A whole number from −1,000 to 1,000 is expected here.")).to_be_visible()
    expect(page.get_by_role("button", name="Done")).to_be_disabled()
    page.get_by_label("Points", exact=True).fill("10")
    page.get_by_label("At most points in all").fill("30")
    page.get_by_role("button", name="Done").click()
    expect(page.locator(".lf-bar")).to_contain_text("1 change since v1")
    expect(page.locator("#part-criterion-b3")).to_contain_text("+10 each")
    expect(page.locator("#live-criterion-b3")).to_contain_text("matches 1 lead")
    assert axe(page) == []

    page.locator(".lf-bar").get_by_role("link", name="See who moves").click()
    expect(page.get_by_text("1 enters the queue").first).to_be_visible()
    expect(page.get_by_role("link", name="Hanna Virtanen").first).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="Propose").click()
    page.get_by_label("What changes, and why").fill("Who looks at prices picks up the phone.")
    page.get_by_role("button", name="Propose v2").click()
    expect(page.get_by_role("heading", name="v2 waits for signatures")).to_be_visible()

    for user, side, size in ((people.noah, "marketing", (1440, 900)), (people.rosa, "sales", NARROW)):
        page = open_as(user, "/agreement/sign/", size=size)
        expect(page.get_by_text("Who looks at prices picks up the phone.")).to_be_visible()
        assert axe(page) == []
        page.get_by_label("Your password, once more").fill(PASSWORD)
        page.get_by_role("button", name=f"Sign for {side}").click()
        page.wait_for_load_state()
    expect(page.get_by_text("v2 in force").first).to_be_visible()
    assert agreements.in_force().number == 2

    _work()
    handoff = Handoff.objects.get(lead=director)
    page = open_as(handoff.owner or people.sam, "/queue/")
    expect(page.get_by_text("Hanna Virtanen").first).to_be_visible()
