"""A draft's steps: undo and redo one by one, and two people in one draft who do not overwrite each other."""

import re

import pytest

from leadflow.accounts.actors import person
from leadflow.errors import Conflict
from scoring import agreements
from scoring.models import Agreement, DraftStep
from tests.scoring.forms import FORM, open_form, save, sent

pytestmark = pytest.mark.django_db


@pytest.fixture
def noah(as_user, people):
    """Noah's browser, speaking htmx."""
    client = as_user(people.noah)
    client.defaults["HTTP_HX_REQUEST"] = "true"
    return client


def raw(draft: Agreement, key: str) -> dict:
    """A criterion as it now stands in the draft."""
    return next(c for c in agreements.get(draft.pk).content["criteria"] if c["id"] == key)


def test_each_save_can_be_undone_one_by_one_and_put_back(draft, mia):
    first = draft.content
    save(mia, "criterion-f1", points="20")
    second = agreements.get(draft.pk).content
    mia.post("/agreement/part/criterion/b3/switch/")
    third = agreements.get(draft.pk).content

    response = mia.post("/agreement/undo/", {"tab": "behaviour"})
    assert "Undone: Viewed a page under /pricing: switched off" in response.content.decode()
    assert agreements.get(draft.pk).content == second
    mia.post("/agreement/undo/")
    assert agreements.get(draft.pk).content == first
    nothing = mia.post("/agreement/undo/")
    assert nothing.status_code == 409
    assert "nothing to undo" in nothing.content.decode()

    mia.post("/agreement/redo/")
    assert agreements.get(draft.pk).content == second
    mia.post("/agreement/redo/")
    assert agreements.get(draft.pk).content == third
    assert mia.post("/agreement/redo/").status_code == 409


def test_a_new_change_after_an_undo_ends_what_could_be_put_back(draft, mia):
    save(mia, "criterion-f1", points="20")
    mia.post("/agreement/undo/")
    save(mia, "criterion-f2", points="11")
    assert mia.post("/agreement/redo/").status_code == 409
    mia.post("/agreement/undo/")
    assert agreements.get(draft.pk).content == draft.content


def test_an_undo_never_takes_back_what_its_reader_has_not_seen(draft, mia, noah):
    save(mia, "criterion-f1", points="20")
    seen = agreements.get(draft.pk).lock_version
    save(noah, "criterion-f3", points="7")
    response = mia.post("/agreement/undo/", {"lock": str(seen)})
    assert response.status_code == 409
    assert "Somebody else saved this draft" in response.content.decode()
    assert raw(draft, "f3")["points"] == 7


def test_undo_tells_whose_change_it_would_take_back(draft, mia, noah):
    save(noah, "criterion-f3", points="7")
    text = mia.get("/agreement/who/").content.decode()
    assert "The last change is by Noah" in text
    assert "Noah," in text


def test_what_is_proposed_cannot_be_undone(draft, mia, people):
    save(mia, "criterion-f1", points="20")
    agreements.propose(agreements.get(draft.pk), person(people.mia))
    assert mia.post("/agreement/undo/").status_code == 409
    with pytest.raises(Conflict, match="cannot change any more"):
        agreements.undo(agreements.get(draft.pk), person(people.mia), 2)


def test_only_the_newest_steps_are_kept(draft, people, monkeypatch):
    from scoring.editing import steps

    monkeypatch.setattr(steps, "KEPT", 3)
    for n in range(5):
        now = agreements.get(draft.pk)
        agreements.save_draft(now, {**now.content, "title": f"T{n}"}, person(people.mia), now.lock_version)
    titles = DraftStep.objects.filter(agreement=draft).order_by("lock_version")
    assert [step.content["title"] for step in titles] == ["T1", "T2", "T3"]


def test_two_people_change_different_things_of_one_criterion_and_both_stay(draft, mia, noah):
    data = sent(open_form(mia, "criterion-f2"))
    save(noah, "criterion-f2", points="14")
    data["why"] = "Sales asked for it."
    response = mia.post("/agreement/part/criterion/f2/", data.urlencode(), FORM)
    assert response.status_code == 200
    assert "What Noah changed in it meanwhile stays" in response.content.decode()
    assert raw(draft, "f2")["points"] == 14
    assert raw(draft, "f2")["why"] == "Sales asked for it."


def test_two_people_change_the_same_thing_and_one_chooses(draft, mia, noah):
    data = sent(open_form(mia, "criterion-f2"))
    save(noah, "criterion-f2", points="14", why="Noah's reason")
    data["points"] = "13"
    url = "/agreement/part/criterion/f2/"
    response = mia.post(url, data.urlencode(), FORM)
    assert response.status_code == 422
    text = response.content.decode()
    assert re.search(r"Noah changed this \d+ s ago", text)
    assert "Take this" in text
    assert "Keep mine" in text
    assert "Noah&#x27;s reason" in text  # what only he changed is in the form already

    data = sent(text)
    data["act"] = "theirs:points"
    text = mia.post(url, data.urlencode(), FORM).content.decode()
    assert "Noah changed this" not in text
    assert sent(text)["points"] == "14"

    data = sent(text)
    data["points"] = "12"
    assert mia.post(url, data.urlencode(), FORM).status_code == 200
    assert raw(draft, "f2")["points"] == 12
    assert raw(draft, "f2")["why"] == "Noah's reason"


def test_a_third_save_while_one_chooses_is_seen_too(draft, mia, noah):
    url = "/agreement/part/criterion/f2/"
    data = sent(open_form(mia, "criterion-f2"))
    save(noah, "criterion-f2", points="14")
    data["points"] = "13"
    shown = sent(mia.post(url, data.urlencode(), FORM).content.decode())
    save(noah, "criterion-f2", points="16")
    again = mia.post(url, shown.urlencode(), FORM)
    assert again.status_code == 422
    assert raw(draft, "f2")["points"] == 16
    final = sent(again.content.decode())
    assert mia.post(url, final.urlencode(), FORM).status_code == 200
    assert raw(draft, "f2")["points"] == 13


def test_how_a_criterion_counts_is_taken_from_one_person_not_half_and_half(draft, mia, noah):
    url = "/agreement/part/criterion/b3/"
    data = sent(open_form(mia, "criterion-b3"))
    theirs = sent(open_form(noah, "criterion-b3"))
    theirs["mode"], theirs["act"] = "bands", "refresh"
    theirs = sent(noah.post(url, theirs.urlencode(), FORM).content.decode())
    assert noah.post(url, theirs.urlencode(), FORM).status_code == 200
    data["points"] = "9"
    response = mia.post(url, data.urlencode(), FORM)
    assert response.status_code == 422
    assert "How it counts" in response.content.decode()
    chosen = sent(response.content.decode())
    chosen["act"] = "theirs:rule"
    chosen = sent(mia.post(url, chosen.urlencode(), FORM).content.decode())
    assert mia.post(url, chosen.urlencode(), FORM).status_code == 200
    assert raw(draft, "b3")["mode"] == "bands"


def test_a_part_that_somebody_removed_is_told_by_name_and_nothing_is_saved(draft, mia, noah):
    data = sent(open_form(mia, "criterion-b17"))
    noah.post("/agreement/part/criterion/b17/remove/")
    response = mia.post("/agreement/part/criterion/b17/", data.urlencode(), FORM)
    assert response.status_code == 409
    assert "Noah removed this" in response.content.decode()


def test_a_form_of_a_draft_that_is_no_draft_any_more_is_refused_in_words(draft, mia, people):
    data = sent(open_form(mia, "criterion-f1"))
    agreements.discard_draft(draft, person(people.noah))
    url = "/agreement/part/criterion/f1/"
    none = mia.post(url, data.urlencode(), FORM)
    assert none.status_code == 409
    assert "no draft any more" in none.content.decode()
    agreements.create_draft(person(people.noah))
    data["v"], data["points"] = "2", "20"
    other = mia.post(url, data.urlencode(), FORM)
    assert other.status_code == 409
    assert "the one open now is v3" in other.content.decode()
    assert all(c["points"] != 20 for c in agreements.draft().content["criteria"] if c["id"] == "f1")


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/agreement/part/nonsense/all/", 404),
        ("/agreement/part/criterion/zzz/", 409),
        ("/agreement/part/criterion/f1/explode/", 404),
        ("/agreement/part/limits/fit/remove/", 404),
        ("/agreement/order/nonsense/", 409),
    ],
)
def test_an_unknown_part_or_act_changes_nothing(draft, mia, url, status):
    assert mia.post(url).status_code == status
    assert agreements.get(draft.pk).content == draft.content
