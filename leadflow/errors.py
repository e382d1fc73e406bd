"""What can go wrong in words. Views and the API translate these into pages and problem documents."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where (`path`, '' for the whole) and what to do about it."""

    path: str
    message: str


@dataclass
class BadInput(Exception):
    """Input that cannot be taken. HTTP 400; `faults` names each place."""

    message: str
    faults: list[Fault] = field(default_factory=list)

    def __str__(self) -> str:
        return self.message

    @property
    def detail(self) -> str:
        """What to do about it, place by place, in one line."""
        return " ".join(dict.fromkeys(fault.message for fault in self.faults))


class Forbidden(Exception):
    """The actor may not do this. HTTP 403."""


class NotVisible(Exception):
    """It does not exist, or not for this actor. HTTP 404."""


@dataclass
class Conflict(Exception):
    """The state has moved on. HTTP 409; `current` tells who did what and when."""

    message: str
    current: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message
