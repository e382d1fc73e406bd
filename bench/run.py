"""Run the benchmarks: `make bench [LEADS=…]` prints a table and writes bench/latest.json.

Everything happens in a database of its own, made for the run and dropped after it; without DATABASE_URL also
on a server of its own, beside one that may be running.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHANGED = 1_000
INGEST = 10_000
REPEATS, ENOUGH = 3, 200_000


@dataclass(frozen=True)
class Result:
    """One row of the table: a figure beside its reference; `budget` is the largest ratio that is fine."""

    name: str
    size: int
    value: float
    unit: str
    reference: float
    ratio: float
    budget: float
    ok: bool


def say(line: str) -> None:
    """A line of the table."""
    sys.stdout.write(line + "\n")


def seconds(step: Callable[[], Any], repeats: int = 1, before: Callable[[], Any] | None = None) -> float:
    """The best of some runs; `before` each, and not counted."""
    best = float("inf")
    for _ in range(repeats):
        if before is not None:
            before()
        start = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - start)
    return best


def repeats(leads: int) -> int:
    """How often a step over so many leads is measured: the best of three, of a long one the only."""
    return REPEATS if leads <= ENOUGH else 1


def result(name: str, size: int, value: float, reference: float, budget: float) -> Result:
    ratio = value / reference
    return Result(
        name, size, round(value, 3), "s", round(reference, 3), round(ratio, 2), budget, ratio <= budget
    )


def main() -> None:
    """Make the house, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=20_000)
    parser.add_argument("--due", type=int, help="answers that fall due at once; by default one of each lead")
    asked = parser.parse_args()
    leads = max(2_000, asked.leads)
    with house():
        from bench import measures

        results = measures.all_of(leads, asked.due)
    width = max(len(r.name) for r in results)
    say(f"{'':{width}}  {'size':>9}  {'value':>9}  {'reference':>9}  {'ratio':>6}  budget")
    for r in results:
        mark = "" if r.ok else "  over"
        say(
            f"{r.name:{width}}  {r.size:>9,}  {r.value:>7.2f} {r.unit}  {r.reference:>7.2f} {r.unit}"
            f"  {r.ratio:>6.2f}  ≤ {r.budget}{mark}"
        )
    (ROOT / "bench" / "latest.json").write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")


@contextmanager
def house() -> Any:
    """Django on a fresh database."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leadflow.settings")
    os.environ.setdefault("NUDGES", "0")
    with tempfile.TemporaryDirectory(prefix="lf") as folder:
        os.environ["LEADFLOW_DATA"] = folder
        from leadflow import embedded

        embedded.ensure_database(["bench", "bench"])
        import django

        django.setup()
        from django.db import connection

        from leadflow import memory

        # As in any worker.
        memory.settle()

        connection.settings_dict["TEST"]["NAME"] = "leadflow_bench"
        name = connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            yield name
        finally:
            connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


if __name__ == "__main__":
    main()
