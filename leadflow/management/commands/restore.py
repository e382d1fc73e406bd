"""Put a backup in the place of the present database."""

import subprocess
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from leadflow import embedded, pg_tools

# Everything of ours lives in this schema, extensions included; the backup makes them anew.
EMPTY = b"DROP SCHEMA public CASCADE;\nCREATE SCHEMA public;\n"


class Command(BaseCommand):
    help = "Replace the whole database by the backup FILE, in one transaction."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--yes", action="store_true", help="replace a database that holds leads without asking"
        )

    def handle(self, *args: Any, file: Path, yes: bool, **options: Any) -> None:
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        if subprocess.run(
            [embedded.binary("pg_restore"), "--list", str(file)], capture_output=True
        ).returncode:
            raise CommandError(f"{file} is not a whole backup made by `manage.py backup`.")
        count = _leads()
        if count and not yes:
            answer = input(f"This replaces the present database with its {count} leads. Type yes to go on: ")
            if answer.strip().lower() != "yes":
                raise CommandError("Nothing was changed.")
        connection.close()
        self._restore(file)
        # A backup of an older LeadFlow lacks the newer tables.
        call_command("migrate", interactive=False, verbosity=0)
        self.stdout.write(f"Restored {file}: {_leads()} leads.")

    def _restore(self, file: Path) -> None:
        reader = subprocess.Popen(
            [embedded.binary("pg_restore"), "--file=-", "--no-owner", "--no-privileges", str(file)],
            stdout=subprocess.PIPE,
        )
        writer = subprocess.Popen(
            pg_tools.command(
                "psql", "--quiet", "--no-psqlrc", "--single-transaction", "--set=ON_ERROR_STOP=1"
            ),
            env=pg_tools.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert reader.stdout is not None
        assert writer.stdin is not None
        try:
            writer.stdin.write(EMPTY)
            while block := reader.stdout.read(1 << 16):
                writer.stdin.write(block)
            if reader.wait() != 0:
                # Without its end the transaction must not commit.
                writer.kill()
                raise CommandError(f"{file} could not be read to its end; nothing was changed.")
        except BrokenPipeError:
            reader.kill()
        _, said = writer.communicate()
        if writer.returncode != 0:
            raise CommandError(f"Nothing was changed: {said.decode(errors='replace').strip()}")


def _leads() -> int:
    """How many leads the present database holds; 0 when it has no tables yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('leads_lead') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute("SELECT count(*) FROM leads_lead")
        return int(cursor.fetchone()[0])
