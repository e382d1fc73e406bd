"""What a scoring does: scores, moves, crossings, holds."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import intake
from leadflow.leads.models import CustomField, Lead, LeadChanged, StageChange
from scoring import current, engine
from scoring.engine import crossings
from scoring.engine.deciding import Act
from scoring.explanation import score_at
from scoring.models import Agreement, Crossing, Hold, LeadScore, ScoreChange
from tests.scoring.sample import content, fact, has, score
from tests.scoring.sample import did as behaviour

pytestmark = pytest.mark.django_db


def run(days=0.0):
    """Let time pass and score all that waits."""
    at = clock.now() + timedelta(days=days)
    with clock.use(at):
        while engine.score_pending(clock.now()):
            pass
    return at


def stage(lead):
    return Lead.objects.get(pk=lead.pk).stage


@pytest.fixture
def good(make_lead):
    """Somebody whose fit is 40: a VP of a fitting company."""

    def make(n=1, **more):
        facts = {
            "title": "VP Operations",
            "country": "Germany",
            "company": f"Firm {n}",
            "email": f"v@firm{n}.example",
            "industry": "Software",
            "employees": 320,
        }
        return make_lead(**(facts | more))

    return make


def test_a_demo_request_is_a_fast_track(agreement, good, did):
    lead = good()
    did(lead, "demo_requested")
    run()
    crossing = Crossing.objects.get()
    assert (crossing.lead_id, crossing.kind, crossing.fast_track_no) == (lead.pk, "fast_track", 1)


@pytest.mark.parametrize("off", ["nestloop", "hashjoin", "sort"])
def test_crossings_are_numbered_in_the_order_of_their_leads_whatever_the_plan(agreement, good, off):
    leads = [good(n).pk for n in range(12)]
    # Found in another order than theirs, and joined in another way.
    found = [
        Act(pk, "mql", "mql", "none", "none", ready=n % 3 > 0, excluded=n % 3 == 0, track=n % 2)
        for n, pk in enumerate(leads)
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL enable_{off} = off")
    now = current.current()
    assert now is not None
    counts = crossings.follow([*found[::-2], *found[-2::-2]], clock.now(), {}, set(), now)
    assert counts.crossings == 12
    told = dict(Crossing.objects.order_by("pk").values_list("lead_id", "kind"))
    ready = [act.lead for act in found if act.ready]
    assert list(told) == ready + [act.lead for act in found if act.excluded]


def test_a_pass_numbers_its_crossings_in_the_order_of_the_leads(agreement, good, did):
    leads = [good(n) for n in range(8)]
    # Those that came in last lie first.
    for lead in leads[::-1]:
        did(lead, "demo_requested")
        Lead.objects.filter(pk=lead.pk).update(city="Hamburg")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off; SET LOCAL enable_indexscan = off")
    run()
    told = list(Crossing.objects.order_by("pk").values_list("lead_id", flat=True))
    assert told == [lead.pk for lead in leads]


def test_a_second_scoring_writes_no_second_crossing(agreement, good, did):
    lead = good()
    did(lead, "demo_requested")
    run()
    did(lead, "question")
    run()
    assert Crossing.objects.count() == 1


def test_a_lead_in_sales_hands_gets_no_crossing_but_is_marked_ready(agreement, good, did):
    lead = good()
    Lead.objects.filter(pk=lead.pk).update(stage="sql")
    did(lead, "demo_requested")
    run()
    assert not Crossing.objects.exists()
    assert LeadScore.objects.get(lead=lead).ready
    assert stage(lead) == "sql"


def test_without_fresh_evidence_nobody_is_ready(agreement, good, did, at):
    lead = good()
    for days in (15, 16, 17):
        did(lead, "demo_requested", days_ago=days)
        did(lead, "trial_started", days_ago=days)
    run()
    assert LeadScore.objects.get(lead=lead).total >= 55
    assert not LeadScore.objects.get(lead=lead).ready


def test_a_change_of_a_fact_that_only_a_bar_reads_is_fresh_evidence(at, put_in_force, good, did):
    body = content()
    leave = {"all": [fact("city", "is", ["atlantis"]), score("total", 0)]}
    body["thresholds"] |= {"sql_when": score("total", 55), "fast_tracks": [], "mql_leave_when": leave}
    put_in_force(body)
    lead = good()
    for days in (15, 16, 17):
        did(lead, "demo_requested", days_ago=days)
        did(lead, "trial_started", days_ago=days)
    run()
    assert not LeadScore.objects.get(lead=lead).ready
    with clock.use(at + timedelta(hours=1)):
        intake.change_lead(lead.pk, {"phone": "030 1"}, actor=SYSTEM, cause="test")
        run()
        assert not LeadScore.objects.get(lead=lead).ready
        intake.change_lead(lead.pk, {"city": "Kiel"}, actor=SYSTEM, cause="test")
        run()
    assert LeadScore.objects.get(lead=lead).ready


def test_a_student_is_left_out_whatever_the_score(agreement, good, did):
    lead = good(title="Student and CEO")
    did(lead, "demo_requested")
    run()
    assert stage(lead) == "excluded"
    assert [c.kind for c in Crossing.objects.all()] == ["exclude"]
    told = engine.explain(lead.pk)
    assert told.excluded_by == "student or job seeker"


def test_who_is_no_student_any_more_comes_back(agreement, good, did):
    lead = good(title="Student")
    run()
    Crossing.objects.update(handled_at=clock.now(), handled_as="dropped")
    intake.change_lead(lead.pk, {"title": "CEO"}, actor=SYSTEM, cause="test")
    run()
    assert stage(lead) == "prospect"


def test_levels_follow_the_score(agreement, good, did, make_lead):
    nobody, boss = make_lead(), good()
    did(boss, "webinar_attended", days_ago=1)
    did(boss, "question", days_ago=1)
    run()
    assert Lead.objects.get(pk=nobody.pk).level == "researcher"
    assert Lead.objects.get(pk=boss.pk).stage == "mql"
    assert Lead.objects.get(pk=boss.pk).level == ""


def test_an_mql_falls_back_only_after_thirty_days_below(agreement, good, did, at):
    lead = good(employees=120, title="Director")
    did(lead, "webinar_attended", days_ago=0)
    did(lead, "page_view", path="/pricing")
    run()
    assert stage(lead) == "mql"
    later = at + timedelta(days=61)
    with clock.use(later):
        engine.queue_refresh(later)
        run()
        since = LeadScore.objects.get(lead=lead).leave_since
        assert since == later
        assert stage(lead) == "mql"
    with clock.use(later + timedelta(days=29)):
        engine.queue_refresh(clock.now())
        run()
        assert (stage(lead), LeadScore.objects.get(lead=lead).leave_since) == ("mql", later)
    with clock.use(later + timedelta(days=31)):
        engine.queue_refresh(clock.now())
        run()
        assert stage(lead) == "prospect"
    moves = list(StageChange.objects.filter(lead=lead).order_by("id").values_list("to_stage", flat=True))
    assert moves == ["conversion", "mql", "prospect"]


def test_a_new_act_breaks_the_fall_back(agreement, good, did, at):
    lead = good(employees=120, title="Director")
    did(lead, "webinar_attended")
    did(lead, "page_view", path="/pricing")
    run()
    with clock.use(at + timedelta(days=61)):
        engine.queue_refresh(clock.now())
        run()
        assert LeadScore.objects.get(lead=lead).leave_since is not None
        did(lead, "webinar_attended")
        did(lead, "question")
        run()
        assert LeadScore.objects.get(lead=lead).leave_since is None


def test_before_the_first_agreement_scores_are_a_preview(at, put_in_force, good, did):
    draft = put_in_force(state=Agreement.State.DRAFT)
    lead = good()
    did(lead, "demo_requested")
    run()
    row = LeadScore.objects.get(lead=lead)
    assert row.preview
    assert not row.ready
    assert row.agreement_id == draft.pk
    assert row.draft_sha
    assert stage(lead) == "conversion"
    assert not ScoreChange.objects.exists()
    assert not Crossing.objects.exists()


def test_the_first_agreement_in_force_starts_the_ledger(at, put_in_force, good, did):
    put_in_force(state=Agreement.State.DRAFT)
    lead = good()
    did(lead, "demo_requested")
    run()
    put_in_force()
    engine.score_range(0, 10**9, at=clock.now(), cause="agreement v2")
    change = ScoreChange.objects.get(lead=lead)
    assert change.from_total is None
    assert change.cause == "agreement v2"
    assert not LeadScore.objects.get(lead=lead).preview
    assert Crossing.objects.filter(lead=lead).count() == 1


def test_without_any_agreement_rows_are_consumed_and_nobody_is_scored(at, good):
    good()
    run()
    assert not LeadChanged.objects.exists()
    assert not LeadScore.objects.exists()


def test_an_import_that_finds_a_ready_lead_holds_it_until_it_acts(agreement, good, did):
    lead = good()
    LeadChanged.objects.all().delete()
    row = {"source": "t", "external_id": "old", "kind": "demo_requested", "lead_id": lead.pk}
    row["occurred_at"] = clock.now() - timedelta(days=2)
    intake.record_activities([row], actor=SYSTEM, quiet=True)
    run()
    assert not Crossing.objects.exists()
    assert Hold.objects.get().evidence == {"kind": "any"}
    with clock.use(clock.now() + timedelta(hours=1)):
        did(lead, "page_view", path="/")
        run()
    assert Crossing.objects.get().lead_id == lead.pk
    assert Hold.objects.get().ended_by == "evidence"


@pytest.fixture
def held(agreement, good, did):
    """A ready lead that was rejected: held for 30 days, until it asks or shows up again."""
    lead = good()
    did(lead, "question", days_ago=1)
    did(lead, "download_buying", days_ago=1)
    did(lead, "webinar_attended", days_ago=2)
    LeadChanged.objects.all().delete()
    engine.hold(
        lead.pk,
        since=clock.now(),
        until=clock.now() + timedelta(days=30),
        evidence={"kind": "criteria", "ids": ["b5", "b7"]},
        reason_key="2",
        closes=False,
        handoff_id=None,
    )
    return lead


def test_a_hold_ends_when_its_date_has_passed_and_evidence_came_after_it(held, did, at):
    with clock.use(at + timedelta(days=5)):
        did(held, "webinar_attended")
        run()
        assert Hold.objects.get().ended_at is None
    with clock.use(at + timedelta(days=31)):
        assert engine.end_holds(clock.now()) == 1
        run()
        assert Hold.objects.get().ended_by == "evidence"
        assert engine.end_holds(clock.now()) == 0


def test_the_date_alone_ends_no_hold_that_waits_for_evidence(held, did, at):
    with clock.use(at + timedelta(days=31)):
        did(held, "email_clicked")
        engine.end_holds(clock.now())
        run()
        assert Hold.objects.get().ended_at is None
        did(held, "download_buying")
        run()
        assert Hold.objects.get().ended_by == "evidence"


def test_a_fast_track_act_ends_a_hold_at_once_unless_its_reason_closes(held, did, at):
    with clock.use(at + timedelta(days=2)):
        Hold.objects.update(closes=True)
        did(held, "demo_requested")
        run()
        assert Hold.objects.get().ended_at is None
        Hold.objects.update(closes=False)
        did(held, "page_view", path="/")
        run()
        assert Hold.objects.get().ended_by == "fast track"
        assert Crossing.objects.get().kind == "fast_track"


def test_an_old_demo_request_does_not_end_a_newer_hold(agreement, good, did):
    lead = good()
    did(lead, "demo_requested", days_ago=1)
    engine.hold(
        lead.pk,
        since=clock.now(),
        until=None,
        evidence={"kind": "criteria", "ids": ["b5"]},
        reason_key="2",
        closes=False,
        handoff_id=None,
    )
    run()
    assert Hold.objects.get().ended_at is None
    assert not Crossing.objects.exists()


def test_a_hold_for_facts_ends_when_one_of_them_changes(agreement, good, did, at):
    lead = good(employees=5)
    did(lead, "demo_requested")
    engine.hold(
        lead.pk,
        since=clock.now(),
        until=None,
        evidence={"kind": "fields", "keys": ["employees", "industry"]},
        reason_key="1",
        closes=True,
        handoff_id=None,
    )
    with clock.use(at + timedelta(days=1)):
        did(lead, "question")
        run()
        assert Hold.objects.get().ended_at is None
        intake.change_company(lead.company_id, {"employees": 300}, actor=SYSTEM, cause="test")
        run()
        assert Hold.objects.get().ended_by == "evidence"


@pytest.mark.parametrize("how", ["mql", "ready", "title", "elsewhere", "before"])
def test_a_hold_for_the_buyer_ends_when_a_colleague_qualifies_or_the_title_changes(
    agreement, good, make_lead, did, at, how
):
    """Sales said "wrong person": what counts is somebody else of the company, after that day."""
    lead = good(title="VP Operations")
    did(lead, "demo_requested", days_ago=1)
    other = good(2, company="Elsewhere" if how == "elsewhere" else lead.company.name, title="CFO")
    assert (other.company_id == lead.company_id) == (how != "elsewhere")
    acts = ("demo_requested",) if how == "ready" else ("webinar_attended", "download_buying")
    if how == "before":
        for kind in acts:
            did(other, kind, days_ago=2)
        run()
    LeadChanged.objects.all().delete()
    Crossing.objects.all().delete()
    with clock.use(at + timedelta(minutes=1)):
        engine.hold(
            lead.pk,
            since=clock.now(),
            until=None,
            evidence={"kind": "colleague", "keys": ["title"]},
            reason_key="4",
            closes=False,
            handoff_id=None,
        )
    with clock.use(at + timedelta(days=1)):
        if how == "title":
            intake.change_lead(lead.pk, {"title": "CEO"}, actor=SYSTEM, cause="test")
        elif how != "before":
            for kind in acts:
                did(other, kind)
        run()
        assert Hold.objects.get().ended_by == ("" if how in ("elsewhere", "before") else "evidence")
        assert Crossing.objects.filter(lead=lead).exists() == (how not in ("elsewhere", "before"))


def test_an_agreed_date_offers_the_lead_again_whatever_its_score(agreement, make_lead, at):
    lead = make_lead()
    engine.hold(
        lead.pk,
        since=at,
        until=at + timedelta(days=60),
        evidence={"kind": "none"},
        reason_key="3",
        closes=False,
        handoff_id=7,
        reopens_as="callback",
    )
    assert engine.end_holds(at + timedelta(days=59)) == 0
    assert engine.end_holds(at + timedelta(days=60)) == 1
    crossing = Crossing.objects.get()
    assert crossing.kind == "callback"
    assert crossing.cause == {"hold": Hold.objects.get().pk}


def test_a_finished_repair_offers_the_lead_again_but_an_undo_does_not(agreement, make_lead, at):
    for lead, by, expected in ((make_lead(), "repaired", 1), (make_lead(), "undo", 0)):
        engine.hold(
            lead.pk,
            since=at,
            until=at + timedelta(days=2),
            evidence={"kind": "repair"},
            reason_key="6",
            closes=False,
            handoff_id=None,
            reopens_as="repaired",
        )
        engine.end_hold(lead.pk, at=at, by=by)
        assert Crossing.objects.filter(lead=lead, kind="repaired").count() == expected
        assert not Hold.objects.filter(lead=lead, ended_at__isnull=True).exists()


def test_a_customer_who_acts_again_is_an_existing_customer(agreement, good, did, at):
    lead = good()
    Lead.objects.filter(pk=lead.pk).update(stage="customer")
    did(lead, "demo_requested")
    run()
    crossing = Crossing.objects.get()
    assert crossing.kind == "existing_customer"
    Crossing.objects.update(handled_at=at, handled_as="opened")
    did(lead, "question")
    run()
    assert Crossing.objects.count() == 1
    assert stage(lead) == "customer"


def test_many_seats_said_just_now_are_a_fast_track(agreement, good, did):
    CustomField.objects.create(key="seats_wanted", subject="lead", type="number", label="Seats wanted")
    lead = good(**{"custom.seats_wanted": 60})
    did(lead, "form")
    run()
    assert Crossing.objects.get().fast_track_no == 3


def test_why_62_then_equals_what_was_stored_then(agreement, good, did, at):
    lead = good()
    stored = []
    for days in range(0, 40, 4):
        now = at + timedelta(days=days)
        with clock.use(now):
            if days % 8 == 0:
                did(lead, "page_view", path="/pricing")
            else:
                # Recorded today, but it happened some days ago.
                did(lead, "webinar_attended", days_ago=6)
            intake.change_lead(
                lead.pk, {"title": f"VP {days}" if days % 12 else "Clerk"}, actor=SYSTEM, cause="t"
            )
            run()
            stored.append((now, LeadScore.objects.get(lead=lead).total))
    assert len({total for _, total in stored}) > 3
    for now, total in stored:
        told = score_at(lead.pk, now)
        assert told.total == total == sum(line.points for line in told.lines)
    with clock.use(at + timedelta(days=60)):
        today = score_at(lead.pk, at, known_now=True)
        assert today.known_at == clock.now()
        assert today.at == at


def test_both_ways_of_scoring_write_the_same(agreement, good, make_lead, did):
    leads = [good(n) for n in range(4)] + [make_lead() for _ in range(3)]
    for n, lead in enumerate(leads):
        did(lead, "page_view", days_ago=n, path="/pricing")
        did(lead, "demo_requested" if n % 2 else "question", days_ago=n)
    run()
    columns = (
        "lead_id",
        "fit",
        "behaviour",
        "value",
        "total",
        "grade",
        "ready",
        "refresh_due_at",
        "leave_since",
    )
    one = list(LeadScore.objects.order_by("lead_id").values_list(*columns))
    stages_ = list(Lead.objects.order_by("id").values_list("stage", "level"))
    LeadScore.objects.all().delete()
    counts = engine.score_range(0, 10**9, at=clock.now())
    assert counts.written == len(leads)
    assert list(LeadScore.objects.order_by("lead_id").values_list(*columns)) == one
    assert list(Lead.objects.order_by("id").values_list("stage", "level")) == stages_


def test_ready_is_asked_without_writing(agreement, good, did, held):
    lead = good(2)
    did(lead, "demo_requested")
    assert engine.is_ready([lead.pk, held.pk], clock.now()) == {lead.pk}
    assert engine.stage_by_score([lead.pk], clock.now()) == {lead.pk: "mql"}
    assert not LeadScore.objects.exists()


def test_conditions_match_leads_and_handoffs(agreement, good, make_lead, did):
    boss, nobody = good(), make_lead()
    at = clock.now()
    assert engine.match(fact("title", "has_word", "VP"), None, at) == {boss.pk}
    assert engine.match(score("fit", 40), [boss.pk, nobody.pk], at) == {boss.pk}
    fast = {"all": [{"handoff": "kind", "op": "is", "value": "fast_track"}, fact("country", "known")]}
    both = {
        lead.pk: {"kind": "fast_track", "fast_track": 1, "letter": "A", "team_hours": True}
        for lead in (boss, nobody)
    }
    assert engine.match(fast, list(both), at, given=both) == {boss.pk}
    hours = {"handoff": "team_hours", "op": "is", "value": False}
    assert engine.match(hours, list(both), at, given=both) == set()


def test_a_window_of_days_ends_to_the_second(agreement, make_lead, did):
    inside, edge = make_lead(), make_lead()
    did(inside, "question", days_ago=14 - 1 / 86_400)
    did(edge, "question", days_ago=14)
    assert engine.match(behaviour("question", days=14), None, clock.now()) == {inside.pk}


def test_a_day_begins_at_midnight_in_the_zone_of_the_agreement(agreement, make_lead, did):
    """Half past eleven and half past twelve at night: one day in UTC, two in Berlin."""
    lead = make_lead()
    for hours in (9.7, 8.7):
        did(lead, "page_view", days_ago=hours / 24, path="/pricing")
    two = behaviour("page_view", days=30, agg="days", op="gte", value=2)
    assert engine.match(two, None, clock.now()) == {lead.pk}
    points = {line.criterion: line.points for line in engine.explain(lead.pk).lines}
    assert (points["b3"], points["b4"]) == (10, 3)


def test_an_act_of_the_last_days_is_asked_of_what_was_done_not_of_what_was_not(agreement, make_lead, did):
    """b15: registered for a webinar and attended none in 90 days."""
    lead, other = make_lead(), make_lead()
    for somebody in (lead, other):
        did(somebody, "webinar_registered", days_ago=5)
    did(other, "webinar_attended", days_ago=60)
    assert engine.match(has("b15", 14), None, clock.now()) == {lead.pk}
    assert engine.match(has("b15", 3), None, clock.now()) == set()


def test_points_fade_with_time_and_a_refresh_notices(agreement, good, did, at):
    lead = good()
    did(lead, "demo_requested")
    run()
    row = LeadScore.objects.get(lead=lead)
    assert at + timedelta(hours=16) <= row.refresh_due_at <= at + timedelta(hours=24)
    with clock.use(at + timedelta(days=30)):
        assert engine.queue_refresh(clock.now()) == 1
        assert engine.queue_refresh(clock.now()) == 0
        run()
        assert LeadScore.objects.get(lead=lead).behaviour == 13
        assert ScoreChange.objects.filter(lead=lead).latest("id").cause == "time"


def test_a_lead_that_time_cannot_change_is_not_refreshed(agreement, good):
    lead = good()
    run()
    assert LeadScore.objects.get(lead=lead).refresh_due_at is None


def test_why_now_is_one_line(agreement, good, did, at):
    asked, looked, silent = good(1), good(2), good(3)
    with clock.use(at - timedelta(minutes=4)):
        did(asked, "demo_requested")
    for days in (0, 1, 2):
        did(looked, "page_view", days_ago=days, path="/pricing")
    found = engine.why_now([asked.pk, looked.pk, silent.pk], at)
    assert found == {
        asked.pk: "Asked for a demo 4 minutes ago",
        looked.pk: "Third day on the pricing page this week",
    }


def test_a_pass_costs_the_same_few_queries_for_one_lead_and_for_thirty(
    agreement, good, did, django_assert_max_num_queries
):
    for n in range(31):
        did(good(n), "page_view", path="/pricing")
    engine.score_pending(clock.now(), limit=2)
    with django_assert_max_num_queries(18):
        engine.score_pending(clock.now(), limit=1000)


def test_rescore_scores_everybody_and_says_what_it_did(agreement, good, did, capsys):
    lead = good()
    did(lead, "demo_requested")
    LeadChanged.objects.all().delete()
    call_command("rescore")
    said = capsys.readouterr().out
    assert "Scored 1 lead by agreement v1 (in force): 1 rows written" in said
    assert LeadScore.objects.get(lead=lead).ready


def test_rescore_without_an_agreement_says_what_to_do(at, make_lead):
    with pytest.raises(CommandError, match="There is no agreement yet"):
        call_command("rescore")
