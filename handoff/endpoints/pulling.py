"""From the ledgers into the outbox: what happened becomes a message for each endpoint that wants it.

Scores, stages, acts, promises and outcomes each leave rows with rising ids; nobody who writes them knows of
endpoints. A row with a lower id may become visible after one with a higher id, so a ledger is read up to a
mark only when every transaction that ran when the mark was set has ended: nothing is missed, nothing comes
twice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, F, Model, OuterRef, Prefetch, QuerySet

from handoff import many
from handoff.endpoints import events
from handoff.models import Handoff, Outbox, SlaResult, Transition, WebhookEndpoint
from leadflow import nudge
from leadflow.accounts.models import User
from leadflow.leads.models import Lead, LeadKey, Outcome, StageChange
from scoring.models import ScoreChange

BATCH = 200
# Most rows of a ledger tell nothing (points without a new grade): so many are looked through at a time.
WINDOW = 100_000
# While so many messages wait for an endpoint, news of scores and stages wait in their ledgers: a rescore of
# the whole base must not stand between a rep's act and the CRM.
WAITING = 500
# An endpoint hears what happens from its making on; what is older than this is history.
NEWS_FOR = timedelta(days=2)
KEPT_FOR = timedelta(days=30)

Event = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Ledger:
    """One source of events. `rows` are those that tell something, `read` makes an event of one."""

    model: type[Model]
    names: tuple[str, ...]
    rows: Callable[[], QuerySet[Any]]
    read: Callable[[Any], Event | None]
    at: Callable[[Any], datetime]
    of_team: Callable[[int], Any]
    # May wait while much is waiting already.
    patient: bool = False


@dataclass(frozen=True)
class Tide:
    """How far each ledger has come, the next transaction, and the oldest one that still runs."""

    tops: Mapping[str, int]
    next: int
    oldest: int


def pull(at: datetime) -> int:
    """Put what is new into the outbox; returns how many messages. One statement where nobody listens."""
    ids = list(WebhookEndpoint.objects.filter(active=True).order_by("pk").values_list("pk", flat=True))
    if not ids:
        return 0
    now = tide()
    return sum(_pull_for(pk, now, at) for pk in ids)


def start(endpoint: WebhookEndpoint) -> None:
    """Begin to read for it here: it hears what comes from now on. The caller saves."""
    now = tide()
    endpoint.cursors = {name: {"upto": top} for name, top in now.tops.items()}


def tide() -> Tide:
    """Where the ledgers stand; one statement."""
    tables = [ledger.model._meta.db_table for ledger in LEDGERS.values()]
    tops = ", ".join(f"(SELECT coalesce(max(id), 0) FROM {table})" for table in tables)  # noqa: S608 - our own
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT pg_snapshot_xmax(s)::text::bigint,
                   -- Only those of this database write our rows (each holds a lock on its own number until
                   -- its end). Our own is not among those in progress: its rows are ours to see.
                   (SELECT min(x::text::bigint) FROM pg_snapshot_xip(s) x
                    WHERE x::text::bigint % 4294967296 IN
                          (SELECT transactionid::text::bigint FROM pg_locks JOIN pg_stat_activity USING (pid)
                           WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock'
                             AND datname = current_database())),
                   {tops}
            FROM pg_current_snapshot() s
            """  # noqa: S608 - our own tables
        )
        following, oldest, *found = cursor.fetchone()
    return Tide(dict(zip(LEDGERS, found, strict=True)), following, oldest or following)


@transaction.atomic
def _pull_for(pk: int, now: Tide, at: datetime) -> int:
    endpoint = (
        WebhookEndpoint.objects.filter(pk=pk, active=True)
        .select_for_update(skip_locked=True, of=("self",), no_key=True)
        .first()
    )
    if endpoint is None:
        return 0
    full = Outbox.objects.filter(endpoint=endpoint, next_try_at__isnull=False)[:WAITING].count() >= WAITING
    before = dict(endpoint.cursors)
    found: list[dict[str, Any]] = []
    for name, ledger in LEDGERS.items():
        if full and ledger.patient:
            continue
        cursor = dict(endpoint.cursors.get(name) or {"upto": now.tops[name]})
        found += _read(endpoint, name, ledger, cursor, now, at)
        endpoint.cursors[name] = cursor
    if endpoint.cursors != before:
        endpoint.save(update_fields=["cursors"])
    many.add(Outbox, found, conflict="key")
    return len(found)


def _read(
    endpoint: WebhookEndpoint, name: str, ledger: Ledger, cursor: dict[str, Any], now: Tide, at: datetime
) -> list[dict[str, Any]]:
    """The messages of one ledger; moves the cursor."""
    if not events.wants_any(endpoint, ledger.names):
        cursor.update(upto=now.tops[name])
        cursor.pop("mark", None)
        return []
    if "mark" not in cursor:
        if now.tops[name] <= cursor["upto"]:
            return []
        cursor["mark"] = [now.tops[name], now.next]
    top, running = cursor["mark"]
    if now.oldest < running:
        return []
    upto = min(top, cursor["upto"] + WINDOW)
    rows = list(_wanted(endpoint, ledger, cursor["upto"], upto))
    cursor["upto"] = rows[-1].pk if len(rows) == BATCH else max(upto, cursor["upto"])
    if cursor["upto"] >= top:
        del cursor["mark"]
    return list(_messages(endpoint, name, ledger, rows, at))


def _wanted(endpoint: WebhookEndpoint, ledger: Ledger, after: int, upto: int) -> QuerySet[Any]:
    rows = ledger.rows().filter(pk__gt=after, pk__lte=upto).order_by("pk")
    if endpoint.team_id is not None:
        rows = rows.filter(ledger.of_team(endpoint.team_id))
    return rows[:BATCH]


def _messages(
    endpoint: WebhookEndpoint, name: str, ledger: Ledger, rows: Iterable[Any], at: datetime
) -> Iterable[dict[str, Any]]:
    for row in rows:
        event, when = ledger.read(row), ledger.at(row)
        if event is None or not events.wants(endpoint, event[0]) or when < at - NEWS_FOR:
            continue
        yield message(endpoint, f"{name}-{row.pk}", event[0], event[1], when, at)


def message(
    endpoint: WebhookEndpoint, key: str, event: str, data: Mapping[str, Any], when: datetime, at: datetime
) -> dict[str, Any]:
    """A row of the outbox that tells an endpoint of an event; `key` is the event's own, the same for all."""
    signed = endpoint.shape == WebhookEndpoint.Shape.SIGNED
    return {
        "key": f"to:{endpoint.pk}:{key}"[:200],
        "kind": event,
        "channel": Outbox.Channel.WEBHOOK if signed else Outbox.Channel.CHAT,
        "endpoint_id": endpoint.pk,
        "payload": {"id": key, "event": event, "at": when.isoformat(), "data": data},
        "created_at": at,
        "not_before": at,
        "next_try_at": at,
    }


def emit(event: str, bodies: Sequence[tuple[str, Mapping[str, Any]]], at: datetime) -> int:
    """Tell the endpoints that want it of events of another room, in the caller's transaction.

    `bodies` are (key, data): a key is told once per endpoint. Two statements, one when nobody listens.
    Returns how many messages wait now. `event` must be in `events.NAMES`.
    """
    if not bodies:
        return 0
    listening = [one for one in WebhookEndpoint.objects.filter(active=True) if events.wants(one, event)]
    rows = [message(one, key, event, data, at, at) for one in listening for key, data in bodies]
    many.add(Outbox, rows, conflict="key")
    if rows:
        nudge.wake("clock.deliver")
    return len(rows)


def tidy(at: datetime, limit: int = 5_000) -> int:
    """Forget what left for endpoints a month ago, with its log; returns how many messages."""
    old = Outbox.objects.filter(
        endpoint__isnull=False, next_try_at=None, created_at__lt=at - KEPT_FOR
    ).values("pk")[:limit]
    return (
        Outbox.objects.filter(pk__in=list(old.values_list("pk", flat=True)))
        .delete()[1]
        .get("handoff.Outbox", 0)
    )


# ---- What an event tells ----------------------------------------------------------------------------------

_KEYS = Prefetch("lead__keys", LeadKey.objects.order_by("pk"))


def about_lead(lead: Lead) -> dict[str, Any]:
    """The lead as every event names it."""
    return {
        "id": lead.pk,
        "name": str(lead),
        "email": lead.email or "",
        "phone": lead.phone,
        "title": lead.title,
        "company": lead.company.name if lead.company else "",
        "crm_url": lead.crm_url,
        "external_owner": lead.external_owner,
        "keys": [{"source": key.source, "external_id": key.external_id} for key in lead.keys.all()],
    }


def about_handoff(handoff: Handoff, holder: User | None) -> dict[str, Any]:
    """The handoff as it stands, with who has it (nobody: in the pool)."""
    return {
        "id": handoff.pk,
        "state": handoff.state,
        "kind": handoff.kind,
        "grade": handoff.grade,
        "total": handoff.total,
        "why_now": handoff.why_now,
        "owner": {"id": holder.pk, "name": holder.name, "email": holder.email} if holder else None,
        "team": handoff.team.name if handoff.team else "",
        "promise": handoff.sla_promise,
        "due_at": handoff.sla_due_at.isoformat() if handoff.sla_due_at else None,
        "amount": None if handoff.amount is None else str(handoff.amount),
    }


def _grade(row: ScoreChange) -> Event:
    score = {
        "from": row.from_grade or None,
        "to": row.grade,
        "total": row.total,
        "fit": row.fit,
        "behaviour": row.behaviour,
        "value": row.value,
        "cause": row.cause,
    }
    return "score.changed", {"lead": about_lead(row.lead), "score": score}


def _stage(row: StageChange) -> Event:
    stage = {"from": row.from_stage, "to": row.to_stage, "cause": row.cause, "handoff_id": row.handoff_id}
    return "stage.changed", {"lead": about_lead(row.lead), "stage": stage}


def _act(row: Transition) -> Event | None:
    name = events.of_act(row.action, row.to_state)
    if not name:
        return None
    act = {
        "action": row.action,
        "from": row.from_state,
        "to": row.to_state,
        "by": row.actor.name if row.actor else "",
        "reason_key": row.reason_key,
        "note": row.note,
    }
    handoff = about_handoff(row.handoff, row.owner_after) | {"state": row.to_state}
    return name, {"lead": about_lead(row.handoff.lead), "handoff": handoff, "act": act}


def _late(row: SlaResult) -> Event:
    late = {
        "promise": row.promise,
        "due_at": row.due.isoformat(),
        "holder": row.holder.name if row.holder else "",
    }
    data = {
        "lead": about_lead(row.handoff.lead),
        "handoff": about_handoff(row.handoff, row.handoff.owner),
        "late": late,
    }
    return "handoff.late", data


def _won(row: Outcome) -> Event:
    outcome = {
        "source": row.source,
        "external_id": row.external_id,
        "amount": None if row.amount is None else str(row.amount),
        "at": row.at.isoformat(),
        "handoff_id": row.handoff_id,
    }
    return "customer.won", {"lead": about_lead(row.lead), "outcome": outcome}


def _had_by_team(team_id: int) -> Any:
    """A lead that this team has or had."""
    return Exists(Handoff.objects.filter(lead=OuterRef("lead"), team=team_id))


def _in_team(team_id: int) -> Any:
    return Exists(Handoff.objects.filter(pk=OuterRef("handoff"), team=team_id))


def _scores() -> QuerySet[Any]:
    return (
        ScoreChange.objects.exclude(from_grade=F("grade"))
        .select_related("lead__company")
        .prefetch_related(_KEYS)
    )


def _stages() -> QuerySet[Any]:
    return StageChange.objects.exclude(from_stage="").select_related("lead__company").prefetch_related(_KEYS)


def _of_handoff(rows: QuerySet[Any], *more: str) -> QuerySet[Any]:
    keys = Prefetch("handoff__lead__keys", LeadKey.objects.order_by("pk"))
    seen = ("handoff__lead__company", "handoff__owner", "handoff__team", *more)
    return rows.select_related(*seen).defer("handoff__frozen", "handoff__sla_ticks").prefetch_related(keys)


def _acts() -> QuerySet[Any]:
    return _of_handoff(Transition.objects.defer("before"), "actor", "owner_after").defer(
        "before", "handoff__frozen", "handoff__sla_ticks"
    )


def _misses() -> QuerySet[Any]:
    late = SlaResult.objects.filter(
        scope=SlaResult.Scope.LEAD, result=SlaResult.Result.MISSED, voided_at=None, corrected_from=""
    )
    return _of_handoff(late, "holder")


def _wins() -> QuerySet[Any]:
    """New deals; one that an import put in the place of a click was told with the click."""
    known = Exists(Outcome.objects.filter(replaced_by=OuterRef("pk")))
    won = Outcome.objects.filter(~known, kind=Outcome.Kind.WON, voided_at=None)
    return won.select_related("lead__company").prefetch_related(_KEYS)


_ACTS = tuple(
    name for name in events.NAMES if name.startswith("handoff.") and name not in ("handoff.*", "handoff.late")
)
LEDGERS: dict[str, Ledger] = {
    "act": Ledger(Transition, _ACTS, _acts, _act, lambda row: row.at, _in_team),
    "late": Ledger(SlaResult, ("handoff.late",), _misses, _late, lambda row: row.at, _in_team),
    "won": Ledger(Outcome, ("customer.won",), _wins, _won, lambda row: row.recorded_at, _had_by_team),
    "stage": Ledger(
        StageChange, ("stage.changed",), _stages, _stage, lambda row: row.known_at, _had_by_team, patient=True
    ),
    "score": Ledger(
        ScoreChange, ("score.changed",), _scores, _grade, lambda row: row.known_at, _had_by_team, patient=True
    ),
}
