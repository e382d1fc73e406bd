"""Whole numbers as a request says them. Python itself refuses to read some thousands of digits."""

LARGEST_ID = 2**63 - 1


def whole(text: str | None, least: int = 0, most: int = LARGEST_ID) -> int | None:
    """The number that a text of plain digits writes, from `least` to `most`.

    None for every other text, however long. By default what fits into an id, so that it can be looked for.
    """
    if not text or len(text) > 19 or not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if least <= number <= most else None
