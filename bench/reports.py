"""Pages and reports over a base in which every fifth lead was handed to sales: what a reader waits for."""

import argparse
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from statistics import median
from time import perf_counter
from typing import Any

from bench.run import ROOT, Result, house, say

TIMES = 5
# What the server may take for a report and for any other page, and how often it may ask the database.
MILLISECONDS, QUERIES = 300, 20
PAGE = 100
YEAR, YEARS = 365, 730


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
        _scores()
    while journeys.mark() is None:
        journeys.refresh(clock.now())
    books.refresh(clock.now())
    kept = ("leadjourney", "journeyday", "handoverkept", "handoverlines", "answerkept", "spanweek")
    for table in (
        "leads_lead",
        "handoff_handoff",
        "scoring_leadscore",
        *(f"feedback_{name}" for name in kept),
    ):
        execute(f"VACUUM ANALYZE {table}")
    reader = User(email="reader@bench.example", name="Reader", role="sales_manager")
    reader.set_unusable_password()
    reader.save()
    client = Client(SERVER_NAME="localhost")
    client.force_login(reader)
    found = []
    for name, address, budget_ms in _asked(rooms.SHOWN, clock.now().date()):
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
        value, budget = median(took), budget_ms / 1000
        name = f"{name}, {len(asked)} questions / {budget_ms} ms"
        fine = value <= budget and len(asked) <= QUERIES
        found.append(Result(name, leads, round(value, 3), "s", budget, round(value / budget, 2), 1.0, fine))
    return found


def _asked(shown: Iterable[Any], today: date) -> Iterator[tuple[str, str, int]]:
    """(name, address, budget in ms) of every report, of long periods, of lists and of the pages beside."""
    for module in shown:
        yield f"report “{module.TITLE}”", f"/reports/{module.NAME}/", MILLISECONDS
    for name, days in (
        ("conversion", YEARS),
        ("velocity", YEARS),
        ("criteria", YEARS),
        ("answers", YEARS),
        ("sla", YEAR),
    ):
        period = f"from={today - timedelta(days=days - 1)}&to={today}"
        yield f"report “{name}” of {days} days", f"/reports/{name}/?{period}", MILLISECONDS
    behind = "/reports/conversion/leads/?cell=leads"
    period = f"&from={today - timedelta(days=YEARS - 1)}&to={today}"
    yield "leads behind a figure", behind, MILLISECONDS
    yield f"leads behind a figure of {YEARS} days", behind + period, MILLISECONDS
    yield "sales’ answers", "/feedback/", MILLISECONDS
    for name, address in (
        ("MQLs", "/mqls/"),
        ("leads", "/leads/"),
        ("leads by score", "/leads/?sort=-score"),
        ("leads, a frequent word", "/leads/?q=example"),
        ("leads, a rare word", "/leads/?q=l1234@"),
    ):
        yield f"page “{name}”", address, PAGE


def _scores() -> None:
    """Every lead has a score, as if a version had been released."""
    from bench.loading import agreement, execute

    if not execute("SELECT 1 FROM scoring_agreement WHERE state = 'in_force'"):
        agreement()
    execute(
        "INSERT INTO scoring_leadscore (lead_id, fit, behaviour, value, total, grade, draft_sha, preview,"
        " ready, scored_at, known_at, agreement_id) SELECT l.id, l.id % 50, l.id % 40, 0, l.id % 90,"
        " 'B2', '', FALSE, FALSE, now(), now(), a.id FROM leads_lead l,"
        " (SELECT id FROM scoring_agreement WHERE state = 'in_force' LIMIT 1) a"
    )


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
