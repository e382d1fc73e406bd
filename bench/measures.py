"""The measured steps. Each is a real call of the house beside the bare statement that does the same work."""

import copy
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count, cycle
from statistics import median

from django.db import connection, transaction
from django.test import Client

from bench.agreement import content
from bench.clocks import additions, ticks
from bench.crowd import crowd
from bench.imports import imports
from bench.loading import HERE, execute, load
from bench.opening import openings
from bench.posted import posted
from bench.reports import reports
from bench.run import CHANGED, INGEST, REPEATS, Result, repeats, result, say, seconds
from leadflow import clock
from leadflow.accounts import keys
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import stages
from scoring import agreements, current, engine, rows
from scoring.models import Agreement, PreviewRun
from scoring.release import CHUNK
from scoring.whatif import bars, runs, scan, tally

# Looks at edited drafts.
LOOKS = 7
REFERENCE = (HERE / "reference.sql").read_text()
# An act more for each lead, and away with it.
ONE_MORE = """
    INSERT INTO leads_activity (source, external_id, kind_id, lead_id, first_lead_id, occurred_at,
        recorded_at, path, message_key, channel, result, properties)
    SELECT 'more', l, k.id, l, l, %(at)s, %(at)s, '/pricing', '', '', '', '{}'
    FROM unnest(%(leads)s) l, leads_activitykind k WHERE k.key = 'page_view'
"""
ONE_LESS = "DELETE FROM leads_activity WHERE source = 'more' AND external_id = ANY(%(leads)s::text[])"


def all_of(leads: int, due: int | None = None) -> list[Result]:
    """Load, then measure everything. `due`: see `ticks`."""
    took = seconds(lambda: load(leads))
    say(f"{leads:,} leads and {leads * 10:,} acts laid down in {took:.0f} s")
    results = [*rescore(leads), changed(leads), what_if(leads), first_answer(leads)]
    results += [_ingest(), openings(), additions(), ticks(leads, due), *imports(), *posted(), crowd()]
    # The last: they want a base of their own.
    return [*results, *reports(leads)]


# The statement by hand


@dataclass(frozen=True)
class ByHand:
    """The reference: what somebody would write for the agreement, over the whole base at once."""

    at: datetime

    def totals(self) -> None:
        """Select and insert the totals."""
        execute("DROP TABLE IF EXISTS bench_totals")
        execute(
            "CREATE TABLE bench_totals (id bigint PRIMARY KEY, fit int, behaviour int, value int, total int)"
        )
        self._run(REFERENCE)

    def both_versions(self) -> None:
        """Select the totals of two versions, the second with other points for a demo."""
        other = REFERENCE.replace("(25 * 0.5::float8 ^ (demo", "(30 * 0.5::float8 ^ (demo")
        assert other != REFERENCE
        for text in (REFERENCE, other):
            selected = text.replace("INSERT INTO bench_totals", "SELECT sum(total) FROM (")
            self._run(f"{selected}) t")

    def _run(self, text: str) -> None:
        first, last = span()
        with transaction.atomic():
            # Everything that helps it: memory, and no compiling to machine code.
            execute("SET LOCAL work_mem = '256MB'; SET LOCAL jit = off")
            execute(text, {"at": self.at, "first": first, "last": last})


def span() -> tuple[int, int]:
    """The first and the last id of a lead."""
    ((first, last),) = execute("SELECT min(id), max(id) FROM leads_lead")
    return first, last


def chunks(size: int = CHUNK) -> Iterator[tuple[int, int]]:
    """The base in chunks, those of a release."""
    first, last = span()
    for start in range(first, last + 1, size):
        yield start, min(start + size - 1, last)


# What is measured


def score_all(at: datetime, cause: str = "bench") -> None:
    """Score every lead, as a release does."""
    # One instant for all, by hand too: some act passes a whole day of age every few seconds.
    with clock.use(at):
        for first, last in chunks():
            engine.score_range(first, last, at=at, cause=cause)


def rescore(leads: int) -> list[Result]:
    """All leads: nothing stored before, and everything stored by another version."""
    at = clock.now()
    hand = ByHand(at)
    score_all(at)  # the first also moves every lead to its stage
    times = repeats(leads)
    by_hand = seconds(hand.totals, times)

    def first() -> None:
        execute("TRUNCATE scoring_leadscore, scoring_scorechange, scoring_crossing")
        score_all(at)

    def version() -> None:
        """Another version: every row is written anew, the integers of one lead in five differ."""
        execute("UPDATE scoring_leadscore SET agreement_id = 0")
        execute(
            "UPDATE scoring_leadscore SET behaviour = behaviour + 1, total = total + 1 WHERE lead_id % 5 = 0"
        )
        execute("VACUUM scoring_leadscore")

    fresh = seconds(first, times)
    _same_totals()
    again = seconds(lambda: score_all(at), times, before=version)
    _same_totals()
    return [
        result("first score of all leads / select and insert by hand", leads, fresh, by_hand, 1.5),
        result("rescore by a new version / select and insert by hand", leads, again, by_hand, 1.5),
    ]


def changed(leads: int) -> Result:
    """Some leads changed: locks, scores and writes beside the scoring statement alone.

    Each time they have looked at the prices, or it turned out that they have not: nearly every score differs.
    """
    first, last = span()
    ids = sorted(random.Random(7).sample(range(first, last + 1), min(CHANGED, leads)))  # noqa: S311
    statement = current.of(in_force()).program.score("subjects", present=True)

    def ours() -> None:
        with transaction.atomic():
            stages.lock(ids)
            engine.score_leads(ids, at=clock.now(), cause="bench")

    def bare() -> None:
        now = [clock.now()] * len(ids)
        rows.run(statement, (ids, ids, now, now))

    def change() -> None:
        execute(next(turns), {"leads": ids, "at": clock.now()})

    turns = cycle((ONE_MORE, ONE_LESS))
    ours()
    bare()
    took = seconds(ours, 7, before=change)
    return result("rescore of changed leads / its bare statement", len(ids), took, seconds(bare, 7), 2.0)


def what_if(leads: int) -> Result:
    """All leads by a draft beside the version in force: what the page shows of each, and its sums."""
    at, old = clock.now(), in_force()
    body = content()
    body["criteria"] = [c | {"points": 30} if c["id"] == "b1" else c for c in body["criteria"]]
    draft = Agreement.objects.create(
        number=old.number + 1,
        state=Agreement.State.DRAFT,
        content=body,
        zone=body["zone"],
        created_at=at,
        changed_at=at,
    )
    new, present = current.of(draft).program, current.of(old).program
    bar = bars.of(new.document)

    def ours() -> None:
        run = PreviewRun.objects.create(draft=draft, draft_sha="bench", against=old, at=at, created_at=at)
        for n, part in enumerate(chunks(runs.CHUNK)):
            with transaction.atomic():
                scan.scan_range(run.pk, n, part, new, bar, present, at)
        tally.summary(run, bar, sample=False)

    try:
        ours()
        return result(
            "what-if of all leads / select of both versions by hand",
            leads,
            seconds(ours, repeats(leads)),
            seconds(ByHand(at).both_versions, repeats(leads)),
            1.3,
        )
    finally:
        Agreement.objects.filter(pk=draft.pk).delete()


def first_answer(leads: int) -> Result:
    """An edit of a draft, then the first look at who would move, of a sample: all of it but drawing the page.

    Beside one second, whatever the size. Each time another content, so that nothing is kept from the last.
    """
    old = in_force()
    draft = agreements.create_draft(SYSTEM, content=old.content)
    took: list[float] = []
    for n in range(LOOKS):
        body = copy.deepcopy(draft.content)
        next(c for c in body["criteria"] if c["id"] == "b1")["points"] = 15 + n
        draft = agreements.save_draft(draft, body, SYSTEM, draft.lock_version)
        took.append(seconds(partial(runs.start, draft, old, SYSTEM)))
    agreements.discard_draft(draft, SYSTEM)
    # The first of all also compiles the version in force, as the first look after a restart does.
    return result("first answer of a what-if, median / one second", leads, median(took), 1.0, 1.0)


def in_force() -> Agreement:
    """The agreement that counts."""
    return Agreement.objects.get(state=Agreement.State.IN_FORCE)


def _same_totals() -> None:
    """A reference that counts something else would be no reference."""
    ((wrong,),) = execute(
        "SELECT count(*) FROM bench_totals t JOIN scoring_leadscore s ON s.lead_id = t.id"
        " WHERE (s.fit, s.behaviour, s.value, s.total) <> (t.fit, t.behaviour, t.value, t.total)"
    )
    if wrong:
        raise SystemExit(f"The reference by hand scores {wrong} leads otherwise: mend bench/reference.sql.")


# What a batch of a tracker and a mailing holds of each lead: a visit of three pages, a mail sent and opened.
OF_A_LEAD = ("page_view", "page_view", "page_view", "email_sent", "email_opened")


def _ingest() -> Result:
    first, last = span()
    dice, at = random.Random(8), clock.now() - timedelta(hours=1)  # noqa: S311
    kinds = dict(execute("SELECT key, id FROM leads_activitykind"))

    def batch(name: str) -> list[dict[str, object]]:
        leads = [dice.randint(first, last) for _ in range(INGEST // len(OF_A_LEAD))]
        return [
            {
                "source": name,
                "external_id": f"{n}-{i}",
                "kind": kind,
                "lead_id": lead,
                "occurred_at": (at + timedelta(minutes=i)).isoformat(),
                "path": "/pricing" if kind == "page_view" else "",
            }
            for n, lead in enumerate(leads)
            for i, kind in enumerate(OF_A_LEAD)
        ]

    def bare(data: list[dict[str, object]]) -> None:
        text = "".join(
            f"{d['source']}\t{d['external_id']}\t{kinds[d['kind']]}\t{d['lead_id']}\t{d['occurred_at']}\t{d['path']}\n"
            for d in data
        )
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "CREATE TEMP TABLE taken (s text, x text, k smallint, l bigint, at timestamptz, p text)"
                " ON COMMIT DROP"
            )
            cursor.copy_expert("COPY taken FROM STDIN", io.StringIO(text))
            cursor.execute(
                "INSERT INTO leads_activity (source, external_id, kind_id, lead_id, first_lead_id,"
                " occurred_at, recorded_at, path, message_key, channel, result, properties)"
                " SELECT s, x, k, l, l, at, now(), p, '', '', '', '{}' FROM taken ON CONFLICT DO NOTHING"
            )

    secret = keys.create_key(SYSTEM, "bench", ["activities:write"])[1]
    client = Client(headers={"Authorization": f"Bearer {secret}"}, SERVER_NAME="localhost")

    def post(data: str) -> None:
        answer = client.post("/api/v1/activities/", data, content_type="application/json")
        assert answer.status_code == 202, answer.content[:300]

    def ours() -> Callable[[], None]:
        data = json.dumps(batch(f"ours{next(number)}"))
        return lambda: post(data)

    number = count()
    ours()()
    times = [seconds(ours()) for _ in range(REPEATS)]
    bare(batch("warm"))
    by_hand = [seconds(partial(bare, batch(f"bare{n}"))) for n in range(REPEATS)]
    return result("activities by the API / COPY and INSERT", INGEST, min(times), min(by_hand), 2.0)
