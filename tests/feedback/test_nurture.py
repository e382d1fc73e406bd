"""Tracks: each step once, only to those who may be written to; they rest while sales talks."""

from datetime import timedelta

import pytest

from feedback import nurture, steps, verdicts
from feedback.models import Enrolment, StepRun, Task
from handoff import machine
from handoff.models import OPEN, Handoff, Outbox
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import User
from leadflow.errors import BadInput, Conflict, Forbidden
from leadflow.leads import stages
from leadflow.leads.models import Activity, Consent, Lead, Stage
from tests.feedback.conftest import owner_of


@pytest.fixture
def on_track(at, agreement_in_force, make_lead, people):
    def start(track="educate", **facts):
        lead = make_lead(**facts)
        nurture.start_by_hand(lead.pk, track, person(people.mia))
        return lead

    return start


def results(lead):
    return list(StepRun.objects.filter(enrolment__lead=lead).order_by("step").values_list("step", "result"))


def test_steps_come_on_their_days_each_once(on_track, at):
    lead = on_track()
    nurture.tick(at + timedelta(hours=23))
    assert results(lead) == []
    for _ in range(2):
        nurture.tick(at + timedelta(days=1))
    assert results(lead) == [(0, "sent")]
    nurture.tick(at + timedelta(days=10))
    nurture.tick(at + timedelta(days=20))
    assert results(lead) == [(0, "sent"), (1, "sent"), (2, "sent")]
    enrolment = Enrolment.objects.get(lead=lead)
    assert enrolment.ended_why == "finished"
    assert Outbox.objects.filter(kind="nurture", recipient=lead.email).count() == 3
    assert Activity.objects.filter(lead=lead, kind__key="email_sent").count() == 3


def test_a_letter_names_the_way_out(on_track, at):
    on_track()
    nurture.tick(at + timedelta(days=1))
    letter = Outbox.objects.get(kind="nurture")
    assert "/stop/" in letter.payload["body"]
    assert letter.payload["headers"]["List-Unsubscribe"].startswith("<")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"email": "", "email_key": None}, "no e-mail address"),
        ({"do_not_contact": True}, "asked not to be contacted"),
        ({"bounced_at": "now"}, "the address bounces"),
        ({"unsubscribed_at": "now"}, "does not want e-mail"),
    ],
)
def test_who_may_not_be_written_to_is_left_out(change, why, on_track, at):
    lead = on_track()
    Lead.objects.filter(pk=lead.pk).update(**{k: at if v == "now" else v for k, v in change.items()})
    nurture.tick(at + timedelta(days=1))
    assert results(lead) == [(0, f"left out: {why}")]
    assert not Outbox.objects.filter(kind="nurture").exists()


def test_the_last_word_about_consent_counts(on_track, at):
    lead = on_track()
    Consent.objects.create(lead=lead, channel="email", basis="form", given=True, at=at)
    Consent.objects.create(lead=lead, channel="email", basis="form", given=False, at=at + timedelta(hours=1))
    nurture.tick(at + timedelta(days=1))
    assert results(lead) == [(0, "left out: does not want e-mail")]


def test_a_step_for_a_person_becomes_a_task(on_track, at):
    lead = on_track("find_buyer")
    nurture.tick(at + timedelta(days=1))
    nurture.tick(at + timedelta(days=7))
    task = Task.objects.get(lead=lead)
    assert (task.kind, task.text) == (Task.Kind.TRACK, "Ask: who else decides?")


def test_another_track_ends_the_old_one(on_track, people):
    lead = on_track("educate")
    nurture.start_by_hand(lead.pk, "early", person(people.mia))
    active = Enrolment.objects.filter(lead=lead, ended_at=None)
    assert [e.track for e in active] == ["early"]
    assert Enrolment.objects.get(lead=lead, track="educate").ended_why == "track:early"


def test_only_marketing_starts_tracks_that_exist(on_track, make_lead, people):
    lead = make_lead()
    with pytest.raises(Forbidden):
        nurture.start_by_hand(lead.pk, "early", person(people.sam))
    with pytest.raises(BadInput):
        nurture.start_by_hand(lead.pk, "yoga", person(people.mia))


def test_a_reply_ends_the_track_and_asks_somebody_to_answer(on_track, did, at):
    lead = on_track()
    did(lead, "email_replied")
    nurture.tick(at)
    assert Enrolment.objects.get(lead=lead).ended_why == "replied"
    assert Task.objects.get(lead=lead).kind == Task.Kind.ANSWER


def test_a_wish_for_no_mail_ends_the_track(on_track, did, at):
    lead = on_track()
    did(lead, "email_unsubscribed")
    nurture.tick(at)
    assert Enrolment.objects.get(lead=lead).ended_why == "stopped"
    assert not Task.objects.filter(lead=lead).exists()


def test_a_track_rests_from_the_offer_to_the_answer_and_goes_on_later(offered, at, did, flow):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="2")
    early = at + timedelta(hours=2)
    with clock.use(early):
        did(handoff.lead, "demo_requested")
    flow(early)
    enrolment = Enrolment.objects.get(lead=handoff.lead_id, ended_at=None)
    assert enrolment.paused_at == early
    flow(at + timedelta(days=3))
    assert results(handoff.lead) == []
    with pytest.raises(Conflict):
        nurture.start_by_hand(handoff.lead_id, "early", person(User.objects.get(name="Mia")))
    again = Handoff.objects.get(lead=handoff.lead_id, state__in=OPEN)
    manager = person(User.objects.get(name="Admin"))
    back = at + timedelta(days=4)
    machine.apply("withdraw", again.pk, manager, at=back, reason="wrong list")
    nurture.tick(back)
    enrolment.refresh_from_db()
    assert enrolment.paused_at is None
    # It rested three days and 22 hours; the first step was due a day after the start.
    assert enrolment.next_step_at == at + timedelta(days=1) + (back - early)
    nurture.tick(enrolment.next_step_at)
    assert results(handoff.lead) == [(0, "sent")]


def test_a_step_is_not_done_for_a_lead_that_sales_got_a_moment_ago(offered, at):
    handoff = offered()
    nurture.enrol(handoff.lead_id, "educate", cause="test", at=at - timedelta(days=2))
    # No pause has been written yet; the step looks at the handoff itself.
    assert steps.run(at) == 0
    assert results(handoff.lead) == []


def test_a_closed_lead_is_on_no_track(offered, at, people):
    handoff = offered()
    nurture.enrol(handoff.lead_id, "educate", cause="test")
    stages.move([stages.Move(handoff.lead_id, Stage.CUSTOMER, "test")], at=at)
    nurture.tick(at)
    assert Enrolment.objects.get(lead=handoff.lead_id).ended_why == "closed"


def test_many_due_steps_cost_a_fixed_number_of_questions(on_track, at, django_assert_max_num_queries):
    for _ in range(25):
        on_track()
    with django_assert_max_num_queries(60):
        nurture.tick(at + timedelta(days=1))
    assert StepRun.objects.count() == 25
