"""System checks for what must never be misconfigured."""

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

OLDEST_POSTGRESQL = 15


@register(Tags.database)
def database_fits(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """PostgreSQL of at least version 15 whose lower() knows more than ASCII."""
    found: list[CheckMessage] = []
    for alias in databases or []:
        connection = connections[alias]
        if connection.vendor != "postgresql":
            found.append(
                Error("LeadFlow runs on PostgreSQL only.", hint="Change DATABASE_URL.", id="leadflow.E001")
            )
            continue
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('server_version_num')::int / 10000, lower('MÜ') = 'mü'")
            version, folds = cursor.fetchone()
        if version < OLDEST_POSTGRESQL:
            found.append(
                Error(
                    f"PostgreSQL {version} is too old.",
                    hint=f"Use PostgreSQL {OLDEST_POSTGRESQL} or newer.",
                    id="leadflow.E002",
                )
            )
        if not folds:
            found.append(
                Error(
                    "The database does not fold letters beyond ASCII: lower('MÜ') is not 'mü', so words and "
                    "addresses would not be found.",
                    hint="Create it with ENCODING 'UTF8' and a UTF-8 locale such as C.UTF-8.",
                    id="leadflow.E003",
                )
            )
    return found


@register("leadflow")
def tasks_have_queues(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Every task that beat sends exists and names one of the three queues in its first word."""
    from leadflow.celery import QUEUES, app

    # Not by Celery's loader: a worker runs these checks from within it.
    import_module("leadflow.flow")
    names = {entry["task"] for entry in app.conf.beat_schedule.values()}
    names |= {name for name in app.tasks if not name.startswith("celery.")}
    return [
        Error(
            f"Task {name} has no worker.",
            hint=f"Name it after a queue: {', '.join(QUEUES)}.",
            id="leadflow.E004",
        )
        for name in sorted(names)
        if name not in app.tasks or name.partition(".")[0] not in QUEUES
    ]


@register("leadflow", deploy=True)
def production_is_named(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """In production, secrets and servers come from the environment, not from a local data folder."""
    found: list[CheckMessage] = [
        Error(f"{name} is not set: {why}", hint="Set it in the environment.", id=number)
        for name, number, why in (
            (
                "SECRET_KEY",
                "leadflow.E005",
                "the key of a local data folder must not sign sessions of production.",
            ),
            ("DATABASE_URL", "leadflow.E006", "the embedded PostgreSQL is for one machine."),
            ("REDIS_URL", "leadflow.E007", "the embedded Valkey is for one machine."),
        )
        if not os.environ.get(name)
    ]
    if not os.environ.get("EMAIL_URL"):
        found.append(
            Warning(
                "EMAIL_URL is not set: mail (passwords, notices) goes to the log only.",
                hint="For example EMAIL_URL=smtp+tls://user:password@mail.example.com:587.",
                id="leadflow.W008",
            )
        )
    if not settings.BASE_URL.startswith("https://"):
        found.append(
            Warning(
                "BASE_URL is not an https address: cookies and links are not protected.",
                hint="For example BASE_URL=https://leads.example.com.",
                id="leadflow.W009",
            )
        )
    return found
