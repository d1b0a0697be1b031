"""The strategies of a selection as values: what each looks at, and what the whole selection is worth to it.

A strategy's objective is a number of the whole selection, 0 or more; select takes the row that makes the product of
all objectives, each raised to its strength, the largest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK = 65536  # rows of neighbours that are weighed at a time


@dataclass(frozen=True, eq=False)
class Diversity:
    """Rows that are far from each other: the sum of the squared distances of all chosen to their nearest other."""

    vectors: NDArray[np.float32]  # (m, d) finite; one for each row, or with owners any number for each
    owners: NDArray[np.int64] | None = None
    """(m,) which row each vector belongs to. A row counts by the mean over its vectors, one without any by 0."""
    strength: float = 1.0
    min_distance: float = 0.0
    """End before a row is taken that is nearer than this to a chosen one."""


@dataclass(frozen=True, eq=False)
class Weights:
    """Rows with large values: their sum. Where a value is negative, all are raised until the smallest is 0."""

    values: NDArray[np.float64]  # (n,) finite
    strength: float = 1.0
    max_sum: float | None = None
    """End when the values of the chosen add up to this."""
    target_range: tuple[float | None, float | None] = (None, None)
    """The least and the largest sum to end with: rows that would make it unreachable are passed over."""
    least_value: float | None = None
    """End before a row is taken whose value lies below this."""


@dataclass(frozen=True, eq=False)
class Balance:
    """Classes in the wanted ratio: the overlap of the chosen rows' shares p with the target t, sum of sqrt(p t)."""

    distributions: NDArray[np.float64]  # (n, c) 0 or more: probabilities or counts of the classes
    target: NDArray[np.float64]  # (c,) 0 or more, summing up to at most 1; the rest is for "any other class"
    strength: float = 1.0


Strategy = Diversity | Weights | Balance


def similarity_weights(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return exp(-x / mean x) of the distances x from each row to its nearest query; 1 where all are 0.

    As lightly-mundig has it, to 1e-6. The largest value belongs to the row that is most like a query.

    >>> similarity_weights(np.array([0.0, 2.0], dtype=np.float32)).round(4).tolist()
    [1.0, 0.1353]
    """
    exact = distances.astype(np.float64)
    return _decay(exact, float(exact.mean()) if exact.size else 0.0)


def typicality_weights(neighbour_distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean over a row's neighbours of exp(-x / mean x), x their distances and the mean over all rows'.

    neighbour_distances  (n, k) from each row to its k nearest others
    As lightly-mundig has it, to 4e-6: in (0, 1], 1 for a row among copies of itself.
    """
    mean = float(neighbour_distances.mean(dtype=np.float64)) if neighbour_distances.size else 0.0
    values = np.empty(len(neighbour_distances))
    for start in range(0, len(values), _BLOCK):
        block = neighbour_distances[start : start + _BLOCK].astype(np.float64)
        values[start : start + _BLOCK] = _decay(block, mean).mean(axis=1)
    return values


def _decay(distances: NDArray[np.float64], mean: float) -> NDArray[np.float64]:
    return np.exp(-distances / mean) if mean > 0 else np.ones_like(distances)


def random_weights(n: int, seed: int) -> NDArray[np.float64]:
    """Return n numbers between 0 and 1, the same for the same seed."""
    return np.random.default_rng(seed % 2**63).random(n)


def uniform_target(n_classes: int) -> NDArray[np.float64]:
    """Return equal shares."""
    return np.full(n_classes, 1 / n_classes)


def input_target(distributions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shares of the classes among all rows; equal ones where no row has any."""
    total = distributions.sum(axis=0)
    return total / total.sum() if total.sum() > 0 else uniform_target(len(total))


def is_within(values: NDArray[np.float64], operation: str, threshold: float) -> NDArray[np.bool_]:
    """Return (n,) whether the comparison of a THRESHOLD holds; never for NaN.

    operation  SMALLER, SMALLER_EQUAL, BIGGER or BIGGER_EQUAL
    """
    compare = {
        "SMALLER": np.less,
        "SMALLER_EQUAL": np.less_equal,
        "BIGGER": np.greater,
        "BIGGER_EQUAL": np.greater_equal,
    }[operation]
    return np.asarray(compare(values, threshold))
