"""Put a backup in the place of the present database."""

import gzip
import shutil
import subprocess
import zlib
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from leadflow import pg_tools

# Everything of ours lives in this schema, extensions included; the backup makes them anew.
EMPTY = b"DROP SCHEMA public CASCADE;\nCREATE SCHEMA public;\n"
BLOCK = 1 << 20


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
        if not _whole(file):
            raise CommandError(
                f"{file} is not a whole backup made by `manage.py backup`; nothing was changed."
            )
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
        once = ["--quiet", "--no-psqlrc", "--single-transaction", "--set=ON_ERROR_STOP=1"]
        writer = subprocess.Popen(
            pg_tools.command("psql", *once),
            env=pg_tools.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert writer.stdin is not None
        # psql gives up on an error and tells why on its other pipe.
        with suppress(BrokenPipeError), gzip.open(file) as reader:
            writer.stdin.write(EMPTY)
            shutil.copyfileobj(reader, writer.stdin, BLOCK)
        _, said = writer.communicate()
        if writer.returncode != 0:
            raise CommandError(f"Nothing was changed: {said.decode(errors='replace').strip()}")


def _whole(file: Path) -> bool:
    """Whether the file is a dump that reads to its end, checksum included."""
    first, last = b"", b""
    try:
        with gzip.open(file) as reader:
            while block := reader.read(BLOCK):
                first = first or block
                last = (last + block)[-500:]
    except (OSError, EOFError, zlib.error):
        return False
    return b"PostgreSQL database dump" in first[:200] and b"PostgreSQL database dump complete" in last


def _leads() -> int:
    """How many leads the present database holds; 0 when it has no tables yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('leads_lead') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute("SELECT count(*) FROM leads_lead")
        return int(cursor.fetchone()[0])
