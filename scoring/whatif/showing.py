"""A look in words and figures, as its page shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from leadflow.leads.models import Lead
from scoring.document import Document
from scoring.editing.sampling import rounded
from scoring.explanation import Explanation, explain_many
from scoring.models import Agreement, PreviewRun
from scoring.room import Room
from scoring.whatif import bars, runs, tally, weekly
from scoring.whatif.bars import Bar
from scoring.whatif.tally import Line

Json = Any
NAMES = 5
CUTS = (("number", "number"), ("letter", "letter"), ("grade", "grade"))
_COUNTS = "no one two three four five six seven eight nine ten eleven twelve".split()
_WIDE, _NARROW, _LEFT = 34, 15, 10
_HEIGHT, _BASE = 128, 146


@dataclass(frozen=True)
class Mover:
    """One lead of a list, by name, with what moved it."""

    line: Line
    name: str
    title: str
    company: str
    causes: Sequence[tuple[str, str]] = ()

    @property
    def source_words(self) -> str:
        return ", ".join(part for part in (self.title, self.company) if part)


@dataclass(frozen=True)
class Names:
    """A list cut to a few names. `count` is said "about" where it comes from a sample."""

    cell: str
    count: int
    movers: Sequence[Mover]
    href: str

    @property
    def more(self) -> int:
        return max(0, self.count - len(self.movers))


@dataclass(frozen=True)
class Team:
    """One team's week: handoffs now, by the draft, and room. Widths are of 346 units of a drawing."""

    name: str
    reps: int
    now: int
    then: int
    room: int
    most: int

    def _wide(self, n: int) -> int:
        return round(260 * n / self.most) if self.most else 0

    @property
    def waits(self) -> int:
        return max(0, self.then - self.room)

    @property
    def now_wide(self) -> int:
        return self._wide(self.now)

    @property
    def fits_wide(self) -> int:
        return self._wide(min(self.then, self.room))

    @property
    def over_wide(self) -> int:
        return self._wide(self.waits)

    @property
    def then_wide(self) -> int:
        return self._wide(self.then)

    @property
    def room_at(self) -> int:
        return self._wide(self.room)


@dataclass(frozen=True)
class Column:
    """One step of points in the drawing, with its heights and addresses."""

    low: int
    was: int
    now: int
    x: int
    was_y: float
    now_y: float
    was_href: str
    now_href: str

    @property
    def was_high(self) -> float:
        return _BASE - self.was_y

    @property
    def label(self) -> str:
        return f"{self.low}" if self.low % 20 == 0 else ""


@dataclass(frozen=True)
class Drawing:
    """The picture of the two spreads, for wide or narrow screens; lengths in units of the drawing."""

    columns: list[Column]
    step: int
    tried: int
    bar_now: int

    @property
    def wide(self) -> int:
        return self.right + 10

    @property
    def right(self) -> int:
        return _LEFT + self.step * len(tally.STEPS)

    @property
    def bar_wide(self) -> int:
        return self.step - 2

    @property
    def steps(self) -> str:
        """The draft's spread as the line of a staircase."""
        return " ".join(f"{c.x},{c.now_y} {c.x + self.step},{c.now_y}" for c in self.columns)

    def _place(self, points: int) -> int:
        return round(_LEFT + self.step * min(max(points, 0), 105) / tally.STEP)

    @property
    def tried_at(self) -> int:
        return self._place(self.tried)

    @property
    def now_at(self) -> int:
        return self._place(self.bar_now)


@dataclass(frozen=True)
class Cell:
    """One number of the matrix."""

    count: int
    look: str
    href: str


@dataclass(frozen=True)
class Matrix:
    """Grades before against grades by the draft, cut to what changes."""

    by: str
    heads: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell], int]]
    foot: Sequence[int]
    total: int
    says: str


@dataclass
class Shown:
    """One look at one bar: what the templates read."""

    run: PreviewRun
    bar: Bar | None
    tried: int
    found: Mapping[str, Json] = field(init=False)
    exact: bool = field(init=False)

    def __post_init__(self) -> None:
        self.found, self.exact = runs.answer(self.run)
        self.standing = runs.standing(self.run)
        if self.standing.percent == 100 and not self.exact:
            self.found, self.exact = runs.answer(self.run)

    # How much of the base was looked at

    @property
    def sample(self) -> bool:
        return runs.of_sample(self.run)

    @property
    def empty(self) -> bool:
        return not self.run.result["base"]

    @property
    def about(self) -> str:
        return "" if self.exact else "About "

    def whole(self, count: float) -> int:
        """A count as it is said: one from a sample as an estimate."""
        return int(count) if self.exact or count == int(count) else rounded(count)

    @cached_property
    def room(self) -> Room:
        """The room of sales at the instant of the look."""
        return Room.of_json(self.run.result.get("room", {}))

    # Addresses

    @property
    def query(self) -> dict[str, Json]:
        return {"run": self.run.pk, "bar": self.tried}

    def href(self, cell: str, **more: Json) -> str:
        """The leads behind a number."""
        return f"{reverse('scoring:moves_leads')}?{urlencode({**self.query, 'cell': cell, **more})}"

    def csv(self, table: str) -> str:
        return f"{reverse('scoring:moves_table')}?{urlencode({**self.query, 'table': table})}"

    # The slider

    @property
    def enter_leave(self) -> tuple[int, int]:
        enter, leave = self.found["bars"].get(str(self.tried), (0, 0))
        return self.whole(enter), self.whole(leave)

    @property
    def week_now(self) -> int | None:
        now = self.found["weekly"]["now"]
        return None if now is None else round(now)

    @property
    def week(self) -> int:
        return self._week(self.tried)

    def _week(self, bar: int) -> int:
        return round(float(self.found["weekly"]["bars"].get(str(bar), 0)))

    @property
    def more(self) -> int:
        return self.week - (self.week_now or 0)

    @property
    def ticks(self) -> list[tuple[int, str]]:
        """Bars with the handoffs a week that they bring more or less; of a sample the bars alone: too few of
        its leads lie between two bars to tell these apart."""
        if self.bar is None:
            return []
        if not self.exact:
            return [(bar, "") for bar in self.bar.ticks]
        return [(bar, _signed(self._week(bar) - (self.week_now or 0))) for bar in self.bar.ticks]

    @property
    def more_words(self) -> str:
        """7 more a week · As many a week as now · 2 fewer a week."""
        if self.week_now is None:
            return f"{self.about}{self.week} a week"
        if self.more == 0:
            return "As many a week as now"
        return f"{self.about}{abs(self.more)} {'more' if self.more > 0 else 'fewer'} a week"

    @property
    def reps_words(self) -> str:
        reps = len(self.room.present)
        number = _COUNTS[reps] if reps < len(_COUNTS) else str(reps)
        return f"your {number} rep{'' if reps == 1 else 's'} {'has' if reps == 1 else 'have'} room for"

    @property
    def room_left(self) -> int:
        """New leads a week that fit on top of those that come now."""
        return max(0, self.room.per_week - (self.week_now or 0))

    @property
    def such(self) -> weekly.Such:
        return weekly.such(self.found["answers"], self.tried)

    # The parts of the page

    @property
    def columns(self) -> list[Column]:
        return self.drawing.columns

    @property
    def drawing(self) -> "Drawing":
        return self._draw(_WIDE)

    @property
    def drawing_narrow(self) -> "Drawing":
        return self._draw(_NARROW)

    def _draw(self, step: int) -> "Drawing":
        """The two spreads; tall bars are pressed together by a root, so that the few at the top show."""
        top = max([*self.found["was"], *self.found["now"], 1]) ** 0.5
        made = []
        for i, low in enumerate(tally.STEPS):
            was, now = self.found["was"][i], self.found["now"][i]
            made.append(
                Column(
                    low,
                    self.whole(was),
                    self.whole(now),
                    _LEFT + i * step,
                    round(_BASE - _HEIGHT * was**0.5 / top, 1),
                    round(_BASE - _HEIGHT * now**0.5 / top, 1),
                    self.href(f"was:{low}"),
                    self.href(f"now:{low}"),
                )
            )
        return Drawing(made, step, self.tried, self.bar_now or 0)

    @property
    def bar_now(self) -> int | None:
        """The bar of the version in force, if it has one."""
        return bar_of(self.run.against)

    @property
    def teams(self) -> list[Team]:
        return teams_of(self.room, self.week_now, self.week)

    @property
    def waits(self) -> list[Team]:
        return [team for team in self.teams if team.waits]

    @property
    def wait_count(self) -> int:
        return sum(team.waits for team in self.teams)

    def matrix(self, asked: str = "") -> Matrix:
        return matrix_of(self, asked)

    @property
    def lists(self) -> dict[str, Names]:
        """Who enters, who leaves, who is just above and below the bar: a few names of each."""
        enter, leave = self.found["bars"].get(str(self.tried), (0, 0))
        counts = {"enter": enter, "leave": leave, "above": NAMES, "below": NAMES}
        lines = tally.several(self.run, list(counts), self.tried, sample=self.sample, limit=NAMES)
        # All are explained together: a lead costs little, a statement much.
        told = {mover.line: mover for mover in movers(self, [one for few in lines.values() for one in few])}
        return {
            name: Names(
                name,
                self.whole(counts[name]),
                [told[line] for line in few if line in told],
                self.href(name),
            )
            for name, few in lines.items()
        }

    @cached_property
    def _queue(self) -> Mapping[str, Mapping[str, tuple[float, float]]]:
        return tally.queue_by(self.run, self.tried, sample=self.sample)

    def groups(self, by: str) -> list[dict[str, Json]]:
        """A row per source or owner, each number with the address of its leads."""
        keys = ("open", "up", "down", "becomes", "stops", "enter", "leave")
        queue = self._queue[by]
        made = []
        for one in self.found[f"{by}s"]:
            enter, leave = queue.get(one["key"], (0, 0))
            counts = {**one, "enter": enter, "leave": leave}
            cells = [(self.whole(counts[key]), self.href(f"{by}:{key}:{one['key']}")) for key in keys]
            made.append({"name": one["name"], "cells": cells})
        return made

    def _heading(self, count: int, one: str, many: str) -> str:
        """About 5 enter the queue · Probably nobody leaves it · Nobody leaves it."""
        if not count:
            return f"Nobody {one}" if self.exact else f"Probably nobody {one}"
        return f"{self.about}{count:,} {one if count == 1 else many}"

    @property
    def stay(self) -> int:
        """Leads that are with sales, and stay there."""
        return self.whole(self.found["with_sales"])

    @property
    def words(self) -> dict[str, str]:
        """Headings and side remarks, with the addresses of their leads."""
        enter, leave = self.enter_leave
        said = {
            "enter": self._heading(enter, "enters the queue", "enter the queue"),
            "leave": self._heading(leave, "leaves it", "leave it"),
        }
        for key, words in (
            ("becomes", "more become MQL"),
            ("stops", "stop being MQL"),
            ("out", "are left out from then on: not a lead"),
            ("back", "are leads again"),
        ):
            count = self.whole(self.found[key])
            said[key] = f"{self.about}{count:,} {words}" if count else ""
        cells = ("becomes", "stops", "out", "back", "sales", "open")
        return said | {f"{cell}_href": self.href(cell) for cell in cells}


def bar_of(agreement: Agreement | None) -> int | None:
    """The bar for sales of a version, if it has one."""
    found = bars.of(Document(agreement.content)) if agreement else None
    return found.value if found else None


def movers(shown: Shown, lines: Sequence[Line]) -> list[Mover]:
    """The leads of a list by name, each with the criteria that moved it. Three statements and two."""
    ids = list(dict.fromkeys(line.lead for line in lines))
    if not ids:
        return []
    leads = Lead.objects.select_related("company").in_bulk(ids)
    run = shown.run
    new = explain_many(ids, run.at, run.draft, evidence=False)
    old = explain_many(ids, run.at, run.against, evidence=False) if run.against else {}
    made = []
    for line in lines:
        lead = leads.get(line.lead)
        if lead is None:
            continue
        made.append(
            Mover(
                line,
                str(lead),
                lead.title,
                lead.company.name if lead.company else "",
                causes(shown, line, old.get(line.lead), new.get(line.lead)),
            )
        )
    return made


def causes(
    shown: Shown, line: Line, old: Explanation | None, new: Explanation | None
) -> list[tuple[str, str]]:
    """What is another by the draft: each criterion with its points more or less, the largest first."""
    if old is None or new is None:
        return []
    made = []
    before, tried = shown.bar_now, shown.tried
    if before is not None and before != tried and min(before, tried) <= line.now < max(before, tried):
        made.append((f"bar {tried} instead of {before}", ""))
    if new.excluded_by != old.excluded_by:
        made.append((f"not a lead: {new.excluded_by}" if new.excluded_by else "is a lead again", ""))
    if new.thresholds.fast_tracks != old.thresholds.fast_tracks:
        made.append(("fast track" if new.thresholds.fast_tracks else "no fast track any more", ""))
    points: dict[str, list[Any]] = {}
    for sign, told in ((-1, old), (1, new)):
        for part in told.lines:
            if part.criterion:
                entry = points.setdefault(part.criterion, ["", 0])
                entry[0] = part.text or entry[0]
                entry[1] += sign * part.points
    changed = sorted(
        ((text, delta) for text, delta in points.values() if delta), key=lambda pair: -abs(pair[1])
    )
    return [*made, *((text, _signed(delta)) for text, delta in changed[:4])]


def teams_of(room: Room, now: int | None, then: int) -> list[Team]:
    """The week of each team: handoffs are shared out as they were in the last four weeks."""
    names: dict[int | None, str] = {}
    shares: dict[int | None, float] = {}
    reps: dict[int | None, int] = {}
    days = sum(1 for day in room.days if (day - room.days[0]).days < 7) if room.days else 0
    fits: dict[int | None, int] = {}
    known = sum(room.offers.get(rep.user_id, 0) for rep in room.reps)
    for rep in room.reps:
        names[rep.team_id] = rep.team or "No team"
        share = room.offers.get(rep.user_id, 0) / known if known else 1 / len(room.reps)
        shares[rep.team_id] = shares.get(rep.team_id, 0) + share
        if rep.present:
            reps[rep.team_id] = reps.get(rep.team_id, 0) + 1
            fits[rep.team_id] = fits.get(rep.team_id, 0) + rep.per_day * days
    most = max([then, now or 0, *fits.values(), 1])
    return [
        Team(
            names[key],
            reps.get(key, 0),
            round((now or 0) * shares[key]),
            round(then * shares[key]),
            fits.get(key, 0),
            most,
        )
        for key in sorted(names, key=lambda key: names[key])
    ]


def matrix_of(shown: Shown, asked: str = "") -> Matrix:
    """Numbers where the letters stay, letters where the numbers do, else whole grades, or as asked."""
    pairs = [(*pair.split(">"), n) for pair, n in shown.found["grades"].items()]
    old = [pair for pair in pairs if pair[0] != "–"]
    letters = any(was[0] != now[0] for was, now, _ in old)
    numbers = any(was[1] != now[1] for was, now, _ in old)
    by = asked if asked in ("letter", "number", "grade") else ""
    by = by or ("grade" if letters and numbers else "letter" if letters else "number")
    cut = {"letter": slice(0, 1), "number": slice(1, 2), "grade": slice(0, 2)}[by]
    counts: dict[tuple[str, str], int] = {}
    for was, now, n in pairs:
        key = (was[cut] if was != "–" else "–", now[cut])
        counts[key] = counts.get(key, 0) + n
    heads = sorted({now for _, now in counts} | {was for was, _ in counts if was != "–"})
    befores = sorted({was for was, _ in counts}, key=lambda was: (was == "–", was))
    rows = []
    for was in befores:
        cells = []
        for now in heads:
            n = counts.get((was, now), 0)
            look = "same" if was == now else "" if was == "–" or not n else "up" if now < was else "down"
            name = f"move:{_pattern(was, by)}>{_pattern(now, by)}" if was != "–" else ""
            cells.append(Cell(shown.whole(n), look, shown.href(name) if n and name else ""))
        rows.append((was, cells, shown.whole(sum(counts.get((was, now), 0) for now in heads))))
    foot = [shown.whole(sum(n for (_, now), n in counts.items() if now == head)) for head in heads]
    up = sum(n for was, now, n in old if now < was)
    down = sum(n for was, now, n in old if now > was)
    stay = sum(n for was, now, n in old if now == was)
    lead = ""
    if old and not letters and numbers:
        lead = "Letters stay: only “what they do” changed. "
    if old and letters and not numbers:
        lead = "Numbers stay: only “who” and “who is buying” changed. "
    says = f"{lead}{shown.whole(up):,} move up, {shown.whole(down):,} down, {shown.whole(stay):,} stay."
    return Matrix(by, heads, rows, foot, shown.whole(shown.found["open"]), says)


def _pattern(part: str, by: str) -> str:
    return {"letter": f"{part}*", "number": f"*{part}", "grade": part}[by]


def _signed(value: Any) -> str:
    number = round(float(value), 2)
    text = f"{abs(number):g}"
    return f"+{text}" if number > 0 else f"−{text}" if number < 0 else "±0"
