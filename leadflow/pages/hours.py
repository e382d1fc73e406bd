"""Working hours and days of their own: settings outside the agreement, each change on the trail."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from handoff.models import Calendar, CalendarDay, TeamCalendar
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MANAGERS, Team
from leadflow.errors import Forbidden

FIELDS = ("name", "tz", "country", "region", "week")


def save_calendar(actor: Actor, calendar: Calendar | None, fields: Mapping[str, Any]) -> Calendar:
    """Make or change working hours. They hold for promises made from now on."""
    _manager(actor)
    chosen = {key: fields[key] for key in FIELDS if key in fields}
    with transaction.atomic():
        if calendar is None:
            made = Calendar.objects.create(**chosen)
            audit.record(actor, "hours.made", made, after=chosen)
            return made
        before = {key: getattr(calendar, key) for key in chosen}
        for key, value in chosen.items():
            setattr(calendar, key, value)
        if before != chosen:
            calendar.save(update_fields=list(chosen))
            audit.record(actor, "hours.changed", calendar, before=before, after=chosen)
    return calendar


def set_day(actor: Actor, calendar: Calendar, fields: Mapping[str, Any]) -> CalendarDay:
    """Give one date hours of its own, or close it."""
    _manager(actor)
    with transaction.atomic():
        day, _ = CalendarDay.objects.update_or_create(
            calendar=calendar,
            date=fields["date"],
            defaults={"spans": fields.get("hours", []), "label": fields.get("label", "")},
        )
        audit.record(
            actor,
            "hours.day",
            calendar,
            after={"date": str(day.date), "spans": day.spans, "label": day.label},
        )
    return day


def drop_day(actor: Actor, day: CalendarDay) -> None:
    """Let the date be as every week again."""
    _manager(actor)
    with transaction.atomic():
        audit.record(
            actor, "hours.day_dropped", day.calendar, before={"date": str(day.date), "spans": day.spans}
        )
        day.delete()


def use_calendar(actor: Actor, team: Team, calendar: Calendar | None) -> None:
    """Let a team work by these hours; None = the standard week."""
    _manager(actor)
    present = TeamCalendar.objects.filter(team=team).first()
    if (present.calendar_id if present else None) == (calendar.pk if calendar else None):
        return
    with transaction.atomic():
        if calendar is None:
            TeamCalendar.objects.filter(team=team).delete()
        else:
            TeamCalendar.objects.update_or_create(team=team, defaults={"calendar": calendar})
        audit.record(actor, "team.hours", team, after={"calendar": calendar.name if calendar else None})


def _manager(actor: Actor) -> None:
    if not actor.has_role(*MANAGERS):
        raise Forbidden("Only managers and admins change working hours.")
