"""The MQL page: what would bring them over the bar, several at once, and what marketing has to do."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from feedback import bringing, mqls, nurture, tasks, verdicts
from feedback.models import Enrolment, Task
from handoff.models import OPEN, Handoff
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.leads.models import Activity, Lead
from scoring import current as applied
from scoring import engine
from scoring.models import Hold
from tests.feedback.conftest import GOOD, owner_of

# A head of operations: 12 + 12 + 6 + 4 + 3 points of fit, so letter B, and B1 asks for 25 of behaviour.
B = {**GOOD, "title": "Head of Operations", "employees": 120}


@pytest.fixture
def mql(at, agreement_in_force, make_lead, did):
    """A lead that reached MQL and not the bar, by what it did."""

    def make(*acts, **facts):
        lead = make_lead(**{**GOOD, **facts})
        for kind, days_ago, more in acts or (WEBINAR, PRICING):
            did(lead, kind, days_ago=days_ago, **more)
        while engine.score_pending(at):
            pass
        lead.refresh_from_db()
        assert lead.stage == "mql"
        return lead

    return make


WEBINAR = ("webinar_attended", 5, {})
PRICING = ("page_view", 5, {"path": "/pricing/"})
MUCH = (WEBINAR, ("webinar_attended", 6, {}), PRICING, ("page_view", 4, {"path": "/pricing/"}))


def needs(lead, at):
    now = applied.current()
    return bringing.needs(engine.explain_many([lead.pk], at)[lead.pk], now.program)


# What is missing -------------------------------------------------------------------------


@pytest.mark.parametrize("facts", [{}, B], ids=["grade A", "grade B"])
def test_what_would_do_really_does(facts, mql, did, at):
    lead = mql(**facts)
    before = needs(lead, at)
    assert before.points
    assert before.would_do.endswith("would do")
    # The larger signs are kinds that the story knows how to do.
    acts = {
        "Viewed a page under /pricing": ("page_view", {"path": "/pricing/"}),
        "Attended a webinar": ("webinar_attended", {}),
        "Asked a question": ("question", {}),
        "Talked to us at a trade show": ("tradeshow_talk", {}),
        "Asked for a demo, a call or a quote": ("demo_requested", {}),
        "Started a trial": ("trial_started", {}),
        "Downloaded buying content": ("buying_download", {}),
    }
    told = [text for text in acts if f"“{text}”" in before.would_do]
    assert told, before.would_do
    chosen = told if "together" in before.would_do else told[:1]
    for text in chosen:
        kind, more = acts[text]
        did(lead, kind, **more)
    assert engine.explain_many([lead.pk], at)[lead.pk].thresholds.sql


@pytest.mark.parametrize(("more", "grade"), [(1, "B2"), (0, "B3")], ids=["total enough", "total lacks fewer"])
def test_points_for_the_grade_count_where_the_total_takes_fewer(more, grade, mql, at):
    lead = mql(WEBINAR, PRICING, *[("page_view", 4, {"path": "/pricing/"})] * more, **B)
    said = engine.explain_many([lead.pk], at)[lead.pk]
    assert (said.grade, said.total >= 55) == (grade, bool(more))
    found = needs(lead, at)
    assert found.grade == "B1"
    assert found.points == 25 - said.groups["behaviour"]


def test_where_no_act_is_enough_it_says_so(mql, at):
    lead = mql(*MUCH, title="Analyst", employees=70, industry="farming")
    found = needs(lead, at)
    assert found.points is None
    assert "whatever they do: who they are decides" in found.also[0]


def test_who_was_quiet_too_long_needs_any_visit(mql, at):
    lead = mql(
        WEBINAR, PRICING, ("page_view", 4, {"path": "/pricing/"}), ("page_view", 3, {"path": "/pricing/"})
    )
    later = at + timedelta(days=12)
    found = needs(lead, later)
    assert found.quiet


# The page --------------------------------------------------------------------------------


def test_filters_and_views_narrow_the_list(mql, people, as_user, at):
    here, there = mql(source="Fair", name="Ada Berg"), mql(name="Ben Hall")
    nurture.start_by_hand(there.pk, "educate", person(people.mia))
    mqls.park(here.pk, person(people.mia), until=at + timedelta(days=30))
    client = as_user(people.mia)

    def shown(query):
        text = client.get(f"/mqls/?{query}").content.decode()
        return {lead.name for lead in (here, there) if f'id="mql-{lead.pk}"' in text}

    assert shown("view=all") == {"Ada Berg", "Ben Hall"}
    assert shown("view=all&source=Fair") == {"Ada Berg"}
    assert shown("view=all&track=educate") == {"Ben Hall"}
    assert shown("view=all&grade=D") == set()
    assert shown("view=all&q=ben") == {"Ben Hall"}
    assert shown("view=parked") == {"Ada Berg"}
    assert shown("view=notrack") == set()
    # Far below the bar is not close.
    assert shown("view=close&sort=quiet") <= {"Ben Hall"}


def test_who_was_never_seen_counts_as_the_quietest(mql, people, as_user):
    lately, long_ago, never = (mql(name=name) for name in ("Ada Berg", "Ben Hall", "Cleo Diaz"))
    Lead.objects.filter(pk=long_ago.pk).update(last_own_act_at=F("last_own_act_at") - timedelta(days=60))
    Lead.objects.filter(pk=never.pk).update(last_own_act_at=None)
    client, wanted = as_user(people.mia), [lately.pk, long_ago.pk, never.pk]
    for sort, order in (("quiet", wanted), ("-quiet", wanted[::-1])):
        text = client.get(f"/mqls/?view=all&sort={sort}").content.decode()
        assert sorted(wanted, key=lambda pk: text.index(f'id="mql-{pk}"')) == order


def test_several_get_one_act_and_the_others_are_told(mql, people, as_user):
    leads = [mql() for _ in range(3)]
    nurture.start_by_hand(leads[0].pk, "early", person(people.mia))
    client = as_user(people.mia)
    mqls.hand_over(leads[2].pk, person(people.mia), reason="met at the fair", to=people.sam.pk)
    ids = [lead.pk for lead in leads]
    dialog = client.get("/mqls/chosen/track/", {"lead": ids}).content.decode()
    assert "Start a track for 3 leads" in dialog
    answer = client.post("/mqls/chosen/track/do/", {"lead": ids, "track": "educate"}, follow=True)
    text = answer.content.decode()
    assert "Started for 2 leads." in text
    assert "Sales is talking to this lead" in text
    assert Enrolment.objects.filter(track="educate", ended_at=None).count() == 2
    assert client.post("/mqls/chosen/track/do/", {"track": "educate"}).status_code == 400
    assert client.post("/mqls/chosen/track/do/", {"lead": ids, "track": "x"}).status_code == 400
    assert client.post("/mqls/chosen/contact/do/", {"lead": ids}).status_code == 404


def test_several_are_parked_and_one_is_taken_back(mql, people, as_user):
    leads = [mql(), mql()]
    client = as_user(people.mia)
    client.post("/mqls/chosen/park/do/", {"lead": [lead.pk for lead in leads], "until": "2027-01-10"})
    assert Hold.objects.filter(reason_key="parked", ended_at=None).count() == 2
    client.post(f"/mqls/{leads[0].pk}/unpark/do/")
    assert Hold.objects.filter(reason_key="parked", ended_at=None).count() == 1
    assert client.post(f"/mqls/{leads[0].pk}/unpark/do/").status_code == 409


def test_a_track_is_ended_by_hand(mql, people, as_user):
    lead = mql()
    nurture.start_by_hand(lead.pk, "early", person(people.mia))
    client = as_user(people.mia)
    client.post(f"/mqls/{lead.pk}/stop/do/")
    assert Enrolment.objects.get(lead=lead).ended_why == "by hand: Mia"
    assert client.post(f"/mqls/{lead.pk}/stop/do/").status_code == 409


def test_a_contact_may_ask_for_the_next_one(mql, people, as_user):
    lead = mql()
    client = as_user(people.mia)
    form = {"kind": "call", "result": "no_answer", "note": "in a meeting"}
    assert client.post(f"/mqls/{lead.pk}/contact/do/", form | {"again": "2026-11-01"}).status_code == 400
    assert not Activity.objects.filter(lead=lead, kind__key="call").exists()
    client.post(f"/mqls/{lead.pk}/contact/do/", form | {"again": "2026-11-27"})
    task = Task.objects.get(lead=lead)
    assert (task.kind, task.owner, task.text) == ("call", people.mia, "Call again: in a meeting")
    assert task.due_at.date() == date(2026, 11, 27)
    assert "Call again: in a meeting" in client.get("/mqls/tasks/?kind=mine").content.decode()


def test_presales_work_the_page_and_reps_do_not(mql, people, as_user):
    mql()
    assert as_user(people.mia).get("/mqls/").status_code == 200
    assert "data-choose" not in as_user(people.rosa).get("/mqls/?view=all").content.decode()
    assert as_user(people.sam).get("/mqls/").status_code == 403


# The repair list -------------------------------------------------------------------------


def test_the_repair_list_says_what_is_wrong_and_mends_it_in_place(offered, people, as_user, at, flow):
    handoff = offered(name="Dana Weiss")
    rep = owner_of(handoff)
    verdicts.reject(handoff.pk, rep, reason_key="6", note="number belongs to somebody else")
    client = as_user(people.mia)
    text = client.get("/mqls/repairs/").content.decode()
    assert "number belongs to somebody else" in text
    assert f"{handoff.owner}:" in text
    task = Task.objects.get(handoff=handoff)
    assert client.post(f"/mqls/tasks/{task.pk}/", {"how": "repair"}).status_code == 400
    client.post(f"/mqls/tasks/{task.pk}/", {"how": "repair", "phone": "+49 40 99 88 77"})
    flow(at)
    again = Handoff.objects.get(lead=handoff.lead_id, state__in=OPEN)
    assert (again.kind, again.owner) == ("repaired", handoff.owner)
    assert Lead.objects.get(pk=handoff.lead_id).phone == "+49 40 99 88 77"
    assert "Nothing to repair" in client.get("/mqls/repairs/").content.decode()


def test_the_next_handoff_opens_with_the_old_reason_and_what_is_new(offered, at, did, flow, as_user):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="2", note="decides in spring")
    later = at + timedelta(days=40)
    with clock.use(later):
        did(handoff.lead, "demo_requested")
        flow(later)
        again = Handoff.objects.select_related("owner").get(lead=handoff.lead_id, state__in=OPEN)
        text = as_user(again.owner).get(f"/queue/{again.pk}/").content.decode()
    assert "not ready, still looking" in text
    assert "decides in spring" in text
    assert "asked for a demo" in text


# Sizes -----------------------------------------------------------------------------------


SIZED = ("/mqls/tracks/early/", "/mqls/repairs/", "/mqls/talking/", "/mqls/tracks/", "/mqls/tasks/")


def test_pages_ask_as_much_at_fifteen_rows_as_at_three(at, people, as_user, agreement_in_force, make_lead):
    client = as_user(people.mia)
    asked = {}
    for rows in (3, 12):
        for _ in range(rows):
            lead = make_lead(company=f"Firm {Lead.objects.count()}")
            nurture.enrol(lead.pk, "early", cause="test")
            made = Handoff.objects.create(
                lead=lead, kind="bar", owner=people.sam, offered_at=at, first_offered_at=at, changed_at=at
            )
            tasks.create_many([(lead.pk, "wrong")], kind=Task.Kind.REPAIR, at=at, handoff=made)
        for url in SIZED:
            client.get(url)
            with CaptureQueriesContext(connection) as seen:
                assert client.get(url).status_code == 200
            assert len(seen) <= 15
            assert asked.setdefault(url, len(seen)) == len(seen), url


EMPTY = ("/mqls/", "/mqls/tasks/", "/mqls/repairs/", "/mqls/tracks/", "/mqls/audiences/", "/mqls/talking/")


def test_an_empty_house_says_what_will_stand_here(at, people, as_user):
    client = as_user(people.mia)
    for url in EMPTY:
        assert "lf-empty" in client.get(url).content.decode(), url


# The lead's page -------------------------------------------------------------------------


def test_the_lead_page_tells_the_track_and_marketing_acts_there(mql, people, as_user, at):
    lead = mql()
    nurture.start_by_hand(lead.pk, "educate", person(people.mia))
    nurture.tick(at + timedelta(days=1))
    marketing, sales = as_user(people.mia), as_user(people.sam)
    for client in (marketing, sales):
        text = client.get(f"/leads/{lead.pk}/nurture/").content.decode()
        assert "Educate" in text
        assert "step 2 of 3" in text
        assert "The guide you may need now" in text
    assert "End the track" in marketing.get(f"/leads/{lead.pk}/nurture/").content.decode()
    assert "End the track" not in sales.get(f"/leads/{lead.pk}/nurture/").content.decode()
    dialog = marketing.get(f"/mqls/{lead.pk}/park/?whole=1").content.decode()
    assert 'name="whole"' in dialog
    form = {"until": "2027-01-10", "whole": "1"}
    answer = marketing.post(f"/mqls/{lead.pk}/park/do/", form, headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Refresh"]) == (204, "true")
    assert "Parked until" in marketing.get(f"/leads/{lead.pk}/nurture/").content.decode()
