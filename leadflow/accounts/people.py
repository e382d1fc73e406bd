"""Writing people, teams and the company. Each change names its actor and leaves an audit entry."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import Organisation, Role, Team, User
from leadflow.errors import BadInput, Fault, Forbidden

PERSON_FIELDS = ("name", "email", "role", "team", "tz", "is_active", "capacity_open", "weight")
PROFILE_FIELDS = ("name", "tz", "theme", "shortcuts")
TEAM_FIELDS = ("name", "kind", "tz", "manager")
Row = TypeVar("Row", User, Team, Organisation)
COMPANY_FIELDS = ("name", "currency", "tz", "country", "date_order")


def zones() -> list[str]:
    """The time zones one can choose: region and city, and UTC."""
    named = {
        zone
        for zone in clock.zone_names()
        if "/" in zone and not zone.startswith(("Etc/", "SystemV/", "US/"))
    }
    return ["UTC", *sorted(named)]


def invite(actor: Actor, fields: Mapping[str, Any]) -> User:
    """Make a person who sets the password by a mailed link. Raises BadInput for a taken or odd address."""
    _admin(actor)
    email = str(fields.get("email", "")).strip().casefold()
    try:
        validate_email(email)
    except ValidationError:
        raise BadInput(
            "The address is not one.", [Fault("email", "Write it as name@company.example.")]
        ) from None
    if User.objects.filter(email=email).exists():
        raise BadInput("This person is here already.", [Fault("email", "Somebody has this address already.")])
    with transaction.atomic():
        rest = {key: fields[key] for key in PERSON_FIELDS if key in fields and key != "email"}
        user = User.objects.create_user(email, None, **rest)
        audit.record(actor, "person.invited", user, after=_plain(user, PERSON_FIELDS))
    return user


def change_person(actor: Actor, user: User, fields: Mapping[str, Any]) -> User:
    """Change a person. Raises BadInput where it would leave nobody who is admin."""
    _admin(actor)
    with transaction.atomic():
        # Lock the admins: two admins must not demote each other at the same time.
        admins = set(
            User.objects.select_for_update()
            .filter(role=Role.ADMIN, is_active=True)
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        stays = fields.get("role", user.role) == Role.ADMIN and fields.get("is_active", user.is_active)
        if admins == {user.pk} and not stays:
            raise BadInput("Somebody must stay admin.", [Fault("role", "This is the last active admin.")])
        return _change(actor, "person.changed", user, {k: v for k, v in fields.items() if k in PERSON_FIELDS})


def change_profile(user: User, fields: Mapping[str, Any]) -> User:
    """A person changes what is their own: name, time zone, colours, keys."""
    return _change(
        Actor(user=user), "person.profile", user, {k: v for k, v in fields.items() if k in PROFILE_FIELDS}
    )


def save_team(actor: Actor, team: Team | None, fields: Mapping[str, Any]) -> Team:
    """Make a team, or change one."""
    _admin(actor)
    chosen = {k: v for k, v in fields.items() if k in TEAM_FIELDS}
    with transaction.atomic():
        if team is not None:
            return _change(actor, "team.changed", team, chosen)
        made = Team.objects.create(**chosen)
        audit.record(actor, "team.made", made, after=_plain(made, TEAM_FIELDS))
        return made


def change_company(actor: Actor, fields: Mapping[str, Any]) -> Organisation:
    """Change the company that uses this LeadFlow."""
    _admin(actor)
    return _change(
        actor, "company.changed", Organisation.get(), {k: v for k, v in fields.items() if k in COMPANY_FIELDS}
    )


def _admin(actor: Actor) -> None:
    if not (actor.is_system or actor.has_role(Role.ADMIN)):
        raise Forbidden("Only an admin changes people, teams and the company.")


def _change(actor: Actor, verb: str, row: Row, fields: Mapping[str, Any]) -> Row:
    changed = {key: value for key, value in fields.items() if getattr(row, key) != value}
    if not changed:
        return row
    with transaction.atomic():
        before = _plain(row, changed)
        for key, value in changed.items():
            setattr(row, key, value)
        row.save(update_fields=list(changed))
        audit.record(actor, verb, row, before=before, after=_plain(row, changed))
    return row


def _plain(row: Any, keys: Any) -> dict[str, Any]:
    values = {key: getattr(row, key) for key in keys}
    return {k: v if v is None or isinstance(v, (bool, int)) else str(v) for k, v in values.items()}
