"""Distances within and between sets of rows, and their statistics: exact where cheap, else on a seeded sample."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.neighbours import find_neighbours, measure_pairs, nearest_rows

ALL_PAIRS_UP_TO = 2000
"""Rows up to which every pair is measured; beyond, as many random pairs as 2000 rows have."""

_PAIR_BUDGET = ALL_PAIRS_UP_TO * (ALL_PAIRS_UP_TO - 1) // 2
_QUERY_BUDGET = 20_000_000_000  # query-reference pairs in one search: at d = 32 some ten seconds on one core at worst
_LEAST_QUERIES = 1000
_BLOCK = 65536


@dataclass(frozen=True)
class DistanceSample:
    """Some or all of the distances that there are."""

    values: NDArray[np.float64]  # (m,)
    n_all: int
    """How many there are; `values` holds them all when its length is n_all."""

    @property
    def is_sampled(self) -> bool:
        """Whether the values are a random part of all."""
        return len(self.values) < self.n_all

    @property
    def share_error(self) -> float:
        """By how much the share of values below any limit may differ from that of all, with a confidence of 95%.

        0 where all are there. Dvoretzky, Kiefer & Wolfowitz 1956 with Massart's constant; Hoeffding 1963 for samples
        without replacement.
        """
        if not self.is_sampled:
            return 0.0
        return min(math.sqrt(math.log(2 / 0.05) / (2 * len(self.values))), 1.0) if len(self.values) else 1.0


def pairwise_distances(vectors: NDArray[np.float32], *, seed: int) -> DistanceSample:
    """Return Euclidean distances between pairs of different rows, in float64.

    vectors  (n, d) float32; fewer than two rows have no pair
    returns  all n (n - 1) / 2 distances up to ALL_PAIRS_UP_TO rows, else those of as many random pairs as that gives,
             drawn with replacement

    O(d) time for each of at most 2 million pairs, some 30 MiB.

    >>> pairwise_distances(np.array([[0.0], [3.0], [4.0]], dtype=np.float32), seed=0).values.tolist()
    [3.0, 4.0, 1.0]
    """
    n = len(vectors)
    n_all = n * (n - 1) // 2
    if n < 2:
        return DistanceSample(np.empty(0), n_all)
    if n <= ALL_PAIRS_UP_TO:
        return DistanceSample(_distances_between(vectors, *np.triu_indices(n, 1)), n_all)
    rng = np.random.default_rng(seed)
    first = rng.integers(0, n, _PAIR_BUDGET)
    second = rng.integers(0, n - 1, _PAIR_BUDGET)
    second += second >= first  # skips the row itself and keeps the others equally likely
    return DistanceSample(_distances_between(vectors, first, second), n_all)


def _distances_between(
    vectors: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float64]:
    distances = np.empty(len(first))
    for start in range(0, len(first), _BLOCK):
        block = slice(start, start + _BLOCK)
        differences = vectors[first[block]].astype(np.float64) - vectors[second[block]]
        distances[block] = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    return distances


def query_rows(n: int, n_references: int, *, seed: int) -> NDArray[np.int64]:
    """Return the sorted rows, of n, for which the nearest of n_references is worth searching: all, or a seeded sample.

    At most 2e10 pairs, but at least 1000 rows: all up to 140,000 rows among themselves, 20,000 of a million.
    """
    affordable = max(_LEAST_QUERIES, _QUERY_BUDGET // max(n_references, 1))
    if n <= affordable:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, affordable, replace=False))


def neighbour_distances(vectors: NDArray[np.float32], *, seed: int) -> DistanceSample:
    """Return the distance from rows to their nearest other row, for all rows or for those of query_rows.

    vectors  (n, d) float32; a single row has no neighbour and gives an empty sample
    """
    n = len(vectors)
    if n < 2:
        return DistanceSample(np.empty(0), 0)
    rows = query_rows(n, n, seed=seed)
    if len(rows) == n:
        _, distances = nearest_rows(vectors, vectors, exclude_same_row=True)
    else:
        sampled = vectors[rows]
        found, _ = find_neighbours(sampled, vectors, 2)  # one of them is the row itself, or both are copies of it
        others = np.where(found[:, 0] == rows, found[:, 1], found[:, 0])
        distances = measure_pairs(sampled, vectors, others)
    return DistanceSample(distances.astype(np.float64), n)


def cover_distances(
    vectors: NDArray[np.float32], references: NDArray[np.float32], rows: NDArray[np.int64]
) -> DistanceSample:
    """Return the distance from the given rows of vectors to the nearest reference row.

    The largest of all rows' is the covering radius of the references.
    """
    _, distances = nearest_rows(vectors[rows], references)
    return DistanceSample(distances.astype(np.float64), len(vectors))


def describe(values: NDArray[np.float64]) -> dict[str, float] | None:
    """Return mean, std (of the population), min, max and the 10th, 50th and 90th percentile; None for no values."""
    if not len(values):
        return None
    low, middle, high = np.percentile(values, (10, 50, 90))
    return {
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": float(values.min()),
        "max": float(values.max()),
        "percentile10": float(low),
        "median": float(middle),
        "percentile90": float(high),
    }


def bin_edges(largest: float, n_bins: int) -> NDArray[np.float64]:
    """Return n_bins + 1 equal steps from 0 to a short number above the largest value; to 1 where every value is 0.

    >>> bin_edges(1.7083, 3).tolist()
    [0.0, 0.57, 1.14, 1.71]
    """
    if largest < 1e-100:
        return np.linspace(0.0, 1.0, n_bins + 1)
    unit = 10.0 ** (math.floor(math.log10(largest)) - 2)  # of the third digit
    upper = math.floor(largest / unit + 1) * unit
    return np.round(np.linspace(0.0, upper, n_bins + 1), 12 - math.floor(math.log10(upper)))


def count_bins(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many values lie in each bin [edge, next edge); the last bin is closed."""
    return np.histogram(values, bins=edges)[0].astype(np.int64)
