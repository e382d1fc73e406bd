"""The demo company: lived through the real rooms, the same for the same seed, and its books balance."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from leadflow import audit
from leadflow.demo import world
from leadflow.leads.models import Answer, Lead, Outcome
from scoring import agreements, engine

END = datetime(2026, 11, 24, 8, 12, tzinfo=UTC)
# Leads and people by their address: the numbers that the database gives them are another time others.
LEDGERS = {
    "leads": "SELECT email_key, stage, level, stage_since FROM leads_lead",
    "stages": "SELECT l.email_key, r.from_stage, r.to_stage, r.at"
    " FROM leads_stagechange r JOIN leads_lead l ON l.id = r.lead_id",
    "scores": "SELECT l.email_key, r.fit, r.behaviour, r.value, r.total, r.grade"
    " FROM scoring_leadscore r JOIN leads_lead l ON l.id = r.lead_id",
    "acts": "SELECT l.email_key, r.action, r.to_state, p.email, r.at"
    " FROM handoff_transition r JOIN handoff_handoff h ON h.id = r.handoff_id"
    " JOIN leads_lead l ON l.id = h.lead_id LEFT JOIN accounts_user p ON p.id = r.actor_id",
    "answers": "SELECT l.email_key, r.kind, r.reason_key, r.at"
    " FROM leads_answer r JOIN leads_lead l ON l.id = r.lead_id",
}


def simulate() -> None:
    call_command("simulate", leads=200, days=30, seed=3, until=END.isoformat(), stdout=StringIO())


def rows() -> dict[str, list[tuple[object, ...]]]:
    found = {}
    with connection.cursor() as cursor:
        for name, statement in LEDGERS.items():
            cursor.execute(statement)
            found[name] = sorted(cursor.fetchall(), key=repr)
    return found


@pytest.mark.django_db(transaction=True)
def test_a_company_lives_its_books_balance_and_the_same_seed_writes_the_same_rows() -> None:
    simulate()
    assert Lead.objects.count() == 200
    assert list(audit.strays(END)) == []
    assert sum(audit.places().values()) == 200
    assert agreements.in_force().number == 2
    kinds = Counter(Answer.objects.values_list("kind", flat=True))
    assert kinds["offered"] > 5
    assert kinds["accepted"] > 0
    with pytest.raises(CommandError, match="already"):
        simulate()
    first = rows()
    assert len(first["answers"]) > 10
    # Emptied, and counted on from where it stood: what happens must not hang on such numbers.
    call_command("flush", interactive=False, reset_sequences=False)
    simulate()
    assert rows() == first


def test_the_audit_names_what_does_not_add_up(at, agreement_in_force, make_lead) -> None:
    lead = make_lead()
    engine.score_pending(at)
    assert list(audit.strays(at)) == []
    with connection.cursor() as cursor:
        # Behind the back of the one door.
        cursor.execute("UPDATE leads_lead SET stage = 'sql' WHERE id = %s", [lead.pk])
    found = [str(stray) for stray in audit.strays(at) if stray.id == lead.pk]
    assert any("ledger" in text for text in found)
    assert any("no handoff is open" in text for text in found)


def test_the_same_seed_makes_the_same_world_and_another_makes_another() -> None:
    start = END - timedelta(days=60)
    first, again, other = (world.build(seed, 300, start, END) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert all(start <= p.created_at < END for p in first)


def test_the_planted_truth_is_in_the_world() -> None:
    people = world.build(7, 5000, END - timedelta(days=182), END)

    def buyers(source: str) -> float:
        of = [p for p in people if p.source.name == source]
        return sum(p.type == "buyer" for p in of) / len(of)

    def per_head(kind: str, event: str) -> float:
        of = [p for p in people if p.type == kind]
        return sum(e.kind == event for p in of for e in p.events) / len(of)

    # The poor source, and the wrong rule: readers take guides, buyers look at prices.
    assert buyers("Content syndication") < 0.02 < buyers("Website")
    assert per_head("reader", "download_educational") > 3 * per_head("buyer", "download_educational")
    # What the agreement rewards rightly is right in the world, too: advice must not name it.
    assert per_head("buyer", "demo_requested") > 5 * per_head("evaluator", "demo_requested")
    assert per_head("buyer", "webinar_attended") > 2 * per_head("reader", "webinar_attended")


@pytest.mark.parametrize(
    "wrong", [{"until": "tomorrow"}, {"until": "2026-11-24T09:12"}, {"leads": 0}, {"days": 3}]
)
@pytest.mark.django_db
def test_what_cannot_be_simulated_is_refused_in_words(wrong: dict[str, object]) -> None:
    with pytest.raises(CommandError):
        call_command("simulate", **wrong)
    assert not Outcome.objects.exists()
