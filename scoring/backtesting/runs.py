"""A backtest as a job: laid down, worked off in chunks of leads, summed up at its end.

What is tried is the content as it stood at the start: an edit of the draft neither changes nor stops it.
Only a person stops it. A chunk that is done again after a kill writes its cases anew.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.urls import reverse

from leadflow import clock
from leadflow.accounts.actors import Actor
from leadflow.errors import BadInput, Fault, Forbidden
from leadflow.jobs import runner
from leadflow.jobs.models import Job, JobChunk
from scoring import agreements
from scoring import current as applied
from scoring.backtesting import cases, leaks, measures
from scoring.backtesting.measures import Case
from scoring.document import Document, content_sha
from scoring.models import Agreement, BacktestCase, BacktestRun
from scoring.program import Program

KIND = "backtest"
# Leads of one chunk: about a second of work.
CHUNK = 1_000
# Runs of one version and goal that are kept.
KEPT = 3
State = BacktestRun.State
_programs: OrderedDict[str, Program] = OrderedDict()


def sha_of(agreement: Agreement) -> str:
    """The hash by which results are kept: of the content as it stands."""
    return agreement.sha256 or content_sha(agreement.content)


def latest(agreement: Agreement, goal: str) -> BacktestRun | None:
    """The newest run of this content and goal, whichever version number it had then; None: never run."""
    found = BacktestRun.objects.filter(sha256=sha_of(agreement), goal=goal).order_by("-pk").first()
    return _seen(found) if found else None


def done(agreement: Agreement, goal: str) -> BacktestRun | None:
    """The newest finished run of this content and goal."""
    runs = BacktestRun.objects.filter(sha256=sha_of(agreement), goal=goal, state=State.DONE)
    return runs.order_by("-pk").first()


def job_of(run: BacktestRun) -> Job | None:
    """The work behind a run."""
    return Job.objects.filter(pk=run.job_id).first() if run.job_id else None


def start(agreement: Agreement, goal: str, actor: Actor, *, at: datetime | None = None) -> BacktestRun:
    """Lay down a backtest of what the version says now; one that still runs for the same is given back.

    Raises Forbidden for who may not write agreements, BadInput for an unknown goal.
    """
    _may(actor)
    if goal not in cases.GOALS:
        raise BadInput("Choose what counts as a good end.", [Fault("goal", "accepted or customer")])
    at = at or clock.now()
    with transaction.atomic():
        # The lock makes a second click wait and find the first.
        Agreement.objects.select_for_update().get(pk=agreement.pk)
        running = latest(agreement, goal)
        if running is not None and running.state == State.RUNNING:
            return running
        run = BacktestRun.objects.create(
            agreement=agreement,
            sha256=sha_of(agreement),
            goal=goal,
            at=at,
            created_by=actor.user,
            created_at=clock.now(),
        )
        params = {"run": run.pk, "content": agreement.content}
        chunks: list[tuple[int, int, dict[str, Any]]] = [
            (low, high, {}) for low, high in cases.ranges(at, CHUNK)
        ]
        job = runner.start(KIND, params, actor, chunks, cases.counts(goal, at)[0])
        run.refresh_from_db()
        run.job_id = job.pk
        run.save(update_fields=["job_id"])
    return run


def run_chunk(chunk: JobChunk) -> int:
    """Score the decided leads of one chunk as they were known then; returns how many."""
    run = BacktestRun.objects.get(pk=chunk.job.params["run"])
    program = _program(run.sha256, chunk.job.params["content"])
    found = cases.decided(run.goal, run.at, chunk.from_id, chunk.to_id)
    scores = cases.scored(program, found)
    criteria = program.document.active_criteria
    then = cases.held(program, criteria, found)
    hindsight = cases.held(program, criteria, found, now=run.at)
    BacktestCase.objects.filter(run=run, lead_id__gte=chunk.from_id, lead_id__lte=chunk.to_id).delete()
    rows = []
    for i, case in enumerate(found):
        if i not in scores:
            continue
        hits = {k for k, (hit, _) in enumerate(then.get(i, ())) if hit}
        later = [k for k, (hit, _) in enumerate(hindsight.get(i, ())) if hit and k not in hits]
        score = scores[i]
        rows.append(
            BacktestCase(
                run=run,
                lead_id=case.lead,
                handoff_id=case.handoff,
                at=case.at,
                good=case.good,
                source=case.source,
                total=score.total,
                grade=score.grade,
                excluded=score.excluded,
                sales=score.sales,
                held=sorted(hits),
                later=later,
            )
        )
    BacktestCase.objects.bulk_create(rows, batch_size=1_000)
    return len(found)


def finish(job: Job) -> None:
    """Sum the cases up, look for what peeks and leaks, and let old runs of the same go."""
    run = BacktestRun.objects.get(pk=job.params["run"])
    program = _program(run.sha256, job.params["content"])
    document = program.document
    rows = list(BacktestCase.objects.filter(run=run).order_by("pk").values_list("good", "held", "later"))
    run.result = {
        **measures.summary(cases_of(run), document.zone, letters(document)),
        "left_out": cases.left_out(run.goal, run.at),
        "peeks": [peek.as_json() for peek in leaks.peeks(document, rows)],
        "leaks": [leak.as_json() for leak in leaks.leaks(program)],
    }
    run.state, run.finished_at = State.DONE, clock.now()
    run.save(update_fields=["result", "state", "finished_at"])
    older = BacktestRun.objects.filter(sha256=run.sha256, goal=run.goal, pk__lt=run.pk).exclude(
        state=State.RUNNING
    )
    BacktestRun.objects.filter(
        pk__in=list(older.order_by("-pk").values_list("pk", flat=True)[KEPT - 1 :])
    ).delete()


def letters(document: Document) -> list[str]:
    """The letters of its grades, best first."""
    return sorted({grade[:1] for grade in document.grades.all})


def cases_of(run: BacktestRun) -> list[Case]:
    """The cases of a run, in one fixed order."""
    names = ("at", "good", "total", "grade", "source", "excluded", "sales", "lead_id")
    rows = BacktestCase.objects.filter(run=run).order_by("lead_id", "at", "handoff_id").values_list(*names)
    return [Case(*row) for row in rows]


def compare(one: BacktestRun, other: BacktestRun) -> dict[str, Any] | None:
    """Two versions on the leads that both runs have: the difference of the areas and its interval.

    None where they share too few. `same` counts the leads in common.
    """
    mine, theirs = _by_case(one), _by_case(other)
    common = sorted(mine.keys() & theirs.keys())
    first, second = [mine[key] for key in common], [theirs[key] for key in common]
    good = sum(case.good for case in first)
    found = measures.area_difference(measures.ranks(first), measures.ranks(second))
    if found is None or not measures.enough(good, len(first) - good):
        return None
    d, low, high = found
    return {"same": len(common), "difference": d, "low": low, "high": high}


def _by_case(run: BacktestRun) -> dict[tuple[int, datetime], Case]:
    return {(case.key, case.at): case for case in cases_of(run)}


def fresh_decisions(run: BacktestRun, decided: int) -> int:
    """How many more leads are decided (for its goal) than the run looked at; never negative."""
    known = run.result.get("all", {}).get("of", 0)
    return max(0, decided - int(known))


def as_json(run: BacktestRun) -> dict[str, Any]:
    """A run in the form of the API. Its result is empty until it is done (a share: good, of, low, high):

    all, enough (whether it may be judged), week (decided in a usual week), best (per n a week), grades,
    excluded, sources, bands (of ten points), bar (above, below, caught), area (value, low, high),
    curve, left_out (why: count), peeks, leaks.
    """
    return {
        "goal": run.goal,
        "state": run.state,
        "at": run.at,
        "finished_at": run.finished_at,
        "sha256": run.sha256,
        "job": run.job_id,
        "result": run.result if run.state == State.DONE else {},
    }


def register() -> None:
    """Tell the workers of long jobs how a backtest is done."""
    runner.register(KIND, run_chunk, finish, label="Try the agreement on the past", link=_link)


def _link(job: Job) -> tuple[str, str]:
    run = BacktestRun.objects.filter(pk=job.params.get("run")).select_related("agreement").first()
    query = f"?version={run.agreement.number}&goal={run.goal}" if run else ""
    return f"{reverse('scoring:backtest')}{query}", "Look at it"


def _seen(run: BacktestRun) -> BacktestRun:
    """The run, its state as its job says: a person may have stopped the job, or it failed."""
    if run.state != State.RUNNING or run.job_id is None:
        return run
    ended = {Job.State.CANCELLED: State.CANCELLED, Job.State.FAILED: State.FAILED}
    state = Job.objects.filter(pk=run.job_id).values_list("state", flat=True).first()
    run.state = ended.get(Job.State(state), run.state) if state else State.FAILED
    return run


def _program(sha: str, content: Any) -> Program:
    found = _programs.get(sha)
    if found is None:
        found = _programs[sha] = applied.program_of(Document(content))
        while len(_programs) > KEPT:
            _programs.popitem(last=False)
    return found


def _may(actor: Actor) -> None:
    if not (actor.is_system or actor.api_key or actor.has_role(*agreements.WRITERS)):
        raise Forbidden("Marketers and managers of both sides try an agreement.")


def versions() -> Sequence[Agreement]:
    """Every version that can be tried, newest first, without its content."""
    return list(Agreement.objects.defer("content").order_by("-number")[:50])
