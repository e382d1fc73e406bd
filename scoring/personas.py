"""Which persona a lead is, by the agreement: for the lead page and for what sales reads at an offer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.sql import SQL

from scoring import current
from scoring.conditions.compile import Compiler
from scoring.current import Current
from scoring.document import Persona
from scoring.which import Case, Cases


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


class _Personas(Cases):
    """Personas by number; negative: only the twin holds."""

    def numbers(self, compiler: Compiler) -> Sequence[Case]:
        found: list[Case] = []
        numbered = list(enumerate(self.program.document.personas, start=1))
        for number, persona in numbered:
            if persona.condition:
                held, twin = compiler.condition(persona.condition), persona.not_ideal.condition
                if twin:
                    held = SQL("({} AND NOT {})").format(held, compiler.condition(twin))
                found.append((held, number))
        found += [
            (compiler.condition(persona.not_ideal.condition), -number)
            for number, persona in numbered
            if persona.not_ideal.condition
        ]
        return found


def of(lead_ids: Iterable[int], at: datetime, agreement: Current | None = None) -> dict[int, Seen]:
    """The persona of each lead that has one: the first that holds; else the first whose twin holds.

    Asked of the agreement in force (or a preview) unless one is given; one statement for all leads.
    """
    now = agreement or current.current()
    personas = now.program.document.personas if now else ()
    if now is None or not any(p.condition or p.not_ideal.condition for p in personas):
        return {}
    found = _Personas("personas", now.program).of(lead_ids, at)
    return {lead: Seen(personas[abs(number) - 1], number > 0) for lead, number in found.items()}
