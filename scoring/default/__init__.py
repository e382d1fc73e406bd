"""The agreement with which a company starts on day one: data, to be edited in the browser.

Written for a B2B software company that sells to firms of 50 to 500 people for 10 to 60 thousand a year with
five reps. Every number has its why beside it.
"""

from typing import Any

from scoring.default.rules import criteria, exclusions, thresholds
from scoring.default.terms import definitions, personas, promises, reasons, sla, stages
from scoring.default.tracks import tracks

Json = Any
SEATS = {"key": "seats_wanted", "subject": "lead", "type": "number", "label": "Seats wanted"}

LISTS: dict[str, dict[str, Json]] = {
    "we_sell_to": {
        "label": "Countries we sell to",
        "entries": [
            "germany",
            "de",
            "austria",
            "at",
            "switzerland",
            "ch",
            "netherlands",
            "nl",
            "belgium",
            "be",
            "denmark",
            "dk",
            "sweden",
            "se",
            "norway",
            "no",
            "france",
            "fr",
            "spain",
            "es",
            "italy",
            "it",
            "poland",
            "pl",
            "united kingdom",
            "uk",
            "gb",
            "ireland",
            "ie",
        ],
    },
    "target_industries": {
        "label": "Industries we know",
        "entries": ["software", "financial services", "manufacturing", "logistics"],
    },
}


def default_content(zone: str = "UTC", snapshots: dict[str, str] | None = None) -> dict[str, Json]:
    """The content of the first agreement, in `zone`; `snapshots`: name of a long list → its SHA-256."""
    return {
        "engine": 1,
        "zone": zone,
        "title": "What a lead is worth",
        "definitions": definitions(),
        "personas": personas(),
        "fields": [dict(SEATS)],
        "lists": {key: {**found, "entries": list(found["entries"])} for key, found in LISTS.items()},
        "list_snapshots": dict(snapshots or {}),
        "exclusions": exclusions(),
        # No group alone reaches the bar for sales; everybody can read 62 of 100.
        "groups": {
            "fit": {"floor": -30, "cap": 40},
            "behaviour": {"floor": -15, "cap": 40},
            "value": {"floor": 0, "cap": 20},
        },
        "total": {"floor": 0, "cap": 100},
        "criteria": criteria(),
        "grade": {"letters": [["A", 40], ["B", 27], ["C", 14]], "numbers": [[1, 25], [2, 15], [3, 5]]},
        "thresholds": thresholds(),
        "stages": stages(),
        "must_know": ["name", "company_name", "title", "phone_or_email", "first_source", "last_acts"],
        "admission": {
            "new_per_rep_per_day": 8,
            "capacity_open": 40,
            "on_import": "new_evidence",
            "on_release": "trickle",
        },
        "sla": sla(),
        "give_up": {"attempts": 6, "working_days": 10, "channels": 2},
        "snooze": {"times": 2, "working_days": 5},
        "undo_minutes": 10,
        "reasons": reasons(),
        "tracks": tracks(),
        "pulse": {
            "cadence": "monthly",
            "min_group": 4,
            "questions": [
                "The leads I got were worth my time.",
                "They came at the right moment.",
                "I knew enough to start the conversation.",
            ],
            "open": "What should marketing do more of, less of, or differently?",
        },
        "promises": promises(),
        "acceptance_band": [70, 90],
    }
