"""The board's four weeks: the same figures as the report, each leading to its leads; CSV; exceptions."""

from datetime import timedelta

import pytest

from feedback.reports import sla
from feedback.reports.base import read_filters
from handoff import clocks, keeping, machine
from handoff.models import Absence, LateException, Outbox, WebhookEndpoint
from leadflow import clock
from leadflow.accounts.actors import person


@pytest.fixture
def weeks(people, offered, at):
    """Sam: one answered and called in time and reached, one answered late, one that runs past due."""
    rows = [offered("fast_track", owner=people.sam, name=f"Lead {n}") for n in range(3)]
    machine.apply("touch", rows[0].pk, person(people.sam), result="talked", at=at)
    machine.apply("accept", rows[1].pk, person(people.sam), at=at + timedelta(minutes=25))
    later = at + timedelta(minutes=35)
    with clock.use(later):
        clocks.tick(later)
        yield rows, later


def test_each_reps_figures_are_those_of_the_report(people, weeks, as_user) -> None:
    _, later = weeks
    found = keeping.four_weeks([people.north.pk], later)
    counts = sla.attainment(read_filters({}))
    for promise, name in (("acceptance", "answered"), ("first_touch", "called")):
        theirs = counts[("holder", promise, "rep", str(people.sam.pk))]
        share = getattr(found.reps[people.sam.pk], name)
        assert (share.part, share.whole) == (theirs.met, theirs.all)
        whole = counts[("lead", promise, "all", "0")]
        assert (getattr(found.total, name).part, getattr(found.total, name).whole) == (whole.met, whole.all)
    assert found.reps[people.sam.pk].answered.whole > 1


def test_the_board_links_each_share_to_its_leads(people, weeks, as_user) -> None:
    rosa = as_user(people.rosa)
    page = rosa.get("/queue/board/")
    text = page.content.decode()
    start, end = page.context["weeks"].start, page.context["weeks"].end
    link = f"/reports/sla/leads/?cell=holder.acceptance.all.rep={people.sam.pk}&from={start}&to={end}"
    assert link.replace("&", "&amp;") in text
    assert rosa.get(link).status_code == 200
    assert f"/queue/?tab=late&amp;rep={people.sam.pk}" in text
    calls = rosa.get(f"/queue/board/{people.sam.pk}/calls/")
    assert "Sam reached 1 of" in calls.content.decode()
    assert rosa.get(f"/queue/board/{people.mia.pk}/calls/").status_code == 404


def test_the_tables_come_as_csv(people, weeks, as_user) -> None:
    rosa = as_user(people.rosa)
    text = b"".join(rosa.get("/queue/board/?format=csv").streaming_content).decode("utf-8-sig")
    assert text.splitlines()[0].startswith("Rep,Team,Away,Late")
    assert any(line.startswith("Sam,North") for line in text.splitlines())
    calls = b"".join(rosa.get(f"/queue/board/{people.sam.pk}/calls/?format=csv").streaming_content)
    assert "Lead 0" in calls.decode("utf-8-sig")


def test_an_exception_is_one_line_for_a_lead_with_its_age(people, weeks, as_user) -> None:
    rows, later = weeks
    for promise, hours in (("acceptance", 30), ("first_touch", 20)):
        since = later - timedelta(hours=hours)
        LateException.objects.create(handoff=rows[2], promise=promise, since=since, step_done="exception")
    page = as_user(people.rosa).get("/queue/board/").content.decode()
    assert page.count("The answer and the first call are late") == 1
    assert "oldest 1 day" in page


def test_an_exception_is_over_once_somebody_else_has_the_lead_and_back_when_that_is_undone(
    people, weeks, as_user
) -> None:
    rows, later = weeks
    rows[2].refresh_from_db()
    LateException.objects.create(
        handoff=rows[2], promise="first_touch", since=later - timedelta(hours=1), step_done="exception"
    )
    rosa = as_user(people.rosa)
    assert "first call is late" in rosa.get("/queue/board/").content.decode()
    rosa.post(
        "/queue/board/give/", {"handoff": [rows[2].pk], "to": people.rosa.pk, "reason": "Sam is at a fair"}
    )
    assert not LateException.objects.filter(handoff=rows[2], cleared_at=None).exists()
    assert "No exceptions" in rosa.get("/queue/board/").content.decode()
    machine.apply("undo", rows[2].pk, person(people.rosa), at=later)
    assert LateException.objects.filter(handoff=rows[2], cleared_at=None).exists()


def test_several_leads_go_to_ben_with_one_reason_each_on_record(people, weeks, as_user) -> None:
    rows, _ = weeks
    open_ones = [rows[0].pk, rows[2].pk]
    rosa = as_user(people.rosa)
    answer = rosa.post(
        "/queue/board/give/",
        {"handoff": open_ones, "to": people.ben.pk, "reason": "Sam is at a fair"},
        follow=True,
    )
    assert "Gave 2 leads" in answer.content.decode()
    assert set(people.ben.handoffs.values_list("pk", flat=True)) >= set(open_ones)
    for row in rows[:1]:
        assert row.transitions.get(action="reassign", actor=people.rosa).note == "Sam is at a fair"
    assert rosa.post("/queue/board/give/", {"handoff": open_ones, "to": people.ben.pk}).status_code == 400


def test_what_routing_found_nobody_for_stands_on_the_list_until_somebody_takes_it(
    people, offered, as_user, at
) -> None:
    for rep in (people.sam, people.ben):
        Absence.objects.create(user=rep, starts_at=at - timedelta(hours=1), ends_at=at + timedelta(days=2))
    handoff = offered("fast_track")
    assert "Routing found nobody" in as_user(people.rosa).get("/queue/board/").content.decode()
    machine.apply("accept", handoff.pk, person(people.rosa))
    assert not LateException.objects.filter(cleared_at=None).exists()


def test_leads_that_wait_because_nobody_is_there_alarm_the_manager_once_a_day(
    people, agreement, make_lead, did, flow, at
) -> None:
    for rep in (people.sam, people.ben):
        Absence.objects.create(user=rep, starts_at=at - timedelta(hours=1), ends_at=at + timedelta(days=2))
    for n in range(3):
        did(make_lead(title="VP", company=f"Firm {n}"), "webinar_attended")
        flow()
    told = Outbox.objects.filter(key__startswith="nobody:")
    assert set(told.values_list("user__name", "channel")) == {("Rosa", "bell"), ("Rosa", "email")}
    assert told.count() == 2


def test_a_manager_of_two_teams_switches_between_them_and_an_admin_sees_all(people, weeks, as_user) -> None:
    rosa = as_user(people.rosa)
    assert 'aria-label="Team"' not in rosa.get("/queue/board/").content.decode()
    people.south.manager = people.rosa
    people.south.save()
    both = rosa.get("/queue/board/").content.decode()
    assert "Both teams" in both
    assert ">Sam<" in both
    south = rosa.get(f"/queue/board/?team={people.south.pk}").content.decode()
    assert ">Sam<" not in south
    assert "Both teams" in as_user(people.admin).get("/queue/board/").content.decode()


def test_the_board_looks_ahead_to_lunch_and_after_it_to_the_evening(people, weeks, as_user, at) -> None:
    rosa = as_user(people.rosa)
    page = rosa.get("/queue/board/")
    assert "Late before lunch if nobody acts" in page.content.decode()
    assert page.context["ahead"].column == "before 12:30"
    for hour, words in ((15, "before 18:00"), (20, "before Wed 12:30")):
        with clock.use(at.replace(hour=hour)):
            assert rosa.get("/queue/board/").context["ahead"].column == words


def test_the_board_costs_the_same_with_more_leads(
    people, weeks, offered, as_user, django_assert_max_num_queries
):
    rosa = as_user(people.rosa)
    with django_assert_max_num_queries(24):
        rosa.get("/queue/board/")
    for n in range(6):
        offered("fast_track", owner=people.sam, name=f"More {n}")
    with django_assert_max_num_queries(24):
        live = rosa.get("/queue/board/?live=1").content.decode()
    assert live.startswith("<div")
    assert "<html" not in live


def test_a_rep_who_is_away_hands_on_what_is_not_answered_yet(people, offered, as_user, at) -> None:
    asked, taken = offered(owner=people.sam, company="A"), offered(owner=people.sam, company="B")
    machine.apply("accept", taken.pk, person(people.sam))
    page = as_user(people.sam).post("/queue/away/", follow=True)
    assert "1 that you had not answered" in page.content.decode()
    asked.refresh_from_db()
    taken.refresh_from_db()
    assert (asked.owner, taken.owner) == (people.ben, people.sam)
    assert asked.transitions.latest("pk").actor is None


def test_the_manager_says_until_when_somebody_is_away_and_who_takes_over(
    people, offered, as_user, at
) -> None:
    rows = [offered(owner=people.sam, company=name) for name in "AB"]
    machine.apply("accept", rows[1].pk, person(people.sam))
    rosa, url = as_user(people.rosa), f"/queue/board/{people.sam.pk}/away/"
    form = rosa.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "1 of Sam's falls due today" in form
    assert rosa.post(url, {"day": "date", "until": ""}).status_code == 422
    assert rosa.post(url, {"day": "date", "until": "2026-11-20"}).status_code == 422
    until = {"day": "date", "until": "2026-11-27", "take": people.ben.pk}
    assert "until Fri 27 Nov" in rosa.post(url, until, follow=True).content.decode()
    absence = Absence.objects.get(user=people.sam)
    assert absence.ends_at.astimezone(at.tzinfo).isoformat() == "2026-11-28T00:00:00+01:00"
    for row in rows:
        row.refresh_from_db()
        assert row.owner == people.ben
    assert "away until" in rosa.get("/queue/board/").content.decode()
    assert rosa.post(f"/queue/board/{people.stranger.pk}/away/", until).status_code == 404


def test_who_slept_too_long_and_what_never_arrived_are_exceptions_with_their_age(
    people, weeks, as_user, django_assert_max_num_queries
) -> None:
    rows, later = weeks
    rep = person(rows[0].owner)
    for row, days in ((rows[0], 2), (rows[1], 1)):
        until = later + timedelta(days=days)
        machine.apply("snooze", row.pk, rep, at=later, until=until.isoformat(), reason="on holiday")
    machine.apply("wake", rows[1].pk, rep, at=later + timedelta(minutes=5))
    endpoint = WebhookEndpoint.objects.create(name="The CRM", url="https://crm.example.com", created_at=later)
    lost = {"created_at": later, "not_before": later, "attempts": 12, "kind": "offered"}
    Outbox.objects.create(
        key="a", channel="email", user=rows[2].owner, payload={"handoff": rows[2].pk}, **lost
    )
    told = {"data": {"handoff": {"id": rows[2].pk}}}
    Outbox.objects.create(key="b", channel="webhook", endpoint=endpoint, payload=told, **lost)
    rosa = as_user(people.rosa)
    rosa.get("/queue/board/")
    with clock.use(later + timedelta(hours=3)), django_assert_max_num_queries(18):
        page = rosa.get("/queue/board/").content.decode()
    assert page.count("It woke and nothing has happened since") == 1
    assert f"The mail about it never reached {rows[2].owner.name}, 1 more did not" in page
    assert f'href="/queue/{rows[2].pk}/?tab=team"' in page
    assert "Its sleep" not in page
    with clock.use(later + timedelta(days=3)):
        page = as_user(people.admin).get("/queue/board/").content.decode()
    assert page.count("Its sleep is over and it has not woken") == 1
    assert "/settings/messages/" in page


def test_a_sales_manager_sends_again_what_concerns_the_own_teams_and_nothing_else(
    people, weeks, as_user
) -> None:
    rows, later = weeks
    lost = {"created_at": later, "not_before": later, "attempts": 12, "channel": "email"}
    about = Outbox.objects.create(
        key="a", kind="offered", user=people.mia, payload={"handoff": rows[2].pk}, **lost
    )
    to_sam = Outbox.objects.create(key="b", kind="weekly", user=people.sam, **lost)
    others = Outbox.objects.create(key="c", kind="weekly", user=people.mia, **lost)
    rosa = as_user(people.rosa)
    page = rosa.get("/settings/messages/").content.decode()
    assert page.count('name="message"') == 2
    assert people.sam.email in page
    assert "EMAIL_URL" not in page
    assert "Webhooks and chats" not in page

    def waiting() -> set[int]:
        return set(Outbox.objects.filter(next_try_at__isnull=False).values_list("pk", flat=True))

    before = waiting()
    rosa.post("/settings/messages/again/", {"message": [others.pk, about.pk]})
    assert waiting() - before == {about.pk}
    rosa.post("/settings/messages/again/", {"all": "1"})
    assert waiting() - before == {about.pk, to_sam.pk}
    as_user(people.admin).post("/settings/messages/again/", {"message": others.pk})
    assert waiting() - before == {about.pk, to_sam.pk, others.pk}
