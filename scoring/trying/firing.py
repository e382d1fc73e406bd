"""One lead by one version: which criteria fire, for how much, by what, and where the lead goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from scoring import current as applied
from scoring import explanation, rows
from scoring.current import Current
from scoring.document import GROUPS
from scoring.engine import WITH_SALES, Row
from scoring.explanation import Explanation, Fire, Line
from scoring.models import Agreement


@dataclass(frozen=True)
class Tried:
    """What one version says of one lead at one instant. `why_not`: what keeps it from sales, in words."""

    agreement: Agreement
    told: Explanation
    fires: Sequence[Fire]
    goes: bool
    why_not: Sequence[str]
    tracks: Sequence[str]
    personas: Sequence[str]

    @property
    def by_criterion(self) -> dict[str, Fire]:
        return {fire.criterion: fire for fire in self.fires}

    def limits(self, group: str) -> list[Line]:
        """The cuts and roundings of a group, with which its criteria add up to its points."""
        return [line for line in self.told.lines if line.group == group and not line.criterion]


@dataclass(frozen=True)
class Beside:
    """One criterion in both versions; None where a version does not have it."""

    criterion: str
    text: str
    one: Fire | None
    other: Fire | None

    @property
    def evidence(self) -> str:
        found = next((fire for fire in (self.one, self.other) if fire and fire.evidence), None)
        return found.evidence if found else ""

    @property
    def fires(self) -> bool:
        return any(fire is not None and fire.holds for fire in (self.one, self.other))

    @property
    def look(self) -> str:
        """up · down · "": whether the first version gives more points than the other."""
        mine, theirs = (fire.points if fire else Decimal(0) for fire in (self.one, self.other))
        return "up" if mine > theirs else "down" if mine < theirs else ""


def tried(lead_id: int, agreement: Agreement, at: datetime) -> Tried | None:
    """The lead by this version at `at`; None when there was no such lead then."""
    now = applied.of(agreement)
    found = explanation.fires(lead_id, at, now)
    if found is None:
        return None
    told, fires = found
    row = _row(lead_id, at, now)
    reasons = _why_not(row, told, agreement) if row else ["There is no such lead."]
    document = now.program.document
    tracks = [t.text for t in document.thresholds.fast_tracks if t.n in told.thresholds.fast_tracks]
    return Tried(agreement, told, fires, not reasons, reasons, tracks, _personas(lead_id, at, now))


def _row(lead_id: int, at: datetime, now: Current) -> Row | None:
    found = rows.run(now.program.score("subjects", present=True), ([lead_id], [lead_id], [at], [at]))
    return Row._make(found[0]) if found else None


def _personas(lead_id: int, at: datetime, now: Current) -> list[str]:
    names = []
    for persona in now.program.document.personas:
        if not persona.condition:
            continue
        statement = now.program.match(persona.condition, "subjects")
        if rows.run(statement, ([lead_id], [lead_id], [at], [at])):
            names.append(persona.name)
    return names


def _why_not(row: Row, told: Explanation, agreement: Agreement) -> list[str]:
    if told.excluded_by:
        return [f"Left out, not a lead: {told.excluded_by}"]
    reasons = []
    if row.stage in WITH_SALES:
        reasons.append("It is with sales already, or waits there for room.")
    if not row.sales and not row.track:
        missing = list(told.thresholds.missing) if row.mql else []
        reasons.append("It is below the bar for sales" + (f": {'; '.join(missing)}." if missing else "."))
        if not row.mql and told.thresholds.missing:
            reasons.append(f"It is no MQL either: {'; '.join(told.thresholds.missing)}.")
    elif not row.fresh:
        days = applied.of(agreement).program.document.thresholds.fresh_days
        reasons.append(
            f"Nothing new: in the last {days} days it did nothing, and no fact that counts changed."
        )
    if row.hold is not None:
        reasons.append("It waits: after sales' answer it comes back only with the evidence that was agreed.")
    return reasons


def beside(one: Tried, other: Tried | None) -> list[tuple[str, str, list[Beside]]]:
    """The criteria of both versions by group: (group, its words, criteria in the order of the document)."""
    mine, theirs = one.by_criterion, other.by_criterion if other else {}
    made = []
    for group in GROUPS:
        keys = [f.criterion for f in one.fires if f.group == group]
        keys += [
            f.criterion
            for f in (other.fires if other else ())
            if f.group == group and f.criterion not in mine
        ]
        lines = []
        for key in keys:
            fire = mine.get(key) or theirs[key]
            lines.append(Beside(key, fire.text, mine.get(key), theirs.get(key)))
        made.append((group, explanation.GROUP_WORDS[group], lines))
    return made
