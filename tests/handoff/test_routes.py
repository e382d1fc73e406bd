"""The sentences of routing in the browser: written, ordered, switched, tried on real leads, on record."""

from datetime import timedelta

import pytest

from handoff import machine, routing
from handoff.models import Handoff, RouteRule
from handoff.routes import trying
from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.accounts.models import AuditEntry
from leadflow.leads import intake
from leadflow.leads.models import Company
from scoring.document import Document

pytestmark = pytest.mark.django_db
HTMX = {"HTTP_HX_REQUEST": "true"}
AUSTRIA = {"c.is": "fact", "c.was": "fact", "c.fact": "country", "c.op": "is", "c.value": "Austria"}


@pytest.fixture
def rosa(agreement, people, as_user):
    """Rosa's browser; she manages team North."""
    return as_user(people.rosa)


def texts() -> list[str]:
    return list(RouteRule.objects.values_list("text", flat=True))


def test_a_new_sentence_stands_above_the_one_for_everybody_and_holds_at_once(rosa, people, offered):
    made = rosa.post(
        "/queue/routing/new/", {**AUSTRIA, "to": "user", "user": people.ben.pk, "act": "save"}, **HTMX
    )
    assert made.status_code == 200
    assert texts()[2:] == ["Country is Austria", "Everybody else"]
    handoff = offered(country="Austria")
    assert handoff.owner == people.ben
    assert handoff.route == "rule 3: Country is Austria → Ben, 1 of 40 open"
    entry = AuditEntry.objects.get(verb="route.made")
    assert (entry.actor, entry.after["to"]) == (people.rosa, "Ben")
    page = rosa.get("/queue/routing/").content.decode()
    assert "Country is Austria" in page
    assert "added" in page


def test_the_explanation_names_sentence_team_turn_and_load(offered, people):
    RouteRule.objects.create(
        position=0,
        text="DACH, enterprise",
        condition={"fact": "country", "op": "is", "value": ["Germany", "Austria"]},
        target={"to": "team", "team": people.north.pk, "strategy": "round_robin"},
    )
    people.sam.capacity_open = 8
    people.sam.save()
    route = offered(country="Germany").route
    assert route == "rule 1: DACH, enterprise → team North; round robin: Sam, 1 of 8 open"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"to": "user", "user": "999999", "c.none": "1"}, "Choose somebody of sales"),
        ({"to": "pool", "team": "", "c.none": "1"}, "Choose the team"),
        ({**AUSTRIA, "c.value": "", "to": "company_owner"}, ""),
    ],
)
def test_what_is_not_finished_is_told_at_its_place_and_changes_nothing(rosa, typed, words):
    before = texts()
    answer = rosa.post("/queue/routing/new/", {**typed, "act": "save"}, **HTMX)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert texts() == before


def test_the_form_changes_its_shape_without_saving(rosa):
    rule = RouteRule.objects.last()
    page = rosa.post(f"/queue/routing/{rule.pk}/", {"c.none": "1", "to": "pool", "act": "start"}, **HTMX)
    text = page.content.decode()
    assert 'name="c.is"' in text
    assert "choose …" in text
    more = rosa.post(f"/queue/routing/{rule.pk}/", {**AUSTRIA, "to": "team", "act": "add:c"}, **HTMX)
    assert 'name="c.1.is"' in more.content.decode()
    rule.refresh_from_db()
    assert rule.condition is None


def test_sentences_are_ordered_switched_copied_and_removed_on_record(rosa):
    first, second, third = RouteRule.objects.all()
    rosa.post("/queue/routing/order/", {"key": [third.pk, first.pk, second.pk]}, **HTMX)
    assert texts() == [third.text, first.text, second.text]
    rosa.post(f"/queue/routing/{third.pk}/down/", **HTMX)
    assert texts() == [first.text, third.text, second.text]
    rosa.post(f"/queue/routing/{first.pk}/switch/", **HTMX)
    assert routing.rules_in_use()[0].pk == third.pk
    rosa.post(f"/queue/routing/{second.pk}/copy/", **HTMX)
    rosa.post(f"/queue/routing/{second.pk}/remove/", **HTMX)
    assert len(texts()) == 3
    verbs = AuditEntry.objects.filter(verb__startswith="route.").values_list("verb", flat=True)
    assert list(verbs.order_by("pk")) == [
        "route.ordered", "route.ordered", "route.switched", "route.made", "route.removed"
    ]  # fmt: skip


def test_one_sentence_stays_on_and_an_old_form_does_not_overwrite(rosa, people, as_user):
    rules = list(RouteRule.objects.all())
    for rule in rules[:2]:
        rosa.post(f"/queue/routing/{rule.pk}/switch/", **HTMX)
    assert rosa.post(f"/queue/routing/{rules[2].pk}/switch/", **HTMX).status_code == 409
    typed = {"c.none": "1", "to": "team", "text": "All", "act": "save", "base": "2026-01-01T00:00:00+00:00"}
    answer = rosa.post(f"/queue/routing/{rules[2].pk}/", typed, **HTMX)
    assert answer.status_code == 409
    assert "meanwhile" in answer.content.decode()


def test_a_dry_run_says_by_sentence_and_place_who_would_have_gone_elsewhere(rosa, people, offered, agreement):
    came = [offered(company=f"Firm {n}", country="Austria" if n < 2 else "France") for n in range(4)]
    machine.apply("reassign", came[0].pk, SYSTEM, to=people.sam, reason="test")
    went = {row.pk: Handoff.objects.get(pk=row.pk).transitions.earliest("pk").owner_after for row in came}
    rule = RouteRule(
        text="Austria",
        condition={"fact": "country", "op": "is", "value": ["Austria"]},
        target={"to": "user", "user": people.ben.pk},
    )
    at = came[-1].offered_at
    trial = trying.run([rule, *routing.rules_in_use()], at, Document(agreement.content))
    (row,) = [one for one in trial.rows if one.rule == 1]
    assert (row.place, len(row.leads)) == ("Ben", 2)
    moved = [one.case.lead.pk for one in row.leads if one.moves]
    assert moved == [one.lead_id for one in came[:2] if went[one.pk] != people.ben]
    page = rosa.get("/queue/routing/try/").content.decode()
    assert "Of the last 4 that came to sales" in page
    assert f"/leads/{came[0].lead_id}/" in page
    csv = b"".join(rosa.get("/queue/routing/try/?format=csv").streaming_content).decode()
    assert csv.count("\n") == 5


def test_a_sentence_is_tried_before_it_holds(rosa, people, offered):
    lead = offered(country="Austria", owner=people.sam).lead
    typed = {**AUSTRIA, "to": "user", "user": people.ben.pk, "key": "new"}
    text = rosa.post("/queue/routing/try-it/", typed, **HTMX).content.decode()
    assert "Takes 1</b> of 1" in text
    assert f"/leads/{lead.pk}/" in text or "Nobody would go elsewhere" in text
    assert len(texts()) == 3


def test_a_dry_run_asks_each_lead_as_it_stood_when_it_came(people, offered, agreement, at):
    lead = offered(country="Austria").lead
    later = at + timedelta(hours=1)
    with clock.use(later):
        intake.change_lead(lead.pk, {"country": "France"}, actor=SYSTEM, cause="moved")
    rule = RouteRule(
        text="Austria",
        condition={"fact": "country", "op": "is", "value": ["Austria"]},
        target={"to": "user", "user": people.ben.pk},
    )
    trial = trying.run([rule], later, Document(agreement.content))
    assert [one.to for one in trial.placed] == ["Ben"]


def test_the_number_of_queries_of_a_dry_run_does_not_grow(rosa, offered, django_assert_max_num_queries):
    offered(company="One")
    with django_assert_max_num_queries(25):
        rosa.get("/queue/routing/try/")
    for n in range(6):
        offered(company=f"Firm {n}")
    with django_assert_max_num_queries(25):
        rosa.get("/queue/routing/try/")
    with django_assert_max_num_queries(25):
        rosa.get("/queue/routing/")


def test_a_manager_sets_room_and_weight_of_her_reps_only(rosa, people, as_user):
    rosa.post(f"/queue/routing/rep/{people.sam.pk}/", {"capacity": "12", "weight": "2"})
    people.sam.refresh_from_db()
    assert (people.sam.capacity_open, people.sam.weight) == (12, 2)
    assert AuditEntry.objects.get(verb="person.room").after == {"capacity_open": 12, "weight": 2}
    rosa.post(f"/queue/routing/rep/{people.sam.pk}/", {"capacity": "", "weight": "1"})
    people.sam.refresh_from_db()
    assert people.sam.capacity_open is None
    assert (
        rosa.post(f"/queue/routing/rep/{people.sam.pk}/", {"capacity": "x", "weight": "0"}).status_code == 400
    )
    assert as_user(people.sam).get("/queue/routing/").status_code == 200
    assert as_user(people.mia).post(f"/queue/routing/rep/{people.sam.pk}/").status_code == 403


def test_the_owner_of_a_company_comes_first_whoever_else_has_it(offered, people):
    offered(company="Acme", owner=people.sam)
    Company.objects.filter(name="Acme").update(owner=people.ben)
    assert offered(company="Acme", email="second@acme.example").owner == people.ben
