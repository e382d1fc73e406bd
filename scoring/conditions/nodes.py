"""The words of the condition language, as typed nodes. `parse` makes them; nothing else should."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

Number = Decimal
# A text or list of texts (folded by the compiler), a number, an ISO day, a pair, or nothing.
Value = tuple[str, ...] | Decimal | str | tuple[Decimal, Decimal] | tuple[str, str] | None

TEXT_OPS = ("is", "is_not", "has_word", "contains", "starts_with", "in_list")
ORDER_OPS = ("eq", "ne", "lt", "lte", "gt", "gte")
KNOWN_OPS = ("known", "unknown")
BOOLEAN_OPS = ("is_true", "is_false")
FACT_OPS = (*TEXT_OPS, *ORDER_OPS, "between", "in_last_days", *BOOLEAN_OPS, *KNOWN_OPS, "domain_kind")
WHERE_OPS = ("is", "is_not", "contains", "starts_with", "in_list", *ORDER_OPS, "between", *KNOWN_OPS)
DOMAIN_KINDS = ("free_mail", "throwaway", "work", "own", "competitor", "partner", "customer")
AGGREGATES = ("count", "days", "sum", "recency")
SCORES = ("total", "fit", "behaviour", "value")
HANDOFF_FACTS = ("kind", "fast_track", "letter", "team_hours")


@dataclass(frozen=True)
class All:
    """Every one holds."""

    items: tuple["Node", ...]


@dataclass(frozen=True)
class Some:
    """At least one holds."""

    items: tuple["Node", ...]


@dataclass(frozen=True)
class Not:
    """It does not hold. Two-valued: what is missing does not hold, so its Not does."""

    item: "Node"


@dataclass(frozen=True)
class Always:
    """Holds for everybody: a stage without a condition. Cannot be written in a rule."""


@dataclass(frozen=True)
class FactIs:
    """A fact of the lead or its company compared with a value."""

    key: str
    op: str
    value: Value = None


@dataclass(frozen=True)
class Changed:
    """A fact was said or changed in the last `days`."""

    key: str
    days: int


@dataclass(frozen=True)
class Where:
    """A property of an activity compared with a value."""

    property: str
    op: str
    value: Value = None


@dataclass(frozen=True)
class Did:
    """Activities of some kinds that pass every filter, in the last `days` (None: ever)."""

    kinds: tuple[str, ...]
    where: tuple[Where, ...] = ()
    days: int | None = None


@dataclass(frozen=True)
class Behaviour:
    """A figure over matching activities compared with a number. `recency`: whole days since the newest."""

    did: Did
    agg: str = "count"
    property: str = ""
    op: str = "gte"
    value: Decimal = field(default=Decimal(1))


@dataclass(frozen=True)
class Ratio:
    """Distinct messages of kind `of` ÷ distinct messages of kind `to` in the last `days`."""

    of: str
    to: str
    days: int
    min: int
    op: str
    value: Decimal


@dataclass(frozen=True)
class CriterionHolds:
    """A criterion's condition; with `own_act_days` only own acts of these days count in it."""

    id: str
    own_act_days: int | None = None


@dataclass(frozen=True)
class Active:
    """An own act in the last `days`."""

    days: int


@dataclass(frozen=True)
class Contactable:
    """There is a phone, or an e-mail that did not bounce, and no wish not to be contacted."""


@dataclass(frozen=True)
class ScoreIs:
    """The total or a group compared with a whole number."""

    group: str
    op: str
    value: Decimal


@dataclass(frozen=True)
class GradeIn:
    grades: tuple[str, ...]


@dataclass(frozen=True)
class PersonaIs:
    key: str


@dataclass(frozen=True)
class StageIn:
    stages: tuple[str, ...]


@dataclass(frozen=True)
class HandoffIs:
    """What a handoff is, for promises and routing: kind, fast_track (a number or any), letter, team_hours."""

    fact: str
    values: tuple[str, ...]


Leaf = (
    FactIs
    | Changed
    | Behaviour
    | Ratio
    | CriterionHolds
    | Active
    | Contactable
    | ScoreIs
    | GradeIn
    | PersonaIs
    | StageIn
    | HandoffIs
)
Node = All | Some | Not | Always | Leaf


def leaves(node: Node) -> Iterator[Leaf]:
    """Every leaf, in order."""
    if isinstance(node, All | Some):
        for item in node.items:
            yield from leaves(item)
    elif isinstance(node, Not):
        yield from leaves(node.item)
    elif not isinstance(node, Always):
        yield node


def positive_leaves(node: Node) -> Iterator[Leaf]:
    """The leaves that do not stand under a Not."""
    if isinstance(node, All | Some):
        for item in node.items:
            yield from positive_leaves(item)
    elif not isinstance(node, Always | Not):
        yield node


def positive_behaviours(node: Node) -> list[Behaviour]:
    """The behaviour leaves that do not stand under a Not: those that a criterion can count and age."""
    return [leaf for leaf in positive_leaves(node) if isinstance(leaf, Behaviour)]
