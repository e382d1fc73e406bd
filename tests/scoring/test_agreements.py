"""The life of an agreement, with every refusal in words; its release; the API."""

from datetime import timedelta

import pytest

from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.accounts.models import AuditEntry
from leadflow.errors import BadInput, Conflict, Forbidden
from leadflow.jobs import runner
from leadflow.leads.models import CustomField, Lead
from scoring import agreements, engine
from scoring.document import content_sha
from scoring.models import Agreement, Crossing, Hold, LeadScore, ScoreChange

pytestmark = pytest.mark.django_db
State = Agreement.State


@pytest.fixture
def draft(at, people):
    return agreements.create_draft(person(people.mia))


@pytest.fixture
def proposed(draft, people):
    return agreements.propose(draft, person(people.mia), note="The first")


def work() -> None:
    """What the workers do: score what waits, and the chunks of long jobs."""
    while runner.work_one():
        pass
    while engine.score_pending(clock.now()):
        pass


def hot(make_lead, did, **facts):
    """A lead above the bar of the default agreement."""
    more = {"title": "VP Operations", "employees": 320, "industry": "Software", "country": "Germany", **facts}
    lead = make_lead(**more)
    for days in (0, 1, 2):
        did(lead, "page_view", days, path="/pricing")
    did(lead, "download_buying", 4)
    return lead


# The life --------------------------------------------------------------------------------------


def test_both_sides_sign_and_it_is_in_force(proposed, people):
    agreements.sign(proposed, person(people.noah))
    assert agreements.in_force() is None
    made = agreements.sign(proposed, person(people.rosa))
    assert made.state == State.IN_FORCE
    assert agreements.in_force().pk == proposed.pk
    assert CustomField.objects.get(key="seats_wanted").locked_by_version == 1
    verbs = list(AuditEntry.objects.order_by("id").values_list("verb", flat=True))
    assert verbs == [f"agreement.{v}" for v in ("drafted", "proposed", "signed", "signed", "in_force")]


def test_an_admin_signs_for_neither_side(proposed, people):
    with pytest.raises(Forbidden, match="Only a marketing manager and a sales manager sign"):
        agreements.sign(proposed, person(people.admin))


@pytest.mark.parametrize("who", ["mia", "sam"])
def test_nobody_but_the_managers_signs(who, proposed, people):
    with pytest.raises(Forbidden):
        agreements.sign(proposed, person(getattr(people, who)))


def test_nobody_signs_twice(proposed, people):
    agreements.sign(proposed, person(people.noah))
    with pytest.raises(Conflict, match="Noah has signed for marketing already"):
        agreements.sign(proposed, person(people.noah))


def test_a_draft_cannot_be_signed(draft, people):
    with pytest.raises(Conflict, match="there is nothing to sign"):
        agreements.sign(draft, person(people.noah))


def test_a_manager_who_has_left_does_not_sign(proposed, people):
    people.noah.is_active = False
    people.noah.save()
    with pytest.raises(Forbidden):
        agreements.sign(proposed, person(people.noah))


def test_a_rep_writes_no_draft(at, people):
    with pytest.raises(Forbidden, match="Marketers and managers write"):
        agreements.create_draft(person(people.sam))


def test_there_is_one_draft_at_a_time(draft, people):
    with pytest.raises(Conflict, match="There is a draft already: version 1"):
        agreements.create_draft(person(people.noah))


def test_what_is_proposed_never_changes(proposed, people):
    with pytest.raises(Conflict, match="cannot change any more"):
        agreements.save_draft(proposed, proposed.content, person(people.mia), proposed.lock_version)


def test_the_seal_is_the_hash_of_the_content(proposed):
    again = Agreement.objects.get(pk=proposed.pk)
    assert again.sha256 == content_sha(again.content)
    assert len(again.sha256) == 64


def test_a_text_changed_behind_our_back_cannot_be_signed(proposed, people):
    content = {**proposed.content, "title": "something else"}
    Agreement.objects.filter(pk=proposed.pk).update(content=content)
    with pytest.raises(Conflict, match="does not match its seal"):
        agreements.sign(proposed, person(people.noah))


def test_an_old_copy_of_a_draft_is_not_saved_over_a_newer_one(draft, people):
    agreements.save_draft(draft, {**draft.content, "title": "A"}, person(people.mia), 1)
    with pytest.raises(Conflict, match="Somebody else saved this draft a moment ago"):
        agreements.save_draft(draft, {**draft.content, "title": "B"}, person(people.noah), 1)


def test_a_newer_proposal_voids_the_signatures_of_the_one_before(proposed, people):
    agreements.sign(proposed, person(people.noah))
    second = agreements.create_draft(person(people.mia), content=proposed.content)
    agreements.propose(second, person(people.mia))
    proposed.refresh_from_db()
    assert proposed.state == State.WITHDRAWN
    assert proposed.signatures.filter(voided_at=None).count() == 0
    with pytest.raises(Conflict):
        agreements.sign(proposed, person(people.rosa))


def test_a_side_declines_with_a_reason(proposed, people):
    with pytest.raises(BadInput, match="Say why"):
        agreements.decline(proposed, person(people.rosa), "  ")
    agreements.sign(proposed, person(people.noah))
    made = agreements.decline(proposed, person(people.rosa), "Eight a day are too many.")
    assert made.state == State.DECLINED
    assert made.declines.get().comment == "Eight a day are too many."
    assert made.signatures.filter(voided_at=None).count() == 0


def test_a_proposal_can_be_taken_back_until_it_is_in_force(proposed, people):
    assert agreements.withdraw(proposed, person(people.mia)).state == State.WITHDRAWN
    with pytest.raises(Conflict, match="too late"):
        agreements.withdraw(proposed, person(people.mia))


def test_without_its_definitions_it_is_not_proposed(draft, people):
    content = {**draft.content, "definitions": {**draft.content["definitions"], "mql": " "}}
    agreements.save_draft(draft, content, person(people.mia), 1)
    with pytest.raises(BadInput) as caught:
        agreements.propose(draft, person(people.mia))
    assert [f.path for f in caught.value.faults] == ["definitions.mql"]


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        (lambda c: c["groups"]["fit"].update(cap=-40), "groups.fit", "below the floor"),
        (lambda c: c["criteria"][0].update(points=1.5), "criteria[0].points", "whole number"),
        (
            lambda c: c["criteria"][0].update(condition={"all": []}),
            "criteria[0].condition.all",
            "at least one",
        ),
        (
            lambda c: c["criteria"][0].update(condition={"fact": "shoe_size", "op": "known"}),
            "criteria[0].condition.fact",
            "no fact “shoe_size”",
        ),
        (
            lambda c: c["criteria"][0].update(condition={"criterion": "f1"}),
            "criteria[0].condition",
            "asks for itself in a circle",
        ),
        (
            lambda c: c["criteria"][0].update(
                condition={"not": {"not": {"not": {"not": {"not": {"not": {"contactable": True}}}}}}}
            ),
            "criteria[0].condition.not.not.not.not.not.not",
            "more than 6 deep",
        ),
    ],
)
def test_a_broken_rule_never_saves_and_says_where(change, path, words, draft, people):
    import copy

    content = copy.deepcopy(draft.content)
    change(content)
    with pytest.raises(BadInput) as caught:
        agreements.save_draft(draft, content, person(people.mia), 1)
    found = {f.path: f.message for f in caught.value.faults}
    assert path in found
    assert words in found[path]


def test_it_comes_into_force_on_its_day(draft, people):
    now = clock.now()
    day = now + timedelta(days=3)
    agreements.propose(draft, person(people.mia), in_force_from=day)
    agreements.sign(draft, person(people.noah))
    made = agreements.sign(draft, person(people.rosa))
    assert made.state == State.SIGNED
    assert agreements.start_due(now + timedelta(days=2)) == 0
    with clock.use(day):
        assert agreements.start_due(day) == 1
        assert agreements.start_due(day) == 0
    assert agreements.in_force().in_force_at == day


@pytest.mark.parametrize("days", [-1, 400])
def test_its_day_is_within_a_year(days, draft, people):
    with pytest.raises(BadInput, match="from today to a year ahead"):
        agreements.propose(draft, person(people.mia), in_force_from=clock.now() + timedelta(days=days))


def test_the_new_version_supersedes_the_old_in_the_same_instant(at, agreement_in_force, people):
    second = agreements.create_draft(person(people.mia))
    agreements.propose(second, person(people.mia))
    agreements.sign(second, person(people.rosa))
    agreements.sign(second, person(people.noah))
    agreement_in_force.refresh_from_db()
    second.refresh_from_db()
    assert (agreement_in_force.state, second.state) == (State.SUPERSEDED, State.IN_FORCE)
    assert agreement_in_force.superseded_at == second.in_force_at


# Release -----------------------------------------------------------------------------------------


def test_before_the_first_is_signed_scores_are_a_preview(draft, make_lead, did, people):
    lead = hot(make_lead, did)
    work()
    score = LeadScore.objects.get(lead=lead)
    assert (score.total, score.grade, score.preview) == (69, "A1", True)
    assert not ScoreChange.objects.exists()
    assert not Crossing.objects.exists()
    agreements.propose(draft, person(people.mia))
    agreements.sign(draft, person(people.noah))
    agreements.sign(draft, person(people.rosa))
    work()
    score.refresh_from_db()
    assert (score.total, score.preview) == (69, False)
    assert Crossing.objects.filter(lead=lead, kind=Crossing.Kind.BAR).count() == 1


def release_second(people, choice: str) -> Agreement:
    """A second version that differs in one point."""
    second = agreements.create_draft(person(people.mia))
    content = {**second.content, "title": "Second"}
    agreements.save_draft(second, content, person(people.mia), 1)
    agreements.propose(second, person(people.mia), release_choice=choice)
    agreements.sign(second, person(people.noah))
    return agreements.sign(second, person(people.rosa))


def test_a_release_scores_every_lead_in_chunks_and_never_crosses_twice(
    at, agreement_in_force, make_lead, did, people
):
    lead = hot(make_lead, did)
    cold = make_lead()
    work()
    assert Crossing.objects.filter(lead=lead).count() == 1
    second = release_second(people, "trickle")
    second.refresh_from_db()
    assert second.release_job_id
    work()
    work()
    assert Crossing.objects.filter(lead=lead).count() == 1
    assert set(LeadScore.objects.values_list("lead", "agreement")) == {
        (lead.pk, second.pk),
        (cold.pk, second.pk),
    }


def test_trickle_in_makes_those_above_the_bar_ready(at, people, make_lead, did):
    lead = hot(make_lead, did)
    agreements.install_default(person_marketing=people.noah, person_sales=people.rosa)
    work()
    assert LeadScore.objects.get(lead=lead).ready
    assert Crossing.objects.filter(lead=lead).exists()


def test_only_on_new_evidence_holds_those_above_the_bar(draft, people, make_lead, did):
    lead = hot(make_lead, did)
    work()
    agreements.propose(draft, person(people.mia), release_choice="new_evidence")
    agreements.sign(draft, person(people.noah))
    agreements.sign(draft, person(people.rosa))
    work()
    assert not Crossing.objects.filter(lead=lead).exists()
    assert Hold.objects.filter(lead=lead, ended_at=None).exists()
    with clock.use(clock.now() + timedelta(hours=1)):
        did(lead, "webinar_attended")
        work()
    assert Crossing.objects.filter(lead=lead).count() == 1


def test_a_lead_without_any_agreement_has_no_score(at, make_lead):
    make_lead()
    work()
    assert not LeadScore.objects.exists()
    assert Lead.objects.count() == 1


# In the browser -------------------------------------------------------------------------------------


def test_signing_asks_for_the_password(proposed, people, as_user):
    people.noah.set_password("correct horse battery")
    people.noah.save()
    client = as_user(people.noah)
    data = {"v": proposed.number, "password": "wrong"}
    response = client.post("/agreement/sign-it/", data)
    assert response.status_code == 400
    assert "This is not your password." in response.content.decode()
    assert proposed.signatures.count() == 0
    client.post("/agreement/sign-it/", {**data, "password": "correct horse battery"})
    assert proposed.signatures.get().side == "marketing"


def test_a_proposal_from_the_browser_keeps_what_was_typed_when_it_is_refused(draft, people, as_user):
    data = {"note": "For autumn", "when": "day", "in_force_from": "1999-01-01T09:00", "release": "trickle"}
    response = as_user(people.mia).post("/agreement/propose/", data)
    assert response.status_code == 400
    text = response.content.decode()
    assert "Choose a day from today to a year ahead." in text
    assert "For autumn" in text
    assert agreements.get(draft.pk).state == State.DRAFT


def test_the_first_page_teaches_how_to_begin(at, people, as_user):
    client = as_user(people.mia)
    assert "Start with our proposal" in client.get("/agreement/").content.decode()
    client.post("/agreement/start/", {"tab": "definitions"})
    assert agreements.draft() is not None
    assert "The first agreement" in client.get("/agreement/").content.decode()


# The API ------------------------------------------------------------------------------------------


def test_the_api_drafts_saves_proposes_and_shows(at, people, as_user):
    client = as_user(people.mia)
    made = client.post("/api/v1/agreements/", {}, "application/json")
    assert made.status_code == 201
    body = made.json()
    url = f"/api/v1/agreements/{body['id']}/"
    content = {**body["content"], "title": "By machine"}
    saved = client.put(url, {"content": content, "lock_version": 1}, "application/json")
    assert saved.json()["lock_version"] == 2
    late = client.put(url, {"content": content, "lock_version": 1}, "application/json")
    assert late.status_code == 409
    broken = {**content, "total": {"floor": 5, "cap": 1}}
    wrong = client.put(url, {"content": broken, "lock_version": 2}, "application/json")
    assert wrong.status_code == 400
    assert wrong.json()["errors"][0]["path"] == "total"
    assert client.get(f"{url}preview/").status_code == 404
    assert client.post(f"{url}preview/", {}, "application/json").json()["base"] == 0
    assert client.get(f"{url}preview/").json()["exact"] is True
    proposed = client.post(f"{url}propose/", {"note": "x"}, "application/json")
    assert proposed.json()["state"] == "proposed"
    assert [row["version"] for row in client.get("/api/v1/agreements/").json()["results"]] == [1]


def test_over_the_api_managers_sign_with_their_password(proposed, people, as_user):
    url = f"/api/v1/agreements/{proposed.pk}/sign/"
    people.rosa.set_password("correct horse battery")
    people.rosa.save()
    client = as_user(people.rosa)
    assert client.post(url, {"password": "no"}, "application/json").status_code == 400
    signed = client.post(url, {"password": "correct horse battery"}, "application/json")
    assert [s["side"] for s in signed.json()["signatures"]] == ["sales"]
    assert as_user(people.mia).post(url, {"password": "x"}, "application/json").status_code == 403


@pytest.mark.parametrize(
    "body", ['{"content": 5}', '{"content": {"criteria": 7}}', '{"content": []}', "[1]", '{"x": 1}']
)
def test_a_malformed_draft_is_refused_in_words(body, at, people, as_user):
    response = as_user(people.mia).post("/api/v1/agreements/", body, "application/json")
    assert response.status_code == 400
    assert response.json()["errors"]


def test_the_system_may_write_and_a_stranger_sees_the_login(at, people, client):
    assert agreements.create_draft(SYSTEM).number == 1
    assert client.get("/agreement/").status_code == 302
