"""Logistic regression with a ridge, for features that are there or not.

The likelihood of the ends, less half the ridge times the squared weights (the intercept is free), has one
maximum; Newton's steps (iteratively reweighted least squares) find it in a handful of rounds. Leads with
the same features and end are counted, not repeated, so some ten thousand of them take well under a second
without any library.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

RIDGE = 1.0
Z95 = 1.959964
ROUNDS = 60
# The gradient below which it counts as found.
STILL = 1e-9


@dataclass(frozen=True)
class Fit:
    """Log-odds: the intercept, a weight per feature, and the standard error of each weight.

    The errors come from the inverse of the penalised information, so they hold the ridge's certainty too.
    """

    intercept: float
    weights: tuple[float, ...]
    errors: tuple[float, ...]
    rounds: int

    def interval(self, i: int, z: float = Z95) -> tuple[float, float]:
        """Wald's interval of a weight."""
        return self.weights[i] - z * self.errors[i], self.weights[i] + z * self.errors[i]


def fit(
    rows: Iterable[Sequence[int]], good: Iterable[bool], features: int, ridge: float = RIDGE
) -> Fit | None:
    """The fit of ends to features; each row lists the numbers of the features that are there.

    None when all ends are the same, or there are none. `ridge` must be positive: it keeps a feature that
    all leads of one end share from an endless weight.
    """
    counted: Counter[tuple[tuple[int, ...], bool]] = Counter(
        (tuple(sorted(row)), end) for row, end in zip(rows, good, strict=True)
    )
    groups: dict[tuple[int, ...], list[int]] = {}
    for (row, end), count in counted.items():
        group = groups.setdefault(row, [0, 0])
        group[0] += count
        group[1] += count if end else 0
    total = sum(n for n, _ in groups.values())
    won = sum(k for _, k in groups.values())
    if won in (0, total):
        return None
    # The last place is the intercept's.
    found = [(*row, features) for row in groups]
    counts = list(groups.values())
    weights = [0.0] * features + [log(won / (total - won))]
    likelihood = _likelihood(found, counts, weights, ridge)
    rounds = 0
    for rounds in range(1, ROUNDS + 1):  # noqa: B007 - told in the answer
        gradient, information = _derivatives(found, counts, weights, ridge)
        if max(map(abs, gradient)) < STILL * max(1, total):
            break
        step = _solve(_cholesky(information), gradient)
        scale = 1.0
        while scale > 1e-6:
            tried = [w + scale * s for w, s in zip(weights, step, strict=True)]
            reached = _likelihood(found, counts, tried, ridge)
            if reached >= likelihood:
                break
            scale /= 2
        if scale <= 1e-6:
            break
        weights, likelihood = tried, reached
    lower = _cholesky(_derivatives(found, counts, weights, ridge)[1])
    errors = tuple(sqrt(_inverse_at(lower, i)) for i in range(features))
    return Fit(weights[-1], tuple(weights[:-1]), errors, rounds)


def _likelihood(
    rows: Sequence[Sequence[int]], counts: Sequence[Sequence[int]], weights: Sequence[float], ridge: float
) -> float:
    total = -0.5 * ridge * sum(w * w for w in weights[:-1])
    for row, (n, k) in zip(rows, counts, strict=True):
        z = sum(weights[i] for i in row)
        # log(1 + e^z) without overflow.
        total += k * z - n * (max(z, 0.0) + log(1 + exp(-abs(z))))
    return total


def _derivatives(
    rows: Sequence[Sequence[int]], counts: Sequence[Sequence[int]], weights: Sequence[float], ridge: float
) -> tuple[list[float], list[list[float]]]:
    """The gradient, and the information (minus the second derivative; only its lower half is filled)."""
    size = len(weights)
    gradient = [-ridge * w for w in weights[:-1]] + [0.0]
    information = [[0.0] * (i + 1) for i in range(size)]
    for i in range(size - 1):
        information[i][i] = ridge
    for row, (n, k) in zip(rows, counts, strict=True):
        z = sum(weights[i] for i in row)
        p = 1 / (1 + exp(-z)) if z >= 0 else exp(z) / (1 + exp(z))
        rest, weight = k - n * p, n * p * (1 - p)
        for place, i in enumerate(row):
            gradient[i] += rest
            line = information[i]
            for j in row[: place + 1]:
                line[j] += weight
    return gradient, information


def _cholesky(lower_half: Sequence[Sequence[float]]) -> list[list[float]]:
    """L with L·Lᵀ = the matrix. It is positive definite, for the ridge is."""
    found: list[list[float]] = []
    for i, line in enumerate(lower_half):
        row = list(line)
        for j in range(i + 1):
            other = found[j] if j < i else row
            rest = row[j] - sum(row[k] * other[k] for k in range(j))
            row[j] = sqrt(max(rest, 1e-12)) if i == j else rest / other[j]
        found.append(row)
    return found


def _solve(lower: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """x with L·Lᵀ·x = right."""
    size = len(lower)
    half = [0.0] * size
    for i in range(size):
        half[i] = (right[i] - sum(lower[i][k] * half[k] for k in range(i))) / lower[i][i]
    found = [0.0] * size
    for i in reversed(range(size)):
        found[i] = (half[i] - sum(lower[k][i] * found[k] for k in range(i + 1, size))) / lower[i][i]
    return found


def _inverse_at(lower: Sequence[Sequence[float]], i: int) -> float:
    """The i-th element of the diagonal of the inverse."""
    unit = [0.0] * len(lower)
    unit[i] = 1.0
    return _solve(lower, unit)[i]
