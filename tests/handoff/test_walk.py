"""Random acts by random people at random times: whatever they do, the house stays in order."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from feedback import nurture, verdicts
from handoff import admission, clocks, machine, states
from handoff.acts import EFFECTS
from handoff.models import CLOSED, OPEN, Handoff, RoomWait, SlaResult, State, Transition
from leadflow import audit, clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import BadInput, Conflict, Forbidden
from leadflow.leads import customers, intake
from leadflow.leads.models import Stage
from scoring import engine
from scoring.models import Hold
from tests.handoff.conftest import berlin

pytestmark = pytest.mark.django_db

PROMISING = (State.OFFERED, State.ACCEPTED, State.WORKING)
# What an act may be given: sometimes right, sometimes not.
ARGS = {
    "reject": [{"reason_key": "1"}, {"reason_key": "2"}, {"reason_key": "3", "date": "2027-01-11"}, {},
               {"reason_key": "6"}, {"reason_key": "0", "note": "a long enough note"}],
    "return": [{"reason_key": "2"}, {"reason_key": "8"}],
    "touch": [{"channel": "phone", "result": "talked"}, {"channel": "email", "result": "email"},
              {"result": "talked", "call_back": "2026-11-27"}],
    "log_contact": [{"channel": "phone", "result": "no_answer"}, {"channel": "meeting", "result": "meeting"}],
    "qualify": [{"amount": "100", "need": "it", "date": "2027-01-11"}, {"amount": "-1"}],
    "win": [{"amount": "100"}, {}],
    "lose": [{"reason_key": "2"}, {"reason_key": "1"}],
    "withdraw": [{"reason": "by hand"}],
    "dispute": [{"note": "it was good"}],
    "settle": [{"note": "agreed"}],
}  # fmt: skip
# Acts whose effects reach into nurture go through feedback's doors, as they do for people.
DOORS = {
    "reject": verdicts.reject, "return": verdicts.return_, "lose": verdicts.lose,
    "qualify": verdicts.qualify, "win": verdicts.win, "undo": verdicts.undo,
}  # fmt: skip


class Walk:
    """One world and its people."""

    def __init__(self, seed, people, make_lead, did):
        self.luck, self.people, self.did = Random(seed), people, did
        for user in (people.sam, people.ben):
            user.is_active = True
        self.at = berlin(2026, 11, 24, 9, 12)
        self.leads = [make_lead(title="VP", company=f"Firm {n % 3}") for n in range(4)]
        self.actors = [person(u) for u in (people.sam, people.ben, people.rosa, people.mia, people.admin)] + [
            SYSTEM
        ]
        self.done = Counter()

    def pick(self, options):
        return self.luck.choice(options)

    def step(self):
        self.at += timedelta(minutes=self.luck.randint(0, 90))
        if self.luck.randint(0, 9) == 0:
            self.at += timedelta(days=self.luck.randint(1, 20))
        with clock.use(self.at):
            what = self.pick(["act", "act", "act", "act", "lead", "flow", "tick", "somebody_leaves_or_comes"])
            try:
                with transaction.atomic():
                    getattr(self, what)()
            except (Conflict, Forbidden, BadInput):
                self.done["refused"] += 1
            self.check()

    def act(self):
        handoffs = list(Handoff.objects.order_by("pk"))
        if not handoffs:
            return
        handoff = self.pick(handoffs[-6:])
        actor = self.pick(self.actors)
        owner = person(handoff.owner) if handoff.owner and self.luck.random() < 0.5 else actor
        may = [row.name for row in machine.allowed(handoff, owner, self.at)]
        name = self.pick(may) if may and self.luck.random() < 0.5 else self.pick(sorted(EFFECTS))
        said = self.arguments(name)
        if name in DOORS and ("reason_key" in said or name not in ("reject", "return", "lose")):
            DOORS[name](handoff.pk, owner, **said)
        else:
            machine.apply(name, handoff.pk, owner, **said)
        self.done[name] += 1
        if owner.user is not None and name not in ("undo", "dispute", "settle", "withdraw", "outcome"):
            self.take_back(handoff.pk, owner)

    def take_back(self, pk, actor):
        """Every third act is taken back minutes later, and then nothing of it is left on the row."""
        if self.luck.random() > 0.33:
            return
        before = Transition.objects.filter(handoff=pk).latest("at", "id").before.get("row", {})
        self.at += timedelta(minutes=self.luck.randint(0, 9))
        with clock.use(self.at):
            row = verdicts.undo(pk, actor)
        assert (row.state, row.owner_id, row.attempts) == tuple(
            before[k] for k in ("state", "owner_id", "attempts")
        )
        for column in ("sla_due_at", "sla_tick_at", "snoozed_until", "next_date"):
            now, was = getattr(row, column), before[column]
            assert (now.isoformat() if now else None) == was
        self.done["undo"] += 1

    def arguments(self, name):
        if name == "reassign":
            return {"to": self.pick([self.people.sam.pk, self.people.ben.pk, "pool"]), "reason": "walk"}
        if name == "snooze":
            return {"until": self.at + timedelta(hours=self.luck.randint(1, 60)), "reason": "walk"}
        if name == "outcome":
            return {"kind": self.pick(["opportunity", "won", "lost"])}
        return self.pick(ARGS.get(name, [{}]))

    def lead(self):
        lead = self.pick(self.leads)
        what = self.pick(["webinar_attended", "demo_requested", "call", "student", "vp", "hand"])
        if what in ("student", "vp"):
            intake.change_lead(lead.pk, {"title": what}, actor=SYSTEM, cause="walk")
        elif what == "hand":
            machine.open_by_hand(lead.pk, person(self.people.mia), "worth a call")
        elif what == "call":
            self.did(
                lead, "call", user_id=self.people.sam.pk, channel="phone", result="talked", days_ago=0.001
            )
        else:
            self.did(lead, what)
        self.flow()

    def flow(self):
        for _ in range(10):
            if not (
                customers.pull(self.at)
                + engine.score_pending(self.at)
                + machine.pull_contacts(self.at)
                + machine.open_pending(self.at)
                + engine.end_holds(self.at)
            ):
                break
        admission.refill(self.at)

    def tick(self):
        while clocks.tick(self.at):
            pass
        nurture.tick(self.at)

    def balance(self):
        """Once what waits was looked at, the books balance: an independent count finds no stray."""
        with clock.use(self.at):
            self.flow()
            self.tick()
            self.flow()
            assert [str(one) for one in audit.strays(self.at)] == []
            assert sum(audit.places().values()) == len(self.leads)

    def somebody_leaves_or_comes(self):
        user = self.pick([self.people.sam, self.people.ben])
        user.is_active = not user.is_active
        user.save()
        if not user.is_active:
            machine.release_owner(user.pk, person(self.people.rosa))

    def check(self):
        rows = list(Handoff.objects.select_related("owner", "lead"))
        opened = Counter(h.lead_id for h in rows if h.state in OPEN)
        assert all(n == 1 for n in opened.values())
        stories = {}
        for transition in Transition.objects.order_by("id"):
            stories.setdefault(transition.handoff_id, []).append(transition)
        for handoff in rows:
            self.check_one(handoff, stories[handoff.pk])
        assert not set(RoomWait.objects.filter(left_at=None).values_list("lead_id", flat=True)) & set(opened)
        judged = Counter(
            SlaResult.objects.filter(scope="lead", voided_at=None)
            .exclude(promise="follow_up")
            .values_list("handoff_id", "promise")
        )
        assert all(n == 1 for n in judged.values()), judged

    def check_one(self, handoff, story):
        is_open = handoff.state in OPEN
        assert (handoff.sla_tick_at is not None) == is_open
        assert (handoff.sla_due_at is not None) == (handoff.state in PROMISING)
        assert (handoff.closed_at is None) == is_open
        assert handoff.snoozed_until is None or handoff.state in PROMISING
        assert handoff.pool == (handoff.owner_id is None)
        if is_open:
            assert handoff.owner is None or handoff.owner.is_active
            if handoff.kind != Handoff.Kind.EXISTING_CUSTOMER:
                expected = Stage.OPPORTUNITY if handoff.state == State.OPPORTUNITY else Stage.SALES_QUALIFIED
                assert handoff.lead.stage in (expected, Stage.CUSTOMER)
        assert story[-1].to_state == handoff.state
        assert story[-1].owner_after_id == handoff.owner_id
        for before, after in pairwise(story):
            assert after.from_state == before.to_state
            assert after.owner_before_id == before.owner_after_id
            assert before.at <= after.at
        for transition in story:
            row = states.TABLE[transition.action]
            if transition.action not in ("open", "undo"):
                source = State(transition.from_state)
                assert source in row.sources
                assert transition.to_state in states.targets(row, source)
        if handoff.state in CLOSED and story[-1].action != "undo":
            assert Hold.objects.filter(handoff_id=handoff.pk).exists()


@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32), steps=st.integers(10, 30))
def test_the_house_stays_in_order_whatever_people_do(seed, steps, agreement, people, make_lead, did):
    with transaction.atomic():
        walk = Walk(seed, people, make_lead, did)
        with clock.use(walk.at):
            for lead in walk.leads:
                did(lead, walk.pick(["webinar_attended", "demo_requested"]))
            walk.flow()
            walk.check()
        for _ in range(steps):
            walk.step()
        walk.balance()
        transaction.set_rollback(True)
