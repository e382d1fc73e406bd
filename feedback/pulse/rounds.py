"""The rounds of the pulse: one a month, three fixed questions and an open one, answered without names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.crypto import salted_hmac

from feedback.models import PulseAnswer, PulseRound
from leadflow import clock
from leadflow.accounts import telling
from leadflow.accounts.models import SALES, Organisation, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden

# Answers of fewer people than this are never shown by themselves.
LEAST = 4
LOWEST, HIGHEST = 1, 5
# From here on up somebody agrees.
AGREES = 4
OPEN_LIMIT = 1_000
URL = "/review/pulse/"


@dataclass(frozen=True)
class Ask:
    """A fixed question: its column, a short name, the statement that people agree with or not."""

    column: str
    name: str
    text: str
    # What is measured beside it, in words.
    measured: str


ASKS = (
    Ask(
        "q1",
        "Worth my time",
        "The leads that marketing hands over are worth my time.",
        "of sales’ answers were “accepted”",
    ),
    Ask(
        "q2",
        "In time",
        "They reach me while they are still interested.",
        "of leads handed over had done something within the day before",
    ),
    Ask(
        "q3",
        "With context",
        "I know what I need to know before I call.",
        "of leads handed over came with all that sales must know",
    ),
)
SCALE = {1: "Not at all", 2: "Rather not", 3: "Half and half", 4: "Mostly", 5: "Fully"}
OPEN = "What should marketing stop, start or keep doing?"


def month_of(at: datetime) -> date:
    """The first day of the month in which an instant lies, in the company's zone."""
    return at.astimezone(ZoneInfo(Organisation.get().tz)).date().replace(day=1)


def next_month(month: date) -> date:
    """The first day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def bounds(month: date, zone: str = "") -> tuple[datetime, datetime]:
    """First instant of a month and of the one after it, in the company's zone."""
    here = ZoneInfo(zone or Organisation.get().tz)
    first, second = (datetime.combine(day, time(), here) for day in (month, next_month(month)))
    return first.astimezone(UTC), second.astimezone(UTC)


def tick(at: datetime) -> PulseRound | None:
    """Open the round of the month and tell sales of it, once; None when it is open already."""
    month = month_of(at)
    if PulseRound.objects.filter(month=month).exists():
        return None
    opens, closes = bounds(month)
    with transaction.atomic():
        made, new = PulseRound.objects.get_or_create(
            month=month, defaults={"opens_at": max(opens, at), "closes_at": closes}
        )
        if not new:
            return None
        telling.tell(
            [
                telling.Word(
                    f"pulse:{made.pk}:{user.pk}",
                    user.pk,
                    "Four questions about this month’s leads; a minute, without names.",
                    URL,
                )
                for user in asked()
            ],
            at,
        )
    return made


def asked() -> list[User]:
    """Who is asked: everybody of sales who is here and has a team."""
    return list(User.objects.filter(role__in=SALES, is_active=True, team__isnull=False).order_by("pk"))


def asks(user: User) -> bool:
    """Whether this person is asked at all: everybody of sales who belongs to a team."""
    return user.role in SALES and bool(user.team_id)


def running_at(at: datetime) -> QuerySet[PulseRound]:
    """The rounds that can be answered at an instant, the newest first."""
    return PulseRound.objects.filter(opens_at__lte=at, closes_at__gt=at).order_by("-month")


def running(at: datetime) -> PulseRound | None:
    """The round that can be answered now."""
    return running_at(at).first()


def has_answered(round_: PulseRound, user: User) -> bool:
    """Whether this person has answered; what they said is not found this way."""
    return PulseAnswer.objects.filter(round=round_, user_hash=_hash(round_, user)).exists()


def waits_for(user: User, at: datetime) -> PulseRound | None:
    """The round that waits for this person's answer; None for who is not asked."""
    if not asks(user):
        return None
    found = running(at)
    return None if found is None or has_answered(found, user) else found


def answer(user: User, said: Mapping[str, str], at: datetime | None = None) -> PulseAnswer:
    """Write one person's answers. No trail is kept of who wrote them.

    Raises Forbidden for who is not of sales, Conflict when there is no round or it was answered, BadInput
    for a question without an answer.
    """
    at = at or clock.now()
    if user.role not in SALES or user.team_id is None:
        raise Forbidden("The pulse asks sales: people who work with leads and belong to a team.")
    found = running(at)
    if found is None:
        raise Conflict("No round is open now; the next one opens on the first of the month.")
    values, faults = {}, []
    for ask in ASKS:
        text = str(said.get(ask.column, "")).strip()
        if text not in {str(n) for n in SCALE}:
            faults.append(Fault(ask.column, "Choose one of the five answers."))
        else:
            values[ask.column] = int(text)
    opinion = str(said.get("open", "")).replace("\x00", "").strip()
    if len(opinion) > OPEN_LIMIT:
        faults.append(Fault("open", f"Keep it under {OPEN_LIMIT} characters; it has {len(opinion)}."))
    if faults:
        raise BadInput("Something is missing.", faults)
    try:
        with transaction.atomic():
            return PulseAnswer.objects.create(
                round=found, user_hash=_hash(found, user), team_id=user.team_id, open=opinion, **values
            )
    except IntegrityError:
        raise Conflict(
            f"You have answered this month’s questions already; the next come on {_opening(found)}."
        ) from None


def _opening(round_: PulseRound) -> str:
    return f"{next_month(round_.month):%-d %B}"


def is_among(answered: Collection[str], round_id: int, user: User) -> bool:
    """Whether this person's mark is among those of a round's answers."""
    return _mark(round_id, user) in answered


def _hash(round_: PulseRound, user: User) -> str:
    return _mark(round_.pk, user)


def _mark(round_id: int, user: User) -> str:
    # With the secret key: who reads the table alone cannot try out the few people there are.
    return salted_hmac(
        "leadflow.pulse", f"{round_id}:{user.pk}", secret=settings.SECRET_KEY, algorithm="sha256"
    ).hexdigest()
