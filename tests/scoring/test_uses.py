"""What an agreement names is found wherever it stands, and its own fields are signed with their types."""

import pytest

from leadflow.accounts.actors import person
from leadflow.clock import now
from leadflow.leads.models import ActivityKind, CustomField
from scoring import agreements
from scoring.conditions.check import check_document
from scoring.conditions.uses import uses_of, with_fields
from scoring.default import default_content
from scoring.document import Document
from tests.scoring.sample import content, did, fact, once

pytestmark = pytest.mark.django_db


def rule(condition):
    return content(criteria=[once("new", "fit", 5, condition)])


def paths(body, **how):
    return [f.path for f in check_document(Document(body), **how)]


def test_facts_kinds_and_lists_are_found_wherever_they_stand():
    uses = uses_of(default_content())
    assert {"title", "employees", "custom.seats_wanted", "email_domain", "last_acts"} <= uses.facts
    assert {"demo_requested", "email_sent", "page_view", "webinar_attended"} <= uses.kinds
    assert {"we_sell_to", "target_industries"} <= uses.lists


def test_a_rule_on_an_own_field_takes_the_field_into_the_agreement(people, at):
    CustomField.objects.create(key="fleet", subject="company", type="number", label="Vehicles")
    draft = agreements.create_draft(person(people.noah))
    body = {**draft.content, "criteria": [*draft.content["criteria"]]}
    body["criteria"].append(once("f12", "fit", 3, fact("custom.fleet", "gte", 20)))
    saved = agreements.save_draft(draft, body, person(people.noah), draft.lock_version)
    assert {"key": "fleet", "subject": "company", "type": "number", "label": "Vehicles"} in saved.content[
        "fields"
    ]
    assert with_fields(saved.content) is saved.content


def test_a_field_of_another_type_than_today_is_refused_at_its_place():
    CustomField.objects.create(key="seats_wanted", subject="lead", type="text", label="Seats")
    assert "fields[0].type" in paths(content(fields=default_content()["fields"]))


def test_what_is_retired_may_stand_in_a_draft_and_is_not_signed():
    ActivityKind.objects.filter(key="question").update(active=False)
    CustomField.objects.create(key="old", subject="lead", type="text", label="Old", retired_at=now())
    for body, place in (
        (rule(did("question")), "criteria[0].condition.did.kinds"),
        (rule(fact("custom.old", "known")), "criteria[0].condition.fact"),
    ):
        assert place not in paths(body)
        assert place in paths(body, complete=True)


def test_a_value_that_a_choice_does_not_have_is_refused():
    CustomField.objects.create(
        key="tier", subject="lead", type="text", label="Tier", options=["Gold", "Silver"]
    )
    assert "criteria[0].condition.value" in paths(rule(fact("custom.tier", "is", "Bronze")))
    assert "criteria[0].condition.value" not in paths(rule(fact("custom.tier", "is", "GOLD")))


def test_must_know_names_facts_that_exist():
    assert paths(content(must_know=["name", "last_acts", "phone_or_email"])) == []
    assert paths(content(must_know=["shoe_size"])) == ["must_know"]


def test_a_persona_is_checked_with_its_twin():
    body = content()
    body["personas"] = [
        {"key": "p", "name": "P", "condition": None, "not_ideal": {"condition": fact("shoe", "known")}},
        {"key": "p", "name": "Again", "condition": None},
    ]
    found = paths(body)
    assert "personas[0].not_ideal.condition.fact" in found
    assert "personas[1].key" in found


def test_personas_that_ask_for_each_other_are_a_circle():
    body = content()
    body["personas"] = [
        {"key": "a", "name": "A", "condition": {"persona": "b"}},
        {"key": "b", "name": "B", "condition": {"not": {"persona": "a"}}},
    ]
    assert {"personas[0].condition", "personas[1].condition"} <= set(paths(body))


def test_a_stage_without_words_or_owner_is_not_signed():
    body = default_content("UTC", {"free_mail": "a", "throwaway": "b"})
    assert paths(body, complete=True) == []
    body["stages"][2] |= {"text": " ", "owner": ""}
    assert paths(body) == []
    assert paths(body, complete=True) == ["stages[2].text", "stages[2].owner"]


@pytest.mark.parametrize(
    ("place", "name"),
    [("personas", "key"), ("exclusions", "id"), ("sla", "key"), ("tracks", "key"), ("stages", "stage")],
)
def test_each_part_has_a_key_of_its_own(place, name):
    body = default_content("UTC", {"free_mail": "a", "throwaway": "b"})
    body[place].append(body[place][0])
    last = len(body[place]) - 1
    assert {f"{place}[0].{name}", f"{place}[{last}].{name}"} <= set(paths(body))
    body[place][last] = {**body[place][0], name: ""}
    assert f"{place}[{last}].{name}" in paths(body)


def test_only_the_lowest_level_is_for_everybody():
    body = default_content("UTC", {"free_mail": "a", "throwaway": "b"})
    levels = [i for i, row in enumerate(body["stages"]) if row["level"]]
    body["stages"][levels[-1]]["condition"] = None
    assert paths(body) == [f"stages[{levels[-1]}].condition"]
