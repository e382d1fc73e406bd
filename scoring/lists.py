"""Long lists (free-mail and throw-away domains) as they were on one day, named by their hash."""

import hashlib
from collections.abc import Iterable

from django.db import transaction

from leadflow import clock
from leadflow.leads.facts import free_mail_domains, throwaway_domains
from scoring.models import ListEntry, ListSnapshot

SHIPPED = {"free_mail": free_mail_domains, "throwaway": throwaway_domains}
BATCH = 10_000


def snapshot(key: str, entries: Iterable[str]) -> str:
    """Store a list once; returns the SHA-256 of its sorted entries, by which an agreement names it."""
    values = sorted(set(entries))
    sha = hashlib.sha256("\n".join(values).encode()).hexdigest()
    with transaction.atomic():
        found, made = ListSnapshot.objects.get_or_create(sha256=sha, defaults={"key": key, "at": clock.now()})
        if made:
            ListEntry.objects.bulk_create(
                (ListEntry(snapshot=found, value=value) for value in values if len(value) <= 253),
                batch_size=BATCH,
            )
    return sha


def shipped_snapshots() -> dict[str, str]:
    """The lists that come with LeadFlow, stored: name → SHA-256."""
    return {key: snapshot(key, entries()) for key, entries in SHIPPED.items()}
