"""One version of the agreement as somebody looks at it, with what is around it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from leadflow import clock
from leadflow.accounts.models import AuditEntry, Role, User
from leadflow.accounts.rights import roles
from leadflow.errors import Conflict, NotVisible
from scoring import agreements
from scoring.conditions.explain import Words, words_for
from scoring.document import Document
from scoring.editing import changes
from scoring.editing.changes import Change
from scoring.editing.parts import Part
from scoring.models import Agreement

State = Agreement.State
LOOKED_BACK = 1_000
STATE_WORDS = {
    State.DRAFT: ("Draft of v{}", "acc"),
    State.PROPOSED: ("v{} waits for signatures", "soon"),
    State.SIGNED: ("v{} is signed", "ok"),
    State.IN_FORCE: ("v{} in force", "ok"),
    State.SUPERSEDED: ("v{}, no longer in force", ""),
    State.DECLINED: ("v{}, declined", ""),
    State.WITHDRAWN: ("v{}, withdrawn", ""),
}


@dataclass
class Desk:
    """One version as somebody looks at it, with what is around it. Loaded once per request."""

    user: User
    agreement: Agreement
    draft: Agreement | None
    in_force: Agreement | None
    base: Agreement | None

    def __post_init__(self) -> None:
        self.document = Document(self.agreement.content)
        self.words: Words = words_for(self.document)
        base = self.base.content if self.base else self.agreement.content
        self.changes: list[Change] = changes.between(base, self.agreement.content, self.words)

    @property
    def may_write(self) -> bool:
        return Role(self.user.role) in agreements.WRITERS

    @property
    def editable(self) -> bool:
        return self.agreement.state == State.DRAFT and self.may_write

    def change(self, part: Part) -> Change | None:
        return next((c for c in self.changes if c.slot == part.slot), None)


def writers(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Marketers and managers of both sides change it; everybody reads it."""
    return wraps(view)(roles(*agreements.WRITERS)(view))


def desk_of(request: HttpRequest, *, drafting: bool = False) -> Desk:
    """The version asked for by `?v=`, else the draft, the proposal or the one in force. One query of rows."""
    user: Any = request.user
    number = request.GET.get("v", "")
    open_states = [State.DRAFT, State.PROPOSED, State.SIGNED, State.IN_FORCE]
    found = {a.state: a for a in Agreement.objects.filter(state__in=open_states).order_by("number")}
    draft, proposal = found.get(State.DRAFT), found.get(State.PROPOSED) or found.get(State.SIGNED)
    force = found.get(State.IN_FORCE)
    if drafting:
        if draft is None:
            raise Conflict(
                "There is no draft any more: somebody has proposed or discarded it. "
                "What you typed is still here."
            )
        same_draft(request, draft)
        shown = draft
    elif number:
        match = (
            Agreement.objects.filter(number=int(number)) if number.isdecimal() and len(number) < 9 else None
        )
        asked = match.first() if match is not None else None
        if asked is None:
            raise NotVisible
        shown = asked
    else:
        writes = Role(user.role) in agreements.WRITERS
        candidates = (draft if writes else None, proposal, force, draft)
        chosen = next((a for a in candidates if a), None)
        if chosen is None:
            raise NotVisible
        shown = chosen
    return Desk(user, shown, draft, force, _base_of(shown, force))


def _base_of(shown: Agreement, force: Agreement | None) -> Agreement | None:
    if shown.based_on_id is None or (force and shown.based_on_id == force.pk):
        return force if shown.based_on_id else None
    return shown.based_on


def same_draft(request: HttpRequest, draft: Agreement) -> None:
    """Raise Conflict for a form or button that belongs to another draft than the one open now."""
    number = request.POST.get("v", "")
    if number and number != str(draft.number):
        raise Conflict(
            f"This page shows the draft of v{number[:8]}, which is no draft any more; the one open now is "
            f"v{draft.number}. What you typed is still here: copy it, then load the page again."
        )


@dataclass(frozen=True)
class Author:
    """Who changed a part last, and when."""

    name: str
    at: datetime

    @property
    def since(self) -> str:
        """How long ago, as one says it of something that just happened."""
        seconds = max(0, int((clock.now() - self.at).total_seconds()))
        if seconds < 60:
            return f"{seconds} s ago"
        if seconds < 3600:
            return f"{seconds // 60} min ago"
        return f"at {timezone.localtime(self.at):%H:%M on %d %b}"


def authors(desk: Desk) -> dict[str, Author]:
    """The last change of each part, by its slot, in this version or one before it. Two queries."""
    rows = (
        AuditEntry.objects.filter(
            object_type="scoring.agreement", object_id__in=_lineage(desk.agreement), verb="agreement.changed"
        )
        .order_by("-at", "-id")
        .values_list("after", "actor__name", "at")
    )
    found: dict[str, Author] = {}
    for after, name, at in rows[:LOOKED_BACK]:
        told = after or {}
        for slot in told.get("slots") or [told.get("slot", "")]:
            found.setdefault(str(slot), Author(name or "Somebody", at))
    return found


def _lineage(agreement: Agreement) -> list[str]:
    """The ids of a version and of those that it was drafted from, newest first."""
    based_on = dict(Agreement.objects.values_list("pk", "based_on_id"))
    found: list[str] = []
    pk: int | None = agreement.pk
    while pk is not None and str(pk) not in found:
        found.append(str(pk))
        pk = based_on.get(pk)
    return found
