"""Lines of handoffs as numbers that add up, and their sums by week: the same figures as from the ledgers."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from types import ModuleType

import pytest
from django.db import connection

from feedback.models import AnswerKept, AnswerWeek, HandedWeek, HandoverLines, LinePlace
from feedback.reports import answers, counted, criteria, journeys, said, summed, wasted
from feedback.reports.base import Filters
from feedback.reports.lines import given
from handoff.models import Handoff
from leadflow import audit
from leadflow.leads.models import Answer, Lead
from scoring import agreements
from tests.conftest import NOW
from tests.feedback.histories import write_histories


def write_company(people):
    agreements.install_default(person_marketing=people.noah, person_sales=people.rosa)
    write_histories(people, NOW, 90)
    first = Handoff.objects.exclude(frozen__explanation=[]).earliest("pk")
    first.frozen["explanation"] += [
        {"criterion": "n9", "points": "-3.25", "text": "No phone"},
        {"criterion": "once", "points": "0.05", "text": "Met once"},
    ]
    first.save(update_fields=["frozen"])


@pytest.fixture
def filters(company, at):
    return Filters(date(2026, 8, 3), date(2026, 11, 24), at, "Europe/Berlin")


def test_a_number_tells_the_lines_of_its_handoffs(filters, at):
    journeys.refresh(at)
    for handoff in Handoff.objects.order_by("pk")[:20]:
        wanted = {
            (line["criterion"], Decimal(line["points"]))
            for line in handoff.frozen["explanation"]
            if line["criterion"] != "rounding" and Decimal(line["points"])
        }
        row = f"one AS (SELECT 1 AS w, {handoff.pk} AS handoff_id, true AS only)"
        (found,) = given(row, "one", ("only",), {}).values()
        assert found.handoffs == 1
        assert set(found.points.items()) == {line for line in wanted if line[1] > 0}
        assert set(found.took) == {rule for rule, points in wanted if points < 0}


def asked(filters: Filters) -> list[Filters]:
    """Every way of grouping, and every filter that the lines know."""
    rep = Answer.objects.exclude(rep=None).latest("pk").rep_id
    ways = [{"by": by} for by in counted.BY]
    ways += [
        {"rep": rep},
        {"criterion": "f1"},
        {"criterion": "once"},
        {"source": "(none)"},
        {"campaign": "c1"},
    ]
    ways += [{"source": "Website", "rep": rep}, {"criterion": "f1", "by": "criterion"}, {"campaign": "none"}]
    return [replace(filters, **way) for way in ways]


def behind(module: ModuleType, cell: str, filters: Filters) -> list[int]:
    """The leads behind a figure: page by page the same as all at once."""
    every = sorted((lead.pk for lead in module.drill(cell, filters)), reverse=True)
    for start in (1, max(0, len(every) - 2)):
        page, total = module.listed(cell, filters, start, 3)
        assert (page, total) == (every[start : start + 3], len(every)), cell
    return every


def told(filters: Filters) -> list[object]:
    """Everything that the answers and the rules say under each of them."""
    found: list[object] = []
    for one in asked(filters):
        report, now = answers.screen(one, answers.current_terms())
        found += [now, report.figures, [table.records for table in report.tables]]
        found += [said.points(one), wasted.rejections_by_rep(one, "f1")]
        found += [behind(answers, cell, one) for cell in ("noes.*", "points:f1.rejected", "answered.*.=f1")]
    for one in (filters, filters.before, replace(filters, at=filters.at - timedelta(days=40))):
        found.append({rule: n for rule, n in criteria.count(one).items() if any(n.values())})
        cells = [f"{measure}@criterion={rule}" for rule in ("f1", "n9") for measure in criteria.MEASURES]
        found += [behind(criteria, cell, one) for cell in cells]
    return found


def test_sums_by_week_change_no_figure_of_answers_and_rules(filters, at, monkeypatch):
    """From the ledgers; kept; kept before some answers were taken back and leads changed their source."""
    wanted = told(filters)
    monkeypatch.setattr(criteria, "FEW_LEADS", 4)
    journeys.refresh(at)
    assert summed.sums(filters, "feedback_answerweek", said.KEYS) is not None
    assert told(filters) == wanted
    late = at - timedelta(minutes=1)
    some = list(
        Lead.objects.filter(answers__kind="rejected").order_by("pk").values_list("pk", flat=True)[::3]
    )
    Lead.objects.filter(pk__in=some).update(first_source="Elsewhere", changed_at=late)
    Answer.objects.filter(lead__in=some[::2], kind="rejected").update(voided_at=late)
    changed = told(filters)
    assert changed != wanted
    journeys.refresh(at)
    assert told(filters) == changed
    journeys.forget()
    assert not LinePlace.objects.exists()
    assert told(filters) == changed


@pytest.mark.parametrize(
    ("table", "change", "problem"),
    [
        (AnswerKept, "rep_id = rep_id + 1", "not what was said"),
        (AnswerWeek, "lines = lines + 1", "sums of answers"),
        (HandedWeek, "n = n + 1", "sums of leads handed over"),
        (HandoverLines, "lines = lines + 1", "kept lines are not those"),
    ],
)
def test_what_was_spoilt_is_named_until_it_is_made_anew(filters, at, table, change, problem):
    def named():
        return [stray for stray in audit.strays(at) if "kept" in stray.problem]

    journeys.refresh(at)
    assert not named()
    name = table._meta.db_table
    key = table._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {name} SET {change} WHERE {key} = (SELECT max({key}) FROM {name})")
    assert any(problem in stray.problem for stray in named())
    journeys.forget()
    journeys.refresh(at)
    assert not named()
