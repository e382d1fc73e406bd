"""The agreement by which the base is scored: 30 criteria over facts and 10 over behaviour, as budgeted.

In the words of a company that sells software to others. `reference.sql` says the same by hand for one moment;
whoever changes a figure here changes it there, for their totals are compared.
"""

from copy import deepcopy
from typing import Any

FREE_MAIL, THROWAWAY = "gmail.com", "mailinator.com"
ABROAD, TINY = "f18", "f12"
TOP = ["CEO", "CFO", "CTO", "CIO", "COO", "chief", "president", "owner", "founder", "VP", "vice president"]
SIGNS = ("b1", "b2", "b3", "b5", "b6", "b7", "b8")

Rule = dict[str, Any]


def content() -> Rule:
    """A copy that the caller may change."""
    return deepcopy(_CONTENT)


def criteria() -> list[Rule]:
    """The criteria, facts first."""
    return content()["criteria"]


def part(count: int) -> Rule:
    """With so many of its criteria, facts and behaviour alike; bars that need none of them."""
    body = content()
    whole = body["criteria"]
    if count == len(whole):
        return body
    step = len(whole) / count
    body["criteria"] = [_alone(whole[int(i * step)]) for i in range(count)]
    body["thresholds"] |= {
        "mql_when": _score("total", 40),
        "sql_when": _score("total", 55),
        "fast_tracks": [],
    }
    body["stages"] = body["stages"][:1]
    return body


def _alone(criterion: Rule) -> Rule:
    """Without what it says of other criteria."""
    parts = (criterion["condition"] or {}).get("all")
    if not parts:
        return criterion
    return criterion | {"condition": {"all": [p for p in parts if "criterion" not in str(p)]}}


def _fact(key: str, op: str, value: Any = None) -> Rule:
    return {"fact": key, "op": op} if value is None else {"fact": key, "op": op, "value": value}


def _did(*kinds: str, days: int | None = None, under: str = "", **more: Any) -> Rule:
    """Acts of these kinds, of so many days (None: ever), on pages under an address."""
    where = {"where": [{"property": "path", "op": "starts_with", "value": under}]} if under else {}
    return {"did": {"kinds": list(kinds), "days": days, **where}, **more}


def _score(group: str, at_least: int) -> Rule:
    return {"score": group, "op": "gte", "value": at_least}


def _has(criterion: str, days: int | None = None) -> Rule:
    return {"criterion": criterion} if days is None else {"criterion": criterion, "own_act_days": days}


def _all(*items: Rule) -> Rule:
    return {"all": list(items)}


def _no(item: Rule) -> Rule:
    return {"not": item}


def _criterion(group: str, id_: str, points: int, text: str, condition: Rule | None, **more: Any) -> Rule:
    given = {"mode": "once", "decay": None} | more
    return {"id": id_, "group": group, "points": points, "text": text, "condition": condition, **given}


def _fit(number: int, points: int, text: str, condition: Rule) -> Rule:
    return _criterion("fit", f"f{number}", points, text, condition)


def _value(number: int, points: int, text: str, condition: Rule) -> Rule:
    return _criterion("value", f"v{number}", points, text, condition)


def _behaviour(number: int, points: int, text: str, condition: Rule, **more: Any) -> Rule:
    return _criterion("behaviour", f"b{number}", points, text, condition, **more)


def _bands(group: str, id_: str, text: str, of: Rule, steps: list[list[int]]) -> Rule:
    return _criterion(group, id_, 0, text, None, mode="bands", of=of, bands=steps)


def _half(days: int) -> Rule:
    return {"decay": {"kind": "half_life", "days": days}}


def _each(most: int, a_day: int | None = None) -> Rule:
    return {"mode": "each", "max_points": most, "max_per_day": a_day}


_SOLD_TO = _fact("country", "in_list", "we_sell_to")
_FIT = [
    _fit(
        1,
        15,
        "signs contracts",
        _all(_fact("title", "has_word", TOP), _no(_fact("title", "has_word", ["product owner"]))),
    ),
    _fit(2, 12, "holds a budget", _all(_fact("title", "has_word", ["director", "head"]), _no(_has("f1")))),
    _fit(
        3,
        6,
        "has influence",
        _all(_fact("title", "has_word", ["manager", "lead"]), _no(_has("f1")), _no(_has("f2"))),
    ),
    _fit(4, 4, "buys for others", _fact("title", "has_word", ["purchasing", "procurement", "buyer"])),
    _fit(5, 3, "works with it", _fact("title", "has_word", ["IT", "engineering", "operations"])),
    _fit(6, -8, "assists", _fact("title", "has_word", ["assistant", "trainee", "clerk"])),
    _fit(7, -2, "no title known", _fact("title", "unknown")),
    _fit(8, 4, "10 to 49 employees", _fact("employees", "between", [10, 49])),
    _fit(9, 12, "50 to 1,000 employees", _fact("employees", "between", [50, 1000])),
    _fit(10, 8, "1,001 to 5,000 employees", _fact("employees", "between", [1001, 5000])),
    _fit(11, 4, "more than 5,000 employees", _fact("employees", "gt", 5000)),
    _fit(12, -10, "fewer than 10 employees", _fact("employees", "lt", 10)),
    _fit(13, 3, "revenue of 5 to 50 million", _fact("revenue", "between", [5_000_000, 50_000_000])),
    _fit(14, 5, "revenue above 50 million", _fact("revenue", "gt", 50_000_000)),
    _fit(15, 6, "an industry that we know", _fact("industry", "in_list", "industries")),
    _fit(16, -6, "an industry that never buys", _fact("industry", "in_list", "never")),
    _fit(17, 4, "a country that we sell to", _SOLD_TO),
    _fit(18, -20, "another country", _all(_fact("country", "known"), _no(_SOLD_TO))),
    _fit(19, 2, "a city where we have an office", _fact("city", "in_list", "offices")),
    _fit(20, 3, "writes from work", _fact("email_domain", "domain_kind", "work")),
    _fit(21, -5, "writes from a free address", _fact("email_domain", "domain_kind", "free_mail")),
    _fit(22, 3, "was sent by somebody", _fact("first_source", "is", ["Referral", "Partner"])),
    _fit(23, -3, "from a bought list", _fact("first_source", "contains", ["list"])),
    _fit(24, 1, "can be called", _fact("phone", "known")),
]
_SEATS, _BUDGET, _WHEN = "custom.seats_wanted", "custom.budget", "custom.buys"
_VALUE = [
    _bands("value", "v1", "seats wanted", {"fact": _SEATS}, [[10, 4], [50, 8], [200, 12]]),
    _value(
        2, 4, "seats unknown, a large company", _all(_fact(_SEATS, "unknown"), _fact("employees", "gte", 200))
    ),
    _value(
        3, 8, "a customer's colleague", _all(_fact("is_customer", "is_true"), _no({"stage": ["customer"]}))
    ),
    _value(4, 6, "a company that sales chose", _fact("is_target", "is_true")),
    _value(5, 5, "has money set aside", _fact(_BUDGET, "gte", 20_000)),
    _value(6, 3, "buys this quarter", _fact(_WHEN, "is", ["this quarter", "now"])),
]
_BEHAVIOUR = [
    _behaviour(1, 25, "asked for a demo", _did("demo_requested"), **_half(30)),
    _behaviour(2, 25, "started a trial", _did("trial_started"), **_half(30)),
    _behaviour(3, 5, "looked at prices", _did("page_view", under="/pricing"), **_half(14), **_each(15, 1)),
    _bands(
        "behaviour",
        "b4",
        "days on the site",
        _did("page_view", "visit", days=30, agg="days"),
        [[2, 3], [3, 6], [5, 10]],
    ),
    _behaviour(5, 8, "attended a webinar", _did("webinar_attended"), **_half(30), **_each(16)),
    _behaviour(
        6,
        5,
        "took a comparison or a case",
        _did("download_buying", days=120),
        decay={"kind": "linear", "days": 60},
        **_each(15),
    ),
    _behaviour(7, 6, "asked a question", _did("question"), **_half(14), **_each(12, 1)),
    _behaviour(
        8,
        6,
        "clicks one mail in five",
        {
            "ratio": {"of": "email_clicked", "to": "email_sent", "days": 90, "min": 2},
            "op": "gte",
            "value": 0.2,
        },
    ),
    _behaviour(9, -15, "unsubscribed", _did("email_unsubscribed"), decay={"kind": "expiry", "days": 180}),
    _behaviour(
        10,
        -10,
        "looks for a job",
        _did("page_view", days=90, under="/careers", agg="days", op="gte", value=2),
    ),
]

_CONTENT: Rule = {
    "engine": 1,
    "zone": "Europe/Berlin",
    "title": "Bench",
    "fields": [
        {"key": "seats_wanted", "subject": "lead", "type": "number", "label": "Seats wanted"},
        {"key": "budget", "subject": "lead", "type": "number", "label": "Budget"},
        {"key": "buys", "subject": "lead", "type": "text", "label": "Buys"},
    ],
    "lists": {
        "we_sell_to": {"label": "We sell to", "entries": ["germany", "de", "austria", "france"]},
        "industries": {
            "label": "Target industries",
            "entries": ["software", "financial services", "manufacturing", "logistics"],
        },
        "never": {"label": "Never buy", "entries": ["government", "education"]},
        "offices": {"label": "Offices", "entries": ["berlin", "vienna", "lyon"]},
    },
    "list_snapshots": {"free_mail": "free", "throwaway": "gone"},
    "exclusions": [
        {
            "id": "x1",
            "text": "our own, a competitor's, a partner's or a throw-away address",
            "on": True,
            "condition": _fact("email_domain", "domain_kind", ["own", "competitor", "partner", "throwaway"]),
        },
        {
            "id": "x2",
            "text": "student or job seeker",
            "on": True,
            "condition": _fact("title", "has_word", ["student", "intern", "professor", "job seeker"]),
        },
    ],
    "groups": {
        "fit": {"floor": -30, "cap": 40},
        "behaviour": {"floor": -15, "cap": 40},
        "value": {"floor": 0, "cap": 20},
    },
    "total": {"floor": 0, "cap": 100},
    "criteria": [*_FIT, *_VALUE, *_BEHAVIOUR],
    "grade": {"letters": [["A", 40], ["B", 27], ["C", 14]], "numbers": [[1, 25], [2, 15], [3, 5]]},
    "thresholds": {
        "mql_when": _all(
            _score("total", 40), _score("fit", 12), _score("behaviour", 10), {"active_days": 30}
        ),
        "mql_leave_when": {"any": [{"score": "total", "op": "lt", "value": 35}, _no({"active_days": 60})]},
        "mql_leave_days": 30,
        "sql_when": _all(
            _score("total", 55),
            {"grade": ["A1", "A2", "B1"]},
            _no(_has(ABROAD)),
            {"active_days": 14},
            {"contactable": True},
            {
                "any": [
                    *[_has(sign, 90) for sign in SIGNS],
                    _did("page_view", "visit", days=30, agg="days", op="gte", value=3),
                ]
            },
        ),
        "fresh_days": 14,
        "fast_tracks": [
            {"n": 1, "text": "asked", "condition": _all(_has("b1", 14), _no(_has(ABROAD)), _no(_has(TINY)))},
            {
                "n": 2,
                "text": "trial",
                "condition": _all(_has("b2", 14), _score("fit", 12), _no(_has(ABROAD))),
            },
            {
                "n": 3,
                "text": "seats",
                "condition": _all(
                    _fact(_SEATS, "gte", 50),
                    {"changed": _SEATS, "days": 14},
                    _score("fit", 12),
                    _no(_has(ABROAD)),
                ),
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
            "condition": _all(
                _score("behaviour", 5), _fact("title", "known"), _no(_has("f1")), _no(_has("f2"))
            ),
        },
        {
            "stage": "prospect",
            "level": "investigator",
            "text": "",
            "owner": "marketing",
            "condition": _all(_score("behaviour", 10), _score("fit", 6)),
        },
    ],
}
