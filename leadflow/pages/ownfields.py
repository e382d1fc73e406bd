"""A company's own fields: made, changed, retired; each change on the trail.

A field keeps its key and whose it is. Its type stays once an agreement was written with it or a value is
known: the same values would read otherwise. It is retired, never deleted.
"""

from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction

from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, Role
from leadflow.errors import BadInput, Fault, Forbidden
from leadflow.leads.facts import CUSTOM
from leadflow.leads.folding import fold
from leadflow.leads.models import CustomField, FactChange
from leadflow.pages import naming

CHANGEABLE = ("label", "type", "options", "after_contact")
MOST_OPTIONS = 100
TABLES = {CustomField.Subject.LEAD: "leads_lead", CustomField.Subject.COMPANY: "leads_company"}


def save_field(actor: Actor, row: CustomField | None, data: Mapping[str, Any]) -> CustomField:
    """Make or change a field. Raises BadInput with a fault per field: a type in use, a lost value."""
    _marketer(actor)
    faults = _faults(row, data)
    if faults:
        raise BadInput("The field cannot be saved so.", faults)
    wanted = {name: data[name] for name in CHANGEABLE}
    with transaction.atomic():
        if row is None:
            made = CustomField.objects.create(key=data["key"], subject=data["subject"], **wanted)
            audit.record(actor, "field.made", made, after={"key": made.key, **wanted})
            return made
        before = {name: getattr(row, name) for name in wanted}
        if before != wanted:
            for name, value in wanted.items():
                setattr(row, name, value)
            row.save(update_fields=list(wanted))
            audit.record(actor, "field.changed", row, before=before, after=wanted)
    return row


def retire(actor: Actor, row: CustomField, *, back: bool = False) -> None:
    """Let nobody fill it in any more (or again, `back`). Raises BadInput while an agreement uses it."""
    _marketer(actor)
    if not back:
        names = naming.versions(one for one in naming.named() if f"{CUSTOM}{row.key}" in one.uses.facts)
        if names:
            raise BadInput(
                f"“{row.label}” cannot be retired: {names} uses it. Take it out of the rules first."
            )
    with transaction.atomic():
        row.retired_at = None if back else clock.now()
        row.save(update_fields=["retired_at"])
        audit.record(actor, "field.brought_back" if back else "field.retired", row, after={"key": row.key})


def values_of(row: CustomField, limit: int = MOST_OPTIONS) -> list[str]:
    """The different values that leads (or companies) have, as texts."""
    table = TABLES[CustomField.Subject(row.subject)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT custom->>%s AS v FROM {table} WHERE custom ? %s ORDER BY v LIMIT %s",  # noqa: S608
            [row.key, row.key, limit],
        )
        return [value for (value,) in cursor.fetchall() if value is not None]


def type_kept_by(row: CustomField) -> str:
    """Why the type of a field cannot change, in words; empty when it can."""
    key = f"{CUSTOM}{row.key}"
    found = [one for one in naming.named(living=False) if row.key in one.fixed or key in one.uses.facts]
    if found:
        return f"{naming.versions(found[:1])} was written with it"
    if values_of(row, limit=1) or FactChange.objects.filter(field=key).exists():
        return "values of it are on record"
    return ""


def _marketer(actor: Actor) -> None:
    if not actor.has_role(*MARKETING, Role.ADMIN):
        raise Forbidden("Marketing keeps the own fields.")


def _faults(row: CustomField | None, data: Mapping[str, Any]) -> list[Fault]:
    faults = []
    if row is None and CustomField.objects.filter(key=data["key"]).exists():
        faults.append(Fault("key", "There is a field of that key already."))
    if data["options"] and data["type"] != CustomField.Type.TEXT:
        faults.append(Fault("options", "Only a text has values to choose from."))
    if len(data["options"]) > MOST_OPTIONS:
        faults.append(Fault("options", f"At most {MOST_OPTIONS} values."))
    if row is None or faults:
        return faults
    if data["type"] != row.type and (why := type_kept_by(row)):
        words = f"It stays “{row.get_type_display().lower()}”: {why}. Make a new field for the new type."
        faults.append(Fault("type", words))
    elif data["options"] and data["options"] != row.options:
        known = {fold(option) for option in data["options"]}
        lost = [value for value in values_of(row) if fold(value) not in known]
        if lost:
            shown = ", ".join(f"“{value}”" for value in lost[:5])
            faults.append(Fault("options", f"Leads have {shown}: keep it, or change these leads first."))
    if data["after_contact"] and not row.after_contact:
        names = naming.versions(one for one in naming.named() if f"{CUSTOM}{row.key}" in one.uses.facts)
        if names:
            faults.append(Fault("after_contact", f"{names[:1].upper()}{names[1:]} scores with it."))
    return faults
