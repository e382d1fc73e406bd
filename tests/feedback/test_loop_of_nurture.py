"""What becomes of a lead that sales gave back: its date, its track, its way back; who starts early."""

import copy
import itertools
from datetime import date, timedelta

import pytest
from django.core import mail

from feedback import audiences, callbacks, letters, nurture, starting, steps, talking, verdicts
from feedback.models import ContentUse, Enrolment, StepRun, Task
from handoff import machine, outbox
from handoff.models import OPEN, Handoff, Notice, Outbox, WebhookEndpoint
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import User
from leadflow.leads import stages
from leadflow.leads.models import Consent, Content, Lead, Stage
from scoring import agreements, consequence
from scoring.default import default_content
from scoring.document import Document, Start
from scoring.models import Agreement, Hold
from tests.feedback.conftest import owner_of

DOCUMENT = Document(default_content())


def on(lead):
    return Enrolment.objects.filter(lead=lead, ended_at=None).values_list("track", flat=True).first()


# Reasons ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", DOCUMENT.reasons, ids=lambda one: f"{one.key}-{one.effect}")
def test_no_reason_leaves_a_lead_without_closing_or_a_next_date(reason, offered, at):
    handoff = offered()
    rep = owner_of(handoff)
    said = {"reason_key": reason.key, "note": "because of what they told me"}
    if reason.needs_date:
        said["date"] = date(2027, 3, 15)
    if reason.return_only:
        # The agreed attempts are not this test's matter.
        Handoff.objects.filter(pk=handoff.pk).update(frozen={**handoff.frozen, "give_up": EASY})
        machine.apply("touch", handoff.pk, rep, at=at, result="no_answer", channel="phone")
        with clock.use(at + timedelta(hours=1)):
            verdicts.return_(handoff.pk, rep, **said)
    else:
        verdicts.reject(handoff.pk, rep, **said)
    lead = Lead.objects.get(pk=handoff.lead_id)
    hold = Hold.objects.get(lead=lead, ended_at=None)
    closed = lead.stage == Stage.DISQUALIFIED
    repaired = Task.objects.filter(lead=lead, kind=Task.Kind.REPAIR, done_at=None).exists()
    assert closed == reason.closes
    assert closed or repaired or hold.until is not None
    assert lead.review_at is not None
    assert (on(lead) or "") == reason.track


EASY = {"attempts": 1, "working_days": 0, "channels": 1}


def test_what_follows_is_said_from_the_rules(at):
    said = {one.key: consequence.follows(one, DOCUMENT, at=at) for one in DOCUMENT.reasons}
    assert said["2"].startswith("Starts the track “Educate” (The guide you may need now,")
    assert "not before 24 December; at once if they ask for us themselves." in said["2"]
    assert said["3"].endswith(
        "Comes back to you on that day, whatever its points; you hear of it two weeks ahead."
    )
    assert "repair list" in said["6"]
    assert said["1"].startswith("Closes the lead. Comes back when employees or industry changes")
    assert said["9"].startswith("Closes the lead and proposes it for “not a lead”.")


def test_the_rep_reads_what_follows_before_saying_no(offered, as_user):
    handoff = offered()
    text = as_user(handoff.owner).get(f"/leads/{handoff.lead_id}/").content.decode()
    assert "Starts the track “Educate”" in text
    assert "not before 24 December" in text


def test_a_competitor_is_proposed_for_not_a_lead_unless_taken_back(offered, at, people):
    first, second = offered(company="Rival"), offered()
    for handoff in (first, second):
        verdicts.reject(handoff.pk, owner_of(handoff), reason_key="9")
    verdicts.undo(second.pk, owner_of(second), at=at + timedelta(minutes=5))
    outbox.deliver(at + timedelta(minutes=11))
    told = [one.text for one in Notice.objects.filter(user=people.noah)]
    assert told == [
        f"{first.owner} proposes {first.lead} (Rival) for “not a lead”: competitor, student or spam"
    ]


# The agreed date -------------------------------------------------------------------------


@pytest.fixture
def agreed(offered, at):
    """A lead whose rep was told: no budget until a day."""

    def agree(day, **facts):
        handoff = offered(**facts)
        verdicts.reject(handoff.pk, owner_of(handoff), reason_key="3", date=day, note="new budget then")
        return handoff

    return agree


def bell(user):
    return [row.payload["text"] for row in Outbox.objects.filter(user=user, key__startswith="callback-soon")]


def test_the_rep_hears_of_the_date_two_weeks_ahead_and_once(agreed, at, flow):
    handoff = agreed(date(2027, 3, 15))
    flow(at + timedelta(days=60))
    assert bell(handoff.owner) == []
    for _ in range(2):
        flow(at + timedelta(days=100))
    assert bell(handoff.owner) == [
        f"Call {handoff.lead} ({handoff.lead.company.name}) back on Mon 15 Mar, as agreed"
    ]


def test_a_short_wait_has_a_short_notice(agreed, at, flow):
    handoff = agreed(date(2026, 12, 1))
    flow(at + timedelta(days=2))
    assert bell(handoff.owner) == []
    flow(at + timedelta(days=6))
    assert len(bell(handoff.owner)) == 1


def test_where_the_rep_has_left_the_manager_hears_of_it(agreed, at, flow, people):
    handoff = agreed(date(2027, 3, 15))
    User.objects.filter(pk=handoff.owner_id).update(is_active=False)
    flow(at + timedelta(days=100))
    assert len(bell(people.rosa)) == 1
    assert not callbacks.coming(at + timedelta(days=101)).exists()


def test_on_the_day_it_is_offered_as_agreed_whatever_its_score(agreed, at, flow):
    handoff = agreed(date(2027, 3, 15))
    flow(at + timedelta(days=105))
    assert not Handoff.objects.filter(lead=handoff.lead_id, state__in=OPEN).exists()
    flow(at + timedelta(days=111))
    again = Handoff.objects.get(lead=handoff.lead_id, state__in=OPEN)
    assert (again.kind, again.owner) == ("callback", handoff.owner)
    assert again.why_now.startswith("Call back as agreed")
    assert again.total < 55


def test_an_excluded_lead_does_not_come_back_on_its_day(agreed, at, flow):
    handoff = agreed(date(2027, 3, 15))
    stages.move([stages.Move(handoff.lead_id, Stage.EXCLUDED, "left out")], at=at)
    flow(at + timedelta(days=100))
    assert bell(handoff.owner) == []
    flow(at + timedelta(days=111))
    assert not Handoff.objects.filter(lead=handoff.lead_id, state__in=OPEN).exists()


# The mail of a step ----------------------------------------------------------------------


@pytest.fixture
def on_track(at, agreement_in_force, make_lead, people):
    def start(track="educate", **facts):
        lead = make_lead(**facts)
        nurture.start_by_hand(lead.pk, track, person(people.mia))
        return lead

    return start


def test_a_mail_has_words_of_its_own_and_one_press_stops_it(on_track, at, client, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    lead = on_track(name="Dana Weiss", company="Hanse Frachten")
    nurture.tick(at + timedelta(days=1))
    outbox.deliver(at + timedelta(days=1))
    letter = next(one for one in mail.outbox if one.to == [lead.email])
    assert letter.subject == "The guide you may need now"
    assert letter.body.startswith("Hello Dana,\n\nyou are looking for a better way to plan the work at Hanse")
    assert letter.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = letter.extra_headers["List-Unsubscribe"].strip("<>").partition("/stop/")[2]
    # A mail program posts without having seen any page of ours.
    strict = type(client)(enforce_csrf_checks=True)
    answer = strict.post(f"/stop/{address}", {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    word = Consent.objects.get(lead=lead)
    assert (word.channel, word.given) == ("email", False)
    nurture.tick(at + timedelta(days=1, minutes=1))
    assert on(lead) is None


def test_a_later_yes_counts_and_may_be_taken_back_again(on_track, at):
    lead = on_track()
    letters.stop_mail(letters.stop_token(lead.pk), at=at)
    lead.refresh_from_db()
    Consent.objects.create(lead=lead, channel="email", basis="form", given=True, at=at + timedelta(hours=1))
    assert letters.refusal(lead, letters.words_about_mail([lead.pk])[lead.pk]) == ""
    letters.stop_mail(letters.stop_token(lead.pk), at=at + timedelta(hours=2))
    lead.refresh_from_db()
    assert letters.refusal(lead, letters.words_about_mail([lead.pk])[lead.pk]) == "does not want e-mail"
    assert Consent.objects.filter(lead=lead, given=False).count() == 2


@pytest.mark.parametrize(
    ("text", "known", "result"),
    [
        ("Hello {first_name}", {"first_name": "Dana"}, "Hello Dana"),
        ("{unknown} {0} {{x}}", {}, "{unknown} {0} {{x}}"),
        ("{first_name.__class__}", {"first_name": "x"}, "{first_name.__class__}"),
    ],
)
def test_places_in_a_text_are_filled_and_nothing_else(text, known, result):
    assert letters.filled(text, known) == result


def test_a_mail_with_one_of_our_pieces_counts_as_given(on_track, at):
    piece = Content.objects.create(key="guide", title="The guide", url="https://www.example.com/guide")
    lead = on_track()
    nurture.tick(at + timedelta(days=1))
    assert ContentUse.objects.get(lead=lead).content == piece


def test_nobody_is_written_to_at_a_closed_place(on_track, at):
    lead = on_track()
    stages.move([stages.Move(lead.pk, Stage.EXCLUDED, "left out")], at=at)
    assert steps.run(at + timedelta(days=1)) == 1
    assert not StepRun.objects.filter(enrolment__lead=lead).exists()
    assert on(lead) is None


def test_after_an_outage_nobody_gets_two_mails_in_one_day(on_track, at):
    lead = on_track()
    late = at + timedelta(days=40)
    nurture.tick(late)
    nurture.tick(late + timedelta(hours=23))
    assert StepRun.objects.filter(enrolment__lead=lead).count() == 1
    nurture.tick(late + timedelta(days=1))
    assert StepRun.objects.filter(enrolment__lead=lead).count() == 2


# Audiences -------------------------------------------------------------------------------


def test_an_audience_holds_whom_its_step_reached_until_sales_talks(on_track, at, people, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    WebhookEndpoint.objects.create(
        name="ads", url="https://ads.example.com/in", secret="s" * 32, events=["audience.*"], created_at=at
    )
    lead, other = on_track("re_warm"), on_track("re_warm")
    for day in (14, 15):
        nurture.tick(at + timedelta(days=day))
    later = at + timedelta(days=16)
    assert [one.enrolment.lead_id for one in audiences.members("Not reached by phone", later)] == [
        other.pk,
        lead.pk,
    ]
    with clock.use(later):
        machine.open_by_hand(lead.pk, person(people.mia), "met at the fair", people.sam.pk)
    nurture.tick(later)
    found = audiences.all_of_them(later)
    assert [(one.name, one.size, one.ever) for one in found] == [("Not reached by phone", 1, 2)]
    told = Outbox.objects.filter(endpoint__isnull=False).values_list("payload", flat=True)
    assert sorted(str(one.get("event")) for one in told) == ["audience.joined"] * 2 + ["audience.left"]
    assert [talking.who(one) for one in talking.with_sales()] == ["Sam"]


def test_the_lists_go_out_as_pages_files_and_by_api(on_track, at, people, as_user, offered):
    handoff = offered(name="=cmd|x", email="a@b.example")
    lead = on_track("re_warm")
    for day in (14, 15):
        nurture.tick(at + timedelta(days=day))
    client = as_user(people.mia)
    with clock.use(at + timedelta(days=15)):
        assert "a@b.example" in client.get("/mqls/talking/").content.decode()
        file = b"".join(client.get("/mqls/talking/?format=csv").streaming_content).decode()
        assert "'=cmd|x" in file
        told = client.get("/api/v1/sales-is-talking/").json()
        assert [(row["lead_id"], row["with"]) for row in told["results"]] == [
            (handoff.lead_id, str(handoff.owner))
        ]
        assert client.get("/api/v1/sales-is-talking/?since=2027-01-01T00:00:00Z").json()["results"] == []
        assert client.get("/api/v1/sales-is-talking/?since=soon").status_code == 400
        assert "a@b.example" in client.get("/api/v1/sales-is-talking/?format=csv").content.decode()
        assert "Not reached by phone" in client.get("/mqls/audiences/").content.decode()
        file = client.get("/mqls/audiences/csv/?name=Not%20reached%20by%20phone")
        assert lead.email in b"".join(file.streaming_content).decode()
        assert client.get("/mqls/audiences/csv/?name=nobody").status_code == 404
        assert client.get("/api/v1/audiences/").json()["results"][0]["size"] == 1
        told = client.get("/api/v1/audiences/Not%20reached%20by%20phone/").json()
        assert [row["lead_id"] for row in told["results"]] == [lead.pk]
        assert client.get("/api/v1/audiences/nobody/").status_code == 404


# Early nurturing -------------------------------------------------------------------------


@pytest.fixture
def early(at, agreement_in_force, make_lead, did):
    """A lead that did something lately and stands at a place."""

    def make(stage=Stage.MQL, **facts):
        lead = make_lead(**facts)
        did(lead, "page_view", days_ago=1, path="/")
        stages.move([stages.Move(lead.pk, stage, "test")], at=at)
        return lead

    return make


def test_a_track_starts_by_itself_at_its_places_once(early, at):
    lead, elsewhere = early(), early(Stage.CONVERSION)
    assert nurture.sweep(at) == 1
    assert nurture.sweep(at) == 0
    assert (on(lead), on(elsewhere)) == ("early", None)
    nurture.end([lead.pk], why="by hand", at=at)
    assert nurture.sweep(at + timedelta(days=20)) == 0


@pytest.mark.parametrize("why", ["asleep", "parked", "with sales", "said no"])
def test_it_does_not_start_for_those_who_should_be_left_in_peace(why, early, at, people):
    lead = early()
    if why == "asleep":
        Lead.objects.filter(pk=lead.pk).update(last_own_act_at=at - timedelta(days=31))
    elif why == "parked":
        Hold.objects.create(lead=lead, since=at, until=at + timedelta(days=9), evidence={"kind": "any"})
    elif why == "with sales":
        machine.open_by_hand(lead.pk, person(people.mia), "met at the fair", people.sam.pk)
        stages.move([stages.Move(lead.pk, Stage.MQL, "test")], at=at)
    else:
        letters.stop_mail(letters.stop_token(lead.pk), at=at)
    assert nurture.sweep(at) == 0


def test_a_track_may_be_for_one_persona_only(early, at):
    boss, reader = early(title="Head of Operations", company="A", employees=300), early(title="Student")
    start = Start(("mql",), ("core",))
    found = starting.candidates("early", start, at).values_list("pk", flat=True)
    assert set(found) == {boss.pk, reader.pk}
    assert starting._of_persona([boss.pk, reader.pk], start, at) == [boss.pk]


# The tick --------------------------------------------------------------------------------


def test_a_tick_with_nothing_due_asks_one_question(offered, at, django_assert_num_queries):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="3", date=date(2027, 3, 15))
    nurture.tick(at)
    with django_assert_num_queries(1):
        assert nurture.tick(at + timedelta(minutes=1)) == 0


def test_a_reply_soon_after_the_last_mail_is_answered_too(on_track, did, at):
    lead = on_track()
    for day in (1, 10, 20):
        nurture.tick(at + timedelta(days=day))
    with clock.use(at + timedelta(days=25)):
        did(lead, "email_replied")
        did(lead, "email_replied")
        nurture.tick(at + timedelta(days=25))
    assert Task.objects.filter(lead=lead, kind=Task.Kind.ANSWER).count() == 1


# The agreement's part --------------------------------------------------------------------


@pytest.fixture
def draft(at, agreement_in_force, people):
    return agreements.create_draft(person(people.mia))


def post(client, part, key, **form):
    base = {"act": "save", "base": form.pop("base", "")}
    return client.post(f"/agreement/part/{part}/{key}/", base | form, headers={"HX-Request": "true"})


def track_form(*rows, **more):
    form = {"name": "Mine", "steps.n": str(len(rows)), **more}
    for (n, row), name in itertools.product(enumerate(rows), ("day", "kind", "text", "body", "link")):
        form[f"steps.{n}.{name}"] = str(row.get(name, ""))
    return form


def test_a_track_is_made_step_by_step_in_the_browser(draft, people, as_user):
    client = as_user(people.mia)
    form = track_form(
        {
            "day": 1,
            "kind": "email",
            "text": "Hello",
            "body": "Dear {first_name}",
            "link": "https://x.example",
        },
        {"day": 5, "kind": "audience", "text": "Ads"},
        **{"start.places": ["mql"], "start.personas": ["core"]},
    )
    more = post(client, "track", "new", **{**form, "act": "step"}).content.decode()
    assert 'name="steps.2.day"' in more
    assert 'value="12"' in more
    assert post(client, "track", "new", **form).status_code == 200
    content = Agreement.objects.get(pk=draft.pk).content
    made = Document(content).tracks[-1]
    assert [(s.day, s.kind, s.text, s.body, s.link) for s in made.steps] == [
        (1, "email", "Hello", "Dear {first_name}", "https://x.example"),
        (5, "audience", "Ads", "", ""),
    ]
    assert made.start == Start(("mql",), ("core",))
    page = client.get("/agreement/reasons/").content.decode()
    assert "day 5, audience: Ads" in page
    assert "starts by itself for MQL, if they are The head of operations" in page


WRONG = [
    ({"day": "soon", "kind": "task", "text": "x"}, "write the day as a number"),
    ({"day": 1, "kind": "email", "text": "", "body": "x"}, "subject is missing"),
    ({"day": 1, "kind": "email", "text": "x"}, "write what the mail says"),
    ({"day": 1, "kind": "email", "text": "x", "body": "x", "link": "javascript:1"}, "begins with https"),
    ({"day": 9000, "kind": "task", "text": "x"}, "from 0 to 730"),
]


def test_a_step_that_cannot_be_is_told_in_words_and_stays_as_typed(draft, people, as_user):
    client = as_user(people.mia)
    for row, words in WRONG:
        answer = post(client, "track", "new", **track_form(row))
        assert answer.status_code == 422
        assert words in answer.content.decode()
        assert f'value="{row["day"]}"' in answer.content.decode()
    assert Agreement.objects.get(pk=draft.pk).content == draft.content


REFUSED = [
    ({"effect": "callback", "needs_date": False}, "needs the date"),
    ({"effect": "track", "track": ""}, "which track"),
    ({"effect": "close", "back": {"kind": "none"}, "wait_days": None, "closes": False}, "neither closes"),
]


def test_a_reason_that_would_lose_leads_is_refused(db):
    for change, words in REFUSED:
        content = copy.deepcopy(default_content())
        content["reasons"][1] = {**content["reasons"][1], **change}
        assert any(words in fault.message for fault in agreements.faults_of(content)), words
