"""What a first visit loads: at most 200 KB compressed, fonts and icons included."""

import gzip
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

LIMIT = 200 * 1024
# Loaded by the style sheet and by the icons' addresses, not named as a file of the page.
BESIDES = ["icons.svg"]


def _weight(name: str) -> int:
    found = finders.find(name)
    assert isinstance(found, str), name
    data = Path(found).read_bytes()
    return len(data) if name.endswith(".woff2") else len(gzip.compress(data, 6))


@pytest.mark.parametrize("path", ["/login/", "/", "/leads/", "/profile/"])
def test_the_first_load_is_light(people, as_user, client, path) -> None:
    page = (client if path == "/login/" else as_user(people.mia)).get(path).content
    names = set(re.findall(r'(?:src|href)="/static/([^"#]+)"', page.decode()))
    assert "css/leadflow.css" in names
    total = len(gzip.compress(page, 6)) + sum(_weight(name) for name in names.union(BESIDES))
    assert total <= LIMIT, f"{total / 1024:.0f} KB"
