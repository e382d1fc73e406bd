"""What sales says: acceptance, reasons by source, points wasted; all against a plain count."""

from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal

import pytest

from feedback.reports import answers, counted, said, told, wasted
from feedback.reports.base import Filters
from handoff.models import Handoff
from leadflow.leads.models import Answer
from tests.conftest import NOW
from tests.feedback.histories import write_histories


def plain_answers(filters):
    kinds = ("accepted", "rejected", "returned")
    return [
        row
        for row in Answer.objects.select_related("lead", "rep")
        if row.kind in kinds
        and not row.voided_at
        and filters.low <= row.at < filters.high
        and row.at <= filters.at
    ]


def write_company(people):
    write_histories(people, NOW, 250)


@pytest.fixture
def filters(company, at):
    return Filters(date(2026, 8, 1), date(2026, 11, 24), at, "Europe/Berlin")


@pytest.mark.parametrize("by", ["source", "rep"])
def test_the_matrix_equals_a_plain_count(filters, by):
    grouped = Filters(filters.start, filters.end, filters.at, filters.zone, by=by)
    wanted = Counter(
        (a.kind, a.reason_key, a.lead.first_source if by == "source" else str(a.rep_id))
        for a in plain_answers(filters)
    )
    assert Counter(counted.count(grouped).counts) == wanted
    assert sum(wanted.values()) > 60


def test_points_wasted_equal_a_plain_sum(filters):
    points, leads, taken = defaultdict(Decimal), Counter(), Counter()
    for row in plain_answers(filters):
        for line in Handoff.objects.get(pk=row.handoff_id).frozen["explanation"]:
            value = Decimal(line["points"])
            if value <= 0 or line["criterion"] == "rounding":
                continue
            if row.kind == "accepted":
                taken[line["criterion"]] += 1
            elif row.kind == "rejected" and row.reason_kind in told.QUALITY:
                points[line["criterion"]] += value
                leads[line["criterion"]] += 1
    found = wasted.points_wasted(filters, counted.count(filters), {}, said.points(filters))
    assert {w.criterion: w.points for w in found} == dict(points)
    assert {w.criterion: w.rejected for w in found} == dict(leads)
    assert {w.criterion: w.accepted for w in found} == {k: taken[k] for k in points}
    assert [w.points for w in found] == sorted((w.points for w in found), reverse=True)


def test_every_figure_leads_to_its_leads(filters, agreement_in_force):
    report = answers.build(filters)
    checked = 0
    for table in report.tables:
        for figure in [f for row in [*table.rows, table.foot] for f in row if f.cell]:
            found = answers.drill(figure.cell, filters).count()
            if isinstance(figure.value, int) and table.key == "reasons":
                assert found == figure.value, figure
                checked += 1
            else:
                assert found > 0
    assert checked > 10


def test_few_answers_are_not_judged(at, people, agreement_in_force):
    write_histories(people, at, 20)
    report = answers.build(Filters(date(2026, 8, 1), date(2026, 11, 24), at, "Europe/Berlin"))
    assert 0 < report.figures[0]["answered"] < 20
    assert "too few to judge" in "".join(words for words, _ in report.say)


def test_the_interval_holds_the_share_and_narrows(filters):
    small, large = counted.Acceptance(15, 5), counted.Acceptance(750, 250)
    assert small.interval[0] < 75 < small.interval[1]
    assert large.interval == (72, 78)
    assert counted.Acceptance(0, 0).interval == (0, 100)


def test_the_band_comes_from_the_agreement(filters, agreement_in_force):
    assert answers.build(filters).figures[0]["band"] == (70, 90)
