"""The measured steps. Each is a real call of the house beside the bare statement that does the same work."""

import io
import random
from datetime import timedelta
from pathlib import Path

from django.db import connection, transaction

from bench.run import CHANGED, CHUNK, INGEST, REPEATS, Result, result, seconds
from handoff import clocks
from handoff.models import Handoff
from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import intake, stages
from scoring import current, engine, rows
from scoring.document import content_sha
from scoring.models import Agreement, ListEntry, ListSnapshot
from tests.scoring.sample import content

HERE = Path(__file__).resolve().parent


def all_of(leads: int) -> list[Result]:
    """Load, then measure everything."""
    _load(leads)
    return [*_rescore(leads), _ingest(), _ticks(min(5_000, leads))]


def _execute(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text)


def _one(text: str) -> tuple[int, ...]:
    with connection.cursor() as cursor:
        cursor.execute(text)
        return tuple(cursor.fetchone())


def _load(leads: int) -> None:
    at = clock.now()
    for sha, key, domain in (("free", "free_mail", "gmail.com"), ("gone", "throwaway", "mailinator.com")):
        snapshot = ListSnapshot.objects.create(sha256=sha, key=key, at=at)
        ListEntry.objects.create(snapshot=snapshot, value=domain)
    body = content()
    Agreement.objects.create(
        number=1,
        state=Agreement.State.IN_FORCE,
        content=body,
        sha256=content_sha(body),
        zone=body["zone"],
        created_at=at,
        changed_at=at,
        in_force_at=at,
    )
    _execute((HERE / "load.sql").read_text().replace("{leads}", str(leads)))


def _rescore(leads: int) -> list[Result]:
    first, last = _one("SELECT min(id), max(id) FROM leads_lead")
    at = clock.now()
    reference = (HERE / "reference.sql").read_text()

    def by_hand() -> None:
        _execute("DROP TABLE IF EXISTS bench_totals")
        _execute(
            "CREATE TABLE bench_totals (id bigint PRIMARY KEY, fit int, behaviour int, value int, total int)"
        )
        with connection.cursor() as cursor:
            for start in range(first, last + 1, CHUNK):
                cursor.execute(reference, {"at": at, "first": start, "last": start + CHUNK - 1})

    def ours() -> None:
        # The same instant as by hand: some act passes a whole day of age every few seconds.
        with clock.use(at):
            for start in range(first, last + 1, CHUNK):
                engine.score_range(start, start + CHUNK - 1, at=at)

    def again() -> None:
        _execute("TRUNCATE scoring_leadscore, scoring_scorechange, scoring_crossing")
        ours()

    ours()  # the first also moves every lead to its stage
    hand, full = seconds(by_hand, REPEATS), seconds(again, REPEATS)
    _same_totals()
    ids = sorted(random.Random(7).sample(range(first, last + 1), min(CHANGED, leads)))  # noqa: S311

    def changed() -> None:
        with transaction.atomic():
            stages.lock(ids)
            engine.score_leads(ids, at=clock.now(), cause="bench")

    statement = current.of(Agreement.objects.get()).program.score("subjects", present=True)

    def bare() -> None:
        now = [clock.now()] * len(ids)
        rows.run(statement, (ids, ids, now, now))

    some = seconds(changed, 5)
    return [
        result("full rescore with writes / select and insert by hand", leads, full, hand, 1.5),
        result("rescore of changed leads / its bare statement", len(ids), some, seconds(bare, 5), 2.0),
    ]


def _same_totals() -> None:
    """A reference that counts something else would be no reference."""
    (wrong,) = _one(
        "SELECT count(*) FROM bench_totals t JOIN scoring_leadscore s ON s.lead_id = t.id"
        " WHERE (s.fit, s.behaviour, s.value, s.total) <> (t.fit, t.behaviour, t.value, t.total)"
    )
    if wrong:
        raise SystemExit(f"The reference by hand scores {wrong} leads otherwise: mend bench/reference.sql.")


def _ingest() -> Result:
    first, last = _one("SELECT min(id), max(id) FROM leads_lead")
    dice, at = random.Random(8), clock.now() - timedelta(hours=1)  # noqa: S311

    def batch(name: str) -> list[dict[str, object]]:
        return [
            {
                "source": name,
                "external_id": str(i),
                "kind": "page_view",
                "lead_id": dice.randint(first, last),
                "occurred_at": at.isoformat(),
                "path": "/pricing",
            }
            for i in range(INGEST)
        ]

    (kind,) = _one("SELECT id FROM leads_activitykind WHERE key = 'page_view'")

    def bare(data: list[dict[str, object]]) -> None:
        text = "".join(
            f"{d['source']}\t{d['external_id']}\t{d['lead_id']}\t{d['occurred_at']}\n" for d in data
        )
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "CREATE TEMP TABLE taken (s text, x text, l bigint, at timestamptz) ON COMMIT DROP"
            )
            cursor.copy_expert("COPY taken FROM STDIN", io.StringIO(text))
            cursor.execute(
                "INSERT INTO leads_activity (source, external_id, kind_id, lead_id, first_lead_id,"
                " occurred_at, recorded_at, path, message_key, channel, result, properties)"
                " SELECT s, x, %s, l, l, at, now(), '/pricing', '', '', '', '{}' FROM taken"
                " ON CONFLICT DO NOTHING",
                [kind],
            )

    intake.record_activities(batch("warm"), actor=SYSTEM)
    mine, theirs = batch("ours"), batch("bare")
    ours = seconds(lambda: intake.record_activities(mine, actor=SYSTEM))
    hand = seconds(lambda: bare(theirs))
    return result("activities taken in / COPY and INSERT", INGEST, ours, hand, 2.0)


def _ticks(count: int) -> Result:
    at = clock.now()
    due = at - timedelta(minutes=5)
    ids = [row[0] for row in _rows("SELECT id FROM leads_lead ORDER BY id")[:count]]
    tick = {
        "at": due.isoformat(),
        "do": "warn",
        "promise": "acceptance",
        "scope": "holder",
        "from": due.isoformat(),
    }
    Handoff.objects.bulk_create(
        [
            Handoff(
                lead_id=lead,
                kind=Handoff.Kind.BAR,
                offered_at=due,
                first_offered_at=due,
                acceptance_due_at=at + timedelta(hours=1),
                sla_ticks=[tick],
                sla_tick_at=due,
                changed_at=due,
            )
            for lead in ids
        ],
        batch_size=2_000,
    )
    _execute("ANALYZE handoff_handoff")

    def bare() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE handoff_handoff SET sla_tick_at = NULL, sla_ticks = '[]', changed_at = %s"
                " WHERE sla_tick_at <= %s RETURNING id",
                [at, at],
            )
            cursor.fetchall()
            transaction.set_rollback(True)

    def undone() -> None:
        with transaction.atomic():
            bare()

    reference = seconds(undone)

    def ours() -> None:
        while clocks.tick(at):
            pass

    return result("ticks due at once / bare UPDATE", count, seconds(ours), reference, 5.0)


def _rows(text: str) -> list[tuple[int, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text)
        return list(cursor.fetchall())
