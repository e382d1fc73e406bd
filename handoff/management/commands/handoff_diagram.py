"""Redraw the picture in docs/handoff.md from the table of acts."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from handoff import diagram


class Command(BaseCommand):
    """`manage.py handoff_diagram`"""

    help = "Redraw the picture and the table in docs/handoff.md from handoff/states.py."

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file; say whether it changed."""
        changed = diagram.redraw(settings.BASE_DIR / "docs" / "handoff.md")
        self.stdout.write("docs/handoff.md is drawn anew." if changed else "docs/handoff.md is up to date.")
