"""The session ends while somebody types."""

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from leadflow.accounts.actors import person
from scoring import agreements

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_was_typed_survives_the_end_of_the_session(people, agreement_in_force, open_as, watch) -> None:
    watch.allowed.append("/agreement/")
    people.mia.set_password("long-and-odd-words")
    people.mia.save()
    agreements.create_draft(person(people.mia))
    page = open_as(people.mia, "/agreement/behaviour/?edit=criterion-b3")
    field = page.locator("input[data-values]").first
    Session.objects.all().delete()
    field.fill("/prices")
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_text("You are logged out.")).to_have_count(1)
    expect(field).to_have_value("/prices")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Log in").click()
    door = opened.value
    door.get_by_label("E-mail").fill("mia@example.com")
    door.get_by_label("Password").fill("long-and-odd-words")
    door.get_by_role("button", name="Log in").click()
    expect(door.get_by_role("navigation", name="Main")).to_be_visible()
    # In a dialog one is told too, where the words can be read and the link clicked.
    page.evaluate("LF.listKeys()")
    page.locator("dialog[open] #toasts").get_by_role("link", name="Log in").hover()
    page.keyboard.press("Escape")
    expect(page.locator("body > #toasts")).to_have_count(1)
    # What was refused until now was meant to be.
    watch.mend()
    page.get_by_role("button", name="Done").click()
    expect(page.locator("#part-criterion-b3")).to_contain_text("/prices")
    expect(field).to_have_count(0)
