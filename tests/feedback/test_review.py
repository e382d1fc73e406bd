"""The monthly review: prefilled, noted, decided; a decision's figure is looked at again. The goal."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from feedback import verdicts
from feedback.goal import figures as goal
from feedback.models import Decision, Goal, Review
from feedback.questions import log
from feedback.reports import mutual, sla
from feedback.reports.base import Filters
from feedback.review import keeping, month
from leadflow.accounts.actors import person
from leadflow.errors import BadInput, Conflict, Forbidden, NotVisible
from leadflow.leads.models import Answer, Outcome
from scoring import agreements
from tests.feedback.filled import fill
from tests.feedback.histories import write_histories, write_promises

OCTOBER = date(2026, 10, 1)


def decide(people, at, **more):
    """A decision as the meeting takes it."""
    said = {"text": "Guides give less", "owner": people.mia, "due": (at + timedelta(days=9)).date(), **more}
    return keeping.decide(OCTOBER, person(people.noah), **said)


def test_the_agenda_answers_four_questions_with_a_fixed_number_of_queries(
    people, agreement_in_force, at, as_user
):
    counts = []
    for rows in (60, 80):
        fill(people, at, rows)
        client = as_user(people.noah)
        with CaptureQueriesContext(connection) as seen:
            page = client.get("/review/2026-10/").content.decode()
        counts.append(len(seen))
        assert all(title.replace("'", "&#x27;") in page for title in month.TOPICS.values())
    assert counts[0] == counts[1] <= 30
    assert client.get("/review/2026-10/?print=1").status_code == 200
    assert client.get("/review/").status_code == 302


def test_notes_are_kept_and_two_writers_do_not_overwrite_each_other(people, at):
    first = keeping.note(OCTOBER, "lousy", "Students again", 1, person(people.mia))
    with pytest.raises(Conflict, match="Somebody else wrote"):
        keeping.note(OCTOBER, "won", "Late words", first.lock_version - 1, person(people.rosa))
    keeping.note(OCTOBER, "won", "The ROI sheet", first.lock_version, person(people.rosa))
    assert keeping.of(OCTOBER).notes == {"lousy": "Students again", "won": "The ROI sheet"}
    with pytest.raises(Forbidden):
        keeping.note(OCTOBER, "won", "Mine", 3, person(people.sam))
    with pytest.raises(BadInput):
        keeping.note(OCTOBER, "nonsense", "x", 3, person(people.mia))


def test_a_decision_opens_a_draft_and_the_next_review_shows_whether_its_figure_moved(
    people, agreement_in_force, at
):
    write_histories(people, at, 150)
    made = decide(people, at, figure="accepted")
    now = month.figures(OCTOBER)["accepted"]
    assert now is not None
    assert float(made.figure_before) == pytest.approx(now)
    draft = keeping.open_draft(made.pk, person(people.noah))
    assert draft == agreements.draft()
    assert keeping.open_draft(made.pk, person(people.mia)) == draft
    keeping.close(OCTOBER, person(people.rosa))
    with pytest.raises(Conflict, match="has been ended"):
        decide(people, at)
    november = date(2026, 11, 1)
    Answer.objects.filter(kind="rejected", at__gte=month.filters_of(november).low).delete()
    found = keeping.earlier(november, month.figures(november), "EUR")
    assert [(one.decision.pk, one.way, one.now) for one in found] == [(made.pk, "better", "100%")]
    assert Review.objects.get().figures["accepted"] == pytest.approx(now)


def test_bad_decisions_and_months_are_told_in_words(people, at, as_user):
    with pytest.raises(BadInput) as bad:
        decide(people, at, text="?", owner=None, due=at.date() - timedelta(days=1), figure="moon")
    assert [fault.path for fault in bad.value.faults] == ["text", "owner", "due", "figure"]
    for text in ("2026-13", "2030-01", "soon"):
        with pytest.raises(NotVisible):
            month.read(text)
    client = as_user(people.rosa)
    wrong = client.post("/review/2026-10/decisions/", {"text": "Call within the hour", "due": "never"})
    assert wrong.status_code == 422
    assert "Choose who does it" in wrong.content.decode()
    assert "Call within the hour" in wrong.content.decode()
    assert not Decision.objects.exists()


def test_both_sides_promises_are_the_figures_of_the_other_reports(people, agreement_in_force, at):
    write_histories(people, at, 200)
    write_promises(at)
    filters = Filters(date(2026, 9, 7), date(2026, 11, 22), at, "Europe/Berlin")
    weeks, whole = mutual.by_week(filters)
    due = sla.attainment(filters)["lead", "acceptance", "all", "0"]
    assert due.all > 10
    assert (whole["acceptance"].part, whole["acceptance"].whole) == (due.met, due.all)
    assert sum(week["leads"].part for week in weeks.values()) == whole["leads"].part > 10
    noes = Answer.objects.filter(kind__in=("rejected", "returned"), voided_at=None)
    noes = noes.filter(at__gte=filters.low, at__lt=filters.high)
    assert whole["reason"].whole == noes.count()
    report = mutual.build(filters)
    for cell, kept in ((f"leads@week={monday}", week["leads"]) for monday, week in weeks.items()):
        assert mutual.drill(cell, filters).count() == kept.part
    assert report.tables[0].rows[0][1].value == 25


def test_marketing_promises_answers_and_decisions_in_working_days(
    people, agreement_in_force, make_lead, offered, at, as_user
):
    """Asked on Tuesday: due on Friday, an objection on Thursday; what is answered late stays late."""
    lead = make_lead()
    texts = ("Who hosts it?", "What does the second depot cost?", "Can drivers swap stops?")
    asked = [log.log(log.Said(text, lead_id=lead.pk), person(people.sam), at=at) for text in texts]
    news = log.log(log.Said("Rivals cut prices", "competitor", lead.pk), person(people.sam), at=at)
    assert news.due_at is None
    assert {row.due_at.date() for row in asked} == {date(2026, 11, 27)}
    client = as_user(people.rosa)
    assert "Promised by Fri 27 Nov" in client.get(f"/feedback/questions/{asked[0].pk}/").content.decode()
    log.answer(asked[0].pk, person(people.mia), text="We do.", at=at + timedelta(days=1))
    log.answer(asked[0].pk, person(people.mia), text="We do, in Frankfurt.", at=at + timedelta(days=8))
    log.answer(asked[1].pk, person(people.mia), text="Nothing.", at=at + timedelta(days=8))
    again = log.log(log.Said("who hosts it", lead_id=lead.pk), person(people.ben), at=at + timedelta(days=9))
    assert again.first_answer_at == again.at
    row = offered()
    verdicts.reject(row.pk, person(row.owner), reason_key="2", at=at)
    made = verdicts.dispute(row.pk, person(people.mia), comment="They asked for us.", at=at)
    assert made.due_at.date() == date(2026, 11, 26)

    filters = Filters(date(2026, 11, 23), date(2026, 12, 6), at + timedelta(days=10), "Europe/Berlin")
    weeks, whole = mutual.by_week(filters)
    assert (whole["questions"].part, whole["questions"].whole) == (1, 3)
    assert (whole["disputes"].part, whole["disputes"].whole) == (0, 1)
    first = weeks[date(2026, 11, 23)]
    assert (first["questions"].whole, weeks[date(2026, 11, 30)]["questions"].whole) == (3, 0)
    assert list(mutual.drill(first["questions"].cell, filters)) == [lead]
    assert list(mutual.drill("disputes", filters)) == [row.lead]
    assert "week from: 23 Nov" in mutual.words(first["questions"].cell, filters)
    promised = mutual.promised()["questions"]
    assert (promised.least, promised.words) == (100, "all in 3 working days")
    # Nothing has fallen due on the day of asking; another team asked nothing.
    early = Filters(filters.start, filters.end, at, filters.zone)
    south = Filters(filters.start, filters.end, filters.at, filters.zone, team=people.south.pk)
    assert [mutual.by_week(one)[1]["questions"].whole for one in (early, south)] == [0, 0]
    query = "from=2026-11-23&to=2026-12-06"
    assert "questions answered in time" in client.get(f"/reports/mutual/?{query}").content.decode()
    assert client.get(f"/reports/mutual/leads/?cell=questions@week=never&{query}").status_code == 400


def test_a_goal_is_reckoned_back_by_hand_to_the_same_leads(people, agreement_in_force, at):
    write_histories(people, at, 400, days=300)
    Outcome.objects.filter(kind="won").update(amount=9_000)
    Outcome.objects.filter(kind="won", pk__in=Outcome.objects.order_by("pk").values("pk")[:20]).update(
        amount=11_000
    )
    period = Filters(date(2026, 11, 1), date(2027, 6, 30), at, "Europe/Berlin")
    typed = {"offered": 10.0, "accepted": 50.0, "customer": 20.0, "deal": 10_000.0, "lag": 60.0}
    plan = goal.plan(1_000_000, period, typed, at)
    weeks = ((date(2027, 6, 30) - timedelta(days=60)) - at.date()).days / 7
    leads = (1_000_000 - plan.won) / (10_000 * 0.1 * 0.5 * 0.2)
    assert plan.leads == pytest.approx(leads)
    assert plan.weekly == pytest.approx(leads / weeks)
    assert plan.low == plan.high == plan.weekly
    assert sum(one.weekly for one in plan.sources) == pytest.approx(plan.weekly)
    own = goal.plan(1_000_000, period, {}, at)
    assert own.missing == [], own.rates
    assert own.low < own.weekly < own.high
    rate = own.rates["accepted"]
    assert rate.low < rate.measured < rate.high


def test_one_source_may_be_tried_by_its_own_rates_and_its_share(people, agreement_in_force, at, as_user):
    write_histories(people, at, 400, days=300)
    Outcome.objects.filter(kind="won").update(amount=9_000)
    period = Filters(date(2026, 11, 1), date(2027, 6, 30), at, "Europe/Berlin")

    def reckon(**typed):
        return goal.plan(1_000_000, period, {}, at, goal.Trial("Webinar", typed))

    plain, looked = goal.plan(1_000_000, period, {}, at), reckon()
    assert looked.weekly == plain.weekly
    assert [one.weekly for one in looked.sources] == pytest.approx([one.weekly for one in plain.sources])
    own = {name: rate.value / 100 for name, rate in looked.tried.rates.items()}
    # Typed as measured it comes to the same: the whole is the mean of its parts.
    assert reckon(offered=100 * own["offered"]).weekly == pytest.approx(plain.weekly)
    tried = reckon(offered=90.0, share=50.0)
    whole = plain.rates["offered"].value * plain.rates["accepted"].value * plain.rates["customer"].value / 1e6
    mine = own["offered"] * own["accepted"] * own["customer"]
    rest = (whole - own["share"] * mine) / (1 - own["share"])
    gain = 0.5 * 0.9 * own["accepted"] * own["customer"] + 0.5 * rest
    assert tried.weekly == pytest.approx(plain.weekly * whole / gain)
    assert tried.low < tried.weekly < tried.high
    by_source = {one.name: one.weekly for one in tried.sources}
    assert sum(by_source.values()) == pytest.approx(tried.weekly)
    assert by_source["Webinar"] == pytest.approx(tried.weekly / 2)
    assert tried.tried.weekly_was == plain.weekly

    client = as_user(people.noah)
    query = "amount=1000000&end=2027-06-30&try=Webinar"
    page = client.get(f"/review/goal/?{query}&try_offered=90").content.decode()
    assert "with Webinar tried otherwise" in page
    assert client.get(f"/review/goal/?{query}&try_share=101").status_code == 422
    assert client.get("/review/goal/?amount=5&end=2027-06-30&try=Nowhere").status_code == 422
    kept = {"amount": "9000000", "end": "2027-06-30", "try": "Webinar", "try_share": "20"}
    client.post("/review/goal/keep/", kept)
    assert Goal.objects.get().rates == {"try": "Webinar", "try_share": 20.0}
    assert 'value="20"' in client.get("/review/goal/").content.decode()


def test_thin_data_stands_in_the_headline_and_typed_rates_are_taken(people, agreement_in_force, at, as_user):
    client = as_user(people.noah)
    page = client.get("/review/goal/?amount=500000&end=2027-06-30").content.decode()
    assert "No lead that is old enough has become a customer yet" in page
    typed = "&offered=10&accepted=50&customer=20&deal=10000&lag=60"
    page = client.get(f"/review/goal/?amount=500000&end=2027-06-30{typed}").content.decode()
    assert "leads a week" in page
    wrong = client.get("/review/goal/?amount=-5&end=2020-01-01")
    assert wrong.status_code == 422
    assert "Choose a day that is still to come" in wrong.content.decode()
    assert client.get("/review/goal/?amount=5&end=2027-06-30&deal=NaN").status_code == 422
    kept = {"name": "Half", "amount": "500000", "end": "2027-06-30", "offered": "10"}
    assert client.post("/review/goal/keep/", kept).status_code == 302
    assert Goal.objects.get().rates == {"offered": 10.0}
    assert "Goal: Half" in client.get("/review/goal/").content.decode().replace("The goal: ", "Goal: ")


def test_a_gap_below_zero_has_a_true_minus() -> None:
    assert month.words("gap", -75.0, "EUR") == "−75 points"
    assert month.words("gap", 4.0, "EUR") == "+4 points"
