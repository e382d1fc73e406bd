"""Both sides' promises, week by week: what marketing said it would send, what sales said it would do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db import connection

from feedback.reports import sla
from feedback.reports.base import Figure, Filters, Report, Table, percent, share
from feedback.reports.cube import ALL, Counts, Cube, Dim, Measure, Relation
from feedback.reports.frame import chart_of, population
from feedback.reports.handovers import handed_over
from leadflow.charts import Series
from scoring import agreements
from scoring.document import Document

NAME = "mutual"
TITLE = "Both sides’ promises"
ASKS = "Did both sides keep what they promised each other, week by week?"
ICON = "scale"
DAYS = 84
_KNOWN = """, (SELECT h.frozen -> 'must_know_gaps' = '[]'::jsonb FROM handoff_handoff h
              WHERE h.id = p.handoff_id) AS known"""


def _relation(filters: Filters) -> Relation:
    return handed_over(filters, extra=_KNOWN)


CUBE = Cube(
    _relation,
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
drill, words = CUBE.drill, CUBE.words
# Refusals of the period by week; how many of them say why.
_NOES = """
    SELECT date_trunc('week', a.at AT TIME ZONE %(zone)s)::date::text, count(*),
           count(*) FILTER (WHERE a.reason_key <> '')
    FROM leads_answer a JOIN leads_lead l ON l.id = a.lead_id
    LEFT JOIN handoff_handoff h ON h.id = a.handoff_id
    WHERE a.kind IN ('rejected', 'returned') AND a.voided_at IS NULL
      AND a.at >= %(low)s AND a.at < %(high)s AND a.at <= %(at)s
      AND (%(team)s IS NULL OR h.team_id = %(team)s) AND (%(source)s = '' OR l.first_source = %(source)s)
    GROUP BY 1"""


@dataclass(frozen=True)
class Promise:
    """One promise of one side: its figure for a week or the whole, and what the agreement names."""

    key: str
    side: str
    label: str
    term: str
    # Shares are per cent of something; the others are plain numbers for a week.
    is_share: bool = True


PROMISES = (
    Promise("leads", "Marketing", "ready leads handed over", "sql_per_week", is_share=False),
    Promise("best", "Marketing", "of them grade A", "grade_a_percent"),
    Promise("known", "Marketing", "with all that sales must know", "context_complete_percent"),
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


def promised() -> dict[str, float]:
    """What the agreement names, by promise; nothing where it says nothing."""
    agreement = agreements.current()
    said = Document(agreement.content).promises if agreement else {}
    found = {one.key: said.get(one.side.lower(), {}).get(one.term) for one in PROMISES}
    return {key: goal for key, goal in found.items() if isinstance(goal, int | float)}


def by_week(filters: Filters) -> tuple[dict[date, Week], Week]:
    """How each promise was kept in each week of the period, and in the whole of it; three statements."""
    handed, due, noes = CUBE.count(filters, "week"), sla.attainment(filters), _noes(filters)
    weeks: dict[date, Week] = {}
    monday = filters.start - timedelta(days=filters.start.weekday())
    last = min(filters.end, filters.at.date())
    while monday <= last:
        part = _part(filters, monday)
        weeks[monday] = _kept(handed, _due(due, monday), noes, f"week={monday}", part)
        monday += timedelta(days=7)
    whole = {promise: due["lead", promise, "all", "0"] for promise in ("acceptance", "first_touch")}
    return weeks, _kept(handed, whole, noes, "", filters)


def _part(filters: Filters, monday: date) -> Filters:
    sunday = monday + timedelta(days=6)
    return replace(filters, start=max(filters.start, monday), end=min(filters.end, sunday))


def _due(due: sla.Counts, monday: date) -> dict[str, sla.Count]:
    days = [(monday + timedelta(days=n)).isoformat() for n in range(7)]
    return {
        promise: sum((due["lead", promise, "day", day] for day in days), sla.Count())
        for promise in ("acceptance", "first_touch")
    }


def _kept(
    handed: Counts,
    due: Mapping[str, sla.Count],
    noes: Mapping[str, tuple[int, int]],
    place: str,
    part: Filters,
) -> Week:
    key = place.partition("=")[2]
    count = handed["week", key] if place else handed[ALL]
    tail = f"@{place}" if place else ""
    refused = noes.get(key, (0, 0)) if place else _sum(noes)
    kept = {
        "leads": Kept(count["leads"], None, cell=f"leads{tail}" if count["leads"] else ""),
        "best": Kept(count["best"], count["leads"], cell=f"best{tail}" if count["best"] else ""),
        "known": Kept(count["known"], count["leads"], cell=f"known{tail}" if count["known"] else ""),
        "reason": Kept(refused[1], refused[0], _link("answers", part, "noes") if refused[0] else ""),
    }
    for promise, one in due.items():
        link = _link("sla", part, f"lead.{promise}.all") if one.all else ""
        kept[promise] = Kept(one.met, one.all, link)
    return kept


def _sum(noes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    return sum(every for every, _ in noes.values()), sum(told for _, told in noes.values())


def _link(report: str, part: Filters, cell: str) -> str:
    return f"/reports/{report}/leads/?{urlencode(part.query | {'cell': cell})}"


def _noes(filters: Filters) -> dict[str, tuple[int, int]]:
    bound: dict[str, Any] = {
        "low": filters.low,
        "high": filters.high,
        "at": filters.at,
        "zone": filters.zone,
        "team": filters.team,
        "source": filters.source,
    }
    with connection.cursor() as cursor:
        cursor.execute(_NOES, bound)
        return {week: (every, told) for week, every, told in cursor.fetchall()}


def _days(keys: Any) -> dict[str, str]:
    return {key: f"{date.fromisoformat(key):%-d %b}" for key in keys if key}


def build(filters: Filters) -> Report:
    """Both sides' promises of the period."""
    goals, (weeks, whole) = promised(), by_week(filters)
    report = Report(
        NAME,
        TITLE,
        population(
            f"{whole['leads'].part:,} leads handed to sales from {filters.words}, each once, and the answers "
            "and first contacts that fell due then",
            filters,
        ),
        "What marketing promised counts in the week of the first offer; what sales promised in the week in "
        "which it fell due, by the lead's own clock; a no in the week of the answer. The first and the last "
        "week may be cut by the period. Promised is what the present agreement names.",
        _say(weeks, goals),
        filters,
        empty=not whole["leads"].part and not whole["acceptance"].whole and not whole["reason"].whole,
    )
    report.figures = [_figure(report, one, whole[one.key], goals, len(weeks)) for one in PROMISES]
    report.tables = [_table(weeks, whole, goals)]
    report.charts = [_chart(report, weeks, goals, side) for side in ("Marketing", "Sales")]
    return report


def short(one: Promise, kept: Kept, goals: Mapping[str, float], weeks: int = 1) -> bool:
    """Whether a promise was not kept; what has no figure or no promise is not short."""
    goal, value = goals.get(one.key), kept.value
    if goal is None or value is None:
        return False
    return value < goal * (1 if one.is_share else weeks)


def _say(weeks: Mapping[date, Week], goals: Mapping[str, float]) -> list[tuple[str, str]]:
    if not goals:
        return [("The agreement names no promise of either side yet.", "")]
    pieces = []
    for side in ("Marketing", "Sales"):
        mine = [one for one in PROMISES if one.side == side and one.key in goals]
        kept = sum(not any(short(one, week[one.key], goals) for one in mine) for week in weeks.values())
        verb = "kept all it promised" if mine else "promised nothing"
        pieces.append(f"{side} {verb} in {kept} of {len(weeks)} weeks" if mine else f"{side} {verb}")
    return [(f"{pieces[0]}; {pieces[1][:1].lower()}{pieces[1][1:]}.", "")]


def _figure(
    report: Report, one: Promise, kept: Kept, goals: Mapping[str, float], weeks: int
) -> dict[str, Any]:
    goal = goals.get(one.key)
    text = kept.text if one.is_share else f"{kept.part / weeks:.0f} a week" if weeks else "–"
    said = "" if goal is None else f"promised {goal:g}{'%' if one.is_share else ' a week'}"
    return {
        "label": f"{one.side}: {one.label}",
        "value": text,
        "small": said,
        "late": short(one, kept, goals, weeks),
        "href": kept.href or report.link(kept.cell),
    }


def _table(weeks: Mapping[date, Week], whole: Week, goals: Mapping[str, float]) -> Table:
    def row(first: Figure, week: Week, count: int = 1) -> list[Figure]:
        return [first, *(_cell(one, week[one.key], goals, count) for one in PROMISES)]

    named = [Figure("promised")] + [
        Figure(
            goals.get(one.key),
            f"{goals[one.key]:g}{'%' if one.is_share else ''}" if one.key in goals else "–",
        )
        for one in PROMISES
    ]
    rows = [row(Figure(monday.isoformat(), f"{monday:%-d %b}"), week) for monday, week in weeks.items()]
    columns = ("Week from", *(f"{one.side}: {one.label}" for one in PROMISES))
    return Table(
        "weeks", "Week by week", columns, [named, *rows], row(Figure("All", "All"), whole, len(weeks)),
        note="Red: less than promised",
    )  # fmt: skip


def _cell(one: Promise, kept: Kept, goals: Mapping[str, float], weeks: int) -> Figure:
    small = f"{kept.part} of {kept.whole}" if kept.whole else ""
    tone = "hot" if short(one, kept, goals, weeks) else ""
    return Figure(kept.value, kept.text, kept.cell, tone, small, kept.href)


def _chart(report: Report, weeks: Mapping[date, Week], goals: Mapping[str, float], side: str) -> Any:
    lines = [one for one in PROMISES if one.side == side and one.is_share]
    tones: tuple[Any, ...] = ("acc", "ok", "soon")
    series = [
        Series(
            one.label[:1].upper() + one.label[1:],
            [week[one.key].value for week in weeks.values()],
            tone,
            [week[one.key].href or report.link(week[one.key].cell) for week in weeks.values()],
        )
        for one, tone in zip(lines, tones, strict=False)
    ]
    goal = min((goals[one.key] for one in lines if one.key in goals), default=None)
    made = chart_of(
        report,
        "weeks",
        f"What {side.lower()} promised",
        "line",
        series,
        labels=[f"{monday:%-d %b}" for monday in weeks],
        unit="%",
        top=100,
        mark=(float(goal), f"promised: {goal:g}%") if goal is not None else None,
    )
    return replace(made, id=f"weeks-{side.lower()}")
