"""Speed to lead, from the company's own data: what became of leads by how soon sales called them."""

from feedback.reports import journeys
from feedback.reports.base import (
    FEW,
    Figure,
    Filters,
    Report,
    Table,
    in_hundred,
    lasting,
    part_of,
    percent,
    share,
)
from feedback.reports.cube import ALL, Counts, Cube, Dim, Measure
from feedback.reports.frame import SAME_AGE, chart_of, population, rows_of
from feedback.reports.handovers import ROUNDED, SOURCE, TEAM, handed_over
from leadflow.charts import Series, Tone

NAME = "speed"
TITLE = "Speed to lead"
ASKS = "Does it pay to call at once? What became of leads by how soon sales called."
ICON = "bolt"
DAYS = 56
# (key, words, seconds below which the first contact came)
STEPS = (
    ("m15", "within 15 minutes", 900),
    ("h1", "within the hour", 3600),
    ("h4", "within 4 hours", 4 * 3600),
    ("d1", "within a day", 86400),
    ("d3", "within 3 days", 3 * 86400),
    ("late", "later", None),
)
NEVER = "never"
_STEP = (
    f"CASE WHEN touched_at IS NULL THEN '{NEVER}' "
    + " ".join(
        f"WHEN touched_at - offered_at <= interval '{below} s' THEN '{key}'"
        for key, _, below in STEPS
        if below
    )
    + " ELSE 'late' END"
)
WORDS = {key: words for key, words, _ in STEPS} | {NEVER: "not called yet"}
CUBE = Cube(
    handed_over,
    {
        "leads": Measure("Leads handed over"),
        "called": Measure("Leads called", "touched_at IS NOT NULL"),
        "reached": Measure("Leads reached", "reached_at IS NOT NULL"),
        "accepted": Measure("Leads accepted", "accepted_at IS NOT NULL"),
        "opportunity": Measure("Opportunities", "opportunity_at IS NOT NULL"),
        "customer": Measure("Customers", "customer_at IS NOT NULL"),
        "half": Measure("Leads called", "touched_at IS NOT NULL", middle="called_after"),
    },
    {
        "wait": Dim("First contact", _STEP, lambda keys: WORDS),
        "source": SOURCE,
        "team": TEAM,
    },
    "handed over {words}",
)
# Of the period before only this is shown.
_BEFORE = CUBE.only("leads", "called", "opportunity", "half")
drill, words, listed = CUBE.drill, CUBE.words, CUBE.listed
SHOWN = ("reached", "accepted", "opportunity", "customer")
HEADS = ("Reached", "Accepted", "Opportunities", "Customers")


def build(filters: Filters) -> Report:
    """What became of the leads of the period, by how soon the first contact came."""
    filters = journeys.marked(filters)
    dims = ("wait", "source", "team")
    now, was = CUBE.count(filters, *dims), _BEFORE.count(filters.before, *dims)
    total = now[ALL]
    report = Report(
        NAME,
        TITLE,
        population(f"{total['leads']:,} leads handed to sales from {filters.words}, each once", filters),
        "The wait is by the clock, nights and weekends included, from the first offer to the first contact, "
        f"as the lead lives it. {ROUNDED} Opportunities and customers are those that came after the offer. "
        "Leads that are called at once may be better ones in the first place: compare grades before you "
        f"conclude. {SAME_AGE}",
        _say(now, was),
        filters,
        empty=not total["leads"],
    )
    report.tables = [_curve(now, was)]
    for dim in ("source", "team"):
        report.tables.append(_halves(dim, now, was))
    lines: tuple[tuple[str, str, Tone], ...] = (
        ("reached", "Reached", "ok"),
        ("opportunity", "Became an opportunity", "acc"),
    )
    shares = [
        Series(
            head,
            [share(now["wait", key][measure], now["wait", key]["leads"]) for key, *_ in STEPS],
            tone,
            [report.link(f"{measure}@wait={key}") for key, *_ in STEPS],
        )
        for measure, head, tone in lines
    ]
    report.charts = [
        chart_of(
            report,
            "curve",
            "Of a hundred leads, by the wait for the first contact",
            "line",
            shares,
            unit="%",
            top=100,
            labels=[WORDS[key] for key, *_ in STEPS],
        )
    ]
    return report


def _say(now: Counts, was: Counts) -> list[tuple[str, str]]:
    total = now[ALL]
    if not total["leads"]:
        return [("No lead was handed to sales in this period.", "")]
    if not total["called"]:
        return [("None of the ", ""), (f"{total['leads']:,}", "leads"), (" leads has been called yet.", "")]
    soon = _sum(now, "m15", "h1")
    late = _sum(now, "h4", "d1", "d3", "late")
    before = was[ALL]
    pieces = [
        ("Half of the leads that were called heard from sales within ", ""),
        (lasting(total["half"]), "called"),
    ]
    if before["called"]:
        pieces.append((f", before {lasting(before['half'])}", ""))
    pieces.append((". ", ""))
    if soon["leads"] and late["leads"]:
        pieces.append(
            (
                f"Called within the hour, {in_hundred(soon['opportunity'], soon['leads'])} became an "
                f"opportunity; later, {in_hundred(late['opportunity'], late['leads'])}.",
                "",
            )
        )
        if min(soon["leads"], late["leads"]) < FEW:
            pieces.append((" These are few leads: not much can be read from it yet.", ""))
    if total["leads"] > total["called"]:
        waiting = total["leads"] - total["called"]
        pieces += [(" ", ""), (f"{waiting:,}", f"leads@wait={NEVER}"), (" are not called yet.", "")]
    return pieces


def _sum(counts: Counts, *keys: str) -> dict[str, int]:
    return {m: sum(counts["wait", key][m] for key in keys) for m in ("leads", "opportunity")}


def _curve(now: Counts, was: Counts) -> Table:
    rows = []
    for key, text in WORDS.items():
        count, before = now["wait", key], was["wait", key]
        row = [Figure(text), Figure(count["leads"], cell=f"leads@wait={key}" if count["leads"] else "")]
        for measure in SHOWN:
            cell = f"{measure}@wait={key}" if count[measure] else ""
            row += [Figure(count[measure], cell=cell), part_of(count[measure], count["leads"], cell)]
        gone = f"before.opportunity@wait={key}" if before["opportunity"] else ""
        row.append(part_of(before["opportunity"], before["leads"], gone))
        rows.append(row)
    heads = [piece for head in HEADS for piece in (head, f"{head}, %")]
    return Table(
        "curve",
        "By the wait for the first contact",
        ("First contact", "Leads", *heads, "Opportunities before, %"),
        rows,
    )


def _half(seconds: float | None, cell: str) -> Figure:
    return Figure(None) if seconds is None else Figure(float(round(seconds)), lasting(seconds), cell)


def _halves(dim: str, now: Counts, was: Counts) -> Table:
    rows = []
    for key, name in rows_of(CUBE, dim, now):
        count, before = now[dim, key], was[dim, key]
        rows.append(
            [
                Figure(name),
                Figure(count["leads"], cell=f"leads@{dim}={key}"),
                Figure(count["called"], cell=f"called@{dim}={key}" if count["called"] else ""),
                _half(count["half"], f"called@{dim}={key}"),
                _half(before["half"], f"before.called@{dim}={key}"),
                Figure(
                    share(count["reached"], count["leads"]),
                    percent(count["reached"], count["leads"]),
                    f"reached@{dim}={key}" if count["reached"] else "",
                ),
            ]
        )
    heads = ("Leads", "Called", "Half called within", "Half before", "Reached")
    return Table(
        dim,
        f"By {CUBE.dims[dim].label.lower()}",
        (CUBE.dims[dim].label, *heads),
        rows,
        note="In the CSV in seconds",
    )
