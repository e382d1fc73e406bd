"""Values and counts beside a rule: from the leads that are there, at a cost that does not grow with them."""

import re

import pytest

from leadflow import clock
from leadflow.leads.models import Stage
from leadflow.leads.stages import Move, move
from scoring import current
from scoring.editing import counts, sampling
from tests.scoring.forms import FORM, open_form, sent

pytestmark = pytest.mark.django_db
VALUES = "/agreement/values/"


@pytest.fixture
def crowd(draft, make_lead, did):
    """Twelve leads: three titles, four from one country, half of them looked at prices."""
    made = []
    for n in range(12):
        title = ("VP Logistics", "Head of Logistics", "Clerk")[n % 3]
        lead = make_lead(title=title, country="Germany" if n < 4 else "France", employees=10 * n)
        if n % 2:
            did(lead, "page_view", 3, path="/pricing/plans")
        made.append(lead)
    return made


def test_values_of_a_fact_come_with_how_many_leads_have_them(crowd, mia):
    text = mia.get(f"{VALUES}?fact=country&op=is").content.decode()
    assert re.findall(r'data-value="(\w+)".*?(\d+) leads', text) == [("France", "8"), ("Germany", "4")]
    assert "about" not in text


def test_a_rule_for_words_is_offered_single_words(crowd, mia):
    text = mia.get(f"{VALUES}?fact=title&op=has_word").content.decode()
    assert re.findall(r'data-value="(\w+)"', text)[0] == "logistics"
    typed = mia.get(f"{VALUES}?fact=title&op=has_word&q=CL").content.decode()
    assert re.findall(r'data-value="(\w+)"', typed) == ["clerk"]


def test_values_of_a_property_come_from_what_leads_did(crowd, mia):
    text = mia.get(f"{VALUES}?kind=page_view&property=path&q=/pr").content.decode()
    assert re.findall(r'data-value="([^"]+)".*?(\d+) leads', text) == [("/pricing/plans", "6")]
    assert mia.get(f"{VALUES}?kind=call&property=path").content.decode().strip() == ""


def test_what_was_typed_is_never_read_as_a_pattern_or_as_sql(crowd, mia):
    for typed in ("%", "_", "'; DROP TABLE leads_lead; --", "\\", "%s", "{}", "ß" * 500):
        answer = mia.get(VALUES, {"fact": "country", "op": "is", "q": typed})
        assert answer.status_code == 200
        assert answer.content.decode().strip() == ""
    assert mia.get(VALUES, {"kind": "page_view", "property": "a'b%s", "q": ""}).status_code == 200


def test_an_unknown_fact_is_not_found(crowd, mia):
    assert mia.get(f"{VALUES}?fact=nonsense").status_code == 404
    assert mia.get(VALUES).status_code == 404


def test_addresses_and_names_are_not_offered(crowd, mia):
    assert mia.get(f"{VALUES}?fact=email&op=is").content.decode().strip() == ""


def test_suggestions_cost_the_same_at_3_and_at_300_leads(
    draft, mia, make_lead, django_assert_max_num_queries, monkeypatch
):
    monkeypatch.setattr("scoring.editing.suggest.LOOKED", 20)
    for size in (3, 40):
        for n in range(size):
            make_lead(title=f"Clerk {n}")
        with django_assert_max_num_queries(14):
            mia.get(f"{VALUES}?fact=title&op=has_word")


def test_of_a_large_base_a_spread_is_read_and_the_page_says_about(crowd, mia, monkeypatch):
    monkeypatch.setattr("scoring.editing.suggest.LOOKED", 6)
    text = mia.get(f"{VALUES}?fact=country&op=is").content.decode()
    assert "about" in text


def test_a_spread_is_even_and_leaves_out_who_is_gone(crowd):
    crowd[0].delete()
    crowd[5].erased_at = clock.now()
    crowd[5].save()
    assert sampling.people(100).base == 10
    half = sampling.people(5)
    assert not half.exact
    assert 3 <= len(half.ids) <= 5
    assert crowd[5].pk not in half.ids
    assert half.about(len(half.ids)) == 10


def test_a_count_says_shares_of_won_and_lost_and_how_often(crowd, draft, mia, people):
    for lead in crowd:
        if lead.title != "Clerk":
            move([Move(lead.pk, Stage.CUSTOMER, "test")], at=clock.now())
    counts_few = counts.FEW
    try:
        counts.FEW = 5
        text = mia.get("/agreement/live/fit/").content.decode()
    finally:
        counts.FEW = counts_few
    assert "Counted over all 12 leads" in text
    live = re.search(r'id="live-criterion-f1".*?</div>', text)[0]
    assert "<b>4</b> leads" in live
    assert "50% of won" in live


def test_few_customers_give_no_comparison(crowd, mia):
    text = mia.get("/agreement/live/fit/").content.decode()
    assert "too few customers to compare" in text
    assert "than average" not in text


def test_the_same_counts_from_a_spread_as_from_all(crowd, draft, monkeypatch):
    program = current.of(draft).program
    criteria = program.document.active_criteria
    whole = counts.of_criteria(program, criteria, clock.now())
    monkeypatch.setattr(sampling, "BOUND", 5)
    spread = counts.of_criteria(program, criteria, clock.now())
    assert {k: v.leads for k, v in whole.items()} == {k: v.leads for k, v in spread.items()}
    assert not next(iter(spread.values())).seen.exact


def test_an_open_form_counts_what_it_says_before_it_is_saved(crowd, draft, mia):
    data = sent(mia.get("/agreement/part/criterion/new/?group=fit").content.decode())
    data["c.value"] = "clerk"
    url = "/agreement/check/criterion/new/"
    assert "Matches <b>4</b> leads" in mia.post(url, data.urlencode(), FORM).content.decode()
    data["c.value"] = ""
    assert "Not finished yet" in mia.post(url, data.urlencode(), FORM).content.decode()
    assert "data-invalid" in mia.post(url, data.urlencode(), FORM).content.decode()
    assert mia.post("/agreement/check/nonsense/1/", {}).status_code == 404


def test_a_rule_in_steps_is_counted_too(crowd, draft, mia):
    bands = next(c for c in draft.content["criteria"] if c["mode"] == "bands")
    data = sent(open_form(mia, f"criterion-{bands['id']}"))
    answer = mia.post(f"/agreement/check/criterion/{bands['id']}/", data.urlencode(), FORM)
    assert "Matches" in answer.content.decode()


def test_fields_are_offered_with_how_often_they_are_known(crowd, mia):
    text = open_form(mia, "criterion-f1")
    assert "Job title (100%)" in text
    assert "(6)" in open_form(mia, "criterion-b3")
