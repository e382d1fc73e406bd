"""Score every lead by the agreement that counts now."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Max, Min

from leadflow import clock
from leadflow.leads.models import Lead
from scoring import current, engine

CHUNK = 5_000


class Command(BaseCommand):
    help = (
        "Score every lead by the agreement in force (or, before the first, by the latest draft as a preview)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--quiet", action="store_true", help="leads above the bar wait for new evidence")

    def handle(self, *args: Any, **options: Any) -> None:
        now = current.current()
        if now is None:
            raise CommandError("There is no agreement yet. Write one under /agreement/ first.")
        span = Lead.objects.aggregate(first=Min("id"), last=Max("id"))
        total = engine.Counts()
        if span["first"] is not None:
            for start in range(span["first"], span["last"] + 1, CHUNK):
                total.add(
                    engine.score_range(start, start + CHUNK - 1, at=clock.now(), quiet=options["quiet"])
                )
        leads = f"{total.scored:,} {'lead' if total.scored == 1 else 'leads'}"
        kind = "as a preview" if now.preview else "in force"
        self.stdout.write(
            f"Scored {leads} by agreement v{now.number} ({kind}):"
            f" {total.written:,} rows written, {total.changed:,} scores changed, {total.ready:,} ready,"
            f" {total.crossings:,} on their way to sales."
        )
