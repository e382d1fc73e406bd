"""Personas, stages and definitions as people read them; who a lead is; what sales must still find out."""

import pytest

from handoff.machine import open_pending
from handoff.models import Handoff
from leadflow.accounts.actors import person
from leadflow.leads.models import Lead
from scoring import agreements, engine

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft(agreement_in_force, people):
    return agreements.create_draft(person(people.mia))


def page(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def test_the_first_page_shows_words_personas_and_every_stage_in_one_table(
    agreement_in_force, people, as_user
):
    text = page(as_user(people.sam), "/agreement/definitions/")
    for said in (
        "Fits and has shown interest",
        "The head of operations",
        "Work is planned by hand",
        "How long until it works?",
        "Looks like it and is not: The founder of a tiny firm.",
        "Researcher",
        "whatever the points say",
        "score 40 or more",
        "or at once:",
    ):
        assert said in text, said
    assert text.count('<table class="lf-table lf-stages">') == 1
    assert "Change" not in text.split("lf-stages")[1].split("</table>")[0]


def test_a_definition_that_is_missing_is_told_at_its_place_and_keeps_the_draft_from_being_proposed(
    draft, people, as_user
):
    body = {**draft.content, "definitions": {**draft.content["definitions"], "good_lead": " "}}
    agreements.save_draft(draft, body, person(people.mia), draft.lock_version)
    words = "Say what a good lead is: without it nobody can propose."
    assert words in page(as_user(people.mia), "/agreement/definitions/")
    assert "definitions.good_lead" in [f.path for f in agreements.faults_of(body, complete=True)]


def test_a_stage_and_a_persona_are_changed_on_the_first_page(draft, people, as_user):
    mia = as_user(people.mia)
    mia.defaults["HTTP_HX_REQUEST"] = "true"
    form = mia.get("/agreement/part/stage/mql/").content.decode()
    assert "What it means" in form
    base = form.split('name="base" value="')[1].split('"')[0]
    data = {"text": "Worth a call one day.", "owner": "sales", "base": base, "act": "save"}
    answer = mia.post("/agreement/part/stage/mql/", data)
    assert "Worth a call one day." in answer.content.decode()
    draft.refresh_from_db()
    row = next(row for row in draft.content["stages"] if row["stage"] == "mql")
    assert (row["text"], row["owner"]) == ("Worth a call one day.", "sales")
    assert "Who this is" in mia.get("/agreement/part/persona/core/").content.decode()


def test_the_lead_page_says_which_persona_a_lead_is(agreement_in_force, people, as_user, make_lead, at):
    client = as_user(people.sam)
    head = make_lead(title="Head of Fleet", company="Brückner", employees=320)
    tiny = make_lead(title="CEO", company="Tiny", employees=3)
    other = make_lead(title="Accountant")
    assert "The head of operations" in page(client, f"/leads/{head.pk}/persona/")
    assert "only looks like The head of operations" in page(client, f"/leads/{tiny.pk}/persona/")
    assert "none of ours" in page(client, f"/leads/{other.pk}/persona/")
    assert f"/leads/{head.pk}/persona/" in page(client, f"/leads/{head.pk}/")


@pytest.fixture
def handoff(agreement_in_force, people, make_lead, did, at):
    lead = make_lead(
        name="", title="", company="Brückner", employees=320, country="Germany", source="", phone="+49 40 1"
    )
    did(lead, "demo_requested", 0.01)
    while engine.score_pending(at):
        pass
    open_pending(at, 10)
    return Handoff.objects.get(lead=lead)


def test_sales_sees_what_is_missing_and_fills_it_in_where_it_reads_it(handoff, people, as_user):
    owner = as_user(handoff.owner)
    owner.defaults["HTTP_HX_REQUEST"] = "true"
    panel = page(owner, f"/queue/{handoff.pk}/")
    assert "Ask or add: Job title" in panel
    url = f"/leads/{handoff.lead_id}/fact/title/"
    assert url in panel
    assert 'name="value"' in page(owner, url)
    owner.post(url, {"value": "Head of Fleet"})
    assert Lead.objects.get(pk=handoff.lead_id).title == "Head of Fleet"
    assert "Ask or add: Job title" not in page(owner, f"/queue/{handoff.pk}/")


def test_the_lead_page_counts_what_sales_must_know_and_does_not(handoff, people, as_user):
    text = page(as_user(people.sam), f"/leads/{handoff.lead_id}/")
    assert "must-knows missing" in text
    assert "Ask or add" in text
