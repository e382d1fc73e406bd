"""Do the books balance? Where every lead is, day by day: opening + in − out = closing, per place.

In and out come from the ledgers (what moved, when); a closing is counted by itself: for the present from the
rows as they stand, for the end of a past day from what stood then. Counted in the background and kept
(`ReportRollup`), so that the page is quick at any size; without kept figures it counts at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from feedback.models import ReportRollup
from feedback.reports.base import organisation
from leadflow import audit
from leadflow.accounts.models import Organisation
from leadflow.leads.models import Lead

DAYS_KEPT = 35
# A base so small is counted while somebody waits.
SMALL = 3_000
# The present is counted anew this often at most, and never for more than a twentieth of the time.
EVERY, SHARE = timedelta(minutes=5), 20
SECONDS_PER_PASS = 20
SHOWN = 500
# Rows are stamped a moment before they are seen: whatever a snapshot sees belongs to the present day.
SOON = timedelta(minutes=5)
INSTANT = timedelta(microseconds=1)
_NOW = {"report": "strays", "key": "now", "day": date(2000, 1, 1)}

# Every instant at which a lead may have changed its place.
_MOMENTS = """
    SELECT lead_id, at FROM leads_stagechange WHERE at > %(low)s AND at <= %(high)s
    UNION SELECT h.lead_id, t.at FROM handoff_transition t JOIN handoff_handoff h ON h.id = t.handoff_id
        WHERE t.at > %(low)s AND t.at <= %(high)s
    UNION SELECT lead_id, entered_at FROM handoff_roomwait
        WHERE entered_at > %(low)s AND entered_at <= %(high)s
    UNION SELECT lead_id, left_at FROM handoff_roomwait WHERE left_at > %(low)s AND left_at <= %(high)s
    UNION SELECT lead_id, created_at FROM feedback_task
        WHERE kind = 'repair' AND created_at > %(low)s AND created_at <= %(high)s
    UNION SELECT lead_id, done_at FROM feedback_task
        WHERE kind = 'repair' AND done_at > %(low)s AND done_at <= %(high)s
    UNION SELECT from_lead_id, at FROM leads_leadmerge WHERE at > %(low)s AND at <= %(high)s
    UNION SELECT from_lead_id, undone_at FROM leads_leadmerge
        WHERE undone_at > %(low)s AND undone_at <= %(high)s
    UNION SELECT id, erased_at FROM leads_lead WHERE erased_at > %(low)s AND erased_at <= %(high)s"""
_MOVES = f"""
    moment AS MATERIALIZED ({_MOMENTS}),
    stood AS (SELECT m.lead_id, m.at, {audit.place_at("l", "m.at")} AS place
              FROM moment m JOIN leads_lead l ON l.id = m.lead_id),
    was AS (SELECT l.id AS lead_id, {audit.place_at("l", "%(low)s::timestamptz")} AS place
            FROM leads_lead l WHERE l.id IN (SELECT lead_id FROM moment)),
    step AS (SELECT s.lead_id, s.at, s.place AS to_place,
                    lag(s.place, 1, was.place) OVER (PARTITION BY s.lead_id ORDER BY s.at) AS from_place
             FROM stood s JOIN was USING (lead_id)),
    moved AS (SELECT * FROM step WHERE to_place IS DISTINCT FROM from_place)"""  # noqa: S608 the pieces are ours
# One statement, so one instant of the base: what moved on each day, and what stood at the end of each.
_BOOKS = f"""
    WITH {_MOVES},
    ends AS (SELECT * FROM unnest(%(days)s::date[], %(ends)s::timestamptz[]) AS e(day, at)),
    figure AS (
        SELECT least((at AT TIME ZONE %(zone)s)::date, %(today)s) AS day, to_place AS place, 1 AS entered,
               0 AS gone, 0 AS closing FROM moved
        UNION ALL SELECT least((at AT TIME ZONE %(zone)s)::date, %(today)s), from_place, 0, 1, 0 FROM moved
        UNION ALL SELECT e.day, {audit.place_at("l", "e.at")}, 0, 0, 1 FROM ends e CROSS JOIN leads_lead l
        UNION ALL SELECT %(today)s, coalesce({audit.PLACE}, 'nowhere'), 0, 0, 1 {audit.PLACES_FROM}
            WHERE %(present)s)
    SELECT day, place, sum(entered)::int, sum(gone)::int, sum(closing)::int FROM figure
    WHERE place IS NOT NULL GROUP BY day, place"""  # noqa: S608 the pieces are ours
# The oldest in a place that is not final, without any date on which somebody looks again.
_DATELESS = f"""
    SELECT l.id, ({audit.PLACE}) AS place, l.stage_since {audit.PLACES_FROM}
    WHERE l.erased_at IS NULL AND l.merged_into_id IS NULL
      AND l.stage NOT IN ('customer', 'disqualified', 'excluded') AND l.review_at IS NULL
      AND (h.id IS NULL OR (h.sla_tick_at IS NULL AND h.next_date IS NULL)) AND w.id IS NULL
      AND NOT EXISTS (SELECT 1 FROM scoring_hold d WHERE d.lead_id = l.id AND d.ended_at IS NULL
                      AND (d.until IS NOT NULL OR d.closes))
      AND NOT EXISTS (SELECT 1 FROM feedback_enrolment e WHERE e.lead_id = l.id AND e.ended_at IS NULL
                      AND e.next_step_at IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM feedback_task t WHERE t.lead_id = l.id AND t.done_at IS NULL)
    ORDER BY l.stage_since, l.id LIMIT 20"""  # noqa: S608


@dataclass
class Line:
    """One place on one day; `closing` is counted by itself, not from the others."""

    opening: int = 0
    entered: int = 0
    gone: int = 0
    closing: int = 0

    @property
    def adds_up(self) -> bool:
        """Whether opening + in − out = closing."""
        return self.opening + self.entered - self.gone == self.closing


@dataclass
class Day:
    """The books of a day: a line for each place."""

    day: date
    lines: dict[str, Line] = field(default_factory=dict)

    @property
    def adds_up(self) -> bool:
        """Whether every place adds up."""
        return all(line.adds_up for line in self.lines.values())


@dataclass(frozen=True)
class Check:
    """What the audit found, and when: strays as (subject, id, problem), and the oldest without a date."""

    at: datetime
    count: int
    strays: list[tuple[str, int, str]]
    dateless: list[tuple[int, str, datetime]]


def _rows(statement: str, **bound: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, bound)
        return list(cursor.fetchall())


def midnight(day: date, zone: str) -> datetime:
    """The first instant of a day in the company's zone."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def count(first: date, last: date, at: datetime, zone: str) -> list[Day]:
    """The books of these days, counted now; of the present day up to `at`."""
    today = at.astimezone(ZoneInfo(zone)).date()
    # The day before the first is its opening; of the present day the rows themselves are the closing.
    wanted = [first + timedelta(days=n) for n in range(-1, (last - first).days + 1)]
    past = [day for day in wanted if day < today]
    rows = _rows(
        _BOOKS,
        low=midnight(first, zone) - INSTANT,
        high=at + SOON if last >= today else midnight(last + timedelta(days=1), zone) - INSTANT,
        days=past,
        ends=[midnight(day + timedelta(days=1), zone) - INSTANT for day in past],
        zone=zone,
        today=today,
        present=last >= today,
    )
    found = {day: Day(day, {place: Line() for place in audit.PLACES}) for day in wanted}
    for day, place, entered, gone, closing in rows:
        found[day].lines[place] = Line(0, entered, gone, closing)
    for day in wanted[1:]:
        before = found[day - timedelta(days=1)].lines
        for place in set(before) | set(found[day].lines):
            line = found[day].lines.setdefault(place, Line())
            line.opening = before[place].closing if place in before else 0
    return [found[day] for day in wanted[1:]]


def days(first: date, last: date, at: datetime) -> list[Day]:
    """The books of these days, as kept; what is not kept is counted now if there are few leads."""
    zone = organisation().tz
    last = min(last, at.astimezone(ZoneInfo(zone)).date())
    kept = _kept(first, last)
    if kept or first > last:
        return [kept[day] for day in sorted(kept)]
    if Lead.objects.order_by("pk")[SMALL : SMALL + 1].exists():
        return []
    return count(first, last, at, zone)


def _kept(first: date, last: date) -> dict[date, Day]:
    found: dict[date, Day] = {}
    rows = ReportRollup.objects.filter(report="places", day__gte=first, day__lte=last)
    for key, day, figures in rows.values_list("key", "day", "figures"):
        found.setdefault(day, Day(day)).lines[key] = Line(
            figures["opening"], figures["in"], figures["out"], figures["closing"]
        )
    return found


def figures_of(line: Line) -> dict[str, int]:
    """A line as it is kept."""
    return {"opening": line.opening, "in": line.entered, "out": line.gone, "closing": line.closing}


def _keep(found: list[Day], at: datetime) -> None:
    ReportRollup.objects.bulk_create(
        [
            ReportRollup(
                report="places",
                key=place,
                day=one.day,
                figures=figures_of(line),
                built_at=at,
            )
            for one in found
            for place, line in one.lines.items()
        ],
        update_conflicts=True,
        unique_fields=["report", "key", "day"],
        update_fields=["figures", "built_at", "dirty"],
    )


def checked() -> Check | None:
    """What the last check in the background found; None before the first."""
    row = ReportRollup.objects.filter(**_NOW).first()
    if row is None:
        return None
    figures = row.figures
    return Check(
        row.built_at,
        figures["count"],
        [tuple(stray) for stray in figures["strays"]],
        [(pk, place, datetime.fromisoformat(since)) for pk, place, since in figures["dateless"]],
    )


def check(at: datetime) -> Check:
    """Run the audit now."""
    strays = [(stray.subject, stray.id, stray.problem) for stray in audit.strays(at)]
    dateless = [(pk, place or "nowhere", since) for pk, place, since in _rows(_DATELESS)]
    return Check(at, len(strays), strays, dateless)


def refresh(at: datetime) -> bool:
    """Count the present and check everything, if it is time; then days that are not kept yet, newest first.

    Returns whether anything was counted. A killed worker leaves what it had finished; the rest comes again.
    """
    row, new = ReportRollup.objects.get_or_create(
        **_NOW, defaults={"built_at": at, "figures": {"count": 0, "strays": [], "dateless": [], "seconds": 0}}
    )
    with transaction.atomic():
        locked = ReportRollup.objects.select_for_update(skip_locked=True).filter(pk=row.pk).first()
        wait = EVERY if locked is None else max(EVERY, timedelta(seconds=SHARE * locked.figures["seconds"]))
        if locked is None or (not new and at - locked.built_at < wait):
            return False
        began = monotonic()
        zone = Organisation.get().tz
        today = at.astimezone(ZoneInfo(zone)).date()
        _keep(count(today, today, at, zone), at)
        found = check(at)
        locked.figures = {
            "count": found.count,
            "strays": found.strays[:SHOWN],
            "dateless": [(pk, place, since.isoformat()) for pk, place, since in found.dateless],
            "seconds": round(monotonic() - began, 3),
        }
        locked.built_at = at
        locked.save(update_fields=["figures", "built_at"])
        for day in _missing(today, at, zone):
            _keep(count(day, day, at, zone), at)
            if monotonic() - began > SECONDS_PER_PASS:
                break
    return True


def _missing(today: date, at: datetime, zone: str) -> Iterator[date]:
    """Past days that are not kept, or were kept before they ended; newest first."""
    built = dict(
        ReportRollup.objects.filter(
            report="places", key="mql", day__gte=today - timedelta(days=DAYS_KEPT)
        ).values_list("day", "built_at")
    )
    for back in range(1, DAYS_KEPT + 1):
        day = today - timedelta(days=back)
        ended = midnight(day + timedelta(days=1), zone)
        if day not in built or built[day] < ended:
            yield day


def moved(place: str, entered: bool, low: datetime, high: datetime) -> list[int]:
    """The leads that came into a place (or left it) in a period."""
    column = "to_place" if entered else "from_place"
    return [
        row[0]
        for row in _rows(
            f"WITH {_MOVES} SELECT DISTINCT lead_id FROM moved WHERE {column} = %(place)s",  # noqa: S608 ours
            low=low - INSTANT,
            high=high - INSTANT,
            place=place,
        )
    ]


def standing(place: str, at: datetime | None) -> list[int]:
    """The leads in a place now, or as it was at an instant."""
    if at is None:
        return [
            r[0]
            for r in _rows(f"SELECT l.id {audit.PLACES_FROM} WHERE ({audit.PLACE}) = %(place)s", place=place)
        ]
    stood = audit.place_at("l", "%(at)s::timestamptz")
    statement = f"SELECT l.id FROM leads_lead l WHERE {stood} = %(place)s"  # noqa: S608 ours
    return [r[0] for r in _rows(statement, place=place, at=at - INSTANT)]


def forget() -> None:
    """Throw the kept figures away; the next pass counts anew."""
    ReportRollup.objects.filter(report__in=("places", "strays")).delete()
