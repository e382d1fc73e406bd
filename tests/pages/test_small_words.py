"""What a reader meets besides figures: units, plurals, a page behind each address, words in place of none."""

from decimal import Decimal

import pytest

from feedback.reports import books
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import ledgers
from leadflow.numbers import money_typed


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/feedback/rules/f1/", "What sales says about leads"),
        ("/feedback/rules/f1/tell/", "Nobody rejected a lead"),
        ("/mqls/{lead}/park/", "Until"),
        ("/mqls/chosen/park/", "No row is chosen"),
        ("/leads/{lead}/questions/", "In their words"),
    ],
)
def test_a_dialog_opened_by_its_address_is_a_page(address, words, people, make_lead, as_user) -> None:
    mia, address = as_user(people.mia), address.format(lead=make_lead().pk)
    whole = mia.get(address).content.decode()
    assert words in whole
    assert "<!doctype html>" in whole
    asked = mia.get(address, headers={"HX-Request": "true"}).content.decode()
    assert words in asked
    assert "<html" not in asked


def test_an_outcome_without_a_lead_shows_its_amount_in_money_and_its_day(people, as_user) -> None:
    rows = [
        {"external_id": "x1", "kind": "won", "email": "a@none.example", "amount": "12600"},
        {"external_id": "x2", "kind": "won", "email": "b@none.example", "at": "2026-10-02T09:00:00+02:00"},
    ]
    ledgers.record_outcomes(rows, actor=SYSTEM, source="billing")
    page = as_user(people.mia).get("/feedback/outcomes/").content.decode()
    assert "12,600 €" in page
    assert "2 Oct" in page
    assert "T09:00" not in page


def test_a_list_of_one_counts_one(people, make_lead, as_user) -> None:
    make_lead()
    page = as_user(people.mia).get("/leads/").content.decode()
    assert "1 lead<" in page
    assert "1 to 1" not in page


def test_cracks_with_leads_but_without_books_does_not_say_that_there_is_no_lead(
    people, make_lead, as_user, monkeypatch
) -> None:
    mia = as_user(people.mia)
    assert "There is no lead yet" in mia.get("/reports/cracks/").content.decode()
    make_lead()
    monkeypatch.setattr(books, "SMALL", 0)
    page = mia.get("/reports/cracks/").content.decode()
    assert "There is no lead yet" not in page
    assert "counted in the background" in page


@pytest.mark.parametrize(
    ("typed", "sum_"),
    [
        ("12600", "12600"),
        ("12,600", "12600"),
        ("12.600", "12600"),
        ("1.234.567,5", "1234567.5"),
        ("12,600.50", "12600.50"),
        (" 12 600,50 ", "12600.50"),
        ("12'600", "12600"),
        ("1,5", "1.5"),
        ("12600.00", "12600"),
        ("0.50", "0.50"),
        ("0", "0"),
    ],
)
def test_a_sum_is_read_as_people_write_it(typed, sum_) -> None:
    assert money_typed(typed) == Decimal(sum_)


@pytest.mark.parametrize("typed", ["", "-5", "1e9", "1,23,456", "1.2345", "12,600,50", "nan", "5 €", "=1+1"])
def test_what_may_be_another_sum_is_none(typed) -> None:
    assert money_typed(typed) is None
