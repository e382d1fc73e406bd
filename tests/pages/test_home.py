"""Home: three sentences for each role, each with a link, then what waits."""

import re
from datetime import timedelta

import pytest

from feedback import asking
from handoff import machine
from handoff.models import Handoff, SlaResult
from leadflow.accounts.actors import person
from leadflow.leads import ledgers
from leadflow.leads.models import Answer

pytestmark = pytest.mark.django_db
EVERYBODY = ["mia", "noah", "sam", "rosa", "admin"]


def _says(page) -> list[str]:
    return ["".join(part.text for part in one.parts) for one in page.context["sentences"]]


@pytest.mark.parametrize("name", EVERYBODY)
def test_three_sentences_each_with_a_link(people, as_user, name) -> None:
    page = as_user(getattr(people, name)).get("/")
    sentences = page.context["sentences"]
    assert len(sentences) == 3
    assert all(any(part.href for part in one.parts) for one in sentences)
    assert all(re.search(r"[.] ?$", text) for text in _says(page))


def test_marketing_reads_what_sales_answered_since_yesterday(people, make_lead, as_user, at) -> None:
    for n, kind in enumerate([Answer.Kind.ACCEPTED, Answer.Kind.ACCEPTED, Answer.Kind.REJECTED]):
        ledgers.record_answer(lead_id=make_lead().pk, handoff_id=n + 1, kind=kind, at=at, rep=people.sam)
    assert _says(as_user(people.mia).get("/"))[0].startswith(
        "Sales answered 3 of your leads since yesterday: 2 accepted, 1 rejected"
    )


def test_day_one_tells_what_to_do_first(people, as_user) -> None:
    page = as_user(people.mia).get("/").content.decode()
    assert "Bring your leads" in page
    assert "Not signed yet" in page


@pytest.mark.parametrize("name", EVERYBODY)
@pytest.mark.parametrize("rows", [3, 30])
def test_home_costs_the_same_at_any_length(
    people, make_lead, as_user, django_assert_max_num_queries, name, rows
) -> None:
    for _ in range(rows):
        make_lead()
    client = as_user(getattr(people, name))
    with django_assert_max_num_queries(16):
        client.get("/")


def test_promises_stand_beside_what_was_kept(people, agreement_in_force, make_lead, as_user, at) -> None:
    lead = make_lead()
    row = machine.open_by_hand(lead.pk, person(people.mia), "they called us", people.sam.pk, at=at)
    Handoff.objects.filter(pk=row.pk).update(first_offered_at=at - timedelta(days=5), grade="A1")
    page = as_user(people.mia).get("/")
    rows = {one.label: one for side in page.context["promises"] for one in side["rows"]}
    assert (rows["ready leads handed over"].promised, rows["ready leads handed over"].kept) == (
        "25 a week",
        "1",
    )
    assert rows["ready leads handed over"].short
    assert (rows["of them grade A"].promised, rows["of them grade A"].kept) == ("50%", "100%")
    assert (rows["answered in time"].promised, rows["answered in time"].kept) == ("90%", "–")
    client = as_user(people.mia)
    assert all(client.get(one.href).status_code == 200 for one in rows.values())


def test_every_link_of_the_sentences_leads_somewhere(
    people, agreement_in_force, make_lead, as_user, at
) -> None:
    lead = make_lead(source="Paid search & more")
    for n in range(2):
        ledgers.record_answer(
            lead_id=lead.pk,
            handoff_id=n + 1,
            kind=Answer.Kind.REJECTED,
            at=at,
            rep=people.sam,
            reason_key="1",
        )
    for name in EVERYBODY:
        client = as_user(getattr(people, name))
        for sentence in client.get("/").context["sentences"]:
            for part in sentence.parts:
                assert not part.href or client.get(part.href).status_code == 200, (name, part)
    says = _says(as_user(people.mia).get("/"))[0]
    assert "all from Paid search & more" in says


def test_marketing_sees_what_it_has_done_since_monday(people, agreement_in_force, make_lead, as_user) -> None:
    task = asking.ask(make_lead(name="Nora Moreau").pk, person(people.sam), why="Met at the fair")
    page = as_user(people.mia).get("/").content.decode()
    assert "Sam asks for a lead" in page
    assert f"/mqls/tasks/#task-{task.pk}" in page
    asking.decline(task.pk, person(people.mia), note="in a trial")
    assert "you did 1 since Monday" in as_user(people.mia).get("/").content.decode()


def test_a_reps_figure_is_their_own_share(people, agreement_in_force, make_lead, as_user, at) -> None:
    row = machine.open_by_hand(make_lead().pk, person(people.mia), "they called us", people.sam.pk)
    for n, result in enumerate(("met", "missed")):
        SlaResult.objects.create(
            handoff=row,
            promise="acceptance",
            n=n + 7,
            scope="holder",
            holder=people.sam,
            team=people.north,
            start=at - timedelta(days=3),
            due=at - timedelta(days=2),
            finished_at=at - timedelta(days=2),
            result=result,
            at=at,
        )
    says = _says(as_user(people.sam).get("/"))[2]
    assert says.startswith("You answered 1 of 2 leads in time in the last four weeks, 50%")
