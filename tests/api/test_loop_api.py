"""The API of questions, content, campaigns, customers, and of outcomes as they are read and matched."""

import pytest

from feedback.models import Question
from leadflow.accounts.actors import SYSTEM
from leadflow.accounts.keys import SCOPES, create_key
from leadflow.leads.models import Content, Outcome, UnmatchedOutcome

pytestmark = pytest.mark.django_db
J = "application/json"


@pytest.fixture
def call(client, at, people):
    key = create_key(SYSTEM, "CRM", list(SCOPES))[1]

    def ask(method, path, body=None, **headers):
        headers = {"Authorization": f"Bearer {key}", **headers}
        more = {"data": body, "content_type": J} if body is not None else {}
        return getattr(client, method)(f"/api/v1/{path}", headers=headers, **more)

    return ask


def test_questions_come_in_grouped_and_bad_rows_are_told(call, make_lead, people):
    lead = make_lead()
    rows = [
        {"text": "Two depots?", "email": lead.email, "asked_by": "sam@example.com"},
        {"text": "Two  depots ?", "lead_id": lead.pk, "asked_by": "SAM@example.com"},
        {"text": "Two depots?", "email": "nobody@x.example", "asked_by": "sam@example.com"},
        {"text": "Nobody heard it", "lead_id": lead.pk},
        {"text": "x" * 600},
        "what",
    ]
    answer = call("post", "questions/", rows)
    assert answer.status_code == 202, answer.content
    said = answer.json()
    assert said["accepted"] == 2
    assert [row["index"] for row in said["rejected"]] == [2, 3, 4, 5]
    assert said["rejected"][0]["errors"][0]["path"] == "lead_id"
    assert len({row["group"] for row in said["questions"]}) == 1
    first = said["questions"][0]["id"]
    done = call("post", f"questions/{first}/answer/", {"text": "Yes."})
    assert done.json()["answer"] == "Yes."
    assert call("post", f"questions/{first}/answer/", {"content": "none"}).status_code == 400
    listed = call("get", "questions/?limit=1").json()
    assert listed["results"][0]["answer"] == "Yes."
    assert len(call("get", listed["next"].partition("/api/v1/")[2]).json()["results"]) == 1
    assert call("get", "questions/?kind=gossip").status_code == 400
    assert call("get", "questions/999/").status_code == 404


def test_content_is_added_changed_retired_and_found_by_a_question(call):
    assert call("post", "content/", {"title": "Two depots, one plan", "key": "two-depots"}).status_code == 201
    assert call("post", "content/", {"title": "Other", "key": "two-depots"}).status_code == 400
    changed = call("patch", "content/two-depots/", {"question": "Does it handle two depots?"}).json()
    assert changed["question"] == "Does it handle two depots?"
    assert [row["key"] for row in call("get", "content/?like=handle two depots").json()["results"]] == [
        "two-depots"
    ]
    assert call("patch", "content/two-depots/", {"active": False}).json()["active"] is False
    assert call("get", "content/").json()["results"] == []
    assert not Content.objects.get().active
    assert call("get", "content/none/").status_code == 404


def test_campaigns_tell_what_came_of_them(call, make_lead):
    made = call("post", "campaigns/", {"name": "Autumn", "code": "autumn", "cost": 300})
    assert made.status_code == 201, made.content
    make_lead(campaign="autumn")
    found = call("get", "campaigns/autumn/").json()
    assert (found["leads"], found["cost_per"]["leads"]) == (1, 300)
    assert (
        call("patch", "campaigns/autumn/", {"ends_on": "2020-01-01", "starts_on": "2020-02-01"}).status_code
        == 400
    )
    assert call("post", "campaigns/", {"name": "X2", "cost": -1}).status_code == 400
    assert len(call("get", "campaigns/").json()["results"]) == 1


def test_outcomes_are_read_page_by_page_and_strays_matched(call, make_lead):
    lead = make_lead()
    rows = [{"source": "crm", "external_id": f"d{n}", "kind": "won", "email": lead.email} for n in range(3)]
    rows.append({"source": "crm", "external_id": "lost one", "kind": "won", "email": "nobody@x.example"})
    answer = call("post", "outcomes/", rows).json()
    assert (answer["accepted"], len(answer["rejected"])) == (3, 1)
    early = {
        "source": "crm",
        "external_id": "e",
        "kind": "lost",
        "lead_id": lead.pk,
        "at": "2001-01-01T00:00:00Z",
    }
    assert "before the lead existed" in call("post", "outcomes/", early).json()["notes"][0]["message"]
    first = call("get", f"outcomes/?limit=2&lead_id={lead.pk}").json()
    rest = call("get", first["next"].partition("/api/v1/")[2]).json()
    assert [len(first["results"]), len(rest["results"])] == [2, 2]
    stray = call("get", "outcomes/unmatched/").json()["results"][0]
    assert stray["said"]["external_id"] == "lost one"
    matched = call("post", f"outcomes/unmatched/{stray['id']}/match/", {"lead_id": lead.pk})
    assert matched.status_code == 200, matched.content
    assert Outcome.objects.get(external_id="lost one").lead == lead
    assert not UnmatchedOutcome.objects.exists()
    assert call("get", "customers/?month=2026-11").json()[0]["lead_id"] == lead.pk
    assert call("get", f"customers/{lead.pk}/").json()["outcomes"][-1]["undated"] is True
    assert call("get", "customers/?month=x").status_code == 400


def test_a_person_sends_a_piece_and_a_key_does_not(call, offered_to_sam, as_user, people):
    piece = Content.objects.create(key="roi", title="ROI sheet", url="https://x.example/roi")
    path = f"handoffs/{offered_to_sam.pk}/send/"
    assert call("post", path, {"content": piece.key}).status_code == 403
    sam = as_user(people.sam)
    sent = sam.post(f"/api/v1/{path}", {"content": piece.key}, content_type=J)
    assert sent.status_code == 200, sent.content
    assert sent.json()["mailto"].startswith("mailto:")
    assert Question.objects.count() == 0


@pytest.fixture
def offered_to_sam(at, people, make_lead):
    from handoff.models import Handoff

    return Handoff.objects.create(
        lead=make_lead(), kind="bar", state="accepted", owner=people.sam, team=people.north, offered_at=at,
        first_offered_at=at, accepted_at=at, changed_at=at,
    )  # fmt: skip
