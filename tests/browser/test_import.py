"""A marketer takes a list in: choose the file, say what the columns are, look, import."""

from pathlib import Path

import pytest

from leadflow.jobs import runner
from leadflow.leads.models import ImportRun, Lead

TEXT = (
    "Badge;E-Mail;Full name;Job title;Company;Umsatz in EUR;Notes\n"
    "1;ann@acme.example;Ann Byrne;CEO;Acme GmbH;1.250,50;wants a call on Monday, and a demo for the team\n"
    "2;nobody;Bo Lind;Analyst;Bolt;7;\n"
    "3;cy@dune.example;Cy Ng;Head of Fleet;Dune;;\n"
)


@pytest.fixture(autouse=True)
def own_folder(settings, tmp_path: Path) -> None:
    settings.LEADFLOW_DATA = tmp_path


def test_from_the_file_to_the_leads(people, open_as, looks, watch, tmp_path) -> None:
    path = tmp_path / "Fair 2026.csv"
    path.write_text(TEXT)
    page = open_as(people.mia, "/leads/import/")
    page.get_by_label("File", exact=True).set_input_files(path)
    page.get_by_role("button", name="Upload and map").click()
    page.get_by_role("heading", name="What the columns are").wait_for()
    assert looks(page) == []

    page.get_by_label("Decimal sign").select_option("comma: 1.250,50")
    page.get_by_label("Badge becomes").select_option("Id in the other system")
    page.get_by_label("Umsatz in EUR becomes").select_option("new")
    page.get_by_label("A new field Umsatz in EUR holds").select_option("Number")
    page.get_by_role("button", name="See what will happen").click()
    page.get_by_text("2 new, 1 rejected").wait_for()
    assert "not an e-mail address" in page.content()
    assert looks(page) == []

    page.get_by_role("button", name="Import the whole file").click()
    page.get_by_text("Reading the file").wait_for()
    while runner.work_one():
        pass
    page.get_by_text("3 rows: 2 new, 1 rejected").wait_for()
    assert looks(page) == []
    assert set(Lead.objects.values_list("custom__umsatz_in_eur", flat=True)) == {1250.5, None}
    with page.expect_download() as download:
        page.get_by_role("link", name="Rejected rows (CSV)").click()
    assert "not an e-mail address" in Path(download.value.path()).read_text(encoding="utf-8-sig")


def test_a_file_that_is_no_table_and_a_mapping_that_does_not_fit_are_told(
    people, open_as, axe, watch, tmp_path
) -> None:
    watch.allowed.append("/leads/import/")
    path = tmp_path / "empty.csv"
    path.write_text("")
    page = open_as(people.mia, "/leads/import/")
    page.get_by_label("File", exact=True).set_input_files(path)
    page.get_by_role("button", name="Upload and map").click()
    page.get_by_role("alert").get_by_text("The file is empty").wait_for()
    assert axe(page) == []
    path.write_text(TEXT)
    page.get_by_label("File", exact=True).set_input_files(path)
    page.get_by_role("button", name="Upload and map").click()
    page.get_by_label("E-Mail becomes").select_option("– leave out –")
    page.get_by_role("button", name="See what will happen").click()
    page.get_by_role("alert").get_by_text("No column tells who it is").first.wait_for()
    assert axe(page) == []
    assert not ImportRun.objects.exclude(job=None).exists()
