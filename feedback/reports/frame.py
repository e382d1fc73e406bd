"""Pieces that the short report files share: population in words, rows in order, a chart over a table."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Q

from feedback.reports.base import Filters, Report
from feedback.reports.cube import Counts, Cube
from feedback.reports.once import once
from leadflow.accounts.models import Team
from leadflow.charts import Cell, Chart, Kind, Series
from leadflow.leads.models import Campaign
from scoring import agreements
from scoring.document import Document

SAME_AGE = "The period before is looked at at the same age."


def population(words: str, filters: Filters, *, all_of: bool = True) -> str:
    """The population in words with whatever narrows it; `all_of`: without merged and erased leads."""
    if filters.source:
        words += f", first source {filters.source}"
    if filters.campaign:
        words += f", first campaign {campaign_names().get(filters.campaign, filters.campaign)}"
    if filters.persona:
        words += f", persona {persona_names().get(filters.persona, filters.persona)}"
    if filters.team:
        words += f", team {Team.objects.get(pk=filters.team).name}"
    if filters.version:
        words += f", under agreement v{filters.version}"
    return words + ("; merged and erased leads are not counted" if all_of else "")


@once
def campaign_names() -> dict[str, str]:
    """Names of the campaigns by code."""
    return dict(Campaign.objects.filter(~Q(code="")).order_by("name").values_list("code", "name"))


@once
def persona_names() -> dict[str, str]:
    """Names of the personas of the present agreement by key."""
    agreement = agreements.current()
    return {p.key: p.name for p in Document(agreement.content).personas} if agreement else {}


def rows_of(cube: Cube, dim: str, counts: Counts, by: str = "leads", top: int = 60) -> list[tuple[str, str]]:
    """(key, name) of a dimension's rows, the largest first."""
    keys = sorted((k for d, k in counts if d == dim), key=lambda k: (-counts[dim, k][by], k))[:top]
    names = cube.dims[dim].named(keys)
    return [(key, names[key] or "none") for key in keys]


def chart_of(
    report: Report,
    table: str,
    title: str,
    kind: Kind,
    series: Sequence[Series],
    *,
    labels: Sequence[str] | None = None,
    **options: Any,
) -> Chart:
    """A chart whose table is one of the report's; its rows name the marks unless `labels` do."""
    found = report.table(table)
    names = list(labels) if labels is not None else [row[0].words for row in found.rows]
    says = "; ".join(
        f"{one.name}: "
        + ", ".join(
            f"{name} {'–' if value is None else value}" for name, value in zip(names, one.values, strict=True)
        )
        for one in series
    )
    return Chart(
        table,
        title,
        kind,
        names,
        series,
        f"{title}. {says}"[:1500],
        found.seen_columns,
        [
            [Cell(figure.words, figure.href or report.link(figure.cell)) for figure in row]
            for row in found.seen_rows
        ],
        csv=report.csv(table),
        note=report.population,
        **options,
    )
