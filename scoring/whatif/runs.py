"""A look at who would move, as work: a first answer from a sample at once, then all leads in chunks.

What is looked at is one content at one instant. An edit of the draft stops the look (`stopping`), and a chunk
that finds another content than it began with stops it too. A chunk done again after a kill writes its part
anew.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, Min
from django.urls import reverse

from leadflow import clock
from leadflow.accounts.actors import Actor
from leadflow.errors import Forbidden, NotVisible
from leadflow.jobs import runner
from leadflow.jobs.models import Job, JobChunk
from leadflow.leads import statistics
from leadflow.leads.models import Lead
from scoring import agreements, forecast, room
from scoring import current as applied
from scoring.document import Document, content_sha
from scoring.editing.sampling import rounded
from scoring.models import Agreement, PreviewRun
from scoring.program import Program
from scoring.whatif import bars, scan, strata, tally, weekly
from scoring.whatif.bars import Bar

Json = Any
State = PreviewRun.State

KIND = "preview"
# Ids of a chunk: a second of work, so that an edit soon stops it. Twice those of a release, for nothing is
# locked here, and the acts of more leads lie together in fewer pages.
CHUNK = 10_000
# Up to so many leads the first answer is exact; of more it looks at a sample (see `strata`).
SAMPLE = 600
# The first answer looks back at fewer leads and answers, so that it comes within a second.
FIRST_WEEKLY, FIRST_ANSWERS = 150, 150
ANSWERS = 3_000
# A look is shown again for so long, unless the draft changes.
FRESH = timedelta(minutes=10)
# Looks at one draft that are kept.
KEPT = 2
# Leads a second before the work has shown its own pace.
PACE = 12_000


@dataclass(frozen=True)
class Standing:
    """How far a look is: `percent` done, `seconds` left as far as one can say; `waits`: for a worker."""

    running: bool
    percent: int
    seconds: int | None
    waits: bool = False


def sha_of(agreement: Agreement) -> str:
    """The hash of the content as it stands."""
    return agreement.sha256 or content_sha(agreement.content)


def get(pk: int) -> PreviewRun:
    """One look. Raises NotVisible."""
    found = PreviewRun.objects.select_related("draft", "against").filter(pk=pk).first()
    if found is None:
        raise NotVisible
    return found


def latest(draft: Agreement, against: Agreement | None) -> PreviewRun | None:
    """The newest look at this content against this version; None: never looked."""
    found = PreviewRun.objects.filter(draft=draft, draft_sha=sha_of(draft), against=against)
    return found.select_related("draft", "against").order_by("-pk").first()


def start(
    draft: Agreement,
    against: Agreement | None,
    actor: Actor,
    *,
    again: bool = False,
    at: datetime | None = None,
) -> PreviewRun:
    """Look at who would move if `draft` took the place of `against` (None: of nothing) at `at`.

    Comes back with the first answer; the exact one follows by itself. A fresh look at the same is given back
    instead, unless `again`. Raises Forbidden for who may not write agreements.
    """
    _may(actor)
    now = clock.now()
    with transaction.atomic():
        # The lock makes a second click wait and find the first look.
        Agreement.objects.select_for_update().only("pk").get(pk=draft.pk)
        old = latest(draft, against)
        if old is not None and not again and at is None and _usable(old, now):
            return old
        run = PreviewRun.objects.create(
            draft=draft,
            draft_sha=sha_of(draft),
            against=against,
            at=at or now,
            created_by=actor.user,
            created_at=now,
        )
        if _look(run):
            run.result["exact"] = run.result["first"]
            run.state, run.finished_at = State.DONE, clock.now()
        else:
            run.job_id = _job(run, actor).pk
        run.save(update_fields=["result", "state", "finished_at", "job_id"])
        _forget(draft)
    return run


def _usable(run: PreviewRun, now: datetime) -> bool:
    if now - run.created_at > FRESH:
        return False
    return run.state == State.DONE or (run.state == State.RUNNING and standing(run).running)


def _look(run: PreviewRun) -> bool:
    """The first answer, into `run.result`; whether it is of all leads."""
    new, bar, old = _programs(run)
    before = bars.of(old.document) if old else None
    drawn = strata.draw(new.document, bar, before.value if before else None, run.at, SAMPLE)
    for layer in drawn.layers:
        if layer.ids:
            scan.scan_leads(run.pk, layer.part, layer.ids, new, bar, old, run.at, exact=drawn.exact)
    run.result = {"base": drawn.base, "weights": {} if drawn.exact else drawn.weights}
    first = tally.summary(run, bar, sample=True)
    few = (forecast.SAMPLE, ANSWERS) if drawn.exact else (FIRST_WEEKLY, FIRST_ANSWERS)
    run.result["first"] = first | _backwards(run, new, bar, old, *few)
    return drawn.exact


def _backwards(
    run: PreviewRun, new: Program, bar: Bar | None, old: Program | None, leads: int, answers: int
) -> dict[str, Json]:
    """What the past says: handoffs a week, and sales' answers. Keeps the room of sales beside the answer."""
    now = room.ask(new.document, run.at)
    run.result["room"] = now.as_json()
    return {
        "weekly": weekly.a_week(new, bar, old, now.offered_a_week, run.at, leads),
        "answers": weekly.answered(new, bar, run.at, answers),
    }


def _job(run: PreviewRun, actor: Actor) -> Job:
    span = Lead.objects.aggregate(first=Min("id"), last=Max("id"))
    first, last = span["first"] or 1, span["last"] or 0
    chunks: list[tuple[int, int, dict[str, Any]]] = [
        (low, min(low + CHUNK - 1, last), {}) for low in range(first, last + 1, CHUNK)
    ]
    return runner.start(KIND, {"run": run.pk}, actor, chunks, run.result["base"])


def run_chunk(chunk: JobChunk) -> int:
    """Score the leads of one chunk by both versions; returns how many."""
    run = PreviewRun.objects.select_related("draft", "against").get(pk=chunk.job.params["run"])
    if run.state != State.RUNNING:
        return 0
    if sha_of(run.draft) != run.draft_sha:
        PreviewRun.objects.filter(pk=run.pk).update(state=State.CANCELLED, finished_at=clock.now())
        runner.cancel(chunk.job)
        return 0
    if chunk.n == 0:
        statistics.refresh()
    new, bar, old = _programs(run)
    return scan.scan_range(run.pk, chunk.n, (chunk.from_id, chunk.to_id), new, bar, old, run.at)


def finish(job: Job) -> None:
    """Count what the parts say, and look back."""
    run = PreviewRun.objects.select_related("draft", "against").get(pk=job.params["run"])
    if run.state != State.RUNNING:
        return
    new, bar, old = _programs(run)
    exact = tally.summary(run, bar, sample=False)
    run.result["exact"] = exact | _backwards(run, new, bar, old, forecast.SAMPLE, ANSWERS)
    run.state, run.finished_at = State.DONE, clock.now()
    run.save(update_fields=["result", "state", "finished_at"])


def standing(run: PreviewRun) -> Standing:
    """How far the exact answer is. One query while it runs."""
    if run.state != State.RUNNING:
        return Standing(False, 100 if run.state == State.DONE else 0, None)
    job = Job.objects.filter(pk=run.job_id or 0).first()
    if job is None or job.state not in runner.OPEN:
        # A person stopped the work, or it failed; a look that is done was read a moment too early.
        run.refresh_from_db(fields=["state", "result", "finished_at"])
        if run.state == State.RUNNING:
            failed = job is not None and job.state == Job.State.FAILED
            run.state = State.FAILED if failed else State.CANCELLED
            run.save(update_fields=["state"])
        return Standing(False, 100 if run.state == State.DONE else 0, None)
    far = runner.progress(job)
    left = far.left.total_seconds() if far.left else (job.total or 0) / PACE + 1
    return Standing(True, far.percent or 0, max(1, round(left)), far.waits)


def answer(run: PreviewRun) -> tuple[dict[str, Json], bool]:
    """What is known: the exact answer, else the first one, and whether it is exact."""
    if run.state == State.DONE and "exact" in run.result:
        return run.result["exact"], True
    return run.result["first"], False


def of_sample(run: PreviewRun) -> bool:
    """Whether the lists are those of the first look: the exact one is not there, or looked at no more."""
    return run.state != State.DONE or run.job_id is None


def as_json(run: PreviewRun) -> dict[str, Json]:
    """A look in the form of the API. `exact` says whether all leads were looked at yet; else counts are
    estimates from a sample.

    enter, leave (the queue), become_mql, no_longer_mql, excluded, up, down (grades), with_sales, open; grades
    (`A2>A1`: leads), bars (bar: [enter, leave]), a_week (now, and per bar).
    """
    found, exact = answer(run)

    def whole(n: float) -> int:
        return int(n) if n == int(n) else rounded(n)

    bar = bars.of(Document(run.draft.content))
    by_bar = {tried: [whole(n) for n in pair] for tried, pair in found["bars"].items()}
    enter, leave = by_bar[str(bar.value if bar else 0)]
    moved = [(pair.split(">"), n) for pair, n in found["grades"].items()]
    return {
        "id": run.pk,
        "state": run.state,
        "exact": exact,
        "at": run.at,
        "sha256": run.draft_sha,
        "against": run.against.number if run.against else None,
        "job": run.job_id,
        "base": run.result["base"],
        "looked": found["looked"],
        "open": whole(found["open"]),
        "with_sales": whole(found["with_sales"]),
        "enter": enter,
        "leave": leave,
        "become_mql": whole(found["becomes"]),
        "no_longer_mql": whole(found["stops"]),
        "excluded": whole(found["out"]),
        "up": whole(sum(n for (was, now), n in moved if was != "–" and now < was)),
        "down": whole(sum(n for (was, now), n in moved if was != "–" and now > was)),
        "bar": bar.value if bar else None,
        "bars": by_bar if bar else {},
        "grades": {pair: whole(n) for pair, n in found["grades"].items()},
        "a_week": found["weekly"],
    }


def register() -> None:
    """Tell the workers of long jobs how an exact look is done."""
    runner.register(KIND, run_chunk, finish, label="See who moves", link=_link)


def _link(job: Job) -> tuple[str, str]:
    run = PreviewRun.objects.filter(pk=job.params.get("run")).select_related("draft").first()
    query = f"?v={run.draft.number}" if run else ""
    return f"{reverse('scoring:moves')}{query}", "Look at it"


def _programs(run: PreviewRun) -> tuple[Program, Bar | None, Program | None]:
    new = applied.of(run.draft).program
    old = applied.of(run.against).program if run.against else None
    return new, bars.of(new.document), old


def _forget(draft: Agreement) -> None:
    """Let older looks go, those at other drafts too; whoever still has one open is told to look again."""
    ended = PreviewRun.objects.filter(draft=draft).order_by("-pk").values_list("pk", flat=True)
    keep = list(ended[:KEPT])
    PreviewRun.objects.filter(draft=draft).exclude(pk__in=keep).exclude(state=State.RUNNING).delete()
    old = clock.now() - 6 * FRESH
    PreviewRun.objects.exclude(draft=draft).exclude(state=State.RUNNING).filter(created_at__lt=old).delete()


def _may(actor: Actor) -> None:
    if not (actor.is_system or actor.api_key or actor.has_role(*agreements.WRITERS)):
        raise Forbidden("Marketers and managers of both sides look at who would move.")
