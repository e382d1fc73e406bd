"""The agreement over the API: the same acts, the same refusals, told as problem documents."""

import pytest
from django.test import Client

from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.accounts.keys import create_key
from leadflow.accounts.models import AuditEntry
from leadflow.jobs import runner
from scoring import agreements
from scoring.models import Agreement, Signature

pytestmark = pytest.mark.django_db
State = Agreement.State
PASSWORD = "correct horse battery"
JSON = "application/json"


@pytest.fixture
def proposed(at, people):
    for user in (people.noah, people.rosa):
        user.set_password(PASSWORD)
        user.save()
    return agreements.propose(agreements.create_draft(person(people.mia)), person(people.mia))


def url(agreement, act: str) -> str:
    return f"/api/v1/agreements/{agreement.pk}/{act}/"


def with_key(*scopes: str):
    _, secret = create_key(SYSTEM, "CRM", list(scopes))
    return Client(headers={"Authorization": f"Bearer {secret}"})


def told(response) -> str:
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    return " ".join([body["title"], *(error["message"] for error in body["errors"])])


def test_the_list_of_versions_goes_on_page_by_page(at, agreement_in_force, people):
    first = agreement_in_force
    for n in range(2, 6):
        Agreement.objects.create(
            number=n,
            state=Agreement.State.SUPERSEDED,
            content=first.content,
            created_at=at,
            changed_at=at,
        )
    client, address, seen = with_key("agreements:read"), "/api/v1/agreements/?limit=2", []
    while address:
        page = client.get(address).json()
        seen += [row["version"] for row in page["results"]]
        address = page["next"]
    assert seen == [5, 4, 3, 2, 1]
    for wrong in ("limit=0", "limit=501", "cursor=x", "cursor=99999999999"):
        assert client.get(f"/api/v1/agreements/?{wrong}").status_code == 400


def test_both_sides_sign_over_the_api(proposed, people, as_user):
    for user in (people.noah, people.rosa):
        answer = as_user(user).post(url(proposed, "sign"), {"password": PASSWORD}, JSON)
        assert answer.status_code == 200
    assert answer.json()["state"] == "in_force"
    assert {s["by"] for s in answer.json()["signatures"]} == {"Noah", "Rosa"}


def test_signing_again_with_the_same_key_gives_the_same_answer_and_one_signature(proposed, people, as_user):
    client = as_user(people.noah)
    same = [
        client.post(
            url(proposed, "sign"), {"password": PASSWORD}, JSON, headers={"Idempotency-Key": "sign-once"}
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in same] == [200, 200]
    assert same[0].json() == same[1].json()
    assert Signature.objects.count() == 1
    assert client.post(url(proposed, "sign"), {"password": PASSWORD}, JSON).status_code == 409


@pytest.mark.parametrize(
    ("who", "act", "body", "status", "words"),
    [
        ("noah", "sign", {"password": PASSWORD, "side": "sales"}, 403, "You sign for marketing"),
        ("noah", "sign", {"password": "guess"}, 400, "This is not your password."),
        ("noah", "sign", {}, 400, "This is not your password."),
        ("admin", "sign", {"password": PASSWORD}, 403, "Only a marketing manager and a sales manager sign"),
        ("mia", "sign", {"password": PASSWORD}, 403, "Only a marketing manager and a sales manager sign"),
        ("rosa", "decline", {}, 400, "Write a sentence."),
        ("mia", "decline", {"comment": "No, thanks."}, 403, "Only a marketing manager and a sales manager"),
        ("mia", "propose", {}, 409, "Version 1 is proposed already."),
    ],
)
def test_a_refusal_is_told_in_words_and_stays_on_the_record(
    who, act, body, status, words, proposed, people, as_user
):
    # A repeated request is undone as a whole when it is refused; the note of it is not.
    headers = {"Idempotency-Key": "x"}
    answer = as_user(getattr(people, who)).post(url(proposed, act), body, JSON, headers=headers)
    assert answer.status_code == status
    assert words in told(answer)
    entry = AuditEntry.objects.get(verb__endswith="_refused")
    assert entry.verb == f"agreement.{act}_refused"
    assert words in entry.reason
    proposed.refresh_from_db()
    assert (proposed.state, proposed.signatures.count()) == (State.PROPOSED, 0)


def test_a_machine_with_a_key_writes_drafts_and_never_signs(proposed, people):
    machine = with_key("agreements:read", "agreements:write")
    answer = machine.post(url(proposed, "sign"), {"password": PASSWORD}, JSON)
    assert answer.status_code == 403
    assert AuditEntry.objects.get(verb="agreement.sign_refused").api_key.name == "CRM"
    assert machine.post(url(proposed, "withdraw"), {"reason": "by the CRM"}, JSON).status_code == 200
    made = machine.post("/api/v1/agreements/", {}, JSON)
    assert made.status_code == 201
    assert machine.post(f"/api/v1/agreements/{made.json()['id']}/propose/", {}, JSON).status_code == 200


@pytest.mark.parametrize("act", ["propose", "sign", "decline", "withdraw", "backtest"])
def test_a_key_that_only_reads_writes_nothing(act, proposed):
    reader = with_key("agreements:read", "leads:write")
    assert reader.post(url(proposed, act), {}, JSON).status_code == 403
    assert reader.get(f"/api/v1/agreements/{proposed.pk}/").status_code == 200
    assert with_key("leads:read").get(f"/api/v1/agreements/{proposed.pk}/").status_code == 403


def test_a_side_declines_and_a_draft_follows(proposed, people, as_user):
    answer = as_user(people.rosa).post(url(proposed, "decline"), {"comment": "Too many a day."}, JSON)
    assert (answer.status_code, answer.json()["state"]) == (200, "declined")
    [no] = answer.json()["declines"]
    assert (no["side"], no["by"], no["comment"]) == ("sales", "Rosa", "Too many a day.")
    again = as_user(people.noah).post(url(proposed, "sign"), {"password": PASSWORD}, JSON)
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-12-01", "2026-11-30T23:00:00Z"),
        ("2026-12-01T09:00", "2026-12-01T08:00:00Z"),
        ("2026-12-01T09:00:00+01:00", "2026-12-01T08:00:00Z"),
        ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z"),
    ],
)
def test_a_day_is_an_instant_or_a_time_of_the_agreements_zone(written, instant, at, people, as_user):
    draft = agreements.create_draft(person(people.mia))
    answer = as_user(people.mia).post(url(draft, "propose"), {"in_force_from": written}, JSON)
    assert answer.json()["in_force_from"] == instant


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"in_force_from": "soon"}, "in_force_from"),
        ({"in_force_from": 5}, "in_force_from"),
        ({"in_force_from": "2026-01-01"}, "in_force_from"),
        ({"in_force_from": "2027-03-28T02:30"}, "in_force_from"),
        ({"release": "everything"}, "release"),
        ({"note": ["x"]}, "note"),
        ({"state": "in_force"}, "state"),
    ],
)
def test_a_proposal_that_cannot_be_is_refused_with_its_place(body, path, at, people, as_user):
    draft = agreements.create_draft(person(people.mia))
    answer = as_user(people.mia).post(url(draft, "propose"), body, JSON)
    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == [path]
    draft.refresh_from_db()
    assert draft.state == State.DRAFT


def test_two_who_save_one_draft_do_not_overwrite_each_other(at, people, as_user):
    draft = agreements.create_draft(person(people.mia))
    address = f"/api/v1/agreements/{draft.pk}/"
    first = {"content": {**draft.content, "title": "A"}, "lock_version": 1}
    assert as_user(people.mia).put(address, first, JSON).status_code == 200
    late = as_user(people.noah).put(address, {**first, "lock_version": 1}, JSON)
    assert late.status_code == 409
    assert late.json()["current"] == {"lock_version": 2}


def test_a_backtest_is_begun_watched_and_read(agreement_in_force, people, as_user):
    client = as_user(people.mia)
    address = url(agreement_in_force, "backtest")
    assert client.get(address).status_code == 404
    begun = client.post(address, {"goal": "accepted"}, JSON)
    assert begun.status_code == 202
    assert begun.json()["goal"] == "accepted"
    while runner.work_one():
        pass
    found = client.get(f"{address}?goal=accepted")
    assert (found.status_code, found.json()["state"]) == (200, "done")
    assert client.get(address).status_code == 404
    assert client.post(address, {"goal": "everything"}, JSON).status_code == 400
    assert client.get(f"{address}?goal=everything").status_code == 400


def test_a_preview_is_begun_and_read(agreement_in_force, people, make_lead, as_user):
    make_lead()
    draft = agreements.create_draft(person(people.mia))
    client = as_user(people.mia)
    assert client.get(url(draft, "preview")).status_code == 404
    begun = client.post(url(draft, "preview"), {}, JSON)
    assert begun.status_code == 202
    assert begun.json()["against"] == 1
    assert client.post(url(draft, "preview"), {}, JSON).json()["id"] == begun.json()["id"]
    found = client.get(url(draft, "preview")).json()
    assert (found["base"], found["exact"], found["enter"], found["leave"]) == (1, True, 0, 0)
    assert client.post(url(draft, "preview"), {"again": "yes"}, JSON).status_code == 400
    assert as_user(people.sam).post(url(draft, "preview"), {}, JSON).status_code == 403


@pytest.mark.parametrize("act", ["propose", "sign", "decline", "withdraw", "backtest", "preview"])
def test_an_agreement_that_is_not_there_is_not_found(act, at, people, as_user):
    client = as_user(people.noah)
    for pk in (999, 2**70):
        address = f"/api/v1/agreements/{pk}/{act}/"
        body = {"password": "x", "comment": "no, no"}.items()
        wanted = {"sign": {"password"}, "decline": {"comment"}}.get(act, set())
        answer = (
            client.get(address)
            if act == "preview"
            else client.post(address, {k: v for k, v in body if k in wanted}, JSON)
        )
        assert answer.status_code == 404


def test_why_a_score_now_then_and_as_we_would_say_today(agreement_in_force, people, make_lead, did, as_user):
    from datetime import timedelta

    from scoring import engine

    then = clock.now() - timedelta(days=20)
    with clock.use(then - timedelta(days=1)):
        lead = make_lead(title="CEO", employees=320)
        while engine.score_pending(clock.now()):
            pass
    did(lead, "webinar_attended", 25)
    while engine.score_pending(clock.now()):
        pass
    client = as_user(people.sam)
    address = f"/api/v1/leads/{lead.pk}/score/"
    at_then = {"at": then.isoformat()}
    now, known, today = (
        client.get(address, query).json() for query in ({}, at_then, {**at_then, "known_at": "now"})
    )
    for said in (now, known, today):
        assert set(said) >= {"total", "grade", "groups", "version", "at", "known_at", "lines"}
        assert set(said["lines"][0]) >= {"criterion", "text", "group", "points", "evidence"}
        assert round(sum(line["points"] for line in said["lines"])) == said["total"]
    # The webinar was told late: it was not known then, and is today.
    assert "b5" not in {line["criterion"] for line in known["lines"]}
    assert "b5" in {line["criterion"] for line in today["lines"]}
    assert client.get(address, {"at": "yesterday"}).status_code == 400
    assert client.get(address, {"known_at": "then"}).status_code == 400
