"""The steps of a draft: each save keeps what was before it, so that it can be taken back one by one.

An undone step holds the content that it took away, so that redo puts exactly that back. A new save ends what
could be redone.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from leadflow.accounts.models import User
from leadflow.errors import Conflict
from scoring.editing import changes, parts
from scoring.editing.parts import Part
from scoring.models import Agreement, DraftStep

Json = Any

KEPT = 200
LOOKED_BACK = 60
WHAT_LIMIT = 200


def keep(row: Agreement, what: str, by: User | None, at: datetime) -> None:
    """Keep the content of a locked draft as it is before a save, and forget what was undone before."""
    steps = DraftStep.objects.filter(agreement=row)
    steps.filter(undone_at__isnull=False).delete()
    DraftStep.objects.create(
        agreement=row,
        lock_version=row.lock_version,
        what=what[:WHAT_LIMIT],
        content=row.content,
        by=by,
        at=at,
    )
    too_old = steps.order_by("-lock_version").values_list("pk", flat=True)[KEPT:]
    DraftStep.objects.filter(pk__in=list(too_old)).delete()


def touched(old: Mapping[str, Json], new: Mapping[str, Json]) -> list[str]:
    """The slots of the parts in which two contents differ."""
    return [change.slot for change in changes.between(old, new)][:LOOKED_BACK]


def next_undo(agreement: Agreement) -> DraftStep | None:
    """The step that an undo would take back. One query, without the content."""
    return (
        DraftStep.objects.filter(agreement=agreement, undone_at=None)
        .select_related("by")
        .defer("content")
        .order_by("-lock_version", "-id")
        .first()
    )


def next_redo(agreement: Agreement) -> DraftStep | None:
    """The step that a redo would put back: the one undone last."""
    return (
        DraftStep.objects.filter(agreement=agreement, undone_at__isnull=False)
        .select_related("by")
        .defer("content")
        .order_by("undone_at", "-lock_version")
        .last()
    )


def swap(row: Agreement, *, redo: bool, at: datetime) -> tuple[DraftStep, Json]:
    """Take the newest step back, or put the one undone last back; the caller holds the lock and writes `row`.

    Returns the step and the content that the draft gets. Raises Conflict when there is none.
    """
    found = next_redo(row) if redo else next_undo(row)
    if found is None:
        raise Conflict("There is nothing to put back." if redo else "There is nothing to undo in this draft.")
    other, found.content = found.content, row.content
    found.undone_at = None if redo else at
    found.save(update_fields=["content", "undone_at"])
    return found, other


def part_as_loaded(agreement: Agreement, kind: str, key: str, mark: str) -> Part | None:
    """A part as it was when somebody opened its form, by its mark; None when that is too long ago."""
    steps = DraftStep.objects.filter(agreement=agreement).order_by("-lock_version", "-id")
    for content in steps.values_list("content", flat=True)[:LOOKED_BACK].iterator(chunk_size=5):
        found = parts.part(content, kind, key)
        if found is not None and found.mark == mark:
            return found
    return None
