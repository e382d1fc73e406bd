"""Who is left out stands in one list, with the rule that does it, and is counted as one place."""

import re

import pytest

from leadflow import audit
from leadflow.leads.models import Lead
from scoring import engine, exclusions

pytestmark = pytest.mark.django_db


def score(at):
    while engine.score_pending(at):
        pass


@pytest.fixture
def crowd(agreement_in_force, make_lead, at):
    students = [make_lead(title="Student", name=f"Student {n}") for n in range(3)]
    throwaway = make_lead(email="x@mailinator.com", name="Gone")
    good = make_lead(title="Head of Fleet", name="Good")
    score(at)
    return students, throwaway, good


def test_each_lead_is_listed_by_the_first_rule_that_leaves_it_out(crowd, people, as_user, at):
    students, throwaway, good = crowd
    found = exclusions.of([lead.pk for lead in (*students, throwaway, good)], at)
    assert good.pk not in found
    assert {found[s.pk].id for s in students} == {"x2"}
    assert found[throwaway.pk].id == "x1"
    text = as_user(people.sam).get("/agreement/left-out/").content.decode()
    assert "4 leads are left out" in text
    assert "Good" not in text
    only = as_user(people.sam).get("/agreement/left-out/?by=x1").content.decode()
    assert "Gone" in only
    assert "Student 1" not in only


def test_the_list_goes_out_as_a_file_that_no_spreadsheet_runs(crowd, people, as_user):
    answer = as_user(people.mia).get("/agreement/left-out/?format=csv")
    body = b"".join(answer.streaming_content).decode()
    assert body.count("student") >= 3
    assert "left out by" in body


def test_left_out_is_one_place_in_the_books(crowd, people, as_user, at):
    assert audit.places()["excluded"] == 4
    assert sum(audit.places().values()) == Lead.objects.count()
    assert list(audit.strays(at)) == []
    cracks = as_user(people.noah).get("/reports/cracks/").content.decode()
    assert re.search(r"<a href=./agreement/left-out/.[^>]*>Left out: not a lead</a>", cracks)


def test_nobody_left_out_says_so(agreement_in_force, people, as_user):
    assert "Nobody is left out" in as_user(people.sam).get("/agreement/left-out/").content.decode()


@pytest.mark.parametrize("n", [3, 30])
def test_the_page_asks_as_often_for_thirty_as_for_three(
    agreement_in_force, make_lead, people, as_user, at, django_assert_max_num_queries, n
):
    for _ in range(n):
        make_lead(title="Student")
    score(at)
    client = as_user(people.sam)
    client.get("/agreement/left-out/")
    with django_assert_max_num_queries(10):
        assert client.get("/agreement/left-out/").status_code == 200
