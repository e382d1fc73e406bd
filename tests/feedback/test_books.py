"""The books of each day balance, strays have names, and a weekly mail goes out once."""

from datetime import timedelta

import pytest
from django.core import mail
from django.db import transaction

from feedback import verdicts
from feedback.models import ReportRollup, WeeklyMail
from feedback.reports import books, cracks, weekly
from feedback.reports.base import read_filters
from handoff import machine, outbox
from handoff.models import Handoff, Outbox
from leadflow import clock
from leadflow.leads.models import Lead
from tests.feedback.conftest import owner_of


@pytest.fixture
def lived(offered, flow, at, make_lead):
    """Four leads over three days: one only came, one is offered, one came back, one was won."""
    make_lead()
    offered()
    back, won = offered(), offered()
    with clock.use(at + timedelta(days=1)):
        verdicts.reject(back.pk, owner_of(back), reason_key="2", note="later")
        machine.apply("accept", won.pk, owner_of(won))
        verdicts.win(won.pk, owner_of(won), amount=900)
        flow(at + timedelta(days=1))
    return at + timedelta(days=1, hours=1)


def test_opening_plus_in_less_out_is_closing_for_every_day_and_place(lived):
    today = lived.date()
    for kept in (False, True):
        if kept:
            assert books.refresh(lived)
            assert not books.refresh(lived + timedelta(minutes=1))
        found = books.days(today - timedelta(days=2), today, lived)
        assert [day.adds_up for day in found] == [True] * 3
        first, second = found[1].lines, found[2].lines
        assert first["offered"].entered == 3
        assert (second["offered"].opening, second["offered"].gone, second["offered"].closing) == (3, 2, 1)
        assert second["customer"].closing == second["nurturing"].closing == 1
        assert sum(line.closing for line in second.values()) == Lead.objects.count()


def test_figures_of_the_books_lead_to_the_leads(lived, people, as_user):
    with clock.use(lived):
        filters = read_filters({}, days=3)
        report = cracks.build(filters)
        moves = [f for row in report.table("books").rows for f in row if f.cell and f.value]
        assert len(moves) > 5
        for figure in moves:
            assert cracks.drill(figure.cell, filters).count() == figure.value, figure
            assert cracks.words(figure.cell, filters)
        assert cracks.drill(f"closing.offered@{filters.start:%Y-%m-%d}", filters).count() == 0
        page = as_user(people.rosa).get("/reports/cracks/")
        assert "The books of 7 days balance" in page.content.decode()


def test_who_slips_through_is_named_on_the_page_and_in_the_books(lived, people, as_user):
    lead = Lead.objects.filter(stage="nurturing").get()
    Lead.objects.filter(pk=lead.pk).update(stage="mql", review_at=None)
    lead.holds.all().delete()
    lead.enrolments.all().delete()
    with clock.use(lived):
        text = as_user(people.rosa).get("/reports/cracks/").content.decode()
        assert f"lead {lead.pk}" in text
        assert "its place by the rows is not its place by the ledgers" in text
        report = cracks.build(read_filters({}, days=3))
        assert lead.pk in [int(row[0].href.strip("/").split("/")[1]) for row in report.table("dateless").rows]
        assert "no" in [row[5].value for row in report.table("books").rows]
        books.refresh(lived)
        assert books.checked().count >= 1


def test_a_kept_day_is_counted_again_when_it_was_kept_before_it_ended(lived):
    books.refresh(lived)
    later = lived + timedelta(days=1)
    books.refresh(later)
    row = ReportRollup.objects.get(report="places", key="offered", day=lived.date())
    assert row.built_at == later
    assert row.figures["closing"] == 1


# The weekly mail -----------------------------------------------------------------------------


@pytest.fixture
def wanted(at, people, as_user, agreement_in_force):
    answer = as_user(people.rosa).post(
        f"/reports/sla/weekly/?team={people.north.pk}&from=2026-11-11&to=2026-11-24"
    )
    assert answer.status_code == 302
    return WeeklyMail.objects.get()


def test_a_report_comes_each_monday_once(wanted, people, at):
    assert wanted.next_at.astimezone(at.tzinfo).strftime("%a %d %H:%M") == "Mon 30 07:00"
    assert weekly.send(wanted.next_at - timedelta(seconds=1)) == 0
    monday = wanted.next_at
    with clock.use(monday):
        assert weekly.send(monday) == 1
        assert weekly.send(monday) == 0
        outbox.deliver(monday)
    assert len(mail.outbox) == 1
    letter = mail.outbox[0]
    assert letter.to == [people.rosa.email]
    assert "Promises kept, 16 Nov to 29 Nov" in letter.subject
    assert f"team={people.north.pk}" in letter.body
    wanted.refresh_from_db()
    assert wanted.next_at == monday + timedelta(days=7)


def test_a_worker_killed_after_the_letter_sends_it_once_all_the_same(wanted, at):
    monday = wanted.next_at
    with clock.use(monday):
        with transaction.atomic():
            weekly.send(monday)
            # Killed before the commit.
            transaction.set_rollback(True)
        assert not Outbox.objects.filter(key__startswith="weekly:").exists()
        assert weekly.send(monday) == 1
    # A house that stood still for a month sends one letter, and goes on with the next Monday.
    much_later = monday + timedelta(days=30)
    with clock.use(much_later):
        assert weekly.send(much_later) == 1
    wanted.refresh_from_db()
    assert much_later < wanted.next_at <= much_later + timedelta(days=7)
    assert Outbox.objects.filter(key__startswith="weekly:", channel="email").count() == 2


def test_the_same_click_again_ends_it_and_a_report_that_cannot_be_made_says_so(wanted, people, as_user, at):
    with clock.use(wanted.next_at):
        WeeklyMail.objects.filter(pk=wanted.pk).update(query="team=99999")
        assert weekly.send(wanted.next_at) == 1
        assert "no such team" in Outbox.objects.get(channel="email").payload["text"]
    client = as_user(people.rosa)
    assert "Mail me each Monday" in client.get("/reports/conversion/").content.decode()
    client.post("/reports/conversion/weekly/")
    assert "Mondays by mail: on" in client.get("/reports/conversion/").content.decode()
    client.post("/reports/conversion/weekly/")
    assert not WeeklyMail.objects.filter(report="conversion").exists()
    assert client.post("/reports/nothing/weekly/").status_code == 404


def test_who_has_left_gets_no_mail(wanted, people):
    people.rosa.is_active = False
    people.rosa.save()
    with clock.use(wanted.next_at):
        weekly.send(wanted.next_at)
    assert not Outbox.objects.filter(key__startswith="weekly:").exists()
    assert Handoff.objects.count() == 0
