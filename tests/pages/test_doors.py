"""Signing in, passwords, the profile."""

import contextlib
import re

import pytest
from django.core import mail
from django.db import connection
from django.test import Client

from leadflow.accounts.models import AuditEntry, Organisation, User
from leadflow.settings import PASSWORD_HASHERS

pytestmark = pytest.mark.django_db


@pytest.fixture
def mia(people):
    people.mia.set_password("long-and-odd-words")
    people.mia.save()
    return people.mia


def _login(client: Client, name: str, password: str):
    return client.post("/login/", {"username": name, "password": password})


def test_the_part_before_the_at_is_enough_where_one_person_has_it(mia, client) -> None:
    assert _login(client, "mia", "long-and-odd-words")["Location"] == "/"
    assert client.get("/profile/").status_code == 200


def test_the_whole_address_works_too_whatever_its_case(mia, client) -> None:
    assert _login(client, "MIA@Example.com", "long-and-odd-words").status_code == 302


def test_a_name_that_two_people_share_is_not_enough(mia, client) -> None:
    User.objects.create_user("mia@other.example", "long-and-odd-words", name="Other Mia")
    answer = _login(client, "mia", "long-and-odd-words")
    assert answer.status_code == 200
    assert "do not belong together" in answer.content.decode()


def test_a_closed_account_stays_out(mia, client) -> None:
    mia.is_active = False
    mia.save()
    assert "do not belong together" in _login(client, "mia", "long-and-odd-words").content.decode()


def test_nine_wrong_passwords_close_the_door_in_clear_words(mia, client, settings) -> None:
    settings.AXES_ENABLED = True
    for _ in range(8):
        answer = _login(client, "mia", "wrong")
    assert answer.status_code == 429
    assert "Closed for 15 minutes" in answer.content.decode()
    assert _login(client, "mia", "long-and-odd-words").status_code == 429


def test_passwords_are_kept_with_argon2(mia) -> None:
    assert mia.password.startswith("argon2$")
    assert PASSWORD_HASHERS[0] == "django.contrib.auth.hashers.Argon2PasswordHasher"


def test_the_demo_password_is_shown_in_demo_mode_only(people, client) -> None:
    assert "leadflow-demo" not in client.get("/login/").content.decode()
    Organisation.objects.update(demo=True)
    page = client.get("/login/").content.decode()
    assert "leadflow-demo" in page
    assert 'value="sam"' in page


def test_a_forgotten_password_is_set_anew_by_a_mailed_link_once(mia, client) -> None:
    client.post("/password/forgotten/", {"email": "mia@example.com"})
    link = re.search(r"http://testserver(/password/new/\S+)", mail.outbox[0].body)
    assert link
    form = client.get(link[1], follow=True)
    assert "A new password" in form.content.decode()
    address = form.redirect_chain[-1][0]
    words = {"new_password1": "another-odd-word", "new_password2": "another-odd-word"}
    assert client.post(address, words)["Location"] == "/login/"
    assert "used or too old" in client.get(link[1], follow=True).content.decode()
    assert _login(client, "mia", "another-odd-word").status_code == 302


def test_an_unknown_address_gets_the_same_answer_and_no_mail(people, client) -> None:
    answer = client.post("/password/forgotten/", {"email": "nobody@example.com"})
    assert answer["Location"] == "/password/forgotten/sent/"
    assert mail.outbox == []


def test_a_person_changes_the_own_profile_and_it_is_written_down(people, as_user) -> None:
    client = as_user(people.sam)
    client.post("/profile/", {"name": "Sam Okafor", "tz": "Asia/Kolkata", "theme": "dark", "shortcuts": ""})
    people.sam.refresh_from_db()
    assert (people.sam.name, people.sam.tz, people.sam.theme, people.sam.shortcuts) == (
        "Sam Okafor", "Asia/Kolkata", "dark", False,
    )  # fmt: skip
    entry = AuditEntry.objects.get(verb="person.profile")
    assert entry.before["tz"] == ""
    assert 'data-bs-theme="dark"' in client.get("/profile/").content.decode()


def test_the_profile_never_changes_a_role(people, as_user) -> None:
    data = {"name": "Sam", "tz": "", "theme": "auto", "shortcuts": "on", "role": "admin", "is_active": ""}
    as_user(people.sam).post("/profile/", data)
    people.sam.refresh_from_db()
    assert people.sam.role == "rep"
    assert people.sam.is_active


def test_a_part_of_a_page_after_the_session_ended_leaves_the_page_as_it_is(people, client) -> None:
    part = client.get("/queue/", headers={"HX-Request": "true"})
    assert part.status_code == 401
    assert "What you typed is still here" in part.content.decode()
    whole = client.get("/queue/")
    assert whole.status_code == 302
    old = Client(enforce_csrf_checks=True).post("/profile/", headers={"HX-Request": "true"})
    assert old.status_code == 403
    assert "log in in a new tab" in old.content.decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("path", "kind"), [("/", "text/html"), ("/api/v1/leads/", "application/problem")])
def test_while_the_database_is_away_one_is_told_to_try_again(path, kind, as_user, people) -> None:
    client = as_user(people.admin)
    client.raise_request_exception = False
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (mine,) = cursor.fetchone()
        with contextlib.closing(connection.copy()) as other, other.cursor() as killer:
            killer.execute("SELECT pg_terminate_backend(%s)", [mine])
    answer = client.get(path)
    connection.close()
    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith(kind)
    assert "half done" in answer.content.decode()
    assert answer.headers["Retry-After"] == "5"
    assert client.get(path).status_code == 200


def test_a_wrong_choice_leads_back_to_the_page_it_was_made_on(people, as_user) -> None:
    noah, page = as_user(people.noah), "http://testserver/reports/sla/?from=2026-11-01"
    wrong = "/reports/sla/?from=2026-11-09&to=2026-11-02"
    told = noah.get(wrong, headers={"referer": page}).content.decode()
    assert "The period ends on 2 Nov 2026, before it begins on 9 Nov 2026." in told
    assert f'href="{page}">Back</a>' in told
    for elsewhere in ("", "https://elsewhere.example/", f"http://testserver{wrong}"):
        assert ">Back<" not in noah.get(wrong, headers={"referer": elsewhere}).content.decode()
