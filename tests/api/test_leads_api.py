"""The API for leads: what goes in, what comes out, and how it says no."""

import json
from contextlib import closing
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client, override_settings

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.accounts.keys import SCOPES, create_key, revoke_key
from leadflow.leads import intake, ledgers, stages
from leadflow.leads.models import Activity, Lead, LeadChanged, Outcome, Stage
from leadflow.leads.stages import Move
from scoring import engine
from scoring.models import LeadScore

pytestmark = pytest.mark.django_db
JSON = "application/json"
LINES = "application/x-ndjson"


@pytest.fixture
def key(db):
    """A key that may do everything."""
    return create_key(SYSTEM, "test", list(SCOPES))[1]


@pytest.fixture
def call(key):
    """Call the API; returns (status, body)."""

    def send(method, path, data=None, *, kind=JSON, auth=key, **headers):
        body = data if isinstance(data, bytes | str) else json.dumps(data)
        client = Client(raise_request_exception=True)
        extra = {"Authorization": f"Bearer {auth}"} if auth else {}
        given = {} if data is None else {"data": body, "content_type": kind}
        answer = getattr(client, method)(f"/api/v1/{path}", **given, headers={**extra, **headers})
        if answer.status_code >= 400:
            assert answer["Content-Type"] == "application/problem+json"
            assert set(answer.json()) >= {"type", "title", "status", "errors"}
        return answer.status_code, answer.json()

    return send


def test_a_lead_is_made_then_known_by_email_or_external_id(call):
    status, made = call(
        "post", "leads/", {"source": "crm", "external_id": "7", "email": "Ann@Acme.example", "title": "CTO"}
    )
    assert status == 201
    assert made["facts"]["title"] == "CTO"
    assert made["keys"] == [{"source": "crm", "external_id": "7"}]
    assert made["company"]["domain"] == "acme.example"
    status, again = call("post", "leads/", {"source": "crm", "external_id": "7", "title": "CEO"})
    assert (status, again["id"], again["facts"]["title"]) == (200, made["id"], "CEO")
    assert call("get", f"leads/{made['id']}/")[1]["facts"]["email"] == "Ann@Acme.example"


def test_a_bad_lead_is_told_where_and_what(call):
    status, problem = call("post", "leads/", {"email": "nope", "employees": "many", "shoe": 1})
    assert status == 400
    assert [e["path"] for e in problem["errors"]] == ["email", "employees", "shoe"]


def test_many_leads_at_once_keep_the_good_rows(call):
    rows = [{"email": "a@acme.example"}, {"email": "x"}, {"source": "shop", "external_id": "1"}, 5]
    status, answer = call("post", "leads/bulk/", rows)
    assert status == 200
    assert (answer["accepted"], answer["created"]) == (2, 2)
    assert [r["index"] for r in answer["rejected"]] == [1, 3]
    assert [bool(i) for i in answer["ids"]] == [True, False, True, False]


def test_who_follows_the_changes_misses_none_that_is_still_being_written(call, at, make_lead, settings):
    lead = make_lead()
    with closing(psycopg2.connect(**writer())) as other, other.cursor() as cursor:
        # A transaction that writes: what it stamped before this instant may be committed after it.
        cursor.execute("SELECT pg_current_xact_id()")
        page = call("get", "leads/")[1]
        assert page["results"] == []
        assert page["until"] < at.isoformat()
        assert call("get", f"leads/?email={lead.email}")[1]["results"][0]["id"] == lead.pk
        other.rollback()
    since = page["until"].replace("+", "%2B")
    assert [row["id"] for row in call("get", f"leads/?changed_since={since}")[1]["results"]] == [lead.pk]
    settings.CHANGES_LAG = 2
    assert call("get", "leads/")[1]["results"] == []
    with clock.use(at + timedelta(seconds=3)):
        assert [row["id"] for row in call("get", "leads/")[1]["results"]] == [lead.pk]


def writer() -> dict[str, Any]:
    """Where another writer finds the same database."""
    params = connection.get_connection_params()
    return {name: value for name, value in params.items() if isinstance(value, str | int)}


def test_the_list_pages_through_what_changed(call, at, make_lead, people):
    leads = []
    for minute in range(5):
        with clock.use(at + timedelta(minutes=minute)):
            leads.append(make_lead())
    since = (at + timedelta(minutes=1)).isoformat()
    seen, path = [], f"leads/?changed_since={since.replace('+', '%2B')}&limit=2"
    while path:
        _, page = call("get", path)
        seen += [row["id"] for row in page["results"]]
        path = page["next"] and urlsplit(page["next"])._replace(scheme="", netloc="").geturl().removeprefix(
            "/api/v1/"
        )
    assert seen == [lead.pk for lead in leads[1:]]
    ledgers.record_answer(
        lead_id=leads[0].pk, handoff_id=1, kind="rejected", at=at, rep=people.sam, reason_key="3"
    )
    stages.move([Move(leads[0].pk, Stage.NURTURING, "test")], at=at)
    _, page = call("get", "leads/?stage=nurturing")
    assert page["results"][0]["last_answer"]["reason"] == "3"
    assert page["results"][0]["score"] is None
    assert call("get", f"leads/?email={leads[2].email}")[1]["results"][0]["id"] == leads[2].pk


def test_after_a_rescore_of_all_each_lead_comes_once(call, at, make_lead, agreement_in_force):
    for minute in range(50):
        with clock.use(at + timedelta(minutes=minute)):
            make_lead()
    with clock.use(at + timedelta(days=1)):
        engine.score_range(0, 2**31, at=clock.now())
    # A second one later, that moves nobody to another stage.
    LeadScore.objects.update(changed_at=at + timedelta(days=2))
    seen, path, short = [], "leads/?limit=1", 0
    while path:
        _, page = call("get", path)
        seen += [row["id"] for row in page["results"]]
        short += not page["results"]
        path = page["next"] and page["next"].partition("/api/v1/")[2]
    assert seen == sorted(Lead.objects.values_list("pk", flat=True))
    # What is passed over for one page is bounded: some pages are empty.
    assert 0 < short < 5


def test_a_lead_whose_score_changed_comes_again_at_its_place(call, at, make_lead, did, agreement_in_force):
    leads = []
    for minute in range(4):
        with clock.use(at + timedelta(minutes=minute)):
            leads.append(make_lead())
    LeadChanged.objects.all().delete()
    for minute, lead in ((5, leads[2]), (6, leads[0]), (7, leads[3])):
        with clock.use(at + timedelta(minutes=minute)):
            did(lead, "demo_requested")
            while engine.score_pending(clock.now()):
                pass
    # The score of the last one is older than what was said of it since.
    with clock.use(at + timedelta(minutes=8)):
        intake.change_lead(leads[3].pk, {"city": "Kiel"}, actor=SYSTEM, cause="test")
    seen, path = [], "leads/?limit=1"
    while path:
        _, page = call("get", path)
        seen += page["results"]
        path = page["next"] and page["next"].partition("/api/v1/")[2]
    assert [row["id"] for row in seen] == [leads[i].pk for i in (1, 2, 0, 3)]
    assert [row["changed_at"] for row in seen] == sorted(row["changed_at"] for row in seen)
    since = (at + timedelta(minutes=6)).isoformat().replace("+", "%2B")
    assert [row["id"] for row in call("get", f"leads/?changed_since={since}")[1]["results"]] == [
        leads[0].pk,
        leads[3].pk,
    ]


@pytest.mark.parametrize(
    "query",
    [
        "changed_since=soon",
        "changed_since=2026-11-24T09:00:00",
        "limit=0",
        "limit=x",
        "cursor=x",
        "stage=vip",
    ],
)
def test_an_odd_query_is_told(call, query):
    assert call("get", f"leads/?{query}")[0] == 400


def test_the_timeline_tells_everything_newest_first_and_pages(call, at, make_lead, did):
    lead = make_lead(title="CTO")
    for day in range(3):
        did(lead, "form", days_ago=day)
    seen, path = [], f"leads/{lead.pk}/timeline/?limit=2"
    while path:
        _, page = call("get", path)
        seen += [(row["what"], row["id"]) for row in page["results"]]
        path = page["next"] and urlsplit(page["next"])._replace(scheme="", netloc="").geturl().removeprefix(
            "/api/v1/"
        )
    assert len(seen) == len(set(seen)) == 4
    assert [what for what, _ in seen] == ["stage", "activity", "activity", "activity"]


def test_activities_come_as_object_array_or_lines(call, make_lead, at):
    lead = make_lead()

    def act(n):
        return {
            "source": "web",
            "external_id": str(n),
            "kind": "form",
            "occurred_at": "2026-11-20T10:00:00Z",
            "lead_id": lead.pk,
        }

    assert call("post", "activities/", act(1)) == (202, {"accepted": 1, "duplicate": 0, "rejected": []})
    status, answer = call("post", "activities/", [act(1), act(2), {**act(3), "kind": "dance"}])
    assert (status, answer["accepted"], answer["duplicate"], answer["rejected"][0]["index"]) == (202, 1, 1, 2)
    lines = json.dumps(act(4)) + "\n\n{broken\n" + json.dumps({**act(5), "occurred_at": "x"}) + "\n"
    status, answer = call("post", "activities/", lines, kind=LINES)
    assert (answer["accepted"], [r["index"] for r in answer["rejected"]]) == (1, [1, 2])
    assert "column" in answer["rejected"][0]["errors"][0]["message"]


def test_outcomes_are_taken_and_corrected(call, make_lead, at):
    row = {"source": "crm", "external_id": "d", "kind": "won", "email": make_lead().email, "amount": 10.5}
    assert call("post", "outcomes/", row)[1]["accepted"] == 1
    assert (
        call("post", "outcomes/", [row, {**row, "amount": -1}])[1]["rejected"][0]["errors"][0]["path"]
        == "amount"
    )
    assert Outcome.objects.get().undated


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        ("{", JSON, 400, "line 1, column 2"),
        ("[NaN]", JSON, 400, "NaN"),
        ("[" * 100_000, JSON, 400, "nested too deeply"),
        (b"\xff\xfe{}", JSON, 400, "UTF-8"),
        ("3", JSON, 400, "object"),
        ("[]", JSON, 400, "no row"),
        ("a=1", "application/x-www-form-urlencoded", 415, "Unsupported media type"),
        (json.dumps([{}] * 10_001), JSON, 413, "10000"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_clear_problem(call, body, kind, status, words):
    got, problem = call("post", "activities/", body, kind=kind)
    assert got == status
    assert words in problem["title"]


@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=1024 * 1024)
def test_a_body_over_the_limit_is_refused(call):
    status, problem = call("post", "activities/", b" " * (1024 * 1024 + 1))
    assert (status, "1 MB" in problem["title"]) == (413, True)


def test_keys_open_what_their_scopes_say(call, key, make_lead):
    reader = create_key(SYSTEM, "reader", ["leads:read"])
    assert call("get", "leads/", auth=reader[1])[0] == 200
    assert call("post", "leads/", {"email": "a@acme.example"}, auth=reader[1])[0] == 403
    revoke_key(SYSTEM, reader[0])
    assert call("get", "leads/", auth=reader[1])[0] == 401
    assert call("get", "leads/", auth=None)[0] in (401, 403)
    assert call("get", "leads/", auth="lf_nonsense")[0] == 401
    assert call("get", "leads/999999/")[0] == 404
    assert call("get", "leads/99999999999999999999999/")[0] == 404
    assert call("delete", "leads/")[0] == 405


def test_the_same_request_with_its_key_is_carried_out_once(call, make_lead, at):
    row = {
        "source": "web",
        "external_id": "1",
        "kind": "form",
        "occurred_at": "2026-11-20T10:00:00Z",
        "email": "a@acme.example",
    }
    first = call("post", "activities/", row, **{"Idempotency-Key": "k1"})
    assert call("post", "activities/", row, **{"Idempotency-Key": "k1"}) == first
    assert first[1]["accepted"] == 1
    assert call("post", "activities/", {**row, "external_id": "2"}, **{"Idempotency-Key": "k1"})[0] == 409
    assert Activity.objects.count() == 1
    one = call("post", "leads/", {"email": "b@acme.example"}, **{"Idempotency-Key": "k2"})
    assert call("post", "leads/", {"email": "b@acme.example"}, **{"Idempotency-Key": "k2"}) == one


def test_half_a_pair_and_nul_are_refused_and_told_back_safely(call):
    status, answer = call(
        "post",
        "leads/bulk/",
        '[{"email": "a\\ud800@acme.example"}, {"\\udfff\\u0000": "\\u0000"}, {"external_id": "\\u0000"}]',
        **{"Idempotency-Key": "k"},
    )
    assert status == 200
    assert len(answer["rejected"]) == 3
    assert not Lead.objects.exists()


def test_a_key_is_printed_once_and_unknown_scopes_are_told(capsys):
    call_command("create_api_key", "crm", "--scopes", "leads:write,activities:write", "leads:read")
    secret = capsys.readouterr().out.strip()
    assert secret.startswith("lf_")
    assert Client().get("/api/v1/leads/", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    with pytest.raises(CommandError, match="Known scopes"):
        call_command("create_api_key", "crm", "--scopes", "everything")


def test_the_schema_names_every_address(call, key):
    answer = Client().get("/api/v1/schema/?format=json", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    assert {"/api/v1/leads/", "/api/v1/activities/", "/api/v1/outcomes/"} <= set(answer.json()["paths"])
