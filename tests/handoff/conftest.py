"""A small agreement that fits on a page, and quick ways to leads that are ready and handoffs that run."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from handoff import admission, calendars, machine, routing
from handoff.models import Handoff
from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.accounts.models import Role, User
from leadflow.leads.models import Lead
from scoring import engine
from scoring.document import content_sha
from scoring.models import Agreement, Crossing

BERLIN = ZoneInfo("Europe/Berlin")


def berlin(*parts: int) -> datetime:
    """A wall-clock time in Berlin."""
    return datetime(*parts, tzinfo=BERLIN)


REASONS = [
    {
        "key": "1",
        "text": "Too small",
        "kind": "fit",
        "effect": "close",
        "closes": True,
        "back": {"kind": "fields", "keys": ["employees"]},
    },
    {
        "key": "2",
        "text": "Not ready",
        "kind": "timing",
        "effect": "track",
        "track": "educate",
        "wait_days": 30,
        "back": {"kind": "criteria", "ids": ["demo"]},
    },
    {
        "key": "3",
        "text": "Not before a date",
        "kind": "timing",
        "effect": "callback",
        "needs_date": True,
        "back": {"kind": "none"},
    },
    {"key": "6", "text": "Bad phone", "kind": "data", "effect": "repair", "back": {"kind": "repair"}},
    {
        "key": "8",
        "text": "No answer",
        "kind": "timing",
        "effect": "track",
        "track": "warm",
        "wait_days": 45,
        "return_only": True,
        "back": {"kind": "any"},
    },
    {
        "key": "0",
        "text": "Other",
        "kind": "other",
        "effect": "track",
        "track": "educate",
        "wait_days": 30,
        "note_min": 10,
        "back": {"kind": "any"},
    },
]

CONTENT: dict[str, Any] = {
    "engine": 1,
    "zone": "Europe/Berlin",
    "groups": {
        "fit": {"floor": 0, "cap": 40},
        "behaviour": {"floor": 0, "cap": 40},
        "value": {"floor": 0, "cap": 20},
    },
    "total": {"floor": 0, "cap": 100},
    "exclusions": [
        {
            "id": "x1",
            "text": "student",
            "why": "",
            "on": True,
            "condition": {"fact": "title", "op": "has_word", "value": ["student"]},
        },
    ],
    "criteria": [
        {
            "id": "vp",
            "group": "fit",
            "mode": "once",
            "points": 40,
            "text": "title has word VP",
            "on": True,
            "condition": {"fact": "title", "op": "has_word", "value": ["vp"]},
        },
        {
            "id": "web",
            "group": "behaviour",
            "mode": "each",
            "points": 10,
            "max_points": 30,
            "text": "attended a webinar",
            "on": True,
            "condition": {
                "did": {"kinds": ["webinar_attended"], "days": 90},
                "agg": "count",
                "op": "gte",
                "value": 1,
            },
        },
        {
            "id": "demo",
            "group": "behaviour",
            "mode": "once",
            "points": 25,
            "text": "asked for a demo",
            "on": True,
            "condition": {
                "did": {"kinds": ["demo_requested"], "days": 90},
                "agg": "count",
                "op": "gte",
                "value": 1,
            },
        },
    ],
    "thresholds": {
        "mql_when": {"score": "total", "op": "gte", "value": 40},
        "mql_leave_when": {"score": "total", "op": "lt", "value": 35},
        "mql_leave_days": 30,
        "sql_when": {"score": "total", "op": "gte", "value": 50},
        "fresh_days": 14,
        "fast_tracks": [
            {
                "n": 1,
                "text": "asked for a demo",
                "condition": {
                    "did": {"kinds": ["demo_requested"], "days": 14},
                    "agg": "count",
                    "op": "gte",
                    "value": 1,
                },
            },
        ],
    },
    "stages": [],
    "must_know": ["name", "company_name", "title", "phone_or_email", "first_source", "last_acts"],
    "admission": {"new_per_rep_per_day": 8, "capacity_open": 40},
    "sla": [
        {
            "key": "fast_track",
            "text": "fast track",
            "when": {"handoff": "kind", "op": "is", "value": "fast_track"},
            "accept": 15,
            "first_touch": 30,
            "next_attempt": 480,
            "warn": [],
            "late": [{"after": 0, "do": "notify"}, {"after": 15, "do": "reassign"}],
        },
        {
            "key": "others",
            "text": "others",
            "when": None,
            "accept": 240,
            "first_touch": 480,
            "next_attempt": 960,
            "warn": [0.75],
            "late": [{"after": 0, "do": "notify"}, {"after": 240, "do": "exception"}],
        },
    ],
    "give_up": {"attempts": 3, "working_days": 2, "channels": 2},
    "snooze": {"times": 2, "working_days": 5},
    "undo_minutes": 10,
    "reasons": REASONS,
    "tracks": [
        {"key": "educate", "name": "Educate", "steps": [{"day": 7, "kind": "email", "text": "guide"}]},
        {"key": "warm", "name": "Keep warm", "steps": [{"day": 14, "kind": "task", "text": "call"}]},
    ],
}


@pytest.fixture
def agreement(people, at) -> Agreement:
    """The small agreement, in force since last month; calendars and routing as they ship."""
    for team in (people.north, people.south):
        calendars.ensure_calendar(team)
    routing.ensure_rules()
    # One stranger less: team South has nobody unless a test says so.
    User.objects.filter(pk=people.stranger.pk).update(is_active=False)
    return Agreement.objects.create(
        number=1,
        state=Agreement.State.IN_FORCE,
        content=CONTENT,
        sha256=content_sha(CONTENT),
        zone="Europe/Berlin",
        created_at=at - timedelta(days=30),
        changed_at=at - timedelta(days=30),
        in_force_at=at - timedelta(days=30),
    )


@pytest.fixture
def flow(agreement) -> Callable[..., None]:
    """Let the conveyor run until nothing is pending, at the clock's now."""

    def run() -> None:
        now = clock.now()
        for _ in range(20):
            busy = engine.score_pending(now) + machine.pull_contacts(now) + machine.open_pending(now)
            busy += engine.end_holds(now)
            if not busy:
                break
        admission.refill(now)

    return run


@pytest.fixture
def offered(agreement, make_lead, did, flow) -> Callable[..., Handoff]:
    """A lead that reached the bar (or asked for a demo) and is with a rep now."""

    def make(kind: str = "bar", owner: User | None = None, **facts: Any) -> Handoff:
        lead = make_lead(title="VP Sales", company=facts.pop("company", "Acme"), **facts)
        if kind == "fast_track":
            did(lead, "demo_requested")
        else:
            did(lead, "webinar_attended")
        flow()
        handoff = Handoff.objects.get(lead=lead)
        if owner is not None and handoff.owner_id != owner.pk:
            machine.apply("reassign", handoff.pk, SYSTEM, to=owner, reason="test")
        return Handoff.objects.select_related("lead", "owner", "team").get(pk=handoff.pk)

    return make


@pytest.fixture
def reps(people, agreement) -> Callable[[int], list[User]]:
    """So many reps in team North, Sam and Ben among them."""

    def make(n: int) -> list[User]:
        more = [
            User.objects.create(
                email=f"rep{i}@example.com", name=f"Rep {i}", role=Role.REP, team=people.north, password="!"
            )
            for i in range(n - 2)
        ]
        return [people.sam, people.ben, *more]

    return make


def fresh(handoff: Handoff) -> Handoff:
    """The row as it is in the database."""
    return Handoff.objects.select_related("lead", "owner", "team").get(pk=handoff.pk)


def stage_of(handoff: Handoff) -> str:
    """The lead's stage now."""
    return Lead.objects.get(pk=handoff.lead_id).stage


def pending() -> int:
    """Crossings that nobody has handled."""
    return Crossing.objects.filter(handled_at=None).count()
