"""The table of the handoff: who may do what, from which state to which. Everything reads it.

Closed by default: what no row allows, nobody may. The machine asks it, the pages draw their buttons from
it, the API its allowed actions, `manage.py handoff_diagram` the picture in docs/handoff.md.
"""

from dataclasses import dataclass
from enum import StrEnum

from handoff.models import OPEN, State

ANY_OPEN: tuple[State, ...] = OPEN
STAYS = None


class Who(StrEnum):
    """In what capacity somebody acts; a person may have several for one handoff."""

    SYSTEM = "LeadFlow"
    OWNER = "owner"
    # Any active, present member of the team that a pooled handoff was offered to, with room for one more.
    POOL = "member of the pool"
    MANAGER = "manager of the team"
    MARKETER = "marketer"
    REP = "rep"
    SAME = "who did the last act"
    # A key of the API acts for the owner: a CRM in which the owner works.
    KEY = "API key"


@dataclass(frozen=True)
class Action:
    """One row of the table.

    `sources` are the states it starts from (empty: before there is a handoff), `target` the state it leads
    to (`STAYS`: none of its business). `guards` name the checks in `handoff.guards`; `key` is the key on
    the keyboard; `needs` the arguments that must be given, `takes` those that may be.
    """

    name: str
    label: str
    sources: tuple[State, ...]
    target: State | None
    who: tuple[Who, ...]
    key: str = ""
    guards: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    # Its effects reach into nurture: pages and API of feedback do it, and call the machine.
    closed_loop: bool = False
    button: bool = True
    done: str = ""


_HANDS = (Who.OWNER, Who.KEY)
_REASON = ("reason_key",)
_NOTE = ("note", "date")
ACCEPTED_OR_WORKING = (State.ACCEPTED, State.WORKING)
BEFORE_DEAL = (State.OFFERED, State.ACCEPTED, State.WORKING)
WITH_REP = (State.ACCEPTED, State.WORKING, State.OPPORTUNITY)

_ROWS = (
    Action(
        "open",
        "Hand over",
        (),
        State.OFFERED,
        (Who.SYSTEM, Who.MARKETER, Who.REP),
        guards=("agreement_in_force", "not_left_out", "no_open_handoff"),
        takes=("reason", "to"),
        button=False,
        done="handed over",
    ),
    Action(
        "claim",
        "Claim",
        (State.OFFERED,),
        State.OFFERED,
        (Who.POOL,),
        "c",
        guards=("in_pool", "room"),
        done="claimed",
    ),
    Action(
        "accept",
        "Accept",
        (State.OFFERED,),
        State.ACCEPTED,
        (*_HANDS, Who.POOL),
        "a",
        guards=("mine_or_pool",),
        done="accepted",
    ),
    Action(
        "reject",
        "Reject",
        (State.OFFERED,),
        State.REJECTED,
        _HANDS,
        "r",
        guards=("reason",),
        needs=_REASON,
        takes=_NOTE,
        closed_loop=True,
        done="rejected",
    ),
    Action(
        "touch",
        "Log first contact",
        (State.OFFERED, State.ACCEPTED),
        State.WORKING,
        (*_HANDS, Who.POOL, Who.SYSTEM),
        "l",
        guards=("mine_or_pool", "contact"),
        takes=("channel", "result", "note", "occurred_at", "call_back"),
        done="contacted",
    ),
    Action(
        "log_contact",
        "Log contact",
        (State.WORKING,),
        State.WORKING,
        (*_HANDS, Who.SYSTEM),
        "l",
        guards=("contact",),
        takes=("channel", "result", "note", "occurred_at", "call_back"),
        done="contacted",
    ),
    Action(
        "return",
        "Give back",
        ACCEPTED_OR_WORKING,
        State.RETURNED,
        _HANDS,
        "r",
        guards=("reason", "attempts_used"),
        needs=_REASON,
        takes=_NOTE,
        closed_loop=True,
        done="gave back",
    ),
    Action(
        "qualify",
        "Opportunity",
        ACCEPTED_OR_WORKING,
        State.OPPORTUNITY,
        _HANDS,
        "o",
        guards=("deal",),
        needs=("amount", "need", "date"),
        closed_loop=True,
        done="made an opportunity of",
    ),
    Action(
        "win",
        "Won",
        WITH_REP,
        State.WON,
        _HANDS,
        "w",
        guards=("deal",),
        needs=("amount",),
        closed_loop=True,
        done="won",
    ),
    Action(
        "lose",
        "Lost",
        WITH_REP,
        State.LOST,
        _HANDS,
        "x",
        guards=("reason",),
        needs=_REASON,
        takes=_NOTE,
        closed_loop=True,
        done="lost",
    ),
    Action(
        "outcome",
        "Outcome from outside",
        ANY_OPEN,
        STAYS,
        (Who.SYSTEM,),
        guards=("deal",),
        needs=("kind",),
        takes=("amount", "reason", "date", "outcome_id"),
        button=False,
        done="recorded the outcome of",
    ),
    Action(
        "reassign",
        "Give to somebody else",
        ANY_OPEN,
        STAYS,
        (Who.MANAGER, Who.SYSTEM, Who.KEY),
        "g",
        guards=("receiver",),
        needs=("to",),
        takes=("reason",),
        done="reassigned",
    ),
    Action(
        "snooze",
        "Snooze",
        BEFORE_DEAL,
        STAYS,
        _HANDS,
        "s",
        guards=("awake", "snooze"),
        needs=("until", "reason"),
        done="snoozed",
    ),
    Action(
        "wake",
        "Wake",
        BEFORE_DEAL,
        STAYS,
        (*_HANDS, Who.SYSTEM),
        "s",
        guards=("asleep",),
        done="woke",
    ),
    Action(
        "undo",
        "Undo",
        tuple(State),
        STAYS,
        (Who.SAME,),
        "z",
        guards=("undo",),
        closed_loop=True,
        done="took back the last act on",
    ),
    Action(
        "dispute",
        "Object",
        (State.REJECTED,),
        STAYS,
        (Who.MARKETER,),
        guards=("dispute",),
        needs=("note",),
        closed_loop=True,
        done="objected to",
    ),
    Action(
        "settle",
        "Decide",
        (State.REJECTED,),
        STAYS,
        (Who.MANAGER,),
        guards=("disputed",),
        takes=("note",),
        closed_loop=True,
        done="decided on",
    ),
    Action(
        "withdraw",
        "Withdraw",
        ANY_OPEN,
        State.WITHDRAWN,
        (Who.MANAGER, Who.SYSTEM),
        needs=("reason",),
        done="withdrew",
    ),
)

TABLE: dict[str, Action] = {row.name: row for row in _ROWS}


def action(name: str) -> Action | None:
    """The row of an action, None for a word that is none."""
    return TABLE.get(name)


def targets(row: Action, source: State) -> tuple[State, ...]:
    """The states that an action may lead to from `source`; an imported outcome has several."""
    if row.name == "outcome":
        return (State.OPPORTUNITY, State.WON, State.LOST)
    return (row.target or source,)
