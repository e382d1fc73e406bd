"""Reading, checking and telling conditions."""

import pytest

from leadflow.errors import BadInput
from scoring.conditions.check import check_condition, check_document
from scoring.conditions.explain import sentence, words_for
from scoring.conditions.parse import MAX_LEAVES, parse
from scoring.document import Document
from tests.scoring.sample import content, did, fact, has, once, score


def paths(raw):
    with pytest.raises(BadInput) as caught:
        parse(raw)
    return [f.path for f in caught.value.faults]


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({}, ""),
        ([], ""),
        ({"all": []}, "all"),
        ({"all": [fact("title", "known"), {"any": [{"fact": "title", "op": "is"}]}]}, "all[1].any[0].value"),
        ({"all": [{"nothing": 1}]}, "all[0]"),
        ({"all": [fact("title", "known")], "any": []}, ""),
        ({"not": {"fact": "employees", "op": "gte", "value": "many"}}, "not.value"),
        ({"fact": "employees", "op": "between", "value": [5, 1]}, "value"),
        ({"fact": "employees", "op": "gte", "value": True}, "value"),
        ({"fact": "employees", "op": "gte", "value": float("inf")}, "value"),
        ({"fact": "title", "op": "likes", "value": "x"}, "op"),
        ({"fact": "title", "op": "is", "value": "x\x00"}, "value"),
        ({"did": {"kinds": []}}, "did.kinds"),
        ({"did": {"kinds": ["visit"], "days": 0}}, "did.days"),
        ({"did": {"kinds": ["visit"], "wher": []}}, "did.wher"),
        ({"ratio": {"of": "email_clicked", "to": "email_sent"}, "op": "gte", "value": 0.2}, "ratio.days"),
        ({"active_days": "14"}, "active_days"),
        ({"contactable": 1}, "contactable"),
        ({"score": "sum", "op": "gte", "value": 1}, "score"),
    ],
)
def test_a_fault_names_its_place(raw, path):
    assert path in paths(raw)


def test_a_condition_that_is_too_deep_is_refused():
    raw = fact("title", "known")
    for _ in range(6):
        raw = {"not": raw}
    assert paths(raw) == ["not.not.not.not.not.not"]


def test_a_condition_with_too_many_parts_is_refused():
    assert paths({"any": [fact("title", "known")] * (MAX_LEAVES + 1)}) == [f"any[{MAX_LEAVES}]"]


@pytest.mark.django_db
def test_the_sample_agreement_is_sound():
    assert check_document(Document(content())) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (fact("shoe_size", "gte", 40), "fact"),
        (fact("custom.nothing", "known"), "fact"),
        (fact("title", "gte", 5), "op"),
        (fact("country", "has_word", ["de"]), "op"),
        (fact("country", "in_list", "nowhere"), "value"),
        (fact("title", "domain_kind", "work"), "op"),
        (fact("employees", "gte", "2026-01-01"), "value"),
        (did("flew"), "did.kinds"),
        (did("visit", where=[{"property": "shoe", "op": "is", "value": "x"}]), "did.where[0].property"),
        (
            did("trial_started", where=[{"property": "seats", "op": "contains", "value": "x"}]),
            "did.where[0].op",
        ),
        ({"all": [has("b99")]}, "all[0].criterion"),
        ({"persona": "nobody"}, "persona"),
        ({"grade": ["E1"]}, "grade"),
        ({"stage": ["limbo"]}, "stage"),
        (score("total", 101), "value"),
        ({"handoff": "kind", "op": "is", "value": "bar"}, ""),
    ],
)
def test_a_rule_on_something_that_does_not_exist_or_fit_is_refused(raw, path):
    assert [f.path for f in check_condition(raw, Document(content()))] == [path]


@pytest.mark.django_db
def test_a_criterion_cannot_ask_for_points():
    faults = check_condition(score("total", 5), Document(content()), scope="criterion")
    assert "cannot ask for points" in faults[0].message


def broken(change):
    body = content()
    change(body)
    return [f.path for f in check_document(Document(body))]


@pytest.mark.django_db
def test_faults_of_a_document_are_told_at_their_place():
    def circle(body):
        body["criteria"][1]["condition"] = {"not": has("f3")}

    def floor(body):
        body["groups"]["fit"] = {"floor": 50, "cap": 40}

    def half_points(body):
        body["criteria"][0]["points"] = 1.5

    def two_ages(body):
        body["criteria"].append(once("new", "behaviour", 5, {"any": [did("visit"), did("form")]}, 10))

    def twice(body):
        body["criteria"].append(once("f1", "fit", 5, fact("title", "known")))

    def no_bar(body):
        del body["thresholds"]["sql_when"]

    assert broken(circle) == ["criteria[1].condition", "criteria[2].condition"]
    assert broken(floor) == ["groups.fit"]
    assert broken(half_points) == ["criteria[0].points"]
    assert broken(two_ages) == [f"criteria[{len(content()['criteria'])}].decay"]
    assert broken(twice) == [f"criteria[{len(content()['criteria'])}].id"]
    assert broken(no_bar) == ["thresholds.sql_when"]


@pytest.mark.django_db
def test_conditions_are_told_in_english():
    words = words_for(Document(content()))
    told = {
        sentence(raw, words): raw
        for raw in (
            fact("title", "has_word", ["CEO", "CFO", "VP"]),
            fact("employees", "between", [50, 1000]),
            {"all": [fact("country", "known"), {"not": fact("country", "in_list", "we_sell_to")}]},
            did("page_view", where=[{"property": "path", "op": "starts_with", "value": "/pricing"}], days=30),
            {"active_days": 14},
            score("total", 55),
            {"grade": ["A1", "B1"]},
        )
    }
    assert list(told) == [
        "job title has the word CEO, CFO or VP",
        "employees is 50 to 1,000",
        "country is known and country is not in the list “We sell to”",
        "viewed a page under /pricing in the last 30 days",
        "active in the last 14 days",
        "score 55 or more",
        "grade A1 or B1",
    ]
