"""How each rep responds: answered, called, reached beside accepted; nobody is judged by a few leads."""

from feedback.reports import journeys
from feedback.reports.base import FEW, Figure, Filters, Report, Table, in_hundred, lasting, part_of
from feedback.reports.cube import ALL, Counts, Cube, Measure
from feedback.reports.frame import SAME_AGE, chart_of, population, rows_of
from feedback.reports.handovers import GRADE, REP, ROUNDED, TEAM, handed_over
from leadflow.charts import Series, Tone

NAME = "reps"
TITLE = "Reps"
ASKS = "Who answers, calls and reaches the leads, beside what is accepted."
ICON = "users"
DAYS = 28
_ANSWERED = "answered_at IS NOT NULL OR touched_at IS NOT NULL"
CUBE = Cube(
    handed_over,
    {
        "leads": Measure("Leads handed over"),
        "open": Measure("Leads not answered yet", "answered_at IS NULL AND touched_at IS NULL"),
        "answered": Measure("Leads answered", _ANSWERED),
        "accepted": Measure("Leads accepted", "accepted_at IS NOT NULL"),
        "refused": Measure("Leads rejected or returned", "refused_at IS NOT NULL"),
        "called": Measure("Leads called", "touched_at IS NOT NULL"),
        "reached": Measure("Leads reached", "reached_at IS NOT NULL"),
        "unreached": Measure(
            "Leads accepted, never reached", "accepted_at IS NOT NULL AND reached_at IS NULL"
        ),
        "opportunity": Measure("Opportunities", "opportunity_at IS NOT NULL"),
        "customer": Measure("Customers", "customer_at IS NOT NULL"),
        "half_call": Measure("Leads called", "touched_at IS NOT NULL", middle="called_after"),
        "half_answer": Measure(
            "Leads answered",
            _ANSWERED,
            middle="CASE WHEN answered_at IS NULL THEN called_after ELSE answered_after END",
        ),
    },
    {"rep": REP, "team": TEAM, "grade": GRADE},
    "handed over {words}",
)
# Of the period before only this is shown.
_BEFORE = CUBE.only("leads", "reached")
drill, words, listed = CUBE.drill, CUBE.words, CUBE.listed


def build(filters: Filters) -> Report:
    """Responsiveness by rep, team and grade."""
    filters = journeys.marked(filters)
    dims = ("rep", "team", "grade")
    now, was = CUBE.count(filters, *dims), _BEFORE.count(filters.before, *dims)
    total = now[ALL]
    report = Report(
        NAME,
        TITLE,
        population(f"{total['leads']:,} leads handed to sales from {filters.words}, each once", filters),
        "A lead counts at the rep who has it, or had it last. Answered: accepted, rejected, returned or "
        "called. Reached: somebody talked to the lead; accepting is easy, so the two stand side by side. "
        f"Times are by the clock. {ROUNDED} Of fewer than {FEW} leads no share is shown. {SAME_AGE}",
        _say(now, was),
        filters,
        empty=not total["leads"],
    )
    report.tables = [_table(dim, now, was) for dim in ("rep", "team", "grade")]
    people = [
        (key, name) for key, name in rows_of(CUBE, "rep", now, top=20) if now["rep", key]["leads"] >= FEW
    ]
    bars: tuple[tuple[str, str, Tone], ...] = (("reached", "Reached", "acc"), ("accepted", "Accepted", "was"))
    if people:
        report.charts = [
            chart_of(
                report,
                "rep",
                "Of a hundred leads of each rep: accepted, and reached",
                "bars",
                [
                    Series(
                        label,
                        [
                            round(100 * now["rep", key][measure] / now["rep", key]["leads"], 1)
                            for key, _ in people
                        ],
                        tone,
                        [report.link(f"{measure}@rep={key}") for key, _ in people],
                    )
                    for measure, label, tone in bars
                ],
                labels=[name for _, name in people],
                unit="%",
                sub=f"with {FEW} leads or more",
                top=100,
            )
        ]
    return report


def _say(now: Counts, was: Counts) -> list[tuple[str, str]]:
    total, before = now[ALL], was[ALL]
    if not total["leads"]:
        return [("No lead was handed to sales in this period.", "")]
    pieces = [
        ("Sales accepted ", ""),
        (f"{total['accepted']:,}", "accepted"),
        (" of ", ""),
        (f"{total['leads']:,}", "leads"),
        (" leads and reached ", ""),
        (f"{total['reached']:,}", "reached"),
        (" of them" if total["reached"] <= total["accepted"] else "", ""),
        (
            f"; before, it reached {in_hundred(before['reached'], before['leads'])}."
            if before["leads"]
            else ".",
            "",
        ),
    ]
    if total["unreached"]:
        pieces += [
            (" ", ""),
            (f"{total['unreached']:,}", "unreached"),
            (" were accepted and never reached.", ""),
        ]
    return pieces


def _half_of(seconds: float | None, cell: str) -> Figure:
    return Figure(None) if seconds is None else Figure(float(round(seconds)), lasting(seconds), cell)


def _share(count: dict[str, int], measure: str, tail: str, prefix: str = "") -> Figure:
    cell = f"{prefix}{measure}{tail}" if count[measure] else ""
    if count["leads"] < FEW:
        return Figure(None, f"{count[measure]} of {count['leads']}" if count["leads"] else "–", cell)
    return part_of(count[measure], count["leads"], cell)


def _table(dim: str, now: Counts, was: Counts) -> Table:
    rows = []
    for key, name in [*rows_of(CUBE, dim, now), ("", "All")]:
        place, tail = ((dim, key), f"@{dim}={key}") if name != "All" else (ALL, "")
        count, before = now[place], was[place]
        rows.append(
            [
                Figure(name),
                Figure(count["leads"], cell=f"leads{tail}" if count["leads"] else ""),
                Figure(count["open"], cell=f"open{tail}" if count["open"] else ""),
                _half_of(count["half_answer"], f"answered{tail}"),
                _half_of(count["half_call"], f"called{tail}"),
                _share(count, "accepted", tail),
                _share(count, "reached", tail),
                Figure(count["unreached"], cell=f"unreached{tail}" if count["unreached"] else ""),
                Figure(count["opportunity"], cell=f"opportunity{tail}" if count["opportunity"] else ""),
                Figure(count["customer"], cell=f"customer{tail}" if count["customer"] else ""),
                _share(before, "reached", tail, "before."),
            ]
        )
    heads = (
        "Leads",
        "Not answered yet",
        "Half answered within",
        "Half called within",
        "Accepted",
        "Reached",
        "Accepted, never reached",
        "Opportunities",
        "Customers",
        "Reached before",
    )
    foot = rows.pop()
    return Table(
        dim, f"By {dim}", (CUBE.dims[dim].label, *heads), rows, foot, note="In the CSV times are in seconds"
    )
