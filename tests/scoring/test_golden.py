"""Two leads worked out by hand, and what the engine makes of them."""

import pytest

from leadflow import clock
from scoring import engine
from scoring.models import Crossing, LeadScore

pytestmark = pytest.mark.django_db


@pytest.fixture
def vp(agreement, make_lead, did):
    """A VP at a 320-person software company; pricing today, 1 and 2 days ago, a case study 4 days ago."""
    lead = make_lead(
        title="VP Operations",
        country="Germany",
        company="Nordlicht GmbH",
        email="v@nordlicht.example",
        industry="Software",
        employees=320,
    )
    for days in (0, 1, 2):
        did(lead, "page_view", days_ago=days, path="/pricing")
    did(lead, "download_buying", days_ago=4, properties={"title": "Case study"})
    return lead


@pytest.fixture
def director(agreement, make_lead, did):
    """A director at a 120-person manufacturer; a webinar 10 days ago, pricing 3 and 5 days ago."""
    lead = make_lead(
        title="Director of Logistics",
        country="Germany",
        company="Werk AG",
        email="d@werk.example",
        industry="Manufacturing",
        employees=120,
    )
    did(lead, "webinar_attended", days_ago=10)
    for days in (3, 5):
        did(lead, "page_view", days_ago=days, path="/pricing")
    return lead


def score_all():
    while engine.score_pending(clock.now()):
        pass


def test_the_vice_president_has_69_points_and_grade_a1_and_is_ready(vp):
    score_all()
    score = LeadScore.objects.get(lead=vp)
    assert (score.fit, score.value, score.behaviour, score.total, score.grade) == (40, 4, 25, 69, "A1")
    assert score.ready
    assert not score.preview
    crossing = Crossing.objects.get(lead=vp)
    assert crossing.kind == "bar"
    assert "activity" in crossing.cause
    vp.refresh_from_db()
    assert vp.stage == "mql"


def test_the_director_has_55_points_and_grade_b2_and_is_an_mql_only(director):
    score_all()
    score = LeadScore.objects.get(lead=director)
    assert (score.fit, score.value, score.behaviour, score.total, score.grade) == (37, 0, 18, 55, "B2")
    assert not score.ready
    assert not Crossing.objects.exists()
    director.refresh_from_db()
    assert director.stage == "mql"


def test_the_lines_of_an_explanation_add_up_to_the_total(vp, director):
    score_all()
    for lead, total in ((vp, 69), (director, 55)):
        told = engine.explain(lead.pk)
        assert told.total == total == sum(line.points for line in told.lines)


def test_scoring_again_changes_nothing(vp):
    score_all()
    before = list(LeadScore.objects.values()), Crossing.objects.count()
    counts = engine.score_range(0, 10**9, at=clock.now())
    assert counts.scored == 1
    assert counts.written == 0
    assert (list(LeadScore.objects.values()), Crossing.objects.count()) == before
