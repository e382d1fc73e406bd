"""Leads by the API, a file of leads and one of activities, taken in with every check, beside bare COPY."""

import csv
import io
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.test import Client

from bench.loading import execute
from bench.run import INGEST, REPEATS, Result, result, seconds
from leadflow import clock
from leadflow.accounts import keys
from leadflow.accounts.actors import SYSTEM
from leadflow.jobs import runner
from leadflow.jobs.models import Job
from leadflow.leads.folding import domain_of, fold, words
from leadflow.leads.importing import run
from leadflow.leads.models import ImportRun

# So many rows of a file name the same company.
OF_A_COMPANY = 5
# The budget of a file: a fifth of the speed of COPY; over HTTP half of it.
BUDGET, POSTED = 5.0, 2.0
ROLES = ("CEO", "Head of Fleet", "Account Manager", "VP Sales", "Buyer")
# The columns of a table that a file of leads says something for; the rest is the same for all.
LEAD = (
    "name, name_key, email, email_key, email_domain, phone, phone_key, title, title_key, title_words,"
    " country, country_key, city, city_key, first_source, first_source_key, stage, level, time_zone_country,"
    " crm_url, external_owner, custom, custom_keys, custom_words, do_not_contact, sales_sourced, stage_since,"
    " created_at, changed_at"
)
ACTIVITY = (
    "source, external_id, kind_id, lead_id, first_lead_id, occurred_at, recorded_at, path, message_key,"
    " channel, result, properties"
)
# What somebody would write for new leads of new companies that are in a temporary table.
BY_HAND = (
    """INSERT INTO leads_company (name, name_key, name_words, domain, industry, industry_key, industry_words,
        employees, country, country_key, city, is_target, is_competitor, is_partner, is_own, custom,
        custom_keys, custom_words, created_at)
    SELECT DISTINCT ON (email_domain) company, lower(company), lower(company), email_domain, '', '', '',
        employees, '', '', '', false, false, false, false, '{}'::jsonb, '{}'::jsonb, '{}'::jsonb, created_at
    FROM taken ON CONFLICT (domain) DO NOTHING""",
    f"""INSERT INTO leads_lead (company_id, {LEAD})
    SELECT c.id, {", ".join(f"t.{name.strip()}" for name in LEAD.split(","))}
    FROM taken t JOIN leads_company c ON c.domain = t.email_domain ON CONFLICT (email_key) DO NOTHING""",  # noqa: S608
    """INSERT INTO leads_leadkey (lead_id, source, external_id)
    SELECT l.id, %(source)s, t.external_id FROM taken t JOIN leads_lead l USING (email_key)
    ON CONFLICT (source, external_id) DO NOTHING""",
    """INSERT INTO leads_stagechange (lead_id, from_stage, to_stage, at, known_at, cause)
    SELECT l.id, '', l.stage, l.created_at, l.created_at, ''
    FROM taken t JOIN leads_lead l USING (email_key)""",
)
Rows = list[list[str]]


def imports() -> list[Result]:
    """Leads by the API, and both kinds of files."""
    return [
        bulk(),
        _compared("leads", "leads of a file / COPY of its rows", _leads, ("leads_lead", LEAD), _lead),
        _compared(
            "activities",
            "activities of a file / COPY of its rows",
            _activities,
            ("leads_activity", ACTIVITY),
            _activity,
        ),
    ]


def bulk() -> Result:
    """New leads of new companies by one request, beside statements that write the same four tables."""
    secret = keys.create_key(SYSTEM, "bench leads", ["leads:write"])[1]
    client = Client(headers={"Authorization": f"Bearer {secret}"}, SERVER_NAME="localhost")
    numbers = count(10_001)

    def post(text: str) -> None:
        answer = client.post("/api/v1/leads/bulk/", text, content_type="application/json")
        assert answer.json()["created"] == INGEST, answer.content[:300]

    def ours() -> Callable[[], None]:
        n = next(numbers)
        head, *rows = _leads(n)
        told = [{**dict(zip(head, row, strict=True)), "source": f"s{n}"} for row in rows]
        return partial(post, json.dumps(told))

    def bare() -> Callable[[], None]:
        n, now = next(numbers), clock.now().isoformat()
        rows = _leads(n)[1:]
        # Beside the columns of the lead: its id there, its company.
        return partial(_by_hand, n, [[*_lead(row, now), row[0], *row[7:9]] for row in rows])

    ours()()
    bare()()
    times = [seconds(ours()) for _ in range(REPEATS)]
    by_hand = [seconds(bare()) for _ in range(REPEATS)]
    return result("leads by the API / COPY and INSERT", INGEST, min(times), min(by_hand), POSTED)


def _by_hand(n: int, rows: list[list[Any]]) -> None:
    text = io.StringIO("".join("\t".join(map(str, row)) + "\n" for row in rows))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMP TABLE taken ON COMMIT DROP AS SELECT {LEAD}, ''::text AS external_id,"  # noqa: S608
            " ''::text AS company, 0 AS employees FROM leads_lead LIMIT 0"
        )
        cursor.copy_expert("COPY taken FROM STDIN", text)
        for statement in BY_HAND:
            cursor.execute(statement, {"source": f"by hand {n}"})


def _compared(
    kind: str,
    name: str,
    make: Callable[[int], Rows],
    into: tuple[str, str],
    bare: Callable[[Sequence[str], str], list[Any]],
) -> Result:
    numbers = count(1)
    with tempfile.TemporaryDirectory(prefix="lf") as folder:

        def ours() -> Callable[[], None]:
            n = next(numbers)
            path = Path(folder) / f"{kind}-{n}.csv"
            with path.open("w", newline="") as file:
                csv.writer(file).writerows(make(n))
            return partial(_import, kind, path)

        def copied() -> Callable[[], None]:
            n, now = next(numbers), clock.now().isoformat()
            return partial(_copy, into, [bare(row, now) for row in make(n)[1:]])

        ours()()
        copied()()
        times = [seconds(ours()) for _ in range(REPEATS)]
        by_hand = [seconds(copied()) for _ in range(REPEATS)]
    return result(name, INGEST, min(times), min(by_hand), BUDGET)


def _import(kind: str, path: Path) -> None:
    """The whole of it, as the page does: keep the file, check it, lay it down in parts, take each in."""
    header = path.open().readline().strip().split(",")
    copy, digest = run.keep(path)
    found = ImportRun(
        kind=kind,
        file_name=path.name,
        file_path=str(copy),
        file_hash=digest,
        mapping={"columns": {name: {"to": name} for name in header}},
        source=path.stem,
    )
    job = run.prepare(found, SYSTEM)
    while runner.work_one():
        pass
    job.refresh_from_db()
    if (job.state, job.done, job.failed) != (Job.State.DONE, INGEST, 0):
        raise SystemExit(f"The import ended as {job.state} {job.message}: mend bench/imports.py.")


def _copy(into: tuple[str, str], rows: list[list[Any]]) -> None:
    text = io.StringIO("".join("\t".join(map(str, row)) + "\n" for row in rows))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {into[0]} ({into[1]}) FROM STDIN", text)


def _leads(n: int) -> Rows:
    header = [
        "external_id",
        "email",
        "name",
        "title",
        "phone",
        "country",
        "city",
        "company_name",
        "employees",
    ]
    return [
        header,
        *(
            [
                f"id-{i}",
                f"kim.berg{i}@firm{n}-{i // OF_A_COMPANY}.example",
                f"Kim Berg {n} {i}",
                ROLES[i % len(ROLES)],
                f"+49 30 {i:06d}",
                "Germany",
                "Berlin",
                f"Firm {n} {i // OF_A_COMPANY}",
                str(20 + i // OF_A_COMPANY),
            ]
            for i in range(INGEST)
        ),
    ]


def _lead(row: Sequence[str], now: str) -> list[Any]:
    _, email, name, title, phone, country, city, *_ = row
    email = email.replace("@", "@copied.")
    texts = [name, fold(name), email, fold(email), domain_of(email), phone, phone.replace(" ", "")]
    texts += [title, fold(title), words(title), country, fold(country), city, fold(city), "file", "file"]
    return [*texts, "conversion", *[""] * 4, *["{}"] * 3, "f", "f", now, now, now]


def _activities(n: int) -> Rows:
    leads = [row[0] for row in execute("SELECT id FROM leads_lead ORDER BY id LIMIT %s", [INGEST])]
    dice, at = random.Random(n), clock.now() - timedelta(days=1)  # noqa: S311
    return [
        ["external_id", "kind", "lead_id", "occurred_at", "path"],
        *(
            [
                f"act-{n}-{i}",
                "page_view",
                str(dice.choice(leads)),
                (at + timedelta(seconds=i)).isoformat(timespec="seconds"),
                f"/page-{i % 50}",
            ]
            for i in range(INGEST)
        ),
    ]


def _activity(row: Sequence[str], now: str) -> list[Any]:
    external_id, _, lead, at, path = row
    return ["copied", external_id, _kind(), lead, lead, at, now, path, "", "", "", "{}"]


@cache
def _kind() -> int:
    return int(execute("SELECT id FROM leads_activitykind WHERE key = 'page_view'")[0][0])
