"""Who is left out as not a lead, and by which rule of the agreement."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from scoring import current
from scoring.conditions.compile import Compiler
from scoring.current import Current
from scoring.document import Exclusion
from scoring.which import Case, Cases


class _Exclusions(Cases):
    def numbers(self, compiler: Compiler) -> Sequence[Case]:
        rules = enumerate(self.program.document.exclusions, start=1)
        return [(compiler.condition(rule.condition), number) for number, rule in rules if rule.on]


def of(lead_ids: Iterable[int], at: datetime, agreement: Current | None = None) -> dict[int, Exclusion]:
    """The first rule that holds for each of these leads; leads for which none does are left out of it.

    Asked of the agreement in force (or a preview) unless one is given; one statement for all leads.
    """
    now = agreement or current.current()
    if now is None:
        return {}
    rules = now.program.document.exclusions
    found = _Exclusions("exclusions", now.program).of(lead_ids, at)
    return {lead: rules[number - 1] for lead, number in found.items()}
