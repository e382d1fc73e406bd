"""A part of the agreement as a form: what stands in its fields and what is wrong with them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leadflow.errors import Fault
from scoring.editing import parts, tree
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
    choices = choices or tree.choices_for(desk.document)
    raw = found.raw if raw is None else raw
    mine = [f for f in faults if f.path.startswith(found.dotted)]
    rest = [f.message for f in faults if f not in mine]
    fields = []
    for one in found.shape.fields(raw, desk.document):
        path = f"{found.dotted}.{one.name}".strip(".")
        errors = [
            f for f in mine if f.path == path or (one.name == "decay.days" and f.path.endswith(".decay"))
        ]
        mine = [f for f in mine if f not in errors]
        value = parts.get(raw, one.name)
        chosen = [str(v) for v in value] if isinstance(value, list) else ()
        error = " ".join(f.message for f in errors)
        fields.append(FieldView(one, parts.typed(one, raw), f"f-{one.name.replace('.', '-')}", error, chosen))
    trees = []
    for tree_ in found.shape.trees(raw):
        condition, path = parts.get(raw, tree_.name), f"{found.dotted}.{tree_.name}"
        errors = [f for f in mine if f.path.startswith(path)]
        mine = [f for f in mine if f not in errors]
        name = parts.tree_name(tree_)
        node = tree.view(condition, name, path, tree_.scope, choices, errors)
        lost = [f.message for f in errors if f.message not in _shown(node)]
        rest += lost
        trees.append(TreeView(tree_, name, node, tree_.optional and not condition))
    measure, bands = None, []
    if raw.get("mode") == "bands":
        path = f"{found.dotted}.of"
        errors = [f for f in mine if f.path.startswith(path)]
        mine = [f for f in mine if f not in errors]
        measure = tree.measure_view(raw.get("of"), "o", path, choices, errors)
        bands = [(i, str(pair[0]), str(pair[1])) for i, pair in enumerate(raw.get("bands") or [])]
    change = desk.change(found)
    was = "; ".join(f"{s.label.lower()} {s.was}" for s in change.steps if s.was) if change else ""
    return FormView(
        found if new else Part(found.shape, found.key, found.path, raw),
        new,
        base or found.mark,
        fields,
        trees,
        measure,
        bands,
        [*rest, *dict.fromkeys(f.message for f in mine)],
        was,
        str(raw.get("group") or "") if isinstance(raw, Mapping) else "",
        str(raw.get("mode") or "") if found.kind == "criterion" else "",
        clashes,
        rival,
        {one.field.name: one for one in fields},
    )


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
