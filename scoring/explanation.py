"""Why a lead has its score: lines that add up exactly, what is missing to the bar, and "why now"."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from leadflow import clock
from leadflow.errors import NotVisible
from leadflow.leads.models import Lead
from scoring import current as applied
from scoring import rows
from scoring.conditions import nodes as n
from scoring.conditions.explain import Words, decay_words, sentence
from scoring.current import Current
from scoring.document import GROUPS, Criterion
from scoring.models import Agreement, LeadScore, ScoreChange
from scoring.program import SCORE_COLUMNS, Program

LIMIT, ROUNDING, TOTAL_LIMIT = "limit", "rounding", "limit of the total"
GROUP_WORDS = {"fit": "who they are", "behaviour": "what they do", "value": "who is buying"}
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
# How many ways to close the gap to the bar are named.
SUGGESTIONS = 2


@dataclass(frozen=True)
class Line:
    """Points (to the hundredth) of one criterion, or of a limit or rounding, and what speaks for it."""

    criterion: str
    text: str
    group: str
    points: Decimal
    evidence: str = ""


@dataclass(frozen=True)
class Fire:
    """One criterion of a version for one lead: whether it holds, its points after fading and limit, and what
    was seen: the act or the value that speaks for it, or the value that does not."""

    criterion: str
    text: str
    group: str
    holds: bool
    points: Decimal
    evidence: str


@dataclass(frozen=True)
class Reached:
    """The bars: which are reached, what is missing to the next one in words, and what would do."""

    mql: bool = False
    sql: bool = False
    fast_tracks: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True)
class Explanation:
    """A score at an instant, by what was known then. The points of `lines` add up to `total` exactly."""

    lead_id: int
    total: int
    grade: str
    groups: dict[str, int]
    agreement: int
    agreement_id: int
    preview: bool
    at: datetime
    known_at: datetime
    lines: tuple[Line, ...] = ()
    thresholds: Reached = field(default_factory=Reached)
    excluded_by: str = ""

    def as_json(self) -> dict[str, Any]:
        """The form of the API and of a handoff's frozen explanation."""
        return {
            "total": self.total,
            "grade": self.grade,
            "groups": self.groups,
            "version": self.agreement,
            "preview": self.preview,
            "at": self.at.isoformat(),
            "known_at": self.known_at.isoformat(),
            "excluded_by": self.excluded_by,
            "thresholds": {
                "mql": self.thresholds.mql,
                "sql": self.thresholds.sql,
                "fast_tracks": list(self.thresholds.fast_tracks),
                "missing": list(self.thresholds.missing),
                "hint": self.thresholds.hint,
            },
            "lines": [
                {
                    "criterion": line.criterion,
                    "text": line.text,
                    "group": line.group,
                    "points": float(line.points),
                    "evidence": line.evidence,
                }
                for line in self.lines
            ],
        }


def explain(
    lead_id: int,
    *,
    at: datetime | None = None,
    known_at: datetime | None = None,
    agreement: Agreement | None = None,
) -> Explanation:
    """The score of a lead with its reasons.

    Without `at` it explains the stored score (its instant and version), or today's where there is none.
    Raises NotVisible when there is no such lead at the instant, or no agreement at all.
    """
    if at is None:
        stored = LeadScore.objects.select_related("agreement").filter(lead_id=lead_id).first()
        if stored is not None and agreement is None:
            at, known_at, agreement = stored.scored_at, stored.known_at, stored.agreement
        at = at or clock.now()
    now = applied.of(agreement) if agreement else applied.current()
    if now is None:
        raise NotVisible
    found = _explain([(lead_id, at, known_at or at)], now)
    if lead_id not in found:
        raise NotVisible
    return found[lead_id]


@dataclass(frozen=True)
class Moment:
    """A lead at an instant, by what was known at another, in the words of an agreement."""

    lead_id: int
    at: datetime
    known_at: datetime
    agreement: Agreement


def explain_moments(moments: Sequence[Moment]) -> list[Explanation | None]:
    """Explanations of any moments, in a few statements for each agreement; None where there was no lead."""
    found: list[Explanation | None] = [None] * len(moments)
    for agreement in {moment.agreement for moment in moments}:
        places = [i for i, moment in enumerate(moments) if moment.agreement == agreement]
        subjects = [(m.lead_id, m.at, m.known_at) for m in (moments[i] for i in places)]
        for place, told in _explain_each(subjects, applied.of(agreement)):
            found[places[place]] = told
    return found


def explain_many(
    lead_ids: Iterable[int],
    at: datetime,
    agreement: Agreement | Current | None = None,
    *,
    evidence: bool = True,
) -> dict[int, Explanation]:
    """Explanations of many leads at one instant, in a few statements. Empty without an agreement.

    Without `evidence` the lines do not name the acts behind them: one statement less.
    """
    now = agreement if isinstance(agreement, Current) else None
    now = now or (applied.of(agreement) if isinstance(agreement, Agreement) else applied.current())
    ids = list(dict.fromkeys(lead_ids))
    return _explain([(i, at, at) for i in ids], now, evidence=evidence) if now and ids else {}


def explain_offers(lead_ids: Iterable[int], at: datetime, now: Current) -> dict[int, Explanation]:
    """The same for leads that are offered now, whose locks the caller holds; without what the bars lack.

    History is read only where something of them was recorded after `at`: mostly nothing was.
    """
    ids = list(dict.fromkeys(lead_ids))
    if not ids:
        return {}
    subjects = [(i, at, at) for i in ids]
    told = _explain_each(subjects, now, present=_stands(ids, at), bars=False)
    return {ids[place]: explanation for place, explanation in told}


def _stands(lead_ids: Sequence[int], at: datetime) -> bool:
    """Whether what a rule may read of these leads is as it was known at `at`: their stage, their facts,
    those of their companies (and of the one whose domain they write from), and whose the acts were."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT NOT EXISTS (SELECT FROM leads_activity WHERE moved_at > %(at)s)
               AND NOT EXISTS (SELECT FROM leads_factchange
                               WHERE lead_id = ANY(%(ids)s) AND recorded_at > %(at)s)
               AND NOT EXISTS (SELECT FROM leads_lead WHERE id = ANY(%(ids)s) AND stage_since > %(at)s)
               AND NOT EXISTS (
                   SELECT FROM leads_factchange WHERE recorded_at > %(at)s AND company_id = ANY(ARRAY(
                       SELECT company_id FROM leads_lead WHERE id = ANY(%(ids)s)
                       UNION SELECT c.id FROM leads_lead l JOIN leads_company c ON c.domain = l.email_domain
                       WHERE l.id = ANY(%(ids)s) AND l.email_domain <> '')))
            """,
            {"ids": list(lead_ids), "at": at},
        )
        return bool(cursor.fetchone()[0])


def score_at(lead_id: int, at: datetime, *, known_now: bool = False) -> Explanation | None:
    """What was stored at `at`: the explanation of the last change of the score until then; None before.

    known_now: what we would say today, by today's agreement and knowledge, about that instant.
    """
    if known_now:
        return explain(lead_id, at=at, known_at=clock.now(), agreement=None) if applied.current() else None
    last = (
        ScoreChange.objects.filter(lead_id=lead_id, at__lte=at)
        .select_related("agreement")
        .order_by("-at", "-id")
        .first()
    )
    if last is None:
        return None
    return explain(lead_id, at=last.at, known_at=last.known_at, agreement=last.agreement)


def fires(lead_id: int, at: datetime, now: Current) -> tuple[Explanation, list[Fire]] | None:
    """The score of a lead at `at` with every criterion that is on, those that do not fire too.

    None when there was no such lead then.
    """
    program = now.program
    args = [[0], [lead_id], [at], [at]]
    answers = rows.run(program.explain(), args)
    if not answers:
        return None
    evidence: dict[tuple[int, int], list[tuple[Any, ...]]] = defaultdict(list)
    acts = program.evidence()
    for row in rows.run(acts, args) if acts is not None else ():
        evidence[row[0], row[1]].append(row[2:])
    teller = _teller(program, at)
    told = teller.tell(lead_id, at, at, now, answers[0], evidence)
    return told, teller.fires(answers[0], evidence)


def _explain(
    subjects: Sequence[tuple[int, datetime, datetime]], now: Current, *, evidence: bool = True
) -> dict[int, Explanation]:
    return {subjects[place][0]: told for place, told in _explain_each(subjects, now, evidence=evidence)}


def _explain_each(
    subjects: Sequence[tuple[int, datetime, datetime]],
    now: Current,
    *,
    evidence: bool = True,
    present: bool = False,
    bars: bool = True,
) -> list[tuple[int, Explanation]]:
    program = now.program
    args = [list(range(len(subjects))), *map(list, zip(*subjects, strict=True))]
    answers = rows.run(program.explain(present=present), args)
    acts: dict[tuple[int, int], list[tuple[Any, ...]]] = defaultdict(list)
    asked = program.evidence(present=present) if evidence else None
    if asked is not None:
        for row in rows.run(asked, args):
            acts[row[0], row[1]].append(row[2:])
    tellers: dict[datetime, _Teller] = {}
    found = []
    for row in answers:
        lead_id, at, known_at = subjects[row[0]]
        teller = tellers.get(at)
        if teller is None:
            teller = tellers[at] = _teller(program, at)
        found.append((row[0], teller.tell(lead_id, at, known_at, now, row, acts, bars=bars)))
    return found


def _teller(program: Program, at: datetime) -> "_Teller":
    return _Teller(program, Words(program.document, program.catalogue, program.kinds.phrases), at)


@dataclass
class _Teller:
    """Puts one answer of the explaining statement into words."""

    program: Program
    words: Words
    at: datetime

    def __post_init__(self) -> None:
        # The same for every lead that is told of.
        self._zone = ZoneInfo(self.program.document.zone)
        self._today = self.at.astimezone(self._zone).date()
        self._days: dict[date, str] = {}
        numbered = list(enumerate(self.program.document.active_criteria))
        self._of_group = {group: [(i, c) for i, c in numbered if c.group == group] for group in GROUPS}
        self._faded = {c.id: decay_words(c) for _, c in numbered}

    def tell(
        self,
        lead_id: int,
        at: datetime,
        known_at: datetime,
        now: Current,
        row: Sequence[Any],
        evidence: Mapping[tuple[int, int], list[tuple[Any, ...]]],
        *,
        bars: bool = True,
    ) -> Explanation:
        scored = dict(zip(SCORE_COLUMNS, row, strict=False))
        rest = iter(row[len(SCORE_COLUMNS) :])
        sums = {group: (next(rest), next(rest)) for group in GROUPS}
        criteria = self.program.document.active_criteria
        points = [(next(rest), next(rest)) for _ in criteria]
        facts = dict(zip(self.program.shown_facts, rest, strict=False))
        parts = list(row[len(row) - len(self.program.sales_parts) - len(self.program.mql_parts) :])
        groups = {group: scored[group] for group in GROUPS}
        lines: list[Line] = []
        for group in GROUPS:
            for i, criterion in self._of_group[group]:
                if points[i][1]:
                    told = self._evidence(criterion, evidence.get((row[0], i), ()), facts)
                    lines.append(Line(criterion.id, criterion.text, group, _points(points[i][1]), told))
            lines += self._group_ends(group, *sums[group], groups[group])
        cut = scored["total"] - sum(groups.values())
        if cut:
            lines.append(
                Line("", TOTAL_LIMIT, "total", Decimal(cut), self._limit_words(self.program.document.total))
            )
        exclusion = scored["excluded"]
        return Explanation(
            lead_id=lead_id,
            total=scored["total"],
            grade=scored["grade"],
            groups=groups,
            agreement=now.number,
            agreement_id=now.agreement_id,
            preview=now.preview,
            at=at,
            known_at=known_at,
            lines=tuple(lines),
            thresholds=self._reached(scored, parts, points) if bars else Reached(),
            excluded_by=self.program.document.exclusions[exclusion - 1].text if exclusion else "",
        )

    def fires(
        self, row: Sequence[Any], evidence: Mapping[tuple[int, int], list[tuple[Any, ...]]]
    ) -> list[Fire]:
        rest = iter(row[len(SCORE_COLUMNS) + 2 * len(GROUPS) :])
        criteria = self.program.document.active_criteria
        points = [(next(rest), next(rest)) for _ in criteria]
        facts = dict(zip(self.program.shown_facts, rest, strict=False))
        return [
            Fire(
                criterion.id,
                criterion.text,
                criterion.group,
                bool(points[i][0]),
                _points(points[i][1]),
                self._evidence(criterion, evidence.get((row[0], i), []), facts),
            )
            for i, criterion in enumerate(criteria)
        ]

    def _group_ends(self, group: str, raw: int, cut: int, whole: int) -> list[Line]:
        lines = []
        if cut != raw:
            limits = self.program.document.groups[group]
            lines.append(Line("", LIMIT, group, _points(cut - raw), self._limit_words(limits)))
        if whole * 100 != cut:
            lines.append(Line("", ROUNDING, group, _points(whole * 100 - cut), "to a whole number"))
        return lines

    def _limit_words(self, limits: Any) -> str:
        return f"{limits.floor} to {limits.cap} points"

    # Evidence

    def _evidence(
        self, criterion: Criterion, acts: Sequence[tuple[Any, ...]], facts: Mapping[str, str | None]
    ) -> str:
        if acts:
            told = self._acts(criterion, acts)
            faded = self._faded[criterion.id]
            return f"{told}; {faded}" if faded else told
        shown = []
        for key in self.program.facts_of(criterion):
            value = facts.get(key)
            label = self.words.facts[key].label if key in self.words.facts else key
            if value in ("true", "false"):
                shown.append(label if value == "true" else f"{label}: no")
            elif value:
                shown.append(f"{label}: {value}")
            else:
                shown.append(f"{label} unknown")
        return "; ".join(shown)

    def _acts(self, criterion: Criterion, acts: Sequence[tuple[Any, ...]]) -> str:
        total, kind_id, occurred_at, path, title, *_ = acts[0]
        what = self.act(kind_id, path, title)
        if criterion.mode == "bands":
            days = {a[2].astimezone(self._zone).date() for a in acts}
            return f"{what}, last {self.when(occurred_at)}" + (
                f"; {len(days)} days or more" if len(days) > 1 else ""
            )
        if total == 1:
            return f"{what} {self.when(occurred_at)}"
        dates = list(dict.fromkeys(self.when(a[2]) for a in acts))
        if len(dates) <= 3 and total <= len(acts):
            return f"{what} {_and(dates)}"
        return f"{what} {total} times, last {dates[0]}"

    def act(self, kind_id: int, path: str, title: str) -> str:
        """Such as: Viewed /pricing, Attended a webinar “Freight 2027”."""
        kinds = self.program.kinds
        key = kinds.keys.get(kind_id)
        if key is None:
            return "Did something"
        if key == "page_view" and path:
            return f"Viewed {path}"
        phrase = kinds.phrases[key][:1].upper() + kinds.phrases[key][1:]
        return f"{phrase} “{title[:60]}”" if title else phrase

    def when(self, moment: datetime) -> str:
        """ "today", "yesterday", "Fri", "12 Nov" in the agreement's zone."""
        day = moment.astimezone(self._zone).date()
        said = self._days.get(day)
        if said is None:
            said = self._days[day] = _day(day, self._today)
        return said

    # Bars

    def _reached(
        self, scored: Mapping[str, Any], parts: Sequence[bool], points: Sequence[tuple[bool, int]]
    ) -> Reached:
        sales, mql = self.program.sales_parts, self.program.mql_parts
        open_parts = list(zip(sales, parts[: len(sales)], strict=True))
        if not scored["mql"] and mql:
            open_parts = list(zip(mql, parts[len(sales) :], strict=True))
        elif scored["sales"]:
            open_parts = []
        lacking = [node for node, holds in open_parts if not holds]
        return Reached(
            mql=scored["mql"],
            sql=scored["sales"],
            fast_tracks=(scored["track"],) if scored["track"] else (),
            missing=tuple(self._missing(node, scored) for node in lacking),
            hint=next((h for h in (self._hint(node, scored, points) for node in lacking) if h), ""),
        )

    def _missing(self, node: n.Node, scored: Mapping[str, Any]) -> str:
        gap = _gap(node, scored)
        text = sentence(node, self.words)
        return f"{text} (now {scored[node.group]})" if gap and isinstance(node, n.ScoreIs) else text

    def _hint(self, node: n.Node, scored: Mapping[str, Any], points: Sequence[tuple[bool, int]]) -> str:
        """What single thing would close a gap of points."""
        gap = _gap(node, scored)
        if not gap or not isinstance(node, n.ScoreIs):
            return ""
        ways = []
        document = self.program.document
        for i, criterion in enumerate(document.active_criteria):
            if (
                criterion.group != "behaviour"
                or node.group not in ("total", "behaviour")
                or criterion.points <= 0
            ):
                continue
            room = document.groups["behaviour"].cap - scored["behaviour"]
            most = criterion.max_points or criterion.points
            gives = min(criterion.points, most - points[i][1] // 100, room)
            if gives >= gap and criterion.text:
                ways.append((gives, i, criterion.text))
        told = [text for _, _, text in sorted(ways)[:SUGGESTIONS]]
        plural = "point" if gap == 1 else "points"
        return (
            f"{gap} {plural}: {' or '.join(f'“{t}”' for t in told)} would do"
            if told
            else f"{gap} {plural} missing"
        )


def _gap(node: n.Node, scored: Mapping[str, Any]) -> int:
    if isinstance(node, n.ScoreIs) and node.op in ("gte", "gt"):
        wanted = int(node.value) + (node.op == "gt")
        return max(0, wanted - int(scored[node.group]))
    return 0


def _points(hundredths: int) -> Decimal:
    return Decimal(hundredths).scaleb(-2)


def _and(items: Sequence[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def _local(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(ZoneInfo(zone))


def _when(moment: datetime, at: datetime, zone: str) -> str:
    return _day(_local(moment, zone).date(), _local(at, zone).date())


def _day(then: date, today: date) -> str:
    days = (today - then).days
    if days <= 0:
        return "today"
    if days == 1:
        return "yesterday"
    if days < 7:
        return _DAYS[then.weekday()]
    year = "" if then.year == today.year else f" {then.year}"
    return f"{then.day} {_MONTHS[then.month - 1]}{year}"


# Why now


def why_now(lead_ids: Iterable[int], at: datetime) -> dict[int, str]:
    """One line per lead that says what happened last, such as "Asked for a demo 4 minutes ago"."""
    ids = list(lead_ids)
    if not ids:
        return {}
    now = applied.current()
    zone = now.program.document.zone if now else "UTC"
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT i.lead_id, a.phrase, a.key, a.path, a.title, a.occurred_at, p.days
            FROM unnest(%s::bigint[]) i(lead_id)
            CROSS JOIN LATERAL (
                -- Of the last day the strongest word; a page view only when there is nothing else.
                SELECT k.phrase, k.key, a.kind_id, a.path, a.occurred_at,
                    COALESCE(a.properties->>'title', a.properties->>'show', '') AS title
                FROM leads_activity a JOIN leads_activitykind k ON k.id = a.kind_id
                WHERE a.lead_id = i.lead_id AND k.own_act AND a.occurred_at <= %s AND a.occurred_at > %s
                ORDER BY array_position(%s, k.key::text) NULLS LAST, a.occurred_at DESC, a.id DESC LIMIT 1) a
            LEFT JOIN LATERAL (
                SELECT count(DISTINCT (a2.occurred_at AT TIME ZONE %s)::date) AS days FROM leads_activity a2
                WHERE a2.lead_id = i.lead_id AND a2.kind_id = a.kind_id AND a2.path = a.path
                AND a2.occurred_at <= %s AND a2.occurred_at > %s) p ON a.key = 'page_view'
            """,
            [ids, at, at - timedelta(days=30), _STRONG, zone, at, at - timedelta(days=7)],
        )
        return {row[0]: _why(row[1:], at, zone) for row in cursor.fetchall()}


# In the order in which a rep would want to hear of them.
_STRONG = [
    "demo_requested",
    "trial_started",
    "question",
    "email_replied",
    "show_talk",
    "webinar_attended",
    "download_buying",
    "page_view",
]


def _why(row: Sequence[Any], at: datetime, zone: str) -> str:
    phrase, key, path, title, occurred_at, days = row
    if key == "page_view" and path:
        page = (
            f"the {path.strip('/').split('/')[0].replace('-', ' ')} page"
            if path.strip("/")
            else "the first page"
        )
        if days and days > 1:
            ordinal = {2: "Second", 3: "Third", 4: "Fourth", 5: "Fifth"}.get(days, f"{days}th")
            return f"{ordinal} day on {page} this week"
        return f"Looked at {page} {_since(occurred_at, at, zone)}"
    what = phrase[:1].upper() + phrase[1:] + (f" “{title[:60]}”" if title else "")
    return f"{what} {_since(occurred_at, at, zone)}"


def _since(moment: datetime, at: datetime, zone: str) -> str:
    minutes = int((at - moment).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} minute{'s' * (minutes != 1)} ago"
    if minutes < 6 * 60:
        hours = minutes // 60
        return f"{hours} hour{'s' * (hours != 1)} ago"
    when = _when(moment, at, zone)
    return when if when in ("today", "yesterday") else f"on {when}"


def exists(lead_id: int) -> bool:
    """Whether there is such a lead."""
    return Lead.objects.filter(pk=lead_id).exists()
