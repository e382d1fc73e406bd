"""The board's four weeks: the same figures as the report, each leading to its leads; CSV; exceptions."""

from datetime import timedelta

import pytest

from feedback.reports import sla
from feedback.reports.base import read_filters
from handoff import clocks, keeping, machine
from handoff.models import LateException
from leadflow import clock
from leadflow.accounts.actors import person


@pytest.fixture
def weeks(people, offered, at):
    """Sam: one answered and called in time and reached, one answered late, one that runs past due."""
    rows = [offered("fast_track", owner=people.sam, name=f"Lead {n}") for n in range(3)]
    machine.apply("touch", rows[0].pk, person(people.sam), result="talked", at=at)
    machine.apply("accept", rows[1].pk, person(people.sam), at=at + timedelta(minutes=25))
    later = at + timedelta(minutes=35)
    with clock.use(later):
        clocks.tick(later)
        yield rows, later


def test_each_reps_figures_are_those_of_the_report(people, weeks, as_user) -> None:
    _, later = weeks
    found = keeping.four_weeks([people.north.pk], later)
    counts = sla.attainment(read_filters({}))
    for promise, name in (("acceptance", "answered"), ("first_touch", "called")):
        theirs = counts[("holder", promise, "rep", str(people.sam.pk))]
        share = getattr(found.reps[people.sam.pk], name)
        assert (share.part, share.whole) == (theirs.met, theirs.all)
        whole = counts[("lead", promise, "all", "0")]
        assert (getattr(found.total, name).part, getattr(found.total, name).whole) == (whole.met, whole.all)
    assert found.reps[people.sam.pk].answered.whole > 1


def test_the_board_links_each_share_to_its_leads(people, weeks, as_user) -> None:
    rosa = as_user(people.rosa)
    page = rosa.get("/queue/board/")
    text = page.content.decode()
    start, end = page.context["weeks"].start, page.context["weeks"].end
    link = f"/reports/sla/leads/?cell=holder.acceptance.all.rep={people.sam.pk}&from={start}&to={end}"
    assert link.replace("&", "&amp;") in text
    assert rosa.get(link).status_code == 200
    assert f"/queue/?tab=late&amp;rep={people.sam.pk}" in text
    calls = rosa.get(f"/queue/board/{people.sam.pk}/calls/")
    assert "Sam reached 1 of" in calls.content.decode()
    assert rosa.get(f"/queue/board/{people.mia.pk}/calls/").status_code == 404


def test_the_tables_come_as_csv(people, weeks, as_user) -> None:
    rosa = as_user(people.rosa)
    text = b"".join(rosa.get("/queue/board/?format=csv").streaming_content).decode("utf-8-sig")
    assert text.splitlines()[0].startswith("Rep,Team,Away,Late")
    assert any(line.startswith("Sam,North") for line in text.splitlines())
    calls = b"".join(rosa.get(f"/queue/board/{people.sam.pk}/calls/?format=csv").streaming_content)
    assert "Lead 0" in calls.decode("utf-8-sig")


def test_an_exception_is_one_line_for_a_lead_with_its_age(people, weeks, as_user) -> None:
    rows, later = weeks
    for promise, hours in (("acceptance", 30), ("first_touch", 20)):
        LateException.objects.update_or_create(
            handoff_id=rows[2].pk, promise=promise, defaults={"since": later - timedelta(hours=hours)}
        )
    page = as_user(people.rosa).get("/queue/board/").content.decode()
    assert page.count("The answer and the first call are late") == 1
    assert "oldest 1 day" in page
