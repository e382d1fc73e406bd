"""A small agreement of the tests' own, after the default one, so that its edits never change these tests."""

from copy import deepcopy
from typing import Any

WANTS = ("demo_requested", "trial_started", "webinar_attended", "show_talk", "download_buying", "question")


def did(*kinds: str, days: int | None = None, where: list[dict] | None = None, **more: Any) -> dict[str, Any]:
    """A behaviour leaf."""
    inner: dict[str, Any] = {"kinds": list(kinds), "days": days}
    if where:
        inner["where"] = where
    return {"did": inner, **more}


def fact(key: str, op: str, value: Any = None) -> dict[str, Any]:
    """A fact leaf."""
    return {"fact": key, "op": op} if value is None else {"fact": key, "op": op, "value": value}


def has(criterion: str, days: int | None = None) -> dict[str, Any]:
    """A criterion leaf."""
    return {"criterion": criterion} if days is None else {"criterion": criterion, "own_act_days": days}


def score(group: str, at_least: int) -> dict[str, Any]:
    return {"score": group, "op": "gte", "value": at_least}


def once(id_: str, group: str, points: int, condition: dict, half: int | None = None, **more: Any) -> dict:
    decay = {"kind": "half_life", "days": half} if half else None
    return {
        "id": id_,
        "group": group,
        "mode": "once",
        "points": points,
        "condition": condition,
        "decay": decay,
        "text": id_,
        **more,
    }


def each(id_: str, points: int, condition: dict, half: int, most: int, per_day: int | None = None) -> dict:
    return once(id_, "behaviour", points, condition, half) | {
        "mode": "each",
        "max_points": most,
        "max_per_day": per_day,
    }


def bands(id_: str, group: str, of: dict, steps: list[list[int]]) -> dict:
    return {
        "id": id_,
        "group": group,
        "mode": "bands",
        "points": 0,
        "of": of,
        "bands": steps,
        "condition": None,
    }


TOP = ["CEO", "CFO", "CTO", "chief", "president", "owner", "founder", "VP", "vice president"]
F1 = {"all": [fact("title", "has_word", TOP), {"not": fact("title", "has_word", ["product owner"])}]}
F2 = {"all": [fact("title", "has_word", ["director", "head"]), {"not": has("f1")}]}
F3 = {"all": [fact("title", "has_word", ["manager", "lead"]), {"not": has("f1")}, {"not": has("f2")}]}

CRITERIA = [
    once("f1", "fit", 15, F1),
    once("f2", "fit", 12, F2),
    once("f3", "fit", 6, F3),
    once("f4", "fit", 12, fact("employees", "between", [50, 1000])),
    once("f5", "fit", 8, fact("employees", "between", [1001, 5000])),
    once("f6", "fit", -10, fact("employees", "lt", 10)),
    once("f7", "fit", 6, fact("industry", "in_list", "industries")),
    once("f8", "fit", 4, fact("country", "in_list", "we_sell_to")),
    once(
        "f9",
        "fit",
        -20,
        {"all": [fact("country", "known"), {"not": fact("country", "in_list", "we_sell_to")}]},
    ),
    once("f10", "fit", 3, fact("email_domain", "domain_kind", "work")),
    once("f11", "fit", -5, fact("email_domain", "domain_kind", "free_mail")),
    bands("v1", "value", {"fact": "custom.seats_wanted"}, [[10, 4], [50, 8], [200, 12]]),
    once("v2", "value", 4, {"all": [fact("custom.seats_wanted", "unknown"), fact("employees", "gte", 200)]}),
    once("v3", "value", 8, {"all": [fact("is_customer", "is_true"), {"not": {"stage": ["customer"]}}]}),
    once("v4", "value", 6, fact("is_target", "is_true")),
    once("b1", "behaviour", 25, did("demo_requested"), 30),
    once("b2", "behaviour", 25, did("trial_started"), 30),
    each(
        "b3",
        5,
        did("page_view", where=[{"property": "path", "op": "starts_with", "value": "/pricing"}]),
        14,
        15,
        1,
    ),
    bands("b4", "behaviour", did("page_view", "visit", days=30, agg="days"), [[2, 3], [3, 6], [5, 10]]),
    each("b5", 8, did("webinar_attended"), 30, 16),
    once("b6", "behaviour", 8, did("show_talk"), 45),
    each("b7", 5, did("download_buying"), 30, 15),
    each("b8", 3, did("download_educational"), 30, 6),
    once(
        "b9",
        "behaviour",
        6,
        {
            "ratio": {"of": "email_clicked", "to": "email_sent", "days": 90, "min": 5},
            "op": "gte",
            "value": 0.2,
        },
    ),
    each("b10", 1, did("email_clicked"), 14, 4, 1),
    each("b11", 3, did("social_share"), 30, 6),
    each("b12", 6, did("question"), 14, 12),
    once("b13", "behaviour", -15, did("email_unsubscribed")) | {"decay": {"kind": "expiry", "days": 180}},
    once(
        "b14",
        "behaviour",
        -10,
        did(
            "page_view",
            days=90,
            where=[{"property": "path", "op": "starts_with", "value": "/careers"}],
            agg="days",
            op="gte",
            value=2,
        ),
    ),
    once(
        "b15",
        "behaviour",
        2,
        {"all": [did("webinar_registered", days=90), {"not": did("webinar_attended", days=90)}]},
        30,
    ),
    once("b16", "behaviour", 2, {"all": [did("show_scan"), {"not": did("show_talk")}]}, 45),
    once("b17", "behaviour", 1, did("social_follow"), 30),
]

CONTENT: dict[str, Any] = {
    "engine": 1,
    "zone": "Europe/Berlin",
    "title": "Test",
    "fields": [{"key": "seats_wanted", "subject": "lead", "type": "number", "label": "Seats wanted"}],
    "lists": {
        "we_sell_to": {"label": "We sell to", "entries": ["germany", "de", "austria"]},
        "industries": {"label": "Target industries", "entries": ["software", "manufacturing"]},
    },
    "list_snapshots": {"free_mail": "free", "throwaway": "gone"},
    "exclusions": [
        {
            "id": "x1",
            "text": "our own, a competitor's, a partner's or a throw-away address",
            "on": True,
            "condition": fact("email_domain", "domain_kind", ["own", "competitor", "partner", "throwaway"]),
        },
        {
            "id": "x2",
            "text": "student or job seeker",
            "on": True,
            "condition": fact("title", "has_word", ["student", "intern", "professor", "job seeker"]),
        },
    ],
    "groups": {
        "fit": {"floor": -30, "cap": 40},
        "behaviour": {"floor": -15, "cap": 40},
        "value": {"floor": 0, "cap": 20},
    },
    "total": {"floor": 0, "cap": 100},
    "criteria": CRITERIA,
    "grade": {"letters": [["A", 40], ["B", 27], ["C", 14]], "numbers": [[1, 25], [2, 15], [3, 5]]},
    "thresholds": {
        "mql_when": {
            "all": [score("total", 40), score("fit", 12), score("behaviour", 10), {"active_days": 30}]
        },
        "mql_leave_when": {
            "any": [{"score": "total", "op": "lt", "value": 35}, {"not": {"active_days": 60}}],
        },
        "mql_leave_days": 30,
        "sql_when": {
            "all": [
                score("total", 55),
                {"grade": ["A1", "A2", "B1"]},
                {"not": has("f9")},
                {"active_days": 14},
                {"contactable": True},
                {
                    "any": [
                        *[has(c, 90) for c in ("b1", "b2", "b3", "b5", "b6", "b7", "b9", "b12")],
                        did("page_view", "visit", days=30, agg="days", op="gte", value=3),
                    ]
                },
            ]
        },
        "fresh_days": 14,
        "fast_tracks": [
            {
                "n": 1,
                "text": "asked",
                "condition": {"all": [has("b1", 14), {"not": has("f9")}, {"not": has("f6")}]},
            },
            {
                "n": 2,
                "text": "trial",
                "condition": {"all": [has("b2", 14), score("fit", 12), {"not": has("f9")}]},
            },
            {
                "n": 3,
                "text": "seats",
                "condition": {
                    "all": [
                        fact("custom.seats_wanted", "gte", 50),
                        {"changed": "custom.seats_wanted", "days": 14},
                        score("fit", 12),
                        {"not": has("f9")},
                    ]
                },
            },
        ],
    },
    "stages": [
        {"stage": "prospect", "level": "researcher", "text": "", "owner": "marketing", "condition": None},
        {
            "stage": "prospect",
            "level": "influencer",
            "text": "",
            "owner": "marketing",
            "condition": {
                "all": [score("behaviour", 5), fact("title", "known"), {"not": has("f1")}, {"not": has("f2")}]
            },
        },
        {
            "stage": "prospect",
            "level": "investigator",
            "text": "",
            "owner": "marketing",
            "condition": {"all": [score("behaviour", 10), score("fit", 6)]},
        },
    ],
}


def content(**changes: Any) -> dict[str, Any]:
    """A copy of the content with some parts replaced."""
    return deepcopy(CONTENT) | changes
