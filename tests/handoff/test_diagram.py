"""The picture in the docs is the table's."""

from pathlib import Path

from handoff import diagram

DOC = Path(__file__).resolve().parents[2] / "docs" / "handoff.md"


def test_the_picture_in_the_docs_is_up_to_date():
    text = DOC.read_text(encoding="utf-8")
    assert diagram.drawn(text) == text, "run: python manage.py handoff_diagram"
