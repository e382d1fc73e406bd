"""The queue's addresses: who may come in, what they answer, what they refuse in words."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from handoff import machine
from handoff import queue as selectors
from handoff.models import Absence, Handoff, LateException, State
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.accounts.models import User
from leadflow.leads import intake, ledgers

from .conftest import fresh

HTMX = {"HTTP_HX_REQUEST": "true"}


def _event(response) -> dict:
    return json.loads(response["HX-Trigger"])["handoff-changed"]


@pytest.fixture
def mine(people, offered) -> Handoff:
    return offered(owner=people.sam, name="Dana Weiss")


def test_the_page_opens_the_first_row_and_says_why_now(people, mine, as_user) -> None:
    page = as_user(people.sam).get("/queue/").content.decode()
    assert "Dana Weiss" in page
    assert f'data-id="{mine.pk}" aria-current="true"' in page
    assert "attended a webinar" in page.lower()
    assert "data-due=" in page
    assert "Why 50 points" in page


@pytest.mark.parametrize("who", ["mia", "noah"])
@pytest.mark.parametrize("path", ["/queue/", "/queue/poll/", "/queue/fresh/", "/queue/own/", "/queue/board/"])
def test_marketing_has_no_queue(people, as_user, who, path) -> None:
    assert as_user(getattr(people, who)).get(path).status_code == 403


def test_another_teams_lead_is_not_there(people, mine, as_user) -> None:
    people.stranger.is_active = True
    people.stranger.save()
    stranger = as_user(people.stranger)
    assert stranger.get(f"/queue/{mine.pk}/").status_code == 404
    assert stranger.get(f"/queue/{mine.pk}/panel/").status_code == 404
    assert stranger.get(f"/queue/?lead={mine.pk}").status_code == 404
    assert stranger.post(f"/queue/{mine.pk}/accept/").status_code == 409
    assert fresh(mine).state == State.OFFERED


def test_the_queue_costs_the_same_at_3_rows_and_at_30(
    people, offered, as_user, django_assert_max_num_queries
) -> None:
    """Session with person and team, frame 2, head, desk, terms, rows, handoff, last act, acts, answers,
    content: thirteen; fifteen with facts since an earlier answer and receivers."""
    client = as_user(people.sam)
    for n in range(3):
        offered("fast_track", owner=people.sam, name=f"Lead {n}")
    client.get("/queue/")
    with django_assert_max_num_queries(15) as few:
        client.get("/queue/")
    for n in range(3, 30):
        offered("fast_track", owner=people.sam, name=f"Lead {n}")
    with django_assert_max_num_queries(15) as many:
        page = client.get("/queue/").content.decode()
    assert page.count("data-panel=") == 30
    assert len(few) == len(many)


def test_a_poll_is_204_until_something_changes(people, mine, as_user) -> None:
    client = as_user(people.sam)
    query = {
        "since": clock.now().isoformat(),
        "tab": "mine",
        "row": selectors.stamp(fresh(mine)),
        "open": mine.pk,
    }
    quiet = client.get("/queue/poll/", query)
    assert quiet.status_code == 204
    assert "queue-seen" in json.loads(quiet["HX-Trigger"])
    machine.apply("reassign", mine.pk, person(people.rosa), to=people.ben, reason="room")
    answer = client.get("/queue/poll/", query)
    page = answer.content.decode()
    assert f'<li id="row-{mine.pk}" hx-swap-oob="delete">' in page
    assert "Rosa gave Dana Weiss to Ben" in page
    assert json.loads(answer["HX-Trigger"])["queue-open-changed"] == {"id": mine.pk}


@pytest.mark.parametrize("since", ["", "yesterday", "2026-11-24T09:00:00", "2026-99-99T00:00:00Z"])
def test_a_poll_without_an_instant_is_refused_in_words(people, as_user, since) -> None:
    assert as_user(people.sam).get("/queue/poll/", {"since": since}).status_code == 400


def test_nonsense_in_the_address_is_no_error(people, mine, as_user) -> None:
    client = as_user(people.sam)
    for query in (
        "?tab=nonsense",
        "?later=2",
        "?lead=abc",
        "?tab=mine&tab=pool",
        "?lead=99999999999999999999",
    ):
        assert client.get(f"/queue/{query}").status_code == 200
    bad_rows = {"since": clock.now().isoformat(), "row": ["x", ":", "1:2:3", "٣:1"]}
    assert client.get("/queue/poll/", bad_rows).status_code in (200, 204)


def test_a_get_changes_nothing(people, mine, as_user) -> None:
    client = as_user(people.sam)
    before = fresh(mine).lock_version
    for path in ("accept", "claim", "contact", "snooze", "wake", "reassign"):
        assert client.get(f"/queue/{mine.pk}/{path}/").status_code in (403, 405)
    assert client.get("/queue/away/").status_code == 405
    client.get(f"/queue/{mine.pk}/")
    assert fresh(mine).lock_version == before


def test_accept_answers_with_a_toast_with_undo_and_an_event(people, mine, as_user) -> None:
    answer = as_user(people.sam).post(f"/queue/{mine.pk}/accept/", **HTMX)
    assert answer.status_code == 200
    assert _event(answer) == {"id": mine.pk, "lead": mine.lead_id, "state": "accepted", "action": "accept"}
    assert "Accepted Dana Weiss." in answer.content.decode()
    assert f"/handoffs/{mine.pk}/undo/" in answer.content.decode()
    assert fresh(mine).state == State.ACCEPTED


def test_accept_without_script_leads_back(people, mine, as_user) -> None:
    answer = as_user(people.sam).post(f"/queue/{mine.pk}/accept/", {"next": "/leads/"})
    assert (answer.status_code, answer["Location"]) == (302, "/leads/")
    again = as_user(people.sam).post(f"/queue/{mine.pk}/accept/", {"next": "https://evil.example/"})
    assert again["Location"] == f"/queue/{mine.pk}/"


def test_who_is_second_hears_who_was_first_and_when(people, mine, as_user) -> None:
    machine.apply("reassign", mine.pk, SYSTEM, to="pool", reason="test")
    machine.apply("accept", mine.pk, person(people.ben))
    with clock.use(clock.now() + timedelta(seconds=20)):
        answer = as_user(people.sam).post(f"/queue/{mine.pk}/accept/", **HTMX)
    assert answer.status_code == 409
    assert "Ben accepted this 20 s ago." in answer.content.decode()
    assert fresh(mine).owner_id == people.ben.pk


def test_the_first_call_accepts_and_the_next_ones_are_counted(people, mine, as_user) -> None:
    client = as_user(people.sam)
    first = client.post(f"/queue/{mine.pk}/contact/", {"result": "voicemail", "note": "mailbox"}, **HTMX)
    assert _event(first)["action"] == "touch"
    second = client.post(f"/queue/{mine.pk}/contact/", {"result": "talked"}, **HTMX)
    assert _event(second)["action"] == "log_contact"
    row = fresh(mine)
    assert (row.state, row.attempts) == (State.WORKING, 2)
    page = client.get("/queue/?later=1").content.decode()
    assert "attempt 3 of 3" in page


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("contact", {"result": "shouted"}),
        ("contact", {}),
        ("contact", {"result": "talked", "channel": "smoke"}),
        ("snooze", {"until": "", "reason": "x"}),
        ("snooze", {"until": "2020-01-01", "reason": "x"}),
        ("snooze", {"until": "2027-01-01", "reason": "x"}),
        ("snooze", {"until": "soon", "reason": "x"}),
        ("snooze", {"until": "2026-11-25", "reason": ""}),
        ("wake", {}),
    ],
)
def test_bad_input_is_refused_in_words(people, mine, as_user, path, data) -> None:
    answer = as_user(people.sam).post(f"/queue/{mine.pk}/{path}/", data, **HTMX)
    assert answer.status_code == 400
    assert "lf-toast late" in answer.content.decode()
    assert fresh(mine).state == State.OFFERED


def test_snooze_and_wake(people, mine, as_user) -> None:
    client = as_user(people.sam)
    answer = client.post(f"/queue/{mine.pk}/snooze/", {"until": "2026-11-25", "reason": "asked to"}, **HTMX)
    assert "Back on Wed 25 Nov, 09:00." in answer.content.decode()
    assert client.post(f"/queue/{mine.pk}/wake/", **HTMX).status_code == 200
    assert fresh(mine).snoozed_until is None


@pytest.mark.parametrize(
    ("today", "offered"),
    [
        (22, [("1", "Tomorrow", 23), ("2", "In two days", 24)]),
        (24, [("1", "Tomorrow", 25), ("2", "In two days", 26), ("3", "Next Monday", 30)]),
        (27, [("1", "Tomorrow", 28), ("2", "In two days", 29), ("3", "Next Monday", 30)]),
        (28, [("1", "Tomorrow", 29), ("2", "In two days", 30)]),
    ],
)
def test_a_day_to_sleep_until_is_offered_once(today, offered) -> None:
    sam = User(tz="Europe/Berlin")
    days = selectors.choices(sam, datetime(2026, 11, today, 12, tzinfo=UTC))["snooze_days"]
    assert [(key, words, day.day) for key, words, day in days] == offered


def test_a_manager_gives_a_lead_with_a_reason(people, mine, as_user) -> None:
    rosa = as_user(people.rosa)
    assert rosa.post(f"/queue/{mine.pk}/reassign/", {"to": people.ben.pk}, **HTMX).status_code == 400
    given = rosa.post(f"/queue/{mine.pk}/reassign/", {"to": people.ben.pk, "reason": "room"}, **HTMX)
    assert "Dana Weiss is with Ben now." in given.content.decode()
    refused = as_user(people.sam).post(f"/queue/{mine.pk}/reassign/", {"to": people.sam.pk, "reason": "x"})
    assert refused.status_code == 403
    assert fresh(mine).owner_id == people.ben.pk


def test_a_manager_takes_a_lead_back_from_sales(people, mine, as_user) -> None:
    rosa = as_user(people.rosa)
    assert rosa.post(f"/queue/{mine.pk}/withdraw/", {"reason": " "}, **HTMX).status_code == 400
    assert as_user(people.sam).post(f"/queue/{mine.pk}/withdraw/", {"reason": "x"}).status_code == 403
    assert rosa.post(f"/queue/{mine.pk}/withdraw/", {"reason": "a supplier"}, **HTMX).status_code == 200
    assert fresh(mine).state == State.WITHDRAWN


def test_new_leads_are_counted_once_and_the_pill_stays(people, mine, offered, as_user) -> None:
    client = as_user(people.sam)
    query = {"since": clock.now().isoformat(), "tab": "mine", "row": selectors.stamp(fresh(mine)), "new": "0"}
    other = offered(owner=people.sam, name="Other")
    assert "1 new" in client.get("/queue/poll/", query).content.decode()
    assert client.get("/queue/poll/", {**query, "new": "1"}).status_code == 204
    machine.apply("reassign", other.pk, SYSTEM, to=people.ben, reason="test")
    gone = client.get("/queue/poll/", {**query, "new": "1"})
    assert "1 new" not in gone.content.decode()
    assert 'id="queue-new"' in gone.content.decode()


def test_claim_takes_a_lead_out_of_the_pool(people, mine, as_user) -> None:
    machine.apply("reassign", mine.pk, SYSTEM, to="pool", reason="test")
    page = as_user(people.sam).get("/queue/?tab=pool").content.decode()
    assert f"/queue/{mine.pk}/claim/" in page
    answer = as_user(people.sam).post(f"/queue/{mine.pk}/claim/", **HTMX)
    assert _event(answer)["state"] == "offered"
    assert fresh(mine).owner_id == people.sam.pk


def test_away_today_is_one_button_and_back_is_another(people, as_user) -> None:
    sam = as_user(people.sam)
    assert sam.post("/queue/away/").status_code == 302
    assert "I am back" in sam.get("/queue/").content.decode()
    sam.post("/queue/away/", {"back": "1"})
    assert "Away today" in sam.get("/queue/").content.decode()
    assert Absence.objects.count() == 1


def test_an_own_lead_comes_in_by_the_form(people, agreement, as_user) -> None:
    sam = as_user(people.sam)
    assert "Add and take it" in sam.get("/queue/own/", **HTMX).content.decode()
    # On a page of its own the form leads on to the lead; in the dialog the list is made anew.
    assert 'hx-post="/queue/own/"' not in sam.get("/queue/own/").content.decode()
    wrong = sam.post("/queue/own/", {"name": "Kim", "email": "nobody"}, **HTMX)
    assert wrong.status_code == 422
    assert 'id="own-email-wrong"' in wrong.content.decode()
    done = sam.post(
        "/queue/own/", {"name": "Kim", "email": "kim@own.example", "reason": "met at a fair"}, **HTMX
    )
    assert _event(done)["action"] == "open"
    assert Handoff.objects.get().owner_id == people.sam.pk
    again = sam.post("/queue/own/", {"name": "Kim Again", "email": "kim@own.example", "reason": "met"})
    assert again.status_code == 422
    assert 'value="Kim Again"' in again.content.decode()


def test_an_empty_queue_teaches(people, as_user, agreement) -> None:
    page = as_user(people.sam).get("/queue/").content.decode()
    assert "All answered" in page
    assert "How a lead comes here" in page


def test_before_the_agreement_is_signed_the_queue_says_so(people, as_user, at) -> None:
    page = as_user(people.sam).get("/queue/").content.decode()
    assert "Nothing goes to sales yet" in page


def test_the_board_shows_clocks_and_load_and_gives_leads(people, mine, as_user) -> None:
    since = clock.now() - timedelta(hours=5)
    LateException.objects.create(handoff=mine, promise="acceptance", since=since, step_done="exceptions")
    rosa = as_user(people.rosa)
    page = rosa.get("/queue/board/").content.decode()
    assert "1 of 40 open" in page
    assert "The answer is late; Sam has it now, by" in page
    assert as_user(people.sam).get("/queue/board/").status_code == 403
    assert rosa.post("/queue/board/give/", {"to": people.ben.pk, "reason": "x"}).status_code == 400
    assert rosa.post("/queue/board/give/", {"to": people.ben.pk, "handoff": mine.pk}).status_code == 400
    rosa.post("/queue/board/give/", {"to": people.ben.pk, "handoff": [mine.pk, "x"], "reason": "Sam is out"})
    assert fresh(mine).owner_id == people.ben.pk
    rosa.post(f"/queue/board/{people.sam.pk}/away/")
    assert Absence.objects.get().user_id == people.sam.pk
    assert rosa.post("/queue/board/999999/away/").status_code == 404


def test_the_board_costs_the_same_at_3_leads_and_at_30(
    people, offered, as_user, django_assert_max_num_queries
) -> None:
    for n in range(3):
        offered("fast_track", owner=people.sam, name=f"Lead {n}")
    rosa = as_user(people.rosa)
    rosa.get("/queue/board/")
    with django_assert_max_num_queries(18) as few:
        rosa.get("/queue/board/")
    for n in range(3, 30):
        offered("fast_track", owner=people.ben, name=f"Lead {n}")
    with django_assert_max_num_queries(18) as many:
        rosa.get("/queue/board/")
    assert len(few) == len(many)


def test_a_manager_who_opens_a_pooled_lead_that_was_answered_before_asks_no_more(
    people, offered, as_user, django_assert_max_num_queries
) -> None:
    """The dearest page of the queue: room left, an earlier answer with news since, people to give it to."""
    pooled = offered("fast_track", owner=people.sam)
    machine.apply("reassign", pooled.pk, SYSTEM, to="pool", reason="test")
    began = pooled.first_offered_at - timedelta(days=30)
    said = {"lead_id": pooled.lead_id, "handoff_id": 0, "kind": "rejected", "reason_key": "2"}
    ledgers.record_answers([{**said, "at": began, "known_at": began, "rep_id": people.ben.pk}])
    intake.change_lead(pooled.lead_id, {"title": "CFO"}, actor=SYSTEM, cause="test")
    rosa = as_user(people.rosa)
    rosa.get(f"/queue/{pooled.pk}/?tab=team")
    with django_assert_max_num_queries(15):
        page = rosa.get(f"/queue/{pooled.pk}/?tab=team").content.decode()
    assert "Ben said “not ready”" in page
    assert "job title is CFO now, was VP Sales" in page


def test_every_day_of_a_lead_can_be_seen_after_it_is_closed(people, mine, as_user) -> None:
    machine.apply("reject", mine.pk, person(people.sam), reason_key="2", note="decides in winter")
    page = as_user(people.sam).get(f"/queue/{mine.pk}/").content.decode()
    assert "Rejected: not ready" in page
    assert "decides in winter" in page
    assert "Take back the last act" in page
