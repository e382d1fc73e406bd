"""What marks the good leads of a workshop: facts and acts that are more frequent among them.

Each mark is a condition of the rule language, so that it reads as the agreement reads and can become a rule.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median_low
from typing import Any

from leadflow.leads.facts import free_mail_domains
from leadflow.leads.folding import fold, words
from scoring.conditions.explain import Words, sentence
from scoring.conditions.fields import Field
from scoring.workshops.agreement_measures import by_chance
from scoring.workshops.comparing import Comparison, Sorted
from scoring.workshops.knowing import number_of

Json = Any

# Acts are looked at in so many days before the card's instant.
DAYS = 90
# Fewer leads of one kind, or with one mark, and nothing is said.
FEWEST = 3
# A mark must be more frequent by so much of the whole.
GAP = 0.2
HINT = 0.05
SHOWN = 10
_NO_WORDS = {"of", "and", "the", "for", "in", "und", "der", "de", "et", "la", "le", "y", "e"}
_VALUES = ("country", "industry", "first_source", "company_country")
_GAPS = ("phone", "title", "company_name", "industry", "employees", "country")
_FLAGS = ("is_target", "is_partner", "is_customer")
# Facts that mostly say the same.
_FAMILIES = {"company_country": "country"}
_NEVER = (
    "name",
    "email",
    "email_domain",
    "company_domain",
    "phone",
    "city",
    "company_name",
    "first_campaign",
)


@dataclass(frozen=True)
class Mark:
    """A condition, and how many good and not good leads meet it. `chance` as in `by_chance`."""

    condition: Json
    group: str
    text: str
    with_good: int
    good: int
    with_bad: int
    bad: int
    chance: float
    # Among how many conditions it was found.
    looked_at: int

    @property
    def for_good(self) -> bool:
        return self.with_good * self.bad >= self.with_bad * self.good

    @property
    def gap(self) -> float:
        return abs(self.with_good / self.good - self.with_bad / self.bad)

    @property
    def precise(self) -> bool:
        """It names where something was done, not only what."""
        return bool((self.condition.get("did") or {}).get("where"))

    @property
    def order(self) -> tuple[float, float, bool, str]:
        """The surest first, then the widest apart, then the most precise."""
        return (self.chance, -self.gap, not self.precise, self.text)

    @property
    def clear(self) -> bool:
        """Hardly by chance, although so many were looked at."""
        return self.chance * self.looked_at <= HINT

    @property
    def hint(self) -> bool:
        """Hardly by chance, had it been the only one that was looked at."""
        return self.chance <= HINT

    @property
    def honesty(self) -> tuple[str, str]:
        """In words how far to trust it, and the look of the tag."""
        if self.clear:
            return "clear", "ok"
        return ("a hint", "acc") if self.hint else ("may be chance", "")


@dataclass(frozen=True)
class Found:
    """The marks worth showing, and how many were looked at. `too_few` says why there is none."""

    marks: Sequence[Mark]
    looked_at: int
    too_few: str = ""

    @property
    def by_luck(self) -> int:
        """How many would look like a hint by chance alone."""
        return round(self.looked_at * HINT)


def find(comparison: Comparison, names: Words) -> Found:
    """The marks of what both sides call good, against what both call not good; the surest first."""
    good, bad = comparison.good, comparison.bad
    if len(good) < FEWEST or len(bad) < FEWEST:
        return Found(
            [],
            0,
            f"You both call {len(good)} good and {len(bad)} not good: too few to say what marks them. "
            f"From {FEWEST} of each on it is said here.",
        )
    every = [*good, *bad]
    goods = {one.card.pk for one in good}
    carriers = {
        key: who
        for key, who in _candidates(comparison, every).items()
        if len(who) >= FEWEST and len(every) - len(who) >= FEWEST
    }
    worth = []
    for key, who in carriers.items():
        condition, group = _CONDITIONS[key[0]](*key[1:])
        with_good = len(who & goods)
        with_bad = len(who) - with_good
        mark = Mark(
            condition,
            group,
            _text(condition, names),
            with_good,
            len(good),
            with_bad,
            len(bad),
            by_chance(with_good, len(good), with_bad, len(bad)),
            len(carriers),
        )
        if mark.gap >= GAP:
            worth.append((mark, frozenset(who)))
    worth.sort(key=lambda pair: pair[0].order)
    return Found(list(_once(worth))[:SHOWN], len(carriers))


def _once(marks: Iterable[tuple[Mark, frozenset[int]]]) -> Iterator[Mark]:
    """Of marks of one family that the same leads carry only the first."""
    seen = set()
    for mark, who in marks:
        fact = str(mark.condition.get("fact") or "did")
        same = (_FAMILIES.get(fact, fact), who)
        if same not in seen:
            seen.add(same)
            yield mark


def _text(condition: Json, names: Words) -> str:
    text = sentence(condition, names)
    return text[:1].upper() + text[1:]


# Candidates: (kind, …what) → the cards that carry it ---------------------------------------------------

Key = tuple[Any, ...]
Carriers = dict[Key, set[int]]


def _candidates(comparison: Comparison, cards: Sequence[Sorted]) -> Carriers:
    found: Carriers = defaultdict(set)
    for field in comparison.reader.catalogue.values():
        _of_fact(field, cards, found)
    for one in cards:
        domain = one.known.values.get("email_domain", "")
        if fold(domain) in free_mail_domains():
            found["free_mail",].add(one.card.pk)
        for word in words(one.known.values.get("title", "")).split():
            if len(word) > 2 and word not in _NO_WORDS:
                found["word", word].add(one.card.pk)
    counts = comparison.reader.counts([one.card for one in cards], DAYS)
    for pk, acts in counts.items():
        for (kind, part), times in acts.items():
            found["did", kind, part, 1].add(pk)
            if times >= 3:
                found["did", kind, part, 3].add(pk)
    return found


def _of_fact(field: Field, cards: Sequence[Sorted], found: Carriers) -> None:
    values = {one.card.pk: one.known.values[field.key] for one in cards if field.key in one.known.values}
    if field.key in _GAPS or field.custom:
        found["known", field.key, field.subject] = set(values)
    if field.key in _FLAGS or (field.custom and field.type == "boolean"):
        found["true", field.key, field.subject] = {pk for pk, value in values.items() if value == "true"}
    elif field.is_text and (field.key in _VALUES or field.custom) and field.key not in _NEVER:
        for value, common in _common(values).items():
            found["value", field.key, field.subject, value] = common
    elif field.type == "number":
        _of_number(field, values, found)


def _common(values: Mapping[int, str]) -> dict[str, set[int]]:
    """The values that several cards share, in the form that is used most."""
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    who: dict[str, set[int]] = defaultdict(set)
    for pk, value in values.items():
        forms[fold(value)][value] += 1
        who[fold(value)].add(pk)
    return {forms[key].most_common(1)[0][0]: pks for key, pks in who.items() if len(pks) >= FEWEST}


def _of_number(field: Field, values: Mapping[int, str], found: Carriers) -> None:
    """Above the middle of what is known: one cut only, so that nothing is searched for."""
    numbers = {pk: n for pk, value in values.items() if (n := number_of(value)) is not None}
    if len(numbers) >= 2 * FEWEST:
        cut = median_low(numbers.values())
        found["over", field.key, field.subject, cut] = {pk for pk, n in numbers.items() if n > cut}


def _fact(key: str, op: str, value: Json = None) -> Json:
    return {"fact": key, "op": op} if value is None else {"fact": key, "op": op, "value": value}


def _group(subject: str) -> str:
    """By which group a fact scores: the agreement counts the company's size as what it may bring."""
    return "value" if subject == "company" else "fit"


def _over(key: str, subject: str, cut: Decimal) -> tuple[Json, str]:
    number = int(cut) if cut == cut.to_integral_value() else float(cut)
    return _fact(key, "gt", number), _group(subject)


def _did(kind: str, part: str, times: int) -> tuple[Json, str]:
    where = [{"property": "path", "op": "starts_with", "value": part}] if part else []
    did = {"kinds": [kind], "where": where, "days": DAYS}
    return {"did": did, "agg": "count", "op": "gte", "value": times}, "behaviour"


_CONDITIONS: dict[str, Any] = {
    "known": lambda key, subject: (_fact(key, "known"), "fit"),
    "true": lambda key, subject: (_fact(key, "is_true"), _group(subject)),
    "value": lambda key, subject, value: (_fact(key, "is", value), "fit"),
    "over": _over,
    "free_mail": lambda: (_fact("email_domain", "domain_kind", "free_mail"), "fit"),
    "word": lambda word: (_fact("title", "has_word", [word]), "fit"),
    "did": _did,
}
