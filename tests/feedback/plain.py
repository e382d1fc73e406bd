"""The reports reckoned again in plain Python over the exported ledgers; nothing is shared with their SQL.

`Ledgers` exports the tables as rows of dictionaries; each function below gives one table of a report as
{name of the row: its figures}.
"""

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from statistics import NormalDist, median
from typing import Any
from zoneinfo import ZoneInfo

from feedback.models import ContentUse, Dispute, Question, Task
from feedback.reports.base import Filters
from handoff.models import Handoff, RoomWait, SlaResult, Transition
from leadflow.accounts.models import Team, User
from leadflow.leads.models import (
    Activity,
    ActivityKind,
    Answer,
    Campaign,
    Content,
    Lead,
    LeadMerge,
    Outcome,
    StageChange,
)

Row = dict[str, Any]
Lines = dict[str, list[Any]]
OPEN = ("offered", "accepted", "working", "opportunity")
STEPS = ("mql", "offered", "accepted", "opportunity", "customer")
FEW = 20


class Ledgers:
    """All rows as they were written."""

    def __init__(self) -> None:
        self.leads = {row["id"]: row for row in Lead.objects.order_by("pk").values()}
        self.moves = list(StageChange.objects.order_by("at", "pk").values())
        self.answers = list(Answer.objects.order_by("pk").values())
        self.outcomes = list(Outcome.objects.order_by("pk").values())
        self.handoffs = {row["id"]: row for row in Handoff.objects.order_by("pk").values()}
        self.results = list(SlaResult.objects.order_by("pk").values())
        self.acts = list(Activity.objects.order_by("pk").values())
        self.kinds = {row["id"]: row for row in ActivityKind.objects.values()}
        self.campaigns = {row["id"]: row for row in Campaign.objects.values()}
        self.contents = {row["id"]: row["title"] for row in Content.objects.values()}
        self.uses = list(ContentUse.objects.values())
        self.users = {row["id"]: row for row in User.objects.values()}
        self.teams = {row["id"]: row["name"] for row in Team.objects.values()}
        self.questions = list(Question.objects.values())
        self.disputes = list(Dispute.objects.values())
        self.transitions = list(Transition.objects.order_by("at", "pk").values())
        self.waits = list(RoomWait.objects.values())
        self.tasks = list(Task.objects.filter(kind="repair").values())
        self.merges = list(LeadMerge.objects.values())
        self.history: dict[int, list[Row]] = {}
        self.states: dict[int, dict[int, list[Row]]] = {}
        read_histories(self)

    def living(self, lead: int) -> bool:
        row = self.leads[lead]
        return row["merged_into_id"] is None and row["erased_at"] is None

    def deals(self, lead: int, *kinds: str, until: datetime) -> list[Row]:
        rows = [r for r in self.outcomes if r["lead_id"] == lead and r["kind"] in kinds and r["at"] <= until]
        return sorted((r for r in rows if standing(r)), key=lambda r: (r["at"], r["id"]))

    def campaign_of(self, lead: int) -> str:
        found = self.campaigns.get(self.leads[lead]["first_campaign_id"])
        return found["name"] if found else "No campaign"

    def source_of(self, lead: int) -> str:
        return self.leads[lead]["first_source"] or "(none)"


def standing(row: Row) -> bool:
    return row["voided_at"] is None and row.get("replaced_by_id") is None


def share(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None


def quantile(values: list[float], part: float) -> float:
    values = sorted(values)
    place = part * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def parted(rows: list[Row], key: str) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[row[key]].append(row)
    return dict(found)


def inside(at: datetime | None, f: Filters) -> bool:
    return at is not None and f.low <= at < f.high and at <= f.at


# Leads by when they became one -------------------------------------------------------------------


def cohort(led: Ledgers, f: Filters) -> list[Row]:
    """Each lead that came in the period with the first instant of every step, as known at `f.at`."""
    found = []
    for key, lead in led.leads.items():
        if not led.living(key) or not inside(lead["created_at"], f):
            continue
        said = [r for r in led.answers if r["lead_id"] == key and standing(r)]
        steps = {
            "mql": [r["at"] for r in led.moves if r["lead_id"] == key and r["to_stage"] in ("mql", "sql")],
            "offered": [r["at"] for r in said if r["kind"] == "offered"],
            "accepted": [r["at"] for r in said if r["kind"] == "accepted"],
            "opportunity": [r["at"] for r in led.deals(key, "opportunity", "won", until=f.at)],
            "customer": [r["at"] for r in led.deals(key, "won", until=f.at)],
        }
        first = {step: min(at) for step, at in steps.items() if at and min(at) <= f.at}
        ever = [
            r
            for r in led.outcomes
            if r["lead_id"] == key and r["kind"] in ("opportunity", "won") and standing(r)
        ]
        sums = led.deals(key, "won", "renewed", "expanded", until=f.at) if "customer" in first else []
        found.append(
            {
                "lead": key,
                "came": lead["created_at"],
                "source": led.source_of(key),
                "campaign": led.campaign_of(key),
                "first": first,
                "undated": any(r["undated"] or r["at"] < lead["created_at"] for r in ever),
                "revenue": float(sum(r["amount"] or 0 for r in sums)),
            }
        )
    return found


def reached(rows: list[Row]) -> list[int]:
    """How many came, and how many got to each step."""
    return [len(rows), *(sum(step in row["first"] for row in rows) for step in STEPS)]


SPANS = {
    "Lead to MQL": ("came", "mql"),
    "MQL to SQL offered": ("mql", "offered"),
    "Offered to accepted": ("offered", "accepted"),
    "Accepted to opportunity": ("accepted", "opportunity"),
    "Opportunity to customer": ("opportunity", "customer"),
    "Lead to customer": ("came", "customer"),
}


def spans(rows: list[Row], name: str) -> list[float]:
    """How many days each lead took from one step to another, each as it is shown."""
    start, end = SPANS[name]
    found = []
    for row in rows:
        steps = {"came": row["came"], **row["first"]}
        if start not in steps or end not in steps or (row["undated"] and end in ("opportunity", "customer")):
            continue
        took = steps[end] - steps[start]
        if took > timedelta() or (not took and name != "Opportunity to customer"):
            found.append(shown(took))
    return found


def shown(took: timedelta) -> float:
    """In days: the nearest tenth below ten, the nearest whole day from ten on, what lies between goes up."""
    tenth = timedelta(hours=2, minutes=24)
    if took < 100 * tenth:
        return (took + tenth / 2) // tenth / 10
    return float((took + timedelta(hours=12)).days)


def steps_table(led: Ledgers, f: Filters) -> Lines:
    now, was = reached(cohort(led, f)), reached(cohort(led, f.before))
    names = ("Leads", "MQL", "SQL offered", "SQL accepted", "Opportunity", "Customer")
    return {
        name: [
            now[n],
            was[n],
            share(now[n], now[n - 1]) if n else None,
            share(was[n], was[n - 1]) if n else None,
        ]
        for n, name in enumerate(names)
    }


def funnel_sources(led: Ledgers, f: Filters) -> Lines:
    found = {}
    for source, rows in [*parted(cohort(led, f), "source").items(), ("All", cohort(led, f))]:
        counts = reached(rows)
        found[source] = [*counts, share(counts[3], counts[2])]
    return found


def velocity_spans(led: Ledgers, f: Filters) -> Lines:
    rows, before = cohort(led, f), cohort(led, f.before)
    found = {}
    for name in SPANS:
        days, was = spans(rows, name), spans(before, name)
        quantiles = [quantile(days, part) if days else None for part in (0.1, 0.25, 0.5, 0.75, 0.9)]
        found[name] = [len(days), *quantiles, median(was) if was else None]
    return found


def velocity_sources(led: Ledgers, f: Filters) -> Lines:
    return {
        source: [len(rows), *(median(days) if (days := spans(rows, name)) else None for name in SPANS)]
        for source, rows in parted(cohort(led, f), "source").items()
    }


def source_quality(led: Ledgers, f: Filters, by: str) -> Lines:
    """By source or campaign: steps, share, revenue, cost, cost for each customer, customers before."""
    ran = [
        one
        for one in led.campaigns.values()
        if one["cost"] is not None
        and (one["starts_on"] is None or one["starts_on"] <= f.end)
        and (one["ends_on"] is None or one["ends_on"] >= f.start)
    ]
    before = parted(cohort(led, f.before), by)
    before["All"] = cohort(led, f.before)
    found = {}
    for name, rows in [*parted(cohort(led, f), by).items(), ("All", cohort(led, f))]:
        counts = reached(rows)
        column = "source" if by == "source" else "name"
        mine = [one["cost"] for one in ran if name in ("All", one[column])]
        cost = float(sum(mine)) if mine else None
        each = cost / counts[5] if cost is not None and counts[5] else None
        revenue = sum(row["revenue"] for row in rows)
        found[name] = [*counts, share(counts[3], counts[2]), revenue, cost, each]
        found[name].append(reached(before.get(name, []))[5])
    return found


# Leads by when they were handed over ----------------------------------------------------------------


def handed(led: Ledgers, f: Filters) -> list[Row]:
    """Each lead once, by its first handover of the period, with what came of it by `f.at`."""
    first: dict[int, Row] = {}
    for row in sorted(led.handoffs.values(), key=lambda r: (r["first_offered_at"], r["id"])):
        if inside(row["first_offered_at"], f) and led.living(row["lead_id"]):
            first.setdefault(row["lead_id"], row)
    return [handover(led, row, f) for row in first.values()]


def handover(led: Ledgers, row: Row, f: Filters) -> Row:
    offered = row["first_offered_at"]
    said = [
        r
        for r in led.answers
        if r["handoff_id"] == row["id"]
        and standing(r)
        and f.low <= r["at"] <= f.at
        and r["kind"] != "offered"
    ]
    late = [r for r in led.deals(row["lead_id"], "opportunity", "won", until=f.at) if r["at"] >= offered]
    won = [r for r in late if r["kind"] == "won"]
    touched = row["first_touch_at"]
    touched = touched if touched and touched <= f.at else None
    answered = min((r["at"] for r in said), default=None)
    heard = answered or touched
    return {
        "handoff": row,
        "source": led.source_of(row["lead_id"]),
        "team": led.teams.get(row["team_id"], "No team"),
        "rep": led.users[row["owner_id"]]["name"] if row["owner_id"] else "In the pool, nobody yet",
        "grade": row["grade"] or "No grade",
        "answer": (heard - offered).total_seconds() if heard else None,
        "call": (touched - offered).total_seconds() if touched else None,
        "heard": answered is not None,
        "open": heard is None,
        "accepted": any(r["kind"] == "accepted" for r in said),
        "refused": any(r["kind"] in ("rejected", "returned") for r in said),
        "reached": row["reached_at"] is not None and row["reached_at"] <= f.at,
        "opportunity": bool(late),
        "customer": bool(won),
        "revenue": float(sum(r["amount"] or 0 for r in won)),
    }


def many(rows: list[Row], *measures: str) -> list[int]:
    return [sum(bool(row[one]) for row in rows) for one in measures]


def half(rows: list[Row], what: str) -> float | None:
    """The middle of the waits, each rounded to whole minutes, tenths of an hour or tenths of a day."""
    waits = []
    for wait in (row[what] for row in rows if row[what] is not None):
        unit = next(unit for unit, top in ((60, 5400), (360, 172_800), (8640, float("inf"))) if wait < top)
        waits.append(round(wait / unit) * unit)
    return float(round(median(waits))) if waits else None


WAITS = (
    ("within 15 minutes", 900),
    ("within the hour", 3600),
    ("within 4 hours", 14_400),
    ("within a day", 86_400),
    ("within 3 days", 259_200),
    ("later", float("inf")),
)


def curve(led: Ledgers, f: Filters) -> Lines:
    def step(row: Row) -> str:
        return next((name for name, top in WAITS if row["call"] is not None and row["call"] <= top), "never")

    found = {}
    for name in (*(name for name, _ in WAITS), "never"):
        rows = [row for row in handed(led, f) if step(row) == name]
        was = [row for row in handed(led, f.before) if step(row) == name]
        line = [len(rows)]
        for part in many(rows, "reached", "accepted", "opportunity", "customer"):
            line += [part, share(part, len(rows))]
        found[name.replace("never", "not called yet")] = [*line, share(*many(was, "opportunity"), len(was))]
    return found


def halves(led: Ledgers, f: Filters, by: str) -> Lines:
    before = parted(handed(led, f.before), by)
    return {
        name: [
            len(rows),
            sum(row["call"] is not None for row in rows),
            half(rows, "call"),
            half(before.get(name, []), "call"),
            share(*many(rows, "reached"), len(rows)),
        ]
        for name, rows in parted(handed(led, f), by).items()
    }


def responsiveness(led: Ledgers, f: Filters, by: str) -> Lines:
    """A share of fewer than twenty leads is not shown."""

    def judged(rows: list[Row], measure: str) -> float | None:
        return share(*many(rows, measure), len(rows)) if len(rows) >= FEW else None

    before = parted(handed(led, f.before), by) | {"All": handed(led, f.before)}
    found = {}
    for name, rows in [*parted(handed(led, f), by).items(), ("All", handed(led, f))]:
        found[name] = [
            len(rows),
            *many(rows, "open"),
            half(rows, "answer"),
            half(rows, "call"),
            judged(rows, "accepted"),
            judged(rows, "reached"),
            sum(row["accepted"] and not row["reached"] for row in rows),
            *many(rows, "opportunity", "customer"),
            judged(before.get(name, []), "reached"),
        ]
    return found


def rules(led: Ledgers, f: Filters) -> Lines:
    """By criterion: leads with points, of all, accepted with and without, customers, each, taken, before."""

    def given(rows: list[Row]) -> dict[str, list[tuple[Row, float]]]:
        found = defaultdict(list)
        for row in rows:
            for line in row["handoff"]["frozen"].get("explanation") or ():
                if line["criterion"] not in ("", "limit", "rounding", "limit of the total"):
                    found[line["criterion"]].append((row, float(line["points"])))
        return found

    def taken(rows: list[Row]) -> float | None:
        yes = sum(row["accepted"] for row in rows)
        return share(yes, yes + sum(row["refused"] and not row["accepted"] for row in rows))

    every, before = handed(led, f), given(handed(led, f.before))
    found = {}
    for key, lines in given(every).items():
        with_it = [row for row, points in lines if points > 0]
        ids = {row["handoff"]["id"] for row in with_it}
        points = sum(points for _, points in lines if points > 0)
        found[key] = [
            len(with_it),
            share(len(with_it), len(every)),
            taken(with_it),
            taken([row for row in every if row["handoff"]["id"] not in ids]),
            *many(with_it, "customer"),
            round(points / len(with_it), 1) if with_it else None,
            sum(points < 0 for _, points in lines),
            sum(points > 0 for _, points in before.get(key, ())),
        ]
    return found


def came_of_it(led: Ledgers, f: Filters) -> Lines:
    """After and before: the steps of the comparison."""
    now, was = handed(led, f), handed(led, f.before)
    found: Lines = {
        "Became leads": [len(cohort(led, f)), len(cohort(led, f.before)), None, None],
        "Handed over": [len(now), len(was), None, None],
        "Revenue": [sum(r["revenue"] for r in now), sum(r["revenue"] for r in was), None, None],
    }
    for name, measure in CAME:
        (a,), (b,) = many(now, measure), many(was, measure)
        found[name] = [a, b, share(a, len(now)), share(b, len(was))]
    return found


CAME = (
    ("Accepted", "accepted"),
    ("Rejected or returned", "refused"),
    ("Reached", "reached"),
    ("Opportunities", "opportunity"),
    ("Customers", "customer"),
)
# A normal value is so many deviations or fewer away 95 times of 100.
FAR = NormalDist().inv_cdf(0.975)


def likely(part: int, whole: int, up: bool) -> float:
    """The true share farthest up or down of which `part` in `whole` would be no wonder, by halving."""
    seen = part / whole
    near, far = seen, float(up)
    for _ in range(60):
        middle = (near + far) / 2
        wonder = abs(seen - middle) > FAR * (middle * (1 - middle) / whole) ** 0.5
        near, far = (near, middle) if wonder else (middle, far)
    return near


def how_sure(led: Ledgers, f: Filters) -> Lines:
    """After and before: each difference, what it is at least and at most, and whether chance would do it."""
    now, was = handed(led, f), handed(led, f.before)
    few = min(len(now), len(was)) < FEW

    def verdict(clear: bool) -> str:
        return "few" if few else "yes" if clear else "no"

    # Of so many coins thrown, as many heads as there are handovers after.
    both = len(now) + len(was)
    odd = both > 0 and abs(len(now) - both / 2) > FAR * both**0.5 / 2
    found: Lines = {"Handed over": [len(now) - len(was), None, None, verdict(odd)]}
    for name, measure in CAME:
        (a,), (b,) = many(now, measure), many(was, measure)
        low, high = -100.0, 100.0
        if now and was:
            p, q = a / len(now), b / len(was)
            down = (p - likely(a, len(now), False)) ** 2 + (likely(b, len(was), True) - q) ** 2
            up = (likely(a, len(now), True) - p) ** 2 + (q - likely(b, len(was), False)) ** 2
            low, high = 100 * (p - q - down**0.5), 100 * (p - q + up**0.5)
        points = (share(a, len(now)) or 0) - (share(b, len(was)) or 0)
        found[f"{name}, of a hundred"] = [points, low, high, verdict(low > 0 or high < 0)]
    return found


def parts_compared(led: Ledgers, f: Filters, by: str) -> Lines:
    """After and before by grade or source: handed over, accepted of them, customers."""
    sides = [parted(handed(led, one), by) for one in (f, f.before)]
    found: Lines = {}
    for name in {name for side in sides for name in side}:
        found[name] = []
        for side in sides:
            rows = side.get(name, [])
            accepted, customers = many(rows, "accepted", "customer")
            found[name] += [len(rows), share(accepted, len(rows)), customers]
    return found


# Customers and content ------------------------------------------------------------------------------


def touched(led: Ledgers, f: Filters) -> list[Row]:
    """Each lead whose first deal was won in the period, with its first and last touch."""
    found = []
    for key, lead in led.leads.items():
        won = led.deals(key, "won", until=f.at)
        if not won or not f.low <= won[0]["at"] < f.high or not led.living(key):
            continue
        acts = [
            act
            for act in led.acts
            if act["lead_id"] == key
            and act["campaign_id"]
            and led.kinds[act["kind_id"]]["own_act"]
            and act["occurred_at"] <= won[0]["at"]
        ]
        last = max(acts, key=lambda act: (act["occurred_at"], act["id"]), default=None)
        campaign = led.campaigns[last["campaign_id"]] if last else None
        found.append(
            {
                "first": led.campaign_of(key),
                "last": campaign["name"] if campaign else led.campaign_of(key),
                "source": led.source_of(key),
                "last_source": (campaign and campaign["source"]) or lead["first_source"] or "(none)",
                "revenue": float(sum(r["amount"] or 0 for r in won if f.low <= r["at"] < f.high)),
            }
        )
    return found


def attribution(led: Ledgers, f: Filters, first: str, last: str) -> Lines:
    now, was = touched(led, f), touched(led, f.before)
    found: Lines = {}
    for name in {row[by] for row in now for by in (first, last)}:
        found[name] = []
        for by in (first, last):
            mine = [row for row in now if row[by] == name]
            gone = sum(row[by] == name for row in was)
            found[name] += [len(mine), sum(row["revenue"] for row in mine), gone]
    found["All"] = 2 * [len(now), sum(row["revenue"] for row in now), len(was)]
    return found


def pieces(led: Ledgers, f: Filters) -> Lines:
    """Content by what became of the leads that met it."""

    def met(f: Filters) -> dict[int, dict[int, list[tuple[datetime, bool]]]]:
        found: dict[int, dict[int, list[tuple[datetime, bool]]]] = defaultdict(lambda: defaultdict(list))
        rows = [(u["content_id"], u["lead_id"], u["at"], True) for u in led.uses]
        rows += [(a["content_id"], a["lead_id"], a["occurred_at"], False) for a in led.acts]
        for piece, lead, at, given in rows:
            if piece and lead and inside(at, f) and led.living(lead):
                found[piece][lead].append((at, given))
        return found

    def won(times: dict[int, list[tuple[datetime, bool]]], f: Filters, *kinds: str) -> list[list[Row]]:
        deals = [
            [r for r in led.deals(lead, *kinds, until=f.at) if r["at"] >= min(at for at, _ in seen)]
            for lead, seen in times.items()
        ]
        return [rows for rows in deals if rows]

    before = met(f.before)
    found = {}
    for piece, times in met(f).items():
        closed = won(times, f, "won")
        found[led.contents[piece]] = [
            len(times),
            sum(any(given for _, given in seen) for seen in times.values()),
            sum(any(not given for _, given in seen) for seen in times.values()),
            len(won(times, f, "opportunity", "won")),
            len(closed),
            share(len(closed), len(times)),
            float(sum(r["amount"] or 0 for rows in closed for r in rows)),
            len(won(before.get(piece, {}), f.before, "won")),
        ]
    return found


# Promises -------------------------------------------------------------------------------------------

RUNS = {"acceptance": ("offered",), "first_touch": ("offered", "accepted"), "follow_up": ("working",)}


def dues(led: Ledgers, f: Filters) -> list[Row]:
    """Every promise of sales that fell due; a clock past due that still runs is missed."""
    ended = [r for r in led.results if r["voided_at"] is None]
    known = {(r["handoff_id"], r["scope"], r["promise"], r["due"]) for r in ended}
    found = [r | {"running": r["finished_at"] is None} for r in ended if r["result"] in ("met", "missed")]
    for row in led.handoffs.values():
        for promise, states in RUNS.items():
            column = "followup_due_at" if promise == "follow_up" else f"{promise}_due_at"
            for scope, prefix in (("lead", "lead_"), ("holder", "")):
                due = row[prefix + column]
                if due is None or row["state"] not in states or (row["id"], scope, promise, due) in known:
                    continue
                late = {"handoff_id": row["id"], "scope": scope, "promise": promise, "due": due}
                late |= {"holder_id": row["owner_id"], "team_id": row["team_id"], "result": "missed"}
                found.append(late | {"running": True})
    zone = ZoneInfo(f.zone)
    rows = []
    for r in found:
        if not inside(r["due"], f):
            continue
        handoff = led.handoffs[r["handoff_id"]]
        came = handoff["first_offered_at"].astimezone(zone).hour
        holder = led.users[r["holder_id"]]["name"] if r["holder_id"] else "In the pool, nobody yet"
        rows.append(
            r
            | {
                "rep": holder,
                "team": led.teams.get(r["team_id"], "No team"),
                "grade": handoff["grade"] or "No grade",
                "hour": f"{came:02d}:00–{came:02d}:59",
                "week": monday(r["due"].astimezone(zone).date()).isoformat(),
            }
        )
    return rows


def monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def kept(rows: list[Row], promise: str) -> tuple[int, int]:
    mine = [row for row in rows if row["promise"] == promise]
    return sum(row["result"] == "met" for row in mine), len(mine)


def attainment(led: Ledgers, f: Filters, by: str) -> Lines:
    scope = "holder" if by == "rep" else "lead"
    now = [row for row in dues(led, f) if row["scope"] == scope]
    gone = Filters(f.before.start, f.before.end, f.at, f.zone)
    was = parted([row for row in dues(led, gone) if row["scope"] == scope], by)
    was["All"] = [row for rows in was.values() for row in rows]
    found = {}
    for name, rows in [*parted(now, by).items(), ("All", now)]:
        answer, touch, follow = (kept(rows, promise) for promise in RUNS)
        running = sum(row["running"] for row in rows if row["promise"] == "acceptance")
        found[name] = [answer[1], share(*answer), touch[1], share(*touch), share(*follow), running]
        found[name].append(share(*kept(was.get(name, []), "acceptance")))
    return found


def promises(led: Ledgers, f: Filters) -> Lines:
    """Both sides week by week, and all of it."""
    zone = ZoneInfo(f.zone)

    def week(at: datetime) -> str:
        return monday(at.astimezone(zone).date()).isoformat()

    def line(name: str) -> list[Any]:
        def mine(at: datetime) -> bool:
            return name == "All" or week(at) == name

        offers = [r["handoff"] for r in handed(led, f) if mine(r["handoff"]["first_offered_at"])]
        noes = [
            r
            for r in led.answers
            if r["kind"] in ("rejected", "returned") and standing(r) and inside(r["at"], f) and mine(r["at"])
        ]
        due = [r for r in dues(led, f) if r["scope"] == "lead" and mine(r["due"])]
        asked = [q for q in led.questions if inside(q["due_at"], f) and mine(q["due_at"])]
        objected = [d for d in led.disputes if inside(d["due_at"], f) and mine(d["due_at"])]
        return [
            len(offers),
            share(sum(h["grade"].startswith("A") for h in offers), len(offers)),
            share(sum(h["frozen"].get("must_know_gaps") == [] for h in offers), len(offers)),
            share(
                sum(bool(d["settled_at"]) and d["settled_at"] <= d["due_at"] for d in objected), len(objected)
            ),
            share(
                sum(bool(q["first_answer_at"]) and q["first_answer_at"] <= q["due_at"] for q in asked),
                len(asked),
            ),
            share(*kept(due, "acceptance")),
            share(*kept(due, "first_touch")),
            share(sum(r["reason_key"] != "" for r in noes), len(noes)),
        ]

    weeks, day = ["All"], monday(f.start)
    while day <= min(f.end, f.at.date()):
        weeks.append(day.isoformat())
        day += timedelta(days=7)
    return {name: line(name) for name in weeks}


# Answers and places ---------------------------------------------------------------------------------


def refusals(led: Ledgers, f: Filters) -> Counter[tuple[str, str, str]]:
    """Sales' answers by kind, reason and first source."""
    return Counter(
        (r["kind"], r["reason_key"], led.leads[r["lead_id"]]["first_source"])
        for r in led.answers
        if r["kind"] in ("accepted", "rejected", "returned") and standing(r) and inside(r["at"], f)
    )


def place_at(led: Ledgers, lead: int, at: datetime) -> str | None:
    """Where a lead stood at an instant, by what was written about it until then."""
    stage = next((r["to_stage"] for r in led.history[lead] if r["at"] <= at), None)
    if stage is None:
        return None
    if (led.leads[lead]["erased_at"] or at + timedelta(1)) <= at:
        return "erased"
    joined = [m for m in led.merges if m["from_lead_id"] == lead and m["at"] <= at]
    if any(m["undone_at"] is None or m["undone_at"] > at for m in joined):
        return "merged"
    if stage == "excluded":
        return stage
    for acts in led.states[lead].values():
        state = next((r["to_state"] for r in acts if r["at"] <= at), None)
        if state in OPEN:
            return str(state)
    if any(holds(w["entered_at"], w["left_at"], at) for w in led.waits if w["lead_id"] == lead):
        return "waiting for room"
    repaired = [t for t in led.tasks if t["lead_id"] == lead and holds(t["created_at"], t["done_at"], at)]
    return "repair list" if repaired and stage not in ("customer", "disqualified") else str(stage)


def holds(start: datetime, end: datetime | None, at: datetime) -> bool:
    return start <= at and (end is None or end > at)


def read_histories(led: Ledgers) -> None:
    """Sort what was written about each lead, the newest first."""
    led.history = defaultdict(list)
    led.states = defaultdict(lambda: defaultdict(list))
    for row in reversed(led.moves):
        led.history[row["lead_id"]].append(row)
    for row in reversed(led.transitions):
        led.states[led.handoffs[row["handoff_id"]]["lead_id"]][row["handoff_id"]].append(row)


def moments(led: Ledgers, low: datetime, high: datetime) -> dict[int, list[datetime]]:
    """When each lead may have changed its place, after `low` and until `high`."""
    found: dict[int, set[datetime]] = defaultdict(set)
    rows = [(r["lead_id"], r["at"]) for r in led.moves]
    rows += [(led.handoffs[r["handoff_id"]]["lead_id"], r["at"]) for r in led.transitions]
    rows += [(w["lead_id"], at) for w in led.waits for at in (w["entered_at"], w["left_at"])]
    rows += [(t["lead_id"], at) for t in led.tasks for at in (t["created_at"], t["done_at"])]
    rows += [(m["from_lead_id"], at) for m in led.merges for at in (m["at"], m["undone_at"])]
    rows += [(key, lead["erased_at"]) for key, lead in led.leads.items()]
    for lead, at in rows:
        if at is not None and low < at <= high:
            found[lead].add(at)
    return {lead: sorted(times) for lead, times in found.items()}


def books(led: Ledgers, f: Filters) -> Lines:
    """Each place with what stood there before the period, came, went, and stands there at its end."""
    end = min(f.high - timedelta(microseconds=1), f.at)
    start = f.low - timedelta(microseconds=1)
    lines: Lines = defaultdict(lambda: [0, 0, 0, 0])
    moved = moments(led, start, end)
    for lead in led.leads:
        place = place_at(led, lead, start)
        if place:
            lines[place][0] += 1
        for at in moved.get(lead, ()):
            after = place_at(led, lead, at)
            if after != place:
                if place:
                    lines[place][2] += 1
                if after:
                    lines[after][1] += 1
                place = after
        if place:
            lines[place][3] += 1
    total = [sum(line[n] for line in lines.values()) for n in range(4)]
    return dict(lines) | {"All": total}
