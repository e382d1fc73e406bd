"""The page of one lead."""

import re
from datetime import timedelta

import pytest

from handoff import machine
from leadflow import clock
from leadflow.leads.models import FactChange, Lead
from leadflow.pages.lead import sales_bar
from scoring import engine
from scoring.document import content_sha

pytestmark = pytest.mark.django_db


def test_it_tells_who_what_and_where_from(people, make_lead, did, as_user, at) -> None:
    lead = make_lead(name="Dana Weiss", title="VP Operations", company="Brückner", source="Website")
    did(lead, "page_view", 1, path="/pricing")
    page = as_user(people.mia).get(f"/leads/{lead.pk}/").content.decode()
    for words in ("Dana Weiss", "VP Operations", "Brückner", "/pricing", "yesterday", "A lead from here"):
        assert words in page


def test_the_reasons_add_up_to_the_score(people, agreement_in_force, make_lead, did, as_user, at) -> None:
    lead = make_lead(title="VP Operations", company="Brückner", employees=320, country="Germany")
    did(lead, "demo_requested", 0.01)
    engine.score_pending(at)
    page = as_user(people.sam).get(f"/leads/{lead.pk}/")
    explanation = page.context["explanation"]
    assert explanation.total == Lead.objects.get(pk=lead.pk).score.total > 0
    assert round(sum(line.points for line in explanation.lines)) == explanation.total
    assert f"Why {explanation.total}" in page.content.decode()


def test_a_gap_is_filled_in_place_and_the_old_value_kept(people, make_lead, as_user, at) -> None:
    lead = make_lead(title="")
    client = as_user(people.sam)
    form = client.get(f"/leads/{lead.pk}/fact/title/")
    assert 'name="value"' in form.content.decode()
    row = client.post(f"/leads/{lead.pk}/fact/title/", {"value": "CFO"})
    assert "CFO" in row.content.decode()
    change = FactChange.objects.get(lead=lead, field="title")
    assert (change.actor, change.cause) == (people.sam, "by hand")


def test_a_field_that_is_nobodys_to_type_is_refused(people, make_lead, as_user) -> None:
    lead = make_lead()
    client = as_user(people.sam)
    for key in ("first_source", "stage", "custom.none", "is_target"):
        assert client.post(f"/leads/{lead.pk}/fact/{key}/", {"value": "x"}).status_code == 400


def test_a_bad_address_is_told_in_words_and_nothing_changes(people, make_lead, as_user) -> None:
    lead = make_lead(email="dana@customer.example")
    answer = as_user(people.sam).post(
        f"/leads/{lead.pk}/fact/email/", {"value": "not an address"}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 400
    assert "data-toast" in answer.content.decode()
    lead.refresh_from_db()
    assert lead.email == "dana@customer.example"


def test_a_lead_that_is_not_here_is_told_kindly(people, as_user) -> None:
    answer = as_user(people.mia).get("/leads/999999/")
    assert answer.status_code == 404
    assert "no such lead" in answer.content.decode()


def test_the_story_goes_further_back_on_demand(people, make_lead, did, as_user, at) -> None:
    lead = make_lead()
    for days in range(70):
        did(lead, "page_view", days, path=f"/page{days}")
    client = as_user(people.mia)
    page = client.get(f"/leads/{lead.pk}/")
    told = page.content.decode()
    assert "/page69" not in told
    while more := page.context["more"]:
        page = client.get(f"/leads/{lead.pk}/story/", {"before": more.isoformat()})
        told += page.content.decode()
    for days in range(70):
        assert told.count(f"/page{days}<") == 1
    theirs = client.get(f"/leads/{lead.pk}/story/?side=ours").content.decode()
    assert "/page1" not in theirs


def test_a_rep_is_told_when_marketing_still_has_the_lead(people, make_lead, as_user) -> None:
    page = as_user(people.sam).get(f"/leads/{make_lead().pk}/").content.decode()
    assert "With marketing, please do not contact yet" in page


def test_times_stand_in_the_readers_zone(people, make_lead, did, as_user, at) -> None:
    lead = make_lead()
    did(lead, "page_view", 1, path="/pricing")
    people.mia.tz = "Asia/Kolkata"
    people.mia.save()
    page = as_user(people.mia).get(f"/leads/{lead.pk}/").content.decode()
    assert re.search(r"yesterday 13:42", page)


def test_every_change_of_the_score_is_told_point_by_point(people, moved, as_user) -> None:
    page = as_user(people.sam).get(f"/leads/{moved.pk}/moves/").content.decode()
    assert "First score" in page
    assert "asked for a demo" in page.lower()
    assert "agreement v2" in page
    assert page.count("then</button>") == moved.score_changes.count()


def test_the_curve_shows_where_another_agreement_took_over(people, moved, as_user) -> None:
    page = as_user(people.sam).get(f"/leads/{moved.pk}/")
    assert [version.number for version in page.context["curve"].versions] == [2]
    assert "agreement v2" in page.content.decode()
    assert "Agreement v2 came into force" in page.content.decode()


def test_who_looks_again_is_told_what_moved_since(people, moved, as_user, at, did) -> None:
    client = as_user(people.sam)
    with clock.use(at + timedelta(days=3)):
        assert "Since you last looked" not in client.get(f"/leads/{moved.pk}/").content.decode()
    with clock.use(at + timedelta(days=4)):
        did(moved, "question")
        while engine.score_pending(clock.now()):
            pass
    with clock.use(at + timedelta(days=5)):
        page = client.get(f"/leads/{moved.pk}/")
        told = page.context["since"].move
        assert told.now == Lead.objects.get(pk=moved.pk).score.total
        assert sum(part.points for part in told.parts) == told.points > 0
        assert "Since you last looked" in page.content.decode()
        # The same visit goes on; somebody else never looked before.
        assert "Since you last looked" in client.get(f"/leads/{moved.pk}/").content.decode()
        assert "Since you last looked" not in as_user(people.mia).get(f"/leads/{moved.pk}/").content.decode()


@pytest.fixture
def moved(people, agreement_in_force, make_lead, did, at):
    """A lead whose score moved by an act and by a second version of the agreement."""
    lead = make_lead(title="VP Operations", company="Brückner", employees=320, country="Germany")
    with clock.use(at + timedelta(days=1)):
        did(lead, "demo_requested")
        while engine.score_pending(clock.now()):
            pass
    body = agreement_in_force.content
    body["criteria"] = [c | {"points": c["points"] - 9} if c["id"] == "f1" else c for c in body["criteria"]]
    with clock.use(at + timedelta(days=2)):
        type(agreement_in_force).objects.filter(pk=agreement_in_force.pk).update(state="superseded")
        second = type(agreement_in_force).objects.create(
            number=2, state="in_force", content=body, sha256=content_sha(body), zone=agreement_in_force.zone,
            created_at=clock.now(), changed_at=clock.now(), in_force_at=clock.now(),
        )  # fmt: skip
        engine.score_range(0, lead.pk, at=clock.now(), cause=f"agreement v{second.number}")
    return lead


@pytest.mark.parametrize("changes", [3, 12])
def test_telling_every_change_costs_the_same_few_queries(
    people, agreement_in_force, make_lead, did, as_user, at, django_assert_max_num_queries, changes
) -> None:
    lead = make_lead(title="VP Operations", company="Brückner", employees=320, country="Germany")
    for day in range(changes):
        with clock.use(at + timedelta(days=day)):
            did(lead, "webinar_attended")
            while engine.score_pending(clock.now()):
                pass
    client = as_user(people.sam)
    client.get(f"/leads/{lead.pk}/moves/")
    with django_assert_max_num_queries(11):
        client.get(f"/leads/{lead.pk}/moves/")


def test_the_bar_is_read_out_of_the_agreement() -> None:
    assert sales_bar({"all": [{"active_days": 14}, {"score": "total", "op": "gte", "value": 55}]}) == 55
    assert sales_bar({"any": [{"score": "total", "op": "gte", "value": 55}]}) is None


@pytest.mark.parametrize("rows", [3, 30])
def test_the_page_costs_at_most_fifteen_queries(
    people, agreement_in_force, make_lead, did, as_user, at, django_assert_max_num_queries, rows
) -> None:
    lead = make_lead(title="VP Operations", company="Brückner", employees=320, country="Germany")
    for n in range(rows):
        did(lead, "page_view", n * 0.5, path=f"/pricing/{n}")
    engine.score_pending(at + timedelta(minutes=1))
    client = as_user(people.mia)
    # The scoring statements are prepared once per connection; that is not the page's cost.
    client.get(f"/leads/{lead.pk}/")
    with django_assert_max_num_queries(15):
        client.get(f"/leads/{lead.pk}/")


def test_the_page_of_a_lead_with_sales_costs_no_more(
    people, agreement_in_force, make_lead, did, as_user, at, django_assert_max_num_queries
) -> None:
    lead = make_lead(
        title="VP Operations", company="Brückner", employees=320, country="Germany", phone="+49 40 1"
    )
    did(lead, "demo_requested", 0.01)
    while engine.score_pending(at):
        pass
    machine.open_pending(at, 10)
    handoff = lead.handoffs.get()
    client = as_user(handoff.owner)
    client.get(f"/leads/{lead.pk}/")
    with django_assert_max_num_queries(15):
        page = client.get(f"/leads/{lead.pk}/").content.decode()
    assert "Accept" in page
    assert f'hx-post="/queue/{handoff.pk}/accept/"' in page
