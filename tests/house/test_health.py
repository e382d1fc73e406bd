"""/healthz and /readyz in good times and bad."""

from datetime import timedelta

import pytest
from django.test import Client

from leadflow import clock
from leadflow.celery import QUEUES, broker, last_run_key
from leadflow.leads.models import LeadChanged


@pytest.fixture
def runs(at):
    """Every queue has just run."""
    for queue in QUEUES:
        broker().set(last_run_key(queue), at.isoformat())
    yield
    broker().delete(*map(last_run_key, QUEUES))


def test_alive_asks_nobody(client: Client, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1"
    assert client.get("/healthz").json() == {"status": "alive"}


def test_ready_when_all_queues_have_run(db, client: Client, runs):
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["late"] == []
    assert answer.json()["broker"]["last_tick_seconds"] == 0


def test_late_when_the_clock_has_not_ticked(db, client: Client, runs, at):
    broker().set(last_run_key("clock"), (at - timedelta(minutes=3)).isoformat())
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["late"]) == (503, ["clock: no run for 180 s"])


def test_late_when_a_lead_waits_too_long_for_its_score(db, client: Client, runs, at):
    LeadChanged.objects.create(lead_id=1, cause="test", recorded_at=at - timedelta(seconds=200))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["late"] == ["to_score: waits 200 s"]
    with clock.use(at - timedelta(seconds=190)):
        assert client.get("/readyz").status_code == 200


def test_a_broker_that_is_down_is_named_within_a_second(db, client: Client, at, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["late"][0].startswith("broker: ")


def test_a_database_that_is_down_is_named_and_no_500(db, client: Client, runs, monkeypatch):
    from django.db import OperationalError

    from leadflow import health

    def down():
        raise OperationalError("connection refused\nsecond line")

    with monkeypatch.context() as patch:
        patch.setattr(health.connection, "cursor", down)
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["late"]) == (503, ["database: connection refused"])


def test_both_are_open_to_load_balancers_but_only_to_read(client: Client, db, runs):
    assert client.post("/healthz").status_code == 405
    assert client.get("/readyz").headers["Cache-Control"].startswith("max-age=0")
