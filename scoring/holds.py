"""Holds: why a lead is not offered although its score says so. Rows of Hold are written here only."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from leadflow import nudge
from leadflow.accounts.actors import Actor
from leadflow.leads.models import Lead, LeadChanged, Stage
from scoring import current as applied
from scoring import rows
from scoring.current import Current
from scoring.document import canonical
from scoring.models import Crossing, Hold
from scoring.program import Program

BATCH = 2_000
_COLLEAGUES = """
    INSERT INTO leads_leadchanged (lead_id, cause, quiet, recorded_at)
    SELECT DISTINCT held.id, 'colleague', FALSE, %s::timestamptz
    FROM leads_lead q JOIN leads_lead held ON held.company_id = q.company_id AND held.id <> q.id
    JOIN scoring_hold h ON h.lead_id = held.id AND h.ended_at IS NULL AND h.evidence ->> 'kind' = 'colleague'
    WHERE q.id = ANY(%s) AND held.merged_into_id IS NULL AND held.erased_at IS NULL"""
QUIET_REASON = "quiet"
# Ends of a hold after which the lead is with sales anyway.
NOT_AGAIN = ("undo", "handed over")


def hold(
    lead_id: int,
    *,
    since: datetime,
    until: datetime | None,
    evidence: Mapping[str, Any],
    reason_key: str,
    closes: bool,
    handoff_id: int | None,
    reopens_as: str = "",
) -> Hold:
    """Hold a lead back; takes the place of an open hold. The caller's transaction holds the lead's lock."""
    with transaction.atomic(savepoint=False):
        Hold.objects.filter(lead_id=lead_id, ended_at__isnull=True).update(
            ended_at=since, ended_by="replaced"
        )
        return Hold.objects.create(
            lead_id=lead_id,
            since=since,
            until=until,
            evidence=dict(evidence),
            reason_key=reason_key,
            closes=closes,
            handoff_id=handoff_id,
            reopens_as=reopens_as,
        )


def end_hold(lead_id: int, *, at: datetime, by: Actor | str) -> Hold | None:
    """End the open hold of a lead by a person's word; None when there is none.

    A hold with `reopens_as` (the repair is done) offers the lead again at once, but not when the act that
    wrote the hold is undone or the lead is handed over by hand. Else it is scored again: it may be ready.
    """
    with transaction.atomic():
        found = Hold.objects.select_for_update().filter(lead_id=lead_id, ended_at__isnull=True).first()
        if found is None:
            return None
        _end([found], at, str(by)[:80])
        if found.reopens_as and by not in NOT_AGAIN:
            _reopen([found], at)
        _queue([lead_id], "hold ended", at)
        return found


def hold_quiet(lead_ids: Sequence[int], at: datetime) -> int:
    """Leads that an import or release found ready: they wait for an own act recorded from now on."""
    made = [
        Hold(lead_id=lead, since=at, until=None, evidence={"kind": "any"}, reason_key=QUIET_REASON)
        for lead in lead_ids
    ]
    Hold.objects.bulk_create(made)
    return len(made)


def end_by_evidence(held: Mapping[int, int], at: datetime, program: Program) -> set[int]:
    """End those holds (lead → hold) whose evidence has come; returns the leads that are free now.

    The date must have passed too; a fast-track act ends a hold at once unless its reason closes.
    """
    free, fast = _passed(held, at, program)
    _end(free, at, "evidence")
    _end(fast, at, "fast track")
    return {found.lead_id for found in (*free, *fast)}


def would_end(held: Mapping[int, int], at: datetime, program: Program) -> set[int]:
    """The leads that `end_by_evidence` would free; nothing is written."""
    free, fast = _passed(held, at, program)
    return {found.lead_id for found in (*free, *fast)}


def _passed(held: Mapping[int, int], at: datetime, program: Program) -> tuple[list[Hold], list[Hold]]:
    """The holds that end by their evidence, and those that end by a fast track."""
    by_evidence: dict[str, list[Hold]] = defaultdict(list)
    for found in Hold.objects.filter(pk__in=list(held.values())):
        by_evidence[canonical(found.evidence)].append(found)
    free: list[Hold] = []
    fast: list[Hold] = []
    for group in by_evidence.values():
        for found, shown, track in _evidence(group, at, program):
            if shown and (found.until is None or found.until <= at):
                free.append(found)
            elif track and not found.closes:
                fast.append(found)
    return free, fast


def wake_colleagues(lead_ids: Sequence[int], at: datetime) -> int:
    """Leads whose hold waits for a colleague to qualify are scored again when one has; returns how many."""
    if not lead_ids:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_COLLEAGUES, [at, list(lead_ids)])
        if cursor.rowcount:
            nudge.wake("flow.score")
        return int(cursor.rowcount)


def pass_dates(at: datetime, now: Current | None) -> int:
    """Look once at each hold whose date has come; returns how many."""
    with transaction.atomic():
        due = list(
            Hold.objects.filter(until__lte=at, ended_at__isnull=True, checked_at__isnull=True)
            .order_by("until", "id")
            .values_list("id", "lead_id")[:BATCH]
        )
        if not due:
            return 0
        # Lock order: leads before their holds, as in a scoring.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM leads_lead WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
                [[lead for _, lead in due]],
            )
        ours = list(
            Hold.objects.filter(pk__in=[key for key, _ in due], ended_at__isnull=True).select_for_update()
        )
        Hold.objects.filter(pk__in=[h.pk for h in ours]).update(checked_at=at)
        agreed = [h for h in ours if h.reopens_as and h.evidence.get("kind") != "repair"]
        if now is not None and not now.preview:
            _end(agreed, at, "date")
            _reopen(agreed, at)
        # Those that wait for evidence end in the scoring, when it is there already.
        _queue([h.lead_id for h in ours], "hold date", at)
        return len(due)


def _evidence(group: Sequence[Hold], at: datetime, program: Program) -> list[tuple[Hold, bool, bool]]:
    statement = program.evidence_since(group[0].evidence)
    by_key = {h.pk: h for h in group}
    instants = [at] * len(group)
    found = rows.run(
        statement,
        ([h.pk for h in group], [h.lead_id for h in group], instants, instants, [h.since for h in group]),
    )
    return [(by_key[key], shown, track) for key, shown, track in found]


def _end(found: Sequence[Hold], at: datetime, by: str) -> None:
    if found:
        Hold.objects.filter(pk__in=[h.pk for h in found]).update(ended_at=at, ended_by=by)


def _reopen(found: Sequence[Hold], at: datetime) -> None:
    """The agreed date or the finished repair offers the lead again, whatever its score, unless left out."""
    now = applied.current()
    if now is None or now.preview or not found:
        return
    leads = [h.lead_id for h in found]
    out = set(
        Lead.objects.filter(pk__in=leads)
        .filter(Q(stage=Stage.EXCLUDED) | Q(merged_into__isnull=False) | Q(erased_at__isnull=False))
        .values_list("pk", flat=True)
    )
    pending = set(
        Crossing.objects.filter(lead_id__in=leads, handled_at__isnull=True)
        .exclude(kind=Crossing.Kind.EXCLUDE)
        .values_list("lead_id", flat=True)
    )
    Crossing.objects.bulk_create(
        [
            Crossing(
                lead_id=h.lead_id,
                at=at,
                known_at=at,
                kind=h.reopens_as,
                agreement_id=now.agreement_id,
                cause={"hold": h.pk},
            )
            for h in found
            if h.lead_id not in out | pending
        ]
    )
    nudge.wake("flow.open")


def _queue(lead_ids: Sequence[int], cause: str, at: datetime) -> None:
    LeadChanged.objects.bulk_create(
        [LeadChanged(lead_id=lead, cause=cause, quiet=False, recorded_at=at) for lead in lead_ids]
    )
    nudge.wake("flow.score")
