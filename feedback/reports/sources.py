"""Which sources and campaigns bring customers and revenue, and what each of them costs."""

from decimal import Decimal

from django.db.models import Q, Sum

from feedback.reports import journeys
from feedback.reports.base import FEW, Figure, Filters, Report, Table, organisation, part_of
from feedback.reports.cube import ALL, Counts, Dim, Measure, Relation
from feedback.reports.frame import SAME_AGE, campaign_names, chart_of, population, rows_of
from feedback.reports.tally import Cohort
from leadflow.charts import Series
from leadflow.leads.models import Campaign

NAME = "sources"
TITLE = "Sources"
ASKS = "Which sources and campaigns bring customers and revenue, and at what cost."
ICON = "route"
DAYS = 91
NO_CAMPAIGN = "No campaign"
STEPS = ("leads", "mql", "offered", "accepted", "opportunity", "customer")
HEADS = {
    "leads": "Leads",
    "mql": "MQL",
    "offered": "SQL offered",
    "accepted": "SQL accepted",
    "opportunity": "Opportunities",
    "customer": "Customers",
}
# What the deals of a lead brought until the instant of looking.
_REVENUE = """, (SELECT coalesce(sum(o.amount), 0) FROM leads_outcome o
    WHERE o.lead_id = e.lead_id AND o.kind IN ('won', 'renewed', 'expanded') AND o.voided_at IS NULL
      AND o.replaced_by_id IS NULL AND o.at <= %(at)s AND e.customer_at <= %(at)s) AS revenue"""


def relation(filters: Filters) -> Relation:
    """The cohort of entry with the revenue of each lead."""
    return journeys.cohort(filters, _REVENUE)


def _customers(filters: Filters) -> Relation:
    return journeys.cohort(filters, _REVENUE, only="e.customer_at IS NOT NULL")


CUBE = Cohort(
    relation,
    {
        "leads": Measure("Leads", days="leads"),
        **{
            step: Measure(words, f"{step}_at IS NOT NULL", days=step)
            for step, words in (
                ("mql", "MQLs"),
                ("offered", "Leads offered to sales"),
                ("accepted", "Leads that sales accepted"),
                ("opportunity", "Opportunities"),
                ("customer", "Customers"),
            )
        },
        "revenue": Measure("Customers", "customer_at IS NOT NULL", sums="revenue"),
    },
    {
        "source": Dim("Source", "source"),
        "campaign": Dim("Campaign", "campaign", lambda keys: {"": NO_CAMPAIGN, **campaign_names()}),
    },
    "of those who became leads from {words}",
    few=_customers,
)
drill, words, listed, walked = CUBE.drill, CUBE.words, CUBE.listed, CUBE.walked


def build(filters: Filters) -> Report:
    """Each source and campaign from its leads to revenue, with its cost."""
    filters = journeys.marked(filters)
    now = CUBE.count(filters, "source", "campaign")
    was = CUBE.count(filters.before, "source", "campaign")
    costs = costs_of(filters)
    total = now[ALL]
    report = Report(
        NAME,
        TITLE,
        population(
            f"{total['leads']:,} people who became leads from {filters.words}, each counted once", filters
        ),
        "Source and campaign are the first that the lead came by. Revenue: deals won, renewed and expanded "
        "of these leads so far. Cost: the whole cost of the campaigns that ran in the period, at their "
        f"source. {SAME_AGE}",
        _say(now, was),
        filters,
        empty=not total["leads"],
    )
    currency = organisation().currency
    report.tables = [
        _table("source", "By source", now, was, costs, currency),
        _table("campaign", "By campaign", now, was, costs, currency),
    ]
    top = rows_of(CUBE, "source", now, top=12)
    report.charts = [
        chart_of(
            report,
            "source",
            "Customers by source",
            "bars",
            [
                Series(
                    filters.words,
                    [now["source", key]["customer"] for key, _ in top],
                    "acc",
                    [report.link(f"customer@source={key}") for key, _ in top],
                ),
                Series(
                    f"{filters.before.words}, same age",
                    [was["source", key]["customer"] for key, _ in top],
                    "was",
                    [report.link(f"before.customer@source={key}") for key, _ in top],
                ),
            ],
            labels=[name for _, name in top],
        )
    ]
    return report


def costs_of(filters: Filters) -> dict[tuple[str, str], Decimal]:
    """Cost of the campaigns that ran in the period, by ("campaign", code), ("source", source) and ALL."""
    ran = Campaign.objects.filter(
        Q(starts_on__lte=filters.end) | Q(starts_on=None), Q(ends_on__gte=filters.start) | Q(ends_on=None)
    ).exclude(cost=None)
    if filters.source:
        ran = ran.filter(source=filters.source)
    if filters.campaign:
        ran = ran.filter(code=filters.campaign)
    costs: dict[tuple[str, str], Decimal] = {}
    for code, source, cost in ran.values_list("code", "source").annotate(all=Sum("cost")):
        for place in (("campaign", code), ("source", source), ALL):
            costs[place] = costs.get(place, Decimal(0)) + cost
    return costs


def _say(now: Counts, was: Counts) -> list[tuple[str, str]]:
    total, before = now[ALL], was[ALL]
    if not total["leads"]:
        return [("Nobody became a lead in this period.", "")]
    rows = sorted((key, now["source", key]) for d, key in now if d == "source")
    most = max(row["customer"] for _, row in rows)
    best = [key for key, row in rows if row["customer"] == most] if most else []
    pieces: list[tuple[str, str]] = []
    if len(best) == 1:
        key = best[0]
        pieces += [
            (f"{key} brought most customers: ", ""),
            (f"{most:,}", f"customer@source={key}"),
            (" of ", ""),
        ]
    elif most:
        who = " and ".join(best) if len(best) == 2 else f"{len(best)} sources"
        pieces += [(f"{who} brought most customers, {most:,} each of ", "")]
    if most:
        was_said = f", before {before['customer']:,} in all." if before["leads"] else "."
        pieces += [(f"{total['customer']:,}", "customer"), (was_said, "")]
    else:
        pieces = [("None of the ", ""), (f"{total['leads']:,}", "leads"), (" leads is a customer yet.", "")]
    barren = [(k, row) for k, row in rows if row["leads"] >= 2 * FEW and not row["customer"]]
    if barren and most:
        key, row = max(barren, key=lambda item: item[1]["leads"])
        pieces += [
            (f" {key}: ", ""),
            (f"{row['leads']:,}", f"leads@source={key}"),
            (" leads, no customer yet.", ""),
        ]
    return pieces


def _table(
    dim: str, title: str, now: Counts, was: Counts, costs: dict[tuple[str, str], Decimal], currency: str
) -> Table:
    rows = [
        _row(name, dim, key, now[dim, key], was[dim, key], costs.get((dim, key)))
        for key, name in rows_of(CUBE, dim, now)
    ]
    foot = _row("All", "", "", now[ALL], was[ALL], costs.get(ALL))
    heads = (
        *HEADS.values(),
        "Accepted of offered",
        f"Revenue, {currency}",
        f"Cost, {currency}",
        "Cost per customer",
        "Customers before",
    )
    return Table(
        dim,
        title,
        (CUBE.dims[dim].label, *heads),
        rows,
        foot,
        sub="the same leads, by what they came by first",
    )


def _row(
    name: str, dim: str, key: str, count: dict[str, int], before: dict[str, int], cost: Decimal | None
) -> list[Figure]:
    tail = f"@{dim}={key}" if dim else ""
    accepted = part_of(count["accepted"], count["offered"], f"accepted{tail}" if count["accepted"] else "")
    revenue = Decimal(count["revenue"])
    each = cost / count["customer"] if cost is not None and count["customer"] else None
    return [
        Figure(name),
        *(Figure(count[step], cell=f"{step}{tail}" if count[step] else "") for step in STEPS),
        accepted,
        Figure(_plain(revenue), f"{revenue:,.0f}" if revenue else "–", f"revenue{tail}" if revenue else ""),
        Figure(_plain(cost), f"{cost:,.0f}" if cost is not None else "–"),
        Figure(
            _plain(each),
            f"{each:,.0f}" if each is not None else "no customer" if cost else "–",
            tone="hot" if cost and not count["customer"] and count["leads"] >= FEW else "",
        ),
        Figure(before["customer"], cell=f"before.customer{tail}" if before["customer"] else ""),
    ]


def _plain(value: Decimal | None) -> float | None:
    """Money as JSON and CSV have it, with cents."""
    return None if value is None else float(round(value, 2))
