"""What a new agreement changed: the days since it came into force beside as many days before."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from feedback.reports import journeys
from feedback.reports.base import (
    FEW,
    Figure,
    Filters,
    Report,
    Table,
    in_hundred,
    organisation,
    part_of,
    share,
)
from feedback.reports.chance import counts_differ, difference
from feedback.reports.cube import ALL, Counts, Cube, Measure, Relation
from feedback.reports.frame import chart_of, population
from feedback.reports.handovers import GRADE, SOURCE, handed_over
from feedback.reports.tally import Cohort
from leadflow.accounts.templatetags.lf import money
from leadflow.charts import Series
from scoring.models import Agreement

NAME = "change"
TITLE = "Before and after"
ASKS = "What the present agreement changed: fewer handed over, more closed?"
ICON = "history"
DAYS = 28
LONGEST = 182
STEPS = (
    ("accepted", "Accepted"),
    ("refused", "Rejected or returned"),
    ("reached", "Reached"),
    ("opportunity", "Opportunities"),
    ("customer", "Customers"),
)


def relation(filters: Filters) -> Relation:
    """The handovers of a window; the version chose the window, it is no condition of its own."""
    return handed_over(replace(filters, version=None))


CUBE = Cube(
    relation,
    {
        "leads": Measure("Leads handed over"),
        "answered": Measure("Leads answered", "answered_at IS NOT NULL"),
        **{key: Measure(text, f"{key}_at IS NOT NULL") for key, text in STEPS},
        "revenue": Measure("Customers", "customer_at IS NOT NULL", sums="revenue"),
    },
    {"grade": GRADE, "source": SOURCE},
    "handed over {words}",
)
_CAME = Cohort(journeys.cohort, {"leads": Measure("Leads", days="leads")}, {})
drill, words, listed = CUBE.drill, CUBE.words, CUBE.listed


@dataclass(frozen=True)
class Window:
    """A version and the days that are compared: since it came into force, and as many before."""

    number: int
    filters: Filters


def window(filters: Filters) -> Window | None:
    """Which days to compare; None if no agreement came after another. At most half a year on each side."""
    versions = list(
        Agreement.objects.filter(in_force_at__isnull=False, in_force_at__lte=filters.at)
        .order_by("in_force_at")
        .values_list("number", "in_force_at", "superseded_at")
    )
    numbers = [number for number, *_ in versions]
    wanted = filters.version or (numbers[-1] if numbers else None)
    if wanted not in numbers or not numbers.index(wanted):
        return None
    n = numbers.index(wanted)
    _, since, until = versions[n]
    start, today = _day(since, filters), _day(filters.at, filters)
    end = min(today, _day(until, filters) - timedelta(days=1)) if until else today
    room = (start - _day(versions[n - 1][1], filters)).days
    days = max(1, min((end - start).days + 1, room, LONGEST))
    return Window(wanted, replace(filters, start=start, end=start + timedelta(days=days - 1), version=wanted))


def _day(at: datetime | None, filters: Filters) -> date:
    return (at or filters.at).astimezone(ZoneInfo(filters.zone)).date()


def build(filters: Filters) -> Report:
    """Handed over, accepted, closed: after and before, each difference with how sure it is."""
    filters = journeys.marked(filters)
    found = window(filters)
    inside = found.filters if found else filters
    now, was = CUBE.count(inside, "grade", "source"), CUBE.count(inside.before, "grade", "source")
    came, came_before = (_came(replace(one, version=None)) for one in (inside, inside.before))
    total, before = now[ALL], was[ALL]
    number = found.number if found else filters.version
    under = f" (under v{number})" if number else ""
    report = Report(
        NAME,
        TITLE,
        population(
            f"Leads handed to sales from {inside.words}{under} and from {inside.before.words}, each once in "
            "its period",
            replace(inside, version=None),
        ),
        "The days since the agreement came into force beside as many days before, at most half a year and no "
        "more than the version before was in force; both looked at at the same age. The period follows from "
        "the agreement, dates chosen above do not matter. The day on which it came into force counts as new.",
        _say(total, before, bool(found)),
        inside,
        empty=not found or not (total["leads"] or before["leads"]),
    )
    report.tables = [
        _steps(came, came_before, total, before),
        _sure(total, before),
        _by("grade", now, was),
        _by("source", now, was),
    ]
    keys = ("leads", "accepted", "opportunity", "customer")
    report.charts = [
        chart_of(
            report,
            "steps",
            "Handed over, and what came of it",
            "bars",
            [
                Series(inside.words, [total[key] for key in keys], "acc", [report.link(key) for key in keys]),
                Series(
                    f"{inside.before.words}, same age",
                    [before[key] for key in keys],
                    "was",
                    [report.link(f"before.{key}") for key in keys],
                ),
            ],
            labels=["Handed over", "Accepted", "Opportunities", "Customers"],
        )
    ]
    return report


def _came(filters: Filters) -> Figure:
    """How many people became leads in the period; their list is the funnel's."""
    count = int(_CAME.count(filters)[ALL]["leads"])
    href = f"/reports/conversion/leads/?{urlencode({**filters.query, 'cell': 'leads'})}" if count else ""
    return Figure(count, href=href)


def _say(now: dict[str, int], was: dict[str, int], found: bool) -> list[tuple[str, str]]:
    if not found:
        return [("There is no agreement before this one to compare with.", "")]
    if not now["leads"] and not was["leads"]:
        return [("No lead was handed to sales before or after.", "")]
    handed = "Fewer" if now["leads"] < was["leads"] else "More" if now["leads"] > was["leads"] else "As many"
    closed = (
        "more"
        if now["customer"] > was["customer"]
        else "fewer"
        if now["customer"] < was["customer"]
        else "as many"
    )
    pieces = [
        (f"{handed} handed over, {closed} closed: ", ""),
        (f"{now['leads']:,}", "leads"),
        (" offered instead of ", ""),
        (f"{was['leads']:,}", "before.leads"),
        (", and ", ""),
        (f"{now['customer']:,}", "customer"),
        (" customers instead of ", ""),
        (f"{was['customer']:,}", "before.customer"),
        (
            f". Sales accepted {in_hundred(now['accepted'], now['leads'])}, "
            f"before {in_hundred(was['accepted'], was['leads'])}",
            "",
        ),
    ]
    low, high = difference(now["accepted"], now["leads"], was["accepted"], was["leads"])
    if min(now["leads"], was["leads"]) < FEW:
        pieces.append(("; these are few leads, it may be chance.", ""))
    else:
        pieces.append(
            (", more than chance would do." if low > 0 or high < 0 else "; that may still be chance.", "")
        )
    return pieces


def _steps(came: Figure, came_before: Figure, now: dict[str, int], was: dict[str, int]) -> Table:
    rows = [
        [Figure("Became leads"), came, came_before, Figure(None), Figure(None)],
        [
            Figure("Handed over"),
            Figure(now["leads"], cell="leads" if now["leads"] else ""),
            Figure(was["leads"], cell="before.leads" if was["leads"] else ""),
            Figure(None),
            Figure(None),
        ],
    ]
    for key, text in STEPS:
        rows.append(
            [
                Figure(text),
                Figure(now[key], cell=key if now[key] else ""),
                Figure(was[key], cell=f"before.{key}" if was[key] else ""),
                part_of(now[key], now["leads"], key if now[key] else ""),
                part_of(was[key], was["leads"], f"before.{key}" if was[key] else ""),
            ]
        )
    rows.append(
        [
            Figure("Revenue"),
            _earned(now["revenue"], "revenue"),
            _earned(was["revenue"], "before.revenue"),
            Figure(None),
            Figure(None),
        ]
    )
    return Table(
        "steps", "What came of it", ("", "After", "Before", "Of handed over", "Before, of handed over"), rows
    )


def _earned(revenue: Any, cell: str) -> Figure:
    return Figure(float(revenue), money(round(revenue), organisation().currency), cell if revenue else "")


def _sure(now: dict[str, int], was: dict[str, int]) -> Table:
    rows = [
        [
            Figure("Handed over"),
            Figure(now["leads"] - was["leads"], f"{now['leads'] - was['leads']:+,}"),
            Figure(None),
            Figure(None),
            _verdict(counts_differ(now["leads"], was["leads"]), now["leads"], was["leads"]),
        ]
    ]
    for key, text in STEPS:
        low, high = difference(now[key], now["leads"], was[key], was["leads"])
        points = (share(now[key], now["leads"]) or 0) - (share(was[key], was["leads"]) or 0)
        rows.append(
            [
                Figure(f"{text}, of a hundred"),
                Figure(round(points, 1), f"{points:+.0f}"),
                Figure(round(100 * low, 1), f"{100 * low:+.0f}"),
                Figure(round(100 * high, 1), f"{100 * high:+.0f}"),
                _verdict(low > 0 or high < 0, now["leads"], was["leads"]),
            ]
        )
    return Table(
        "sure",
        "How sure the differences are",
        ("Difference", "After less before", "At least", "At most", "More than chance?"),
        rows,
        sub="the true difference lies between the two in 95 of 100 such comparisons",
        folded=True,
    )


def _verdict(clear: bool, now: int, was: int) -> Figure:
    if min(now, was) < FEW:
        return Figure("few", "too few leads to tell")
    return Figure("yes" if clear else "no", "yes" if clear else "may be chance")


def _by(dim: str, now: Counts, was: Counts) -> Table:
    keys = sorted({k for d, k in [*now, *was] if d == dim}, key=lambda k: (-now[dim, k]["leads"], k))[:60]
    names = CUBE.dims[dim].named(keys)
    rows = []
    for key in keys:
        row = [Figure(names[key])]
        for prefix, counts in (("", now), ("before.", was)):
            count = counts[dim, key]
            row += [
                Figure(count["leads"], cell=f"{prefix}leads@{dim}={key}" if count["leads"] else ""),
                part_of(
                    count["accepted"],
                    count["leads"],
                    f"{prefix}accepted@{dim}={key}" if count["accepted"] else "",
                ),
                Figure(count["customer"], cell=f"{prefix}customer@{dim}={key}" if count["customer"] else ""),
            ]
        rows.append(row)
    heads = [f"{what}{when}" for when in ("", " before") for what in ("Handed over", "Accepted", "Customers")]
    return Table(dim, f"By {dim}", (CUBE.dims[dim].label, *heads), rows)
