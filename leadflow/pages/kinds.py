"""A company's own kinds of activity: made, changed, retired; each change on the trail.

A kind that was used keeps its key, its flags and the types of its properties: what was recorded and scored by
them would read otherwise. It is retired, never deleted.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, Role
from leadflow.errors import BadInput, Fault, Forbidden
from leadflow.leads.catalogue import FLAGS
from leadflow.leads.models import Activity, ActivityKind
from leadflow.pages import naming

TYPES = ("text", "number", "boolean")
MOST_PROPERTIES = 30


def save_kind(actor: Actor, row: ActivityKind | None, data: Mapping[str, Any]) -> ActivityKind:
    """Make or change a kind: key (new ones only), label, phrase, flags, properties {name: type}.

    It can be sent by the API and named in rules at once. Raises BadInput with a fault per field.
    """
    _marketer(actor)
    faults = _faults(row, data)
    if faults:
        raise BadInput("The kind cannot be saved so.", faults)
    wanted = {"label": data["label"], "phrase": data["phrase"], "properties": dict(data["properties"])}
    wanted |= {flag: bool(data.get(flag)) for flag in FLAGS}
    with transaction.atomic():
        if row is None:
            made = ActivityKind.objects.create(key=data["key"], **wanted)
            audit.record(actor, "kind.made", made, after={"key": made.key, **wanted})
            return made
        before = {name: getattr(row, name) for name in wanted}
        if before != wanted:
            for name, value in wanted.items():
                setattr(row, name, value)
            row.save(update_fields=list(wanted))
            audit.record(actor, "kind.changed", row, before=before, after=wanted)
    return row


def is_used(row: ActivityKind) -> bool:
    """Whether an activity of this kind is on record, or any version of the agreement names it."""
    if Activity.objects.filter(kind=row).exists():
        return True
    return any(row.key in one.uses.kinds for one in naming.named(living=False))


def retire(actor: Actor, row: ActivityKind, *, back: bool = False) -> None:
    """Take no more activities of this kind (or again, `back`). Raises BadInput while rules count it."""
    _marketer(actor)
    if not back:
        names = naming.versions(one for one in naming.named() if row.key in one.uses.kinds)
        if names:
            raise BadInput(
                f"“{row.label}” cannot be retired: {names} counts it. Take it out of the rules first."
            )
    with transaction.atomic():
        row.active = back
        row.save(update_fields=["active"])
        audit.record(actor, "kind.brought_back" if back else "kind.retired", row, after={"key": row.key})


def delete(actor: Actor, row: ActivityKind) -> None:
    """Delete a kind that was never used. Raises BadInput for any other."""
    _marketer(actor)
    if row.shipped:
        raise BadInput(f"“{row.label}” comes with LeadFlow; it can be retired.")
    if is_used(row):
        raise BadInput(f"“{row.label}” was used, so it stays on record. Retire it instead.")
    with transaction.atomic():
        audit.record(actor, "kind.deleted", row, before={"key": row.key, "label": row.label})
        row.delete()


def _marketer(actor: Actor) -> None:
    if not actor.has_role(*MARKETING, Role.ADMIN):
        raise Forbidden("Marketing keeps the kinds of activity.")


def _faults(row: ActivityKind | None, data: Mapping[str, Any]) -> list[Fault]:
    faults = []
    if row is None and ActivityKind.objects.filter(key=data["key"]).exists():
        faults.append(Fault("key", "There is a kind of that key already."))
    if data.get("contact") and data.get("own_act"):
        faults.append(Fault("contact", "Either they did it, or we did: not both."))
    if (data.get("reply") or data.get("stop")) and data.get("contact"):
        faults.append(Fault("contact", "A reply or a stop is theirs, so it is no contact of ours."))
    properties: Mapping[str, str] = data["properties"]
    if len(properties) > MOST_PROPERTIES:
        faults.append(Fault("properties", f"At most {MOST_PROPERTIES} properties."))
    if row is None:
        return faults
    fixed = row.shipped or is_used(row)
    why = "comes with LeadFlow" if row.shipped else "was used"
    faults += [
        Fault(flag, f"“{row.label}” {why}: what it means stays. Make a new kind.")
        for flag in FLAGS
        if fixed and bool(data.get(flag)) != getattr(row, flag)
    ]
    for name, type_ in row.properties.items():
        if fixed and properties.get(name) != type_:
            words = "cannot go" if name not in properties else "keeps its type"
            faults.append(Fault("properties", f"“{row.label}” {why}: its property “{name}” {words}."))
    return faults
