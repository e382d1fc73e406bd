"""What becomes of a batch of rows: which were taken, which were known, which were refused and why."""

from dataclasses import dataclass, field

from leadflow.errors import Fault
from leadflow.leads.taking import Person


@dataclass(frozen=True)
class Rejected:
    """A row that was not taken: its place in the input and everything that is wrong with it."""

    index: int
    errors: list[Fault]


@dataclass
class Result:
    """What became of a batch.

    `accepted`: upsert: the lead of each good row, in input order; activities: the ids of the new rows.
    `lead_of`: the lead of each good row by its index (activities that wait on a visitor have none).
    `duplicate`: indexes of activities that were known already.
    `early`: indexes of outcomes dated before their lead was known.
    """

    accepted: list[int] = field(default_factory=list)
    created: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    duplicate: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    lead_of: dict[int, int] = field(default_factory=dict)
    early: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Clashed:
    """A row that names two different leads."""

    index: int
    one: Person
    other: Person
