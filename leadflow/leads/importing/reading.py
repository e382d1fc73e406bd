"""Read a table from a file as a stream: CSV in any usual dress, a sheet of an .xlsx, or JSON by lines.

Nothing here knows what the columns mean. A file larger than memory is no problem.
"""

import codecs
import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

from leadflow.errors import BadInput

SNIFF_BYTES = 256 * 1024
DELIMITERS = ",;\t|"
# The longest cell that is taken; more is a file with a lost quote.
CELL_LIMIT = 100_000
COLUMNS_LIMIT = 500
csv.field_size_limit(CELL_LIMIT)
# Stands for a line that the parser gave up; no text holds it.
UNREADABLE = "\udc80"

NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar", "": ""}


@dataclass(frozen=True)
class Shape:
    """What kind of file it is: its format, encoding, delimiter, and the names of its columns."""

    format: str
    encoding: str
    delimiter: str
    columns: list[str]

    @property
    def says(self) -> str:
        """The shape in words, for the page and the console."""
        if self.format == "ndjson":
            return f"one JSON object a line, {len(self.columns)} fields"
        if self.format == "xlsx":
            return f"Excel sheet, {len(self.columns)} columns"
        return (
            f"{self.encoding.upper()}, {NAMES[self.delimiter]} between columns, {len(self.columns)} columns"
        )


@dataclass(frozen=True)
class Row:
    """One row: the line on which it starts, its cells by column, or why it cannot be read."""

    line: int
    cells: dict[str, str]
    problem: str = ""
    raw: tuple[str, ...] = ()


def look_at(path: Path) -> Shape:
    """Find out the shape of a file. Raises BadInput with what is wrong and what to do."""
    if not path.is_file():
        raise BadInput(f"There is no file {path}.")
    try:
        return _shape(path)
    except OSError as error:
        raise BadInput(f"The file cannot be opened ({error.strerror or error}).") from error


def _shape(path: Path) -> Shape:
    if _is_xlsx(path):
        header = next(_sheet(path), None)
        return Shape("xlsx", "", "", _columns(header[1] if header else []))
    head = _head(path)
    if not head.strip(b"\x00\r\n\t ,;\xff\xfe\xef\xbb\xbf"):
        raise BadInput("The file is empty: there is no line with column names.")
    encoding = _encoding(head)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    if "\x00" in text:
        raise BadInput("This is not a table of text. Save it as CSV or .xlsx and try again.")
    if text.lstrip().startswith("{"):
        return Shape("ndjson", encoding, "", _fields(text))
    if text.lstrip().startswith("["):
        raise BadInput("This is one JSON list. Write one object a line, or save it as CSV.")
    delimiter = _delimiter(text)
    try:
        header_cells = next(csv.reader(io.StringIO(text), delimiter=delimiter), [])
    except csv.Error as error:
        raise BadInput(f"The first line cannot be read ({error}). Is a quote missing?") from error
    return Shape("csv", encoding, delimiter, _columns(header_cells))


def rows(path: Path, shape: Shape) -> Iterator[Row]:
    """The rows below the header, one by one; a row that cannot be read says why and the rest goes on."""
    if shape.format == "ndjson":
        yield from _objects(path, shape)
        return
    source = _sheet(path) if shape.format == "xlsx" else _lines(path, shape)
    width = len(shape.columns)
    for line, cells in islice(source, 1, None):
        if not any(cells):
            continue
        problem = _problem(cells, width)
        named = dict(zip(shape.columns, cells, strict=False))
        yield Row(line, named, problem, tuple(cells))


def samples(path: Path, shape: Shape, count: int = 200) -> list[Row]:
    """The first rows, to suggest a mapping from."""
    return list(islice(rows(path, shape), count))


def _problem(cells: list[str], width: int) -> str:
    if len(cells) > width and any(cells[width:]):
        return f"It has {len(cells)} cells, the first line has {width}. Is a quote missing?"
    if any(not cell.isascii() and any("\ud800" <= c <= "\udfff" for c in cell) for cell in cells):
        return "It has characters that do not fit the file's encoding. Save the file as UTF-8."
    return ""


def _is_xlsx(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            if "xl/workbook.xml" in archive.namelist():
                return True
    except zipfile.BadZipFile as error:
        raise BadInput("The file is damaged: it starts like an Excel file and then breaks off.") from error
    raise BadInput("This is a zip archive. Unpack it and import the table inside.")


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        yield cast(IO[bytes], gzip.GzipFile(fileobj=file) if packed else file)


def _head(path: Path) -> bytes:
    try:
        with _open(path) as file:
            return file.read(SNIFF_BYTES)
    except (OSError, EOFError) as error:
        raise BadInput(f"The file cannot be unpacked ({error}).") from error


def _encoding(head: bytes) -> str:
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name
    # UTF-16 without a mark: every second byte of Western text is a zero.
    even, odd = head[0:2000:2].count(0), head[1:2000:2].count(0)
    if max(even, odd) > len(head[:2000]) // 4:
        return "utf-16-le" if odd > even else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _delimiter(text: str) -> str:
    """The delimiter under which the first lines have the most cells, all alike."""
    lines = text.splitlines(keepends=True)[:30]

    def score(delimiter: str) -> tuple[float, int]:
        try:
            widths = [len(r) for r in csv.reader(lines, delimiter=delimiter) if r]
        except csv.Error:
            return (0, 0)
        first = widths[0] if widths else 0
        alike = sum(w == first for w in widths) / max(1, len(widths))
        return (alike if first > 1 else 0, first)

    best = max(DELIMITERS, key=score)
    return best if score(best)[1] > 1 else ","


def _lines(path: Path, shape: Shape) -> Iterator[tuple[int, list[str]]]:
    # Bytes that do not fit become lone surrogates, by which their row is known.
    errors = "replace" if shape.encoding.startswith("utf-16") else "surrogateescape"
    with _open(path) as file, io.TextIOWrapper(file, shape.encoding, errors=errors, newline="") as text:
        reader = csv.reader(text, delimiter=shape.delimiter)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield line, [UNREADABLE]
                continue
            yield line, [cell.strip() for cell in cells]


def _fields(text: str) -> list[str]:
    """The names in the first objects, in the order in which they come."""
    names: dict[str, None] = {}
    for line in text.splitlines()[:-1] or [text]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            names.update(dict.fromkeys(_flat(found)))
    if not names:
        raise BadInput("The first lines are no JSON objects. Write one whole object a line.")
    return _columns(list(names))


def _flat(found: dict[str, Any]) -> dict[str, str]:
    """The cells of an object; an object inside counts by its own names: properties.seats."""
    cells: dict[str, str] = {}
    for name, value in found.items():
        if isinstance(value, dict):
            cells.update({f"{name}.{inner}": _cell(v) for inner, v in value.items()})
        else:
            cells[str(name)] = _cell(value)
    return cells


def _objects(path: Path, shape: Shape) -> Iterator[Row]:
    known = set(shape.columns)
    with _open(path) as file, io.TextIOWrapper(file, shape.encoding, errors="surrogateescape") as text:
        for number, line in enumerate(text, start=1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Row(number, {}, f"It is no JSON object ({error}).", (line.strip()[:CELL_LIMIT],))
                continue
            cells = _flat(found) if isinstance(found, dict) else {}
            more = sorted(set(cells) - known)
            problem = _problem(list(cells.values()), len(cells)) if cells else "It is no JSON object."
            if more:
                problem = f"“{more[0][:60]}” is in none of the first lines. Give it there too, empty."
            yield Row(number, cells, problem, tuple(cells.get(name, "") for name in shape.columns))


def _sheet(path: Path) -> Iterator[tuple[int, list[str]]]:
    import openpyxl

    # Opened here: by a path openpyxl asks for a name that ends in .xlsx, which an upload has lost.
    with path.open("rb") as file:
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            sheet = book.worksheets[0]
        except Exception as error:
            # openpyxl raises whatever its XML parser does; all of it means the same to a person.
            raise BadInput("The Excel file cannot be read. Save it again as .xlsx or as CSV.") from error
        for line, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
            yield line, [_cell(value) for value in cells]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _columns(header: list[str]) -> list[str]:
    """Names of the columns, each once; one without a name is named by its place."""
    cells = [cell.strip() for cell in header]
    while cells and not cells[-1]:
        cells.pop()
    if not any(cells):
        raise BadInput("The first line holds no column names.")
    if len(cells) > COLUMNS_LIMIT:
        raise BadInput(f"The file has {len(cells)} columns; {COLUMNS_LIMIT} are the most.")
    names: list[str] = []
    for place, cell in enumerate(cells, start=1):
        name = base = cell or f"column {place}"
        again = 2
        while name in names:
            name, again = f"{base} ({again})", again + 1
        names.append(name)
    return names
