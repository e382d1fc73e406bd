"""GET leads/{id}/score/: why a lead has its score, now or at an instant."""

from datetime import timedelta

import pytest

from leadflow import clock
from scoring import engine
from scoring.models import LeadScore

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(agreement, make_lead, did):
    lead = make_lead(title="VP", country="Germany", company="Firm", employees=320, industry="Software")
    did(lead, "demo_requested")
    engine.score_pending(clock.now())
    return lead


@pytest.fixture
def ask(people, as_user):
    client = as_user(people.mia)

    def get(lead, **query):
        return client.get(f"/api/v1/leads/{lead if isinstance(lead, int) else lead.pk}/score/", query)

    return get


def test_the_lines_add_up_to_the_stored_total(lead, ask):
    body = ask(lead).json()
    assert body["total"] == LeadScore.objects.get(lead=lead).total
    assert round(sum(line["points"] for line in body["lines"]), 2) == body["total"]
    assert (body["version"], body["preview"]) == (1, False)
    assert {"criterion", "text", "group", "points", "evidence"} == set(body["lines"][0])


def test_at_an_instant_it_is_what_was_stored_then(lead, ask, did, at):
    with clock.use(at + timedelta(days=20)):
        did(lead, "email_unsubscribed")
        engine.score_pending(clock.now())
        before, after = ask(lead, at=(at + timedelta(days=1)).isoformat()).json(), ask(lead).json()
    assert before["total"] > after["total"]
    assert before["at"].startswith("2026-11-24T08:12")


def test_known_now_asks_the_other_question(lead, ask, at):
    body = ask(lead, at=at.isoformat(), known_at="now").json()
    assert body["known_at"].startswith("2026-11-24T08:12")


@pytest.mark.parametrize(
    "query",
    [
        {"at": "yesterday"},
        {"at": "2026-11-24T09:12:00"},
        {"at": "2026-13-45T00:00:00Z"},
        {"known_at": "never"},
    ],
)
def test_what_is_no_instant_is_refused_with_words(lead, ask, query):
    answer = ask(lead, **query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] in ("at", "known_at")


def test_unknown_and_unscored_leads_are_not_found(lead, ask, make_lead, at):
    assert ask(999_999).status_code == 404
    assert ask(2**70).status_code == 404
    assert ask(make_lead()).status_code == 404
    assert ask(lead, at=(at - timedelta(days=9)).isoformat()).status_code == 404
