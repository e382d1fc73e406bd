"""A file goes in as a job: good rows survive bad ones, twice is once, a kill costs nothing."""

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.errors import BadInput
from leadflow.jobs import runner
from leadflow.jobs.models import Job, JobError
from leadflow.leads.importing import run
from leadflow.leads.models import (
    Activity,
    CustomField,
    ImportRun,
    Lead,
    LeadChanged,
    Outcome,
    UnmatchedOutcome,
)
from tests.servers import address_of
from tests.shared_data import shared

ROOT = Path(__file__).resolve().parents[2]
GOOD = "Id,E-mail,Name,Staff\n1,ann@acme.example,Ann,12\n2,bo@bolt.example,Bo,\n"
COLUMNS = {"Id": "external_id", "E-mail": "email", "Name": "name", "Staff": "employees"}


@pytest.fixture(autouse=True)
def own_folder(settings, tmp_path: Path) -> None:
    settings.LEADFLOW_DATA = tmp_path / "data"


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of this content; returns where it is."""

    def write(content: str | bytes, name: str = "list.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def prepared(path: Path, columns: dict[str, Any], kind: str = "leads", **more: Any) -> ImportRun:
    """An import that is not started; what is no column of the run belongs to its mapping."""
    own = {k: more.pop(k) for k in ("source", "date_order", "decimal", "fresh") if k in more}
    return ImportRun(
        kind=kind,
        file_name=path.name,
        file_path=str(path),
        mapping={"columns": columns, **more},
        **{"source": "crm", **own},
    )


def work() -> None:
    """Be the worker until nothing is left to do."""
    while runner.work_one():
        pass


def taken(path: Path, columns: dict[str, Any] = COLUMNS, kind: str = "leads", **more: Any) -> ImportRun:
    """Take a file in as a job, by a worker; returns the run with its counts."""
    found = prepared(path, columns, kind, **more)
    job = run.prepare(found, SYSTEM)
    work()
    found.refresh_from_db()
    job.refresh_from_db()
    assert job.state == Job.State.DONE, job.message
    return found


def faults(found: ImportRun) -> list[tuple[int, str, str]]:
    return list(
        JobError.objects.filter(job=found.job).order_by("line", "id").values_list("line", "field", "reason")
    )


def console(command: str, *args: Any) -> str:
    out = io.StringIO()
    call_command(command, *(str(a) for a in args), stdout=out, stderr=out)
    return out.getvalue()


@pytest.mark.django_db
def test_good_rows_survive_bad_ones_which_are_told_by_line_column_and_reason(file, at):
    found = taken(file(GOOD + "3,nobody,Cy,\n4,di@dune.example,Di,many\n5,eve@east.example,Eve,7\n"))
    assert found.counts == {
        "rows": 5,
        "created": 3,
        "changed": 0,
        "unchanged": 0,
        "skipped": 0,
        "rejected": 2,
    }
    assert set(Lead.objects.values_list("name", flat=True)) == {"Ann", "Bo", "Eve"}
    (line, field, reason), (line2, field2, reason2) = faults(found)
    assert (line, field, line2, field2) == (4, "E-mail", 5, "Staff")
    assert "not an e-mail address" in reason
    assert "not a number" in reason2
    assert (found.job.total, found.job.done, found.job.failed) == (5, 5, 2)


@pytest.mark.django_db
def test_the_same_file_again_makes_nothing_new(file, at):
    assert taken(file(GOOD)).counts["created"] == 2
    again = taken(file(GOOD))
    assert (again.counts["created"], again.counts["unchanged"]) == (0, 2)
    assert Lead.objects.count() == 2


@pytest.mark.django_db
def test_a_changed_row_changes_its_lead(file, at):
    taken(file(GOOD))
    again = taken(file(GOOD.replace("Ann,12", "Ann Byrne,12")))
    assert (again.counts["changed"], again.counts["unchanged"]) == (1, 1)
    assert Lead.objects.get(email_key="ann@acme.example").name == "Ann Byrne"


@pytest.mark.django_db
def test_a_file_of_many_parts_is_counted_once(file, at, monkeypatch):
    monkeypatch.setattr(run, "PART", 10)
    rows = "".join(f"{n},lead{n}@acme.example,Lead {n},\n" for n in range(35))
    found = taken(file("Id,E-mail,Name,Staff\n" + rows))
    assert found.job.chunks.count() == 5
    assert (found.counts["rows"], found.counts["created"], Lead.objects.count()) == (35, 35, 35)


@pytest.mark.django_db
def test_leads_come_in_quietly_unless_they_are_fresh(file, at):
    taken(file(GOOD))
    assert set(LeadChanged.objects.values_list("quiet", flat=True)) == {True}
    LeadChanged.objects.all().delete()
    taken(file(GOOD.replace("@", "@new-")), columns={"E-mail": "email"}, fresh=True)
    assert set(LeadChanged.objects.values_list("quiet", flat=True)) == {False}


@pytest.mark.django_db
def test_a_dry_run_tells_the_same_and_keeps_nothing(file, at):
    path = file(GOOD.replace("Staff", "Seats") + "3,nobody,Cy,\n")
    columns = {"E-mail": "email", "Seats": {"to": "custom.seats", "type": "number", "label": "Seats"}}
    counts, rejects = run.dry_run(prepared(path, columns))
    assert (counts["created"], counts["rejected"]) == (2, 1)
    assert [(r.line, r.field) for r in rejects] == [(4, "E-mail")]
    for model in (Lead, CustomField, ImportRun, Job, JobError, LeadChanged):
        assert not model.objects.exists(), model
    assert path.exists()


@pytest.mark.django_db
def test_the_header_says_it_is_excel_and_utf16_and_semicolons_and_decimal_commas(file, tmp_path, at):
    text = "Name;E-Mail;Umsatz;Seit\nJürgen;j@bär.example;1.250,50;24.11.2025\n"
    columns = {
        "Name": "name",
        "E-Mail": "email",
        "Umsatz": {"to": "custom.umsatz", "type": "number", "label": "Umsatz"},
        "Seit": {"to": "custom.since", "type": "date", "label": "Seit"},
    }
    book = openpyxl.Workbook()
    for row in (
        ["Name", "E-Mail", "Umsatz", "Seit"],
        ["Jürgen", "j@bär.example", 1250.5, date(2025, 11, 24)],
    ):
        book.active.append(row)
    book.save(tmp_path / "list.xlsx")
    for path, decimal in (
        (file(text.encode("utf-16"), "a.csv"), ","),
        (file(text.encode("cp1252"), "b.csv"), ","),
        (tmp_path / "list.xlsx", "."),
    ):
        Lead.objects.all().delete()
        taken(path, columns, decimal=decimal)
        lead = Lead.objects.get()
        assert (lead.name, lead.email_key) == ("Jürgen", "j@bär.example"), path.name
        assert lead.custom == {"umsatz": 1250.5, "since": "2025-11-24"}, path.name


@pytest.mark.django_db
@pytest.mark.parametrize(("order", "month"), [("DMY", 4), ("MDY", 3)])
def test_the_order_of_dates_is_said_once_for_a_file(file, at, order, month):
    taken(file(GOOD))
    taken(
        file("Id,Became,On\n1,won,3/4/2025\n"),
        {"Id": "external_lead_id", "Became": "kind", "On": "at"},
        "outcomes",
        date_order=order,
    )
    won = Outcome.objects.get()
    assert (won.at.astimezone(UTC).month, won.undated) == (month, False)


@pytest.mark.django_db
def test_outcomes_without_a_date_are_marked_skipped_ones_left_and_strangers_listed(file, at):
    taken(file(GOOD))
    path = "Id,Became\n1,yes\n2,later\n9,no\n"
    found = taken(
        file(path), {"Id": "external_lead_id"}, "outcomes",
        outcome={"Became": {"yes": "won", "no": "lost", "later": "skip"}},
    )  # fmt: skip
    counts = {k: found.counts[k] for k in ("rows", "created", "skipped", "rejected")}
    assert counts == {"rows": 3, "created": 1, "skipped": 1, "rejected": 1}
    won = Outcome.objects.get()
    assert (won.kind, won.undated, won.external_id, won.lead.name) == ("won", True, "1", "Ann")
    assert UnmatchedOutcome.objects.get().raw["external_lead_id"] == "9"
    assert faults(found)[0][0] == 4
    again = taken(
        file(path), {"Id": "external_lead_id"}, "outcomes",
        outcome={"Became": {"yes": "won", "no": "lost", "later": "skip"}},
    )  # fmt: skip
    assert (again.counts["created"], again.counts["unchanged"]) == (0, 1)
    assert UnmatchedOutcome.objects.count() == 1, "a stranger is listed once"


@pytest.mark.django_db
def test_activities_of_a_file_without_ids_count_once_each(file, at):
    taken(file(GOOD))
    row = "ann@acme.example,page_view,2025-11-20 10:00,/Pricing?x=1\n"
    content = (
        "mail,what,when,page\n" + row + row + row.replace("10:00", "11:00") + "x,page_view,2030-01-01,/\n"
    )
    columns = {"mail": "email", "what": "kind", "when": "occurred_at", "page": "path"}
    found = taken(file(content), columns, "activities", identify_by="content")
    assert (found.counts["created"], found.counts["duplicate"], found.counts["rejected"]) == (2, 1, 1)
    assert set(Activity.objects.filter(kind__key="page_view").values_list("path", flat=True)) == {"/pricing"}
    again = taken(file(content), columns, "activities", identify_by="content")
    assert (again.counts["created"], again.counts["duplicate"]) == (0, 3)


@pytest.mark.django_db
def test_activities_come_as_one_json_object_a_line_too(file, at):
    lines = [
        {
            "external_id": "a1",
            "kind": "trial_started",
            "occurred_at": "2025-11-20T10:00:00Z",
            "email": "ann@acme.example",
            "properties": {"seats": 12},
        },
        {
            "external_id": "a2",
            "kind": "nonsense",
            "occurred_at": "2025-11-20T10:00:00Z",
            "email": "a@b.example",
        },
    ]
    path = file("\n".join(json.dumps(line) for line in lines) + "\n{broken\n", "acts.ndjson")
    said = console("import_activities", path, "--source", "shop")
    assert "3 rows: 1 created; 2 rejected." in said
    assert Activity.objects.get().properties == {"seats": 12}
    assert "nonsense" in said
    assert "line 3" in said


@pytest.mark.django_db
def test_the_console_makes_the_rejects_file_and_keeps_the_original(file, tmp_path, at):
    mapping = file(json.dumps({"columns": COLUMNS, "source": "fair"}), "mapping.json")
    path = file(GOOD + "3,=cmd|' /C calc'!A0,Cy,\n")
    rejects = tmp_path / "rejected.csv"
    said = console("import_leads", path, "--mapping", mapping, "--rejects", rejects)
    assert "3 rows: 2 created; 1 rejected." in said
    assert path.exists()
    header, row = list(csv.reader(rejects.read_text(encoding="utf-8-sig").splitlines()))
    assert header == ["line", "field", "reason", "Id", "E-mail", "Name", "Staff"]
    assert row[:2] == ["4", "E-mail"]
    assert row[4] == "'=cmd|' /C calc'!A0", "a spreadsheet must not run it"
    assert ImportRun.objects.get().source == "fair"


@pytest.mark.django_db
def test_hostile_cells_never_stop_a_file_and_stay_harmless_in_its_rejects(file, tmp_path, at):
    texts = json.loads(shared("hostile/blns.json").read_text())
    texts += shared("hostile/formula_injection_payloads.txt").read_text().splitlines()
    texts = [t for t in texts if t.strip()]
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["id", "name", "mail"])
    for n, text in enumerate(texts):
        writer.writerow([n, text, ""])
        writer.writerow([f"bad{n}", "", text])
    path = file(table.getvalue().encode("utf-8", "surrogatepass"))
    rejects = tmp_path / "rejects.csv"
    mapping = file(json.dumps({"columns": {"id": "external_id", "name": "name", "mail": "email"}}), "m.json")
    said = console("import_leads", path, "--mapping", mapping, "--rejects", rejects)
    assert f"{2 * len(texts):,} rows" in said
    assert Lead.objects.count() > len(texts) * 0.9
    with rejects.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.reader(lines))
    assert len(rows) > len(texts) * 0.9
    dangerous = [c for r in rows for c in r if c[:1] in ("=", "@", "\t", "\r") or c[:2] in ("+c", "-c")]
    assert dangerous == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ("{no json", "no JSON"),
        ("[]", "not a JSON object"),
        ('{"columns": {"Nope": "email"}}', "no column of this name"),
        ('{"columns": {"Name": "name"}}', "No column tells who it is"),
        ('{"columns": {"E-mail": "email"}, "zone": "Mars/Base"}', "time zone"),
        ('{"columns": {"E-mail": "email"}, "identify_by": "luck"}', "Write one of"),
        ('{"columns": {"E-mail": "email"}, "constants": {"colour": "red"}}', "no fact “colour”"),
        ('{"columns": {"E-mail": "email", "Name": {"to": "custom.Not So", "type": "text"}}}', "no name for"),
        ('{"columns": {"E-mail": "email", "Name": {"to": "custom.n", "type": "poem"}}}', "A new field holds"),
    ],
)
def test_a_mapping_that_cannot_be_used_ends_the_command_in_words(file, at, mapping, says):
    with pytest.raises(CommandError, match=says):
        console("import_leads", file(GOOD), "--mapping", file(mapping, "mapping.json"))
    for model in (Lead, Job, ImportRun, CustomField):
        assert not model.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "columns", "says"),
    [
        ("outcomes", {"Id": "external_lead_id"}, "“kind”"),
        ("outcomes", {"Name": "kind"}, "whose it is"),
        ("activities", {"Name": "kind", "E-mail": "email", "Id": "external_id"}, "“occurred_at”"),
        ("activities", {"Name": "kind", "E-mail": "email", "Staff": "occurred_at"}, "“content”"),
    ],
)
def test_what_every_row_would_lack_is_said_once_before_the_start(file, at, kind, columns, says):
    with pytest.raises(BadInput, match=says):
        run.prepare(prepared(file(GOOD), columns, kind), SYSTEM)
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_files_that_are_not_there_or_no_table_end_the_command_in_words(file, tmp_path, at):
    for path, says in ((tmp_path / "none.csv", "no file"), (tmp_path, "no file"), (file(b""), "empty")):
        with pytest.raises(CommandError, match=says):
            console("import_leads", path)


@pytest.mark.django_db
def test_an_upload_over_the_limit_is_refused_with_both_sizes():
    from django.core.files.uploadedfile import SimpleUploadedFile

    with pytest.raises(BadInput, match="3 MB; 2 MB are the most"):
        run.store(SimpleUploadedFile("list.csv", b"x" * 3_000_000), 2_000_000)


@pytest.mark.django_db
def test_an_import_that_was_stopped_can_be_started_again_and_one_that_runs_cannot(file, at, monkeypatch):
    monkeypatch.setattr(run, "PART", 1)
    found = prepared(file(GOOD), COLUMNS)
    first = run.prepare(found, SYSTEM)
    assert run.prepare(found, SYSTEM) == first, "a second click finds the job of the first"
    runner.work_one()
    runner.work_one()
    assert runner.cancel(first)
    second = run.prepare(found, SYSTEM)
    assert second != first
    work()
    found.refresh_from_db()
    assert (found.counts["created"], found.counts["unchanged"]) == (1, 1)


DYING = """
import django, sys, time
django.setup()
from leadflow.leads.importing import run
from leadflow.jobs import runner
take = run._take
def slow(*args):
    found = take(*args)
    print("taken and not committed", flush=True)
    time.sleep(60)
    return found
run._take = slow
runner.work_one()
"""


@pytest.mark.django_db(transaction=True)
def test_a_part_whose_worker_was_killed_is_taken_again_and_counts_once(file, tmp_path):
    copy, _ = run.keep(file(GOOD + "3,nobody,Cy,\n"))
    found = prepared(copy, COLUMNS)
    job = run.prepare(found, SYSTEM)
    assert runner.work_one(), "the parts are laid down"
    env = {
        **os.environ,
        "DATABASE_URL": address_of(connection.settings_dict["NAME"]),
        "DJANGO_SETTINGS_MODULE": "leadflow.settings",
        "LEADFLOW_DATA": str(tmp_path / "data"),
        "NUDGES": "false",
    }
    worker = subprocess.Popen(
        [sys.executable, "-c", DYING], env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline().strip() == "taken and not committed"
    worker.kill()
    worker.wait()
    assert not Lead.objects.exists()
    with clock.use(clock.now() + timedelta(minutes=20)):
        deadline = time.monotonic() + 10
        while not runner.work_one():
            assert time.monotonic() < deadline
            time.sleep(0.1)
    job.refresh_from_db()
    found.refresh_from_db()
    assert (job.state, job.total, job.done, job.failed) == ("done", 3, 3, 1)
    assert (found.counts["created"], found.counts["rejected"], len(faults(found))) == (2, 1, 1)
    assert Lead.objects.count() == 2
    assert not run.folder(found).exists(), "its parts are cleared away"
    assert not copy.exists(), "and so is the copy of the file"


@pytest.mark.django_db
def test_a_row_that_the_database_itself_refuses_is_found_and_the_rest_goes_in(file, at):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF NEW.name = 'Poison' THEN RAISE 'not this one' USING ERRCODE = '22000'; END IF;"
            " RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON leads_lead FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    rows = "".join(f"{n},p{n}@acme.example,{'Poison' if n == 4 else 'Fine'},\n" for n in range(9))
    found = taken(file("Id,E-mail,Name,Staff\n" + rows))
    assert (found.counts["created"], found.counts["rejected"]) == (8, 1)
    assert faults(found) == [(6, "", "The database cannot keep this row (not this one).")]


@pytest.mark.django_db
def test_a_field_that_no_first_line_names_is_told_and_not_lost(file, at):
    early = json.dumps({"external_id": "1", "name": "Ann"}) + "\n"
    late = json.dumps({"external_id": "2", "name": "Bo", "seats": 5}) + "\n"
    path = file(early * 20_000 + late, "list.ndjson")
    found = taken(path, {"external_id": "external_id", "name": "name"})
    assert (found.counts["created"], found.counts["rejected"]) == (1, 1)
    assert "“seats”" in faults(found)[0][2]
