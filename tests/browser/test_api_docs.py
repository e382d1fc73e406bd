"""The page that documents the API works under our content security policy, all from our own server."""

import pytest

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_documentation_shows_every_address_and_can_try_one(open_as, people, make_lead):
    make_lead(name="Ann Berg")
    page = open_as(people.mia, "/api/v1/docs/")
    page.wait_for_selector(".opblock-summary-path")
    text = page.inner_text("#swagger-ui")
    for path in ("/api/v1/leads/", "/api/v1/activities/", "/api/v1/outcomes/"):
        assert path in text.replace("\u200b", "")
    page.click("#operations-leads-leads_list .opblock-summary-control")
    page.click("#operations-leads-leads_list .try-out__btn")
    page.click("#operations-leads-leads_list .execute")
    page.wait_for_selector("#operations-leads-leads_list .live-responses-table .response-col_status")
    assert "Ann Berg" in page.inner_text("#operations-leads-leads_list .live-responses-table")
