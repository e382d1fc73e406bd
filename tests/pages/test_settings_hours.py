"""Working hours with a look ahead, whose they are, absence by half days, and clocks that stumbled."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from handoff import absences, calendars
from handoff.models import Absence, Calendar, Handoff, TeamCalendar
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import AuditEntry
from leadflow.errors import BadInput, Forbidden
from tests.handoff.conftest import agreement, berlin, flow, offered  # noqa: F401

pytestmark = pytest.mark.django_db
WEEK = {f"day{n}": "09:00-12:30, 13:30-18:00" for n in range(5)}
HOURS = {"name": "Munich", "tz": "Europe/Berlin", "country": "DE", "region": "BY", **WEEK}


@pytest.fixture
def munich(people, as_user):
    """Working hours made in the browser by the sales manager."""
    as_user(people.rosa).post("/settings/hours/new/", HOURS)
    return Calendar.objects.get()


def test_the_next_four_weeks_show_before_anything_is_saved(people, as_user, at):
    client = as_user(people.rosa)
    text = client.post("/settings/hours/look/", {**HOURS, "day2": "", "day5": "10-14"}).content.decode()
    assert not Calendar.objects.exists()
    # Tuesday 24 November begins in the middle of a week: five rows until 21 December.
    assert text.count("<tr>") == 6
    assert "10:00–14:00" in text
    wrong = client.post("/settings/hours/look/", {**HOURS, "day0": "morning"}).content.decode()
    assert "Write hours as 09:00-12:30" in wrong
    none = client.post("/settings/hours/look/", {"name": "x", "tz": "UTC"}).content.decode()
    assert "At least one day must be open" in none


def test_holidays_of_country_and_region_are_closed_and_named(munich, people, as_user, at):
    assert calendars.holiday_names("DE", "BY")[date(2027, 1, 6)] == "Epiphany"
    assert date(2027, 1, 6) not in calendars.holiday_names("DE", "BE")
    assert calendars.calendar_of(munich).spans_of(date(2027, 1, 6)) == []
    client = as_user(people.rosa)
    page = client.get(f"/settings/hours/{munich.pk}/").content.decode()
    assert "Epiphany" in page
    assert "Bavaria" in page or "Bayern" in page
    assert "Tirol" in client.get("/settings/hours/regions/?country=AT").content.decode()
    assert client.get("/settings/hours/regions/?country=XX").content.decode().count("<option") == 1
    assert client.post("/settings/hours/new/", {**HOURS, "name": "X", "region": "XX"}).status_code == 422
    client.post(
        f"/settings/hours/{munich.pk}/day/", {"date": "2027-01-06", "kind": "open", "label": "stocktaking"}
    )
    assert len(calendars.calendar_of(munich).spans_of(date(2027, 1, 6))) == 2


def test_a_half_day_ends_at_the_break_and_several_days_close_at_once(munich, people, as_user, at):
    client, url = as_user(people.rosa), f"/settings/hours/{munich.pk}/day/"
    client.post(url, {"date": "2026-12-24", "kind": "morning", "label": "Christmas Eve"})
    client.post(url, {"date": "2026-12-28", "until": "2026-12-31", "kind": "closed"})
    days = {day.date: day.spans for day in munich.days.all()}
    assert days[date(2026, 12, 24)] == [["09:00", "12:30"]]
    assert [days[date(2026, 12, day)] for day in (28, 29, 30, 31)] == [[], [], [], []]
    for wrong, words in (
        ({"date": "2026-11-23", "kind": "closed"}, "That day has passed"),
        ({"date": "2026-12-02", "until": "2026-12-01"}, "lies before the first"),
        ({"date": "2026-12-02", "kind": "hours"}, "Write the hours of that day"),
    ):
        answer = client.post(url, wrong)
        assert answer.status_code == 422
        assert words in answer.content.decode()


def test_which_team_works_by_which_hours_is_chosen_on_the_page(munich, people, as_user):
    client = as_user(people.rosa)
    client.post("/settings/hours/", {f"team{people.north.pk}": munich.pk, f"team{people.south.pk}": ""})
    assert TeamCalendar.objects.get().team == people.north
    assert "North" in client.get("/settings/hours/").content.decode()
    assert AuditEntry.objects.filter(verb="team.hours").count() == 1


@pytest.mark.parametrize(
    ("spans", "morning"),
    [
        ([("09:00", "17:00")], [["09:00", "13:00"]]),
        ([("08:00", "10:00"), ("11:00", "13:00"), ("14:00", "15:00")], [["08:00", "10:00"]]),
        ([], []),
    ],
)
def test_the_middle_of_a_day_is_its_break_or_half_its_time(spans, morning):
    assert calendars.spans_to(calendars.half(calendars.spans_from(spans), morning=True)) == morning


# Absence


def test_a_rep_plans_an_absence_and_takes_it_back(people, as_user, at):
    client = as_user(people.sam)
    data = {
        "user": people.sam.pk,
        "first": "2026-11-30",
        "last": "2026-12-02",
        "until_middle": "on",
        "reason": "training",
    }
    assert client.post("/settings/absence/", data).status_code == 302
    row = Absence.objects.get()
    assert (row.starts_at, row.ends_at) == (berlin(2026, 11, 30), berlin(2026, 12, 2, 12, 30))
    page = client.get("/settings/absence/").content.decode()
    assert "Mon 30 Nov to Wed 2 Dec, until 12:30" in page
    assert page.count("away, all day") >= 2
    assert "away, morning" in page
    assert "already" in client.post("/settings/absence/", data).content.decode()
    client.post(f"/settings/absence/{row.pk}/drop/")
    assert not Absence.objects.exists()


def test_an_absence_that_is_over_or_turned_round_is_refused_in_words(people, at):
    for first, last, words in (
        (date(2026, 11, 20), date(2026, 11, 23), "over already"),
        (date(2026, 12, 2), date(2026, 12, 1), "before the first"),
        (date(2026, 12, 2), date(2028, 12, 1), "a year"),
    ):
        with pytest.raises(BadInput) as no:
            absences.plan(people.sam, absences.Plan(first, last), person(people.sam), at=at)
        assert words in no.value.faults[0].message
    same = absences.Plan(date(2026, 12, 2), date(2026, 12, 2), True, True)
    with pytest.raises(BadInput):
        absences.plan(people.sam, same, person(people.sam), at=at)


def test_only_the_person_and_their_manager_plan_an_absence(people, at):
    wanted = absences.Plan(date(2026, 12, 2), date(2026, 12, 2))
    for stranger in (people.ben, people.mia):
        with pytest.raises(Forbidden):
            absences.plan(people.sam, wanted, person(stranger), at=at)
    assert absences.plan(people.sam, wanted, person(people.rosa), at=at).created_by == people.rosa
    assert [user.name for user in absences.whose(people.sam)] == ["Sam"]
    assert {"Sam", "Ben"} <= {user.name for user in absences.whose(people.rosa)}


def test_on_the_day_it_begins_offers_that_fall_due_go_to_colleagues(offered, people):  # noqa: F811
    handoff = offered()
    owner = handoff.owner
    other = people.ben if owner == people.sam else people.sam
    absences.plan(
        owner,
        absences.Plan(date(2026, 11, 24), date(2026, 11, 26), from_middle=True),
        person(owner),
        at=clock.now(),
    )
    assert absences.begin(clock.now()) == 0
    with clock.use(berlin(2026, 11, 24, 12, 31)):
        assert absences.begin(clock.now()) == 1
        assert absences.begin(clock.now()) == 0
    after = Handoff.objects.get(pk=handoff.pk)
    assert after.owner == other
    assert after.transitions.get(action="reassign").note == f"{owner.name} is away"


def test_the_page_of_absences_asks_as_much_for_many_as_for_few(people, as_user, at):
    client, asked = as_user(people.rosa), []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            client.get("/settings/absence/")
        asked.append(len(queries))
        for n in range(12):
            user = people.sam if n % 2 else people.ben
            start = berlin(2026, 12, 1) + timedelta(days=n)
            Absence.objects.create(user=user, starts_at=start, ends_at=start + timedelta(hours=5))
    assert asked[0] == asked[1]


# Clocks


def test_the_admin_sees_which_clock_stumbled_and_tries_it_again(offered, people, as_user):  # noqa: F811
    handoff = offered()
    client = as_user(people.admin)
    assert "No clock has stumbled" in client.get("/settings/clocks/").content.decode()
    Handoff.objects.filter(pk=handoff.pk).update(
        tick_failures=3, tick_error="DataError: no such day", sla_tick_at=berlin(2026, 11, 24, 20, 0)
    )
    page = client.get("/settings/clocks/").content.decode()
    assert "DataError: no such day" in page
    client.post("/settings/clocks/again/", {"handoff": handoff.pk})
    after = Handoff.objects.get(pk=handoff.pk)
    assert (after.tick_failures, after.tick_error) == (0, "")
    assert AuditEntry.objects.filter(verb="clock.again").count() == 1
