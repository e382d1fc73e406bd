"""Contacts that we hear of late: what was counted as missed (or cancelled) for want of them is corrected.

The row that was wrong stays, marked void; the right one says from what it was corrected, when the contact was
(`finished_at`) and when we heard of it (`at`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, OuterRef, Q, When
from django.db.models.functions import JSONObject
from django.utils.timezone import localtime

from handoff import promises
from handoff.calendars import WorkCalendar
from handoff.models import Handoff, Promise, SlaResult

Result = SlaResult.Result
SPOILED = (Result.MISSED, Result.CANCELLED)


@dataclass
class Corrected:
    """The rows that are void now, and those that take their place."""

    voided: list[int] = field(default_factory=list)
    made: list[SlaResult] = field(default_factory=list)


def correct(
    handoff: Handoff,
    who_id: int | None,
    when: datetime,
    calendar: WorkCalendar,
    *,
    known_at: datetime,
    of: Iterable[Promise] = tuple(Promise),
) -> Corrected:
    """Count a contact at `when` by this person for every promise that ran then: the lead's, and the share of
    the one who made it. A contact after the due corrects by how much it was late. The handoff is locked."""
    rows = SlaResult.objects.filter(
        Q(scope=SlaResult.Scope.LEAD) | Q(scope=SlaResult.Scope.HOLDER, holder=who_id),
        Q(finished_at=None) | Q(finished_at__gt=when),
        handoff=handoff,
        promise__in=list(of),
        result__in=SPOILED,
        start__lte=when,
        voided_at=None,
    )
    done = Corrected()
    policy = promises.policy_of(handoff)
    for row in rows.order_by("pk"):
        hours = promises.hours_of(policy, row.promise, calendar)
        done.voided.append(row.pk)
        done.made.append(_instead(row, when, hours, known_at))
    SlaResult.objects.filter(pk__in=done.voided).update(voided_at=known_at)
    SlaResult.objects.bulk_create(done.made)
    return done


def _instead(row: SlaResult, when: datetime, hours: WorkCalendar, known_at: datetime) -> SlaResult:
    in_time = when <= row.due
    return SlaResult(
        handoff_id=row.handoff_id,
        promise=row.promise,
        n=row.n,
        scope=row.scope,
        holder_id=row.holder_id,
        team_id=row.team_id,
        start=row.start,
        due=row.due,
        finished_at=when,
        result=Result.MET if in_time else Result.MISSED,
        late_by=0 if in_time else max(0, int(hours.between(row.due, when).total_seconds())),
        corrected_from=row.result,
        at=known_at,
    )


def keep_for_lead(
    handoff: Handoff, when: datetime, calendar: WorkCalendar, *, known_at: datetime
) -> list[SlaResult]:
    """A contact by somebody who has the lead no more keeps what the lead was promised and still runs; the
    present holder's share runs on. Changes the row in memory."""
    made = []
    policy = promises.policy_of(handoff)
    for promise in promises.RUNNING.get(handoff.state, ()):
        due = getattr(handoff, promises.LEAD_DUE[promise])
        if due is None or promise == Promise.FOLLOW_UP:
            continue
        start = promises.start_of(handoff, promise, SlaResult.Scope.LEAD)
        there = SlaResult.objects.filter(
            handoff=handoff, promise=promise, scope=SlaResult.Scope.LEAD, due=due, voided_at=None
        )
        if not there.exists():
            row = SlaResult(
                handoff=handoff,
                promise=promise,
                n=1,
                scope=SlaResult.Scope.LEAD,
                holder_id=handoff.owner_id,
                team_id=handoff.team_id,
                start=start,
                due=due,
                result=Result.MISSED,
            )
            made.append(_instead(row, when, promises.hours_of(policy, promise, calendar), known_at))
            made[-1].corrected_from = ""
        setattr(handoff, promises.LEAD_DUE[promise], None)
        handoff.sla_ticks = [
            tick
            for tick in handoff.sla_ticks
            if (tick.get("promise"), tick.get("scope")) != (promise, SlaResult.Scope.LEAD)
        ]
    SlaResult.objects.bulk_create(made)
    promises.show(handoff)
    return made


# In words ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Correction:
    """One late piece of news about one promise of a lead."""

    promise: str
    was: str
    result: str
    contact_at: datetime
    known_at: datetime
    late_by: int


# What the rows of a handoff that stand corrected say; for `of_rows`.
TOLD = {
    "promise": "promise",
    "scope": "scope",
    "was": "corrected_from",
    "result": "result",
    "contact_at": "finished_at",
    "known_at": "at",
    "late_by": "late_by",
}


def beside_openings() -> Case:
    """A column beside acts: what was corrected of their handoff, on its opening alone (else None)."""
    return Case(When(action="open", then=_told(OuterRef("handoff"))), default=None)


def beside_handoffs() -> ArraySubquery:
    """The same beside handoffs."""
    return _told(OuterRef("pk"))


def _told(handoff: OuterRef) -> ArraySubquery:
    rows = SlaResult.objects.filter(handoff=handoff, voided_at=None).exclude(corrected_from="")
    return ArraySubquery(rows.order_by("-at", "-pk").values(told=JSONObject(**TOLD)))


def of_rows(rows: Iterable[Mapping[str, Any]]) -> list[Correction]:
    """Each late piece of news once: the lead's own figure tells it, the share of the one who called says
    no more."""
    found: dict[tuple[str, str], Correction] = {}
    for row in rows:
        key = (row["promise"], row["known_at"])
        if key in found and row["scope"] != SlaResult.Scope.LEAD:
            continue
        found[key] = Correction(
            row["promise"],
            row["was"],
            row["result"],
            datetime.fromisoformat(row["contact_at"]),
            datetime.fromisoformat(row["known_at"]),
            row["late_by"],
        )
    return list(found.values())


WORDS = {
    Promise.ACCEPTANCE: ("answer", "The answer"),
    Promise.FIRST_TOUCH: ("first contact", "The first contact"),
    Promise.FOLLOW_UP: ("next contact", "The next contact"),
}


def words(row: Correction) -> tuple[str, str]:
    """What was put right, and the contact behind it; times as the page's reader has them."""
    called, heard = (localtime(at) for at in (row.contact_at, row.known_at))
    day = "" if called.date() == heard.date() else f" on {called:%-d %b}"
    what, begins = WORDS[Promise(row.promise)]
    was = "was late" if row.was == Result.MISSED else "was called off"
    if row.result == Result.MET:
        text = f"{begins} counts as in time: it {was}, corrected"
    else:
        minutes = max(1, row.late_by // 60)
        late = f"{minutes // 60} h {minutes % 60} min" if minutes > 60 else f"{minutes} min"
        text = f"The {what} {was}, corrected: {late} late"
    return text, f"called{day} at {called:%H:%M}, recorded at {heard:%H:%M}"
