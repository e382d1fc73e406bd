"""Which persona a lead is, by the agreement: for the lead page and for what sales reads at an offer."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from psycopg2.sql import SQL, Composable

from scoring import current, rows
from scoring.conditions.compile import Compiler
from scoring.current import Current
from scoring.document import Persona
from scoring.program import Program
from scoring.rows import Statement

_statements: WeakKeyDictionary[Program, Statement] = WeakKeyDictionary()


@dataclass(frozen=True)
class Seen:
    """The persona that a lead is, or (`ideal` false) the one that it only looks like."""

    persona: Persona
    ideal: bool

    @property
    def name(self) -> str:
        return self.persona.name if self.ideal else self.persona.not_ideal.name or self.persona.name

    def as_json(self) -> dict[str, Any]:
        """What is kept at an offer."""
        said = {"key": self.persona.key, "name": self.name, "ideal": self.ideal}
        if not self.ideal:
            return {**said, "text": self.persona.not_ideal.text}
        told = {"pains": self.persona.pains, "goals": self.persona.goals, "questions": self.persona.questions}
        return {**said, "text": self.persona.text, **{name: list(lines) for name, lines in told.items()}}


def of(lead_ids: Iterable[int], at: datetime, agreement: Current | None = None) -> dict[int, Seen]:
    """The persona of each lead that has one: the first that holds; else the first whose twin holds.

    Asked of the agreement in force (or a preview) unless one is given; one statement for all leads.
    """
    now = agreement or current.current()
    ids = list(lead_ids)
    personas = now.program.document.personas if now else ()
    if now is None or not ids or not any(p.condition or p.not_ideal.condition for p in personas):
        return {}
    found = rows.run(_statement(now.program), (ids, ids, [at] * len(ids), [at] * len(ids)))
    return {lead: Seen(personas[abs(which) - 1], which > 0) for lead, which in found if which}


def _statement(program: Program) -> Statement:
    made = _statements.get(program)
    if made is None:
        compiler = program.compiler(present=False)
        made = rows.build(
            compiler.columns,
            [],
            [SQL("b.lead"), _which(program, compiler)],
            source="subjects",
            zone=program.document.zone,
        )
        _statements[program] = made
    return made


def _which(program: Program, compiler: Compiler) -> Composable:
    """The number of the persona that holds; negative: only its twin does; 0: none."""
    cases: list[Composable] = []
    numbered = list(enumerate(program.document.personas, start=1))
    for number, persona in numbered:
        if persona.condition:
            twin = persona.not_ideal.condition
            held = compiler.condition(persona.condition)
            if twin:
                held = SQL("({} AND NOT {})").format(held, compiler.condition(twin))
            cases.append(SQL("WHEN {} THEN {}").format(held, SQL(str(number))))
    cases += [
        SQL("WHEN {} THEN {}").format(compiler.condition(persona.not_ideal.condition), SQL(str(-number)))
        for number, persona in numbered
        if persona.not_ideal.condition
    ]
    return SQL("CASE {} ELSE 0 END").format(SQL(" ").join(cases))
