"""Golden files: what a rule says in English, and whom of six people it means.

`golden/people.json` are the people, `golden/rules.json` the rules, each with its sentence and its people, and
criteria with the points that they give. After a change of words `GOLDEN=write pytest` on this file writes the
sentences anew; whom a rule means and what it gives is changed by hand only.
"""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import intake, stages
from leadflow.leads.models import Company, CustomField, Stage
from scoring import current, engine, rows
from scoring.conditions import nodes as n
from scoring.conditions.explain import criterion_sentence, sentence, words_for
from scoring.document import Document
from scoring.program import SCORE_COLUMNS
from tests.scoring.sample import content, did, each, fact, has, once, score

pytestmark = pytest.mark.django_db

FOLDER = Path(__file__).parent / "golden"
PEOPLE = json.loads((FOLDER / "people.json").read_text())
GOLDEN = json.loads((FOLDER / "rules.json").read_text())
FIELDS = [
    {"key": "tier", "subject": "lead", "type": "text", "label": "Tier"},
    {"key": "seats", "subject": "lead", "type": "number", "label": "Seats"},
    {"key": "renewal", "subject": "lead", "type": "date", "label": "Renewal"},
    {"key": "pilot", "subject": "lead", "type": "boolean", "label": "Pilot"},
]
CRITERIA = [
    once("vp", "fit", 15, fact("title", "has_word", ["VP", "vice president"])) | {"text": "Top sales job"},
    once("place", "fit", 5, fact("country", "known")) | {"text": "Country known"},
    once("target", "value", 8, fact("is_target", "is_true")) | {"text": "Target account"},
    once("asked", "behaviour", 25, did("demo_requested"), 30) | {"text": "Asked for a demo"},
    each("looked", 5, did("page_view"), 14, 10) | {"text": "Looked at pages"},
]


def agreement_content():
    body = content(
        fields=FIELDS,
        criteria=CRITERIA,
        personas=[
            {"key": "core", "name": "Core buyer", "condition": fact("title", "has_word", ["VP", "head"])}
        ],
        lists={
            "we_sell_to": {"label": "We sell to", "entries": ["germany", "austria"]},
            "pages": {"label": "Pages that matter", "entries": ["/pricing", "/careers"]},
        },
        exclusions=[],
        grade={"letters": [["A", 20], ["B", 5]], "numbers": [[1, 20], [2, 5]]},
    )
    bars = {"mql_when": score("total", 20), "mql_leave_when": score("total", 0), "sql_when": has("asked")}
    body["thresholds"] |= bars | {"fast_tracks": []}
    body["stages"] = [{"stage": "prospect", "level": "researcher", "condition": None}]
    return body


@pytest.fixture
def people(at, put_in_force, make_lead, did):
    """The six, in the agreement's words: name → row."""
    for field in FIELDS:
        CustomField.objects.create(**field)
    put_in_force(agreement_content())
    return {name: _made(told, at, make_lead, did) for name, told in PEOPLE.items()}


def _made(told, at, make_lead, did):
    with clock.use(at - timedelta(days=100)):
        lead = make_lead(**told["facts"])
    flags = dict(told.get("company_flags", {}))
    if flags.pop("is_customer", False):
        Company.objects.filter(pk=lead.company_id).update(customer_since=at - timedelta(days=90))
    if flags:
        Company.objects.filter(pk=lead.company_id).update(**flags)
    for change in told.get("changes", []):
        with clock.use(at - timedelta(days=change["days_ago"])):
            intake.change_lead(lead.pk, change["facts"], actor=SYSTEM, cause="test")
    for act in told["acts"]:
        with clock.use(at - timedelta(days=act["days_ago"])):
            did(lead, **{key: value for key, value in act.items() if key != "days_ago"})
    if "stage" in told:
        stages.move([stages.Move(lead.pk, Stage(told["stage"]), "test")], at=at - timedelta(days=50))
    return lead


def _matching(rule, people, given=None):
    ids = {lead.pk: name for name, lead in people.items()}
    handed = {people[name].pk: value for name, value in (given or {}).items()}
    found = engine.match(rule, [pk for pk in ids if not handed or pk in handed], clock.now(), handed or None)
    return [ids[pk] for pk in sorted(found)]


def _points(criterion, people):
    """What a criterion alone gives each, in points."""
    program = current.program_of(Document(agreement_content() | {"criteria": [*CRITERIA, criterion]}))
    ids = [lead.pk for lead in people.values()]
    at = [clock.now()] * len(ids)
    place = len(SCORE_COLUMNS) + 6 + 2 * len(CRITERIA) + 1
    found = {row[0]: row[place] / 100 for row in rows.run(program.explain(), (ids, ids, at, at))}
    return {name: found[lead.pk] for name, lead in people.items() if found[lead.pk]}


def test_every_rule_says_what_it_means_and_means_whom_it_names(people):
    words = words_for(Document(agreement_content()))
    for one in GOLDEN["rules"]:
        told = sentence(one["rule"], words)
        if os.environ.get("GOLDEN") == "write":
            one["says"] = told
        assert (told, _matching(one["rule"], people, one.get("given"))) == (one["says"], one["matches"]), one
    _write()


def test_every_criterion_says_what_it_gives_and_gives_it(people):
    document = Document(agreement_content() | {"criteria": [g["criterion"] for g in GOLDEN["criteria"]]})
    words = words_for(document)
    for one, criterion in zip(GOLDEN["criteria"], document.criteria, strict=True):
        told = criterion_sentence(criterion, words)
        if os.environ.get("GOLDEN") == "write":
            one["says"] = told
        assert (told, _points(one["criterion"], people)) == (one["says"], one["gives"]), one
    _write()


def _write():
    if os.environ.get("GOLDEN") == "write":
        (FOLDER / "rules.json").write_text(as_text(GOLDEN))


def as_text(golden):
    """One line for each entry, so that a difference is read at a glance."""
    parts = []
    for name, entries in golden.items():
        lines = ",\n  ".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
        parts.append(f' "{name}": [\n  {lines}\n ]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def test_the_golden_files_know_every_word_of_the_language():
    seen = {}
    for one in GOLDEN["rules"]:
        _collect(one["rule"], seen)
    assert seen["fact op"] == set(n.FACT_OPS)
    assert seen["where op"] == set(n.WHERE_OPS)
    assert seen["agg"] == set(n.AGGREGATES)
    assert seen["domain kind"] == set(n.DOMAIN_KINDS)
    assert seen["score"] == set(n.SCORES)
    assert seen["handoff"] == set(n.HANDOFF_FACTS)
    leaves = {"fact", "changed", "did", "ratio", "criterion", "active_days", "contactable", "score", "grade"}
    assert seen["leaf"] == leaves | {"persona", "stage", "handoff"}
    modes = {
        (g["criterion"]["mode"], (g["criterion"].get("decay") or {}).get("kind")) for g in GOLDEN["criteria"]
    }
    assert modes >= {("once", None), ("once", "half_life"), ("once", "expiry"), ("once", "linear")}
    assert modes >= {("each", None), ("each", "half_life"), ("each", "linear"), ("bands", None)}


def _collect(raw, seen):
    for part in raw.get("all") or raw.get("any") or ([raw["not"]] if "not" in raw else []):
        _collect(part, seen)
    if not {"all", "any", "not"} & raw.keys():
        seen.setdefault("leaf", set()).add(next(iter(raw)))
    if "fact" in raw:
        seen.setdefault("fact op", set()).add(raw["op"])
        if raw["op"] == "domain_kind":
            seen.setdefault("domain kind", set()).update(raw["value"])
    if "did" in raw:
        seen.setdefault("agg", set()).add(raw.get("agg", "count"))
        seen.setdefault("where op", set()).update(w["op"] for w in raw["did"].get("where", []))
    for name in ("score", "handoff"):
        if name in raw:
            seen.setdefault(name, set()).add(raw[name])
