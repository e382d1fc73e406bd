"""Conditions that nobody can fulfil are refused where they stand, and no other condition is."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scoring.conditions.check import check_condition, check_document
from scoring.conditions.fields import catalogue
from scoring.conditions.parse import parse
from scoring.conditions.sense import known_names, nonsense
from scoring.document import Document
from tests.scoring import world as w
from tests.scoring.oracle import Oracle
from tests.scoring.sample import content, did, fact, has, score

pytestmark = pytest.mark.django_db


def no(raw):
    return {"not": raw}


def sees(op, value, agg="count", days=30):
    return did("visit", days=days, agg=agg, op=op, value=value)


def places(raw, scope="bar"):
    return [fault.path for fault in check_condition(raw, Document(content()), scope=scope)]


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ([fact("country", "is", "Germany"), fact("country", "is", ["France", "Spain"])], "all[1]"),
        ([fact("country", "is", "Germany"), fact("country", "is_not", ["GERMANY"])], "all[1]"),
        ([fact("country", "is", "Germany"), no(fact("country", "is", "germany"))], "all[1].not"),
        ([fact("country", "is", "Peru"), fact("country", "in_list", "we_sell_to")], "all[1]"),
        ([fact("title", "is", "Head of Fleet"), fact("title", "has_word", ["CEO"])], "all[1]"),
        ([fact("title", "starts_with", "chief"), fact("title", "starts_with", "head")], "all[1]"),
        ([fact("employees", "gt", 5), fact("employees", "lt", 3)], "all[1]"),
        ([fact("employees", "gt", 5), fact("employees", "lte", 5)], "all[1]"),
        ([fact("employees", "eq", 5), fact("employees", "ne", 5)], "all[1]"),
        ([fact("employees", "between", [1, 5]), fact("employees", "between", [6, 9])], "all[1]"),
        ([fact("employees", "gte", 7), no(fact("employees", "gte", 5))], "all[1].not"),
        ([fact("employees", "known"), fact("employees", "unknown")], "all[1]"),
        ([fact("employees", "known"), no(fact("employees", "known"))], "all[1].not"),
        ([fact("employees", "unknown"), fact("employees", "gte", 200)], "all[1]"),
        ([fact("is_target", "is_true"), fact("is_target", "is_false")], "all[1]"),
        (
            [fact("email_domain", "domain_kind", "work"), fact("email_domain", "domain_kind", ["free_mail"])],
            "all[1]",
        ),
        ([has("b1"), no(has("b1"))], "all[1].not"),
        ([{"grade": ["A1", "A2"]}, {"grade": ["B1"]}], "all[1]"),
        ([{"stage": ["mql"]}, no({"stage": ["mql", "sql"]})], "all[1].not"),
        ([score("total", 60), {"score": "total", "op": "lt", "value": 55}], "all[1]"),
        ([{"active_days": 14}, no({"active_days": 30})], "all[1].not"),
        ([{"contactable": True}, {"contactable": False}], "all[1]"),
        ([sees("gte", 3), sees("lt", 2)], "all[1]"),
        ([sees("gte", 1), no(sees("gte", 1))], "all[1].not"),
        # Deeper: what stands in an inner "all" belongs to it, and an "any" none of whose parts fits.
        ([fact("country", "is", "Germany"), {"all": [fact("country", "is", "France")]}], "all[1].all[0]"),
        (
            [
                fact("country", "is", "Germany"),
                {"any": [fact("country", "is", "France"), fact("country", "is", "Italy")]},
            ],
            "all[1]",
        ),
        (
            [
                fact("title", "known"),
                {"any": [has("b1"), {"all": [fact("employees", "gt", 5), fact("employees", "lt", 3)]}]},
            ],
            "all[1].any[1].all[1]",
        ),
        # "Neither A nor B" beside A.
        ([has("b1"), no({"any": [has("b1"), has("b2")]})], "all[1].not.any[0]"),
    ],
)
def test_what_can_never_hold_together_is_told_at_its_place(parts, path):
    assert places({"all": parts}) == [path]


@pytest.mark.parametrize(
    "raw",
    [
        sees("lt", 0),
        sees("eq", 0.5),
        sees("gte", 40, "days"),
        sees("gte", 30, "recency"),
        sees("lte", -1, "recency"),
        {"score": "fit", "op": "lt", "value": -30},
        {"score": "value", "op": "eq", "value": 2.5},
        {"ratio": {"of": "email_clicked", "to": "email_sent", "days": 90, "min": 5}, "op": "lt", "value": 0},
        {"any": [sees("lt", 0), {"not": sees("gte", 0)}]},
    ],
)
def test_what_lies_out_of_all_reach_is_refused(raw):
    wanted = ["any[0]", "any[1].not"] if "any" in raw else [""]
    assert places(raw) == wanted


@pytest.mark.parametrize(
    "raw",
    [
        {"all": [fact("country", "is", ["Germany", "France"]), fact("country", "is", ["France"])]},
        {"all": [fact("country", "is", "Peru"), no(fact("country", "in_list", "we_sell_to"))]},
        {"all": [fact("employees", "gte", 5), fact("employees", "lte", 5)]},
        {"all": [no(fact("employees", "gte", 5)), no(fact("employees", "lt", 5))]},
        {"all": [fact("title", "contains", "sales"), fact("title", "starts_with", "head")]},
        {"all": [fact("title", "has_word", ["VP"]), no(fact("title", "has_word", ["assistant"]))]},
        {"any": [fact("country", "is", "Germany"), fact("country", "is", "France")]},
        no({"all": [fact("country", "is", "Germany"), fact("country", "is_not", "France")]}),
        no(score("total", 40)),
        {"all": [{"active_days": 30}, no({"active_days": 14})]},
        {"all": [sees("gte", 3), sees("gte", 1, days=7)]},
        {"all": [sees("gte", 2, "recency"), no(sees("gte", 5, "recency"))]},
        {"all": [has("b1", 90), no(has("b1", 30))]},
        sees("gte", 31, "days"),
        sees("gte", 29, "recency"),
        sees("eq", 0),
        score("total", 100),
    ],
)
def test_what_somebody_can_fulfil_is_not_refused(raw):
    assert places(raw) == []


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (sees("gte", 0), ""),
        (no(sees("lt", 0, "days")), "not"),
        ({"any": [fact("title", "known"), sees("gt", -1)]}, "any[1]"),
        ({"all": [fact("title", "known"), {"any": [has("b1"), sees("ne", 0.5)]}]}, "all[1].any[1]"),
    ],
)
def test_what_holds_for_everybody_says_nothing_and_is_refused_where_points_are_given(raw, path):
    assert places(raw, scope="criterion") == [path]
    assert places(raw, scope="bar") == []


def test_days_since_the_last_act_hold_only_for_who_did_it():
    assert places(sees("gte", 0, "recency"), scope="criterion") == []


def test_it_is_told_in_words():
    raw = {"all": [fact("employees", "gt", 5), fact("employees", "lt", 3)]}
    (fault,) = check_condition(raw, Document(content()))
    assert fault.message == "“employees is more than 5” and “employees is less than 3” cannot both hold."


def test_a_condition_that_names_unknown_things_is_told_only_that():
    raw = {"all": [fact("shoe", "gt", 5), fact("shoe", "lt", 3)]}
    assert places(raw) == ["all[0].fact", "all[1].fact"]


def test_steps_that_nobody_reaches_are_refused():
    body = content()
    body["criteria"].append(
        {
            "id": "new",
            "group": "behaviour",
            "mode": "bands",
            "points": 0,
            "of": {"did": {"kinds": ["visit"], "days": 7}, "agg": "days"},
            "bands": [[2, 3], [9, 5]],
        }
    )
    at = len(body["criteria"]) - 1
    assert [f.path for f in check_document(Document(body))] == [f"criteria[{at}].bands[1]"]


# Against the oracle: refused conditions hold for nobody.

TEXT = st.sampled_from(["CEO", "ceo", "VP", "Präsident (VP), Sales", "student", "pres", "Straße-CEO"])
WHOLE = st.sampled_from([0, 9, 10, 50, 50.5, 200])
ORDER = st.sampled_from(["eq", "ne", "lt", "lte", "gt", "gte"])


def leaf(key):
    ops = {
        "title": st.builds(
            lambda op, values: fact("title", op, values),
            st.sampled_from(["is", "is_not", "contains", "starts_with", "has_word"]),
            st.lists(TEXT, min_size=1, max_size=2),
        ),
        "custom.seats": st.builds(lambda op, value: fact("custom.seats", op, value), ORDER, WHOLE),
        "custom.since": st.builds(
            lambda op, value: fact("custom.since", op, value),
            ORDER,
            st.sampled_from(["2026-03-29", "2026-03-30", "2026-12-31"]),
        ),
    }
    known = st.sampled_from([fact(key, "known"), fact(key, "unknown")])
    found = ops[key] | known
    return found | found.map(no)


def visits():
    def make(agg, op, value, days):
        return did("page_view", days=days, agg=agg, op=op, value=value)

    found = st.builds(
        make,
        st.sampled_from(["count", "days", "recency"]),
        ORDER,
        st.sampled_from([-1, 0, 1, 2, 7, 14, 0.5]),
        st.sampled_from([None, 7]),
    )
    return found | found.map(no)


def group(parts):
    some = st.lists(parts, min_size=1, max_size=3)
    return st.one_of(
        some.map(lambda x: {"all": x}), some.map(lambda x: {"any": x}), some.map(lambda x: no({"any": x}))
    )


SUBJECTS = [leaf("title"), leaf("custom.seats"), leaf("custom.since"), visits()]
CONDITIONS = st.one_of(
    [
        st.lists(part | group(part), min_size=2, max_size=3).map(lambda items: {"all": items})
        for part in SUBJECTS
    ]
)


@pytest.fixture
def crowd(snapshots):
    return w.make(4, people=30, acts=160)


@settings(
    max_examples=400,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(raw=CONDITIONS)
def test_nobody_fulfils_what_is_refused(crowd, raw):
    body = content(fields=w.FIELDS)
    document = Document(body)
    names = known_names(document, catalogue(document))
    faults = list(nonsense(parse(raw), "", names))
    if not _refused_as_a_whole(raw, faults):
        return
    for at in (w.AT, w.AT - timedelta(days=14)):
        for person in crowd.people:
            assert not Oracle(body, crowd, person, at, at).holds(raw), faults


def _refused_as_a_whole(raw, faults):
    """A fault inside an "any" spoils only that branch."""
    return any("any[" not in fault.path for fault in faults)
