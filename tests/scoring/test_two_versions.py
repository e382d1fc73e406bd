"""Two versions that are looked at together over one reading of the leads say what each says alone."""

import copy
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import intake
from scoring import current, rows
from scoring.document import Document
from scoring.engine import WITH_SALES
from scoring.models import PreviewPart, PreviewRun
from scoring.program import SCORE_COLUMNS
from scoring.whatif import scan
from tests.scoring import world as w
from tests.scoring.sample import content, fact, score
from tests.scoring.test_oracle import contents, many

pytestmark = pytest.mark.django_db


@st.composite
def pairs(draw):
    """Two agreements; most rules of the second are those of the first, often in another zone."""
    one, other = draw(contents()), draw(contents())
    two = copy.deepcopy(one)
    for i, criterion in enumerate(other["criteria"][: len(two["criteria"])]):
        if draw(st.booleans()):
            two["criteria"][i] = criterion
    for part in ("thresholds", "stages", "exclusions", "zone", "personas"):
        if draw(st.booleans()):
            two[part] = other[part]
    # The bars name criteria by their number.
    two["criteria"] += other["criteria"][len(two["criteria"]) :]
    return one, two


@many(6)
@given(both=pairs(), seed=st.integers(0, 10_000))
def test_two_versions_over_one_reading_say_what_each_says_alone(put_in_force, both, seed):
    with transaction.atomic():
        leads = [person.id for person in w.make(seed).people]
        run = PreviewRun.objects.create(draft=put_in_force(), draft_sha="", at=w.END, created_at=w.END)
        one, two = (current.program_of(Document(body)) for body in both)
        alone = {program: looked(run, program, None, leads)[1] for program in (one, two)}
        was, now = looked(run, two, one, leads)
        assert now == alone[two]
        assert was == alone[one]
        for program, side in ((one, was), (two, now)):
            found = rows.run(program.score("whole", present=True), (min(leads), max(leads), w.END, w.END))
            scored = {row[1]: dict(zip((*SCORE_COLUMNS, "stage"), row, strict=False)) for row in found}
            for lead, (total, grade, _, ready) in side.items():
                row = scored[lead]
                letter = f"{chr(64 + grade // 10)}{grade % 10}"
                assert (total, letter) == (row["total"], row["grade"])
                above = not row["excluded"] and row["fresh"] and (row["sales"] or row["track"] > 0)
                # Who is with sales already is not handed over.
                assert ready == (above and row["stage"] not in WITH_SALES)
        transaction.set_rollback(True)


def test_a_fact_that_only_the_draft_reads_is_news_for_the_draft_alone(at, put_in_force, make_lead, did):
    body = content()
    body["thresholds"] |= {"sql_when": score("total", 55), "fast_tracks": []}
    old = put_in_force(body)
    leave = {"all": [fact("city", "is", ["atlantis"]), score("total", 0)]}
    draft = current.program_of(
        Document(body | {"thresholds": body["thresholds"] | {"mql_leave_when": leave}})
    )
    lead = make_lead(title="VP Sales", country="Germany", employees=320, industry="Software", phone="030 1")
    for days in (15, 16, 17):
        did(lead, "demo_requested", days_ago=days)
        did(lead, "trial_started", days_ago=days)
    later = at + timedelta(hours=1)
    with clock.use(later):
        intake.change_lead(lead.pk, {"city": "Kiel"}, actor=SYSTEM, cause="test")
    run = PreviewRun.objects.create(draft=old, draft_sha="", at=later, created_at=later)
    was, now = looked(run, draft, current.of(old).program, [lead.pk], later)
    assert not was[lead.pk][-1]
    assert now[lead.pk][-1]


def looked(run, new, old, leads, at=w.END):
    """What a look says of each lead by the old and by the new version: the same from both sources."""
    span = (min(leads), max(leads))
    made = []
    for n in (0, 1):
        if n:
            scan.scan_leads(run.pk, n, leads, new, None, old, at, exact=True)
        else:
            scan.scan_range(run.pk, n, span, new, None, old, at)
        part = PreviewPart.objects.get(run=run, n=n)
        before = [bool(flags & scan.WAS_READY) for flags in part.flags]
        ready = [
            bool(flags & scan.FREE and flags & (scan.TRACK | scan.OVER | scan.UNDER)) for flags in part.flags
        ]
        was = zip(part.was, part.was_grade, part.was_stage, before, strict=True)
        now = zip(part.now, part.now_grade, part.now_stage, ready, strict=True)
        made.append(
            (dict(zip(part.leads, was, strict=True)), dict(zip(part.leads, now, strict=True))),
        )
    assert made[0] == made[1]
    return made[0]
