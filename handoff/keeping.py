"""How promises were kept in the last four weeks, by rep and by team, as the board shows it.

Two figures, never mixed: by rep the holder's share, the total the lead's own clock. A clock past due that
still runs is missed already. The report counts the same over the same days.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import QuerySet

from handoff.clocks import RESULTS
from handoff.models import Handoff
from leadflow.accounts.models import Organisation

DAYS = 28
# A lead's own promises of both halves, the holders' of the second: nothing else is shown. Of the handoffs
# only those to be called are looked up, all of them together.
_COUNTS = f"""
    WITH due AS MATERIALIZED (
        SELECT r.handoff_id, r.scope, r.promise, r.holder_id, r.due < %(start)s AS earlier, r.result
        FROM ({RESULTS}) r
        WHERE r.result IN ('met', 'missed') AND r.promise IN ('acceptance', 'first_touch')
          AND r.due >= %(before)s AND r.due <= %(at)s AND (r.scope = 'lead' OR r.due >= %(start)s)
          AND (%(teams)s::bigint[] IS NULL OR r.team_id = ANY(%(teams)s::bigint[]))
    ), h AS (
        SELECT id, reached_at FROM handoff_handoff WHERE id = ANY(ARRAY(
            SELECT DISTINCT handoff_id FROM due WHERE promise = 'first_touch' AND NOT earlier))
    )
    SELECT r.scope, r.promise, CASE WHEN r.scope = 'holder' THEN r.holder_id END,
           r.earlier, count(*) FILTER (WHERE r.result = 'met'), count(*),
           count(*) FILTER (WHERE h.reached_at IS NOT NULL)
    FROM due r LEFT JOIN h ON h.id = r.handoff_id
    GROUP BY 1, 2, 3, 4
"""  # noqa: S608 - made of our own text, values are bound
_ANSWERED = f"""
    SELECT count(*) FILTER (WHERE r.result = 'met'), count(*) FROM ({RESULTS}) r
    WHERE r.result IN ('met', 'missed') AND r.promise = 'acceptance' AND r.scope = 'holder'
      AND r.due >= %(start)s AND r.due <= %(at)s AND r.holder_id = %(rep)s
"""  # noqa: S608
_CALLED = f"""
    SELECT DISTINCT r.handoff_id FROM ({RESULTS}) r
    WHERE r.result IN ('met', 'missed') AND r.promise = 'first_touch' AND r.scope = 'holder'
      AND r.due >= %(start)s AND r.due <= %(at)s AND r.holder_id = %(rep)s
"""  # noqa: S608


@dataclass(frozen=True)
class Share:
    """So many of so many; `percent` None without any."""

    part: int = 0
    whole: int = 0

    @property
    def percent(self) -> int | None:
        return round(100 * self.part / self.whole) if self.whole else None

    def __add__(self, other: "Share") -> "Share":
        return Share(self.part + other.part, self.whole + other.whole)


@dataclass(frozen=True)
class Kept:
    """Answered in time, called in time, and of those to be called how many were reached."""

    answered: Share = Share()
    called: Share = Share()
    reached: Share = Share()


@dataclass(frozen=True)
class Weeks:
    """Four weeks: by rep, the teams' total and that of the four weeks before; first and last day."""

    start: date
    end: date
    reps: dict[int, Kept] = field(default_factory=dict)
    total: Kept = Kept()
    before: Kept = Kept()


def days(at: datetime, zone: str = "") -> tuple[date, date]:
    """First and last day of the four weeks that end today, in the company's zone (asked for unless given)."""
    end = at.astimezone(ZoneInfo(zone or Organisation.get().tz)).date()
    return end - timedelta(days=DAYS - 1), end


def four_weeks(teams: Sequence[int] | None, at: datetime, zone: str = "") -> Weeks:
    """The four weeks that end today, of these teams (None: all); one query, and one for the company's zone
    unless it is given."""
    zone = zone or Organisation.get().tz
    start, end = days(at, zone)
    bound = {
        "at": at,
        "start": _midnight(start, zone),
        "before": _midnight(start - timedelta(days=DAYS), zone),
        "teams": None if teams is None else list(teams),
    }
    found: dict[tuple[int | None, bool, str], Share] = {}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, bound)
        for scope, promise, rep, earlier, met, every, reached in cursor.fetchall():
            who = rep if scope == "holder" else 0
            found[(who, earlier, promise)] = Share(met, every)
            if promise == "first_touch":
                found[(who, earlier, "reached")] = Share(reached, every)

    def kept(who: int | None, earlier: bool) -> Kept:
        one = (found.get((who, earlier, name), Share()) for name in ("acceptance", "first_touch", "reached"))
        return Kept(*one)

    reps = {who for who, _, _ in found if who}
    return Weeks(start, end, {rep: kept(rep, False) for rep in reps}, kept(0, False), kept(0, True))


def answered(rep_id: int, at: datetime, zone: str = "") -> Share:
    """How much of what one rep had to answer in the four weeks was answered in time, whatever team they had;
    queries as `four_weeks`."""
    zone = zone or Organisation.get().tz
    with connection.cursor() as cursor:
        cursor.execute(_ANSWERED, {"at": at, "start": _midnight(days(at, zone)[0], zone), "rep": rep_id})
        return Share(*cursor.fetchone())


def called(rep_id: int, at: datetime) -> QuerySet[Handoff]:
    """The handoffs whose first call by this rep fell due in the four weeks: reached, or not yet."""
    zone = Organisation.get().tz
    with connection.cursor() as cursor:
        cursor.execute(_CALLED, {"at": at, "start": _midnight(days(at, zone)[0], zone), "rep": rep_id})
        ids = [row[0] for row in cursor.fetchall()]
    return Handoff.objects.filter(pk__in=ids).select_related("lead__company").order_by("-offered_at", "-pk")


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
