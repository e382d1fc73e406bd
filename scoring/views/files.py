"""An agreement as a file: download a version, load one and see what it would change before it does."""

import json
from typing import Any

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import person
from leadflow.accounts.models import Organisation
from leadflow.errors import BadInput, Conflict, Fault
from scoring import agreements
from scoring.editing import changes, files
from scoring.editing.files import Loaded
from scoring.models import Agreement
from scoring.views.desk import desk_of, writers

SHOWN = 60


@require_GET
def download(request: HttpRequest) -> HttpResponseBase:
    """A version as a file."""
    desk = desk_of(request)
    at = timezone.localtime(clock.now())
    text = files.written(desk.agreement, Organisation.get().name, at)
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{files.name_of(desk.agreement, at)}"'
    audit.record(person(desk.user), "agreement.downloaded", desk.agreement)
    return response


@require_http_methods(["GET", "POST"])
@writers
def load(request: HttpRequest) -> HttpResponseBase:
    """Choose a file (GET); what it would change, or what is wrong with it (POST). Nothing is kept yet."""
    if request.method == "GET":
        return render(request, "scoring/files.html", _around())
    upload = request.FILES.get("file")
    if not isinstance(upload, UploadedFile):
        wrong = BadInput("Choose a file first.")
        return render(request, "scoring/files.html", {**_around(), "wrong": wrong}, status=422)
    name = (upload.name or "the file")[:120]
    try:
        loaded = files.read(upload.read(files.LARGEST + 1))
        _check(loaded)
    except BadInput as wrong:
        context = {**_around(), "wrong": wrong, "name": name, "faults": wrong.faults[:SHOWN]}
        return render(request, "scoring/files.html", context, status=422)
    return render(request, "scoring/files.html", {**_around(), **_looked(loaded, name)})


@require_POST
@writers
def take(request: HttpRequest) -> HttpResponseBase:
    """Make what was looked at the draft: a new one, or in place of the one that is open."""
    user: Any = request.user
    loaded = files.read(request.POST.get("content", "").encode())
    name = request.POST.get("name", "a file")[:120]
    draft = agreements.draft()
    seen = request.POST.get("lock", "")
    if draft is None and seen:
        raise Conflict("The draft that this was to replace is no draft any more. Load the file again.")
    if draft is None:
        agreements.create_draft(person(user), content=loaded.content, note=f"From the file {name}")
        messages.success(request, f"“{name}” is the draft now: look at it, then propose it.")
    else:
        lock = int(seen) if seen.isdecimal() and len(seen) < 9 else -1
        agreements.save_draft(draft, loaded.content, person(user), lock, what=f"Loaded from {name}")
        messages.success(request, f"“{name}” has replaced the draft. Undo brings the one before back.")
    return redirect("scoring:tab", tab="sign")


def _around() -> dict[str, Any]:
    found = {a.state: a for a in Agreement.objects.filter(state__in=["draft", "in_force"]).order_by("number")}
    return {"draft": found.get("draft"), "in_force": found.get("in_force"), "largest": files.LARGEST // 1024}


def _check(loaded: Loaded) -> None:
    faults = agreements.faults_of(loaded.content)
    if faults:
        told = [
            Fault(f.path, f"{files.place(loaded.content, f.path)}: {f.message}".lstrip(": ")) for f in faults
        ]
        raise BadInput("This agreement cannot be used as it is.", told)


def _looked(loaded: Loaded, name: str) -> dict[str, Any]:
    """What the file would change in the draft, or in the version in force."""
    around = _around()
    base = around["draft"] or around["in_force"]
    found = changes.between(base.content, loaded.content) if base else []
    return {
        "loaded": loaded,
        "name": name,
        "base": base,
        "changes": found[:SHOWN],
        "more": max(0, len(found) - SHOWN),
        "total": len(found),
        "content": json.dumps(loaded.content, ensure_ascii=False),
    }
