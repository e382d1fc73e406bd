"""The tracks that ship: what marketing sends, asks and prepares while a lead is not with sales."""

from typing import Any

Json = Any

BASE = "https://www.example.com"


def _mail(day: int, subject: str, body: str, link: str, kind: str = "email") -> Json:
    return {"day": day, "kind": kind, "text": subject, "body": body, "link": f"{BASE}/{link}"}


def _task(day: int, text: str) -> Json:
    return {"day": day, "kind": "task", "text": text}


def _audience(day: int, name: str) -> Json:
    return {"day": day, "kind": "audience", "text": name}


def _track(key: str, name: str, *steps: Json, places: tuple[str, ...] = ()) -> Json:
    made: Json = {"key": key, "name": name, "steps": list(steps)}
    return {**made, "start": {"places": list(places), "personas": []}} if places else made


GUIDE = (
    "Hello {first_name},\n\nyou are looking for a better way to plan the work at {company}. We wrote down "
    "what others asked us before they decided: what it costs, how long it takes, and what usually goes "
    "wrong.\n\n{link}\n\nTen minutes to read. If a question is left, answer this mail: a person reads it."
)
WEBINAR = (
    "Hello {first_name},\n\nonce a month we show in 40 minutes how a team of your size plans its day, and "
    "answer questions live. No slides about us.\n\nChoose a date here: {link}\n\nIf no date fits, register "
    "all the same: you get the recording."
)
CASE = (
    "Hello {first_name},\n\na company like {company} let us watch for half a year. What changed, what it "
    "cost and what they would do differently stands here:\n\n{link}\n\nIt names figures, the bad ones too."
)
USEFUL = (
    "Hello {first_name},\n\nyou told us when to talk again, and we keep to it. Until then one thing a month "
    "that you can use without us:\n\n{link}\n\nNothing to buy, no answer needed."
)
BOSS = (
    "Hello {first_name},\n\nthe one who decides about this at {company} will ask what it saves and when it "
    "pays. Here is that calculation with the figures left open, so that you can fill in your own:\n\n{link}"
    "\n\nForward it, or tell us whom to send it to."
)
NEWS = (
    "Hello {first_name},\n\nthis month: what changed in our trade, one thing to try, and one that did not "
    "work.\n\n{link}"
)
QUESTION = (
    "Hello {first_name},\n\nwe tried to reach you and did not succeed, which may be an answer. One question, "
    "one word is enough: is planning at {company} still a topic this year?\n\nAnswer this mail with yes, "
    "later or no. We keep to it."
)
NEW = (
    "Hello {first_name},\n\nsince you last looked we changed a few things that others asked for. Two "
    "minutes, with pictures:\n\n{link}"
)
LAST = (
    "Hello {first_name},\n\nthis is our last mail for now. Should planning become a topic again, everything "
    "stands here, and a person answers the same day:\n\n{link}\n\nAll the best to {company}."
)
COMPARE = (
    "Hello {first_name},\n\nyou will compare us with others; you should. This page says where we are better, "
    "where we are not, and what to ask each of us:\n\n{link}"
)


def tracks() -> list[Json]:
    """Every track of the first agreement. Those for a lead that came back start by sales' answer; the early
    one starts by itself for leads that look for a solution and are not ready."""
    webinar = ("Would 40 minutes with a team like yours help?", WEBINAR, "webinar", "webinar")
    return [
        _track(
            "educate",
            "Educate",
            _mail(1, "The guide you may need now", GUIDE, "guide"),
            _mail(10, "What a company like yours found out in half a year", CASE, "case-study"),
            _mail(20, *webinar),
        ),
        _track(
            "sleep",
            "Sleep until the date",
            *(
                _mail(day, "One useful thing this month", USEFUL, f"useful-{n}")
                for n, day in ((1, 30), (2, 60), (3, 90))
            ),
        ),
        _track(
            "find_buyer",
            "Find the buyer",
            _mail(1, "The figures your boss will ask for", BOSS, "business-case"),
            _task(7, "Ask: who else decides?"),
        ),
        _track(
            "newsletter",
            "Newsletter",
            *(
                _mail(day, "This month in planning", NEWS, f"news-{n}")
                for n, day in ((1, 30), (2, 60), (3, 90))
            ),
        ),
        _track(
            "re_warm",
            "Re-warm",
            _mail(14, "Still a topic?", QUESTION, ""),
            _audience(15, "Not reached by phone"),
            _mail(30, "What is new since you looked", NEW, "new"),
            _mail(45, "Our last mail for now", LAST, "start"),
        ),
        _track(
            "early",
            "Early",
            _mail(1, "The guide you may need now", GUIDE, "guide"),
            _mail(7, "Us and the others, side by side", COMPARE, "compare"),
            _mail(14, *webinar),
            places=("prospect/investigator", "mql"),
        ),
    ]
