"""A base of made-up leads, laid down as fast as the server can: indexes are built after the rows are in."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.utils import ProgrammingError

from bench.agreement import FREE_MAIL, THROWAWAY, content
from leadflow import clock
from scoring.document import content_sha
from scoring.models import Agreement, ListEntry, ListSnapshot

HERE = Path(__file__).resolve().parent
TABLES = ("leads_company", "leads_lead", "leads_activity")


def execute(text: str, params: Any = None) -> list[tuple[Any, ...]]:
    """Run one statement; its rows, if it has some."""
    with connection.cursor() as cursor:
        cursor.execute(text, params)
        return list(cursor.fetchall()) if cursor.description else []


def load(leads: int, acts: int = 10) -> None:
    """An empty house gets the agreement, so many leads and so many acts for each of them."""
    agreement()
    text = (HERE / "load.sql").read_text().replace("{leads}", str(leads)).replace("{acts}", str(acts))
    with _without_indexes(), transaction.atomic():
        _without_checks()
        execute(text)
    # Fresh pages are marked as seen once, here and not in what is measured.
    for table in TABLES:
        execute(f"VACUUM ANALYZE {table}")
    execute("ANALYZE")


def agreement(body: dict[str, Any] | None = None) -> Agreement:
    """Put a content into force in place of the present one."""
    at, body = clock.now(), body or content()
    for sha, key, domain in (("free", "free_mail", FREE_MAIL), ("gone", "throwaway", THROWAWAY)):
        snapshot, new = ListSnapshot.objects.get_or_create(sha256=sha, defaults={"key": key, "at": at})
        if new:
            ListEntry.objects.create(snapshot=snapshot, value=domain)
    Agreement.objects.filter(state=Agreement.State.IN_FORCE).update(state=Agreement.State.SUPERSEDED)
    return Agreement.objects.create(
        number=Agreement.objects.count() + 1,
        state=Agreement.State.IN_FORCE,
        content=body,
        sha256=content_sha(body),
        zone=body["zone"],
        created_at=at,
        changed_at=at,
        in_force_at=at,
    )


def empty() -> None:
    """Take the leads away again, and all that hangs on them."""
    execute(
        "TRUNCATE leads_company, leads_lead, leads_activity, scoring_leadscore, scoring_scorechange CASCADE"
    )


@contextmanager
def _without_indexes() -> Any:
    """Drop the plain indexes of the big tables and build them again afterwards; keys stay."""
    found = execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s)"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)",
        [list(TABLES)],
    )
    for name, _ in found:
        execute(f'DROP INDEX "{name}"')
    yield
    for _, definition in found:
        execute(definition)


def _without_checks() -> None:
    """The rows are right by construction; looking up three keys for each act takes longer than the rest."""
    try:
        with transaction.atomic():
            execute("SET LOCAL session_replication_role = replica")
    except ProgrammingError:
        # Only a superuser may; it is slower, not wrong.
        return
