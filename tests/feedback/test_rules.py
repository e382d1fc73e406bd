"""A rule in the light of sales' answers: by criterion, persona, period; a draft at it; a word to the reps."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from feedback import rules
from feedback.models import RepAnswer
from feedback.reports import answers, counted, said, told, wasted
from feedback.reports.base import read_filters
from handoff import outbox
from handoff.models import Handoff, Notice
from leadflow.leads.models import Answer
from scoring import agreements
from tests.conftest import NOW
from tests.feedback.histories import write_histories

WIDE = {"from": "2026-08-01", "to": "2026-11-24"}


def write_company(people):
    agreements.install_default(person_marketing=people.noah, person_sales=people.rosa)
    write_histories(people, NOW, 110)


@pytest.fixture
def past(company):
    return read_filters(WIDE)


def gave(handoff_id, criterion):
    lines = Handoff.objects.get(pk=handoff_id).frozen["explanation"]
    return any(line["criterion"] == criterion and float(line["points"]) > 0 for line in lines)


def test_a_rules_numbers_are_those_of_the_ledgers(past):
    found = rules.numbers(past, "f1", answers.current_terms())
    answered = [
        row
        for row in Answer.objects.filter(kind__in=("accepted", "rejected"), voided_at=None, at__lte=past.at)
        if past.low <= row.at < past.high
    ]
    having = [row for row in answered if gave(row.handoff_id, "f1")]
    assert found.having.accepted == sum(row.kind == "accepted" for row in having) > 0
    assert found.having.rejected == sum(row.kind == "rejected" for row in having) > 0
    assert found.without.answered == len(answered) - len(having)
    judged = [row for row in having if row.kind == "rejected" and row.reason_kind in told.QUALITY]
    assert found.rejected == len(judged)
    assert sum(n for _, _, n, _ in found.reasons) == len(judged)


def test_columns_add_up_and_their_cells_list_as_many_leads(past, people, as_user):
    mia = as_user(people.mia)
    for by in counted.BY:
        filters = read_filters({**WIDE, "by": by})
        now = counted.count(filters)
        if by != "criterion":
            assert sum(now.of(key).answered for key in now.columns) == now.acceptance.answered
        key = now.columns[0]
        listed = answers.drill(f"answered.*.={key}", filters).count()
        assert 0 < listed <= now.of(key).answered, by
        assert mia.get("/feedback/", {**WIDE, "by": by}).status_code == 200


@pytest.mark.parametrize("name", ["rep", "criterion"])
def test_a_filter_narrows_figures_and_stream_alike(name, past, people, as_user):
    value = {"rep": str(people.sam.pk), "criterion": "f1"}[name]
    filters = read_filters({**WIDE, name: value})
    report = counted.count(filters).acceptance.answered
    page = as_user(people.mia).get("/feedback/", {**WIDE, name: value})
    told = page.context["page"].paginator.count
    assert report <= told < Answer.objects.exclude(kind="offered").count()
    assert answers.drill("answered.*", filters).count() == report


def test_one_click_opens_a_draft_at_the_rule_with_its_numbers(past, people, as_user):
    mia = as_user(people.mia)
    assert "Open in a draft" in mia.get("/feedback/", WIDE).content.decode()
    answer = mia.post("/feedback/rules/f1/draft/", {"from": "2026-08-01"})
    assert "edit=criterion-f1" in answer["Location"]
    assert agreements.draft() is not None
    page = mia.get(answer["Location"]).content.decode()
    assert "/feedback/rules/f1/?from=2026-08-01" in page
    numbers = mia.get("/feedback/rules/f1/?from=2026-08-01").content.decode()
    assert "sales accepted" in numbers
    assert "Try it on the past" in numbers
    assert mia.post("/feedback/rules/none/draft/").status_code == 400
    assert as_user(people.sam).post("/feedback/rules/f1/draft/").status_code in (302, 403)


def test_reps_hear_each_with_their_own_number_until_they_have_read_it(past, people, as_user, at):
    terms = answers.current_terms()
    given = said.points(past)
    rule = wasted.points_wasted(past, counted.count(past), terms.reasons, given)[0].criterion
    told = rules.who_said_no(past, rule)
    assert sum(n for _, n in told) == wasted.of_rule(given, rule).rejected > 0
    mia = as_user(people.mia)
    query = "?from=2026-08-01&to=2026-11-24"
    assert told[0][0].name in mia.get(f"/feedback/rules/{rule}/tell/{query}").content.decode()
    form = {"text": "Changed because of your {n}.", "to": [user.pk for user, _ in told]}
    mia.post(f"/feedback/rules/{rule}/tell/{query}", form)
    assert {(row.to_id, row.text) for row in RepAnswer.objects.all()} == {
        (user.pk, f"Changed because of your {n}.") for user, n in told
    }
    outbox.deliver(at)
    rep, n = told[0]
    assert Notice.objects.filter(user=rep, text__contains=f"your {n}.").exists()
    client = as_user(rep)
    assert 'hx-get="/feedback/replies/"' in client.get("/queue/").content.decode()
    assert 'hx-get="/feedback/replies/"' in client.get("/").content.decode()
    assert f"your {n}." in client.get("/feedback/replies/").content.decode()
    client.post(f"/feedback/replies/{RepAnswer.objects.get(to=rep).pk}/seen/")
    assert 'hx-get="/feedback/replies/"' not in client.get("/queue/").content.decode()
    assert RepAnswer.objects.get(to=rep).seen_at is not None
    assert (
        mia.post(f"/feedback/rules/{rule}/tell/{query}", {"text": "Hello you", "to": []}).status_code == 400
    )


PAGES = ("/feedback/?by=criterion", "/feedback/questions/", "/feedback/content/", "/feedback/campaigns/",
         "/feedback/customers/?from=2026-08-01&to=2026-11-24", "/feedback/outcomes/")  # fmt: skip


@pytest.mark.parametrize("url", PAGES)
def test_a_page_asks_no_more_with_more_rows(url, people, at, as_user, agreement_in_force):
    from tests.feedback.filled import fill

    client = as_user(people.admin)
    asked = []
    for rows in (12, 24):
        fill(people, at, rows)
        client.get(url)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        asked.append(len(queries))
    assert asked[1] <= asked[0] + 1
    assert asked[1] <= 22
