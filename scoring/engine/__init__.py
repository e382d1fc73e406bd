"""The engine: the only writer of scores, crossings and holds.

`passes` scores what waits, `deciding` is the statement that writes, `crossings` tells handoff of it, `asking`
answers without writing.
"""

from scoring.current import of as _of
from scoring.engine.asking import Row, is_ready, match, stage_by_score
from scoring.engine.crossings import Counts
from scoring.engine.deciding import OURS, WITH_SALES
from scoring.engine.passes import (
    end_holds,
    is_pending,
    queue_refresh,
    refresh,
    score_leads,
    score_pending,
    score_range,
)
from scoring.explanation import Explanation, explain, explain_many, why_now
from scoring.holds import end_hold, hold
from scoring.models import Agreement
from scoring.program import Program

__all__ = [
    "OURS",
    "WITH_SALES",
    "Counts",
    "Explanation",
    "Row",
    "compiled",
    "end_hold",
    "end_holds",
    "explain",
    "explain_many",
    "hold",
    "is_pending",
    "is_ready",
    "match",
    "queue_refresh",
    "refresh",
    "score_leads",
    "score_pending",
    "score_range",
    "stage_by_score",
    "why_now",
]


def compiled(agreement: Agreement) -> Program:
    """The agreement's statements, kept by its content."""
    return _of(agreement).program
