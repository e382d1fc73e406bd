"""Take a file in: as a job in parts, resumable after a kill, or as a dry run that leaves nothing behind.

1. `prepare` stores what the file is and how it is to be read (`ImportRun`) and starts the job.
2. The job's first chunk reads the file once and lays it down in parts of PART rows.
3. Each further chunk takes one part in. A part taken twice changes nothing: leads, activities and outcomes
   are known by their ids.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from leadflow.accounts.actors import SYSTEM, Actor, person
from leadflow.accounts.models import Organisation
from leadflow.errors import BadInput, Fault
from leadflow.jobs import runner
from leadflow.jobs.models import Job, JobChunk, JobError
from leadflow.leads import intake, ledgers
from leadflow.leads.facts import known_facts
from leadflow.leads.importing import mapping as mappings
from leadflow.leads.importing import reading
from leadflow.leads.models import ImportRun

KIND = "import"
# Rows in a part: large enough to be set-based, small enough that a kill costs a second.
PART = 2_000
# More rejected rows than this are counted, but not kept one by one.
ERRORS_KEPT = 50_000


def folder(run: ImportRun) -> Path:
    """Where the parts of a run lie."""
    return Path(settings.LEADFLOW_DATA) / "files" / "imports" / str(run.pk)


def store(upload: Any, limit: int) -> tuple[Path, str]:
    """Keep an upload; returns its path and SHA-256. Raises BadInput above `limit` bytes."""
    if upload.size > limit:
        size, most = upload.size // 1_000_000, limit // 1_000_000
        raise BadInput(f"The file has {size} MB; {most} MB are the most. Split it into several files.")
    place = Path(settings.LEADFLOW_DATA) / "files" / "uploads"
    place.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with NamedTemporaryFile(dir=place, delete=False) as file:
        for piece in upload.chunks():
            digest.update(piece)
            file.write(piece)
    path = place / digest.hexdigest()
    Path(file.name).rename(path)
    return path, digest.hexdigest()


def checked(run: ImportRun) -> tuple[reading.Shape, mappings.Mapping]:
    """The run's file and mapping, checked. Raises BadInput."""
    shape = reading.look_at(Path(run.file_path))
    zone = Organisation.get().tz
    facts = known_facts()
    raw = {**run.mapping, "date_order": run.date_order, "decimal": run.decimal}
    return shape, mappings.parse(raw, run.kind, shape, facts, source=run.source, zone=zone)  # type: ignore[arg-type]


def prepare(run: ImportRun, actor: Actor) -> Job:
    """Check the run and start its job. Raises BadInput before anything is written."""
    _, mapping = checked(run)
    with transaction.atomic():
        mappings.ensure_fields(mapping)
        run.save()
        job = runner.start(KIND, {"run": run.pk}, actor, [(0, 0, {})], None)
        run.job = job
        run.save(update_fields=["job"])
    return job


@dataclass(frozen=True)
class Reject:
    """A row that was not taken: where, what is wrong, and the row itself."""

    line: int
    field: str
    reason: str
    raw: tuple[str, ...]


def dry_run(run: ImportRun, most: int | None = None) -> tuple[Counter[str], list[Reject]]:
    """What would happen to the first `most` rows (all): counts and rejects. Nothing is kept."""
    shape, mapping = checked(run)
    counts: Counter[str] = Counter()
    rejects: list[Reject] = []
    rows = islice(reading.rows(Path(run.file_path), shape), most)
    with transaction.atomic():
        mappings.ensure_fields(mapping)
        for part in _parts(rows):
            with transaction.atomic():
                found, errors = _take(part, mapping, run, actor_of(run))
                transaction.set_rollback(True)
            counts.update(found)
            rejects += [Reject(line, fault.path, fault.message, raw) for line, fault, raw in errors]
        transaction.set_rollback(True)
    return counts, rejects


def actor_of(run: ImportRun) -> Actor:
    """Who imports: the person who asked for it, or the system."""
    return person(run.created_by) if run.created_by else SYSTEM


def run_chunk(chunk: JobChunk) -> None:
    """Carry out one chunk of an import's job: the laying down of parts, or one part."""
    run = ImportRun.objects.get(pk=chunk.job.params["run"])
    if chunk.n == 0:
        _lay_down(chunk, run)
    else:
        _take_part(chunk, run)


def finish(job: Job) -> None:
    """Add up what came of the parts, and clear them away."""
    run = ImportRun.objects.get(pk=job.params["run"])
    counts: Counter[str] = Counter()
    for chunk in job.chunks.all():
        counts.update(chunk.params.get("counts", {}))
    run.counts = dict(counts)
    run.save(update_fields=["counts"])
    for part in folder(run).glob("part-*.ndjson"):
        part.unlink(missing_ok=True)


def _lay_down(chunk: JobChunk, run: ImportRun) -> None:
    shape, _ = checked(run)
    place = folder(run)
    place.mkdir(parents=True, exist_ok=True)
    chunks: list[JobChunk] = []
    total = 0
    for n, part in enumerate(_parts(reading.rows(Path(run.file_path), shape)), start=1):
        with (place / f"part-{n:06d}.ndjson").open("w", encoding="utf-8", errors="surrogatepass") as file:
            file.writelines(json.dumps([row.line, row.cells, row.problem, row.raw]) + "\n" for row in part)
        chunks.append(JobChunk(job=chunk.job, n=n, from_id=part[0].line, to_id=part[-1].line))
        total += len(part)
    with transaction.atomic():
        JobChunk.objects.bulk_create(chunks, ignore_conflicts=True)
        Job.objects.filter(pk=chunk.job_id).update(total=total)


def _take_part(chunk: JobChunk, run: ImportRun) -> None:
    _, mapping = checked(run)
    path = folder(run) / f"part-{chunk.n:06d}.ndjson"
    with path.open(encoding="utf-8", errors="surrogatepass") as file:
        part = [
            reading.Row(line, cells, problem, tuple(raw))
            for line, cells, problem, raw in map(json.loads, file)
        ]
    with transaction.atomic():
        counts, errors = _take(part, mapping, run, actor_of(run))
        # A part that is taken again after a kill tells its errors once.
        JobError.objects.filter(job_id=chunk.job_id, line__range=(chunk.from_id, chunk.to_id)).delete()
        kept = JobError.objects.filter(job_id=chunk.job_id).count()
        JobError.objects.bulk_create(
            JobError(
                job_id=chunk.job_id, line=line, field=fault.path[:120], reason=fault.message, raw=list(raw)
            )
            for line, fault, raw in errors[: max(0, ERRORS_KEPT - kept)]
        )
        JobChunk.objects.filter(pk=chunk.pk).update(params={"counts": dict(counts)})
        Job.objects.filter(pk=chunk.job_id).update(
            done=F("done") + len(part), failed=F("failed") + counts["rejected"]
        )


Errors = list[tuple[int, Fault, tuple[str, ...]]]


def _take(
    part: Sequence[reading.Row], mapping: mappings.Mapping, run: ImportRun, actor: Actor
) -> tuple[Counter[str], Errors]:
    """Take rows in; returns counts and the errors by line."""
    good: list[dict[str, Any]] = []
    origin: list[reading.Row] = []
    errors: Errors = []
    skipped = 0
    for row in part:
        made, faults = mapping.convert(row)
        if faults:
            errors += [(row.line, fault, row.raw) for fault in faults]
        elif made.get("kind") == "skip":
            skipped += 1
        else:
            good.append(made)
            origin.append(row)
    result, counts = TAKERS[run.kind](good, run, actor)
    for rejected in result.rejected:
        row = origin[rejected.index]
        errors += [(row.line, fault, row.raw) for fault in rejected.errors]
    counts["rows"] = len(part)
    counts["skipped"] = skipped
    counts["rejected"] = len({line for line, _, _ in errors})
    return counts, errors


def _take_leads(rows: list[dict[str, Any]], run: ImportRun, actor: Actor) -> tuple[Any, Counter[str]]:
    result = intake.upsert_leads(rows, source=run.source, actor=actor, quiet=not run.fresh)
    made, changed = _size(result.created), _size(result.changed)
    return result, Counter(
        created=made, changed=changed, unchanged=len(rows) - len(result.rejected) - made - changed
    )


def _take_activities(rows: list[dict[str, Any]], run: ImportRun, actor: Actor) -> tuple[Any, Counter[str]]:
    result = intake.record_activities(
        [{"source": run.source, **row} for row in rows], actor=actor, quiet=not run.fresh
    )
    return result, Counter(created=_size(result.accepted), duplicate=_size(result.duplicate))


def _take_outcomes(rows: list[dict[str, Any]], run: ImportRun, actor: Actor) -> tuple[Any, Counter[str]]:
    result = ledgers.record_outcomes([{"source": run.source, **row} for row in rows], actor=actor)
    return result, Counter(created=_size(result.created), changed=_size(result.changed))


TAKERS = {"leads": _take_leads, "activities": _take_activities, "outcomes": _take_outcomes}


def _size(found: Any) -> int:
    return found if isinstance(found, int) else len(found)


def _parts(rows: Iterator[reading.Row]) -> Iterator[list[reading.Row]]:
    while part := list(islice(rows, PART)):
        yield part


runner.register(KIND, run_chunk, finish)
