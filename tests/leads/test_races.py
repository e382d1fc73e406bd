"""Real threads and connections: nothing that was recorded is lost for the score, and nothing comes twice."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from itertools import pairwise
from threading import Barrier, Event
from typing import Any

import pytest
from django.db import connection, transaction

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import intake, stages
from leadflow.leads.models import Activity, Company, Lead, LeadChanged, StageChange
from scoring import engine
from scoring.models import LeadScore, ScoreChange

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 30


def elsewhere(pool: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
    """Run work in a thread with a connection of its own."""

    def run() -> Any:
        try:
            return work()
        finally:
            connection.close()

    return pool.submit(run)


def act(n, lead, kind="demo_requested", **more):
    return {
        "source": "race",
        "external_id": str(n),
        "kind": kind,
        "lead_id": lead.pk,
        "occurred_at": clock.now(),
        **more,
    }


def record(*rows):
    result = intake.record_activities(rows, actor=SYSTEM)
    assert not result.rejected
    return result


def drain():
    while engine.score_pending(clock.now()):
        pass


def stored(lead):
    return LeadScore.objects.get(lead=lead).total


def fresh(lead):
    """What the engine finds when nobody else is at work."""
    return engine.explain(lead.pk, at=clock.now()).total


def until_somebody_waits():
    """Until another connection wants what this transaction holds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks"
                " WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("nobody waits for the lock")


def chained(lead):
    """Each change of a score begins where the one before ended."""
    changes = list(ScoreChange.objects.filter(lead=lead).order_by("id").values_list("from_total", "total"))
    assert changes
    assert all(before[1] == after[0] for before, after in pairwise(changes))
    assert changes[-1][1] == stored(lead)


def test_an_activity_committed_between_the_claim_and_the_write_is_not_lost(agreement_in_force, make_lead):
    lead = make_lead(title="Head of Fleet")
    record(act(1, lead, kind="visit"))
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            stages.lock([lead.pk])  # as intake does, before it stamps
            worker = elsewhere(pool, lambda: engine.score_pending(clock.now()))
            until_somebody_waits()  # the worker has claimed its rows and wants the lead
            record(act(2, lead))
        assert worker.result(PATIENCE)
    assert stored(lead) == fresh(lead), "the pass that had claimed before sees what was committed meanwhile"
    drain()
    assert stored(lead) == fresh(lead)
    chained(lead)


def test_an_activity_that_comes_while_a_pass_writes_waits_and_is_scored_by_the_next(
    agreement_in_force, make_lead
):
    lead = make_lead(title="Head of Fleet")
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert engine.score_pending(clock.now())
            before = clock.now()
            writer = elsewhere(pool, lambda: record(act(1, lead)))
            until_somebody_waits()
        writer.result(PATIENCE)
    assert Activity.objects.get().recorded_at > before
    assert LeadChanged.objects.filter(lead_id=lead.pk).exists()
    drain()
    assert stored(lead) == fresh(lead)
    chained(lead)


def test_two_workers_with_two_rows_of_one_lead_end_with_the_score_of_everything(
    agreement_in_force, make_lead
):
    lead = make_lead(title="Head of Fleet")
    drain()
    for round_ in range(5):
        record(act(f"{round_}a", lead, kind="visit", occurred_at=clock.now() - timedelta(days=round_)))
        record(act(f"{round_}b", lead, kind="download_buying"))
        assert LeadChanged.objects.filter(lead_id=lead.pk).count() == 2
        gate = Barrier(2)

        def work(gate=gate):
            gate.wait(PATIENCE)
            return engine.score_pending(clock.now(), limit=1)

        with ThreadPoolExecutor(2) as pool:
            assert [w.result(PATIENCE) for w in [elsewhere(pool, work) for _ in range(2)]] == [1, 1]
        assert stored(lead) == fresh(lead)
        chained(lead)


def test_many_writers_and_two_workers_lose_nothing(agreement_in_force, make_lead):
    leads = [make_lead(title="Head of Fleet") for _ in range(6)]
    stop = Event()

    def write(writer):
        for n in range(12):
            rows = [
                act(f"{writer}-{n}-{lead.pk}", lead, kind="visit" if n % 2 else "form")
                for lead in leads[writer % 3 :]
            ]
            record(*reversed(rows))

    def score():
        while not stop.is_set():
            engine.score_pending(clock.now(), limit=3)

    with ThreadPoolExecutor(5) as pool:
        workers = [elsewhere(pool, score) for _ in range(2)]
        writers = [elsewhere(pool, lambda w=w: write(w)) for w in range(3)]
        wait(writers, PATIENCE)
        stop.set()
        for one in [*writers, *workers]:
            one.result(PATIENCE)
    drain()
    for lead in leads:
        assert stored(lead) == fresh(lead)
        chained(lead)


def test_the_same_new_people_from_many_sides_become_one_lead_each(db):
    people = [f"p{n}@acme{n % 3}.example" for n in range(12)]
    gate = Barrier(4)

    def take(side):
        gate.wait(PATIENCE)
        order = people if side % 2 else people[::-1]
        if side < 2:
            rows = [{"email": e, "external_id": e, "company": "Acme"} for e in order]
            return intake.upsert_leads(rows, source="crm", actor=SYSTEM).rejected
        rows = [
            {"source": "race", "external_id": f"x{e}", "kind": "form", "email": e, "occurred_at": clock.now()}
            for e in order
        ]
        return intake.record_activities(rows, actor=SYSTEM).rejected

    with ThreadPoolExecutor(4) as pool:
        assert [w.result(PATIENCE) for w in [elsewhere(pool, lambda s=s: take(s)) for s in range(4)]] == [
            []
        ] * 4
    assert Lead.objects.count() == len(people)
    assert StageChange.objects.count() == len(people)
    assert Activity.objects.count() == len(people)


def test_companies_that_have_a_name_only_are_made_once(db):
    gate = Barrier(3)

    def take(side):
        gate.wait(PATIENCE)
        intake.upsert_leads(
            [{"external_id": f"{side}", "company": "Müller & Co"}], source="crm", actor=SYSTEM
        )

    with ThreadPoolExecutor(3) as pool:
        for worker in [elsewhere(pool, lambda s=s: take(s)) for s in range(3)]:
            worker.result(PATIENCE)
    assert Company.objects.count() == 1


def test_what_a_visitor_does_while_it_is_joined_ends_with_the_lead(make_lead):
    lead = make_lead()
    for n in range(6):
        gate = Barrier(2)

        def browse(n=n, gate=gate):
            gate.wait(PATIENCE)
            row = {
                "source": "race",
                "external_id": f"v{n}",
                "kind": "form",
                "visitor_id": f"v{n}",
                "occurred_at": clock.now(),
            }
            record(row)

        def join(n=n, gate=gate):
            gate.wait(PATIENCE)
            intake.join_visitor(f"v{n}", lead.pk)

        first = {
            "source": "race",
            "external_id": f"f{n}",
            "kind": "form",
            "visitor_id": f"v{n}",
            "occurred_at": clock.now(),
        }
        record(first)
        with ThreadPoolExecutor(2) as pool:
            for worker in [elsewhere(pool, browse), elsewhere(pool, join)]:
                worker.result(PATIENCE)
    assert set(Activity.objects.values_list("lead_id", flat=True)) == {lead.pk}
