"""The agreement on two pages of paper: what we mean and what changes first, then every rule."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.utils import timezone

from leadflow.accounts.models import Organisation
from leadflow.leads.models import Stage
from scoring.conditions.explain import Words
from scoring.document import Document
from scoring.editing import parts, sla
from scoring.editing.changes import Change
from scoring.models import Agreement, Signature
from scoring.room import Room

Pair = tuple[str, str]
Value = TypeVar("Value", str, int)
TITLE = "What we call a lead, and what we promise"
RULES_TITLE = "How a lead gets its points, and who does what"
# More reps than this stand together in the last column.
REPS_SHOWN = 9
GROUPS = (("fit", "Who"), ("behaviour", "What they do"), ("value", "Who is buying"))
CARDS = ("grade", "admission", "must_know", "rules", "days")
# When a lead comes to a stage that no condition of the agreement says.
WHEN: dict[str, str] = {
    Stage.CONVERSION: "has a name",
    Stage.PROSPECT: "always: the lowest level",
    Stage.SALES_QUALIFIED: "the bar or a fast track: page 2",
    Stage.OPPORTUNITY: "sales says so",
    Stage.CUSTOMER: "won",
    Stage.NURTURING: "sales said no, with a reason that leads to a track",
    Stage.DISQUALIFIED: "sales said no, with a reason that closes",
    Stage.EXCLUDED: "a rule “left out” holds: page 2",
}
# Only of these it is told what they would hand over.
COMING = (Agreement.State.DRAFT, Agreement.State.PROPOSED, Agreement.State.SIGNED)
# Changes that fit on the first page; all of them are on the sign-off page.
CHANGES_SHOWN = 6


@dataclass(frozen=True)
class Line:
    """One rule: what it gives, what it asks for, and how it counts."""

    points: str
    text: str
    how: str


@dataclass(frozen=True)
class Group:
    """The rules of one group within its limits."""

    title: str
    limits: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class StageRow:
    """One stage: who holds the lead, from when, and what it means."""

    stage: str
    owner: str
    when: str
    means: str


@dataclass(frozen=True)
class Week:
    """Leads a week per rep: what came lately, and what is expected. `expected` None: nobody can say yet."""

    reps: tuple[str, ...]
    now: tuple[int, ...]
    now_total: int
    expected: tuple[int, ...] | None
    expected_total: int | None
    room: int
    was: str
    will: str
    says: str


@dataclass(frozen=True)
class Signed:
    """One side's line for the signature."""

    side: str
    name: str
    role: str
    when: Any
    method: str


@dataclass(frozen=True)
class Paper:
    """Everything that stands on the two pages."""

    agreement: Agreement
    organisation: str
    zone: str
    replaces: int | None
    first: bool
    definitions: tuple[Pair, ...]
    week: Week
    changes: tuple[str, ...]
    more_changes: int
    stages: tuple[StageRow, ...]
    promises: tuple[Pair, ...]
    signatures: tuple[Signed, ...]
    seal: str
    groups: tuple[Group, ...]
    bars: tuple[Pair, ...]
    exclusions: tuple[Pair, ...]
    sla: tuple[tuple[str, str, str, str], ...]
    late: tuple[Pair, ...]
    reasons: tuple[tuple[str, str, str], ...]
    terms: tuple[Pair, ...]

    @property
    def over(self) -> bool:
        """Whether this version came to nothing."""
        return self.agreement.state in (Agreement.State.DECLINED, Agreement.State.WITHDRAWN)

    @property
    def preview(self) -> bool:
        """Whether this version is not signed by both sides."""
        return self.over or self.agreement.state in (Agreement.State.DRAFT, Agreement.State.PROPOSED)


def build(
    agreement: Agreement,
    base: Agreement | None,
    in_force: Agreement | None,
    room: Room,
    expected_a_week: float | None,
    *,
    words: Words,
    changed: Sequence[Change],
) -> Paper:
    """Put a version on paper. `expected_a_week`: leads a week that it would hand over, if that is known.

    `words`: those of its document; `changed`: what it says otherwise than `base`.
    """
    content: Mapping[str, Any] = agreement.content
    document = Document(content)
    said = [change.text for change in changed]
    return Paper(
        agreement=agreement,
        organisation=Organisation.get().name,
        zone=document.zone,
        replaces=base.number if base else None,
        first=in_force is None,
        definitions=tuple(parts.facts(next(parts.parts_of(content, "definitions")), document)),
        week=week(agreement, in_force, room, expected_a_week),
        changes=tuple(said[:CHANGES_SHOWN]),
        more_changes=max(0, len(said) - CHANGES_SHOWN),
        stages=tuple(_stages(content, words)),
        promises=tuple(_promises(parts.facts(next(parts.parts_of(content, "promises")), document))),
        signatures=tuple(_signatures(agreement)),
        seal=" ".join(agreement.sha256[i : i + 4] for i in range(0, 16, 4)).strip(),
        groups=tuple(_group(document, content, words, key, title) for key, title in GROUPS),
        bars=tuple(_bars(content, words)),
        exclusions=tuple(
            (p.title, parts.said(p.raw.get("condition"), words)) for p in parts.parts_of(content, "exclusion")
        ),
        sla=tuple(_sla(content)),
        late=tuple(_late(content, words)),
        reasons=tuple((r.key, r.text, r.says) for r in document.reasons),
        terms=tuple(
            (p.title, _run_on(parts.facts(p, document)))
            for kind in CARDS
            for p in parts.parts_of(content, kind)
        ),
    )


def subtitle(paper: Paper) -> str:
    """Whose it is, and from when it holds; times in the reader's zone."""
    row = paper.agreement
    said = [paper.organisation]
    if row.proposed_at:
        said.append(f"proposed {day(row.proposed_at)}")
    if row.in_force_at:
        said.append(f"in force since {day(row.in_force_at, hour=True)}")
    elif row.in_force_from and not paper.over:
        said.append(f"in force from {day(row.in_force_from, hour=True)}")
    if paper.replaces is not None:
        said.append(f"replaces v{paper.replaces}")
    if paper.preview:
        said.append("not signed yet: nothing goes to sales by it")
    return " · ".join(said)


def day(at: datetime, *, hour: bool = False) -> str:
    """A day as it is written on paper, with the hour where it matters."""
    local = timezone.localtime(at)
    return f"{local.day} {local:%B %Y, %H:%M}" if hour else f"{local.day} {local:%B %Y}"


def week(agreement: Agreement, in_force: Agreement | None, room: Room, expected: float | None) -> Week:
    """What changes for my people: leads a week for each rep, now and by this version.

    Of a version in force, or one that came to nothing, there is nothing to expect: just what comes now.
    """
    if agreement.state not in COMING:
        in_force, expected = (agreement if agreement.state == Agreement.State.IN_FORCE else in_force), None
    names = [rep.name for rep in room.reps]
    total = round(room.offered_a_week)
    now = _divided(total, [room.offers.get(rep.user_id, 0) for rep in room.reps])
    will = None if expected is None else _divided(round(expected), [rep.per_day for rep in room.reps])
    return Week(
        reps=tuple(_gathered(names, f"{len(names) - REPS_SHOWN} others")),
        now=tuple(_gathered(now, sum(now[REPS_SHOWN:]))),
        now_total=total,
        expected=tuple(_gathered(will, sum(will[REPS_SHOWN:]))) if will is not None else None,
        expected_total=round(expected) if expected is not None else None,
        room=room.per_week,
        was=f"v{in_force.number}, now" if in_force else "before",
        will=f"v{agreement.number}, expected",
        says=_says(expected, room, agreement.state in COMING),
    )


def _says(expected: float | None, room: Room, coming: bool) -> str:
    most = max((rep.per_day for rep in room.present), default=0)
    text = f"Room for {room.per_week} a week, at most {most} a day and rep."
    if expected is None:
        return f"{text} There are too few leads yet to say how many will come." if coming else text
    over = round(expected) - room.per_week
    return f"{text} About {over} a week more than that come: they wait, the best first." if over > 0 else text


def _divided(total: int, weights: list[int]) -> list[int]:
    """Whole numbers that add up to `total`, by weight; the largest rests get one more."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    given = [total * weight // whole for weight in weights]
    rests = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for i in rests[: total - sum(given)]:
        given[i] += 1
    return given


def _gathered(values: list[Value], rest: Value) -> list[Value]:
    """The first columns, and what the others come to in one."""
    if len(values) > REPS_SHOWN:
        values[REPS_SHOWN:] = [rest]
    return values


def _run_on(facts: Iterable[Pair]) -> str:
    """Terms in one line after another: "Open leads per rep, at most: 40 · …"."""
    return " · ".join(f"{label}: {text}" for label, text in facts if text != "–")


def _promises(facts: Iterable[Pair]) -> Iterable[Pair]:
    """What each side promises, and between which shares of accepted leads both are content."""
    by_side: dict[str, list[Pair]] = {}
    for label, text in facts:
        side, _, what = label.rpartition(": ")
        by_side.setdefault(side or "Both", []).append((what, text))
    return ((side, _run_on(said)) for side, said in by_side.items())


def _stages(content: Mapping[str, Any], words: Words) -> Iterable[StageRow]:
    for part in parts.parts_of(content, "stage"):
        raw = part.raw
        if raw.get("condition"):
            when = parts.said(raw["condition"], words)
        elif raw.get("stage") == Stage.MQL:
            when = parts.said(parts.get(content, "thresholds.mql_when"), words)
        else:
            when = WHEN.get(str(raw.get("stage") or ""), "")
        owner = str(raw.get("owner") or "")
        yield StageRow(part.title, owner[:1].upper() + owner[1:], when, str(raw.get("text") or ""))


def _signatures(agreement: Agreement) -> Iterable[Signed]:
    given = {s.side: s for s in agreement.signatures.filter(voided_at=None).select_related("user")}
    for side in Signature.Side:
        one = given.get(side)
        if one is None:
            yield Signed(side.label, "", "", None, "")
        else:
            yield Signed(side.label, one.user.name, one.user.get_role_display(), one.at, one.method)


def _group(document: Document, content: Mapping[str, Any], words: Words, key: str, title: str) -> Group:
    limits = document.groups[key]
    lines = tuple(
        Line(parts.points(p.raw), p.title, parts.how(p.raw, words))
        for p in parts.parts_of(content, "criterion")
        if p.raw.get("group") == key and p.raw.get("on") is not False
    )
    return Group(title, f"{limits.floor} to {limits.cap} points".replace("-", "−"), lines)


def _bars(content: Mapping[str, Any], words: Words) -> Iterable[Pair]:
    for kind in ("mql", "leave", "bar", "fast"):
        for part in parts.parts_of(content, kind):
            yield part.title, parts.said(parts.get(part.raw, part.trees()[0].name), words)


def _sla(content: Mapping[str, Any]) -> Iterable[tuple[str, str, str, str]]:
    for part in parts.parts_of(content, "sla"):
        accept, touch, following = sla.times(part.raw)
        yield part.title, accept, touch, following


def _late(content: Mapping[str, Any], words: Words) -> Iterable[Pair]:
    """For whom each promise is, and what happens when it is late; its times stand in the table."""
    for part in parts.parts_of(content, "sla"):
        whom = f"If {parts.said(part.raw['when'], words)}. " if part.raw.get("when") else ""
        yield part.title, f"{whom}{'. '.join(sla.sentences(part.raw)[1:])}."
