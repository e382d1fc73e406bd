"""A new version comes into force over a living base: who is offered, what is frozen, which version scores."""

import copy
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from handoff import admission, clocks, machine
from handoff.models import Handoff, RoomWait, State
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.jobs import runner
from leadflow.jobs.models import Job, JobChunk
from leadflow.leads.models import Lead
from scoring import agreements, engine, release
from scoring.models import Agreement, LeadScore

pytestmark = pytest.mark.django_db
NINE = ZoneInfo("Europe/Berlin")
HOT = {"title": "VP Operations", "employees": 320, "industry": "Software", "country": "Germany"}


def score() -> None:
    while engine.score_pending(clock.now()):
        pass


def work() -> None:
    """What the workers do, until nothing is left."""
    while runner.work_one():
        pass
    score()
    while machine.open_pending(clock.now()):
        pass
    admission.refill(clock.now())


def leads_above_the_bar(make_lead, did, count: int) -> list[Lead]:
    made = [make_lead(**HOT, email=f"vp{n}@house{n}.example") for n in range(count)]
    for n, lead in enumerate(made):
        did(lead, "page_view", 1, path="/pricing")
        did(lead, "page_view", 2, path="/pricing")
        did(lead, "download_buying", 4)
        # The later ones did more, so that the best are not the first.
        did(lead, "webinar_attended", 20 - n)
    return made


def next_version(people, change=None, choice: str = "trickle") -> Agreement:
    draft = agreements.create_draft(person(people.mia))
    content = copy.deepcopy(draft.content)
    if change:
        change(content)
    else:
        content["title"] = f"No. {draft.number}"
    agreements.save_draft(draft, content, person(people.mia), 1)
    agreements.propose(draft, person(people.mia), release_choice=choice)
    agreements.sign(draft, person(people.noah))
    return agreements.sign(draft, person(people.rosa))


def first_version(people, choice: str, change=None) -> Agreement:
    content = agreements.first_content()
    content["admission"] |= {"new_per_rep_per_day": 2, "capacity_open": 4}
    if change:
        change(content)
    draft = agreements.create_draft(person(people.mia), content=content)
    agreements.propose(draft, person(people.mia), release_choice=choice)
    agreements.sign(draft, person(people.noah))
    return agreements.sign(draft, person(people.rosa))


def load() -> dict[str, int]:
    found: dict[str, int] = {}
    for name in Handoff.objects.values_list("owner__name", flat=True):
        found[name] = found.get(name, 0) + 1
    return found


# What becomes of those above the bar -------------------------------------------------------------------


def test_trickle_in_offers_the_days_share_best_first(at, people, make_lead, did, monkeypatch):
    monkeypatch.setattr(release, "CHUNK", 3)
    leads = leads_above_the_bar(make_lead, did, 14)
    first_version(people, "trickle")
    work()
    assert load() == {"Sam": 2, "Ben": 2, "Sten": 2}
    assert RoomWait.objects.filter(left_at=None).count() == 8
    best = sorted(LeadScore.objects.values_list("total", flat=True), reverse=True)[:6]
    assert sorted(Handoff.objects.values_list("total", flat=True), reverse=True) == best
    assert not Handoff.objects.filter(lead=leads[0]).exists()


def test_on_the_next_day_the_next_share_comes(at, people, make_lead, did):
    leads_above_the_bar(make_lead, did, 8)
    first_version(people, "trickle")
    work()
    assert Handoff.objects.count() == 6
    with clock.use(at + timedelta(days=1)):
        work()
        assert Handoff.objects.count() == 8


def test_all_now_passes_the_days_limit_and_never_the_desk(at, people, make_lead, did):
    leads_above_the_bar(make_lead, did, 14)
    people.sam.capacity_open = 3
    people.sam.save()
    first_version(people, "all_now")
    work()
    assert load() == {"Sam": 3, "Ben": 4, "Sten": 4}
    assert RoomWait.objects.filter(left_at=None).count() == 3
    handoff = Handoff.objects.filter(owner=people.ben).first()
    machine.apply("accept", handoff.pk, person(people.ben))
    machine.apply("lose", handoff.pk, person(people.ben), reason_key="1")
    work()
    # A place on a desk is free, so one more comes, on the same day.
    assert Handoff.objects.filter(owner=people.ben).count() == 5


def test_all_now_is_for_those_above_the_bar_by_then_and_not_for_tomorrows(at, people, make_lead, did):
    leads_above_the_bar(make_lead, did, 6)
    first_version(people, "all_now", lambda c: c["admission"].update(capacity_open=40))
    work()
    assert Handoff.objects.count() == 6
    with clock.use(at + timedelta(minutes=5)):
        late = make_lead(**HOT)
        for days in (0, 1, 2):
            did(late, "page_view", days, path="/pricing")
        did(late, "download_buying", 4)
        work()
        assert LeadScore.objects.get(lead=late).ready
        assert not Handoff.objects.filter(lead=late).exists()


def test_all_now_also_lets_in_who_waited_for_room_before(at, people, make_lead, did):
    leads_above_the_bar(make_lead, did, 10)
    first_version(people, "trickle")
    work()
    assert Handoff.objects.count() == 6
    next_version(people, choice="all_now")
    work()
    assert Handoff.objects.count() == 10


def test_a_pool_stays_within_its_share_even_at_all_now(at, people, make_lead, did):
    from handoff.models import RouteRule

    RouteRule.objects.create(
        position=1, text="all to the pool", target={"to": "pool", "team": people.north.pk}
    )
    leads_above_the_bar(make_lead, did, 6)
    first_version(people, "all_now")
    work()
    # Two reps of team North, two a day each.
    assert Handoff.objects.filter(pool=True).count() == 4
    assert RoomWait.objects.filter(left_at=None).count() == 2


def test_on_new_evidence_nobody_is_offered_until_something_happens(at, people, make_lead, did):
    leads = leads_above_the_bar(make_lead, did, 3)
    first_version(people, "new_evidence")
    work()
    assert Handoff.objects.count() == 0
    with clock.use(at + timedelta(hours=1)):
        did(leads[1], "webinar_attended")
        work()
        assert list(Handoff.objects.values_list("lead", flat=True)) == [leads[1].pk]


def test_a_fast_track_does_not_wait_for_the_scoring_of_the_others(at, people, make_lead, did, monkeypatch):
    monkeypatch.setattr(release, "CHUNK", 1)
    leads = leads_above_the_bar(make_lead, did, 3)
    did(leads[0], "demo_requested")
    first_version(people, "trickle")
    runner.work_one(), runner.work_one()
    machine.open_pending(clock.now())
    admission.refill(clock.now())
    assert list(Handoff.objects.values_list("lead", flat=True)) == [leads[0].pk]
    work()
    assert Handoff.objects.count() == 3


# Half done ---------------------------------------------------------------------------------------------


def test_a_lead_that_changes_in_the_middle_is_scored_by_the_new_version(
    at, people, make_lead, did, monkeypatch
):
    first_version(people, "trickle")
    leads = [make_lead(title="Manager") for _ in range(4)]
    score()
    monkeypatch.setattr(release, "CHUNK", 1)

    def worth_more(content: dict[str, Any]) -> None:
        next(c for c in content["criteria"] if c["id"] == "f3")["points"] = 17

    second = next_version(people, worth_more)
    runner.work_one()
    assert LeadScore.objects.filter(agreement=second).count() == 1
    did(leads[3], "page_view", path="/")
    score()
    row = LeadScore.objects.get(lead=leads[3])
    assert (row.agreement_id, row.fit) == (second.pk, 20)
    while runner.work_one():
        pass
    assert set(LeadScore.objects.values_list("agreement", flat=True)) == {second.pk}
    assert set(LeadScore.objects.values_list("fit", flat=True)) == {20}


def test_a_lead_made_in_the_middle_is_scored_by_the_new_version(at, people, make_lead, monkeypatch):
    first_version(people, "trickle")
    make_lead()
    score()
    second = next_version(people)
    made = make_lead()
    work()
    assert LeadScore.objects.get(lead=made).agreement_id == second.pk
    assert not LeadScore.objects.exclude(agreement=second).exists()


def test_a_third_version_stops_the_scoring_by_the_second(at, people, make_lead, monkeypatch):
    first_version(people, "trickle")
    for _ in range(3):
        make_lead()
    score()
    monkeypatch.setattr(release, "CHUNK", 1)
    second = next_version(people)
    runner.work_one()
    third = next_version(people)
    assert Job.objects.get(pk=second.release_job_id).state == Job.State.CANCELLED
    work()
    assert set(LeadScore.objects.values_list("agreement", flat=True)) == {third.pk}


def test_a_release_that_failed_is_begun_again(at, people, make_lead):
    make_lead()
    first = first_version(people, "trickle")
    job = Job.objects.filter(pk=first.release_job_id)
    job.update(state=Job.State.FAILED, finished_at=at)
    JobChunk.objects.update(state=JobChunk.State.FAILED)
    agreements.start_due(at + timedelta(minutes=1))
    assert agreements.in_force().release_job_id == first.release_job_id
    with clock.use(at + timedelta(minutes=11)):
        agreements.start_due(clock.now())
        assert agreements.in_force().release_job_id != first.release_job_id
        work()
    assert LeadScore.objects.filter(agreement=first, preview=False).count() == 1


def test_nobody_stops_a_release_half_way(at, people, make_lead, as_user):
    make_lead()
    first = first_version(people, "trickle")
    url = f"/jobs/{first.release_job_id}/"
    client = as_user(people.rosa)
    assert "Stop" not in client.get(url).content.decode()
    assert client.post(f"{url}stop/").status_code == 409
    work()
    assert LeadScore.objects.filter(preview=False).count() == 1


# An open handoff ---------------------------------------------------------------------------------------


def test_an_open_handoff_keeps_what_was_agreed_when_it_was_offered(at, people, make_lead, did, as_user):
    first_version(people, "trickle")
    [lead] = leads_above_the_bar(make_lead, did, 1)
    work()
    handoff = Handoff.objects.get()
    Handoff.objects.filter(pk=handoff.pk).update(owner=people.sam)
    before = copy.deepcopy(handoff.frozen)
    ticks, due = handoff.sla_ticks, handoff.sla_due_at
    total = handoff.total

    def everything_else(content: dict[str, Any]) -> None:
        for criterion in content["criteria"]:
            if criterion["mode"] != "bands":
                criterion["points"] = int(criterion["points"] / 2) or 1
            criterion["text"] = f"Otherwise: {criterion['text']}"
        for policy in content["sla"]:
            policy["accept"], policy["first_touch"], policy["next_attempt"] = 5, 6, 7
            policy["warn"], policy["late"] = [0.5], [{"after": 0, "do": "notify"}]
        for reason in content["reasons"]:
            reason["text"] = f"New words for {reason['key']}"
        content["reasons"] = [r for r in content["reasons"] if r["key"] != "5"]
        content["give_up"] = {"attempts": 1, "working_days": 1, "channels": 1}

    next_version(people, everything_else)
    work()
    handoff.refresh_from_db()
    assert LeadScore.objects.get(lead=lead).total < total
    assert (handoff.frozen, handoff.total) == (before, total)
    assert (handoff.sla_ticks, handoff.sla_due_at) == (ticks, due)

    # Its page shows the score, the reasons and the words of its offer.
    page = as_user(people.sam).get(f"/queue/{handoff.pk}/panel/").content.decode()
    assert "Too small or wrong type" in page
    assert "New words for 1" not in page
    assert "Otherwise:" not in page

    # Its clock warns and falls due as agreed then: nothing is late after the five minutes of v2.
    with clock.use(at + timedelta(minutes=10)):
        clocks.tick(clock.now())
        handoff.refresh_from_db()
        assert handoff.breached_at is None
        assert handoff.warned_at is None
    with clock.use(due + timedelta(minutes=1)):
        clocks.tick(clock.now())
        handoff.refresh_from_db()
        assert handoff.breached_at is not None

    # A reason that v2 no longer has can still be given, with the effect of then.
    machine.apply("reject", handoff.pk, person(people.sam), reason_key="5")
    handoff.refresh_from_db()
    assert (handoff.state, handoff.reason_key) == (State.REJECTED, "5")


# A day and an hour -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "written", "instant"),
    [
        ("Europe/Berlin", "2027-03-28T00:30", "2027-03-27T23:30Z"),
        ("Europe/Berlin", "2027-03-28T03:30", "2027-03-28T01:30Z"),
        ("America/New_York", "2027-03-14T09:00", "2027-03-14T13:00Z"),
        ("Asia/Kolkata", "2027-01-01T00:00", "2026-12-31T18:30Z"),
        # The hour that comes twice: the first of the two.
        ("Europe/Berlin", "2027-10-31T02:30", "2027-10-31T00:30Z"),
    ],
)
def test_its_hour_is_an_hour_of_the_agreements_zone(zone, written, instant, at, people, as_user):
    content = agreements.first_content() | {"zone": zone}
    draft = agreements.create_draft(person(people.mia), content=content)
    data = {"when": "day", "in_force_from": written, "release": "trickle"}
    assert as_user(people.mia).post("/agreement/propose/", data).status_code == 302
    draft.refresh_from_db()
    due = datetime.fromisoformat(instant)
    assert draft.in_force_from == due
    agreements.sign(draft, person(people.noah))
    agreements.sign(draft, person(people.rosa))
    with clock.use(due - timedelta(seconds=1)):
        assert agreements.start_due(clock.now()) == 0
    with clock.use(due):
        assert agreements.start_due(clock.now()) == 1
    assert agreements.in_force().in_force_at == due


def test_an_hour_that_the_clocks_skip_is_refused_in_words(at, people, as_user):
    agreements.create_draft(person(people.mia))
    data = {"when": "day", "in_force_from": "2027-03-28T02:30", "release": "trickle"}
    response = as_user(people.mia).post("/agreement/propose/", data)
    assert response.status_code == 400
    assert "There is no such hour on that day: the clocks go forward" in response.content.decode()


def test_a_day_alone_begins_at_its_midnight(at, people, as_user):
    draft = agreements.create_draft(person(people.mia))
    data = {"when": "day", "in_force_from": "2026-12-01", "release": "trickle"}
    as_user(people.mia).post("/agreement/propose/", data)
    draft.refresh_from_db()
    assert draft.in_force_from.isoformat() == "2026-11-30T23:00:00+00:00"


def test_with_the_last_signature_after_its_day_it_is_in_force_at_once(at, people):
    draft = agreements.create_draft(person(people.mia))
    agreements.propose(draft, person(people.mia), in_force_from=at + timedelta(days=1))
    agreements.sign(draft, person(people.noah))
    with clock.use(at + timedelta(days=2)):
        made = agreements.sign(draft, person(people.rosa))
        assert (made.state, made.in_force_at) == (Agreement.State.IN_FORCE, clock.now())
