"""What other systems hear: signed, in order, once; and where no message ever goes."""

import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from handoff import machine, outbox
from handoff.endpoints import addresses, managing, pulling, sending, shapes
from handoff.models import DeliveryLog, Outbox, WebhookEndpoint
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.accounts.models import AuditEntry
from leadflow.errors import BadInput
from leadflow.leads import ledgers
from scoring import engine

pytestmark = pytest.mark.django_db


class Receiver:
    """A server of somebody else, on this machine: keeps what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status, self.headers, self.gate = 200, {}, threading.Event()
        self.gate.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                receiver.gate.wait(10)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"so it is")

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?x=1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def events(self) -> list[str]:
        return [json.loads(body).get("event", "") for _, body in self.got]


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOW = ["127.0.0.1"]
    made = Receiver()
    yield made
    made.gate.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def listen(people, receiver):
    """An endpoint at the receiver that wants these events."""

    def make(*names: str, **more) -> WebhookEndpoint:
        values = {"name": "CRM", "shape": "signed", "url": receiver.url, "team": None, "active": True}
        values |= {"events": names or ("handoff.*", "customer.won", "stage.changed", "score.changed")} | more
        return managing.save(person(people.admin), None, values)[0]

    return make


def deliver(at=None) -> None:
    at = at or clock.now()
    while pulling.pull(at):
        pass
    outbox.deliver(at)


# ---- What is told, and how it is signed -------------------------------------------------------------------


def test_an_act_arrives_once_signed_over_its_time_and_body(offered, listen, receiver):
    endpoint = listen("handoff.*")
    handoff = offered()
    machine.apply("accept", handoff.pk, person(handoff.owner))
    deliver()
    deliver()
    assert receiver.events == ["handoff.offered", "handoff.accepted"]
    headers, body = receiver.got[1]
    told = json.loads(body)
    assert told["data"]["handoff"]["state"] == "accepted"
    assert told["data"]["handoff"]["owner"]["email"] == handoff.owner.email
    assert told["data"]["act"]["by"] == handoff.owner.name
    assert told["links"]["call"].endswith(f"/queue/{handoff.pk}/do/call/")
    assert "accept" not in told["links"]
    assert headers["LeadFlow-Id"] == told["id"]
    stamp = headers["LeadFlow-Timestamp"]
    assert int(stamp) == int(clock.now().timestamp())
    expected = hmac.new(endpoint.secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["LeadFlow-Signature"] == f"v1={expected}"
    assert len({headers["LeadFlow-Id"] for headers, _ in receiver.got}) == 2
    assert list(DeliveryLog.objects.values_list("status", flat=True)) == [200, 200]


def test_the_offer_says_why_now_until_when_and_what_can_be_done(offered, listen, receiver):
    listen("handoff.offered")
    handoff = offered()
    deliver()
    told = json.loads(receiver.got[0][1])
    assert told["data"]["handoff"]["why_now"] == handoff.why_now
    assert told["data"]["handoff"]["due_at"] == handoff.sla_due_at.isoformat()
    assert set(told["links"]) == {"call", "accept", "reject", "open"}


def test_scores_tell_of_grade_moves_only_and_stages_of_moves(
    agreement, make_lead, did, flow, listen, receiver
):
    lead = make_lead(title="VP Sales", crm_url="https://crm.example/4711", external_owner="Kim")
    flow()
    listen("score.changed", "stage.changed")
    did(lead, "webinar_attended")
    flow()
    engine.score_pending(clock.now())
    deliver()
    told = [json.loads(body) for _, body in receiver.got]
    scores = [one["data"]["score"] for one in told if one["event"] == "score.changed"]
    assert len(scores) == 1
    assert scores[0]["from"] != scores[0]["to"]
    assert [one["data"]["stage"]["to"] for one in told if one["event"] == "stage.changed"][-1] == "sql"
    assert told[0]["data"]["lead"]["crm_url"] == "https://crm.example/4711"
    assert told[0]["data"]["lead"]["external_owner"] == "Kim"
    assert told[0]["links"]["open_in_crm"] == "https://crm.example/4711"


def test_a_deal_is_told_once_though_the_import_takes_the_place_of_the_click(offered, listen, receiver):
    listen("customer.won")
    handoff = offered()
    actor = person(handoff.owner)
    machine.apply("accept", handoff.pk, actor)
    machine.apply("win", handoff.pk, actor, amount="38400")
    deliver()
    ledgers.record_outcome(
        source="crm", external_id="deal-9", kind="won", lead_id=handoff.lead_id, amount=38400, at=clock.now(),
        actor=SYSTEM,
    )  # fmt: skip
    deliver()
    assert receiver.events == ["customer.won"]
    assert json.loads(receiver.got[0][1])["data"]["outcome"]["amount"] == "38400.00"


def test_a_late_promise_is_told(offered, listen, receiver):
    from handoff import clocks

    listen("handoff.late")
    handoff = offered("fast_track")
    later = handoff.acceptance_due_at + timedelta(minutes=1)
    with clock.use(later):
        clocks.tick(later)
        deliver()
    late = [json.loads(body)["data"]["late"] for _, body in receiver.got]
    assert [one["promise"] for one in late] == ["acceptance"]


def test_a_team_hears_of_its_own_leads_only(offered, listen, receiver, people):
    listen("handoff.*", "stage.changed", team=people.south)
    offered()
    deliver()
    assert receiver.got == []


def test_what_was_before_the_endpoint_or_while_it_was_off_is_not_told(offered, listen, receiver, people):
    offered()
    endpoint = listen()
    deliver()
    assert receiver.got == []
    values = {"name": "CRM", "shape": "signed", "url": receiver.url, "team": None, "events": ["handoff.*"]}
    managing.save(person(people.admin), endpoint, values | {"active": False})
    offered(company="Other")
    deliver()
    managing.save(person(people.admin), endpoint, values | {"active": True})
    deliver()
    assert receiver.got == []


def test_without_an_endpoint_it_costs_one_statement(agreement):
    with CaptureQueriesContext(connection) as queries:
        assert pulling.pull(clock.now()) == 0
    assert len(queries) == 1


def test_a_row_that_becomes_visible_late_is_not_missed(offered, listen, receiver):
    endpoint = listen("handoff.*")
    handoff = offered()
    tide = pulling.tide()
    # Somebody's transaction began before the mark and still runs.
    running = pulling.Tide(tide.tops, tide.next, tide.next - 1)
    assert pulling._pull_for(endpoint.pk, running, clock.now()) == 0
    machine.apply("accept", handoff.pk, person(handoff.owner))
    ended = pulling.Tide(pulling.tide().tops, tide.next + 5, tide.next)
    assert pulling._pull_for(endpoint.pk, ended, clock.now()) == 1
    assert pulling._pull_for(endpoint.pk, pulling.tide(), clock.now()) == 1
    deliver()
    assert receiver.events == ["handoff.offered", "handoff.accepted"]


def test_news_of_scores_waits_in_its_ledger_while_much_is_waiting(offered, listen, receiver, monkeypatch):
    monkeypatch.setattr(pulling, "WAITING", 1)
    listen()
    offered()
    pulling.pull(clock.now())
    first = Outbox.objects.exclude(endpoint=None).count()
    offered(company="Second")
    pulling.pull(clock.now())
    kinds = list(Outbox.objects.exclude(endpoint=None).order_by("pk").values_list("kind", flat=True)[first:])
    assert kinds == ["handoff.offered"]
    deliver()
    pulling.pull(clock.now())
    assert "stage.changed" in Outbox.objects.filter(delivered_at=None).values_list("kind", flat=True)


# ---- When the other side fails ----------------------------------------------------------------------------


def test_a_failure_is_tried_again_in_order_and_given_up_in_the_end(offered, listen, receiver):
    endpoint = listen("handoff.*")
    handoff = offered()
    machine.apply("accept", handoff.pk, person(handoff.owner))
    receiver.status = 500
    now = clock.now()
    deliver(now)
    # The first failed; the second waits with it instead of trying the same server.
    assert receiver.events == ["handoff.offered"]
    first, second = Outbox.objects.filter(endpoint=endpoint).order_by("pk")
    assert (first.attempts, second.attempts) == (1, 0)
    assert first.next_try_at == second.next_try_at == now + timedelta(seconds=30)
    assert first.error == "answered 500: so it is"
    for _ in range(outbox.GIVE_UP_AFTER):
        now += timedelta(hours=7)
        outbox.deliver(now)
    assert outbox.given_up().count() == 2
    assert set(receiver.events) == {"handoff.offered", "handoff.accepted"}
    receiver.status, receiver.got = 200, []
    assert managing.send_again(SYSTEM, [first.pk, second.pk], now) == 2
    outbox.deliver(now)
    assert receiver.events == ["handoff.offered", "handoff.accepted"]
    assert json.loads(receiver.got[0][1])["id"] == first.payload["id"]
    assert outbox.given_up().count() == 0


def test_a_server_that_hangs_costs_the_call_its_time_and_the_others_nothing(
    offered, listen, receiver, monkeypatch, mailoutbox
):
    monkeypatch.setattr(outbox, "SECONDS_PER_CALL", 1.5)
    monkeypatch.setattr(outbox, "LAST_ROUND", 0.1)
    listen("handoff.offered")
    handoff = offered()
    receiver.gate.clear()
    deliver()
    row = Outbox.objects.get(channel="webhook")
    assert row.error.startswith("no answer within")
    assert row.next_try_at > clock.now()
    assert [mail.to for mail in mailoutbox] == [[handoff.owner.email]]


def test_a_server_that_drips_is_cut_off_in_time(settings):
    settings.WEBHOOK_ALLOW = ["127.0.0.1"]
    server = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        peer, _ = server.accept()
        with peer, contextlib.suppress(OSError):
            peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                peer.sendall(b".")
                threading.Event().wait(0.02)

    threading.Thread(target=drip, daemon=True).start()
    began = time.monotonic()
    reply = sending.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {}, 0.3)
    server.close()
    assert reply.text.startswith("no answer within")
    assert time.monotonic() - began < 2


def test_a_server_whose_certificate_is_nobodys_gets_nothing(receiver):
    reply = sending.post(receiver.url.replace("http:", "https:"), b"{}", {}, 2)
    assert reply.text.startswith("no safe connection")
    assert receiver.got == []


def test_only_half_of_the_slots_send(offered, listen, receiver):
    listen("handoff.offered")
    offered()
    taken = [outbox._slots.acquire(blocking=False) for _ in range(outbox.AT_ONCE)]
    deliver()
    assert receiver.got == []
    for _ in taken:
        outbox._slots.release()
    deliver()
    assert len(receiver.got) == 1


def test_a_redirect_is_not_followed(listen, receiver):
    receiver.status, receiver.headers = 302, {"Location": "http://127.0.0.1:1/secret"}
    reply = managing.test(SYSTEM, listen())
    assert (reply.status, reply.ok) == (302, False)
    assert "redirects" in reply.words
    assert len(receiver.got) == 1


# ---- Where no message goes --------------------------------------------------------------------------------

INSIDE = [
    "https://127.0.0.1/hook", "https://10.1.2.3/", "https://192.168.0.9/", "https://172.16.0.1/",
    "https://169.254.169.254/latest/meta-data/", "https://0.0.0.0/", "https://100.64.0.1/", "https://[::1]/",
    "https://[fe80::1]/", "https://[fd00::1]/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/",
    "https://[2002:a00:1::]/", "https://224.0.0.1/", "https://2130706433/", "https://localhost/",
    "http://93.184.216.34/", "https://user:pass@93.184.216.34/", "ftp://93.184.216.34/", "https://",
    "no address", "https://93.184.216.34:99999/", "https://93.184.216.34/a b",
]  # fmt: skip


@pytest.mark.parametrize("url", INSIDE)
def test_an_address_inside_is_refused_in_words(url):
    with pytest.raises(BadInput) as no:
        addresses.check(url)
    assert no.value.faults[0].path == "url"


def test_a_public_address_is_taken():
    addresses.check("https://93.184.216.34/hook")


def test_a_name_is_judged_by_what_it_means_when_the_message_is_sent(offered, listen, receiver, settings):
    listen("handoff.offered")
    offered()
    settings.WEBHOOK_ALLOW = []
    WebhookEndpoint.objects.update(url=f"https://localhost:{receiver.server.server_port}/")
    deliver()
    assert receiver.got == []
    assert "private network" in Outbox.objects.get(channel="webhook").error


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch):
    def two(host, port, **_):
        return [(0, 0, 0, "", (number, port)) for number in ("93.184.216.34", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    assert sending.post("https://both.example/", b"{}", {}, 1).text.startswith(
        "not sent: It leads into a private"
    )


# ---- Chats ------------------------------------------------------------------------------------------------


def test_slack_and_teams_get_their_own_shape_with_why_now_and_links(offered, listen, receiver):
    listen("handoff.offered", shape="slack", name="Slack")
    listen("handoff.offered", shape="teams", name="Teams")
    handoff = offered(name="Ann <b> & Co")
    deliver()
    slack, teams = sorted((json.loads(body) for _, body in receiver.got), key=lambda one: "type" in one)
    assert slack["text"].endswith(f"Ann &lt;b&gt; &amp; Co (Acme) is for {handoff.owner.name}")
    words = "\n".join(block["text"]["text"] for block in slack["blocks"])
    assert "Why now: " in words
    assert "Answer by 14:12 on 24 Nov" in words
    assert f"/queue/{handoff.pk}/do/accept/|Accept>" in words
    card = teams["attachments"][0]["content"]
    assert [action["title"] for action in card["actions"]] == ["Call", "Accept", "Reject", "Open"]
    assert card["body"][0]["text"] == f"{handoff.grade}: Ann <b> & Co (Acme) is for {handoff.owner.name}"
    assert "LeadFlow-Signature" not in receiver.got[0][0]


def test_every_event_has_words_for_a_chat(offered, listen, receiver):
    endpoint = listen(shape="slack")
    handoff = offered()
    actor = person(handoff.owner)
    machine.apply("accept", handoff.pk, actor)
    machine.apply("touch", handoff.pk, actor, result="talked", channel="phone")
    machine.apply("snooze", handoff.pk, actor, until="2026-11-27", reason="asked to wait")
    machine.apply("wake", handoff.pk, actor)
    machine.apply("win", handoff.pk, actor, amount="100")
    pulling.pull(clock.now())
    told = Outbox.objects.filter(endpoint=endpoint)
    assert {"handoff.snoozed", "handoff.won", "score.changed", "customer.won"} <= set(
        told.values_list("kind", flat=True)
    )
    for row in told:
        assert "Lead 1" in json.loads(shapes.body(endpoint, row.payload, "UTC"))["text"], row.kind


# ---- Keeping them -----------------------------------------------------------------------------------------


def test_the_secret_is_shown_once_and_in_no_trace(people, receiver):
    values = {"name": "CRM", "shape": "signed", "url": receiver.url, "team": None, "active": True}
    values["events"] = ["handoff.accepted", "handoff.*", "nonsense"]
    endpoint, secret = managing.save(person(people.admin), None, values)
    assert secret == endpoint.secret
    assert endpoint.events == ["handoff.*"]
    assert managing.save(person(people.admin), endpoint, values)[1] == ""
    renewed = managing.renew_secret(person(people.admin), endpoint)
    assert renewed != secret
    trail = str(list(AuditEntry.objects.values()))
    assert secret not in trail
    assert renewed not in trail


def test_a_test_says_how_it_went_and_is_never_tried_again(listen, receiver):
    endpoint = listen()
    assert managing.test(SYSTEM, endpoint).words == "answered 200: so it is"
    receiver.status = 404
    assert managing.test(SYSTEM, endpoint).words == "answered 404: so it is"
    assert receiver.events == ["test", "test"]
    outbox.deliver(clock.now() + timedelta(days=1))
    assert len(receiver.got) == 2
    assert outbox.stuck().count() == 0


def test_what_left_a_month_ago_is_forgotten(listen, receiver):
    managing.test(SYSTEM, listen())
    assert pulling.tidy(clock.now() + timedelta(days=29)) == 0
    assert pulling.tidy(clock.now() + timedelta(days=31)) == 1
    assert DeliveryLog.objects.count() == 0


def test_another_room_tells_its_events_by_the_same_door(listen, receiver, at):
    listen("audience.*")
    bodies = [("audience-1", {"audience": "Talking", "lead": 7})]
    assert pulling.emit("audience.joined", bodies, at) == 1
    assert pulling.emit("audience.joined", bodies, at) == 1
    assert pulling.emit("handoff.offered", [("x", {})], at) == 0
    outbox.deliver(at)
    assert receiver.events == ["audience.joined"]


# ---- The receiver of the docs -----------------------------------------------------------------------------


def test_the_receiver_of_the_docs_takes_what_is_genuine_and_nothing_else(offered, listen, receiver):
    import importlib.util
    from pathlib import Path

    path = Path(__file__).parents[2] / "docs/examples/webhooks/receiver.py"
    spec = importlib.util.spec_from_file_location("receiver_of_the_docs", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    endpoint = listen("handoff.offered")
    offered()
    deliver()
    headers, body = receiver.got[0]
    stamp, signature = headers["LeadFlow-Timestamp"], headers["LeadFlow-Signature"]
    now = clock.now().timestamp()
    assert example.is_genuine(endpoint.secret, stamp, signature, body, now)
    assert not example.is_genuine(endpoint.secret, stamp, signature, body + b" ", now)
    assert not example.is_genuine("another", stamp, signature, body, now)
    assert not example.is_genuine(endpoint.secret, stamp, signature, body, now + 600)
    assert not example.is_genuine(endpoint.secret, "", "ä", body, now)
