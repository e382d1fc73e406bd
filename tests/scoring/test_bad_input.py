"""What cannot be a rule is told at its place, by the API and by the editor in the same words."""

import pytest

from leadflow.accounts.actors import person
from leadflow.errors import BadInput
from leadflow.leads.models import CustomField
from scoring import agreements
from tests.scoring.sample import bands, did, fact, has, once

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def draft(agreement_in_force, people):
    return agreements.create_draft(person(people.mia))


def criterion(**more):
    def change(body):
        body["criteria"].append({**once("new", "fit", 5, fact("title", "known")), **more})

    return change


def rule(condition):
    return criterion(condition=condition)


def limits(body):
    body["groups"]["fit"] = {"floor": 50, "cap": 40}


def circle(body):
    body["personas"][0]["condition"] = {"persona": "champion"}
    body["personas"][1]["condition"] = {"persona": "core"}


def criteria_circle(body):
    body["criteria"].append(once("c1", "fit", 5, has("c2")))
    body["criteria"].append(once("c2", "fit", 5, {"not": has("c1")}))


def empty_list(body):
    body["lists"]["we_sell_to"]["entries"] = []


def out_of_reach(body):
    body["thresholds"]["sql_when"] = {"score": "total", "op": "gte", "value": 101}


def no_exclusion(body):
    body["exclusions"][0]["condition"] = {}


def retyped(body):
    body["fields"][0]["type"] = "text"


TWO_COUNTRIES = {"all": [fact("country", "is", "Germany"), fact("country", "is", "France")]}
LAST = "criteria[{n}]"
BAD = {
    "contradictory": (rule(TWO_COUNTRIES), LAST + ".condition.all[1]", "cannot both hold"),
    "more than 5 and less than 3": (
        rule({"all": [fact("employees", "gt", 5), fact("employees", "lt", 3)]}),
        LAST + ".condition.all[1]",
        "cannot both hold",
    ),
    "known and unknown": (
        rule({"all": [fact("title", "known"), fact("title", "unknown")]}),
        LAST + ".condition.all[1]",
        "cannot both hold",
    ),
    "empty": (rule({}), LAST + ".condition", "A condition is expected here"),
    "empty all": (rule({"all": []}), LAST + ".condition.all", "at least one condition"),
    "a kind that does not exist": (
        rule(did("flew")),
        LAST + ".condition.did.kinds",
        "no kind of activity “flew”",
    ),
    "a fact that does not exist": (
        rule(fact("shoe", "known")),
        LAST + ".condition.fact",
        "no fact “shoe”",
    ),
    "an empty list": (empty_list, "criteria[7].condition.value", "is empty, so nobody can match"),
    "a window of no days": (rule(did("visit", days=0)), LAST + ".condition.did.days", "from 1 to 3650"),
    "half points": (criterion(points=2.5), LAST + ".points", "A whole number"),
    "points as text": (criterion(points="5"), LAST + ".points", "A whole number"),
    "no points": (criterion(points=0), LAST + ".points", "does nothing"),
    "a cap below its floor": (limits, "groups.fit", "below the floor"),
    "personas in a circle": (circle, "personas[0].condition", "asks for itself in a circle"),
    "criteria in a circle": (criteria_circle, LAST + ".condition", "asks for itself in a circle"),
    "a bar out of reach": (out_of_reach, "thresholds.sql_when.value", "No lead can reach 101"),
    "an exclusion of nobody": (no_exclusion, "exclusions[0].condition", "A condition is expected here"),
    "a retyped field": (retyped, "fields[0].type", "Make a new field for the new type"),
    "steps that fall": (
        lambda body: body["criteria"].append(bands("new", "value", {"fact": "employees"}, [[10, 5], [2, 3]])),
        LAST + ".bands",
        "from the lowest to the highest",
    ),
}


def changed(draft, change):
    body = agreements.get(draft.pk).content
    change(body)
    return body


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused_in_words_at_its_place(draft, people, as_user, name):
    change, path, words = BAD[name]
    path = path.format(n=len(draft.content["criteria"]))
    body = changed(draft, change)
    with pytest.raises(BadInput) as refused:
        agreements.save_draft(draft, body, person(people.mia), draft.lock_version)
    assert any(f.path == path and words in f.message for f in refused.value.faults), refused.value.faults
    answer = as_user(people.mia).put(
        f"/api/v1/agreements/{draft.pk}/", {"content": body, "lock_version": draft.lock_version}, JSON
    )
    assert answer.status_code == 400
    told = {(error["path"], error["message"]) for error in answer.json()["errors"]}
    assert {(f.path, f.message) for f in refused.value.faults} <= told


def test_the_editor_says_it_beside_the_part_and_saves_nothing(draft, people, as_user):
    CustomField.objects.create(key="unused", subject="lead", type="text", label="Unused")
    mia = as_user(people.mia)
    mia.defaults["HTTP_HX_REQUEST"] = "true"
    url = "/agreement/part/criterion/f4/"
    form = mia.get(url).content.decode()
    base = form.split('name="base" value="')[1].split('"')[0]
    sides = {"is": "fact", "was": "fact", "fact": "employees"}
    data = {"base": base, "act": "save", "text": "Size", "mode": "once", "points": "12", "on": "1"}
    data |= {"c.is": "all", "c.n": "2"}
    for i, (op, value) in enumerate((("gt", "5"), ("lt", "3"))):
        data |= {f"c.{i}.{k}": v for k, v in {**sides, "op": op, "value": value}.items()}
    answer = mia.post(url, data)
    assert answer.status_code == 422
    text = answer.content.decode()
    assert "“employees is more than 5” and “employees is less than 3” cannot both hold." in text
    draft.refresh_from_db()
    assert next(c for c in draft.content["criteria"] if c["id"] == "f4")["condition"]["op"] == "between"
