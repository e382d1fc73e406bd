"""From lead to customer: one cohort of entry, each lead counted once in every step it reached."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from feedback.reports import journeys, middles, spans
from feedback.reports.base import FEW, Figure, Filters, Report, Table, in_hundred, percent, share
from feedback.reports.behind import Part
from feedback.reports.cube import (
    ALL,
    Counts,
    Dim,
    Listed,
    Measure,
    Relation,
    leads_of,
    page_of_ids,
)
from feedback.reports.frame import population
from feedback.reports.tally import Cohort
from leadflow import audit
from leadflow.charts import Cell, Chart, Series
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Lead

NAME = "conversion"
TITLE = "Conversion"
ASKS = "How many leads become customers, and where they stop."
ICON = "chart-bar"
DAYS = 91
STEPS = ("leads", "mql", "offered", "accepted", "opportunity", "customer")
LABELS = {
    "leads": "Leads",
    "mql": "MQL",
    "offered": "SQL offered",
    "accepted": "SQL accepted",
    "opportunity": "Opportunity",
    "customer": "Customer",
}
PLACE_WORDS = {
    "conversion": "With marketing, just come in",
    "prospect": "With marketing, early",
    "mql": "MQL",
    "waiting for room": "Waiting for room",
    "offered": "Offered to sales",
    "accepted": "Accepted, not called yet",
    "working": "Sales is working on it",
    "opportunity": "Opportunity",
    "customer": "Customer",
    "nurturing": "Nurturing, with a date",
    "repair list": "On the repair list",
    "disqualified": "Closed",
    "excluded": "Left out: not a lead",
}
SPANS = tuple((key, text) for key, text in spans.LABELS.items() if key not in ("accepted", "whole"))


def relation(filters: Filters) -> Relation:
    """The cohort of entry."""
    return journeys.cohort(filters)


CUBE = Cohort(
    relation,
    {
        "leads": Measure("Leads", days="leads"),
        **{step: Measure(LABELS[step], f"{step}_at IS NOT NULL", days=step) for step in STEPS[1:]},
        **{
            f"both_{key}": Measure(f"{text}: both steps reached", spans.holds(key), days=f"span_{key}")
            for key, text in SPANS
        },
    },
    {"source": Dim("First source", "source")},
    "of those who became leads from {words}",
)
# Where a lead of the cohort is as far as stage and open handoff say; nobody in it is merged or erased.
_STANDS = """CASE WHEN stage = 'excluded' THEN stage WHEN open_state <> '' THEN open_state
    WHEN stage NOT IN ('sql', 'opportunity') THEN stage END"""
_STANDING = replace(CUBE, dims={**CUBE.dims, "place": Dim("Place", _STANDS)})
# Whose place may be another, with their place: who waits for room or is to be repaired. They are few.
_APART = f"""
    apart AS MATERIALIZED (SELECT l.id AS lead_id, ({audit.PLACE}) AS place {audit.PLACES_FROM}
        WHERE l.id IN (SELECT lead_id FROM handoff_roomwait WHERE left_at IS NULL
            UNION SELECT lead_id FROM feedback_task WHERE kind = 'repair' AND done_at IS NULL))"""  # noqa: S608
_FEW = "SELECT lead_id FROM apart"
_OF_FEW = ("waiting for room", "repair list")
_IN_PLACE = f"""CASE WHEN lead_id IN ({_FEW})
    THEN (SELECT apart.place FROM apart WHERE apart.lead_id = base.lead_id) ELSE {_STANDS} END = %(place)s"""  # noqa: S608


def _rows(statement: str, filters: Filters, few: str = "", **bound: Any) -> list[tuple[Any, ...]]:
    found = journeys.cohort(filters, few=few)
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {_APART}, {found.text} {statement}", {**found.bound, **bound})
        return list(cursor.fetchall())


def _in_place(place: str, filters: Filters) -> list[int]:
    few = _FEW if place in _OF_FEW else ""
    statement = f"SELECT lead_id FROM base WHERE {_IN_PLACE}"  # noqa: S608 ours
    return [row[0] for row in _rows(statement, filters, few, place=place)]


def _part(place: str, filters: Filters) -> Part:
    return Part(filters, _IN_PLACE, {"place": place}, f"{_APART},")


@dataclass(frozen=True)
class Funnel:
    """How many leads of a cohort reached each step, in all and by first source."""

    counts: Counts

    @property
    def total(self) -> dict[str, int]:
        """All sources together."""
        return {step: self.counts[ALL][step] for step in STEPS}

    @property
    def by_source(self) -> dict[str, dict[str, int]]:
        """By first source, the largest first."""
        found = [(key, row) for (dim, key), row in self.counts.items() if dim == "source"]
        found.sort(key=lambda item: (-item[1]["leads"], item[0]))
        return {key: {step: row[step] for step in STEPS} for key, row in found}


def funnel(filters: Filters) -> Funnel:
    """Count the cohort of these filters as it stood at `filters.at`."""
    return Funnel(CUBE.count(filters, "source"))


def _place(cell: str) -> str:
    place = cell.removeprefix("place=")
    if place not in PLACE_WORDS:
        raise BadInput("There is no such place.", [Fault("cell", "Open it from the report.")])
    return place


def drill(cell: str, filters: Filters) -> QuerySet[Lead]:
    """The leads behind a step, or `place=name`; `before.` takes the earlier cohort.

    Raises BadInput for a cell that is none.
    """
    if cell.startswith("place="):
        return leads_of(_in_place(_place(cell), filters))
    return CUBE.drill(cell, filters)


def listed(cell: str, filters: Filters, start: int, size: int) -> Listed:
    """A page of the leads behind a cell, and how many there are."""
    if not cell.startswith("place="):
        return CUBE.listed(cell, filters, start, size)
    place, filters = _place(cell), journeys.marked(filters)
    if place in _OF_FEW:
        return page_of_ids(drill(cell, filters), start, size)
    leads = replace(_STANDING, measures={"leads": CUBE.measures["leads"]})
    total = _places(filters, leads.count(filters, "place")).get(place, 0)
    return _part(place, filters).page(start, size, total), total


def walked(cell: str, filters: Filters) -> Iterator[list[int]]:
    """The ids of the leads behind a cell, the newest first, a chunk at a time."""
    if not cell.startswith("place="):
        return CUBE.walked(cell, filters)
    return _part(_place(cell), journeys.marked(filters)).chunks()


def build(filters: Filters) -> Report:
    """The whole report, with the cohort before at the same age."""
    filters = journeys.marked(filters)
    counts = _STANDING.count(filters, "source", "place")
    now, was = Funnel(counts), funnel(filters.before)
    total, before = now.total, was.total
    report = Report(
        NAME,
        TITLE,
        population(
            f"{total['leads']:,} people who became leads from {filters.words}, each counted once", filters
        ),
        "A step counts a lead once, when it first reached it. Who was offered to sales was an MQL at that "
        "instant; a won deal counts as an opportunity too. The earlier cohort is cut at the same age.",
        _say(total, before),
        filters,
        empty=not total["leads"],
    )
    steps = _steps_table(total, before)
    report.tables = [
        steps,
        _days_table(now.counts[ALL], _days_of(filters), _days_of(filters.before)),
        _places_table(_places(filters, counts), total["leads"]),
        _sources_table(now),
    ]
    report.charts = [_chart(report, steps, total, before)]
    return report


def _say(total: dict[str, int], before: dict[str, int]) -> list[tuple[str, str]]:
    """Sentence in pieces of (words, cell)."""
    if not total["leads"]:
        return [("Nobody became a lead in this period.", "")]
    return [
        ("Of ", ""),
        (f"{total['leads']:,}", "leads"),
        (" leads ", ""),
        (f"{total['offered']:,}", "offered"),
        (" were offered to sales and ", ""),
        (f"{total['customer']:,}", "customer"),
        (" became customers", ""),
        *_earlier(before),
        (f". Sales accepted {in_hundred(total['accepted'], total['offered'])}", ""),
        (f", before {in_hundred(before['accepted'], before['offered'])}." if before["offered"] else ".", ""),
    ]


def _earlier(before: dict[str, int]) -> list[tuple[str, str]]:
    if not before["leads"]:
        return [("; nobody came in the period before", "")]
    return [
        ("; the cohort before, at the same age: ", ""),
        (f"{before['leads']:,}", "before.leads"),
        (", ", ""),
        (f"{before['offered']:,}", "before.offered"),
        (" and ", ""),
        (f"{before['customer']:,}", "before.customer"),
    ]


def _steps_table(total: dict[str, int], before: dict[str, int]) -> Table:
    rows = []
    for n, step in enumerate(STEPS):
        above = STEPS[n - 1] if n else ""
        rows.append(
            [
                Figure(LABELS[step]),
                Figure(total[step], cell=step),
                Figure(before[step], cell=f"before.{step}"),
                _share(total, step, above, step),
                _share(before, step, above, f"before.{step}"),
            ]
        )
    return Table(
        "steps",
        "Step by step",
        ("Step", "This cohort", "Before", "Of the step above", "Before, of the step above"),
        rows,
    )


def _share(counts: dict[str, int], step: str, above: str, cell: str) -> Figure:
    if not above:
        return Figure(None)
    whole = counts[above]
    small = f"{whole} only" if 0 < whole < FEW else ""
    said = f"{share(counts[step], whole)}%" if whole else "–"
    return Figure(share(counts[step], whole), said, cell if counts[step] else "", small=small)


def _days_of(filters: Filters) -> dict[str, list[float] | None]:
    return middles.days(filters).get("", {})


def _days_table(counts: dict[str, Any], now: dict[str, Any], was: dict[str, Any]) -> Table:
    rows = []
    for key, label in SPANS:
        count = counts[f"both_{key}"]
        low, middle, high = (now.get(key) or [None] * 5)[1:4]
        earlier = (was.get(key) or [None] * 5)[2]
        half = (
            Figure(None)
            if low is None or high is None
            else Figure(f"{low:.1f}–{high:.1f}", f"{_words(low)} to {_words(high)}")
        )
        small = f"{count} leads only" if 0 < count < FEW else f"{count:,} leads" if count else ""
        was_words = "" if earlier is None else f"before {_words(earlier)}"
        rows.append(
            [
                Figure(label, small=small),
                Figure(count, cell=f"both_{key}" if count else ""),
                _days(middle, was_words, f"both_{key}" if count else ""),
                half,
                _days(earlier, "", f"before.both_{key}"),
            ]
        )
    return Table(
        "days",
        "How long it takes",
        ("Days from step to step", "Leads", "Middle lead", "Half of all", "Middle before"),
        rows,
        note=f"Deals without a date are left out. {spans.ROUNDED}",
        unseen=(1, 4),
    )


def _words(days: float) -> str:
    return f"{days:.1f}" if days < 10 else f"{days:.0f}"


def _days(value: float | None, small: str, cell: str) -> Figure:
    return Figure(None) if value is None else Figure(round(value, 1), _words(value), cell, small=small)


def _places(filters: Filters, counts: Counts) -> dict[str, int]:
    """How many of the cohort are in each place now: as they stand, but for those set apart."""
    found: dict[str, int] = defaultdict(int)
    for (dim, place), row in counts.items():
        if dim == "place" and place:
            found[place] += row["leads"]
    apart = f"SELECT {_STANDS}, apart.place, count(*) FROM base JOIN apart USING (lead_id) GROUP BY 1, 2"  # noqa: S608
    for stands, place, n in _rows(apart, filters, _FEW):
        if stands:
            found[stands] -= n
        if place:
            found[place] += n
    return found


def _places_table(found: dict[str, int], count: int) -> Table:
    rows = [
        [Figure(words), Figure(found[place], cell=f"place={place}")]
        for place, words in PLACE_WORDS.items()
        if found.get(place)
    ]
    lost = count - sum(row[1].value for row in rows)
    note = f"{lost} are in no place: open “Cracks”" if lost else "Everyone has one place"
    return Table("places", f"Where the {count:,} are today", ("Place", "Leads"), rows, note=note)


def _sources_table(now: Funnel) -> Table:
    rows = []
    for source, counts in now.by_source.items():
        rows.append(
            [
                Figure(source),
                *(_source_cell(source, step, counts) for step in STEPS),
                _accepted(counts, f"accepted@source={source}"),
            ]
        )
    total = now.total
    foot = [Figure("All"), *(Figure(total[step], cell=step) for step in STEPS), _accepted(total, "accepted")]
    columns = ("Source", *(LABELS[step] for step in STEPS), "Accepted of offered")
    return Table(
        "sources", "Which sources bring customers", columns, rows, foot, sub="the same leads, by first source"
    )


def _source_cell(source: str, step: str, counts: dict[str, int]) -> Figure:
    return Figure(counts[step], cell=f"{step}@source={source}" if counts[step] else "")


def _accepted(counts: dict[str, int], cell: str) -> Figure:
    part, whole = counts["accepted"], counts["offered"]
    tone = "hot" if whole >= FEW and part / whole < 0.5 else ""
    return Figure(
        share(part, whole),
        percent(part, whole),
        cell=cell if part else "",
        tone=tone,
        small=f"{whole} only" if 0 < whole < FEW else "",
    )


def _chart(report: Report, table: Table, total: dict[str, int], before: dict[str, int]) -> Chart:
    filters = report.filters
    return Chart(
        "funnel",
        "From lead to customer",
        "bars",
        [LABELS[step] for step in STEPS],
        [
            Series(
                filters.words, [total[step] for step in STEPS], "acc", [report.link(step) for step in STEPS]
            ),
            Series(
                f"{filters.before.words}, same age",
                [before[step] for step in STEPS],
                "was",
                [report.link(f"before.{step}") for step in STEPS],
            ),
        ],
        "Funnel by cohort: "
        + ", ".join(f"{LABELS[step]} {total[step]}, before {before[step]}" for step in STEPS),
        table.columns,
        [[Cell(figure.words, report.link(figure.cell)) for figure in row] for row in table.rows],
        csv=report.csv("steps"),
        note=f"One population: {report.population}",
        size="tall",
    )


def words(cell: str, filters: Filters) -> str:
    """What a cell counts, for the head of the list of its leads."""
    if not cell.startswith("place="):
        return CUBE.words(cell, filters)
    place = PLACE_WORDS.get(cell.removeprefix("place="), "")
    return f"{place}, of those who became leads from {filters.words}"
