"""What the three import commands share: reading a file from the console, with progress and rejects."""

import csv
import json
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from time import sleep
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leadflow.accounts.actors import SYSTEM
from leadflow.errors import BadInput
from leadflow.jobs import runner
from leadflow.jobs.models import Job, JobError
from leadflow.leads.facts import known_facts
from leadflow.leads.importing import mapping as mappings
from leadflow.leads.importing import reading, run
from leadflow.leads.models import ImportRun
from leadflow.web import safe_cell

UNFINISHED = (Job.State.WAITING, Job.State.RUNNING)


class ImportCommand(BaseCommand):
    """Import a file of one kind. Exit 1 when the file or its mapping cannot be read."""

    kind: mappings.Kind = "leads"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="CSV (also .gz), .xlsx, or .ndjson")
        parser.add_argument(
            "--mapping", type=Path, help="JSON: which column is what; without it names are guessed"
        )
        parser.add_argument(
            "--source", default="", help="the other system, for its ids (default: the mapping's)"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would happen, keep nothing")
        parser.add_argument(
            "--rejects", type=Path, help="write rejected rows to this CSV: line, field, reason"
        )
        parser.add_argument(
            "--fresh", action="store_true", help="these leads are new evidence: offer the ready ones"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._import(options)
        except BadInput as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{error.filename or 'A file'} cannot be used: {error.strerror}.") from error

    def _import(self, options: dict[str, Any]) -> None:
        path: Path = options["file"].absolute()
        shape = reading.look_at(path)
        self.stdout.write(f"{path.name}: {shape.says}")
        mapping = self._mapping(options["mapping"], path, shape)
        found = ImportRun(
            kind=self.kind,
            file_name=path.name,
            file_path=str(path),
            mapping=mapping,
            source=options["source"] or str(mapping.get("source") or path.name.split(".")[0]),
            date_order=mapping.get("date_order", "DMY"),
            decimal=mapping.get("decimal", "."),
            fresh=options["fresh"],
        )
        if options["dry_run"]:
            counts, rejects = run.dry_run(found)
            self.stdout.write("Nothing was kept: this was a dry run.")
        else:
            run.checked(found)
            copy, found.file_hash = run.keep(path)
            found.file_path = str(copy)
            job = run.prepare(found, SYSTEM)
            self._work(job)
            found.refresh_from_db()
            counts = Counter(found.counts)
            errors = JobError.objects.filter(job=job).order_by("line", "id").iterator()
            rejects = [run.Reject(e.line, e.field, e.reason, tuple(e.raw or ())) for e in errors]
        self._tell(counts)
        self._write_rejects(options["rejects"], shape, rejects)

    def _mapping(self, path: Path | None, file: Path, shape: reading.Shape) -> dict[str, Any]:
        if path is None:
            guess = mappings.suggest(shape, reading.samples(file, shape, 50), self.kind, known_facts())
            self.stdout.write("Guessed: " + ", ".join(f"{c} → {to}" for c, to in guess.items() if to))
            return {"columns": {column: {"to": to} for column, to in guess.items() if to}}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise CommandError(f"The mapping {path} cannot be opened ({error.strerror}).") from error
        except ValueError as error:
            raise CommandError(f"The mapping {path} is no JSON: {error}.") from error
        if not isinstance(found, dict):
            raise CommandError(f"The mapping {path} is not a JSON object.")
        return found

    def _work(self, job: Job) -> None:
        # A worker may be at it too; whoever is free takes the next part.
        while job.state in UNFINISHED:
            if not runner.work_one():
                sleep(0.3)
            job.refresh_from_db()
            if sys.stdout.isatty() and job.total:
                self.stdout.write(f"\r{job.done:,} of {job.total:,} rows", ending="")
        if sys.stdout.isatty():
            self.stdout.write("")
        if job.state != Job.State.DONE:
            raise CommandError(job.message or f"The import ended as {job.state}.")

    def _tell(self, counts: Counter[str]) -> None:
        told = ", ".join(
            f"{counts[k]:,} {k}"
            for k in ("created", "changed", "unchanged", "duplicate", "skipped")
            if counts[k]
        )
        self.stdout.write(
            f"{counts['rows']:,} rows: {told or 'nothing new'}; {counts['rejected']:,} rejected."
        )
        if counts["early"]:
            self.stdout.write(
                f"{counts['early']:,} dated before we knew the lead: taken, not in velocity and backtests."
            )

    def _write_rejects(self, path: Path | None, shape: reading.Shape, rejects: Iterable[run.Reject]) -> None:
        if path is None:
            for reject in list(rejects)[:10]:
                self.stderr.write(f"line {reject.line}, {reject.field or 'the row'}: {reject.reason}")
            return
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["line", "field", "reason", *shape.columns])
            for reject in rejects:
                writer.writerow(
                    [safe_cell(v) for v in (reject.line, reject.field, reject.reason, *reject.raw)]
                )
        self.stdout.write(f"Rejected rows are in {path}.")
