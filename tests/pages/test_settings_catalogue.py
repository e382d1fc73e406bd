"""Own fields and kinds of activity in the settings: usable at once, and what is in use is kept, in words."""

import pytest

from leadflow.accounts.actors import SYSTEM
from leadflow.accounts.models import AuditEntry
from leadflow.leads import intake
from leadflow.leads.facts import known_facts
from leadflow.leads.models import Activity, ActivityKind, CustomField, WordList
from scoring import engine
from scoring.conditions.check import check_condition
from scoring.document import Document
from scoring.editing.changes import between
from scoring.models import Agreement

pytestmark = pytest.mark.django_db

KIND = {
    "label": "Price list",
    "phrase": "asked for the price list",
    "key": "price-list",
    "own_act": "on",
    "property0": "Pages read",
    "type0": "number",
}


@pytest.fixture
def mia(people, as_user):
    return as_user(people.mia)


@pytest.fixture
def price_list(mia):
    assert mia.post("/settings/kinds/new/", KIND).status_code == 302
    return ActivityKind.objects.get(key="price_list")


def sent(lead, kind="price_list", **properties):
    row = {"kind": kind, "lead_id": lead.pk, "properties": properties, "occurred_at": "2026-11-24T08:00:00Z"}
    return intake.record_activities([row], actor=SYSTEM)


def words(answer):
    return answer.content.decode()


# Kinds


def test_a_new_kind_is_taken_in_and_can_be_named_in_rules_at_once(price_list, make_lead, at):
    assert (price_list.own_act, price_list.properties) == (True, {"pages_read": "number"})
    assert not sent(make_lead(), pages_read=3).rejected
    rule = {
        "did": {
            "kinds": ["price_list"],
            "where": [{"property": "pages_read", "op": "gte", "value": 2}],
            "days": 30,
        }
    }
    assert check_condition(rule, Document({})) == []
    assert AuditEntry.objects.filter(verb="kind.made").exists()


def test_an_own_act_of_a_new_kind_makes_a_lead_active_at_once(agreement_in_force, mia, make_lead, at):
    lead = make_lead()
    assert engine.match({"active_days": 14}, [lead.pk], at) == set()
    assert mia.post("/settings/kinds/new/", KIND).status_code == 302
    sent(lead)
    assert engine.match({"active_days": 14}, [lead.pk], at) == {lead.pk}


def test_a_key_that_is_taken_and_flags_that_contradict_are_told_at_their_place(mia, price_list):
    again = mia.post("/settings/kinds/new/", KIND)
    assert again.status_code == 422
    assert "There is a kind of that key already." in words(again)
    both = mia.post("/settings/kinds/new/", {**KIND, "key": "other", "contact": "on"})
    assert "Either they did it, or we did" in words(both)


def test_a_used_kind_keeps_what_it_means_and_may_get_more_properties(mia, price_list, make_lead, at):
    sent(make_lead(), pages_read=3)
    url = f"/settings/kinds/{price_list.pk}/"
    flag = mia.post(url, {**KIND, "own_act": ""})
    assert "what it means stays" in words(flag)
    retyped = mia.post(url, {**KIND, "type0": "text"})
    assert "its property “pages_read” keeps its type" in words(retyped)
    gone = mia.post(url, {**KIND, "property0": ""})
    assert "its property “pages_read” cannot go" in words(gone)
    more = {**KIND, "label": "Price list asked", "property1": "language", "type1": "text"}
    assert mia.post(url, more).status_code == 302
    price_list.refresh_from_db()
    assert price_list.properties == {"pages_read": "number", "language": "text"}
    assert price_list.label == "Price list asked"


def test_a_used_kind_is_retired_never_deleted(mia, price_list, make_lead, at):
    lead = make_lead()
    sent(lead)
    url = f"/settings/kinds/{price_list.pk}/do/"
    assert "stays on record" in words(mia.post(url, {"act": "delete"}, follow=True))
    mia.post(url, {"act": "retire"})
    assert sent(lead).rejected
    assert Activity.objects.filter(kind=price_list).count() == 1
    mia.post(url, {"act": "back"})
    assert not sent(lead).rejected


def test_a_kind_that_was_never_used_can_be_deleted_and_one_that_ships_cannot(mia, price_list):
    mia.post(f"/settings/kinds/{price_list.pk}/do/", {"act": "delete"})
    assert not ActivityKind.objects.filter(key="price_list").exists()
    form = ActivityKind.objects.get(key="form")
    answer = mia.post(f"/settings/kinds/{form.pk}/do/", {"act": "delete"}, follow=True)
    assert "comes with LeadFlow" in words(answer)


def test_a_kind_that_the_agreement_counts_cannot_be_retired(agreement_in_force, mia):
    row = ActivityKind.objects.get(key="demo_requested")
    answer = mia.post(f"/settings/kinds/{row.pk}/do/", {"act": "retire"}, follow=True)
    assert "version 1 (in force) counts it" in words(answer)
    row.refresh_from_db()
    assert row.active


# Own fields

FIELD = {"label": "Fleet size", "key": "fleet", "subject": "lead", "type": "number", "options": ""}


@pytest.fixture
def fleet(mia):
    assert mia.post("/settings/fields/", FIELD).status_code == 302
    return CustomField.objects.get(key="fleet")


def change(client, row, **data):
    said = {"label": row.label, "type": row.type, "options": "\n".join(row.options), **data}
    return client.post(f"/settings/fields/{row.pk}/", said)


def test_a_field_gets_another_name_and_an_unused_one_another_type(mia, fleet):
    assert change(mia, fleet, label="Vehicles", type="text").status_code == 302
    fleet.refresh_from_db()
    assert (fleet.label, fleet.type) == ("Vehicles", "text")
    assert AuditEntry.objects.get(verb="field.changed").before["label"] == "Fleet size"


def test_a_field_with_values_keeps_its_type(mia, fleet, make_lead):
    make_lead(**{"custom.fleet": 12})
    answer = change(mia, fleet, type="text")
    assert answer.status_code == 422
    assert "values of it are on record" in words(answer)


def test_a_field_that_an_agreement_was_written_with_keeps_its_type(agreement_in_force, mia):
    row = CustomField.objects.get(key="seats_wanted")
    answer = change(mia, row, type="text")
    assert answer.status_code == 422
    assert "version 1 (in force) was written with it" in words(answer)
    retired = mia.post(f"/settings/fields/{row.pk}/retire/", follow=True)
    assert "version 1 (in force) uses it" in words(retired)


def test_values_to_choose_from_cannot_leave_out_one_that_a_lead_has(mia, make_lead):
    mia.post("/settings/fields/", {**FIELD, "key": "tier", "type": "text", "options": "Gold\nSilver\n\nGold"})
    row = CustomField.objects.get(key="tier")
    assert row.options == ["Gold", "Silver"]
    make_lead(**{"custom.tier": "gold"})
    assert "Leads have “Gold”" in words(change(mia, row, options="Silver"))
    assert change(mia, row, options="Gold\nSilver\nBronze").status_code == 302


def test_only_a_text_has_values_to_choose_from(mia):
    answer = mia.post("/settings/fields/", {**FIELD, "options": "1\n2"})
    assert "Only a text has values" in words(answer)


def test_a_retired_field_is_not_filled_in_any_more_and_comes_back(mia, fleet, make_lead):
    lead = make_lead(**{"custom.fleet": 12})
    url = f"/settings/fields/{fleet.pk}/retire/"
    mia.post(url)
    assert "custom.fleet" not in known_facts()
    again = intake.upsert_leads([{"email": lead.email, "custom.fleet": 13}], source="test", actor=SYSTEM)
    assert again.rejected
    mia.post(url, {"back": "1"})
    assert "custom.fleet" in known_facts()


def test_the_pages_need_no_more_statements_for_more_rows(mia, django_assert_max_num_queries):
    for n in range(30):
        CustomField.objects.create(key=f"own{n}", subject="lead", type="text", label=f"Own {n}")
        ActivityKind.objects.create(key=f"kind{n}", label=f"Kind {n}", phrase="did")
    for page in ("/settings/fields/", "/settings/kinds/"):
        with django_assert_max_num_queries(7):
            assert mia.get(page).status_code == 200


# Word lists


def test_a_list_is_taken_into_a_draft_as_it_is_and_shows_as_a_change(agreement_in_force, mia):
    WordList.objects.create(key="we_sell_to", label="Countries we sell to", entries=["germany", "austria"])
    assert "differs from the agreement" in words(mia.get("/settings/lists/"))
    row = WordList.objects.get()
    mia.post(f"/settings/lists/{row.pk}/take/")
    draft = Agreement.objects.get(state="draft")
    assert draft.content["lists"]["we_sell_to"]["entries"] == ["germany", "austria"]
    assert [change.slot for change in between(agreement_in_force.content, draft.content)] == [
        "list-we_sell_to"
    ]
    page = words(mia.get("/settings/lists/"))
    assert "as in the agreement" in page
    assert "kept in the agreement" in page


def test_an_empty_list_that_a_rule_needs_is_not_taken(agreement_in_force, mia):
    row = WordList.objects.create(key="we_sell_to", label="Countries we sell to", entries=[])
    answer = mia.post(f"/settings/lists/{row.pk}/take/", follow=True)
    assert "is empty, so nobody can match" in words(answer)
