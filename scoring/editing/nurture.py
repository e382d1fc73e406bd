"""Tracks and reasons in the editor: steps as rows with the mail they send, and what a reason brings about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from leadflow.errors import Fault
from leadflow.numbers import whole
from scoring.conditions.explain import Words
from scoring.consequence import follows
from scoring.document import PLACES, STEP_KINDS, Document
from scoring.editing.parts import Field, Part

Json = Any

MOST_STEPS = 20
LAST_DAY = 730
LONGEST = {"text": 200, "body": 5_000, "link": 500}
# What stands beside each kind of step: the label of its text, and whether it has a mail.
KINDS: dict[str, tuple[str, str, bool]] = {
    "email": ("E-mail", "Subject", True),
    "webinar": ("Webinar invitation", "Subject", True),
    "task": ("Somebody does it", "What to do", False),
    "audience": ("Audience, for other tools", "Name of the audience", False),
}
# Of a reason's fields its sentence tells all but these.
BESIDE = ("Counts as", "Asks for a note of so many characters", "Only after the agreed attempts")
PLACEHOLDERS = "{first_name}, {name}, {company}, {title}, {link}"


@dataclass(frozen=True)
class StepRow:
    """A step as it is edited."""

    n: int
    day: str
    kind: str
    text: str
    body: str
    link: str

    @property
    def label(self) -> str:
        return KINDS.get(self.kind, KINDS["email"])[1]

    @property
    def mails(self) -> bool:
        return KINDS.get(self.kind, KINDS["email"])[2]


@dataclass(frozen=True)
class Form:
    """A track as it is edited."""

    steps: Sequence[StepRow]
    kinds: Sequence[tuple[str, str]]
    may_add: bool
    placeholders: str = PLACEHOLDERS


def fields(raw: Json, document: Document) -> list[Field]:
    """The fields of a track."""
    personas = tuple((persona.key, persona.name or persona.key) for persona in document.personas)
    found = [
        Field("name", "Name", need=True, limit=80),
        Field("steps", "Steps", "steps"),
        Field("start.places", "Starts by itself for leads at", "many", choices=tuple(PLACES.items())),
    ]
    if personas:
        found.append(Field("start.personas", "and only if they are", "many", choices=personas))
    return found


def form(raw: Json) -> Form:
    """A track's steps for the form."""
    steps = [
        StepRow(
            n,
            str(step.get("day", "")),
            str(step.get("kind") or "email"),
            str(step.get("text") or ""),
            str(step.get("body") or ""),
            str(step.get("link") or ""),
        )
        for n, step in enumerate(raw.get("steps") or [])
    ]
    kinds = [(kind, words[0]) for kind, words in KINDS.items()]
    return Form(steps, kinds, len(steps) < MOST_STEPS)


def read(raw: Json, data: QueryDict, dotted: str) -> list[Fault]:
    """Take the steps from the form; what is wrong is told and stays as typed."""
    count = whole(data.get("steps.n"))
    if count is None:
        return []
    steps = [_step(data, f"steps.{n}") for n in range(min(count, MOST_STEPS))]
    raw["steps"] = steps
    wrong = [words for n, step in enumerate(steps, 1) for words in _wrong(step, n)]
    days = [step["day"] for step in steps if isinstance(step["day"], int)]
    if days != sorted(set(days)):
        wrong.append("Each step needs a later day than the one before.")
    return [Fault(f"{dotted}.steps", " ".join(dict.fromkeys(wrong)))] if wrong else []


def _step(data: QueryDict, name: str) -> dict[str, Json]:
    given = {
        key: data.get(f"{name}.{key}", "").replace("\r\n", "\n").replace("\x00", "").strip()
        for key in ("day", "kind", "text", "body", "link")
    }
    day = given["day"]
    kind = given["kind"] if given["kind"] in STEP_KINDS else "email"
    step: dict[str, Json] = {
        "day": int(day) if day.isascii() and day.isdigit() and len(day) < 6 else day,
        "kind": kind,
        "text": given["text"],
    }
    if KINDS[kind][2]:
        step |= {key: given[key] for key in ("body", "link") if given[key]}
    return step


def _wrong(step: Mapping[str, Json], n: int) -> list[str]:
    label, mails = KINDS[step["kind"]][1], KINDS[step["kind"]][2]
    found = []
    if not isinstance(step["day"], int) or not 0 <= step["day"] <= LAST_DAY:
        found.append(f"Step {n}: write the day as a number from 0 to {LAST_DAY}.")
    if not step["text"]:
        found.append(f"Step {n}: {label.lower()} is missing.")
    if mails and not step.get("body"):
        found.append(f"Step {n}: write what the mail says.")
    found += [
        f"Step {n}: the {'mail' if key == 'body' else label.lower() if key == 'text' else 'link'} is longer "
        f"than {most} characters."
        for key, most in LONGEST.items()
        if len(str(step.get(key) or "")) > most
    ]
    link = str(step.get("link") or "")
    if link and not link.startswith(("https://", "http://")):
        found.append(f"Step {n}: the link begins with https://.")
    return found


def reshaped(raw: Json, act: str) -> None:
    """A step more, a step less, or a step one place up."""
    steps = raw.setdefault("steps", [])
    if act == "step" and len(steps) < MOST_STEPS:
        last = steps[-1]["day"] if steps and isinstance(steps[-1].get("day"), int) else 0
        steps.append({"day": last + 7 if steps else 1, "kind": "email", "text": ""})
        return
    name, _, number = act.partition(":")
    place = whole(number)
    if name == "drop-step" and place is not None and place < len(steps):
        del steps[place]


def tidy(raw: Json) -> None:
    """A track that starts by nothing has no start at all, as one that never had."""
    start = raw.get("start") or {}
    if not start.get("places"):
        raw.pop("start", None)


def words(value: Json) -> str:
    """The steps for people, with how much the mail of each says."""
    if not isinstance(value, list):
        return "–"
    return ", ".join(_words(step) for step in value) or "–"


def _words(step: Mapping[str, Json]) -> str:
    body, link = str(step.get("body") or ""), str(step.get("link") or "")
    kind = KINDS.get(str(step.get("kind")), KINDS["email"])[0].partition(",")[0].lower()
    more = f": “{body[:60].strip()}…” ({len(body.split())} words)" if body else ""
    return f"day {step.get('day')} {step.get('text')} ({kind}{more}{f' → {link}' if link else ''})"


def lines(found: Part, document: Document) -> list[str]:
    """A track as it is read: a line for what starts it by itself, one for each step."""
    track = Document({"tracks": [found.raw]}).tracks[0]
    said = []
    if track.start.places:
        names = {persona.key: persona.name for persona in document.personas}
        people = " or ".join(names.get(key, key) for key in track.start.personas)
        places = " or ".join(PLACES.get(place, place) for place in track.start.places)
        said.append(f"starts by itself for {places}{f', if they are {people}' if people else ''}")
    kinds = {kind: words_[0].partition(",")[0].lower() for kind, words_ in KINDS.items()}
    return [
        *said,
        *(f"day {step.day}, {kinds.get(step.kind, step.kind)}: {step.text}" for step in track.steps),
    ]


def reason_sentence(found: Part, document: Document, names: Words) -> str:
    """What a reason brings about, in the words that the rep reads too."""
    reason = Document({"reasons": [found.raw]}).reasons[0]
    return follows(reason, document, names)
