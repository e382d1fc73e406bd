"""What a release means for the reps: how many leads above the bar wait, and when each choice lets them in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Max

from leadflow.leads.models import Lead, Stage
from scoring import current as applied
from scoring import rows
from scoring.editing import sampling
from scoring.engine import WITH_SALES, Row
from scoring.models import Agreement
from scoring.room import Rep, Room
from scoring.rows import Source

# Up to so many leads all are looked at, of more a sample.
EXACT = 20_000
SAMPLE = 2_000
LATELY = timedelta(days=7)


@dataclass(frozen=True)
class Above:
    """Leads above the bar of a version that are not with sales. `lately`: they did something last week."""

    count: int
    fast: int
    lately: int
    exact: bool


@dataclass(frozen=True)
class Choice:
    """One way to let them in: what it means in a sentence."""

    key: str
    label: str
    says: str


@dataclass(frozen=True)
class Desk:
    """What one rep would get."""

    rep: Rep
    today: int
    at_once: int


@dataclass(frozen=True)
class Load:
    """The three choices, and what the first day brings each rep."""

    above: Above
    waiting: int
    choices: tuple[Choice, ...]
    desks: tuple[Desk, ...]

    @property
    def total(self) -> int:
        """All who wait for room, or would."""
        return self.above.count + self.waiting


def of(agreement: Agreement, room: Room, at: datetime) -> Load:
    """The load of releasing `agreement` at `at`; writes nothing."""
    above = above_the_bar(agreement, at)
    total = above.count + room.waiting
    today = share(total, [rep.free_today for rep in room.reps])
    at_once = share(total, [rep.free for rep in room.reps])
    about = "" if above.exact else "About "
    choices = (
        Choice("trickle", "Trickle in, best first", about + _trickle(total, room)),
        Choice("new_evidence", "Only on new evidence", about + _evidence(above, room.waiting)),
        Choice("all_now", "All now", about + _all_now(total, at_once, room)),
    )
    desks = tuple(
        Desk(rep, first, now)
        for rep, first, now in zip(room.reps, today, at_once, strict=True)
        if rep.present
    )
    return Load(above, room.waiting, choices, desks)


def above_the_bar(agreement: Agreement, at: datetime) -> Above:
    """Count those who would be ready by `agreement` and are not with sales. Of a big base, by a sample."""
    living = Lead.objects.filter(merged_into=None, erased_at=None)
    base = sampling.size()
    program = applied.of(agreement).program
    if base <= EXACT:
        last = living.aggregate(last=Max("pk"))["last"] or 0
        ready, fast = _ready(program, "whole", (0, last, at, at))
        looked = base
    else:
        ids = sampling.people(SAMPLE, base).ids
        ready, fast = _ready(program, "subjects", (ids, ids, [at] * len(ids), [at] * len(ids)))
        looked = len(ids)
    lately = Lead.objects.filter(pk__in=ready, last_own_act_at__gt=at - LATELY).count() if ready else 0
    scale = base / looked if looked else 1
    return Above(round(len(ready) * scale), round(fast * scale), round(lately * scale), base == looked)


def _ready(program: Any, source: Source, args: tuple[Any, ...]) -> tuple[list[int], int]:
    """The leads that wait for room if they come in, and how many come at once by a fast track."""
    found = [Row._make(row) for row in rows.run(program.score(source, present=True), args)]
    out = (*WITH_SALES, Stage.CUSTOMER)
    ready = [r for r in found if r.above and r.hold is None and not r.gone and r.stage not in out]
    return [r.lead for r in ready if not r.track], sum(1 for r in ready if r.track)


def share(count: int, places: Sequence[int]) -> list[int]:
    """Hand out `count` leads one by one in turn, nobody getting more than there is place for."""
    given = [0] * len(places)
    left = min(count, sum(places))
    while left:
        for i, place in enumerate(places):
            if left and given[i] < place:
                given[i] += 1
                left -= 1
    return given


def done_on(count: int, room: Room) -> date | None:
    """The working day on which the last of `count` leads comes in, beside the usual ones; None: far off."""
    if not room.days:
        return None
    left = float(count - sum(rep.free_today for rep in room.reps))
    for day in room.days:
        if left <= 0:
            return day
        left -= max(0.0, room.per_day - room.usual_a_day)
    return None


def _trickle(total: int, room: Room) -> str:
    if not total:
        return "Nobody waits: who is above the bar is with sales already."
    if not room.per_day:
        return f"{_leads(total)} wait, and no rep is there: they come in when somebody is."
    most = max(rep.per_day for rep in room.present)
    first = min(total, sum(rep.free_today for rep in room.reps))
    pace = f"{_leads(total)} wait: at most {most} a day and rep, {first} of them on the first day"
    day = done_on(total, room)
    if day is None:
        return f"{pace}. Not done within two months: as many come as there is room for."
    if day == room.days[0]:
        return f"{pace}; then it is done."
    usual = round(room.usual_a_day)
    beside = f", beside the {usual} a day that come anyway" if usual else ""
    return f"{pace}; done on {day:%A} {day.day} {day:%B}{beside}."


def _all_now(total: int, at_once: Sequence[int], room: Room) -> str:
    if not total:
        return "Nobody waits, so nothing comes at once."
    now = sum(at_once)
    if not now:
        return f"{_leads(total)} wait, and no desk has room: they come in one by one as leads are answered."
    given = sorted({n for n in at_once if n})
    each = f"{given[0]}" if len(given) == 1 else f"{given[0]} to {given[-1]}"
    text = f"{_leads(now)} at once, {each} for each rep, each with its clock from this moment"
    rest = total - now
    return f"{text}." if not rest else f"{text}; {rest} more wait until a desk has room."


def _evidence(above: Above, waiting: int) -> str:
    if not above.count:
        return "Nobody is held back: no lead is above the bar that sales does not have."
    rest = f" The {waiting} that wait for room now stay in line." if waiting else ""
    return (
        f"{_leads(above.count)} stay with marketing until they do something new; "
        f"{above.lately} of them did in the last week.{rest}"
    )


def _leads(count: int) -> str:
    return "1 lead" if count == 1 else f"{count:,} leads"
