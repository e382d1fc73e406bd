"""Who is left out, what gives points, and where the bars are."""

from typing import Any

Json = Any


def fact(key: str, op: str, value: Json = None) -> Json:
    found = {"fact": key, "op": op}
    return found if value is None else {**found, "value": value}


def did(*kinds: str, days: int | None = None, where: list[Json] | None = None) -> Json:
    return {"kinds": list(kinds), "where": where or [], "days": days}


def times(found: Json, least: int = 1, agg: str = "count") -> Json:
    return {"did": found, "agg": agg, "op": "gte", "value": least}


def under(path: str) -> list[Json]:
    return [{"property": "path", "op": "starts_with", "value": path}]


def score(group: str, least: int) -> Json:
    return {"score": group, "op": "gte", "value": least}


def matches(criterion: str, own_act_days: int | None = None) -> Json:
    leaf: Json = {"criterion": criterion}
    return {**leaf, "own_act_days": own_act_days} if own_act_days else leaf


def no(condition: Json) -> Json:
    return {"not": condition}


def _rule(key: str, group: str, points: int, condition: Json, text: str, why: str, **more: Json) -> Json:
    return {
        "id": key,
        "group": group,
        "mode": "once",
        "points": points,
        "condition": condition,
        "decay": None,
        "max_points": None,
        "max_per_day": None,
        "bands": None,
        "of": None,
        "text": text,
        "why": why,
        "on": True,
        **more,
    }


def _bands(key: str, group: str, of: Json, bands: list[list[int]], text: str, why: str) -> Json:
    return _rule(key, group, 0, None, text, why, mode="bands", of=of, bands=bands)


def _half(days: int) -> Json:
    return {"kind": "half_life", "days": days}


def exclusions() -> list[Json]:
    """Not a lead, whatever the points say."""
    kinds = ["own", "competitor", "partner", "throwaway"]
    return [
        {
            "id": "x1",
            "text": "The e-mail is ours, a competitor's, a partner's, or thrown away after use",
            "why": "The most common false lead; points cannot express “never”.",
            "on": True,
            "condition": fact("email_domain", "domain_kind", kinds),
        },
        {
            "id": "x2",
            "text": "The job title has student, intern, professor or job seeker",
            "why": "Readers for ever; nobody to call.",
            "on": True,
            "condition": fact("title", "has_word", ["student", "intern", "professor", "job seeker"]),
        },
    ]


TOP = ["CEO", "CFO", "CTO", "CIO", "COO", "chief", "president", "owner", "founder", "VP", "vice president"]


def criteria() -> list[Json]:
    """Every rule that gives or takes points, in the order in which the document reads."""
    return [*_fit(), *_value(), *_behaviour()]


def _fit() -> list[Json]:
    top = {"all": [fact("title", "has_word", TOP), no(fact("title", "has_word", ["product owner"]))]}
    return [
        _rule("f1", "fit", 15, top, "Job title has CEO, founder, owner, chief, VP …", "They sign."),
        _rule(
            "f2",
            "fit",
            12,
            {"all": [fact("title", "has_word", ["director", "head"]), no(matches("f1"))]},
            "Job title has director or head",
            "They hold the budget.",
        ),
        _rule(
            "f3",
            "fit",
            6,
            {"all": [fact("title", "has_word", ["manager", "lead"]), no(matches("f1")), no(matches("f2"))]},
            "Job title has manager or lead",
            "They influence: it counts, and cannot carry alone.",
        ),
        _rule(
            "f4",
            "fit",
            12,
            fact("employees", "between", [50, 1000]),
            "Company has 50 to 1,000 people",
            "Our best customers.",
        ),
        _rule(
            "f5",
            "fit",
            8,
            fact("employees", "between", [1001, 5000]),
            "Company has 1,001 to 5,000 people",
            "Good but slow.",
        ),
        _rule(
            "f6",
            "fit",
            -10,
            fact("employees", "lt", 10),
            "Company has fewer than 10 people",
            "Cannot afford us; “too small” is the reason sales gives most.",
        ),
        _rule(
            "f7",
            "fit",
            6,
            fact("industry", "in_list", "target_industries"),
            "Industry we know",
            "The persona.",
        ),
        _rule(
            "f8",
            "fit",
            4,
            fact("country", "in_list", "we_sell_to"),
            "Country we sell to",
            "A small plus; see the next.",
        ),
        _rule(
            "f9",
            "fit",
            -20,
            {"all": [fact("country", "known"), no(matches("f8"))]},
            "Country we do not sell to",
            "No contract is possible there; an unknown country is not punished.",
        ),
        _rule(
            "f10",
            "fit",
            3,
            fact("email_domain", "domain_kind", ["work"]),
            "Work e-mail",
            "A weak sign of a company.",
        ),
        _rule(
            "f11",
            "fit",
            -5,
            fact("email_domain", "domain_kind", ["free_mail"]),
            "Free-mail address",
            "Only a little: founders use them, and a VP with one still passes.",
        ),
    ]


def _value() -> list[Json]:
    seats = {"fact": "custom.seats_wanted"}
    big = {"all": [fact("custom.seats_wanted", "unknown"), fact("employees", "gte", 200)]}
    return [
        _bands("v1", "value", seats, [[10, 4], [50, 8], [200, 12]], "Seats wanted", "Said by the buyer."),
        _rule("v2", "value", 4, big, "200 people or more, seats not said", "A stand-in until we know."),
        _rule(
            "v3",
            "value",
            8,
            fact("is_customer", "is_true"),
            "Company is a customer already",
            "Repeat business is bigger.",
        ),
        _rule("v4", "value", 6, fact("is_target", "is_true"), "Target account", "Sales chose it."),
    ]


def _behaviour() -> list[Json]:
    clicks = {
        "ratio": {"of": "email_clicked", "to": "email_sent", "days": 90, "min": 5},
        "op": "gte",
        "value": 0.2,
    }
    missed = {
        "all": [times(did("webinar_registered", days=90)), no(times(did("webinar_attended", days=90)))],
    }
    return [
        _rule(
            "b1",
            "behaviour",
            25,
            times(did("demo_requested")),
            "Asked for a demo, a call or a quote",
            "The strongest word a buyer has; it also opens the fast track.",
            decay=_half(30),
        ),
        _rule(
            "b2",
            "behaviour",
            25,
            times(did("trial_started")),
            "Started a trial",
            "Tries it with own data.",
            decay=_half(30),
        ),
        _rule(
            "b3",
            "behaviour",
            5,
            times(did("page_view", where=under("/pricing"))),
            "Viewed a page under /pricing",
            "Intent fades in two weeks.",
            mode="each",
            max_per_day=1,
            max_points=15,
            decay=_half(14),
        ),
        _bands(
            "b4",
            "behaviour",
            {"did": did("page_view", "visit", days=30), "agg": "days"},
            [[2, 3], [3, 6], [5, 10]],
            "Came on several days within 30",
            "Days, not page views: one curious hour is one day.",
        ),
        _rule(
            "b5",
            "behaviour",
            8,
            times(did("webinar_attended")),
            "Attended a webinar",
            "An hour of their time.",
            mode="each",
            max_points=16,
            decay=_half(30),
        ),
        _rule(
            "b6",
            "behaviour",
            8,
            times(did("show_talk")),
            "Talked to us at a trade show",
            "A scan is not a talk.",
            decay=_half(45),
        ),
        _rule(
            "b7",
            "behaviour",
            5,
            times(did("download_buying")),
            "Downloaded buying content (comparison, case study, ROI)",
            "They compare.",
            mode="each",
            max_points=15,
            decay=_half(30),
        ),
        _rule(
            "b8",
            "behaviour",
            3,
            times(did("download_educational")),
            "Downloaded educational content (guide, white paper)",
            "A guide does not make an MQL.",
            mode="each",
            max_points=6,
            decay=_half(30),
        ),
        _rule(
            "b9",
            "behaviour",
            6,
            clicks,
            "Clicked in at least 20% of at least 5 e-mails in 90 days",
            "Reads us regularly.",
        ),
        _rule(
            "b10",
            "behaviour",
            1,
            times(did("email_clicked")),
            "Clicked in an e-mail",
            "Opens are kept and give nothing: mail programs open by themselves.",
            mode="each",
            max_per_day=1,
            max_points=4,
            decay=_half(14),
        ),
        _rule(
            "b11",
            "behaviour",
            3,
            times(did("social_share")),
            "Shared us",
            "Advocates; rarely buyers alone.",
            mode="each",
            max_points=6,
            decay=_half(30),
        ),
        _rule(
            "b12",
            "behaviour",
            6,
            times(did("question")),
            "Asked a question",
            "Wants a conversation.",
            mode="each",
            max_points=12,
            decay=_half(14),
        ),
        _rule(
            "b13",
            "behaviour",
            -15,
            times(did("email_unsubscribed")),
            "Unsubscribed",
            "Said no; not for ever.",
            decay={"kind": "expiry", "days": 180},
        ),
        _rule(
            "b14",
            "behaviour",
            -10,
            times(did("page_view", days=90, where=under("/careers")), 2, "days"),
            "On the careers page on 2 days or more in 90",
            "Looks for a job, not for us.",
        ),
        # Fades with the registration, the one activity that it holds by.
        _rule(
            "b15",
            "behaviour",
            2,
            missed,
            "Registered for a webinar and attended none in 90 days",
            "Interest, not yet an hour.",
        ),
        _rule(
            "b16",
            "behaviour",
            2,
            {"all": [times(did("show_scan", days=90)), no(matches("b6"))]},
            "Badge scanned and no talk at the booth, in 90 days",
            "A scan is not a talk.",
        ),
        _rule(
            "b17", "behaviour", 1, times(did("social_follow")), "Followed us", "A weak sign.", decay=_half(30)
        ),
    ]


STRONG = ("b1", "b2", "b3", "b5", "b6", "b7", "b9", "b12")


def thresholds() -> Json:
    """The bars for MQL and sales, the way back, and who may pass at once."""
    evidence = {
        "any": [*(matches(c, 90) for c in STRONG), times(did("page_view", "visit", days=30), 3, "days")]
    }
    asked = times(did("demo_requested", days=14))
    tried = times(did("trial_started", days=14))
    many = {
        "all": [
            fact("custom.seats_wanted", "gte", 50),
            {"changed": "custom.seats_wanted", "days": 14},
            score("fit", 12),
            no(matches("f9")),
        ]
    }
    return {
        "mql_when": {
            "all": [score("total", 40), score("fit", 12), score("behaviour", 10), {"active_days": 30}]
        },
        "mql_leave_when": {"any": [{"score": "total", "op": "lt", "value": 35}, no({"active_days": 60})]},
        "mql_leave_days": 30,
        "sql_when": {
            "all": [
                score("total", 55),
                {"grade": ["A1", "A2", "B1"]},
                no(matches("f9")),
                {"active_days": 14},
                {"contactable": True},
                evidence,
            ]
        },
        "fresh_days": 14,
        "fast_tracks": [
            {
                "n": 1,
                "text": "Asked for a demo, a call or a quote within 14 days",
                "condition": {"all": [asked, no(matches("f9")), no(matches("f6"))]},
            },
            {
                "n": 2,
                "text": "Started a trial within 14 days and fits",
                "condition": {"all": [tried, score("fit", 12), no(matches("f9"))]},
            },
            {"n": 3, "text": "Wants 50 seats or more, said within 14 days, and fits", "condition": many},
        ],
    }
