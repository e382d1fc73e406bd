"""A chart as data: what `templates/_chart.html` shows and `static/js/chart.js` draws.

Every chart has the same figures as a table, each figure a link to its leads, and a CSV.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

# Colours speak tokens, never hex: "acc" this, "was" the period before, "ok", "soon", "late", "soft".
Tone = Literal["acc", "was", "soft", "ok", "soon", "late", "a", "b", "c", "d"]
Kind = Literal["bars", "columns", "stacked", "line"]


@dataclass(frozen=True)
class Cell:
    """One cell of the table behind a chart; `href` leads to the leads it counts."""

    text: str
    href: str = ""


@dataclass(frozen=True)
class Series:
    """One row of figures; `links` (same length) lead from each mark to its leads."""

    name: str
    values: Sequence[float | None]
    tone: Tone = "acc"
    links: Sequence[str] = ()


@dataclass(frozen=True)
class Chart:
    """A chart card. `says` is the sentence a screen reader hears instead of the picture.

    `bars` lie (few categories with words), `columns` stand (time), `stacked` stand on each other.
    `mark` is a dashed line at a value with its words: (90, "promised: 90%").
    """

    id: str
    title: str
    kind: Kind
    labels: Sequence[str]
    series: Sequence[Series]
    says: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    unit: str = ""
    sub: str = ""
    csv: str = ""
    note: str = ""
    size: Literal["", "small", "tall"] = ""
    mark: tuple[float, str] | None = None
    top: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def data_id(self) -> str:
        """The id of the JSON that the page's script reads."""
        return f"{self.id}-data"

    @property
    def blank(self) -> bool:
        """Whether there is nothing to draw: then its table stands in its place."""
        return not self.extra and all(value is None for one in self.series for value in one.values)

    @property
    def data(self) -> dict[str, Any]:
        """What the script draws."""
        return {
            "kind": self.kind,
            "labels": list(self.labels),
            "unit": self.unit,
            "mark": self.mark,
            "top": self.top,
            "series": [
                {"name": one.name, "values": list(one.values), "tone": one.tone, "links": list(one.links)}
                for one in self.series
            ],
            **self.extra,
        }
