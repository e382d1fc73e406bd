"""How many answers sales gave, by kind, reason and column; what share of the leads it took."""

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import date

from feedback.reports import said
from feedback.reports.base import Filters, share
from leadflow.errors import BadInput, Fault

BY = {
    "source": "Source",
    "campaign": "Campaign",
    "persona": "Persona",
    "rep": "Rep",
    "criterion": "Criterion",
    "period": "Period",
}
# Fewer answers than this and no share is judged.
FEW = 20
NOES = ("rejected", "returned")


@dataclass(frozen=True)
class Acceptance:
    """Of the leads that sales answered, how many it took; `low` and `high` bound the true share, per cent."""

    accepted: int
    rejected: int

    @property
    def answered(self) -> int:
        """How many were answered."""
        return self.accepted + self.rejected

    @property
    def rate(self) -> float | None:
        """Accepted of a hundred."""
        return share(self.accepted, self.answered)

    @property
    def interval(self) -> tuple[int, int]:
        """Between which whole percentages the true share probably lies (Wilson, 95 of 100)."""
        n, z = self.answered, 1.96
        if not n:
            return 0, 100
        p = self.accepted / n
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0, math.floor(100 * (middle - half) + 0.5)), min(
            100, math.floor(100 * (middle + half) + 0.5)
        )


@dataclass(frozen=True)
class Answers:
    """The count of answers by kind, reason and column.

    A lead stands in one column, but by criterion in each that gave it points: the columns overlap then.
    """

    # (kind, reason key, column key) → count
    counts: dict[tuple[str, str, str], int]
    names: dict[str, str]
    # (kind, reason key) → count of all
    totals: dict[tuple[str, str], int]
    # How many were rejected for who they are, timing or person.
    judged: int
    # Columns in the order of time rather than of size.
    in_time: bool = False
    # Columns share leads: those that sales accepts least come first.
    shared: bool = False

    @property
    def acceptance(self) -> Acceptance:
        """In all."""
        return self.of()

    def of(self, key: str | None = None) -> Acceptance:
        """Of one column (None: all)."""
        found = {kind: self.sum(kind=kind, key=key) for kind in ("accepted", "rejected")}
        return Acceptance(found["accepted"], found["rejected"])

    def sum(self, *, kind: str | None = None, reason: str | None = None, key: str | None = None) -> int:
        """Answers of a kind, a reason, a column; None leaves it open."""
        if key is None:
            return sum(n for (k, r), n in self.totals.items() if kind in (None, k) and reason in (None, r))
        return sum(
            n
            for (k, r, c), n in self.counts.items()
            if c == key and kind in (None, k) and reason in (None, r)
        )

    @property
    def reasons(self) -> list[str]:
        """Reasons of the noes, the most frequent first."""
        totals: dict[str, int] = defaultdict(int)
        for (kind, reason), n in self.totals.items():
            if kind in NOES:
                totals[reason] += n
        return sorted(totals, key=lambda r: (-totals[r], r))

    @property
    def columns(self) -> list[str]:
        """Columns, those with the most answers first; periods as they come."""
        totals: dict[str, int] = defaultdict(int)
        for (_, _, key), n in self.counts.items():
            totals[key] += n
        if self.in_time:
            return sorted(totals)
        if self.shared:
            found = {key: self.of(key) for key in totals}
            judged = [key for key in totals if found[key].answered >= FEW / 2]
            judged.sort(key=lambda c: (found[c].rate or 0, -totals[c], c))
            return judged + sorted(set(totals) - set(judged), key=lambda c: (-totals[c], c))
        return sorted(totals, key=lambda c: (-totals[c], self.names[c]))

    def noes(self, reason: str | None = None, key: str | None = None) -> int:
        """Rejected and given back."""
        return sum(self.sum(kind=kind, reason=reason, key=key) for kind in NOES)


def way(filters: Filters) -> str:
    """How the answers are grouped. BadInput for a way that is none."""
    by = filters.by or "source"
    if by not in BY:
        raise BadInput("Answers are not grouped by that.", [Fault("by", f"Choose one of {', '.join(BY)}.")])
    return by


def count(filters: Filters) -> Answers:
    """Count the answers of the period."""
    return _answers(filters, said.counts(filters, _column(filters)))[0]


def compared(filters: Filters, given: said.Points) -> tuple[Answers, Acceptance]:
    """The answers of the period, and the acceptance in the period of the same length before; one statement.

    `given` is what the rules gave to them (`said.points`).
    """
    found, was = _answers(filters, said.counts(filters, _column(filters), before=True), given)
    return found, Acceptance(was["accepted"], was["rejected"])


def _column(filters: Filters) -> str:
    """By criterion the columns overlap: what is counted in all comes from the answers themselves."""
    by = way(filters)
    return "source" if by == "criterion" else by


def _answers(
    filters: Filters, rows: list[said.Row], given: said.Points | None = None
) -> tuple[Answers, dict[str, int]]:
    by = way(filters)
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    names: dict[str, str] = {}
    totals: dict[tuple[str, str], int] = defaultdict(int)
    was: dict[str, int] = defaultdict(int)
    judged = 0
    for now, kind, reason, key, name, n, of_lead in rows:
        if not now:
            was[kind] += n
            continue
        counts[kind, reason, key] += n
        names[key] = max(names.get(key, ""), _name(by, name, filters))
        totals[kind, reason] += n
        judged += of_lead
    if by == "criterion":
        counts = defaultdict(int)
        for (kind, reason, _), one in (said.points(filters) if given is None else given).items():
            for rule, n in one.gave.items():
                counts[kind, reason, rule] += n
        names = said.words(filters, {rule for *_, rule in counts})
    return Answers(dict(counts), names, dict(totals), judged, by == "period", by == "criterion"), was


def _name(by: str, name: str, filters: Filters) -> str:
    if by != "period":
        return name
    day = date.fromisoformat(name)
    return f"week of {day.day} {day:%b}" if said.by_week(filters) else f"{day:%b %Y}"
