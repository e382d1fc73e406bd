"""One act on one locked handoff: what everybody who carries it out needs, and the trace that it leaves."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.db import connection, models
from django.db.models import F

from handoff import calendars, notices, outbox, presence, promises
from handoff.calendars import WorkCalendar
from handoff.models import (
    DailyOffer,
    Handoff,
    LateException,
    Outbox,
    Promise,
    SlaResult,
    State,
    Transition,
)
from handoff.states import Action
from leadflow import clock
from leadflow.accounts.actors import Actor
from leadflow.accounts.api import storable
from leadflow.accounts.models import User
from leadflow.errors import BadInput, Fault
from leadflow.leads import ledgers, stages
from leadflow.leads.models import Answer, Lead, Stage
from leadflow.numbers import whole
from scoring import current
from scoring.document import Document

# New handoffs of these kinds are what the agreement limits per rep and day.
COUNTED = (Handoff.Kind.BAR, Handoff.Kind.EXISTING_CUSTOMER)
# An undo puts these columns back.
KEPT = tuple(
    f.attname
    for f in Handoff._meta.concrete_fields
    if f.attname not in ("id", "lead_id", "kind", "frozen", "lock_version", "changed_at", "cooling")
)
# What an act may change: all but what was settled with the offer.
CHANGING = (*KEPT, "lock_version", "changed_at")


class Act:
    """An act in progress. `at` is when it counts, `known_at` when we came to know it (the lock's instant)."""

    def __init__(
        self,
        handoff: Handoff,
        row: Action,
        actor: Actor,
        at: datetime,
        args: Mapping[str, Any],
        last: Transition | None,
    ) -> None:
        self.handoff = handoff
        self.row = row
        self.actor = actor
        self.at = self.known_at = at
        self.args: dict[str, Any] = {
            name: storable(v) if isinstance(v, str) else v for name, v in args.items()
        }
        self.last = last
        self.source = State(handoff.state)
        self.owner_before = handoff.owner_id
        self.undoes: Transition | None = None
        self.written: dict[str, Any] = {}
        self.letters: list[outbox.Letter] = []
        self.before = {} if actor.is_system else snapshot(handoff)

    @cached_property
    def calendar(self) -> WorkCalendar:
        """The hours of the team that holds the lead."""
        return calendars.for_team(self.handoff.team_id)

    def change_team(self) -> None:
        """The lead changed teams: from now on count by the new one's hours."""
        self.__dict__.pop("calendar", None)

    @cached_property
    def terms(self) -> Document:
        """The agreement's terms as they were frozen at the offer."""
        return Document(self.handoff.frozen)

    @cached_property
    def lead(self) -> Lead:
        """The lead, locked after the handoff (the house's order)."""
        return Lead.objects.select_for_update(no_key=True).get(pk=self.handoff.lead_id)

    # Arguments

    def text(self, name: str, limit: int = 2_000) -> str:
        """A text argument, trimmed. Raises BadInput when it is longer than `limit`."""
        value = str(self.args.get(name) or "").strip()
        if len(value) > limit:
            raise BadInput("That is too long.", [Fault(name, f"Keep it under {limit} characters.")])
        return value

    # What happens to the row

    def take(self) -> None:
        """Make the actor the owner of a pooled handoff."""
        handoff = self.handoff
        if not handoff.pool or handoff.owner_id is not None or self.actor.user is None:
            return
        handoff.owner, handoff.pool = self.actor.user, False
        # Routing had found nobody; now somebody is there.
        self._clear([row for row in self._exceptions if not row.promise])
        if handoff.kind in COUNTED:
            day = self.calendar.working_date(self.at)
            count_offers({(self.actor.user.pk, day): 1})
            self.written["counted"] = [self.actor.user.pk, day.isoformat()]

    @cached_property
    def results(self) -> promises.Results:
        """How the handoff's promises ended, written with the row."""
        return promises.Results(self.handoff, any_running=getattr(self.last, "has_overdue", True))

    def end(
        self,
        promise: Promise,
        *,
        kept: bool,
        at: datetime | None = None,
        scopes: Iterable[SlaResult.Scope] = promises.SCOPES,
    ) -> None:
        """Note how a promise ended."""
        promises.end(
            self.results,
            self.handoff,
            promise,
            self.calendar,
            at or self.at,
            known_at=self.known_at,
            kept=kept,
            scopes=scopes,
        )

    def over(self, promise: Promise, *, kept: bool, at: datetime | None = None) -> None:
        """Note how a promise ended, forget its ticks and whatever was said about its being late."""
        self.end(promise, kept=kept, at=at)
        promises.drop(self.handoff, promise)
        self._clear([row for row in self._exceptions if row.promise == promise])

    def dealt_with(self) -> None:
        """Whatever stood on the managers' list is decided."""
        self._clear(self._exceptions)

    @cached_property
    def _exceptions(self) -> list[LateException]:
        if not getattr(self.last, "has_exceptions", True):
            return []
        return list(self.handoff.exceptions.filter(cleared_at=None))

    def _clear(self, rows: Sequence[LateException]) -> None:
        ids = [row.pk for row in rows if row.cleared_at is None]
        if ids:
            LateException.objects.filter(pk__in=ids).update(cleared_at=self.known_at)
            self.note("exceptions", ids)
        for row in rows:
            row.cleared_at = self.known_at

    def end_running(self, *, kept: tuple[Promise, ...] = ()) -> None:
        """End every promise that still runs; those not kept are missed past due, else cancelled."""
        for promise in promises.RUNNING.get(self.handoff.state, ()):
            self.over(promise, kept=promise in kept)

    def close(self, state: State) -> None:
        """Lead the handoff to one of its ends."""
        handoff = self.handoff
        handoff.state, handoff.closed_at = state, self.at
        promises.stop(handoff)
        self._clear(self._exceptions)
        handoff.pauses.filter(ends_at__gt=self.at).update(ends_at=self.at)

    def answer(self, kind: Answer.Kind, reason: Any = None, note: str = "") -> None:
        """Write sales' answer into the lead's ledger."""
        row = ledgers.record_answer(
            lead_id=self.handoff.lead_id,
            handoff_id=self.handoff.pk,
            kind=kind,
            at=self.at,
            rep=self.handoff.owner,
            reason_key=reason.key if reason else "",
            reason_kind=reason.kind if reason else "",
            note=note,
            agreement_id=self.handoff.agreement_id,
        )
        self.note("answers", [row.pk])

    def move(self, stage: Stage, cause: str) -> None:
        """Move the lead. A customer stays one, whatever opened the handoff, until feedback says churned."""
        if self.lead.stage == Stage.CUSTOMER:
            return
        self.written["stage"] = self.lead.stage
        stages.move(
            [stages.Move(self.handoff.lead_id, stage, cause, self.handoff.pk)],
            at=self.at,
            known_at=self.known_at,
            actor=self.actor,
            agreement_id=self.handoff.agreement_id,
        )

    def note(self, key: str, ids: Iterable[int]) -> None:
        """Remember rows that the act wrote, for an undo."""
        fresh = list(ids)
        if fresh:
            self.written[key] = [*self.written.get(key, []), *fresh]

    # Notices

    def tell(
        self,
        kind: str,
        users: Iterable[int | None],
        *,
        mail: bool = False,
        wait: datetime | None = None,
        **more: Any,
    ) -> None:
        """Put a notice for these people beside the act; the actor hears nothing of their own act.

        `wait`: not before then (the end of the undo window), and never if the act is taken back.
        """
        payload = {"by": str(self.actor), **more}
        channels = [Outbox.Channel.BELL, Outbox.Channel.EMAIL] if mail else [Outbox.Channel.BELL]
        for user_id in dict.fromkeys(u for u in users if u is not None and u != self.actor.user_id):
            for channel in channels:
                key = f"{kind}:{user_id}:{channel}"
                self.letters.append(outbox.Letter(key, kind, channel, user_id, payload, wait))

    # The end

    def save(self) -> Transition:
        """Write row, transition and letters."""
        handoff = self.handoff
        handoff.lock_version += 1
        handoff.changed_at = self.known_at
        handoff.save(update_fields=CHANGING)
        if "results" in self.__dict__:
            self.results.save()
            self.note("sla_new", [row.pk for row in self.results.new])
            self.note("sla_finished", [row.pk for row in self.results.finished])
        transition = Transition.objects.create(
            handoff=handoff,
            action=self.row.name,
            from_state=self.source,
            to_state=handoff.state,
            actor=self.actor.user,
            api_key_id=self.actor.api_key.pk if self.actor.api_key else None,
            at=self.known_at,
            reason_key=str(self.args.get("reason_key") or ""),
            note=str(self.args.get("note") or self.args.get("reason") or ""),
            owner_before_id=self.owner_before,
            owner_after_id=handoff.owner_id,
            before={} if self.actor.is_system else {"row": self.before, "wrote": self.written},
            undoes=self.undoes,
        )
        self._post(transition)
        return transition

    def _post(self, transition: Transition) -> None:
        if not self.letters:
            return
        base = notices.payload_of(self.handoff)
        outbox.put(
            [
                outbox.Letter(
                    f"act:{transition.pk}:{letter.key}",
                    letter.kind,
                    letter.channel,
                    letter.user_id,
                    {**base, **letter.payload},
                    letter.not_before,
                )
                for letter in self.letters
            ],
            self.known_at,
        )


def snapshot(handoff: Handoff) -> dict[str, Any]:
    """The columns that an undo puts back, as JSON without loss (microseconds stay)."""
    return {name: _plain(getattr(handoff, name)) for name in KEPT}


def restore(handoff: Handoff, saved: Mapping[str, Any]) -> None:
    """Put a snapshot back into the row in memory."""
    fields = {f.attname: f for f in Handoff._meta.concrete_fields}
    for name, value in saved.items():
        if name in fields:
            target = fields[name]
            plain = isinstance(target, models.JSONField | models.ForeignKey)
            setattr(handoff, name, value if plain else target.to_python(value))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def count_offers(more: Mapping[tuple[int, date], int]) -> None:
    """Add to the number of new handoffs that people got on a day; one statement."""
    if not more:
        return
    keys = sorted(more)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO handoff_dailyoffer (user_id, date, count)
            SELECT * FROM unnest(%s::bigint[], %s::date[], %s::int[])
            ON CONFLICT (user_id, date) DO UPDATE SET count = handoff_dailyoffer.count + excluded.count
            """,
            [[user for user, _ in keys], [day for _, day in keys], [more[key] for key in keys]],
        )


def uncount_offer(user_id: int, day: str) -> None:
    """Take one off the new handoffs that a person got on a day."""
    DailyOffer.objects.filter(user=user_id, date=day, count__gt=0).update(count=F("count") - 1)


def cancel_letters(transition: Transition | None) -> None:
    """Take back the notices of an act that still wait."""
    if transition is not None:
        outbox.cancel(f"act:{transition.pk}:", clock.now())


def person_of(value: Any) -> User:
    """The person that an argument names (a User or an id). Raises BadInput for nobody."""
    if isinstance(value, User):
        return value
    number = value if isinstance(value, int) else whole(str(value)) or 0
    found = User.objects.select_related("team").filter(pk=number).first()
    if found is None:
        raise BadInput("There is nobody of that name.", [Fault("to", "Choose somebody of the sales team.")])
    return found


def terms_now() -> Document:
    """The agreement in force; without one, an empty document (the house's defaults)."""
    now = current.current()
    return Document({}) if now is None or now.preview else now.program.document


def seat_of(user_id: int, at: datetime) -> presence.Seat | None:
    """Where this person stands today, None when inactive."""
    admission = terms_now().admission
    found = presence.seats(
        at, capacity=admission.capacity_open, per_day=admission.new_per_rep_per_day, users=[user_id]
    )
    return found[0] if found else None
