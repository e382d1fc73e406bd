"""What moved a score: between two of its changes, and since a person last looked.

A move is told by the lines of two explanations, each at its own instant, by what was known then and by the
agreement of then; their differences add up to the move exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from django.db import connection

from scoring.explanation import Explanation, Moment, explain_moments
from scoring.models import Agreement, LeadScore, ScoreChange

# Looks that are nearer than this are one visit.
VISIT = timedelta(minutes=30)
# How many parts of a move are named.
NAMED = 3
FADED = "Points fade with time"


@dataclass(frozen=True)
class Part:
    """What one criterion, limit or rounding gave more or less than before."""

    text: str
    points: Decimal
    evidence: str = ""
    # No criterion, but what a limit or the rounding did.
    is_rest: bool = False


@dataclass(frozen=True)
class Move:
    """A change of a score. `was` is None for the first one; `version` names a new agreement.

    `change` is its row, where several made it the last.
    """

    change: ScoreChange
    was: int | None
    now: int
    parts: tuple[Part, ...]
    version: int | None = None
    faded: bool = False

    @property
    def points(self) -> int:
        return self.now - (self.was or 0)

    @property
    def words(self) -> str:
        """In a few words, largest part first."""
        if self.was is None:
            return "First score"
        parts = [part for part in self.parts if not part.is_rest] or list(self.parts)
        told = [f"{part.text} {_signed(part.points)}" for part in parts[:NAMED]]
        if self.faded:
            told = [f"{FADED}: {', '.join(told)}" if told else FADED]
        more = len(parts) - NAMED
        if more > 0:
            told.append(f"{more} more")
        rules = [f"Agreement v{self.version}"] if self.version is not None else []
        return ": ".join(filter(None, [*rules, ", ".join(told)])) or "Nothing that shows in a whole number"


@dataclass(frozen=True)
class Since:
    """What happened to a score since a person looked at `at`; `move` is None when nothing did."""

    at: datetime
    move: Move | None


def moves(changes: Sequence[ScoreChange]) -> list[Move]:
    """What moved the score at each instant at which it changed, oldest first.

    The first of them is only told when it is the first score; else it is what the second is compared with.
    Changes of one instant are one move: what was known at an instant is what its last scoring saw.
    """
    last = list({change.at: change for change in changes}.values())
    begun = {change.at for change in changes if change.from_total is None}
    told = explain_moments([_moment(change) for change in last])
    found = [_first(last[0])] if last and last[0].at in begun else []
    for (one, before), (other, after) in pairwise(zip(last, told, strict=True)):
        found.append(_first(other) if other.at in begun else _move(one, before, other, after))
    return found


def look(user_id: int, lead_id: int, at: datetime) -> datetime | None:
    """Note that somebody looks at a lead; returns when he looked on his last visit, None on the first."""
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO scoring_leadlook AS k (user_id, lead_id, at, "before") VALUES (%s, %s, %s, NULL)'
            " ON CONFLICT (user_id, lead_id) DO UPDATE SET"
            ' "before" = CASE WHEN k.at < %s THEN k.at ELSE k."before" END,'
            ' at = GREATEST(k.at, EXCLUDED.at) RETURNING "before"',
            [user_id, lead_id, at, at - VISIT],
        )
        found: datetime | None = cursor.fetchone()[0]
        return found


def explained(
    score: LeadScore, changes: Sequence[ScoreChange], looked: datetime | None
) -> tuple[Explanation | None, Since | None]:
    """Why a stored score is what it is, and what moved it since somebody looked, in the same statements.

    `changes` are the newest of the lead, oldest first. Since is None for who never looked before.
    """
    moments = [Moment(score.lead_id, score.scored_at, score.known_at, score.agreement)]
    before, last = _around(changes, looked)
    if before is not None and last is not None:
        # By the same object where it is the same agreement, so that it is loaded and applied once.
        same = score.agreement if before.agreement_id == score.agreement_id else before.agreement
        moments += [_moment(before, same), _moment(last, score.agreement)]
    told = explain_moments(moments)
    if looked is None or score.preview:
        return told[0], None
    if last is None:
        return told[0], Since(looked, None)
    move = _move(before, told[1], last, told[2]) if before is not None else _first(last)
    return told[0], Since(looked, move)


def since(lead_id: int, looked: datetime | None) -> Since | None:
    """What moved the stored score of a lead since an instant; None where there was no look or no score."""
    if looked is None:
        return None
    newest = ScoreChange.objects.filter(lead_id=lead_id).order_by("-at", "-id")
    last = newest.select_related("agreement").first()
    if last is None:
        return None
    if last.at <= looked:
        return Since(looked, None)
    before = newest.filter(at__lte=looked).select_related("agreement").first()
    if before is None:
        return Since(looked, _first(last))
    told = explain_moments([_moment(before), _moment(last)])
    return Since(looked, _move(before, told[0], last, told[1]))


def _around(
    changes: Sequence[ScoreChange], looked: datetime | None
) -> tuple[ScoreChange | None, ScoreChange | None]:
    """The last change until an instant, and the newest one if that is later."""
    if looked is None or not changes or changes[-1].at <= looked:
        return None, None
    earlier = [change for change in changes if change.at <= looked]
    return (earlier[-1] if earlier else None), changes[-1]


def _moment(change: ScoreChange, agreement: Agreement | None = None) -> Moment:
    return Moment(change.lead_id, change.at, change.known_at, agreement or change.agreement)


def _first(change: ScoreChange) -> Move:
    return Move(change, None, change.total, ())


def _move(
    before: ScoreChange, told_before: Explanation | None, after: ScoreChange, told_after: Explanation | None
) -> Move:
    parts = _parts(told_before, told_after)
    return Move(
        after,
        before.total,
        after.total,
        parts,
        version=told_after.agreement if told_after and before.agreement_id != after.agreement_id else None,
        faded=after.cause == "time" and all(part.points <= 0 for part in parts),
    )


def _parts(before: Explanation | None, after: Explanation | None) -> tuple[Part, ...]:
    """The differences of the lines, largest first; limits and roundings last."""
    if before is None or after is None:
        return ()
    was, now = _by_line(before), _by_line(after)
    found = []
    for key in [*now, *(key for key in was if key not in now)]:
        text, points, evidence = now.get(key) or was[key]
        delta = (points if key in now else Decimal(0)) - (was[key][1] if key in was else Decimal(0))
        if delta:
            found.append(
                (not key[0], -abs(delta), Part(text, delta, evidence if key in now else "", not key[0]))
            )
    return tuple(part for *_, part in sorted(found, key=lambda one: one[:2]))


def _by_line(told: Explanation) -> Mapping[tuple[str, str], tuple[str, Decimal, str]]:
    """Lines by criterion; a limit or rounding by its group."""
    return {
        (line.criterion, "" if line.criterion else f"{line.group} {line.text}"): (
            line.text,
            line.points,
            line.evidence,
        )
        for line in told.lines
    }


def _signed(points: Decimal) -> str:
    whole = points.quantize(Decimal(1)) if points == points.to_integral_value() else points.normalize()
    return f"+{whole}" if points > 0 else f"−{abs(whole)}"
