"""What is different between two versions, in words: "Job title has director: points +12 → +14"."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scoring.conditions.explain import Words, words_for
from scoring.document import Document
from scoring.editing import parts
from scoring.editing.parts import Part

Json = Any


@dataclass(frozen=True)
class Step:
    """One field that changed: its label, what it was and what it is."""

    label: str
    was: str
    now: str


@dataclass(frozen=True)
class Change:
    """One part that changed. how: new, removed, changed."""

    slot: str
    kind: str
    key: str
    tab: str
    title: str
    how: str
    steps: list[Step] = field(default_factory=list)
    note: str = ""

    @property
    def text(self) -> str:
        """The change as one line."""
        if self.how == "changed":
            said = "; ".join(
                f"{s.label.lower()} {s.was} → {s.now}" if s.was or s.now else s.label for s in self.steps
            )
            return f"{self.title}: {said}"
        return f"{self.title}: {self.how}{f', {self.note}' if self.note else ''}"


def between(old: Mapping[str, Json], new: Mapping[str, Json], like: Words | None = None) -> list[Change]:
    """Everything that `new` says otherwise than `old`, in the order of the document.

    `like`: words that were asked for a moment ago; without them, two queries.
    """
    if old == new:
        return []
    before, after = Document(old), Document(new)
    words, words_before = words_for(after, like), None
    found: list[Change] = []
    olds = {part.slot: part for part in parts.all_parts(old)}
    seen = set()
    for part in parts.all_parts(new):
        seen.add(part.slot)
        was = olds.get(part.slot)
        if was is None:
            found.append(_whole(part, "new", words))
        elif was.raw != part.raw:
            words_before = words_before or words_for(before, words)
            steps = _steps(was, part, before, after, words_before, words)
            found.append(Change(part.slot, part.kind, part.key, part.tab, part.title, "changed", steps))
    words_before = words_before or words
    found += [_whole(part, "removed", words_before) for slot, part in olds.items() if slot not in seen]
    return found + _orders(old, new)


def _orders(old: Mapping[str, Json], new: Mapping[str, Json]) -> list[Change]:
    """The groups whose criteria stand in another order, for reading only."""
    found = []
    for group, tab in parts.GROUP_TABS.items():
        before, after = (
            [c.get("id") for c in content.get("criteria") or [] if c.get("group") == group]
            for content in (old, new)
        )
        both = set(before) & set(after)
        if [k for k in before if k in both] != [k for k in after if k in both]:
            step = Step("for reading only", "", "")
            title = f"Order of the criteria: {parts.TABS[tab].lower()}"
            found.append(Change(f"order-{group}", "order", group, tab, title, "changed", [step]))
    return found


def _whole(part: Part, how: str, words: Words) -> Change:
    note = parts.points(part.raw) if part.kind == "criterion" else ""
    return Change(part.slot, part.kind, part.key, part.tab, part.title, how, [], note)


def _steps(
    was: Part, now: Part, before: Document, after: Document, words_before: Words, words: Words
) -> list[Step]:
    found: list[Step] = []
    fields = {f.name: f for f in [*was.fields(before), *now.fields(after)]}
    bands = now.kind == "criterion" and "bands" in (was.raw.get("mode"), now.raw.get("mode"))
    if bands and parts.points(was.raw) != parts.points(now.raw):
        found.append(Step("Points", parts.points(was.raw), parts.points(now.raw)))
    for name, one in fields.items():
        if (bands and name == "points") or parts.get(was.raw, name) == parts.get(now.raw, name):
            continue
        if name == "points" and now.kind == "criterion":
            found.append(Step("Points", parts.points(was.raw), parts.points(now.raw)))
        elif one.kind == "area" or (
            one.kind == "text" and name != "zone" and len(str(parts.get(was.raw, name) or "")) > 40
        ):
            found.append(
                Step(one.label, _short(parts.words_of(one, was.raw)), _short(parts.words_of(one, now.raw)))
            )
        else:
            found.append(Step(one.label, parts.words_of(one, was.raw), parts.words_of(one, now.raw)))
    for rule in {t.name: t for t in [*was.trees(), *now.trees()]}.values():
        left, right = parts.get(was.raw, rule.name), parts.get(now.raw, rule.name)
        if left != right:
            found.append(Step(rule.label, *_differ(left, right, words_before, words)))
    if bands and (was.raw.get("of") != now.raw.get("of") or _starts(was.raw) != _starts(now.raw)):
        found.append(Step("Measures", parts.how(was.raw, words_before), parts.how(now.raw, words)))
    return found or [Step("Rewritten", "", "")]


def _differ(left: Json, right: Json, before: Words, words: Words) -> tuple[str, str]:
    """What two conditions say otherwise, without what both say: of a long one the one number is read."""
    for key in ("all", "any"):
        olds, news = (one.get(key) if isinstance(one, Mapping) else None for one in (left, right))
        if not isinstance(olds, list) or not isinstance(news, list):
            continue
        gone = [item for item in olds if item not in news]
        new = [item for item in news if item not in olds]
        if len(gone) == len(new) == 1:
            return _differ(gone[0], new[0], before, words)
        if len(gone) < len(olds) and len(new) < len(news):
            joint = " and " if key == "all" else " or "
            return (
                joint.join(parts.said(item, before) for item in gone),
                joint.join(parts.said(item, words) for item in new) or ("" if gone else "in another order"),
            )
    return parts.said(left, before), parts.said(right, words)


def _starts(raw: Mapping[str, Json]) -> list[Json]:
    return [pair[0] for pair in raw.get("bands") or []]


def _short(text: str) -> str:
    return text if len(text) <= 90 else text[:88].rsplit(" ", 1)[0] + " …"
