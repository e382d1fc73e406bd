"""A mapping says which column is what; what does not fit is named at its place."""

from datetime import UTC, datetime
from typing import Any

import pytest

from leadflow.errors import BadInput
from leadflow.leads.facts import FACTS
from leadflow.leads.importing import mapping as mappings
from leadflow.leads.importing.reading import Row, Shape

SHAPE = Shape("csv", "utf-8", ",", ["Id", "First", "Last", "Mail", "Staff", "Born", "Done"])


def parsed(kind: mappings.Kind = "leads", **raw: Any) -> mappings.Mapping:
    return mappings.parse({"columns": {"Mail": {"to": "email"}}, **raw}, kind, SHAPE, FACTS)


def converted(cells: dict[str, str], **raw: Any) -> tuple[dict[str, Any], list[str]]:
    made, faults = parsed(**raw).convert(Row(7, cells))
    return made, [f"{f.path}: {f.message}" for f in faults]


def test_first_and_last_name_become_the_name() -> None:
    columns = {"First": {"to": "first_name"}, "Last": {"to": "last_name"}}
    assert converted({"First": "Ada", "Last": "Byrne"}, columns=columns)[0] == {"name": "Ada Byrne"}


@pytest.mark.parametrize(
    ("decimal", "text", "number"),
    [(".", "1,250.50", "1250.50"), (",", "1.250,50", "1250.50"), (".", "3 000", "3000"), (",", "−5", None)],
)
def test_numbers_are_read_with_the_files_decimal_sign(decimal: str, text: str, number: str | None) -> None:
    columns = {"Staff": {"to": "employees"}}
    made, faults = converted({"Staff": text}, columns=columns, decimal=decimal)
    assert made.get("employees") == number
    assert bool(faults) == (number is None)


@pytest.mark.parametrize(
    ("order", "text", "expected"),
    [
        ("DMY", "24.11.2026", (2026, 11, 24, 0, 0)),
        ("DMY", "3/4/26 14:05", (2026, 4, 3, 14, 5)),
        ("MDY", "3/4/2026 2:05 PM", (2026, 3, 4, 14, 5)),
        ("MDY", "2026-11-24", (2026, 11, 24, 0, 0)),
        ("YMD", "2026/11/24", (2026, 11, 24, 0, 0)),
    ],
)
def test_dates_are_read_in_the_files_order(order: str, text: str, expected: tuple[int, ...]) -> None:
    assert parsed(date_order=order).moment(text) == datetime(*expected, tzinfo=UTC)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["31.02.2026", "tomorrow", "24.11.26.1", ""])
def test_what_is_no_date_says_how_dates_look(text: str) -> None:
    with pytest.raises(ValueError, match="is not a date"):
        parsed().moment(text)


def test_texts_that_mean_nothing_are_left_out() -> None:
    assert converted({"Mail": "SELECT"}, empty=["Select"])[0] == {}


def test_a_file_without_ids_takes_the_line() -> None:
    assert converted({"Mail": "a@b.example"}, identify_by="line")[0]["external_id"] == "line-7"


def test_outcomes_are_told_by_the_values_of_a_column() -> None:
    raw = {"columns": {"Id": {"to": "external_lead_id"}}, "outcome": {"Done": {"1": "won", "0": "skip"}}}
    mapping = mappings.parse(raw, "outcomes", SHAPE, FACTS)
    made, faults = mapping.convert(Row(2, {"Id": "x1", "Done": "1"}))
    assert made == {"external_lead_id": "x1", "external_id": "x1", "kind": "won"}
    assert not faults
    _, faults = mapping.convert(Row(3, {"Id": "x2", "Done": "perhaps"}))
    assert "perhaps" in faults[0].message


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"columns": {"Nope": {"to": "email"}}}, "no column of this name"),
        ({"columns": {"Mail": {"to": "emial"}}}, "no fact “emial”"),
        ({"columns": {"Mail": {"to": "email"}, "Id": {"to": "email"}}}, "mapped to email already"),
        ({"columns": {"Mail": {"to": "email"}}, "date_order": "DDM"}, "DMY, MDY or YMD"),
        ({"columns": {"Mail": {"to": "email"}}, "decimal": ";"}, "point or a comma"),
        ({"columns": {"Mail": [5]}}, "Mail"),
        ({"columns": {}}, "No column is mapped"),
        ({"columns": []}, "JSON object"),
        ([], "JSON object"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_in_words(raw: Any, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        mappings.parse(raw, "leads", SHAPE, FACTS)
    assert says in str(caught.value)


def test_a_guess_knows_usual_headers_and_looks_at_the_cells() -> None:
    shape = Shape("csv", "utf-8", ",", ["Job Title", "Kontakt", "Company Size", "Anything"])
    sample = [Row(2, {"Job Title": "CEO", "Kontakt": "a@b.example", "Company Size": "12", "Anything": "x"})]
    assert mappings.suggest(shape, sample, "leads", FACTS) == {
        "Job Title": "title",
        "Kontakt": "email",
        "Company Size": "employees",
        "Anything": "",
    }
