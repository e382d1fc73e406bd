"""The words of the agreement: definitions, personas, stages, promises, reasons and tracks."""

from typing import Any

from scoring.default.rules import TOP, fact, score

Json = Any


def definitions() -> dict[str, str]:
    return {
        "lead": "A person whom we can name and who has given us a reason to talk: a form, a "
        "badge, a list that names them. "
        "A visitor without a name is not a lead yet.",
        "good_lead": "Somebody with a problem we solve, in a firm that can buy from us, who is "
        "looking for an answer now, "
        "and whom we can reach.",
        "bad_lead": "Somebody who will not buy whatever we do: too small, outside the countries "
        "we sell to, a student, "
        "a competitor, or a person who only wanted the guide. Bad timing alone does not make a lead bad.",
        "mql": "Fits and has shown interest: may buy some day. Marketing and pre-sales make it "
        "ready. Sales does not call.",
        "sql": "Fits, has done something within two weeks that buyers do, and can be reached: "
        "ready to talk now. "
        "Sales answers it within the time promised.",
        "opportunity": "Sales has spoken with the person and knows the need, who decides, the "
        "amount and the date.",
        "customer": "Has signed. New interest of a customer goes to the owner of the account.",
    }


def personas() -> list[Json]:
    return [
        {
            "key": "core",
            "name": "The head of operations",
            "text": "Runs operations in a firm of 50 to 1,000 people, holds the budget, and "
            "answers for what it costs.",
            "pains": ["Work is planned by hand", "Nobody sees the cost until the month is over"],
            "goals": ["Fewer costs with the same people", "A plan before the day begins"],
            "questions": ["How long until it works?", "Does it fit our systems?", "What did others save?"],
            "condition": {
                "all": [
                    fact("title", "has_word", [*TOP, "director", "head"]),
                    fact("employees", "between", [50, 1000]),
                ]
            },
            "not_ideal": {
                "name": "The founder of a tiny firm",
                "text": "Same title, fewer than ten people: likes us, cannot use half of it, "
                "leaves within a year.",
                "condition": {"all": [fact("title", "has_word", TOP), fact("employees", "lt", 10)]},
            },
        },
        {
            "key": "champion",
            "name": "The manager who suffers",
            "text": "Does the daily work, knows every flaw of today's way, and has to win the boss over.",
            "pains": ["Overtime at the end of each month", "Blamed for plans that others made"],
            "goals": ["Show the boss a figure", "Go home on time"],
            "questions": ["How do I explain it upstairs?", "Can I try it alone?"],
            "condition": {
                "all": [
                    fact("title", "has_word", ["manager", "lead"]),
                    fact("employees", "between", [50, 5000]),
                ]
            },
            "not_ideal": {
                "name": "The reader",
                "text": "Collects guides for a study or a talk and never had a budget.",
                "condition": fact("title", "has_word", ["student", "intern", "consultant", "professor"]),
            },
        },
    ]


def stages() -> list[Json]:
    investigator = {"all": [score("behaviour", 10), score("fit", 6)]}
    influencer = {
        "all": [
            score("behaviour", 5),
            fact("title", "known"),
            {"not": {"criterion": "f1"}},
            {"not": {"criterion": "f2"}},
        ]
    }
    rows: list[tuple[str, str, str, str, Json]] = [
        (
            "conversion",
            "",
            "Gave a name by a form, a list or a badge: here a lead begins.",
            "marketing",
            None,
        ),
        ("prospect", "researcher", "The first level; stays until something new happens.", "marketing", None),
        (
            "prospect",
            "influencer",
            "Interested, but does not decide: gets the kit for the boss.",
            "marketing",
            influencer,
        ),
        ("prospect", "investigator", "Looks for a solution and fits; not ready.", "marketing", investigator),
        ("mql", "", "May buy some day; marketing or pre-sales makes it ready.", "marketing", None),
        ("sql", "", "Ready to talk now; “accepted” is a step inside.", "sales", None),
        ("opportunity", "", "Need, person, date and amount are known.", "sales", None),
        ("customer", "", "Won; new interest goes to the owner of the account.", "sales", None),
        ("nurturing", "", "Came back from sales with a track and a date.", "marketing", None),
        ("disqualified", "", "The reason closes; new facts of the company reopen it.", "marketing", None),
        ("excluded", "", "Left out: not a lead.", "marketing", None),
    ]
    return [
        {"stage": stage, "level": level, "text": text, "owner": owner, "condition": condition}
        for stage, level, text, owner, condition in rows
    ]


# A working day of eight hours, in minutes.
DAY = 480


def sla() -> list[Json]:
    """Promises in minutes of working time; the first that holds counts."""

    def late(after: int, last: str) -> list[Json]:
        return [{"after": 0, "do": "notify"}, {"after": after, "do": last}]

    return [
        {
            "key": "fast_track",
            "text": "Fast track",
            "when": {"handoff": "kind", "op": "is", "value": "fast_track"},
            "accept": 15,
            "first_touch": 30,
            "next_attempt": DAY,
            "warn": [0.5],
            "late": late(15, "reassign"),
        },
        {
            "key": "grade_a",
            "text": "Grade A",
            "when": {"handoff": "letter", "op": "is", "value": "A"},
            "accept": 240,
            "first_touch": 480,
            "next_attempt": 2 * DAY,
            "warn": [0.75],
            "late": late(240, "reassign"),
        },
        {
            "key": "others",
            "text": "Everybody else",
            "when": None,
            "accept": 480,
            "first_touch": 960,
            "next_attempt": 2 * DAY,
            "warn": [0.75],
            "late": late(480, "exception"),
        },
    ]


def _reason(key: str, text: str, kind: str, effect: str, says: str, **more: Json) -> Json:
    return {
        "key": key,
        "text": text,
        "kind": kind,
        "effect": effect,
        "track": "",
        "wait_days": None,
        "back": {"kind": "any"},
        "needs_date": False,
        "note_min": 0,
        "return_only": False,
        "closes": False,
        "says": says,
        **more,
    }


def _by(*ids: str) -> Json:
    return {"kind": "criteria", "ids": list(ids)}


def reasons() -> list[Json]:
    """Why sales says no, by key, and what follows; none leaves a lead without closing or a next date."""
    firm = {"kind": "fields", "keys": ["employees", "industry"]}
    person = {"kind": "colleague", "keys": ["title"]}
    return [
        _reason(
            "1",
            "Too small or wrong type",
            "fit",
            "close",
            "Closes it, until the company's size or industry changes.",
            back=firm,
            closes=True,
        ),
        _reason(
            "2",
            "Not ready, still looking",
            "timing",
            "track",
            "Goes on the track “educate”; back with new buying signs after 30 days.",
            track="educate",
            wait_days=30,
            back=_by("b1", "b2", "b3", "b5", "b7", "b12"),
        ),
        _reason(
            "3",
            "No budget or contract until a date",
            "timing",
            "callback",
            "Comes back to you on that day, whatever its points.",
            track="sleep",
            back={"kind": "none"},
            needs_date=True,
        ),
        _reason(
            "4",
            "Wrong person",
            "person",
            "track",
            "Marketing looks for the buyer in the same company.",
            track="find_buyer",
            wait_days=14,
            back=person,
        ),
        _reason(
            "5",
            "No need, or only reads",
            "fit",
            "track",
            "Gets the newsletter; back only if they ask for us after 90 days.",
            track="newsletter",
            wait_days=90,
            back=_by("b1", "b2"),
        ),
        _reason(
            "6",
            "Bad phone or e-mail",
            "data",
            "repair",
            "Marketing repairs it within two working days; then it comes back to you.",
            wait_days=2,
            back={"kind": "repair"},
        ),
        _reason(
            "7",
            "Already ours",
            "process",
            "process",
            "A duplicate, in talks, or a customer: goes to the owner. Not counted against anybody.",
            wait_days=30,
            back={"kind": "none"},
            closes=True,
        ),
        _reason(
            "8",
            "No answer after the agreed attempts",
            "timing",
            "track",
            "Goes on the track “re-warm”; back when they answer or come again.",
            track="re_warm",
            wait_days=45,
            return_only=True,
        ),
        _reason(
            "9",
            "Competitor, student or spam",
            "fit",
            "close",
            "Closes it and proposes it for “not a lead”.",
            back={"kind": "none"},
            closes=True,
        ),
        _reason(
            "0",
            "Other",
            "other",
            "track",
            "Goes on the track “educate”; say why in ten characters or more.",
            track="educate",
            wait_days=30,
            note_min=10,
        ),
    ]


def promises() -> dict[str, dict[str, Json]]:
    return {
        "marketing": {
            "sql_per_week": 25,
            "grade_a_percent": 50,
            "context_complete_percent": 90,
            "dispute_days": 2,
            "question_days": 3,
        },
        "sales": {
            "answered_in_time_percent": 90,
            "first_touch_in_time_percent": 90,
            "with_reason_percent": 100,
            "attempts": 6,
        },
    }
