"""The whole weeks of a period of which sums are kept, and the sums that one filter finds in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from feedback.reports import journeys
from feedback.reports.base import NO_SOURCE, Filters
from feedback.reports.weeks import Whole, whole

_CAMPAIGN = "(SELECT id FROM leads_campaign WHERE code = %(campaign)s)"
_VERSION = "(SELECT id FROM scoring_agreement WHERE number = %(version)s)"


@dataclass(frozen=True)
class Asked:
    """What a filter asks of a kept row `k`, and under which key the sums by week have what it finds."""

    holds: str
    key: str


ASKED = {
    "source": Asked("k.first_source = %(source)s", "%(source)s"),
    "campaign": Asked(f"k.first_campaign_id = {_CAMPAIGN}", f"{_CAMPAIGN}::text"),
    "persona": Asked("k.persona = %(persona)s", "%(persona)s"),
    "team": Asked("k.team_id = %(team)s", "%(team)s::text"),
    "version": Asked(f"k.agreement_id = {_VERSION}", f"{_VERSION}::text"),
}


def known(filters: Filters) -> Filters:
    """The same filters with up to when kept rows hold in them: for whoever asks more than once."""
    return replace(filters, mark=journeys.kept(filters))


def values(filters: Filters, asked: Mapping[str, Asked] = ASKED) -> dict[str, Any]:
    """What the period and the filters bind."""
    kept = journeys.kept(filters)
    found = {name: getattr(filters, name) for name in ("low", "high", "at", "zone", *asked)}
    found["source"] = "" if filters.source == NO_SOURCE else filters.source
    found["mark"] = kept.mark if kept else None
    return found


def holds(filters: Filters, asked: Mapping[str, Asked] = ASKED) -> str:
    """The condition of all filters over a kept row `k`."""
    return " AND ".join(["TRUE", *(one.holds for name, one in asked.items() if getattr(filters, name))])


@dataclass(frozen=True)
class Sums:
    """Sums by week that cover a part of the period: `selects` gives them, `bound` what it binds besides.

    Of kept rows with the instant `{at}`: `inside` are those in the weeks, `beside` the others of the period.
    """

    weeks: Whole
    selects: str
    bound: Mapping[str, Any]
    inside: str = "{at} >= %(from)s AND {at} < %(until)s"
    # Two stretches, each of which an index finds.
    beside: str = """({at} >= %(low)s AND {at} < %(from)s OR {at} >= %(until)s AND {at} < %(high)s)
        AND {at} <= %(at)s"""


def sums(
    filters: Filters, table: str, keys: Sequence[str], asked: Mapping[str, Asked] = ASKED
) -> Sums | None:
    """The sums of the whole weeks in the period that were over when looked at.

    None where there are none, or not in this zone, or not by these filters together.
    """
    kept = journeys.kept(filters)
    names = [name for name in asked if getattr(filters, name)]
    if kept is None or kept.zone != filters.zone or len(names) > 1:
        return None
    zone = ZoneInfo(filters.zone)
    found = whole(filters, before=filters.at.astimezone(zone).date())
    if found.first >= found.until:
        return None

    def midnight(day: date) -> datetime:
        return datetime.combine(day, time(), zone)

    columns = ", ".join(keys)
    narrow = f"by = '{names[0]}' AND key = {asked[names[0]].key}" if names else "by = '' AND key = ''"
    selects = f"""SELECT {columns}, sum(n)::bigint AS n, sum(lines) AS lines FROM {table}
        WHERE {narrow} AND week >= %(first)s AND week < %(last)s GROUP BY {columns}"""  # noqa: S608 ours
    bound = {"first": found.first, "last": found.until}
    return Sums(found, selects, bound | {"from": midnight(found.first), "until": midnight(found.until)})
