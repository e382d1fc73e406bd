"""The system checks that guard what must never be misconfigured."""

import pytest
from django.core.checks import run_checks

from leadflow import checks
from leadflow.celery import QUEUES, app


def test_the_database_of_a_fresh_install_passes(db):
    assert checks.database_fits(None, databases=["default"]) == []


def test_an_old_server_and_one_that_folds_no_umlaut_are_refused(db, monkeypatch):
    monkeypatch.setattr(checks, "OLDEST_POSTGRESQL", 99)
    assert [found.id for found in checks.database_fits(None, databases=["default"])] == ["leadflow.E002"]


def test_no_database_no_question():
    assert checks.database_fits(None, databases=None) == []


def test_every_scheduled_task_exists_has_a_queue_and_expires():
    assert checks.tasks_have_queues(None) == []
    for name, entry in app.conf.beat_schedule.items():
        assert entry["options"]["expires"] > 0, name
        assert app.amqp.router.route({}, entry["task"])["queue"].name in QUEUES


def test_a_task_outside_of_the_queues_is_refused(monkeypatch):
    monkeypatch.setitem(app.conf.beat_schedule, "lost", {"task": "lost.task", "schedule": 1})
    assert [found.id for found in checks.tasks_have_queues(None)] == ["leadflow.E004"]


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "REDIS_URL"])
def test_production_without_its_own_servers_and_key_is_refused(monkeypatch, name):
    for each in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "EMAIL_URL"):
        monkeypatch.setenv(each, "given")
    monkeypatch.delenv(name)
    said = [found for found in checks.production_is_named(None) if found.id.startswith("leadflow.E")]
    assert [found.msg.split()[0] for found in said] == [name]


def test_the_whole_set_is_clean(db):
    assert run_checks(databases=["default"]) == []
