"""What another system can hear of: the names of the events, in words, and who wants which."""

from collections.abc import Iterable

from handoff.models import WebhookEndpoint

# Each act of the machine, as others hear of it.
OF_ACT = {
    "open": "handoff.offered",
    "claim": "handoff.claimed",
    "accept": "handoff.accepted",
    "reject": "handoff.rejected",
    "touch": "handoff.touched",
    "log_contact": "handoff.contacted",
    "return": "handoff.returned",
    "qualify": "handoff.qualified",
    "win": "handoff.won",
    "lose": "handoff.lost",
    "reassign": "handoff.reassigned",
    "snooze": "handoff.snoozed",
    "wake": "handoff.woken",
    "undo": "handoff.undone",
    "dispute": "handoff.disputed",
    "settle": "handoff.settled",
    "withdraw": "handoff.withdrawn",
}
# An outcome from outside is told as what it made of the handoff.
OF_OUTCOME = {"opportunity": "handoff.qualified", "won": "handoff.won", "lost": "handoff.lost"}

NAMES: dict[str, str] = {
    "handoff.*": "Everything that happens to a handoff",
    "handoff.offered": "A lead is offered to sales",
    "handoff.claimed": "Somebody claimed it from the pool",
    "handoff.accepted": "Sales accepted it",
    "handoff.rejected": "Sales rejected it, with the reason",
    "handoff.touched": "The first contact",
    "handoff.contacted": "One more contact",
    "handoff.returned": "Sales gave it back",
    "handoff.qualified": "It became an opportunity",
    "handoff.won": "The deal was won",
    "handoff.lost": "The deal was lost",
    "handoff.late": "A promise of sales is late",
    "handoff.reassigned": "It went to somebody else",
    "handoff.snoozed": "It sleeps until a day",
    "handoff.woken": "It is awake again",
    "handoff.undone": "The last act was taken back",
    "handoff.disputed": "Marketing objects to a rejection",
    "handoff.settled": "The objection was decided",
    "handoff.withdrawn": "It was taken back from sales",
    "customer.won": "A new deal is on record, by click or from another system",
    "stage.changed": "A lead moved to another stage",
    "score.changed": "The grade of a lead changed",
    "audience.*": "Leads join or leave a list for other systems",
    "audience.joined": "A lead joined a list",
    "audience.left": "A lead left a list",
}
TEST = "test"
ALL = ("handoff.*", "customer.won", "stage.changed", "score.changed")
FOR_CHAT = ("handoff.offered", "handoff.late", "customer.won")


def words(name: str) -> str:
    """An event as people read it; what has no words any more stays as it was told."""
    return "A test" if name == TEST else NAMES.get(name, name)


def of_act(action: str, to_state: str) -> str:
    """The event of an act; empty for one that nobody outside hears of."""
    return OF_OUTCOME.get(to_state, "") if action == "outcome" else OF_ACT.get(action, "")


def wants(endpoint: WebhookEndpoint, event: str) -> bool:
    """Whether the endpoint asked for this event, by its name or by its family."""
    return any(
        name == event or (name.endswith(".*") and event.startswith(name[:-1])) for name in endpoint.events
    )


def wants_any(endpoint: WebhookEndpoint, names: Iterable[str]) -> bool:
    """Whether it asked for one of these."""
    return any(wants(endpoint, name) for name in names)
