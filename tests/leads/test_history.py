"""The value of a fact at any instant follows from the present one and the old values."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import intake
from leadflow.leads.facts import known_facts
from leadflow.leads.folding import fold, words
from leadflow.leads.models import CustomField, FactChange, Lead, LeadChanged
from leadflow.leads.selectors import facts_of
from tests.conftest import NOW

pytestmark = pytest.mark.django_db

TITLES = st.sampled_from(["", "CTO", "Head of Fleet", "Straße & Söhne", "cto"])
STEP = st.fixed_dictionaries(
    {},
    optional={
        "title": TITLES,
        "city": st.sampled_from(["", "Köln", "Lyon"]),
        "email": st.sampled_from(["ann@one.example", "Ann@two.example", ""]),
        "custom.seats": st.one_of(
            st.none(), st.integers(-3, 10**6), st.floats(-5, 5).map(lambda f: round(f, 3))
        ),
        "custom.trial_on": st.sampled_from([None, "2026-01-31", "2026-02-01"]),
        "custom.pilot": st.sampled_from([None, True, False]),
        "custom.plan": st.sampled_from(["", "Basic plan", "Pro"]),
        "do_not_contact": st.booleans(),
        "first_campaign": st.sampled_from(["", "fair26", "web1"]),
    },
)


@pytest.fixture
def fields(db):
    for key, kind in (("seats", "number"), ("trial_on", "date"), ("pilot", "boolean"), ("plan", "text")):
        CustomField.objects.create(key=key, subject="lead", type=kind, label=key)


def value_at(changes, present, key, known_at):
    """Old value of the first change recorded after the instant, else the present value."""
    later = (c for c in changes if c.field == key and c.recorded_at > known_at)
    first = next(later, None)
    return first.old if first else present.get(key)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=1, max_size=6))
def test_the_old_values_rebuild_every_state(fields, steps):
    Lead.objects.all().delete()
    with clock.use(NOW):
        lead_id = intake.upsert_leads(
            [{"external_id": "1", "title": "CTO"}], source="t", actor=SYSTEM
        ).accepted[0]
    lead = Lead.objects.get(pk=lead_id)
    states = [(NOW, facts_of(lead))]
    for n, step in enumerate(steps, start=1):
        at = NOW + timedelta(minutes=n)
        with clock.use(at):
            LeadChanged.objects.all().delete()
            before = facts_of(Lead.objects.get(pk=lead_id))
            changed = intake.change_lead(lead_id, step, actor=SYSTEM, cause="test")
            after = facts_of(Lead.objects.select_related("company", "first_campaign").get(pk=lead_id))
            assert changed == (before != after)
            assert LeadChanged.objects.exists() == changed
        states.append((at, after))
    changes = list(FactChange.objects.filter(lead=lead).order_by("recorded_at", "id"))
    for at, state in states:
        for key, fact in known_facts().items():
            if fact.subject == "lead":
                assert value_at(changes, states[-1][1], key, at) == state.get(key), (key, at)
    for change in FactChange.objects.filter(lead=lead, field__in=["title", "custom.plan"]).exclude(old=None):
        assert (change.old_key, change.old_words) == (fold(change.old), words(change.old))
