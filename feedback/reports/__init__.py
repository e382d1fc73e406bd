"""One file per report. Each has `NAME`, `build(filters) -> Report` and `drill(cell, filters) -> leads`."""

from types import ModuleType

from feedback.reports import answers, conversion, sla
from leadflow.errors import NotVisible

ALL: dict[str, ModuleType] = {module.NAME: module for module in (sla, conversion, answers)}


def named(name: str) -> ModuleType:
    """The module of a report. Raises NotVisible for a name that is none."""
    if name not in ALL:
        raise NotVisible("There is no such report.")
    return ALL[name]
