"""One number for each item: what WEIGHTS, SIMILARITY, TYPICALITY and THRESHOLD look at."""

import numpy as np
from numpy.typing import NDArray

from selection_job.manifest.goal import NamedStrategy
from selection_job.manifest.query import make_query
from selection_job.numeric.greedy.objectives import similarity_weights, typicality_weights
from selection_job.numeric.neighbours import nearest_rows
from selection_job.numeric.projections import find_neighbourhoods
from selection_job.selection.query_values import value_for_threshold
from selection_job.selection.sources import Sources


def read_values(entry: NamedStrategy, sources: Sources, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (m,) the number of SCORES, METADATA, PREDICTIONS or, of a THRESHOLD, QUERIES for each of these items.

    rows  (m,) of the items; of QUERIES all that could be chosen
    Raises UnusableData for metadata that are no numbers.
    """
    given = entry.input
    if given.type == "SCORES":
        return sources.scores(given.task or "", given.score or "")[rows]
    if given.type == "QUERIES":
        query = make_query(given)
        return value_for_threshold(query, sources.query_fit(query).values[rows])
    if given.name == "CATEGORY_PROBABILITY":
        return sources.category_probabilities(given.task or "", given.categories or ())[rows]
    if given.type == "PREDICTIONS":
        return sources.category_counts(given.task or "", given.categories or ())[rows]
    return sources.metadata(given.key or "").need_numbers(entry.strategy.type)[rows]


def measure_similarity(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (n,) exp(-x / mean x), x the distance from each row to its nearest query.

    vectors  (n, d), queries (q, d), q >= 1; O(n q d) time
    """
    return similarity_weights(nearest_rows(vectors, queries)[1])


def measure_typicality(vectors: NDArray[np.float32], k: int) -> NDArray[np.float64]:
    """Return (n,) how close the k nearest other rows are: 1 among copies of itself, towards 0 alone.

    With fewer than k others all count; a row alone has 1. O(n^2 d) time.
    """
    if len(vectors) < 2:
        return np.ones(len(vectors))
    neighbours = find_neighbourhoods(vectors, min(k, len(vectors) - 1) + 1)
    return typicality_weights(neighbours.distances[:, 1:])


def average_by_owner(values: NDArray[np.float64], owners: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Return (n,) the mean of each owner's values; 0 where it has none.

    values, owners  (m,), owners in 0..n - 1

    >>> average_by_owner(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 2]), 3).tolist()
    [2.0, 0.0, 5.0]
    """
    sums = np.bincount(owners, weights=values, minlength=n)
    return np.asarray(sums / np.maximum(np.bincount(owners, minlength=n), 1))
