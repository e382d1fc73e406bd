"""Both sides' promises, week by week: what marketing said it would send, what sales said it would do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet

from feedback.reports import replies, sla, summed
from feedback.reports.base import Figure, Filters, Report, Table, percent, share
from feedback.reports.cube import ALL, Counts, Cube, Dim, Measure
from feedback.reports.frame import chart_of, population
from feedback.reports.handovers import handed_over
from leadflow.charts import Series
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Lead
from scoring import agreements
from scoring.document import Document
from scoring.models import Agreement

NAME = "mutual"
TITLE = "Both sides’ promises"
ASKS = "Did both sides keep what they promised each other, week by week?"
ICON = "scale"
DAYS = 84
CUBE = Cube(
    handed_over,
    {
        "leads": Measure("Leads handed over"),
        "best": Measure("Leads handed over with grade A", "grade LIKE 'A%%'"),
        "known": Measure("Leads handed over with all that sales must know", "known"),
    },
    {
        "week": Dim(
            "Week from",
            "date_trunc('week', offered_at AT TIME ZONE %(zone)s)::date",
            lambda keys: _days(keys),
        )
    },
    "handed over {words}",
)


@dataclass(frozen=True)
class Promise:
    """One promise of one side: its figure for a week or the whole, and what the agreement names."""

    key: str
    side: str
    label: str
    term: str
    # Shares are per cent of something; the others are plain numbers for a week.
    is_share: bool = True
    # The agreement names working days, and means every one of them.
    in_days: bool = False

    def goal(self, said: float) -> "Goal":
        """What the agreement names for it."""
        if self.in_days:
            return Goal(100, f"all in {said:g} working day{'' if said == 1 else 's'}")
        return Goal(said, f"{said:g}{'%' if self.is_share else ' a week'}")


@dataclass(frozen=True)
class Goal:
    """What was promised: at least so much (per cent of a share, or a number for each week), and in words."""

    least: float
    words: str


PROMISES = (
    Promise("leads", "Marketing", "ready leads handed over", "sql_per_week", is_share=False),
    Promise("best", "Marketing", "of them grade A", "grade_a_percent"),
    Promise("known", "Marketing", "with all that sales must know", "context_complete_percent"),
    Promise("disputes", "Marketing", "objections decided in time", "dispute_days", in_days=True),
    Promise("questions", "Marketing", "questions answered in time", "question_days", in_days=True),
    Promise("acceptance", "Sales", "answered in time", "answered_in_time_percent"),
    Promise("first_touch", "Sales", "first contact in time", "first_touch_in_time_percent"),
    Promise("reason", "Sales", "a no with a reason", "with_reason_percent"),
)


@dataclass(frozen=True)
class Kept:
    """How a promise was kept: `part` of `whole` (of a plain number `whole` is None); where its leads are."""

    part: int
    whole: int | None
    href: str = ""
    cell: str = ""

    @property
    def value(self) -> float | None:
        """Per cent of a share, else the number; None of nothing."""
        return self.part if self.whole is None else share(self.part, self.whole)

    @property
    def text(self) -> str:
        """What stands on the page."""
        return f"{self.part:,}" if self.whole is None else percent(self.part, self.whole)


Week = Mapping[str, Kept]
Goals = Mapping[str, Goal]


def promised(agreement: Agreement | None = None) -> dict[str, Goal]:
    """What an agreement (without one the present) names, by promise; nothing where it says nothing."""
    agreement = agreement or agreements.current()
    said = Document(agreement.content).promises if agreement else {}
    found = {one: said.get(one.side.lower(), {}).get(one.term) for one in PROMISES}
    return {one.key: one.goal(goal) for one, goal in found.items() if isinstance(goal, int | float)}


def drill(cell: str, filters: Filters) -> QuerySet[Lead]:
    """The leads behind a cell. Raises BadInput for a cell that is none."""
    promise, week = _reply(cell)
    return replies.drill(promise, week, filters) if promise else CUBE.drill(cell, filters)


def words(cell: str, filters: Filters) -> str:
    """What a cell counts, for the head of the list of its leads."""
    promise, week = _reply(cell)
    if not promise:
        return CUBE.words(cell, filters)
    text = f"{replies.WORDS[promise]}, due {filters.words}"
    return f"{text}, week from: {_days([week])[week]}" if week else text


def _reply(cell: str) -> tuple[str, str]:
    """The promise to reply and the week that a cell names; nothing for another promise."""
    promise, _, place = cell.partition("@")
    if promise not in replies.WORDS:
        return "", ""
    dim, _, week = place.partition("=")
    try:
        known = not place or (dim == "week" and bool(date.fromisoformat(week)))
    except ValueError:
        known = False
    if not known:
        raise BadInput("This figure is not in the report.", [Fault("cell", "Open it from the report.")])
    return promise, week


def by_week(filters: Filters) -> tuple[dict[date, Week], Week]:
    """How each promise was kept in each week of the period, and in the whole of it; three statements."""
    filters = summed.known(filters)
    handed, due, owed = CUBE.count(filters, "week"), sla.by_week(filters), replies.count(filters)
    weeks: dict[date, Week] = {}
    monday = filters.start - timedelta(days=filters.start.weekday())
    last = min(filters.end, filters.at.date())
    while monday <= last:
        part = _part(filters, monday)
        weeks[monday] = _kept(handed, _due(due, "week", f"{monday}"), owed, f"week={monday}", part)
        monday += timedelta(days=7)
    return weeks, _kept(handed, _due(due, "all", "0"), owed, "", filters)


def _due(due: sla.Counts, by: str, key: str) -> dict[str, sla.Count]:
    return {promise: due["lead", promise, by, key] for promise in ("acceptance", "first_touch")}


def _part(filters: Filters, monday: date) -> Filters:
    sunday = monday + timedelta(days=6)
    return replace(filters, start=max(filters.start, monday), end=min(filters.end, sunday))


def _kept(
    handed: Counts,
    due: Mapping[str, sla.Count],
    owed: replies.Weeks,
    place: str,
    part: Filters,
) -> Week:
    key = place.partition("=")[2]
    count = handed["week", key] if place else handed[ALL]
    tail = f"@{place}" if place else ""
    kept = {
        "leads": Kept(count["leads"], None, cell=f"leads{tail}" if count["leads"] else ""),
        "best": Kept(count["best"], count["leads"], cell=f"best{tail}" if count["best"] else ""),
        "known": Kept(count["known"], count["leads"], cell=f"known{tail}" if count["known"] else ""),
    }
    for promise, weeks in owed.items():
        every, done = weeks.get(key, (0, 0)) if place else _sum(weeks)
        if promise in replies.WORDS:
            kept[promise] = Kept(done, every, cell=f"{promise}{tail}" if every else "")
        else:
            kept[promise] = Kept(done, every, _link("answers", part, "noes") if every else "")
    for promise, one in due.items():
        link = _link("sla", part, f"lead.{promise}.all") if one.all else ""
        kept[promise] = Kept(one.met, one.all, link)
    return kept


def _sum(weeks: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    return sum(one for one, _ in weeks.values()), sum(other for _, other in weeks.values())


def link(cell: str, filters: Filters) -> str:
    """The leads behind a cell; without one the report."""
    if cell:
        return _link(NAME, filters, cell)
    return f"/reports/{NAME}/?{urlencode(filters.query)}"


def _link(report: str, part: Filters, cell: str) -> str:
    return f"/reports/{report}/leads/?{urlencode(part.query | {'cell': cell})}"


def _days(keys: Any) -> dict[str, str]:
    return {key: f"{date.fromisoformat(key):%-d %b}" for key in keys if key}


def build(filters: Filters) -> Report:
    """Both sides' promises of the period."""
    goals, (weeks, whole) = promised(), by_week(filters)
    report = Report(
        NAME,
        TITLE,
        population(
            f"{whole['leads'].part:,} leads handed to sales from {filters.words}, each once, and the "
            "answers, first contacts, questions and objections that fell due then",
            filters,
        ),
        "What marketing promised counts in the week of the first offer; what sales promised in the week in "
        "which it fell due, by the lead's own clock; a no in the week of the answer. Marketing also promised "
        "that its objections to a no are decided and sales' questions and objections answered within so many "
        "working days: they count in the week in which they fell due, by the agreement of the day of asking; "
        "a question counts as answered from its first answer on. The first and the last week may be cut by "
        "the period. Promised is what the present agreement names.",
        _say(weeks, goals),
        filters,
        empty=not any(kept.part or kept.whole for kept in whole.values()),
    )
    report.figures = [_figure(report, one, whole[one.key], goals, len(weeks)) for one in PROMISES]
    report.tables = [_table(weeks, whole, goals)]
    report.charts = [_chart(report, weeks, goals, side) for side in ("Marketing", "Sales")]
    return report


def short(one: Promise, kept: Kept, goals: Goals, weeks: int = 1) -> bool:
    """Whether a promise was not kept; what has no figure or no promise is not short."""
    goal, value = goals.get(one.key), kept.value
    if goal is None or value is None:
        return False
    return value < goal.least * (1 if one.is_share else weeks)


def _say(weeks: Mapping[date, Week], goals: Goals) -> list[tuple[str, str]]:
    if not goals:
        return [("The agreement names no promise of either side yet.", "")]
    pieces = []
    for side in ("Marketing", "Sales"):
        mine = [one for one in PROMISES if one.side == side and one.key in goals]
        kept = sum(not any(short(one, week[one.key], goals) for one in mine) for week in weeks.values())
        verb = "kept all it promised" if mine else "promised nothing"
        pieces.append(f"{side} {verb} in {kept} of {len(weeks)} weeks" if mine else f"{side} {verb}")
    return [(f"{pieces[0]}; {pieces[1][:1].lower()}{pieces[1][1:]}.", "")]


def _figure(report: Report, one: Promise, kept: Kept, goals: Goals, weeks: int) -> dict[str, Any]:
    goal = goals.get(one.key)
    text = kept.text if one.is_share else f"{kept.part / weeks:.0f} a week" if weeks else "–"
    said = "" if goal is None else f"promised: {goal.words}"
    return {
        "label": f"{one.side}: {one.label}",
        "value": text,
        "small": said,
        "late": short(one, kept, goals, weeks),
        "href": kept.href or report.link(kept.cell),
    }


def _table(weeks: Mapping[date, Week], whole: Week, goals: Goals) -> Table:
    def row(first: Figure, week: Week, count: int = 1) -> list[Figure]:
        return [first, *(_cell(one, week[one.key], goals, count) for one in PROMISES)]

    named = [Figure("promised")] + [
        Figure(goals[one.key].least, goals[one.key].words) if one.key in goals else Figure(None)
        for one in PROMISES
    ]
    rows = [row(Figure(monday.isoformat(), f"{monday:%-d %b}"), week) for monday, week in weeks.items()]
    columns = ("Week from", *(f"{one.side}: {one.label}" for one in PROMISES))
    return Table(
        "weeks", "Week by week", columns, [named, *rows], row(Figure("All", "All"), whole, len(weeks)),
        note="Red: less than promised",
    )  # fmt: skip


def _cell(one: Promise, kept: Kept, goals: Goals, weeks: int) -> Figure:
    small = f"{kept.part} of {kept.whole}" if kept.whole else ""
    tone = "hot" if short(one, kept, goals, weeks) else ""
    return Figure(kept.value, kept.text, kept.cell, tone, small, kept.href)


def _chart(report: Report, weeks: Mapping[date, Week], goals: Goals, side: str) -> Any:
    lines = [one for one in PROMISES if one.side == side and one.is_share]
    tones: tuple[Any, ...] = ("acc", "ok", "soon", "d")
    series = [
        Series(
            one.label[:1].upper() + one.label[1:],
            [week[one.key].value for week in weeks.values()],
            tone,
            [week[one.key].href or report.link(week[one.key].cell) for week in weeks.values()],
        )
        for one, tone in zip(lines, tones, strict=False)
    ]
    goal = min((goals[one.key].least for one in lines if one.key in goals), default=None)
    asked = [one.label for one in lines if one.key in goals and goals[one.key].least == goal]
    which = f"{asked[0]}: " if len(asked) == 1 else ""
    made = chart_of(
        report,
        "weeks",
        f"What {side.lower()} promised",
        "line",
        series,
        labels=[f"{monday:%-d %b}" for monday in weeks],
        unit="%",
        top=100,
        mark=(float(goal), f"{which}promised {goal:g}%") if goal is not None else None,
    )
    return replace(made, id=f"weeks-{side.lower()}")
