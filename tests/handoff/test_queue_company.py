"""The queue's cards of several people of one company, its filter, and who waits for room."""

import json
from datetime import timedelta

import pytest

from handoff import machine
from handoff import queue as selectors
from handoff.models import RoomWait, State, Transition
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.leads.models import Lead

from .conftest import fresh

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def acme(people, offered):
    """Three people of Acme with Sam, and one of another company."""
    three = [offered("fast_track", owner=people.sam, name=f"Person {n}") for n in range(3)]
    return three, offered("fast_track", owner=people.sam, name="Somebody Else", company="Other")


def _post(client, rows, path="/queue/accept/"):
    return client.post(path, {"handoff": [row.pk for row in rows]}, **HTMX)


def test_people_of_one_company_stand_in_one_card(people, acme, as_user) -> None:
    page = as_user(people.sam).get("/queue/").content.decode()
    assert "3 people at Acme" in page
    assert page.count('class="lf-kid"') == 3
    assert page.count('<a class="lf-row"') == 1
    assert "Accept all 3" in page


def test_a_colleague_is_not_offered_to_accept_what_is_anothers(people, acme, as_user) -> None:
    page = as_user(people.ben).get("/queue/?tab=team").content.decode()
    assert "3 people at Acme" in page
    assert "Accept all" not in page


def test_all_of_a_company_are_accepted_each_by_an_act_of_its_own(people, acme, as_user) -> None:
    three, other = acme
    answer = _post(as_user(people.sam), three)
    assert "Accepted 3 people at Acme." in answer.content.decode()
    event = json.loads(answer["HX-Trigger"])["handoff-changed"]
    assert sorted(event["ids"]) == sorted(row.pk for row in three)
    assert [fresh(row).state for row in three] == [State.ACCEPTED] * 3
    acts = Transition.objects.filter(handoff__in=[row.pk for row in three], action="accept")
    assert acts.count() == 3
    assert fresh(other).state == State.OFFERED


def test_one_that_is_gone_stops_none_of_the_others_and_is_told(people, acme, as_user) -> None:
    three, _ = acme
    machine.apply("reassign", three[1].pk, SYSTEM, to="pool", reason="test")
    machine.apply("accept", three[1].pk, person(people.ben))
    text = _post(as_user(people.sam), three).content.decode()
    assert "Accepted 2 of 3 people at Acme." in text
    assert "Person 1: Ben accepted this" in text
    assert fresh(three[1]).owner_id == people.ben.pk


def test_when_all_are_gone_it_is_a_conflict(people, acme, as_user) -> None:
    three, _ = acme
    for row in three:
        machine.apply("reassign", row.pk, SYSTEM, to="pool", reason="test")
        machine.apply("accept", row.pk, person(people.ben))
    assert _post(as_user(people.sam), three).status_code == 409
    assert _post(as_user(people.sam), []).status_code == 400


def test_anothers_lead_in_the_list_is_neither_taken_nor_named(people, acme, as_user) -> None:
    three, _ = acme
    people.stranger.is_active = True
    people.stranger.save()
    answer = _post(as_user(people.stranger), three)
    assert answer.status_code == 400
    assert "Person" not in answer.content.decode()


def test_the_whole_act_is_taken_back_at_once(people, acme, as_user) -> None:
    three, _ = acme
    client = as_user(people.sam)
    answer = _post(client, three).content.decode()
    back = f"/handoffs/undo/?{'&amp;'.join(f'handoff={row.pk}' for row in three)}"
    assert back in answer
    assert client.post(back.replace("&amp;", "&"), **HTMX).status_code == 200
    assert [fresh(row).state for row in three] == [State.OFFERED] * 3
    assert client.post("/handoffs/undo/?handoff=abc", **HTMX).status_code == 409


def test_a_card_with_news_is_made_anew_as_a_whole(people, acme, as_user) -> None:
    three, _ = acme
    since = clock.now()
    stamps = [selectors.stamp(fresh(row)) for row in three]
    key = f"1-{three[0].lead.company_id}"
    query = {
        "tab": "mine",
        "since": since.isoformat(),
        "row": stamps,
        "card": f"{key}:{','.join(str(row.pk) for row in three)}",
    }
    machine.apply("reassign", three[0].pk, person(people.rosa), to=people.ben, reason="room")
    page = as_user(people.sam).get("/queue/poll/", query).content.decode()
    assert f'id="card-{key}" hx-swap-oob="true"' in page
    assert "2 people at Acme" in page
    assert 'id="nav-queue" hx-swap-oob="true">3<' in page
    for row in three[1:]:
        machine.apply("reassign", row.pk, person(people.rosa), to=people.ben, reason="room")
    page = as_user(people.sam).get("/queue/poll/", query).content.decode()
    assert f'<li id="card-{key}" hx-swap-oob="delete">' in page


def test_the_filter_narrows_list_and_figures_and_stays_in_the_addresses(people, acme, as_user) -> None:
    _, other = acme
    Lead.objects.filter(pk=other.lead_id).update(first_source="Webinars")
    client = as_user(people.sam)
    page = client.get("/queue/?source=Webinars&kind=fast_track").content.decode()
    assert "Somebody Else" in page
    assert "Acme" not in page
    assert "Only fast track, from Webinars" in page
    assert 'data-here="tab=mine&amp;source=Webinars&amp;kind=fast_track"' in page
    assert f'href="/queue/{other.pk}/?tab=mine&amp;source=Webinars&amp;kind=fast_track"' in page
    # A poll of the narrowed page does not count who does not fit.
    query = {"tab": "mine", "since": clock.now().isoformat(), "source": "Webinars", "row": []}
    assert "queue-new" in client.get("/queue/poll/", query).content.decode()
    nobody = client.get("/queue/?grade=D").content.decode()
    assert "Nobody fits this filter" in nobody


@pytest.mark.parametrize(
    "query", ["grade=Z", "campaign=x", "kind=nonsense", "late=yes", "campaign=" + "9" * 30]
)
def test_a_filter_that_is_none_is_left_out(people, acme, as_user, query) -> None:
    page = as_user(people.sam).get(f"/queue/?{query}").content.decode()
    assert "3 people at Acme" in page


def test_the_filter_offers_what_the_tab_holds(people, acme, as_user, django_assert_max_num_queries) -> None:
    client = as_user(people.sam)
    client.get("/queue/filter/")
    with django_assert_max_num_queries(9):
        form = client.get("/queue/filter/?tab=mine&late=1").content.decode()
    assert "Fast track: 4" in form
    assert 'name="late" value="1" checked' in form


def test_all_answered_says_when_the_next_comes(people, agreement, as_user, at) -> None:
    assert "Next comes as soon as" in as_user(people.sam).get("/queue/").content.decode()
    with clock.use(at.replace(hour=20)):
        page = as_user(people.sam).get("/queue/").content.decode()
    assert "Next comes tomorrow at 09:00" in page


def test_who_waits_for_room_is_a_page_best_first(
    people, agreement, make_lead, as_user, at, django_assert_max_num_queries
) -> None:
    for n in range(30):
        RoomWait.objects.create(
            lead=make_lead(name=f"Waiting {n}"),
            crossing_id=n + 1,
            kind="bar",
            team=people.north if n % 2 else people.south,
            total=50 + n,
            entered_at=at - timedelta(hours=n),
            next_check=at + timedelta(days=1),
        )
    sam = as_user(people.sam)
    assert "15 ready people wait for room in your team" in sam.get("/queue/").content.decode()
    with django_assert_max_num_queries(12):
        page = sam.get("/queue/waiting/").content.decode()
    assert "15 people are ready" in page
    assert page.index("Waiting 29") < page.index("Waiting 1<")
    assert "30 people are ready" in as_user(people.mia).get("/queue/waiting/").content.decode()
