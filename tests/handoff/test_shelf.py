"""Beside the queue: kept views, the call sheet, several leads given at once, notices on the device."""

import json
from datetime import timedelta

import pytest

from handoff import machine
from handoff.models import Handoff, Notice, SavedView, State
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.leads.models import Lead
from tests.handoff.conftest import berlin, fresh

pytestmark = pytest.mark.django_db
UNTIL = {"until": "2026-11-26", "reason": "later"}
HTMX = {"HTTP_HX_REQUEST": "true"}


# ---- Kept views -------------------------------------------------------------------------------------------


def test_a_view_is_kept_as_a_tab_with_its_count_renamed_and_deleted(people, offered, as_user) -> None:
    offered(owner=people.sam, source="Webinars")
    offered(owner=people.sam, company="Bravo")
    sam = as_user(people.sam)
    page = sam.get("/queue/?tab=mine&source=Webinars").content.decode()
    assert "Keep as a tab" in page
    made = sam.post("/queue/views/?tab=mine&source=Webinars", {"name": " From  webinars "})
    assert (made.status_code, made["Location"]) == (302, "/queue/?tab=mine&source=Webinars")
    page = sam.get(made["Location"]).content.decode()
    assert 'data-tab aria-current="page">From webinars<span class="n">1</span>' in page
    view = SavedView.objects.get()
    form = sam.get(f"/queue/views/{view.pk}/", **HTMX).content.decode()
    assert 'value="http://testserver/queue/?tab=mine&amp;source=Webinars"' in form
    sam.post(f"/queue/views/{view.pk}/", {"name": "Webinars"})
    assert SavedView.objects.get().name == "Webinars"
    sam.post(f"/queue/views/{view.pk}/", {"delete": "1"})
    assert not SavedView.objects.exists()


def test_a_link_to_a_view_shows_a_colleague_their_own_leads(people, offered, as_user) -> None:
    offered(owner=people.sam, source="Webinars", name="Dana Weiss")
    offered(owner=people.ben, source="Webinars", company="Bravo", name="Jonas Lindgren")
    page = as_user(people.ben).get("/queue/?tab=mine&source=Webinars").content.decode()
    assert "Jonas Lindgren" in page
    assert "Dana Weiss" not in page
    assert "Keep as a tab" in page


@pytest.mark.parametrize(
    ("query", "name", "words"),
    [
        ("tab=mine&grade=A", "", "A word or two."),
        ("tab=mine&grade=A", "x" * 61, "Keep it under 60"),
        ("tab=mine", "All", "Narrow the list first"),
    ],
)
def test_what_cannot_be_kept_is_said_in_words(people, agreement, as_user, query, name, words) -> None:
    answer = as_user(people.sam).post(f"/queue/views/?{query}", {"name": name}, **HTMX)
    assert answer.status_code == 422
    assert words in answer.content.decode()


def test_the_same_name_replaces_eight_are_enough_and_others_views_are_not_there(
    people, agreement, as_user
) -> None:
    sam = as_user(people.sam)
    for n in range(8):
        sam.post(f"/queue/views/?tab=mine&source=S{n}", {"name": f"View {n}"})
    sam.post("/queue/views/?tab=team&grade=B", {"name": "view 0"})
    assert SavedView.objects.get(name="view 0").query == "tab=team&grade=B"
    ninth = sam.post("/queue/views/?tab=mine&grade=D", {"name": "Ninth"}, **HTMX)
    assert (ninth.status_code, SavedView.objects.count()) == (422, 8)
    taken = sam.post(f"/queue/views/{SavedView.objects.latest('pk').pk}/", {"name": "VIEW 1"}, **HTMX)
    assert "Another of your views" in taken.content.decode()
    other = SavedView.objects.first()
    assert as_user(people.ben).get(f"/queue/views/{other.pk}/").status_code == 404


# ---- Several at once --------------------------------------------------------------------------------------


def test_a_manager_gives_several_at_once_and_takes_it_back(people, offered, as_user) -> None:
    three = [offered(owner=people.sam, company=f"Firm {n}") for n in range(3)]
    rosa = as_user(people.rosa)
    assert "Ben" in rosa.get("/queue/give/", **HTMX).content.decode()
    said = {"handoff": [one.pk for one in three[:2]], "to": people.ben.pk, "reason": "Sam is away"}
    answer = rosa.post("/queue/give/", said, **HTMX)
    assert "Gave 2 leads to Ben." in answer.content.decode()
    assert json.loads(answer["HX-Trigger"])["handoff-changed"]["ids"] == [one.pk for one in three[:2]]
    assert [fresh(one).owner for one in three] == [people.ben, people.ben, people.sam]
    rosa.post(f"/handoffs/undo/?handoff={three[0].pk}&handoff={three[1].pk}", **HTMX)
    assert {fresh(one).owner for one in three} == {people.sam}


@pytest.mark.parametrize("change", [{"handoff": []}, {"reason": " "}, {"to": "999999"}])
def test_giving_nothing_without_a_reason_or_to_nobody_is_refused_in_words(
    people, offered, as_user, change
) -> None:
    one = offered(owner=people.sam)
    said = {"handoff": [one.pk], "to": people.ben.pk, "reason": "room", **change}
    assert as_user(people.rosa).post("/queue/give/", said, **HTMX).status_code == 400
    assert fresh(one).owner == people.sam


def test_what_closed_meanwhile_stops_none_of_the_others(people, offered, as_user) -> None:
    gone, stays = offered(owner=people.sam), offered(owner=people.sam, company="Bravo")
    machine.apply("reject", gone.pk, person(people.sam), reason_key="1")
    said = {"handoff": [gone.pk, stays.pk], "to": people.ben.pk, "reason": "room"}
    text = as_user(people.rosa).post("/queue/give/", said, **HTMX).content.decode()
    assert "Gave 1 lead to Ben." in text
    assert "Sam rejected this" in text


def test_the_page_stays_within_fifteen_queries_and_three_more_for_a_lead_of_the_pool(
    people, offered, did, flow, as_user, django_assert_max_num_queries
) -> None:
    """A manager, a lead of the pool that sales answered before, a kept view, a filter with a name in it."""
    one = offered(owner=people.sam)
    machine.apply("reject", one.pk, person(people.sam), reason_key="3", date="2026-11-25")
    with clock.use(berlin(2026, 11, 26, 9, 30)):
        did(Lead.objects.get(pk=one.lead_id), "demo_requested")
        flow()
        again = Handoff.objects.get(lead=one.lead_id, state=State.OFFERED)
        machine.apply("reassign", again.pk, person(people.rosa), to="pool", reason="test")
        rosa = as_user(people.rosa)
        rosa.post("/queue/views/?tab=pool&grade=A", {"name": "As"})
        rosa.get("/queue/")
        # Three more than with an owner: is there room for one more?
        with django_assert_max_num_queries(18):
            page = rosa.get(f"/queue/{again.pk}/?tab=pool").content.decode()
        assert "Sam said" in page
        with django_assert_max_num_queries(15):
            rosa.get(f"/queue/?tab=team&rep={people.sam.pk}")
        machine.apply("reassign", again.pk, person(people.rosa), to=people.ben, reason="test")
        with django_assert_max_num_queries(15):
            rosa.get(f"/queue/{again.pk}/?tab=team")


# ---- The call sheet ---------------------------------------------------------------------------------------


def test_the_sheet_lists_who_can_be_called_now_tells_of_the_others_and_goes_on(
    people, offered, as_user
) -> None:
    phone = "+49 40 5550 134"
    late = offered("fast_track", owner=people.sam, name="Dana Weiss", phone=phone)
    offered(owner=people.sam, company="Bravo", name="No Number")
    soon = offered(owner=people.sam, company="Charlie", name="Jonas Lindgren", phone=phone)
    offered(owner=people.ben, company="Delta", name="Somebody Else", phone=phone)
    sam = as_user(people.sam)
    page = sam.get("/queue/calls/").content.decode()
    assert page.index("Dana Weiss") < page.index("Jonas Lindgren")
    # Who has no number is not counted among those to call.
    assert "No Number" not in page
    assert "2 people to call" in page
    assert "1 more has no phone number" in page
    assert 'href="tel:+49405550134"' in page
    assert "Somebody Else" not in page
    after = sam.post(f"/queue/calls/{late.pk}/", {"result": "no_answer"}, **HTMX).content.decode()
    assert "Dana Weiss: no answer." in after
    assert f'id="call-{late.pk}"' not in after.split("lf-toast")[0]
    assert "1 person to call" in after
    # A day that they named is a result, too; without the day it is asked for in words.
    assert sam.post(f"/queue/calls/{soon.pk}/", {"result": "call_back"}, **HTMX).status_code == 400
    said = {"result": "call_back", "call_back": "2026-11-26"}
    assert "wants to be called back" in sam.post(f"/queue/calls/{soon.pk}/", said, **HTMX).content.decode()
    assert fresh(soon).sla_due_at == berlin(2026, 11, 26, 18)
    # On that day it stands there again.
    with clock.use(berlin(2026, 11, 26, 9, 30)):
        assert "Jonas Lindgren" in sam.get("/queue/calls/").content.decode()


def test_the_sheet_asks_as_often_for_thirty_as_for_three(
    people, offered, as_user, django_assert_max_num_queries
) -> None:
    sam = as_user(people.sam)
    for n in range(3):
        offered("fast_track", owner=people.sam, company=f"Firm {n}", phone="+49 40 1")
    sam.get("/queue/calls/")
    with django_assert_max_num_queries(6) as few:
        sam.get("/queue/calls/")
    for n in range(3, 12):
        offered("fast_track", owner=people.sam, company=f"Firm {n}", phone="+49 40 1")
    with django_assert_max_num_queries(6) as many:
        assert sam.get("/queue/calls/").content.decode().count('id="call-') == 12
    assert len(few) == len(many)


def test_who_must_not_be_called_has_no_number_to_tap(people, offered, as_user) -> None:
    one = offered(owner=people.sam, phone="+49 40 5550 134")
    Lead.objects.filter(pk=one.lead_id).update(do_not_contact=True)
    page = as_user(people.sam).get("/queue/calls/").content.decode()
    assert "must not be contacted" in page
    assert "tel:" not in page


# ---- Notices on the device --------------------------------------------------------------------------------


def test_news_for_the_device_are_told_once_and_only_while_fresh(people, agreement, as_user) -> None:
    now, sam = clock.now(), as_user(people.sam)

    def told(n: int, hours: int = 0) -> Notice:
        return Notice.objects.create(
            user=people.sam,
            kind="offered",
            text=f"Lead {n}",
            url=f"/queue/{n}/",
            at=now - timedelta(hours=hours),
        )

    told(1, hours=3)
    start = sam.get("/notices/news/").json()
    assert start["notices"] == []
    assert sam.get("/notices/news/", {"after": start["after"]}).status_code == 204
    last = told(2)
    found = sam.get("/notices/news/", {"after": start["after"]}).json()
    assert found["notices"] == [{"id": last.pk, "text": "Lead 2", "url": "/queue/2/"}]
    assert sam.get("/notices/news/", {"after": found["after"]}).status_code == 204
    assert as_user(people.ben).get("/notices/news/", {"after": "0"}).status_code == 204
    assert 'id="notify"' in sam.get("/profile/").content.decode()


# ---- What marketing holds ---------------------------------------------------------------------------------


def test_sales_reads_on_page_and_in_search_that_marketing_holds_a_lead_and_asks_for_it(
    people, offered, make_lead, as_user
) -> None:
    words = "With marketing, please do not contact yet"
    held, mine = make_lead(name="Held Weiss"), offered(owner=people.sam, name="Mine Weiss")
    sam = as_user(people.sam)

    def found(client, text: str) -> str:
        return client.get("/search/", {"q": text}, **HTMX).content.decode()

    assert words in found(sam, "held")
    assert words not in found(sam, "mine")
    assert words in sam.get(f"/leads/{held.pk}/").content.decode()
    assert words not in sam.get(f"/leads/{mine.lead_id}/").content.decode()
    sam.post(f"/leads/{held.pk}/ask/", {"why": "I met her at the fair"}, **HTMX)
    assert "I met her at the fair" in sam.get(f"/leads/{held.pk}/").content.decode()
    assert words not in found(as_user(people.mia), "held")


# ---- Bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "path", "said", "status", "words"),
    [
        ("mine", "/handoffs/{}/reject/", {}, 400, "Choose one of the reasons."),
        ("mine", "/queue/{}/snooze/", {**UNTIL, "until": "2027-06-01"}, 400, "as agreed"),
        ("mine", "/queue/{}/snooze/", {**UNTIL, "until": "2026-11-20"}, 400, "after now"),
        ("others", "/queue/{}/snooze/", UNTIL, 409, "This lead is with Ben."),
        ("others", "/queue/{}/accept/", {}, 409, "Ben accepted this"),
        ("closed", "/queue/{}/accept/", {}, 409, "Sam rejected this"),
        ("withdrawn", "/queue/{}/accept/", {}, 409, "Rosa withdrew this"),
    ],
)
def test_what_cannot_be_is_answered_in_words(
    people, offered, as_user, state, path, said, status, words
) -> None:
    one = offered(owner=people.ben if state == "others" else people.sam)
    if state == "others":
        machine.apply("accept", one.pk, person(people.ben))
    if state == "closed":
        machine.apply("reject", one.pk, person(people.sam), reason_key="1")
    elif state == "withdrawn":
        machine.apply("withdraw", one.pk, person(people.rosa), reason="a mistake")
    before = fresh(one).lock_version
    answer = as_user(people.sam).post(path.format(one.pk), said, **HTMX)
    assert (answer.status_code, fresh(one).lock_version) == (status, before)
    assert words in answer.content.decode()
    assert State(Handoff.objects.get(pk=one.pk).state)
