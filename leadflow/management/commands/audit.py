"""Check that the books balance; exit 1 and name every stray if they do not."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from leadflow import audit, clock


class Command(BaseCommand):
    help = (
        "Every lead in exactly one place, every ledger equal to the row it explains; exit 1 with the strays."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        found = list(audit.strays(clock.now()))
        places = audit.places()
        for place, count in places.items():
            if count:
                self.stdout.write(f"{count:>9,}  {place}")
        self.stdout.write(f"{sum(places.values()):>9,}  leads in all")
        for stray in found:
            self.stderr.write(str(stray))
        if found:
            self.stderr.write(f"{len(found)} strays.")
            sys.exit(1)
        self.stdout.write("The books balance: no stray.")
