"""Which versions of the agreement name a field, a kind of activity or a list: asked before one goes."""

from collections.abc import Iterable
from dataclasses import dataclass

from scoring.conditions.uses import Uses, uses_of
from scoring.models import Agreement

State = Agreement.State
# Versions by which leads are scored now or may be soon.
LIVING = (State.DRAFT, State.PROPOSED, State.SIGNED, State.IN_FORCE)


@dataclass(frozen=True)
class Named:
    """One version, what it names, and the custom fields whose types it fixed."""

    number: int
    state: str
    uses: Uses
    fixed: frozenset[str]


def named(*, living: bool = True) -> list[Named]:
    """What each version names, the newest first; `living`: without those that are over. One query."""
    rows = Agreement.objects.order_by("-number").values_list("number", "state", "content")
    if living:
        rows = rows.filter(state__in=LIVING)
    return [
        Named(
            number,
            state,
            uses_of(content),
            frozenset(str(f.get("key", "")).removeprefix("custom.") for f in content.get("fields") or ()),
        )
        for number, state, content in rows
    ]


def versions(found: Iterable[Named]) -> str:
    """ "version 4 (in force) and version 5 (draft)"; empty when there is none."""
    told = [f"version {one.number} ({State(one.state).label.lower()})" for one in found]
    return " and ".join([", ".join(told[:-1]), told[-1]]) if len(told) > 1 else "".join(told)
