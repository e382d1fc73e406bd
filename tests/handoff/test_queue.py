"""What the queue shows: whose leads, in which order, and what the panel tells."""

from datetime import timedelta

import pytest

from handoff import desk, machine
from handoff import queue as selectors
from handoff.models import Absence, Handoff, RoomWait
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import BadInput, Conflict, Forbidden, NotVisible
from leadflow.leads import intake

from .conftest import fresh


def _names(rows) -> list[str]:
    return [row.lead.name for row in rows]


def _pool(handoff: Handoff) -> Handoff:
    machine.apply("reassign", handoff.pk, SYSTEM, to="pool", reason="test")
    return fresh(handoff)


def test_first_due_comes_first_then_the_higher_total(people, offered, at) -> None:
    slow = offered(owner=people.sam, name="Slow")
    quick = offered("fast_track", owner=people.sam, name="Quick")
    better = offered(owner=people.sam, name="Better")
    Handoff.objects.filter(pk=better.pk).update(sla_due_at=fresh(slow).sla_due_at, total=99)
    assert _names(selectors.rows(people.sam, "mine", at)) == ["Quick", "Better", "Slow"]
    assert selectors.rows(people.sam, "mine", at)[0].pk == quick.pk


def test_what_is_answered_moves_to_the_follow_ups_and_what_sleeps_to_later(people, offered, at) -> None:
    first, second, third = (offered(owner=people.sam, name=name) for name in ("First", "Second", "Third"))
    sam = person(people.sam)
    machine.apply("accept", first.pk, sam)
    machine.apply("snooze", second.pk, sam, until=at + timedelta(days=1), reason="asked to wait")
    sections = {row.lead.name: row.section for row in selectors.rows(people.sam, "mine", at, later=True)}
    assert sections == {"First": 2, "Second": 3, "Third": 1}
    assert _names(selectors.rows(people.sam, "mine", at)) == ["Third", "First"]
    found = selectors.counts(people.sam, "mine", at)
    assert (found.answer, found.today, found.later) == (1, 1, 1)
    assert third.pk


def test_a_rep_sees_their_own_the_teams_and_the_pool_but_no_other_teams(people, offered, at) -> None:
    mine = offered(owner=people.sam, name="Mine")
    bens = offered(owner=people.ben, name="Bens")
    pooled = _pool(offered(owner=people.ben, name="Pooled"))
    people.stranger.is_active = True
    people.stranger.save()
    far = offered(owner=people.stranger, name="Far")
    assert _names(selectors.rows(people.sam, "mine", at)) == ["Mine"]
    assert _names(selectors.rows(people.sam, "pool", at)) == ["Pooled"]
    assert set(_names(selectors.rows(people.sam, "team", at))) == {"Mine", "Bens", "Pooled"}
    assert set(_names(selectors.rows(people.admin, "team", at))) == {"Mine", "Bens", "Pooled", "Far"}
    with pytest.raises(NotVisible):
        selectors.find(people.sam, far.pk)
    assert selectors.find(people.sam, bens.pk).pk == bens.pk
    assert selectors.find(people.rosa, pooled.pk).pk == pooled.pk
    assert selectors.opened(people.mia).count() == 0
    assert mine.pk


def test_late_is_what_is_past_due_in_red_until_answered(people, offered, at) -> None:
    handoff = offered("fast_track", owner=people.sam, name="Late")
    later = at + timedelta(minutes=16)
    assert _names(selectors.rows(people.sam, "late", later)) == ["Late"]
    assert selectors.counts(people.sam, "mine", later).tabs["late"] == 1
    assert selectors.counts(people.ben, "mine", later).tabs["late"] == 0
    assert selectors.counts(people.rosa, "team", later).tabs["late"] == 1
    assert selectors.panel(people.sam, selectors.find(people.sam, handoff.pk), later).late


def test_the_tabs_of_an_admin_have_no_mine(people) -> None:
    assert selectors.tabs_of(people.admin) == ("pool", "team", "late")
    assert selectors.default_tab(people.rosa) == "team"
    assert selectors.default_tab(people.sam) == "mine"


def test_a_poll_tells_what_changed_what_left_and_what_is_new(people, offered, at) -> None:
    stays, leaves = offered(owner=people.sam, name="Stays"), offered(owner=people.sam, name="Leaves")
    shown = {row.pk: selectors.stamp(row) for row in (fresh(stays), fresh(leaves))}
    assert selectors.news(people.sam, "mine", at, shown, at) == selectors.News([], [], 0)
    later = at + timedelta(minutes=1)
    with clock.use(later):
        machine.apply("accept", stays.pk, person(people.sam))
        machine.apply("reassign", leaves.pk, person(people.rosa), to=people.ben, reason="room")
        offered(owner=people.sam, name="Fresh")
    found = selectors.news(people.sam, "mine", at, shown, later)
    assert (_names(found.changed), _names(found.gone), found.new) == (["Stays"], ["Leaves"], 1)
    words = selectors.told(found.gone, people.sam, later + timedelta(seconds=20))
    assert words == [("Rosa gave Leaves to Ben 20 s ago.", "It left this list; you changed nothing.")]


def test_a_poll_says_nothing_of_what_the_reader_did(people, offered, at) -> None:
    handoff = offered(owner=people.sam)
    row = fresh(handoff)
    machine.apply("claim", _pool(row).pk, person(people.sam))
    assert selectors.told([fresh(row)], people.sam, at) == []


def test_the_panel_says_what_sales_said_before_and_what_is_new(people, offered, did, flow, at) -> None:
    old = offered(owner=people.sam, name="Dana")
    machine.apply("reject", old.pk, person(people.sam), reason_key="2", note="decides in winter")
    with clock.use(at + timedelta(days=40)):
        now = clock.now()
        intake.change_lead(old.lead_id, {"title": "VP Operations"}, actor=SYSTEM, cause="test")
        did(old.lead, "demo_requested")
        flow()
        again = Handoff.objects.filter(lead=old.lead).latest("pk")
        assert again.pk != old.pk
        panel = selectors.panel(people.sam, selectors.find(people.sam, again.pk), now)
    assert panel.earlier is not None
    by_whom = "You" if again.owner_id == people.sam.pk else "Sam"
    assert (panel.earlier.by, panel.earlier.reason) == (by_whom, "not ready")
    assert panel.earlier.note == "decides in winter"
    told = " · ".join(panel.earlier.news)
    assert "demo" in told
    assert "back after 40 quiet days" in told
    assert "job title is VP Operations now, was VP Sales" in told


def test_the_panel_offers_what_the_machine_allows(people, offered, at) -> None:
    handoff = offered(owner=people.sam)
    mine = selectors.panel(people.sam, selectors.find(people.sam, handoff.pk), at)
    assert {"accept", "reject", "touch", "snooze"} <= set(mine.acts)
    assert [chip.reason.key for chip in mine.chips] == ["1", "2", "3", "6", "8", "0"]
    assert [chip.reason.key for chip in mine.chips if chip.off] == ["8"]
    others = selectors.panel(people.ben, selectors.find(people.ben, handoff.pk), at)
    assert others.acts == {}
    assert others.chips == []
    bosses = selectors.panel(people.rosa, selectors.find(people.rosa, handoff.pk), at)
    assert set(bosses.acts) == {"reassign", "withdraw"}
    assert "Ben" in [one.name for one in bosses.receivers]


def test_the_desk_counts_who_waits_for_room_in_the_team(people, offered, at) -> None:
    lead = offered(owner=people.ben).lead
    RoomWait.objects.create(
        lead=lead, crossing_id=0, kind="bar", team=people.north, total=50, entered_at=at, next_check=at
    )
    assert selectors.desk(people.sam, at).waiting == 1
    assert selectors.desk(people.stranger, at).waiting == 0
    assert selectors.desk(people.admin, at).waiting == 1
    assert selectors.desk(people.sam, at).per_day == 8


def test_away_today_ends_at_midnight_and_twice_is_once(people, at) -> None:
    desk.go_away(people.sam, person(people.sam))
    desk.go_away(people.sam, person(people.sam))
    absence = Absence.objects.get()
    assert absence.ends_at.astimezone(at.tzinfo).isoformat() == "2026-11-25T00:00:00+01:00"
    assert selectors.desk(people.sam, at).away_until == absence.ends_at
    desk.come_back(people.sam, person(people.sam))
    assert selectors.desk(people.sam, at).away_until is None


def test_only_the_manager_sets_the_absence_of_others(people, at) -> None:
    desk.go_away(people.sam, person(people.rosa))
    with pytest.raises(Forbidden):
        desk.go_away(people.sam, person(people.ben))
    with pytest.raises(Forbidden):
        desk.go_away(people.stranger, person(people.rosa))


def test_an_own_lead_is_taken_in_and_offered_to_its_finder(people, agreement, at) -> None:
    made = desk.add_own({"name": "Kim Own", "email": "kim@own.example", "company": "Own"}, person(people.sam))
    assert made.owner_id == people.sam.pk
    assert fresh(made).kind == Handoff.Kind.OWN
    assert fresh(made).lead.sales_sourced
    with pytest.raises(Conflict):
        desk.add_own({"name": "Kim Own", "email": "kim@own.example"}, person(people.ben))


@pytest.mark.parametrize("values", [{}, {"name": "Kim"}, {"name": "Kim", "email": "no address"}])
def test_an_own_lead_without_name_or_address_is_refused_in_words(people, agreement, at, values) -> None:
    with pytest.raises(BadInput):
        desk.add_own(values, person(people.sam))
    assert not Handoff.objects.exists()
