"""Every report equals plain Python over the ledgers, every figure leads to its leads, kept or not."""

from collections import defaultdict
from datetime import date, timedelta
from statistics import median

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from feedback import pages_reports, reports
from feedback.models import ContentUse, HandoverKept, HandoverLines, JourneyDay, LeadJourney, SpanWeek
from feedback.reports import (
    behind,
    books,
    change,
    content,
    conversion,
    criteria,
    journeys,
    middles,
    reps,
    sources,
    spans,
    speed,
    touches,
    velocity,
)
from feedback.reports.base import Filters, read_filters
from feedback.reports.cube import ALL
from handoff.models import Handoff
from leadflow import audit, clock
from leadflow.accounts.models import Organisation
from leadflow.errors import BadInput
from leadflow.leads.models import Activity, Answer, Lead, Outcome, StageChange
from scoring import personas
from scoring.models import Agreement
from tests.conftest import NOW
from tests.feedback.conftest import GOOD
from tests.feedback.histories import enrich, write_histories, write_promises
from tests.feedback.plain import quantile, shown

PERIOD = (date(2026, 9, 1), date(2026, 11, 20))


def write_company(people):
    write_histories(people, NOW, 140)
    write_promises(NOW)
    enrich(NOW)


@pytest.fixture
def filters(company, at):
    return Filters(*PERIOD, at, "Europe/Berlin")


# The ledgers in dictionaries: nothing shared with the SQL of the reports ----------------------


def living(filters):
    return [lead for lead in Lead.objects.select_related("first_campaign") if not lead.merged_into_id]


def deals(lead, at, kinds):
    rows = Outcome.objects.filter(lead=lead, voided_at=None, kind__in=kinds, at__lte=at)
    return sorted(rows, key=lambda row: row.at)


def plain_cohort(filters):
    """Each lead of the cohort with the first instant of every step, as known at `filters.at`."""
    found = []
    for lead in living(filters):
        if not filters.low <= lead.created_at < filters.high or lead.created_at > filters.at:
            continue
        steps = {
            "mql": [r.at for r in StageChange.objects.filter(lead=lead, to_stage__in=("mql", "sql"))],
            "offered": [r.at for r in Answer.objects.filter(lead=lead, kind="offered", voided_at=None)],
            "accepted": [r.at for r in Answer.objects.filter(lead=lead, kind="accepted", voided_at=None)],
            "opportunity": [r.at for r in deals(lead, filters.at, ("opportunity", "won"))],
            "customer": [r.at for r in deals(lead, filters.at, ("won",))],
        }
        first = {key: min(at) for key, at in steps.items() if at and min(at) <= filters.at}
        said = Outcome.objects.filter(lead=lead, voided_at=None, kind__in=("opportunity", "won"))
        # A deal older than the lead says nothing of how long it took.
        undated = any(row.undated or row.at < lead.created_at for row in said)
        found.append((lead, first, undated))
    return found


def plain_handovers(filters):
    """Each lead once, by its first handover of the period, with what came of it by `filters.at`."""
    first = {}
    for handoff in Handoff.objects.select_related("lead", "owner").order_by("first_offered_at", "pk"):
        offered = handoff.first_offered_at
        if (
            filters.low <= offered < filters.high
            and offered <= filters.at
            and not handoff.lead.merged_into_id
        ):
            first.setdefault(handoff.lead_id, handoff)
    found = []
    for handoff in first.values():
        said = {
            row.kind: row.at
            for row in Answer.objects.filter(handoff_id=handoff.pk, voided_at=None, at__lte=filters.at)
        }
        late = [
            r
            for r in deals(handoff.lead, filters.at, ("opportunity", "won"))
            if r.at >= handoff.first_offered_at
        ]
        found.append(
            {
                "handoff": handoff,
                "accepted": "accepted" in said,
                "refused": "rejected" in said or "returned" in said,
                "touched": handoff.first_touch_at
                if (handoff.first_touch_at or filters.high) <= filters.at
                else None,
                "reached": handoff.reached_at is not None and handoff.reached_at <= filters.at,
                "opportunity": bool(late),
                "customer": any(r.kind == "won" for r in late),
                "revenue": sum(r.amount or 0 for r in late if r.kind == "won"),
            }
        )
    return found


def kept_or_not(filters):
    """Twice: read from the ledgers, then from what is kept of them."""
    yield
    journeys.refresh(filters.at + timedelta(hours=1))
    assert journeys.mark() > filters.at
    yield


def test_cohort_reports_equal_a_plain_count(filters):
    for _ in kept_or_not(filters):
        for period in (filters, filters.before):
            plain = plain_cohort(period)
            assert plain
            found = sources.CUBE.count(period, "source", "campaign")
            assert found == conversion_like(plain, period)
            for key, _, start, end, sign in spans.SPANS:
                days = sorted(
                    shown(b - a)
                    for lead, first, undated in plain
                    for a, b in [
                        (
                            lead.created_at if start == "created_at" else first.get(start[:-3]),
                            first.get(end[:-3]),
                        )
                    ]
                    if a
                    and b
                    and (b > a or (b == a and sign == ">="))
                    and not (undated and key in ("opportunity", "customer", "whole"))
                )
                got = middles.days(period)[""][key]
                assert velocity.CUBE.count(period)[ALL][key] == len(days), key
                assert (got is None) == (not days)
                if days:
                    assert got[2] == pytest.approx(median(days), abs=1e-6), key
                    assert got[4] == pytest.approx(quantile(days, 0.9), abs=1e-6), key


def conversion_like(plain, period):
    counts = defaultdict(lambda: dict.fromkeys(sources.CUBE.measures, 0))
    for lead, first, _ in plain:
        code = lead.first_campaign.code if lead.first_campaign else ""
        revenue = sum(r.amount or 0 for r in deals(lead, period.at, ("won", "renewed", "expanded")))
        for place in (ALL, ("source", lead.first_source or "(none)"), ("campaign", code)):
            counts[place]["leads"] += 1
            for step in first:
                counts[place][step] += 1
            if "customer" in first:
                counts[place]["revenue"] += revenue
    return counts


def test_handover_reports_equal_a_plain_count(filters):
    for _ in kept_or_not(filters):
        for period in (filters, filters.before):
            plain = plain_handovers(period)
            assert plain
            waits = defaultdict(list)
            by_rep = defaultdict(lambda: defaultdict(int))
            for row in plain:
                handoff = row["handoff"]
                seconds = (
                    (row["touched"] - handoff.first_offered_at).total_seconds() if row["touched"] else None
                )
                step = next(
                    (
                        k
                        for k, _, top in speed.STEPS
                        if seconds is not None and (top is None or seconds <= top)
                    ),
                    "never",
                )
                waits[step].append(row)
                for measure in ("accepted", "refused", "reached", "opportunity", "customer"):
                    by_rep[str(handoff.owner_id)][measure] += bool(row[measure])
                by_rep[str(handoff.owner_id)]["leads"] += 1
            curve = speed.CUBE.count(period, "wait")
            for step, rows in waits.items():
                assert curve["wait", step]["leads"] == len(rows)
                for measure in ("reached", "accepted", "opportunity", "customer"):
                    assert curve["wait", step][measure] == sum(bool(row[measure]) for row in rows), (
                        step,
                        measure,
                    )
            found = reps.CUBE.count(period, "rep")
            for rep, numbers in by_rep.items():
                assert {m: found["rep", rep][m] for m in numbers} == dict(numbers)
            changed = change.CUBE.count(period)[ALL]
            assert changed["leads"] == len(plain)
            assert changed["revenue"] == sum(row["revenue"] for row in plain)


def test_criteria_equal_a_plain_count_unpacked_or_not(filters, at):
    def check():
        gave = defaultdict(lambda: [0, 0, 0, 0.0])
        for row in plain_handovers(filters):
            for line in row["handoff"].frozen["explanation"]:
                if line["criterion"] not in ("rounding", "limit", "") and float(line["points"]) > 0:
                    numbers = gave[line["criterion"]]
                    numbers[0] += 1
                    numbers[1] += row["accepted"]
                    numbers[2] += row["refused"] and not row["accepted"]
                    numbers[3] += float(line["points"])
        found = criteria.count(filters)
        for key, numbers in gave.items():
            count = found[key]
            got = [count["leads"], count["accepted"], count["refused"], float(count["points"])]
            assert got == pytest.approx(numbers), key

    check()
    journeys.refresh(at)
    assert HandoverLines.objects.exists()
    check()


def test_touches_and_content_equal_a_plain_count(filters):
    first, last, revenue = defaultdict(int), defaultdict(int), 0
    for lead in living(filters):
        won = deals(lead, filters.at, ("won",))
        if not won or not filters.low <= won[0].at < filters.high:
            continue
        code = lead.first_campaign.code if lead.first_campaign else ""
        acts = Activity.objects.filter(lead=lead, occurred_at__lte=won[0].at, campaign__isnull=False)
        latest = acts.order_by("-occurred_at", "-pk").select_related("campaign").first()
        first[code] += 1
        last[latest.campaign.code if latest else code] += 1
        revenue += sum(row.amount or 0 for row in won if filters.low <= row.at < filters.high)
    found = touches.CUBE.count(filters, "first", "last")
    assert {k: row["customers"] for (dim, k), row in found.items() if dim == "first"} == first
    assert {k: row["customers"] for (dim, k), row in found.items() if dim == "last"} == last
    assert found[ALL]["revenue"] == revenue
    assert sum(first.values()) > 3

    met = {}
    for piece, lead, at, given in [
        *((u.content_id, u.lead_id, u.at, True) for u in ContentUse.objects.all()),
        *((a.content_id, a.lead_id, a.occurred_at, False) for a in Activity.objects.exclude(content=None)),
    ]:
        if (
            filters.low <= at < filters.high
            and at <= filters.at
            and not Lead.objects.get(pk=lead).merged_into_id
        ):
            met.setdefault((piece, lead), []).append((at, given))
    plain = defaultdict(lambda: [0, 0, 0, 0])
    for (piece, lead), times in met.items():
        since = min(at for at, _ in times)
        won = [row for row in deals(lead, filters.at, ("won",)) if row.at >= since]
        numbers = plain[str(piece)]
        numbers[0] += 1
        numbers[1] += any(given for _, given in times)
        numbers[2] += bool(won)
        numbers[3] += sum(row.amount or 0 for row in won)
    counts = content.CUBE.count(filters, "content")
    for piece, numbers in plain.items():
        count = counts["content", piece]
        assert [count["leads"], count["given"], count["won"], count["revenue"]] == numbers


def test_every_figure_leads_to_exactly_its_leads(filters):
    checked = 0
    for module in (conversion, speed, velocity, sources, touches, criteria, reps, content):
        report = module.build(filters)
        for table in report.tables:
            for figure in [f for row in [*table.rows, table.foot] for f in row if f.cell]:
                assert module.words(figure.cell, report.filters)
                if isinstance(figure.value, int) and checked % 5 < 2:
                    assert module.drill(figure.cell, report.filters).count() == figure.value, (
                        module.NAME,
                        figure,
                    )
                checked += 1
    assert checked > 300


def test_the_same_figure_on_two_pages_is_the_same_number(filters):
    total = conversion.funnel(filters).total
    assert {step: sources.CUBE.count(filters)[ALL][step] for step in total} == total
    by_source = conversion.funnel(filters).by_source
    for source, counts in by_source.items():
        row = sources.CUBE.count(filters, "source")["source", source]
        assert {step: row[step] for step in counts} == counts
    assert reps.CUBE.count(filters)[ALL]["leads"] == speed.CUBE.count(filters)[ALL]["leads"]
    assert reps.CUBE.count(filters)[ALL]["accepted"] == criteria.count(filters)[""]["accepted"]


def test_kept_rows_say_what_the_ledgers_say_whatever_happens_after(filters, at, people):
    live = {period: sources.CUBE.count(period, "source") for period in (filters, filters.before)}
    assert journeys.refresh(at) >= Lead.objects.count()
    assert journeys.mark() is not None
    assert {period: sources.CUBE.count(period, "source") for period in live} == live
    assert not [stray for stray in audit.strays(at) if "kept" in stray.problem]
    # An hour later a lead is won: read from the ledger at once, then kept.
    later = at + timedelta(hours=1)
    lead = conversion.drill("leads", filters).filter(outcomes=None).first()
    Outcome.objects.create(
        lead=lead, source="t", external_id="new", kind="won", at=later, recorded_at=later, amount=700
    )
    after = Filters(*PERIOD, later, "Europe/Berlin")
    for _ in range(2):
        now = sources.CUBE.count(after)[ALL]
        assert now["customer"] == live[filters][ALL]["customer"] + 1
        with clock.use(later):
            journeys.refresh(later)
    journeys.refresh(later + timedelta(hours=1))
    # A row that was spoilt is named by the audit, and a rebuild repairs it.
    LeadJourney.objects.filter(lead=lead).update(customer_at=None)
    assert [s for s in audit.strays(later + timedelta(hours=1)) if "kept" in s.problem and s.id == lead.pk]
    JourneyDay.objects.filter(pk=JourneyDay.objects.latest("leads").pk).delete()
    HandoverKept.objects.filter(pk=HandoverKept.objects.first().pk).update(reached_at=later)
    kept = {s.subject for s in audit.strays(later + timedelta(hours=1)) if "kept" in s.problem}
    assert {"lead", "day", "handoff"} <= kept
    journeys.forget()
    journeys.refresh(later + timedelta(hours=1))
    assert not [s for s in audit.strays(later + timedelta(hours=1)) if "kept" in s.problem]


def test_the_leads_behind_a_figure_come_by_page_and_in_parts_in_one_order(filters, at, monkeypatch):
    monkeypatch.setattr(behind, "CHUNK", 7)
    cells = {
        conversion: ("leads", "mql@source=Website", "before.offered", "place=mql", "place=working"),
        velocity: ("mql", "whole@campaign=c1"),
        sources: ("customer", "leads@campaign=c1"),
    }
    monkeypatch.setattr(pages_reports, "PART", 7)
    for _ in kept_or_not(filters):
        file = [lead.pk for lead in pages_reports._every(reps, "leads", filters)]
        assert file == sorted(reps.drill("leads", filters).values_list("pk", flat=True), reverse=True)
        # Of one lead something is written since.
        Lead.objects.filter(pk=conversion.drill("mql", filters).latest("pk").pk).update(
            changed_at=at + timedelta(hours=2)
        )
        for module, asked in cells.items():
            for cell in asked:
                found = module.drill(cell, filters).order_by("-created_at", "-pk")
                every = list(found.values_list("pk", flat=True))
                paged = [module.listed(cell, filters, start, 5) for start in range(0, len(every), 5)]
                assert [lead for page, _ in paged for lead in page] == every, cell
                assert {total for _, total in paged} <= {len(every)}, cell
                assert [lead for part in module.walked(cell, filters) for lead in part] == every, cell


def test_weeks_that_were_spoilt_are_named_and_another_zone_makes_them_anew(filters, at):
    def named():
        return [(s.subject, s.id) for s in audit.strays(at) if "how long its leads took" in s.problem]

    journeys.refresh(at)
    assert not named()
    spoilt = SpanWeek.objects.earliest("pk")
    SpanWeek.objects.filter(pk=spoilt.pk).update(tenths=1234)
    assert named() == [("week", int(f"{spoilt.week:%Y%m%d}"))]
    Organisation.objects.update(tz="Asia/Tokyo")
    journeys.refresh(at)
    assert not named()
    tokyo = Filters(*PERIOD, at, "Asia/Tokyo")
    summed = middles.days(tokyo)
    journeys.forget()
    assert not SpanWeek.objects.exists()
    assert middles.days(tokyo) == summed


def test_filters_narrow_every_report(filters, people):
    code = "c1"
    for module in (sources, speed, touches, content):
        measure = next(iter(module.CUBE.measures))
        every = module.CUBE.count(filters)[ALL][measure]
        only = Filters(*PERIOD, filters.at, "Europe/Berlin", campaign=code)
        part = module.CUBE.count(only)[ALL][measure]
        assert 0 < part < every, module.NAME
        leads = module.drill(measure, only)
        assert {lead.first_campaign.code for lead in leads} == {code}
        team = Filters(*PERIOD, filters.at, "Europe/Berlin", team=people.south.pk)
        assert module.CUBE.count(team)[ALL][measure] <= every
    assert "first campaign Campaign 1" in sources.build(only).population


def test_a_version_keeps_to_what_entered_and_was_handed_over_under_it(filters, agreement_in_force, at):
    version = agreement_in_force
    Agreement.objects.filter(pk=version.pk).update(in_force_at=at - timedelta(days=30))
    Handoff.objects.filter(first_offered_at__gte=at - timedelta(days=30)).update(agreement_id=version.pk)
    only = Filters(*PERIOD, at, "Europe/Berlin", version=version.number)
    assert 0 < sources.CUBE.count(only)[ALL]["leads"] < sources.CUBE.count(filters)[ALL]["leads"]
    assert {h.created_at >= at - timedelta(days=30) for h in sources.drill("leads", only)} == {True}
    assert 0 < speed.CUBE.count(only)[ALL]["leads"] < speed.CUBE.count(filters)[ALL]["leads"]


def test_before_and_after_an_agreement_says_how_sure_it_is(filters, agreement_in_force, at):
    report = change.build(filters)
    assert report.empty
    assert "no agreement before" in report.say[0][0]
    first = agreement_in_force
    Agreement.objects.filter(pk=first.pk).update(
        in_force_at=at - timedelta(days=90), superseded_at=at - timedelta(days=40), state="superseded"
    )
    Agreement.objects.create(
        number=first.number + 1,
        state="in_force",
        content=first.content,
        sha256="x",
        zone=first.zone,
        created_at=at,
        changed_at=at,
        in_force_at=at - timedelta(days=40),
    )
    report = change.build(filters)
    said = "".join(words for words, _ in report.say)
    assert "handed over," in said
    assert "instead of" in said
    inside = report.filters
    assert (inside.start, inside.end) == (date(2026, 10, 15), date(2026, 11, 24))
    after, before = plain_handovers(inside), plain_handovers(inside.before)
    row = report.table("steps").rows[1]
    assert [row[1].value, row[2].value] == [len(after), len(before)]
    assert report.table("sure").folded
    assert change.drill("before.leads", inside).count() == len(before)


def test_every_report_has_a_page_a_csv_and_an_api_even_when_empty(at, people, as_user, agreement_in_force):
    client = as_user(people.rosa)
    books.refresh(at)
    for module in reports.SHOWN:
        opens(client, module.NAME)


def opens(client, name):
    client.get(f"/reports/{name}/")
    with CaptureQueriesContext(connection) as asked:
        page = client.get(f"/reports/{name}/")
    assert len(asked) <= 20, [q["sql"][:90] for q in asked]
    assert page.status_code == 200
    assert page.content.decode().count("<h1>Reports</h1>") == 1
    assert client.get(f"/reports/{name}/headline/").status_code == 200
    found = client.get(f"/api/v1/reports/{name}/").json()
    assert found["population"]
    assert found["definition"]
    assert "None" not in found["population"]
    # Nothing counted is a table of nothing, not a table that is missing.
    assert client.get(f"/reports/{name}/?format=csv").status_code == 200
    for table in found["tables"]:
        text = client.get(f"/api/v1/reports/{name}/?format=csv&table={table['key']}")
        assert text["Content-Type"].startswith("text/csv")
        assert client.get(f"/reports/{name}/?format=csv&table={table['key']}").status_code == 200
    bad = client.get(f"/api/v1/reports/{name}/?from=2026-11-20&to=2026-11-01")
    assert bad.status_code == 400
    assert bad.json()["errors"][0]["path"] == "from"
    for cell in ("nonsense", "leads@nonsense=1", "leads@source=%00"):
        assert client.get(f"/reports/{name}/leads/?cell={cell}").status_code == 400


def test_a_version_that_never_was_is_refused_in_words(people, at):
    for text in ("99", "zebra", "-1", "1" * 40):
        with pytest.raises(BadInput, match="no such agreement"):
            read_filters({"version": text})


def test_a_name_that_begins_with_an_equals_sign_runs_nowhere(filters, people, as_user):
    Lead.objects.filter(first_source="Website").update(first_source="=cmd|' /C calc'!A0")
    client = as_user(people.rosa)
    query = "from=2026-09-01&to=2026-11-20&format=csv&table=source"
    page = b"".join(client.get(f"/reports/sources/?{query}").streaming_content).decode()
    assert "'=cmd" in page
    assert "\n=cmd" not in page
    assert "'=cmd" in client.get(f"/api/v1/reports/sources/?{query}").content.decode()


def test_a_persona_filter_keeps_to_leads_of_that_persona(at, agreement_in_force, make_lead):
    made = [make_lead(**GOOD, name=f"Good {n}").pk for n in range(2)] + [make_lead(title="Student").pk]
    seen = {lead: found.persona.key for lead, found in personas.of(made, at).items() if found.ideal}
    key = seen[made[0]]
    only = Filters(date(2026, 11, 1), date(2026, 11, 24), at, "Europe/Berlin", persona=key)
    wanted = {lead for lead, found in seen.items() if found == key}
    for _ in range(2):
        assert set(sources.drill("leads", only).values_list("pk", flat=True)) == wanted
        assert sources.CUBE.count(only)[ALL]["leads"] == len(wanted) < len(made)
        # Read from the ledgers first, then from what is kept.
        journeys.refresh(at + timedelta(hours=1))
    assert set(LeadJourney.objects.filter(persona=key).values_list("lead_id", flat=True)) == wanted
    assert "persona " in sources.build(only).population
