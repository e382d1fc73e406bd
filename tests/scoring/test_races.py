"""Two things at once: no act is lost, no lead is scored on half of what is known."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import intake, stages
from leadflow.leads.models import LeadChanged
from scoring import engine
from scoring.models import Crossing, LeadScore

pytestmark = pytest.mark.django_db(transaction=True)


def in_thread(step):
    """Run a step on a connection of its own; returns the thread, started."""

    def body():
        try:
            step()
        finally:
            connection.close()

    thread = threading.Thread(target=body)
    thread.start()
    return thread


def act(lead, number, kind="demo_requested"):
    row = {"source": "race", "external_id": str(number), "kind": kind, "lead_id": lead.pk}
    row["occurred_at"] = clock.now() - timedelta(seconds=1)
    result = intake.record_activities([row], actor=SYSTEM)
    assert not result.rejected


def until_somebody_waits():
    """Return when another connection waits for a lock of ours."""
    for _ in range(400):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()")
            if cursor.fetchone():
                return
        time.sleep(0.01)
    pytest.fail("nobody came to wait")


@pytest.fixture
def lead(put_in_force, make_lead):
    put_in_force()
    return make_lead(title="VP", employees=320, company="Firm", country="Germany", industry="Software")


def test_an_act_committed_between_claim_and_computing_is_counted(lead):
    """A scoring has claimed its row and waits for the lead, while the act is being recorded."""
    with transaction.atomic():
        stages.lock([lead.pk])
        scorer = in_thread(lambda: engine.score_pending(clock.now()))
        until_somebody_waits()
        act(lead, 1)
    scorer.join(20)
    assert LeadScore.objects.get(lead=lead).behaviour == 25
    # Its own row still waits; scoring it changes nothing.
    assert engine.score_pending(clock.now()) == 1
    assert LeadScore.objects.get(lead=lead).behaviour == 25
    assert Crossing.objects.count() == 1


def test_two_workers_with_two_rows_of_one_lead_end_with_the_whole_truth(lead):
    LeadChanged.objects.all().delete()
    act(lead, 1)
    act(lead, 2, "trial_started")
    assert LeadChanged.objects.count() == 2
    start = threading.Barrier(2)

    def one():
        start.wait()
        engine.score_pending(clock.now(), limit=1)

    threads = [in_thread(one), in_thread(one)]
    for thread in threads:
        thread.join(20)
    assert not LeadChanged.objects.exists()
    assert LeadScore.objects.get(lead=lead).behaviour == 40
    assert Crossing.objects.count() == 1


def test_a_pass_that_dies_leaves_its_rows(lead):
    waiting = LeadChanged.objects.count()
    with transaction.atomic():
        assert engine.score_pending(clock.now()) == waiting
        transaction.set_rollback(True)
    assert LeadChanged.objects.count() == waiting
    assert not LeadScore.objects.exists()
    engine.score_pending(clock.now())
    assert LeadScore.objects.filter(lead=lead).exists()
