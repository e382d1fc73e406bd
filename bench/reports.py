"""The report pages over a base in which every fifth lead was handed to sales: what a reader waits for."""

import argparse
from statistics import median
from time import perf_counter
from typing import Any

from bench.run import ROOT, Result, house, say

TIMES = 5
# DESIGN section 9: what the server may take for a report, and how often it may ask the database.
MILLISECONDS, QUERIES = 300, 20


def reports(leads: int) -> list[Result]:
    """Lay the base down, keep the figures as the background does, open each page as a reader."""
    from django.db import connection, transaction
    from django.test import Client

    from bench.loading import empty, execute
    from feedback import reports as rooms
    from feedback.reports import books, journeys
    from leadflow import clock
    from leadflow.accounts.models import User

    text = (
        (ROOT / "bench" / "closed_loop.sql")
        .read_text()
        .replace("{leads}", str(leads))
        .replace("{handoffs}", str(leads // 5))
    )
    empty()
    with transaction.atomic():
        execute(text)
    while journeys.mark() is None:
        journeys.refresh(clock.now())
    books.refresh(clock.now())
    kept = ("leadjourney", "journeyday", "handoverkept", "handoverlines")
    for table in ("leads_lead", "handoff_handoff", *(f"feedback_{name}" for name in kept)):
        execute(f"VACUUM ANALYZE {table}")
    reader = User(email="reader@bench.example", name="Reader", role="sales_manager")
    reader.set_unusable_password()
    reader.save()
    client = Client(SERVER_NAME="localhost")
    client.force_login(reader)
    found = []
    for module in rooms.SHOWN:
        address = f"/reports/{module.NAME}/"
        asked: list[str] = []

        def ask(
            execute: Any, statement: str, params: Any, many: bool, context: Any, asked: Any = asked
        ) -> Any:
            asked.append(statement)
            return execute(statement, params, many, context)

        with connection.execute_wrapper(ask):
            client.get(address)
        took = []
        for _ in range(TIMES):
            began = perf_counter()
            answer = client.get(address)
            took.append(perf_counter() - began)
            assert answer.status_code == 200, address
        value, budget = median(took), MILLISECONDS / 1000
        name = f"report “{module.TITLE}”, {len(asked)} questions / {MILLISECONDS} ms"
        fine = value <= budget and len(asked) <= QUERIES
        found.append(Result(name, leads, round(value, 3), "s", budget, round(value / budget, 2), 1.0, fine))
    return found


def main() -> None:
    """Only the reports: `python -m bench.reports --leads 1000000`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=100_000)
    leads = parser.parse_args().leads
    with house():
        for row in reports(leads):
            say(f"{row.name:70} {row.value * 1000:6.0f} ms{'' if row.ok else '  over'}")


if __name__ == "__main__":
    main()
