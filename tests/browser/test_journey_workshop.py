"""A workshop from the invitation to a change in a draft: two people sort by keyboard, then compare."""

import re

import pytest
from playwright.sync_api import expect

from leadflow.accounts.actors import person
from scoring import agreements
from scoring.models import Workshop, WorkshopVote
from scoring.workshops import drawing, sorting
from tests.browser.conftest import NARROW

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def eight(agreement_in_force, make_lead, did):
    """Four heads of transport who were at a webinar, and four students."""
    for n in range(8):
        lead = make_lead(name=f"Lead {n}", title="Head of Transport" if n < 4 else "Student")
        if n < 4:
            did(lead, "webinar_attended", 3, properties={"title": "Two depots, one plan"})


def _sort_by_keyboard(page, name: str) -> None:
    """G or N by the job title; at the first card a reason, what was missing, and a change of mind."""
    for n in range(1, 9):
        card = page.locator(f'#ws-card[data-card="{n}"]')
        expect(card).to_be_visible()
        good = "Head of Transport" in card.inner_text()
        if n == 1:
            page.keyboard.press("u")
            expect(page.get_by_role("button", name="Unsure")).to_have_attribute("aria-pressed", "true")
            expect(page.get_by_label("Why?")).to_be_focused()
            page.keyboard.press("Escape")
        page.keyboard.press("g" if good else "n")
        wanted = page.get_by_role("button", name=re.compile("^Good" if good else "^Not good"))
        expect(wanted).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_label("Why?")).to_be_focused()
        if n == 1:
            page.keyboard.type(f"{name} thinks so")
            page.keyboard.press("Tab")
            page.keyboard.type("Budget")
        if n == 3:
            # Back and forth by the arrows loses nothing.
            page.keyboard.press("Escape")
            page.keyboard.press("ArrowLeft")
            expect(page.locator('#ws-card[data-card="2"]')).to_be_visible()
            page.keyboard.press("ArrowRight")
            expect(card).to_be_visible()
        page.keyboard.press("Enter")
    expect(page.get_by_text("All 8 sorted.")).to_be_visible()
    page.keyboard.press("d")
    expect(page.get_by_text("Thank you: your answers stand.")).to_be_visible()


def test_two_people_sort_by_keyboard_compare_and_change_the_draft(eight, people, open_as, axe, fits, watch):
    page = open_as(people.noah, "/agreement/workshops/")
    page.get_by_role("link", name="Set one up").click()
    page.get_by_label("How many leads").fill("8")
    expect(page.locator("#ws-pool")).to_contain_text("8 leads were new or active in these 30 days")
    page.get_by_label("Mia").check()
    page.get_by_label("Sam").check()
    assert axe(page) == []
    page.get_by_role("button", name="Draw and invite").click()
    expect(page.get_by_text("0 of 2 have finished.")).to_be_visible()

    for user in (people.mia, people.sam):
        page = open_as(user, "/")
        expect(page.get_by_text("0 of 8 sorted", exact=True)).to_be_visible()
        page.get_by_role("link", name=re.compile("^Sort")).click()
        page.get_by_role("link", name="Begin").click()
        assert axe(page) == []
        _sort_by_keyboard(page, user.name)
        if user == people.mia:
            expect(page.get_by_text("1 of 2 have finished")).to_be_visible()
    assert WorkshopVote.objects.count() == 16
    assert set(WorkshopVote.objects.exclude(reason="").values_list("reason", "wanted_to_know")) == {
        ("Mia thinks so", "Budget"),
        ("Sam thinks so", "Budget"),
    }

    page = open_as(people.mia, f"/agreement/workshops/{Workshop.objects.get().pk}/")
    expect(page.get_by_text("You agreed on 8 of 8.")).to_be_visible()
    page.get_by_text("Details: beyond chance").click()
    expect(page.get_by_text("Marketing against sales:")).to_contain_text("1.00")
    assert axe(page) == []
    row = page.locator("#suggestions li", has_text="webinar")
    expect(row).to_contain_text("4 of 4 good, 0 of 4 not good")
    row.get_by_role("button", name="Put into the draft").click()
    expect(page.get_by_role("heading", name="See who moves")).to_be_visible()
    page.locator(".htmx-request").first.wait_for(state="detached")
    draft, force = agreements.draft(), agreements.in_force()
    assert draft is not None
    assert draft.based_on_id == force.pk
    assert draft.content["criteria"] != force.content["criteria"]


@pytest.fixture
def split(eight, people):
    """A closed workshop in which the sides split on the students, and one in which Mia is half way."""
    who = [people.mia, people.noah, people.sam]
    made = [
        drawing.set_up(person(people.noah), name, cards=8, days=30, people=[one.pk for one in who])
        for name in ("Autumn calibration of everything that came by the website", "Second")
    ]
    long = "does not decide anything and has no budget whatsoever for the next two years, " * 3
    for user in who:
        for card in made[0].cards.select_related("lead"):
            head = card.lead.title.startswith("Head")
            word = "good" if head or user.in_marketing else "not_good"
            sorting.sort(
                made[0], card.n, person(user), word, long, "Averyveryverylongwordwithoutanyblank" * 2
            )
        sorting.finish(made[0], person(user))
    for n in (1, 2, 3):
        sorting.sort(made[1], n, person(people.mia), "good", "fits", "Budget")
    return made


def test_every_page_of_a_workshop_is_clean(split, people, open_as, looks) -> None:
    first, second = (f"/agreement/workshops/{one.pk}/" for one in split)
    page = open_as(people.mia, "/agreement/workshops/")
    wrong = []
    for path in (
        "/agreement/workshops/",
        f"{first}result/",
        f"{first}result/?print=1",
        second,
        f"{second}cards/2/",
        f"{second}cards/5/",
    ):
        page.goto(path)
        wrong += [f"{path}: {finding}" for finding in looks(page)]
    assert wrong == []


def test_on_a_phone_one_taps_and_nothing_covers_the_buttons(split, people, open_as) -> None:
    page = open_as(people.mia, f"/agreement/workshops/{split[1].pk}/", size=NARROW)
    page.get_by_role("link", name="Go on").click()
    page.get_by_role("button", name="Not good", exact=True).click()
    expect(page.get_by_label("Why?")).to_be_visible()
    page.get_by_role("button", name="Next to sort").click()
    expect(page.locator('#ws-card[data-card="5"]')).to_be_visible()
    assert WorkshopVote.objects.get(card__workshop=split[1], card__n=4).vote == "not_good"
