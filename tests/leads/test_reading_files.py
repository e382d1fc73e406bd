"""Any table that a person is likely to have can be read, and a bad row never stops the good ones."""

import gzip
import io
import json
from pathlib import Path

import openpyxl
import pytest

from leadflow.errors import BadInput
from leadflow.leads.importing import reading
from tests.shared_data import shared

TEXT = 'Name;Größe;E-Mail\r\nJürgen;"a;b\r\nc";x@y.example\r\n\r\nÅsa;12;z@y.example\r\n'


def read(path: Path) -> list[reading.Row]:
    return list(reading.rows(path, reading.look_at(path)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_every_usual_encoding_is_found_by_itself(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(TEXT.encode(encoding))
    rows = read(path)
    assert [r.cells["Name"] for r in rows] == ["Jürgen", "Åsa"]
    assert rows[0].cells["Größe"].split() == ["a;b", "c"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_usual_delimiter_is_found_by_itself(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"a{delimiter}b\n1{delimiter}2\n3{delimiter}4\n")
    assert [r.cells for r in read(path)] == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_rows_name_the_line_on_which_they_start(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text('a,b\n1,"two\nlines"\n3,4\n')
    assert [r.line for r in read(path)] == [2, 4]


def test_an_excel_sheet_and_a_packed_file_read_alike(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["Name", "Seats", None], ["Ada", 12.0, None], [None, None, None], ["Bo", None, None]):
        book.active.append(row)
    book.save(tmp_path / "list.xlsx")
    (tmp_path / "list.csv.gz").write_bytes(gzip.compress(b"Name,Seats\nAda,12\nBo,\n"))
    expected = [{"Name": "Ada", "Seats": "12"}, {"Name": "Bo", "Seats": ""}]
    assert [r.cells for r in read(tmp_path / "list.xlsx")] == expected
    assert [r.cells for r in read(tmp_path / "list.csv.gz")] == expected


def test_a_row_with_too_many_cells_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("a,b\n1,2,3\n4,5\n6\n")
    rows = read(path)
    assert "3 cells" in rows[0].problem
    assert [r.cells for r in rows[1:]] == [{"a": "4", "b": "5"}, {"a": "6"}]


def test_bytes_that_do_not_fit_the_encoding_are_told_for_their_row(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    good = "name\n" + "Jürgen\n" * (reading.SNIFF_BYTES // 8)
    path.write_bytes(good.encode() + b"broken \xff\nAda\n")
    problems = [r for r in read(path) if r.problem]
    assert len(problems) == 1
    assert "UTF-8" in problems[0].problem


def test_columns_without_a_name_or_with_a_double_one_get_one(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("a,,a,\n1,2,3,\n")
    assert reading.look_at(path).columns == ["a", "column 2", "a (2)"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b",,,\n1,2,3,4\n", "no column names"),
        (b"PK\x03\x04 no archive", "damaged"),
        (b"\x1f\x8b no gzip", "unpacked"),
        (b"\x89PNG\r\n\x1a\n\x00\x01\x02\x00" * 40, "not a table"),
        (b",".join(b"c%d" % n for n in range(600)), "600 columns"),
    ],
)
def test_what_is_no_table_is_refused_in_words(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=says):
        reading.look_at(path)


def test_a_zip_without_a_workbook_is_refused_in_words(tmp_path: Path) -> None:
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("list.csv", "a\n1\n")
    path = tmp_path / "list.xlsx"
    path.write_bytes(packed.getvalue())
    with pytest.raises(BadInput, match="Unpack"):
        reading.look_at(path)


def test_the_csv_spectrum_is_read_as_expected() -> None:
    folder = shared("hostile/csv-spectrum")
    for path in sorted((folder / "csvs").glob("*.csv")):
        expected = json.loads((folder / "json" / f"{path.stem}.json").read_text())
        # One of the expected files holds its only row without a list around it.
        expected = [expected] if isinstance(expected, dict) else expected
        got = [{k: v.replace("\r\n", "\n") for k, v in r.cells.items()} for r in read(path)]
        wanted = [{k: str(v).replace("\r\n", "\n") for k, v in row.items()} for row in expected]
        for row in (*got, *wanted):
            # The number was changed in one of the two files of this pair.
            row.pop("Contact Phone Number", None)
        assert got == wanted, path.name
