"""The page "see who moves": first answer, exact answer in its place, slider, lists, bar into the draft."""

import re
from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client

from leadflow.accounts.actors import person
from leadflow.jobs.models import Job
from leadflow.leads.models import Lead
from scoring import agreements
from scoring.models import PreviewRun
from scoring.whatif import runs
from tests.scoring.test_whatif import bar_of, base_of, drafted, in_force, other_points, settle, work

pytestmark = pytest.mark.django_db
PAGE = "/agreement/moves/"
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def mia(at, people, as_user) -> Client:
    in_force(people)
    return as_user(people.mia)


def text_of(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_the_first_answer_is_marked_and_the_exact_one_takes_its_place(mia, people, monkeypatch):
    base_of(70)
    work()
    settle()
    drafted(people, other_points)
    monkeypatch.setattr(runs, "SAMPLE", 30)
    whole = mia.get(PAGE)
    assert f'hx-get="{PAGE}"' in whole.content.decode()
    assert not PreviewRun.objects.exists()

    first = mia.get(PAGE, **HTMX)
    assert "First look from a sample of 30" in text_of(first)
    assert "About" in text_of(first)
    run = PreviewRun.objects.get()
    waiting = mia.get(f"{PAGE}state/?run={run.pk}", **HTMX)
    assert "HX-Retarget" not in waiting
    assert "Exact" not in text_of(waiting)
    assert "exact in" in text_of(waiting)

    # Nobody takes the work: after some seconds the page says so, and the sample stays.
    Job.objects.update(created_at=F("created_at") - timedelta(seconds=11))
    waiting = mia.get(f"{PAGE}state/?run={run.pk}&by=grade", **HTMX)
    assert "HX-Retarget" not in waiting
    assert "sample of 30. The exact answer waits for a background worker" in text_of(waiting)
    assert "by=grade" in waiting.content.decode()

    work()
    exact = mia.get(f"{PAGE}state/?run={run.pk}", **HTMX)
    assert (exact["HX-Retarget"], exact["HX-Reswap"]) == ("#whatif", "outerHTML")
    run.refresh_from_db()
    assert f"Exact: all {run.result['exact']['open']} open leads" in text_of(exact)
    assert "About" not in text_of(exact)


def test_every_number_of_the_page_leads_to_so_many_leads(mia, people):
    base_of(60)
    work()
    settle()
    draft = drafted(people, other_points)
    page = mia.get(f"{PAGE}?by=grade", **HTMX).content.decode()
    links = re.findall(r'<a href="(/agreement/moves/leads/[^"]+)">([\d,]+)</a>', page)
    assert len(links) > 25
    for href, number in links[::4]:
        answer = mia.get(href.replace("&amp;", "&"))
        assert answer.context["total"] == int(number.replace(",", ""))
    run = PreviewRun.objects.get()
    rows = b"".join(mia.get(f"{PAGE}leads/?run={run.pk}&cell=open&csv=1").streaming_content).decode()
    assert len(rows.strip().splitlines()) == 1 + run.result["exact"]["open"]
    for table in ("scores", "grades", "bars", "sources", "owners"):
        assert mia.get(f"{PAGE}table/?run={run.pk}&table={table}").status_code == 200
    assert mia.get(f"{PAGE}table/?run={run.pk}&table=nothing").status_code == 404
    assert mia.get(f"{PAGE}leads/?run={run.pk}&cell=move:;drop>A1").status_code == 404
    assert mia.get(f"{PAGE}leads/?run=999999&cell=open").status_code == 404
    assert bar_of(draft) == 46


def test_those_who_enter_are_named_with_what_moved_them(mia, people):
    base_of(110)
    work()
    settle()
    drafted(people, other_points)
    page = mia.get(PAGE, **HTMX)
    names = page.context["lists"]["enter"]
    assert 0 < len(names.movers) <= 5
    for mover in names.movers:
        assert Lead.objects.filter(pk=mover.line.lead, name=mover.name).exists()
        assert mover.causes
    assert any("+" in points for mover in names.movers for _, points in mover.causes)
    if names.more:
        assert f"{names.more} more" in text_of(page)


def test_the_slider_only_tries_until_the_bar_is_put_into_the_draft(mia, people):
    base_of(12)
    draft = drafted(people, other_points)
    tried = mia.get(f"{PAGE}?bar=53", **HTMX)
    assert "You try 53; the draft says 46" in text_of(tried)
    draft.refresh_from_db()
    assert bar_of(draft) == 46
    put = {"bar": "53", "v": draft.number, "lock_version": draft.lock_version}
    assert mia.post(f"{PAGE}bar/", put).status_code == 302
    draft.refresh_from_db()
    assert bar_of(draft) == 53
    # Somebody saved in between: this form is of an older draft.
    assert mia.post(f"{PAGE}bar/", {**put, "bar": "50"}).status_code == 409
    assert mia.post(f"{PAGE}bar/", {**put, "bar": "99"}).status_code == 400


def test_without_a_draft_the_bar_makes_one(mia, people):
    base_of(6)
    page = mia.get(f"{PAGE}?bar=50", **HTMX)
    assert "Put 50 into a draft" in text_of(page)
    assert agreements.draft() is None
    mia.post(f"{PAGE}bar/", {"bar": "50", "v": "1", "lock_version": "1"})
    made = agreements.draft()
    assert made is not None
    assert bar_of(made) == 50


def test_an_empty_base_says_what_to_do(mia, people):
    page = mia.get(PAGE, **HTMX)
    assert "No leads yet" in text_of(page)
    assert "imaginary" in page.content.decode()


def test_a_look_stopped_by_an_edit_says_so(mia, people, monkeypatch):
    base_of(20)
    drafted(people, lambda content: content.update(title="One"))
    monkeypatch.setattr(runs, "SAMPLE", 5)
    mia.get(PAGE, **HTMX)
    run = PreviewRun.objects.get()
    drafted(people, lambda content: content.update(title="Two"))
    assert "the exact look was stopped" in text_of(mia.get(f"{PAGE}state/?run={run.pk}", **HTMX))


def test_the_page_asks_as_much_for_many_leads_as_for_few(
    mia, people, django_assert_max_num_queries, monkeypatch
):
    base_of(10)
    drafted(people, other_points)
    mia.get(PAGE, **HTMX)
    with django_assert_max_num_queries(20):
        mia.get(PAGE, **HTMX)
    base_of(60, seed=3)
    mia.get(f"{PAGE}?again=1", **HTMX)
    work()
    with django_assert_max_num_queries(20):
        mia.get(PAGE, **HTMX)
    run = PreviewRun.objects.order_by("-pk")[0]
    mia.get(f"{PAGE}leads/?run={run.pk}&cell=open")
    # Session, person, frame (5), look and versions, count, lines, names, both explained (4).
    with django_assert_max_num_queries(16):
        mia.get(f"{PAGE}leads/?run={run.pk}&cell=open")


def test_before_the_first_agreement_everybody_is_new(at, people, as_user):
    base_of(30)
    draft = agreements.create_draft(person(people.mia))
    work()
    page = as_user(people.mia).get(f"{PAGE}?v={draft.number}", **HTMX)
    assert page.status_code == 200
    found, exact = runs.answer(PreviewRun.objects.get())
    assert exact
    assert sum(found["was"]) == 0
    assert sum(found["now"]) == found["open"] == 30
    assert found["bars"][str(bar_of(draft))][1] == 0
    whole = as_user(people.mia).get(PAGE)
    assert "nothing in force yet" in text_of(whole)
