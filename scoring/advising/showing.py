"""A finding as one would say it in a meeting."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scoring.advising.findings import KINDS
from scoring.backtesting.measures import Share
from scoring.backtesting.showing import GOALS, often, share
from scoring.conditions.explain import Words, criterion_sentence
from scoring.document import Criterion, Document
from scoring.models import AdvisorFinding

Json = Any


@dataclass(frozen=True)
class Shown:
    """A finding with its words: title, what the figures say, what one click would do, details."""

    row: AdvisorFinding
    title: str
    about: str
    says: str
    offer: str
    details: tuple[str, ...]

    @property
    def counted(self) -> bool:
        """Whether there are leads to show."""
        return bool(self.row.figures.get("matched", 1))

    @property
    def kind(self) -> str:
        return KINDS[self.row.kind]


@dataclass(frozen=True)
class Group:
    """Findings of one kind."""

    title: str
    findings: list[Shown]


def grouped(rows: list[AdvisorFinding], document: Document, words: Words) -> list[Group]:
    """The findings by kind, the gravest kind first."""
    found = [shown(row, document, words) for row in rows if row.kind in KINDS]
    return [
        Group(title, mine)
        for key, title in KINDS.items()
        if (mine := [s for s in found if s.row.kind == key])
    ]


def shown(row: AdvisorFinding, document: Document, words: Words) -> Shown:
    """One finding in words."""
    criterion = document.criterion(row.criterion) if row.criterion else None
    title = _text(criterion, row)
    about = _sentence(criterion, words)
    teller = {
        "nothing": _nothing,
        "overlap": _overlap,
        "contradict": _contradict,
        "loser": _loser,
        "points": _points,
        "candidate": _candidate,
    }[row.kind]
    return Shown(row, title, about, teller(row.figures, document), _offer(row, criterion), _details(row))


def _text(criterion: Criterion | None, row: AdvisorFinding) -> str:
    if criterion is None:
        return str(row.figures.get("text") or row.criterion)
    return criterion.text or criterion.id


def _sentence(criterion: Criterion | None, words: Words) -> str:
    return criterion_sentence(criterion, words) if criterion else ""


def _name(document: Document, key: Json) -> str:
    found = document.criterion(str(key))
    return f"“{found.text or found.id}”" if found else f"“{key}”"


def _leads(figures: Mapping[str, Json]) -> str:
    if figures["leads"] == figures["base"]:
        return f"{figures['leads']:,} leads"
    return f"{figures['leads']:,} leads (a sample of {figures['base']:,})"


def _nothing(figures: Mapping[str, Json], document: Document) -> str:
    if figures["matched"]:
        return f"Matches every one of {_leads(figures)}: it moves everybody by the same points."
    return f"Matches none of {_leads(figures)}."


def _overlap(figures: Mapping[str, Json], document: Document) -> str:
    return (
        f"Of {figures['either']:,} leads that match this or {_name(document, figures['other'])},"
        f" {figures['both']:,} match both: the same thing counts twice."
    )


def _contradict(figures: Mapping[str, Json], document: Document) -> str:
    return (
        f"{figures['both']:,} of {figures['smaller']:,} leads get {_signed(figures['points'])} here and"
        f" {_signed(figures['other_points'])} by {_name(document, figures['other'])}: one takes what the"
        " other gives."
    )


def _signed(points: int) -> str:
    return f"{points:+d}".replace("-", "−")


def _of(raw: Mapping[str, Json]) -> str:
    found: Share = share(raw)
    return f"{found.good:,} of {found.of:,}"


def _ends(figures: Mapping[str, Json]) -> str:
    did = GOALS[figures["goal"]].did
    against = often(share(figures["with"]), share(figures["all"]))
    told = f" ({against})" if against else ""
    return (
        f"Of the leads with it {_of(figures['with'])} {did}{told}, of those without it"
        f" {_of(figures['without'])}."
    )


def _decide(figures: Mapping[str, Json]) -> str:
    return f"{figures['decide']:,} of {figures['decided']:,} leads decide this"


def _loser(figures: Mapping[str, Json], document: Document) -> str:
    text = f"It gives up to {_signed(figures['points'])}, but speaks against a good end. {_ends(figures)}"
    return text + (f" {_worth(figures)}" if "worth" in figures else "")


def _points(figures: Mapping[str, Json], document: Document) -> str:
    return f"{_worth(figures)} {_ends(figures)}"


def _worth(figures: Mapping[str, Json]) -> str:
    low, high = figures["worth_low"], figures["worth_high"]
    given = f"It gives {figures['given']:g} points on average; " if "given" in figures else ""
    text = (
        f"{given}beside all other rules it is worth {_signed(figures['worth'])}"
        f" (between {_signed(low)} and {_signed(high)}; {_decide(figures)})."
    )
    return text[:1].upper() + text[1:]


def _candidate(figures: Mapping[str, Json], document: Document) -> str:
    return f"No rule uses it. {_ends(figures)}" + (f" {_worth(figures)}" if "worth" in figures else "")


def _offer(row: AdvisorFinding, criterion: Criterion | None) -> str:
    proposal = row.proposal
    if not proposal:
        return ""
    if proposal["op"] == "off":
        return "Switch it off in a draft"
    if proposal["op"] == "add":
        return f"Add it with {_signed(proposal['points'])} in a draft"
    points = proposal["set"].get("points")
    if points is None or criterion is None:
        return "Change its steps in a draft"
    return f"{_signed(criterion.points)} → {_signed(points)} in a draft"


def _details(row: AdvisorFinding) -> tuple[str, ...]:
    figures = row.figures
    lines = []
    if "low" in figures:
        low, high = 100 * figures["low"], 100 * figures["high"]
        lines.append(
            f"Difference of the two shares: between {low:+.0f} and {high:+.0f} points of a hundred"
            " (99 % interval after Newcombe)."
        )
    if "double" in figures:
        lines.append(
            "Points from a regularised logistic regression over all rules together, 95 % interval;"
            f" {figures['double']:.1f} points double the odds, so that all points together stay as large."
        )
    return tuple(lines)
