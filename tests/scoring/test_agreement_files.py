"""An agreement goes out as a file and comes back in; a bad file is told in words and changes nothing."""

import copy
import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from leadflow.accounts.actors import person
from leadflow.errors import BadInput
from scoring import agreements
from scoring.document import canonical
from scoring.editing import files, parts
from scoring.models import Agreement

pytestmark = pytest.mark.django_db
LOAD = "/agreement/file/"


@pytest.fixture
def plain(as_user, people):
    """Mia's browser without htmx."""
    return as_user(people.mia)


def upload(client, data, name="mine.json"):
    """Choose a file and press the button."""
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return client.post(LOAD, {"file": SimpleUploadedFile(name, body)})


def hidden(text: str) -> dict[str, str]:
    """The hidden fields by which the page sends on what it showed."""
    import html

    found = re.findall(r'type="hidden" name="(content|name|lock)" value="([^"]*)"', text)
    return {key: html.unescape(value) for key, value in found}


def test_a_version_goes_out_and_comes_back_as_it_was(at, agreement_in_force, plain):
    answer = plain.get("/agreement/download/?v=1")
    assert re.search(r'filename="Agreement v1 \d{4}-\d\d-\d\d\.json"', answer["Content-Disposition"])
    assert "Brückner" not in answer.content.decode()
    text = upload(plain, answer.content).content.decode()
    assert "It says the same as v1" in text

    told = json.loads(answer.content)
    told["content"]["criteria"][0]["points"] += 3
    text = upload(plain, told, "summer.json").content.decode()
    assert "1 change against v1" in text
    assert "Somebody changed this file after it was downloaded" in text
    assert agreements.draft() is None
    response = plain.post("/agreement/file/take/", hidden(text))
    assert response.status_code == 302
    draft = agreements.draft()
    assert draft.content["criteria"][0]["points"] == agreement_in_force.content["criteria"][0]["points"] + 3
    assert draft.note == "From the file summer.json"


def test_a_file_replaces_the_draft_and_undo_brings_the_one_before_back(draft, plain):
    content = {**copy.deepcopy(draft.content), "title": "From a file"}
    text = upload(plain, content).content.decode()
    assert "against the draft of v2" in text
    plain.post("/agreement/file/take/", hidden(text))
    assert agreements.draft().content["title"] == "From a file"
    plain.post("/agreement/undo/")
    assert canonical(agreements.draft().content) == canonical(draft.content)


def test_a_draft_that_somebody_saved_meanwhile_is_not_replaced(draft, plain, people):
    text = upload(plain, {**draft.content, "title": "From a file"}).content.decode()
    agreements.save_draft(draft, {**draft.content, "title": "Noah's"}, person(people.noah), 1)
    assert plain.post("/agreement/file/take/", hidden(text)).status_code == 409
    assert agreements.draft().content["title"] == "Noah's"
    agreements.discard_draft(agreements.draft(), person(people.noah))
    assert plain.post("/agreement/file/take/", hidden(text)).status_code == 409
    assert agreements.draft() is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "This file is empty"),
        (b"\xff\xfe\x00", "not a text in UTF-8"),
        (b"name;points\nceo;15", "damaged in line 1"),
        (b'{"what": "LeadFlow agreement",\n "format": 1,', "damaged in line 2"),
        (b"[1, 2]", "not an agreement of LeadFlow"),
        (b'{"content": {}}', "does not say so at its beginning"),
        (b'{"what": "LeadFlow agreement", "format": 9, "content": {}}', "format 9"),
        (b'{"what": "LeadFlow agreement", "format": 1, "content": 4}', "is not an agreement"),
        (b'{"criteria": [], "criteria": []}', "stands twice"),
        (b'{"criteria": NaN}', "NaN is no number"),
        (b'{"criteria": "a\\u0000b"}', "characters that are no text"),
        (b'{"criteria": "\\ud800"}', "characters that are no text"),
        (b'{"criteria": ' + b"[" * 100 + b"]" * 100 + b"}", "nested too deep"),
        (b'{"criteria": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
        (b" " * (files.LARGEST + 1) + b"{}", "larger than"),
    ],
    ids=range(15),
)
def test_a_file_that_is_none_is_told_in_words(draft, plain, data, words):
    answer = upload(plain, data)
    assert answer.status_code == 422
    text = answer.content.decode()
    assert words in text.replace("&#x27;", "'")
    assert "Nothing has changed" in text
    assert agreements.draft().lock_version == draft.lock_version


def broken(content, path, value):
    """A copy of a content with another value at a path."""
    made = copy.deepcopy(content)
    *way, last = path
    place = made
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("criteria",), ..., 'This part is missing. <span class="mute s">(criteria)'),
        (("criteria",), {}, "A list is expected here."),
        (("criteria", 0), "x", "A group of named values is expected here."),
        (("criteria", 0, "id"), ..., "(criteria[0].id)"),
        (("criteria", 0, "points"), "many", "(criteria[0].points)"),
        (("criteria", 0, "points"), 1.5, "criteria[0].points"),
        (("criteria", 0, "condition"), {"fact": "nonsense", "op": "is", "value": ["x"]}, "Who, “Job title"),
        (("criteria", 0, "condition"), "drop table", "criteria[0].condition"),
        (("criteria", 0, "group"), "magic", "criteria[0].group"),
        (("nonsense",), 1, "An agreement has no part of this name."),
        (("definitions",), [], "A group of named values is expected here."),
        (("definitions", "lead"), 5, "A text is expected here."),
        (("groups", "fit", "cap"), "x", "(groups.fit.cap)"),
        (("thresholds", "sql_when"), [], "thresholds.sql_when"),
        (("zone",), "Mars/Olympus", "is no time zone"),
        (("sla", 0, "accept"), "soon", "sla[0].accept"),
        (("reasons", 0), None, "(reasons[0])"),
    ],
    ids=range(17),
)
def test_what_is_wrong_inside_is_told_with_its_place(draft, plain, path, value, words):
    answer = upload(plain, broken(draft.content, path, value))
    assert answer.status_code == 422
    text = answer.content.decode().replace("&#x27;", "'")
    assert words in text
    assert agreements.draft().content == draft.content


def test_many_faults_are_all_told_at_once(draft, plain):
    content = broken(broken(draft.content, ("zone",), "Mars"), ("criteria", 2, "mode"), "sometimes")
    text = upload(plain, content).content.decode()
    assert "is no time zone" in text
    assert "criteria[2]" in text


def test_a_hand_written_file_may_leave_out_what_is_usual(draft):
    content = copy.deepcopy(draft.content)
    for name in ("why", "on", "decay", "max_points", "max_per_day", "bands", "of"):
        content["criteria"][0].pop(name)
    assert files.read(json.dumps(content).encode()).content["criteria"][0]["on"] is True


def test_long_lists_of_another_house_are_replaced_by_ours_and_it_is_said(draft, plain):
    content = broken(draft.content, ("list_snapshots", "free_mail"), "0" * 64)
    loaded = files.read(json.dumps(content).encode())
    assert loaded.content["list_snapshots"] == draft.content["list_snapshots"]
    assert "those of this LeadFlow are used" in loaded.notes[0]


def junk():
    """Values that are of the wrong sort for most places."""
    return [None, 0, -1, "", "x", True, [], {}, [None], [[]], {"a": 1}, 10**30, "ü" * 3_000]


def places(value, path=()):
    """Every place of a content, three steps deep."""
    if path:
        yield path
    if len(path) < 3:
        keys: list = []
        if isinstance(value, dict | list):
            keys = list(value) if isinstance(value, dict) else list(range(min(2, len(value))))
        for key in keys:
            yield from places(value[key], (*path, key))


def test_whatever_stands_in_a_file_is_either_refused_or_can_be_shown(draft, plain):
    """Each place with each junk value, some hundreds of files: a refusal in words, or pages that open."""
    taken = []
    for n, path in enumerate(places(draft.content)):
        for m, value in enumerate(junk()):
            if (n * 5 + m) % 13:
                continue
            content = broken(draft.content, path, value)
            try:
                loaded = files.read(json.dumps(content).encode())
            except BadInput:
                continue
            if not agreements.faults_of(loaded.content):
                taken.append((path, value, loaded.content))
    assert len(taken) > 20
    for path, value, content in taken[:: max(1, len(taken) // 12)]:
        Agreement.objects.filter(pk=draft.pk).update(content=content)
        for tab in [t for t in parts.TABS if t not in ("history", "who", "value")]:
            answer = plain.get(f"/agreement/{tab}/")
            assert answer.status_code == 200, (path, value, tab)


def test_a_rep_downloads_and_cannot_load(agreement_in_force, as_user, people):
    client = as_user(people.sam)
    assert client.get("/agreement/download/").status_code == 200
    assert client.get(LOAD).status_code == 403
    assert client.post("/agreement/file/take/").status_code == 403
