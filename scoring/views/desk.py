"""One version of the agreement as somebody looks at it, with what is around it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase

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
        self.changes: list[Change] = changes.between(base, self.agreement.content)

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
            raise Conflict("There is no draft any more: somebody has proposed or discarded it.")
        shown = draft
    elif number:
        match = Agreement.objects.filter(number=int(number)) if number.isdigit() and len(number) < 9 else None
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


def authors(desk: Desk) -> dict[str, AuditEntry]:
    """The last change of each part of a draft: who and when."""
    if desk.agreement.state != State.DRAFT:
        return {}
    rows = (
        AuditEntry.objects.filter(
            object_type="scoring.agreement", object_id=str(desk.agreement.pk), verb="agreement.changed"
        )
        .select_related("actor")
        .order_by("at", "id")
    )
    return {str((row.after or {}).get("slot", "")): row for row in rows[:2_000]}
