"""The settings' “Messages out”, the banner while mail is off, mails with links, and the page of one act."""

import re

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from handoff import machine, outbox
from handoff.endpoints import managing
from handoff.models import Handoff, Outbox, State, Transition, WebhookEndpoint
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.accounts.models import AuditEntry
from leadflow.leads.models import Lead
from tests.handoff.conftest import fresh
from tests.handoff.test_endpoints import listen, receiver  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db
PAGE = "/settings/messages/"
CONSOLE = "django.core.mail.backends.console.EmailBackend"


def text_of(response) -> str:
    return response.content.decode()


def form_of(there, **more):
    return {
        "name": "CRM",
        "shape": "signed",
        "url": there.url,
        "events": ["handoff.*"],
        "active": "on",
    } | more


# ---- Endpoints --------------------------------------------------------------------------------------------


def test_an_admin_adds_a_webhook_sees_the_secret_once_and_tests_it(at, people, as_user, receiver):  # noqa: F811
    admin = as_user(people.admin)
    assert "Nobody else listens yet" in text_of(admin.get(PAGE))
    made = admin.post(f"{PAGE}new/", form_of(receiver))
    row = WebhookEndpoint.objects.get()
    assert row.secret in text_of(made)
    assert made["Cache-Control"] == "no-store"
    page = f"{PAGE}{row.pk}/"
    assert row.secret not in text_of(admin.get(page))
    tested = admin.post(f"{page}test/", follow=True)
    assert "“CRM” got it: answered 200" in text_of(tested)
    assert "so it is" in text_of(admin.get(page))
    renewed = admin.post(f"{page}secret/")
    assert row.secret not in text_of(renewed)
    row.refresh_from_db()
    assert row.secret in text_of(renewed)
    assert "CRM" in text_of(admin.get(PAGE))
    admin.post(f"{page}remove/")
    assert not WebhookEndpoint.objects.exists()
    verbs = set(AuditEntry.objects.values_list("verb", flat=True))
    assert verbs == {"endpoint.created", "endpoint.secret_renewed", "endpoint.removed"}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("url", "https://10.0.0.7/hook", "private network"),
        ("url", "http://93.184.216.34/", "begin with https://"),
        ("url", "hello", "That is no address"),
        ("events", [], "This field is required"),
    ],
)
def test_what_cannot_be_is_told_at_its_field(at, people, as_user, receiver, field, value, words):  # noqa: F811
    answer = as_user(people.admin).post(f"{PAGE}new/", form_of(receiver, **{field: value}))
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert not WebhookEndpoint.objects.exists()


def test_what_did_not_arrive_is_listed_and_sent_again(offered, as_user, people, listen, receiver):  # noqa: F811
    from handoff.endpoints import pulling

    endpoint = listen("handoff.offered")
    offered()
    receiver.status = 500
    pulling.pull(clock.now())
    outbox.deliver(clock.now())
    Outbox.objects.filter(endpoint=endpoint).update(next_try_at=None)
    admin = as_user(people.admin)
    page = text_of(admin.get(PAGE))
    assert "answered 500: so it is" in page
    assert "A lead is offered to sales" in page
    assert "1 message did not arrive" in text_of(admin.get("/"))
    receiver.status = 200
    row = Outbox.objects.get(endpoint=endpoint)
    admin.post(f"{PAGE}again/", {"message": row.pk})
    outbox.deliver(clock.now())
    assert "Everything has arrived" in text_of(admin.get(PAGE))
    # One that arrived, but was lost over there.
    back = admin.post(f"{PAGE}again/", {"message": row.pk, "endpoint": endpoint.pk})
    assert back["Location"] == f"{PAGE}{endpoint.pk}/"
    outbox.deliver(clock.now())
    ids = [headers["LeadFlow-Id"] for headers, _ in receiver.got]
    assert len(ids) == 3
    assert len(set(ids)) == 1
    assert "There is no such message" in text_of(admin.post(f"{PAGE}again/", {"message": "x"}, follow=True))


def test_the_page_asks_as_often_for_thirty_as_for_three(at, people, as_user, listen):  # noqa: F811
    admin = as_user(people.admin)
    counts = []
    for more in (3, 15):
        for _ in range(more):
            endpoint = listen()
            Outbox.objects.create(
                key=f"x{Outbox.objects.count()}", kind="handoff.offered", channel="webhook", attempts=3,
                endpoint=endpoint, created_at=at, not_before=at, payload={"id": "x"},
            )  # fmt: skip
        with CaptureQueriesContext(connection) as queries:
            admin.get(PAGE)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12


# ---- Mail -------------------------------------------------------------------------------------------------


def test_while_mail_is_off_a_banner_says_so_where_it_matters(at, people, as_user, settings):
    admin, sam = as_user(people.admin), as_user(people.sam)
    places = [
        (admin, "/"),
        (admin, PAGE),
        (admin, "/settings/people/"),
        (admin, "/profile/"),
        (sam, "/profile/"),
    ]
    assert not any("Mail is off" in text_of(client.get(url)) for client, url in places)
    settings.EMAIL_BACKEND = CONSOLE
    assert all("Mail is off" in text_of(client.get(url)) for client, url in places)
    assert "Mail is off" not in text_of(sam.get("/"))
    answer = admin.post(f"{PAGE}mail/", follow=True)
    assert "went to the log" in text_of(answer)


def test_a_test_mail_says_what_the_server_said(at, people, as_user, settings):
    admin = as_user(people.admin)
    assert "A mail is on its way to admin@example.com" in text_of(admin.post(f"{PAGE}mail/", follow=True))
    assert mail.outbox[0].subject == "LeadFlow can send mail"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    assert "did not leave" in text_of(admin.post(f"{PAGE}mail/", follow=True))


def test_a_mail_has_text_and_html_with_a_link_for_each_act_and_the_crm(offered):
    handoff = offered(crm_url="https://crm.example/4711", name="Ann <Berg>")
    outbox.deliver(clock.now())
    message = mail.outbox[0]
    html = message.alternatives[0][0]
    for act in ("call", "accept", "reject"):
        assert f"http://localhost:8000/queue/{handoff.pk}/do/{act}/" in message.body
        assert f"/queue/{handoff.pk}/do/{act}/" in html
    assert "Open in CRM: https://crm.example/4711" in message.body
    assert "Why now: " in message.body
    assert "Ann <Berg>" in message.body
    assert "Ann &lt;Berg&gt;" in html
    assert "<script" not in html


def test_a_mail_that_comes_later_offers_only_what_can_still_be_done(offered):
    handoff = offered()
    machine.apply("accept", handoff.pk, person(handoff.owner))
    outbox.deliver(clock.now())
    assert "do/call/" in mail.outbox[0].body
    assert "do/accept/" not in mail.outbox[0].body


def test_the_bell_links_to_each_act_that_is_still_possible_and_to_the_crm(offered, as_user):
    handoff = offered(crm_url="https://crm.example/4711")
    outbox.deliver(clock.now())
    bell = text_of(as_user(handoff.owner).get("/notices/"))
    assert 'href="https://crm.example/4711"' in bell
    assert all(f'href="{do(handoff, act)}"' in bell for act in ("call", "accept", "reject"))
    machine.apply("accept", handoff.pk, person(handoff.owner))
    bell = text_of(as_user(handoff.owner).get("/notices/"))
    assert f'href="{do(handoff, "call")}"' in bell
    assert f'href="{do(handoff, "accept")}"' not in bell
    Lead.objects.update(crm_url="javascript:alert(1)")
    assert "javascript:" not in text_of(as_user(handoff.owner).get("/notices/"))


# ---- One act ----------------------------------------------------------------------------------------------


def do(handoff, act) -> str:
    return f"/queue/{handoff.pk}/do/{act}/"


def test_the_link_asks_for_a_login_first_and_then_leads_to_its_page(offered):
    handoff = offered()
    answer = Client().get(do(handoff, "accept"))
    assert answer["Location"] == f"/login/?next={do(handoff, 'accept')}"


@pytest.mark.parametrize("act", ["accept", "call", "reject"])
def test_opening_a_link_changes_nothing(offered, as_user, act):
    handoff = offered(phone="+49 40 1234")
    before = Handoff.objects.values().get(pk=handoff.pk)
    acts = Transition.objects.count()
    page = as_user(handoff.owner).get(do(handoff, act))
    assert page.status_code == 200
    assert handoff.why_now in text_of(page)
    assert "lf-clock" in text_of(page)
    assert Handoff.objects.values().get(pk=handoff.pk) == before
    assert Transition.objects.count() == acts


def test_one_thumb_accepts_calls_and_notes_how_it_went(offered, as_user):
    handoff = offered(phone="+49 40 1234")
    client = as_user(handoff.owner)
    answer = client.post(do(handoff, "accept"))
    assert answer["Location"] == do(handoff, "call")
    assert fresh(handoff).state == State.ACCEPTED
    page = text_of(client.get(do(handoff, "call")))
    assert 'href="tel:+49401234"' in page
    assert "is yours: call next" in page
    client.post(do(handoff, "call"), {"result": "talked", "note": "nice"})
    assert fresh(handoff).state == State.WORKING
    client.post(do(handoff, "call"), {"result": "no_answer"})
    assert fresh(handoff).attempts == 2
    wrong = client.post(do(handoff, "call"), {"result": "danced"})
    assert wrong.status_code == 422


def test_a_reject_without_its_note_comes_back_with_what_was_entered(offered, as_user):
    handoff = offered()
    client = as_user(handoff.owner)
    answer = client.post(do(handoff, "reject"), {"reason": "0", "note": "short"})
    assert answer.status_code == 422
    assert "At least 10 characters" in text_of(answer)
    assert 'value="short"' in text_of(answer)
    assert re.search(r'value="0" required checked', text_of(answer))
    assert client.post(do(handoff, "reject"), {}).status_code == 422
    assert "No answer" not in text_of(client.get(do(handoff, "reject")))
    client.post(do(handoff, "reject"), {"reason": "1", "note": "three people"})
    assert fresh(handoff).state == State.REJECTED
    assert "Take back the last act" in text_of(client.get(do(handoff, "reject")))


def test_what_is_not_possible_any_more_is_told_in_words(offered, as_user, people):
    handoff = offered()
    owner = handoff.owner
    other = people.ben if owner == people.sam else people.sam
    page = text_of(as_user(other).get(do(handoff, "accept")))
    assert f"{handoff.lead} is with {owner.name}." in page
    assert '<button class="btn btn-primary lf-big' not in page
    assert as_user(other).post(do(handoff, "accept")).status_code == 409
    machine.apply("withdraw", handoff.pk, SYSTEM, reason="merged")
    page = text_of(as_user(owner).get(do(handoff, "accept")))
    assert "LeadFlow withdrew this 0 s ago." in page
    answer = as_user(owner).post(do(handoff, "accept"))
    assert answer.status_code == 409
    assert "LeadFlow withdrew this" in text_of(answer)
    assert as_user(owner).get(f"/queue/{handoff.pk}/do/fly/").status_code == 404


def test_a_link_of_the_pool_is_for_everybody_of_the_team(offered, as_user, people):
    handoff = offered()
    machine.apply("reassign", handoff.pk, SYSTEM, to="pool")
    as_user(people.ben).post(do(handoff, "accept"))
    assert fresh(handoff).owner == people.ben
    assert as_user(people.sam).post(do(handoff, "accept")).status_code == 409


# ---- The lead in the CRM ----------------------------------------------------------------------------------


def test_the_crm_stands_on_lead_page_and_queue_and_can_be_entered_by_hand(offered, as_user):
    handoff = offered(external_owner="Kim of key accounts")
    client = as_user(handoff.owner)
    field = f"/leads/{handoff.lead_id}/fact/crm_url/"
    assert client.post(field, {"value": "javascript:alert(1)"}).status_code == 400
    assert 'href="https://crm.example/1"' in text_of(client.post(field, {"value": "https://crm.example/1"}))
    for url in (f"/leads/{handoff.lead_id}/", f"/queue/{handoff.pk}/", do(handoff, "call")):
        assert 'href="https://crm.example/1"' in text_of(client.get(url)), url
    assert "Kim of key accounts" in text_of(client.get(f"/queue/{handoff.pk}/"))
    assert "Kim of key accounts" in text_of(client.get(f"/leads/{handoff.lead_id}/"))


def test_the_address_of_a_chat_is_no_secret_of_the_trail(people, receiver):  # noqa: F811
    url = receiver.url.replace("/hook", "/services/T0/B0/secretpart")
    values = {
        "name": "Slack",
        "shape": "slack",
        "url": url,
        "team": None,
        "active": True,
        "events": ["handoff.*"],
    }
    managing.save(person(people.admin), None, values)
    assert "secretpart" not in str(list(AuditEntry.objects.values()))
