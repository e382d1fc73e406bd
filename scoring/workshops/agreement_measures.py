"""How far people agree beyond what chance alone would give. Exact fractions; nothing here knows of leads.

A measure that cannot be computed says why instead of giving a number.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb

NONE_TO_COMPARE = "There is nothing that both have sorted."
ONE_PERSON = "One person alone cannot agree with anybody."
UNEQUAL = "Not every card was sorted by the same number of people."
ONE_ANSWER = "Everybody gave the same answer to every card, so chance alone would agree as often."


@dataclass(frozen=True)
class Measure:
    """`value` from −1 to 1 (0: as chance would, 1: always the same), `observed` and `by_chance` as shares.

    `value` is None where it is not defined; `why` says so in words.
    """

    value: Fraction | None
    observed: Fraction | None = None
    by_chance: Fraction | None = None
    cases: int = 0
    why: str = ""


def cohen(pairs: Sequence[tuple[Hashable, Hashable]]) -> Measure:
    """Cohen's kappa of two raters, each pair being their answers to one card.

    κ = (p_o − p_e) / (1 − p_e); p_o the share of equal pairs, p_e = Σ_k p₁(k)·p₂(k) with each rater's own
    shares of the answers. J. Cohen, "A coefficient of agreement for nominal scales", Educational and
    Psychological Measurement 20 (1960) 37–46. Undefined for no pair, and where both gave one and the same
    answer throughout (p_e = 1).
    """
    cases = len(pairs)
    if not cases:
        return Measure(None, why=NONE_TO_COMPARE)
    first, second = (Counter(pair[i] for pair in pairs) for i in (0, 1))
    observed = Fraction(sum(a == b for a, b in pairs), cases)
    by_chance = Fraction(sum(first[answer] * second[answer] for answer in first), cases * cases)
    return _corrected(observed, by_chance, cases)


def fleiss(cards: Sequence[Sequence[Hashable]]) -> Measure:
    """Fleiss' kappa of any number of raters, each card being the answers that it got.

    κ = (P̄ − P̄_e) / (1 − P̄_e); P̄ the mean over cards of (Σ_k n_k² − n) / (n (n − 1)), P̄_e = Σ_k p_k² with
    the shares p_k of the answers over all cards; n the same for each card. J. L. Fleiss, "Measuring nominal
    scale agreement among many raters", Psychological Bulletin 76 (1971) 378–382. Undefined for no card, one
    rater, unequal numbers, and where everybody gave one and the same answer throughout.
    """
    cases = len(cards)
    if not cases:
        return Measure(None, why=NONE_TO_COMPARE)
    raters = len(cards[0])
    if any(len(card) != raters for card in cards):
        return Measure(None, cases=cases, why=UNEQUAL)
    if raters < 2:
        return Measure(None, cases=cases, why=ONE_PERSON)
    counts = [Counter(card) for card in cards]
    squares = sum(n * n for card in counts for n in card.values())
    observed = Fraction(squares - cases * raters, cases * raters * (raters - 1))
    whole: Counter[Hashable] = sum(counts, Counter())
    by_chance = Fraction(sum(n * n for n in whole.values()), (cases * raters) ** 2)
    return _corrected(observed, by_chance, cases)


def _corrected(observed: Fraction, by_chance: Fraction, cases: int) -> Measure:
    if by_chance == 1:
        return Measure(None, observed, by_chance, cases, ONE_ANSWER)
    return Measure((observed - by_chance) / (1 - by_chance), observed, by_chance, cases)


def by_chance(with_good: int, good: int, with_bad: int, bad: int) -> float:
    """How often chance alone would make two groups differ at least so much (Fisher's exact test, two-sided).

    `with_good` of `good` cards carry a mark, `with_bad` of `bad` do. R. A. Fisher, "The logic of inductive
    inference", Journal of the Royal Statistical Society 98 (1935) 39–82. 1.0 where one group is empty.
    """
    if not good or not bad:
        return 1.0
    marked, cards = with_good + with_bad, good + bad

    def ways(k: int) -> int:
        return comb(good, k) * comb(bad, marked - k)

    seen = ways(with_good)
    possible = range(max(0, marked - bad), min(good, marked) + 1)
    return float(Fraction(sum(w for k in possible if (w := ways(k)) <= seen), comb(cards, marked)))
