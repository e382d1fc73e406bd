"""Until when marketing promised an answer: to questions of sales, to objections that it raised itself.

The agreement that was in force at the instant of asking counts, and a promise once made stays as it was. A
working day is eight hours of working time.
"""

from collections.abc import Sequence
from datetime import datetime

from handoff import calendars
from handoff.guards import WORKING_DAY
from leadflow.accounts.models import Team
from scoring.models import Agreement

# Where an agreement says nothing of objections; one must be decided some day.
DISPUTE_DAYS = 2


def question_dues(asked: Sequence[datetime]) -> list[datetime | None]:
    """By when each question is to be answered, in marketing's hours; None: nothing was promised."""
    terms = _terms("question_days")
    if not asked or not terms:
        return [None] * len(asked)
    team = Team.objects.filter(kind=Team.Kind.MARKETING).order_by("pk").values_list("pk", flat=True).first()
    hours = calendars.for_team(team)
    days = [_said(terms, at) for at in asked]
    return [None if n is None else hours.add(at, WORKING_DAY * n) for at, n in zip(asked, days, strict=True)]


def dispute_due(at: datetime, team_id: int | None) -> datetime:
    """By when an objection is to be decided, in the hours of the team whose answer it is about."""
    return calendars.for_team(team_id).add(at, WORKING_DAY * dispute_days(at))


def dispute_days(at: datetime) -> float:
    """Within how many working days an objection raised at this instant is to be decided."""
    said = _said(_terms("dispute_days"), at)
    return DISPUTE_DAYS if said is None else said


def _terms(name: str) -> list[tuple[datetime, float | None]]:
    """What each agreement that was ever in force says, the newest first."""
    rows = (
        Agreement.objects.filter(in_force_at__isnull=False)
        .order_by("-in_force_at", "-number")
        .values_list("in_force_at", f"content__promises__marketing__{name}")
    )
    return [(since, said) for since, said in rows if since is not None]


def _said(terms: Sequence[tuple[datetime, float | None]], at: datetime) -> float | None:
    days = next((said for since, said in terms if since <= at), None)
    return days if isinstance(days, int | float) and days > 0 else None
