"""Take a file in: as a job in parts, resumable after a kill, or as a dry run that leaves nothing behind.

1. `prepare` stores what the file is and how it is to be read (`ImportRun`) and starts the job.
2. The job's first chunk reads the file once and lays it down in parts of PART rows.
3. Each further chunk takes one part in. A part taken twice changes nothing: leads, activities and outcomes
   are known by their ids.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings
from django.db import DataError, transaction
from django.db.models import F
from django.urls import reverse

from leadflow.accounts.actors import SYSTEM, Actor, person
from leadflow.accounts.models import Organisation
from leadflow.errors import BadInput, Fault
from leadflow.jobs import runner
from leadflow.jobs.models import Job, JobChunk, JobError
from leadflow.leads import intake, ledgers, statistics
from leadflow.leads.facts import known_facts
from leadflow.leads.importing import mapping as mappings
from leadflow.leads.importing import reading
from leadflow.leads.models import ImportRun

KIND = "import"
# Rows in a part: large enough to be set-based, small enough that a kill costs a second.
PART = 2_000
# More rejected rows than this are counted, but not kept one by one.
ERRORS_KEPT = 50_000
AGAIN = (Job.State.FAILED, Job.State.CANCELLED)


def folder(run: ImportRun) -> Path:
    """Where the parts of a run lie."""
    return Path(settings.LEADFLOW_DATA) / "files" / "imports" / str(run.pk)


def uploads() -> Path:
    """Where the files lie that are to be taken in."""
    return Path(settings.LEADFLOW_DATA) / "files" / "uploads"


def store(upload: Any, limit: int) -> tuple[Path, str]:
    """Keep an upload; returns its path and SHA-256. Raises BadInput above `limit` bytes."""
    if upload.size > limit:
        size, most = upload.size // 1_000_000, limit // 1_000_000
        raise BadInput(f"The file has {size} MB; {most} MB are the most. Split it into several files.")
    place = uploads()
    place.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with NamedTemporaryFile(dir=place, delete=False) as file:
        for piece in upload.chunks():
            digest.update(piece)
            file.write(piece)
    return _kept(Path(file.name), digest.hexdigest()), digest.hexdigest()


def keep(path: Path) -> tuple[Path, str]:
    """Copy a file of the console to where every worker can read it; returns the copy and its SHA-256."""
    place = uploads()
    place.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as source, NamedTemporaryFile(dir=place, delete=False) as file:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        source.seek(0)
        shutil.copyfileobj(source, file, 1 << 20)
    return _kept(Path(file.name), digest), digest


def _kept(file: Path, digest: str) -> Path:
    # One copy of each content, readable by workers of the same group.
    path = file.with_name(digest)
    file.chmod(0o640)
    return file.rename(path)


def checked(run: ImportRun) -> tuple[reading.Shape, mappings.Mapping]:
    """The run's file and mapping, checked. Raises BadInput."""
    shape = reading.look_at(Path(run.file_path))
    zone = Organisation.get().tz
    facts = known_facts()
    raw = {**run.mapping, "date_order": run.date_order, "decimal": run.decimal}
    mapping = mappings.parse(raw, run.kind, shape, facts, source=run.source, zone=zone)  # type: ignore[arg-type]
    faults = mappings.incomplete(mapping)
    if faults:
        raise BadInput("The mapping is not complete: " + " ".join(f.message for f in faults), faults)
    return shape, mapping


def prepare(run: ImportRun, actor: Actor) -> Job:
    """Check the run and start its job; a run that is under way or done keeps its job.

    Raises BadInput before anything is written. A job that failed or was stopped is started again: rows
    that are in already change nothing.
    """
    _, mapping = checked(run)
    with transaction.atomic():
        if run.pk is None:
            run.save()
        # Two clicks at once: the second waits here and finds the job of the first.
        job = ImportRun.objects.select_for_update(of=("self",)).select_related("job").get(pk=run.pk).job
        if job is not None and job.state not in AGAIN:
            run.job = job
            return job
        mappings.ensure_fields(mapping)
        run.job = runner.start(KIND, {"run": run.pk}, actor, [(0, 0, {})], None)
        run.save(update_fields=["job"])
    return run.job


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
    # Whoever scores or searches next finds the tables known.
    statistics.refresh()
    # After the commit: a last chunk that is rolled back and taken again still needs them.
    transaction.on_commit(lambda: _let_go(run))


def _let_go(run: ImportRun) -> None:
    """The file has been taken in: its parts go, and its copy, unless another import still needs it."""
    shutil.rmtree(folder(run), ignore_errors=True)
    path = Path(run.file_path)
    others = ImportRun.objects.filter(file_path=run.file_path).exclude(pk=run.pk)
    if path.parent == uploads() and not others.exclude(job__state=Job.State.DONE).exists():
        path.unlink(missing_ok=True)


def _lay_down(chunk: JobChunk, run: ImportRun) -> None:
    shape, _ = checked(run)
    place = folder(run)
    place.mkdir(parents=True, exist_ok=True)
    chunks: list[JobChunk] = []
    total = 0
    for n, part in enumerate(_parts(reading.rows(Path(run.file_path), shape)), start=1):
        with (place / f"part-{n:06d}.ndjson").open("w", encoding="utf-8", errors="surrogatepass") as file:
            file.writelines(json.dumps([row.line, row.problem, row.raw]) + "\n" for row in part)
        chunks.append(JobChunk(job=chunk.job, n=n, from_id=part[0].line, to_id=part[-1].line))
        total += len(part)
    JobChunk.objects.bulk_create(chunks)
    Job.objects.filter(pk=chunk.job_id).update(total=total)
    # Kept with the run: the rejects are told by these names when the file is gone.
    ImportRun.objects.filter(pk=run.pk).update(mapping={**run.mapping, "header": shape.columns})


def _take_part(chunk: JobChunk, run: ImportRun) -> None:
    # The parts before may have been the first rows of all.
    statistics.refresh()
    # The runner's transaction: what the part writes, its counts and its end come together or not at all.
    shape, mapping = checked(run)
    path = folder(run) / f"part-{chunk.n:06d}.ndjson"
    with path.open(encoding="utf-8", errors="surrogatepass") as file:
        part = [
            reading.Row(line, dict(zip(shape.columns, raw, strict=False)), problem, tuple(raw))
            for line, problem, raw in map(json.loads, file)
        ]
    counts, errors = _take(part, mapping, run, actor_of(run))
    kept = JobError.objects.filter(job_id=chunk.job_id).count() if errors else 0
    JobError.objects.bulk_create(
        JobError(
            job_id=chunk.job_id,
            line=line,
            field=storable(fault.path)[:120],
            reason=storable(fault.message),
            raw=[storable(cell) for cell in raw],
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
        elif made.get("kind") == mappings.SKIP:
            skipped += 1
        else:
            good.append(made)
            origin.append(row)
    counts, rejected = _store(good, run, actor)
    columns = {column.to: column.name for column in mapping.columns}
    for index, fault in rejected:
        # Named by the column of the file, which the person knows, not by the fact that it becomes.
        named = Fault(columns.get(fault.path, fault.path), fault.message)
        errors.append((origin[index].line, named, origin[index].raw))
    errors.sort(key=lambda error: error[0])
    counts["rows"] = len(part)
    counts["skipped"] = skipped
    counts["rejected"] = len({line for line, _, _ in errors})
    return counts, errors


def _store(
    rows: list[dict[str, Any]], run: ImportRun, actor: Actor, start: int = 0
) -> tuple[Counter[str], list[tuple[int, Fault]]]:
    """Take readable rows in; when the database itself refuses one, halve until it is found and go on."""
    if not rows:
        return Counter(), []
    try:
        with transaction.atomic():
            result, counts = TAKERS[run.kind](rows, run, actor)
        return counts, [(start + r.index, fault) for r in result.rejected for fault in r.errors]
    except DataError as error:
        if len(rows) == 1:
            words = str(error).splitlines()[0]
            return Counter(), [(start, Fault("", f"The database cannot keep this row ({words})."))]
    half = len(rows) // 2
    one, first = _store(rows[:half], run, actor, start)
    other, second = _store(rows[half:], run, actor, start + half)
    return one + other, first + second


def _take_leads(rows: list[dict[str, Any]], run: ImportRun, actor: Actor) -> tuple[Any, Counter[str]]:
    result = intake.upsert_leads(rows, source=run.source, actor=actor, quiet=not run.fresh)
    made, changed = len(result.created), len(result.changed)
    return result, Counter(
        created=made, changed=changed, unchanged=len(rows) - len(result.rejected) - made - changed
    )


def _take_activities(rows: list[dict[str, Any]], run: ImportRun, actor: Actor) -> tuple[Any, Counter[str]]:
    result = intake.record_activities(
        [{"source": run.source, **row} for row in rows], actor=actor, quiet=not run.fresh
    )
    return result, Counter(created=len(result.accepted), duplicate=len(result.duplicate))


def _take_outcomes(rows: list[dict[str, Any]], run: ImportRun, actor: Actor) -> tuple[Any, Counter[str]]:
    result = ledgers.record_outcomes([{"source": run.source, **row} for row in rows], actor=actor)
    return result, Counter(
        created=len(result.created),
        changed=len(result.changed),
        unchanged=len(result.duplicate),
        early=len(result.early),
    )


TAKERS = {"leads": _take_leads, "activities": _take_activities, "outcomes": _take_outcomes}


def storable(text: str) -> str:
    """A text that PostgreSQL takes: without NUL and half pairs, which a broken file may hold."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _parts(rows: Iterator[reading.Row]) -> Iterator[list[reading.Row]]:
    while part := list(islice(rows, PART)):
        yield part


def result_page(job: Job) -> tuple[str, str]:
    """Where a person sees what came of the import."""
    return reverse("leads:import", args=[job.import_run.pk]), "See what came of it"


def register() -> None:
    """Tell the workers of long jobs how imports are done."""
    runner.register(KIND, run_chunk, finish, label="Import", link=result_page)
