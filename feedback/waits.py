"""Waits as reports show them: whole minutes, tenths of an hour from 90 minutes, of a day from two days."""

# Not extract(): it reckons in decimals, which takes longer than all the rest.
_SECONDS = "date_part('epoch', {wait})"
_SHOWN = """(CASE WHEN {s} < 5400 THEN round({s} / 60) * 60 WHEN {s} < 172800 THEN round({s} / 360) * 360
 ELSE round({s} / 8640) * 8640 END)::int"""


def shown(wait: str) -> str:
    """The seconds of an interval (SQL), rounded to what `feedback.reports.base.lasting` shows of them."""
    return _SHOWN.format(s=_SECONDS.format(wait=wait))
