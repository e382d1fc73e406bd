"""Throw the kept figures of the reports away and make them anew from the ledgers."""

from typing import Any

from django.core.management.base import BaseCommand

from feedback.reports import books, journeys
from leadflow import clock


class Command(BaseCommand):
    help = "Make the figures that reports keep anew from the ledgers; pages stay right while it runs."

    def handle(self, *args: Any, **options: Any) -> None:
        journeys.forget()
        books.forget()
        read = 0
        while journeys.mark() is None:
            read += journeys.refresh(clock.now())
        books.refresh(clock.now())
        self.stdout.write(f"{read:,} leads read; the books are counted.")
