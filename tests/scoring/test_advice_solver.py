"""The regression behind suggested points, against values found by other routes."""

from math import exp, log, sqrt
from random import Random

import pytest

from scoring.advising import solver

TRUE = (1.2, -0.8, 0.3, 0.0)
SHARES = (0.2, 0.5, 0.35, 0.6)


def drawn() -> tuple[list[list[int]], list[bool]]:
    rng = Random(11)
    rows, good = [], []
    for _ in range(300):
        row = [i for i in range(4) if rng.random() < SHARES[i]]
        z = -1 + sum(TRUE[i] for i in row)
        rows.append(row)
        good.append(rng.random() < 1 / (1 + exp(-z)))
    return rows, good


def test_the_weights_are_those_of_a_well_known_library() -> None:
    """scikit-learn 1.7, LogisticRegression(C=1, tol=1e-12), on the same 300 draws; errors by numpy from the
    inverse of the penalised information."""
    found = solver.fit(*drawn(), 4)
    assert found is not None
    assert found.intercept == pytest.approx(-1.22233264, abs=1e-6)
    assert found.weights == pytest.approx((1.04071906, -0.46603355, 0.62505529, -0.16819110), abs=1e-6)
    assert found.errors == pytest.approx((0.30330715, 0.26694319, 0.27267844, 0.26653044), abs=1e-6)
    assert found.interval(0)[0] == pytest.approx(1.04071906 - 1.959964 * 0.30330715, abs=1e-6)


def test_with_one_feature_and_hardly_any_ridge_it_is_the_log_of_the_odds_ratio() -> None:
    # 30 of 40 with it, 20 of 60 without: ln((30/10) / (20/40)).
    rows = [[0]] * 40 + [[]] * 60
    good = [True] * 30 + [False] * 10 + [True] * 20 + [False] * 40
    found = solver.fit(rows, good, 1, ridge=1e-9)
    assert found is not None
    assert found.intercept == pytest.approx(log(20 / 40), abs=1e-6)
    assert found.weights[0] == pytest.approx(log(6), abs=1e-6)
    # Woolf's error: the root of the summed reciprocals.
    assert found.errors[0] == pytest.approx(sqrt(1 / 30 + 1 / 10 + 1 / 20 + 1 / 40), abs=1e-6)


def test_at_the_maximum_no_direction_leads_up() -> None:
    rows, good = drawn()
    found = solver.fit(rows, good, 4, ridge=2.5)
    assert found is not None

    def height(weights: list[float]) -> float:
        total = -0.5 * 2.5 * sum(w * w for w in weights[:4])
        for row, end in zip(rows, good, strict=True):
            z = weights[4] + sum(weights[i] for i in row)
            total += (z if end else 0) - log(1 + exp(z))
        return total

    best = [*found.weights, found.intercept]
    for i in range(5):
        for step in (-1e-3, 1e-3):
            assert height([w + step * (k == i) for k, w in enumerate(best)]) < height(best)


def test_a_feature_that_only_the_good_have_gets_a_finite_weight() -> None:
    found = solver.fit([[0]] * 20 + [[]] * 30, [True] * 20 + [False] * 30, 1)
    assert found is not None
    assert 2 < found.weights[0] < 8
    assert found.interval(0)[0] > 0


def test_without_two_kinds_of_ends_there_is_nothing_to_fit() -> None:
    assert solver.fit([[0], []], [True, True], 1) is None
    assert solver.fit([], [], 1) is None
