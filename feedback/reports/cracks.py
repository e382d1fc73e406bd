"""Did anyone fall through? Every lead in one place, the books of each day, and whatever does not add up."""

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from feedback.reports import books
from feedback.reports.base import Figure, Filters, Report, Table
from feedback.reports.books import Day, Line
from feedback.reports.conversion import PLACE_WORDS
from feedback.reports.cube import leads_of
from feedback.reports.frame import chart_of
from leadflow import audit
from leadflow.accounts.models import Organisation
from leadflow.charts import Series
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Lead

NAME = "cracks"
TITLE = "Cracks"
ASKS = "Did anyone fall through? Every lead has one place, an owner and a next date."
ICON = "search"
DAYS = 7
LATER = f"those of the last {books.DAYS_KEPT} days are counted in the background, within minutes."
# Places with a page of their own, which says more.
PAGES = {"excluded": "/agreement/left-out/"}
WORDS = {**PLACE_WORDS, "merged": "Merged into another", "erased": "Erased", "nowhere": "In no place"}


def build(filters: Filters) -> Report:
    """The places with what came and went, day by day, and the strays by name."""
    found = books.days(filters.start, filters.end, filters.at)
    earlier = books.days(filters.before.start, filters.before.end, filters.at)
    check = books.checked() or books.check(filters.at)
    lines, before = _over(found), _over(earlier)
    everybody = sum(line.closing for line in lines.values())
    who = f"{everybody:,} leads" if everybody else "leads"
    zone = ZoneInfo(filters.zone)
    report = Report(
        NAME,
        TITLE,
        f"All {who}, merged and erased ones included; visitors without a name are counted "
        "apart. Filters do not apply: a crack is a crack",
        "A lead stands in the first place that applies. In and out are what the ledgers say moved; closing "
        "is counted by itself, of today from the rows as they stand. If opening + in − out is not closing, "
        "somebody slipped through. The same check runs as “manage.py audit”; here it was run "
        f"{check.at.astimezone(zone):%d %b %Y, %H:%M}.",
        _say(check, everybody, found),
        filters,
        empty=not everybody and not Lead.objects.exists(),
        narrow=False,
    )
    report.tables = [_strays(check), _books(filters, lines, before), _dateless(check), _days(found)]
    today = found[-1].lines if found else {}
    shown = [place for place in audit.PLACES if today.get(place, Line()).closing]
    if shown:
        report.charts = [
            chart_of(
                report,
                "books",
                "Where everybody is",
                "bars",
                [
                    Series(
                        "Leads",
                        [today[place].closing for place in shown],
                        "acc",
                        [report.link(f"closing.{place}") for place in shown],
                    )
                ],
                labels=[WORDS[place] for place in shown],
                size="tall",
            )
        ]
    return report


def _over(found: list[Day]) -> dict[str, Line]:
    """One line for each place over all the days."""
    lines: dict[str, Line] = {}
    for n, day in enumerate(found):
        for place, one in day.lines.items():
            line = lines.setdefault(place, Line(opening=one.opening if not n else 0))
            line.entered += one.entered
            line.gone += one.gone
            line.closing = one.closing
    return lines


def _say(check: books.Check, everybody: int, found: list[Day]) -> list[tuple[str, str]]:
    if not everybody and not Lead.objects.exists():
        return [("There is no lead yet.", "")]
    wrong = sum(not day.adds_up for day in found)
    pieces: list[tuple[str, str]] = []
    if check.count:
        pieces.append(
            (
                f"{check.count:,} do not add up; each is named below."
                if check.count > 1
                else "One thing does not add up; it is named below.",
                "",
            )
        )
    elif everybody:
        pieces.append((f"All {everybody:,} leads have one place, and every row agrees with its ledger.", ""))
    else:
        pieces.append(("Every row agrees with its ledger.", ""))
    if not found:
        pieces.append((f" The books of these days are not there: {LATER}", ""))
    else:
        days = f"{len(found)} days" if len(found) > 1 else "the day"
        pieces.append(
            (
                f" The books of {days} balance."
                if not wrong
                else f" The books of {wrong} days do not balance.",
                "",
            )
        )
    if check.dateless:
        pieces.append((f" {len(check.dateless)} have no next date.", ""))
    return pieces


def _strays(check: books.Check) -> Table:
    rows = [
        [
            Figure(f"{subject} {pk}", href=f"/leads/{pk}/" if subject == "lead" else ""),
            Figure(problem),
        ]
        for subject, pk, problem in check.strays[: books.SHOWN]
    ]
    more = check.count - len(rows)
    return Table(
        "strays",
        "What does not add up",
        ("What", "Problem"),
        rows,
        note=f"{more:,} more: “manage.py audit” lists all" if more > 0 else "",
        nothing="Nothing: every lead is in one place and every row agrees with its ledger.",
    )


def _books(filters: Filters, lines: dict[str, Line], before: dict[str, Line]) -> Table:
    rows, total = [], Line()
    for place in [*audit.PLACES, *sorted(set(lines) - set(audit.PLACES))]:
        line = lines.get(place)
        if line is None or not any((line.opening, line.entered, line.gone, line.closing)):
            continue
        past = before.get(place, Line())
        rows.append(
            [
                Figure(WORDS.get(place, place), href=PAGES.get(place, "")),
                Figure(line.opening, cell=f"opening.{place}" if line.opening else ""),
                Figure(line.entered, cell=f"in.{place}" if line.entered else ""),
                Figure(line.gone, cell=f"out.{place}" if line.gone else ""),
                Figure(line.closing, cell=f"closing.{place}" if line.closing else ""),
                _right(line),
                Figure(past.entered, cell=f"before.in.{place}" if past.entered else ""),
                Figure(past.gone, cell=f"before.out.{place}" if past.gone else ""),
            ]
        )
        total = Line(
            total.opening + line.opening,
            total.entered + line.entered,
            total.gone + line.gone,
            total.closing + line.closing,
        )
    foot = [
        Figure("All"),
        Figure(total.opening),
        Figure(total.entered),
        Figure(total.gone),
        Figure(total.closing),
        _right(total),
        Figure(sum(line.entered for line in before.values())),
        Figure(sum(line.gone for line in before.values())),
    ]
    heads = ("Opening", "In", "Out", "Closing", "Adds up", "In before", "Out before")
    return Table(
        "books",
        "Where everybody is, and what moved",
        ("Place", *heads),
        rows,
        foot,
        sub=filters.words,
        note="In and out count moves; who comes and goes twice stands once in the list behind the figure",
    )


def _right(line: Line) -> Figure:
    gap = line.closing - (line.opening + line.entered - line.gone)
    return Figure("yes") if not gap else Figure("no", f"{gap:+,}", tone="hot")


def _dateless(check: books.Check) -> Table:
    names = dict(Lead.objects.filter(pk__in=[pk for pk, *_ in check.dateless]).values_list("pk", "name"))
    rows = [
        [
            Figure(names.get(pk) or f"Lead {pk}", href=f"/leads/{pk}/"),
            Figure(WORDS.get(place, place)),
            Figure(since.isoformat(), f"{since:%d %b %Y}"),
        ]
        for pk, place, since in check.dateless
    ]
    return Table(
        "dateless",
        "Oldest without a next date",
        ("Lead", "Place", "There since"),
        rows,
        nothing="None: everybody who is not closed has a date on which somebody looks again.",
    )


def _days(found: list[Day]) -> Table:
    rows = []
    for day in reversed(found):
        for place in audit.PLACES:
            line = day.lines.get(place, Line())
            if not any((line.opening, line.entered, line.gone, line.closing)):
                continue
            on = day.day.isoformat()
            rows.append(
                [
                    Figure(on, f"{day.day.day} {day.day:%b}"),
                    Figure(WORDS[place]),
                    Figure(line.opening),
                    Figure(line.entered, cell=f"in.{place}@{on}" if line.entered else ""),
                    Figure(line.gone, cell=f"out.{place}@{on}" if line.gone else ""),
                    Figure(line.closing, cell=f"closing.{place}@{on}" if line.closing else ""),
                    _right(line),
                ]
            )
    heads = ("Place", "Opening", "In", "Out", "Closing", "Adds up")
    return Table("days", "Day by day", ("Day", *heads), rows, folded=True)


def _read(cell: str, filters: Filters) -> tuple[str, str, date, date]:
    """What a cell asks: (opening, in, out or closing; place; first day; last day)."""
    text, _, on = cell.partition("@")
    what, _, place = text.partition(".")
    try:
        day = date.fromisoformat(on) if on else None
    except ValueError:
        day = date.max
    if what not in ("opening", "in", "out", "closing") or place not in WORDS or day == date.max:
        raise BadInput("This figure is not in the report.", [Fault("cell", "Open it from the report.")])
    return what, place, day or filters.start, day or filters.end


def drill(cell: str, filters: Filters) -> QuerySet[Lead]:
    """The leads behind `in.place`, `out.place`, `opening.place`, `closing.place`, with `@day` for one day."""
    if cell.startswith("before."):
        return drill(cell.removeprefix("before."), filters.before)
    what, place, first, last = _read(cell, filters)
    zone = Organisation.get().tz
    low, high = books.midnight(first, zone), books.midnight(last + timedelta(days=1), zone)
    if what in ("in", "out"):
        ids = books.moved(place, what == "in", low, high)
    elif what == "opening":
        ids = books.standing(place, low)
    else:
        ids = books.standing(place, high if high < filters.at else None)
    return leads_of(ids)


def words(cell: str, filters: Filters) -> str:
    """What a cell counts."""
    if cell.startswith("before."):
        return words(cell.removeprefix("before."), filters.before)
    what, place, first, last = _read(cell, filters)
    said: dict[str, Any] = {
        "in": "came in",
        "out": "left",
        "opening": "there at the start",
        "closing": "there at the end",
    }
    on = f"{first:%d %b}" if first == last else f"{first:%d %b} to {last:%d %b}"
    return f"{WORDS[place]}: {said[what]}, {on}"
