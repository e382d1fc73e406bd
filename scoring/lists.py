"""Long lists (free-mail and throw-away domains) as they were on one day, named by their hash."""

import hashlib
from collections.abc import Iterable

from django.db import connection, transaction

from leadflow import clock
from leadflow.leads.facts import free_mail_domains, throwaway_domains
from scoring.models import ListSnapshot

SHIPPED = {"free_mail": free_mail_domains, "throwaway": throwaway_domains}
LONGEST = 253


def snapshot(key: str, entries: Iterable[str]) -> str:
    """Store a list once; returns the SHA-256 of its sorted entries, by which an agreement names it."""
    values = sorted(set(entries))
    sha = hashlib.sha256("\n".join(values).encode()).hexdigest()
    with transaction.atomic():
        found, made = ListSnapshot.objects.get_or_create(sha256=sha, defaults={"key": key, "at": clock.now()})
        if made:
            _write(found, [value for value in values if len(value) <= LONGEST])
    return sha


def _write(found: ListSnapshot, values: list[str]) -> None:
    # One statement: fifteen thousand rows through the ORM would take as long as all the rest of a first run.
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO scoring_listentry (snapshot_id, value) SELECT %s, unnest(%s)", [found.pk, values]
        )


def shipped_snapshots() -> dict[str, str]:
    """The lists that come with LeadFlow, stored: name → SHA-256."""
    return {key: snapshot(key, entries()) for key, entries in SHIPPED.items()}
