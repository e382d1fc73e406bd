"""`manage.py create_api_key NAME --scopes leads:write activities:write`: prints the key, once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leadflow.accounts.actors import SYSTEM
from leadflow.accounts.keys import SCOPES, create_key
from leadflow.errors import BadInput


class Command(BaseCommand):
    """Make an API key."""

    help = "Make an API key and print it. It is shown this once; LeadFlow keeps only its hash."

    def add_arguments(self, parser: CommandParser) -> None:
        """The name of the key, and what it may do."""
        parser.add_argument("name", help="what will use the key")
        parser.add_argument(
            "--scopes",
            nargs="+",
            required=True,
            metavar="SCOPE",
            help=f"separated by blanks or commas: {', '.join(SCOPES)}",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the key alone on its line, so that a script can take it."""
        scopes = [scope for part in options["scopes"] for scope in part.split(",") if scope]
        try:
            _, secret = create_key(SYSTEM, options["name"], scopes)
        except BadInput as bad:
            raise CommandError(bad.message) from bad
        self.stdout.write(secret)
