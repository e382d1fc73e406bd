"""Agreement beyond chance: equal to published worked examples and to a second computation."""

from fractions import Fraction
from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.workshops.agreement_measures import (
    NONE_TO_COMPARE,
    ONE_ANSWER,
    ONE_PERSON,
    UNEQUAL,
    by_chance,
    cohen,
    fleiss,
)

# A busy machine is slow at times; that says nothing of a measure.
without_hurry = settings(deadline=None)
ANSWERS = ("good", "not_good", "unsure")


def _pairs(both_yes: int, yes_no: int, no_yes: int, both_no: int) -> list[tuple[str, str]]:
    return (
        [("yes", "yes")] * both_yes
        + [("yes", "no")] * yes_no
        + [("no", "yes")] * no_yes
        + [("no", "no")] * both_no
    )


@pytest.mark.parametrize(
    ("counts", "value"),
    [
        # Worked examples of the two-by-two table that text books use: 50 and 100 cases.
        ((20, 5, 10, 15), "0.4000"),
        ((45, 15, 25, 15), "0.1304"),
        ((25, 35, 5, 35), "0.2593"),
    ],
)
def test_cohen_gives_the_published_values(counts, value) -> None:
    assert f"{float(cohen(_pairs(*counts)).value):.4f}" == value


# Fourteen raters put ten subjects into five classes; the published result is 0.210.
FOURTEEN = [
    (0, 0, 0, 0, 14),
    (0, 2, 6, 4, 2),
    (0, 0, 3, 5, 6),
    (0, 3, 9, 2, 0),
    (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0),
    (3, 2, 6, 3, 0),
    (2, 5, 3, 2, 2),
    (6, 5, 2, 1, 0),
    (0, 2, 2, 3, 7),
]


def test_fleiss_gives_the_published_value() -> None:
    cards = [[k for k, times in enumerate(row) for _ in range(times)] for row in FOURTEEN]
    found = fleiss(cards)
    assert float(found.value) == pytest.approx(0.20993070442195522, abs=1e-15)
    assert round(float(found.observed), 3) == 0.378
    assert round(float(found.by_chance), 3) == 0.213


def _cohen_again(pairs) -> Fraction:
    """By drawing: a card's two answers, against any answer of the one and any of the other."""
    equal = Fraction(sum(a == b for a, b in pairs), len(pairs))
    crossed = [(a, b) for a, _ in pairs for _, b in pairs]
    chance = Fraction(sum(a == b for a, b in crossed), len(crossed))
    return 1 - (1 - equal) / (1 - chance)


def _fleiss_again(cards) -> Fraction:
    """By drawing: two answers of one card, against two answers of all cards with putting back."""
    shares = []
    for card in cards:
        drawn = list(permutations(range(len(card)), 2))
        shares.append(Fraction(sum(card[i] == card[j] for i, j in drawn), len(drawn)))
    every = [answer for card in cards for answer in card]
    chance = Fraction(sum(a == b for a in every for b in every), len(every) ** 2)
    return 1 - (1 - sum(shares) / len(shares)) / (1 - chance)


answers = st.sampled_from(ANSWERS)


@without_hurry
@given(st.lists(st.tuples(answers, answers), min_size=1, max_size=25))
def test_cohen_equals_a_second_computation(pairs) -> None:
    found = cohen(pairs)
    if found.value is None:
        assert len({answer for pair in pairs for answer in pair}) == 1
    else:
        assert found.value == _cohen_again(pairs)
        assert -1 <= found.value <= 1


@without_hurry
@given(
    st.integers(2, 5).flatmap(
        lambda raters: st.lists(st.lists(answers, min_size=raters, max_size=raters), min_size=1, max_size=12)
    )
)
def test_fleiss_equals_a_second_computation(cards) -> None:
    found = fleiss(cards)
    if found.value is None:
        assert len({answer for card in cards for answer in card}) == 1
    else:
        assert found.value == _fleiss_again(cards)
        assert found.value <= 1


def test_the_order_of_people_and_cards_does_not_matter() -> None:
    cards = [["good", "unsure", "good"], ["not_good", "not_good", "good"], ["unsure", "good", "good"]]
    assert fleiss(cards) == fleiss([sorted(card) for card in reversed(cards)])


def test_what_is_not_defined_says_why() -> None:
    assert cohen([]).why == NONE_TO_COMPARE
    assert fleiss([]).why == NONE_TO_COMPARE
    assert cohen([("good", "good")] * 7).why == ONE_ANSWER
    assert fleiss([["good"] * 3] * 7).why == ONE_ANSWER
    assert fleiss([["good"], ["not_good"]]).why == ONE_PERSON
    assert fleiss([["good", "good"], ["good"]]).why == UNEQUAL
    assert fleiss([[], []]).why == ONE_PERSON


def test_two_who_each_say_one_thing_always_and_differ_agree_as_chance_would() -> None:
    assert cohen([("good", "not_good")] * 5).value == 0


def test_full_agreement_over_two_answers_is_one() -> None:
    assert cohen([("good", "good"), ("unsure", "unsure")]).value == 1
    assert fleiss([["good"] * 4, ["unsure"] * 4]).value == 1


def test_chance_is_fishers_exact_test() -> None:
    # Fisher's own tea: 3 of 4 right on each side happens by chance in 34 of 70, to both ends.
    assert by_chance(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert by_chance(4, 4, 0, 4) == pytest.approx(2 / 70)
    assert by_chance(2, 2, 0, 0) == 1.0


@without_hurry
@given(st.integers(0, 5), st.integers(1, 5), st.integers(0, 5), st.integers(1, 5))
def test_chance_equals_counting_all_deals(with_good, good, with_bad, bad) -> None:
    with_good, with_bad = min(with_good, good), min(with_bad, bad)
    deals = list(combinations(range(good + bad), with_good + with_bad))
    among = [sum(card < good for card in deal) for deal in deals]
    seen = among.count(with_good)
    as_rare = sum(among.count(k) for k in set(among) if among.count(k) <= seen)
    assert by_chance(with_good, good, with_bad, bad) == pytest.approx(as_rare / len(deals))
