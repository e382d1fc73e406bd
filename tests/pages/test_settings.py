"""Settings: people, teams, hours, keys, lists; each change is on the trail."""

import re
from datetime import date
from html import unescape
from pathlib import Path

import pytest
from django.core import mail

from handoff import machine
from handoff.endpoints import managing
from handoff.models import Calendar, Handoff, TeamCalendar
from leadflow.accounts import audit
from leadflow.accounts.actors import person
from leadflow.accounts.keys import find_key
from leadflow.accounts.models import ApiKey, AuditEntry, Team, User
from leadflow.leads.models import WordList
from leadflow.pages import trail
from leadflow.pages.forms_hours import read_spans
from scoring import engine

pytestmark = pytest.mark.django_db
ROOMS = ("leadflow", "scoring", "handoff", "feedback")


def _person(**changes):
    return {
        "name": "Yuki Tanaka",
        "email": "Yuki@Example.com",
        "role": "rep",
        "weight": "1",
        "is_active": "on",
    } | changes


def test_an_admin_invites_somebody_who_sets_the_password_by_mail(people, as_user) -> None:
    as_user(people.admin).post("/settings/people/new/", _person(team=people.north.pk))
    yuki = User.objects.get(email="yuki@example.com")
    assert yuki.team == people.north
    assert not yuki.has_usable_password()
    assert "/password/new/" in mail.outbox[0].body
    assert AuditEntry.objects.filter(verb="person.invited", object_id=str(yuki.pk)).exists()


def test_an_address_that_is_taken_is_refused_in_words(people, as_user) -> None:
    answer = as_user(people.admin).post("/settings/people/new/", _person(email="SAM@example.com"))
    assert answer.status_code == 422
    assert User.objects.filter(email="sam@example.com").count() == 1


def test_the_last_admin_cannot_be_switched_off(people, as_user) -> None:
    url = f"/settings/people/{people.admin.pk}/"
    answer = as_user(people.admin).post(url, _person(name="Admin", email="admin@example.com", role="rep"))
    assert "last active admin" in answer.content.decode()
    people.admin.refresh_from_db()
    assert people.admin.role == "admin"


def test_somebody_who_left_is_switched_off_and_it_is_written_down(people, as_user) -> None:
    url = f"/settings/people/{people.ben.pk}/"
    as_user(people.admin).post(url, _person(name="Ben", email="ben@example.com", is_active=""))
    people.ben.refresh_from_db()
    assert not people.ben.is_active
    assert AuditEntry.objects.get(verb="person.changed").before["is_active"] is True


def test_a_key_is_shown_once_and_works_until_it_is_shut(people, as_user) -> None:
    client = as_user(people.admin)
    page = client.post("/settings/keys/", {"name": "Website", "scopes": ["activities:write"]})
    secret = page.context["secret"]
    assert secret in page.content.decode()
    assert page["Cache-Control"] == "no-store"
    assert secret not in client.get("/settings/keys/").content.decode()
    key = find_key(secret)
    assert key is not None
    assert key.scopes == ["activities:write"]
    client.post(f"/settings/keys/{key.pk}/revoke/")
    assert find_key(secret) is None
    assert ApiKey.objects.get().revoked_at


def test_a_team_works_by_hours_of_its_own(at, people, as_user) -> None:
    client = as_user(people.admin)
    week = {f"day{n}": "09:00-12:30, 13:30-18:00" for n in range(5)}
    client.post("/settings/hours/new/", {"name": "Berlin", "tz": "Europe/Berlin", "country": "DE", **week})
    hours = Calendar.objects.get()
    assert hours.week["0"] == [["09:00", "12:30"], ["13:30", "18:00"]]
    assert hours.week["6"] == []
    data = {"name": "North", "kind": "sales", "tz": "Europe/Berlin", "calendar": hours.pk}
    client.post(f"/settings/teams/{people.north.pk}/", data)
    assert TeamCalendar.objects.get(team=people.north).calendar == hours
    client.post(
        f"/settings/hours/{hours.pk}/day/", {"date": "2026-12-24", "hours": "09:00-12:00", "label": "Eve"}
    )
    day = hours.days.get()
    assert (day.date, day.spans) == (date(2026, 12, 24), [["09:00", "12:00"]])
    client.post(f"/settings/hours/{hours.pk}/day/", {"drop": day.pk})
    assert not hours.days.exists()
    assert Team.objects.get(pk=people.north.pk).manager is None


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("", []),
        ("09:00-17:00", [["09:00", "17:00"]]),
        ("9-12; 13:30 – 18", [["09:00", "12:00"], ["13:30", "18:00"]]),
        ("18:00-24:00", [["18:00", "00:00"]]),
    ],
)
def test_hours_are_read_as_people_write_them(text, spans) -> None:
    assert read_spans(text) == spans


@pytest.mark.parametrize(
    "text", ["morning", "17:00-09:00", "25:00-26:00", "09:00-12:00, 11:00-13:00", "09:00-09:99"]
)
def test_hours_that_make_no_sense_are_refused(text) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_spans(text)


def test_a_week_that_never_opens_is_refused(people, as_user) -> None:
    answer = as_user(people.admin).post("/settings/hours/new/", {"name": "Never", "tz": "UTC"})
    assert answer.status_code == 422
    assert not Calendar.objects.exists()


def test_word_lists_are_folded_and_each_entry_stands_once(people, as_user) -> None:
    data = {"label": "We sell to", "key": "We-sell-to", "entries": "Germany\n FRANCE \n\nfrance"}
    as_user(people.mia).post("/settings/lists/new/", data)
    made = WordList.objects.get()
    assert (made.key, made.entries) == ("we_sell_to", ["germany", "france"])


def test_the_trail_tells_who_and_what(people, as_user) -> None:
    client = as_user(people.admin)
    client.post("/settings/company/", {
        "name": "Fleetsong", "currency": "USD", "tz": "UTC", "country": "de", "date_order": "DMY",
    })  # fmt: skip
    page = client.get("/settings/trail/?verb=company").content.decode()
    assert "Company: changed" in page
    assert "currency: USD" in page
    assert "Admin" in page


def test_the_trail_tells_keys_in_words(people, as_user, agreement_in_force) -> None:
    admin = person(people.admin)
    hook, _ = managing.save(admin, None, {
        "name": "CRM", "shape": "signed", "url": "https://93.184.216.34/in", "team": people.sam.team,
        "events": ["handoff.offered", "customer.won"], "active": True,
    })  # fmt: skip
    audit.record(admin, "person.room", people.sam, before={"capacity_open": None}, after={"capacity_open": 9})
    audit.record(admin, "hours.day", people.sam.team, after={"date": "2026-12-24", "spans": []})
    audit.record(admin, "track.started", people.sam, after={"track": "educate"})
    client = as_user(people.admin)
    page = unescape(client.get("/settings/trail/").content.decode())
    for words in (
        "Webhook or chat: added", "“CRM”", f"team: {people.sam.team.name}",
        "hears of: A lead is offered to sales, A new deal is on record", "kind: Signed",
        f"“{people.sam.name}”", "open leads at most: nothing", "open leads at most: 9", "hours: closed",
        "track: Educate",
    ):  # fmt: skip
        assert words in page, words
    for key in ("handoff.offered", "capacity_open", "team_id", "endpoint.created"):
        assert key not in page
    assert (
        f'<option value="{people.sam.pk}" selected>'
        in client.get(f"/settings/trail/?who={people.sam.pk}").content.decode()
    )
    for address in (f"/settings/messages/{hook.pk}/", "/settings/messages/"):
        page = client.get(address).content.decode()
        assert "A lead is offered to sales" in page
        assert ">handoff.offered" not in page
        assert "(handoff.offered)" not in page


def test_the_trail_names_every_kind_of_thing_by_one_query(people, django_assert_num_queries) -> None:
    rows = [AuditEntry(verb="team.made", object_type=label, object_id="1") for label in trail._NAMED]
    with django_assert_num_queries(1):
        assert len(trail.told(rows)) == len(rows)


def test_every_act_of_the_trail_has_its_words() -> None:
    families = "|".join({verb.partition(".")[0] for verb in trail.ACTS})
    said = {
        verb
        for path in (path for room in ROOMS for path in Path(room).rglob("*.py"))
        if "audit.record(" in (source := path.read_text())
        for verb in re.findall(rf'"((?:{families})\.[a-z_]+)"', source)
    }
    assert len(said) > 60
    assert said - set(trail.ACTS) <= {"clock.tick"}


def test_what_somebody_held_goes_to_a_colleague_when_they_leave(
    people, agreement_in_force, make_lead, did, as_user, at
) -> None:
    lead = make_lead(
        title="VP Operations", company="Brückner", employees=320, country="Germany", phone="+49 40 1"
    )
    did(lead, "demo_requested", 0.01)
    while engine.score_pending(at):
        pass
    machine.open_pending(at, 10)
    held = Handoff.objects.get(lead=lead)
    holder, colleague = (people.sam, people.ben) if held.owner == people.sam else (people.ben, people.sam)
    data = _person(name=holder.name, email=holder.email, team=people.north.pk, is_active="")
    answer = as_user(people.admin).post(f"/settings/people/{holder.pk}/", data, follow=True)
    assert "1 open lead goes to colleagues" in answer.content.decode()
    held.refresh_from_db()
    assert held.owner == colleague
