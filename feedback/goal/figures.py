"""From a revenue goal back to leads: by our own measured rates and lags, with how sure they are.

leads = revenue ÷ (mean deal × handed over per lead × accepted per handed over × customers per accepted).
The interval comes from the relative variances of the four added up (the delta method on logarithms):
(1 − p) ÷ (n p) for a rate, (s ÷ mean)² ÷ n for the mean deal, ± 1.96 standard errors. A rate by itself is
shown with its Wilson interval.

One source may be tried otherwise: revenue of a lead is then the mean of its own and that of all others, by
their shares of the leads, and so is the variance of their logarithms. Untried, it comes to the same.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection

from feedback.reports import chance, journeys, middles, velocity
from feedback.reports.base import Filters
from feedback.reports.cube import ALL
from leadflow.errors import BadInput, Fault
from leadflow.numbers import money_typed

# The cohort that is measured: leads that came in this span, old enough to have become customers.
COHORT = (timedelta(days=365), timedelta(days=60))
# Fewer customers than this and the own figures say next to nothing.
THIN = 20
STEPS = ("offered", "accepted", "customer")
NAMES = ("offered", "accepted", "customer", "deal", "lag")
LABELS = {
    "offered": "of 100 leads are handed to sales",
    "accepted": "of 100 handed over are accepted",
    "customer": "of 100 accepted become customers",
    "deal": "for a deal, on average",
    "lag": "days until half of the customers have signed",
    "share": "of 100 leads come from it",
}
LIMITS = {
    "offered": (0.01, 100),
    "accepted": (0.01, 100),
    "customer": (0.01, 100),
    "deal": (1, 1e9),
    "lag": (0, 1500),
    "share": (0, 100),
}
# What may be tried of one source.
TRIED = ("share", "offered", "accepted", "customer")


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
    # Without anything tried of one source.
    weekly_was: float


@dataclass(frozen=True)
class Trial:
    """What somebody would like to see of one source; in per cent, by the names of TRIED."""

    source: str
    typed: Mapping[str, float]


@dataclass(frozen=True)
class Tried:
    """One source with its own rates and its share of the leads; leads a week without what was typed."""

    source: str
    rates: dict[str, Rate]
    weekly_was: float | None
    customers: int

    @property
    def thin(self) -> bool:
        """Whether its own figures say next to nothing."""
        return self.customers < THIN

    @property
    def differs(self) -> bool:
        """Whether anything is tried."""
        return any(rate.typed is not None for rate in self.rates.values())


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
    tried: Tried | None = None

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
_DEALS = """
    SELECT count(*), avg(amount)::float, coalesce(stddev_samp(amount), 0)::float FROM leads_outcome
    WHERE kind = 'won' AND voided_at IS NULL AND replaced_by_id IS NULL AND amount > 0
      AND (undated OR at >= %s) AND recorded_at <= %s"""
_WON = """
    SELECT coalesce(sum(amount), 0)::float FROM leads_outcome
    WHERE kind IN ('won', 'renewed', 'expanded') AND voided_at IS NULL AND replaced_by_id IS NULL
      AND at >= %s AND at < %s AND at <= %s"""


@dataclass(frozen=True)
class _Mix:
    """Part of the leads: which share of them, their rates, revenue of one of them in deals, its variance."""

    share: float
    rates: Mapping[str, Rate]

    @property
    def gain(self) -> float:
        return self.share * math.prod((self.rates[name].value or 0) / 100 for name in STEPS)

    @property
    def spread(self) -> float:
        return _spread(self.rates, STEPS)

    @property
    def offered(self) -> float:
        return self.share * (self.rates["offered"].value or 0) / 100


def plan(
    amount: float,
    period: Filters,
    typed: Mapping[str, float],
    now: datetime,
    trial: Trial | None = None,
) -> Plan:
    """Reckon back from `amount` to be won in `period`. Figures in `typed` take the place of measured ones,
    those of `trial` for one source alone. Raises BadInput for a source of which no lead came.
    """
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
    parts = [_Mix(1.0, rates)]
    was = _weekly(amount - won, parts, rates["deal"], weeks) if not missing else None
    tried = _tried(trial, by_source, arrived, was) if trial else None
    if trial and tried:
        rest = {name: row for name, row in by_source.items() if name != trial.source}
        share = float(tried.rates["share"].value or 0) / 100
        others = _steps_of(rest, typed)
        # With nothing tried the whole counts as it was measured, in one piece.
        if tried.differs:
            parts = [_Mix(share, tried.rates), _Mix(1 - share, others)]
    gain = sum(part.gain for part in parts)
    if not gain and not missing:
        missing = ["a source that brings customers"]
    deal = float(rates["deal"].value or 0)
    leads = None if missing else max(0.0, amount - won) / (deal * gain)
    weekly = leads / weeks if leads is not None and weeks > 0 else None
    ends = _ends(weekly, parts, rates["deal"])
    offered = sum(part.offered for part in parts)
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
        weekly * offered if weekly is not None and offered else None,
        arrived / span,
        _sources(by_source, (weekly, was), arrived, span, tried),
        customers < THIN,
        missing,
        customers,
        tried,
    )


def _weekly(open_: float, parts: Sequence[_Mix], deal: Rate, weeks: float) -> float | None:
    gain = float(deal.value or 0) * sum(part.gain for part in parts)
    return max(0.0, open_) / gain / weeks if gain and weeks > 0 else None


def _tried(trial: Trial, rows: Mapping[str, tuple[Any, ...]], arrived: int, was: float | None) -> Tried:
    row = rows.get(trial.source)
    if row is None:
        raise BadInput(
            "There is nothing to try.", [Fault("try", "No lead that is old enough came from that source.")]
        )
    share = Rate("share", 100 * row[1] / arrived, arrived, 0.0, trial.typed.get("share"))
    rates = {"share": share} | _steps_of({trial.source: row}, trial.typed)
    return Tried(trial.source, rates, was, row[5])


def _cohort(cohort: Filters) -> tuple[dict[str, tuple[Any, ...]], tuple[Any, ...]]:
    """By source what came of its leads; and how long half of the customers took, and of how many."""
    cohort = journeys.marked(cohort)
    relation = journeys.cohort(cohort)
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {relation.text} {_RATES}", relation.bound)
        rows = {row[0]: row for row in cursor.fetchall()}
    took = middles.days(cohort).get("", {}).get("whole")
    return rows, (took[middles.HALF] if took else None, velocity.CUBE.count(cohort)[ALL]["whole"])


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
    found = _steps_of(rows, typed)
    n, mean, deviation = deals
    spread = (deviation / mean) ** 2 / n if n and mean else 0.0
    found["deal"] = Rate("deal", mean, n, spread, typed.get("deal"))
    half = None if lag[0] is None else float(lag[0])
    found["lag"] = Rate("lag", half, lag[1], 0.0, typed.get("lag"))
    return found


def _steps_of(rows: Mapping[str, tuple[Any, ...]], typed: Mapping[str, float]) -> dict[str, Rate]:
    """The three rates of these sources together."""
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
    return found


def _spread(rates: Mapping[str, Rate], names: Iterable[str]) -> float:
    return sum(rates[name].spread for name in names if rates[name].typed is None)


def _ends(weekly: float | None, parts: Sequence[_Mix], deal: Rate) -> tuple[float | None, float | None]:
    if weekly is None:
        return None, None
    gain = sum(part.gain for part in parts)
    spread = sum((part.gain / gain) ** 2 * part.spread for part in parts) + _spread({"deal": deal}, ["deal"])
    factor = math.exp(chance.Z * math.sqrt(spread))
    return weekly / factor, weekly * factor


def _sources(
    rows: Mapping[str, tuple[Any, ...]],
    weekly: tuple[float | None, float | None],
    arrived: int,
    span: float,
    tried: Tried | None,
) -> list[Source]:
    """As the leads come now: each source keeps its share of them; the others make room for the tried one."""
    own = rows[tried.source][1] / arrived if tried else 0.0
    share = float(tried.rates["share"].value or 0) / 100 if tried else 0.0
    made = []
    for name, row in rows.items():
        part = row[1] / arrived
        room = (1 - share) / (1 - own) if own < 1 else 1.0
        now = share if tried and name == tried.source else part * room
        needed, was = ((one or 0.0) for one in weekly)
        made.append(Source(name, row[1], row[5], row[1] / span, needed * now, was * part))
    return sorted(made, key=lambda one: (-one.leads, one.name))


def typed_of(query: Mapping[str, str]) -> dict[str, float]:
    """The figures that somebody typed. Raises BadInput for what is no number, or one out of reach."""
    return _read(query, NAMES, "")


def trial_of(query: Mapping[str, str]) -> Trial | None:
    """What somebody tries of one source (`try`, `try_share`, …). Raises BadInput as `typed_of` does."""
    source = query.get("try", "").replace("\x00", "").strip()
    return Trial(source, _read(query, TRIED, "try_")) if source else None


def _read(query: Mapping[str, str], names: Iterable[str], prefix: str) -> dict[str, float]:
    found, faults = {}, []
    for name in names:
        text = query.get(f"{prefix}{name}", "").strip()
        if not text:
            continue
        low, high = LIMITS[name]
        try:
            value = float(money_typed(text) or "nan") if name == "deal" else float(text.replace(",", "."))
        except ValueError:
            value = math.nan
        if math.isfinite(value) and low <= value <= high:
            found[name] = value
        else:
            words = f"Write a number between {low:g} and {high:,.0f}, or leave it empty."
            faults.append(Fault(f"{prefix}{name}", words))
    if faults:
        raise BadInput("A figure cannot be read.", faults)
    return found
