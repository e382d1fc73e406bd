"""The pulse: asked once a month, answered once, shown from four on; the gap to what was measured."""

from datetime import timedelta

import pytest

from feedback.models import PulseAnswer, PulseRound
from feedback.pulse import figures, rounds
from feedback.reports import counted
from feedback.review import month
from handoff.models import Notice, Outbox
from leadflow import clock
from leadflow.accounts.models import Role, User
from leadflow.errors import BadInput, Conflict, Forbidden
from tests.feedback.histories import write_histories

YES, NO = {"q1": "5", "q2": "4", "q3": "4"}, {"q1": "1", "q2": "2", "q3": "3"}


@pytest.fixture
def team(people, at):
    """Four people in North, and a round of this month."""
    more = [
        User.objects.create(email=f"rep{n}@example.com", name=f"Rep {n}", role=Role.REP, team=people.north)
        for n in range(2)
    ]
    rounds.tick(at)
    return [people.sam, people.ben, *more]


def test_a_round_opens_once_a_month_and_tells_sales(team, people, at):
    assert rounds.tick(at) is None
    told = {row.user_id for row in Outbox.objects.filter(key__contains="pulse:")}
    told |= set(Notice.objects.filter(url=rounds.URL).values_list("user", flat=True))
    assert told == {user.pk for user in rounds.asked()}
    assert people.mia.pk not in told
    later = at + timedelta(days=31)
    with clock.use(later):
        assert rounds.tick(later) is not None
    assert PulseRound.objects.count() == 2


def test_three_answers_of_a_team_are_not_shown_and_four_are(team, people, at):
    rounds.answer(people.stranger, YES, at)
    for n, user in enumerate(team):
        assert not figures.rounds()[0].total.shown
        assert figures.opinions(PulseRound.objects.get()) == []
        rounds.answer(user, {**(YES if n else NO), "open": f"Word {n}"}, at)
    seen = figures.rounds()[0]
    shown = {one.team.name: one.shown for one in seen.teams}
    assert shown == {"North": True, "South": False}
    # The stranger's yes is not in the whole: else it could be worked out.
    assert (seen.total.lines[0].agreed, seen.total.lines[0].people) == (3, 4)
    assert (seen.total.answers, seen.total.asked) == (5, 6)
    assert len(figures.opinions(PulseRound.objects.get())) == 4


def test_nothing_in_an_answer_names_its_author(team, at):
    rounds.answer(team[0], YES, at)
    kept = PulseAnswer.objects.values().get()
    assert set(kept) == {"id", "round_id", "user_hash", "team_id", "q1", "q2", "q3", "open"}
    assert rounds.has_answered(PulseRound.objects.get(), team[0])
    assert not rounds.has_answered(PulseRound.objects.get(), team[1])


def test_a_second_answer_a_missing_one_and_a_stranger_to_sales_are_told_in_words(team, people, at):
    rounds.answer(team[0], YES, at)
    with pytest.raises(Conflict, match="already; the next come on 1 December"):
        rounds.answer(team[0], NO, at)
    with pytest.raises(BadInput) as bad:
        rounds.answer(team[1], {**YES, "q2": "9", "open": "x" * 1_001}, at)
    assert [fault.path for fault in bad.value.faults] == ["q2", "open"]
    with pytest.raises(Forbidden, match="asks sales"):
        rounds.answer(people.mia, YES, at)
    later = at + timedelta(days=40)
    with clock.use(later), pytest.raises(Conflict, match="No round is open"):
        rounds.answer(team[1], YES, later)
    assert PulseAnswer.objects.count() == 1


def test_measured_acceptance_is_that_of_the_feedback_screen(team, people, at):
    write_histories(people, at, 160, days=20)
    for user in team:
        rounds.answer(user, YES, at)
    seen = next(one for one in figures.rounds()[0].teams if one.team == people.north)
    filters = month.filters_of(rounds.month_of(at))
    said = counted.count(type(filters)(**{**filters.__dict__, "team": people.north.pk})).acceptance
    assert said.answered > 5
    assert (seen.lines[0].part, seen.lines[0].whole) == (said.accepted, said.answered)
    assert seen.lines[0].gap == 100 - round(100 * said.accepted / said.answered)


def test_the_page_asks_thanks_and_keeps_what_was_typed(team, people, at, as_user):
    client = as_user(people.sam)
    assert "Four questions, one minute" in client.get("/review/pulse/").content.decode()
    wrong = client.post("/review/pulse/answer/", {"q1": "5", "q2": "4", "open": "Not lost"})
    assert wrong.status_code == 422
    assert "Choose one of the five answers" in wrong.content.decode()
    assert "Not lost" in wrong.content.decode()
    assert client.post("/review/pulse/answer/", YES).status_code == 302
    assert "You have answered for November" in client.get("/review/pulse/").content.decode()
    assert client.post("/review/pulse/answer/", YES).status_code == 409
