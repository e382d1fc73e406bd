"""The library of pieces: add, change, retire, send to a lead; what is like a question."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.db import connection, transaction
from django.db.models import QuerySet

from feedback.models import ContentUse
from handoff import machine, queue
from handoff.models import Handoff
from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, Role
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.leads.folding import fold, words
from leadflow.leads.models import Content, Stage

FIELDS = ("title", "url", "stage", "persona_key", "question")
LIMITS = {"title": 200, "url": 500, "stage": 20, "persona_key": 40, "question": 500, "key": 80}
# For whom a piece is written: how far they are on their way to us.
STAGES = {stage.value: stage.label for stage in list(Stage)[:6]}
ALIKE = 0.3
# A second click within this is the same sending.
ONCE_WITHIN = timedelta(minutes=1)
_NO_KEY = re.compile(r"[^a-z0-9]+")


def add(fields: Mapping[str, Any], actor: Actor) -> Content:
    """A new piece. Raises BadInput for a missing title, a title or key that is there, a bad address."""
    _marketing(actor)
    values = _checked(fields)
    with transaction.atomic():
        _check_title(values["title"], None)
        key = _key(str(fields.get("key") or ""), values["title"])
        made = Content.objects.create(key=key, **values)
        audit.record(actor, "content.added", made, after={"key": key, **values})
    return made


def change(pk: int, fields: Mapping[str, Any], actor: Actor) -> Content:
    """Change a piece; what `fields` leaves out stays. Raises as `add`, NotVisible."""
    _marketing(actor)
    with transaction.atomic():
        found = _locked(pk)
        before = {name: getattr(found, name) for name in FIELDS}
        values = _checked({**before, **{name: fields[name] for name in FIELDS if name in fields}})
        _check_title(values["title"], pk)
        changed = {name: value for name, value in values.items() if value != before[name]}
        for name, value in changed.items():
            setattr(found, name, value)
        if changed:
            found.save(update_fields=list(changed))
            audit.record(
                actor, "content.changed", found, before={n: before[n] for n in changed}, after=changed
            )
    return found


def retire(pk: int, actor: Actor, *, back: bool = False) -> Content:
    """Take a piece out of use, or (`back`) into it again; what it was used for stays on record."""
    _marketing(actor)
    with transaction.atomic():
        found = _locked(pk)
        if found.active is not back:
            found.active = back
            found.save(update_fields=["active"])
            audit.record(actor, "content.restored" if back else "content.retired", found)
    return found


def send(handoff_id: int, content_id: int, actor: Actor, *, at: datetime | None = None) -> ContentUse:
    """The holder of a lead sends a piece: it is on record, and counts as a contact where one is due.

    Raises NotVisible, BadInput (no address, do not contact, retired piece), Conflict (the handoff has ended).
    """
    if actor.user is None:
        raise Forbidden("A person of sales sends pieces.")
    at = at or clock.now()
    with transaction.atomic():
        handoff = queue.find(actor.user, handoff_id)
        piece = Content.objects.filter(pk=content_id, active=True).exclude(url="").first()
        if piece is None:
            raise BadInput("This piece is not in use.", [Fault("content", "Choose another one.")])
        lead = handoff.lead
        if lead.do_not_contact or not lead.email:
            why = "wants no contact" if lead.do_not_contact else "has no e-mail address"
            raise BadInput(f"{lead} {why}.", [Fault("lead", "Nothing can be sent.")])
        present = Handoff.objects.select_for_update(of=("self",)).get(pk=handoff.pk)
        if present.closed_at is not None:
            raise Conflict("This lead is not with sales any more.", {"state": present.state})
        again = ContentUse.objects.filter(
            content=piece, handoff=handoff, by=actor.user, at__gt=at - ONCE_WITHIN, at__lte=at
        ).first()
        if again is not None:
            return again
        may = {action.name for action in machine.allowed(present, actor, at)}
        contact = next((name for name in ("touch", "log_contact") if name in may), None)
        if contact:
            note = f"Sent “{piece.title}”"
            machine.apply(contact, present.pk, actor, at=at, channel="email", result="email", note=note)
        return ContentUse.objects.create(content=piece, lead=lead, handoff=handoff, by=actor.user, at=at)


_ALIKE = """
    SELECT id FROM (
        SELECT id, greatest(similarity(lower(title), %(text)s), similarity(lower(question), %(text)s),
                            word_similarity(%(text)s, lower(title || ' ' || question))) AS alike
        FROM leads_content WHERE active) found
    WHERE alike >= %(least)s ORDER BY alike DESC, id LIMIT %(limit)s"""


def alike(text: str, limit: int = 4) -> list[Content]:
    """Pieces in use whose title or question is like a text, the most alike first."""
    key = words(text).strip()
    if len(key) < 3:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_ALIKE, {"text": key, "least": ALIKE, "limit": limit})
        ids = [row[0] for row in cursor.fetchall()]
    found = Content.objects.in_bulk(ids)
    return [found[pk] for pk in ids]


def to_send() -> QuerySet[Content]:
    """Pieces that can be sent: in use, with an address."""
    return Content.objects.filter(active=True).exclude(url="").order_by("title")


def _marketing(actor: Actor) -> None:
    if actor.api_key is None and not actor.has_role(*MARKETING, Role.ADMIN):
        raise Forbidden("Marketing keeps the library.")


def _locked(pk: int) -> Content:
    found = Content.objects.select_for_update().filter(pk=pk).first()
    if found is None:
        raise NotVisible("There is no such piece.")
    return found


def _checked(fields: Mapping[str, Any]) -> dict[str, str]:
    values = {name: " ".join(str(fields.get(name) or "").split()) for name in FIELDS}
    faults = [
        Fault(name, f"At most {LIMITS[name]} characters.")
        for name, value in values.items()
        if len(value) > LIMITS[name]
    ]
    faults += [
        Fault(name, "It holds a NUL character. Take it out.") for name in FIELDS if "\x00" in values[name]
    ]
    if len(values["title"]) < 3:
        faults.append(Fault("title", "Give it a title."))
    if values["url"] and not values["url"].startswith(("https://", "http://", "/")):
        faults.append(Fault("url", "Write the address with https://."))
    if values["stage"] and values["stage"] not in STAGES:
        faults.append(Fault("stage", f"Choose one of {', '.join(STAGES)}."))
    if faults:
        raise BadInput("The piece cannot be taken.", faults)
    return values


def _check_title(title: str, besides: int | None) -> None:
    there = Content.objects.filter(title__iexact=title).exclude(pk=besides or 0).first()
    if there is not None:
        state = "" if there.active else ", retired"
        raise BadInput(f"There is a piece of this title already{state}.", [Fault("title", "Choose another.")])


def _key(wanted: str, title: str) -> str:
    """The short name by which activities name a piece; made from the title unless one is given."""
    key = _NO_KEY.sub("-", fold(wanted or title)).strip("-")[: LIMITS["key"]]
    taken = set(Content.objects.filter(key__startswith=key[:70]).values_list("key", flat=True))
    if wanted and (key in taken or not key):
        raise BadInput("There is a piece of this key already.", [Fault("key", "Choose another.")])
    key = key or "piece"
    return next(k for n in range(1, 10_000) if (k := key if n == 1 else f"{key[:70]}-{n}") not in taken)


def letter(use: ContentUse) -> str:
    """The address that opens the reader's own mail program with the piece in it."""
    subject, body = quote(use.content.title), quote(f"{use.content.title}\n{use.content.url}\n")
    return f"mailto:{quote(use.lead.email, safe='@')}?subject={subject}&body={body}"
