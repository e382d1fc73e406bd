"""Working time: pure arithmetic over opening hours, and the calendars that teams work by.

A `WorkCalendar` lays its opening spans out on one line with running sums of working time, so that both
questions (when is so much time used up, how much lies between) are two bisections.
"""

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection

if TYPE_CHECKING:
    from handoff.models import Calendar
    from leadflow.accounts.models import Team

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY = 86_400_000_000
HOUR = 3_600_000_000
# Nobody promises anything further away; a longer search means that the calendar never opens.
HORIZON_DAYS = 100 * 366

Span = tuple[time, time]
Pause = tuple[datetime, datetime]


class _Line(NamedTuple):
    """The opening spans from `low` to `high` (instants), in microseconds since the epoch.

    `before[i]` is the working time ahead of span i, `after[i]` that up to its end.
    """

    low: int
    high: int
    first: date
    last: date
    starts: list[int]
    ends: list[int]
    before: list[int]
    after: list[int]


class WorkCalendar:
    """Opening hours in a zone. Instants go in aware and come out in UTC.

    `week` maps weekday (0 = Monday) to spans of wall-clock time; an end of `time(0)` is midnight, spans that
    touch or overlap merge. `holidays` are closed. `days` replaces the hours of single dates and beats both
    (an empty list closes). Durations are absolute: on the night the clocks change a day is 23 or 25 hours.
    Raises ValueError for a week without any span, a weekday out of 0–6, or a span that ends before it starts.
    """

    def __init__(
        self,
        tz: str,
        week: Mapping[int, Sequence[Span]],
        holidays: Iterable[date] = (),
        days: Mapping[date, Sequence[Span]] | None = None,
    ) -> None:
        self.zone = ZoneInfo(tz)
        if any(day not in range(7) for day in week):
            raise ValueError("a weekday is 0 (Monday) to 6 (Sunday)")
        self._week = {day: _merge(spans) for day, spans in week.items()}
        if not any(self._week.values()):
            raise ValueError("a calendar needs at least one span of working time in its week")
        self._holidays = frozenset(holidays)
        self._days = {day: _merge(spans) for day, spans in (days or {}).items()}
        self._line: _Line | None = None
        self._lock = Lock()

    def add(self, start: datetime, working: timedelta, pauses: Sequence[Pause] = ()) -> datetime:
        """The instant at which `working` time from `start` is used up; negative counts backwards.

        A start outside hours counts from the next opening (backwards: the last closing); time that is used
        up at closing is due at closing. In `pauses` the clock stands still. `add(x, 0)` outside hours is the
        next opening.
        """
        at, amount = _micros(start), working // MICROSECOND
        stops = _merge_pauses(pauses) if pauses else ()
        if amount > 0:
            found = self._forward(at, amount, stops)
        elif amount < 0:
            found = self._backward(at, -amount, stops)
        else:
            found = self._opening(at, stops)
        return EPOCH + timedelta(microseconds=found)

    def between(self, a: datetime, b: datetime, pauses: Sequence[Pause] = ()) -> timedelta:
        """The working time from `a` to `b` without the `pauses`; negative when `b` is before `a`."""
        start, end = _micros(a), _micros(b)
        if end < start:
            return -self.between(b, a, pauses)
        line = self._covering(start, end)
        worked = _worked(line, end) - _worked(line, start)
        for stop, go in _merge_pauses(pauses) if pauses else ():
            low, high = max(stop, start), min(go, end)
            if low < high:
                worked -= _worked(line, high) - _worked(line, low)
        return timedelta(microseconds=worked)

    def is_open(self, at: datetime) -> bool:
        """Whether `at` lies in working hours (the closing instant does not)."""
        instant = _micros(at)
        line = self._covering(instant, instant)
        i = bisect_right(line.starts, instant) - 1
        return i >= 0 and instant < line.ends[i]

    def spans_of(self, day: date) -> list[Span]:
        """The opening spans of a date in wall-clock time, for showing a calendar."""
        if day in self._days:
            return self._days[day]
        if day in self._holidays:
            return []
        return self._week.get(day.weekday(), [])

    def middle(self, day: date) -> time:
        """Where half a day begins or ends (see `middle`)."""
        return middle(self.spans_of(day))

    def usual(self, day: date) -> list[Span]:
        """The hours that a date's weekday has every week."""
        return self._week.get(day.weekday(), [])

    def holiday(self, day: date) -> bool:
        """Whether a date is a public holiday that no own day replaces."""
        return day in self._holidays and day not in self._days

    def working_date(self, at: datetime) -> date:
        """The date to whose work `at` belongs: today, or after closing the next working day."""
        return self.add(at, timedelta(0)).astimezone(self.zone).date()

    def _forward(self, at: int, amount: int, stops: Sequence[tuple[int, int]]) -> int:
        line = self._covering(at, max([at, *(go for _, go in stops)]))
        while True:
            goal = _worked(line, at) + amount
            for stop, go in stops:
                low = max(stop, at)
                if low < go and _worked(line, low) < goal:
                    goal += _worked(line, go) - _worked(line, low)
            i = bisect_left(line.after, goal)
            if i < len(line.after):
                return line.starts[i] + goal - line.before[i]
            line = self._grow(line, later=True)

    def _backward(self, at: int, amount: int, stops: Sequence[tuple[int, int]]) -> int:
        line = self._covering(min([at, *(stop for stop, _ in stops)]), at)
        while True:
            goal = _worked(line, at) - amount
            for stop, go in reversed(stops):
                high = min(go, at)
                if stop < high and _worked(line, high) > goal:
                    goal -= _worked(line, high) - _worked(line, stop)
            i = bisect_right(line.before, goal) - 1
            if i >= 0:
                return line.starts[i] + goal - line.before[i]
            line = self._grow(line, later=False)

    def _opening(self, at: int, stops: Sequence[tuple[int, int]]) -> int:
        while True:
            line = self._covering(at, at)
            i = bisect_right(line.starts, at) - 1
            if i < 0 or at >= line.ends[i]:
                if i + 1 == len(line.starts):
                    self._grow(line, later=True)
                    continue
                at = line.starts[i + 1]
            go = next((go for stop, go in stops if stop <= at < go), None)
            if go is None:
                return at
            at = go

    def _covering(self, low: int, high: int) -> _Line:
        line = self._line
        while line is None or low < line.low or high > line.high:
            line = self._grow(line, low=low, high=high)
        return line

    def _grow(
        self, old: _Line | None, *, low: int | None = None, high: int | None = None, later: bool = True
    ) -> _Line:
        """Lay out a longer line. Readers keep the one they hold, so that no reader ever waits."""
        with self._lock:
            line = self._line
            if line is not None and line is not old:
                return line
            if line is None:
                first = _day_of(low or 0) - timedelta(days=60)
                last = _day_of(high or 0) + timedelta(days=400)
            else:
                more = max(366, (line.last - line.first).days)
                if more > HORIZON_DAYS:
                    raise ValueError("this calendar stays closed for ever")
                first, last = line.first, line.last
                if low is not None and high is not None:
                    first = min(first, _day_of(low) - timedelta(days=60))
                    last = max(last, _day_of(high) + timedelta(days=400))
                elif later:
                    last += timedelta(days=more)
                else:
                    first -= timedelta(days=more)
            self._line = self._lay(first, last)
            return self._line

    def _lay(self, first: date, last: date) -> _Line:
        starts: list[int] = []
        ends: list[int] = []
        for number in range(first.toordinal(), last.toordinal() + 1):
            day = date.fromordinal(number)
            for low, high in self._instants(day, self.spans_of(day)):
                if ends and low <= ends[-1]:
                    ends[-1] = max(ends[-1], high)
                else:
                    starts.append(low)
                    ends.append(high)
        before, after, total = [], [], 0
        for low, high in zip(starts, ends, strict=True):
            before.append(total)
            total += high - low
            after.append(total)
        # A day's margin on both sides: the ends of the line are dates in the zone, questions are instants.
        low_edge, high_edge = _naive_micros(first) + DAY, _naive_micros(last) - DAY
        return _Line(low_edge, high_edge, first, last, starts, ends, before, after)

    def _instants(self, day: date, spans: Sequence[Span]) -> list[tuple[int, int]]:
        """The spans of a date as instants. On the day the clocks change, hours that do not exist give no
        time and hours that come twice count twice."""
        if not spans:
            return []
        midnight = _naive_micros(day)
        pieces = self._pieces(midnight)
        found = []
        for opens, closes in spans:
            low = midnight + _of_day(opens)
            high = midnight + (_of_day(closes) or DAY)
            for begin, end, offset in pieces:
                piece = max(low - offset, begin), min(high - offset, end)
                if piece[0] < piece[1]:
                    found.append(piece)
        return sorted(found)

    def _pieces(self, midnight: int) -> list[tuple[int, int, int]]:
        """Intervals of constant offset from UTC around a local day: (from, to, offset)."""
        low, high = midnight - 16 * HOUR, midnight + DAY + 16 * HOUR
        before, after = self._offset(low), self._offset(high)
        if before == after:
            return [(low, high, before)]
        left, right = low, high
        while right - left > 1:
            middle = (left + right) // 2
            left, right = (middle, right) if self._offset(middle) == before else (left, middle)
        return [(low, right, before), (right, high, after)]

    def _offset(self, instant: int) -> int:
        offset = (EPOCH + timedelta(microseconds=instant)).astimezone(self.zone).utcoffset()
        return (offset or timedelta(0)) // MICROSECOND


def _worked(line: _Line, at: int) -> int:
    """Working time from the line's beginning to `at`."""
    i = bisect_right(line.starts, at) - 1
    return 0 if i < 0 else line.before[i] + min(at, line.ends[i]) - line.starts[i]


def _merge(spans: Sequence[Span]) -> list[Span]:
    merged: list[tuple[int, int]] = []
    for opens, closes in sorted(spans):
        low, high = _of_day(opens), _of_day(closes) or DAY
        if high <= low:
            raise ValueError(f"working hours from {opens:%H:%M} to {closes:%H:%M} end before they start")
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], high)
        else:
            merged.append((low, high))
    return [(_time_of(low), _time_of(high)) for low, high in merged]


def _merge_pauses(pauses: Sequence[Pause]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted((_micros(a), _micros(b)) for a, b in pauses):
        if high <= low:
            continue
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], high)
        else:
            merged.append((low, high))
    return merged


def _micros(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def _naive_micros(day: date) -> int:
    return (day.toordinal() - EPOCH.toordinal()) * DAY


def _day_of(instant: int) -> date:
    return (EPOCH + timedelta(microseconds=instant)).date()


def _of_day(moment: time) -> int:
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000 + moment.microsecond


def _time_of(micros: int) -> time:
    return (EPOCH + timedelta(microseconds=micros % DAY)).time()


# Every hour there is, for promises that run around the clock.
AROUND_THE_CLOCK = WorkCalendar("UTC", {day: [(time(0), time(0))] for day in range(7)})

# ---- The calendars of teams -------------------------------------------------------------------------------

# As text: hours that did not change are the calendar made before.
_HOURS = """
    SELECT t.id, coalesce(c.tz, t.tz), c.week::text, coalesce(c.country, ''), coalesce(c.region, ''),
        (SELECT json_agg(json_build_array(d.date, d.spans) ORDER BY d.date)::text
         FROM handoff_calendarday d WHERE d.calendar_id = c.id)
    FROM accounts_team t
    LEFT JOIN handoff_teamcalendar tc ON tc.team_id = t.id
    LEFT JOIN handoff_calendar c ON c.id = tc.calendar_id
    WHERE t.id = ANY(%s)
"""
MORNING_AND_AFTERNOON = [["09:00", "12:30"], ["13:30", "18:00"]]
DEFAULT_WEEK = {str(day): MORNING_AND_AFTERNOON for day in range(5)}
USUAL_WEEK = json.dumps(DEFAULT_WEEK)
HOLIDAY_YEARS = range(2005, 2061)


def for_team(team_id: int | None) -> WorkCalendar:
    """The calendar that a team works by; without one of its own, the usual week in the team's zone."""
    return for_teams([team_id])[team_id]


def for_teams(team_ids: Iterable[int | None]) -> dict[int | None, WorkCalendar]:
    """The calendars of several teams in one query, two with None, which stands for the organisation."""
    from leadflow.accounts.models import Organisation

    wanted = set(team_ids)
    found: dict[int | None, WorkCalendar] = {}
    with connection.cursor() as cursor:
        cursor.execute(_HOURS, [[team for team in wanted if team is not None]])
        for team, tz, week, country, region, days in cursor.fetchall():
            found[team] = _made(tz, week or USUAL_WEEK, country, region, days or "[]")
    if wanted - set(found):
        usual = _made(Organisation.get().tz, USUAL_WEEK, "", "", "[]")
        found.update(dict.fromkeys(wanted - set(found), usual))
    return found


def ensure_calendar(team: "Team") -> "Calendar":
    """Give a team the usual week with its country's holidays, unless it has a calendar."""
    from handoff.models import Calendar, TeamCalendar
    from leadflow.accounts.models import Organisation

    given = TeamCalendar.objects.select_related("calendar").filter(team=team).first()
    if given:
        return given.calendar
    calendar, _ = Calendar.objects.get_or_create(
        name=f"Hours of {team.name}"[:80],
        defaults={"tz": team.tz, "week": DEFAULT_WEEK, "country": Organisation.get().country},
    )
    TeamCalendar.objects.create(team=team, calendar=calendar)
    return calendar


def week_of(raw: Mapping[str, Sequence[Sequence[str]]]) -> dict[int, list[Span]]:
    """A stored week ({"0": [["09:00", "12:30"]]}) as spans. Raises ValueError for what is no time."""
    return {int(day): spans_from(spans) for day, spans in raw.items()}


def spans_from(raw: Sequence[Sequence[str]]) -> list[Span]:
    """Stored spans as times; "24:00" is midnight."""
    return [(time.fromisoformat(a), time(0) if b == "24:00" else time.fromisoformat(b)) for a, b in raw]


def middle(spans: Sequence[Span]) -> time:
    """Where half a day begins or ends: the break that is nearest to half of its working time, or that half
    itself. Noon on a closed day."""
    ends = [_of_day(closes) or DAY for _, closes in spans]
    lengths = [end - _of_day(opens) for (opens, _), end in zip(spans, ends, strict=True)]
    half = sum(lengths) // 2
    if len(spans) > 1:
        worked = [sum(lengths[: i + 1]) for i in range(len(spans) - 1)]
        return _time_of(ends[min(range(len(worked)), key=lambda i: abs(worked[i] - half))])
    return _time_of(_of_day(spans[0][0]) + half) if spans else time(12)


def half(spans: Sequence[Span], *, morning: bool) -> list[Span]:
    """The hours of half a day: those before its middle, or those after."""
    cut = _of_day(middle(spans))
    found = []
    for opens, closes in spans:
        low, high = _of_day(opens), _of_day(closes) or DAY
        low, high = (low, min(high, cut)) if morning else (max(low, cut), high)
        if low < high:
            found.append((_time_of(low), _time_of(high)))
    return found


def spans_to(spans: Sequence[Span]) -> list[list[str]]:
    """Spans as they are stored."""
    return [[f"{opens:%H:%M}", f"{closes:%H:%M}"] for opens, closes in spans]


def public_holidays(country: str, region: str) -> frozenset[date]:
    """The public holidays of a country (two letters) and region; none for what is not known."""
    return frozenset(holiday_names(country, region))


@lru_cache(maxsize=64)
def holiday_names(country: str, region: str) -> Mapping[date, str]:
    """The public holidays with their names, in English where the country's are known in it."""
    import holidays

    if not country:
        return {}
    try:
        found = holidays.country_holidays(country, subdiv=region or None)
        language = "en_US" if "en_US" in (getattr(found, "supported_languages", None) or ()) else None
        return dict(
            holidays.country_holidays(
                country, subdiv=region or None, years=HOLIDAY_YEARS, language=language
            ).items()
        )
    except NotImplementedError:
        return {}


@lru_cache(maxsize=1)
def countries() -> Mapping[str, str]:
    """The countries whose public holidays are known: two letters and name, by name."""
    from holidays.registry import COUNTRIES

    named = {
        code: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
        for name, code, *_ in COUNTRIES.values()
        if code.isupper()
    }
    return dict(sorted(named.items(), key=lambda item: item[1]))


@lru_cache(maxsize=32)
def regions(country: str) -> Mapping[str, str]:
    """The regions of a country whose holidays differ: code and name, by name."""
    import holidays

    if country not in countries():
        return {}
    known = holidays.country_holidays(country)
    names = known.get_subdivision_aliases()
    return dict(
        sorted(((code, (names.get(code) or [code])[0]) for code in known.subdivisions), key=lambda i: i[1])
    )


def calendar_of(calendar: "Calendar", *, own_days: bool = True) -> WorkCalendar:
    """A stored calendar, also one that is not saved yet. Raises ValueError for a week without hours."""
    rows = calendar.days.order_by("date") if own_days and calendar.pk else []
    days = json.dumps([[row.date.isoformat(), row.spans] for row in rows])
    return _made(calendar.tz, json.dumps(calendar.week), calendar.country, calendar.region, days)


@lru_cache(maxsize=256)
def _made(tz: str, week: str, country: str, region: str, days: str) -> WorkCalendar:
    own = {date.fromisoformat(day): spans_from(spans) for day, spans in json.loads(days)}
    return WorkCalendar(tz, week_of(json.loads(week)), public_holidays(country, region), own)
