"""The walkthrough of docs/examples with a real list: imported, scored, compared with what became of it."""

import io
from collections import Counter
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from handoff.models import Handoff
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.jobs import runner
from leadflow.leads.models import CustomField, Lead, Outcome
from scoring import agreements, engine
from scoring.document import Document
from scoring.models import Agreement, Crossing, LeadScore
from tests.shared_data import shared

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "x_education"
LEAKS = {"tags", "lead_quality", "lead_profile", "last_activity", "last_notable_activity"}


@pytest.fixture(autouse=True)
def own_folder(settings, tmp_path: Path) -> None:
    settings.LEADFLOW_DATA = tmp_path


def console(command: str, *args: object) -> str:
    out = io.StringIO()
    call_command(command, *(str(a) for a in args), stdout=out, stderr=out)
    return out.getvalue()


@pytest.mark.django_db
def test_a_real_list_is_imported_scored_and_its_grades_tell_who_converts(people, at):
    file = shared("x_education_leads.csv.gz")
    said = console("import_leads", file, "--mapping", EXAMPLE / "leads.json")
    assert "3,043 rows: 3,043 created; 0 rejected." in said
    assert "3,043 unchanged" in console("import_leads", file, "--mapping", EXAMPLE / "leads.json")
    after_contact = CustomField.objects.filter(after_contact=True).values_list("key", flat=True)
    assert set(after_contact) == LEAKS

    console("load_agreement", EXAMPLE / "agreement.json")
    draft = agreements.draft()
    agreements.propose(draft, person(people.noah))
    agreements.sign(draft, person(people.noah))
    agreements.sign(draft, person(people.rosa))
    while runner.work_one():
        pass
    while engine.score_pending(clock.now()):
        pass
    assert LeadScore.objects.filter(preview=False).count() == 3_043
    stages = Counter(Lead.objects.values_list("stage", flat=True))
    assert stages == {"mql": 910, "prospect": 2_133}
    # Without a date nothing is fresh: sales is not flooded with a list.
    assert not LeadScore.objects.filter(ready=True).exists()
    assert not Crossing.objects.exists()
    assert not Handoff.objects.exists()

    said = console("import_outcomes", file, "--mapping", EXAMPLE / "outcomes.json")
    assert "3,043 rows: 3,043 created; 0 rejected." in said
    outcomes = Counter(Outcome.objects.values_list("kind", "undated"))
    assert outcomes == {("won", True): 1_166, ("lost", True): 1_877}

    won = set(Outcome.objects.filter(kind="won").values_list("lead_id", flat=True))
    leads, good = Counter(), Counter()
    for lead_id, grade in LeadScore.objects.values_list("lead_id", "grade"):
        leads[grade[0]] += 1
        good[grade[0]] += lead_id in won
    share = [good[letter] / leads[letter] for letter in "ABCD"]
    assert share == sorted(share, reverse=True)
    assert share[0] > 0.85
    assert share[3] < 0.15


def test_the_example_scores_with_nothing_that_was_written_after_contact():
    text = (EXAMPLE / "agreement.json").read_text()
    for leak in LEAKS:
        assert f"custom.{leak}" not in text


@pytest.mark.django_db
def test_the_example_can_be_proposed_as_it_is(people):
    console("load_agreement", EXAMPLE / "agreement.json")
    draft = agreements.draft()
    assert agreements.faults_of(draft.content, complete=True) == []
    assert Document(draft.content).zone == "Asia/Kolkata"


@pytest.mark.django_db
def test_a_second_draft_is_written_over_only_when_asked(people, tmp_path):
    console("load_agreement", EXAMPLE / "agreement.json")
    with pytest.raises(CommandError, match="--replace"):
        console("load_agreement", EXAMPLE / "agreement.json")
    console("load_agreement", EXAMPLE / "agreement.json", "--replace")
    assert Agreement.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "no JSON"),
        ("[]", "JSON object"),
        ("{}", "mql_when: This bar is missing"),
        ('{"criteria": 5}', "criteria|written as"),
    ],
)
def test_a_file_that_is_no_agreement_is_refused_in_words(people, tmp_path, content, says):
    path = tmp_path / "agreement.json"
    path.write_text(content)
    with pytest.raises(CommandError, match=says):
        console("load_agreement", path)
    with pytest.raises(CommandError, match="cannot be opened"):
        console("load_agreement", tmp_path / "none.json")
    assert not Agreement.objects.exists()
