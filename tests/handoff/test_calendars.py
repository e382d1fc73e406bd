"""Working time: the shared cases, the laws, and what a calendar refuses."""

import json
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handoff import calendars
from handoff.calendars import WorkCalendar
from handoff.models import Calendar, CalendarDay
from tests.shared_data import shared

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
NINE_TO_SIX = {day: [(time(9), time(12, 30)), (time(13, 30), time(18))] for day in range(5)}


def clock_time(text: str) -> time:
    hour, minute = text.split(":")
    return time(int(hour) % 24, int(minute))


def shared_calendar(raw: dict) -> WorkCalendar:
    week = {
        DAYS.index(day): [(clock_time(a), clock_time(b)) for a, b in spans]
        for day, spans in raw["hours"].items()
    }
    return WorkCalendar(raw["tz"], week, {date.fromisoformat(day) for day in raw["holidays"]})


def test_all_shared_cases_come_out_as_in_the_projects_they_were_taken_from():
    cases = json.loads(shared("sla_cases.json").read_text())
    found = {name: shared_calendar(raw) for name, raw in cases["calendars"].items()}
    wrong = []
    for case in cases["cases"]:
        calendar = found[case["calendar"]]
        start = datetime.fromisoformat(case["start"])
        pauses = [(datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in case.get("pauses", [])]
        if case["op"] == "add":
            answer = calendar.add(start, timedelta(seconds=case["seconds"]), pauses)
            right = answer == datetime.fromisoformat(case["expected"])
        else:
            answer = calendar.between(start, datetime.fromisoformat(case["end"]), pauses).total_seconds()
            right = answer == case["expected"]
        if not right:
            wrong.append((case["id"], case["expected"], answer))
    assert len(cases["cases"]) >= 48
    assert not wrong


instants = st.integers(0, 3 * 365 * 86_400).map(
    lambda s: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=s)
)
amounts = st.integers(1, 400 * 3600).map(lambda s: timedelta(seconds=s))
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
weeks = st.sampled_from(
    [
        NINE_TO_SIX,
        {day: [(time(0), time(0))] for day in range(7)},
        {0: [(time(22), time(0))], 1: [(time(0), time(6))], 6: [(time(1), time(4))]},
        {5: [(time(1, 30), time(3, 30))], 6: [(time(2), time(2, 30)), (time(2, 30), time(12))]},
    ]
)


@st.composite
def pauses(draw) -> list[tuple[datetime, datetime]]:
    starts = draw(st.lists(instants, max_size=3))
    return [(start, start + draw(st.timedeltas(timedelta(0), timedelta(days=9)))) for start in starts]


@settings(max_examples=300, deadline=None)
@given(zones, weeks, instants, amounts, pauses())
def test_between_answers_what_add_was_given_forwards_and_backwards(tz, week, start, amount, stops):
    calendar = WorkCalendar(tz, week, {date(2026, 1, 1), date(2026, 12, 25)}, {date(2026, 12, 24): []})
    due = calendar.add(start, amount, stops)
    assert calendar.between(start, due, stops) == amount
    assert calendar.between(due, start, stops) == -amount
    before = calendar.add(start, -amount, stops)
    assert calendar.between(before, start, stops) == amount


@settings(max_examples=200, deadline=None)
@given(zones, weeks, instants, amounts, amounts)
def test_adding_in_two_steps_is_adding_the_sum(tz, week, start, first, second):
    calendar = WorkCalendar(tz, week)
    assert calendar.add(calendar.add(start, first), second) == calendar.add(start, first + second)


@settings(max_examples=200, deadline=None)
@given(zones, weeks, instants, instants)
def test_working_time_is_the_minutes_in_hours_counted_one_by_one(tz, week, a, b):
    low = min(a, b).replace(second=0, microsecond=0)
    high = min(max(a, b), low + timedelta(hours=30)).replace(second=0, microsecond=0)
    calendar = WorkCalendar(tz, week)
    counted = 0
    moment = low
    while moment < high:
        local = moment.astimezone(ZoneInfo(tz))
        inside = any(
            opens <= local.time() and (closes == time(0) or local.time() < closes)
            for opens, closes in week.get(local.weekday(), [])
        )
        counted += inside
        moment += timedelta(minutes=1)
    assert calendar.between(low, high) == timedelta(minutes=counted)


def test_a_start_outside_hours_counts_from_the_next_opening():
    calendar = WorkCalendar("Europe/Berlin", NINE_TO_SIX)
    saturday = datetime(2026, 11, 21, 15, 0, tzinfo=ZoneInfo("Europe/Berlin"))
    assert calendar.add(saturday, timedelta(hours=1)) == datetime(
        2026, 11, 23, 10, 0, tzinfo=ZoneInfo("Europe/Berlin")
    )
    assert calendar.add(saturday, timedelta(0)).astimezone(ZoneInfo("Europe/Berlin")).hour == 9
    assert calendar.working_date(saturday) == date(2026, 11, 23)


def test_spans_that_touch_merge_and_a_day_of_its_own_beats_the_holiday():
    week = {0: [(time(9), time(11)), (time(11), time(12)), (time(10), time(13))]}
    calendar = WorkCalendar("UTC", week, {date(2026, 11, 23)}, {date(2026, 11, 23): [(time(10), time(12))]})
    assert calendar.spans_of(date(2026, 11, 30)) == [(time(9), time(13))]
    assert calendar.spans_of(date(2026, 11, 23)) == [(time(10), time(12))]


@pytest.mark.parametrize(
    "week", [{}, {0: []}, {7: [(time(9), time(10))]}, {0: [(time(10), time(9))]}, {0: [(time(9), time(9))]}]
)
def test_a_week_that_makes_no_sense_is_refused(week):
    with pytest.raises(ValueError):
        WorkCalendar("UTC", week)


def test_a_calendar_that_never_opens_says_so_instead_of_searching_for_ever():
    closed = {
        date.fromordinal(n): [] for n in range(date(1900, 1, 1).toordinal(), date(2200, 1, 1).toordinal())
    }
    calendar = WorkCalendar("UTC", {0: [(time(9), time(10))]}, (), closed)
    with pytest.raises(ValueError, match="closed for ever"):
        calendar.add(datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1))


@pytest.mark.django_db
def test_a_team_works_by_its_calendar_with_public_holidays_and_own_days(people):
    calendar = calendars.ensure_calendar(people.north)
    assert calendars.ensure_calendar(people.north) == calendar
    team = calendars.for_team(people.north.pk)
    assert team.spans_of(date(2026, 12, 25)) == []
    assert team.spans_of(date(2026, 12, 24)) == [(time(9), time(12, 30)), (time(13, 30), time(18))]
    CalendarDay.objects.create(calendar=calendar, date=date(2026, 12, 24), spans=[["09:00", "12:00"]])
    assert calendars.for_team(people.north.pk).spans_of(date(2026, 12, 24)) == [(time(9), time(12))]
    Calendar.objects.filter(pk=calendar.pk).update(week={"6": [["10:00", "24:00"]]})
    assert calendars.for_team(people.north.pk).spans_of(date(2026, 11, 29)) == [(time(10), time(0))]
    assert calendars.for_team(people.south.pk).zone == ZoneInfo("Europe/Berlin")
    assert calendars.for_team(None).spans_of(date(2026, 11, 23))
