"""The feedback screen, MQLs and reports as pages: words, links, budgets of queries, downloads, the API."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from feedback import answers as said
from feedback import letters, nurture, reports, verdicts
from feedback.models import Dispute, Enrolment, RepAnswer, Task
from feedback.reports import books, journeys
from feedback.reports.frame import persona_names
from handoff.models import OPEN, Handoff
from leadflow import audit, clock
from leadflow.accounts.actors import person
from leadflow.leads.models import Activity, Campaign, Lead
from scoring import engine
from scoring.models import Hold
from tests.feedback.conftest import GOOD, owner_of
from tests.feedback.histories import write_histories, write_promises

# session, user, team, frame (2) cost every page five.
BUDGET = {
    "/feedback/": 20,
    "/mqls/?view=all": 20,
    "/reports/sla/": 20,
    "/reports/conversion/": 20,
    # And one statement for each check of the audit, as long as the background has not kept its result.
    "/reports/cracks/": 20 + len(audit.CHECKS),
}
REPORTS = ("/reports/", "/reports/sla/", "/reports/conversion/", "/reports/cracks/")
PAGES = (*REPORTS, "/feedback/", "/mqls/", "/mqls/tasks/")
RANGED = ("/reports/sla/", "/reports/conversion/", "/feedback/", "/reports/answers/leads/")
BAD = ("from=tomorrow", "to=2026-13-01", "team=zebra", "team=99999", "from=1066-10-14", "from=2001-01-01")
WIDE = "?from=2026-08-01&to=2026-11-24"


@pytest.fixture
def mql(at, agreement_in_force, make_lead, did):
    """A lead that reached MQL and not the bar."""

    def make(**facts):
        lead = make_lead(**{**GOOD, **facts})
        did(lead, "webinar_attended", days_ago=5)
        did(lead, "page_view", days_ago=5, path="/pricing/")
        while engine.score_pending(at):
            pass
        lead.refresh_from_db()
        assert lead.stage == "mql"
        return lead

    return make


@pytest.mark.parametrize("url", BUDGET)
def test_a_page_asks_as_much_at_thirty_rows_as_at_three(url, at, people, as_user, mql):
    client = as_user(people.admin)
    asked = []
    for rows in (3, 27):
        for _ in range(rows):
            mql(company=f"Firm {Lead.objects.count()}")
        write_histories(people, at, rows, seed=rows)
        write_promises(at, seed=rows)
        for row in Handoff.objects.filter(state="rejected"):
            Dispute.objects.get_or_create(
                handoff=row, defaults={"by": people.mia, "comment": "A good one", "at": at, "due_at": at}
            )
        client.get(url)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get(url).status_code == 200
        asked.append(len(queries))
    assert asked[1] <= asked[0] + 1, "\n".join(q["sql"][:120] for q in queries)
    assert asked[1] <= BUDGET[url]


def histories(people, at, count=120):
    write_histories(people, at, count)
    write_promises(at)


NARROWED = ("", "source=Website", "campaign=c1", "persona=first", "team=first", "version=1", "rep=first")


def test_every_report_asks_twenty_times_at_most_under_every_filter(at, people, as_user, agreement_in_force):
    histories(people, at, 60)
    Campaign.objects.get_or_create(code="c1", defaults={"name": "First", "source": "Website"})
    journeys.refresh(at)
    books.refresh(at)
    client = as_user(people.rosa)
    first = {"persona": next(iter(persona_names())), "team": people.sam.team_id, "rep": people.sam.pk}
    for name in reports.ALL:
        # What a process loads once is loaded.
        client.get(f"/reports/{name}/{WIDE}&persona={first['persona']}")
        for narrowed in NARROWED:
            key, _, value = narrowed.partition("=")
            value = first[key] if value == "first" else value
            with CaptureQueriesContext(connection) as queries:
                assert client.get(f"/reports/{name}/{WIDE}&{key}={value}").status_code == 200
            asked = [one["sql"][:100] for one in queries]
            assert len(asked) <= 20, (name, narrowed, "\n".join(asked))


@pytest.mark.parametrize("name", ["sla", "conversion"])
def test_every_link_of_a_report_opens(name, at, people, as_user, agreement_in_force):
    histories(people, at)
    client = as_user(people.rosa)
    page = client.get(f"/reports/{name}/{WIDE}")
    links = {part.split('"')[0].replace("&amp;", "&") for part in page.content.decode().split('href="')[1:]}
    links = sorted(link for link in links if link.startswith(f"/reports/{name}/") and "cell=" in link)
    assert len(links) > 10
    for link in links[:12]:
        assert client.get(link).status_code == 200, link


@pytest.mark.parametrize("url", RANGED)
def test_a_reversed_range_is_told_in_words(url, people, as_user):
    page = as_user(people.rosa).get(url, {"from": "2026-11-20", "to": "2026-11-01", "cell": "answered.*"})
    assert page.status_code == 400
    assert "before it begins" in page.content.decode()


@pytest.mark.parametrize("query", BAD)
def test_a_filter_that_cannot_be_is_told_in_words(query, people, as_user):
    assert as_user(people.rosa).get(f"/reports/sla/?{query}").status_code == 400


@pytest.mark.parametrize("url", PAGES)
def test_an_empty_house_has_pages_that_say_so(url, at, people, as_user):
    page = as_user(people.noah).get(url)
    assert page.status_code == 200
    assert "None" not in page.content.decode().replace("None here", "")


@pytest.mark.parametrize("name", ["sla", "conversion", "answers"])
def test_the_api_says_the_same_as_the_page(name, at, people, as_user, agreement_in_force):
    histories(people, at)
    client = as_user(people.rosa)
    found = client.get(f"/api/v1/reports/{name}/{WIDE}").json()
    assert found["from"] == "2026-08-01"
    assert found["population"]
    table = found["tables"][0]
    assert list(table["rows"][0]) == table["columns"]
    text = client.get(f"/api/v1/reports/{name}/{WIDE}&format=csv&table={table['key']}")
    assert text["Content-Type"].startswith("text/csv")
    assert text.content.decode().splitlines()[0].split(",")[0].strip('"') == table["columns"][0]


def test_the_api_tells_bad_filters_in_words(people, as_user):
    client = as_user(people.rosa)
    answer = client.get("/api/v1/reports/sla/?from=2026-11-20&to=2026-11-01")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "from"
    assert client.get("/api/v1/reports/nothing/").status_code == 404


def test_a_download_runs_no_formula(at, people, as_user, make_lead, agreement_in_force):
    make_lead(name="=HYPERLINK(1)")
    client = as_user(people.rosa)
    page = client.get("/reports/conversion/leads/?cell=leads&format=csv")
    text = b"".join(page.streaming_content).decode()
    assert "'=HYPERLINK" in text
    table = client.get("/reports/conversion/?format=csv&table=steps")
    assert b"Customer" in b"".join(table.streaming_content)


# Feedback --------------------------------------------------------------------------------


@pytest.fixture
def rejected(offered):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="2", note="Just looking around")
    return handoff


def test_the_stream_shows_comment_reason_and_track(rejected, people, as_user):
    text = as_user(people.mia).get("/feedback/").content.decode()
    assert "Just looking around" in text
    assert "not ready, still looking" in text
    assert "on the track “educate”" in text
    assert "Dispute</button>" in text


def test_a_rep_sees_the_stream_without_dispute(rejected, people, as_user):
    text = as_user(people.sam).get("/feedback/").content.decode()
    assert "Just looking around" in text
    assert "Dispute</button>" not in text


def test_a_marketer_disputes_and_the_manager_settles_in_the_browser(rejected, people, as_user):
    mia = as_user(people.mia)
    assert mia.get(f"/feedback/dispute/{rejected.pk}/").status_code == 200
    sent = mia.post(
        f"/handoffs/{rejected.pk}/dispute/", {"comment": "He asked for a demo", "next": "/feedback/"}
    )
    assert sent.status_code == 302
    assert "He asked for a demo" in mia.get("/feedback/").content.decode()
    manager = as_user(people.admin)
    assert "Offer it again" in manager.get("/feedback/?show=disputed").content.decode()
    manager.post(f"/handoffs/{rejected.pk}/settle/", {"result": "overturned", "comment": "True"})
    assert Handoff.objects.filter(lead=rejected.lead_id, state__in=OPEN, kind="overturned").exists()


def test_marketing_answers_all_who_said_the_same(offered, people, as_user, at):
    reps = set()
    for _ in range(4):
        handoff = offered()
        verdicts.reject(handoff.pk, owner_of(handoff), reason_key="1", note="firm of four")
        reps.add(handoff.owner_id)
    answer = handoff.lead.answers.get(kind="rejected")
    mia = as_user(people.mia)
    form = mia.get(f"/feedback/answers/{answer.pk}/").content.decode()
    assert ("who said the same" in form) == (len(reps) > 1)
    mia.post(f"/feedback/answers/{answer.pk}/send/", {"text": "We changed the rule", "others": "1"})
    assert set(RepAnswer.objects.values_list("to", flat=True)) == reps
    rep = as_user(handoff.owner)
    assert "We changed the rule" in rep.get("/feedback/").content.decode()
    rep.post(f"/feedback/replies/{RepAnswer.objects.get(to=handoff.owner).pk}/seen/")
    assert not said.unseen(handoff.owner).exists()


def test_an_act_answers_htmx_with_a_toast_that_can_undo(offered, as_user):
    handoff = offered()
    client = as_user(handoff.owner)
    answer = client.post(f"/handoffs/{handoff.pk}/reject/", {"reason": "2"}, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert f"/handoffs/{handoff.pk}/undo/" in answer.content.decode()
    assert '"handoff-changed"' in answer["HX-Trigger"]
    assert answer["HX-Reswap"] == "none"
    client.post(f"/handoffs/{handoff.pk}/undo/", headers={"HX-Request": "true"})
    handoff.refresh_from_db()
    assert handoff.state == "offered"


def test_an_act_without_htmx_goes_back_where_it_came_from(offered, as_user):
    handoff = offered()
    answer = as_user(handoff.owner).post(
        f"/handoffs/{handoff.pk}/reject/", {"reason": "2", "next": "/queue/"}
    )
    assert answer["Location"] == "/queue/"
    away = as_user(handoff.owner).post(
        f"/handoffs/{handoff.pk}/reject/", {"reason": "2", "next": "//evil.example"}
    )
    assert away["Location"] == f"/leads/{handoff.lead_id}/"


@pytest.mark.parametrize(
    ("act", "form", "path"),
    [
        ("reject", {}, "reason"),
        ("reject", {"reason": "3", "date": "soon"}, "date"),
        ("qualify", {"amount": "a lot"}, "amount"),
        ("win", {"amount": "-5"}, "amount"),
    ],
)
def test_bad_input_of_an_act_is_told_in_words(act, form, path, offered, as_user):
    handoff = offered()
    answer = as_user(handoff.owner).post(f"/handoffs/{handoff.pk}/{act}/", form)
    assert answer.status_code == 400


def test_the_api_answers_once_for_an_idempotency_key(offered, as_user):
    handoff = offered()
    client = as_user(handoff.owner)
    body = {"reason_key": "2", "note": "later"}
    url = f"/api/v1/handoffs/{handoff.pk}/reject/"
    headers = {"Idempotency-Key": "k1"}
    first = client.post(url, body, content_type="application/json", headers=headers)
    again = client.post(url, body, content_type="application/json", headers=headers)
    assert first.status_code == 200, first.content
    assert first.json() == again.json()
    assert first.json()["state"] == "rejected"
    assert Enrolment.objects.filter(lead=handoff.lead_id).count() == 1


# MQLs ------------------------------------------------------------------------------------


def test_an_mql_says_what_is_missing(mql, people, as_user):
    lead = mql()
    text = as_user(people.mia).get("/mqls/?view=all").content.decode()
    assert str(lead) in text
    assert "would do" in text or "points to go" in text or "still asked" in text
    assert "no track" in text


def test_who_did_nothing_for_three_weeks_goes_quiet(mql, people, as_user, at):
    lead = mql()
    with clock.use(at + timedelta(days=17)):
        text = as_user(people.mia).get("/mqls/?view=quiet").content.decode()
    assert str(lead) in text
    assert "Going quiet:" in text


def test_a_track_starts_by_hand(mql, people, as_user):
    lead = mql()
    client = as_user(people.mia)
    assert "Early" in client.get(f"/mqls/{lead.pk}/track/").content.decode()
    row = client.post(f"/mqls/{lead.pk}/track/do/", {"track": "early"}, headers={"HX-Request": "true"})
    assert "Early, starts" in row.content.decode()
    assert Enrolment.objects.get(lead=lead).cause == "by hand: Mia"
    assert client.post(f"/mqls/{lead.pk}/track/do/", {"track": "nonsense"}).status_code == 400


def test_a_contact_is_written_down(mql, people, as_user):
    lead = mql()
    form = {"kind": "call", "result": "no_answer", "note": "mailbox"}
    as_user(people.mia).post(f"/mqls/{lead.pk}/contact/do/", form)
    made = Activity.objects.get(lead=lead, kind__key="call")
    assert (made.user, made.result, made.channel) == (people.mia, "no_answer", "phone")


def test_a_lead_is_handed_over_with_a_reason(mql, people, as_user):
    lead = mql()
    client = as_user(people.mia)
    assert client.post(f"/mqls/{lead.pk}/handover/do/", {"reason": ""}).status_code == 400
    form = {"reason": "Met the CEO at the fair", "to": people.sam.pk}
    answer = client.post(f"/mqls/{lead.pk}/handover/do/", form, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    made = Handoff.objects.get(lead=lead)
    assert (made.kind, made.owner) == ("by_hand", people.sam)
    assert f"mql-{lead.pk}" not in answer.content.decode()


def test_a_lead_is_parked_until_a_day(mql, people, as_user, at):
    lead = mql()
    client = as_user(people.mia)
    assert client.post(f"/mqls/{lead.pk}/park/do/", {"until": "2026-11-01"}).status_code == 400
    client.post(f"/mqls/{lead.pk}/park/do/", {"until": "2026-12-24"})
    assert Hold.objects.get(lead=lead, ended_at=None).reason_key == "parked"
    assert "Parked" in client.get("/mqls/?view=all").content.decode()


def test_tasks_are_done_on_their_page(rejected, offered, people, as_user):
    handoff = offered()
    verdicts.reject(handoff.pk, owner_of(handoff), reason_key="6", note="dead number")
    client = as_user(people.mia)
    assert "dead number" in client.get("/mqls/tasks/").content.decode()
    task = Task.objects.get(handoff=handoff)
    client.post(f"/mqls/tasks/{task.pk}/", {"how": "repair", "phone": "+49 40 1"})
    task.refresh_from_db()
    assert task.done_by == people.mia


def test_the_link_in_a_mail_stops_mail_and_needs_no_login(mql, client, at):
    lead = mql()
    address = urlsplit(f"/stop/{letters.stop_token(lead.pk)}/").path
    assert client.get(address).status_code == 200
    lead.refresh_from_db()
    assert lead.unsubscribed_at is None
    assert client.post(address).status_code == 200
    assert client.post(address).status_code == 200
    lead.refresh_from_db()
    assert lead.unsubscribed_at
    assert client.get("/stop/nonsense/").status_code == 404


def test_a_marketer_cannot_start_a_track_while_sales_talks(offered, people):
    handoff = offered()
    with pytest.raises(Exception, match="Sales is talking"):
        nurture.start_by_hand(handoff.lead_id, "early", person(people.mia))


def test_an_outcome_is_one_click_on_a_lead_that_sales_does_not_have(mql, people, as_user):
    lead = mql()
    rosa = as_user(people.rosa)
    assert "What became of it" in rosa.get(f"/leads/{lead.pk}/").content.decode()
    assert "What became of it" not in as_user(people.mia).get(f"/leads/{lead.pk}/").content.decode()
    rosa.post(f"/leads/{lead.pk}/outcome/", {"kind": "won", "amount": "24,000"})
    lead.refresh_from_db()
    assert lead.stage == "customer"
    assert lead.outcomes.get().amount == 24000
    assert rosa.post(f"/leads/{lead.pk}/outcome/", {"kind": "won", "amount": "much"}).status_code == 400


def test_a_report_says_how_far_its_first_filling_is(people, as_user, make_lead, monkeypatch):
    monkeypatch.setattr(journeys, "CHUNK", 2)
    for n in range(5):
        make_lead(email=f"p{n}@fill.example")
    client = as_user(people.rosa)
    page = client.get("/reports/velocity/").content.decode()
    assert "0% of the leads are done" in page
    assert 'href="?now=1"' in page
    assert "0% done" in client.get("/reports/velocity/headline/").content.decode()
    assert "people who became leads" in client.get("/reports/velocity/?now=1").content.decode()
    while journeys.filling() is not None:
        journeys.refresh(clock.now(), 1)
    again = client.get("/reports/velocity/", HTTP_HX_REQUEST="true", HTTP_HX_TARGET="filling")
    assert again.headers["HX-Refresh"] == "true"
    assert "people who became leads" in client.get("/reports/velocity/").content.decode()
