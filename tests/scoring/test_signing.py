"""Two people sign, one for each side; every way around that is refused in words and stays on the record."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from leadflow import clock
from leadflow.accounts import recent
from leadflow.accounts.actors import person
from leadflow.accounts.models import AuditEntry, Role
from leadflow.errors import Conflict
from scoring import agreements
from scoring.models import Agreement, Decline, Signature, SignLink
from scoring.signing import links

pytestmark = pytest.mark.django_db
State = Agreement.State
PASSWORD = "correct horse battery"


@pytest.fixture
def proposed(at, people):
    for user in (people.noah, people.rosa, people.admin, people.mia):
        user.set_password(PASSWORD)
        user.save()
    draft = agreements.create_draft(person(people.mia))
    return agreements.propose(draft, person(people.mia), note="Prices count twice")


def link_of(user) -> str:
    link = SignLink.objects.get(user=user, used_at=None)
    return links.path(link.agreement_id, link.user_id, link.created_at)


def signed_in(client, minutes_ago: float):
    """As if the password had been given at the door so long ago."""
    session = client.session
    session[recent.KEY] = (clock.now() - timedelta(minutes=minutes_ago)).isoformat()
    session.save()
    return client


def refusals() -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(verb__endswith="_refused").order_by("id")
    return [(row.verb.removeprefix("agreement."), row.reason) for row in rows]


# The proof ---------------------------------------------------------------------------------------------


def test_the_door_notes_when_the_password_was_given(proposed, people, client):
    client.post("/login/", {"username": people.noah.email, "password": PASSWORD})
    client.post("/agreement/sign-it/", {"v": 1})
    assert Signature.objects.get().method == "sign-in"


def test_who_signed_in_just_now_is_not_asked_again(proposed, people, as_user):
    client = signed_in(as_user(people.noah), 14)
    assert "no password is asked" in client.get("/agreement/sign/?v=1").content.decode()
    client.post("/agreement/sign-it/", {"v": 1})
    assert Signature.objects.get().method == "sign-in"


def test_who_signed_in_a_while_ago_types_the_password(proposed, people, as_user):
    client = signed_in(as_user(people.noah), 16)
    assert "Your password, once more" in client.get("/agreement/sign/?v=1").content.decode()
    assert client.post("/agreement/sign-it/", {"v": 1}).status_code == 400
    assert not Signature.objects.exists()
    client.post("/agreement/sign-it/", {"v": 1, "password": PASSWORD})
    assert Signature.objects.get().method == "password"
    assert refusals() == [("sign_refused", "Not signed. This is not your password.")]


# The link ----------------------------------------------------------------------------------------------


def test_opening_the_link_shows_what_is_signed_and_changes_nothing(proposed, people, as_user):
    client = signed_in(as_user(people.rosa), 60)
    for _ in range(2):
        response = client.get(link_of(people.rosa))
        assert response.status_code == 200
    text = response.content.decode()
    assert "Prices count twice" in text
    assert "Opening this page has signed nothing" in text
    assert "Sign for sales" in text
    assert "no-cache" in response["Cache-Control"]
    assert not Signature.objects.exists()
    assert SignLink.objects.filter(used_at=None).count() == 2


def test_the_button_behind_the_link_signs_once(proposed, people, as_user):
    client = signed_in(as_user(people.rosa), 60)
    address = link_of(people.rosa)
    assert client.post(address, {"v": 1}).status_code == 302
    assert Signature.objects.get().method == "link"
    again = client.post(address, {"v": 1})
    assert again.status_code == 410
    assert "it works once" in again.content.decode()
    assert Signature.objects.count() == 1
    assert refusals()[-1] == ("sign_refused", "This link has been used: it works once.")


def test_a_stranger_who_has_the_link_sees_the_login_and_comes_back(proposed, people, client):
    address = link_of(people.rosa)
    response = client.get(address)
    assert response.status_code == 302
    assert response["Location"] == f"/login/?next={address}"


def test_with_an_old_sign_in_the_link_asks_for_the_password(proposed, people, as_user):
    client = signed_in(as_user(people.rosa), 13 * 60)
    address = link_of(people.rosa)
    assert "Your password, once more" in client.get(address).content.decode()
    assert client.post(address, {"v": 1}).status_code == 400
    assert client.post(address, {"v": 1, "password": "wrong"}).status_code == 400
    assert not Signature.objects.exists()
    assert client.post(address, {"v": 1, "password": PASSWORD}).status_code == 302
    assert Signature.objects.get().method == "link"


def test_anothers_link_opens_nothing_and_is_noted(proposed, people, as_user):
    client = signed_in(as_user(people.noah), 1)
    for answer in (client.get(link_of(people.rosa)), client.post(link_of(people.rosa), {"v": 1})):
        assert answer.status_code == 403
        assert "sent to somebody else" in answer.content.decode()
        assert "Prices count twice" not in answer.content.decode()
    assert not Signature.objects.exists()
    assert len(refusals()) == 2


def test_an_invented_link_is_no_link(proposed, people, as_user):
    assert as_user(people.rosa).get("/agreement/by-link/invented/").status_code == 404


def test_a_link_ends_after_two_weeks(proposed, people, as_user):
    with clock.use(clock.now() + timedelta(days=14)):
        client = signed_in(as_user(people.rosa), 1)
        answer = client.post(link_of(people.rosa), {"v": 1})
        assert answer.status_code == 410
        assert "has expired" in answer.content.decode()


def test_a_link_ends_with_its_proposal(proposed, people, as_user):
    agreements.withdraw(proposed, person(people.mia))
    answer = signed_in(as_user(people.rosa), 1).post(link_of(people.rosa), {"v": 1})
    assert answer.status_code == 410
    assert "Version 1 is withdrawn by now" in answer.content.decode()


def test_a_link_is_for_the_side_that_its_reader_had(proposed, people, as_user):
    people.rosa.role = Role.MARKETING_MANAGER
    people.rosa.save()
    answer = signed_in(as_user(people.rosa), 1).post(link_of(people.rosa), {"v": 1})
    assert answer.status_code == 410
    assert "This link is for sales, and you do not sign for that side." in answer.content.decode()


def test_of_two_clicks_at_once_the_second_finds_the_link_used(proposed, people):
    link = SignLink.objects.get(user=people.rosa)
    SignLink.objects.filter(pk=link.pk).update(used_at=clock.now())
    with pytest.raises(Conflict, match="works once"):
        agreements.sign(proposed, person(people.rosa), method="link", link=link)
    assert not Signature.objects.exists()


# Ways around -------------------------------------------------------------------------------------------


def test_one_person_cannot_sign_for_both_sides(proposed, people, as_user):
    agreements.sign(proposed, person(people.noah))
    people.noah.role = Role.SALES_MANAGER
    people.noah.save()
    answer = as_user(people.noah).post("/agreement/sign-it/", {"v": 1, "password": PASSWORD})
    assert answer.status_code == 409
    assert "Two people sign, one for each side" in answer.content.decode()
    assert agreements.in_force() is None


@pytest.mark.parametrize(
    ("who", "data", "status", "words"),
    [
        ("noah", {"v": 1, "password": PASSWORD, "side": "sales"}, 403, "You sign for marketing"),
        ("admin", {"v": 1, "password": PASSWORD}, 403, "Only a marketing manager and a sales manager sign"),
        ("mia", {"v": 1, "password": PASSWORD}, 403, ""),
        ("sam", {"v": 1, "password": PASSWORD}, 403, ""),
        ("noah", {"v": 1, "password": "guess"}, 400, "This is not your password."),
    ],
)
def test_who_may_not_sign_is_told_so_and_it_is_noted(who, data, status, words, proposed, people, as_user):
    answer = as_user(getattr(people, who)).post("/agreement/sign-it/", data)
    assert answer.status_code == status
    assert words in answer.content.decode()
    assert not Signature.objects.exists()
    [(verb, why)] = refusals()
    assert (verb, words in why) == ("sign_refused", True)


def test_signing_twice_is_refused_and_noted(proposed, people, as_user):
    client = as_user(people.noah)
    data = {"v": 1, "password": PASSWORD}
    assert client.post("/agreement/sign-it/", data).status_code == 302
    assert client.post("/agreement/sign-it/", data).status_code == 409
    assert refusals() == [("sign_refused", "Noah has signed for marketing already.")]


@pytest.mark.parametrize("state", [State.DRAFT, State.WITHDRAWN, State.DECLINED, State.SUPERSEDED])
def test_what_is_not_proposed_cannot_be_signed(state, proposed, people, as_user):
    Agreement.objects.update(state=state)
    answer = as_user(people.noah).post("/agreement/sign-it/", {"v": 1, "password": PASSWORD})
    assert answer.status_code == 409
    assert "there is nothing to sign" in answer.content.decode()


def test_a_version_that_is_not_there_cannot_be_signed(proposed, people, as_user):
    for number in ("7", "", "x", "9" * 30):
        answer = as_user(people.noah).post("/agreement/sign-it/", {"v": number, "password": PASSWORD})
        assert answer.status_code == 404


def test_no_address_puts_an_unsigned_version_into_force(proposed, people, as_user):
    """Publishing is what two signatures do; there is no other door."""
    agreements.sign(proposed, person(people.noah))
    assert agreements.start_due(clock.now() + timedelta(days=300)) == 0
    key = as_user(people.admin)
    url = f"/api/v1/agreements/{proposed.pk}/"
    body = {"content": proposed.content, "lock_version": 1, "state": "in_force"}
    assert key.put(url, body, "application/json").status_code == 400
    assert agreements.in_force() is None


def test_a_no_needs_its_reason_and_both_sides_see_it(proposed, people, as_user):
    rosa = as_user(people.rosa)
    answer = rosa.post("/agreement/decline/", {"v": 1, "comment": " "})
    assert answer.status_code == 400
    assert "Write a sentence." in answer.content.decode()
    assert refusals()[0][0] == "decline_refused"
    rosa.post("/agreement/decline/", {"v": 1, "comment": "Eight a day are too many."})
    assert Decline.objects.get().side == "sales"
    for user in (people.noah, people.mia, people.sam):
        page = as_user(user).get("/agreement/sign/?v=1").content.decode()
        assert "Rosa declined for sales" in page
        assert "Eight a day are too many." in page
    as_user(people.mia).post("/agreement/restore/", {"of": 1})
    page = as_user(people.noah).get("/agreement/sign/").content.decode()
    assert "Rosa declined v1 for sales" in page


def test_a_rep_neither_proposes_nor_takes_back(proposed, people, as_user):
    sam = as_user(people.sam)
    assert sam.post("/agreement/withdraw/", {"v": 1}).status_code == 403
    assert sam.post("/agreement/decline/", {"v": 1, "comment": "no, no"}).status_code == 403
    assert [verb for verb, _ in refusals()] == ["withdraw_refused", "decline_refused"]
    proposed.refresh_from_db()
    assert proposed.state == State.PROPOSED


def test_a_day_in_the_past_is_refused_and_noted(at, people, as_user):
    agreements.create_draft(person(people.mia))
    data = {"when": "day", "in_force_from": "2026-11-24T09:00", "release": "trickle"}
    answer = as_user(people.mia).post("/agreement/propose/", data)
    assert answer.status_code == 400
    assert "Choose a day from today to a year ahead." in answer.content.decode()
    assert refusals()[0][0] == "propose_refused"


@pytest.mark.parametrize("written", ["tomorrow", "2026-13-01", "2026-11-31T10:00", "", "0001-01-01T00:00"])
def test_what_is_no_day_is_refused_in_words(written, at, people, as_user):
    agreements.create_draft(person(people.mia))
    data = {"when": "day", "in_force_from": written, "release": "trickle"}
    answer = as_user(people.mia).post("/agreement/propose/", data)
    assert answer.status_code == 400


def test_an_unknown_release_is_refused(at, people, as_user):
    agreements.create_draft(person(people.mia))
    answer = as_user(people.mia).post("/agreement/propose/", {"release": "everything"})
    assert answer.status_code == 400
    assert "Say what becomes of the leads above the bar." in answer.content.decode()


# A change is a new draft -------------------------------------------------------------------------------


def test_a_change_of_a_signed_proposal_is_a_new_draft_and_voids_what_was_signed(proposed, people, as_user):
    agreements.sign(proposed, person(people.noah))
    mia = as_user(people.mia)
    mia.post("/agreement/restore/", {"of": 1})
    draft = agreements.draft()
    assert draft.number == 2
    assert draft.content == proposed.content
    page = mia.get("/agreement/sign/").content.decode()
    assert "v1 waits for signatures." in page
    mia.post("/agreement/propose/", {"release": "trickle", "note": "Again"})
    assert Signature.objects.get().voided_at is not None
    assert not Signature.objects.filter(agreement=draft).exists()
    page = as_user(people.rosa).get("/agreement/sign/?v=2").content.decode()
    assert "v2 waits for signatures" in page


# History -----------------------------------------------------------------------------------------------


@pytest.fixture
def two_versions(at, people, agreement_in_force):
    import copy

    draft = agreements.create_draft(person(people.mia))
    content = copy.deepcopy(draft.content)
    rule = next(c for c in content["criteria"] if c["id"] == "f1")
    rule["points"] = 20
    content["definitions"]["mql"] = "May buy some day. Not for sales."
    agreements.save_draft(draft, content, person(people.mia), 1, what="f1")
    agreements.propose(draft, person(people.mia), note="VPs count more")
    agreements.sign(draft, person(people.noah))
    return agreements.sign(draft, person(people.rosa))


def test_any_two_versions_are_compared_in_words(two_versions, people, as_user):
    client = as_user(people.sam)
    page = client.get("/agreement/compare/?old=1&new=2").content.decode()
    assert "2 changes from v1 to v2" in page
    assert "<del>+15</del>" in page
    assert "<ins>+20</ins>" in page
    assert "VPs count more" in page
    assert page.count("password confirmed") == 4
    back = client.get("/agreement/compare/?old=2&new=1").content.decode()
    assert "<del>+20</del>" in back
    same = client.get("/agreement/compare/?old=2&new=2").content.decode()
    assert "one and the same version" in same


def test_who_writes_restores_from_the_comparison(two_versions, people, as_user):
    client = as_user(people.mia)
    assert "Restore as a draft" in client.get("/agreement/compare/?old=1&new=2").content.decode()
    client.post("/agreement/start/", {"tab": "who"})
    page = client.get("/agreement/compare/?old=1&new=3").content.decode()
    assert "Put the text of v1 into the draft of v3? Undo takes it back." in page


def test_without_a_choice_a_version_is_compared_with_what_it_was_drafted_from(two_versions, people, as_user):
    assert "2 changes from v1 to v2" in as_user(people.sam).get("/agreement/compare/?new=2").content.decode()


@pytest.mark.parametrize("query", ["?old=9", "?new=x", "?old=-1", "?new=" + "9" * 20])
def test_a_version_that_is_not_there_is_not_compared(query, two_versions, people, as_user):
    assert as_user(people.sam).get(f"/agreement/compare/{query}").status_code == 404


def test_with_no_version_there_is_nothing_to_compare(at, people, as_user):
    assert as_user(people.sam).get("/agreement/compare/").status_code == 404


def test_an_old_version_comes_back_as_a_draft_against_the_one_in_force(two_versions, people, as_user):
    as_user(people.mia).post("/agreement/restore/", {"of": 1})
    draft = agreements.draft()
    assert draft.number == 3
    assert draft.content == Agreement.objects.get(number=1).content
    assert draft.based_on == two_versions


def test_into_an_open_draft_an_old_version_comes_with_a_way_back(two_versions, people, as_user):
    client = as_user(people.mia)
    client.post("/agreement/start/", {"tab": "who"})
    client.post("/agreement/restore/", {"of": 1})
    draft = agreements.draft()
    assert draft.content == Agreement.objects.get(number=1).content
    agreements.undo(draft, person(people.mia), draft.lock_version)
    assert agreements.draft().content == two_versions.content


def test_the_history_says_who_when_and_what(two_versions, people, as_user):
    page = as_user(people.sam).get("/agreement/history/").content.decode()
    for words in ("VPs count more", "Noah, 24 Nov", "Rosa, 24 Nov", "v2 came into force"):
        assert words in page


@pytest.mark.parametrize("address", ["/agreement/history/", "/agreement/compare/?old=1&new=2"])
def test_the_pages_of_history_cost_the_same_at_many_versions(
    address, two_versions, people, as_user, django_assert_num_queries
):
    def declined() -> None:
        made = agreements.create_draft(person(people.mia))
        agreements.propose(made, person(people.mia))
        agreements.sign(made, person(people.noah))
        agreements.decline(made, person(people.rosa), "Not yet.")

    declined()
    client = as_user(people.sam)
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    for _ in range(4):
        declined()
    with django_assert_num_queries(len(few)):
        client.get(address)
    assert len(few) <= 24
