"""Every report, as it stands on its page, equals plain Python over the exported ledgers: on a generated
history and on a demo company that lived through the real rooms. The same figure on two pages is one number.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction

from feedback import reports
from feedback.models import Dispute, Question
from feedback.reports import (
    answers,
    books,
    change,
    conversion,
    counted,
    cracks,
    criteria,
    journeys,
    mutual,
    reps,
    sla,
    speed,
)
from feedback.reports.base import Filters, Report
from feedback.review import month
from handoff.models import Handoff, SlaResult, Transition
from leadflow import clock
from leadflow.leads.models import Answer, Campaign, Lead, LeadMerge, Outcome
from scoring import agreements
from scoring.models import Agreement
from tests.conftest import NOW, make_people
from tests.feedback import plain
from tests.feedback.histories import enrich, write_histories, write_promises
from tests.feedback.plain import Ledgers

END = datetime(2026, 11, 24, 8, 12, tzinfo=UTC)
ZONE = "Europe/Berlin"


def generated() -> Filters:
    """Leads of 120 days with everything that a report reads, at random."""
    people = make_people()
    first = agreements.install_default(person_marketing=people.noah, person_sales=people.rosa)
    write_histories(people, NOW, 180)
    write_promises(NOW)
    enrich(NOW)
    acts, waiting = [], (people.mia, people.sam)
    for n, row in enumerate(Handoff.objects.order_by("pk")):
        acts.append(Transition(handoff=row, action="open", to_state="offered", at=row.first_offered_at))
        if row.state != "offered":
            at = row.accepted_at or row.closed_at
            acts.append(Transition(handoff=row, action="accept", to_state=row.state, at=at))
        asked = row.first_offered_at
        if row.state == "rejected":
            due = asked + timedelta(days=4)
            done = due - timedelta(days=n % 3 - 1) if n % 4 else None
            said = {"by": waiting[0], "comment": "x", "at": asked, "due_at": due, "settled_at": done}
            Dispute.objects.create(handoff=row, **said)
        answered = asked + timedelta(days=n % 7) if n % 5 else None
        Question.objects.create(
            lead_id=row.lead_id, handoff=row, text=f"q{n}", text_key=f"q{n}", asked_by=waiting[1],
            at=asked, due_at=asked + timedelta(days=3), first_answer_at=answered,
        )  # fmt: skip
    Transition.objects.bulk_create(acts)
    for lead in plain.Ledgers().leads.values():
        if lead["merged_into_id"]:
            into = {"from_lead_id": lead["id"], "into_id": lead["merged_into_id"]}
            LeadMerge.objects.create(**into, at=lead["created_at"] + timedelta(hours=1))
    # A second version, so that there is something to compare.
    Agreement.objects.filter(pk=first.pk).update(
        in_force_at=NOW - timedelta(days=90), superseded_at=NOW - timedelta(days=40), state="superseded"
    )
    Agreement.objects.create(
        number=first.number + 1, state="in_force", content=first.content, sha256="x", zone=first.zone,
        created_at=NOW, changed_at=NOW, in_force_at=NOW - timedelta(days=40),
    )  # fmt: skip
    return Filters(date(2026, 9, 1), date(2026, 11, 20), NOW, ZONE)


def simulated() -> Filters:
    """Four months of the demo company through intake, engine, machine and people's own acts."""
    call_command("simulate", leads=260, days=120, seed=5, until=END.isoformat(), stdout=StringIO())
    return Filters(date(2026, 9, 1), date(2026, 11, 24), END, ZONE)


@pytest.fixture(scope="module", params=["generated", "simulated"])
def written(request, django_db_setup, django_db_blocker):
    """Written once for all tests of this file, and taken back at its end."""
    with django_db_blocker.unblock(), transaction.atomic():
        with clock.use(NOW if request.param == "generated" else END):
            yield generated() if request.param == "generated" else simulated()
        transaction.set_rollback(True)


@pytest.fixture(scope="module", params=["from the ledgers", "kept, then some changed"])
def company(request, written):
    """Read from the ledgers alone, or from what was kept before something came of every sixth lead."""
    with transaction.atomic(), clock.use(written.at):
        if request.param != "from the ledgers":
            journeys.refresh(written.at)
            change_some(written.at)
        yield SimpleNamespace(filters=written, ledgers=Ledgers())
        transaction.set_rollback(True)


def change_some(at: datetime) -> None:
    """A minute ago: another source, a talk, an answer taken back, a clock stopped, a deal; not kept yet."""
    just_now = at - timedelta(minutes=1)
    sixth = list(Lead.objects.order_by("pk").values_list("pk", flat=True)[::6])
    Lead.objects.filter(pk__in=sixth).update(changed_at=just_now)
    Lead.objects.filter(pk__in=sixth[::2]).update(first_source="Elsewhere")
    theirs = Handoff.objects.filter(lead_id__in=sixth)
    theirs.update(changed_at=just_now)
    theirs.exclude(accepted_at=None).filter(reached_at=None).update(reached_at=just_now)
    Answer.objects.filter(lead_id__in=sixth[::3], kind="accepted", voided_at=None).update(voided_at=just_now)
    SlaResult.objects.filter(handoff__in=theirs, finished_at=None).update(finished_at=just_now)
    for handoff in theirs.exclude(accepted_at=None).order_by("pk")[::3]:
        Outcome.objects.create(
            lead_id=handoff.lead_id, source="late", external_id=str(handoff.pk), kind="won", amount=500,
            at=just_now, recorded_at=just_now,
        )  # fmt: skip


@pytest.fixture(autouse=True)
def within(company, db):
    """Each test within what was written once."""
    with clock.use(company.filters.at):
        yield


def same(report: Report, table: str, wanted: plain.Lines, *columns: int) -> None:
    """A table of a report says row by row what was reckoned (only `columns`, counted without the name)."""
    found = report.table(table)
    got = {}
    for row in [*found.rows, found.foot] if found.foot else found.rows:
        values = [figure.value for figure in row[1:]]
        got[str(row[0].value)] = [values[n] for n in columns] if columns else values
    assert len(got) == len(found.rows) + bool(found.foot)
    assert got.keys() == wanted.keys(), report.name
    for name, line in wanted.items():
        for n, (one, other) in enumerate(zip(got[name], line, strict=True)):
            where = (report.name, table, name, n, one, other)
            assert (one is None) == (other is None), where
            assert one is None or one == pytest.approx(other, abs=0.06), where


def sla_report(led, f):
    report = sla.build(f)
    for table, by in (("reps", "rep"), ("teams", "team"), ("grades", "grade"), ("hours", "hour")):
        same(report, table, plain.attainment(led, f, by))
    weeks = plain.promises(led, f)
    due = [row for row in report.table("weeks").rows if row[1].value]
    assert {row[0].value: row[2].value for row in due} == {
        row[0].value: pytest.approx(weeks[row[0].value][5]) for row in due
    }


def mutual_report(led, f):
    report = mutual.build(f)
    wanted = plain.promises(led, f)
    report.table("weeks").rows.pop(0)
    same(report, "weeks", wanted)


def conversion_report(led, f):
    report = conversion.build(f)
    same(report, "steps", plain.steps_table(led, f))
    same(report, "sources", plain.funnel_sources(led, f))
    stood = [plain.place_at(led, row["lead"], f.at) for row in plain.cohort(led, f)]
    words = {conversion.PLACE_WORDS[place]: [stood.count(place)] for place in set(stood)}
    same(report, "places", words)
    spans = plain.velocity_spans(led, f)
    middles = {name: [spans[name][0], spans[name][3], spans[name][6]] for _, name in conversion.SPANS}
    same(report, "days", middles, 0, 1, 3)


def speed_report(led, f):
    report = speed.build(f)
    same(report, "curve", plain.curve(led, f))
    same(report, "source", plain.halves(led, f, "source"))
    same(report, "team", plain.halves(led, f, "team"))


def velocity_report(led, f):
    report = reports.named("velocity").build(f)
    same(report, "spans", plain.velocity_spans(led, f))
    same(report, "sources", plain.velocity_sources(led, f))


def sources_report(led, f):
    report = reports.named("sources").build(f)
    same(report, "source", plain.source_quality(led, f, "source"))
    same(report, "campaign", plain.source_quality(led, f, "campaign"))


def touches_report(led, f):
    report = reports.named("touches").build(f)
    same(report, "campaigns", plain.attribution(led, f, "first", "last"))
    same(report, "by_source", plain.attribution(led, f, "source", "last_source"))


def criteria_report(led, f):
    report = criteria.build(f)
    texts = {c.id: c.text for c in criteria._document(None).active_criteria}
    rules = plain.rules(led, f)
    wanted = {texts.get(key, f"{key} (not in this version)"): line for key, line in rules.items()}
    rest = [row for row in report.table("criteria").rows if row[0].value not in wanted]
    assert not any(row[3].value or row[9].value for row in rest)
    report.table("criteria").rows = [row for row in report.table("criteria").rows if row not in rest]
    same(report, "criteria", wanted, *range(2, 10))


def change_report(led, f):
    report = change.build(f)
    same(report, "steps", plain.came_of_it(led, report.filters))
    same(report, "sure", plain.how_sure(led, report.filters))
    same(report, "grade", plain.parts_compared(led, report.filters, "grade"))
    same(report, "source", plain.parts_compared(led, report.filters, "source"))


def reps_report(led, f):
    report = reps.build(f)
    for by in ("rep", "team", "grade"):
        same(report, by, plain.responsiveness(led, f, by))


def content_report(led, f):
    report = reports.named("content").build(f)
    same(report, "content", plain.pieces(led, f))


def cracks_report(led, f):
    last = Filters(f.at.date() - timedelta(days=20), f.at.date(), f.at, f.zone)
    report = reports.named("cracks").build(last)
    words = reports.named("cracks").WORDS
    wanted = {words.get(place, place): line for place, line in plain.books(led, last).items()}
    same(report, "books", wanted, 0, 1, 2, 3)
    assert wanted["All"][3] == len(led.leads)
    for day in books.days(last.start, last.end, last.at):
        assert day.adds_up


def answers_report(led, f):
    counts = plain.refusals(led, f)
    assert counted.count(f).counts == counts
    report = answers.build(f)
    noes = {}
    for (kind, reason, _), n in counts.items():
        if kind != "accepted":
            noes[reason] = noes.get(reason, 0) + n
    terms = answers.current_terms().reasons
    rows = {row[0].value: row[-1].value for row in report.table("reasons").rows}
    assert rows == {terms[reason]: n for reason, n in noes.items()}


CHECKED = {
    "sla": sla_report,
    "mutual": mutual_report,
    "conversion": conversion_report,
    "speed": speed_report,
    "velocity": velocity_report,
    "sources": sources_report,
    "touches": touches_report,
    "criteria": criteria_report,
    "change": change_report,
    "reps": reps_report,
    "content": content_report,
    "cracks": cracks_report,
    "answers": answers_report,
}


def test_no_report_is_without_its_check():
    assert CHECKED.keys() == reports.ALL.keys()


@pytest.mark.parametrize("name", CHECKED)
def test_a_report_equals_plain_python_over_the_exported_ledgers(company, name):
    CHECKED[name](company.ledgers, company.filters)


def narrowed(f: Filters, one_by_one: bool) -> list[Filters]:
    """The period as it is, by each filter or by all at once, longer than there are leads, its last days."""
    team = Handoff.objects.exclude(team=None).earliest("pk").team_id
    ways: list[dict[str, Any]] = [{"source": "Website"}, {"source": "Elsewhere"}, {"team": team}]
    ways += [{"version": Agreement.objects.earliest("number").number}]
    codes = Campaign.objects.exclude(code="").order_by("code").values_list("code", flat=True)
    ways += [{"campaign": code} for code in codes[:1]]
    personas = Handoff.objects.order_by("pk").values_list("frozen__persona__key", flat=True)
    ways += [{"persona": key} for key in sorted({key for key in personas if key})[:1]]
    if not one_by_one:
        ways = [{name: value for way in ways for name, value in way.items()}]
    periods = [{}, {"start": f.start - timedelta(days=400)}, {"start": f.end - timedelta(days=9)}]
    return [replace(f, **way) for way in (*periods, *ways)]


def test_what_is_kept_changes_no_figure(company):
    """Each report under each filter, from kept rows and again without any."""

    def all_reports() -> dict[tuple[str, int], list[Any]]:
        found = {}
        for name, module in reports.ALL.items():
            # No filter narrows the cracks: they have them all at once.
            for n, filters in enumerate(narrowed(company.filters, one_by_one=module is not cracks)):
                report = module.build(filters)
                assert report.narrow == (module is not cracks)
                tables = {table.key: table.records for table in report.tables}
                found[name, n] = [report.population, report.say, tables, report.figures]
        return found

    if journeys.mark() is None:
        return
    kept = all_reports()
    journeys.forget()
    for place, report in all_reports().items():
        assert report == kept[place], place


def test_the_company_has_enough_to_count(company):
    led, f = company.ledgers, company.filters
    assert len(plain.handed(led, f)) > 15
    assert len(plain.touched(led, f)) > 1
    assert len(plain.refusals(led, f)) > 3
    assert sum(row["running"] for row in plain.dues(led, f)) > 0
    assert plain.promises(led, f)["All"].count(None) == 0
    assert not change.build(f).empty


def test_the_same_figure_on_two_pages_is_the_same_number(company):
    f = company.filters
    whole = mutual.by_week(f)[1]
    due = sla.attainment(f)
    for promise in ("acceptance", "first_touch"):
        count = due["lead", promise, "all", "0"]
        assert (whole[promise].part, whole[promise].whole) == (count.met, count.all)
    said = counted.count(f)
    assert whole["reason"].whole == said.noes()
    funnel = conversion.build(f)
    steps = {row[0].value: row[1].value for row in funnel.table("steps").rows}
    quality = dict(zip(reports.named("sources").HEADS.values(), sources_foot(f), strict=True))
    assert list(quality.values()) == list(steps.values())
    velocity = {row[0].value: row[1].value for row in reports.named("velocity").build(f).table("spans").rows}
    for row in funnel.table("days").rows:
        assert velocity[row[0].value] == row[1].value
    offered = speed.CUBE.count(f)["", ""]
    everybody = reps.build(f).table("rep").foot
    assert whole["leads"].part == offered["leads"] == everybody[1].value
    assert offered["accepted"] == criteria.count(f)[criteria.EVERYBODY]["accepted"]
    figures = month.figures(date(2026, 10, 1))
    october = mutual.by_week(month.filters_of(date(2026, 10, 1)))[1]
    assert figures["leads"] == october["leads"].part
    assert figures["answered"] == october["acceptance"].value


def test_a_source_or_campaign_narrows_both_pages_alike(company):
    led, f = company.ledgers, company.filters
    campaign = next(iter(led.campaigns.values()))
    noes = [r for r in led.answers if r["kind"] in ("rejected", "returned") and plain.standing(r)]
    noes = [r["lead_id"] for r in noes if plain.inside(r["at"], f)]
    sources = {led.source_of(lead) for lead in noes}
    wanted = {replace(f, source=one): [led.source_of(lead) for lead in noes].count(one) for one in sources}
    mine = [led.leads[lead]["first_campaign_id"] == campaign["id"] for lead in noes]
    wanted[replace(f, campaign=campaign["code"])] = sum(mine)
    for only, count in wanted.items():
        assert mutual.by_week(only)[1]["reason"].whole == counted.count(only).noes() == count, only


def sources_foot(f):
    return [figure.value for figure in reports.named("sources").build(f).table("source").foot[1:7]]
