"""What all reports share: the period and its filters, tables whose figures lead to their leads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from feedback.reports.once import once
from leadflow import clock
from leadflow.accounts.models import Organisation, Team, User
from leadflow.charts import Chart
from leadflow.errors import BadInput, Fault
from scoring.models import Agreement

DEFAULT_DAYS = 28
LONGEST = timedelta(days=366 * 5)


@dataclass(frozen=True)
class Filters:
    """A period of whole days in the company's zone (`start` to `end`, both included), a team, a source.

    `at` is the instant of looking: nothing later counts.
    """

    start: date
    end: date
    at: datetime
    zone: str = "UTC"
    team: int | None = None
    source: str = ""
    # The code of the lead's first campaign; the key of the persona that it was at its offer.
    campaign: str = ""
    persona: str = ""
    # Of sales' answers only: how grouped, one reason, one rep, one criterion that gave points at the offer.
    by: str = ""
    reason: str = ""
    rep: int | None = None
    criterion: str = ""
    # The number of an agreement: entered or handed over under it.
    version: int | None = None
    # Up to when kept rows hold (`journeys.marked`), so that a report asks once; ...: nobody has asked.
    mark: Any = field(default=..., compare=False, repr=False)
    # With the mark: finds, once, of the leads about which something was written since those of the persona.
    persona_leads: Any = field(default=..., compare=False, repr=False)

    @property
    def low(self) -> datetime:
        """The first instant of the period."""
        return _midnight(self.start, self.zone)

    @property
    def high(self) -> datetime:
        """The first instant after the period."""
        return _midnight(self.end + timedelta(days=1), self.zone)

    @property
    def before(self) -> "Filters":
        """The period of the same length just before, looked at at the same age."""
        days = (self.end - self.start).days + 1
        shift = timedelta(days=days)
        return replace(self, start=self.start - shift, end=self.end - shift, at=self.at - shift)

    @property
    def query(self) -> dict[str, str]:
        """The filters as they stand in an address; `at` is not among them."""
        pairs = {"from": self.start.isoformat(), "to": self.end.isoformat()}
        if self.team:
            pairs["team"] = str(self.team)
        if self.rep:
            pairs["rep"] = str(self.rep)
        if self.version:
            pairs["version"] = str(self.version)
        named = ("source", "campaign", "persona", "by", "reason", "criterion")
        return pairs | {name: getattr(self, name) for name in named if getattr(self, name)}

    @property
    def words(self) -> str:
        """The period in words: "26 Oct to 22 Nov"."""
        return f"{day_words(self.start, self.end)} to {day_words(self.end, self.end)}"


def day_words(day: date, other: date) -> str:
    """Writes "26 Oct", with the year where it is not that of the present."""
    text = f"{day.day} {day:%b}"
    return text if day.year == clock.now().year and other.year == day.year else f"{text} {day.year}"


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


organisation = once(Organisation.get)


def read_filters(query: Mapping[str, str], *, days: int = DEFAULT_DAYS) -> Filters:
    """The filters of an address (`from`, `to`, `team`, `source`, …); without dates the last `days` days.

    Raises BadInput in words for what is no date, a reversed or endless range, an unknown team.
    """
    zone, now = organisation().tz, clock.now()
    today = now.astimezone(ZoneInfo(zone)).date()
    end = _date(query, "to") or today
    start = _date(query, "from") or end - timedelta(days=days - 1)
    if start > end:
        raise BadInput(
            f"The period ends on {end:%-d %b %Y}, before it begins on {start:%-d %b %Y}.",
            [Fault("from", "Give a first day that is not after the last.")],
        )
    if end - start > LONGEST:
        raise BadInput("That period is longer than five years.", [Fault("from", "Choose a later first day.")])
    names = ("source", "campaign", "persona", "by", "reason", "criterion")
    said = {name: query.get(name, "").strip() for name in names}
    team, rep = _team(query.get("team", "")), _rep(query.get("rep", ""))
    version = _version(query.get("version", ""))
    return Filters(start, end, now, zone, team, rep=rep, version=version, **said)


def _date(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name, "").strip()
    if not text:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"“{text[:40]}” is no date.", [Fault(name, "Write the day as 2026-11-24.")]) from None
    if not 2000 <= found.year <= 2100:
        raise BadInput("That year is out of reach.", [Fault(name, "Choose a day between 2000 and 2100.")])
    return found


def _team(text: str) -> int | None:
    if not text.strip():
        return None
    if not (text.isascii() and text.isdecimal()) or not Team.objects.filter(pk=int(text[:18])).exists():
        raise BadInput("There is no such team.", [Fault("team", "Choose one of the teams.")])
    return int(text[:18])


def _version(text: str) -> int | None:
    if not text.strip():
        return None
    known = text.isascii() and text.isdecimal() and len(text) < 9
    if not known or not Agreement.objects.filter(number=int(text), in_force_at__isnull=False).exists():
        raise BadInput(
            "There is no such agreement.", [Fault("version", "Choose one that has been in force.")]
        )
    return int(text)


def _rep(text: str) -> int | None:
    if not text.strip():
        return None
    if not (text.isascii() and text.isdecimal()) or not User.objects.filter(pk=int(text[:18])).exists():
        raise BadInput("There is no such person.", [Fault("rep", "Choose one of the reps.")])
    return int(text[:18])


@dataclass(frozen=True)
class Figure:
    """One cell: the value as it goes into JSON and CSV, the words on the page, and which leads it counts.

    `cell` is empty where nothing can be listed (a share, a name). `tone` marks it: "hot", "warm", "".
    """

    value: Any
    text: str = ""
    cell: str = ""
    tone: str = ""
    small: str = ""
    href: str = ""

    @property
    def words(self) -> str:
        """What stands in the cell."""
        if self.text:
            return self.text
        if self.value is None:
            return "–"
        return f"{self.value:,}" if isinstance(self.value, int) else str(self.value)


@dataclass
class Table:
    """A table of figures; the first column names the row. `foot` is the line below."""

    key: str
    title: str
    columns: Sequence[str]
    rows: list[list[Figure]]
    foot: list[Figure] = field(default_factory=list)
    sub: str = ""
    note: str = ""
    # Columns that only the data (JSON, CSV) has: on the page another cell says them in small.
    unseen: Sequence[int] = ()
    # Behind "details" on the page: how sure something is.
    folded: bool = False
    # What stands in place of rows where there are none.
    nothing: str = ""

    @property
    def seen_columns(self) -> list[str]:
        """The heads on the page."""
        return [head for n, head in enumerate(self.columns) if n not in self.unseen]

    @property
    def seen_rows(self) -> list[list[Figure]]:
        """The rows on the page."""
        return [[figure for n, figure in enumerate(row) if n not in self.unseen] for row in self.rows]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The rows as JSON objects."""
        return [
            {column: figure.value for column, figure in zip(self.columns, row, strict=True)}
            for row in self.rows
        ]


@dataclass
class Report:
    """What a report found. `population` says in words whom it counts, `say` what came out."""

    name: str
    title: str
    population: str
    definition: str
    say: list[tuple[str, str]]
    filters: Filters
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    empty: bool = False
    # Whether team, source and the like narrow it.
    narrow: bool = True

    def link(self, cell: str) -> str:
        """The address of the leads behind a figure."""
        if not cell:
            return ""
        return f"/reports/{self.name}/leads/?{urlencode(self.filters.query | {'cell': cell})}"

    def csv(self, table: str) -> str:
        """The address of a table as CSV."""
        return f"/reports/{self.name}/?{urlencode(self.filters.query | {'format': 'csv', 'table': table})}"

    def table(self, key: str) -> Table:
        """The table of that name; the first for an empty one. BadInput for one that is not there."""
        for table in self.tables:
            if not key or table.key == key:
                return table
        raise BadInput("This report has no such table.", [Fault("table", "Choose one of its tables.")])


def share(part: int, whole: int) -> float | None:
    """Per cent, one digit; None of nothing."""
    return round(100 * part / whole, 1) if whole else None


def percent(part: int, whole: int) -> str:
    """Writes "76%", a dash of nothing."""
    return f"{100 * part / whole:.0f}%" if whole else "–"


# Fewer than this and a share is shown with its number, and judged by nobody.
FEW = 20
NO_SOURCE = "(none)"


def part_of(part: int, whole: int, cell: str = "") -> Figure:
    """A share as a figure: "76%", below it how few they are if they are few."""
    small = f"{whole} only" if 0 < whole < FEW else ""
    return Figure(share(part, whole), percent(part, whole), cell, small=small)


def in_hundred(part: int, whole: int) -> str:
    """Writes "41 of 100", or "3 of 7" where there are few."""
    return f"{part} of {whole}" if whole < FEW else f"{100 * part / whole:.0f} of 100"


def lasting(seconds: float | None) -> str:
    """A length of time as people say it: "25 min", "3.5 h", "2.1 days"; a dash of nothing."""
    if seconds is None:
        return "–"
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} min"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
