"""What must hold before an act: who somebody is to a handoff, and the checks that the table names.

All run after the row is locked and read again: between a page and a click the world goes on.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import connection
from django.db.models import Count, Min

from handoff import acting, presence, promises
from handoff.acting import Act
from handoff.models import OPEN, Handoff, State, Transition
from handoff.states import TABLE, Action, Who
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, SALES, Role, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden
from leadflow.leads.models import TAKEN_BACK, Activity

RESULTS = {
    "talked": "Talked",
    "meeting": "Meeting",
    "voicemail": "Voicemail",
    "no_answer": "No answer",
    "email": "E-mail",
}
REACHED = ("talked", "meeting")
# How somebody was contacted: the kind of activity that it leaves.
CHANNELS = {
    "phone": "call",
    "email": "message",
    "meeting": "meeting",
    "message": "message",
    "social": "message",
}
LARGEST_AMOUNT = Decimal(10) ** 12
WORKING_DAY = timedelta(hours=8)
CLICK_SLACK = timedelta(minutes=5)
NOT_UNDOABLE = ("open", "undo", "dispute", "settle", "outcome", "withdraw")


# ---- Who somebody is -------------------------------------------------------------------------------------


def capacities(handoff: Handoff, actor: Actor) -> set[Who]:
    """In what capacities the actor meets this handoff; asks the database nothing.

    POOL means here: of the team, and nobody has it; presence and room are checked by `room`.
    """
    if actor.is_system:
        return {Who.SYSTEM}
    if actor.api_key is not None:
        return {Who.KEY}
    user = actor.user
    if user is None or not user.is_active:
        return set()
    found: set[Who] = {Who.SAME}
    if handoff.owner_id == user.pk:
        found.add(Who.OWNER)
    elif handoff.pool and handoff.owner_id is None and user.role in SALES:
        found |= {Who.POOL} if handoff.team_id in (None, user.team_id) else set()
    if manages(user, handoff):
        found.add(Who.MANAGER)
    if user.role in MARKETING:
        found.add(Who.MARKETER)
    if user.role == Role.REP:
        found.add(Who.REP)
    return found


def manages(user: User, handoff: Handoff) -> bool:
    """Whether the person is an admin, or a sales manager of the handoff's team."""
    if user.role == Role.ADMIN:
        return True
    if user.role != Role.SALES_MANAGER:
        return False
    return handoff.team_id is None or handoff.team_id == user.team_id or _named_manager(user, handoff)


def _named_manager(user: User, handoff: Handoff) -> bool:
    return handoff.team is not None and handoff.team.manager_id == user.pk


def check_source(handoff: Handoff, row: Action, last: Transition | None, at: datetime) -> None:
    """Raise Conflict, with who and when, unless the act may start from the present state."""
    if handoff.state not in row.sources:
        raise conflict(handoff, last, at)


def check_who(handoff: Handoff, row: Action, actor: Actor, last: Transition | None, at: datetime) -> None:
    """Raise Forbidden unless the table lets the actor; Conflict for somebody of sales when it is another's
    (or was theirs a moment ago): with the state as it is."""
    if capacities(handoff, actor) & set(row.who):
        return
    mine_before = last is not None and last.owner_before_id != last.owner_after_id
    if actor.user is not None and mine_before and last is not None and Who.OWNER in row.who:
        had_it = last.owner_before_id in (None, actor.user.pk) and actor.user.role in SALES
        if had_it and last.action != "open":
            raise conflict(handoff, last, at)
    if Who.OWNER in row.who and handoff.owner is not None:
        words = f"This lead is with {handoff.owner.name}."
        if actor.user is not None and actor.user.is_active and actor.user.role in SALES:
            raise Conflict(words, conflict(handoff, last, at).current)
        raise Forbidden(words)
    raise Forbidden(f"You may not do this: it is for the {_listed(row)}.")


def conflict(handoff: Handoff, last: Transition | None, at: datetime) -> Conflict:
    """Who was faster, and when."""
    current = {
        "id": handoff.pk,
        "state": handoff.state,
        "owner": handoff.owner_id,
        "owner_name": handoff.owner.name if handoff.owner else "",
    }
    if last is None:
        return Conflict(f"This lead is {State(handoff.state).label.lower()} by now.", current)
    name = last.actor.name if last.actor else "LeadFlow"
    current |= {"by": name, "at": last.at.isoformat(), "action": last.action}
    return Conflict(f"{name} {TABLE[last.action].done} this {ago(at - last.at)}.", current)


def ago(passed: timedelta) -> str:
    """ "20 s ago", "3 min ago", "2 h ago", "4 days ago"."""
    seconds = max(0, int(passed.total_seconds()))
    if seconds < 60:
        return f"{seconds} s ago"
    if seconds < 3_600:
        return f"{seconds // 60} min ago"
    if seconds < 172_800:
        return f"{seconds // 3_600} h ago"
    return f"{seconds // 86_400} days ago"


def _listed(row: Action) -> str:
    people = [str(who) for who in row.who if who not in (Who.SYSTEM, Who.KEY)]
    return " or the ".join(people) or "house itself"


# ---- The checks that the table names ----------------------------------------------------------------------


def room(act: Act) -> None:
    """From the pool: present, and below the agreed number of open leads."""
    handoff, user = act.handoff, act.actor.user
    if not handoff.pool or user is None or handoff.owner_id is not None:
        return
    # The row of the person is locked so that two claims at once cannot both take the last place.
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM accounts_user WHERE id = %s FOR NO KEY UPDATE", [user.pk])
    desk = presence.at_desk(user.pk, act.at, acting.terms_now().admission.capacity_open)
    if desk is None or not desk.present:
        raise Forbidden("You are away today; come back first, then take leads.")
    if not desk.has_room:
        raise Forbidden(f"You have {desk.open_now} open leads, as many as agreed. Finish one first.")
    if handoff.kind in acting.COUNTED and act.row.name == "claim":
        seat = acting.seat_of(user.pk, act.at)
        if seat is not None and seat.given >= seat.per_day:
            raise Forbidden(f"You got your {seat.per_day} new leads of today. This one is for a colleague.")


def in_pool(act: Act) -> None:
    """Only what nobody has can be claimed."""
    if not act.handoff.pool or act.handoff.owner_id is not None:
        raise conflict(act.handoff, act.last, act.at)


def mine_or_pool(act: Act) -> None:
    """A key acts for an owner, so there must be one; somebody of the pool needs room."""
    if act.actor.api_key is not None and act.handoff.owner_id is None:
        raise BadInput("Nobody has this lead yet.", [Fault("to", "Reassign it to somebody first.")])
    room(act)


def reason(act: Act) -> None:
    """One of the agreed reasons, with the note and the date that it asks for."""
    key = str(act.args.get("reason_key") or "").strip()
    if not key:
        raise BadInput("Say why.", [Fault("reason_key", "Choose one of the agreed reasons.")])
    found = act.terms.reason(key)
    if found is None:
        known = ", ".join(r.key for r in act.terms.reasons)
        raise BadInput("That reason is not in the agreement.", [Fault("reason_key", f"Known: {known}.")])
    if found.return_only and act.row.name == "reject":
        raise BadInput(
            f"“{found.text}” needs attempts first.",
            [Fault("reason_key", "Accept the lead and try to reach them; then give it back like this.")],
        )
    note = act.text("note")
    if len(note) < found.note_min:
        raise BadInput(
            f"“{found.text}” needs a note.",
            [Fault("note", f"At least {found.note_min} characters, so that marketing can learn from it.")],
        )
    when = day_of(act.args.get("date"))
    if found.needs_date and when is None:
        raise BadInput(f"“{found.text}” needs a date.", [Fault("date", "When shall we come back?")])
    if when is not None and when <= act.at.astimezone(act.calendar.zone).date():
        raise BadInput("That date has passed.", [Fault("date", "Choose a day after today.")])
    act.args["chosen"], act.args["date"] = found, when


def attempts_used(act: Act) -> None:
    """ "No answer" only after the agreed attempts, days and channels."""
    found = act.args["chosen"]
    if not found.return_only:
        return
    missing = attempts_missing(act.handoff, act.terms.give_up, act.calendar, act.at)
    if missing:
        raise BadInput("Not yet.", [Fault("reason_key", f"Agreed before giving up: {missing}.")])


def attempts_missing(handoff: Handoff, give_up: Any, calendar: Any, at: datetime) -> str:
    """What is still to be tried before "no answer" may be said; empty when nothing."""
    noted = Activity.objects.filter(
        lead_id=handoff.lead_id, handoff_id=handoff.pk, kind__contact=True, occurred_at__lte=at
    )
    made = noted.exclude(properties__has_key=TAKEN_BACK).aggregate(
        n=Count("pk"), channels=Count("channel", distinct=True), first=Min("occurred_at")
    )
    attempts = max(made["n"], handoff.attempts)
    parts = []
    if attempts < give_up.attempts:
        parts.append(f"{give_up.attempts} attempts (so far {attempts})")
    first = made["first"] or handoff.first_touch_at
    if first is None or calendar.between(first, at) < WORKING_DAY * give_up.working_days:
        parts.append(f"{give_up.working_days} working days after the first")
    if made["channels"] < give_up.channels:
        parts.append(f"{give_up.channels} channels (so far {made['channels']})")
    return ", ".join(parts)


def contact(act: Act) -> None:
    """A contact has a known result and channel, and lies between the offer and now; a call back that was
    agreed on lies within what may wait."""
    result = str(act.args.get("result") or "talked")
    channel = str(act.args.get("channel") or ("email" if result == "email" else "phone"))
    faults = []
    if result not in RESULTS:
        faults.append(Fault("result", f"One of {', '.join(RESULTS)}."))
    if channel not in CHANNELS:
        faults.append(Fault("channel", f"One of {', '.join(CHANNELS)}."))
    when = act.args.get("occurred_at") or act.at
    if not isinstance(when, datetime):
        faults.append(Fault("occurred_at", "A date and time."))
    elif when > act.at + CLICK_SLACK:
        faults.append(Fault("occurred_at", "A contact lies in the past."))
    back, wrong = _call_back(act)
    faults += wrong
    if faults:
        raise BadInput("The contact cannot be noted like that.", faults)
    act.text("note")
    act.args |= {"result": result, "channel": channel, "occurred_at": min(when, act.at), "call_back": back}


def _call_back(act: Act) -> tuple[datetime | None, list[Fault]]:
    """Until when to call back: a day means until its closing time; no longer than what sleeps may sleep."""
    raw = act.args.get("call_back")
    back = instant_of(raw, act.calendar, "call_back")
    if back is None:
        return None, []
    if not isinstance(raw, datetime) and len(str(raw)) <= 10:
        midnight = datetime.combine(
            back.astimezone(act.calendar.zone).date() + timedelta(days=1), time(), act.calendar.zone
        )
        back = act.calendar.add(midnight, -timedelta(seconds=1)) + timedelta(seconds=1)
    days = act.terms.snooze.working_days
    if back <= act.at:
        return None, [Fault("call_back", "Choose a time after now.")]
    if back > act.calendar.add(act.at, WORKING_DAY * (days + 1)):
        words = f"At most {days} working days ahead, as agreed; for later give the lead back with a date."
        return None, [Fault("call_back", words)]
    act.args["note"] = (
        f"Call back by {back.astimezone(act.calendar.zone):%a %-d %b, %H:%M}. {act.text('note')}"
    )
    return back, []


def deal(act: Act) -> None:
    """An opportunity has amount, need and date; a win an amount. An outcome from outside may lack them."""
    from_outside = act.row.name == "outcome"
    kind = str(act.args.get("kind") or "")
    if from_outside and kind not in ("opportunity", "won", "lost"):
        raise BadInput("That outcome is unknown.", [Fault("kind", "One of opportunity, won, lost.")])
    faults = []
    raw = act.args.get("amount")
    if raw in (None, "") and not from_outside:
        faults.append(Fault("amount", "How much is it worth, about?"))
    try:
        amount = None if raw in (None, "") else Decimal(str(raw)).quantize(Decimal("0.01"))
    except InvalidOperation:
        amount = None
        faults.append(Fault("amount", "A number, such as 38400."))
    if amount is not None and not (amount.is_finite() and 0 <= amount < LARGEST_AMOUNT):
        faults.append(Fault("amount", "An amount is zero or more, and less than a billion."))
    if act.row.name == "qualify":
        if not act.text("need"):
            faults.append(Fault("need", "What do they need?"))
        when = day_of(act.args.get("date"))
        if when is None:
            faults.append(Fault("date", "When is the next step?"))
        elif when < act.at.astimezone(act.calendar.zone).date():
            faults.append(Fault("date", "Choose today or a later day."))
    if faults:
        raise BadInput("Something is missing about the deal.", faults)
    act.args |= {"amount": amount, "date": day_of(act.args.get("date"))}


def receiver(act: Act) -> None:
    """A lead goes to an active person of sales, or ("pool") back to the team."""
    if act.args.get("to") == "pool":
        if act.handoff.team_id is None:
            raise BadInput("There is no team to take it.", [Fault("to", "Choose a rep.")])
        act.args["to"] = None
        return
    to = acting.person_of(act.args.get("to"))
    if not to.is_active:
        raise BadInput(f"{to.name} is not active any more.", [Fault("to", "Choose somebody else.")])
    if to.role not in SALES:
        raise BadInput(f"{to.name} is not in sales.", [Fault("to", "Choose a rep.")])
    act.args["to"] = to


def awake(act: Act) -> None:
    """What sleeps cannot be put to sleep again."""
    if act.handoff.snoozed_until is not None:
        raise BadInput("It is asleep already.", [Fault("until", "Wake it first.")])


def asleep(act: Act) -> None:
    """Only what sleeps can wake."""
    if act.handoff.snoozed_until is None:
        raise BadInput("It is awake.", [])


def snooze(act: Act) -> None:
    """As often and as long as agreed, with a reason."""
    policy, handoff = act.terms.snooze, act.handoff
    until = instant_of(act.args.get("until"), act.calendar)
    faults = []
    if not act.text("reason"):
        faults.append(Fault("reason", "Say why it can wait."))
    if promises.policy_of(handoff).snooze_after_touch and handoff.first_touch_at is None:
        faults.append(
            Fault("until", "Get in touch first: before the first contact it may not sleep, as agreed.")
        )
    elif handoff.snooze_count >= policy.times:
        faults.append(Fault("until", f"It slept {handoff.snooze_count} times, as often as agreed."))
    elif until is None:
        faults.append(Fault("until", "Until when?"))
    elif until <= act.at:
        faults.append(Fault("until", "Choose a time after now."))
    elif until > act.calendar.add(act.at, WORKING_DAY * policy.working_days):
        faults.append(Fault("until", f"At most {policy.working_days} working days, as agreed."))
    if faults:
        raise BadInput("It cannot sleep like that.", faults)
    act.args["until"] = until


def undo(act: Act) -> None:
    """The actor's own last act, within the agreed minutes, and nothing has followed."""
    last = act.last
    if last is None or not may_undo(last, act.actor, act.at, act.terms.undo_minutes):
        raise (
            conflict(act.handoff, last, act.at)
            if _foreign(last, act.actor)
            else Conflict(
                f"Only your last act can be taken back, within {act.terms.undo_minutes} minutes.",
                {"id": act.handoff.pk, "state": act.handoff.state},
            )
        )
    others = Handoff.objects.filter(lead_id=act.handoff.lead_id, state__in=OPEN).exclude(pk=act.handoff.pk)
    if others.exists():
        raise Conflict("This lead has gone to sales again meanwhile.", {"state": act.handoff.state})


def _foreign(last: Transition | None, actor: Actor) -> bool:
    return last is not None and last.actor_id != actor.user_id


def may_undo(last: Transition, actor: Actor, at: datetime, minutes: int) -> bool:
    """Whether this last act is the actor's to take back."""
    return (
        actor.user is not None
        and last.actor_id == actor.user.pk
        and last.action not in NOT_UNDOABLE
        and bool(last.before)
        and at - last.at <= timedelta(minutes=minutes)
    )


def dispute(act: Act) -> None:
    """Marketing objects once, within 30 days, in words."""
    if not act.text("note"):
        raise BadInput("Say what you object to.", [Fault("note", "One sentence is enough.")])
    closed = act.handoff.closed_at
    if closed is not None and act.at - closed > timedelta(days=30):
        raise BadInput("That was more than 30 days ago.", [Fault("", "Bring it to the monthly review.")])
    if _has(act, "dispute"):
        raise Conflict("This rejection was objected to already.", {"state": act.handoff.state})


def disputed(act: Act) -> None:
    """Only an open objection can be decided, once."""
    if not _has(act, "dispute"):
        raise BadInput("Nobody objected to this rejection.", [])
    if _has(act, "settle"):
        raise Conflict("This objection was decided already.", {"state": act.handoff.state})


def _has(act: Act, action: str) -> bool:
    return act.handoff.transitions.filter(action=action).exists()


CHECKS: dict[str, Callable[[Act], None]] = {
    "room": room,
    "in_pool": in_pool,
    "mine_or_pool": mine_or_pool,
    "reason": reason,
    "attempts_used": attempts_used,
    "contact": contact,
    "deal": deal,
    "receiver": receiver,
    "awake": awake,
    "asleep": asleep,
    "snooze": snooze,
    "undo": undo,
    "dispute": dispute,
    "disputed": disputed,
}


# ---- Reading arguments ------------------------------------------------------------------------------------


def day_of(value: Any) -> date | None:
    """A date from a date, a datetime or ISO text. Raises BadInput for what is none."""
    if value in (None, ""):
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        raise BadInput("That is no date.", [Fault("date", "Write it as 2026-12-01.")]) from None


def instant_of(value: Any, calendar: Any, name: str = "until") -> datetime | None:
    """An instant from a datetime, a date (its opening) or ISO text. Raises BadInput for what is none."""
    if value in (None, ""):
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if len(value) > 10 else date.fromisoformat(value)
        except ValueError:
            raise BadInput("That is no time.", [Fault(name, "Write it as 2026-12-01T09:00.")]) from None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=calendar.zone)
    return opening_of(value, calendar)


def opening_of(day: date, calendar: Any) -> datetime:
    """The first working instant of a day (or after it, when the day is closed)."""
    opening: datetime = calendar.add(datetime.combine(day, time(), calendar.zone), timedelta(0))
    return opening
