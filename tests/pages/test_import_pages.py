"""Importing a list in the browser, as a marketer does it."""

import io
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from leadflow.jobs import runner
from leadflow.jobs.models import Job
from leadflow.leads.models import CustomField, ImportRun, Lead, Outcome

pytestmark = pytest.mark.django_db
TEXT = (
    "Id;E-Mail;Job title;Umsatz\n1;ann@acme.example;CEO;1.250,50\n2;nobody;Analyst;7\n3;bo@bolt.example;;\n"
)


@pytest.fixture(autouse=True)
def own_folder(settings, tmp_path: Path) -> None:
    settings.LEADFLOW_DATA = tmp_path


@pytest.fixture
def mia(people, as_user):
    """Mia the marketer's browser."""
    return as_user(people.mia)


def upload(client, content: str | bytes = TEXT, kind: str = "leads", name: str = "Fair 2026.csv"):
    data = content.encode() if isinstance(content, str) else content
    return client.post("/leads/import/", {"file": SimpleUploadedFile(name, data), "kind": kind})


def mapped(client, found: ImportRun, **more: str):
    form = {
        "source": "fair", "date_order": "DMY", "decimal": ",", "identify_by": "external_id",
        "to-0": "external_id", "to-1": "email", "to-2": "title", "to-3": "new", "type-3": "number",
    }  # fmt: skip
    return client.post(f"/leads/import/{found.pk}/", {**form, **more})


def test_from_the_file_to_the_leads_and_the_rejected_rows(mia, at):
    response = upload(mia)
    found = ImportRun.objects.get()
    assert response["Location"] == f"/leads/import/{found.pk}/"
    assert found.created_by.name == "Mia"

    page = mia.get(f"/leads/import/{found.pk}/").content.decode()
    assert "Umsatz" in page
    assert "ann@acme.example" in page, "cells of the file help to say what a column is"
    assert '<option value="email" selected>' in page, "usual names are guessed"
    assert '<option value="title" selected>' in page

    page = mapped(mia, found).content.decode()
    assert "2 new" in page
    assert "1 rejected" in page
    assert "not an e-mail address" in page
    assert not Lead.objects.exists()
    assert not CustomField.objects.exists(), "seeing what will happen keeps nothing"

    response = mia.post(f"/leads/import/{found.pk}/start/", follow=True)
    assert "Reading the file" in response.content.decode()
    while runner.work_one():
        pass
    page = mia.get(f"/leads/import/{found.pk}/").content.decode()
    assert "3 rows: 2 new, 1 rejected" in page
    assert Lead.objects.get(email_key="ann@acme.example").custom == {"umsatz": 1250.5}
    assert CustomField.objects.get().label == "Umsatz"

    rejects = mia.get(f"/leads/import/{found.pk}/rejects.csv")
    lines = b"".join(rejects.streaming_content).decode("utf-8-sig").splitlines()
    assert lines[0] == "line,field,reason,Id,E-Mail,Job title,Umsatz"
    assert lines[1].startswith("3,E-Mail,")
    assert lines[1].endswith(",2,nobody,Analyst,7")
    assert "Fair 2026.csv" in mia.get("/leads/import/").content.decode()


def test_outcomes_say_what_their_column_means(mia, make_lead, at):
    make_lead(email="ann@acme.example")
    upload(mia, "mail,became\nann@acme.example,1\n", "outcomes")
    found = ImportRun.objects.get()
    form = {"source": "crm", "date_order": "DMY", "decimal": ".", "to-0": "email", "to-1": "kind"}
    page = mia.post(f"/leads/import/{found.pk}/", {**form, "values": "1=won, 0=lost"}).content.decode()
    assert "1 new" in page
    assert 'value="1=won, 0=lost"' in page, "what was typed is still there"
    mia.post(f"/leads/import/{found.pk}/start/")
    while runner.work_one():
        pass
    assert (Outcome.objects.get().kind, Outcome.objects.get().undated) == ("won", True)


def test_a_mapping_is_changed_until_it_is_right(mia, at):
    upload(mia)
    found = ImportRun.objects.get()
    response = mapped(mia, found, **{"to-2": "email"})
    assert response.status_code == 422
    assert "mapped to email already" in response.content.decode()
    response = mapped(mia, found, **{"to-0": "", "to-1": ""})
    assert response.status_code == 422
    assert "No column tells who it is" in response.content.decode()
    assert mia.post(f"/leads/import/{found.pk}/start/").status_code == 422
    response = mapped(mia, found, date_order="whatever it may be", decimal="::", identify_by="line")
    assert response.status_code == 200, "what no list offers changes nothing"
    found.refresh_from_db()
    assert (found.date_order, found.decimal, found.mapping["identify_by"]) == ("DMY", ",", "line")
    assert not Job.objects.exists()


def test_two_clicks_start_one_import(mia, at):
    upload(mia)
    found = ImportRun.objects.get()
    mapped(mia, found)
    for _ in range(2):
        assert mia.post(f"/leads/import/{found.pk}/start/").status_code == 302
    assert Job.objects.count() == 1


def test_an_import_that_was_stopped_offers_to_start_again(mia, at):
    upload(mia)
    found = ImportRun.objects.get()
    mapped(mia, found)
    mia.post(f"/leads/import/{found.pk}/start/")
    runner.cancel(Job.objects.get())
    assert "Start it again" in mia.get(f"/leads/import/{found.pk}/").content.decode()
    mia.post(f"/leads/import/{found.pk}/start/")
    assert Job.objects.count() == 2


def test_a_file_that_is_gone_is_asked_for_again(mia, at):
    upload(mia)
    found = ImportRun.objects.get()
    Path(found.file_path).unlink()
    page = mia.get(f"/leads/import/{found.pk}/", follow=True).content.decode()
    assert "Upload it again" in page


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x01\x02\x00" * 40, "not a table"),
        (b"PK\x03\x04 broken", "damaged"),
        (b"\x1f\x8b broken", "unpacked"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_words(mia, content, says):
    response = upload(mia, content)
    assert response.status_code == 422
    assert says in response.content.decode()
    assert not ImportRun.objects.exists()


def test_nothing_chosen_an_unknown_kind_and_too_large_a_file_are_told(mia, settings):
    response = mia.post("/leads/import/", {"kind": "leads"})
    assert (response.status_code, "Choose a file first" in response.content.decode()) == (422, True)
    response = upload(mia, kind="nonsense")
    assert (response.status_code, "Say what the file holds" in response.content.decode()) == (422, True)
    settings.UPLOAD_LIMIT = 1_000_000
    response = upload(mia, "a,b\n" + "1,2\n" * 600_000)
    assert (response.status_code, "1 MB are the most" in response.content.decode()) == (422, True)


def test_marketing_and_admins_import_and_sales_does_not(people, as_user):
    found = ImportRun.objects.create(kind="leads", file_name="x.csv", source="x", job=None)
    for person, allowed in (("mia", 1), ("noah", 1), ("admin", 1), ("sam", 0), ("rosa", 0)):
        client = as_user(getattr(people, person))
        assert client.get("/leads/import/").status_code == (200 if allowed else 403), person
        assert upload(client).status_code == (302 if allowed else 403), person
        start = client.post(reverse("leads:import_start", args=[found.pk])).status_code
        assert (start == 403) is not bool(allowed), person


def test_the_pages_cost_the_same_for_few_and_many_imports(mia, django_assert_max_num_queries, at):
    for n in range(30):
        upload(mia, TEXT, name=f"list {n}.csv")
    with django_assert_max_num_queries(7):
        assert mia.get("/leads/import/").status_code == 200
    with django_assert_max_num_queries(8):
        assert mia.get(f"/leads/import/{ImportRun.objects.first().pk}/").status_code == 200


def test_cells_of_the_file_are_shown_as_text(mia):
    upload(mia, "id,<b>x</b>\n1,<script>alert(1)</script>\n", name="<i>list</i>.csv")
    page = mia.get(f"/leads/import/{ImportRun.objects.get().pk}/").content.decode()
    assert "<script>alert(1)" not in page
    assert "<b>x</b>" not in page
    assert "<i>list" not in page


def test_a_sheet_of_excel_is_mapped_like_a_table(mia):
    import openpyxl

    book = openpyxl.Workbook()
    for row in (["E-Mail", "Seats"], ["ann@acme.example", 12]):
        book.active.append(row)
    packed = io.BytesIO()
    book.save(packed)
    upload(mia, packed.getvalue(), name="list.xlsx")
    assert (
        "Excel sheet, 2 columns" in mia.get(f"/leads/import/{ImportRun.objects.get().pk}/").content.decode()
    )
