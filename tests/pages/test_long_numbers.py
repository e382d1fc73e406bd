"""A number too long to be read, or to be looked for, is nonsense like any other: no address breaks."""

import re

import pytest
from django.urls import NoReverseMatch, get_resolver, reverse

from leadflow.numbers import LARGEST_ID, whole
from tests.pages.test_permissions import TABLE

pytestmark = pytest.mark.django_db
# Python reads no more than 4,300 digits; no id has more than 19.
LONG = ["9" * 5_000, "0" * 5_000 + "1", "9" * 25]
NAMES = (
    "page", "cards", "days", "n", "after", "upto", "lead", "who", "campaign", "company", "content", "piece",
    "rule", "run", "bar", "v", "of", "old", "new", "number", "job", "lock_version", "handoff", "key", "to",
    "people", "user", "capacity_open", "weight", "steps.n", "warn.n", "position", "into",
)  # fmt: skip


def addresses(method: str) -> list[str]:
    found = []
    for name, wanted, _ in TABLE:
        if wanted == method and name != "accounts:logout":
            try:
                found.append(reverse(name))
            except NoReverseMatch:
                # It names a thing by a number of its own: there Django itself finds nothing.
                continue
    return found


@pytest.mark.parametrize("method", ["get", "post"])
def test_no_address_breaks_over_long_numbers(agreement_in_force, people, as_user, method):
    client = as_user(people.admin)
    client.raise_request_exception = False
    given = dict.fromkeys(NAMES, LONG[0])
    # 503 is how readiness says that nobody works here.
    answers = {path: getattr(client, method)(path, given).status_code for path in addresses(method)}
    assert len(answers) > 20
    assert not {path: status for path, status in answers.items() if status == 500}


def numbered(patterns, before="/"):
    """Every address that names a thing by its number, with a place for the number."""
    for one in patterns:
        path = before + str(one.pattern)
        if hasattr(one, "url_patterns"):
            yield from numbered(one.url_patterns, path)
        elif "<int:pk>" in path:
            yield re.sub(r"<\w+:\w+>", "x", path.replace("<int:pk>", "{}"))


@pytest.mark.parametrize("method", ["get", "post"])
def test_no_thing_has_a_number_too_long(agreement_in_force, people, as_user, method):
    client = as_user(people.admin)
    client.raise_request_exception = False
    paths = list(numbered(get_resolver().url_patterns))
    assert len(paths) > 80
    answers = {path: getattr(client, method)(path.format("9" * 30)).status_code for path in paths}
    # 302: a note that is none is put away already; 405: not so; 415: the API wants to be told in JSON.
    told = {302, 400, 403, 404, 405, 415}
    assert not {path: status for path, status in answers.items() if status not in told}
    # Python itself reads no such number: the address is none.
    assert client.get(f"/leads/{LONG[0]}/").status_code == 404
    assert client.get(f"/api/v1/leads/{LONG[0]}/").status_code in (401, 404)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/leads/", ("campaign", "company", "owner", "page")),
        ("/settings/trail/", ("who", "page")),
        ("/queue/board/", ("team",)),
        ("/api/v1/outcomes/", ("lead_id", "limit", "cursor")),
        ("/api/v1/leads/", ("limit", "cursor")),
        ("/api/v1/handoffs/", ("lead", "owner", "limit", "cursor")),
    ],
)
def test_each_name_by_itself(agreement_in_force, people, as_user, path, names):
    client = as_user(people.admin)
    for name in names:
        for text in LONG:
            assert client.get(path, {name: text}).status_code in (200, 302, 400, 404), name


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7), ("0", 0), (str(LARGEST_ID), LARGEST_ID), (str(LARGEST_ID + 1), None), ("9" * 5_000, None),
        ("", None), (None, None), ("-1", None), ("1.0", None), ("²", None), ("٣", None), (" 7", None),
    ],
)  # fmt: skip
def test_whole(text, number):
    assert whole(text) == number


def test_whole_within_bounds():
    assert (whole("5", 6, 9), whole("6", 6, 9), whole("9", 6, 9), whole("10", 6, 9)) == (None, 6, 9, None)
