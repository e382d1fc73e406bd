"""The audit trail: one row beside each write that a person may later ask about."""

from typing import Any
from uuid import UUID

from leadflow import clock
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import AuditEntry


def record(
    actor: Actor,
    verb: str,
    obj: Any,
    *,
    before: Any = None,
    after: Any = None,
    reason: str = "",
    context_id: UUID | None = None,
) -> AuditEntry:
    """Write one entry; `verb` is namespaced ("agreement.signed"), `obj` a model instance.

    `before` and `after` must be JSON-ready and hold only what changed. Never secrets.
    """
    return AuditEntry.objects.create(
        at=clock.now(),
        actor=actor.user,
        api_key=actor.api_key,
        verb=verb,
        object_type=obj._meta.label_lower,
        object_id=str(obj.pk),
        before=before,
        after=after,
        reason=reason,
        context_id=context_id,
    )
