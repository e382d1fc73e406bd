"""How fast sales answers, as the agreement writes it: one policy for each kind of lead.

Minutes are of working time unless the policy says that a clock runs around the clock. Whatever a policy
leaves out is as the house has it: working time, first contact from the offer, steps for every clock, and
sleep and giving up as agreed for all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from leadflow.errors import Fault

Json = Any

CLOCKS = ("accept", "first_touch", "next_attempt")
STEPS = ("notify", "reassign", "pool", "exception")
WORKING, ALWAYS = "working", "always"
OFFER, ACCEPT = "offer", "accept"
LONGEST = 480 * 60
MOST_WARNS, MOST_STEPS = 5, 8
# What a policy may say otherwise than the agreement does for all: member, smallest and largest.
OWN_TERMS: dict[str, dict[str, tuple[int, int]]] = {
    "snooze": {"times": (0, 20), "working_days": (1, 60)},
    "give_up": {"attempts": (1, 50), "working_days": (0, 100), "channels": (1, 5)},
}


@dataclass(frozen=True)
class Late:
    """What happens `after` minutes past due: do notify, reassign, pool or exception (the managers' list).

    `clock`: only when that promise is late, one of `CLOCKS`; "" for each of them.
    """

    after: int
    do: str
    clock: str = ""


@dataclass(frozen=True)
class Policy:
    """A promise of sales. `when` None: for everybody else; `warn` are shares of the way to the due."""

    key: str
    text: str
    accept: int
    first_touch: int
    next_attempt: int
    warn: tuple[float, ...] = ()
    late: tuple[Late, ...] = ()
    when: Mapping[str, Json] | None = field(default=None, hash=False)
    # The clocks that run around the clock, nights and holidays too.
    always: tuple[str, ...] = ()
    first_touch_from: str = OFFER
    # Whether a lead may sleep only once sales was in touch.
    snooze_after_touch: bool = False
    # Members of the agreement's `snooze` and `give_up` that are others for these leads.
    terms: Mapping[str, Mapping[str, int]] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, raw: Mapping[str, Json]) -> "Policy":
        """A policy as the agreement (or a handoff's frozen terms) writes it; never fails on a wrong value."""
        hours = _mapping(raw.get("hours"))
        return cls(
            key=str(raw.get("key", "")),
            text=str(raw.get("text") or ""),
            accept=_whole(raw.get("accept")),
            first_touch=_whole(raw.get("first_touch")),
            next_attempt=_whole(raw.get("next_attempt")),
            warn=tuple(float(w) for w in _list(raw.get("warn")) if _is_number(w)),
            late=tuple(
                Late(_whole(step.get("after")), str(step.get("do", "")), str(step.get("clock") or ""))
                for step in _list(raw.get("late"))
                if isinstance(step, Mapping)
            ),
            when=raw.get("when") or None,
            always=tuple(clock for clock in CLOCKS if hours.get(clock) == ALWAYS),
            first_touch_from=ACCEPT if raw.get("first_touch_from") == ACCEPT else OFFER,
            snooze_after_touch=raw.get("snooze_after_touch") is True,
            terms={
                name: {key: _whole(own[key]) for key in members if _is_whole(own.get(key))}
                for name, members in OWN_TERMS.items()
                if (own := _mapping(raw.get(name)))
            },
        )

    def frozen(self) -> dict[str, Json]:
        """As a handoff keeps it from its offer to its end; `of` reads it again."""
        found: dict[str, Json] = {
            "key": self.key,
            "text": self.text,
            "accept": self.accept,
            "first_touch": self.first_touch,
            "next_attempt": self.next_attempt,
            "warn": list(self.warn),
            "late": [
                {"after": step.after, "do": step.do} | ({"clock": step.clock} if step.clock else {})
                for step in self.late
            ],
        }
        if self.always:
            found["hours"] = dict.fromkeys(self.always, ALWAYS)
        if self.first_touch_from != OFFER:
            found["first_touch_from"] = self.first_touch_from
        if self.snooze_after_touch:
            found["snooze_after_touch"] = True
        return found

    def terms_for(self, content: Mapping[str, Json]) -> dict[str, Json]:
        """What of the agreement's terms is another for leads of this policy, whole."""
        return {name: {**_mapping(content.get(name)), **own} for name, own in self.terms.items() if own}


# What is wrong with it -------------------------------------------------------------------------------


def faults(policies: Json, *, complete: bool) -> Iterator[Fault]:
    """What keeps policies from being a promise, each told at its place; conditions are not looked at."""
    rows = [raw for raw in _list(policies) if isinstance(raw, Mapping)]
    if complete and not rows:
        yield Fault("sla", "Say how fast sales answers.")
    for i, raw in enumerate(rows):
        yield from _policy_faults(raw, f"sla[{i}]", complete)
        if not raw.get("when") and i + 1 < len(rows):
            yield Fault(
                f"sla[{i}].when",
                "This promise is for everybody, so that those after it never count."
                " Say for which leads it is, or move it to the end.",
            )
    if rows and rows[-1].get("when"):
        yield Fault(f"sla[{len(rows) - 1}].when", "The last promise must be for everybody else.")


def _policy_faults(raw: Mapping[str, Json], path: str, complete: bool) -> Iterator[Fault]:
    if complete and not str(raw.get("text") or "").strip():
        yield Fault(f"{path}.text", "Say in words for whom this promise is.")
    for name in CLOCKS:
        yield from _between(raw.get(name), f"{path}.{name}", 1, LONGEST)
    hours = raw.get("hours")
    for name, value in _mapping(hours).items():
        if name not in CLOCKS or value not in (WORKING, ALWAYS):
            yield Fault(f"{path}.hours.{name}", "A clock runs in working time or around the clock (always).")
    if hours is not None and not isinstance(hours, Mapping):
        yield Fault(f"{path}.hours", "Name the clock, then working or always.")
    if raw.get("first_touch_from") not in (None, OFFER, ACCEPT):
        yield Fault(f"{path}.first_touch_from", "First contact counts from the offer or from the acceptance.")
    if raw.get("snooze_after_touch") not in (None, True, False):
        yield Fault(f"{path}.snooze_after_touch", "Yes or no.")
    yield from _warn_faults(raw.get("warn"), f"{path}.warn")
    yield from _late_faults(raw.get("late"), f"{path}.late")
    for name, members in OWN_TERMS.items():
        own = raw.get(name)
        if own is not None and not isinstance(own, Mapping):
            yield Fault(f"{path}.{name}", f"Members of it: {', '.join(members)}.")
        for key, value in _mapping(own).items():
            if key not in members:
                yield Fault(f"{path}.{name}.{key}", f"One of {', '.join(members)}.")
            elif value is not None:
                yield from _between(value, f"{path}.{name}.{key}", *members[key])


def _warn_faults(warns: Json, path: str) -> Iterator[Fault]:
    if warns is None:
        return
    if not isinstance(warns, list | tuple) or not all(_is_number(w) and 0 < w < 1 for w in warns):
        yield Fault(path, "Warn at a share of the time, from 1 to 99 per cent.")
    elif len(warns) > MOST_WARNS:
        yield Fault(path, f"At most {MOST_WARNS} warnings: more are not read.")
    elif any(b <= a for a, b in pairwise(warns)):
        yield Fault(path, "Write the warnings in the order of their times, each once.")


def _late_faults(steps: Json, path: str) -> Iterator[Fault]:
    if steps is None:
        return
    if not isinstance(steps, list | tuple) or not all(isinstance(step, Mapping) for step in steps):
        yield Fault(path, "A list of steps is expected here.")
        return
    if len(steps) > MOST_STEPS:
        yield Fault(path, f"At most {MOST_STEPS} steps.")
    sound = True
    for i, step in enumerate(steps):
        found = list(_step_faults(step, f"{path}[{i}]", i + 1))
        sound = sound and not found
        yield from found
    if not sound:
        return
    afters = [_whole(step.get("after")) for step in steps]
    if any(b < a for a, b in pairwise(afters)):
        yield Fault(path, "Write the steps in the order of their times.")
    said = [(_whole(step.get("after")), step.get("do"), step.get("clock") or "") for step in steps]
    if len(set(said)) < len(said):
        yield Fault(path, "The same step stands here twice.")


def _step_faults(step: Mapping[str, Json], path: str, n: int) -> Iterator[Fault]:
    for fault in _between(step.get("after"), f"{path}.after", 0, LONGEST):
        yield Fault(fault.path, f"Step {n}: {fault.message}")
    if step.get("do") not in STEPS:
        yield Fault(f"{path}.do", f"Step {n}: one of {', '.join(STEPS)}.")
    if (step.get("clock") or "") not in ("", *CLOCKS):
        yield Fault(f"{path}.clock", f"Step {n}: one of {', '.join(CLOCKS)}, or none for each of them.")


def _between(value: Json, path: str, low: int, high: int) -> Iterator[Fault]:
    if not _is_whole(value) or not low <= value <= high:
        yield Fault(path, f"A whole number from {low:,} to {high:,} is expected here.")


def _is_whole(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Json) -> int:
    return value if _is_whole(value) else 0


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Json) -> Sequence[Json]:
    return value if isinstance(value, list | tuple) else ()
