"""What was said of a lead then, what moved its score, and what is new since somebody looked."""

import os
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.db.models import Q
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import intake
from leadflow.leads.models import Activity, Lead, LeadMerge
from scoring import engine, history
from scoring.explanation import explain, score_at
from scoring.models import LeadScore, ScoreChange
from tests.scoring.sample import content, once

pytestmark = pytest.mark.django_db

GOOD = {
    "title": "VP Operations",
    "country": "Germany",
    "company": "Firm",
    "industry": "Software",
    "employees": 320,
}


def run():
    while engine.score_pending(clock.now()):
        pass


def merge(source, into, at):
    """As a merge does it: what the one did is the other's from now on."""
    LeadMerge.objects.create(from_lead=source, into=into, at=at)
    Lead.objects.filter(pk=source.pk).update(merged_into=into)
    Activity.objects.filter(lead=source).update(lead=into, moved_at=at)
    intake.mark_changed([into.pk], "merge", at=at)


def unmerge(source, into, at):
    """As its undoing does it: what was the one's at first is so again."""
    LeadMerge.objects.filter(from_lead=source, undone_at=None).update(undone_at=at)
    Lead.objects.filter(pk=source.pk).update(merged_into=None)
    was = Q(first_lead=source) | Q(first_lead=None, visitor__joins__lead=source)
    ids = Activity.objects.filter(was, lead=into).values_list("pk", flat=True)
    Activity.objects.filter(pk__in=list(ids)).update(lead=source, moved_at=at)
    intake.mark_changed([source.pk, into.pk], "merge undone", at=at)


ACTS = ["act", "late", "fact", "firm", "browse", "join", "merge", "unmerge", "wait", "time"]
KINDS = ["page_view", "webinar_attended", "demo_requested", "question", "email_unsubscribed"]
PLANS = st.lists(
    st.tuples(st.sampled_from(ACTS), st.sampled_from(KINDS), st.integers(0, 20), st.integers(0, 400)),
    min_size=8,
    max_size=25,
)


class Life:
    """Three leads and what happens to them, through the real door; each score is kept as it was seen."""

    def __init__(self, make_lead, did):
        self.leads = [make_lead(**GOOD | {"company": f"Firm {n}"}) for n in range(3)]
        self.did, self.count, self.merged, self.joined = did, 0, False, False
        self.seen = {}

    def step(self, act, kind, days, lead):
        here = self.leads[lead % 3]
        if self.merged and here == self.leads[0]:
            here = self.leads[1]
        self.count += 1
        at = clock.now()
        match act:
            case "act":
                self.did(here, kind, path="/pricing" if kind == "page_view" else "")
            case "late":
                self.did(here, kind, days_ago=days + 0.3)
            case "fact":
                titles = ["VP", "Clerk", "Head of IT", None]
                intake.change_lead(here.pk, {"title": titles[lead % 4]}, actor=SYSTEM, cause="test")
            case "firm":
                size = [5, 320, 4000, None][lead % 4]
                intake.change_company(here.company_id, {"employees": size}, actor=SYSTEM, cause="test")
            case "browse":
                self.browse(kind)
            case "join" if not self.joined and Activity.objects.filter(visitor__key="b").exists():
                intake.join_visitor("b", here.pk)
                self.joined = True
            case "merge" if not self.merged:
                merge(self.leads[0], self.leads[1], at)
                self.merged = True
            case "unmerge" if self.merged:
                unmerge(self.leads[0], self.leads[1], at)
                self.merged = False
            case "time":
                engine.queue_refresh(at)
        run()
        for score in LeadScore.objects.filter(lead__in=self.leads, lead__merged_into=None):
            self.seen[score.lead_id, at] = (score.fit, score.behaviour, score.value, score.total, score.grade)

    def browse(self, kind):
        row = {"source": "tag", "external_id": str(self.count), "kind": kind, "visitor_id": "b"}
        intake.record_activities([row | {"occurred_at": clock.now()}], actor=SYSTEM)


@settings(
    max_examples=8 * int(os.environ.get("EXAMPLES", "1")),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=PLANS)
def test_why_then_equals_what_was_stored_then(at, agreement, make_lead, did, plan):
    with transaction.atomic():
        life, now = Life(make_lead, did), at
        for act, kind, days, hours in plan:
            now += timedelta(hours=hours / 10)
            with clock.use(now):
                life.step(act, kind, days, hours)
        with clock.use(now + timedelta(days=30)):
            for (lead, then), stored in life.seen.items():
                told = score_at(lead, then)
                assert told is not None
                was = (
                    told.groups["fit"],
                    told.groups["behaviour"],
                    told.groups["value"],
                    told.total,
                    told.grade,
                )
                assert was == stored, (lead, then, plan)
                assert sum(line.points for line in told.lines) == told.total
            for lead in life.leads:
                the_parts_add_up(lead)
        transaction.set_rollback(True)


def the_parts_add_up(lead):
    changes = list(ScoreChange.objects.filter(lead=lead).select_related("agreement").order_by("at", "id"))
    told = history.moves(changes)
    assert [move.change.at for move in told] == sorted({change.at for change in changes})
    last = {change.at: change for change in changes}
    for move in told:
        assert move.now == last[move.change.at].total
        if move.was is not None:
            assert sum(part.points for part in move.parts) == move.points


@pytest.fixture
def lead(agreement, make_lead, did, at):
    """A good fit that looked at prices; then it asks for a demo, and is a clerk after all."""
    lead = make_lead(**GOOD)
    did(lead, "page_view", path="/pricing")
    run()
    with clock.use(at + timedelta(days=2)):
        did(lead, "demo_requested")
        run()
    with clock.use(at + timedelta(days=3)):
        intake.change_lead(lead.pk, {"title": "Clerk"}, actor=SYSTEM, cause="by hand")
        run()
    return lead


def changes_of(lead):
    return list(ScoreChange.objects.filter(lead=lead).select_related("agreement").order_by("at", "id"))


def test_each_move_names_what_moved_it_largest_first(lead):
    first, demo, clerk = history.moves(changes_of(lead))
    assert first.words == "First score"
    assert demo.parts[0].text == "b1"
    assert demo.parts[0].points == Decimal(25)
    assert demo.words.startswith("b1 +25")
    assert clerk.parts[0].text == "f1"
    assert clerk.parts[0].points == Decimal(-15)
    assert "f1 −15" in clerk.words


def test_a_new_agreement_is_named_as_what_moved_the_score(lead, put_in_force, at):
    body = content(criteria=[once("f1", "fit", 20, {"fact": "country", "op": "known"}) | {"text": "Country"}])
    body["thresholds"] |= {"mql_when": {"score": "total", "op": "gte", "value": 90}, "fast_tracks": []}
    body["thresholds"]["sql_when"] = body["thresholds"]["mql_leave_when"] = body["thresholds"]["mql_when"]
    body["stages"] = []
    with clock.use(at + timedelta(days=4)):
        put_in_force(body)
        engine.score_range(0, 10**9, at=clock.now(), cause="agreement v2")
    move = history.moves(changes_of(lead))[-1]
    assert move.version == 2
    assert move.words.startswith("Agreement v2: ")
    assert sum(part.points for part in move.parts) == move.points


def test_time_alone_is_told_as_fading(lead, at):
    with clock.use(at + timedelta(days=60)):
        engine.queue_refresh(clock.now())
        run()
    move = history.moves(changes_of(lead))[-1]
    assert move.faded
    assert move.words.startswith("Points fade with time: b1 −")


def test_what_is_new_since_somebody_looked(lead, people, at):
    assert history.look(people.sam.pk, lead.pk, at + timedelta(hours=1)) is None
    # A second look within the visit is no new visit.
    assert history.look(people.sam.pk, lead.pk, at + timedelta(hours=1, minutes=10)) is None
    looked = history.look(people.sam.pk, lead.pk, at + timedelta(days=5))
    assert looked == at + timedelta(hours=1, minutes=10)
    assert history.look(people.sam.pk, lead.pk, at + timedelta(days=5, minutes=5)) == looked
    assert history.look(people.rosa.pk, lead.pk, at + timedelta(days=5)) is None
    found = history.since(lead.pk, looked)
    changes = changes_of(lead)
    assert (found.move.was, found.move.now) == (changes[0].total, changes[-1].total)
    assert {part.text for part in found.move.parts} >= {"b1", "f1"}
    assert sum(part.points for part in found.move.parts) == found.move.points
    score = LeadScore.objects.select_related("agreement").get(lead=lead)
    told, same = history.explained(score, changes, looked)
    assert same == found
    assert told == explain(lead.pk)
    assert history.since(lead.pk, at + timedelta(days=4)).move is None
    assert history.since(lead.pk, None) is None
