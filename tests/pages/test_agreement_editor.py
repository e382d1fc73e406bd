"""The agreement's pages cost as many queries with thirty criteria as with three."""

import copy

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from leadflow.accounts.actors import person
from scoring import agreements
from scoring.models import Agreement

pytestmark = pytest.mark.django_db

TABS = ("definitions", "who", "behaviour", "value", "thresholds", "handoff", "reasons")
FRAGMENTS = (
    "/agreement/live/fit/",
    "/agreement/part/criterion/{key}/",
    "/agreement/values/?fact=title&op=has_word",
    "/agreement/file/",
)


@pytest.fixture
def draft(at, agreement_in_force, people):
    """A draft in which one part was changed by each of two people."""
    made = agreements.create_draft(person(people.mia))
    for n, who in enumerate((people.mia, people.noah)):
        content = copy.deepcopy(made.content)
        content["criteria"][n]["why"] = f"Said by {who.name}."
        made = agreements.save_draft(made, content, person(who), made.lock_version, what="a reason")
    return made


def sized(draft: Agreement, count: int) -> str:
    """Give the draft's fit group so many criteria that nothing else asks for; returns the key of one."""
    content = copy.deepcopy(draft.content)
    model = next(c for c in content["criteria"] if c["id"] == "f4")
    content["criteria"] += [
        {**copy.deepcopy(model), "id": f"f{100 + n}", "text": f"Rule {n}"} for n in range(count)
    ]
    Agreement.objects.filter(pk=draft.pk).update(content=content)
    return "f100"


def queries(client, url: str) -> int:
    """How many a page takes."""
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert client.get(url).status_code == 200, url
    return len(seen)


def test_every_tab_costs_the_same_at_3_and_at_30_criteria(draft, as_user, people):
    client = as_user(people.mia)
    counted = {}
    for count in (3, 30):
        sized(draft, count)
        counted[count] = {tab: queries(client, f"/agreement/{tab}/") for tab in TABS}
    assert counted[3] == counted[30]
    assert max(counted[30].values()) <= 20, counted[30]


def test_every_fragment_costs_the_same_at_3_and_at_30_criteria(draft, as_user, people, make_lead):
    make_lead(title="Clerk", employees=80)
    client = as_user(people.mia)
    client.defaults["HTTP_HX_REQUEST"] = "true"
    counted = {}
    for count in (3, 30):
        key = sized(draft, count)
        for url in FRAGMENTS:
            queries(client, url.format(key=key))
        counted[count] = {url: queries(client, url.format(key=key)) for url in FRAGMENTS}
    assert counted[3] == counted[30]
    assert max(counted[30].values()) <= 20, counted[30]


def test_the_bar_says_who_saved_last_and_what_undo_takes_back(draft, as_user, people):
    text = as_user(people.mia).get("/agreement/who/").content.decode()
    assert "2 changes since v1" in text
    assert "by Noah" in text
    assert 'data-key="z"' in text
    assert "The last change is by Noah" in text
    mine = as_user(people.noah).get("/agreement/who/").content.decode()
    assert "The last change is by" not in mine


def test_a_new_draft_has_nothing_to_undo(agreement_in_force, as_user, people):
    agreements.create_draft(person(people.mia))
    text = as_user(people.mia).get("/agreement/who/").content.decode()
    assert 'data-key="z"' not in text
    assert "0 changes since v1" in text


def test_the_tools_are_linked_beside_every_tab(draft, as_user, people):
    client = as_user(people.mia)
    for tab in TABS:
        text = client.get(f"/agreement/{tab}/").content.decode()
        assert "/agreement/moves/" in text
        assert "/agreement/file/" in text
