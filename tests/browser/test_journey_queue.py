"""A rep works the queue with ten fingers: accept, reject, undo, call, claim; and sees what others do."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from handoff import machine
from handoff.models import Handoff, State
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.leads.models import Lead
from tests.browser.conftest import NARROW
from tests.browser.world import build

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def four(people, agreement_in_force) -> list[Handoff]:
    """Four leads that asked for a demo, all with Sam, first due first."""
    made = build(people)
    for handoff in made.handoffs:
        if Handoff.objects.get(pk=handoff.pk).owner_id != people.sam.pk:
            machine.apply("reassign", handoff.pk, SYSTEM, to=people.sam, reason="test")
    return list(
        Handoff.objects.filter(owner=people.sam).select_related("lead").order_by("sla_due_at", "-total", "pk")
    )


def _state(handoff: Handoff) -> str:
    return Handoff.objects.get(pk=handoff.pk).state


def _is_open(page: Page, handoff: Handoff) -> None:
    expect(page.locator("#queue-panel h2")).to_have_text(handoff.lead.name)
    expect(page.locator("#queue-list a[data-panel][aria-current]")).to_have_attribute(
        "data-id", str(handoff.pk)
    )


def test_a_rep_works_the_queue_by_keyboard(people, four, open_as, axe) -> None:
    first, second, third, fourth = four
    page = open_as(people.sam, "/queue/")
    _is_open(page, first)

    # Accept: the next row opens by itself.
    page.keyboard.press("a")
    expect(page.get_by_text(f"Accepted {first.lead.name}.")).to_be_visible()
    _is_open(page, second)
    assert _state(first) == State.ACCEPTED
    # Whoever goes by Tab stands on that row, and is back on it after a look into the reasons.
    row = page.locator(f"#go-{second.pk}")
    expect(row).to_be_focused()
    page.keyboard.press("r")
    page.locator("#act-reject [data-chip]").first.focus()
    page.keyboard.press("Escape")
    expect(row).to_be_focused()

    # Reject with a reason: R, its key, Enter.
    page.keyboard.press("r")
    expect(page.get_by_text(f"Why not {second.lead.name}?")).to_be_visible()
    assert axe(page) == []
    page.keyboard.press("2")
    expect(page.locator("#act-reject [data-says-here]")).to_contain_text("Educate")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"{second.lead.name} rejected: not ready")).to_be_visible()
    _is_open(page, third)
    assert _state(second) == State.REJECTED

    # Undo puts it back, and opens it.
    page.keyboard.press("z")
    expect(page.get_by_text(f"Taken back: {second.lead.name}")).to_be_visible()
    _is_open(page, second)
    assert _state(second) == State.OFFERED

    # Down, up, and a call with its result.
    page.keyboard.press("j")
    _is_open(page, third)
    page.keyboard.press("k")
    _is_open(page, second)
    page.keyboard.press("c")
    page.keyboard.press("v")
    expect(page.get_by_text(f"{second.lead.name}: voicemail.")).to_be_visible()
    expect(page.locator("#queue-panel h2")).not_to_have_text(second.lead.name)
    assert _state(second) == State.WORKING
    assert fourth.pk


def test_a_whole_company_is_accepted_and_taken_back_by_one_key(people, four, open_as, axe) -> None:
    three = four[1:]
    company = three[0].lead.company
    Lead.objects.filter(pk__in=[one.lead_id for one in three]).update(company=company)
    page = open_as(people.sam, "/queue/")
    expect(page.get_by_text(f"3 people at {company}")).to_be_visible()
    expect(page.locator("#nav-queue")).to_have_text("4")
    # On another's row the key does nothing; on one of the card it accepts them all.
    page.keyboard.press("Shift+A")
    page.keyboard.press("j")
    _is_open(page, three[0])
    assert axe(page) == []
    page.keyboard.press("Shift+A")
    expect(page.get_by_text(f"Accepted 3 people at {company}.")).to_be_visible()
    assert [_state(one) for one in four] == [State.OFFERED, *[State.ACCEPTED] * 3]
    expect(page.locator("#nav-queue")).to_have_text("1")
    page.keyboard.press("z")
    expect(page.get_by_text("Taken back: 3 people are as before.")).to_be_visible()
    expect(page.locator("#nav-queue")).to_have_text("4")
    assert [_state(one) for one in four] == [State.OFFERED] * 4


def test_the_filter_is_set_by_keyboard_and_stays_while_the_list_lives(people, four, open_as, axe) -> None:
    Lead.objects.filter(pk=four[1].lead_id).update(first_source="Webinars")
    page = open_as(people.sam, "/queue/")
    page.keyboard.press("f")
    expect(page.locator("#queue-filter [name=grade]").first).to_be_focused()
    assert axe(page) == []
    page.get_by_label("Source").select_option("Webinars")
    page.get_by_label("Source").press("Enter")
    page.wait_for_url("**source=Webinars**")
    expect(page.get_by_text("Only from Webinars")).to_be_visible()
    expect(page.locator("#queue-list a[data-panel]")).to_have_count(1)
    # An act and what others do leave the filter as it is.
    machine.apply("reassign", four[0].pk, person(people.rosa), to=people.ben, reason="room")
    expect(page.get_by_text(f"Rosa gave {four[0].lead.name} to Ben")).to_have_count(0)
    page.keyboard.press("a")
    expect(page.get_by_text(f"Accepted {four[1].lead.name}.")).to_be_visible()
    expect(page.get_by_text("Only from Webinars")).to_be_visible()
    assert "source=Webinars" in page.url
    page.keyboard.press("f")
    expect(page.locator("#queue-filter form")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#queue-filter form")).to_have_count(0)
    page.keyboard.press("u")
    expect(page.locator("#queue-list a[data-panel]")).to_have_count(3)


def test_the_same_keys_work_on_the_lead_page(people, four, open_as, axe) -> None:
    one = four[0]
    page = open_as(people.sam, f"/leads/{one.lead_id}/")
    page.keyboard.press("r")
    expect(page.get_by_text(f"Why not {one.lead.name}?")).to_be_visible()
    assert axe(page) == []
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"{one.lead.name} rejected: not ready")).to_be_visible()
    expect(page.locator("#lead-page")).to_contain_text("Rejected")
    page.keyboard.press("z")
    expect(page.locator("#lead-page [data-key=a]")).to_be_visible()
    expect(page.locator("[data-undo], .htmx-request")).to_have_count(0)
    page.keyboard.press("c")
    expect(page.locator("#act-call")).to_be_visible()
    page.keyboard.press("t")
    expect(page.locator("#lead-page")).to_contain_text("Opportunity")
    assert _state(one) == State.WORKING


def test_the_board_counts_the_chosen_by_keyboard(people, four, open_as) -> None:
    # Due today, whatever day it is.
    Handoff.objects.update(sla_due_at=clock.now() - timedelta(minutes=5))
    page = open_as(people.rosa, "/queue/board/")
    page.keyboard.press("x")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_role("button", name="Give 2 to Ben")).to_be_enabled()
    page.locator("#give [name=reason]").fill("Sam is at the customer's")
    page.get_by_role("button", name="Give 2 to Ben").click()
    expect(page.get_by_text("Gave 2 leads")).to_be_visible()
    assert Handoff.objects.filter(owner=people.ben).count() == 2


def test_a_reason_asks_for_its_date_and_escape_goes_back(people, four, open_as) -> None:
    page = open_as(people.sam, "/queue/")
    page.keyboard.press("r")
    date = page.locator("#act-reject input[name=date]")
    expect(date).to_be_hidden()
    page.keyboard.press("3")
    expect(date).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#act-reject")).to_be_hidden()
    # A reason for later is off, and another's "no answer" cannot be chosen.
    page.keyboard.press("r")
    page.keyboard.press("8")
    expect(page.locator("#act-reject [data-value='8']")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("0")
    note = page.locator("#act-reject input[name=note]")
    expect(note).to_be_focused()
    page.keyboard.type("too short")
    page.keyboard.press("Enter")
    assert _state(four[0]) == State.OFFERED
    page.keyboard.type(", now it is long enough")
    page.keyboard.press("Enter")
    expect(page.locator("#queue-panel h2")).not_to_have_text(four[0].lead.name)
    assert _state(four[0]) == State.REJECTED


def test_snooze_by_keys_takes_the_row_out_of_the_way(people, four, open_as) -> None:
    page = open_as(people.sam, "/queue/")
    page.keyboard.press("s")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"{four[0].lead.name} sleeps.")).to_be_visible()
    expect(page.locator(f"#row-{four[0].pk}")).to_have_count(0)
    assert Handoff.objects.get(pk=four[0].pk).snoozed_until is not None


def test_a_lead_is_claimed_from_the_pool(people, four, open_as) -> None:
    machine.apply("reassign", four[0].pk, SYSTEM, to="pool", reason="test")
    page = open_as(people.ben, "/queue/?tab=pool")
    page.keyboard.press("p")
    expect(page.get_by_text(f"{four[0].lead.name} is yours.")).to_be_visible()
    expect(page.locator("#queue-tabs a", has_text="Mine")).to_have_text(re.compile("Mine1"))
    assert Handoff.objects.get(pk=four[0].pk).owner_id == people.ben.pk


def test_what_others_do_appears_without_reload(people, four, open_as, watch) -> None:
    page = open_as(people.sam, "/queue/")
    page.evaluate("window.stays = true")
    machine.apply("reassign", four[3].pk, person(people.rosa), to=people.ben, reason="room")
    expect(page.get_by_text(f"Rosa gave {four[3].lead.name} to Ben")).to_be_visible(timeout=15_000)
    expect(page.locator(f"#row-{four[3].pk}")).to_have_count(0)
    # It comes back: never under the pointer, but as a pill on top.
    machine.apply("reassign", four[3].pk, person(people.rosa), to=people.sam, reason="no room")
    pill = page.get_by_role("button", name="1 new")
    expect(pill).to_be_visible(timeout=15_000)
    pill.click()
    expect(page.locator(f"#row-{four[3].pk}")).to_have_count(1)
    assert page.evaluate("window.stays")
    # A conflict is told kindly, and the row leaves.
    watch.allowed.append("/accept/")
    machine.apply("reassign", four[0].pk, SYSTEM, to="pool", reason="test")
    machine.apply("accept", four[0].pk, person(people.ben))
    page.keyboard.press("a")
    expect(page.get_by_text("Ben accepted this")).to_be_visible()
    expect(page.locator(f"#row-{four[0].pk}")).to_have_count(0, timeout=15_000)
    watch.wrong = [one for one in watch.wrong if "409" not in one]


def test_without_a_connection_the_note_stays(people, four, open_as, watch) -> None:
    page = open_as(people.sam, "/queue/")
    page.keyboard.press("r")
    page.keyboard.press("2")
    page.locator("#act-reject input[name=note]").fill("Decides in spring")
    page.context.set_offline(True)
    expect(page.locator("#live")).to_have_text(
        re.compile(r"Reconnecting, last seen \d\d:\d\d"), timeout=15_000
    )
    expect(page.locator("#act-reject input[name=note]")).to_have_value("Decides in spring")
    page.context.set_offline(False)
    expect(page.locator("#live")).to_have_text("Live", timeout=15_000)
    expect(page.locator("#act-reject input[name=note]")).to_have_value("Decides in spring")
    assert _state(four[0]) == State.OFFERED
    watch.wrong = [one for one in watch.wrong if "htmx:" not in one and "ERR_INTERNET" not in one]


def test_on_a_phone_a_row_is_a_page_with_docked_buttons(people, four, open_as, fits) -> None:
    page = open_as(people.sam, "/queue/", size=NARROW)
    page.locator(f"#row-{four[0].pk} a").click()
    page.wait_for_url(f"**/queue/{four[0].pk}/**")
    dock = page.locator(".lf-dock")
    expect(dock.get_by_role("link", name="Call")).to_have_attribute("href", "tel:+49405550134")
    assert fits(page)
    dock.get_by_role("button", name="Accept").click()
    expect(page.locator("#queue-panel h2")).to_have_text(four[1].lead.name)
    dock.get_by_role("button", name="Reject").click()
    page.get_by_role("button", name="Not ready").click()
    page.locator("#act-reject button[type=submit]").click()
    expect(page.locator("#queue-panel h2")).to_have_text(four[2].lead.name)
    assert [_state(one) for one in four[:2]] == [State.ACCEPTED, State.REJECTED]


def test_queue_and_board_are_clean(people, four, open_as, looks) -> None:
    page = open_as(people.sam, "/queue/")
    wrong = []
    for path in (
        "/queue/",
        f"/queue/{four[1].pk}/",
        "/queue/?tab=pool",
        "/queue/?tab=team&later=1",
        "/queue/own/",
        "/queue/waiting/",
        f"/leads/{four[1].lead_id}/",
        f"/queue/?tab=mine&rep={people.sam.pk}&grade=A",
    ):
        page.goto(path)
        wrong += [f"{path}: {finding}" for finding in looks(page)]
    page = open_as(people.rosa, "/queue/board/")
    wrong += [f"board: {finding}" for finding in looks(page)]
    page.goto(f"/queue/board/{people.sam.pk}/calls/")
    wrong += [f"calls: {finding}" for finding in looks(page)]
    page.goto(f"/queue/{four[0].pk}/?tab=team")
    wrong += [f"manager: {finding}" for finding in looks(page)]
    assert wrong == []
