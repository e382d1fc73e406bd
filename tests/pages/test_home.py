"""Home: three sentences for each role, each with a link, then what waits."""

import re

import pytest

from leadflow.leads import ledgers
from leadflow.leads.models import Answer

pytestmark = pytest.mark.django_db
EVERYBODY = ["mia", "noah", "sam", "rosa", "admin"]


def _says(page) -> list[str]:
    return ["".join(part.text for part in one.parts) for one in page.context["sentences"]]


@pytest.mark.parametrize("name", EVERYBODY)
def test_three_sentences_each_with_a_link(people, as_user, name) -> None:
    page = as_user(getattr(people, name)).get("/")
    sentences = page.context["sentences"]
    assert len(sentences) == 3
    assert all(any(part.href for part in one.parts) for one in sentences)
    assert all(re.search(r"[.] ?$", text) for text in _says(page))


def test_marketing_reads_what_sales_answered_since_yesterday(people, make_lead, as_user, at) -> None:
    for n, kind in enumerate([Answer.Kind.ACCEPTED, Answer.Kind.ACCEPTED, Answer.Kind.REJECTED]):
        ledgers.record_answer(lead_id=make_lead().pk, handoff_id=n + 1, kind=kind, at=at, rep=people.sam)
    assert _says(as_user(people.mia).get("/"))[0].startswith(
        "Sales answered 3 of your leads since yesterday: 2 accepted, 1 rejected"
    )


def test_day_one_tells_what_to_do_first(people, as_user) -> None:
    page = as_user(people.mia).get("/").content.decode()
    assert "Bring your leads" in page
    assert "Not signed yet" in page


@pytest.mark.parametrize("name", EVERYBODY)
@pytest.mark.parametrize("rows", [3, 30])
def test_home_costs_the_same_at_any_length(
    people, make_lead, as_user, django_assert_max_num_queries, name, rows
) -> None:
    for _ in range(rows):
        make_lead()
    client = as_user(getattr(people, name))
    with django_assert_max_num_queries(20):
        client.get("/")
