"""See who moves in a browser: the exact answer arrives by itself, the slider tries, the draft gets it."""

import pytest
from playwright.sync_api import expect

from scoring import agreements
from scoring.whatif import runs
from tests.browser.conftest import NARROW
from tests.scoring.test_whatif import bar_of, base_of, drafted, in_force, other_points, settle, work

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_exact_answer_arrives_and_the_slider_moves_the_bar(
    people, open_as, axe, fits, watch, monkeypatch
):
    in_force(people)
    base_of(60)
    work()
    settle()
    draft = drafted(people, other_points)
    monkeypatch.setattr(runs, "SAMPLE", 20)
    page = open_as(people.mia, "/agreement/moves/")

    state = page.locator("#whatif-state")
    expect(state).to_contain_text("First look from a sample of 20")
    expect(page.get_by_role("heading", name="About")).not_to_have_count(0)
    slider = page.get_by_role("slider")
    before = slider.bounding_box()
    work()
    expect(state).to_contain_text("Exact: all", timeout=10_000)
    expect(page.get_by_role("heading", name="About")).to_have_count(0)
    # Nothing moved under the hand.
    assert slider.bounding_box() == before

    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("You try 47; the draft says 46")).to_be_visible()
    expect(page.get_by_role("slider")).to_be_focused()
    draft.refresh_from_db()
    assert bar_of(draft) == 46
    assert axe(page) == []
    page.get_by_role("button", name="Table").click()
    expect(page.get_by_role("region", name="Where the scores lie, table")).to_be_visible()
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    assert fits(page)

    page.get_by_role("button", name="Put 47 into the draft").click()
    expect(page.get_by_text("asks for 47 points now")).to_be_visible()
    made = agreements.draft()
    assert made is not None
    assert bar_of(made) == 47
    expect(state).to_contain_text("First look")
    work()
    expect(state).to_contain_text("Exact: all", timeout=10_000)
