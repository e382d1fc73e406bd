"""One writer per fact: no other file may write a lead's stage, a score, or a handoff's state."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("leadflow", "scoring", "handoff", "feedback")
CHANGES = {"update", "create", "bulk_create", "get_or_create", "update_or_create", "delete", "bulk_update"}


@dataclass(frozen=True)
class Fact:
    """What is written, under which names, and where alone."""

    model: str
    table: str
    columns: tuple[str, ...]
    writers: tuple[str, ...]
    # Related names through which a row of the model is reached.
    through: tuple[str, ...] = ()


FACTS = (
    Fact(
        "Lead",
        "leads_lead",
        ("stage", "level", "stage_since"),
        ("leadflow/leads/stages.py",),
        ("lead", "leads"),
    ),
    Fact("StageChange", "leads_stagechange", (), ("leadflow/leads/stages.py",), ("stage_changes",)),
    Fact("LeadScore", "scoring_leadscore", (), ("scoring/engine",), ("score",)),
    Fact("ScoreChange", "scoring_scorechange", (), ("scoring/engine",), ("score_changes",)),
    Fact(
        "Handoff",
        "handoff_handoff",
        ("state",),
        ("handoff/machine.py", "handoff/acts.py", "handoff/acting.py", "handoff/opening.py"),
        ("handoff", "handoffs"),
    ),
)
# A lead is born as a conversion where all its columns are written at once.
BIRTHS = {("leadflow/leads/taking.py", "Lead")}


def offences(source: str, path: str, fact: Fact) -> list[str]:
    """Lines of a file that write the fact."""
    if path.startswith(fact.writers) or (path, fact.model) in BIRTHS:
        return []
    return [f"{path}:{line}" for line in sorted(set(_lines(_parsed(source), fact)))]


@cache
def _parsed(source: str) -> ast.AST:
    return ast.parse(source)


def _lines(tree: ast.AST, fact: Fact) -> list[int]:
    found: list[int] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found += _call(node, fact)
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [t.lineno for t in targets if _assigns(t, fact)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _statement(node.value, fact):
            found.append(node.lineno)
    return found


def _call(node: ast.Call, fact: Fact) -> list[int]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    about = _about(node.func, fact)
    written = {k.arg for k in node.keywords}
    if name in CHANGES and about and (not fact.columns or written & set(fact.columns) or name == "delete"):
        return [node.lineno]
    if name in ("bulk_update", "save") and about and _names(node) & set(fact.columns):
        return [node.lineno]
    if name == fact.model and not fact.columns:
        return [node.lineno]
    if name == fact.model and written & set(fact.columns):
        return [node.lineno]
    return []


def _about(node: ast.AST, fact: Fact) -> bool:
    """Whether a chain of attributes and calls starts at the model or goes through its relation."""
    if isinstance(node, ast.Attribute):
        return node.attr in fact.through or _about(node.value, fact)
    if isinstance(node, ast.Call):
        return _about(node.func, fact)
    return isinstance(node, ast.Name) and (node.id == fact.model or node.id in fact.through)


def _assigns(target: ast.AST, fact: Fact) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return any(_assigns(t, fact) for t in target.elts)
    return isinstance(target, ast.Attribute) and target.attr in fact.columns and _about(target.value, fact)


def _names(node: ast.Call) -> set[str]:
    return {
        n.value
        for a in [*node.args, *[k.value for k in node.keywords]]
        for n in ast.walk(a)
        if isinstance(n, ast.Constant)
    }


def _statement(text: str, fact: Fact) -> bool:
    """Whether a text is SQL that writes the table (and one of the columns)."""
    folded = " ".join(text.lower().split())
    if not fact.columns:
        return any(f"{verb} {fact.table}" in folded for verb in ("insert into", "update", "delete from"))
    at = folded.find(f"update {fact.table}")
    if at < 0:
        return False
    sets = folded[at:].partition(" set ")[2].partition(" where ")[0]
    return any(f" {c} = " in f" {sets}" or f" {c}=" in f" {sets}" for c in fact.columns)


def files() -> list[Path]:
    return [
        p
        for room in ROOMS
        for p in (ROOT / room).rglob("*.py")
        if "migrations" not in p.parts and p.name != "models.py"
    ]


@pytest.mark.parametrize("fact", FACTS, ids=lambda f: f.model)
def test_nobody_else_writes_it(fact):
    found = [o for p in files() for o in offences(p.read_text(), p.relative_to(ROOT).as_posix(), fact)]
    assert not found, f"only {', '.join(fact.writers)} may write {fact.model} {fact.columns or ''}: {found}"


@pytest.mark.parametrize(
    ("fact", "line"),
    [
        (0, "lead.stage = 'mql'"),
        (0, "handoff.lead.stage = 'mql'"),
        (0, "Lead.objects.filter(pk=1).update(stage='mql', name='x')"),
        (0, "Lead(stage='mql')"),
        (0, "cursor.execute('UPDATE leads_lead l SET name = 1, stage = %s WHERE id = 2')"),
        (0, "Lead.objects.bulk_update(rows, ['stage'])"),
        (1, "StageChange.objects.create(lead=1)"),
        (1, "lead.stage_changes.create(to_stage='mql')"),
        (2, "cursor.execute('INSERT INTO scoring_leadscore SELECT 1')"),
        (2, "LeadScore.objects.filter(pk=1).delete()"),
        (3, "ScoreChange.objects.bulk_create([])"),
        (4, "handoff.state = 'won'"),
        (4, "Handoff.objects.select_for_update().filter(pk=1).update(state='won')"),
    ],
)
def test_the_search_finds_a_foreign_writer(fact, line):
    assert offences(line, "feedback/sneaky.py", FACTS[fact])
    assert not offences(line, FACTS[fact].writers[0], FACTS[fact])


@pytest.mark.parametrize(
    ("fact", "line"),
    [
        (0, "Lead.objects.filter(stage='mql').update(name='x')"),
        (0, "job.state = 'x'\nif lead.stage == 'mql': pass"),
        (2, "LeadScore.objects.filter(total__gt=1)"),
        (4, "Handoff.objects.filter(state='won').update(note='x')\njob.state = 'done'"),
        (0, "cursor.execute('UPDATE leads_lead l SET name = 1 WHERE stage = 2')"),
    ],
)
def test_reading_is_free(fact, line):
    assert not offences(line, "feedback/reader.py", FACTS[fact])
