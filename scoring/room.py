"""How much room sales has. Scoring asks, handoff answers and registers itself: imports point one way."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from scoring.document import Document


@dataclass(frozen=True)
class Rep:
    """One active rep, and how many leads are on the desk. `per_day` and `capacity` are the agreement's."""

    user_id: int
    name: str
    team_id: int | None
    team: str
    present: bool
    open_now: int
    capacity: int
    per_day: int
    given_today: int

    @property
    def free(self) -> int:
        """Leads that fit on the desk, whatever the day's limit."""
        return max(0, self.capacity - self.open_now) if self.present else 0

    @property
    def free_today(self) -> int:
        """Leads that may still come today."""
        return min(self.free, max(0, self.per_day - self.given_today))


@dataclass(frozen=True)
class Room:
    """The room of all of sales. `days`: the next working days, the first being the one that counts now.

    Within the last 28 days: `offers`, rep → leads offered by bar or fast track, and `limited`, how many of
    all those were of the kinds that the day's limit counts.
    """

    reps: tuple[Rep, ...] = ()
    waiting: int = 0
    days: tuple[date, ...] = ()
    offers: Mapping[int, int] = field(default_factory=dict)
    limited: int = 0

    @property
    def present(self) -> list[Rep]:
        return [rep for rep in self.reps if rep.present]

    @property
    def per_day(self) -> int:
        """New leads a day that the reps who are there may get."""
        return sum(rep.per_day for rep in self.present)

    @property
    def per_week(self) -> int:
        """New leads that they may get on the working days of the coming seven days."""
        if not self.days:
            return 0
        return self.per_day * sum(1 for day in self.days if (day - self.days[0]).days < 7)

    @property
    def offered_a_week(self) -> float:
        """Leads that went to sales per week, over the last four."""
        return sum(self.offers.values()) / 4

    @property
    def usual_a_day(self) -> float:
        """Leads that take from the day's limit on a usual working day."""
        return self.limited / 20

    def as_json(self) -> dict[str, Any]:
        """To be kept; `of_json` reads it."""
        return asdict(self) | {
            "days": [day.isoformat() for day in self.days],
            "offers": {str(rep): n for rep, n in self.offers.items()},
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> "Room":
        """A room that was kept; nothing kept is no room."""
        return cls(
            tuple(Rep(**rep) for rep in kept.get("reps", ())),
            kept.get("waiting", 0),
            tuple(date.fromisoformat(day) for day in kept.get("days", ())),
            {int(rep): n for rep, n in kept.get("offers", {}).items()},
            kept.get("limited", 0),
        )


Provider = Callable[[Document, datetime], Room]
# The leads that wait for room, of a range of ids (None: of all).
Waiting = Callable[[tuple[int, int] | None], list[int]]
_providers: list[tuple[Provider, Waiting]] = []


def register(provider: Provider, waiting: Waiting) -> None:
    """Name who knows the room of sales; called once, when the apps are ready."""
    _providers[:] = [(provider, waiting)]


def ask(document: Document, at: datetime) -> Room:
    """The room of sales at `at` by the limits of `document`."""
    return _providers[0][0](document, at) if _providers else Room()


def waiting(span: tuple[int, int] | None = None) -> list[int]:
    """The leads that are above the bar and wait until sales has room; of a range of ids, or all."""
    return _providers[0][1](span) if _providers else []
