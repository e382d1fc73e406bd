"""A part of the agreement as a form: what stands in its fields and what is wrong with them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leadflow.errors import Fault
from scoring.editing import nurture, parts, sla, tree
from scoring.editing.merging import Clash
from scoring.editing.parts import Field, Part
from scoring.views.desk import Author, Desk

COUNTED = ("criterion", "exclusion")


@dataclass(frozen=True)
class FieldView:
    """One plain field of a form."""

    field: Field
    value: str
    id: str
    error: str = ""
    chosen: Sequence[str] = ()


@dataclass(frozen=True)
class TreeView:
    """One condition of a form."""

    shape: parts.Tree
    name: str
    node: tree.NodeView
    none: bool


@dataclass(frozen=True)
class FormView:
    """A part as it is edited."""

    part: Part
    new: bool
    base: str
    fields: Sequence[FieldView]
    trees: Sequence[TreeView]
    measure: tree.NodeView | None
    bands: Sequence[tuple[int, str, str]]
    faults: Sequence[str]
    was: str
    group: str
    mode: str = ""
    clashes: Sequence[Clash] = ()
    rival: Author | None = None
    by: Mapping[str, FieldView] = field(default_factory=dict)
    # A promise is told in sentences of its own.
    promise: sla.Form | None = None
    track: nurture.Form | None = None

    @property
    def counted(self) -> bool:
        """Whether the form tells how many leads its rule matches."""
        return self.part.kind in COUNTED

    @property
    def said_fields(self) -> list[FieldView]:
        """The fields within the sentence of a criterion."""
        shown = self.rule_fields
        return [f for f in self.fields if f not in shown]

    @property
    def wrong(self) -> list[tuple[str, str]]:
        """What is wrong: the id of the place where it is told, and the words."""
        said = self.said_fields
        found = [
            (f"{one.id}-error", f"{one.field.label}: {one.error}" if one in said else one.error)
            for one in self.fields
            if one.error
        ]
        nodes = [tree_.node for tree_ in self.trees] + ([self.measure] if self.measure else [])
        found += [(node.slot, " ".join(node.faults)) for top in nodes for node in _nodes(top) if node.faults]
        return found + ([("form-faults", " ".join(self.faults))] if self.faults else [])

    @property
    def rule_fields(self) -> list[FieldView]:
        """The fields that are not said within the sentence of a criterion."""
        if self.part.kind == "sla":
            return [f for f in self.fields if f.field.name == "text"]
        if self.part.kind == "track":
            return []
        if self.part.kind != "criterion":
            return list(self.fields)
        return [f for f in self.fields if f.field.name in ("text", "why", "on")]


def form_view(
    desk: Desk,
    found: Part,
    choices: tree.Choices | None = None,
    *,
    new: bool = False,
    raw: Any = None,
    faults: Sequence[Fault] = (),
    base: str = "",
    clashes: Sequence[Clash] = (),
    rival: Author | None = None,
) -> FormView:
    """A part as a form.

    `raw`: as somebody has it in the form, else as it stands; `base`: its mark when the form was opened.
    """
    choices = choices or tree.choices_for(desk.document)
    raw = found.raw if raw is None else raw
    left = _Faults(found, faults)
    fields = [_field_view(one, raw, left) for one in found.shape.fields(raw, desk.document)]
    trees = [_tree_view(one, raw, left, choices) for one in found.shape.trees(raw)]
    measure = _measure_view(raw, left, choices) if raw.get("mode") == "bands" else None
    pairs = (raw.get("bands") or []) if measure else []
    change = desk.change(found)
    return FormView(
        found if new else Part(found.shape, found.key, found.path, raw),
        new,
        base or found.mark,
        fields,
        trees,
        measure,
        [(i, str(pair[0]), str(pair[1])) for i, pair in enumerate(pairs)],
        left.messages(),
        "; ".join(f"{s.label.lower()} {s.was}" for s in change.steps if s.was) if change else "",
        str(raw.get("group") or "") if isinstance(raw, Mapping) else "",
        str(raw.get("mode") or "") if found.kind == "criterion" else "",
        clashes,
        rival,
        {one.field.name: one for one in fields},
        sla.form(raw) if found.kind == "sla" else None,
        nurture.form(raw) if found.kind == "track" else None,
    )


class _Faults:
    """The faults of a form, each handed to the place where it is told; what no place takes stands on top."""

    def __init__(self, found: Part, faults: Sequence[Fault]) -> None:
        self.dotted = found.dotted
        self.mine = [f for f in faults if _within(f.path, found.dotted)]
        self.rest = [f.message for f in faults if f not in self.mine]

    def take(self, *paths: str) -> list[Fault]:
        """Those at or below one of these places of the part."""
        wanted = [f"{self.dotted}.{path}".strip(".") for path in paths]
        taken = [f for f in self.mine if any(_within(f.path, path) for path in wanted)]
        self.mine = [f for f in self.mine if f not in taken]
        return taken

    def messages(self) -> list[str]:
        """What no place took."""
        return list(dict.fromkeys([*self.rest, *(f.message for f in self.mine)]))


def _within(path: str, place: str) -> bool:
    return not place or path == place or path.startswith((f"{place}.", f"{place}["))


def _field_view(one: Field, raw: Any, left: _Faults) -> FieldView:
    errors = left.take(one.name, "decay") if one.name == "decay.days" else left.take(one.name)
    value = parts.get(raw, one.name)
    chosen = [str(v) for v in value] if isinstance(value, list) else ()
    error = " ".join(f.message for f in errors)
    return FieldView(one, parts.typed(one, raw), f"f-{one.name.replace('.', '-')}", error, chosen)


def _tree_view(one: parts.Tree, raw: Any, left: _Faults, choices: tree.Choices) -> TreeView:
    condition, name = parts.get(raw, one.name), parts.tree_name(one)
    errors = left.take(one.name)
    node = tree.view(condition, name, f"{left.dotted}.{one.name}".strip("."), one.scope, choices, errors)
    shown = _shown(node)
    left.rest += [f.message for f in errors if f.message not in shown]
    return TreeView(one, name, node, one.optional and not condition)


def _measure_view(raw: Any, left: _Faults, choices: tree.Choices) -> tree.NodeView:
    path = f"{left.dotted}.of".strip(".")
    return tree.measure_view(raw.get("of"), "o", path, choices, left.take("of"))


def _shown(node: tree.NodeView) -> set[str]:
    found = set(node.faults)
    for item in node.items:
        found |= _shown(item)
    return found


def _nodes(node: tree.NodeView) -> Iterator[tree.NodeView]:
    """A condition's parts, the outermost first."""
    yield node
    for item in node.items:
        yield from _nodes(item)
