"""The agreement on paper: two pages that say the same in the browser and as a PDF, readable, complete."""

import copy
from io import BytesIO

import pytest
from pypdf import PdfReader

from handoff.models import Handoff
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role, User
from scoring import agreements, current, engine, forecast, room
from scoring.document import Document
from scoring.signing import load, paper

pytestmark = pytest.mark.django_db
HOT = {"title": "VP Operations", "employees": 320, "industry": "Software", "country": "Germany"}


def read(client, query: str = "") -> PdfReader:
    response = client.get(f"/agreement/print.pdf{query}")
    assert response.status_code == 200
    assert response["Content-Type"] == "application/pdf"
    return PdfReader(BytesIO(response.content))


def text_of(reader: PdfReader, page: int) -> str:
    return " ".join(reader.pages[page].extract_text().split())


@pytest.fixture
def client(people, as_user):
    return as_user(people.sam)


# Two pages --------------------------------------------------------------------------------------------


def test_the_default_agreement_is_two_pages(at, agreement_in_force, client):
    reader = read(client)
    assert len(reader.pages) == 2
    first, second = text_of(reader, 0), text_of(reader, 1)
    assert "Agreement v1, page 1 of 2" in first
    assert "Agreement v1, page 2 of 2" in second
    order = ["Definitions", "What changes for my people", "Stages: who holds the lead", "What we promise"]
    places = [first.index(words) for words in [*order, "For marketing", "Noah", "Content"]]
    assert places == sorted(places)
    for words in ("Nordfracht", "password confirmed", "Rosa"):
        assert words in first
    for words in (
        "+25 Asked for a demo",
        "Bars",
        "Ready for sales",
        "Left out",
        "15 min",
        "Too small",
        "Room",
    ):
        assert words in second


def test_every_rule_that_counts_is_on_it(at, agreement_in_force, client):
    second = text_of(read(client), 1)
    document = Document(agreement_in_force.content)
    missing = [c.text for c in document.active_criteria if c.text.split("(")[0].strip() not in second]
    assert missing == []
    assert [r.text for r in document.reasons if r.text not in second] == []


def test_its_type_is_large_enough_to_read(at, agreement_in_force, client):
    sizes: list[float] = []

    def look(text, cm, tm, font, size):
        if text.strip():
            sizes.append(size)

    for page in read(client).pages:
        page.extract_text(visitor_text=look)
    assert min(sizes) >= 6.5


def test_page_and_file_say_the_same(at, agreement_in_force, client):
    page = " ".join(client.get("/agreement/print/").content.decode().split())
    reader = read(client)
    for words in (
        "What we call a lead, and what we promise",
        "Leads a week",
        "Why sales may say no",
        "2 of 2",
    ):
        assert words in page
        assert words in text_of(reader, 0) + text_of(reader, 1)


def test_the_same_version_gives_the_same_file(at, agreement_in_force, client):
    assert client.get("/agreement/print.pdf").content == client.get("/agreement/print.pdf").content


def test_names_and_arrows_are_shown_as_they_are_written(at, people, agreement_in_force, client):
    people.noah.name = "Łukasz Žižka Ωmega Дмитрий"
    people.noah.save()
    draft = agreements.create_draft(person(people.mia))
    content = copy.deepcopy(draft.content)
    content["criteria"][0]["points"] = 20
    content["definitions"]["lead"] = "Who has <b>a name</b> & 5 ≥ 3; 漢字"
    agreements.save_draft(draft, content, person(people.mia), 1)
    agreements.propose(draft, person(people.mia))
    agreements.sign(draft, person(people.noah))
    first = text_of(read(client, "?v=2"), 0)
    assert "Łukasz Žižka Ωmega Дмитрий" in first
    assert "points +15 → +20" in first
    assert "Who has <b>a name</b> & 5 ≥ 3; ??" in first
    assert "not signed yet: nothing goes to sales by it" in first


def test_a_very_long_agreement_takes_more_pages_and_loses_nothing(at, people, client):
    content = agreements.first_content()
    rule = next(c for c in content["criteria"] if c["id"] == "b1")
    for n in range(120):
        content["criteria"].append({**rule, "id": f"long{n}", "text": f"Rule number {n} of many"})
    content["definitions"]["lead"] = "word " * 600
    agreements.create_draft(person(people.mia), content=content)
    reader = read(client, "?v=1")
    assert len(reader.pages) > 2
    everything = " ".join(text_of(reader, n) for n in range(len(reader.pages)))
    assert "Rule number 119 of many" in everything
    assert f"page {len(reader.pages)} of {len(reader.pages)}" in everything


def test_a_draft_says_that_it_is_none_yet(at, people, client):
    agreements.create_draft(person(people.mia))
    assert "not signed yet" in text_of(read(client, "?v=1"), 0)
    assert "Not signed yet:" in client.get("/agreement/print/?v=1").content.decode()


def test_a_version_that_is_not_there_has_no_paper(at, agreement_in_force, client):
    for address in ("/agreement/print.pdf?v=9", "/agreement/print/?v=x"):
        assert client.get(address).status_code == 404


# What changes for my people ----------------------------------------------------------------------------


def hot(make_lead, did, days_ago: float, **more):
    lead = make_lead(**HOT, **more)
    for days in (0, 1, 2):
        did(lead, "page_view", days_ago + days, path="/pricing")
    did(lead, "download_buying", days_ago + 4)
    return lead


def test_the_expected_leads_a_week_are_those_who_would_have_reached_the_bar(
    at, people, agreement_in_force, make_lead, did
):
    from datetime import timedelta

    for n, days_ago in enumerate((1, 8, 15, 22, 23, 40)):
        with clock.use(at - timedelta(days=60)):
            lead = make_lead(**HOT, email=f"vp{n}@house{n}.example")
        for days in (0, 1, 2):
            with clock.use(at - timedelta(days=days_ago + days)):
                did(lead, "page_view", 0, path="/pricing")
        with clock.use(at - timedelta(days=days_ago + 4)):
            did(lead, "download_buying", 0)
    ids = list(engine.match({"fact": "title", "op": "known"}, None, clock.now()))
    assert len(ids) == 6
    # Five within the last four weeks; the sixth was there before.
    program = current.of(agreement_in_force).program
    assert forecast.reached_a_week(program, forecast.Looked(ids, [1.0] * len(ids)), clock.now()) == 5 / 4


def test_a_higher_bar_expects_fewer_and_a_base_without_leads_says_so(at, people, agreement_in_force, client):
    assert forecast.expected_a_week(agreement_in_force, None, 0, clock.now()) is None
    agreements.create_draft(person(people.mia))
    assert "too few leads yet to say" in client.get("/agreement/print/?v=2").content.decode()


def test_of_a_version_in_force_nobody_is_scored_anew_to_print_it(
    at, people, agreement_in_force, client, django_assert_max_num_queries
):
    with django_assert_max_num_queries(15) as asked:
        assert client.get("/agreement/print/").status_code == 200
    assert not any("EXECUTE lf_" in query["sql"] or "last_own_act_at" in query["sql"] for query in asked)


def test_leads_a_week_are_shown_for_each_rep_and_add_up(at, people, agreement_in_force):
    draft = agreements.create_draft(person(people.mia))
    sales = room.Room(
        reps=tuple(room.Rep(n, f"Rep {n}", 1, "North", True, 0, 40, 8, 0) for n in range(1, 4)),
        days=(at.date(),),
        offers={1: 10, 2: 7, 3: 3},
        limited=20,
    )
    found = paper.week(draft, agreement_in_force, sales, 8.4)
    assert (found.now, found.now_total) == ((2, 2, 1), 5)
    assert (sum(found.expected), found.expected_total) == (8, 8)
    assert (found.was, found.will) == ("v1, now", "v2, expected")
    assert "Room for 24 a week, at most 8 a day and rep." in found.says
    assert "About 76 a week more than that come" in paper.week(draft, None, sales, 100).says


def test_many_reps_stand_together_in_the_last_column(at, people, agreement_in_force, client):
    for n in range(14):
        User.objects.create(
            email=f"rep{n}@example.com", name=f"Rep Number {n}", role=Role.REP, team=people.north
        )
    reader = read(client)
    assert len(reader.pages) == 2
    assert "8 others" in text_of(reader, 0)


# The load before signing -------------------------------------------------------------------------------


def reps(count: int, **more):
    given = {"present": True, "open_now": 0, "capacity": 40, "per_day": 8, "given_today": 0, **more}
    return tuple(room.Rep(n, f"Rep {n}", 1, "North", **given) for n in range(count))


def days(at, count: int = 20):
    from datetime import timedelta

    found = [at.date() + timedelta(days=n) for n in range(count * 2)]
    return tuple(day for day in found if day.weekday() < 5)[:count]


def says(total: int, sales: room.Room, key: str, monkeypatch, agreement, at) -> str:
    above = load.Above(total, 0, 12, exact=True)
    monkeypatch.setattr(load, "above_the_bar", lambda *_: above)
    return {c.key: c.says for c in load.of(agreement, sales, at).choices}[key]


@pytest.mark.parametrize(
    ("total", "more", "usual", "words"),
    [
        (
            31,
            {},
            0,
            "31 leads wait: at most 8 a day and rep, 8 of them on the first day; done on Friday 27 November.",
        ),
        (8, {}, 0, "8 leads wait: at most 8 a day and rep, 8 of them on the first day; then it is done."),
        (
            31,
            {},
            80,
            "31 leads wait: at most 8 a day and rep, 8 of them on the first day; done on Wednesday 2 "
            "December, beside the 4 a day that come anyway.",
        ),
        (
            31,
            {},
            160,
            "31 leads wait: at most 8 a day and rep, 8 of them on the first day. Not done within two "
            "months: "
            "as many come as there is room for.",
        ),
        (31, {"present": False}, 0, "31 leads wait, and no rep is there: they come in when somebody is."),
        (0, {}, 0, "Nobody waits: who is above the bar is with sales already."),
    ],
)
def test_trickling_in_says_how_many_a_day_and_when_it_is_done(
    total, more, usual, words, at, agreement_in_force, monkeypatch
):
    sales = room.Room(reps=reps(1, **more), days=days(at), limited=usual)
    assert says(total, sales, "trickle", monkeypatch, agreement_in_force, at) == words


@pytest.mark.parametrize(
    ("total", "more", "words"),
    [
        (31, {}, "31 leads at once, 10 to 11 for each rep, each with its clock from this moment."),
        (
            31,
            {"open_now": 37},
            "9 leads at once, 3 for each rep, each with its clock from this moment; 22 more wait until "
            "a desk has room.",
        ),
        (
            31,
            {"open_now": 40},
            "31 leads wait, and no desk has room: they come in one by one as leads are answered.",
        ),
    ],
)
def test_all_now_says_what_lands_on_each_desk(total, more, words, at, agreement_in_force, monkeypatch):
    sales = room.Room(reps=reps(3, **more), days=days(at))
    assert says(total, sales, "all_now", monkeypatch, agreement_in_force, at) == words


def test_only_on_new_evidence_says_how_many_may_come_back(at, agreement_in_force, monkeypatch):
    sales = room.Room(reps=reps(3), days=days(at), waiting=2)
    words = (
        "31 leads stay with marketing until they do something new; 12 of them did in the last week. "
        "The 2 that wait for room now stay in line."
    )
    assert says(31, sales, "new_evidence", monkeypatch, agreement_in_force, at) == words


def test_the_load_counts_who_is_above_the_bar_and_not_with_sales(at, people, make_lead, did, as_user):
    for n in range(3):
        hot(make_lead, did, 0, email=f"vp{n}@house{n}.example")
    make_lead()
    draft = agreements.create_draft(person(people.mia))
    found = load.above_the_bar(draft, clock.now())
    assert (found.count, found.fast, found.lately, found.exact) == (3, 0, 3, True)
    page = as_user(people.mia).get("/agreement/load/").content.decode()
    assert "3 leads wait: at most 8 a day and rep, 3 of them on the first day; then it is done." in page
    assert "3 leads at once, 1 for each rep" in page
    assert not Handoff.objects.exists()
