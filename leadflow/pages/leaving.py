"""Somebody leaves: what they held goes to present colleagues in the same breath."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from handoff import machine
from leadflow.accounts import people
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import User


def change_person(actor: Actor, user: User, fields: Mapping[str, Any]) -> int:
    """Change a person; where this switches them off or takes them out of sales, deal out their open leads.

    Returns how many leads moved. Raises BadInput where nobody would stay admin.
    """
    sold = user.is_active and user.in_sales
    with transaction.atomic():
        people.change_person(actor, user, fields)
        if sold and not (user.is_active and user.in_sales):
            return machine.release_owner(user.pk, actor)
    return 0
