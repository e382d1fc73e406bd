"""The calibration workshop: what is drawn, who sees what when, and what comes out of it."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from handoff.models import Outbox
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import BadInput, Conflict, Forbidden, NotVisible
from leadflow.leads import intake, ledgers
from leadflow.leads.models import Answer, CustomField, Lead, Stage
from scoring import agreements
from scoring.conditions.explain import words_for
from scoring.document import Document
from scoring.models import DraftStep, Workshop, WorkshopCard, WorkshopMember, WorkshopVote
from scoring.workshops import comparing, drawing, knowing, marks, sorting, suggesting

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at")]


@pytest.fixture
def draw(people):
    """Set a workshop up; by default Noah draws for Mia and Sam."""

    def set_up(cards=40, days=30, who=None, by=None):
        chosen = [one.pk for one in who or (people.mia, people.sam)]
        return drawing.set_up(person(by or people.noah), "Autumn", cards=cards, days=days, people=chosen)

    return set_up


def _sort_all(workshop, user, say=lambda card: ("good", "", "")) -> None:
    for card in workshop.cards.select_related("lead"):
        if not sorting.gone(card):
            sorting.sort(workshop, card.n, person(user), *say(card))
    sorting.finish(workshop, person(user))


# Drawing


def test_each_source_gives_as_many_while_it_has_some(make_lead, draw) -> None:
    for source, count in (("Website", 12), ("Webinar", 9), ("Trade show", 2)):
        for _ in range(count):
            make_lead(source=source)
    made = draw(cards=12)
    drawn = [card.source for card in made.cards.all()]
    assert {source: drawn.count(source) for source in drawn} == {"Website": 5, "Webinar": 5, "Trade show": 2}
    assert made.drawn == {"asked": 12, "days": 30, "found": 23}
    assert [card.n for card in made.cards.order_by("n")] == list(range(1, 13))
    pool = drawing.pool(30, clock.now())
    assert sorted(pool.per_source(12)) == [("Trade show", 2, 2), ("Webinar", 5, 9), ("Website", 5, 12)]


def test_two_sources_that_look_alike_are_dealt_from_each_by_itself():
    """Two keys may carry one name: the round ends all the same."""
    assert drawing.Pool(90, (("Website", 2), ("Website", 1))).per_source(9) == [
        ("Website", 2, 2),
        ("Website", 1, 1),
    ]


def test_a_small_base_gives_what_it_has(make_lead, draw) -> None:
    for _ in range(3):
        make_lead()
    assert draw(cards=40).cards.count() == 3


def test_only_leads_of_these_days_that_are_leads_are_drawn(make_lead, did, draw) -> None:
    with clock.use(clock.now() - timedelta(days=90)):
        old, back = make_lead(name="Old"), make_lead(name="Back")
    did(back, "page_view", 2, path="/pricing")
    new, out, gone = make_lead(name="New"), make_lead(name="Out"), make_lead(name="Gone")
    Lead.objects.filter(pk=out.pk).update(stage=Stage.EXCLUDED)
    Lead.objects.filter(pk=gone.pk).update(erased_at=clock.now())
    drawn = {card.lead_id for card in draw().cards.all()}
    assert drawn == {back.pk, new.pk}
    assert old.pk not in drawn


def test_who_was_offered_is_shown_as_known_at_the_offer(make_lead, did, draw, people) -> None:
    now = clock.now()
    with clock.use(now - timedelta(days=9)):
        lead = make_lead(title="Clerk")
        did(lead, "webinar_attended", 1, properties={"title": "Two depots"})
    ledgers.record_answer(
        lead_id=lead.pk, handoff_id=1, kind=Answer.Kind.OFFERED, at=now - timedelta(days=5), rep=people.sam
    )
    intake.change_lead(lead.pk, {"title": "Managing Director"}, actor=SYSTEM, cause="call")
    did(lead, "demo_requested", 1)
    card = draw().cards.get()
    assert card.at == card.known_at == now - timedelta(days=5)
    reader = knowing.Reader()
    assert reader.facts([card])[card.pk].values["title"] == "Clerk"
    assert [act.text for act in reader.acts(card)] == ["Attended a webinar: “Two depots”"]


def test_a_card_shows_neither_score_nor_stage_nor_what_our_people_did(make_lead, did, draw) -> None:
    CustomField.objects.create(
        key="call_result", label="Call result", subject="lead", type="text", after_contact=True
    )
    lead = make_lead(name="Dana Weiss", phone="+49405550134", company="Brückner", employees=1200)
    intake.change_lead(lead.pk, {"custom.call_result": "no budget"}, actor=SYSTEM, cause="call")
    did(lead, "page_view", 1, path="/pricing")
    did(lead, "call", 0, channel="phone", result="talked", properties={"note": "no budget"})
    card = draw().cards.get()
    reader = knowing.Reader()
    known = reader.facts([card])[card.pk]
    assert known.name == "Dana Weiss"
    rows = dict(known.rows)
    assert rows["Employees"] == "1,200"
    assert rows["Phone"] == "+49405550134"
    assert not {"Call result", "Stage", "Score", "Grade"} & set(rows)
    assert "no budget" not in str(rows) + str(reader.acts(card))
    assert [act.kind for act in reader.acts(card)] == ["page_view"]


@pytest.mark.parametrize("name", ["mia", "sam"])
def test_only_managers_set_one_up(make_lead, draw, people, name) -> None:
    make_lead()
    with pytest.raises(Forbidden):
        draw(by=getattr(people, name))
    assert draw(by=people.admin).facilitator == people.admin
    assert draw(by=people.rosa).facilitator == people.rosa


def test_what_cannot_be_set_up_says_why(make_lead, draw, people) -> None:
    with pytest.raises(BadInput, match="No lead was new or active in the last 30 days"):
        draw()
    assert not Workshop.objects.exists()
    make_lead()
    for wrong in (
        {"cards": 4},
        {"cards": 101},
        {"days": 0},
        {"who": [people.mia]},
        {"who": [people.sam]},
        {"who": [people.sam, people.admin]},
    ):
        with pytest.raises(BadInput):
            draw(**wrong)


def test_who_is_invited_is_told_at_the_bell_and_by_mail_but_not_who_invites(make_lead, draw, people) -> None:
    make_lead()
    draw(who=[people.mia, people.sam, people.noah])
    told = Outbox.objects.filter(key__startswith="workshop:")
    assert {(row.user_id, row.channel) for row in told} == {
        (user.pk, channel) for user in (people.mia, people.sam) for channel in ("bell", "email")
    }
    assert told.first().payload["url"].startswith("/agreement/workshops/")


def test_what_was_won_later_does_not_show(make_lead, draw, people) -> None:
    now = clock.now()
    with clock.use(now - timedelta(days=9)):
        lead = make_lead(company="Brückner")
    ledgers.record_answer(
        lead_id=lead.pk, handoff_id=1, kind=Answer.Kind.OFFERED, at=now - timedelta(days=8), rep=people.sam
    )
    intake.change_company(lead.company_id, {"is_customer": True}, actor=SYSTEM, cause="won")
    Lead.objects.filter(pk=lead.pk).update(stage=Stage.CUSTOMER)
    card = draw().cards.get()
    assert "Customer" not in dict(knowing.Reader().facts([card])[card.pk].rows)


# Sorting


@pytest.fixture
def three(make_lead):
    return [make_lead(name=name) for name in ("Ann", "Bob", "Cy")]


def test_one_stops_and_goes_on_later(three, draw, people) -> None:
    made = draw()
    sorting.sort(made, 2, person(people.mia), "unsure", "too little known", "Budget")
    row = sorting.places(made, people.mia)
    assert [place.look for place in row] == ["open", "done", "open"]
    assert (sorting.next_open(row), sorting.next_open(row, 1), sorting.next_open(row, 3)) == (1, 3, 1)
    duty = sorting.duties(people.mia)[0]
    assert (duty.sorted, duty.cards) == (1, 3)
    sorting.sort(made, 2, person(people.mia), "good", "changed my mind")
    vote = WorkshopVote.objects.get()
    assert (vote.vote, vote.reason, vote.side) == ("good", "changed my mind", "marketing")
    assert sorting.duties(people.noah) == []


def test_nobody_finishes_with_a_card_open_and_what_is_finished_stands(three, draw, people) -> None:
    made = draw()
    sorting.sort(made, 1, person(people.mia), "good")
    with pytest.raises(BadInput, match="2 cards wait"):
        sorting.finish(made, person(people.mia))
    _sort_all(made, people.mia)
    for act in (
        lambda: sorting.sort(made, 1, person(people.mia), "not_good"),
        lambda: sorting.finish(made, person(people.mia)),
        lambda: sorting.leave(made, person(people.mia)),
    ):
        with pytest.raises(Conflict):
            act()
    assert made.cards.get(n=1).votes.get().vote == "good"


def test_bad_answers_are_refused_in_words(three, draw, people) -> None:
    made = draw()
    for vote, reason, wanted in (
        ("great", "", ""),
        ("", "", ""),
        ("good", "x" * 1001, ""),
        ("good", "", "x" * 1001),
        ("good", "half \x00 of it", ""),
    ):
        with pytest.raises(BadInput):
            sorting.sort(made, 1, person(people.mia), vote, reason, wanted)
    with pytest.raises(NotVisible):
        sorting.sort(made, 9, person(people.mia), "good")
    with pytest.raises(Forbidden):
        sorting.sort(made, 1, person(people.rosa), "good")
    with pytest.raises(Forbidden):
        sorting.sort(made, 1, SYSTEM, "good")


def test_somebody_can_be_asked_while_it_runs_and_is_told(three, draw, people, as_user) -> None:
    made = draw()
    noah = as_user(people.noah)
    page = noah.get(f"/agreement/workshops/{made.pk}/").content.decode()
    assert people.ben.name in page[page.index("Ask somebody else") :]
    noah.post(f"/agreement/workshops/{made.pk}/people/", {"people": [people.ben.pk, people.mia.pk]})
    assert {one.user for one in sorting.people(made)} == {people.mia, people.sam, people.ben}
    assert [duty.pk for duty in sorting.duties(people.ben)] == [made.pk]
    assert Outbox.objects.filter(user=people.ben).exists()
    for wrong in ([], [people.ben.pk], [people.admin.pk]):
        with pytest.raises(BadInput):
            drawing.add(made, person(people.noah), wrong)
    with pytest.raises(Forbidden):
        drawing.add(made, person(people.mia), [people.rosa.pk])
    sorting.close(made, person(people.noah))
    with pytest.raises(Conflict):
        drawing.add(made, person(people.noah), [people.rosa.pk])


def test_what_was_written_about_an_erased_lead_is_emptied(three, draw, people) -> None:
    made = draw()
    for card in made.cards.all()[:2]:
        sorting.sort(made, card.n, person(people.mia), sorting.Vote.BAD, "Knows her from school", "Her boss")
    first = made.cards.order_by("n")[0]
    Lead.objects.filter(pk=first.lead_id).update(erased_at=clock.now())
    assert sorting.forget_erased() == 1
    assert sorting.forget_erased() == 0
    said = dict(WorkshopVote.objects.values_list("card__n", "reason"))
    assert said[first.n] == ""
    assert sum(bool(reason) for reason in said.values()) == 1


def test_an_erased_or_merged_lead_is_left_out_with_a_word(three, draw, people) -> None:
    made = draw()
    first, second = made.cards.select_related("lead").order_by("n")[:2]
    sorting.sort(made, first.n, person(people.mia), "good")
    Lead.objects.filter(pk=first.lead_id).update(erased_at=clock.now())
    Lead.objects.filter(pk=second.lead_id).update(merged_into=three[2])
    with pytest.raises(Conflict, match="merged into another"):
        sorting.sort(made, second.n, person(people.mia), "good")
    with pytest.raises(Conflict, match="erased"):
        sorting.sort(made, first.n, person(people.mia), "good")
    assert (sorting.duties(people.mia)[0].sorted, sorting.duties(people.mia)[0].cards) == (0, 1)
    for user in (people.mia, people.sam):
        _sort_all(made, user)
    made.refresh_from_db()
    found = comparing.compare(made)
    assert (found.gone, len(found.cards), len(found.agreed)) == (2, 1, 1)


def test_the_last_to_finish_closes_it_and_all_are_told(three, draw, people) -> None:
    made = draw()
    _sort_all(made, people.mia)
    made.refresh_from_db()
    assert made.state == "open"
    _sort_all(made, people.sam)
    made.refresh_from_db()
    assert made.state == "closed"
    told = Outbox.objects.filter(key__contains=":closed:").values_list("user", flat=True)
    assert set(told) == {people.mia.pk, people.sam.pk, people.noah.pk}


def test_who_has_left_the_company_keeps_nobody_waiting(three, draw, people) -> None:
    made = draw(who=[people.mia, people.sam, people.ben])
    people.ben.is_active = False
    people.ben.save()
    _sort_all(made, people.mia)
    _sort_all(made, people.sam)
    made.refresh_from_db()
    assert made.state == "closed"
    assert [one.state for one in comparing.compare(made).missing] == ["has left"]


def test_a_manager_closes_early_and_the_missing_are_named_not_counted(three, draw, people) -> None:
    made = draw(who=[people.mia, people.sam, people.ben])
    _sort_all(made, people.mia)
    _sort_all(made, people.sam)
    sorting.sort(made, 1, person(people.ben), "not_good", "never heard of")
    with pytest.raises(Forbidden):
        sorting.close(made, person(people.mia))
    sorting.close(made, person(people.rosa))
    with pytest.raises(Conflict):
        sorting.close(made, person(people.rosa))
    made.refresh_from_db()
    found = comparing.compare(made)
    assert [(one.user.name, one.state) for one in found.missing] == [("Ben", "1 of 3 sorted")]
    assert "never heard of" not in str([one.said for one in found.cards])
    assert len(found.agreed) == 3


def test_a_latecomer_counts_until_he_looks(three, draw, people) -> None:
    made = draw(who=[people.mia, people.sam, people.ben])
    _sort_all(made, people.mia)
    sorting.close(made, person(people.noah))
    made.refresh_from_db()
    seat = WorkshopMember.objects.get(user=people.ben)
    assert not sorting.may_compare(made, seat)
    with clock.use(clock.now() + timedelta(hours=1)):
        _sort_all(made, people.sam)
    found = comparing.compare(made)
    assert [one.user.name for one in found.late] == ["Sam"]
    assert len(found.compared) == 3
    seat = sorting.leave(made, person(people.ben))
    assert sorting.may_compare(made, seat)
    with pytest.raises(Conflict):
        sorting.sort(made, 1, person(people.ben), "good")


# Comparing


@pytest.fixture
def world(make_lead, did, people, agreement_in_force, draw) -> SimpleNamespace:
    """Twelve leads who looked at prices and are good for both, eight who did not and are not good, four on
    which the sides split."""
    for n in range(24):
        lead = make_lead(name=f"Lead {n:02}", title="Head of Transport" if n < 12 else "Student")
        if n < 12:
            did(lead, "page_view", 3, path="/pricing")
    made = draw(cards=24, who=[people.mia, people.noah, people.sam, people.ben])

    def kind(card) -> str:
        number = int(card.lead.name[-2:])
        return "good" if number < 12 else "not_good" if number < 20 else "split"

    def marketing(card):
        word = kind(card)
        return ("good", "wants it", "Budget") if word == "split" else (word, "", "")

    def sales(card):
        word = kind(card)
        return ("not_good", "no time", "budget?, Size") if word == "split" else (word, "", "")

    for user in (people.mia, people.noah):
        _sort_all(made, user, marketing)
    for user in (people.sam, people.ben):
        _sort_all(made, user, sales)
    made.refresh_from_db()
    return SimpleNamespace(workshop=made)


def test_the_sides_agree_on_twenty_of_twenty_four_and_split_on_four(world) -> None:
    found = comparing.compare(world.workshop)
    assert (len(found.agreed), len(found.split), len(found.compared)) == (20, 4, 24)
    assert (len(found.good), len(found.bad)) == (12, 8)
    split = found.split[0]
    assert split.words == {"marketing": "good", "sales": "not_good"}
    assert [said.reason for said in split.of("sales")] == ["no time", "no time"]
    assert found.between_sides.cases == 24
    # 20 of 24 alike; by chance (16·12 + 8·12) / 24².
    assert float(found.between_sides.value) == pytest.approx((20 / 24 - 0.5) / 0.5)
    assert found.between_people.value is not None


def test_a_tie_within_a_side_is_unsure(three, draw, people) -> None:
    made = draw(who=[people.mia, people.noah, people.sam])
    _sort_all(made, people.mia)
    _sort_all(made, people.noah, lambda card: ("not_good", "", ""))
    _sort_all(made, people.sam)
    made.refresh_from_db()
    found = comparing.compare(made)
    assert {one.words["marketing"] for one in found.cards} == {"unsure"}
    assert (len(found.agreed), len(found.split)) == (0, 3)


def test_one_side_alone_is_no_comparison(three, draw, people) -> None:
    made = draw()
    _sort_all(made, people.mia)
    sorting.close(made, person(people.noah))
    made.refresh_from_db()
    found = comparing.compare(made)
    assert found.silent_sides == ["sales"]
    assert found.compared == []
    assert found.between_sides.value is None
    assert found.between_people.value is None


def test_what_was_wanted_is_counted_by_its_folded_text(world) -> None:
    found = comparing.compare(world.workshop)
    assert [(one.key, one.times, one.people) for one in found.wanted] == [("budget", 16, 4), ("size", 8, 2)]
    assert comparing.pieces("Budget, who decides?\n budget") == ["budget", "who decides"]


def test_the_marks_of_the_good_are_found_with_their_numbers(world) -> None:
    found = comparing.compare(world.workshop)
    document = Document(agreements.in_force().content)
    shown = marks.find(found, words_for(document))
    best = {mark.text: mark for mark in shown.marks}
    mark = best["Viewed a page under /pricing in the last 90 days"]
    assert (mark.with_good, mark.good, mark.with_bad, mark.bad) == (12, 12, 0, 8)
    assert mark.for_good
    assert mark.clear
    student = best["Job title has the word student"]
    assert not student.for_good
    assert shown.looked_at >= len(shown.marks)


def test_three_of_each_are_needed_before_anything_is_said(three, draw, people) -> None:
    made = draw()
    for user in (people.mia, people.sam):
        _sort_all(made, user)
    made.refresh_from_db()
    found = marks.find(comparing.compare(made), words_for(Document({})))
    assert found.marks == []
    assert "too few" in found.too_few


def test_the_score_is_that_of_the_cards_instant(world) -> None:
    found = comparing.compare(world.workshop)
    model = found.models[0]
    assert model.judged == 20
    assert model.right + len(model.wrongly_ready) + len(model.wrongly_held) == 20
    from scoring.explanation import explain

    for one in found.cards:
        told = explain(one.card.lead_id, at=one.card.at, known_at=one.card.known_at)
        score = model.scores[one.card.pk]
        assert (score.total, score.grade) == (told.total, told.grade)
        assert score.ready == (
            not told.excluded_by and bool(told.thresholds.sql or told.thresholds.fast_tracks)
        )


def test_each_suggestion_lands_in_a_draft_that_can_be_saved(world, people) -> None:
    actor = person(people.mia)

    def offered():
        found = comparing.compare(Workshop.objects.get())
        document = Document((agreements.draft() or agreements.in_force()).content)
        return suggesting.suggest(found, marks.find(found, words_for(document)))

    first = offered()
    assert any("/pricing" in one.text for one in first)
    assert any(one.text == "Sales must know: size of the company" for one in first)
    assert not any(one.done for one in first)
    for one in first:
        draft, put = suggesting.put(offered(), one.key, actor)
        assert put.text == one.text
    assert all(one.done for one in offered())
    assert DraftStep.objects.filter(agreement=draft).count() == len(first)
    with pytest.raises(Conflict):
        suggesting.put(offered(), first[0].key, actor)
    with pytest.raises(NotVisible):
        suggesting.put(offered(), "rule-none", actor)
    assert agreements.in_force().content != agreements.draft().content


def test_a_draft_is_only_compared_when_it_says_something_else(world, people) -> None:
    assert [model.name for model in comparing.compare(world.workshop).models] == ["v1"]
    draft = agreements.create_draft(person(people.mia))
    assert [model.name for model in comparing.compare(world.workshop).models] == ["v1"]
    content = suggesting.with_bar(draft.content, 20)
    agreements.save_draft(draft, content, person(people.mia), draft.lock_version)
    models = comparing.compare(world.workshop).models
    assert [model.name for model in models] == ["v1", "the draft of v2"]


def test_without_an_agreement_nothing_is_suggested(three, draw, people) -> None:
    made = draw()
    for user in (people.mia, people.sam):
        _sort_all(made, user)
    made.refresh_from_db()
    found = comparing.compare(made)
    assert found.models == []
    assert suggesting.suggest(found, marks.find(found, words_for(Document({})))) == []


def test_another_bar_is_suggested_when_it_is_right_more_often(world) -> None:
    found = comparing.compare(world.workshop)
    document = Document(agreements.in_force().content)
    ready = suggesting._ready_by_bar(found, agreements.in_force(), document)
    bar = suggesting.bar_of(document.thresholds.sales_when)
    assert bar == 55
    model = found.models[0]
    for one in [*found.good, *found.bad]:
        assert ready[one.card.pk](bar) == model.scores[one.card.pk].ready
    changed = suggesting.with_bar(document.content, 41)
    assert suggesting.bar_of(changed["thresholds"]["sql_when"]) == 41
    assert suggesting.bar_of(document.thresholds.sales_when) == 55


@pytest.mark.parametrize("leads", [3, 30])
def test_a_comparison_costs_the_same_at_any_length(
    make_lead, draw, people, agreement_in_force, leads
) -> None:
    for _ in range(leads):
        make_lead()
    made = draw(cards=40)
    for user in (people.mia, people.sam):
        _sort_all(made, user)
    made.refresh_from_db()
    with CaptureQueriesContext(connection) as queries:
        found = comparing.compare(made)
        suggesting.suggest(found, marks.find(found, words_for(Document({}))))
    assert len(found.cards) == leads
    prepared = sum("PREPARE" in one["sql"] for one in queries)
    assert len(queries) - prepared <= 18


def test_a_card_of_an_unknown_workshop_is_not_visible(people) -> None:
    with pytest.raises(NotVisible):
        sorting.get(999, people.noah)
    assert WorkshopCard.objects.count() == 0
