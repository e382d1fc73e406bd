"""Try a lead: a real one or an imaginary one, every rule, why or why not, and nothing is left behind."""

import re

import pytest
from django.db import connection
from django.test import Client

from leadflow import clock
from leadflow.errors import BadInput
from leadflow.leads.models import Lead
from scoring import engine
from scoring.trying import firing, imaginary
from scoring.trying.imaginary import Act
from tests.scoring.test_whatif import drafted, other_points

pytestmark = pytest.mark.django_db
PAGE = "/agreement/try/"
TABLES = (
    "leads_lead",
    "leads_company",
    "leads_activity",
    "leads_leadchanged",
    "leads_factchange",
    "leads_visitor",
)
GOOD = {"title": "VP Operations", "country": "Germany", "employees": "320", "industry": "Software"}


@pytest.fixture
def mia(at, people, as_user, agreement_in_force) -> Client:
    return as_user(people.mia)


def text_of(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def counts() -> list[int]:
    with connection.cursor() as cursor:
        found = []
        for table in TABLES:
            cursor.execute(f"SELECT count(*) FROM {table}")
            found.append(cursor.fetchone()[0])
    return found


def test_an_imaginary_lead_scores_as_the_same_lead_would_if_it_were_real(
    at, agreement_in_force, make_lead, did
):
    acts = [Act("page_view", 3, 1, "/pricing"), Act("download_buying", 1, 4)]
    with imaginary.lead({**GOOD, "email": "x@acme.example"}, acts) as key:
        made = firing.tried(key, agreement_in_force, clock.now())
    real = make_lead(**{**GOOD, "employees": 320}, email="real@acme2.example")
    for day in (1, 2, 3):
        did(real, "page_view", day, path="/pricing")
    did(real, "download_buying", 4)
    told = engine.explain(real.pk, at=clock.now())
    assert made is not None
    assert (made.told.total, made.told.grade, made.told.groups) == (told.total, told.grade, told.groups)
    assert sum(line.points for line in made.told.lines) == made.told.total


def test_nothing_of_an_imaginary_lead_stays_behind(at, agreement_in_force, make_lead):
    make_lead(email="jo@acme.example", employees=10)
    before = counts()
    with imaginary.lead({**GOOD, "email": "jo@acme.example"}, [Act("demo_requested", 2, 0)]) as key:
        assert Lead.objects.filter(pk=key).exists()
        assert counts() != before
    assert counts() == before
    assert not Lead.objects.filter(pk=key).exists()


def test_what_a_real_lead_could_not_have_is_refused_in_words(at, agreement_in_force):
    before = counts()
    for values, acts, path in (
        ({"employees": "many"}, [], "fact.employees"),
        ({}, [Act("no_such_kind", 1, 0)], "act.0.kind"),
        ({}, [Act("page_view", 99, 0)], "act.0.times"),
        ({}, [Act("page_view", 1, -1)], "act.0.days"),
    ):
        with pytest.raises(BadInput) as caught, imaginary.lead(values, acts):
            pass
        assert [fault.path for fault in caught.value.faults] == [path]
    assert counts() == before


def test_every_rule_of_both_versions_stands_side_by_side(mia, people, make_lead, did, agreement_in_force):
    lead = make_lead(**{**GOOD, "employees": 320})
    did(lead, "page_view", 1, path="/pricing")
    draft = drafted(people, other_points)
    page = mia.get(f"{PAGE}?lead={lead.pk}")
    one, two = page.context["one"], page.context["two"]
    assert (one.agreement.pk, two.agreement.pk) == (draft.pk, agreement_in_force.pk)
    on = [c for c in agreement_in_force.content["criteria"] if c["on"]]
    assert sum(len(group["lines"]) for group in page.context["groups"]) == len(on)
    assert one.told.total > two.told.total
    assert "not in it" in text_of(page)  # the rule that the draft switched off
    for side in (one, two):
        assert (
            sum(fire.points for fire in side.fires)
            + sum(line.points for line in side.told.lines if not line.criterion)
            == side.told.total
        )


def test_it_is_said_whether_it_would_go_to_sales_and_why_not(mia, people, make_lead, did):
    clerk = make_lead(title="Clerk", country="Germany")
    page = text_of(mia.get(f"{PAGE}?lead={clerk.pk}"))
    assert "Does not go to sales" in page
    assert "below the bar for sales" in page
    demo = {
        "imaginary": "1",
        "f.email": "x@acme.example",
        "a0.kind": "demo_requested",
        "f.phone": "+49 30 123456",
    }
    said = text_of(mia.get(PAGE, {**demo, **{f"f.{key}": value for key, value in GOOD.items()}}))
    assert "Goes to sales at once" in said


def test_an_address_shows_the_same_to_somebody_else(at, mia, people, as_user, make_lead):
    lead = make_lead(title="Director")
    address = f"{PAGE}?lead={lead.pk}"
    assert mia.get(address).status_code == as_user(people.rosa).get(address).status_code == 200
    assert as_user(people.sam).get(address).status_code == 403
    assert mia.get(f"{PAGE}?lead=999999").status_code == 404
    engine.score_pending(at)
    assert f"/agreement/try/?lead={lead.pk}" in mia.get(f"/leads/{lead.pk}/").content.decode()


def test_a_lead_is_found_by_name_address_or_company(mia, make_lead):
    lead = make_lead(name="Zora Quill", email="zora@birch.example", company="Birch Freight")
    for query in ("quill", "zora@", "birch fr"):
        assert f"lead={lead.pk}" in mia.get(PAGE, {"q": query}).content.decode()
    assert "Nobody is called so" in text_of(mia.get(PAGE, {"q": "xyzzy"}))


def test_wrong_input_of_the_form_is_told_at_its_place(mia):
    page = mia.get(PAGE, {"imaginary": "1", "f.employees": "many"})
    assert page.status_code == 200
    assert "whole number" in text_of(page) or "not a number" in text_of(page)
    assert 'aria-invalid="true"' in page.content.decode()
