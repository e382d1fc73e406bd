"""Make a draft of the agreement from a file."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leadflow.accounts.actors import SYSTEM
from leadflow.errors import BadInput, Conflict
from scoring import agreements
from scoring.models import Agreement


class Command(BaseCommand):
    help = (
        "Make a draft of the agreement from a JSON file. It is checked like one written in the browser;"
        " both sides still sign it there. Exit 1, with every fault and its place, when it cannot be used."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the whole content of an agreement, as JSON")
        parser.add_argument("--replace", action="store_true", help="write it into the draft that is open")

    def handle(self, *args: Any, **options: Any) -> None:
        content = _read(options["file"])
        try:
            made = _write(content, options["file"].name, replace=options["replace"])
        except BadInput as error:
            faults = "".join(f"\n  {fault.path or 'the file'}: {fault.message}" for fault in error.faults)
            raise CommandError(f"{error.message}{faults}") from error
        except Conflict as error:
            raise CommandError(
                f"{error.message} Discard it in the browser, or write over it with --replace."
            ) from error
        self.stdout.write(
            f"Version {made.number} is a draft now. Look at it under /agreement/, propose it,"
            " and let both sides sign; until the first one is in force its scores are a preview."
        )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CommandError(f"{path} cannot be opened ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is no JSON: {error}.") from error


def _write(content: Any, name: str, *, replace: bool) -> Agreement:
    note = f"Loaded from {name}"
    draft = agreements.draft() if replace else None
    if draft is None:
        return agreements.create_draft(SYSTEM, content=content, note=note)
    return agreements.save_draft(draft, content, SYSTEM, draft.lock_version, what=note)
