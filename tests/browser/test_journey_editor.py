"""Two marketers in one draft: a sentence changed by keyboard and by mouse, dragged, duplicated, undone; and
both in the same rule at once."""

import pytest
from playwright.sync_api import Locator, Page, expect

from leadflow.accounts.actors import person
from scoring import agreements
from tests.browser.conftest import NARROW

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def draft(agreement_in_force, make_lead, did, people):
    """A draft, and some leads to count."""
    for n in range(6):
        lead = make_lead(title=("VP Logistics", "Clerk")[n % 2], country="Germany", employees=100 + n)
        did(lead, "page_view", 3, path="/pricing/plans" if n % 2 else "/product")
    return agreements.create_draft(person(people.mia))


def rows(page: Page) -> list[str]:
    """The criteria of the tab in their order."""
    return page.eval_on_selector_all(
        "ol[data-sort] [data-key-of]", "rows => rows.map(row => row.dataset.keyOf)"
    )


def first(page: Page) -> Locator:
    """The first criterion of the tab."""
    return page.locator("ol[data-sort] [data-key-of]").first


def criterion(key: str) -> dict:
    """A criterion as it stands in the draft."""
    return next(c for c in agreements.draft().content["criteria"] if c["id"] == key)


def drag(page: Page, grip: Locator, last: Locator) -> None:
    """Drag a row by its handle to the place of another, no faster than a hand."""
    start, end = grip.bounding_box(), last.bounding_box()
    x, y, below = start["x"] + 4, start["y"] + 8, end["y"] + end["height"] - 4
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 21):
        page.mouse.move(x, y + (below - y) * step / 20)
        page.wait_for_timeout(30)
    page.mouse.up()


def test_a_sentence_is_changed_by_keyboard(draft, people, open_as, axe):
    page = open_as(people.mia, "/agreement/value/")
    page.locator("#part-criterion-v1 .lf-sent a").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".lf-edit")).to_be_visible()
    expect(page.locator(".lf-edit :focus")).to_have_count(1)
    expect(page.locator(".lf-live")).to_contain_text("Matches")
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(page.locator(".lf-edit")).to_have_count(0)
    expect(page.locator("#part-criterion-v1")).to_be_focused()

    page.locator("#part-criterion-v1 .lf-sent a").focus()
    page.keyboard.press("Enter")
    points = page.locator("[name='bands.0.1']")
    points.fill("many")
    expect(page.get_by_text("Each step needs a number and whole points.")).to_be_visible()
    expect(page.get_by_role("button", name="Done")).to_be_disabled()
    more = str(criterion("v1")["bands"][0][1] + 1)
    points.fill(more)
    expect(page.get_by_role("button", name="Done")).to_be_enabled()
    points.press("Enter")
    expect(page.locator(".lf-bar")).to_contain_text("1 change since v1")
    expect(page.locator("#part-criterion-v1")).to_be_focused()

    page.keyboard.press("Alt+ArrowDown")
    expect(first(page)).to_have_attribute("data-key-of", "v2")
    assert rows(page) == ["v2", "v1", "v3", "v4"]
    expect(page.locator("#part-criterion-v1")).to_be_focused()
    page.keyboard.press("z")
    expect(first(page)).to_have_attribute("data-key-of", "v1")
    expect(page.locator("#live-note")).to_contain_text("Counted")
    page.keyboard.press("z")
    expect(page.locator(".lf-bar")).to_contain_text("0 changes since v1")
    expect(page.locator("#live-note")).to_contain_text("Counted")
    page.keyboard.press("Shift+Z")
    expect(page.locator(".lf-bar")).to_contain_text("1 change since v1")
    assert criterion("v1")["bands"][0][1] == int(more)


def test_values_that_leads_have_are_offered_while_typing(draft, people, open_as, axe):
    page = open_as(people.mia, "/agreement/behaviour/?edit=criterion-b3")
    field = page.locator("input[data-values]").first
    field.fill("")
    field.press_sequentially("/pri")
    option = page.get_by_role("option", name="/pricing/plans")
    expect(option).to_contain_text("3 leads")
    assert axe(page) == []
    field.press("ArrowDown")
    expect(option).to_have_attribute("aria-selected", "true")
    field.press("Enter")
    expect(field).to_have_value("/pricing/plans")
    expect(page.get_by_role("listbox")).to_have_count(0)
    field.press_sequentially(", /prod")
    page.get_by_role("option", name="/product").click()
    expect(field).to_have_value("/pricing/plans, /product")
    expect(page.locator(".lf-live")).to_contain_text("Matches 6 leads")
    page.get_by_role("button", name="Done").click()
    expect(page.locator("#part-criterion-b3")).to_contain_text("/product")
    assert criterion("b3")["condition"]["did"]["where"][0]["value"] == ["/pricing/plans", "/product"]


def test_criteria_are_dragged_duplicated_switched_off_and_undone_by_mouse(draft, people, open_as, axe):
    page = open_as(people.mia, "/agreement/value/")
    expect(page.locator("#live-note")).to_contain_text("Counted over all 6 leads")
    drag(page, page.locator("#part-criterion-v1 .grip"), page.locator("#part-criterion-v4"))
    expect(first(page)).to_have_attribute("data-key-of", "v2")
    expect(page.locator(".lf-bar [data-key=z]")).to_be_enabled()
    assert rows(page) == ["v2", "v3", "v4", "v1"]

    page.locator("#part-criterion-v3 summary").click()
    page.get_by_role("button", name="Duplicate").click()
    expect(page.locator("#part-criterion-v5")).to_be_visible()
    assert rows(page) == ["v2", "v3", "v5", "v4", "v1"]
    page.locator("#part-criterion-v5 summary").click()
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator("#part-criterion-v5.off")).to_be_visible()
    assert axe(page) == []
    for gone in ("#part-criterion-v5.off", "#part-criterion-v5"):
        page.get_by_role("button", name="Undo").first.click()
        expect(page.locator(gone)).to_have_count(0)
        expect(page.locator("#live-note")).to_contain_text("Counted")
    page.get_by_role("button", name="Undo").first.click()
    expect(first(page)).to_have_attribute("data-key-of", "v1")
    assert agreements.draft().content == draft.content


def test_counts_come_without_moving_the_rows(draft, people, open_as):
    page = open_as(people.mia, "/agreement/behaviour/")
    before = page.evaluate("document.querySelector('#part-criterion-b9').getBoundingClientRect().top")
    expect(page.locator("#live-note")).to_contain_text("Counted")
    after = page.evaluate("document.querySelector('#part-criterion-b9').getBoundingClientRect().top")
    assert before == after


def test_two_people_in_one_rule_choose_and_in_two_rules_do_not_meet(draft, people, open_as, axe, fits, watch):
    watch.allowed.append("/agreement/part/criterion/f2/")
    mia = open_as(people.mia, "/agreement/who/?edit=criterion-f2")
    noah = open_as(people.noah, "/agreement/who/?edit=criterion-f2", size=NARROW)
    other = open_as(people.noah, "/agreement/who/?edit=criterion-f3")
    noah.get_by_label("Points", exact=True).fill("14")
    noah.get_by_role("button", name="Done").click()
    expect(noah.locator("#part-criterion-f2 .pts")).to_contain_text("+14")
    other.get_by_label("Points", exact=True).fill("7")
    other.get_by_role("button", name="Done").click()
    expect(other.locator("#part-criterion-f3 .pts")).to_contain_text("+7")

    mia.get_by_label("Why", exact=True).fill("Said in the review.")
    mia.get_by_label("Points", exact=True).fill("13")
    mia.get_by_role("button", name="Done").click()
    expect(mia.get_by_role("alert").first).to_contain_text("Noah changed this")
    assert axe(mia) == []
    mia.get_by_role("button", name="Take this").click()
    expect(mia.get_by_text("Noah changed this")).to_have_count(0)
    expect(mia.get_by_label("Points", exact=True)).to_have_value("14")
    mia.get_by_role("button", name="Done").click()
    expect(mia.locator("#part-criterion-f2")).to_contain_text("Said in the review.")
    assert (criterion("f2")["points"], criterion("f2")["why"]) == (14, "Said in the review.")
    assert criterion("f3")["points"] == 7
    assert fits(noah)
