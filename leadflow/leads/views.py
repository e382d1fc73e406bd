"""Importing a list in the browser: upload, say what the columns are, see what will happen, import."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from leadflow.accounts.actors import person
from leadflow.accounts.models import Organisation, Role, User
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput
from leadflow.jobs.models import JobError
from leadflow.leads.facts import CUSTOM, known_facts
from leadflow.leads.importing import mapping as mappings
from leadflow.leads.importing import reading, run
from leadflow.leads.models import CustomField, ImportRun
from leadflow.web import csv_response

may_import = roles(Role.MARKETER, Role.MARKETING_MANAGER)
# How many rows "see what will happen" tries; the import itself takes all.
TRIED = 1_000
SHOWN = 25
NEW_FIELD = "new"
DECIMALS = (".", ",")
# What stands in for missing ids, in the words of the page.
IDENTIFY_BY = [
    ("external_id", "The file has ids, or e-mail addresses"),
    ("line", "It has none: take the number of the line"),
    ("content", "It has none: the same row is the same"),
]


@may_import
@require_http_methods(["GET", "POST"])
def imports(request: HttpRequest) -> HttpResponse:
    """Upload a file, and the imports so far."""
    context: dict[str, Any] = {
        "kinds": ImportRun._meta.get_field("kind").choices,
        "limit": settings.UPLOAD_LIMIT,
    }
    status = 200
    if request.method == "POST":
        try:
            found = _take_upload(request)
            return redirect("leads:import", pk=found.pk)
        except BadInput as error:
            context["error"] = error.message
            status = 422
    context["runs"] = ImportRun.objects.select_related("job", "created_by").order_by("-id")[:SHOWN]
    return render(request, "leads/imports.html", context, status=status)


def _take_upload(request: HttpRequest) -> ImportRun:
    upload = request.FILES.get("file")
    kind = request.POST.get("kind", "leads")
    if upload is None:
        raise BadInput("Choose a file first: CSV or .xlsx.")
    if kind not in run.TAKERS:
        raise BadInput("Say what the file holds: leads, activities or outcomes.")
    try:
        path, digest = run.store(upload, settings.UPLOAD_LIMIT)
    except OSError as error:
        raise BadInput(f"The file cannot be kept ({error.strerror}). Tell whoever runs LeadFlow.") from error
    shape = reading.look_at(path)
    sample = reading.samples(path, shape)
    guess = mappings.suggest(shape, sample, kind, known_facts())  # type: ignore[arg-type]
    name = upload.name or "file"
    assert isinstance(request.user, User)
    return ImportRun.objects.create(
        kind=kind,
        file_name=name[:200],
        file_path=str(path),
        file_hash=digest,
        mapping={"columns": {column: {"to": to} for column, to in guess.items()}},
        source=slugify(name.split(".")[0])[:80] or "import",
        date_order=Organisation.get().date_order,
        created_by=person(request.user).user,
    )


@may_import
@require_http_methods(["GET", "POST"])
def import_run(request: HttpRequest, pk: int) -> HttpResponse:
    """One import: before it runs, its mapping and what will happen; afterwards what came of it."""
    found = get_object_or_404(ImportRun.objects.select_related("job", "created_by"), pk=pk)
    if found.job_id:
        return render(request, "leads/import_done.html", _done(found))
    if not Path(found.file_path).is_file():
        messages.error(request, f"{found.file_name} is not kept any more. Upload it again.")
        return redirect("leads:imports")
    context: dict[str, Any] = {"run": found, "tried": TRIED}
    status = 200
    if request.method == "POST":
        _save_mapping(found, request.POST)
        try:
            counts, rejects = run.dry_run(found, TRIED)
            context |= {
                "counts": dict(counts),
                "rejects": rejects[:SHOWN],
                "more": max(0, len(rejects) - SHOWN),
            }
        except BadInput as error:
            context["error"] = error
            status = 422
    return render(request, "leads/import_map.html", context | _columns(found), status=status)


@may_import
@require_POST
def import_start(request: HttpRequest, pk: int) -> HttpResponse:
    """Take the whole file in, as a job."""
    found = get_object_or_404(ImportRun, pk=pk)
    assert isinstance(request.user, User)
    was = found.job_id
    try:
        run.prepare(found, person(request.user))
    except BadInput as error:
        if was is None:
            return render(
                request, "leads/import_map.html", {"run": found, "error": error} | _columns(found), status=422
            )
        messages.error(request, error.message)
    else:
        if found.job_id != was:
            messages.success(request, "The import is running. You may leave this page.")
    return redirect("leads:import", pk=found.pk)


@may_import
@require_GET
def import_rejects(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The rejected rows as CSV: line, field, reason, and the row as it came."""
    found = get_object_or_404(ImportRun.objects.select_related("job"), pk=pk, job__isnull=False)
    columns = found.mapping.get("header", [])
    errors = JobError.objects.filter(job=found.job).order_by("line", "id").iterator()
    rows = ([e.line, e.field, e.reason, *(e.raw or [])] for e in errors)
    return csv_response(f"rejected-{found.pk}.csv", ["line", "field", "reason", *columns], rows)


def _done(found: ImportRun) -> dict[str, Any]:
    job = found.job
    assert job is not None
    return {
        "run": found,
        "job": job,
        "counts": found.counts,
        "errors": JobError.objects.filter(job=job).order_by("line", "id")[:SHOWN],
    }


def _columns(found: ImportRun) -> dict[str, Any]:
    shape = reading.look_at(Path(found.file_path))
    sample = reading.samples(Path(found.file_path), shape)
    facts = known_facts()
    targets = mappings.targets(found.kind, facts)  # type: ignore[arg-type]
    mapped = found.mapping.get("columns", {})
    columns = []
    for n, name in enumerate(shape.columns):
        values = [row.cells.get(name, "") for row in sample]
        entry = mapped.get(name, {})
        to = entry.get("to", "")
        columns.append(
            {
                "n": n,
                "name": name,
                "to": NEW_FIELD if to and to not in targets else to,
                "samples": list(dict.fromkeys(v for v in values if v))[:3],
                "empty": sum(not v for v in values) * 100 // max(1, len(values)),
                "type": entry.get("type") or mappings.suggest_kind(values),
                "after_contact": entry.get("after_contact", False),
            }
        )
    return {
        "shape": shape,
        "columns": columns,
        "targets": sorted(targets.items(), key=lambda item: item[1].casefold()),
        "types": CustomField.Type.choices,
        "date_orders": mappings.DATE_ORDERS.items(),
        "identify_by": IDENTIFY_BY,
        "empty_texts": ", ".join(found.mapping.get("empty", [])),
        "values": ", ".join(f"{k}={v}" for k, v in _outcome_values(found).items()),
    }


def _outcome_values(found: ImportRun) -> dict[str, str]:
    entries = found.mapping.get("columns", {}).values()
    return next((dict(e["values"]) for e in entries if e.get("to") == "kind" and e.get("values")), {})


def _save_mapping(found: ImportRun, form: Any) -> None:
    shape = reading.look_at(Path(found.file_path))
    columns = {}
    for n, name in enumerate(shape.columns):
        to = form.get(f"to-{n}", "")
        entry: dict[str, Any] = {"to": to}
        if to == NEW_FIELD:
            key = slugify(name).replace("-", "_").strip("_")[:50] or f"column_{n + 1}"
            entry = {"to": f"{CUSTOM}{key}", "type": form.get(f"type-{n}", "text"), "label": name}
            entry["after_contact"] = bool(form.get(f"after-{n}"))
        elif to == "kind" and form.get("values"):
            entry["values"] = dict(_pairs(form["values"]))
        columns[name] = entry
    found.mapping = {
        "columns": columns,
        "empty": [t.strip() for t in form.get("empty", "").split(",") if t.strip()],
        "identify_by": form.get("identify_by", "external_id"),
    }
    found.source = form.get("source", "").strip()[:80] or found.source
    # Only what the lists offer: the columns hold no more, and the rest is for `mappings.parse` to judge.
    if form.get("date_order") in mappings.DATE_ORDERS:
        found.date_order = form["date_order"]
    if form.get("decimal") in DECIMALS:
        found.decimal = form["decimal"]
    found.fresh = bool(form.get("fresh"))
    found.save()


def _pairs(text: str) -> list[tuple[str, str]]:
    """“1=won, 0=lost” as pairs; what has no = is passed over."""
    pairs = (part.split("=", 1) for part in text.split(",") if "=" in part)
    return [(key.strip(), value.strip()) for key, value in pairs]
