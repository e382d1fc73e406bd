"""Counts and lists of a look, out of its packed parts. Nothing is scored here, whatever the bar tried."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from leadflow.accounts.models import User
from leadflow.numbers import whole
from scoring.models import PreviewRun
from scoring.whatif import scan
from scoring.whatif.bars import Bar

Json = Any

STEP = 5
STEPS = tuple(range(0, 101, STEP))
NO_OWNER, NO_SOURCE = "nobody", "unknown"
# Sources and owners that are named; the others are one line.
NAMED = 30
GROUPED = ("open", "up", "down", "becomes", "stops")

_ROWS = """
    scoring_previewpart p CROSS JOIN LATERAL
    unnest(p.leads, p.was, p.now, p.was_grade, p.now_grade, p.was_stage, p.now_stage, p.flags)
    AS x(lead, was, now, was_grade, now_grade, was_stage, now_stage, flags)
    WHERE p.run_id = %(run)s AND (p.n < 0) = %(sample)s
"""
# As rows `x` with the part `n` that each is of: leads of a sample stand for as many as their part says.
_PARTED = f"(SELECT x.*, p.n FROM {_ROWS}) x"  # noqa: S608
# By whose bar: ready for sales, so that a release at this instant would send it there.
_READY = f"""((x.flags & {scan.FREE}) > 0 AND ((x.flags & {scan.TRACK}) > 0 OR CASE WHEN x.now >= %(bar)s
    THEN (x.flags & {scan.OVER}) > 0 ELSE (x.flags & {scan.UNDER}) > 0 END))"""
_WAS = f"(x.flags & {scan.WAS_READY}) > 0"
_OPEN = f"(x.flags & {scan.OPEN}) > 0"
# How a total that is just missed or just reached is found: only leads that the bar alone decides on.
_NEAR = f"(x.flags & {scan.FREE}) > 0 AND (x.flags & {scan.TRACK}) = 0 AND (x.flags & {scan.OVER}) > 0"


@dataclass(frozen=True)
class Cell:
    """A number on the page, as the leads behind it: a condition over a row `x`, and how it is called."""

    where: str
    title: str
    order: str = "x.now DESC, x.lead"


@dataclass(frozen=True)
class Line:
    """One lead of a list: its totals and grades before (-1 and "": none) and by the draft."""

    lead: int
    was: int
    now: int
    was_grade: str
    now_grade: str
    flags: int


def summary(run: PreviewRun, bar: Bar | None, *, sample: bool) -> dict[str, Json]:
    """All counts of a look as JSON: what the page shows but for names. The parts are read twice.

    Of a sample the counts are for the whole base (see `weights`), but for `looked`, the leads looked at.
    """
    args = {"run": run.pk, "sample": sample}
    found = _rows(
        "SELECT x.was, x.now, x.was_grade, x.now_grade, x.was_stage, x.now_stage, x.flags, p.n, count(*)"  # noqa: S608
        f" FROM {_ROWS} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8",
        args,
    )
    weight = weights(run) if sample else {}
    looked = 0
    counts: dict[str, float] = defaultdict(float)
    was_spread, now_spread = [0.0] * len(STEPS), [0.0] * len(STEPS)
    grades: dict[str, float] = defaultdict(float)
    stages: dict[str, float] = defaultdict(float)
    # Total and flags of those on whom a bar may decide.
    near: dict[tuple[int, int], float] = defaultdict(float)
    for was, now, was_grade, now_grade, was_stage, now_stage, flags, part, count in found:
        looked += count
        n = count * weight.get(part, 1)
        for name, bit in _BITS.items():
            if flags & bit:
                counts[name] += n
        if was_stage != now_stage:
            stages[f"{_stage(was_stage)}>{_stage(now_stage)}"] += n
        if flags & (scan.FREE | scan.WAS_READY):
            near[now, flags] += n
        if flags & scan.OPEN:
            now_spread[_step(now)] += n
            grades[f"{_shown(was_grade)}>{_shown(now_grade)}"] += n
            if was >= 0:
                was_spread[_step(was)] += n
    return {
        "looked": looked,
        **{name: _short(counts[name]) for name in _BITS},
        "was": [_short(n) for n in was_spread],
        "now": [_short(n) for n in now_spread],
        "grades": {pair: _short(n) for pair, n in grades.items()},
        "stages": {pair: _short(n) for pair, n in stages.items()},
        "bars": _by_bar(near, bar),
        **_groups(args, weight),
    }


def weights(run: PreviewRun) -> dict[int, float]:
    """How many leads of the base each lead of the first answer stands for, by its part."""
    return {int(part): float(n) for part, n in run.result.get("weights", {}).items()}


def _short(n: float) -> float | int:
    """A count stays whole; one that was weighted keeps two digits."""
    return int(n) if n == int(n) else round(n, 2)


_BITS = {
    "open": scan.OPEN,
    "with_sales": scan.SALES,
    "becomes": scan.BECOMES,
    "stops": scan.STOPS,
    "out": scan.OUT,
    "back": scan.BACK,
}


def _step(total: int) -> int:
    return min(max(total, 0), 100) // STEP


def _by_bar(near: Mapping[tuple[int, int], float], bar: Bar | None) -> dict[str, list[float]]:
    """Per bar that may be tried how many enter and how many leave; the agreed one alone where none may."""
    made: dict[str, list[float]] = {}
    for tried in range(bar.low, bar.high + 1) if bar else (0,):
        tally: dict[str, float] = defaultdict(float)
        for (total, flags), n in near.items():
            tally[moves(total, flags, tried)] += n
        made[str(tried)] = [_short(tally["enter"]), _short(tally["leave"])]
    return made


def ready(total: int, flags: int, bar: int) -> bool:
    """Whether a lead is ready for sales by a bar; the same as `_READY`."""
    if not flags & scan.FREE:
        return False
    return bool(flags & scan.TRACK or flags & (scan.OVER if total >= bar else scan.UNDER))


def moves(total: int, flags: int, bar: int) -> str:
    """enter · leave · "" by a bar."""
    now, was = ready(total, flags, bar), bool(flags & scan.WAS_READY)
    if now and not was and not flags & scan.KNOWN:
        return "enter"
    return "leave" if was and not now else ""


def _groups(args: Mapping[str, Json], weight: Mapping[int, float]) -> dict[str, list[dict[str, Json]]]:
    """Per source and per owner: open leads, grades up and down, MQL or no more. One pass for both."""
    tests = (
        _OPEN,
        f"{_OPEN} AND x.was_grade > 0 AND x.now_grade < x.was_grade",
        f"{_OPEN} AND x.was_grade > 0 AND x.now_grade > x.was_grade",
        f"(x.flags & {scan.BECOMES}) > 0",
        f"(x.flags & {scan.STOPS}) > 0",
    )
    counts = ", ".join(f"count(*) FILTER (WHERE {test})" for test in tests)
    found = _rows(
        f"SELECT l.first_source_key, l.owner_id, x.n, min(l.first_source), {counts}"  # noqa: S608
        f" FROM {_PARTED} JOIN leads_lead l ON l.id = x.lead GROUP BY 1, 2, 3",
        args,
    )
    names = dict(User.objects.filter(pk__in={row[1] for row in found if row[1]}).values_list("pk", "name"))
    made: dict[str, dict[str, dict[str, Json]]] = {"sources": {}, "owners": {}}
    for source, owner, part, shown, *numbers in found:
        for kind, key, name in (
            ("sources", source or "", shown or NO_SOURCE),
            ("owners", str(owner or ""), names.get(owner, NO_OWNER)),
        ):
            line = made[kind].setdefault(key, {"key": key, "name": name, **dict.fromkeys(GROUPED, 0)})
            for column, n in zip(GROUPED, numbers, strict=True):
                line[column] = _short(line[column] + n * weight.get(part, 1))
    return {
        kind: sorted(lines.values(), key=lambda line: (-line["open"], line["name"]))[:NAMED]
        for kind, lines in made.items()
    }


def queue_by(run: PreviewRun, bar: int, *, sample: bool) -> dict[str, dict[str, tuple[float, float]]]:
    """Who enters and who leaves by a bar, per `source` and per `owner` (its key). One query; only those who
    move are joined."""
    found = _rows(
        "SELECT l.first_source_key, COALESCE(l.owner_id::text, ''), x.n,"  # noqa: S608
        " count(*) FILTER (WHERE x.enters), count(*) FILTER (WHERE NOT x.enters)"
        f" FROM (SELECT x.lead, p.n, {_enters()} AS enters FROM {_ROWS}"
        f" AND (({_enters()}) OR ({_leaves()}))) x"
        " JOIN leads_lead l ON l.id = x.lead GROUP BY 1, 2, 3",
        {"run": run.pk, "sample": sample, "bar": bar},
    )
    weight = weights(run) if sample else {}
    made: dict[str, dict[str, tuple[float, float]]] = {"source": {}, "owner": {}}
    for source, owner, part, enter, leave in found:
        for kind, key in (("source", str(source)), ("owner", str(owner))):
            before = made[kind].get(key, (0.0, 0.0))
            each = weight.get(part, 1)
            made[kind][key] = (before[0] + enter * each, before[1] + leave * each)
    return made


def _enters() -> str:
    return f"{_READY} AND NOT {_WAS} AND (x.flags & {scan.KNOWN}) = 0"


def _leaves() -> str:
    return f"{_WAS} AND NOT {_READY}"


def cell(name: str) -> Cell | None:
    """The leads behind a number, by its name in an address; None for a name that means nothing."""
    plain = {
        "enter": Cell(_enters(), "Enter the queue"),
        "leave": Cell(_leaves(), "Leave the queue", "x.was DESC, x.lead"),
        "becomes": Cell(f"(x.flags & {scan.BECOMES}) > 0", "Become MQL"),
        "stops": Cell(f"(x.flags & {scan.STOPS}) > 0", "Stop being MQL", "x.was DESC, x.lead"),
        "out": Cell(f"(x.flags & {scan.OUT}) > 0", "Are left out: not a lead", "x.was DESC, x.lead"),
        "back": Cell(f"(x.flags & {scan.BACK}) > 0", "Are leads again"),
        "sales": Cell(f"(x.flags & {scan.SALES}) > 0", "With sales, who stay there"),
        "open": Cell(_OPEN, "Open leads"),
        "up": Cell(f"{_OPEN} AND x.was_grade > 0 AND x.now_grade < x.was_grade", "Move up in grade"),
        "down": Cell(f"{_OPEN} AND x.was_grade > 0 AND x.now_grade > x.was_grade", "Move down in grade"),
        "above": Cell(f"{_NEAR} AND x.now >= %(bar)s", "Just above the bar", "x.now, x.lead"),
        "below": Cell(f"{_NEAR} AND x.now < %(bar)s", "Just below the bar", "x.now DESC, x.lead"),
    }
    if name in plain:
        return plain[name]
    kind, _, rest = name.partition(":")
    low = whole(rest)
    if kind in ("was", "now") and low is not None and low in STEPS:
        upto = "" if low == STEPS[-1] else f" AND x.{kind} < {low + STEP}"
        least = "" if low == 0 else f" AND x.{kind} >= {low}"
        who = "in force" if kind == "was" else "by the draft"
        words = f"{low} points and more" if low == STEPS[-1] else f"{low} to {low + STEP - 1} points"
        return Cell(
            f"{_OPEN} AND x.{kind} >= {0 if kind == 'was' else -32_768}{least}{upto}", f"{words} {who}"
        )
    if kind == "move":
        return _move(rest)
    if kind in ("source", "owner"):
        inner = rest.partition(":")[0]
        found = plain.get(inner)
        if found is None:
            return None
        test = "l.first_source_key" if kind == "source" else "COALESCE(l.owner_id::text, '')"
        return Cell(f"{found.where} AND {test} = %(group)s", found.title, found.order)
    return None


def _move(rest: str) -> Cell | None:
    """`B2>A1`, with `*` for any letter or number: `*2>*1`."""
    was, _, now = rest.partition(">")
    tests = []
    for column, grade in (("x.was_grade", was), ("x.now_grade", now)):
        if len(grade) != 2 or not (grade[0] == "*" or "A" <= grade[0] <= "Z"):
            return None
        if not (grade[1] == "*" or grade[1] in "123456789"):
            return None
        if grade[0] != "*":
            tests.append(f"{column} / 10 = {ord(grade[0]) - 64}")
        if grade[1] != "*":
            tests.append(f"{column} %% 10 = {grade[1]}")
    title = f"{was} → {now}".replace("*", "")
    return Cell(" AND ".join([_OPEN, *tests]), f"From {title}".strip())


def group_of(name: str) -> str:
    """The source or owner that a cell's name asks for."""
    return name.split(":", 2)[2] if name.count(":") >= 2 else ""


def count(run: PreviewRun, found: Cell, bar: int, *, sample: bool, group: str = "") -> int:
    """How many leads are behind a number."""
    text = f"SELECT count(*) FROM (SELECT x.* FROM {_ROWS}) x {_joined(found)}WHERE {found.where}"  # noqa: S608
    return int(_one(text, {"run": run.pk, "sample": sample, "bar": bar, "group": group})[0])


def several(
    run: PreviewRun, names: Sequence[str], bar: int, *, sample: bool, limit: int
) -> dict[str, list[Line]]:
    """The first leads behind several numbers. One query."""
    cells = [(name, found) for name in names if (found := cell(name))]
    if not cells:
        return {}
    text = " UNION ALL ".join(
        f"(SELECT {i} AS cell, row_number() OVER (ORDER BY {found.order}) AS place, x.*"  # noqa: S608
        f" FROM (SELECT x.* FROM {_ROWS}) x"
        f" WHERE {found.where} ORDER BY {found.order} LIMIT %(limit)s)"
        for i, (_, found) in enumerate(cells)
    )
    made: dict[str, list[Line]] = {name: [] for name in names}
    args = {"run": run.pk, "sample": sample, "bar": bar, "limit": limit}
    columns = "cell, lead, was, now, was_grade, now_grade, flags"
    for i, lead, was, now, old, new, flags in _rows(
        f"SELECT {columns} FROM ({text}) x ORDER BY cell, place",  # noqa: S608
        args,
    ):
        made[cells[i][0]].append(Line(lead, was, now, _shown(old) if old else "", _shown(new), flags))
    return made


def lines(
    run: PreviewRun, found: Cell, bar: int, *, sample: bool, group: str = "", limit: int = 5, offset: int = 0
) -> list[Line]:
    """The leads behind a number, a page of them."""
    text = (
        f"SELECT x.lead, x.was, x.now, x.was_grade, x.now_grade, x.flags FROM (SELECT x.* FROM {_ROWS}) x"  # noqa: S608
        f" {_joined(found)}WHERE {found.where} ORDER BY {found.order} LIMIT %(limit)s OFFSET %(offset)s"
    )
    args = {"run": run.pk, "sample": sample, "bar": bar, "group": group, "limit": limit, "offset": offset}
    return [
        Line(lead, was, now, _shown(old) if old else "", _shown(new), flags)
        for lead, was, now, old, new, flags in _rows(text, args)
    ]


def _joined(found: Cell) -> str:
    return "JOIN leads_lead l ON l.id = x.lead " if "%(group)s" in found.where else ""


def _shown(grade: int) -> str:
    return f"{chr(64 + grade // 10)}{grade % 10}" if grade else "–"


def _stage(number: int) -> str:
    return scan.STAGES[number - 1] if number else ""


def _rows(text: str, args: Mapping[str, Json]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(text, dict(args))
        return list(cursor.fetchall())


def _one(text: str, args: Mapping[str, Json]) -> Sequence[Any]:
    found: Sequence[Any] = _rows(text, args)[0]
    return found
