"""How long each step takes: the middle lead, and within how many days how many were there."""

from typing import Any

from feedback.reports import journeys, middles
from feedback.reports.base import FEW, Figure, Filters, Report, Table
from feedback.reports.cube import ALL, Dim, Measure, Relation
from feedback.reports.frame import SAME_AGE, campaign_names, chart_of, population
from feedback.reports.middles import SHARES, Days
from feedback.reports.spans import LABELS, ROUNDED, holds
from feedback.reports.tally import Cohort
from leadflow.charts import Series

NAME = "velocity"
TITLE = "How long it takes"
ASKS = "How many days lie between two steps, for the quick and for the slow."
ICON = "hourglass"
DAYS = 91
HEADS = ("1 in 10 within", "1 in 4 within", "Half within", "3 in 4 within", "9 in 10 within")


def relation(filters: Filters) -> Relation:
    """The cohort of entry."""
    return journeys.cohort(filters)


CUBE = Cohort(
    relation,
    {"leads": Measure("Leads", days="leads")}
    | {
        key: Measure(f"{text}: both steps reached", holds(key), days=f"span_{key}")
        for key, text in LABELS.items()
    },
    {
        "source": Dim("Source", "source"),
        "campaign": Dim("Campaign", "campaign", lambda keys: campaign_names()),
    },
    "of those who became leads from {words}",
)
drill, words, listed, walked = CUBE.drill, CUBE.words, CUBE.listed, CUBE.walked


def build(filters: Filters) -> Report:
    """Days from step to step, now and before, and by source."""
    filters = journeys.marked(filters)
    counts = CUBE.count(filters, "source")
    now, was = middles.days(filters), middles.days(filters.before)
    total = counts[ALL]
    report = Report(
        NAME,
        TITLE,
        population(
            f"{total['leads']:,} people who became leads from {filters.words}, each counted once", filters
        ),
        "Days from the first time a lead reached a step to the first time it reached the next, of leads that "
        f"reached both. {ROUNDED} Deals without a date are left out. A young cohort looks quick: its slow "
        f"leads are still under way. {SAME_AGE}",
        _say(total, now.get("", {}), was.get("", {})),
        filters,
        empty=not total["leads"],
    )
    report.tables = [_spans(total, now.get("", {}), was.get("", {})), _sources(counts, now)]
    report.charts = [
        chart_of(
            report,
            "spans",
            "Half of the leads got there within so many days",
            "bars",
            [
                Series(
                    filters.words,
                    [_half(now.get("", {}), key) for key in LABELS],
                    "acc",
                    [report.link(key) for key in LABELS],
                ),
                Series(
                    f"{filters.before.words}, same age",
                    [_half(was.get("", {}), key) for key in LABELS],
                    "was",
                ),
            ],
            unit=" days",
        )
    ]
    return report


def _half(found: dict[str, Any], key: str) -> float | None:
    numbers = found.get(key)
    return round(numbers[2], 1) if numbers else None


def in_words(value: float | None) -> str:
    """Writes "9.4" days, whole ones from ten on."""
    return "–" if value is None else f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _figure(value: float | None, small: str = "", cell: str = "") -> Figure:
    return (
        Figure(None) if value is None else Figure(float(round(value, 1)), in_words(value), cell, small=small)
    )


def _say(total: dict[str, int], now: dict[str, Any], was: dict[str, Any]) -> list[tuple[str, str]]:
    if not total["leads"]:
        return [("Nobody became a lead in this period.", "")]
    numbers = now.get("whole")
    if not numbers:
        return [
            ("Of ", ""),
            (f"{total['leads']:,}", "leads"),
            (" leads none is a customer with a date yet.", ""),
        ]
    before = _half(was, "whole")
    return [
        (f"{total['whole']:,}", "whole"),
        (f" leads became customers, half of them within {in_words(numbers[2])} days of becoming a lead", ""),
        (f", before {in_words(before)}" if before is not None else "", ""),
        (f"; nine of ten within {in_words(numbers[4])}." if total["whole"] >= FEW else ": few so far.", ""),
    ]


def _spans(total: dict[str, int], now: dict[str, Any], was: dict[str, Any]) -> Table:
    rows = []
    for key, text in LABELS.items():
        numbers = now.get(key) or [None] * len(SHARES)
        few = f"{total[key]} only" if 0 < total[key] < FEW else ""
        rows.append(
            [
                Figure(text, small=few),
                Figure(total[key], cell=key if total[key] else ""),
                *(_figure(number, cell=key) for number in numbers),
                _figure(_half(was, key), cell=f"before.{key}"),
            ]
        )
    return Table("spans", "Days from step to step", ("Step", "Leads", *HEADS, "Half within, before"), rows)


def _sources(counts: Any, now: Days) -> Table:
    rows = []
    for source in sorted(
        (k for d, k in counts if d == "source"), key=lambda k: (-counts["source", k]["leads"], k)
    ):
        count = counts["source", source]
        row = [Figure(source), Figure(count["leads"], cell=f"leads@source={source}")]
        for key in LABELS:
            numbers = now.get(source, {}).get(key)
            few = f"{count[key]} only" if 0 < count[key] < FEW else ""
            row.append(_figure(numbers[2] if numbers else None, few, f"{key}@source={source}"))
        rows.append(row)
    return Table(
        "sources",
        "Half within, by source, in days",
        ("Source", "Leads", *LABELS.values()),
        rows[:60],
        sub="the same leads, by first source",
    )
