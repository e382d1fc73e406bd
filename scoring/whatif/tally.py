"""Counts and lists of a look, out of its packed parts. Nothing is scored here, whatever the bar tried."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from scoring.models import PreviewRun
from scoring.whatif import scan
from scoring.whatif.bars import Bar

Json = Any

STEP = 5
STEPS = tuple(range(0, 101, STEP))
NO_OWNER, NO_SOURCE = "nobody", "unknown"
# Sources and owners that are named; the others are one line.
NAMED = 30

_ROWS = """
    scoring_previewpart p CROSS JOIN LATERAL
    unnest(p.leads, p.was, p.now, p.was_grade, p.now_grade, p.was_stage, p.now_stage, p.flags)
    AS x(lead, was, now, was_grade, now_grade, was_stage, now_stage, flags)
    WHERE p.run_id = %(run)s AND (p.n = -1) = %(sample)s AND p.n >= -1
"""
# By whose bar: ready for sales, so that a release at this instant would send it there.
_READY = f"""((x.flags & {scan.FREE}) > 0 AND ((x.flags & {scan.TRACK}) > 0 OR CASE WHEN x.now >= %(bar)s
    THEN (x.flags & {scan.OVER}) > 0 ELSE (x.flags & {scan.UNDER}) > 0 END))"""
_WAS = f"(x.flags & {scan.WAS_READY}) > 0"
_OPEN = f"(x.flags & {scan.OPEN}) > 0"
_LOW = f"LEAST(GREATEST(x.now, 0), 100) / {STEP} * {STEP}"
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
    """All counts of a look as JSON: what the page shows but for names."""
    args = {"run": run.pk, "sample": sample}
    looked, opened, sales = _one(
        f"SELECT count(*), count(*) FILTER (WHERE {_OPEN}),"  # noqa: S608 - constants
        f" count(*) FILTER (WHERE (x.flags & {scan.SALES}) > 0) FROM {_ROWS}",
        args,
    )
    spread_now = _pairs(f"SELECT {_LOW}, count(*) FROM {_ROWS} AND {_OPEN} GROUP BY 1", args)  # noqa: S608
    spread_was = _pairs(
        f"SELECT {_LOW.replace('x.now', 'x.was')}, count(*) FROM {_ROWS} AND {_OPEN} AND x.was >= 0"  # noqa: S608
        " GROUP BY 1",
        args,
    )
    grades = _rows(
        f"SELECT x.was_grade, x.now_grade, count(*) FROM {_ROWS} AND {_OPEN} GROUP BY 1, 2",  # noqa: S608
        args,
    )
    stages = _rows(
        "SELECT x.was_stage, x.now_stage, count(*)"  # noqa: S608
        f" FROM {_ROWS} AND x.was_stage <> x.now_stage GROUP BY 1, 2",
        args,
    )
    bits = {"becomes": scan.BECOMES, "stops": scan.STOPS, "out": scan.OUT, "back": scan.BACK}
    each = ", ".join(f"count(*) FILTER (WHERE (x.flags & {bit}) > 0)" for bit in bits.values())
    counts = _one(f"SELECT {each} FROM {_ROWS}", args)  # noqa: S608
    return {
        "looked": looked,
        "open": opened,
        "with_sales": sales,
        "was": [spread_was.get(step, 0) for step in STEPS],
        "now": [spread_now.get(step, 0) for step in STEPS],
        "grades": {f"{_shown(was)}>{_shown(now)}": n for was, now, n in grades},
        "stages": {f"{_stage(was)}>{_stage(now)}": n for was, now, n in stages},
        "bars": _by_bar(args, bar),
        **dict(zip(bits, counts, strict=True)),
        "sources": _grouped("source", args),
        "owners": _grouped("owner", args),
    }


def _by_bar(args: Mapping[str, Json], bar: Bar | None) -> dict[str, list[int]]:
    """Per bar that may be tried how many enter and how many leave; the agreed one alone where none may."""
    kept = scan.FREE | scan.TRACK | scan.OVER | scan.UNDER | scan.WAS_READY | scan.KNOWN
    found = _rows(
        f"SELECT x.now, x.flags & {kept}, count(*) FROM {_ROWS}"  # noqa: S608
        f" AND (x.flags & {scan.FREE | scan.WAS_READY}) > 0 GROUP BY 1, 2",
        args,
    )
    made: dict[str, list[int]] = {}
    for tried in range(bar.low, bar.high + 1) if bar else (0,):
        tally: Counter[str] = Counter()
        for total, flags, n in found:
            tally[moves(total, flags, tried)] += n
        made[str(tried)] = [tally["enter"], tally["leave"]]
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


def _grouped(by: str, args: Mapping[str, Json]) -> list[dict[str, Json]]:
    """Per source or owner: open leads, grades up and down, MQL or no more."""
    if by == "source":
        key, joins = "l.first_source_key", ""
        name = f"COALESCE(NULLIF(max(l.first_source), ''), '{NO_SOURCE}')"
    else:
        key, joins = "l.owner_id", "LEFT JOIN accounts_user u ON u.id = l.owner_id"
        name = f"COALESCE(max(u.name), '{NO_OWNER}')"
    tests = (
        _OPEN,
        f"{_OPEN} AND x.was_grade > 0 AND x.now_grade < x.was_grade",
        f"{_OPEN} AND x.was_grade > 0 AND x.now_grade > x.was_grade",
        f"(x.flags & {scan.BECOMES}) > 0",
        f"(x.flags & {scan.STOPS}) > 0",
    )
    counts = ", ".join(f"count(*) FILTER (WHERE {test})" for test in tests)
    rows = _rows(
        f"SELECT COALESCE({key}::text, ''), {name}, {counts} FROM (SELECT x.* FROM {_ROWS}) x"  # noqa: S608
        f" JOIN leads_lead l ON l.id = x.lead {joins} GROUP BY {key} ORDER BY 3 DESC, 2 LIMIT {NAMED}",
        args,
    )
    names = ("key", "name", "open", "up", "down", "becomes", "stops")
    return [dict(zip(names, row, strict=True)) for row in rows]


def queue_by(run: PreviewRun, bar: int, by: str, *, sample: bool) -> dict[str, tuple[int, int]]:
    """Who enters and who leaves by a bar, per source or owner (its key). Only those who do are joined."""
    key = "l.first_source_key" if by == "source" else "COALESCE(l.owner_id::text, '')"
    found = _rows(
        f"SELECT {key}, count(*) FILTER (WHERE x.enters), count(*) FILTER (WHERE NOT x.enters)"  # noqa: S608
        f" FROM (SELECT x.lead, {_enters()} AS enters FROM {_ROWS} AND (({_enters()}) OR ({_leaves()}))) x"
        " JOIN leads_lead l ON l.id = x.lead GROUP BY 1",
        {"run": run.pk, "sample": sample, "bar": bar},
    )
    return {str(name): (enter, leave) for name, enter, leave in found}


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
    if kind in ("was", "now") and rest.isdigit() and int(rest) in STEPS:
        low = int(rest)
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


def _pairs(text: str, args: Mapping[str, Json]) -> dict[int, int]:
    return dict(_rows(text, args))
