"""The list of leads: filters, order, pages, CSV, search."""

import csv
import io

import pytest

from leadflow.leads.models import Company, Lead

pytestmark = pytest.mark.django_db


def _names(page) -> list[str]:
    return [str(lead) for lead in page.context["page"]]


def test_filters_leave_what_they_say(people, make_lead, as_user) -> None:
    make_lead(name="Dana Weiss", source="Webinar", company="Brückner & Söhne")
    make_lead(name="Jonas Lindgren", source="Website")
    client = as_user(people.mia)
    assert _names(client.get("/leads/?source=Webinar")) == ["Dana Weiss"]
    assert _names(client.get("/leads/?q=BRÜCKNER")) == ["Dana Weiss"]
    assert _names(client.get("/leads/?q=lindg")) == ["Jonas Lindgren"]
    assert _names(client.get("/leads/?stage=mql")) == []
    assert len(_names(client.get("/leads/?owner=marketing"))) == 2
    company = Company.objects.get(name="Brückner & Söhne")
    assert _names(client.get(f"/leads/?company={company.pk}")) == ["Dana Weiss"]


@pytest.mark.parametrize(
    "query",
    [
        "grade=Z9",
        "owner=x",
        "page=x",
        "page=999",
        "sort=evil",
        "company=-1",
        "campaign=1e9",
        "q=%27%22",
    ],
)
def test_nonsense_in_the_address_is_no_error(people, make_lead, as_user, query) -> None:
    make_lead()
    assert as_user(people.mia).get(f"/leads/?{query}").status_code == 200


def test_a_zero_byte_in_the_address_is_told_in_words(people, as_user) -> None:
    client = as_user(people.mia)
    page = client.get("/leads/?stage=%00")
    assert page.status_code == 400
    assert "Type it by hand" in page.content.decode()
    toast = client.get("/leads/?stage=%00", headers={"HX-Request": "true"})
    assert "lf-toast" in toast.content.decode()
    assert "<html" not in toast.content.decode()
    for machine in (client.get("/api/v1/leads/?email=%00"), client.get("/api/v1/agreements/?cursor=%00")):
        assert machine.status_code == 400
        assert machine["Content-Type"] == "application/problem+json"
        assert "zero byte" in machine.json()["title"]


def test_merged_and_erased_leads_are_not_listed(people, make_lead, as_user, at) -> None:
    gone, kept = make_lead(name="Gone"), make_lead(name="Kept")
    Lead.objects.filter(pk=gone.pk).update(merged_into=kept)
    assert _names(as_user(people.mia).get("/leads/")) == ["Kept"]


def test_the_csv_has_the_filtered_leads_and_no_formula(people, make_lead, as_user) -> None:
    make_lead(name="=HYPERLINK(1)", title="+SUM(A1)", source="Webinar")
    make_lead(name="Other", source="Website")
    answer = as_user(people.rosa).get("/leads/leads.csv?source=Webinar")
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ["'=HYPERLINK(1)"]
    assert rows[0]["title"] == "'+SUM(A1)"
    assert answer["Content-Disposition"] == 'attachment; filename="leads.csv"'


def test_an_htmx_filter_gets_the_list_alone_and_a_clean_address(people, make_lead, as_user) -> None:
    make_lead(name="Dana Weiss", source="Webinar")
    answer = as_user(people.mia).get(
        "/leads/?q=&stage=&source=Webinar", headers={"HX-Request": "true", "HX-Target": "leads-list"}
    )
    assert "<html" not in answer.content.decode()
    assert answer["HX-Push-Url"] == "/leads/?source=Webinar"


def test_search_finds_people_and_companies(people, make_lead, as_user) -> None:
    make_lead(name="Dana Weiss", company="Nordfrakt", email="dana@nordfrakt.example", phone="+49 40 5550 134")
    client = as_user(people.sam)
    for text in ("dana", "nordfr", "DANA@", "5550 134"):
        page = client.get("/search/", {"q": text}, headers={"HX-Request": "true"}).content.decode()
        assert "Dana Weiss" in page, text
    assert "Nobody" in client.get("/search/?q=zzzz", headers={"HX-Request": "true"}).content.decode()
    assert client.get("/search/?q=a%26b")["Location"] == "/leads/?q=a%26b"


@pytest.mark.parametrize("rows", [3, 30])
def test_the_list_costs_the_same_at_any_length(
    people, make_lead, as_user, django_assert_max_num_queries, rows
) -> None:
    for n in range(rows):
        make_lead(company=f"Company {n}")
    client = as_user(people.mia)
    # session; user and team; frame; count, rows, sources, owners
    with django_assert_max_num_queries(7) as counted:
        client.get("/leads/")
    assert len(counted.captured_queries) == 7
