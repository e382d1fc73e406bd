"""Facts about a lead that are written upstairs or imported: sales' answers and outcomes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from django.db import connection, transaction

from leadflow import clock, nudge
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import User
from leadflow.errors import BadInput, Fault
from leadflow.leads import bulk, customers
from leadflow.leads.checking import AHEAD, Bad, read_id, read_instant
from leadflow.leads.facts import Unreadable, clean, decimal_of, read_email
from leadflow.leads.folding import fold
from leadflow.leads.intake import OURS
from leadflow.leads.models import TAKEN_BACK, Answer, Lead, Outcome, TrackSignal, UnmatchedOutcome
from leadflow.leads.results import Rejected, Result
from leadflow.leads.taking import Clash, Directory

AMOUNT_LIMIT = Decimal(10) ** 12
# Fields of an outcome that a repeat may correct.
CORRECTED = ("amount", "at", "undated", "reason", "lead_id")


def record_answer(
    *,
    lead_id: int,
    handoff_id: int,
    kind: str,
    at: datetime,
    rep: User | None = None,
    reason_key: str = "",
    reason_kind: str = "",
    note: str = "",
    agreement_id: int | None = None,
) -> Answer:
    """Write what sales did with a handoff: offered, accepted, rejected or returned.

    The caller holds the lead's lock. The lead counts as changed: lists show the last answer.
    """
    known_at = clock.now()
    Lead.objects.filter(pk=lead_id).update(changed_at=known_at)
    return Answer.objects.create(
        lead_id=lead_id,
        handoff_id=handoff_id,
        kind=Answer.Kind(kind),
        at=at,
        known_at=known_at,
        rep=rep,
        reason_key=reason_key,
        reason_kind=reason_kind,
        note=note,
        agreement_id=agreement_id,
    )


def record_answers(rows: Sequence[Mapping[str, Any]]) -> None:
    """Write many answers at once, in one statement: the offers of a batch, each as its columns."""
    columns = [f for f in Answer._meta.concrete_fields if not f.primary_key]
    types = {str(f.column): str(f.db_type(connection)) for f in columns}
    usual = {str(f.column): f.get_default() for f in columns}
    with connection.cursor() as cursor:
        bulk.insert(cursor, Answer._meta.db_table, types, [{**usual, **row} for row in rows])


def void_answers(handoff_id: int, ids: Iterable[int] | None, at: datetime) -> int:
    """Take answers of a handoff back (None: all of them); they stay on the record. Returns how many."""
    living = Answer.objects.filter(handoff_id=handoff_id, voided_at=None)
    if ids is not None:
        living = living.filter(pk__in=list(ids))
    return living.update(voided_at=at)


def void_outcomes(handoff_id: int, at: datetime, ids: Iterable[int] | None = None) -> int:
    """Take outcomes of a handoff back (None: all of them), as an undo does. Returns how many."""
    living = Outcome.objects.filter(handoff_id=handoff_id, voided_at=None)
    if ids is not None:
        living = living.filter(pk__in=list(ids))
    told = list(living.values_list("lead_id", "pk", "kind"))
    count = living.update(voided_at=at)
    customers.tell(told, at)
    return count


def take_contacts_back(activity_ids: Iterable[int], at: datetime) -> int:
    """Mark contacts of ours as taken back: they stay on the record and count as none. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE leads_activity SET properties = properties || %s::jsonb WHERE id = ANY(%s)",
            [json.dumps({TAKEN_BACK: at.isoformat()}), list(activity_ids)],
        )
        return int(cursor.rowcount)


def take_outcome_back(row: Outcome, at: datetime, actor: Actor) -> None:
    """Take back one outcome; it stays on the record, with who did it."""
    Outcome.objects.filter(pk=row.pk).update(voided_at=at)
    customers.tell([(row.lead_id, row.pk, row.kind)], at)
    audit.record(actor, "outcome.taken_back", row, before={"kind": row.kind, "amount": _plain(row.amount)})


@dataclass(slots=True)
class OutcomeRow:
    """A readable outcome; `at` None = undated."""

    index: int
    source: str
    external_id: str
    kind: str
    at: datetime | None
    amount: Decimal | None
    reason: str
    raw: Mapping[str, Any]
    lead_id: int | None = None
    key: tuple[str, str] | None = None
    email_key: str | None = None
    handoff_id: int | None = None


def record_outcome(
    *,
    source: str,
    external_id: str,
    kind: str,
    lead_id: int,
    at: datetime,
    amount: Decimal | None = None,
    undated: bool = False,
    reason: str = "",
    handoff_id: int | None = None,
    actor: Actor,
) -> Outcome:
    """Write one outcome. The same (source, external_id, kind) again corrects it and leaves a trace.

    Raises BadInput for a negative amount or an unknown kind.
    """
    if kind not in Outcome.Kind.values or (amount is not None and amount < 0):
        raise BadInput("The outcome cannot be taken.", [Fault("amount", "Kind or amount is not possible.")])
    row = OutcomeRow(
        0,
        source,
        external_id,
        kind,
        None if undated else at,
        amount,
        reason,
        {},
        lead_id=lead_id,
        handoff_id=handoff_id,
    )
    with transaction.atomic():
        return _write(row, lead_id, at, actor)[0]


def record_outcomes(
    rows: Sequence[Mapping[str, Any]],
    *,
    actor: Actor,
    source: str | None = None,
    at: datetime | None = None,
    listed: bool = True,
) -> Result:
    """Record outcomes from a file or the API; good rows are kept.

    A row: source (or the argument), external_id, kind, one or more of lead_id, external_lead_id (of
    lead_source, else source), email; amount ≥ 0 in the company's currency, at (with zone; without it the
    outcome is undated), reason. A row that names no known lead is rejected and kept as an UnmatchedOutcome.
    Without `listed` what names no lead is only rejected.
    `accepted` holds the outcomes' ids (`created` and `changed` part them), `duplicate` the indexes
    of rows that said nothing new, `early` the indexes of those dated before we knew the lead: taken, and left
    out of velocity and backtests.
    """
    stamp = at or clock.now()
    result = Result()
    read: list[OutcomeRow] = []
    for index, row in enumerate(rows):
        try:
            read.append(_read(index, row, source, stamp))
        except Bad as bad:
            result.rejected.append(Rejected(index, bad.faults))
    with transaction.atomic(), connection.cursor() as cursor:
        directory = Directory()
        directory.load(
            cursor,
            {r.lead_id for r in read if r.lead_id},
            {r.key for r in read if r.key},
            {r.email_key for r in read if r.email_key},
        )
        unmatched = []
        matched: list[tuple[OutcomeRow, int]] = []
        by_hand: dict[tuple[str, str, str], int] | None = None
        for outcome in read:
            try:
                lead_id = _lead_of(outcome, directory)
            except Bad as bad:
                by_hand = _matched_before(read) if by_hand is None else by_hand
                if _name(outcome) in by_hand:
                    matched.append((outcome, by_hand[_name(outcome)]))
                    continue
                result.rejected.append(Rejected(outcome.index, bad.faults))
                unmatched.append(
                    UnmatchedOutcome(
                        source=outcome.source,
                        raw={str(k): str(v)[:500] for k, v in outcome.raw.items()},
                        reason=bad.faults[0].message,
                        at=stamp,
                    )
                )
                continue
            matched.append((outcome, lead_id))
        if listed:
            _keep_unmatched(unmatched)
        result.early = _before_the_lead(cursor, matched)
        _write_many(cursor, matched, stamp, actor, result)
    result.rejected.sort(key=lambda r: r.index)
    return result


def _keep_unmatched(found: Sequence[UnmatchedOutcome]) -> None:
    """List outcomes without a lead for a person to look at; a file that comes again lists none twice."""
    if not found:
        return
    there = UnmatchedOutcome.objects.filter(
        source__in={row.source for row in found},
        raw__external_id__in=[row.raw.get("external_id", "") for row in found],
    )
    listed = {_words_of(row) for row in there}
    UnmatchedOutcome.objects.bulk_create([row for row in found if _words_of(row) not in listed])


def _words_of(row: UnmatchedOutcome) -> tuple[str, str]:
    return row.source, json.dumps(row.raw, sort_keys=True)


def _read(index: int, row: Mapping[str, Any], source: str | None, now: datetime) -> OutcomeRow:
    if not isinstance(row, Mapping):
        raise Bad([Fault("", "An outcome is an object of names and values.")])
    faults: list[Fault] = []

    def take(name: str, reader: Any) -> Any:
        raw = row.get(name)
        if raw is None or raw == "":
            return None
        try:
            return reader(raw)
        except Unreadable as wrong:
            faults.append(Fault(name, str(wrong)))
            return None

    known = {
        "source",
        "external_id",
        "kind",
        "lead_id",
        "external_lead_id",
        "lead_source",
        "email",
        "amount",
        "at",
        "reason",
    }
    faults += [
        Fault(str(name)[:80], f"There is no such field. Known are: {', '.join(sorted(known))}.")
        for name in row
        if name not in known
    ]
    from_row = take("source", lambda raw: clean(raw, 80)) or source
    external_id = take("external_id", lambda raw: clean(raw, 200))
    lead_key = take("external_lead_id", lambda raw: clean(raw, 200))
    lead_source = take("lead_source", lambda raw: clean(raw, 80)) or from_row
    email = take("email", read_email)
    lead_id = take("lead_id", read_id)
    outcome = OutcomeRow(
        index=index,
        source=from_row or "",
        external_id=external_id or "",
        kind=take("kind", _kind) or "",
        at=take("at", lambda raw: min(read_instant(raw, now + AHEAD), now)),
        amount=take("amount", _amount),
        reason=take("reason", lambda raw: clean(raw, 2_000)) or "",
        raw=row,
        lead_id=lead_id,
        key=(lead_source, lead_key) if lead_key and lead_source else None,
        email_key=fold(email) if email else None,
    )
    for name in ("source", "external_id", "kind"):
        if not getattr(outcome, name) and not any(f.path == name for f in faults):
            faults.append(Fault(name, "It is missing."))
    if not faults and not (lead_id or outcome.key or email):
        faults.append(Fault("email", "Say whose it is: email, lead_id or external_lead_id."))
    if faults:
        raise Bad(faults)
    return outcome


def _kind(raw: Any) -> str:
    text = clean(raw, 40).lower()
    if text not in Outcome.Kind.values:
        raise Unreadable(f"“{text}” is not an outcome. Known are: {', '.join(Outcome.Kind.values)}.")
    return text


def _amount(raw: Any) -> Decimal:
    amount = decimal_of(raw)
    if amount < 0 or amount >= AMOUNT_LIMIT:
        raise Unreadable("The amount is 0 or more, in the company's currency.")
    return round(amount, 2)


def _matched_before(rows: Sequence[OutcomeRow]) -> dict[tuple[str, str, str], int]:
    """Whose the outcomes of these names are that we have already: a person may have matched them by hand."""
    found = Outcome.objects.filter(
        source__in={row.source for row in rows}, external_id__in={row.external_id for row in rows}
    )
    return {(o.source, o.external_id, o.kind): o.lead_id for o in found}


def _before_the_lead(cursor: Any, matched: Sequence[tuple[OutcomeRow, int]]) -> list[int]:
    """Indexes of rows dated before their lead was taken in, and before anything that we know it did."""
    dated = [(row.index, lead_id, row.at) for row, lead_id in matched if row.at is not None]
    if not dated:
        return []
    cursor.execute(
        "SELECT w.index FROM unnest(%s::int[], %s::bigint[], %s::timestamptz[]) AS w(index, lead_id, at)"
        " JOIN leads_lead l ON l.id = w.lead_id WHERE w.at < l.created_at AND NOT EXISTS ("
        "SELECT 1 FROM leads_activity a WHERE a.lead_id = l.id AND a.occurred_at <= w.at) ORDER BY 1",
        [list(column) for column in zip(*dated, strict=True)],
    )
    return [index for (index,) in cursor.fetchall()]


def existed_since(lead_ids: Iterable[int]) -> dict[int, datetime]:
    """From when on each lead existed: when it was taken in, or the first thing that we know it did."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.id, least(l.created_at, (SELECT min(a.occurred_at) FROM leads_activity a"
            " WHERE a.lead_id = l.id)) FROM leads_lead l WHERE l.id = ANY(%s)",
            [list(lead_ids)],
        )
        return dict(cursor.fetchall())


def _lead_of(row: OutcomeRow, directory: Directory) -> int:
    try:
        person = directory.find(row.lead_id, row.key, row.email_key)
    except Clash as clash:
        raise Bad(
            [Fault("", f"The row names two different leads ({clash.one.id} and {clash.other.id}).")]
        ) from None
    if person is None:
        raise Bad([Fault("email", "No lead is known by this. Send the lead first, then its outcome.")])
    return person.id


def _write(
    row: OutcomeRow, lead_id: int, stamp: datetime, actor: Actor
) -> tuple[Outcome, Literal["made", "corrected", ""]]:
    """Write or correct one outcome; returns it and what that was: empty when the row said nothing new."""
    values = {
        "lead_id": lead_id,
        "amount": row.amount,
        "at": row.at or stamp,
        "undated": row.at is None,
        "reason": row.reason,
    }
    found = (
        Outcome.objects.select_for_update()
        .filter(source=row.source, external_id=row.external_id, kind=row.kind)
        .first()
    )
    if found is None:
        made = Outcome.objects.create(
            source=row.source, external_id=row.external_id, kind=row.kind, handoff_id=row.handoff_id,
            recorded_at=clock.now(), **values,
        )  # fmt: skip
        _replace_click(made)
        _signal([made])
        customers.tell([(made.lead_id, made.pk, made.kind)], made.recorded_at)
        return made, "made"
    if _corrected(found, values, row.at is None):
        before = found.lead_id
        _trace(found, values, actor)
        _signal([found])
        # Where it now names another lead, both companies hear of it.
        told = sorted({(lead, found.pk, found.kind) for lead in (before, found.lead_id)})
        customers.tell(told, clock.now())
        return found, "corrected"
    return found, ""


def _corrected(found: Outcome, values: Mapping[str, Any], undated: bool) -> bool:
    if undated:
        # An undated repeat keeps the date that we have.
        return any(getattr(found, name) != values[name] for name in ("amount", "reason", "lead_id"))
    return any(getattr(found, name) != values[name] for name in CORRECTED)


def _trace(found: Outcome, values: dict[str, Any], actor: Actor) -> None:
    names = [
        n
        for n in CORRECTED
        if getattr(found, n) != values[n] and not (values["undated"] and n in ("at", "undated"))
    ]
    before = {name: _plain(getattr(found, name)) for name in names}
    for name in names:
        setattr(found, name, values[name])
    found.save(update_fields=names)
    audit.record(
        actor, "outcome.corrected", found, before=before, after={n: _plain(values[n]) for n in names}
    )


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _replace_click(made: Outcome) -> None:
    """An outcome from outside takes the place of the newest clicked one of the same deal."""
    if made.source == OURS:
        return
    clicked = (
        Outcome.objects.select_for_update()
        .filter(lead_id=made.lead_id, kind=made.kind, source=OURS, replaced_by=None, voided_at=None)
        .order_by("-at")
        .first()
    )
    if clicked is not None:
        Outcome.objects.filter(pk=clicked.pk).update(replaced_by=made)
        made.handoff_id = made.handoff_id or clicked.handoff_id
        made.save(update_fields=["handoff_id"])


def _write_many(
    cursor: Any, matched: Sequence[tuple[OutcomeRow, int]], stamp: datetime, actor: Actor, result: Result
) -> None:
    """New outcomes in one statement; those known already, or clicked before, one by one."""
    cursor.execute(
        "SELECT o.source, o.external_id, o.kind FROM unnest(%s::text[], %s::text[], %s::text[])"
        " AS w(source, external_id, kind) JOIN leads_outcome o"
        " ON o.source = w.source AND o.external_id = w.external_id AND o.kind = w.kind",
        [[r.source for r, _ in matched], [r.external_id for r, _ in matched], [r.kind for r, _ in matched]],
    )
    slow = set(cursor.fetchall())
    clicked = set(
        Outcome.objects.filter(lead_id__in={lead for _, lead in matched}, source=OURS, replaced_by=None)
        .values_list("lead_id", "kind")
    )  # fmt: skip
    fast, one_by_one = [], []
    for row, lead_id in matched:
        name = _name(row)
        if name in slow or (lead_id, row.kind) in clicked:
            one_by_one.append((row, lead_id))
        else:
            slow.add(name)  # the same again in this batch corrects it
            fast.append((row, lead_id))
    made = _insert(cursor, fast, stamp)
    for row, lead_id in fast:
        outcome_id = made.get(_name(row))
        if outcome_id is None:
            one_by_one.append((row, lead_id))  # another transaction was quicker
        else:
            result.accepted.append(outcome_id)
            result.created.append(outcome_id)
            result.lead_of[row.index] = lead_id
    _signal(Outcome.objects.filter(pk__in=made.values()))
    customers.tell(
        [(lead_id, made[name], r.kind) for r, lead_id in fast if (name := _name(r)) in made], stamp
    )
    for row, lead_id in one_by_one:
        outcome, news = _write(row, lead_id, stamp, actor)
        result.lead_of[row.index] = lead_id
        if news:
            result.accepted.append(outcome.pk)
            (result.created if news == "made" else result.changed).append(outcome.pk)
        else:
            result.duplicate.append(row.index)


def _name(row: OutcomeRow) -> tuple[str, str, str]:
    return row.source, row.external_id, row.kind


def _insert(
    cursor: Any, rows: Sequence[tuple[OutcomeRow, int]], stamp: datetime
) -> dict[tuple[str, str, str], int]:
    if not rows:
        return {}
    bulk.insert(
        cursor,
        "leads_outcome",
        {
            "lead_id": "bigint", "source": "text", "external_id": "text", "kind": "text", "amount": "numeric",
            "at": "timestamptz", "undated": "boolean", "reason": "text", "recorded_at": "timestamptz",
        },
        [
            {
                "lead_id": lead_id, "source": r.source, "external_id": r.external_id, "kind": r.kind,
                "amount": r.amount, "at": r.at or stamp, "undated": r.at is None, "reason": r.reason,
                "recorded_at": stamp,
            }
            for r, lead_id in rows
        ],
        "ON CONFLICT (source, external_id, kind) DO NOTHING RETURNING source, external_id, kind, id",
        order="source, external_id, kind",
    )  # fmt: skip
    return {(source, external_id, kind): pk for source, external_id, kind, pk in cursor.fetchall()}


def _signal(outcomes: Iterable[Outcome]) -> None:
    """Tell feedback of outcomes from outside that no handoff knows yet."""
    outside = [o for o in outcomes if o.handoff_id is None and o.source != OURS]
    TrackSignal.objects.bulk_create(
        [
            TrackSignal(lead_id=o.lead_id, activity_id=o.pk, kind="outcome", recorded_at=o.recorded_at)
            for o in outside
        ]
    )
    if outside:
        nudge.wake("clock.tick")
