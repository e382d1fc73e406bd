"""Who would move if a draft came into force: the counts, the names, and that publishing does just that."""

import copy
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.db import connection

from handoff import admission, machine
from handoff.models import RoomWait
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import Forbidden
from leadflow.jobs import runner
from leadflow.jobs.models import Job
from leadflow.leads import intake
from leadflow.leads.models import Lead, Stage
from scoring import agreements, current, engine, forecast
from scoring.document import Document
from scoring.editing import sampling
from scoring.models import Agreement, Crossing, LeadScore, PreviewPart, PreviewRun
from scoring.whatif import bars, runs, scan, strata, tally, weekly
from scoring.whatif.showing import Shown

pytestmark = pytest.mark.django_db
TITLES = ("VP Operations", "Director of Supply", "Clerk", "Head of IT", "CEO", "")
INDUSTRIES = ("Software", "Logistics", "Fishing")
KINDS = (
    ("page_view", {"path": "/pricing"}),
    ("page_view", {"path": "/compare/others"}),
    ("page_view", {"path": "/careers"}),
    ("download_buying", {}),
    ("download_educational", {}),
    ("webinar_attended", {}),
    ("email_clicked", {}),
    ("demo_requested", {}),
)


def work() -> None:
    """What the workers of long jobs do."""
    while runner.work_one():
        pass


def settle() -> None:
    """Everything that waits is scored, offered or set waiting."""
    while engine.score_pending(clock.now()):
        pass
    while machine.open_pending(clock.now()):
        pass
    admission.refill(clock.now())
    while engine.score_pending(clock.now()):
        pass


def base_of(count: int, seed: int = 7) -> list[int]:
    """Leads of all sorts, each with some acts of the last seven weeks."""
    dice = Random(seed)
    people = [
        {
            "email": f"p{seed}-{n}@firm{n % 40}.example",
            "name": f"Person {n}",
            "title": dice.choice(TITLES),
            "employees": dice.choice([3, 40, 320, 2_000]),
            "industry": dice.choice(INDUSTRIES),
            "country": dice.choice(["Germany", "Japan", ""]),
            "phone": dice.choice(["+49 30 123456", ""]),
            "source": dice.choice(["Website", "Trade show", "Referral"]),
        }
        for n in range(count)
    ]
    made = intake.upsert_leads(people, source="test", actor=SYSTEM)
    assert not made.rejected, made.rejected
    leads = list(made.accepted)
    acts: list[dict[str, Any]] = []
    for lead in leads:
        for _ in range(dice.choice([0, 3, 5, 8, 12])):
            kind, more = dice.choice(KINDS[:-1] if dice.random() < 0.97 else KINDS)
            acts.append(
                {
                    "source": "test",
                    "external_id": f"act{seed}-{len(acts)}",
                    "kind": kind,
                    "lead_id": lead,
                    "occurred_at": clock.now() - timedelta(days=dice.random() * 50),
                    **more,
                }
            )
    found = intake.record_activities(acts, actor=SYSTEM)
    assert not found.rejected, found.rejected
    # As the database does by itself after a while; a range is planned by these figures.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE leads_lead, leads_company, leads_activity, leads_factchange")
    return leads


def tight(content: dict[str, Any]) -> None:
    content["admission"] |= {"new_per_rep_per_day": 1, "capacity_open": 2}


def in_force(people, change=None) -> Agreement:
    content = agreements.first_content()
    if change:
        change(content)
    draft = agreements.create_draft(person(people.mia), content=content)
    return publish(draft, people, "trickle")


def publish(draft: Agreement, people, choice: str = "trickle") -> Agreement:
    agreements.propose(draft, person(people.mia), release_choice=choice)
    agreements.sign(draft, person(people.noah))
    return agreements.sign(draft, person(people.rosa))


def drafted(people, change) -> Agreement:
    draft = agreements.draft() or agreements.create_draft(person(people.mia))
    content = copy.deepcopy(draft.content)
    change(content)
    return agreements.save_draft(draft, content, person(people.mia), draft.lock_version)


def other_points(content: dict[str, Any]) -> None:
    """Pages count more, one rule is off, the bar is lower, clerks are no leads."""
    for criterion in content["criteria"]:
        if criterion["group"] == "behaviour" and criterion["points"] > 0:
            criterion["points"] += 7
    content["criteria"][2]["on"] = False
    content["thresholds"]["sql_when"] = bars.with_bar(content, 46)["thresholds"]["sql_when"]
    clerks = {"fact": "title", "op": "has_word", "value": ["clerk"]}
    content["exclusions"].append({"id": "x90", "text": "Clerks", "why": "", "on": True, "condition": clerks})


def bar_of(agreement: Agreement) -> int:
    found = bars.of(Document(agreement.content))
    assert found is not None
    return found.value


def ids(run: PreviewRun, name: str, bar: int, *, sample: bool = False) -> set[int]:
    found = tally.cell(name)
    assert found is not None
    return {line.lead for line in tally.lines(run, found, bar, sample=sample, limit=10_000)}


def packed(run: PreviewRun) -> dict[int, tuple[int, str, str]]:
    """Lead → total, grade and stage by the draft."""
    made = {}
    for part in PreviewPart.objects.filter(run=run, n__gte=0):
        for lead, now, grade, stage in zip(part.leads, part.now, part.now_grade, part.now_stage, strict=True):
            made[lead] = (now, f"{chr(64 + grade // 10)}{grade % 10}", scan.STAGES[stage - 1])
    return made


def looked(draft: Agreement, against: Agreement | None, people, monkeypatch, sample: int = 20) -> PreviewRun:
    """A finished look: a first answer from a sample, then all leads in several chunks."""
    monkeypatch.setattr(runs, "SAMPLE", sample)
    monkeypatch.setattr(runs, "CHUNK", 60)
    run = runs.start(draft, against, person(people.mia))
    work()
    return runs.get(run.pk)


# Publishing gives exactly what was shown -------------------------------------------------------------


def test_publishing_does_lead_for_lead_what_the_look_showed(at, people, monkeypatch):
    force = in_force(people, tight)
    leads = base_of(150)
    work()
    settle()
    for lead in leads[::9]:
        if Lead.objects.get(pk=lead).stage not in (Stage.SALES_QUALIFIED, Stage.OPPORTUNITY):
            engine.hold(
                lead,
                since=at - timedelta(days=dice_days(lead)),
                until=at - timedelta(days=1),
                evidence={"kind": "criteria", "ids": ["b1", "b3"]},
                reason_key="1",
                closes=False,
                handoff_id=None,
            )
    engine.score_range(0, 2**40, at=at, cause="settle")
    settle()
    Crossing.objects.filter(handled_at=None).update(handled_at=at, handled_as="dropped")
    waiting = RoomWait.objects.filter(left_at=None).order_by("lead_id")
    unwanted = Lead.objects.get(pk=waiting.values_list("lead_id", flat=True)[0])

    def changed(content: dict[str, Any]) -> None:
        """One of those who wait is no lead any more."""
        other_points(content)
        own = {"fact": "name", "op": "is", "value": [unwanted.name]}
        content["exclusions"].append({"id": "x91", "text": "Him", "why": "", "on": True, "condition": own})

    draft = drafted(people, changed)

    run = looked(draft, force, people, monkeypatch)
    assert run.state == PreviewRun.State.DONE
    shown, bar = packed(run), bar_of(draft)
    enter = ids(run, "enter", bar)
    assert len(shown) == Lead.objects.count()
    assert run.result["exact"]["bars"][str(bar)][0] == len(enter) > 3
    assert run.result["exact"]["out"] > 3
    waited = set(RoomWait.objects.filter(left_at=None).values_list("lead_id", flat=True))
    leave = ids(run, "leave", bar)

    publish(draft, people)
    work()

    stored = {s.lead_id: s for s in LeadScore.objects.select_related("lead")}
    now = {lead: (s.total, s.grade, s.lead.stage) for lead, s in stored.items()}
    assert now == shown
    crossed = Crossing.objects.filter(handled_at=None).exclude(kind=Crossing.Kind.EXCLUDE)
    assert set(crossed.values_list("lead_id", flat=True)) == enter
    admission.refill(clock.now())
    left = waited - set(RoomWait.objects.filter(left_at=None).values_list("lead_id", flat=True))
    offered = set(
        RoomWait.objects.filter(lead_id__in=left, left_why="offered").values_list("lead_id", flat=True)
    )
    # Of those who waited exactly the shown ones leave, and none of these is handed over on the way out.
    assert unwanted.pk in leave & waited
    assert left - offered == leave & waited
    assert not offered & leave


def dice_days(seed: int) -> int:
    return Random(seed).choice([2, 10, 30])


def test_a_tried_bar_says_the_same_as_a_draft_with_that_bar(at, people, monkeypatch):
    force = in_force(people)
    base_of(90)
    work()
    settle()
    draft = drafted(people, other_points)
    run = looked(draft, force, people, monkeypatch)
    tried = {bar: (ids(run, "enter", bar), ids(run, "leave", bar)) for bar in (40, 52)}
    counted = {int(bar): tuple(n) for bar, n in run.result["exact"]["bars"].items()}
    for bar, (enter, leave) in tried.items():
        assert counted[bar] == (len(enter), len(leave))
        with_it = drafted(people, lambda content, bar=bar: content.update(bars.with_bar(content, bar)))
        again = looked(with_it, force, people, monkeypatch)
        assert (ids(again, "enter", bar), ids(again, "leave", bar)) == (enter, leave)
    assert any(enter for enter, _ in tried.values())


def test_the_first_answer_is_of_a_sample_and_says_the_same_of_its_leads(at, people, monkeypatch):
    force = in_force(people)
    base_of(60)
    work()
    settle()
    draft = drafted(people, other_points)
    monkeypatch.setattr(runs, "SAMPLE", 25)
    run = runs.start(draft, force, person(people.mia))
    found, exact = runs.answer(run)
    assert not exact
    assert found["looked"] == 25
    bar = bars.of(Document(draft.content))
    shown = Shown(run, bar, bar_of(draft))
    # A sample has too few leads between two bars to say what each would bring; what it counts is "about".
    assert {words for _, words in shown.ticks} == {""}
    shown.found["becomes"] = 2
    assert shown.words["becomes"] == "About 2 more become MQL"
    by_sample: dict[int, int] = {}
    for part in PreviewPart.objects.filter(run=run, n__lt=0):
        by_sample |= dict(zip(part.leads, part.now, strict=True))
    assert len(by_sample) == found["looked"]
    work()
    run = runs.get(run.pk)
    found, exact = runs.answer(run)
    assert exact
    assert found["looked"] == 60
    assert all(words for _, words in Shown(run, bar, bar_of(draft)).ticks)
    assert {lead: total for lead, (total, _, _) in packed(run).items() if lead in by_sample} == by_sample


def test_the_first_answer_finds_the_few_who_move_and_says_about_how_many(at, people, monkeypatch):
    force = in_force(people)
    base_of(200)
    work()
    settle()
    # All but a handful did nothing for weeks: a plain spread of 40 would find one of them, or none.
    quiet = list(Lead.objects.order_by("pk").values_list("pk", flat=True))
    Lead.objects.filter(pk__in=[pk for n, pk in enumerate(quiet) if n % 8]).update(
        last_own_act_at=at - timedelta(days=40)
    )
    draft = drafted(people, other_points)
    monkeypatch.setattr(runs, "SAMPLE", 40)
    run = runs.start(draft, force, person(people.mia))
    first, _ = runs.answer(run)
    near, others = (run.result["weights"][str(part)] for part in strata.PARTS)
    assert near < others
    assert first["open"] == pytest.approx(200, abs=30)
    work()
    enter = ids(runs.get(run.pk), "enter", bar_of(draft))
    active = {lead for lead in enter if quiet.index(lead) % 8 == 0}
    assert active
    assert active <= ids(run, "enter", bar_of(draft), sample=True)


@pytest.mark.parametrize("read", [sampling.READ, 0])
def test_of_a_large_base_the_few_are_found_by_their_stored_score(at, people, monkeypatch, read):
    force = in_force(people)
    leads = base_of(120)
    work()
    settle()
    draft = drafted(people, other_points)
    program, bar = current.of(draft).program, bars.of(Document(draft.content))
    whole = strata.draw(program.document, bar, bar_of(force), at, 40)
    monkeypatch.setattr(sampling, "BOUND", 60)
    monkeypatch.setattr(sampling, "PROBES", 30)
    # Where they are too many to be read, they are met by a closer spread.
    monkeypatch.setattr(sampling, "READ", read)
    large = strata.draw(program.document, bar, bar_of(force), at, 40)
    assert large.base == pytest.approx(len(leads), abs=2)
    for drawn in (whole, large):
        assert not drawn.exact
        assert sum(len(layer.ids) * layer.weight for layer in drawn.layers) == pytest.approx(120, rel=0.3)
    # A third of the probes' distance finds of those near the bar what a spread of 30 would miss.
    near = [layer for layer in large.layers if layer.part == strata.PARTS[0]]
    assert near
    assert set(near[0].ids) <= set(sampling_near(program, bar, force, at))


def sampling_near(program, bar, force, at) -> list[int]:
    """Everybody near the bars, in a base that is looked at whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "BOUND", 20_000)
        found = strata.draw(program.document, bar, bar_of(force), at, 110)
    return next(layer.ids for layer in found.layers if layer.part == strata.PARTS[0])


def test_every_sum_of_a_look_is_that_of_its_open_leads(at, people, monkeypatch):
    force = in_force(people)
    base_of(80)
    work()
    settle()
    run = looked(drafted(people, other_points), force, people, monkeypatch)
    found, _ = runs.answer(run)
    total = found["open"]
    assert sum(found["was"]) == sum(found["now"]) == sum(found["grades"].values()) == total
    assert sum(line["open"] for line in found["sources"]) == total
    assert sum(line["open"] for line in found["owners"]) == total
    assert len(ids(run, "open", 0)) == total
    for pair, n in found["grades"].items():
        assert len(ids(run, f"move:{pair}", 0)) == n
    for step, n in zip(tally.STEPS, found["now"], strict=True):
        assert len(ids(run, f"now:{step}", 0)) == n


# An edit stops the look ------------------------------------------------------------------------------


def test_an_edit_of_the_draft_stops_the_look_that_runs(at, people, monkeypatch):
    force = in_force(people)
    base_of(30)
    work()
    draft = drafted(people, lambda content: content.update(title="One"))
    monkeypatch.setattr(runs, "SAMPLE", 5)
    run = runs.start(draft, force, person(people.mia))
    assert run.state == PreviewRun.State.RUNNING
    draft = drafted(people, lambda content: content.update(title="Two"))
    run.refresh_from_db()
    assert run.state == PreviewRun.State.CANCELLED
    assert Job.objects.get(pk=run.job_id).state == Job.State.CANCELLED
    work()
    assert not PreviewPart.objects.filter(run=run, n__gte=0).exists()
    other = runs.start(draft, force, person(people.mia))
    assert other.pk != run.pk
    assert other.draft_sha != run.draft_sha


def test_a_second_look_at_the_same_is_the_first_one(at, people):
    force = in_force(people)
    base_of(12)
    draft = drafted(people, lambda content: content.update(title="One"))
    first = runs.start(draft, force, person(people.mia))
    assert first.state == PreviewRun.State.DONE  # so few are looked at at once
    assert runs.start(draft, force, person(people.rosa)).pk == first.pk
    assert runs.start(draft, force, person(people.mia), again=True).pk != first.pk
    with clock.use(at + timedelta(minutes=11)):
        assert runs.start(draft, force, person(people.mia)).pk != first.pk


def test_looking_writes_no_score_no_crossing_and_no_move(at, people, monkeypatch):
    force = in_force(people)
    base_of(40)
    work()
    settle()
    tables = ("scoring_leadscore", "scoring_crossing", "scoring_hold", "leads_stagechange", "leads_lead")

    def mark() -> list[str]:
        with connection.cursor() as cursor:
            found = []
            for table in tables:
                cursor.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")
                found.append(cursor.fetchone()[0])
            return found

    before = mark()
    looked(drafted(people, other_points), force, people, monkeypatch)
    assert mark() == before


def test_reps_do_not_start_a_look(at, people, agreement_in_force):
    with pytest.raises(Forbidden):
        runs.start(agreement_in_force, None, person(people.sam))


# The bar and the past --------------------------------------------------------------------------------


def test_a_bar_is_found_and_moved_wherever_it_stands_in_the_condition():
    tree = {"any": [{"all": [{"score": "total", "op": "gte", "value": 60}, {"contactable": True}]}]}
    content = {"thresholds": {"sql_when": tree}}
    made = bars.with_bar(content, 51)
    assert made["thresholds"]["sql_when"]["any"][0]["all"][0]["value"] == 51
    assert tree["any"][0]["all"][0]["value"] == 60


def test_a_condition_without_one_total_has_no_bar_to_slide(agreement_in_force):
    content = copy.deepcopy(agreement_in_force.content)
    content["thresholds"]["sql_when"] = {"grade": ["A1"]}
    assert bars.of(Document(content)) is None


def test_such_leads_are_those_just_above_the_bar():
    answers = {"52": [9, 9, 9], "53": [10, 3, 1], "56": [10, 5, 1], "57": [4, 4, 0]}
    found = weekly.such(answers, 53)
    assert (found.count, found.accepted, found.of_hundred) == (20, 8, 40)
    assert (found.others, found.others_accepted) == (13, 13)
    assert not weekly.such({"53": [4, 1, 0]}, 53).enough


def test_the_page_and_the_printed_agreement_expect_the_same_a_week(at, people):
    force = in_force(people)
    base_of(60)
    work()
    settle()
    draft = drafted(people, other_points)
    bar = bars.of(Document(draft.content))
    for offered in (0.0, 12.0):
        new, old = (current.of(version).program for version in (draft, force))
        week = weekly.a_week(new, bar, old, offered, at)
        assert week["bars"]["46"] == pytest.approx(forecast.expected_a_week(draft, force, offered, at))
