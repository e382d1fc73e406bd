"""A small company with a bit of everything, made through the real doors at the real time."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from handoff import machine
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.leads import intake
from leadflow.leads.models import Lead
from scoring import engine


def build(people: SimpleNamespace) -> SimpleNamespace:
    """Leads at several stages, one offered to a rep, one accepted, one rejected; returns some of them."""
    now = clock.now()
    rows = [_ready(n) for n in range(4)] + [_early(n) for n in range(6)]
    ids = intake.upsert_leads(rows, source="world", actor=SYSTEM).accepted
    acts = [
        _act(ids[n], n, "demo_requested", now - timedelta(minutes=9), text="Does it work with two depots?")
        for n in range(4)
    ]
    acts += [
        _act(ids[n], 10 + n, "page_view", now - timedelta(days=1 + n), path="/pricing") for n in range(8)
    ]
    acts += [
        _act(ids[n], 30 + n, "webinar_attended", now - timedelta(days=3), title="Two depots, one plan")
        for n in range(4, 7)
    ]
    refused = intake.record_activities(acts, actor=SYSTEM).rejected
    assert not refused, refused
    while engine.score_pending(clock.now()):
        pass
    while machine.open_pending(clock.now(), 100):
        pass
    handoffs = [lead.handoffs.first() for lead in Lead.objects.filter(pk__in=ids[:4]).order_by("pk")]
    for handoff in handoffs:
        if handoff is not None and handoff.owner_id is None:
            machine.apply("claim", handoff.pk, person(people.sam))
    return SimpleNamespace(ready=ids[:4], early=ids[4:], handoffs=handoffs)


def _ready(n: int) -> dict[str, Any]:
    return {
        "email": f"vp{n}@brueckner{n}.example",
        "name": ("Dana Weiss", "Jonas Lindgren", "Priya Raman", "Kenji Watanabe")[n],
        "title": "VP Operations",
        "company": f"Brückner & Söhne {n}",
        "employees": 320,
        "industry": "Logistics",
        "country": "Germany",
        "phone": "+49 40 5550 134",
        "source": "Website",
    }


def _early(n: int) -> dict[str, Any]:
    return {
        "email": f"early{n}@fjord{n}.example",
        "name": f"Amélie Rousseau-Martinez {n}",
        "title": "Director of Supply Chain Management, Transport and Warehousing",
        "company": f"Verrerie du Lac d’Annecy et Fils {n}",
        "employees": 90,
        "country": "France",
        "source": "Paid search",
    }


def _act(lead: int, n: int, kind: str, at: Any, path: str = "", **properties: str) -> dict[str, Any]:
    return {
        "source": "world",
        "external_id": f"act{n}",
        "kind": kind,
        "lead_id": lead,
        "occurred_at": at,
        "path": path,
        "properties": properties,
    }
