"""Who gets the credit for a customer: what the lead came by first, and what it did last before it bought."""

from typing import Any

from feedback.reports.base import NO_SOURCE, Figure, Filters, Report, Table, organisation
from feedback.reports.cube import ALL, Counts, Cube, Dim, Measure, Relation
from feedback.reports.frame import SAME_AGE, campaign_names, chart_of, population
from feedback.reports.handovers import narrowed, of_leads
from feedback.reports.sources import NO_CAMPAIGN
from leadflow.accounts.templatetags.lf import money
from leadflow.charts import Series, Tone

NAME = "touches"
TITLE = "First and last touch"
ASKS = "Which campaign brought the customers in, and which one they met last before they bought."
ICON = "arrows-exchange"
DAYS = 91


def relation(filters: Filters) -> Relation:
    """One row per lead that became a customer in the period: its first and its last touch."""
    handed = narrowed(filters, "w.lead_id")
    text = f"""{handed.text}
    won AS MATERIALIZED (
        SELECT lead_id, min(at) AS won_at,
               sum(amount) FILTER (WHERE at >= %(low)s AND at < %(high)s) AS revenue
        FROM leads_outcome WHERE kind = 'won' AND voided_at IS NULL AND replaced_by_id IS NULL
          AND at <= %(at)s GROUP BY lead_id HAVING min(at) >= %(low)s AND min(at) < %(high)s),
    base AS (
        SELECT w.lead_id, coalesce(w.revenue, 0) AS revenue,
               coalesce(nullif(l.first_source, ''), '{NO_SOURCE}') AS source,
               coalesce(c.code, '') AS first, coalesce(t.code, c.code, '') AS last,
               coalesce(nullif(t.source, ''), nullif(l.first_source, ''), '{NO_SOURCE}') AS last_source
        FROM won w JOIN leads_lead l ON l.id = w.lead_id
        LEFT JOIN leads_campaign c ON c.id = l.first_campaign_id
        LEFT JOIN LATERAL (
            SELECT g.code, g.source FROM leads_activity a
            JOIN leads_activitykind k ON k.id = a.kind_id AND k.own_act
            JOIN leads_campaign g ON g.id = a.campaign_id
            WHERE a.lead_id = w.lead_id AND a.occurred_at <= w.won_at
            ORDER BY a.occurred_at DESC, a.id DESC LIMIT 1) t ON true
        WHERE {" AND ".join([*of_leads(filters), *handed.parts])})"""  # noqa: S608 the pieces are ours
    return Relation(text, handed.bound)


def _campaigns(keys: Any) -> dict[str, str]:
    return {"": NO_CAMPAIGN, **campaign_names()}


CUBE = Cube(
    relation,
    {"customers": Measure("Customers"), "revenue": Measure("Customers", sums="revenue")},
    {
        "first": Dim("First touch", "first", _campaigns),
        "last": Dim("Last touch", "last", _campaigns),
        "source": Dim("First source", "source"),
        "last_source": Dim("Last source", "last_source"),
    },
    "won from {words}",
)
drill, words, listed = CUBE.drill, CUBE.words, CUBE.listed


def build(filters: Filters) -> Report:
    """Customers and revenue by first and by last touch, campaigns and sources."""
    dims = ("first", "last", "source", "last_source")
    now, was = CUBE.count(filters, *dims), CUBE.count(filters.before, *dims)
    total = now[ALL]
    report = Report(
        NAME,
        TITLE,
        population(
            f"{total['customers']:,} leads whose first deal was won from {filters.words}, each once", filters
        ),
        "First touch: the source and campaign the lead came by. Last touch: the campaign of its last own act "
        "with one before the win; without any, the first touch. Each customer counts once in each column, so "
        "both columns add up to the same. Revenue: deals won in the period. "
        f"{SAME_AGE}",
        _say(now, was),
        filters,
        empty=not total["customers"],
    )
    currency = organisation().currency
    report.tables = [
        _table("campaigns", "By campaign", "first", "last", now, was, currency),
        _table("by_source", "By source", "source", "last_source", now, was, currency),
    ]
    keys = [key for key, _ in _keys("first", "last", now)][:12]
    names = _campaigns(keys)
    bars: tuple[tuple[str, str, Tone], ...] = (("first", "First touch", "acc"), ("last", "Last touch", "was"))
    report.charts = [
        chart_of(
            report,
            "campaigns",
            "Customers by first and by last touch",
            "bars",
            [
                Series(
                    label,
                    [now[dim, key]["customers"] for key in keys],
                    tone,
                    [report.link(f"customers@{dim}={key}") for key in keys],
                )
                for dim, label, tone in bars
            ],
            labels=[names.get(key, key) for key in keys],
        )
    ]
    return report


def _say(now: Counts, was: Counts) -> list[tuple[str, str]]:
    total = now[ALL]
    if not total["customers"]:
        return [("Nobody became a customer in this period.", "")]
    word = "customer" if total["customers"] == 1 else "customers"
    earned = money(round(total["revenue"]), organisation().currency)
    pieces = [
        (f"{total['customers']:,}", "customers"),
        (f" {word} for {earned}, before {was[ALL]['customers']:,}.", ""),
    ]
    gains = {
        key: now["last", key]["customers"] - now["first", key]["customers"]
        for key, _ in _keys("first", "last", now)
        if key
    }
    names = _campaigns(gains)
    if gains and max(gains.values()) > 0:
        key = max(gains, key=lambda k: (gains[k], k))
        pieces += [
            (f" “{names.get(key, key)}” closes more than it opens: last touch of ", ""),
            (f"{now['last', key]['customers']:,}", f"customers@last={key}"),
            (", first of ", ""),
            (
                f"{now['first', key]['customers']:,}",
                f"customers@first={key}" if now["first", key]["customers"] else "",
            ),
            (".", ""),
        ]
    return pieces


def _keys(first: str, last: str, counts: Counts) -> list[tuple[str, int]]:
    keys = {key for dim, key in counts if dim in (first, last)}
    weight = {key: max(counts[first, key]["customers"], counts[last, key]["customers"]) for key in keys}
    return sorted(weight.items(), key=lambda item: (-item[1], item[0]))


def _table(key: str, title: str, first: str, last: str, now: Counts, was: Counts, currency: str) -> Table:
    found = [k for k, _ in _keys(first, last, now)]
    names = CUBE.dims[first].named(found)
    rows = []
    for one in found[:60]:
        row = [Figure(names[one])]
        for dim in (first, last):
            count = now[dim, one]
            row += [
                Figure(count["customers"], cell=f"customers@{dim}={one}" if count["customers"] else ""),
                Figure(float(count["revenue"]), f"{count['revenue']:,.0f}"),
                Figure(
                    was[dim, one]["customers"],
                    cell=f"before.customers@{dim}={one}" if was[dim, one]["customers"] else "",
                ),
            ]
        rows.append(row)
    total = now[ALL]
    both = [
        Figure(total["customers"], cell="customers" if total["customers"] else ""),
        Figure(float(total["revenue"]), f"{total['revenue']:,.0f}"),
        Figure(was[ALL]["customers"], cell="before.customers" if was[ALL]["customers"] else ""),
    ]
    heads = [
        f"{touch}: {what}"
        for touch in ("First", "Last")
        for what in ("customers", f"revenue, {currency}", "before")
    ]
    return Table(
        key, title, (title.removeprefix("By ").capitalize(), *heads), rows, [Figure("All"), *both, *both]
    )
