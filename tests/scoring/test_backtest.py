"""A version tried on the past: who is looked at, what was known then, and what peeks into the future."""

from copy import deepcopy
from datetime import timedelta

import pytest

from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import BadInput, Forbidden
from leadflow.jobs import runner
from leadflow.leads import intake
from leadflow.leads.models import CustomField, Lead, Outcome
from scoring import agreements, current
from scoring.backtesting import cases, leaks, measures, runs, showing
from scoring.document import Document
from scoring.models import BacktestCase, BacktestRun
from tests.scoring import past
from tests.scoring.sample import bands, fact, once
from tests.scoring.sample import content as sample
from tests.scoring.sample import did as did_leaf
from tests.scoring.test_x_education import EXAMPLE, console
from tests.shared_data import shared

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def lead_at(moment, n=1, **facts):
    return past.take_in([{"external_id": f"x{n}", "email": f"x{n}@firm{n}.example", **facts}], moment)[0]


def work_off():
    while runner.work_one():
        pass


def tried(agreement, goal, user=None):
    run = runs.start(agreement, goal, person(user) if user else SYSTEM)
    work_off()
    run.refresh_from_db()
    assert run.state == BacktestRun.State.DONE
    return run


def with_criteria(*criteria):
    content = sample()
    content["criteria"] = list(criteria)
    content["thresholds"] = {
        **content["thresholds"],
        "fast_tracks": [],
        "sql_when": {"score": "total", "op": "gte", "value": 10},
        "mql_when": {"score": "total", "op": "gte", "value": 5},
    }
    return content


# Who is a case


def test_a_handoff_counts_with_the_first_word_of_sales(at, people):
    start = at - 30 * DAY
    ids = [lead_at(start, n) for n in range(6)]
    past.offer(ids[0], at - 9 * DAY, "accepted")
    past.offer(ids[1], at - 9 * DAY, "rejected")
    past.offer(ids[2], at - 9 * DAY, "returned")
    past.offer(ids[3], at - 9 * DAY)
    past.offer(ids[4], at - 9 * DAY, "rejected", voided=True)
    past.offer(ids[5], at - 9 * DAY, "rejected")
    past.offer(ids[5], at - 2 * DAY, "accepted")
    found = cases.decided("accepted", at)
    assert [(c.lead, c.good) for c in found] == [
        (ids[0], True),
        (ids[1], False),
        (ids[2], True),
        (ids[5], False),
        (ids[5], True),
    ]
    assert {c.at for c in found[:3]} == {at - 9 * DAY}
    assert cases.left_out("accepted", at) == {"open": 2}
    assert cases.counts("accepted", at) == (5, 3)


def test_a_lead_counts_once_for_becoming_a_customer(at, people):
    start = at - 90 * DAY
    ids = [lead_at(start, n) for n in range(9)]
    won, lost, returned, again, open_, undated, before, alone, working = ids
    past.offer(won, at - 50 * DAY, "rejected")
    past.offer(won, at - 30 * DAY, "accepted")
    past.end(won, "won", at - 5 * DAY)
    past.offer(lost, at - 50 * DAY, "accepted")
    past.end(lost, "lost", at - 5 * DAY)
    past.offer(returned, at - 50 * DAY, "returned")
    past.offer(again, at - 50 * DAY, "rejected")
    past.offer(again, at - 5 * DAY, "accepted")
    past.offer(open_, at - 5 * DAY)
    past.offer(undated, at - 50 * DAY, "accepted")
    past.end(undated, "won", at - 5 * DAY, undated=True)
    past.end(before, "won", at - 60 * DAY)
    past.offer(before, at - 50 * DAY, "accepted")
    past.end(alone, "opportunity", at - 20 * DAY)
    past.end(alone, "lost", at - 5 * DAY)
    past.end(working, "opportunity", at - 20 * DAY)
    found = {c.lead: c for c in cases.decided("customer", at)}
    assert {lead: c.good for lead, c in found.items()} == {
        won: True,
        lost: False,
        returned: False,
        alone: False,
    }
    assert found[won].at == at - 50 * DAY
    assert found[alone].at == at - 20 * DAY - timedelta(microseconds=1)
    assert cases.left_out("customer", at) == {"open": 3, "undated": 1, "customer": 1}


def test_an_end_before_we_knew_the_lead_is_left_out_and_counted(at, people):
    lead = lead_at(at - 10 * DAY)
    past.end(lead, "won", at - 40 * DAY)
    assert cases.decided("customer", at) == []
    assert cases.left_out("customer", at) == {"unknown": 1}


def test_what_was_voided_replaced_merged_or_comes_later_does_not_count(at, people):
    start = at - 90 * DAY
    ids = [lead_at(start, n) for n in range(4)]
    for lead in ids:
        past.offer(lead, at - 30 * DAY, "accepted")
    voided = past.end(ids[0], "won", at - 5 * DAY)
    Outcome.objects.filter(pk=voided.pk).update(voided_at=at)
    past.end(ids[1], "won", at - 5 * DAY)
    Lead.objects.filter(pk=ids[1]).update(merged_into_id=ids[0])
    past.end(ids[2], "won", at + 5 * DAY)
    replaced, real = past.end(ids[3], "won", at - 9 * DAY), past.end(ids[3], "lost", at - 5 * DAY)
    Outcome.objects.filter(pk=replaced.pk).update(replaced_by=real)
    assert [(c.lead, c.good) for c in cases.decided("customer", at)] == [(ids[3], False)]


# As it was known then


def test_a_lead_is_scored_as_it_was_known_when_it_was_offered(at, put_in_force):
    """The rule of no peeking: later facts, later acts, and acts that were told us later do not count."""
    agreement = put_in_force(
        with_criteria(
            once("t", "fit", 20, fact("title", "has_word", ["CEO"])),
            once("d", "behaviour", 15, did_leaf("demo_requested")),
        )
    )
    offered = at - 20 * DAY
    early, late, fact_later, act_later = (
        lead_at(at - 60 * DAY, n, title="CEO" if n != 2 else "Clerk") for n in range(4)
    )
    past.did(early, "demo_requested", offered - HOUR)
    past.did(late, "demo_requested", offered - HOUR, recorded=offered + DAY)
    past.did(fact_later, "demo_requested", offered - HOUR)
    with clock.use(offered + DAY):
        intake.change_lead(fact_later, {"title": "CEO"}, actor=SYSTEM, cause="the rep heard it")
    past.did(act_later, "demo_requested", offered + HOUR)
    for lead in (early, late, fact_later, act_later):
        past.offer(lead, offered, "accepted")
    program = current.of(agreement).program
    found = cases.decided("accepted", at)
    scores = cases.scored(program, found)
    assert [scores[i].total for i in range(4)] == [35, 20, 15, 20]
    held = cases.held(program, program.document.active_criteria, found)
    assert [[hit for hit, _ in held[i]] for i in range(4)] == [
        [True, True],
        [True, False],
        [False, True],
        [True, False],
    ]
    assert held[0][1] == (True, 15.0)
    hindsight = cases.held(program, program.document.active_criteria, found, now=at)
    # Today's facts, and what had happened by then whenever it was told; what happened later is no hindsight.
    assert [[hit for hit, _ in hindsight[i]] for i in range(4)] == [
        [True, True],
        [True, True],
        [True, True],
        [True, False],
    ]


def test_the_score_of_a_case_is_the_one_that_was_stored_then(at, put_in_force):
    from scoring import engine
    from scoring.models import LeadScore

    agreement = put_in_force()
    lead = lead_at(at - 40 * DAY, title="CEO", employees=200, company="Firm", industry="Software")
    past.did(lead, "demo_requested", at - 21 * DAY)
    offered = at - 20 * DAY
    with clock.use(offered):
        while engine.score_pending(offered):
            pass
        stored = LeadScore.objects.get(lead_id=lead)
    past.did(lead, "trial_started", at - 19 * DAY)
    past.offer(lead, offered, "accepted")
    found = cases.scored(current.of(agreement).program, cases.decided("accepted", at))
    assert (found[0].total, found[0].grade) == (stored.total, stored.grade)


# The run


@pytest.fixture
def planted(at, people, put_in_force):
    past.plant(at)
    return put_in_force()


def test_the_planted_truth_comes_back(at, planted, people):
    run = tried(planted, "customer", people.mia)
    result = run.result
    assert result["all"]["of"] == 400
    assert result["enough"]
    by_grade = {g["grade"]: showing.share(g) for g in result["grades"]}
    # Grade A converts far better than C and D.
    assert by_grade["A"].value is not None
    assert by_grade["A"].value > 0.3
    low = measures.Share(sum(by_grade[x].good for x in "CD"), sum(by_grade[x].of for x in "CD"))
    assert measures.difference(by_grade["A"], low)[1] > 0.1
    # Syndication is the poor source, though the version likes its leads as well as the others.
    sources = {s["source"]: s for s in result["sources"]}
    poor = showing.share(sources["Syndication"])
    assert poor.value is not None
    assert poor.value < 0.12
    assert "× less often than average" in showing.often(poor, showing.share(result["all"]))
    assert abs(sources["Syndication"]["points"] - sources["Website"]["points"]) < 8
    best = next(b for b in result["best"] if b["n"] == 5)
    assert best["good"] / best["of"] > 1.3 * result["all"]["good"] / 400
    assert result["area"]["low"] > 0.55
    assert BacktestCase.objects.filter(run=run).count() == 400


def test_a_wrong_rule_makes_a_version_worse_and_the_comparison_says_so(at, planted, people, put_in_force):
    wrong = deepcopy(planted.content)
    for raw in wrong["criteria"]:
        if raw["id"] == "b8":
            raw["points"], raw["max_points"] = 30, 40
        elif raw["id"] == "f1":
            raw["points"] = -10
    worse = put_in_force(wrong)
    one, other = tried(planted, "customer"), tried(worse, "customer")
    shown, beside = showing.shown(one), showing.shown(other)
    better = f"Over the whole list {shown.name} sorts better than {beside.name}."
    assert showing.difference_words(shown, beside, runs.compare(one, other)) == better
    assert showing.difference_words(beside, shown, runs.compare(other, one)) == better
    assert "cannot be told" in showing.difference_words(shown, shown, runs.compare(one, one))


def test_too_few_cases_are_counted_and_not_judged(at, people, put_in_force):
    agreement = put_in_force()
    ids = [lead_at(at - 60 * DAY, n) for n in range(30)]
    for n, lead in enumerate(ids):
        past.offer(lead, at - 20 * DAY, "accepted" if n < 12 else "rejected")
    run = tried(agreement, "accepted")
    assert not run.result["enough"]
    shown = showing.shown(run)
    assert shown.missing == (
        "12 were accepted and 18 were rejected. A judgement takes at least 20 of each: 8 and 2 more."
    )
    assert runs.compare(run, run) is None


def test_a_base_without_any_end_has_nothing_to_tell(at, people, put_in_force):
    run = tried(put_in_force(), "customer")
    assert run.result["all"]["of"] == 0
    assert not run.result["enough"]


def test_an_edit_of_the_draft_neither_stops_nor_changes_what_is_tried(at, people, planted):
    draft = agreements.create_draft(person(people.mia), content=planted.content)
    run = runs.start(draft, "customer", person(people.mia))
    content = deepcopy(draft.content)
    content["criteria"] = [c for c in content["criteria"] if c["id"] != "f1"]
    content["thresholds"]["sql_when"] = {"score": "total", "op": "gte", "value": 55}
    content["thresholds"]["fast_tracks"] = []
    draft.content = content
    draft.save()
    work_off()
    run.refresh_from_db()
    assert run.state == BacktestRun.State.DONE
    assert run.result == tried(planted, "customer").result
    # The edited draft is another content: nothing is known of it yet.
    assert runs.latest(draft, "customer") is None


def test_a_result_is_kept_by_content_and_goal(at, people, planted, put_in_force):
    run = tried(planted, "customer")
    again = put_in_force(deepcopy(planted.content))
    assert runs.latest(again, "customer") == run
    assert runs.latest(again, "accepted") is None
    for _ in range(4):
        last = tried(planted, "customer")
    assert runs.latest(planted, "customer") == last
    assert BacktestRun.objects.filter(goal="customer").count() == runs.KEPT


def test_a_person_stops_it_and_a_second_click_finds_the_first(at, people, planted):
    run = runs.start(planted, "customer", person(people.mia))
    assert runs.start(planted, "customer", person(people.noah)) == run
    runner.cancel(runs.job_of(run))
    work_off()
    assert runs.latest(planted, "customer").state == BacktestRun.State.CANCELLED
    assert runs.done(planted, "customer") is None
    assert tried(planted, "customer").pk > run.pk


def test_a_chunk_that_is_done_twice_counts_once(at, people, planted, monkeypatch):
    monkeypatch.setattr(runs, "CHUNK", 90)
    run = runs.start(planted, "customer", SYSTEM)
    job = runs.job_of(run)
    assert job.chunks.count() == 5
    runs.run_chunk(job.chunks.first())
    work_off()
    run.refresh_from_db()
    assert BacktestCase.objects.filter(run=run).count() == 400
    job.refresh_from_db()
    assert job.done == 400


def test_more_decisions_since_then_are_counted(at, people, planted):
    run = tried(planted, "customer")
    assert runs.fresh_decisions(run, cases.counts(run.goal, at)[0]) == 0
    lead = lead_at(at - 60 * DAY, 999)
    past.offer(lead, at - 20 * DAY, "rejected")
    assert runs.fresh_decisions(run, cases.counts(run.goal, at)[0]) == 1


def test_a_rep_starts_none_and_a_goal_must_be_one(at, people, planted):
    with pytest.raises(Forbidden):
        runs.start(planted, "customer", person(people.sam))
    with pytest.raises(BadInput):
        runs.start(planted, "wealth", person(people.mia))


# Rules that peek, columns that leak


@pytest.fixture
def contract_field(db):
    return CustomField.objects.create(key="contract", subject="lead", type="text", label="Contract no.")


def test_a_rule_on_what_is_written_after_the_sale_is_caught_and_named(
    at, people, contract_field, put_in_force
):
    content = with_criteria(
        once("c", "fit", 30, fact("custom.contract", "known"), text="Has a contract number"),
        once("t", "fit", 10, fact("title", "has_word", ["CEO"]), text="Is a CEO"),
    )
    content["fields"] = [{"key": "contract", "subject": "lead", "type": "text", "label": "Contract no."}]
    ids = past.plant(at)
    won = set(Outcome.objects.filter(kind="won").values_list("lead_id", flat=True))
    for lead in ids:
        if lead in won:
            with clock.use(at - DAY):
                intake.change_lead(lead, {"custom.contract": f"C-{lead}"}, actor=SYSTEM, cause="crm")
    run = tried(put_in_force(content), "customer")
    peeks = run.result["peeks"]
    assert [(p["criterion"], p["why"], p["then"]) for p in peeks] == [("c", "recorded", 0)]
    assert peeks[0]["good"]["good"] == len(won)
    assert peeks[0]["bad"]["good"] == 0
    # It gave no points, for then nobody knew.
    assert run.result["area"]["value"] < 0.9
    # The column gives the end away, too: "known" nearly decides.
    leak = next(x for x in run.result["leaks"] if x["key"] == "custom.contract")
    assert not leak["marked"]
    assert leak["used_by"] == ["Has a contract number"]
    assert {v["value"] for v in leak["values"]} == {"(known)", "(unknown)"}


def test_a_rule_on_acts_that_are_recorded_late_is_caught(at, people, put_in_force):
    content = with_criteria(once("d", "behaviour", 20, did_leaf("demo_requested"), text="Asked for a demo"))
    ids = [lead_at(at - 90 * DAY, n) for n in range(60)]
    for n, lead in enumerate(ids):
        if n % 2:
            # Booked for the day before the offer, but only weeks later, when the deal was made.
            past.did(lead, "demo_requested", at - 41 * DAY, recorded=at - 10 * DAY)
        past.offer(lead, at - 40 * DAY, "accepted" if n % 2 else "rejected")
    run = tried(put_in_force(content), "accepted")
    assert [(p["criterion"], p["why"]) for p in run.result["peeks"]] == [("d", "recorded")]
    assert "30 leads for which nobody knew it then" in showing.shown(run).peeks[0]["says"]


def test_a_rule_on_what_our_people_did_or_on_a_marked_field_is_named(
    at, people, contract_field, put_in_force
):
    CustomField.objects.filter(pk=contract_field.pk).update(after_contact=True)
    content = with_criteria(
        once("m", "fit", 5, fact("custom.contract", "known")),
        once("s", "behaviour", 5, did_leaf("call")),
        bands("v", "behaviour", did_leaf("page_view", days=30, agg="days"), [[2, 3]]),
        once("t", "fit", 10, fact("title", "has_word", ["CEO"])),
    )
    content["fields"] = [{"key": "contract", "subject": "lead", "type": "text", "label": "Contract no."}]
    found = leaks.peeks(Document(content), [(True, [3], []), (False, [], [])])
    assert [(p.criterion, p.why) for p in found] == [("m", "marked"), ("s", "sales")]


def test_honest_rules_are_not_accused(at, people, planted):
    result = tried(planted, "customer").result
    assert result["peeks"] == []
    assert result["leaks"] == []


def test_a_value_nearly_decides_only_with_leads_enough_and_far_from_the_average():
    half = measures.Share(500, 1_000)
    assert leaks.nearly_decides(measures.Share(30, 30), half)
    assert not leaks.nearly_decides(measures.Share(29, 29), half)
    assert not leaks.nearly_decides(measures.Share(28, 30), half)
    assert leaks.nearly_decides(measures.Share(0, 40), half)
    assert not leaks.nearly_decides(measures.Share(0, 40), measures.Share(50, 1_000))
    assert not leaks.nearly_decides(measures.Share(40, 40), measures.Share(990, 1_000))


@pytest.mark.django_db
def test_a_real_list_without_dates_is_warned_of_and_not_judged(people, at, settings, tmp_path):
    """X Education: columns marked in the mapping, and unmarked ones of which a value nearly decides."""
    settings.LEADFLOW_DATA = tmp_path
    file = shared("x_education_leads.csv.gz")
    console("import_leads", file, "--mapping", EXAMPLE / "leads.json")
    console("import_outcomes", file, "--mapping", EXAMPLE / "outcomes.json")
    console("load_agreement", EXAMPLE / "agreement.json")
    draft = agreements.draft()
    run = tried(draft, "customer")
    assert run.result["all"]["of"] == 0
    assert run.result["left_out"] == {"undated": 3_043}
    assert not run.result["enough"]
    marked = {x["key"] for x in run.result["leaks"] if x["marked"]}
    assert marked == {
        "custom.tags",
        "custom.lead_quality",
        "custom.lead_profile",
        "custom.last_activity",
        "custom.last_notable_activity",
    }
    assert not any(x["used_by"] for x in run.result["leaks"] if x["marked"])
    # Somebody forgot the marks: the values give it away.
    CustomField.objects.update(after_contact=False)
    content = deepcopy(draft.content)
    content["fields"] = [
        *content["fields"],
        {"key": "tags", "subject": "lead", "type": "text", "label": "Tags"},
    ]
    content["criteria"].append(
        once("leak", "fit", 30, fact("custom.tags", "contains", ["closed by"]), text="Tag: closed")
    )
    unmarked = {leak.key: leak for leak in leaks.leaks(current.program_of(Document(content)))}
    tags = unmarked["custom.tags"]
    assert not tags.marked
    assert tags.used_by == ("Tag: closed",)
    assert {value for value, _ in tags.values} & {"Will revert after reading the email", "Ringing"}
