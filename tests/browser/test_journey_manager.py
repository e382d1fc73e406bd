"""A manager reads the dashboard and drills down to the leads behind a figure."""

from datetime import timedelta

import pytest

from feedback import verdicts
from leadflow import clock
from leadflow.accounts.actors import person
from tests.feedback.histories import write_histories, write_promises

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def house(people):
    """Four months of answers and promises under the default agreement."""
    from scoring import agreements

    agreements.install_default(person_marketing=people.noah, person_sales=people.rosa)
    write_histories(people, clock.now(), 120, days=100)
    write_promises(clock.now())
    return people


def period():
    today = clock.now().date()
    return f"from={(today - timedelta(days=90)).isoformat()}&to={today.isoformat()}"


def test_the_manager_reads_the_funnel_and_opens_the_leads_behind_a_figure(house, open_as):
    page = open_as(house.rosa, "/")
    page.get_by_role("link", name="Reports", exact=True).first.click()
    page.get_by_role("link", name="Conversion").first.click()
    page.goto(f"/reports/conversion/?{period()}")
    page.wait_for_selector("#funnel canvas")
    # Chart and table show the same figures.
    page.get_by_role("button", name="Table").first.click()
    row = page.locator("#funnel-table tr", has_text="SQL offered")
    shown = int(row.locator("a").first.inner_text())
    row.locator("a").first.click()
    page.wait_for_url("**/leads/**")
    assert page.locator(".lf-pages").inner_text().endswith(f"{shown} leads")
    assert page.locator("h1").inner_text().startswith("SQL offered")
    # And on to one lead's page, as every list does.
    first = page.locator("a.who").first
    assert first.get_attribute("href").startswith("/leads/")


def test_the_filters_stay_in_the_address(house, open_as):
    page = open_as(house.rosa, f"/reports/sla/?{period()}")
    page.select_option("#f-source", "Website")
    page.wait_for_url("**source=Website**")
    assert "from=" in page.url
    page.get_by_role("link", name="Conversion").click()
    assert page.locator("h1").inner_text() == "Reports"


def test_the_marketer_sees_why_and_the_manager_decides(house, open_as):
    from handoff.models import Handoff

    handoff = Handoff.objects.filter(state="rejected", closed_at__gt=clock.now() - timedelta(days=25)).first()
    verdicts.dispute(handoff.pk, person(house.mia), comment="She asked for a demo twice")
    page = open_as(house.admin, "/feedback/?show=disputed")
    assert "She asked for a demo twice" in page.locator("#said").inner_text()
    page.get_by_label("Your decision, in a sentence").fill("He is right")
    page.get_by_role("button", name="The answer stands").click()
    page.wait_for_selector(".lf-toast")
    handoff.dispute.refresh_from_db()
    assert handoff.dispute.result == "stands"


def test_j_and_t_walk_and_start_a_track(house, open_as):
    # The histories hold no scores: by score nobody would be shown.
    page = open_as(house.mia, "/mqls/?view=all&sort=days")
    second = page.locator("[data-row]").nth(1)
    page.keyboard.press("j")
    assert second.get_attribute("aria-current") == "true"
    page.keyboard.press("t")
    page.wait_for_selector("dialog[open] input[value=early]")
    page.check("dialog[open] input[value=early]")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_selector(".lf-toast")
    assert "Early, starts" in page.locator("[data-row]").nth(1).inner_text()


def test_an_old_link_is_told_kindly(house, open_as, watch):
    watch.allowed.append("/reports/sla/leads/")
    page = open_as(house.rosa, "/reports/sla/leads/?cell=lead.nonsense.all")
    assert "not in the report" in page.locator("main").inner_text()
