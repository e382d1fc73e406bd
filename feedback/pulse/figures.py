"""What sales feels beside what was measured: by round and team, and the gap between the two."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import connection

from feedback.models import PulseAnswer, PulseRound
from feedback.pulse.rounds import AGREES, ASKS, LEAST, bounds
from leadflow.accounts.models import SALES, Organisation, Team, User
from leadflow.charts import Cell, Chart, Series

# The last so many rounds are drawn.
SHOWN = 13
Counts = Mapping[str, tuple[int, int]]

_SAID = f"""
    SELECT a.round_id, a.team_id, count(*),
           {", ".join(f"count(*) FILTER (WHERE a.{ask.column} >= {AGREES})" for ask in ASKS)}
    FROM feedback_pulseanswer a WHERE a.round_id = ANY(%s) GROUP BY 1, 2"""  # noqa: S608 our own columns
# By month and team: answers and those accepted; leads handed over, fresh ones, those with all that is needed.
_ANSWERED = """
    SELECT to_char(date_trunc('month', a.at AT TIME ZONE %(zone)s), 'YYYY-MM-DD'), h.team_id, count(*),
           count(*) FILTER (WHERE a.kind = 'accepted')
    FROM leads_answer a JOIN handoff_handoff h ON h.id = a.handoff_id
    WHERE a.kind IN ('accepted', 'rejected') AND a.voided_at IS NULL AND a.at >= %(low)s AND a.at < %(high)s
    GROUP BY 1, 2"""
_OFFERED = """
    SELECT to_char(date_trunc('month', h.first_offered_at AT TIME ZONE %(zone)s), 'YYYY-MM-DD'), h.team_id,
           count(*), count(*) FILTER (WHERE h.frozen -> 'must_know_gaps' = '[]'::jsonb),
           count(*) FILTER (WHERE EXISTS (
               SELECT 1 FROM leads_activity x JOIN leads_activitykind k ON k.id = x.kind_id AND k.own_act
               WHERE x.lead_id = h.lead_id AND x.occurred_at <= h.first_offered_at
                 AND x.occurred_at > h.first_offered_at - interval '24 hours'))
    FROM handoff_handoff h WHERE h.first_offered_at >= %(low)s AND h.first_offered_at < %(high)s
    GROUP BY 1, 2"""


@dataclass(frozen=True)
class Line:
    """One question of one team (or all) in one round: who agreed, what was measured, the gap in points."""

    name: str
    text: str
    measured_words: str
    agreed: int
    people: int
    part: int
    whole: int

    @property
    def said(self) -> int | None:
        """Per cent who agreed."""
        return round(100 * self.agreed / self.people) if self.people else None

    @property
    def measured(self) -> int | None:
        """Per cent measured."""
        return round(100 * self.part / self.whole) if self.whole else None

    @property
    def gap(self) -> int | None:
        """Said minus measured, in points: below zero sales feels worse than the figures."""
        return None if self.said is None or self.measured is None else self.said - self.measured


@dataclass(frozen=True)
class Seen:
    """A team (None: all that may be shown) in a round. `lines` is empty where too few answered."""

    team: Team | None
    answers: int
    asked: int
    lines: list[Line] = field(default_factory=list)

    @property
    def shown(self) -> bool:
        """Whether enough people answered."""
        return bool(self.lines)


@dataclass(frozen=True)
class Round:
    """One round with what may be shown of it."""

    round: PulseRound
    total: Seen
    teams: list[Seen]


def rounds(count: int = SHOWN) -> list[Round]:
    """The last rounds, the newest first; a fixed number of statements."""
    found = list(PulseRound.objects.order_by("-month")[:count])
    if not found:
        return []
    said, measured = _said(found), _measured(found[-1].month, found[0].month)
    teams = {team.pk: team for team in Team.objects.filter(kind=Team.Kind.SALES).order_by("name")}
    people: dict[int, int] = defaultdict(int)
    for team_id in User.objects.filter(role__in=SALES, is_active=True).values_list("team", flat=True):
        people[team_id] += 1
    return [_round(one, teams, people, said[one.pk], measured[one.month]) for one in found]


def benchmark() -> Round | None:
    """The first round of all, against which the others are read."""
    first = PulseRound.objects.order_by("month").first()
    return next((one for one in rounds(10_000) if one.round == first), None) if first else None


def opinions(round_: PulseRound) -> list[str]:
    """The open answers of teams of which enough people answered, in an order that tells nothing."""
    said = _said([round_])[round_.pk]
    teams = [team for team, counts in said.items() if counts["people"] >= LEAST]
    found = PulseAnswer.objects.filter(round=round_, team__in=teams).exclude(open="")
    return sorted(found.values_list("open", flat=True), key=str.casefold)


def gap_words(seen: Seen) -> str:
    """The widest gap as a sentence; what to say when nothing can be said."""
    known = [line for line in seen.lines if line.gap is not None]
    if not seen.shown:
        return f"{seen.answers} answered so far: fewer than {LEAST} of a team are not shown."
    if not known:
        return "Nothing was measured in this month to hold the answers against."
    worst = max(known, key=lambda line: abs(line.gap or 0))
    sign = "worse" if (worst.gap or 0) < 0 else "better"
    if not worst.gap:
        return "What sales feels and what was measured are the same."
    return (
        f"“{worst.name}”: {worst.said} of 100 in sales agree, while {worst.measured} of 100 {_bare(worst)}: "
        f"it feels {sign} than it is, by {abs(worst.gap)} points."
    )


def _bare(line: Line) -> str:
    return line.measured_words.removeprefix("of ")


def chart(found: list[Round], first: Round | None) -> Chart | None:
    """What sales said, round by round; None before the second round that can be shown."""
    shown = [one for one in reversed(found) if one.total.shown]
    if len(shown) < 2:
        return None
    labels = [f"{one.round.month:%b %Y}" for one in shown]
    tones = ("acc", "ok", "soon")
    series = [
        Series(ask.name, [one.total.lines[n].said for one in shown], tones[n])  # type: ignore[arg-type]
        for n, ask in enumerate(ASKS)
    ]
    rows = [
        [
            Cell(label),
            *(
                Cell(f"{line.said}% · measured {line.measured if line.measured is not None else '–'}%")
                for line in one.total.lines
            ),
            Cell(f"{one.total.answers} of {one.total.asked}"),
        ]
        for label, one in zip(labels, shown, strict=True)
    ]
    says = "; ".join(
        f"{one.name}: "
        + ", ".join(f"{name} {value}%" for name, value in zip(labels, one.values, strict=True))
        for one in series
    )
    mark = first.total.lines[0].said if first and first.total.shown else None
    return Chart(
        "pulse",
        "How many agree, round by round",
        "line",
        labels,
        series,
        says,
        ("Round", *(ask.name for ask in ASKS), "Answered"),
        rows,
        unit="%",
        top=100,
        mark=(float(mark), f"first round, {ASKS[0].name.lower()}: {mark}%") if mark is not None else None,
        csv="/review/pulse/?format=csv",
    )


def _said(found: list[PulseRound]) -> dict[int, dict[int, dict[str, int]]]:
    counts: dict[int, dict[int, dict[str, int]]] = {one.pk: {} for one in found}
    with connection.cursor() as cursor:
        cursor.execute(_SAID, [[one.pk for one in found]])
        for round_id, team_id, people, *agreed in cursor.fetchall():
            counts[round_id][team_id] = {
                "people": people,
                **{ask.column: n for ask, n in zip(ASKS, agreed, strict=True)},
            }
    return counts


def _measured(first: date, last: date) -> dict[date, dict[int, dict[str, tuple[int, int]]]]:
    """By month and team: (part, whole) beside each question."""
    zone = Organisation.get().tz
    bound: dict[str, Any] = {"zone": zone, "low": bounds(first, zone)[0], "high": bounds(last, zone)[1]}
    found: dict[date, dict[int, dict[str, tuple[int, int]]]] = defaultdict(lambda: defaultdict(dict))
    with connection.cursor() as cursor:
        cursor.execute(_ANSWERED, bound)
        for month, team, whole, part in cursor.fetchall():
            found[date.fromisoformat(month)][team]["q1"] = (part, whole)
        cursor.execute(_OFFERED, bound)
        for month, team, whole, known, fresh in cursor.fetchall():
            here = found[date.fromisoformat(month)][team]
            here["q2"], here["q3"] = (fresh, whole), (known, whole)
    return found


def _round(
    one: PulseRound,
    teams: Mapping[int, Team],
    people: Mapping[int, int],
    said: Mapping[int, Mapping[str, int]],
    measured: Mapping[int, Counts],
) -> Round:
    seen = []
    for pk, team in teams.items():
        counts = said.get(pk, {"people": 0})
        lines = _lines([counts], [measured.get(pk, {})]) if counts["people"] >= LEAST else []
        seen.append(Seen(team, counts["people"], max(people.get(pk, 0), counts["people"]), lines))
    # The whole counts only teams that may be shown: otherwise the rest could be worked out.
    open_ = [pk for pk in teams if said.get(pk, {"people": 0})["people"] >= LEAST]
    lines = _lines([said[pk] for pk in open_], [measured.get(pk, {}) for pk in open_]) if open_ else []
    total = Seen(None, sum(s.answers for s in seen), sum(s.asked for s in seen), lines)
    return Round(one, total, seen)


def _lines(said: list[Mapping[str, int]], measured: list[Counts]) -> list[Line]:
    people = sum(one["people"] for one in said)
    return [
        Line(
            ask.name,
            ask.text,
            ask.measured,
            sum(one[ask.column] for one in said),
            people,
            sum(one.get(ask.column, (0, 0))[0] for one in measured),
            sum(one.get(ask.column, (0, 0))[1] for one in measured),
        )
        for ask in ASKS
    ]
