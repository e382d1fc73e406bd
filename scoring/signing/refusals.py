"""What was refused at the sign-off, and to whom, stays in the audit trail.

Written by the doors (pages and API) outside the act's transaction, because a refusal undoes that one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import PermissionDenied

from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.errors import BadInput, Conflict, Forbidden
from scoring.models import Agreement

REFUSED = (BadInput, Conflict, Forbidden, PermissionDenied)


@contextmanager
def noted(actor: Actor, act: str, agreement: Agreement | None) -> Iterator[None]:
    """Note a refusal within this block as `agreement.<act>_refused`, and let it go on."""
    try:
        yield
    except REFUSED as refusal:
        note(actor, act, agreement, words(refusal))
        raise


def note(actor: Actor, act: str, agreement: Agreement | None, why: str) -> None:
    """Write one refusal; without a version there is nothing it could be about."""
    if agreement is not None:
        audit.record(actor, f"agreement.{act}_refused", agreement, reason=why[:2_000])


def words(refusal: Exception) -> str:
    """What the one who was refused was told."""
    if isinstance(refusal, BadInput) and refusal.faults:
        return " ".join([refusal.message, *(fault.message for fault in refusal.faults)])
    return str(refusal) or "You may not do this."
