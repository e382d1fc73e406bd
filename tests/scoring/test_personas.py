"""A lead is the first persona that holds; one that only looks like it is told as its twin."""

import pytest

from scoring import personas
from tests.scoring.sample import content, fact

pytestmark = pytest.mark.django_db

OPERATIONS = {
    "key": "core",
    "name": "Head of operations",
    "text": "Runs operations.",
    "pains": ["Plans by hand"],
    "goals": [],
    "questions": ["How long until it works?"],
    "condition": fact("title", "has_word", ["director", "founder"]),
    "not_ideal": {
        "name": "Founder of a tiny firm",
        "text": "Likes us, cannot use half of it.",
        "condition": {"all": [fact("title", "has_word", ["founder"]), fact("employees", "lt", 10)]},
    },
}
CHAMPION = {"key": "champion", "name": "Champion", "condition": fact("title", "has_word", ["manager"])}


@pytest.fixture
def two(put_in_force, at):
    return put_in_force(content(personas=[OPERATIONS, CHAMPION]))


def told(seen):
    return seen and (seen.name, seen.ideal)


def test_each_lead_is_the_first_persona_that_holds(two, make_lead, at):
    leads = [
        make_lead(title="Director of Fleet"),
        make_lead(title="Fleet manager"),
        make_lead(title="Founder", company="Tiny", employees=3),
        make_lead(title="Assistant"),
    ]
    seen = personas.of([lead.pk for lead in leads], at)
    assert [told(seen.get(lead.pk)) for lead in leads] == [
        ("Head of operations", True),
        ("Champion", True),
        ("Founder of a tiny firm", False),
        None,
    ]


def test_what_is_kept_at_an_offer_says_what_they_ask(two, make_lead, at):
    lead = make_lead(title="Director")
    kept = personas.of([lead.pk], at)[lead.pk].as_json()
    assert kept["questions"] == ["How long until it works?"]
    assert (kept["name"], kept["ideal"]) == ("Head of operations", True)


def test_an_agreement_without_personas_asks_nothing(
    put_in_force, make_lead, at, django_assert_max_num_queries
):
    put_in_force(content(personas=[{"key": "words", "name": "Only words", "condition": None}]))
    lead = make_lead(title="Director")
    personas.of([lead.pk], at)
    with django_assert_max_num_queries(1):
        assert personas.of([lead.pk], at) == {}


def test_many_leads_cost_one_statement(two, make_lead, at, django_assert_max_num_queries):
    ids = [make_lead(title="Director").pk for _ in range(12)]
    personas.of(ids, at)
    with django_assert_max_num_queries(2):
        assert len(personas.of(ids, at)) == 12
