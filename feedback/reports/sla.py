"""Promises kept: what sales promised, what it held, by team, rep and grade.

Two figures, never mixed: the lead's (from the first offer, never restarted) and the holder's (whoever had
it). A clock past its due that still runs is missed already.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import QuerySet

from feedback.reports import dues, journeys, weeks
from feedback.reports.base import NO_SOURCE, Figure, Filters, Report, Table, percent, share
from feedback.reports.cube import Listed, leads_of
from feedback.reports.frame import chart_of, population
from feedback.reports.handovers import PERSONA
from feedback.reports.weeks import Whole
from handoff import clocks
from leadflow.accounts.models import Team, User
from leadflow.charts import Cell, Chart, Series, Tone
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Lead
from leadflow.numbers import whole
from scoring import agreements
from scoring.document import Document

NAME = "sla"
TITLE = "Promises kept"
ASKS = "Does sales answer in time? By team, rep, grade and hour of arrival."
ICON = "clock"
DAYS = 28
PROMISES = dues.PROMISES
SCOPES = ("lead", "holder")
LABELS = {
    "acceptance": "Answered in time",
    "first_touch": "First contact in time",
    "follow_up": "Next contact in time",
}
PROMISED = {"acceptance": "answered_in_time_percent", "first_touch": "first_touch_in_time_percent"}
NO_GRADE = dues.NO_GRADE
TONES: tuple[tuple[str, Tone], ...] = (("acceptance", "acc"), ("first_touch", "ok"))
FEW = 20
LATE_SHARE = 0.7

# What each filter asks of a promise as it is kept (`k`), and of a live one (`h`: its handoff, `l`: its lead).
_WHERE = {
    "team": ("k.team_id = %(team)s", "due.team_id = %(team)s"),
    "source": ("k.first_source = %(source)s", "l.first_source = %(source)s"),
    "campaign": ("k.first_campaign_id = {campaign}", "l.first_campaign_id = {campaign}"),
    "persona": ("k.persona = %(persona)s", PERSONA),
    "version": ("k.agreement_id = {version}", "h.agreement_id = {version}"),
}
_IDS = {
    "campaign": "(SELECT id FROM leads_campaign WHERE code = %(campaign)s)",
    "version": "(SELECT id FROM scoring_agreement WHERE number = %(version)s)",
}
# Of a promise, kept or live (`k`), what is counted; `n` says how often.
_ROW = f"""k.lead_id, k.of_holder, k.promise, k.met, k.holder_id, k.team_id,
        coalesce(nullif(k.grade, ''), '{NO_GRADE}') AS grade,
        (k.due AT TIME ZONE %(zone)s)::date AS day,
        extract(hour FROM k.offered_at AT TIME ZONE %(zone)s)::int AS hour,
        k.reached_at <= %(at)s AS reached"""
# Each promise looks its handoff up by number, and its lead where a filter asks for it. Joined, a planner that
# still takes the tables for empty would set every lead against every promise.
_HELD = """CROSS JOIN LATERAL (
            SELECT id, lead_id, grade, first_offered_at, reached_at, frozen, agreement_id
            FROM handoff_handoff WHERE id = due.handoff_id OFFSET 0) h"""
_LEAD = """ CROSS JOIN LATERAL (
            SELECT first_source, first_campaign_id FROM leads_lead WHERE id = h.lead_id OFFSET 0) l"""
_LIVE = f"""due AS MATERIALIZED (
        SELECT * FROM ({{results}}) r WHERE r.result IN ('met', 'missed')
          AND r.due >= %(low)s AND r.due < %(high)s AND r.due <= %(at)s),
    live AS (
        SELECT h.lead_id, due.scope = 'holder' AS of_holder,
               {dues.PLACE.format(promise="due.promise")} AS promise, due.result = 'met' AS met,
               due.finished_at IS NULL AS running, due.holder_id, due.team_id, due.due, h.grade,
               h.first_offered_at AS offered_at, h.reached_at
        FROM due {_HELD}{{lead}} WHERE {{asked}})"""  # noqa: S608 ours
# What of the ledgers is not kept: of leads about which something was written since the mark all that ended,
# and of everybody what still runs.
_SINCE = f"""
    {clocks.STANDING} AND r.finished_at IS NOT NULL AND r.handoff_id = ANY(ARRAY(
        SELECT id FROM handoff_handoff WHERE lead_id = ANY(ARRAY(SELECT id FROM moved))))
    UNION ALL {clocks.STANDING} AND r.finished_at IS NULL UNION ALL {clocks.UNTICKED}"""  # noqa: S608 ours
_KEPT = f"""
    UNION ALL SELECT {_ROW}, false AS running, 1 AS n FROM feedback_promisekept k
    WHERE {{asked}} AND (k.due >= %(low)s AND k.due < {{first}} OR k.due >= {{until}} AND k.due < %(high)s)
      AND k.due <= %(at)s AND NOT EXISTS (SELECT 1 FROM moved WHERE moved.id = k.lead_id)
    UNION ALL SELECT {_ROW}, false, -1 FROM feedback_promisekept k
    WHERE {{asked}} AND k.due >= {{first}} AND k.due < {{until}}
      AND k.lead_id = ANY(ARRAY(SELECT id FROM moved))"""  # noqa: S608 ours


def _base(filters: Filters, summed: Whole) -> tuple[str, dict[str, Any]]:
    """Every promise that fell due in the period but for what the sums of these weeks hold; with its values.

    Nothing that falls due after the instant of looking, or an early answer would count twice. With kept rows
    the ledgers are read only for what is not kept; leads that are in the sums and were written to since are
    taken out of them (`n` is -1) and read anew.
    """
    found, names = journeys.kept(filters), _narrow(filters)
    asked = [" AND ".join(["TRUE", *(_WHERE[name][n].format(**_IDS) for name in names)]) for n in (0, 1)]
    bound = _bound(filters) | {"mark": found and found.mark, "first": summed.first, "until": summed.until}
    lead = _LEAD if {"source", "campaign"} & {*names} else ""
    live = _LIVE.format(results=_SINCE if found else clocks.RESULTS, lead=lead, asked=asked[1])
    first, until = (f"%({name})s::date::timestamp AT TIME ZONE %(zone)s" for name in ("first", "until"))
    moved = f"moved AS MATERIALIZED ({journeys.MOVED})," if found else ""
    kept = _KEPT.format(asked=asked[0], first=first, until=until) if found else ""
    rows = f"SELECT {_ROW}, k.running, 1 AS n FROM live k {kept}"  # noqa: S608 ours, values are bound
    return f"WITH {moved} {live}, base AS ({rows})", bound


def _weeks_in_sums(filters: Filters) -> Whole:
    """The weeks of the period that are read from the sums.

    They are over by the instant of looking, which is not before the mark, in the zone of the sums; and know
    one filter at a time.
    """
    found = journeys.kept(filters)
    if not found or found.zone != filters.zone or filters.at < found.mark or len(_narrow(filters)) > 1:
        return Whole(filters.start, filters.start)
    return weeks.whole(filters, before=_day(filters.at, filters.zone))


def _narrow(filters: Filters) -> list[str]:
    return [name for name in _WHERE if getattr(filters, name)]


# What a promise is, in one number: counting it once is quicker than counting each of its marks by itself.
_CODE = "of_holder::int + 2 * promise + 8 * met::int + 16 * running::int + 32 * coalesce(reached, false)::int"
_KEYS = {
    "team": "team_id",
    "rep": "holder_id",
    "grade": "grade",
    "week": "date_trunc('week', day)::date",
    "hour": "hour",
}
# The lead's own clock and the time that somebody had it are never mixed.
_OF = {"lead": ("week", "team", "grade", "hour"), "holder": ("week", "rep")}
_VALUES = {
    "": "''",
    "team": "%(team)s::text",
    "source": "%(source)s",
    "campaign": f"{_IDS['campaign']}::text",
    "persona": "%(persona)s",
    "version": f"{_IDS['version']}::text",
}
_SUMS = """
    UNION ALL
    SELECT of_holder::int + 2 * promise, CASE by WHEN 'all' THEN 'week' ELSE by END,
           CASE by WHEN 'all' THEN week::text ELSE key END,
           sum(met)::int, sum(missed)::int, 0, sum(reached)::int
    FROM feedback_promiseweek WHERE narrow = %(narrow)s AND value = {value} AND by = ANY(%(sums)s)
      AND week >= %(first)s AND week < %(until)s GROUP BY 1, 2, 3"""
# Who came later has the higher number: the newest first.
_LEADS = """,
    behind AS MATERIALIZED (
        SELECT DISTINCT lead_id FROM base WHERE of_holder = %(of_holder)s AND promise = %(promise)s{asked})
    SELECT ARRAY(SELECT lead_id FROM behind ORDER BY lead_id DESC LIMIT %(size)s OFFSET %(skip)s),
           (SELECT count(*) FROM behind)"""
_RESULTS = {
    "all": "",
    "met": " AND met",
    "missed": " AND NOT met",
    "running": " AND running",
    "reached": " AND reached",
}
_BY = {
    "all": "",
    "team": " AND coalesce(team_id::text, '0') = %(key)s",
    "rep": " AND coalesce(holder_id::text, '0') = %(key)s",
    "grade": " AND grade = %(key)s",
    "hour": " AND hour::text = %(key)s",
    "week": " AND day >= %(key)s::date AND day < %(key)s::date + 7",
}


@dataclass(frozen=True)
class Count:
    """Promises that fell due: kept, missed, of the missed those that still run, and of all of them those
    whose lead was talked to by now (reached is more than contacted)."""

    met: int = 0
    missed: int = 0
    running: int = 0
    reached: int = 0

    @property
    def all(self) -> int:
        """How many fell due."""
        return self.met + self.missed

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.met + other.met,
            self.missed + other.missed,
            self.running + other.running,
            self.reached + other.reached,
        )


# (scope, promise, by, key) → Count; by "all" has key "0", rep "0" is the pool.
Counts = dict[tuple[str, str, str, str], Count]


def _bound(filters: Filters) -> dict[str, Any]:
    return {
        "low": filters.low,
        "high": filters.high,
        "at": filters.at,
        "zone": filters.zone,
        "team": filters.team,
        "source": "" if filters.source == NO_SOURCE else filters.source,
        "campaign": filters.campaign,
        "persona": filters.persona,
        "version": filters.version,
    }


def by_week(filters: Filters) -> Counts:
    """What fell due in each week (its Monday; only days of the period) and in all."""
    return _count(filters, ("week",))


def attainment(filters: Filters) -> Counts:
    """Count every promise that fell due in the period, as known at `filters.at`; one statement."""
    return _count(filters, tuple(_KEYS))


def _count(filters: Filters, by: Sequence[str]) -> Counts:
    whole, narrow = _weeks_in_sums(filters), _narrow(filters)
    base, bound = _base(filters, whole)
    names = " ".join(f"WHEN grouping({one}) = 0 THEN '{one}'" for one in by)
    keys = ", ".join(f"{one}::text" for one in by)
    columns = ", ".join(f"{_KEYS[one]} AS {one}" for one in by)
    sets = ", ".join(f"(code, {one})" for one in by)
    statement = f"""{base}, counted AS (
        SELECT code, CASE {names} END AS by, coalesce({keys}, '0') AS key, sum(n)::int AS n
        FROM (SELECT {_CODE} AS code, n, {columns} FROM base) coded GROUP BY GROUPING SETS ({sets}))
    SELECT code, by, key, CASE WHEN code & 8 > 0 THEN n ELSE 0 END, CASE WHEN code & 8 > 0 THEN 0 ELSE n END,
           CASE WHEN code & 16 > 0 THEN n ELSE 0 END, CASE WHEN code & 32 > 0 THEN n ELSE 0 END
    FROM counted"""  # noqa: S608 the pieces are ours, values are bound
    if whole.first < whole.until:
        name = narrow[0] if narrow else ""
        statement += _SUMS.format(value=_VALUES[name])
        bound |= {"narrow": name, "sums": ["all" if one == "week" else one for one in by]}
    counts: Counts = defaultdict(Count)
    with connection.cursor() as cursor:
        cursor.execute(statement, bound)
        for code, one, key, *numbers in cursor.fetchall():
            scope, promise, count = SCOPES[code & 1], PROMISES[code >> 1 & 3], Count(*numbers)
            if one in _OF[scope]:
                counts[scope, promise, one, key] += count
            if one == "week":
                counts[scope, promise, "all", "0"] += count
    # Leads that moved elsewhere leave nothing behind.
    return defaultdict(Count, {place: count for place, count in counts.items() if count.all})


def drill(cell: str, filters: Filters) -> QuerySet[Lead]:
    """The leads behind a cell `scope.promise.result` or `….by=key`; `before.` takes the period before.

    Raises BadInput for a cell that is none.
    """
    ids, _ = _behind(cell, filters, 0, None)
    return leads_of(ids)


def listed(cell: str, filters: Filters, start: int, size: int) -> Listed:
    """A page of the leads behind a cell, and how many there are. Raises BadInput for a cell that is none."""
    return _behind(cell, filters, start, size)


def _behind(cell: str, filters: Filters, start: int, size: int | None) -> Listed:
    if cell.startswith("before."):
        before = replace(filters.before, at=filters.at)
        return _behind(cell.removeprefix("before."), before, start, size)
    parts = cell.split(".", 3)
    by, _, key = (parts[3] if len(parts) == 4 else "all=").partition("=")
    known = (
        len(parts) >= 3 and parts[0] in SCOPES and parts[1] in PROMISES and parts[2] in _RESULTS and by in _BY
    )
    if not known or (by == "week" and not _is_day(key)):
        raise BadInput("This figure is not in the report.", [Fault("cell", "Open it from the report.")])
    base, bound = _base(filters, Whole(filters.start, filters.start))
    bound |= {"of_holder": parts[0] == "holder", "promise": PROMISES.index(parts[1]), "key": key}
    bound |= {"skip": start, "size": size}
    with connection.cursor() as cursor:
        cursor.execute(base + _LEADS.format(asked=_RESULTS[parts[2]] + _BY[by]), bound)
        ids, total = cursor.fetchone()
    return ids, total


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def promised() -> dict[str, int]:
    """What sales promised, per cent by promise, as the agreement says; nothing where it says nothing."""
    agreement = agreements.current()
    said = Document(agreement.content).promises["sales"] if agreement else {}
    return {
        promise: int(said[key])
        for promise, key in PROMISED.items()
        if isinstance(said.get(key), (int, float))
    }


def build(filters: Filters) -> Report:
    """The whole report, with the period before as it ended."""
    filters = journeys.marked(filters)
    now, was = attainment(filters), attainment(replace(filters.before, at=filters.at))
    goal = promised()
    total = now[("lead", "acceptance", "all", "0")]
    report = Report(
        NAME,
        TITLE,
        _population(filters, now),
        "A promise counts on the day it fell due. Kept ÷ (kept + missed); cancelled ones are left out, one "
        "past due that still runs is missed already. Team and grade: the lead's own clock, from the first "
        "offer. Rep: the time that this person had it. The hour of arrival is that of the first offer. A "
        "lead with several promises stands once in the list behind a figure.",
        _say(now, was, goal),
        filters,
        empty=not any(count.all for count in now.values()),
    )
    names = _names(now)
    report.figures = [_late_figure(report, now)]
    report.figures += [_figure(report, promise, now, was, goal) for promise in PROMISES]
    report.figures += [_reached_figure(report, now)]
    report.tables = [
        _weeks_table(filters, now),
        _table("reps", "By rep", "rep", "holder", now, was, names["rep"]),
        _table("teams", "By team", "team", "lead", now, was, names["team"]),
        _table("grades", "By grade", "grade", "lead", now, was, {}),
        _table("hours", "By hour of arrival", "hour", "lead", now, was, _hours(now)),
    ]
    report.charts = [_chart(report, now, goal, total)]
    if not report.empty:
        report.charts.append(_hours_chart(report, now))
    return report


def _population(filters: Filters, now: Counts) -> str:
    counted = sum(now[("lead", promise, "all", "0")].all for promise in PROMISES)
    words = f"{counted:,} promises of sales that fell due from {filters.words}, each by itself"
    return population(words, filters, all_of=False)


def _say(now: Counts, was: Counts, goal: dict[str, int]) -> list[tuple[str, str]]:
    pieces: list[tuple[str, str]] = []
    answer, before = now[("lead", "acceptance", "all", "0")], was[("lead", "acceptance", "all", "0")]
    if not answer.all:
        return [("No promise of sales fell due in this period.", "")]
    pieces += [
        ("Sales answered ", ""),
        (f"{answer.met:,}", "lead.acceptance.met"),
        (" of ", ""),
        (f"{answer.all:,}", "lead.acceptance.all"),
        (f" leads in time, {percent(answer.met, answer.all)}", ""),
        (f" (promised: {goal['acceptance']}%)" if "acceptance" in goal else "", ""),
        (f"; before {percent(before.met, before.all)}." if before.all else ".", ""),
    ]
    running = sum(now[("lead", promise, "all", "0")].running for promise in PROMISES[:2])
    if answer.running:
        pieces += [
            (" ", ""),
            (f"{answer.running:,}", "lead.acceptance.running"),
            (" still wait for an answer.", ""),
        ]
    elif running:
        pieces += [(f" {running:,} still wait for the first contact.", "")]
    return pieces


def _figure(report: Report, promise: str, now: Counts, was: Counts, goal: dict[str, int]) -> dict[str, Any]:
    count, before = now[("lead", promise, "all", "0")], was[("lead", promise, "all", "0")]
    words = [f"{count.met:,} of {count.all:,}"]
    if promise in goal:
        words.append(f"promise {goal[promise]}%")
    if before.all:
        words.append(f"before {percent(before.met, before.all)}")
    late = promise in goal and bool(count.all) and 100 * count.met < goal[promise] * count.all
    return {
        "label": LABELS[promise],
        "value": percent(count.met, count.all),
        "small": " · ".join(words),
        "href": report.link(f"lead.{promise}.all") if count.all else "",
        "late": late,
    }


def _reached_figure(report: Report, now: Counts) -> dict[str, Any]:
    """Talked to or met, whenever that was: a voicemail in time keeps the promise and reaches nobody."""
    count = now[("lead", "first_touch", "all", "0")]
    return {
        "label": "Reached",
        "value": percent(count.reached, count.all),
        "small": f"talked to or met: {count.reached:,} of {count.all:,} whose first contact was due",
        "href": report.link("lead.first_touch.reached") if count.reached else "",
        "late": False,
    }


def _late_figure(report: Report, now: Counts) -> dict[str, Any]:
    count, touch = now[("lead", "acceptance", "all", "0")], now[("lead", "first_touch", "all", "0")]
    return {
        "label": "Late and not answered",
        "value": f"{count.running:,}",
        "small": f"{touch.running:,} late with the first contact",
        "href": report.link("lead.acceptance.running") if count.running else "",
        "late": bool(count.running),
    }


def _names(now: Counts) -> dict[str, dict[str, str]]:
    reps = {key for _, _, by, key in now if by == "rep" and key != "0"}
    teams = {key for _, _, by, key in now if by == "team" and key != "0"}
    return {
        "rep": {str(pk): name for pk, name in User.objects.filter(pk__in=reps).values_list("pk", "name")}
        | {"0": "In the pool, nobody yet"},
        "team": {str(pk): name for pk, name in Team.objects.filter(pk__in=teams).values_list("pk", "name")}
        | {"0": "No team"},
    }


COLUMNS = (
    "answers due",
    "answered in time",
    "first contacts due",
    "first contact in time",
    "next contact in time",
    "late and not answered",
    "answered in time before",
)


def _table(
    key: str, title: str, by: str, scope: str, now: Counts, was: Counts, names: dict[str, str]
) -> Table:
    keys = sorted({k for s, _, b, k in now if b == by and s == scope}, key=lambda k: names.get(k, k))
    rows = [_row(names.get(k, "No grade" if k == NO_GRADE else k), by, k, scope, now, was) for k in keys]
    sub = (
        "the time each of them had it" if scope == "holder" else "the lead's own clock, from the first offer"
    )
    head = (title.removeprefix("By ").capitalize(), *(column.capitalize() for column in COLUMNS))
    foot = _row("All", "all", "0", scope, now, was)
    return Table(key, title, head, rows, foot if rows else [], sub=sub)


def _row(name: str, by: str, key: str, scope: str, now: Counts, was: Counts) -> list[Figure]:
    answer, touch, follow = (now[(scope, promise, by, key)] for promise in PROMISES)
    before = was[(scope, "acceptance", by, key)]
    tail = "" if by == "all" else f".{by}={key}"
    return [
        Figure(name),
        Figure(answer.all, cell=f"{scope}.acceptance.all{tail}" if answer.all else ""),
        _kept(answer, f"{scope}.acceptance.met{tail}"),
        Figure(touch.all, cell=f"{scope}.first_touch.all{tail}" if touch.all else ""),
        _kept(touch, f"{scope}.first_touch.met{tail}"),
        _kept(follow, f"{scope}.follow_up.met{tail}"),
        Figure(answer.running, cell=f"{scope}.acceptance.running{tail}" if answer.running else ""),
        Figure(share(before.met, before.all), percent(before.met, before.all)),
    ]


def _kept(count: Count, cell: str) -> Figure:
    tone = "hot" if count.all >= FEW and count.met / count.all < LATE_SHARE else ""
    small = f"{count.met} of {count.all}" if count.all else ""
    return Figure(
        share(count.met, count.all), percent(count.met, count.all), cell if count.met else "", tone, small
    )


def _weeks(filters: Filters, now: Counts) -> list[tuple[date, dict[str, Count]]]:
    monday = filters.start - timedelta(days=filters.start.weekday())
    last = min(filters.end, _day(filters.at, filters.zone))
    found = []
    while monday <= last:
        key = monday.isoformat()
        found.append((monday, {promise: now["lead", promise, "week", key] for promise in PROMISES}))
        monday += timedelta(days=7)
    return found


def _day(at: datetime, zone: str) -> date:
    return at.astimezone(ZoneInfo(zone)).date()


def _weeks_table(filters: Filters, now: Counts) -> Table:
    rows = []
    for monday, counts in _weeks(filters, now):
        row = [Figure(monday.isoformat(), f"{monday.day} {monday:%b}")]
        for promise in PROMISES[:2]:
            tail = f".week={monday.isoformat()}"
            count = counts[promise]
            row += [
                Figure(count.all, cell=f"lead.{promise}.all{tail}" if count.all else ""),
                _kept(count, f"lead.{promise}.met{tail}"),
            ]
        rows.append(row)
    columns = ("Week from", "Answers due", "Answered in time", "First contacts due", "First contact in time")
    return Table("weeks", "Week by week", columns, rows, sub="the lead's own clock")


def _hours(now: Counts) -> dict[str, str]:
    """The hours in words; they sort as they stand on a clock."""
    return {str(hour): f"{hour:02d}:00–{hour:02d}:59" for hour in range(24)}


def _hours_chart(report: Report, now: Counts) -> Chart:
    hours = sorted({int(key) for scope, _, by, key in now if by == "hour" and scope == "lead"})
    counts = [now[("lead", "acceptance", "hour", str(hour))] for hour in hours]
    return chart_of(
        report,
        "hours",
        "Answered in time, by the hour in which the lead was offered",
        "columns",
        [
            Series(
                LABELS["acceptance"],
                [share(count.met, count.all) for count in counts],
                "acc",
                [report.link(f"lead.acceptance.all.hour={hour}") for hour in hours],
            )
        ],
        labels=[f"{hour:02d}" for hour in hours],
        unit="%",
        top=100,
    )


def _chart(report: Report, now: Counts, goal: dict[str, int], total: Count) -> Chart:
    weeks = _weeks(report.filters, now)
    table = report.tables[0]
    mark = (float(goal["acceptance"]), f"promised: {goal['acceptance']}%") if "acceptance" in goal else None
    return Chart(
        "weeks",
        "Kept week by week",
        "line",
        [f"{monday.day} {monday:%b}" for monday, _ in weeks],
        [
            Series(
                LABELS[promise],
                [share(counts[promise].met, counts[promise].all) for _, counts in weeks],
                tone,
                [report.link(f"lead.{promise}.all.week={monday.isoformat()}") for monday, _ in weeks],
            )
            for promise, tone in TONES
        ],
        f"Answered in time, {percent(total.met, total.all)} in all; by week: "
        + ", ".join(
            f"{monday.day} {monday:%b} {percent(counts['acceptance'].met, counts['acceptance'].all)}"
            for monday, counts in weeks
        ),
        table.columns,
        [[Cell(figure.words, report.link(figure.cell)) for figure in row] for row in table.rows],
        unit="%",
        csv=report.csv("weeks"),
        note=report.population,
        mark=mark,
        top=100,
    )


def words(cell: str, filters: Filters) -> str:
    """What a cell counts, for the head of the list of its leads."""
    period = filters
    if cell.startswith("before."):
        cell, period = cell.removeprefix("before."), filters.before
    parts = [*cell.split(".", 3), "", "", ""]
    what = {"acceptance": "answer", "first_touch": "first contact", "follow_up": "next contact"}.get(
        parts[1], ""
    )
    how = {
        "met": "in time",
        "missed": "not in time",
        "running": "late and still open",
        "reached": "due, and reached by now",
        "all": "due",
    }.get(parts[2], "")
    by, _, key = parts[3].partition("=")
    named = key
    if by == "rep" and (pk := whole(key)) is not None:
        named = User.objects.filter(pk=pk).values_list("name", flat=True).first() or "nobody"
    elif by == "team" and (pk := whole(key)) is not None:
        named = Team.objects.filter(pk=pk).values_list("name", flat=True).first() or "no team"
    tail = f", {by} {named}" if by in _BY and key else ""
    text = f"{what} {how}, {period.words}{tail}".strip()
    return text[:1].upper() + text[1:]
