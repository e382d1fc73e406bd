"""The workshop's pages: what a curious person cannot see, and what each page costs."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.leads.models import Lead
from scoring import agreements
from scoring.models import Workshop, WorkshopVote
from scoring.workshops import drawing, sorting

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at")]
SECRET = "between you and me"


@pytest.fixture
def workshop(people, make_lead):
    """Six leads; Mia, Sam and Noah (who set it up) sort. Sam has finished, with a secret in each reason."""
    for _ in range(6):
        make_lead(company="Brückner", title="Head of Transport")
    who = [people.mia.pk, people.sam.pk, people.noah.pk]
    made = drawing.set_up(person(people.noah), "Autumn", cards=6, days=30, people=who)
    for card in made.cards.all():
        sorting.sort(made, card.n, person(people.sam), "not_good", SECRET, SECRET)
    sorting.finish(made, person(people.sam))
    return made


def _at(workshop, tail="") -> str:
    return f"/agreement/workshops/{workshop.pk}/{tail}"


PLACES = ["", "cards/1/", "cards/2/", "result/", "result/?csv=1", "result/?print=1"]


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("name", ["mia", "noah"])
def test_who_has_not_finished_finds_no_other_answer_anywhere(workshop, people, as_user, name, closed) -> None:
    user = getattr(people, name)
    client = as_user(user)
    sorting.sort(workshop, 1, person(user), "good")
    if closed:
        sorting.close(workshop, person(people.rosa))
    elsewhere = ["/", "/agreement/workshops/", "/settings/trail/", "/notices/"]
    for place in [*(_at(workshop, place) for place in PLACES), *elsewhere]:
        page = client.get(place)
        assert page.status_code in (200, 403), place
        assert SECRET not in b"".join(page).decode(), place
    assert client.get(_at(workshop, "result/")).status_code == 403
    assert client.post(_at(workshop, "suggest/"), {"key": "x"}).status_code == 403
    headers = {"HX-Request": "true"}
    for place in PLACES:
        assert SECRET not in b"".join(client.get(_at(workshop, place), headers=headers)).decode()


def test_nobody_sorts_in_another_name(workshop, people, as_user) -> None:
    data = {"vote": "good", "reason": "mine", "user": people.sam.pk, "side": "sales", "seat": people.sam.pk}
    assert as_user(people.mia).post(_at(workshop, "cards/1/"), data).status_code == 200
    assert WorkshopVote.objects.get(user=people.mia).side == "marketing"
    assert set(WorkshopVote.objects.filter(user=people.sam).values_list("reason", flat=True)) == {SECRET}


def test_strangers_see_nothing_and_cannot_sort(workshop, people, as_user) -> None:
    client = as_user(people.ben)
    for place in PLACES:
        assert client.get(_at(workshop, place)).status_code == 404, place
    for place in ("cards/1/", "finish/", "leave/"):
        assert client.post(_at(workshop, place), {"vote": "good"}).status_code == 404
    assert b"Autumn" not in client.get("/agreement/workshops/").content
    # A manager who was not invited sees who has finished, never an answer, and sorts nothing.
    rosa = as_user(people.rosa)
    page = rosa.get(_at(workshop)).content.decode()
    assert "1 of 3 have finished" in page
    assert SECRET not in page
    assert rosa.get(_at(workshop, "result/")).status_code == 403
    assert rosa.post(_at(workshop, "cards/1/"), {"vote": "good"}).status_code == 403


def test_who_has_finished_changes_nothing_and_waits_for_the_others(workshop, people, as_user) -> None:
    client = as_user(people.sam)
    assert client.post(_at(workshop, "cards/1/"), {"vote": "good"}).status_code == 302
    assert client.get(_at(workshop, "cards/1/")).status_code == 302
    assert not WorkshopVote.objects.filter(user=people.sam, vote="good").exists()
    assert client.get(_at(workshop, "result/")).status_code == 403
    assert "You are done" in client.get(_at(workshop)).content.decode()


def test_after_looking_without_finishing_it_is_too_late(workshop, people, as_user) -> None:
    client = as_user(people.mia)
    assert client.post(_at(workshop, "leave/")).status_code == 409
    sorting.close(workshop, person(people.noah))
    assert "look at the comparison without finishing" in client.get(_at(workshop)).content.decode()
    assert client.post(_at(workshop, "leave/")).status_code == 302
    assert client.get(_at(workshop, "result/")).status_code == 200
    assert client.post(_at(workshop, "cards/1/"), {"vote": "good"}).status_code == 302
    assert not WorkshopVote.objects.filter(user=people.mia).exists()


def test_a_card_tells_no_score_no_stage_no_grade(people, agreement_in_force, make_lead, did, as_user) -> None:
    from scoring import engine

    lead = make_lead(title="VP Operations", employees=320, country="Germany", phone="+49 40 5550 134")
    did(lead, "demo_requested", 0)
    engine.score_pending(clock.now())
    lead.refresh_from_db()
    made = drawing.set_up(
        person(people.noah), "Autumn", cards=5, days=30, people=[people.mia.pk, people.sam.pk]
    )
    card = as_user(people.mia).get(_at(made, "cards/1/"), headers={"HX-Request": "true"}).content.decode()
    assert lead.score.total > 50
    assert "Asked for a demo" in card
    for telling in (
        f">{lead.score.grade}<",
        f"{lead.score.total} points",
        lead.get_stage_display(),
        "/leads/",
    ):
        assert telling not in card, telling


def test_answers_are_kept_as_they_are_given_and_the_next_card_comes(workshop, people, as_user) -> None:
    client = as_user(people.mia)
    htmx = {"HX-Request": "true"}
    page = client.post(_at(workshop, "cards/1/"), {"vote": "good", "reason": "", "wanted": ""}, headers=htmx)
    assert b'aria-pressed="true"' in page.content
    assert b"data-focus" in page.content
    page = client.post(
        _at(workshop, "cards/1/"), {"go": "next", "reason": "fits", "wanted": "Budget"}, headers=htmx
    )
    assert page["HX-Push-Url"] == _at(workshop, "cards/2/")
    vote = WorkshopVote.objects.get(user=people.mia)
    assert (vote.vote, vote.reason, vote.wanted_to_know) == ("good", "fits", "Budget")
    # A text without an answer is refused, so that it is not lost; without both one just goes on.
    page = client.post(_at(workshop, "cards/2/"), {"go": "next", "reason": "hm", "wanted": ""}, headers=htmx)
    assert page.status_code == 400
    page = client.post(_at(workshop, "cards/2/"), {"go": "after", "reason": "", "wanted": ""}, headers=htmx)
    assert page["HX-Push-Url"] == _at(workshop, "cards/3/")
    for n in range(2, 7):
        page = client.post(_at(workshop, f"cards/{n}/"), {"vote": "unsure", "go": "next"}, headers=htmx)
    assert page["HX-Redirect"] == _at(workshop)
    assert "All 6 sorted" in client.get(_at(workshop)).content.decode()


def test_a_card_left_out_says_so_and_goes_on(workshop, people, as_user) -> None:
    lead = workshop.cards.get(n=2).lead_id
    Lead.objects.filter(pk=lead).update(erased_at=clock.now())
    client = as_user(people.mia)
    page = client.get(_at(workshop, "cards/2/")).content.decode()
    assert "This lead was erased" in page
    assert "Brückner" not in page
    after = client.post(_at(workshop, "cards/1/"), {"vote": "good", "go": "next"})
    assert after.url == _at(workshop, "cards/3/")
    assert client.post(_at(workshop, "cards/2/"), {"vote": "good"}).status_code == 409


def test_setting_one_up_keeps_what_was_typed_when_it_is_refused(people, make_lead, as_user) -> None:
    make_lead()
    client = as_user(people.rosa)
    data = {"name": "Mine", "cards": "3", "days": "x", "people": [people.mia.pk]}
    page = client.post("/agreement/workshops/new/", data)
    assert page.status_code == 422
    text = page.content.decode()
    for words in (
        "Between 5 and 100 leads",
        "Between 1 and 365 days",
        "Invite somebody of sales, too",
        "Mine",
    ):
        assert words in text
    data = {"name": "Mine", "cards": "10", "days": "30", "people": [people.mia.pk, people.sam.pk]}
    assert client.post("/agreement/workshops/new/", data).status_code == 302
    assert Workshop.objects.get().facilitator == people.rosa
    pool = client.get("/agreement/workshops/pool/?cards=10&days=30").content.decode()
    assert "1 lead was new or active in these 30 days: 1 is drawn" in " ".join(pool.split())


def test_empty_lists_teach(people, as_user, make_lead) -> None:
    assert "No leads yet" in as_user(people.noah).get("/agreement/workshops/").content.decode()
    make_lead()
    assert "A workshop takes 30 minutes" in as_user(people.mia).get("/agreement/workshops/").content.decode()
    assert "Set one up" in as_user(people.noah).get("/agreement/workshops/").content.decode()


def test_an_address_that_is_out_of_range_is_not_found(workshop, people, as_user) -> None:
    client = as_user(people.mia)
    for path in (
        f"/agreement/workshops/{10**30}/",
        _at(workshop, f"cards/{10**30}/"),
        _at(workshop, "cards/0/"),
    ):
        assert client.get(path).status_code == 404, path
    data = {"name": "x", "cards": "9" * 40, "days": "-1", "people": ["x", "9" * 40, people.mia.pk]}
    assert as_user(people.noah).post("/agreement/workshops/new/", data).status_code == 422


def test_home_says_how_far_one_is(workshop, people, as_user) -> None:
    sorting.sort(workshop, 1, person(people.mia), "good")
    page = as_user(people.mia).get("/")
    assert [wait.what for wait in page.context["waits"] if wait.title == "Workshop"] == ["1 of 6 sorted"]
    page = as_user(people.sam).get("/")
    assert not [wait for wait in page.context["waits"] if wait.title == "Workshop"]


@pytest.mark.parametrize("leads", [3, 30])
def test_pages_cost_the_same_at_any_length(people, make_lead, as_user, agreement_in_force, leads) -> None:
    for _ in range(leads):
        make_lead()
    who = [people.mia, people.sam] if leads == 3 else [people.mia, people.noah, people.sam, people.ben]
    chosen = [one.pk for one in who]
    for _ in range(2 if leads == 3 else 20):
        made = drawing.set_up(person(people.noah), "Autumn", cards=40, days=30, people=chosen)
    client = as_user(people.mia)
    addresses = ((_at(made), 12), (_at(made, "cards/1/"), 16), ("/agreement/workshops/", 9))
    for place, most in addresses:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(place).status_code == 200
        assert len(queries) - sum("PREPARE" in one["sql"] for one in queries) <= most, place
    for user in who:
        for card in made.cards.all():
            sorting.sort(made, card.n, person(user), "good" if card.n % 2 else "not_good", "why", "Budget")
        sorting.finish(made, person(user))
    with CaptureQueriesContext(connection) as queries:
        assert client.get(_at(made, "result/")).status_code == 200
    assert len(queries) - sum("PREPARE" in one["sql"] for one in queries) <= 28


def test_a_suggestion_goes_into_a_draft_and_leads_to_who_moves(
    people, make_lead, did, as_user, agreement_in_force
) -> None:
    for n in range(16):
        lead = make_lead(title="Head of Transport" if n < 8 else "Student")
        if n < 8:
            did(lead, "webinar_attended", 3)
    who = [people.mia, people.sam]
    made = drawing.set_up(person(people.noah), "Autumn", cards=16, days=30, people=[one.pk for one in who])
    for user in who:
        for card in made.cards.select_related("lead"):
            word = "good" if card.lead.title.startswith("Head") else "not_good"
            sorting.sort(made, card.n, person(user), word, "", "")
        sorting.finish(made, person(user))
    client = as_user(people.mia)
    page = client.get(_at(made, "result/"))
    text = page.content.decode()
    assert "You agreed on 16 of 16." in text
    assert "Put into the draft" not in as_user(people.sam).get(_at(made, "result/")).content.decode()
    one = next(s for s in page.context["suggestions"] if "webinar" in s.text)
    answer = client.post(_at(made, "suggest/"), {"key": one.key})
    assert answer.url == "/agreement/moves/"
    assert agreements.draft() is not None
    assert "In the draft" in client.get(_at(made, "result/")).content.decode()
    assert client.post(_at(made, "suggest/"), {"key": one.key}).status_code == 409
    lines = b"".join(client.get(_at(made, "result/?csv=1"))).decode().splitlines()
    assert len(lines) == 1 + 16 * 2
    assert "What marks the good ones" in client.get(_at(made, "result/?print=1")).content.decode()
