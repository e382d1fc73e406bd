"""Write a believable company into an empty database, lived through the real engine and machine."""

import gc
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from leadflow import clock
from leadflow.accounts.models import Team
from leadflow.leads.models import Lead


class Command(BaseCommand):
    help = (
        "Write a demo company: leads, what they do, what sales answers. The same seed gives the same company."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--leads", type=int, default=5000, help="how many people (default 5000)")
        parser.add_argument(
            "--days", type=int, default=182, help="how many days back it begins (default 182)"
        )
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument("--until", help="when it ends, as 2026-11-24T09:12+01:00 (default: now)")

    def handle(self, *args: Any, **options: Any) -> None:
        from leadflow.demo import company

        end = self._end(options["until"])
        if not 1 <= options["leads"] <= 100_000 or not 14 <= options["days"] <= 730:
            raise CommandError("Take 1 to 100,000 leads and 14 to 730 days.")
        if Lead.objects.exists() or Team.objects.exists():
            raise CommandError("This database holds a company already; simulate wants an empty one.")
        began = monotonic()
        start = end - timedelta(days=options["days"])
        with _in_haste():
            company.live(options["seed"], options["leads"], start, end, self._progress(start, end))
        self.stdout.write(f"\rThe demo company is there ({monotonic() - began:.0f} s).          ")

    def _end(self, text: str | None) -> datetime:
        if not text:
            return clock.now().replace(microsecond=0)
        try:
            end = datetime.fromisoformat(text)
        except ValueError as error:
            raise CommandError(f"“{text}” is no instant. Write it as 2026-11-24T09:12+01:00.") from error
        if end.tzinfo is None:
            raise CommandError("The instant needs its zone: 2026-11-24T09:12+01:00.")
        return end

    def _progress(self, start: datetime, end: datetime) -> Any:
        shown = -1

        def show(at: datetime) -> None:
            nonlocal shown
            percent = int(100 * (at - start) / (end - start))
            if percent >= shown + 5:
                shown = percent
                self.stdout.write(f"\rMaking the demo company: {percent} %", ending="")
                self.stdout.flush()

        return show


@contextmanager
def _in_haste() -> Iterator[None]:
    """Nothing of the past is mailed, no commit waits for the disk (a crash means simulating again),
    and nobody looks for cycles among what is gone at once anyway (a tenth of the time)."""
    backend, thresholds = settings.EMAIL_BACKEND, gc.get_threshold()
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    gc.freeze()
    gc.set_threshold(200_000)
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET synchronous_commit")
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        settings.EMAIL_BACKEND = backend
