"""The frame of every page: keys, search, colours, toasts, the phone's bar."""

import pytest

from leadflow.accounts.models import Organisation
from tests.browser.conftest import NARROW, WIDE

SIZES = [pytest.param(WIDE, id="wide"), pytest.param(NARROW, id="narrow")]
SCHEMES = ["light", "dark"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", ["/login/", "/password/forgotten/", "/password/forgotten/sent/"])
def test_doors_are_open_to_everybody(people, open_as, axe, fits, size, scheme, path) -> None:
    Organisation.objects.update(demo=True)
    page = open_as(None, path, size=size, scheme=scheme)
    assert axe(page) == []
    assert fits(page)


def test_slash_searches_and_escape_closes(people, make_lead, open_as) -> None:
    make_lead(name="Dana Weiss", company="Brückner & Söhne")
    page = open_as(people.mia)
    page.keyboard.press("/")
    page.keyboard.type("brückn")
    page.get_by_role("link", name="Dana Weiss").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/leads/*/")
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    assert not page.locator("#search").is_visible()


def test_the_question_mark_lists_the_keys_but_never_while_typing(people, open_as) -> None:
    page = open_as(people.mia, "/leads/")
    page.locator("#f-q").focus()
    page.keyboard.type("?")
    assert not page.locator("#keys").is_visible()
    page.locator("h1").click()
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys on this page").wait_for()
    assert page.locator("#keys-list").get_by_text("filter").is_visible()


def test_keys_can_be_switched_off_in_the_profile(people, open_as) -> None:
    people.mia.shortcuts = False
    people.mia.save()
    page = open_as(people.mia, "/leads/")
    page.keyboard.press("/")
    page.keyboard.press("?")
    assert not page.locator("#search").is_visible()
    assert not page.locator("#keys").is_visible()


def test_dark_is_chosen_in_the_menu_and_stays(people, open_as) -> None:
    page = open_as(people.mia)
    page.get_by_role("button", name="Mia: menu").click()
    page.locator("#me-menu").get_by_role("button", name="Dark").click()
    page.wait_for_load_state()
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"
    page.goto("/leads/")
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"


def test_the_phone_reaches_everything_under_more(people, open_as) -> None:
    page = open_as(people.mia, "/", size=NARROW)
    page.get_by_role("button", name="More").click()
    page.locator("#more").get_by_role("link", name="Settings").click()
    page.wait_for_url("**/settings/fields/")


def test_filters_change_the_list_and_the_address_without_reload(people, make_lead, open_as) -> None:
    make_lead(name="Dana Weiss", source="Webinar")
    make_lead(name="Jonas Lindgren", source="Website")
    page = open_as(people.mia, "/leads/")
    page.get_by_label("Source").select_option("Webinar")
    page.get_by_text("Jonas Lindgren").wait_for(state="detached")
    assert page.get_by_text("Dana Weiss").is_visible()
    assert page.url.endswith("?source=Webinar")
    page.locator("#f-q").fill("nobody of that name")
    page.get_by_text("No lead fits these filters").wait_for()


def test_a_deed_tells_itself_in_a_toast_that_can_be_closed(people, open_as) -> None:
    page = open_as(people.sam, "/profile/")
    page.get_by_role("button", name="Save").click()
    toast = page.get_by_text("Your profile is saved.")
    toast.wait_for()
    page.get_by_role("button", name="Close this message").click()
    toast.wait_for(state="detached")


def test_the_watch_sees_what_the_policy_forbids_and_axe_sees_a_picture_without_words(
    people, open_as, axe, watch
) -> None:
    page = open_as(people.mia)
    spoilt = '<p style="color:red">x</p><img src="/static/mark.svg">'
    page.evaluate(f"document.body.insertAdjacentHTML('beforeend', '{spoilt}')")
    page.wait_for_timeout(100)
    assert any("Content Security Policy" in text for text in watch.wrong)
    watch.mend()
    assert any(finding.startswith("image-alt") for finding in axe(page))
    watch.mend()
