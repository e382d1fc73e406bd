"""The first page of the agreement: what the words mean, whom we look for, and the stages as one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leadflow.leads.models import Stage
from scoring.agreements import DEFINITIONS
from scoring.editing import parts
from scoring.editing.parts import Part
from scoring.views.desk import Desk

Json = Any
LONGEST = 110
# What moves a lead to the stages that no condition of their own opens.
WHEN = {
    Stage.CONVERSION: "gave a name: by a form, a badge or a list",
    Stage.OPPORTUNITY: "sales qualifies the lead",
    Stage.CUSTOMER: "the deal is won",
    Stage.NURTURING: "sales’ answer gives the lead back, with a track or a date",
    Stage.DISQUALIFIED: "sales’ answer closes the lead",
}


@dataclass(frozen=True)
class StageLine:
    """One stage (or a level of a prospect) in the table."""

    part: Part
    name: str
    level: bool
    text: str
    owner: str
    when: Sequence[str]
    head: str
    mark: str


@dataclass(frozen=True)
class Rule:
    """A condition with its head: “all of these”."""

    head: str
    lines: Sequence[str]


@dataclass(frozen=True)
class PersonaCard:
    """A persona as a person reads it, beside the twin that only looks like it."""

    part: Part
    raw: Mapping[str, Json]
    lists: Sequence[tuple[str, Sequence[str]]]
    rule: Rule | None
    twin: Mapping[str, Json]
    twin_rule: Rule | None
    mark: str


@dataclass(frozen=True)
class Definition:
    """One of the seven words; `missing`: what to do about it before it is proposed."""

    label: str
    text: str
    missing: str


def stage_lines(desk: Desk) -> list[StageLine]:
    """Every stage and level in the order of the agreement."""
    return [_line(desk, part) for part in parts.parts_of(desk.agreement.content, "stage")]


def _line(desk: Desk, part: Part) -> StageLine:
    raw = part.raw
    head, when = _when(desk, raw)
    owner = dict(parts.OWNERS).get(str(raw.get("owner")), str(raw.get("owner") or ""))
    change = desk.change(part) if desk.editable else None
    return StageLine(
        part,
        part.title,
        bool(raw.get("level")),
        str(raw.get("text") or ""),
        owner,
        when,
        head,
        change.how if change else "",
    )


def _when(desk: Desk, raw: Mapping[str, Json]) -> tuple[str, Sequence[str]]:
    stage, bars = str(raw.get("stage") or ""), desk.document.thresholds
    if raw.get("condition"):
        return parts.outline(raw["condition"], desk.words)
    if raw.get("level"):
        return "", ["always: the lowest level"]
    if stage == Stage.MQL and bars.mql_when:
        return _short(parts.outline(bars.mql_when, desk.words))
    if stage == Stage.SALES_QUALIFIED and bars.sales_when:
        head, lines = _short(parts.outline(bars.sales_when, desk.words))
        fast = [f"or at once: {track.text}" for track in bars.fast_tracks]
        return head, [*lines, *fast]
    if stage == Stage.EXCLUDED:
        return "whatever the points say", [x.text for x in desk.document.exclusions if x.on]
    return "", [text for key, text in WHEN.items() if key == stage]


def _short(told: tuple[str, Sequence[str]]) -> tuple[str, list[str]]:
    """The bars stand in full under Thresholds; here a long line is cut."""
    head, lines = told
    return head, [line if len(line) <= LONGEST else f"{line[:LONGEST].rsplit(' ', 1)[0]} …" for line in lines]


def persona_cards(desk: Desk) -> list[PersonaCard]:
    """Every persona with its twin."""
    return [_card(desk, part) for part in parts.parts_of(desk.agreement.content, "persona")]


def _card(desk: Desk, part: Part) -> PersonaCard:
    raw, twin = part.raw, part.raw.get("not_ideal") or {}
    lists = [
        (label, [str(line) for line in raw.get(name) or ()])
        for name, label in (
            ("pains", "What hurts"),
            ("goals", "What they want"),
            ("questions", "What they ask"),
        )
    ]
    change = desk.change(part) if desk.editable else None
    return PersonaCard(
        part,
        raw,
        [(label, lines) for label, lines in lists if lines],
        _rule(desk, raw.get("condition")),
        twin if twin.get("name") or twin.get("text") or twin.get("condition") else {},
        _rule(desk, twin.get("condition")),
        change.how if change else "",
    )


def _rule(desk: Desk, condition: Json) -> Rule | None:
    return Rule(*parts.outline(condition, desk.words)) if condition else None


def definitions(desk: Desk) -> list[Definition]:
    """The seven words that both sides must mean the same by."""
    part = parts.part(desk.agreement.content, "definitions", "all")
    labels = {field.name: field.label for field in part.fields(desk.document)} if part else {}
    said = desk.document.definitions
    return [
        Definition(
            labels.get(key, key),
            said.get(key, "").strip(),
            "" if said.get(key, "").strip() else f"Say what {words} is: without it nobody can propose.",
        )
        for key, words in DEFINITIONS.items()
    ]
