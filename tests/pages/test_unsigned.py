"""Until both sides have signed the first agreement, every page says so, to everybody."""

import pytest

from leadflow.accounts.actors import person
from scoring import agreements

pytestmark = pytest.mark.django_db
SAYS = "<b>Not signed yet:</b> scores are a preview, nothing goes to sales."
EVERYBODY = ("mia", "noah", "sam", "rosa", "admin")
PAGES = [
    "/",
    "/leads/",
    "/queue/",
    "/queue/board/",
    "/mqls/",
    "/agreement/",
    "/agreement/sign/",
    "/agreement/history/",
    "/agreement/compare/",
    "/agreement/print/",
    "/agreement/moves/",
    "/feedback/",
    "/reports/",
    "/reports/cracks/",
    "/settings/",
    "/settings/people/",
    "/profile/",
    "/notices/",
    "/search/?q=x",
    "/leads/import/",
    "/leads/999999/",
]


@pytest.mark.parametrize("state", ["nothing", "draft", "proposed", "half signed"])
def test_every_page_says_it_to_everybody_until_both_have_signed(state, at, people, as_user):
    if state != "nothing":
        draft = agreements.create_draft(person(people.mia))
        if state != "draft":
            agreements.propose(draft, person(people.mia))
        if state == "half signed":
            agreements.sign(draft, person(people.noah))
    silent = []
    seen = 0
    for name in EVERYBODY:
        client = as_user(getattr(people, name))
        for address in PAGES:
            response = client.get(address)
            if response.status_code == 302:
                continue
            seen += 1
            if SAYS not in response.content.decode() or "/agreement/sign/" not in response.content.decode():
                silent.append((name, address, response.status_code))
    assert silent == []
    assert seen > 80


def test_no_page_says_it_any_more_when_both_have_signed(at, people, as_user, agreement_in_force):
    for name in EVERYBODY:
        client = as_user(getattr(people, name))
        loud = [address for address in PAGES if SAYS in client.get(address).content.decode()]
        assert loud == []


def test_a_later_draft_does_not_bring_it_back(at, people, as_user, agreement_in_force):
    agreements.create_draft(person(people.mia))
    assert SAYS not in as_user(people.mia).get("/agreement/").content.decode()
