"""Questions to the engine that write nothing: who is ready, which stage the score gives, who matches."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from psycopg2.extras import Json

from leadflow.leads.models import Stage
from scoring import current as applied
from scoring import rows
from scoring.current import Current
from scoring.models import Agreement


class Row(NamedTuple):
    """What `Program.score` answers for one lead, then what is stored of it now (its two lists of columns)."""

    key: int
    lead: int
    fit: int
    behaviour: int
    value: int
    total: int
    grade: str
    excluded: int
    mql: bool
    sales: bool
    track: int
    leave: bool
    level: int
    fresh: bool
    next_change: datetime | None
    stage: str
    had_level: str
    stage_since: datetime
    gone: bool
    hold: int | None
    old_fit: int | None
    old_behaviour: int | None
    old_value: int | None
    old_total: int | None
    old_grade: str | None
    old_agreement: int | None
    old_draft: str | None
    old_preview: bool | None
    old_ready: bool | None
    leave_since: datetime | None
    refresh_due_at: datetime | None

    @property
    def above(self) -> bool:
        """Above the bar with fresh evidence, and a lead at all; holds are another matter."""
        return not self.excluded and self.fresh and (self.sales or self.track > 0)


def is_ready(lead_ids: Iterable[int], at: datetime) -> set[int]:
    """Which of these leads are ready at `at`, asked afresh: nothing is written, no hold is ended."""
    now = applied.current()
    if now is None or now.preview:
        return set()
    return {row.lead for row in _read(lead_ids, at, now) if row.above and row.hold is None and not row.gone}


def stage_by_score(lead_ids: Iterable[int], at: datetime) -> dict[int, Stage]:
    """The stage that the score alone gives: excluded, conversion, prospect or MQL."""
    now = applied.current()
    if now is None or now.preview:
        return dict.fromkeys(lead_ids, Stage.CONVERSION)
    return {row.lead: _stage_of(row) for row in _read(lead_ids, at, now)}


def match(
    condition: Mapping[str, Any],
    lead_ids: Iterable[int] | None,
    at: datetime,
    given: Mapping[int, Mapping[str, Any]] | None = None,
    agreement: Agreement | None = None,
    each: Mapping[int, datetime] | None = None,
) -> set[int]:
    """The leads (None: of all) for which a condition holds at `at`, in the words of the agreement.

    `given` tells per lead what handoff leaves ask for: kind, fast_track, letter, team_hours. `each`: the
    instant at which a lead is asked about, by what was known then. Raises BadInput for a condition that
    cannot be read; without any agreement nothing matches.
    """
    now = applied.of(agreement) if agreement else applied.current()
    if now is None:
        return set()
    if lead_ids is None:
        statement = now.program.match(condition, "whole")
        return {row[0] for row in rows.run(statement, (0, 2**62, at, at))}
    ids = list(lead_ids)
    statement = now.program.match(condition, "subjects")
    instants = [each.get(i, at) for i in ids] if each else [at] * len(ids)
    args: list[Any] = [ids, ids, instants, instants]
    if len(statement.types) > len(args):
        args.append([_json(given.get(i, {}) if given else {}) for i in ids])
    return {row[0] for row in rows.run(statement, args)}


def _read(lead_ids: Iterable[int], at: datetime, now: Current) -> list[Row]:
    ids = list(lead_ids)
    instants = [at] * len(ids)
    found = rows.run(now.program.score("subjects", present=True), (ids, ids, instants, instants))
    return [Row._make(row) for row in found]


def _stage_of(row: Row) -> Stage:
    if row.excluded:
        return Stage.EXCLUDED
    return Stage.MQL if row.mql else Stage.PROSPECT


def _json(value: Mapping[str, Any]) -> Any:
    return Json({k: v for k, v in value.items() if v is not None})
