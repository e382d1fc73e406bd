"""The agreement that ships, on the two leads that its authors worked out by hand."""

import pytest

from leadflow import clock
from scoring import engine
from scoring.models import LeadScore

pytestmark = pytest.mark.django_db


def test_the_two_leads_worked_by_hand_come_out_as_on_paper(at, agreement_in_force, make_lead, did):
    vp = make_lead(
        title="VP Operations",
        country="Germany",
        company="Nordlicht GmbH",
        email="v@nordlicht.example",
        industry="Software",
        employees=320,
    )
    for days in (0, 1, 2):
        did(vp, "page_view", days_ago=days, path="/pricing")
    did(vp, "download_buying", days_ago=4)
    director = make_lead(
        title="Director of Logistics",
        country="Germany",
        company="Werk AG",
        email="d@werk.example",
        industry="Manufacturing",
        employees=120,
    )
    did(director, "webinar_attended", days_ago=10)
    for days in (3, 5):
        did(director, "page_view", days_ago=days, path="/pricing")
    while engine.score_pending(clock.now()):
        pass
    told = {
        s.lead_id: (s.fit, s.value, s.behaviour, s.total, s.grade, s.ready)
        for s in LeadScore.objects.filter(lead__in=[vp, director])
    }
    assert told == {vp.pk: (40, 4, 25, 69, "A1", True), director.pk: (37, 0, 18, 55, "B2", False)}
    for lead in (vp, director):
        explanation = engine.explain(lead.pk)
        assert sum(line.points for line in explanation.lines) == explanation.total
