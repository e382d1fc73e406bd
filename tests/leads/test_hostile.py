"""Hostile strings go in and come back as they were, or are refused with words; nothing breaks."""

import json
import os
from pathlib import Path

import pytest
from django.test import Client

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.accounts.keys import create_key
from leadflow.leads import intake
from leadflow.leads.folding import fold
from leadflow.leads.models import Activity, Lead

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared" / "data" / "hostile"


@pytest.fixture(scope="module")
def strings() -> list[str]:
    if not FOLDER.exists():
        if os.environ.get("CI"):
            pytest.fail(f"the hostile strings are missing at {FOLDER}")
        pytest.skip("the folder ../shared with the hostile strings is not here")
    found = json.loads((FOLDER / "blns.json").read_text(encoding="utf-8"))
    found += (FOLDER / "formula_injection_payloads.txt").read_text(encoding="utf-8").splitlines()
    return [*found, "\x00", "\ud800", "a\ud800b", "\udfff", "x" * 5_000, "1e999", "\u202e", "İ", "ﬀ"]


def test_as_facts_of_leads(strings, at):
    rows = [
        {"external_id": f"h{n}", "name": text, "title": text, "company": text, "city": text, "campaign": text}
        for n, text in enumerate(strings)
    ]
    result = intake.upsert_leads(rows, source="hostile", actor=SYSTEM)
    refused = {r.index for r in result.rejected}
    assert len(result.accepted) + len(refused) == len(rows)
    for index in refused:
        text = strings[index]
        assert len(text) > 80 or "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text), text
    for index, lead_id in list(result.lead_of.items())[::10]:
        lead = Lead.objects.get(pk=lead_id)
        assert lead.title_key == fold(lead.title)
        assert fold(lead.name) == fold(
            "".join(c if c >= " " and c != "\x7f" else " " for c in strings[index])
        )


def test_as_emails_and_external_ids(strings, at):
    rows = [{"email": text} for text in strings] + [{"external_id": text} for text in strings]
    result = intake.upsert_leads(rows, source="hostile", actor=SYSTEM)
    assert len(result.lead_of) + len(result.rejected) == len(rows)
    assert all(r.errors[0].message for r in result.rejected)


def test_as_activities(strings, at):
    rows = [
        {
            "source": "hostile",
            "external_id": f"a{n}",
            "kind": "page_view",
            "occurred_at": clock.now(),
            "email": "ann@acme.example",
            "path": text,
            "properties": {"title": text, "p" + text[:20]: text},
        }
        for n, text in enumerate(strings)
    ]
    result = intake.record_activities(rows, actor=SYSTEM)
    assert len(result.accepted) + len(result.rejected) == len(rows)
    assert Activity.objects.filter(kind__key="page_view").count() == len(result.accepted)


def test_through_the_api_never_a_500(strings, at):
    secret = create_key(
        SYSTEM, "hostile", ["leads:write", "activities:write", "outcomes:write", "leads:read"]
    )[1]
    client, auth = Client(), {"Authorization": f"Bearer {secret}"}
    names = ("source", "external_id", "kind", "occurred_at", "email", "at", "amount")
    for path in ("leads/bulk/", "activities/", "outcomes/"):
        rows = [dict.fromkeys((*names, text), text) for text in strings]
        answer = client.post(
            f"/api/v1/{path}", json.dumps(rows), content_type="application/json", headers=auth
        )
        assert answer.status_code in (200, 202), answer.content[:300]
        assert len(answer.json()["rejected"]) > len(strings) - 5
    for text in strings[::25]:
        query = {
            "changed_since": text,
            "cursor": text,
            "limit": text,
            "email": text.encode("utf-8", "replace").decode(),
        }
        for name, value in query.items():
            value = value.encode("utf-8", "replace").decode()
            assert client.get("/api/v1/leads/", {name: value}, headers=auth).status_code in (200, 400)
