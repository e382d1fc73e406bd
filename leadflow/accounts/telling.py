"""Tell people something from any room. Who carries the words (bell, e-mail) registers here from above.

A room that must not know the outbox says what to tell; with no carrier nothing is told and nothing fails.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Word:
    """A line for one person and where it leads. `key` is unique: the same word is never told twice.

    `mail`: by e-mail as well as at the bell; `more` stands below the line in the mail.
    """

    key: str
    user_id: int
    text: str
    url: str
    more: str = ""
    mail: bool = False


Carrier = Callable[[Sequence[Word], datetime], None]
_carriers: list[Carrier] = []


def carry(carrier: Carrier) -> None:
    """Register who carries words; called once from an app's ready()."""
    if carrier not in _carriers:
        _carriers.append(carrier)


def tell(words: Sequence[Word], at: datetime) -> None:
    """Hand words to the carriers, inside the caller's transaction."""
    if words:
        for carrier in _carriers:
            carrier(words, at)
