"""Numbers as a request says them. Python itself refuses to read some thousands of digits."""

import re
from decimal import Decimal

LARGEST_ID = 2**63 - 1
# Digits of a sum, in groups of three or without groups, and what follows its decimal mark.
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})*", re.ASCII)
_SUM = re.compile(r"(\d+)(?:[.,](\d{1,2}))?", re.ASCII)
_GAPS = re.compile(r"[\s'’]+")


def whole(text: str | None, least: int = 0, most: int = LARGEST_ID) -> int | None:
    """The number that a text of plain digits writes, from `least` to `most`.

    None for every other text, however long. By default what fits into an id, so that it can be looked for.
    """
    if not text or len(text) > 19 or not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if least <= number <= most else None


def money_typed(text: str) -> Decimal | None:
    """A sum as people here and there write it: 12600, 12,600, 12.600, 12 600.50, 12.600,50.

    A mark before three last digits parts thousands, before one or two it is the decimal mark: no currency
    here has thousandths. None for every other text, signs and exponents among them.
    """
    plain = _GAPS.sub("", text[:60])
    head = _GROUPED.match(plain)
    if head:
        rest = plain[head.end() :]
        if not rest or (rest[0] in ".," and rest[0] != head[1]):
            plain = head[0].replace(head[1], "") + rest
    found = _SUM.fullmatch(plain)
    return Decimal(f"{found[1]}.{found[2] or 0}") if found else None
