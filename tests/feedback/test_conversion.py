"""The funnel by cohort of entry equals a plain count over the ledgers."""

from collections import Counter
from datetime import date, timedelta

import pytest

from feedback.reports import conversion
from feedback.reports.base import Filters
from leadflow.leads.models import Answer, Lead, Outcome, StageChange
from tests.conftest import NOW
from tests.feedback.histories import write_histories
from tests.feedback.plain import shown

PERIOD = (date(2026, 10, 1), date(2026, 11, 10))


def plain_funnel(filters):
    """Read all rows, think with dictionaries: nothing shared with the report's SQL."""
    reached = {step: set() for step in conversion.STEPS}
    for lead in Lead.objects.all():
        outside = not filters.low <= lead.created_at < filters.high or lead.created_at > filters.at
        if outside or lead.merged_into_id or lead.erased_at:
            continue
        if filters.source and lead.first_source != filters.source:
            continue
        reached["leads"].add(lead.pk)
    for row in StageChange.objects.all():
        if row.to_stage in ("mql", "sql") and row.at <= filters.at:
            reached["mql"].add(row.lead_id)
    for row in Answer.objects.all():
        if row.kind in ("offered", "accepted") and not row.voided_at and row.at <= filters.at:
            reached[row.kind].add(row.lead_id)
    for row in Outcome.objects.all():
        if row.voided_at or row.at > filters.at:
            continue
        if row.kind in ("opportunity", "won"):
            reached["opportunity"].add(row.lead_id)
        if row.kind == "won":
            reached["customer"].add(row.lead_id)
    return {step: len(found & reached["leads"]) for step, found in reached.items()}


def write_company(people):
    write_histories(people, NOW, 300)


@pytest.fixture
def filters(company, at):
    return Filters(*PERIOD, at, "Europe/Berlin")


def test_the_funnel_equals_a_plain_count(filters):
    total = conversion.funnel(filters).total
    assert total == plain_funnel(filters)
    assert total["leads"] > 60
    assert 0 < total["customer"] < total["mql"]


def test_the_cohort_before_is_cut_at_the_same_age(filters):
    before = filters.before
    assert before.at == filters.at - timedelta(days=41)
    assert conversion.funnel(before).total == plain_funnel(before)


@pytest.mark.parametrize("source", ["Website", "Webinar"])
def test_a_source_filter_keeps_to_its_leads(filters, source):
    only = Filters(*PERIOD, filters.at, "Europe/Berlin", source=source)
    assert conversion.funnel(only).total == plain_funnel(only)
    by_source = conversion.funnel(filters).by_source
    assert by_source[source] == plain_funnel(only)


def test_every_figure_leads_to_exactly_its_leads(filters):
    report = conversion.build(filters)
    checked = 0
    for key in ("steps", "sources", "places"):
        table = report.table(key)
        for figure in [f for row in [*table.rows, table.foot] for f in row if f.cell]:
            if isinstance(figure.value, int):
                assert conversion.drill(figure.cell, filters).count() == figure.value, figure
                checked += 1
    assert checked > 30


def test_all_places_together_are_the_cohort(filters):
    report = conversion.build(filters)
    places = report.table("places")
    assert sum(row[1].value for row in places.rows) == conversion.funnel(filters).total["leads"]
    assert places.note == "Everyone has one place"


def test_a_team_keeps_to_leads_that_it_was_given(filters, people):
    only = Filters(*PERIOD, filters.at, "Europe/Berlin", team=people.south.pk)
    total = conversion.funnel(only).total
    mine = Counter(
        Lead.objects.filter(handoffs__team=people.south, merged_into=None).values_list("pk", flat=True)
    )
    assert total["leads"] == total["offered"] <= len(mine)


def test_an_empty_period_says_so(at, people):
    report = conversion.build(Filters(date(2020, 1, 1), date(2020, 1, 31), at, "Europe/Berlin"))
    assert report.empty
    assert report.say[0][0] == "Nobody became a lead in this period."


def test_the_middle_of_the_days_equals_a_plain_median(filters):
    report = conversion.build(filters)
    spans = []
    for lead in conversion.drill("mql", filters):
        first = min(c.at for c in lead.stage_changes.filter(to_stage__in=("mql", "sql")))
        spans.append(shown(first - lead.created_at))
    spans.sort()
    n = len(spans)
    median = spans[n // 2] if n % 2 else (spans[n // 2 - 1] + spans[n // 2]) / 2
    assert report.table("days").rows[0][1].value == n
    assert report.table("days").rows[0][2].value == pytest.approx(median, abs=0.051)
