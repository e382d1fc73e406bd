"""The promises of sales in the editor: times as people write them, steps as sentences, faults at their place.

"15 min", "4 h", "2 days": a day is eight working hours, or 24 hours where the clock runs around the clock.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.http import QueryDict

from leadflow.errors import Fault
from leadflow.numbers import whole
from scoring.editing.parts import Field
from scoring.sla import (
    ACCEPT,
    ALWAYS,
    CLOCKS,
    LONGEST,
    MOST_STEPS,
    MOST_WARNS,
    OFFER,
    OWN_TERMS,
    STEPS,
    WORKING,
    Late,
    Policy,
)

Json = Any

DAY = {WORKING: 480, ALWAYS: 1_440}
_TIME = re.compile(
    r"(?:(?P<days>\d{1,3})\s*(?:d|days?|working days?))?\s*(?:(?P<hours>\d{1,4})\s*(?:h|hours?|hrs?))?\s*"
    r"(?:(?P<minutes>\d{1,5})\s*(?:m|mins?|minutes?)?)?",
    re.IGNORECASE,
)
HOURS = ((WORKING, "of working time"), (ALWAYS, "around the clock, 24/7"))
FROM = ((OFFER, "from the offer"), (ACCEPT, "from the acceptance"))
DO = {
    "notify": "tell the rep and the manager",
    "reassign": "give it to a colleague who is there",
    "pool": "put it into the team's pool",
    "exception": "put it on the manager's list and tell the manager",
}
FOR = {
    "": "whatever is late",
    "accept": "the answer",
    "first_touch": "the first contact",
    "next_attempt": "the next attempt",
}
STANDS = (("", "in every state"), ("touch", "only after the first contact"))
# The sentences of the form: a clock, the words ahead of its time, the field of its hours.
LINES = (
    ("accept", "Answers within", "hours.accept"),
    ("first_touch", "First contact within", "hours.first_touch"),
    ("next_attempt", "Then the next attempt within", "hours.next_attempt"),
)
OWN = (
    (
        "When the clock stands still",
        "A lead may sleep",
        (("snooze.times", "times,"), ("snooze.working_days", "working days each,")),
    ),
    (
        "Giving up",
        "“No answer” not before",
        (
            ("give_up.attempts", "attempts over"),
            ("give_up.working_days", "working days by"),
            ("give_up.channels", "channels"),
        ),
    ),
)
CLOCK_WORDS = {"accept": "Answer", "first_touch": "First contact", "next_attempt": "Next attempt"}


def fields(raw: Json) -> list[Field]:
    """What can be edited of a promise. The list of changes tells each by its label."""
    found = [Field("text", "For whom", need=True, limit=120)]
    for clock, label in CLOCK_WORDS.items():
        found.append(Field(clock, f"{label} within", "time", 1, LONGEST))
        found.append(Field(f"hours.{clock}", f"{label} counts", "hours", choices=HOURS))
        if clock == "first_touch":
            found.append(Field("first_touch_from", "First contact counts", "from", choices=FROM))
    return [
        *found,
        Field("warn", "Warns", "warn"),
        Field("late", "When late", "late"),
        Field("snooze_after_touch", "A lead may sleep", "stands", choices=STANDS),
        *(
            Field(f"{name}.{key}", TERM_WORDS[f"{name}.{key}"], "maybe", *span)
            for name, members in OWN_TERMS.items()
            for key, span in members.items()
        ),
    ]


TERM_WORDS = {
    "snooze.times": "May sleep, at most so often",
    "snooze.working_days": "May sleep, at most so many working days",
    "give_up.attempts": "“No answer” after attempts",
    "give_up.working_days": "“No answer” after working days",
    "give_up.channels": "“No answer” after channels",
}


def fresh(key: str, used: int) -> dict[str, Json]:
    """A new promise, for leads of grade A until somebody says otherwise."""
    return {
        "key": key,
        "text": f"Promise {used + 1}",
        "when": {"handoff": "letter", "op": "is", "value": "A"},
        "accept": 240,
        "first_touch": 480,
        "next_attempt": 960,
        "warn": [0.75],
        "late": [{"after": 0, "do": "notify"}, {"after": 240, "do": "exception"}],
    }


# Times ------------------------------------------------------------------------------------------------


def hours_of(raw: Mapping[str, Json], clock: str) -> str:
    """How a clock of this promise runs: working or always."""
    given = raw.get("hours")
    return ALWAYS if isinstance(given, Mapping) and given.get(clock) == ALWAYS else WORKING


def step_hours(raw: Mapping[str, Json], clock: str) -> str:
    """By which hours a step of being late is counted; "" where the clocks that it is for run differently."""
    kinds = {hours_of(raw, one) for one in ([clock] if clock in CLOCKS else CLOCKS)}
    return kinds.pop() if len(kinds) == 1 else ""


def read_time(text: str, hours: str) -> int | None:
    """Minutes of "15 min", "1 h 30 min", "2 days"; None for what is no time (or a day of no known length)."""
    found = _TIME.fullmatch(text.strip())
    if not found or not any(found.groupdict().values()):
        return None
    days, spent, minutes = (int(found[name] or 0) for name in ("days", "hours", "minutes"))
    if days and hours not in DAY:
        return None
    return days * DAY.get(hours, 0) + spent * 60 + minutes


def time_words(value: Json, hours: str = WORKING) -> str:
    """Minutes for people, so that `read_time` reads them again."""
    if not isinstance(value, int) or isinstance(value, bool):
        return "" if value is None else str(value)
    days = value // DAY[hours] if hours in DAY and not value % DAY[hours] else 0
    if days > 1 or (days and hours == ALWAYS):
        return _count(days, "day")
    if value and value % 60 == 0:
        return f"{value // 60} h"
    return f"{value // 60} h {value % 60} min" if value > 60 else f"{value} min"


# Words ------------------------------------------------------------------------------------------------


def words(field: Field, raw: Json, value: Json) -> str:
    """A field's value for people; what a promise leaves out is told as it counts."""
    clock = field.name.rpartition(".")[2]
    match field.kind:
        case "time":
            return _promised(value, hours_of(raw, clock))
        case "hours" | "from":
            return dict(field.choices).get(value or field.choices[0][0], str(value))
        case "stands":
            return STANDS[1 if value else 0][1]
        case "warn":
            return _warned(value)
    return "; ".join(steps_said(raw)) or "nothing happens"


def _promised(value: Json, hours: str) -> str:
    """ "2 days" of working time could be two nights as well: it is told as working days."""
    told = time_words(value, hours)
    return told.replace(" day", " working day") if hours == WORKING else told


def _warned(value: Json) -> str:
    shares = [f"{round(share * 100)}%" for share in value or () if isinstance(share, int | float)]
    return f"at {' and '.join(shares)} of the time" if shares else "never"


def steps_said(raw: Mapping[str, Json]) -> list[str]:
    """The steps of being late, each as a sentence: "4 h later give it to a colleague"."""
    return [_step_said(step, step_hours(raw, step.clock)) for step in Policy.of(raw).late]


def _step_said(step: Late, hours: str) -> str:
    when = f"{_promised(step.after, hours)} later"
    of = f", for {FOR[step.clock]} alone" if step.clock in CLOCKS else ""
    return f"{when if step.after else 'at once'} {DO.get(step.do, step.do)}{of}"


def sentences(raw: Mapping[str, Json]) -> list[str]:
    """A promise as it is read: what sales promises, what happens when it is late, when a lead may rest."""
    policy = Policy.of(raw)
    around = dict.fromkeys(policy.always, " around the clock")
    time = {clock: _promised(getattr(policy, clock), hours_of(raw, clock)) for clock in CLOCKS}
    start = dict(FROM)[policy.first_touch_from]
    said = [
        f"Answers within {time['accept']}{around.get('accept', '')}; first contact within"
        f" {time['first_touch']}{around.get('first_touch', '')} {start}; then the next attempt within"
        f" {time['next_attempt']}{around.get('next_attempt', '')}"
    ]
    if policy.warn:
        said.append(f"Warns the rep {_warned(policy.warn)}")
    steps = steps_said(raw)
    said.append(f"When late: {'; '.join(steps)}" if steps else "When late: nothing happens by itself")
    said += _own_terms(policy)
    return said


def times(raw: Mapping[str, Json]) -> tuple[str, str, str]:
    """Answer, first contact, next attempt: each with how it counts, where that is not the usual."""
    policy = Policy.of(raw)
    told = {
        clock: _promised(getattr(policy, clock), hours_of(raw, clock))
        + (", 24/7" if clock in policy.always else "")
        for clock in CLOCKS
    }
    start = f" {FROM[1][1]}" if policy.first_touch_from == ACCEPT else ""
    return told["accept"], f"{told['first_touch']}{start}", told["next_attempt"]


def _own_terms(policy: Policy) -> list[str]:
    said = []
    sleep, give_up = policy.terms.get("snooze", {}), policy.terms.get("give_up", {})
    rest = []
    if "times" in sleep:
        rest.append("never" if not sleep["times"] else f"at most {_count(sleep['times'], 'time')}")
    if "working_days" in sleep and sleep.get("times") != 0:
        rest.append(f"{_count(sleep['working_days'], 'working day')} each")
    if policy.snooze_after_touch and sleep.get("times") != 0:
        rest.append(STANDS[1][1])
    if rest:
        said.append(f"Sleeps, and its clock stands still: {', '.join(rest)}")
    units = {"attempts": "attempt", "working_days": "working day", "channels": "channel"}
    if give_up:
        told = ", ".join(_count(give_up[key], unit) for key, unit in units.items() if key in give_up)
        said.append(f"“No answer” not before {told}")
    return said


def _count(n: int, one: str) -> str:
    return f"{n} {one if n == 1 else f'{one}s'}"


# The form ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StepView:
    """One step of being late, as its row of the form."""

    n: int
    after: str
    do: str
    clock: str


@dataclass(frozen=True)
class Form:
    """What the form of a promise shows beside its plain fields."""

    hours: Mapping[str, str]
    start: str
    warns: Sequence[tuple[int, str]]
    steps: Sequence[StepView]
    stands: str
    everybody: bool
    lines = LINES
    own = OWN
    choices_of_step = tuple(DO.items())
    choices_of_clock = tuple(FOR.items())
    choices_of_stands = STANDS

    @property
    def may_warn(self) -> bool:
        return len(self.warns) < MOST_WARNS

    @property
    def may_step(self) -> bool:
        return len(self.steps) < MOST_STEPS


def form(raw: Mapping[str, Json]) -> Form:
    """A promise as its form has it, wrong texts as typed."""
    return Form(
        {clock: hours_of(raw, clock) for clock in CLOCKS},
        ACCEPT if raw.get("first_touch_from") == ACCEPT else OFFER,
        [(i, _percent(share)) for i, share in enumerate(raw.get("warn") or [])],
        [
            StepView(i, time_words(step.get("after")), str(step.get("do", "")), str(step.get("clock") or ""))
            for i, step in enumerate(raw.get("late") or [])
        ],
        "touch" if raw.get("snooze_after_touch") else "",
        not raw.get("when"),
    )


def _percent(share: Json) -> str:
    return str(round(share * 100)) if isinstance(share, int | float) else str(share)


def typed(field: Field, raw: Json, value: Json) -> str:
    """A field's value as it stands in its input."""
    if field.kind == "time":
        return time_words(value, hours_of(raw, field.name))
    return "" if value is None else str(value)


def read(raw: Json, data: QueryDict, dotted: str) -> list[Fault]:
    """Put what the form says into the promise; wrong texts stay as typed and are told at their place."""
    faults: list[Fault] = []
    _read_hours(raw, data)
    for clock in CLOCKS:
        if clock in data:
            raw[clock] = _read_time(data.get(clock, ""), hours_of(raw, clock), f"{dotted}.{clock}", 1, faults)
    if data.get("first_touch_from") in (OFFER, ACCEPT):
        _keep(raw, "first_touch_from", data["first_touch_from"], OFFER)
    if data.get("stands") in ("", "touch"):
        _keep(raw, "snooze_after_touch", data["stands"] == "touch", False)
    if "warn.n" in data:
        raw["warn"] = _read_warns(data, f"{dotted}.warn", faults)
    if "late.n" in data:
        raw["late"] = _read_steps(raw, data, f"{dotted}.late", faults)
    return faults


def reshaped(raw: Json, act: str) -> None:
    """One more empty row, or one less; an empty row of the form is left out when it is read."""
    if act == "warn":
        raw["warn"] = [*(raw.get("warn") or []), ""]
    elif act == "step":
        last = (raw.get("late") or [{"after": 0}])[-1].get("after")
        after = last + 60 if isinstance(last, int) else 60
        raw["late"] = [*(raw.get("late") or []), {"after": after, "do": "exception"}]
    elif act == "everybody":
        raw["when"] = None
    elif act == "some":
        raw["when"] = {"handoff": "letter", "op": "is", "value": "A"}
    for name in ("warn", "late"):
        way, _, text = act.partition(":")
        rows, place = raw.get(name) or [], whole(text)
        if way == f"drop-{name}" and place is not None and place < len(rows):
            raw[name] = [row for i, row in enumerate(rows) if i != place]


def tidy(raw: Json) -> None:
    """Leave out what says no more than the house does anyway, so that equal promises are equal texts."""
    for name in OWN_TERMS:
        own = {key: value for key, value in (raw.get(name) or {}).items() if value is not None}
        _keep(raw, name, own, {})


def _read_hours(raw: Json, data: QueryDict) -> None:
    known = dict(HOURS)
    hours = dict(raw.get("hours") or {})
    hours |= {c: data[f"hours.{c}"] for c in CLOCKS if data.get(f"hours.{c}") in known}
    _keep(raw, "hours", {clock: ALWAYS for clock in CLOCKS if hours.get(clock) == ALWAYS}, {})


def _keep(raw: Json, name: str, value: Json, usual: Json) -> None:
    if value == usual:
        raw.pop(name, None)
    else:
        raw[name] = value


def _read_time(text: str, hours: str, path: str, low: int, faults: list[Fault]) -> Json:
    value = read_time(text, hours)
    if value is None:
        days = " or 2 days" if hours in DAY else ""
        faults.append(Fault(path, f"Write a time such as 15 min, 4 h{days}."))
        return copy.copy(text.strip())
    if not low <= value <= LONGEST:
        faults.append(Fault(path, f"A time from {low} min to {_promised(LONGEST, hours)} is expected here."))
    return value


def _read_warns(data: QueryDict, path: str, faults: list[Fault]) -> list[Json]:
    found: list[Json] = []
    for i in range(_rows(data, "warn.n", MOST_WARNS)):
        text = data.get(f"warn.{i}", "").strip().removesuffix("%").strip()
        if not text:
            continue
        share = whole(text, 1, 99)
        if share is None:
            faults.append(Fault(path, f"“{text[:20]}” is no share: write a whole number from 1 to 99."))
            found.append(text)
        else:
            found.append(share / 100)
    sound = [share for share in found if not isinstance(share, str)]
    if any(after <= before for before, after in pairwise(sound)):
        faults.append(Fault(path, "Write the warnings in the order of their times, each once."))
    return found


def _read_steps(raw: Json, data: QueryDict, path: str, faults: list[Fault]) -> list[Json]:
    found: list[Json] = []
    for i in range(_rows(data, "late.n", MOST_STEPS)):
        text, do = data.get(f"late.{i}.after", "").strip(), data.get(f"late.{i}.do", "")
        if not text and not do:
            continue
        clock = data.get(f"late.{i}.clock", "")
        own: list[Fault] = []
        after = _read_time(text or "0", step_hours(raw, clock), path, 0, own)
        faults += [Fault(path, f"Step {len(found) + 1}: {fault.message}") for fault in own]
        step: dict[str, Json] = {"after": after, "do": do if do in STEPS else "exception"}
        if clock in CLOCKS:
            step["clock"] = clock
        found.append(step)
    return found


def _rows(data: QueryDict, name: str, most: int) -> int:
    text = data.get(name, "")
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 4 else 0
