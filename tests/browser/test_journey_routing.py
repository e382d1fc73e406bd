"""Rosa writes a sentence of routing, tries it, orders it by keys; her board lives while she chooses."""

import pytest
from playwright.sync_api import expect

from handoff import machine
from handoff.models import Handoff, RouteRule
from leadflow.accounts.actors import SYSTEM
from tests.browser.world import build

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_manager_writes_a_sentence_by_hand_and_her_board_lives(
    people, agreement_in_force, open_as, axe
) -> None:
    handoffs = build(people).handoffs
    page = open_as(people.rosa, "/queue/routing/")
    page.get_by_role("button", name="Change them").click()
    page.get_by_role("button", name="Add a sentence").click()
    expect(page.locator("#new-route form")).to_be_visible()
    page.locator("[name=to]").select_option("user")
    page.locator("[name=user]").select_option(str(people.ben.pk))
    page.locator("[name='c.value']").fill("VP")
    page.get_by_role("button", name="Try on the last 200").click()
    expect(page.locator("#tried-new")).to_contain_text("Takes")
    assert axe(page) == []
    page.locator("#new-route button[value=save]").click()
    new = page.locator("#routes li", has_text="Ben")
    expect(new).to_be_visible()
    new.locator(".lf-sent > a").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#routes li").nth(1)).to_contain_text("Ben")
    expect(page.locator("#routes li").nth(1)).to_be_focused()
    assert RouteRule.objects.order_by("position")[1].target == {"to": "user", "user": people.ben.pk}

    page.goto("/queue/board/")
    rows = page.locator("#board-urgent tr")
    first = rows.first.locator("input[name=handoff]")
    page.keyboard.press("x")
    page.keyboard.press("x")
    pk = int(first.input_value())
    owner = people.ben if Handoff.objects.get(pk=pk).owner_id != people.ben.pk else people.sam
    machine.apply("reassign", pk, SYSTEM, to=owner, reason="test")
    page.evaluate("document.activeElement.blur(); window.LF.board.look()")
    expect(page.locator(f"#due-{pk}")).to_contain_text(owner.name)
    expect(page.locator(f"#due-{pk} input")).to_be_checked()
    expect(page.locator("#give")).to_contain_text("1 chosen")
    assert len(handoffs) > 1
