"""What each act does, once it is allowed: the row, the clocks, the lead's ledgers, the notices."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from handoff import acting, corrections, promises
from handoff.acting import Act
from handoff.guards import CHANNELS, REACHED, opening_of
from handoff.models import Pause, Promise, SlaResult, State
from leadflow.errors import BadInput
from leadflow.leads import intake, ledgers, stages
from leadflow.leads.models import Answer, Lead, Outcome, Stage
from scoring import engine
from scoring.document import Reason

OURS = "leadflow"
# A lead that nothing else moves is looked at again after this long.
LOOK_AGAIN = timedelta(days=90)
NEXT_DATE = timedelta(days=14)


def claim(act: Act) -> None:
    """Take it out of the pool; the clocks run on."""
    act.take()


def accept(act: Act) -> None:
    """Sales takes the lead: acceptance is kept, the first touch still runs from the offer."""
    act.take()
    _accepted(act, act.at)


def touch(act: Act) -> None:
    """The first contact; on an offer it accepts too. The earliest contact counts."""
    handoff, when = act.handoff, max(act.args["occurred_at"], act.handoff.first_offered_at)
    act.take()
    if handoff.state == State.OFFERED:
        _accepted(act, when)
    act.over(Promise.FIRST_TOUCH, kept=True, at=when)
    handoff.state = State.WORKING
    _contacted(act, when)


def log_contact(act: Act) -> None:
    """One more contact: the follow-up is kept, the next one starts. An earlier one corrects the record."""
    handoff, when = act.handoff, max(act.args["occurred_at"], act.handoff.first_offered_at)
    if handoff.last_contact_at and when < handoff.last_contact_at:
        _correct(act, when)
        _record_contact(act, when)
        return
    act.over(Promise.FOLLOW_UP, kept=True, at=when)
    _contacted(act, when)


def reject(act: Act) -> None:
    """Sales says no: the acceptance is answered, the first touch is off; the reason says what follows."""
    act.end_running(kept=(Promise.ACCEPTANCE,))
    _give_back(act, State.REJECTED, Answer.Kind.REJECTED)


def give_back(act: Act) -> None:
    """Sales tried, and gives the lead back."""
    act.end_running()
    _give_back(act, State.RETURNED, Answer.Kind.RETURNED)


def qualify(act: Act) -> None:
    """A deal has begun: need, amount and a next date are known. Implies that the lead was contacted."""
    _talked(act)
    _opportunity(act, opening_of(act.args["date"], act.calendar))
    _outcome(act, Outcome.Kind.OPPORTUNITY)


def win(act: Act) -> None:
    """The lead is a customer."""
    _talked(act)
    _won(act)
    _outcome(act, Outcome.Kind.WON)


def lose(act: Act) -> None:
    """The deal is off: nurture or close, as the reason says."""
    act.end_running()
    reason: Reason = act.args["chosen"]
    _lost(act, reason)
    _outcome(act, Outcome.Kind.LOST, reason.text)


def outcome(act: Act) -> None:
    """An outcome came from another system: it does what the click would do. Its ledger row is written."""
    kind = act.args["kind"]
    if kind == "lost":
        act.end_running()
        _lost(act, None)
        return
    if act.handoff.state == State.OFFERED:
        _accepted(act, act.at)
    _talked(act)
    if kind == "won":
        _won(act)
    else:
        day = act.args.get("date") or (act.at + NEXT_DATE).date()
        _opportunity(act, opening_of(day, act.calendar))


def reassign(act: Act) -> None:
    """Somebody else holds it: the old holder's share ends, the new one gets full time, the lead's runs on."""
    handoff, to = act.handoff, act.args["to"]
    for promise in promises.RUNNING.get(handoff.state, ()):
        act.end(promise, kept=False, scopes=(SlaResult.Scope.HOLDER,))
    before = handoff.owner_id
    handoff.owner, handoff.pool, handoff.offered_at = to, to is None, act.at
    if to is not None and to.team_id is not None and to.team_id != handoff.team_id:
        handoff.team = to.team
        act.change_team()
    if handoff.snoozed_until is not None:
        _wake(act)
    promises.restart_for_holder(handoff, act.calendar, act.at)
    act.dealt_with()
    act.tell("moved_here", [to.pk if to else None], mail=True)
    act.tell("moved_away", [before], to=to.name if to else "the team's pool")


def snooze(act: Act) -> None:
    """Let it sleep: the clock stands still, on the record."""
    handoff, until = act.handoff, act.args["until"]
    row = Pause.objects.create(handoff=handoff, starts_at=act.at, ends_at=until)
    act.written["pause"] = row.pk
    handoff.snooze_count += 1
    promises.pause(handoff, act.calendar, act.at, until)


def wake(act: Act) -> None:
    """The clock goes on."""
    _wake(act)
    if act.actor.is_system:
        act.tell("woke", [act.handoff.owner_id])


def withdraw(act: Act) -> None:
    """It should not be with sales: no longer a lead, merged, or the manager says so."""
    act.end_running()
    reason = act.text("reason", 300)
    act.close(State.WITHDRAWN)
    act.handoff.note = reason
    _hold(act, until=act.at, evidence={"kind": "any"})
    act.tell("withdrawn", [act.handoff.owner_id], reason=reason)
    if act.lead.stage in (Stage.SALES_QUALIFIED, Stage.OPPORTUNITY):
        act.move(engine.stage_by_score([act.handoff.lead_id], act.at)[act.handoff.lead_id], "withdrawn")


def undo(act: Act) -> None:
    """Put the row back as it was before the actor's last act, and void what that act wrote."""
    last = act.last
    assert last is not None
    act.undoes = last
    before, wrote = last.before["row"], last.before["wrote"]
    _unwrite(act, wrote)
    acting.restore(act.handoff, before)
    act.before, act.written = {}, {}


def dispute(act: Act) -> None:
    """Marketing objects; only the record: the objection itself is kept by feedback."""


def settle(act: Act) -> None:
    """Sales decided on an objection; only the record, as above."""


EFFECTS: dict[str, Callable[[Act], None]] = {
    "claim": claim,
    "accept": accept,
    "touch": touch,
    "log_contact": log_contact,
    "reject": reject,
    "return": give_back,
    "qualify": qualify,
    "win": win,
    "lose": lose,
    "outcome": outcome,
    "reassign": reassign,
    "snooze": snooze,
    "wake": wake,
    "undo": undo,
    "dispute": dispute,
    "settle": settle,
    "withdraw": withdraw,
}


# ---- Parts of acts ----------------------------------------------------------------------------------------


def _accepted(act: Act, when: datetime) -> None:
    act.handoff.accepted_at = when
    act.over(Promise.ACCEPTANCE, kept=True, at=when)
    act.handoff.state = State.ACCEPTED
    promises.start_touch(act.handoff, act.calendar, when)
    promises.show(act.handoff)
    act.answer(Answer.Kind.ACCEPTED)


def _talked(act: Act) -> None:
    """Whoever knows amount and need has been in touch."""
    act.end_running(kept=tuple(promises.RUNNING.get(act.handoff.state, ())))
    if act.handoff.first_touch_at is None:
        act.handoff.first_touch_at = act.handoff.reached_at = act.at


def _contacted(act: Act, when: datetime) -> None:
    handoff = act.handoff
    handoff.attempts += 1
    handoff.first_touch_at = handoff.first_touch_at or when
    if act.args["result"] in REACHED:
        handoff.reached_at = handoff.reached_at or when
    if handoff.snoozed_until is not None:
        _wake(act)
    promises.start_follow_up(handoff, act.calendar, when, act.args.get("call_back"))
    _record_contact(act, when)


def _record_contact(act: Act, when: datetime) -> None:
    """A contact by click is an activity of the lead like any other; one that came by intake is there."""
    if act.args.get("activity_id"):
        return
    channel, result, note = act.args["channel"], act.args["result"], act.text("note")
    row = {
        "source": OURS,
        "external_id": f"handoff-{act.handoff.pk}-{act.handoff.lock_version + 1}",
        "kind": CHANNELS[channel],
        "lead_id": act.handoff.lead_id,
        "occurred_at": when,
        "user_id": act.actor.user_id or act.handoff.owner_id,
        "channel": channel,
        "result": result,
        "handoff_id": act.handoff.pk,
        "properties": {"note": note} if note else {},
    }
    done = intake.record_activities([row], actor=act.actor, at=act.known_at, noted=True)
    if done.rejected:
        raise BadInput("The contact cannot be noted like that.", list(done.rejected[0].errors))
    act.note("contacts", done.accepted)


def _correct(act: Act, when: datetime) -> None:
    """A contact that came in late and lay before the last one known: what was counted as missed for want of
    it is corrected, and says so. The follow-up runs on from the last contact."""
    handoff = act.handoff
    if handoff.first_touch_at is None or when < handoff.first_touch_at:
        handoff.first_touch_at = when
        handoff.accepted_at = min(handoff.accepted_at or when, when)
    if act.args["result"] in REACHED:
        handoff.reached_at = min(handoff.reached_at or when, when)
    handoff.attempts += 1
    who = act.actor.user_id or handoff.owner_id
    done = corrections.correct(handoff, who, when, act.calendar, known_at=act.known_at)
    act.note("sla_voided", done.voided)
    act.note("sla_new", [row.pk for row in done.made])


def _give_back(act: Act, state: State, kind: Answer.Kind) -> None:
    reason: Reason = act.args["chosen"]
    note = act.text("note")
    act.handoff.reason_key, act.handoff.note = reason.key, note
    act.answer(kind, reason, note)
    act.close(state)
    _hold_by(act, reason)
    _back_to_marketing(act, reason, f"{state.label.lower()}: {reason.text}")
    wait = act.known_at + timedelta(minutes=act.terms.undo_minutes)
    act.tell("answered", [act.handoff.opened_by_id], wait=wait, done=act.row.done, reason=reason.text)


def _lost(act: Act, reason: Reason | None) -> None:
    act.handoff.note = act.text("note") or act.text("reason") or act.handoff.note
    act.close(State.LOST)
    if reason is not None:
        act.handoff.reason_key = reason.key
        _hold_by(act, reason)
    else:
        _hold(act, until=act.at + LOOK_AGAIN, evidence={"kind": "any"})
    _back_to_marketing(act, reason, "lost" if reason is None else f"lost: {reason.text}")


def _back_to_marketing(act: Act, reason: Reason | None, cause: str) -> None:
    closes = reason is not None and reason.closes
    act.move(Stage.DISQUALIFIED if closes else Stage.NURTURING, cause)


def _won(act: Act) -> None:
    amount = act.args.get("amount")
    act.handoff.amount = amount if amount is not None else act.handoff.amount
    act.close(State.WON)
    _hold(act, until=act.at, evidence={"kind": "any"})
    act.move(Stage.CUSTOMER, "won")


def _opportunity(act: Act, next_date: datetime) -> None:
    handoff = act.handoff
    handoff.state = State.OPPORTUNITY
    if act.args.get("amount") is not None:
        handoff.amount = act.args["amount"]
    handoff.need = act.text("need") or handoff.need
    handoff.snoozed_until = None
    promises.remind_at(handoff, max(next_date, act.at))
    act.move(Stage.OPPORTUNITY, "opportunity")


def _outcome(act: Act, kind: Outcome.Kind, reason: str = "") -> None:
    """A click's outcome. The row's version makes its key: won, taken back and won again are two facts."""
    row = ledgers.record_outcome(
        source=OURS,
        external_id=f"handoff-{act.handoff.pk}-{act.handoff.lock_version + 1}",
        kind=kind,
        lead_id=act.handoff.lead_id,
        at=act.at,
        amount=act.handoff.amount,
        reason=reason,
        handoff_id=act.handoff.pk,
        actor=act.actor,
    )
    act.note("outcomes", [row.pk])


def _hold_by(act: Act, reason: Reason) -> None:
    """What the reason says about coming back (DESIGN: none leaves a lead without closing or a next date)."""
    if reason.effect == "callback":
        until: datetime | None = opening_of(act.args["date"], act.calendar)
        _hold(act, until=until, evidence={"kind": "none"}, reason=reason, reopens_as="callback")
    elif reason.effect == "repair":
        _hold(act, until=None, evidence={"kind": "repair"}, reason=reason, reopens_as="repaired")
    else:
        wait = timedelta(days=reason.wait_days or 0)
        _hold(act, until=act.at + wait, evidence=reason.back.as_json(), reason=reason)


def _hold(
    act: Act,
    *,
    until: datetime | None,
    evidence: dict[str, Any],
    reason: Reason | None = None,
    reopens_as: str = "",
) -> None:
    # The lead's row is locked first: the engine reads holds under that lock.
    assert act.lead.pk
    row = engine.hold(
        act.handoff.lead_id,
        since=act.at,
        until=until,
        evidence=evidence,
        reason_key=reason.key if reason else "",
        closes=bool(reason and reason.closes),
        handoff_id=act.handoff.pk,
        reopens_as=reopens_as,
    )
    act.note("holds", [row.pk])
    _set_review(act, until)


def _set_review(act: Act, until: datetime | None) -> None:
    """Everybody who is not with sales has a date at which somebody looks again."""
    when = max(until or act.at, act.at) + LOOK_AGAIN
    Lead.objects.filter(pk=act.handoff.lead_id).update(review_at=when)


def _wake(act: Act) -> None:
    act.handoff.pauses.filter(ends_at__gt=act.at).update(ends_at=act.at)
    promises.resume(act.handoff, act.calendar, act.at)


def _unwrite(act: Act, wrote: dict[str, Any]) -> None:
    handoff, at = act.handoff, act.known_at
    SlaResult.objects.filter(pk__in=wrote.get("sla_new", [])).update(voided_at=at)
    SlaResult.objects.filter(pk__in=wrote.get("sla_finished", [])).update(
        finished_at=None, late_by=0, result=SlaResult.Result.MISSED, corrected_from=""
    )
    SlaResult.objects.filter(pk__in=wrote.get("sla_voided", [])).update(voided_at=None)
    handoff.exceptions.filter(pk__in=wrote.get("exceptions", [])).update(cleared_at=None)
    if wrote.get("answers"):
        ledgers.void_answers(handoff.pk, wrote["answers"], at)
    if wrote.get("contacts"):
        ledgers.take_contacts_back(wrote["contacts"], at)
    if wrote.get("outcomes"):
        ledgers.void_outcomes(handoff.pk, at, wrote["outcomes"])
    if wrote.get("holds"):
        assert act.lead.pk
        engine.end_hold(handoff.lead_id, at=at, by="undo")
    if wrote.get("counted"):
        user_id, day = wrote["counted"]
        acting.uncount_offer(user_id, day)
    if wrote.get("pause"):
        Pause.objects.filter(pk=wrote["pause"]).delete()
    if wrote.get("stage"):
        stages.move(
            [stages.Move(handoff.lead_id, Stage(wrote["stage"]), "taken back", handoff.pk)],
            at=at,
            actor=act.actor,
            agreement_id=handoff.agreement_id,
        )
    acting.cancel_letters(act.last)
