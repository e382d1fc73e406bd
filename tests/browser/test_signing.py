"""The link in the mail, the sign-off in all its states, the comparison and the paper, in a real browser."""

from io import BytesIO

import pytest
from playwright.sync_api import expect
from pypdf import PdfReader

from leadflow.accounts.actors import person
from leadflow.accounts.models import User
from scoring import agreements
from scoring.models import Signature, SignLink
from scoring.signing import links
from tests.browser.conftest import NARROW

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct horse battery"


def proposal(people):
    draft = agreements.create_draft(person(people.mia))
    content = {**draft.content}
    content["criteria"] = [c | {"points": 20} if c["id"] == "f1" else c for c in content["criteria"]]
    agreements.save_draft(draft, content, person(people.mia), 1)
    return agreements.propose(draft, person(people.mia), note="VPs count more", release_choice="all_now")


def link_of(user: User) -> str:
    link = SignLink.objects.filter(user=user).latest("pk")
    return links.path(link.agreement_id, link.user_id, link.created_at)


def test_the_sign_off_is_clean_in_all_its_states(people, agreement_in_force, open_as, looks):
    proposed = proposal(people)
    link = link_of(people.rosa)
    page = open_as(people.rosa, "/agreement/sign/?v=2")
    wrong = []

    def look(path: str) -> None:
        page.goto(path)
        wrong.extend(f"{path}: {finding}" for finding in looks(page))

    look("/agreement/sign/?v=2")
    look(link)
    look("/agreement/compare/?old=1&new=2")
    look("/agreement/history/")
    look("/agreement/print/?v=2")
    agreements.decline(proposed, person(people.noah), "Not before the summer.")
    look("/agreement/sign/?v=2")
    agreements.create_draft(person(people.mia))
    look("/agreement/sign/")
    assert wrong == []


def test_from_the_mail_to_the_signature(people, agreement_in_force, open_as, watch):
    people.rosa.set_password(PASSWORD)
    people.rosa.save()
    proposal(people)
    page = open_as(None, link_of(people.rosa), size=NARROW)
    page.get_by_label("E-mail").fill(people.rosa.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Sign agreement v2")).to_be_visible()
    expect(page.get_by_text("VPs count more")).to_be_visible()
    assert Signature.objects.filter(agreement__number=2).count() == 0
    page.get_by_role("button", name="Sign for sales").click()
    expect(page.get_by_text("You have signed v2. The other side is asked now.")).to_be_visible()
    assert Signature.objects.get(agreement__number=2).method == "link"


def test_the_browser_prints_two_pages(people, agreement_in_force, open_as):
    proposal(people)
    for version in (1, 2):
        page = open_as(people.mia, f"/agreement/print/?v={version}")
        reader = PdfReader(BytesIO(page.pdf(prefer_css_page_size=True)))
        assert len(reader.pages) == 2
        assert "Definitions" in reader.pages[0].extract_text()
        assert "Why sales may say no" in reader.pages[1].extract_text()
