"""Any condition as a plain English sentence, for the editor, the printed agreement and explanations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from leadflow.leads.facts import Fact, known_facts
from leadflow.leads.models import ActivityKind, Stage
from scoring.conditions import nodes as n
from scoring.conditions.fields import Field, catalogue
from scoring.conditions.parse import parse, parse_measure
from scoring.document import Criterion, Document

SCORE_WORDS = {"total": "score", "fit": "fit", "behaviour": "behaviour", "value": "value"}
DOMAIN_WORDS = {
    "free_mail": "free mail",
    "throwaway": "throw-away mail",
    "work": "a work address",
    "own": "our own",
    "competitor": "a competitor's",
    "partner": "a partner's",
    "customer": "a customer's",
}
HANDOFF_KINDS = {
    "bar": "reached the bar",
    "fast_track": "fast track",
    "existing_customer": "existing customer",
    "by_hand": "handed over by hand",
    "own": "own lead of sales",
    "callback": "call back as agreed",
    "repaired": "data repaired",
    "overturned": "rejection overturned",
}
_PROPERTY_WORDS = {"path": "page", "message_key": "message"}
_NEGATIVES = (
    (" is ", " is not "),
    (" has the word ", " does not have the word "),
    (" contains ", " does not contain "),
    (" starts with ", " does not start with "),
)
# A list of more entries than this is cut, with the number of the rest.
SHOWN = 8


@dataclass(frozen=True)
class Words:
    """What keys are called on screen."""

    document: Document
    facts: Mapping[str, Field]
    phrases: Mapping[str, str]
    # The facts of today that `facts` was made from, for other documents.
    today: Mapping[str, Fact] | None = None

    def fact(self, key: str) -> str:
        found = self.facts.get(key)
        label = found.label if found else key.removeprefix("custom.").replace("_", " ")
        # "Job title" in the middle of a sentence, but "E-mail" keeps nothing either: e-mail.
        return label[:1].lower() + label[1:]

    def kind(self, key: str) -> str:
        return self.phrases.get(key, key.replace("_", " "))


def words_for(document: Document, like: "Words | None" = None) -> Words:
    """The words of today: custom fields and activity kinds included. Two queries; none with `like`, words
    that were asked for a moment ago for another document."""
    if like is not None and like.today is not None:
        return Words(document, catalogue(document, like.today), like.phrases, like.today)
    today = known_facts(retired=True)
    phrases = dict(ActivityKind.objects.values_list("key", "phrase"))
    return Words(document, catalogue(document, today), phrases, today)


def sentence(condition: Mapping[str, Any] | n.Node, words: Words) -> str:
    """A condition in English, without a full stop. Raises BadInput when it cannot be read."""
    node = parse(condition) if isinstance(condition, Mapping) else condition
    return _node(node, words, top=True)


def criterion_sentence(criterion: Criterion, words: Words) -> str:
    """What a criterion looks at, in English, with its bands, decay and limits."""
    if criterion.mode == "bands":
        text = measure_words(criterion, words)
        return f"{text}: " + ", ".join(
            f"from {_number(b.start)} {_signed(b.points)}" for b in criterion.bands
        )
    parts = [sentence(criterion.condition or {}, words)]
    if criterion.mode == "each":
        parts.append("each time" + _per_day(criterion.max_per_day))
        if criterion.max_points is not None:
            parts.append(f"at most {criterion.max_points} points")
    faded = decay_words(criterion)
    return ", ".join(parts + [faded] * bool(faded))


def measure_words(criterion: Criterion, words: Words) -> str:
    """What a criterion with bands measures."""
    measure = parse_measure(criterion.of)
    return words.fact(measure.key) if isinstance(measure, n.FactIs) else _figure(measure, words)


def decay_words(criterion: Criterion) -> str:
    """How points fade: 'halves every 14 days'; '' when they do not."""
    if criterion.decay is None:
        return ""
    days = _plural(criterion.decay.days, "day")
    return {
        "half_life": f"halves every {days}",
        "linear": f"fades to nothing over {days}",
        "expiry": f"counts for {days}",
    }.get(criterion.decay.kind, "")


def _per_day(limit: int | None) -> str:
    return "" if limit is None else " (once a day)" if limit == 1 else f" ({limit} a day at most)"


def _node(node: n.Node, words: Words, *, top: bool = False) -> str:
    if isinstance(node, n.Always):
        return "always"
    if isinstance(node, n.Not):
        return _negated(node.item, words)
    if isinstance(node, n.All | n.Some):
        joint = " and " if isinstance(node, n.All) else " or "
        text = joint.join(_node(item, words) for item in node.items)
        return text if top or len(node.items) == 1 else f"({text})"
    return _leaf(node, words)


def _negated(node: n.Node, words: Words) -> str:
    if isinstance(node, n.CriterionHolds):
        return f"not {_leaf(node, words)}"
    if isinstance(node, n.FactIs) and node.op in ("known", "unknown"):
        return _leaf(n.FactIs(node.key, "unknown" if node.op == "known" else "known"), words)
    if isinstance(node, n.FactIs):
        text = _fact(node, words)
        for verb, negative in _NEGATIVES:
            if verb in text:
                return text.replace(verb, negative, 1)
    return f"not ({_node(node, words, top=True)})"


def _leaf(leaf: n.Leaf, words: Words) -> str:
    match leaf:
        case n.FactIs():
            return _fact(leaf, words)
        case n.Changed():
            return f"{words.fact(leaf.key)} was said or changed in the last {_plural(leaf.days, 'day')}"
        case n.Behaviour():
            return _behaviour(leaf, words)
        case n.Ratio():
            share = f"{_number(leaf.value * 100)} %"
            return (
                f"{words.kind(leaf.of)}: {_compared(leaf.op, share)} of the messages of which it "
                f"{words.kind(leaf.to)}, of at least {leaf.min}, in {_plural(leaf.days, 'day')}"
            )
        case n.CriterionHolds():
            return _criterion(leaf, words)
        case n.Active():
            return f"active in the last {_plural(leaf.days, 'day')}"
        case n.Contactable():
            return "can be contacted"
        case n.ScoreIs():
            return f"{SCORE_WORDS[leaf.group]} {_compared(leaf.op, _number(leaf.value))}"
        case n.GradeIn():
            return f"grade {_listed(leaf.grades)}"
        case n.PersonaIs():
            return f"persona {_persona(leaf.key, words)}"
        case n.StageIn():
            return f"stage {_listed([dict(Stage.choices).get(s, s) for s in leaf.stages])}"
        case n.HandoffIs():
            return _handoff(leaf)


def _persona(key: str, words: Words) -> str:
    return next((p.name for p in words.document.personas if p.key == key and p.name), key)


def _criterion(leaf: n.CriterionHolds, words: Words) -> str:
    found = words.document.criterion(leaf.id)
    text = f"“{found.text}”" if found and found.text else leaf.id
    return (
        text
        if leaf.own_act_days is None
        else f"{text} by an act of the last {_plural(leaf.own_act_days, 'day')}"
    )


def _handoff(leaf: n.HandoffIs) -> str:
    values = [v or "none" for v in leaf.values]
    if leaf.fact == "kind":
        return f"handoff is {_listed([HANDOFF_KINDS.get(v, v) for v in values])}"
    if leaf.fact == "fast_track":
        return "fast track" if "true" in values else f"fast track {_listed(values)}"
    if leaf.fact == "letter":
        return f"grade {_listed(values)}"
    return "in the team's hours" if "true" in values else "outside the team's hours"


def _fact(leaf: n.FactIs, words: Words) -> str:
    name = words.fact(leaf.key)
    given = [str(v) for v in leaf.value] if isinstance(leaf.value, tuple) else []
    match leaf.op:
        case "known" | "unknown":
            return f"{name} is {leaf.op}"
        case "is_true":
            return name if leaf.key.startswith("is_") else f"{name}: yes"
        case "is_false":
            return f"{name}: no"
        case "is":
            return f"{name} is {_listed(given)}"
        case "is_not":
            return f"{name} is known and not {_listed(given)}"
        case "has_word":
            return f"{name} has the word {_listed(given)}"
        case "contains":
            return f"{name} contains {_listed([f'“{g}”' for g in given])}"
        case "starts_with":
            return f"{name} starts with {_listed([f'“{g}”' for g in given])}"
        case "in_list":
            return f"{name} is in the list “{_list_label(given, words)}”"
        case "domain_kind":
            return f"{name} is {_listed([DOMAIN_WORDS.get(g, g) for g in given])}"
        case "in_last_days":
            return f"{name} is in the last {_number(leaf.value)} days"
        case "between" if len(given) == 2:
            low, high = leaf.value if isinstance(leaf.value, tuple) else given
            return f"{name} is {_value(low)} to {_value(high)}"
    return f"{name} is {_compared(leaf.op, _value(leaf.value))}"


def _list_label(given: Sequence[str], words: Words) -> str:
    found = words.document.lists.get(given[0]) if given else None
    return found.label if found else (given[0] if given else "")


def _behaviour(leaf: n.Behaviour, words: Words) -> str:
    text = _figure(leaf, words)
    if leaf.agg == "count":
        return text + _times(leaf.op, leaf.value) + _window(leaf.did.days)
    if leaf.agg == "recency":
        return f"{_acts(leaf.did, words)}, last time {_compared(leaf.op, _number(leaf.value))} days ago"
    return f"{text}: {_compared(leaf.op, _number(leaf.value))}"


def _figure(leaf: n.Behaviour, words: Words) -> str:
    acts = _acts(leaf.did, words)
    if leaf.agg == "days":
        return f"days on which it {acts}{_window(leaf.did.days)}"
    if leaf.agg == "sum":
        return f"{leaf.property.replace('_', ' ')} in all, where it {acts}{_window(leaf.did.days)}"
    return acts


def _acts(did: n.Did, words: Words) -> str:
    text = _listed([words.kind(kind) for kind in did.kinds])
    for where in did.where:
        text += _where(where)
    return text


def _where(where: n.Where) -> str:
    given = [str(v) for v in where.value] if isinstance(where.value, tuple) else []
    name = _PROPERTY_WORDS.get(where.property, where.property.replace("_", " "))
    if where.property == "path" and where.op == "starts_with":
        return f" under {_listed(given)}"
    if where.op in n.KNOWN_OPS:
        return f" with {name} {where.op}"
    if where.op in ("is", "is_not", "contains", "starts_with", "in_list"):
        verb = {"is": "", "is_not": "not ", "contains": "containing ", "starts_with": "starting with "}
        return f" with {name} {verb.get(where.op, 'in ')}{_listed(given)}"
    if where.op == "between" and len(given) == 2:
        low, high = where.value if isinstance(where.value, tuple) else given
        return f" with {name} {_value(low)} to {_value(high)}"
    return f" with {name} {_compared(where.op, _value(where.value))}"


def _times(op: str, value: Decimal) -> str:
    if op == "gte" and value == 1:
        return ""
    return f" {_compared(op, _number(value))} times"


def _window(days: int | None) -> str:
    return "" if days is None else f" in the last {_plural(days, 'day')}"


def _compared(op: str, value: str) -> str:
    return {
        "eq": f"{value}",
        "ne": f"other than {value}",
        "lt": f"less than {value}",
        "lte": f"{value} or less",
        "gt": f"more than {value}",
        "gte": f"{value} or more",
    }.get(op, f"{op} {value}")


def _value(value: Any) -> str:
    return _number(value) if isinstance(value, Decimal | int | float) else str(value or "")


def _number(value: Any) -> str:
    number = Decimal(str(value))
    if number == number.to_integral_value():
        return f"{int(number):,}"
    return f"{number.normalize():,f}"


def _signed(points: int) -> str:
    return f"+{points}" if points >= 0 else f"−{-points}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + "s" * (count != 1)


def _listed(items: Sequence[str]) -> str:
    shown = list(items[:SHOWN])
    if len(items) > SHOWN:
        return ", ".join(shown) + f" or {len(items) - SHOWN} more"
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
