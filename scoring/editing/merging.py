"""Two people in one part of a draft: what each of them changed, and where both changed the same thing.

Like a merge of texts: what was there when the form was opened, what the other has saved since, what is in the
form now. Only what both changed, and differently, needs a person to choose.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scoring.conditions.explain import words_for
from scoring.document import Document
from scoring.editing import parts
from scoring.editing.parts import Part

Json = Any

RULE = "rule"
# How a criterion counts is one thing: half of it from one and half from the other would mean nothing.
_RULE_KEYS = ("mode", "condition", "points", "decay", "max_points", "max_per_day", "bands", "of")
_WHOLE = ("decay", "back")
_LABELS = {RULE: "How it counts", "decay": "Fading", "back": "Comes back with"}


@dataclass(frozen=True)
class Clash:
    """One thing that both changed: its name in the form, its label, and both values in words."""

    unit: str
    label: str
    theirs: str
    mine: str


def units(theirs: Part, mine: Json, document: Document) -> dict[str, tuple[str, ...]]:
    """The things of a part that are told apart in a merge, each with the members it consists of."""
    here = Part(theirs.shape, theirs.key, theirs.path, mine)
    names = [field.name for part in (theirs, here) for field in part.fields(document)]
    names += [tree.name for part in (theirs, here) for tree in part.trees()]
    if theirs.kind == "criterion" and _other_shape(theirs.raw, mine):
        return {RULE: _RULE_KEYS, **{n: (n,) for n in names if n.split(".")[0] not in _RULE_KEYS}}
    tops = [name.split(".")[0] if name.split(".")[0] in _WHOLE else name for name in names]
    return {name: (name,) for name in tops}


def merge(base: Json, theirs: Part, mine: Json, document: Document) -> tuple[Json, list[str]]:
    """The part with both people's changes, and the units where mine stands although theirs is another.

    `base`: the part as it was when the form was opened; None when nobody knows any more.
    """
    made, clashing = copy.deepcopy(mine), []
    for unit, members in units(theirs, mine, document).items():
        his, my = _read(theirs.raw, members), _read(mine, members)
        was = _read(base, members) if base is not None else None
        if his == my or (base is not None and his == was):
            continue
        if base is not None and my == was:
            _put(made, theirs.raw, members)
        else:
            clashing.append(unit)
    return made, clashing


def take(raw: Json, theirs: Part, unit: str, document: Document) -> Json:
    """The form's part with one thing as the other has it."""
    made = copy.deepcopy(raw)
    _put(made, theirs.raw, units(theirs, raw, document).get(unit, ()))
    return made


def clashes(theirs: Part, mine: Json, wanted: Sequence[str], document: Document) -> list[Clash]:
    """The chosen units in words, his and mine."""
    here = Part(theirs.shape, theirs.key, theirs.path, mine)
    return [
        Clash(unit, label, _said(theirs, unit, document), _said(here, unit, document))
        for unit in units(theirs, mine, document)
        if unit in wanted and (label := _label(here, unit, document))
    ]


def _other_shape(theirs: Json, mine: Json) -> bool:
    return theirs.get("mode") != mine.get("mode") or "bands" in (theirs.get("mode"), mine.get("mode"))


def _read(raw: Json, members: Sequence[str]) -> list[Json]:
    return [parts.get(raw, name) for name in members]


def _put(made: Json, source: Json, members: Sequence[str]) -> None:
    for name in members:
        parts.put(made, name, copy.deepcopy(parts.get(source, name)))


def _label(part: Part, unit: str, document: Document) -> str:
    if unit in _LABELS:
        return _LABELS[unit]
    labels = {field.name: field.label for field in part.fields(document)}
    labels |= {tree.name: tree.label for tree in part.trees()}
    return labels.get(unit, unit)


def _said(part: Part, unit: str, document: Document) -> str:
    words = words_for(document)
    if unit == RULE:
        return f"{parts.how(part.raw, words)}: {parts.points(part.raw)}"
    if unit == "decay":
        decay = part.raw.get("decay") or {}
        days = f" {decay.get('days')} days" if decay else ""
        return dict(parts.DECAYS).get(decay.get("kind", ""), "") + days
    if unit == "back":
        return parts.BACK_WORDS.get((part.raw.get("back") or {}).get("kind", ""), "")
    for field in part.fields(document):
        if field.name == unit:
            return parts.words_of(field, part.raw)
    return parts.said(parts.get(part.raw, unit), words)
