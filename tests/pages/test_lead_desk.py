"""What sales can do on the page of a lead: all acts for its holder, a question for everybody else."""

import pytest

from feedback import asking
from handoff import machine
from leadflow.accounts.actors import person
from leadflow.leads.models import Lead, Stage

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine(people, agreement_in_force, make_lead):
    lead = make_lead(name="Dana Weiss", phone="+49 40 1")
    return machine.open_by_hand(lead.pk, person(people.mia), "they called us", people.sam.pk)


def test_the_holder_has_every_act_with_its_key(people, mine, as_user) -> None:
    client = as_user(people.sam)
    page = client.get(f"/leads/{mine.lead_id}/").content.decode()
    for form in (f"/queue/{mine.pk}/accept/", f"/handoffs/{mine.pk}/reject/", f"/queue/{mine.pk}/snooze/"):
        assert f'hx-post="{form}"' in page
    for key in "arcs":
        assert f'data-key="{key}"' in page
    machine.apply("touch", mine.pk, person(people.sam), result="talked")
    page = client.get(f"/leads/{mine.lead_id}/").content.decode()
    for act in ("return", "qualify", "win", "lose", "undo"):
        assert f'hx-post="/handoffs/{mine.pk}/{act}/"' in page


def test_what_has_just_ended_can_be_taken_back_there(people, mine, as_user) -> None:
    client = as_user(people.sam)
    client.post(f"/handoffs/{mine.pk}/reject/", {"reason": "2"})
    page = client.get(f"/leads/{mine.lead_id}/").content.decode()
    assert f'hx-post="/handoffs/{mine.pk}/undo/"' in page
    assert "/accept/" not in page


def test_a_colleague_reads_who_has_it_and_can_do_nothing(people, mine, as_user) -> None:
    page = as_user(people.ben).get(f"/leads/{mine.lead_id}/").content.decode()
    assert "Offered to Sam" in page
    assert 'hx-post="/queue/' not in page
    assert "Ask for this lead" not in page


def test_a_lead_with_marketing_can_be_asked_for_once(people, agreement_in_force, make_lead, as_user) -> None:
    lead = make_lead()
    sam = as_user(people.sam)
    page = sam.get(f"/leads/{lead.pk}/").content.decode()
    assert "With marketing, please do not contact yet." in page
    assert "Ask for this lead" in page
    assert "Why do you want" in sam.get(f"/leads/{lead.pk}/ask/").content.decode()
    asking.ask(lead.pk, person(people.sam), why="Met at the fair")
    page = sam.get(f"/leads/{lead.pk}/").content.decode()
    assert "You asked for this lead" in page
    assert "Ask for this lead" not in page
    assert "please do not contact" not in as_user(people.mia).get(f"/leads/{lead.pk}/").content.decode()


def test_what_is_no_lead_is_not_asked_for(people, agreement_in_force, make_lead, as_user) -> None:
    lead = make_lead()
    Lead.objects.filter(pk=lead.pk).update(stage=Stage.EXCLUDED)
    page = as_user(people.sam).get(f"/leads/{lead.pk}/").content.decode()
    assert "Left out: not a lead." in page
    assert "Ask for this lead" not in page
