"""The picture and the table of acts in docs/handoff.md, drawn from the table itself."""

from pathlib import Path

from handoff.models import CLOSED, State
from handoff.states import TABLE, Action, targets

BEGIN, END = "<!-- drawn from handoff/states.py: begin -->", "<!-- drawn from handoff/states.py: end -->"


def diagram() -> str:
    """The states and the acts between them, as Mermaid."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in TABLE.values():
        if row.name == "open":
            arrows.setdefault(("[*]", str(State.OFFERED)), []).append(row.name)
        elif row.name != "undo":
            for start in row.sources:
                for end in targets(row, start):
                    arrows.setdefault((str(start), str(end)), []).append(row.name)
    lines = ["```mermaid", "stateDiagram-v2"]
    for (source, target), names in arrows.items():
        lines.append(f"    {source} --> {target}: {', '.join(names)}")
    lines += [f"    {state.value} --> [*]" for state in CLOSED]
    return "\n".join([*lines, "```"])


def table() -> str:
    """Every act: from, to, who, what it needs."""
    lines = ["| act | from | to | who | needs |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.name.replace('_', ' ')} | {_from(row)} | {row.target.value if row.target else 'stays'} "
        f"| {', '.join(str(who) for who in row.who)} | {', '.join(row.needs) or '–'} |"
        for row in TABLE.values()
    ]
    return "\n".join(lines)


def _from(row: Action) -> str:
    if not row.sources:
        return "–"
    return "any" if len(row.sources) == len(State) else ", ".join(state.value for state in row.sources)


def drawn(text: str) -> str:
    """The document with a fresh picture between its two marks. Raises ValueError without them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the document has lost its marks")
    return f"{before}{BEGIN}\n\n{diagram()}\n\n{table()}\n\n{END}{after}"


def redraw(path: Path) -> bool:
    """Bring the document up to date; whether it changed."""
    old = path.read_text(encoding="utf-8")
    new = drawn(old)
    path.write_text(new, encoding="utf-8")
    return new != old
