"""A backtest in the words of a meeting: sentences, charts with their tables, the leads behind a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.urls import reverse

from leadflow.charts import Cell, Chart, Series
from leadflow.errors import NotVisible
from scoring.backtesting import measures, runs
from scoring.backtesting.cases import LEFT_OUT
from scoring.backtesting.measures import CELL, ENOUGH, Share
from scoring.models import Agreement, BacktestCase, BacktestRun

Json = Any


@dataclass(frozen=True)
class GoalWords:
    """What a good end is called."""

    key: str
    label: str
    did: str
    did_not: str
    head: str


GOALS = {
    "accepted": GoalWords("accepted", "accepted by sales", "were accepted", "were rejected", "Accepted"),
    "customer": GoalWords("customer", "became a customer", "became customers", "did not", "Customers"),
}


def name_of(agreement: Agreement) -> str:
    """Such as: v3 (draft)."""
    told = {"draft": " (draft)", "in_force": " (in force)"}.get(agreement.state, "")
    return f"v{agreement.number}{told}"


def share(raw: Mapping[str, Json]) -> Share:
    """A kept share."""
    return Share(raw["good"], raw["of"])


def percent(raw: Mapping[str, Json]) -> int | None:
    """Whole per cent; None where there are too few for a share."""
    return round(100 * raw["good"] / raw["of"]) if raw["of"] >= CELL else None


def often(found: Share, everybody: Share) -> str:
    """A share against the average, in words; empty where there are too few to say."""
    if found.of < CELL or not everybody.good:
        return ""
    usual = everybody.good / everybody.of
    low, high = found.interval
    if low <= usual <= high:
        return "about as often as average"
    times = found.good / found.of / usual
    if found.good == 0:
        return "none, where the average would be " + _about(usual * found.of)
    if times > 1:
        return (
            f"{times:.1f} × more often than average" if times >= 1.25 else "a little more often than average"
        )
    if times <= 0.8:
        return f"{1 / times:.1f} × less often than average"
    return "a little less often than average"


def _about(number: float) -> str:
    return f"{number:.0f}" if number >= 1 else "less than one"


@dataclass(frozen=True)
class Shown:
    """One finished run, ready for the page."""

    run: BacktestRun
    name: str
    words: GoalWords
    n: int

    @property
    def result(self) -> dict[str, Json]:
        return dict(self.run.result)

    @property
    def enough(self) -> bool:
        return bool(self.result["enough"])

    @property
    def all(self) -> Share:
        return share(self.result["all"])

    @property
    def best(self) -> dict[str, Json]:
        """The best n a week, with per cent and the address of the leads."""
        found = next((b for b in self.result["best"] if b["n"] == self.n), self.result["best"][0])
        return {**found, "percent": percent(found), "href": self.href(f"best:{found['n']}")}

    @property
    def all_percent(self) -> int | None:
        return percent(self.result["all"])

    @property
    def missing(self) -> str:
        """How many more decided leads it takes for a judgement; empty when there are enough."""
        good, bad = self.all.good, self.all.of - self.all.good
        if self.enough:
            return ""
        return (
            f"{good} {self.words.did} and {bad} {self.words.did_not}. A judgement takes at least {ENOUGH}"
            f" of each: {max(0, ENOUGH - good)} and {max(0, ENOUGH - bad)} more."
        )

    @property
    def left_out(self) -> list[tuple[int, str]]:
        """(how many, why) of those with news but no case."""
        return [(count, LEFT_OUT[why]) for why, count in self.result["left_out"].items() if why in LEFT_OUT]

    def href(self, cell: str) -> str:
        """The leads behind a figure."""
        return f"{reverse('scoring:backtest_leads')}?{urlencode({'run': self.run.pk, 'cell': cell})}"

    @property
    def peeks(self) -> list[dict[str, Json]]:
        """The rules that look into the future, each with a sentence."""
        return [
            {**raw, "says": _peek_words(raw, self.words), "href": self.href(f"peek:{raw['n']}")}
            for raw in self.result["peeks"]
        ]

    @property
    def leaks(self) -> list[dict[str, Json]]:
        """The columns that give the end away; those in use first."""
        return list(self.result["leaks"])

    @property
    def statistics(self) -> list[tuple[str, str, str]]:
        """(figure, value, what it means) for whoever wants to know."""
        bar = self.result["bar"]
        above, caught = bar["above"], bar["caught"]
        area = self.result["area"]
        rows = [
            (
                "Precision at the bar",
                _interval(above),
                f"of the {above['of']} that this version lets through, {above['good']} {self.words.did}",
            ),
            (
                "Recall at the bar",
                _interval(caught),
                f"of the {caught['of']} that {self.words.did}, {caught['good']} are let through",
            ),
        ]
        if area:
            told = f"{area['value']:.2f} ({area['low']:.2f} to {area['high']:.2f})"
            rows.append(
                (
                    "AUC",
                    told,
                    "how often a good one ranks above a bad one; 0.5 is drawing lots, 1 is never wrong",
                )
            )
        return rows


def _interval(raw: Mapping[str, Json]) -> str:
    if not raw["of"]:
        return "–"
    return f"{100 * raw['good'] / raw['of']:.0f}% ({100 * raw['low']:.0f} to {100 * raw['high']:.0f}%)"


def _peek_words(raw: Mapping[str, Json], words: GoalWords) -> str:
    good, bad = raw["good"], raw["bad"]
    if raw["why"] == "marked":
        return "Its field was marked “written after contact”: sales fills it in, so it says what sales did."
    if raw["why"] == "sales":
        return "It counts what our own people did, not what the lead is or did."
    return (
        f"Known today for {good['good'] + bad['good']} leads for which nobody knew it then: {good['good']} of"
        f" the {good['of']} that {words.did}, {bad['good']} of the {bad['of']} that {words.did_not}. When"
        f" sales decided it held for {raw['then']}. Here it counts only as it was then."
    )


def shown(run: BacktestRun, n: int = 0, version: Agreement | None = None) -> Shown:
    """A finished run with the chosen number a week, or the one that fits.

    `version`: whose content it was, where another version with the same content was asked for.
    """
    kept = [b["n"] for b in run.result["best"]]
    name = name_of(version or run.agreement)
    return Shown(run, name, GOALS[run.goal], n if n in kept else run.result["n"])


def difference_words(one: Shown, other: Shown, found: Mapping[str, Json]) -> str:
    """Which of two versions sorts better, if that can be said; `found` is of `runs.compare`."""
    if found["low"] > 0:
        return f"Over the whole list {one.name} sorts better than {other.name}."
    if found["high"] < 0:
        return f"Over the whole list {other.name} sorts better than {one.name}."
    return f"Whether {one.name} or {other.name} sorts better cannot be told from these {found['same']} leads."


def difference_row(one: Shown, other: Shown, found: Mapping[str, Json]) -> tuple[str, str, str]:
    """The same for the details: difference of the areas with its interval."""
    told = f"{found['difference']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f})"
    return (f"AUC of {one.name} − {other.name}", told, f"on the {found['same']} leads that both have")


def grade_chart(one: Shown, other: Shown | None, address: str) -> Chart:
    """Of each grade, how many of 100 came to a good end."""
    both = [x for x in (one, other) if x is not None]
    labels = list(dict.fromkeys(g["grade"] for x in both for g in x.result["grades"]))
    by = [{g["grade"]: g for g in x.result["grades"]} for x in both]
    series = [
        Series(
            x.name,
            [percent(found[g]) if g in found else None for g in labels],
            "acc" if x is one else "was",
            [x.href(f"grade:{g}") for g in labels],
        )
        for x, found in zip(both, by, strict=True)
    ]
    columns = ["Grade", *(f"{head} {x.name}" for x in both for head in ("Leads", one.words.head, "Of 100"))]
    rows = [
        [Cell(g), *(cell for x, found in zip(both, by, strict=True) for cell in _cells(found.get(g), x, g))]
        for g in labels
    ]
    if any(x.result["excluded"]["of"] for x in both):
        rows.append(
            [
                Cell("left out: not a lead"),
                *(cell for x in both for cell in _cells(x.result["excluded"], x, "", "excluded")),
            ]
        )
    return Chart(
        id="grades",
        title=f"Of 100 leads of each grade, so many {one.words.did}",
        kind="columns",
        labels=labels,
        series=series,
        says=f"The share that {one.words.did} per grade; the numbers are in the table.",
        columns=columns,
        rows=rows,
        unit="%",
        note=f"Grades as each lead had them when sales decided. Fewer than {CELL} leads: no share.",
        csv=f"{address}&csv=grades",
        sub=_of_all(one),
    )


def _of_all(one: Shown) -> str:
    return f"of all, {one.all_percent} of 100" if one.all_percent is not None else ""


def _cells(raw: Mapping[str, Json] | None, x: Shown, letter: str, cell: str = "") -> list[Cell]:
    if raw is None or not raw["of"]:
        return [Cell("0"), Cell("0"), Cell("–")]
    href = x.href(cell or f"grade:{letter}")
    told = percent(raw)
    return [
        Cell(f"{raw['of']:,}", href),
        Cell(f"{raw['good']:,}", f"{href}&end=good"),
        Cell(str(told) if told is not None else "too few"),
    ]


def source_chart(one: Shown, address: str) -> Chart:
    """Of each source, how many of 100 came to a good end, with what the version thinks of them."""
    found = one.result["sources"]
    rows = []
    for raw in found:
        href = one.href(f"source:{raw['source']}")
        told = percent(raw)
        rows.append(
            [
                Cell(raw["source"]),
                Cell(f"{raw['of']:,}", href),
                Cell(f"{raw['good']:,}", f"{href}&end=good"),
                Cell(str(told) if told is not None else "too few"),
                Cell(often(share(raw), one.all) or "–"),
                Cell(f"{raw['points']:.0f}"),
                Cell(f"{raw['above']:,}", f"{href}&end=above"),
            ]
        )
    return Chart(
        id="sources",
        title=f"Of 100 leads of each source, so many {one.words.did}",
        kind="bars",
        labels=[raw["source"] for raw in found],
        series=[
            Series(
                one.words.head,
                [percent(raw) for raw in found],
                "acc",
                [one.href(f"source:{raw['source']}") for raw in found],
            )
        ],
        says=f"The share that {one.words.did} per source; the numbers are in the table.",
        columns=["Source", "Leads", one.words.head, "Of 100", "Against all", "Mean score", "Above the bar"],
        rows=rows,
        unit="%",
        note=f"Mean score and bar by {one.name}. Fewer than {CELL} leads: no share.",
        csv=f"{address}&csv=sources",
        sub=_of_all(one),
    )


def band_chart(one: Shown, address: str) -> Chart:
    """Of each ten points of score, how many of 100 came to a good end."""
    found = one.result["bands"]
    labels = [f"{raw['from']}–{raw['from'] + 9}" if raw["from"] < 90 else "90–100" for raw in found]
    links = [one.href(f"band:{raw['from']}") for raw in found]
    return Chart(
        id="bands",
        title=f"Of 100 leads of each score, so many {one.words.did}",
        kind="columns",
        labels=labels,
        series=[Series(one.words.head, [percent(raw) for raw in found], "acc", links)],
        says=f"The share that {one.words.did} per ten points; the numbers are in the table.",
        columns=["Score", "Leads", one.words.head, "Of 100", "Interval"],
        rows=[
            [
                Cell(label),
                Cell(f"{raw['of']:,}", link),
                Cell(f"{raw['good']:,}", f"{link}&end=good"),
                Cell(str(percent(raw)) if percent(raw) is not None else "too few"),
                Cell(f"{100 * raw['low']:.0f} to {100 * raw['high']:.0f}"),
            ]
            for raw, label, link in zip(found, labels, links, strict=True)
        ],
        unit="%",
        sub=_of_all(one),
        csv=f"{address}&csv=bands",
        size="small",
    )


def curve_chart(one: Shown, other: Shown | None, address: str) -> Chart | None:
    """The curve behind the AUC."""
    both = [x for x in (one, other) if x is not None and x.result["curve"]]
    if not both or both[0] is not one:
        return None
    steps = list(range(0, 101, 5))
    values = [[_height(x.result["curve"], step / 100) for step in steps] for x in both]
    return Chart(
        id="curve",
        title="ROC",
        kind="line",
        labels=[str(step) for step in steps],
        series=[
            Series(x.name, one_of, "acc" if x is one else "was")
            for x, one_of in zip(both, values, strict=True)
        ],
        says="Per cent of the good reached for each per cent of the bad; the numbers are in the table.",
        columns=["% of the bad let through", *(f"% of the good, {x.name}" for x in both)],
        rows=[[Cell(str(step)), *(Cell(f"{row[i]:.0f}") for row in values)] for i, step in enumerate(steps)],
        unit="%",
        note="Across: per cent of the bad let through",
        csv=f"{address}&csv=curve",
        size="small",
        top=100,
    )


def _height(curve: Sequence[Sequence[float]], at: float) -> float:
    """The curve's height at a share of the bad, straight between its points; its top where it is upright."""
    below = [(x, y) for x, y in curve if x <= at]
    above = [(x, y) for x, y in curve if x > at]
    x0, y0 = below[-1]
    if not above or x0 == at:
        return round(100 * y0, 1)
    x1, y1 = above[0]
    return round(100 * (y0 + (y1 - y0) * (at - x0) / (x1 - x0)), 1)


CELL_WORDS = {
    "all": "All decided leads",
    "excluded": "Left out by the version",
    "above": "Let through to sales by the version",
    "below": "Not let through by the version",
}
ENDS = ("", "good", "bad", "above")


def behind(run: BacktestRun, cell: str, end: str = "") -> tuple[str, QuerySet[BacktestCase]]:
    """The words of a figure and its leads. Raises NotVisible for one that is not on the page."""
    found = BacktestCase.objects.filter(run=run)
    kind, _, value = cell.partition(":")
    words = GOALS[run.goal]
    title = CELL_WORDS.get(cell, "")
    if kind == "grade" and value:
        found, title = found.filter(grade__startswith=value[:1], excluded=False), f"Grade {value[:1]}"
    elif kind == "source" and value:
        source = "" if value == measures.NO_SOURCE else value
        found, title = found.filter(source=source), f"Source: {value}"
    elif kind == "best" and value.isdecimal() and int(value) in measures.BEST:
        zone = run.agreement.zone
        chosen = measures.best_of_week(runs.cases_of(run), int(value), zone)
        found, title = found.filter(pk__in=_pks(run, chosen)), f"The best {value} of each week"
    elif cell == "excluded":
        found = found.filter(excluded=True)
    elif cell == "above":
        found = found.filter(excluded=False, sales=True)
    elif cell == "below":
        found = found.exclude(excluded=False, sales=True)
    elif kind == "band" and value.isdecimal() and len(value) < 3:
        low = int(value)
        span = (low, low + measures.BAND - 1 if low < 90 else 1_000)
        found, title = found.filter(total__range=span, excluded=False), f"Score from {low}"
    elif kind == "peek" and value.isdecimal() and len(value) < 5:
        found, title = found.filter(later__contains=[int(value)]), "Matched only by what was recorded later"
    elif cell != "all":
        raise NotVisible
    if end == "good":
        return f"{title}: {words.did}", found.filter(good=True)
    if end == "bad":
        return f"{title}: {words.did_not}", found.filter(good=False)
    if end == "above":
        return f"{title}: above the bar", found.filter(excluded=False, sales=True)
    return title, found


def _pks(run: BacktestRun, chosen: Sequence[measures.Case]) -> list[int]:
    wanted = {(case.key, case.at) for case in chosen}
    rows = BacktestCase.objects.filter(run=run).values_list("pk", "lead_id", "at")
    return [pk for pk, lead, at in rows if (lead, at) in wanted]
