"""What sales says about the leads: accepted or not, why not, by source, campaign and rep; points wasted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import QuerySet

from feedback.reports import counted, said, summed
from feedback.reports.base import Figure, Filters, Report, Table, percent
from feedback.reports.counted import BY, FEW, NOES, Acceptance, Answers
from feedback.reports.cube import Listed, leads_of
from feedback.reports.told import JUDGED
from feedback.reports.wasted import Wasted, points_wasted
from leadflow.accounts.models import Team, User
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Lead
from scoring import agreements
from scoring.document import Document

NAME = "answers"
TITLE = "Sales’ answers"
ASKS = "What sales says about the leads, and which points were wasted."
ICON = "message-2"
DAYS = 28
TOO_EASY = 95
HOT = 0.16
COLUMNS_SHOWN = 8
MONTHS_SHOWN = 13


@dataclass(frozen=True)
class Terms:
    """What the agreement in force (or the draft) calls its reasons and tracks, and the agreed band."""

    reasons: dict[str, str]
    tracks: dict[str, str]
    band: tuple[int, int] = (70, 90)
    personas: dict[str, str] = field(default_factory=dict)
    # What each rule of the agreement is called, and those that it asks for now.
    criteria: dict[str, str] = field(default_factory=dict)


def current_terms() -> Terms:
    """Read them once for a page."""
    agreement = agreements.current()
    if agreement is None:
        return Terms({}, {})
    document = Document(agreement.content)
    return Terms(
        {reason.key: reason.text for reason in document.reasons},
        {track.key: track.name for track in document.tracks},
        document.acceptance_band,
        {persona.key: persona.name for persona in document.personas},
        {criterion.id: criterion.text or criterion.id for criterion in document.active_criteria},
    )


@dataclass(frozen=True)
class _Cell:
    """The leads behind a figure: an answer about them is in the column `key` of `by`, and `where` holds."""

    filters: Filters
    where: str
    by: str
    key: str
    bound: dict[str, Any]


KINDS = {
    "answered": ("accepted", "rejected"),
    "noes": NOES,
    "accepted": ("accepted",),
    "rejected": ("rejected",),
    "judged": ("rejected",),
}


def drill(cell: str, filters: Filters) -> QuerySet[Lead]:
    """The leads behind `kind.reason.column`; kind answered, accepted, rejected or noes, `*` for any.

    `points:criterion.kind` lists leads to whom a criterion gave points; `before.` takes the period before.
    """
    found = _read(cell, filters)
    return leads_of(said.leads(found.filters, found.where, found.by, found.key, **found.bound))


def listed(cell: str, filters: Filters, start: int, size: int) -> Listed:
    """A page of the leads behind a cell, and how many there are."""
    found = _read(cell, filters)
    return said.listed(found.filters, found.where, found.by, found.key, start, size, **found.bound)


def _read(cell: str, filters: Filters) -> _Cell:
    if cell.startswith("before."):
        return _read(cell.removeprefix("before."), replace(filters.before, at=filters.at))
    if cell.startswith("points:") and "\x00" not in cell:
        criterion, _, kind = cell.removeprefix("points:").partition(".")
        where = f"g.kind = %(kind)s AND (g.kind = 'accepted' OR ({JUDGED}))"
        return _Cell(filters, where, "criterion", criterion, {"kind": kind})
    kind, _, rest = cell.partition(".")
    reason, _, key = rest.partition(".")
    if kind not in KINDS or "\x00" in cell:
        raise BadInput("This figure is not in the report.", [Fault("cell", "Open it from the report.")])
    where = f"""g.kind = ANY(%(kinds)s) AND (%(of_reason)s IN ('', '*') OR g.reason_key = %(of_reason)s)
        AND ({JUDGED if kind == "judged" else "true"})"""
    by = counted.way(filters) if key.startswith("=") else ""
    return _Cell(filters, where, by, key[1:], {"kinds": list(KINDS[kind]), "of_reason": reason})


def words(cell: str, filters: Filters) -> str:
    """What a cell counts, for the head of the list of its leads."""
    period = filters
    if cell.startswith("before."):
        cell, period = cell.removeprefix("before."), filters.before
    texts = current_terms().reasons
    if cell.startswith("points:") and "\x00" not in cell:
        criterion, _, kind = cell.removeprefix("points:").partition(".")
        return f"{kind.capitalize()} leads with points from {criterion}, {period.words}"
    kind, _, rest = cell.partition(".")
    reason, _, key = rest.partition(".")
    done = {"answered": "answered", "noes": "not taken", "accepted": "accepted", "rejected": "rejected"}
    done["judged"] = "rejected for who they are, timing or person"
    why = f": {texts.get(reason, reason).lower()}" if reason not in ("", "*") else ""
    column = f", {counted.count(filters).names.get(key[1:], key[1:])}" if key.startswith("=") else ""
    return f"Sales’ answers: {done.get(kind, '')}{why}{column}, {period.words}"


def build(filters: Filters) -> Report:
    """The whole screen as a report."""
    return screen(filters, current_terms())[0]


def screen(filters: Filters, terms: Terms, people: Iterable[Team | User] = ()) -> tuple[Report, Answers]:
    """The report, and what it counted. `people`: teams and reps whose names need not be asked for."""
    texts = terms.reasons
    filters = summed.known(filters)
    given = said.points(filters)
    now, was = counted.compared(filters, given)
    wasted = points_wasted(filters, now, texts, given)
    report = Report(
        NAME,
        "What sales says",
        _population(filters, now, terms, people),
        "Accepted of a hundred answered = accepted ÷ (accepted + rejected). Given back later counts among "
        "the noes, not against acceptance. Points wasted: points at the offer of leads rejected for who they "
        "are, timing or person; the other reasons say nothing about the lead.",
        _say(now, terms),
        filters,
        empty=not now.counts,
    )
    report.tables = [_matrix(filters, now, texts), _points_table(wasted, now)]
    report.figures = [gauge(now.acceptance, was, terms.band)]
    return report, now


def _population(filters: Filters, now: Answers, terms: Terms, people: Iterable[Team | User]) -> str:
    names = {(type(one), one.pk): one.name for one in people}
    words = f"{now.acceptance.answered:,} answers of sales from {filters.words}"
    if filters.source:
        words += f", leads whose first source is {filters.source}"
    if filters.team:
        words += f", team {names.get((Team, filters.team)) or Team.objects.get(pk=filters.team).name}"
    if filters.campaign:
        words += f", campaign {filters.campaign}"
    if filters.persona:
        words += f", persona {terms.personas.get(filters.persona, filters.persona)}"
    if filters.criterion:
        words += f", with points from “{terms.criteria.get(filters.criterion, filters.criterion)}”"
    if filters.rep:
        words += f", answered by {names.get((User, filters.rep)) or User.objects.get(pk=filters.rep).name}"
    return words


def gauge(now: Acceptance, was: Acceptance, agreed: tuple[int, int]) -> dict[str, Any]:
    """The acceptance with its interval and the agreed band, for the picture and its words."""
    low, high = agreed
    return {
        "accepted": now.accepted,
        "answered": now.answered,
        "rate": now.rate,
        "interval": now.interval,
        "band": (low, high),
        "before": was.rate if was.answered >= FEW else None,
        "few": now.answered < FEW,
        "too_easy": now.rate is not None and now.rate > TOO_EASY,
    }


def _say(now: Answers, terms: Terms) -> list[tuple[str, str]]:
    found = now.acceptance
    if not found.answered:
        return [("Sales answered no lead in this period.", "")]
    pieces = [
        ("Sales answered ", ""),
        (f"{found.answered:,}", "answered.*"),
        (" offers and accepted " if found.answered != 1 else " offer and accepted ", ""),
        (f"{found.accepted:,}", "accepted.*"),
        (_judged(found, terms.band), ""),
    ]
    if now.reasons and now.noes() >= 3:
        first = now.reasons[0]
        pieces += [
            (f" “{terms.reasons.get(first, first)}” leads the noes: ", ""),
            (f"{now.noes(first)} of {now.noes()}", f"noes.{first}"),
            (_most_from(now, first), ""),
        ]
    return pieces


def _judged(found: Acceptance, band: tuple[int, int]) -> str:
    if found.answered < FEW:
        return f". {found.answered} {'answer' if found.answered == 1 else 'answers'}: too few to judge."
    low, high = band
    rate = found.rate or 0
    if rate < low:
        return f", less than the agreed {low} of 100."
    if rate > TOO_EASY:
        return f", more than {TOO_EASY} of 100: the bar is too low, or nobody reads."
    return ", inside the agreed band." if rate <= high else f", more than the agreed {high} of 100."


def _when(now: Answers, key: str) -> str:
    name = now.names[key]
    if not now.in_time:
        return f"from {name}"
    return f"in the {name}" if name.startswith("week") else f"in {name}"


def _most_from(now: Answers, reason: str) -> str:
    if now.shared:
        return "."
    by = {key: now.noes(reason, key) for key in now.columns}
    key = max(by, key=lambda k: by[k])
    if by[key] < 2 or len([k for k in by if by[k]]) < 2:
        return "."
    return f", {by[key]} of them {_when(now, key)}."


def _matrix(filters: Filters, now: Answers, texts: dict[str, str]) -> Table:
    by = BY[filters.by or "source"]
    shown = now.columns[-MONTHS_SHOWN:] if now.in_time else now.columns[:COLUMNS_SHOWN]
    rows = [
        [
            Figure(texts.get(reason, reason or "No reason")),
            *(_cell(now, reason, key) for key in shown),
            Figure(now.noes(reason), cell=f"noes.{reason or '*'}"),
        ]
        for reason in now.reasons
    ]
    total = now.acceptance
    foot = [
        Figure("Accepted of answered"),
        *(_rate(now.of(key), f"answered.*.={key}") for key in shown),
        _rate(total, "answered.*"),
    ]
    hidden = len(now.columns) - len(shown)
    note = f"{hidden} {'earlier' if now.in_time else 'smaller'} columns are not shown" if hidden else ""
    if filters.by == "criterion":
        note = " ".join(
            filter(
                None,
                [
                    "A lead stands in each rule that gave it points; the least accepted rules first.",
                    note,
                ],
            )
        )
    rejected = now.sum(kind="rejected")
    returned = now.sum(kind="returned")
    sub = (
        f"{rejected} rejected"
        + (f", {returned} given back later" if returned else "")
        + f", by reason and {by.lower()}"
    )
    return Table(
        "reasons",
        "Why they said no",
        ("Reason", *(now.names[key] for key in shown), "All"),
        rows,
        foot,
        sub,
        note,
    )


def _cell(now: Answers, reason: str, key: str) -> Figure:
    n = now.noes(reason, key)
    if not n:
        return Figure(0, "–")
    part = n / max(1, now.noes())
    if now.shared:
        return Figure(n, cell=f"noes.{reason or '*'}.={key}")
    tone = "hot" if n >= 3 and part >= HOT else "warm" if n >= 2 and part >= HOT / 2 else ""
    return Figure(n, cell=f"noes.{reason or '*'}.={key}", tone=tone)


def _rate(found: Acceptance, cell: str) -> Figure:
    small = f"of {found.answered}" if 0 < found.answered < FEW else ""
    return Figure(
        found.rate, percent(found.accepted, found.answered), cell if found.answered else "", small=small
    )


def _points_table(wasted: Sequence[Wasted], now: Answers) -> Table:
    rows = [
        [
            Figure(w.text, small=w.hint, tone=w.criterion),
            Figure(int(w.points), cell=f"points:{w.criterion}.rejected"),
            Figure(w.rejected, cell=f"points:{w.criterion}.rejected"),
            Figure(w.accepted, cell=f"points:{w.criterion}.accepted" if w.accepted else ""),
        ]
        for w in wasted
    ]
    columns = ("Criterion", "Points", f"Of {now.judged} rejected", f"Of {now.acceptance.accepted} accepted")
    return Table(
        "points",
        "Points wasted",
        columns,
        rows,
        sub="points that went to leads rejected for who they are, timing or person",
        note="“Bad phone” and “already ours” say nothing about the lead and are not counted",
    )
