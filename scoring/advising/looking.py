"""The work behind the advice: a job that looks at one content of an agreement and writes what it finds."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.urls import reverse

from leadflow import clock
from leadflow.accounts.actors import Actor
from leadflow.errors import Forbidden
from leadflow.jobs import runner
from leadflow.jobs.models import Job, JobChunk
from scoring import agreements
from scoring import current as applied
from scoring.advising.base import base
from scoring.advising.candidates import Candidate, candidates
from scoring.advising.findings import Finding, Past, on_base, on_ends, unused
from scoring.backtesting import cases
from scoring.backtesting.cases import Decided
from scoring.backtesting.runs import sha_of
from scoring.conditions.explain import words_for
from scoring.conditions.fields import catalogue_today
from scoring.document import Document
from scoring.models import AdvisorFinding, Agreement
from scoring.program import Program

KIND = "advice"
# The newest so many decided leads are asked: enough for any rule, and seconds of work.
CASES = 10_000
# Conditions of one statement.
BATCH = 40


def latest(agreement: Agreement) -> Job | None:
    """The newest look at what the version says now."""
    jobs = Job.objects.filter(kind=KIND, params__sha=sha_of(agreement), params__agreement=agreement.pk)
    return jobs.order_by("-pk").first()


def looked_before(agreement: Agreement) -> bool:
    """Whether somebody looked at the version when it said something else."""
    return Job.objects.filter(kind=KIND, params__agreement=agreement.pk).exists()


def start(agreement: Agreement, actor: Actor) -> Job:
    """Lay the look down; one that still runs for the same is given back. Raises Forbidden."""
    if not (actor.is_system or actor.has_role(*agreements.WRITERS)):
        raise Forbidden("Marketers and managers of both sides ask for advice.")
    with transaction.atomic():
        # The lock makes a second click wait and find the first.
        Agreement.objects.select_for_update().get(pk=agreement.pk)
        running = latest(agreement)
        if running is not None and running.state in runner.OPEN:
            return running
        params = {
            "agreement": agreement.pk,
            "number": agreement.number,
            "sha": sha_of(agreement),
            "content": agreement.content,
        }
        return runner.start(KIND, params, actor, [(0, 0, {})], 1)


def run_chunk(chunk: JobChunk) -> int:
    """Look, and write the findings in place of the former ones; what was put away stays away."""
    job = chunk.job
    at = clock.now()
    document = Document(job.params["content"])
    program = applied.program_of(document)
    seen = base(program, at)
    decided: dict[str, list[Decided]] = {goal: _newest(goal, at) for goal in cases.GOALS}
    pasts = {goal: _past(program, goal, found) for goal, found in decided.items()}
    past = leading(pasts)
    found = decided[past.goal]
    made = [*on_base(document, seen), *both_ends(document, past, pasts)]
    if past.enough:
        offered = candidates([d.lead for d in found], words_for(document))
        made += unused(document, past, offered, _has(document, offered, found))
    _store(job, made, at)
    job.result = {
        "looked": seen.look.looked,
        "base": seen.look.base,
        "goal": past.goal,
        "decided": past.all.of,
        "good": past.all.good,
        "enough": past.enough,
        "points_ready": past.points_ready,
    }
    Job.objects.filter(pk=job.pk).update(result=job.result)
    return 1


def leading(pasts: Mapping[str, Past]) -> Past:
    """The goal that points and candidates are judged by: customers if there are enough for points, else
    acceptance if there are enough of those, else whichever has enough to say anything."""
    one, other = pasts["customer"], pasts["accepted"]
    for past in (one, other):
        if past.points_ready:
            return past
    return one if one.enough else other


def both_ends(document: Document, past: Past, pasts: Mapping[str, Past]) -> list[Finding]:
    """What the ends say: all of the leading goal, and of the other one the rules that reward the wrong."""
    made = list(on_ends(document, past))
    for other in pasts.values():
        if other.goal != past.goal:
            named = {f.criterion for f in made if f.kind == "loser"}
            more = on_ends(document, other, points=False)
            made += [f for f in more if f.criterion not in named]
    wrong = {f.criterion for f in made if f.kind == "loser"}
    return [f for f in made if f.kind == "loser" or f.criterion not in wrong]


def _newest(goal: str, at: datetime) -> list[Decided]:
    return sorted(cases.decided(goal, at), key=lambda d: (d.at, d.lead))[-CASES:]


def _past(program: Program, goal: str, found: Sequence[Decided]) -> Past:
    criteria = program.document.active_criteria
    held = cases.held(program, criteria, found)
    none = [(False, 0.0)] * len(criteria)
    return Past(goal, [d.good for d in found], [held.get(i, none) for i in range(len(found))])


def _has(document: Document, offered: Sequence[Candidate], found: Sequence[Decided]) -> list[list[bool]]:
    """Whether each decided lead had each candidate when it was decided."""
    program = wide(document)
    columns: list[list[bool]] = [[] for _ in found]
    for first in range(0, len(offered), BATCH):
        batch = [candidate.criterion(n) for n, candidate in enumerate(offered[first : first + BATCH])]
        held = cases.held(program, batch, found)
        for i, row in enumerate(columns):
            row += [hit for hit, _ in held[i]] if i in held else [False] * len(batch)
    return columns


def wide(document: Document) -> Program:
    """A program that knows every field of today: candidates may name what the agreement does not use yet."""
    plain = applied.program_of(document)
    return Program(document, plain.kinds, catalogue_today(document), plain.sha)


def _store(job: Job, made: Sequence[Finding], at: datetime) -> None:
    agreement_id, sha = job.params["agreement"], job.params["sha"]
    keys = [finding.key for finding in made]
    away = {
        row.key: row
        for row in AdvisorFinding.objects.filter(key__in=keys, dismissed_at__isnull=False).order_by("pk")
    }
    AdvisorFinding.objects.filter(agreement_id=agreement_id, sha256=sha).delete()
    rows = []
    for finding in {f.key: f for f in made}.values():
        before = away.get(finding.key)
        rows.append(
            AdvisorFinding(
                agreement_id=agreement_id,
                sha256=sha,
                kind=finding.kind,
                criterion=finding.criterion,
                key=finding.key,
                figures=finding.figures,
                proposal=finding.proposal,
                at=at,
                dismissed_at=before.dismissed_at if before else None,
                dismissed_by_id=before.dismissed_by_id if before else None,
            )
        )
    AdvisorFinding.objects.bulk_create(rows)


def register() -> None:
    """Tell the workers of long jobs how a look is done."""
    runner.register(KIND, run_chunk, label="Look for advice", link=_link)


def _link(job: Job) -> tuple[str, str]:
    return f"{reverse('scoring:advice')}?version={job.params['number']}", "Look at it"
