"""Handoffs over HTTP: what is shown, what may be done, and how it says no."""

import json
from datetime import timedelta

import pytest
from django.test import Client

from handoff.models import State, Transition
from leadflow import clock
from leadflow.accounts import keys
from leadflow.accounts.actors import person
from tests.handoff.conftest import fresh

pytestmark = pytest.mark.django_db
LIST = "/api/v1/handoffs/"


def post(client, handoff, action, data=None, **headers):
    return client.post(
        f"{LIST}{handoff.pk}/{action}/", json.dumps(data or {}), "application/json", headers=headers
    )


@pytest.fixture
def crm(people, agreement):
    """A client with a key that reads and writes handoffs."""
    _, secret = keys.create_key(person(people.admin), "CRM", ["handoffs:read", "handoffs:write"])
    return Client(headers={"authorization": f"Bearer {secret}"})


def test_a_rep_sees_a_lead_with_what_may_be_done(offered, as_user):
    handoff = offered()
    body = as_user(handoff.owner).get(f"{LIST}{handoff.pk}/").json()
    assert body["state"] == "offered"
    assert body["promise"] == "acceptance"
    assert body["company"] == "Acme"
    assert body["must_know_gaps"] == ["Last three acts"]
    assert {a["name"] for a in body["actions"]} == {"accept", "reject", "touch", "snooze"}


def test_the_list_filters_by_state_owner_and_due_and_pages_by_cursor(offered, as_user, people, crm):
    rows = [offered(company=f"Firm {n}") for n in range(5)]
    mine = as_user(rows[0].owner).get(LIST, {"owner": "me"}).json()["results"]
    assert {row["owner_id"] for row in mine} == {rows[0].owner_id}
    page = crm.get(LIST, {"limit": 2, "state": "offered,accepted"}).json()
    seen = [row["id"] for row in page["results"]]
    while page["next"]:
        page = crm.get(page["next"]).json()
        seen += [row["id"] for row in page["results"]]
    assert seen == [row.pk for row in rows]
    assert crm.get(LIST, {"due_before": clock.now().isoformat()}).json()["results"] == []
    later = (clock.now() + timedelta(days=2)).isoformat()
    assert len(crm.get(LIST, {"due_before": later}).json()["results"]) == 5
    assert crm.get(LIST, {"owner": "none"}).json()["results"] == []


@pytest.mark.parametrize(
    "query",
    [{"state": "asleep"}, {"owner": "sam"}, {"owner": "9" * 30}, {"due_before": "soon"}, {"cursor": "x"},
     {"cursor": "W10="}, {"limit": "many"}, {"due_before": "2026-11-24T09:00:00"}],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_answered_in_words(crm, query):
    answer = crm.get(LIST, query)
    assert answer.status_code == 400
    assert answer["content-type"].startswith("application/problem+json")
    assert answer.json()["errors"][0]["path"] == next(iter(query))


def test_accept_over_http_once_however_often_it_is_sent(offered, as_user):
    handoff = offered()
    client = as_user(handoff.owner)
    first = post(client, handoff, "accept", **{"idempotency-key": "k1"})
    again = post(client, handoff, "accept", **{"idempotency-key": "k1"})
    assert first.status_code == again.status_code == 200
    assert first.json()["state"] == "accepted"
    assert again.json() == first.json()
    assert Transition.objects.filter(action="accept").count() == 1


def test_who_comes_second_gets_the_current_state(offered, as_user, people):
    from handoff import machine
    from leadflow.accounts.actors import SYSTEM

    handoff = offered()
    machine.apply("reassign", handoff.pk, SYSTEM, to="pool")
    assert post(as_user(people.ben), handoff, "accept").status_code == 200
    answer = post(as_user(people.sam), handoff, "accept")
    assert answer.status_code == 409
    assert answer.json()["current"]["owner_name"] == "Ben"
    assert answer.json()["title"].startswith("Ben accepted this")


def test_rights_and_bad_input_over_http(offered, as_user, people, crm):
    handoff = offered()
    assert post(as_user(people.mia), handoff, "accept").status_code == 403
    assert post(Client(), handoff, "accept").status_code == 401
    assert post(crm, handoff, "fly").status_code == 400
    assert post(crm, handoff, "open").status_code == 400
    owner = as_user(handoff.owner)
    for action, data, path in [
        ("accept", {"colour": "red"}, "colour"),
        ("touch", {"result": "danced"}, "result"),
        ("touch", {"note": ["x"]}, "note"),
        ("touch", {"occurred_at": "yesterday"}, "occurred_at"),
        ("touch", {"occurred_at": "2030-01-01T00:00:00Z"}, "occurred_at"),
        ("snooze", {"until": "x", "reason": "y"}, "until"),
        ("snooze", {}, "reason"),
    ]:
        answer = post(owner, handoff, action, data)
        assert answer.status_code == 400, (action, data)
        assert answer.json()["errors"][0]["path"] == path
    assert owner.post(f"{LIST}{handoff.pk}/accept/", "[]", "application/json").status_code == 400
    assert owner.post(f"{LIST}{10**30}/accept/", "{}", "application/json").status_code == 404
    assert fresh(handoff).state == State.OFFERED


def test_a_crm_acts_for_the_owner_and_is_named(offered, crm):
    handoff = offered()
    answer = post(crm, handoff, "touch", {"channel": "phone", "result": "talked", "note": "nice\x00 talk"})
    assert answer.status_code == 200
    assert answer.json()["state"] == "working"
    last = Transition.objects.filter(handoff=handoff).latest("id")
    assert last.actor is None
    assert last.api_key_id is not None


def test_the_list_asks_as_often_for_thirty_as_for_three(offered, as_user, django_assert_max_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    handoffs = [offered(company=f"Firm {n}") for n in range(3)]
    client = as_user(handoffs[0].owner)
    counts = []
    for more in (0, 9):
        for n in range(more):
            offered(company=f"More {n}")
        with CaptureQueriesContext(connection) as queries:
            client.get(LIST)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 8


def test_what_is_another_s_closed_or_withdrawn_is_a_conflict_with_the_state_as_it_is(
    offered, as_user, people, caplog
):
    from handoff import machine
    from leadflow.accounts.actors import SYSTEM

    handoff = offered()
    other = people.ben if handoff.owner == people.sam else people.sam
    taken = post(as_user(other), handoff, "accept")
    assert taken.status_code == 409
    assert taken.json()["title"] == f"This lead is with {handoff.owner.name}."
    assert taken.json()["current"]["owner"] == handoff.owner_id
    assert taken.json()["current"]["state"] == "offered"
    machine.apply("withdraw", handoff.pk, SYSTEM, reason="merged")
    gone = post(as_user(handoff.owner), handoff, "accept", **{"idempotency-key": "k"})
    assert gone.status_code == 409
    assert gone.json()["current"]["state"] == "withdrawn"
    assert gone.json()["current"]["action"] == "withdraw"
    # A refusal is no answer to keep: the same key may try again.
    assert post(as_user(handoff.owner), handoff, "accept", **{"idempotency-key": "k"}).status_code == 409
    refused = [record.getMessage() for record in caplog.records if record.name == "handoff.machine"]
    assert f"refused: accept of handoff {handoff.pk} by {other.name}: This lead is with" in refused[0]


def test_every_act_says_where_it_goes_what_it_takes_and_what_can_be_done_next(offered, as_user):
    handoff = offered(crm_url="https://crm.example/1", external_owner="Kim")
    client = as_user(handoff.owner)
    shown = client.get(LIST, {"lead": handoff.lead_id}).json()["results"][0]
    assert (shown["crm_url"], shown["external_owner"]) == ("https://crm.example/1", "Kim")
    acts = {act["name"]: act for act in shown["actions"]}
    assert acts["reject"]["url"] == f"{LIST}{handoff.pk}/reject/"
    assert acts["reject"]["needs"] == ["reason_key"]
    said = json.dumps({"reason_key": "1", "note": "three people"})
    key = {"idempotency-key": "no"}
    first = client.post(acts["reject"]["url"], said, "application/json", headers=key)
    again = client.post(acts["reject"]["url"], said, "application/json", headers=key)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert first.json()["state"] == "rejected"
    assert [act["name"] for act in first.json()["actions"]] == ["undo"]
    other = json.dumps({"reason_key": "1", "note": "four people"})
    assert client.post(acts["reject"]["url"], other, "application/json", headers=key).status_code == 409


def test_the_answer_to_a_repeated_request_is_kept_for_a_day(offered, as_user):
    from leadflow.accounts import api
    from leadflow.accounts.models import IdempotencyRecord

    handoff = offered()
    post(as_user(handoff.owner), handoff, "accept", **{"idempotency-key": "k1"})
    assert api.forget_requests(clock.now() + timedelta(hours=23)) == 0
    assert api.forget_requests(clock.now() + timedelta(hours=25)) == 1
    assert not IdempotencyRecord.objects.exists()


def test_the_crm_link_and_the_owner_there_come_with_the_lead(people, at):
    _, secret = keys.create_key(person(people.admin), "CRM", ["leads:write", "leads:read"])
    client = Client(headers={"authorization": f"Bearer {secret}"})
    row = {"email": "ann@acme.example", "crm_url": "https://crm.example/1", "external_owner": "Kim"}
    made = client.post("/api/v1/leads/", json.dumps(row), "application/json")
    assert made.status_code == 201
    assert (made.json()["crm_url"], made.json()["external_owner"]) == ("https://crm.example/1", "Kim")
    row["external_owner"] = "Lee"
    changed = client.post("/api/v1/leads/", json.dumps(row), "application/json")
    assert changed.json()["external_owner"] == "Lee"
