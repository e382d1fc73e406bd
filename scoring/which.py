"""Which of several conditions of an agreement holds first for each lead: one statement for all leads."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from weakref import WeakKeyDictionary

from psycopg2.sql import SQL, Composable

from scoring import rows
from scoring.conditions.compile import Compiler
from scoring.program import Program
from scoring.rows import Statement

_statements: WeakKeyDictionary[Program, dict[str, Statement]] = WeakKeyDictionary()
Case = tuple[Composable, int]


class Cases:
    """Numbered conditions of one agreement, compiled once per program under a name of their own."""

    def __init__(self, name: str, program: Program) -> None:
        self.name, self.program = name, program

    def numbers(self, compiler: Compiler) -> Sequence[Case]:
        """The conditions with their numbers, in the order in which they are asked."""
        raise NotImplementedError

    def of(self, lead_ids: Iterable[int], at: datetime) -> dict[int, int]:
        """The number of the first that holds, for each lead for which one does."""
        ids = list(lead_ids)
        if not ids:
            return {}
        found = rows.run(self._statement(), (ids, ids, [at] * len(ids), [at] * len(ids)))
        return {lead: number for lead, number in found if number}

    def _statement(self) -> Statement:
        kept = _statements.setdefault(self.program, {})
        if self.name not in kept:
            compiler = self.program.compiler(present=False)
            cases = [SQL("WHEN {} THEN {}").format(held, SQL(str(n))) for held, n in self.numbers(compiler)]
            which = SQL("CASE {} ELSE 0 END").format(SQL(" ").join(cases)) if cases else SQL("0")
            kept[self.name] = rows.build(
                compiler.columns,
                [],
                [SQL("b.lead"), which],
                source="subjects",
                zone=self.program.document.zone,
            )
        return kept[self.name]
