"""From lead to customer: one cohort of entry, each lead counted once in every step it reached."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from feedback.reports.base import Figure, Filters, Report, Table, percent, share
from handoff.models import Handoff
from leadflow import audit
from leadflow.accounts.models import Team
from leadflow.charts import Cell, Chart, Series
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Answer, Lead, Outcome, StageChange

NAME = "conversion"
STEPS = ("leads", "mql", "offered", "accepted", "opportunity", "customer")
LABELS = {
    "leads": "Leads",
    "mql": "MQL",
    "offered": "SQL offered",
    "accepted": "SQL accepted",
    "opportunity": "Opportunity",
    "customer": "Customer",
}
OF_ABOVE = ("", "of leads", "of MQL", "of offered", "of accepted", "of opportunities")
FEW = 20
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
NO_SOURCE = "(none)"

# Each line: the leads that reached a step, and when first. `low` only saves reading older rows: nothing
# happens to a lead before it exists (an imported outcome may be dated earlier, so it is not limited).
_REACHED = """
    mql AS (SELECT lead_id, min(at) AS at FROM leads_stagechange
            WHERE to_stage IN ('mql', 'sql') AND at >= %(low)s AND at <= %(at)s GROUP BY lead_id),
    offered AS (SELECT lead_id, min(at) AS at FROM leads_answer
            WHERE kind = 'offered' AND voided_at IS NULL AND at >= %(low)s AND at <= %(at)s GROUP BY lead_id),
    accepted AS (SELECT lead_id, min(at) AS at FROM leads_answer
            WHERE kind = 'accepted' AND voided_at IS NULL AND at >= %(low)s AND at <= %(at)s
            GROUP BY lead_id),
    opportunity AS (SELECT lead_id, min(at) AS at, bool_or(undated) AS undated FROM leads_outcome
            WHERE kind IN ('opportunity', 'won') AND voided_at IS NULL AND at <= %(at)s GROUP BY lead_id),
    customer AS (SELECT lead_id, min(at) AS at, bool_or(undated) AS undated FROM leads_outcome
            WHERE kind = 'won' AND voided_at IS NULL AND at <= %(at)s GROUP BY lead_id)"""
_COHORT = """
    cohort AS (SELECT l.id, l.created_at, l.first_source FROM leads_lead l
            WHERE l.created_at >= %(low)s AND l.created_at < %(high)s AND l.created_at <= %(at)s
              AND l.merged_into_id IS NULL AND l.erased_at IS NULL
              AND (%(source)s = '' OR l.first_source = %(wanted)s)
              AND (%(team)s IS NULL OR EXISTS (
                    SELECT 1 FROM handoff_handoff h WHERE h.lead_id = l.id AND h.team_id = %(team)s)))"""
_JOINED = """
    FROM cohort LEFT JOIN mql ON mql.lead_id = cohort.id
    LEFT JOIN offered ON offered.lead_id = cohort.id
    LEFT JOIN accepted ON accepted.lead_id = cohort.id
    LEFT JOIN opportunity ON opportunity.lead_id = cohort.id
    LEFT JOIN customer ON customer.lead_id = cohort.id"""
_COUNTS = f"""
    WITH {_COHORT}, {_REACHED}
    SELECT first_source, count(*), count(mql.at), count(offered.at), count(accepted.at),
           count(opportunity.at), count(customer.at) {_JOINED} GROUP BY first_source ORDER BY 2 DESC, 1"""
SPANS = (
    ("mql", "Lead to MQL", "cohort.created_at", "mql.at"),
    ("offered", "MQL to SQL offered", "mql.at", "offered.at"),
    ("opportunity", "Accepted to opportunity", "accepted.at", "opportunity.at"),
    ("customer", "Opportunity to customer", "opportunity.at", "customer.at"),
)
# A win without an opportunity of its own has both at the same instant: that is no span.
_SIGNS = {key: ">" if key == "customer" else ">=" for key, *_ in SPANS}
_SPAN_COLUMNS = ", ".join(
    f"extract(epoch FROM {end} - {start}) / 86400 AS {key}" for key, _, start, end in SPANS
)
_QUARTERS = ", ".join(
    f"count({key}) FILTER (WHERE {key} {sign} 0), "
    f"percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY {key}) FILTER (WHERE {key} {sign} 0)"
    for key, sign in _SIGNS.items()
)
_DAYS = f"""
    WITH {_COHORT}, {_REACHED}, spans AS (SELECT {_SPAN_COLUMNS} {_JOINED}
        WHERE opportunity.undated IS NOT TRUE AND customer.undated IS NOT TRUE)
    SELECT {_QUARTERS} FROM spans"""  # noqa: S608
_PLACES = f"""
    WITH {_COHORT} SELECT {audit.PLACE} AS place, count(*) {audit.PLACES_FROM}
    WHERE l.id IN (SELECT id FROM cohort) GROUP BY 1"""  # noqa: S608 the pieces are ours


def _bound(filters: Filters) -> dict[str, Any]:
    return {
        "low": filters.low,
        "high": filters.high,
        "at": filters.at,
        "team": filters.team,
        "source": filters.source,
        "wanted": "" if filters.source == NO_SOURCE else filters.source,
    }


def _rows(statement: str, filters: Filters) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, _bound(filters))
        return list(cursor.fetchall())


@dataclass(frozen=True)
class Funnel:
    """How many leads of a cohort reached each step, in all and by first source."""

    by_source: dict[str, dict[str, int]]

    @property
    def total(self) -> dict[str, int]:
        """All sources together."""
        return {step: sum(row[step] for row in self.by_source.values()) for step in STEPS}


def funnel(filters: Filters) -> Funnel:
    """Count the cohort of these filters as it stood at `filters.at`."""
    return Funnel(
        {
            source or NO_SOURCE: dict(zip(STEPS, counts, strict=True))
            for source, *counts in _rows(_COUNTS, filters)
        }
    )


def drill(cell: str, filters: Filters) -> QuerySet[Lead]:
    """The leads behind `step`, `step@source` or `place=name`; `before.` takes the earlier cohort.

    Raises BadInput for a cell that is none.
    """
    if cell.startswith("before."):
        return drill(cell.removeprefix("before."), filters.before)
    leads = _cohort(filters)
    if cell.startswith("place="):
        return _in_place(leads, cell.removeprefix("place="), filters)
    step, _, source = cell.partition("@")
    if step not in STEPS:
        raise BadInput("This figure is not in the report.", [Fault("cell", "Open it from the report.")])
    if source:
        leads = leads.filter(first_source="" if source == NO_SOURCE else source)
    return leads if step == "leads" else leads.filter(_reached(step, filters.at))


def _cohort(filters: Filters) -> QuerySet[Lead]:
    leads = Lead.objects.filter(
        created_at__gte=filters.low,
        created_at__lt=filters.high,
        created_at__lte=filters.at,
        merged_into=None,
        erased_at=None,
    )
    if filters.source:
        leads = leads.filter(first_source="" if filters.source == NO_SOURCE else filters.source)
    if filters.team:
        leads = leads.filter(Exists(Handoff.objects.filter(lead=OuterRef("pk"), team=filters.team)))
    return leads


def _reached(step: str, at: datetime) -> Exists:
    rows: QuerySet[Any]
    if step == "mql":
        rows = StageChange.objects.filter(to_stage__in=("mql", "sql"))
    elif step in ("offered", "accepted"):
        rows = Answer.objects.filter(kind=step, voided_at=None)
    else:
        kinds = ("opportunity", "won") if step == "opportunity" else ("won",)
        rows = Outcome.objects.filter(kind__in=kinds, voided_at=None)
    return Exists(rows.filter(lead=OuterRef("pk"), at__lte=at))


def _in_place(leads: QuerySet[Lead], place: str, filters: Filters) -> QuerySet[Lead]:
    if place not in PLACE_WORDS:
        raise BadInput("There is no such place.", [Fault("cell", "Open it from the report.")])
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH {_COHORT} SELECT l.id {audit.PLACES_FROM} "  # noqa: S608 the pieces are ours
            f"WHERE l.id IN (SELECT id FROM cohort) AND ({audit.PLACE}) = %(place)s",
            _bound(filters) | {"place": place},
        )
        return leads.filter(pk__in=[row[0] for row in cursor.fetchall()])


def build(filters: Filters) -> Report:
    """The whole report, with the cohort before at the same age."""
    now, was = funnel(filters), funnel(filters.before)
    total, before = now.total, was.total
    report = Report(
        NAME,
        "Conversion",
        _population(filters, total["leads"]),
        "A step counts a lead once, when it first reached it. Who was offered to sales was an MQL at that "
        "instant; a won deal counts as an opportunity too. The earlier cohort is cut at the same age.",
        _say(total, before),
        filters,
        empty=not total["leads"],
    )
    steps = _steps_table(total, before)
    report.tables = [steps, _days_table(filters), _places_table(filters, total["leads"]), _sources_table(now)]
    report.charts = [_chart(report, steps, total, before)]
    return report


def _population(filters: Filters, count: int) -> str:
    words = f"{count:,} people who became leads from {filters.words}, each counted once"
    if filters.source:
        words += f", first source {filters.source}"
    if filters.team:
        words += f", handed to team {Team.objects.get(pk=filters.team).name} at some time"
    return words + "; merged and erased leads are not counted"


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
        (" became customers; the cohort before, at the same age: ", ""),
        (f"{before['leads']:,}", "before.leads"),
        (", ", ""),
        (f"{before['offered']:,}", "before.offered"),
        (" and ", ""),
        (f"{before['customer']:,}", "before.customer"),
        (f". Sales accepted {_of_hundred(total['accepted'], total['offered'])}", ""),
        (f", before {_of_hundred(before['accepted'], before['offered'], short=True)}.", ""),
    ]


def _of_hundred(part: int, whole: int, *, short: bool = False) -> str:
    if whole < FEW:
        return f"{part} of {whole}"
    return f"{100 * part / whole:.0f}" if short else f"{100 * part / whole:.0f} of 100"


def _steps_table(total: dict[str, int], before: dict[str, int]) -> Table:
    rows = []
    for n, step in enumerate(STEPS):
        above = STEPS[n - 1] if n else ""
        rows.append(
            [
                Figure(LABELS[step]),
                Figure(total[step], cell=step),
                Figure(before[step], cell=f"before.{step}"),
                _share(total, step, above),
                _share(before, step, above),
            ]
        )
    return Table(
        "steps",
        "Step by step",
        ("Step", "This cohort", "Before", "Of the step above", "Before, of the step above"),
        rows,
    )


def _share(counts: dict[str, int], step: str, above: str) -> Figure:
    if not above:
        return Figure(None)
    whole = counts[above]
    small = f"{whole} only" if 0 < whole < FEW else ""
    return Figure(share(counts[step], whole), f"{share(counts[step], whole)}%" if whole else "–", small=small)


def _days_table(filters: Filters) -> Table:
    rows = []
    now, was = _rows(_DAYS, filters)[0], _rows(_DAYS, filters.before)[0]
    for n, (_, label, *_) in enumerate(SPANS):
        count = now[2 * n]
        low, middle, high = now[2 * n + 1] or (None, None, None)
        earlier = (was[2 * n + 1] or (None, None, None))[1]
        half = (
            Figure(None)
            if low is None or high is None
            else Figure(f"{low:.1f}–{high:.1f}", f"{_words(low)} to {_words(high)}")
        )
        small = f"{count} leads only" if 0 < count < FEW else f"{count:,} leads" if count else ""
        was_words = "" if earlier is None else f"before {_words(earlier)}"
        rows.append(
            [Figure(label, small=small), Figure(count), _days(middle, was_words), half, _days(earlier)]
        )
    return Table(
        "days",
        "How long it takes",
        ("Days from step to step", "Leads", "Middle lead", "Half of all", "Middle before"),
        rows,
        note="Deals without a date are left out",
        unseen=(1, 4),
    )


def _words(days: float) -> str:
    return f"{days:.1f}" if days < 10 else f"{days:.0f}"


def _days(value: float | None, small: str = "") -> Figure:
    return Figure(None) if value is None else Figure(round(value, 1), _words(value), small=small)


def _places_table(filters: Filters, count: int) -> Table:
    found = dict(_rows(_PLACES, filters))
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
            [Figure(source), *(_source_cell(source, step, counts) for step in STEPS), _accepted(counts)]
        )
    total = now.total
    foot = [Figure("All"), *(Figure(total[step], cell=step) for step in STEPS), _accepted(total)]
    columns = ("Source", *(LABELS[step] for step in STEPS), "Accepted of offered")
    return Table(
        "sources", "Which sources bring customers", columns, rows, foot, sub="the same leads, by first source"
    )


def _source_cell(source: str, step: str, counts: dict[str, int]) -> Figure:
    return Figure(counts[step], cell=f"{step}@{source}" if counts[step] else "")


def _accepted(counts: dict[str, int]) -> Figure:
    part, whole = counts["accepted"], counts["offered"]
    tone = "hot" if whole >= FEW and part / whole < 0.5 else ""
    return Figure(
        share(part, whole), percent(part, whole), tone=tone, small=f"{whole} only" if 0 < whole < FEW else ""
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
    period = filters
    if cell.startswith("before."):
        cell, period = cell.removeprefix("before."), filters.before
    if cell.startswith("place="):
        place = PLACE_WORDS.get(cell.removeprefix("place="), "")
        return f"{place}, of those who became leads from {period.words}"
    step, _, source = cell.partition("@")
    text = f"{LABELS.get(step, '')}, of those who became leads from {period.words}"
    return f"{text}, first source {source}" if source else text
