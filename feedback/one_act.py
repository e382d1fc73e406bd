"""One act of one lead, for a thumb: where the links of a mail or a chat land. Opening it changes nothing.

The page says why now and until when, and has one large button. What is not possible any more is told in
words: who did what, and when. A form that misses something comes back with what was entered.
"""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from feedback import verdicts
from feedback.acts import date_of
from handoff import guards, machine
from handoff import queue as selectors
from handoff.models import OPEN, Handoff, State
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role, User
from leadflow.accounts.rights import roles
from leadflow.accounts.templatetags.lf import due_text
from leadflow.errors import BadInput, Conflict, Fault, Forbidden
from leadflow.web import PageRequest

ACTS = ("accept", "call", "reject")
# Which acts of the machine each of the three may be; the first one allowed is it.
MEANS = {"accept": ("accept",), "call": ("touch", "log_contact"), "reject": ("reject", "return")}
AFTER = {"accept": "call", "call": "call", "reject": "reject"}


@require_http_methods(["GET", "POST"])
@roles(Role.REP, Role.SALES_MANAGER)
def one_act(request: PageRequest, pk: int, act: str) -> HttpResponse:
    """The page of one act; a POST carries it out and goes on to what comes next."""
    if act not in ACTS:
        raise Http404
    user, now = request.user, clock.now()
    handoff = selectors.find(user, pk)
    fault = ""
    status = 200
    if request.method == "POST":
        try:
            done = _carry_out(request, handoff, act)
        except (BadInput, Conflict, Forbidden) as wrong:
            fault, status = _words(wrong), {BadInput: 422, Conflict: 409, Forbidden: 403}[type(wrong)]
            handoff = selectors.find(user, pk)
        else:
            messages.success(request, _said(act, done))
            return redirect("feedback:one-act", pk, AFTER[act])
    context = _page(user, handoff, act, now) | {"fault": fault, "said": request.POST}
    return render(request, "feedback/one_act.html", context, status=status)


def _page(user: User, handoff: Handoff, act: str, now: datetime) -> dict[str, Any]:
    panel = selectors.doing(user, handoff, now)
    means = next((name for name in MEANS[act] if name in panel.acts), "")
    chips = [chip for chip in panel.chips if not (chip.off and means == "reject")]
    return {
        "panel": panel,
        "handoff": handoff,
        "lead": handoff.lead,
        "act": act,
        "means": means,
        "chips": chips,
        "results": selectors.RESULT_KEYS,
        "why_not": "" if means else _why_not(user, handoff, act, now),
        "can": {name: bool(set(MEANS[name]) & set(panel.acts)) for name in ACTS if name != act},
        "now": now,
    }


def _carry_out(request: PageRequest, handoff: Handoff, act: str) -> Handoff:
    actor = person(request.user)
    said = request.POST
    if act == "accept":
        return machine.apply("accept", handoff.pk, actor)
    if act == "call":
        if said.get("result", "") not in guards.RESULTS:
            raise BadInput("Say how it went.", [Fault("result", "Choose one of the results.")])
        action = "log_contact" if handoff.state == State.WORKING else "touch"
        return machine.apply(
            action, handoff.pk, actor, result=said["result"], channel="phone", note=said.get("note", "")
        )
    answer = verdicts.reject if handoff.state == State.OFFERED else verdicts.return_
    return answer(
        handoff.pk,
        actor,
        reason_key=said.get("reason", ""),
        note=said.get("note", "").strip(),
        date=date_of(said.get("date", "")),
    )


def _said(act: str, done: Handoff) -> str:
    """What was done, and what is promised next."""
    due = f", {due_text(done.sla_due_at, clock.now())[1]}" if done.sla_due_at and done.state in OPEN else ""
    if act == "accept":
        return f"{done.lead} is yours: call next{due}."
    if act == "call":
        return f"Noted. Next contact{due}." if due else "Noted."
    return f"{done.lead} goes back to marketing."


def _words(wrong: Exception) -> str:
    more = [fault.message for fault in getattr(wrong, "faults", [])]
    return " ".join([str(wrong), *more]) or "You may not do this."


def _why_not(user: User, handoff: Handoff, act: str, now: datetime) -> str:
    """Why this act is none of the reader's now."""
    if handoff.state in OPEN and handoff.owner_id not in (None, user.pk) and handoff.owner is not None:
        return f"{handoff.lead} is with {handoff.owner.name}."
    if handoff.owner_id is None and handoff.state == State.OFFERED:
        return "It waits in the team’s pool: whoever is present and has room for one more may take it."
    return guards.conflict(handoff, machine.last_acts([handoff.pk]).get(handoff.pk), now).message
