"""The room of sales, as the agreement's pages ask for it."""

from datetime import date, timedelta

import pytest

from handoff.models import Absence, DailyOffer
from scoring import room
from scoring.document import Document

pytestmark = pytest.mark.django_db


def test_the_room_is_what_is_left_of_the_day_and_of_the_desk(at, people, agreement_in_force):
    DailyOffer.objects.create(user=people.sam, date=at.date(), count=3)
    people.ben.capacity_open = 2
    people.ben.save()
    found = {rep.name: rep for rep in room.ask(Document(agreement_in_force.content), at).reps}
    assert (found["Sam"].free_today, found["Sam"].free) == (5, 40)
    assert (found["Ben"].free_today, found["Ben"].free) == (2, 2)


def test_who_is_away_has_no_room(at, people, agreement_in_force):
    Absence.objects.create(user=people.sam, starts_at=at, ends_at=at + timedelta(days=5))
    found = room.ask(Document(agreement_in_force.content), at)
    assert [rep.name for rep in found.present] == ["Ben", "Sten"]
    assert found.per_day == 16


def test_days_are_working_days_and_a_week_has_five_of_them(at, people, agreement_in_force):
    found = room.ask(Document(agreement_in_force.content), at)
    assert found.days[:5] == tuple(date(2026, 11, day) for day in (24, 25, 26, 27, 30))
    assert found.per_week == 3 * 8 * 5
