"""Taking leads in: who is meant, what changes, what is refused."""

import pytest

from leadflow.accounts.actors import SYSTEM
from leadflow.leads import intake
from leadflow.leads.models import (
    Company,
    CustomField,
    DuplicatePair,
    FactChange,
    Lead,
    LeadChanged,
    LeadKey,
    StageChange,
)

pytestmark = pytest.mark.django_db


def take(*rows, source="crm", **more):
    return intake.upsert_leads(rows, source=source, actor=SYSTEM, **more)


def test_a_new_lead_is_a_conversion_with_one_stage_change_and_one_row_for_the_engine(at):
    result = take(
        {"email": "Ann@Acme.example", "name": "Ann", "title": "Head of Fleet", "company": "Acme GmbH"}
    )
    lead = Lead.objects.get(pk=result.accepted[0])
    assert (lead.email, lead.email_key, lead.email_domain) == (
        "Ann@Acme.example",
        "ann@acme.example",
        "acme.example",
    )
    assert (lead.title_words, lead.first_source, lead.stage) == (" head of fleet ", "crm", "conversion")
    assert lead.company is not None
    assert (lead.company.name, lead.company.domain) == ("Acme GmbH", "acme.example")
    change = StageChange.objects.get(lead=lead)
    assert (change.from_stage, change.to_stage, change.at) == ("", "conversion", lead.created_at)
    assert list(LeadChanged.objects.values_list("lead_id", "cause")) == [(lead.pk, "created")]
    assert not FactChange.objects.exists()


def test_the_same_person_again_by_folded_email_is_changed_and_what_was_is_kept(at):
    first = take({"email": "ann@acme.example", "title": "Analyst"}).accepted[0]
    result = take({"email": "ANN@acme.example", "title": "Director", "phone": "+49 30 1"})
    assert result.accepted == [first]
    assert result.changed == [first]
    was = {c.field: (c.old, c.old_key, c.old_words) for c in FactChange.objects.filter(lead=first)}
    assert was["title"] == ("Analyst", "analyst", " analyst ")
    assert was["phone"] == (None, None, None)


def test_a_row_that_says_nothing_new_changes_nothing(at):
    row = {"email": "ann@acme.example", "title": "Analyst", "employees": 12}
    take(row)
    LeadChanged.objects.all().delete()
    assert take(row).changed == []
    assert not LeadChanged.objects.exists()
    assert not FactChange.objects.exists()


def test_an_external_id_names_the_lead_and_its_email_may_change(at):
    lead = take({"external_id": "7", "email": "ann@acme.example"}).accepted[0]
    assert take({"external_id": "7", "email": "ann@new.example"}).accepted == [lead]
    assert Lead.objects.get().email_key == "ann@new.example"
    assert set(FactChange.objects.values_list("field", "old")) >= {
        ("email", "ann@acme.example"),
        ("email_domain", "acme.example"),
    }


def test_the_same_external_id_of_another_source_is_another_lead(at):
    one = take({"external_id": "7"}, source="crm").accepted
    assert take({"external_id": "7"}, source="shop").accepted != one


def test_an_external_id_for_a_known_email_becomes_a_key_of_that_lead(at):
    lead = take({"email": "ann@acme.example"}).accepted[0]
    assert take({"external_id": "7", "email": "ann@acme.example"}).accepted == [lead]
    assert LeadKey.objects.get().lead_id == lead


def test_a_row_that_names_two_leads_is_refused_and_listed_as_a_pair(at):
    one, two = take({"external_id": "7"}, {"email": "bob@acme.example"}).accepted
    result = take(
        {"external_id": "7", "email": "bob@acme.example", "title": "X"}, {"email": "cleo@acme.example"}
    )
    assert [r.index for r in result.rejected] == [0]
    assert "two different leads" in result.rejected[0].errors[0].message
    assert len(result.accepted) == 1
    pair = DuplicatePair.objects.get()
    assert (pair.lead_id, pair.other_id) == (one, two)
    assert not Lead.objects.filter(title="X").exists()


def test_rows_of_one_batch_that_mean_one_person_make_one_lead(at):
    result = take(
        {"external_id": "7", "name": "Ann"},
        {"external_id": "7", "email": "ann@acme.example"},
        {"email": "ann@acme.example", "title": "CTO"},
    )
    assert len(set(result.accepted)) == 1
    lead = Lead.objects.get()
    assert (lead.name, lead.title, lead.email) == ("Ann", "CTO", "ann@acme.example")


def test_good_rows_are_kept_and_bad_ones_say_where_and_what_to_do(at):
    CustomField.objects.create(key="seats", subject="lead", type="number", label="Seats")
    CustomField.objects.create(key="trial_on", subject="lead", type="date", label="Trial on")
    result = take(
        {"email": "no address"},
        {"name": "nobody"},
        {"email": "a@acme.example", "seats": "many"},
        {"email": "b@acme.example", "shoe_size": 43},
        {"email": "c@acme.example", "seats": "25", "trial_on": "2026-11-02"},
        {"email": "d@acme.example", "employees": -1},
        {"email": "e@acme.example", "custom": {"trial_on": "soon"}},
        {"email": "f@gmail.com", "employees": 5},
        {"email": "g@acme.example", "name": "x" * 201},
    )
    assert {r.index: r.errors[0].path for r in result.rejected} == {
        0: "email",
        1: "email",
        2: "seats",
        3: "shoe_size",
        5: "employees",
        6: "custom.trial_on",
        7: "employees",
        8: "name",
    }
    lead = Lead.objects.get(pk=result.accepted[0])
    assert lead.custom == {"seats": 25, "trial_on": "2026-11-02"}


def test_first_source_and_first_campaign_stay_what_they_were(at):
    take({"email": "ann@acme.example", "source": "Trade show", "campaign": "fair26"})
    take({"email": "ann@acme.example", "source": "Webinar", "campaign": "web1"})
    lead = Lead.objects.select_related("first_campaign").get()
    assert lead.first_campaign is not None
    assert (lead.first_source, lead.first_campaign.code) == ("Trade show", "fair26")


def test_free_mail_tells_no_company(at):
    take({"email": "ann@gmail.com"}, {"email": "bob@web.de", "company": "Acme"})
    assert list(Company.objects.values_list("name", "domain")) == [("Acme", None)]


def test_people_of_one_domain_share_a_company_that_learns_its_name(at):
    take({"email": "ann@acme.example"})
    assert Company.objects.get().name == "acme.example"
    take({"email": "bob@acme.example", "company": "Acme GmbH", "employees": 250, "industry": "Logistics"})
    company = Company.objects.get()
    assert (company.name, company.employees, company.industry_key) == ("Acme GmbH", 250, "logistics")
    assert set(FactChange.objects.filter(company=company).values_list("field", "old")) == {
        ("company_name", "acme.example"),
        ("employees", None),
        ("industry", None),
    }


def test_a_changed_company_marks_each_of_its_leads(at):
    take({"email": "ann@acme.example"}, {"email": "bob@acme.example"})
    LeadChanged.objects.all().delete()
    company = Company.objects.get()
    assert intake.change_company(company.pk, {"is_target": True}, actor=SYSTEM, cause="target list")
    assert LeadChanged.objects.count() == 2
    assert FactChange.objects.get().old is False
    assert not intake.change_company(company.pk, {"is_target": True}, actor=SYSTEM, cause="again")


def test_changing_a_lead_by_hand_may_empty_a_fact_and_move_it_to_another_company(at):
    lead = take({"email": "ann@acme.example", "title": "CTO"}).accepted[0]
    other = take({"email": "bob@other.example"}).accepted[0]
    target = Lead.objects.get(pk=other).company_id
    before = Lead.objects.get(pk=lead).company_id
    assert intake.change_lead(lead, {"title": "", "company": target}, actor=SYSTEM, cause="by hand")
    fresh = Lead.objects.get(pk=lead)
    assert (fresh.title, fresh.title_words, fresh.company_id) == ("", "", target)
    assert set(FactChange.objects.filter(lead=lead).values_list("field", "old")) == {
        ("title", "CTO"),
        ("company", before),
    }


def test_a_quiet_batch_says_so_to_the_engine(at):
    take({"email": "ann@acme.example"}, quiet=True)
    assert LeadChanged.objects.get().quiet
