"""Text folded once, here, so that SQL only ever compares bytes."""

import re
import unicodedata
from functools import lru_cache

# One batch folds the same few titles, towns and domains, and each address several times on its way.
KEPT = 8_192
_NO_ASCII_WORD = re.compile(r"[^a-z0-9]+")


@lru_cache(maxsize=KEPT)
def fold(text: str) -> str:
    """The match key of a text: NFC, casefolded, blanks collapsed, trimmed."""
    if text.isascii():  # the same, much quicker
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return " ".join(folded.split())


@lru_cache(maxsize=KEPT)
def words(text: str) -> str:
    """The words of a text, folded, each with one blank before and after: ' vice president '.

    A word ends at every character that is neither letter nor digit, so that "CTO" is never found in
    "Director". Empty when there is no word.
    """
    folded = fold(text)
    if folded.isascii():
        found = _NO_ASCII_WORD.sub(" ", folded).split()
    else:
        found = "".join(c if c.isalnum() else " " for c in folded).split()
    return f" {' '.join(found)} " if found else ""


def domain_of(email: str) -> str:
    """The folded domain of an address; empty without an @."""
    return fold(email).rpartition("@")[2] if "@" in email else ""


def phone_key(phone: str) -> str:
    """The digits of a phone number, with a leading + kept."""
    digits = "".join(c for c in phone if c.isdigit())
    return f"+{digits}" if phone.strip().startswith("+") else digits
