"""The figures of a backtest against values worked out by hand or by another route."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import sqrt
from random import Random

import pytest

from scoring.backtesting import measures
from scoring.backtesting.measures import Case, Share

MONDAY = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def case(total: int, good: bool, day: int = 0, **more: object) -> Case:
    return Case(MONDAY + timedelta(days=day), good, total, "A1", **more)  # type: ignore[arg-type]


def test_wilsons_interval_is_the_one_of_the_textbook() -> None:
    # 10 of 20: (0.5 + z²/40 ± z·√(0.0125 + z²/1600)) / (1 + z²/20), by hand.
    low, high = measures.wilson(10, 20)
    assert low == pytest.approx(0.2993, abs=1e-4)
    assert high == pytest.approx(0.7007, abs=1e-4)
    # Newcombe's own table: 81 of 263.
    low, high = measures.wilson(81, 263)
    assert low == pytest.approx(0.2553, abs=1e-4)
    assert high == pytest.approx(0.3662, abs=1e-4)


def test_wilsons_interval_stays_a_share_at_the_ends() -> None:
    assert measures.wilson(0, 0) == (0.0, 1.0)
    low, high = measures.wilson(0, 10)
    assert low == 0.0
    assert high == pytest.approx(0.2775, abs=1e-4)
    assert measures.wilson(10, 10)[1] == 1.0


def test_the_difference_of_two_shares_is_newcombes() -> None:
    # His example: 56 of 70 against 48 of 80.
    d, low, high = measures.difference(Share(56, 70), Share(48, 80))
    assert d == pytest.approx(0.2)
    assert low == pytest.approx(0.0524, abs=1e-4)
    assert high == pytest.approx(0.3339, abs=1e-4)
    assert measures.difference(Share(0, 0), Share(1, 2)) == (0.0, -1.0, 1.0)


def test_the_area_counts_pairs_and_halves_ties() -> None:
    # Pairs: 3>2, 3>1, 2=2, 2>1 → 3.5 of 4.
    found = measures.area([3, 2], [2, 1])
    assert found is not None
    assert found.value == pytest.approx(3.5 / 4)
    # Placements: good (1, ¾), bad (¾, 1); their variances are 1/32 each, over 2 each.
    assert found.variance == pytest.approx(1 / 64 + 1 / 64)


def test_the_area_and_its_variance_equal_their_definition_on_drawn_scores() -> None:
    rng = Random(4)
    good = [rng.randint(20, 60) for _ in range(60)]
    bad = [rng.randint(0, 50) for _ in range(90)]

    def psi(x: float, y: float) -> float:
        return 1.0 if x > y else 0.5 if x == y else 0.0

    theta = sum(psi(x, y) for x in good for y in bad) / 5400
    v10 = [sum(psi(x, y) for y in bad) / 90 for x in good]
    v01 = [sum(psi(x, y) for x in good) / 60 for y in bad]
    s10 = sum((v - theta) ** 2 for v in v10) / 59
    s01 = sum((v - theta) ** 2 for v in v01) / 89
    found = measures.area(good, bad)
    assert found is not None
    assert found.value == pytest.approx(theta)
    assert found.variance == pytest.approx(s10 / 60 + s01 / 90)
    # Hanley and McNeil's formula, another route to the same interval, is near.
    q1, q2 = theta / (2 - theta), 2 * theta**2 / (1 + theta)
    hanley = (theta * (1 - theta) + 59 * (q1 - theta**2) + 89 * (q2 - theta**2)) / 5400
    assert sqrt(found.variance) == pytest.approx(sqrt(hanley), rel=0.15)
    # The area under the drawn curve, by trapezes, is the same number.
    points = measures.curve(good, bad)
    drawn = sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in pairwise(points))
    assert drawn == pytest.approx(theta)


def test_a_version_does_not_differ_from_itself_and_differs_from_its_reverse() -> None:
    good, bad = [5.0, 6, 7, 8, 4], [1.0, 2, 6, 3]
    d = measures.area_difference((good, bad), (good, bad))
    assert d == (0.0, 0.0, 0.0)
    turned = measures.area_difference((good, bad), ([-x for x in good], [-x for x in bad]))
    assert turned is not None
    assert turned[0] == pytest.approx(2 * 17.5 / 20 - 1)
    assert turned[1] > 0
    assert measures.area([1], [2, 3]) is None
    assert measures.area_difference(([1.0], bad), ([1.0], bad)) is None


def test_the_best_of_a_week_are_chosen_week_by_week_without_those_left_out() -> None:
    cases = [
        case(90, True),
        case(80, False, 1),
        case(70, True, 2),
        case(95, True, 3, excluded=True),
        case(20, True, 7),
        case(10, False, 8),
    ]
    best = measures.best_of_week(cases, 2, "Europe/Berlin")
    assert [(c.total, c.good) for c in best] == [(90, True), (80, False), (20, True), (10, False)]
    assert measures.share_of(best) == Share(2, 4)
    assert measures.usual_week(cases, "Europe/Berlin") == 3


def test_a_week_begins_on_monday_in_the_agreements_zone() -> None:
    late_sunday = datetime(2026, 11, 8, 23, 30, tzinfo=UTC)  # Monday 00:30 in Berlin
    cases = [case(50, True), Case(late_sunday, False, 60, "A1")]
    assert len(measures.best_of_week(cases, 1, "Europe/Berlin")) == 2
    assert len(measures.best_of_week(cases, 1, "UTC")) == 1


def test_the_page_begins_with_a_number_that_leaves_a_choice() -> None:
    assert measures.choice_of(measures.BEST, 100) == 50
    assert measures.choice_of(measures.BEST, 7) == 3
    assert measures.choice_of(measures.BEST, 0) == 3


def test_the_summary_counts_by_hand() -> None:
    cases = [
        Case(MONDAY, True, 80, "A1", "Website", sales=True),
        Case(MONDAY, False, 75, "A2", "Website", sales=True),
        Case(MONDAY, False, 30, "C1", "Fair"),
        Case(MONDAY, True, 60, "B1", "Fair", excluded=True, sales=True),
        Case(MONDAY, False, 100, "A1", ""),
    ]
    found = measures.summary(cases, "UTC", "ABCD")
    assert (found["all"]["good"], found["all"]["of"]) == (2, 5)
    assert not found["enough"]
    assert [(g["grade"], g["good"], g["of"]) for g in found["grades"]] == [
        ("A", 1, 3),
        ("B", 0, 0),
        ("C", 0, 1),
        ("D", 0, 0),
    ]
    assert (found["excluded"]["good"], found["excluded"]["of"]) == (1, 1)
    assert [(s["source"], s["good"], s["of"], s["points"]) for s in found["sources"]] == [
        ("Fair", 1, 2, 45.0),
        ("Website", 1, 2, 77.5),
        ("(none)", 0, 1, 100.0),
    ]
    assert (found["bar"]["above"]["good"], found["bar"]["above"]["of"]) == (1, 2)
    assert (found["bar"]["caught"]["good"], found["bar"]["caught"]["of"]) == (1, 2)
    assert [(b["from"], b["of"]) for b in found["bands"]] == [(30, 1), (70, 1), (80, 1), (90, 1)]


def test_nothing_at_all_is_summed_up_too() -> None:
    found = measures.summary([], "UTC", "ABCD")
    assert found["all"]["of"] == 0
    assert found["area"] is None
    assert found["curve"] == []
    assert not found["enough"]
