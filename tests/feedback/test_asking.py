"""Sales asks marketing for a lead: who may, what marketing does with it, and what is told."""

import pytest

from feedback import asking, tasks
from feedback.models import Task
from handoff.models import Handoff, Notice, Outbox
from leadflow.accounts.actors import person
from leadflow.accounts.models import AuditEntry
from leadflow.errors import BadInput, Conflict, Forbidden
from leadflow.leads.models import Lead, Stage

WHY = "Met them at the fair"


def _told(user) -> list[str]:
    bell = [note.text for note in Notice.objects.filter(user=user)]
    return bell + [str(row.payload) for row in Outbox.objects.filter(user=user)]


def test_a_rep_asks_and_marketing_has_it_on_its_list_with_a_date(
    people, agreement_in_force, make_lead, as_user, at
) -> None:
    lead = make_lead(name="Nora Moreau")
    answer = as_user(people.sam).post(f"/leads/{lead.pk}/ask/", {"why": WHY})
    assert (answer.status_code, answer["Location"]) == (302, f"/leads/{lead.pk}/")
    task = Task.objects.get(lead=lead)
    assert (task.kind, task.asked_by, task.text) == (Task.Kind.ASK, people.sam, WHY)
    assert task.due_at > at
    assert any("Sam asks for Nora Moreau" in text for text in _told(people.mia))
    assert AuditEntry.objects.filter(verb="lead.asked").count() == 1
    page = as_user(people.mia).get("/mqls/tasks/").content.decode()
    assert WHY in page
    assert "Hand over to Sam" in page


def test_yes_hands_the_lead_over_to_whoever_asked(people, agreement_in_force, make_lead, as_user) -> None:
    task = asking.ask(make_lead(name="Nora Moreau").pk, person(people.sam), why=WHY)
    as_user(people.mia).post(f"/mqls/tasks/{task.pk}/", {"how": "hand_over"})
    handoff = Handoff.objects.get(lead=task.lead)
    assert (handoff.owner, handoff.kind) == (people.sam, Handoff.Kind.BY_HAND)
    task.refresh_from_db()
    assert (task.done_by, task.result) == (people.mia, "handed over")
    assert any("Nora Moreau is yours" in text for text in _told(people.sam))


def test_not_yet_needs_a_word_that_the_rep_reads(people, agreement_in_force, make_lead, as_user) -> None:
    task = asking.ask(make_lead().pk, person(people.sam), why=WHY)
    mia = as_user(people.mia)
    assert mia.post(f"/mqls/tasks/{task.pk}/", {"how": "not_yet"}).status_code == 400
    assert mia.post(f"/mqls/tasks/{task.pk}/", {"how": "done", "note": "ok"}).status_code == 400
    mia.post(f"/mqls/tasks/{task.pk}/", {"how": "not_yet", "note": "in a trial until May"})
    task.refresh_from_db()
    assert task.result == "not yet: in a trial until May"
    assert any("in a trial until May" in text for text in _told(people.sam))
    assert not Handoff.objects.exists()
    with pytest.raises(Conflict):
        asking.hand_over(task.pk, person(people.mia))
    assert not Handoff.objects.exists()


def test_the_same_question_twice_is_one_and_anothers_is_told(people, agreement_in_force, make_lead) -> None:
    lead = make_lead()
    first = asking.ask(lead.pk, person(people.sam), why=WHY)
    assert asking.ask(lead.pk, person(people.sam), why="again").pk == first.pk
    with pytest.raises(Conflict, match="Sam has asked"):
        asking.ask(lead.pk, person(people.ben), why=WHY)
    assert tasks.open_tasks().count() == 1


def test_what_is_no_question_is_refused_in_words(people, agreement_in_force, make_lead) -> None:
    lead = make_lead()
    with pytest.raises(BadInput):
        asking.ask(lead.pk, person(people.sam), why=" ")
    with pytest.raises(Forbidden):
        asking.ask(lead.pk, person(people.mia), why=WHY)
    Lead.objects.filter(pk=lead.pk).update(stage=Stage.EXCLUDED)
    with pytest.raises(Conflict, match="not a lead"):
        asking.ask(lead.pk, person(people.sam), why=WHY)


def test_a_lead_that_came_to_sales_meanwhile_closes_the_question(
    people, agreement_in_force, make_lead
) -> None:
    task = asking.ask(make_lead().pk, person(people.sam), why=WHY)
    handed = Handoff.objects
    other = asking.machine.open_by_hand(task.lead_id, person(people.mia), "they called us", people.ben.pk)
    assert asking.hand_over(task.pk, person(people.mia)).pk == other.pk
    task.refresh_from_db()
    assert task.result == "with sales already"
    assert handed.count() == 1
    with pytest.raises(Conflict, match="with sales already"):
        asking.ask(task.lead_id, person(people.sam), why=WHY)
