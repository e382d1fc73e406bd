"""The day on which an agreement is to be in force, as people write it: in the agreement's own time zone."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from leadflow.errors import BadInput, Fault

PATH = "in_force_from"


def instant(text: str, zone: str) -> datetime:
    """The instant of a written day (its midnight) or day and hour in `zone`; with an offset, that instant.

    Of an hour that comes twice the first counts. Raises BadInput for what is no day, and for an hour that the
    clocks skip.
    """
    try:
        day = parse_date(text.strip())
        found = datetime.combine(day, time()) if day else parse_datetime(text.strip())
    except ValueError:
        found = None
    if found is None:
        raise _bad("Write the day, or the day and the hour: 2026-12-01T09:00.")
    if timezone.is_aware(found):
        return _in_utc(found)
    try:
        at = _in_utc(found.replace(tzinfo=ZoneInfo(zone)))
        back = at.astimezone(ZoneInfo(zone))
    except OverflowError:
        raise _bad("This day is out of the calendar.") from None
    if back.replace(tzinfo=None) != found:
        raise _bad("There is no such hour on that day: the clocks go forward.")
    return at


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except (OverflowError, ValueError):
        raise _bad("This day is out of the calendar.") from None


def _bad(words: str) -> BadInput:
    return BadInput("The day cannot be taken.", [Fault(PATH, words)])
