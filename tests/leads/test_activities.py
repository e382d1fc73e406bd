"""Recording what leads did: once, to the right lead, at the right instant."""

from datetime import timedelta

import pytest

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.errors import Conflict
from leadflow.leads import intake
from leadflow.leads.models import (
    Activity,
    ContactSeen,
    DuplicatePair,
    Lead,
    LeadChanged,
    StageChange,
    TrackSignal,
    Visitor,
    VisitorJoin,
)

pytestmark = pytest.mark.django_db


def act(n, kind="form", ago=timedelta(hours=1), **more):
    return {"source": "web", "external_id": str(n), "kind": kind, "occurred_at": clock.now() - ago, **more}


def record(*rows, **more):
    return intake.record_activities(rows, actor=SYSTEM, **more)


def faults(result):
    return {r.index: (r.errors[0].path, r.errors[0].message) for r in result.rejected}


def test_an_activity_that_comes_twice_counts_once(at, make_lead):
    lead = make_lead()
    assert len(record(act(1, lead_id=lead.pk)).accepted) == 1
    again = record(act(1, lead_id=lead.pk), act(2, lead_id=lead.pk), act(2, lead_id=lead.pk))
    assert (len(again.accepted), again.duplicate) == (1, [0, 2])
    assert Activity.objects.count() == 2


def test_an_unknown_email_makes_the_lead(at):
    result = record(act(1, email="Ann@Acme.example", campaign="fair26"))
    lead = Lead.objects.get(pk=result.created[0])
    assert (lead.email_key, lead.stage, lead.first_source) == ("ann@acme.example", "conversion", "web")
    assert lead.first_campaign is not None
    assert StageChange.objects.get(lead=lead).from_stage == ""
    assert lead.last_own_act_at == clock.now() - timedelta(hours=1)
    assert lead.review_at == clock.now() + timedelta(days=90)
    assert LeadChanged.objects.filter(lead_id=lead.pk).exists()


def test_unknown_leads_kinds_and_odd_times_are_refused_with_words(at, make_lead):
    lead = make_lead()
    result = record(
        act(1, lead_id=999_999),
        act(2, external_lead_id="nobody"),
        act(3, kind="dance", lead_id=lead.pk),
        act(4, ago=-timedelta(minutes=6), lead_id=lead.pk),
        {**act(5, lead_id=lead.pk), "occurred_at": "2026-11-20 10:00"},
        {**act(6, lead_id=lead.pk), "occurred_at": "yesterday"},
        act(7),
        act(8, lead_id=lead.pk, properties={"seats": [1]}),
        act(9, kind="trial_started", lead_id=lead.pk, properties={"seats": "many"}),
        act(10, lead_id=lead.pk, colour="red"),
        {"kind": "form", "lead_id": lead.pk, "source": "web", "occurred_at": clock.now()},
        act(12, lead_id=lead.pk, user_id=4711),
        act(13, lead_id=lead.pk),
    )
    said = faults(result)
    assert [path for path, _ in said.values()] == [
        "lead_id", "external_lead_id", "kind", "occurred_at", "occurred_at", "occurred_at", "email",
        "properties.seats", "properties.seats", "colour", "external_id", "user_id",
    ]  # fmt: skip
    assert "page_view" in said[2][1]
    assert "future" in said[3][1]
    assert "zone" in said[4][1]
    assert len(result.accepted) == 1


def test_up_to_five_minutes_ahead_counts_as_now(at, make_lead):
    record(act(1, ago=-timedelta(minutes=5), lead_id=make_lead().pk))
    row = Activity.objects.get()
    assert row.occurred_at == row.recorded_at == clock.now()


def test_two_leads_named_by_one_row_are_refused_and_listed(at, make_lead):
    one, two = make_lead(), make_lead()
    result = record(act(1, lead_id=one.pk, email=two.email), act(2, lead_id=one.pk))
    assert list(faults(result)) == [0]
    assert DuplicatePair.objects.get().other_id == two.pk


def test_an_external_lead_id_names_a_lead_of_that_source(at):
    lead = intake.upsert_leads([{"external_id": "7"}], source="web", actor=SYSTEM).accepted[0]
    record(
        act(1, external_lead_id="7"), {**act(2, external_lead_id="7"), "source": "x", "lead_source": "web"}
    )
    assert set(Activity.objects.values_list("lead_id", flat=True)) == {lead}


def test_what_only_a_visitor_did_waits_on_the_visitor_and_moves_with_it(at, make_lead):
    lead = make_lead()
    assert record(act(1, kind="page_view", visitor_id="v1", path="/pricing")).changed == []
    assert set(Activity.objects.values_list("lead_id", "first_lead_id")) == {(None, None)}
    LeadChanged.objects.all().delete()
    with clock.use(clock.now() + timedelta(hours=1)):
        intake.join_visitor("v1", lead.pk)
        intake.join_visitor("v1", lead.pk)
        moved = clock.now()
    assert set(Activity.objects.values_list("lead_id", "first_lead_id", "moved_at")) == {
        (lead.pk, None, moved)
    }
    assert VisitorJoin.objects.get().lead_id == lead.pk
    assert LeadChanged.objects.get().lead_id == lead.pk
    lead.refresh_from_db()
    assert lead.last_own_act_at is not None
    with pytest.raises(Conflict):
        intake.join_visitor("v1", make_lead().pk)


def test_a_row_that_names_lead_and_visitor_joins_them_and_later_rows_find_the_lead(at):
    record(act(1, kind="page_view", visitor_id="v1"))
    lead = record(act(2, email="ann@acme.example", visitor_id="v1"), act(3, visitor_id="v1")).created[0]
    assert Visitor.objects.get().lead_id == lead
    record(act(4, kind="page_view", visitor_id="v1", ago=timedelta(0)))
    assert set(Activity.objects.values_list("lead_id", flat=True)) == {lead}


def test_a_page_view_after_half_an_hour_of_silence_is_also_a_visit(at, make_lead):
    lead = make_lead()
    views = [
        act(n, kind="page_view", ago=timedelta(minutes=m), lead_id=lead.pk)
        for n, m in enumerate([90, 80, 61, 25, 0])
    ]
    record(*views)
    visits = Activity.objects.filter(kind__key="visit", source="derived").order_by("occurred_at")
    assert [(clock.now() - v.occurred_at).seconds // 60 for v in visits] == [90, 25]
    record(*views)
    assert visits.count() == 2


def test_a_full_address_is_cut_to_its_path_and_column_properties_move_to_their_columns(at, make_lead):
    record(
        act(
            1,
            kind="page_view",
            lead_id=make_lead().pk,
            properties={"path": "https://us.example/pricing?x=1#top", "campaign": "c1"},
        )
    )
    row = Activity.objects.select_related("campaign").get(kind__key="page_view")
    assert (row.path, row.properties) == ("/pricing", {})
    assert row.campaign is not None


def test_our_contacts_wait_for_handoff_and_replies_and_stops_for_the_tracks(at, make_lead, people):
    lead = make_lead()
    record(
        act(1, kind="call", lead_id=lead.pk, user_id=people.sam.pk, result="talked"),
        act(2, kind="email_replied", lead_id=lead.pk),
        act(3, kind="email_unsubscribed", lead_id=lead.pk),
        act(4, kind="email_bounced", lead_id=lead.pk, properties={"hard": False}),
    )
    assert ContactSeen.objects.get().lead_id == lead.pk
    assert set(TrackSignal.objects.values_list("kind", flat=True)) == {"reply", "stop"}
    lead.refresh_from_db()
    assert lead.unsubscribed_at is not None
    assert lead.bounced_at is None
    record(act(5, kind="email_bounced", lead_id=lead.pk))
    lead.refresh_from_db()
    assert lead.bounced_at is not None


def test_our_own_rows_need_no_id_unless_asked_strictly(at, make_lead):
    row = {"kind": "call", "lead_id": make_lead().pk, "occurred_at": clock.now()}
    assert Activity.objects.get(pk=record(row).accepted[0]).source == "leadflow"
    assert {f.path for f in record(row, strict=True).rejected[0].errors} == {"source", "external_id"}


def test_one_act_alone_leaves_what_it_leaves_among_others(at, make_lead):
    views = [timedelta(minutes=m) for m in (90, 80, 61, 25, -1)]
    said = [{"kind": "page_view", "ago": ago, "path": "/Pricing", "properties": {"n": 1}} for ago in views]
    said += [{"kind": "form", "message_key": "m1", "channel": "web"}, {"kind": "webinar_registered"}]
    leads = [make_lead() for _ in range(2)]
    for number, row in enumerate(said):
        alone, together = (act(f"{number}-{lead.pk}", lead_id=lead.pk, **row) for lead in leads)
        assert len(record(alone, strict=True).accepted) == 1
        # One that names a campaign goes the general way.
        assert len(record({**together, "campaign": "x"}, strict=True).accepted) == 1
    left = [
        sorted(
            Activity.objects.filter(lead=lead).values_list(
                "kind__key", "first_lead_id", "occurred_at", "recorded_at", "path", "message_key", "channel",
                "properties",
            )
        )
        for lead in leads
    ]  # fmt: skip
    assert [row[2:] for row in left[0]] == [row[2:] for row in left[1]]
    assert {row[1] for row in left[0]} == {leads[0].pk}
    first, second = (Lead.objects.get(pk=lead.pk) for lead in leads)
    assert (first.last_own_act_at, first.review_at) == (second.last_own_act_at, second.review_at)
    changes = [
        list(LeadChanged.objects.filter(lead_id=lead.pk).values_list("cause", "recorded_at"))
        for lead in leads
    ]
    assert changes[0] == changes[1]
    again = record(act(f"0-{first.pk}", lead_id=first.pk, **said[0]), strict=True)
    assert (again.accepted, again.duplicate, again.lead_of) == ([], [0], {0: first.pk})
