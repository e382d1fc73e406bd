"""Who has the editor of a draft open now, and which part of it each of them changes.

The page says every few seconds that it is there; who has not said so for a while has left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from leadflow.accounts.models import User
from scoring.editing import parts
from scoring.models import Agreement, DraftPresence

# Three missed words and somebody has left.
GONE_AFTER = timedelta(seconds=16)
SLOT_LIMIT = 120


@dataclass(frozen=True)
class Present:
    """Somebody else in the draft; `title` and `tab` of the part whose form is open, or empty."""

    name: str
    slot: str = ""
    title: str = ""
    tab: str = ""

    @property
    def first_name(self) -> str:
        return self.name.split(" ", 1)[0]


def say(draft: Agreement, user: User, slot: str, at: datetime) -> None:
    """Somebody is in the draft, with the form of `slot` open (empty: with none). One statement."""
    DraftPresence.objects.bulk_create(
        [DraftPresence(agreement=draft, user=user, slot=slot[:SLOT_LIMIT], at=at)],
        update_conflicts=True,
        unique_fields=["agreement", "user"],
        update_fields=["slot", "at"],
    )


def others(draft: Agreement, user: User, at: datetime) -> Sequence[Present]:
    """Everybody else who is in the draft, those who change something first. One query."""
    rows = (
        DraftPresence.objects.filter(agreement=draft, at__gt=at - GONE_AFTER, user__is_active=True)
        .exclude(user=user)
        .order_by("user__name", "user_id")
        .values_list("user__name", "slot")
    )
    found = [_present(draft, name, slot) for name, slot in rows]
    return sorted(found, key=lambda one: not one.slot)


def _present(draft: Agreement, name: str, slot: str) -> Present:
    kind, _, key = slot.partition("-")
    if kind == "new":
        shape = parts.SHAPES.get(key)
        return Present(name, slot, f"a new {shape.one}") if shape else Present(name)
    part = parts.part(draft.content, kind, key) if key and kind in parts.SHAPES else None
    return Present(name, slot, f"“{part.title}”", part.tab) if part else Present(name)
