"""From a revenue goal back to leads: by our own measured rates and lags, with how sure they are.

leads = revenue ÷ (mean deal × handed over per lead × accepted per handed over × customers per accepted).
The interval comes from the relative variances of the four added up (the delta method on logarithms):
(1 − p) ÷ (n p) for a rate, (s ÷ mean)² ÷ n for the mean deal, ± 1.96 standard errors. A rate by itself is
shown with its Wilson interval.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection

from feedback.reports import chance, journeys
from feedback.reports.base import Filters
from leadflow.errors import BadInput, Fault

# The cohort that is measured: leads that came in this span, old enough to have become customers.
COHORT = (timedelta(days=365), timedelta(days=60))
# Fewer customers than this and the own figures say next to nothing.
THIN = 20
NAMES = ("offered", "accepted", "customer", "deal", "lag")
LABELS = {
    "offered": "of 100 leads are handed to sales",
    "accepted": "of 100 handed over are accepted",
    "customer": "of 100 accepted become customers",
    "deal": "for a deal, on average",
    "lag": "days until half of the customers have signed",
}
LIMITS = {
    "offered": (0.01, 100),
    "accepted": (0.01, 100),
    "customer": (0.01, 100),
    "deal": (1, 1e9),
    "lag": (0, 1500),
}


@dataclass(frozen=True)
class Rate:
    """One figure: measured of `n` cases, or typed by who believes it. `spread`: its relative variance."""

    name: str
    measured: float | None
    n: int
    spread: float
    typed: float | None = None

    @property
    def value(self) -> float | None:
        """What is reckoned with; rates in per cent."""
        return self.measured if self.typed is None else self.typed

    @property
    def label(self) -> str:
        """What the figure says."""
        return LABELS[self.name]

    @property
    def low(self) -> float | None:
        """The lower end of what is likely."""
        return self._end(-1)

    @property
    def high(self) -> float | None:
        """The upper end of what is likely."""
        return self._end(1)

    def _end(self, sign: int) -> float | None:
        if self.measured is None or self.typed is not None:
            return None
        if self.name == "deal":
            return self.measured * math.exp(sign * chance.Z * math.sqrt(self.spread))
        ends = chance.wilson(round(self.measured * self.n / 100), self.n)
        return 100 * ends[0 if sign < 0 else 1]


@dataclass(frozen=True)
class Source:
    """One source: its share of the leads of the cohort, what became of them, how many a week are needed."""

    name: str
    leads: int
    customers: int
    weekly_now: float
    weekly: float


@dataclass(frozen=True)
class Plan:
    """The way back from the goal. `weekly` and its ends: leads a week; `handed`: of them to sales."""

    amount: float
    start: date
    end: date
    won: float
    rates: dict[str, Rate]
    weeks: float
    leads: float | None
    weekly: float | None
    low: float | None
    high: float | None
    handed: float | None
    weekly_now: float
    sources: list[Source]
    thin: bool
    missing: list[str]
    customers: int

    @property
    def open(self) -> float:
        """What is still to be won."""
        return max(0.0, self.amount - self.won)

    @property
    def last_day(self) -> date:
        """Leads that come after this day will mostly sign too late."""
        return self.end - timedelta(days=round(self.rates["lag"].value or 0))


_RATES = """
    SELECT source, count(*), count(offered_at), count(accepted_at) FILTER (WHERE offered_at IS NOT NULL),
           count(customer_at) FILTER (WHERE accepted_at IS NOT NULL), count(customer_at)
    FROM base GROUP BY 1"""
_LAG = """
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM customer_at - created_at) / 86400),
           count(*)
    FROM base WHERE customer_at > created_at AND NOT undated"""
_DEALS = """
    SELECT count(*), avg(amount)::float, coalesce(stddev_samp(amount), 0)::float FROM leads_outcome
    WHERE kind = 'won' AND voided_at IS NULL AND replaced_by_id IS NULL AND amount > 0
      AND (undated OR at >= %s) AND recorded_at <= %s"""
_WON = """
    SELECT coalesce(sum(amount), 0)::float FROM leads_outcome
    WHERE kind IN ('won', 'renewed', 'expanded') AND voided_at IS NULL AND replaced_by_id IS NULL
      AND at >= %s AND at < %s AND at <= %s"""


def plan(amount: float, period: Filters, typed: Mapping[str, float], now: datetime) -> Plan:
    """Reckon back from `amount` to be won in `period`. Figures in `typed` take the place of measured ones."""
    cohort = Filters((now - COHORT[0]).date(), (now - COHORT[1]).date(), now, period.zone)
    by_source, lag = _cohort(cohort)
    deals = _one(_DEALS, [cohort.low, now])
    won = float(_one(_WON, [period.low, period.high, now])[0])
    rates = _rates(by_source, lag, deals, typed)
    missing = [rate.label for rate in rates.values() if not rate.value and rate.name != "lag"]
    customers = sum(row[5] for row in by_source.values())
    weeks = ((period.end - timedelta(days=round(rates["lag"].value or 0))) - now.date()).days / 7
    span = max(1.0, (cohort.end - cohort.start).days / 7)
    arrived = sum(row[1] for row in by_source.values())
    leads = None if missing else max(0.0, amount - won) / _yield(rates)
    weekly = leads / weeks if leads is not None and weeks > 0 else None
    ends = _ends(weekly, rates)
    offered = rates["offered"].value
    return Plan(
        amount,
        period.start,
        period.end,
        won,
        rates,
        weeks,
        leads,
        weekly,
        ends[0],
        ends[1],
        weekly * offered / 100 if weekly is not None and offered else None,
        arrived / span,
        _sources(by_source, weekly, arrived, span),
        customers < THIN,
        missing,
        customers,
    )


def _cohort(cohort: Filters) -> tuple[dict[str, tuple[Any, ...]], tuple[Any, ...]]:
    relation = journeys.cohort(cohort)
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {relation.text} {_RATES}", relation.bound)
        rows = {row[0]: row for row in cursor.fetchall()}
        cursor.execute(f"WITH {relation.text} {_LAG}", relation.bound)
        return rows, cursor.fetchone()


def _one(statement: str, bound: list[Any]) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, bound)
        found = cursor.fetchone()
    assert found is not None
    return tuple(found)


def _rates(
    rows: Mapping[str, tuple[Any, ...]],
    lag: tuple[Any, ...],
    deals: tuple[Any, ...],
    typed: Mapping[str, float],
) -> dict[str, Rate]:
    leads, offered, accepted, customers = (sum(row[n] for row in rows.values()) for n in (1, 2, 3, 4))
    found = {}
    for name, part, whole in (
        ("offered", offered, leads),
        ("accepted", accepted, offered),
        ("customer", customers, accepted),
    ):
        p = part / whole if whole else 0.0
        spread = (1 - p) / (whole * p) if p else 0.0
        found[name] = Rate(name, 100 * p if whole else None, whole, spread, typed.get(name))
    n, mean, deviation = deals
    spread = (deviation / mean) ** 2 / n if n and mean else 0.0
    found["deal"] = Rate("deal", mean, n, spread, typed.get("deal"))
    half = None if lag[0] is None else float(lag[0])
    found["lag"] = Rate("lag", half, lag[1], 0.0, typed.get("lag"))
    return found


def _yield(rates: Mapping[str, Rate]) -> float:
    """Revenue of one lead."""
    one = float(rates["deal"].value or 0)
    for name in ("offered", "accepted", "customer"):
        one *= float(rates[name].value or 0) / 100
    return one


def _ends(weekly: float | None, rates: Mapping[str, Rate]) -> tuple[float | None, float | None]:
    if weekly is None:
        return None, None
    spread = sum(rate.spread for rate in rates.values() if rate.typed is None)
    factor = math.exp(chance.Z * math.sqrt(spread))
    return weekly / factor, weekly * factor


def _sources(
    rows: Mapping[str, tuple[Any, ...]], weekly: float | None, arrived: int, span: float
) -> list[Source]:
    """As the leads come now: each source keeps its share of them."""
    made = [
        Source(name, row[1], row[5], row[1] / span, (weekly or 0.0) * row[1] / arrived)
        for name, row in rows.items()
    ]
    return sorted(made, key=lambda one: (-one.leads, one.name))


def typed_of(query: Mapping[str, str]) -> dict[str, float]:
    """The figures that somebody typed. Raises BadInput for what is no number, or one out of reach."""
    found, faults = {}, []
    for name in NAMES:
        text = query.get(name, "").strip().replace(",", ".")
        if not text:
            continue
        low, high = LIMITS[name]
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value) and low <= value <= high:
            found[name] = value
        else:
            faults.append(Fault(name, f"Write a number between {low:g} and {high:,.0f}, or leave it empty."))
    if faults:
        raise BadInput("A figure cannot be read.", faults)
    return found
