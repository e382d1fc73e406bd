"""Write the whole database into one file."""

import os
import subprocess
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leadflow import pg_tools


class Command(BaseCommand):
    help = "Write the whole database into FILE (gzipped SQL), while it is in use."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        # Beside its final name first: an older backup is replaced by a whole one or not at all.
        draft = file.with_name(f".{file.name}.part")
        try:
            os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
            # gzip and not PostgreSQL's own format: it restores a truncated file of its own without a word.
            form = ["--format=plain", "--compress=gzip:5", "--no-owner", "--no-privileges", f"--file={draft}"]
            done = subprocess.run(
                pg_tools.command("pg_dump", *form), env=pg_tools.environment(), capture_output=True
            )
            if done.returncode != 0:
                raise CommandError(f"No backup was made: {done.stderr.decode(errors='replace').strip()}")
            draft.rename(file)
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from error
        finally:
            draft.unlink(missing_ok=True)
        self.stdout.write(f"Backup of {file.stat().st_size / 1e6:.1f} MB in {file}.")
