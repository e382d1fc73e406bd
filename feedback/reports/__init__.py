"""One file per report.

Each has NAME, TITLE, ASKS (what it answers), ICON, DAYS (the period without dates), `build(filters) ->
Report`, `drill(cell, filters) -> leads` and `words(cell, filters)`. Page, CSV, API, the leads behind a figure
and the weekly mail come from these.
"""

from types import ModuleType

from feedback.reports import (
    answers,
    change,
    content,
    conversion,
    cracks,
    criteria,
    mutual,
    reps,
    sla,
    sources,
    speed,
    touches,
    velocity,
)
from leadflow.errors import NotVisible

# Those that read what is kept of each lead's way (`journeys`): slow on a large base until it is there.
OF_WAYS = ("conversion", "speed", "velocity", "sources", "criteria", "reps")
# In the order of the tabs; sales' answers have a page of their own.
SHOWN: tuple[ModuleType, ...] = (
    sla,
    mutual,
    conversion,
    speed,
    velocity,
    sources,
    touches,
    criteria,
    change,
    reps,
    content,
    cracks,
)
ALL: dict[str, ModuleType] = {module.NAME: module for module in (*SHOWN, answers)}


def named(name: str) -> ModuleType:
    """The module of a report. Raises NotVisible for a name that is none."""
    if name not in ALL:
        raise NotVisible("There is no such report.")
    return ALL[name]


def days(name: str) -> int:
    """How long the period of a report is where nobody says."""
    return int(getattr(ALL.get(name), "DAYS", 28))
