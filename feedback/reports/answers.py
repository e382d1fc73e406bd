"""What sales says about the leads: accepted or not, why not, by source, campaign and rep; points wasted."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from feedback.reports.base import NO_SOURCE, Figure, Filters, Report, Table, percent, share
from feedback.reports.keeping import LINES
from leadflow.accounts.models import Team, User
from leadflow.errors import BadInput, Fault
from leadflow.leads.models import Lead
from scoring import agreements
from scoring.document import Document

NAME = "answers"
TITLE = "Sales’ answers"
ASKS = "What sales says about the leads, and which points were wasted."
ICON = "message-2"
DAYS = 28
BY = {
    "source": "Source",
    "campaign": "Campaign",
    "persona": "Persona",
    "rep": "Rep",
    "criterion": "Criterion",
    "period": "Period",
}
# Fewer answers than this and no share is judged.
FEW = 20
# Only these kinds of reason speak about the quality of a lead.
QUALITY = ("fit", "timing", "person")
NOES = ("rejected", "returned")
TOO_EASY = 95
HOT = 0.16
# From this share on a criterion is nearly everybody's; up to this ratio it is as frequent on both sides.
NEARLY_ALL = 0.85
AS_OFTEN = 1.1
# From this share on it is worth saying which reason a rule's points went to.
OFTEN = 0.35
COLUMNS_SHOWN = 8
MONTHS_SHOWN = 13
# Periods up to so many days are looked at by week, longer ones by month.
BY_WEEK = 56
REST = "others"
NO_POINTS = ("limit", "rounding", "limit of the total", "")

# The key and the name of an answer's column, for each way of grouping.
_KEYS = {
    "source": "l.first_source",
    "campaign": "coalesce(c.code, '')",
    # Who only looks like a persona stands apart from it.
    "persona": "coalesce(h.frozen #>> '{persona,key}', '')"
    " || CASE WHEN h.frozen #>> '{persona,ideal}' = 'false' THEN '~' ELSE '' END",
    "rep": "coalesce(a.rep_id::text, '')",
    "criterion": "piece.criterion",
    "period": "to_char(date_trunc(%(unit)s, a.at AT TIME ZONE %(zone)s), 'YYYY-MM-DD')",
}
_NAMES = {
    "source": "coalesce(nullif(l.first_source, ''), 'No source')",
    "campaign": "coalesce(c.name, 'No campaign')",
    "persona": "coalesce(h.frozen #>> '{persona,name}', 'No persona')",
    "rep": "coalesce(u.name, 'Nobody')",
    "criterion": "piece.text",
    "period": "to_char(date_trunc(%(unit)s, a.at AT TIME ZONE %(zone)s), 'YYYY-MM-DD')",
}
# The lines of the score at the offer that gave points.
_PIECES = """CROSS JOIN LATERAL (
            SELECT line ->> 'criterion' AS criterion, line ->> 'text' AS text,
                   (line ->> 'points')::numeric AS points
            FROM jsonb_array_elements(
                CASE jsonb_typeof(h.frozen -> 'explanation') WHEN 'array' THEN h.frozen -> 'explanation'
                     ELSE '[]'::jsonb END) line
            WHERE (line ->> 'points')::numeric > 0 AND line ->> 'criterion' NOT IN %(no_points)s) piece"""
# Did a criterion give points at the offer?
GAVE = "$.explanation[*] ? (@.criterion == $id && @.points.double() > 0)"


def _base(by: str) -> str:
    """The answers of the period, as one named part of a statement; by criterion one row for each line."""
    return f"""
    WITH said AS (
        SELECT a.id, a.lead_id, a.handoff_id, a.kind, a.reason_key, a.reason_kind, a.rep_id,
               {_KEYS[by]} AS by_key, {_NAMES[by]} AS by_name
        FROM leads_answer a JOIN leads_lead l ON l.id = a.lead_id
        LEFT JOIN leads_campaign c ON c.id = l.first_campaign_id
        LEFT JOIN accounts_user u ON u.id = a.rep_id
        LEFT JOIN handoff_handoff h ON h.id = a.handoff_id
        {_PIECES if by == "criterion" else ""}
        WHERE a.kind IN ('accepted', 'rejected', 'returned') AND a.voided_at IS NULL
          AND a.at >= %(low)s AND a.at < %(high)s AND a.at <= %(at)s
          AND (%(source)s = '' OR coalesce(nullif(l.first_source, ''), '{NO_SOURCE}') = %(source)s)
          AND (%(campaign)s = '' OR c.code = %(campaign)s)
          AND (%(rep)s IS NULL OR a.rep_id = %(rep)s)
          AND (%(team)s IS NULL OR h.team_id = %(team)s)
          AND (%(version)s IS NULL
               OR h.agreement_id = (SELECT id FROM scoring_agreement WHERE number = %(version)s))
          AND (%(persona)s = '' OR (h.frozen #>> '{{persona,key}}' = %(persona)s
               AND h.frozen #>> '{{persona,ideal}}' IS DISTINCT FROM 'false'))
          AND (%(criterion)s = '' OR jsonb_path_exists(h.frozen, %(gave)s::jsonpath,
                                                       jsonb_build_object('id', %(criterion)s::text))))"""  # noqa: S608 our own pieces


_JUDGED = "kind = 'rejected' AND reason_kind IN ('fit', 'timing', 'person')"
_COUNTS = f"""
    SELECT kind, reason_key, by_key, max(by_name), count(*), count(*) FILTER (WHERE {_JUDGED})
    FROM said GROUP BY 1, 2, 3"""  # noqa: S608
# A criterion has one line in an explanation; its words are those of the latest handoff that has it.
_POINTS = f"""
    , given AS MATERIALIZED (
        SELECT line.criterion, p.kind, p.reason_key, count(*) AS n, max(p.handoff_id) AS latest,
               round(sum(line.points)::numeric, 2) AS points
        FROM said p {LINES}
        WHERE (p.kind = 'accepted' OR ({_JUDGED.replace("kind", "p.kind", 1)}))
          AND line.points > 0 AND line.criterion NOT IN %(no_points)s
        GROUP BY 1, 2, 3),
    latest AS (SELECT criterion, max(latest) AS id FROM given GROUP BY 1),
    words AS (
        SELECT t.criterion, jsonb_path_query_first(
                   h.frozen, '$.explanation[*] ? (@.criterion == $id)', jsonb_build_object('id', t.criterion)
               ) ->> 'text' AS text
        FROM latest t JOIN handoff_handoff h ON h.id = t.id)
    SELECT given.criterion, words.text, given.kind, given.reason_key, given.points, given.n
    FROM given JOIN words USING (criterion)"""  # noqa: S608
_WITH_RULE = """
    FROM said JOIN handoff_handoff h ON h.id = said.handoff_id
    WHERE said.kind = 'rejected'
      AND jsonb_path_exists(h.frozen, %(gave)s::jsonpath, jsonb_build_object('id', %(rule)s::text))"""
_REJECTED_WITH = f"SELECT count(*) {_WITH_RULE}"
_BY_REP = f"""
    SELECT said.rep_id, count(*) {_WITH_RULE} AND said.reason_kind IN ('fit', 'timing', 'person')
    GROUP BY 1 ORDER BY 2 DESC, 1"""


def _bound(filters: Filters) -> dict[str, Any]:
    by = filters.by or "source"
    if by not in BY:
        raise BadInput("Answers are not grouped by that.", [Fault("by", f"Choose one of {', '.join(BY)}.")])
    return {
        "low": filters.low,
        "high": filters.high,
        "at": filters.at,
        "team": filters.team,
        "source": filters.source,
        "campaign": filters.campaign,
        "persona": filters.persona,
        "rep": filters.rep,
        "version": filters.version,
        "criterion": filters.criterion,
        "gave": GAVE,
        "no_points": NO_POINTS,
        "unit": "week" if _by_week(filters) else "month",
        "zone": filters.zone,
    }


def _by_week(filters: Filters) -> bool:
    return (filters.end - filters.start).days < BY_WEEK


def ask(statement: str, filters: Filters, by: str = "source", **more: Any) -> list[tuple[Any, ...]]:
    """Rows of a statement over `said`, the answers of the period."""
    bound = _bound(filters) | more
    with connection.cursor() as cursor:
        cursor.execute(f"{_base(by)} {statement}", bound)
        return list(cursor.fetchall())


@dataclass(frozen=True)
class Acceptance:
    """Of the leads that sales answered, how many it took; `low` and `high` bound the true share, per cent."""

    accepted: int
    rejected: int

    @property
    def answered(self) -> int:
        """How many were answered."""
        return self.accepted + self.rejected

    @property
    def rate(self) -> float | None:
        """Accepted of a hundred."""
        return share(self.accepted, self.answered)

    @property
    def interval(self) -> tuple[int, int]:
        """Between which whole percentages the true share probably lies (Wilson, 95 of 100)."""
        n, z = self.answered, 1.96
        if not n:
            return 0, 100
        p = self.accepted / n
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0, math.floor(100 * (middle - half) + 0.5)), min(
            100, math.floor(100 * (middle + half) + 0.5)
        )


@dataclass(frozen=True)
class Answers:
    """The count of answers by kind, reason and column.

    A lead stands in one column, but by criterion in each that gave it points: the columns overlap then.
    """

    # (kind, reason key, column key) → count
    counts: dict[tuple[str, str, str], int]
    names: dict[str, str]
    # (kind, reason key) → count of all
    totals: dict[tuple[str, str], int]
    # How many were rejected for who they are, timing or person.
    judged: int
    # Columns in the order of time rather than of size.
    in_time: bool = False
    # Columns share leads: those that sales accepts least come first.
    shared: bool = False

    @property
    def acceptance(self) -> Acceptance:
        """In all."""
        return self.of()

    def of(self, key: str | None = None) -> Acceptance:
        """Of one column (None: all)."""
        found = {kind: self.sum(kind=kind, key=key) for kind in ("accepted", "rejected")}
        return Acceptance(found["accepted"], found["rejected"])

    def sum(self, *, kind: str | None = None, reason: str | None = None, key: str | None = None) -> int:
        """Answers of a kind, a reason, a column; None leaves it open."""
        if key is None:
            return sum(n for (k, r), n in self.totals.items() if kind in (None, k) and reason in (None, r))
        return sum(
            n
            for (k, r, c), n in self.counts.items()
            if c == key and kind in (None, k) and reason in (None, r)
        )

    @property
    def reasons(self) -> list[str]:
        """Reasons of the noes, the most frequent first."""
        totals: dict[str, int] = defaultdict(int)
        for (kind, reason), n in self.totals.items():
            if kind in NOES:
                totals[reason] += n
        return sorted(totals, key=lambda r: (-totals[r], r))

    @property
    def columns(self) -> list[str]:
        """Columns, those with the most answers first; periods as they come."""
        totals: dict[str, int] = defaultdict(int)
        for (_, _, key), n in self.counts.items():
            totals[key] += n
        if self.in_time:
            return sorted(totals)
        if self.shared:
            found = {key: self.of(key) for key in totals}
            judged = [key for key in totals if found[key].answered >= FEW / 2]
            judged.sort(key=lambda c: (found[c].rate or 0, -totals[c], c))
            return judged + sorted(set(totals) - set(judged), key=lambda c: (-totals[c], c))
        return sorted(totals, key=lambda c: (-totals[c], self.names[c]))

    def noes(self, reason: str | None = None, key: str | None = None) -> int:
        """Rejected and given back."""
        return sum(self.sum(kind=kind, reason=reason, key=key) for kind in NOES)


def count(filters: Filters) -> Answers:
    """Count the answers of the period."""
    by = filters.by or "source"
    _bound(filters)
    counts: dict[tuple[str, str, str], int] = {}
    names: dict[str, str] = {}
    totals: dict[tuple[str, str], int] = defaultdict(int)
    rows = ask(_COUNTS, filters, by)
    for kind, reason, key, name, n, _ in rows:
        counts[(kind, reason, key)] = n
        names[key] = _column_name(by, name, filters)
    # By criterion the columns overlap: what is counted in all comes from the answers themselves.
    single = ask(_COUNTS, filters) if by == "criterion" else rows
    for kind, reason, _, _, n, _ in single:
        totals[(kind, reason)] += n
    return Answers(
        counts, names, dict(totals), sum(row[5] for row in single), by == "period", by == "criterion"
    )


def _column_name(by: str, name: str, filters: Filters) -> str:
    if by != "period":
        return name
    day = date.fromisoformat(name)
    return f"week of {day.day} {day:%b}" if _by_week(filters) else f"{day:%b %Y}"


@dataclass(frozen=True)
class Terms:
    """What the agreement in force (or the draft) calls its reasons and tracks, and the agreed band."""

    reasons: dict[str, str]
    tracks: dict[str, str]
    band: tuple[int, int] = (70, 90)
    personas: dict[str, str] = field(default_factory=dict)
    # What each rule of the agreement is called, and those that it asks for now.
    criteria: dict[str, str] = field(default_factory=dict)


def current_terms() -> Terms:
    """Read them once for a page."""
    agreement = agreements.current()
    if agreement is None:
        return Terms({}, {})
    document = Document(agreement.content)
    return Terms(
        {reason.key: reason.text for reason in document.reasons},
        {track.key: track.name for track in document.tracks},
        document.acceptance_band,
        {persona.key: persona.name for persona in document.personas},
        {criterion.id: criterion.text or criterion.id for criterion in document.active_criteria},
    )


@dataclass(frozen=True)
class Wasted:
    """What a criterion gave to rejected leads, against how often the accepted had it."""

    criterion: str
    text: str
    points: Decimal
    rejected: int
    accepted: int
    hint: str


def points_wasted(filters: Filters, answers: Answers, texts: dict[str, str]) -> list[Wasted]:
    """Criteria by the points that they gave to leads rejected for fit, timing or person, most first."""
    rejected: dict[str, dict[str, tuple[Decimal, int]]] = defaultdict(dict)
    accepted: dict[str, int] = defaultdict(int)
    words: dict[str, str] = {}
    for criterion, text, kind, reason, points, n in ask(_POINTS, filters):
        words[criterion] = text or criterion
        if kind == "accepted":
            accepted[criterion] += n
        else:
            rejected[criterion][reason] = (points, n)
    judged = answers.judged
    found = []
    for criterion, by_reason in rejected.items():
        with_points = sum(n for _, n in by_reason.values())
        here = with_points / judged if judged else 0.0
        there = accepted[criterion] / answers.acceptance.accepted if answers.acceptance.accepted else 0.0
        found.append(
            Wasted(
                criterion,
                words[criterion],
                sum((points for points, _ in by_reason.values()), Decimal(0)),
                with_points,
                accepted[criterion],
                _compared(here, there) or _hint(by_reason, answers, texts),
            )
        )
    return sorted(found, key=lambda w: (-w.points, w.criterion))


@dataclass(frozen=True)
class OfRule:
    """What one rule gave to leads rejected for who they are, timing or person; how many accepted had it."""

    text: str
    points: Decimal
    rejected: int
    accepted: int
    by_reason: dict[str, int]


def points_of(filters: Filters, criterion: str) -> OfRule:
    """The points of one rule in the period."""
    rows = [row for row in ask(_POINTS, filters) if row[0] == criterion]
    noes = [row for row in rows if row[2] == "rejected"]
    return OfRule(
        max((row[1] for row in rows), default=""),
        sum((row[4] for row in noes), Decimal(0)),
        sum(row[5] for row in noes),
        sum(row[5] for row in rows if row[2] == "accepted"),
        {row[3]: row[5] for row in noes},
    )


def rejected_with(filters: Filters, criterion: str) -> int:
    """How many were rejected, whatever the reason, to whom the rule gave points."""
    return int(ask(_REJECTED_WITH, filters, rule=criterion)[0][0])


def rejections_by_rep(filters: Filters, criterion: str) -> list[tuple[int, int]]:
    """(rep, number) of rejections for who the lead is, timing or person, with points from the rule."""
    return [(rep, n) for rep, n in ask(_BY_REP, filters, rule=criterion) if rep]


def _compared(here: float, there: float) -> str:
    """What the share among the rejected says beside that among the accepted; empty where it says a lot."""
    if here >= NEARLY_ALL and there >= NEARLY_ALL:
        return "nearly everybody has it: it decides nothing"
    if there and here <= there * AS_OFTEN:
        return "as often among the accepted: leave it"
    return ""


def _hint(by_reason: dict[str, tuple[Decimal, int]], answers: Answers, texts: dict[str, str]) -> str:
    reason, (points, n) = max(by_reason.items(), key=lambda item: (item[1][1], item[0]))
    whole = answers.sum(kind="rejected", reason=reason)
    if n < 3 or not whole or n / whole < OFTEN:
        return ""
    mean = (points / n).quantize(Decimal(1))
    part = f"{100 * n / whole:.0f}% of the" if whole >= FEW else f"{n} of {whole}"
    return f"{part} “{texts.get(reason, reason).lower()}” noes got +{mean} here"


def drill(cell: str, filters: Filters) -> QuerySet[Lead]:
    """The leads behind `kind.reason.column`; kind answered, accepted, rejected or noes, `*` for any.

    `points:criterion.kind` lists leads to whom a criterion gave points; `before.` takes the period before.
    """
    if cell.startswith("before."):
        return drill(cell.removeprefix("before."), replace(filters.before, at=filters.at))
    if cell.startswith("points:"):
        return _with_points(cell.removeprefix("points:"), filters)
    kind, _, rest = cell.partition(".")
    reason, _, key = rest.partition(".")
    kinds = {
        "answered": ("accepted", "rejected"),
        "noes": NOES,
        "accepted": ("accepted",),
        "rejected": ("rejected",),
        "judged": ("rejected",),
    }
    if kind not in kinds:
        raise BadInput("This figure is not in the report.", [Fault("cell", "Open it from the report.")])
    by = filters.by or "source"
    rows = ask(
        f"""SELECT DISTINCT lead_id FROM said WHERE kind IN %(kinds)s
            AND (%(reason)s IN ('', '*') OR reason_key = %(reason)s)
            AND (%(any)s OR by_key = %(key)s) AND ({_JUDGED if kind == "judged" else "true"})""",  # noqa: S608
        filters,
        by if key.startswith("=") else "source",
        kinds=kinds[kind],
        reason=reason,
        any=not key.startswith("="),
        key=key[1:],
    )
    return Lead.objects.filter(pk__in=[row[0] for row in rows])


def _with_points(cell: str, filters: Filters) -> QuerySet[Lead]:
    criterion, _, kind = cell.partition(".")
    rows = ask(
        f"""SELECT DISTINCT said.lead_id FROM said JOIN handoff_handoff h ON h.id = said.handoff_id
        WHERE said.kind = %(kind)s AND (said.kind = 'accepted' OR ({_JUDGED.replace("kind", "said.kind", 1)}))
          AND jsonb_path_exists(h.frozen, %(gave)s::jsonpath, jsonb_build_object('id', %(rule)s::text))""",  # noqa: S608
        filters,
        kind=kind,
        rule=criterion,
    )
    return Lead.objects.filter(pk__in=[row[0] for row in rows])


def words(cell: str, filters: Filters) -> str:
    """What a cell counts, for the head of the list of its leads."""
    period = filters
    if cell.startswith("before."):
        cell, period = cell.removeprefix("before."), filters.before
    texts = current_terms().reasons
    if cell.startswith("points:"):
        criterion, _, kind = cell.removeprefix("points:").partition(".")
        return f"{kind.capitalize()} leads with points from {criterion}, {period.words}"
    kind, _, rest = cell.partition(".")
    reason, _, key = rest.partition(".")
    said = {"answered": "answered", "noes": "not taken", "accepted": "accepted", "rejected": "rejected"}
    said["judged"] = "rejected for who they are, timing or person"
    why = f": {texts.get(reason, reason).lower()}" if reason not in ("", "*") else ""
    column = f", {count(filters).names.get(key[1:], key[1:])}" if key.startswith("=") else ""
    return f"Sales’ answers: {said.get(kind, '')}{why}{column}, {period.words}"


def build(filters: Filters, terms: Terms | None = None) -> Report:
    """The whole screen as a report."""
    terms = terms or current_terms()
    texts = terms.reasons
    now, was = count(filters), count(replace(filters.before, at=filters.at))
    wasted = points_wasted(filters, now, texts)
    report = Report(
        NAME,
        "What sales says",
        _population(filters, now),
        "Accepted of a hundred answered = accepted ÷ (accepted + rejected). Given back later counts among "
        "the noes, not against acceptance. Points wasted: points at the offer of leads rejected for who they "
        "are, timing or person; the other reasons say nothing about the lead.",
        _say(now, terms),
        filters,
        empty=not now.counts,
    )
    report.tables = [_matrix(filters, now, texts), _points_table(wasted, now)]
    report.figures = [gauge(now.acceptance, was.acceptance, terms.band)]
    return report


def _population(filters: Filters, now: Answers) -> str:
    words = f"{now.acceptance.answered:,} answers of sales from {filters.words}"
    if filters.source:
        words += f", leads whose first source is {filters.source}"
    if filters.team:
        words += f", team {Team.objects.get(pk=filters.team).name}"
    terms = current_terms() if filters.persona or filters.criterion else None
    if filters.campaign:
        words += f", campaign {filters.campaign}"
    if filters.persona and terms:
        words += f", persona {terms.personas.get(filters.persona, filters.persona)}"
    if filters.criterion and terms:
        words += f", with points from “{terms.criteria.get(filters.criterion, filters.criterion)}”"
    if filters.rep:
        words += f", answered by {User.objects.get(pk=filters.rep).name}"
    return words


def gauge(now: Acceptance, was: Acceptance, agreed: tuple[int, int]) -> dict[str, Any]:
    """The acceptance with its interval and the agreed band, for the picture and its words."""
    low, high = agreed
    return {
        "accepted": now.accepted,
        "answered": now.answered,
        "rate": now.rate,
        "interval": now.interval,
        "band": (low, high),
        "before": was.rate if was.answered >= FEW else None,
        "few": now.answered < FEW,
        "too_easy": now.rate is not None and now.rate > TOO_EASY,
    }


def _say(now: Answers, terms: Terms) -> list[tuple[str, str]]:
    found = now.acceptance
    if not found.answered:
        return [("Sales answered no lead in this period.", "")]
    pieces = [
        ("Sales answered ", ""),
        (f"{found.answered:,}", "answered.*"),
        (" leads and accepted " if found.answered != 1 else " lead and accepted ", ""),
        (f"{found.accepted:,}", "accepted.*"),
        (_judged(found, terms.band), ""),
    ]
    if now.reasons and now.noes() >= 3:
        first = now.reasons[0]
        pieces += [
            (f" “{terms.reasons.get(first, first)}” leads the noes: ", ""),
            (f"{now.noes(first)} of {now.noes()}", f"noes.{first}"),
            (_most_from(now, first), ""),
        ]
    return pieces


def _judged(found: Acceptance, band: tuple[int, int]) -> str:
    if found.answered < FEW:
        return f". {found.answered} {'answer' if found.answered == 1 else 'answers'}: too few to judge."
    low, high = band
    rate = found.rate or 0
    if rate < low:
        return f", less than the agreed {low} of 100."
    if rate > TOO_EASY:
        return f", more than {TOO_EASY} of 100: the bar is too low, or nobody reads."
    return ", inside the agreed band." if rate <= high else f", more than the agreed {high} of 100."


def _when(now: Answers, key: str) -> str:
    name = now.names[key]
    if not now.in_time:
        return f"from {name}"
    return f"in the {name}" if name.startswith("week") else f"in {name}"


def _most_from(now: Answers, reason: str) -> str:
    if now.shared:
        return "."
    by = {key: now.noes(reason, key) for key in now.columns}
    key = max(by, key=lambda k: by[k])
    if by[key] < 2 or len([k for k in by if by[k]]) < 2:
        return "."
    return f", {by[key]} of them {_when(now, key)}."


def _matrix(filters: Filters, now: Answers, texts: dict[str, str]) -> Table:
    by = BY[filters.by or "source"]
    shown = now.columns[-MONTHS_SHOWN:] if now.in_time else now.columns[:COLUMNS_SHOWN]
    rows = [
        [
            Figure(texts.get(reason, reason or "No reason")),
            *(_cell(now, reason, key) for key in shown),
            Figure(now.noes(reason), cell=f"noes.{reason or '*'}"),
        ]
        for reason in now.reasons
    ]
    total = now.acceptance
    foot = [
        Figure("Accepted of answered"),
        *(_rate(now.of(key), f"answered.*.={key}") for key in shown),
        _rate(total, "answered.*"),
    ]
    hidden = len(now.columns) - len(shown)
    note = f"{hidden} {'earlier' if now.in_time else 'smaller'} columns are not shown" if hidden else ""
    if filters.by == "criterion":
        note = " ".join(
            filter(
                None,
                [
                    "A lead stands in each rule that gave it points; the least accepted rules first.",
                    note,
                ],
            )
        )
    rejected = now.sum(kind="rejected")
    returned = now.sum(kind="returned")
    sub = (
        f"{rejected} rejected"
        + (f", {returned} given back later" if returned else "")
        + f", by reason and {by.lower()}"
    )
    return Table(
        "reasons",
        "Why they said no",
        ("Reason", *(now.names[key] for key in shown), "All"),
        rows,
        foot,
        sub,
        note,
    )


def _cell(now: Answers, reason: str, key: str) -> Figure:
    n = now.noes(reason, key)
    if not n:
        return Figure(0, "–")
    part = n / max(1, now.noes())
    if now.shared:
        return Figure(n, cell=f"noes.{reason or '*'}.={key}")
    tone = "hot" if n >= 3 and part >= HOT else "warm" if n >= 2 and part >= HOT / 2 else ""
    return Figure(n, cell=f"noes.{reason or '*'}.={key}", tone=tone)


def _rate(found: Acceptance, cell: str) -> Figure:
    small = f"of {found.answered}" if 0 < found.answered < FEW else ""
    return Figure(
        found.rate, percent(found.accepted, found.answered), cell if found.answered else "", small=small
    )


def _points_table(wasted: Sequence[Wasted], now: Answers) -> Table:
    rows = [
        [
            Figure(w.text, small=w.hint, tone=w.criterion),
            Figure(int(w.points), cell=f"points:{w.criterion}.rejected"),
            Figure(w.rejected, cell=f"points:{w.criterion}.rejected"),
            Figure(w.accepted, cell=f"points:{w.criterion}.accepted" if w.accepted else ""),
        ]
        for w in wasted
    ]
    columns = ("Criterion", "Points", f"Of {now.judged} rejected", f"Of {now.acceptance.accepted} accepted")
    return Table(
        "points",
        "Points wasted",
        columns,
        rows,
        sub="points that went to leads rejected for who they are, timing or person",
        note="“Bad phone” and “already ours” say nothing about the lead and are not counted",
    )
