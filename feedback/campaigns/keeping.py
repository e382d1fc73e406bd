"""Campaigns as marketing keeps them, and the messages that a rep should know of a lead."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction
from django.db.models import Max, Q

from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, Organisation, Role
from leadflow.errors import BadInput, Fault, Forbidden, NotVisible
from leadflow.leads.folding import fold
from leadflow.leads.models import Activity, Campaign, Lead
from leadflow.numbers import money_typed

FIELDS = ("name", "source", "cost", "starts_on", "ends_on", "message_for_sales")
LIMITS = {"name": 120, "source": 80, "message_for_sales": 2_000}
HIGHEST = Decimal(10) ** 12
# What a lead did in a campaign matters to a talk for so long.
TOLD_FOR = timedelta(days=90)
TOLD = 3
_NO_CODE = re.compile(r"[^a-z0-9]+")


def add(fields: Mapping[str, Any], actor: Actor) -> Campaign:
    """A new campaign; its code, by which leads and acts name it, is made from the name unless given.

    Raises BadInput for a missing name, a code that is there, a negative cost, an end before the start.
    """
    _marketing(actor)
    values = _checked(fields)
    wanted = fold(str(fields.get("code") or ""))
    code = wanted or _NO_CODE.sub("-", fold(values["name"])).strip("-")[:80]
    if not code or len(code) > 80 or Campaign.objects.filter(code=code).exists():
        raise BadInput("There is a campaign of this code already.", [Fault("code", "Choose another one.")])
    with transaction.atomic():
        made = Campaign.objects.create(code=code, currency=Organisation.get().currency, **values)
        audit.record(actor, "campaign.added", made, after={"code": code, **_plain(values)})
    return made


def change(pk: int, fields: Mapping[str, Any], actor: Actor) -> Campaign:
    """Change a campaign; what `fields` leaves out stays. Raises as `add`, NotVisible."""
    _marketing(actor)
    with transaction.atomic():
        found = Campaign.objects.select_for_update().filter(pk=pk).first()
        if found is None:
            raise NotVisible("There is no such campaign.")
        before = {name: getattr(found, name) for name in FIELDS}
        values = _checked({**before, **{name: fields[name] for name in FIELDS if name in fields}})
        changed = {name: value for name, value in values.items() if value != before[name]}
        for name, value in changed.items():
            setattr(found, name, value)
        if changed:
            found.save(update_fields=list(changed))
            was = _plain({name: before[name] for name in changed})
            audit.record(actor, "campaign.changed", found, before=was, after=_plain(changed))
    return found


def running(campaign: Campaign, day: dt.date) -> bool:
    """Whether it runs on a day: begun, and not over. One without a first day never began."""
    begun = campaign.starts_on is not None and campaign.starts_on <= day
    return begun and (campaign.ends_on is None or campaign.ends_on >= day)


def told(lead: Lead, at: datetime) -> Sequence[Campaign]:
    """The campaigns whose message a rep should know of this lead: its first, and those it acted in lately.

    The latest act first; two queries.
    """
    acted = dict(
        Activity.objects.filter(
            lead=lead, campaign__isnull=False, occurred_at__gt=at - TOLD_FOR, occurred_at__lte=at
        )
        .order_by()
        .values("campaign")
        .annotate(last=Max("occurred_at"))
        .values_list("campaign", "last")
    )
    found = Campaign.objects.filter(Q(pk__in=acted) | Q(pk=lead.first_campaign_id or 0))
    with_word = [row for row in found if row.message_for_sales.strip()]
    return sorted(with_word, key=lambda row: acted.get(row.pk, lead.created_at), reverse=True)[:TOLD]


def _marketing(actor: Actor) -> None:
    if actor.api_key is None and not actor.has_role(*MARKETING, Role.ADMIN):
        raise Forbidden("Marketing keeps the campaigns.")


def _checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    faults: list[Fault] = []
    values: dict[str, Any] = {}
    for name in ("name", "source", "message_for_sales"):
        text = str(fields.get(name) or "").strip()
        if len(text) > LIMITS[name]:
            faults.append(Fault(name, f"At most {LIMITS[name]:,} characters."))
        if "\x00" in text:
            faults.append(Fault(name, "It holds a NUL character. Take it out."))
        values[name] = text
    if len(values["name"]) < 2:
        faults.append(Fault("name", "Give it a name."))
    values["cost"] = _cost(fields.get("cost"), faults)
    for name in ("starts_on", "ends_on"):
        values[name] = _day(fields.get(name), name, faults)
    if values["starts_on"] and values["ends_on"] and values["ends_on"] < values["starts_on"]:
        faults.append(Fault("ends_on", "It ends before it begins."))
    if faults:
        raise BadInput("The campaign cannot be taken.", faults)
    return values


def _cost(raw: Any, faults: list[Fault]) -> Decimal | None:
    if raw in (None, ""):
        return None
    try:
        cost = money_typed(raw) if isinstance(raw, str) else Decimal(str(raw))
    except InvalidOperation:
        cost = None
    if cost is None or not cost.is_finite() or not 0 <= cost < HIGHEST:
        faults.append(Fault("cost", "Write the cost as a number that is not negative."))
        return None
    return round(cost, 2)


def _day(raw: Any, name: str, faults: list[Fault]) -> dt.date | None:
    if raw in (None, ""):
        return None
    if isinstance(raw, dt.date):
        return raw
    try:
        found = dt.date.fromisoformat(str(raw).strip())
    except ValueError:
        faults.append(Fault(name, "Write the day as 2026-12-31."))
        return None
    if not 2000 <= found.year <= 2100:
        faults.append(Fault(name, "Choose a day between 2000 and 2100."))
    return found


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if value is None or isinstance(value, str) else str(value)
        for name, value in values.items()
    }
