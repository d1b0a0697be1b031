"""Sentences and images in one space: cosines, probabilities among sentences, shares and logistic values."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK_NUMBERS = 16 * 1024 * 1024

Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fit:
    """How well each row fits, and to which of the queries it fits best."""

    values: NDArray[np.float64]  # (n,) a probability among all sentences, or the cosine with the nearest query
    nearest: NDArray[np.int32]  # (n,) of the q queries: which is nearest


def measure_fit(rows: Vectors, queries: Vectors, others: Vectors | None = None, *, scale: float = 1.0) -> Fit:
    """Return how well each row fits to the queries; with others by its probability against these.

    rows     (n, d) of any length; one of zeros has the cosine 0 with everything
    queries  (q, d), others (r, d), of unit length; q >= 1
    scale    what cosines are multiplied with before the softmax over all q + r
    O(n (q + r) d) time, 64 MB besides the result.
    """
    everything = queries if others is None or not len(others) else np.concatenate([queries, others])
    values, nearest = np.empty(len(rows)), np.empty(len(rows), dtype=np.int32)
    q = len(queries)
    for block in _cut(len(rows), len(everything) + rows.shape[1]):
        cosines = measure_cosines(rows[block], everything)
        nearest[block] = cosines[:, :q].argmax(axis=1)
        if len(everything) > q:
            values[block] = np.clip(softmax(scale * cosines)[:, :q].sum(axis=1), 0, 1)
        else:
            values[block] = cosines.max(axis=1)
    return Fit(values, nearest)


def measure_probabilities(rows: Vectors, classes: Vectors, *, scale: float) -> NDArray[np.float32]:
    """Return (n, c) the softmax of scale times the cosine of each row with each class.

    rows     (n, d) of any length; classes (c, d) of unit length
    """
    probabilities = np.empty((len(rows), len(classes)), dtype=np.float32)
    for block in _cut(len(rows), len(classes) + rows.shape[1]):
        probabilities[block] = softmax(scale * measure_cosines(rows[block], classes))
    return probabilities


def measure_cosines(rows: Vectors, queries: Vectors) -> NDArray[np.float64]:
    """Return (n, q) the cosine of each row with each query, whatever their lengths; 0 with one of zeros."""
    return np.clip(_scale(rows) @ _scale(queries).T, -1, 1)


def average_prompts(prompts: Vectors) -> Vectors:
    """Return (d,) the mean of vectors of unit length, made a unit vector again.

    >>> [round(number, 3) for number in average_prompts(np.eye(2, dtype=np.float32)).tolist()]
    [0.707, 0.707]
    """
    mean: Vectors = _scale(prompts.astype(np.float64).mean(axis=0, keepdims=True))[0].astype(np.float32)
    return mean


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, c) shares that add up to 1 in each row."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def share_below(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n,) the share of the other values that are smaller than each: 1 for the largest, where it is alone.

    >>> share_below(np.array([0.1, 0.4, 0.1, 0.2, 0.3])).tolist()
    [0.0, 1.0, 0.0, 0.5, 0.75]
    """
    below = np.searchsorted(np.sort(values), values)
    return np.asarray(below / max(len(values) - 1, 1), dtype=np.float64) if len(values) > 1 else np.ones(len(values))


def stand_out(values: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n,) the logistic of 2 (z - 2), z how many standard deviations each lies above the mean of `among`.

    0.5 is two standard deviations; where all of `among` are equal z is 0.

    >>> stand_out(np.array([0.0, 2.0]), np.array([-1.0, 1.0])).round(3).tolist()
    [0.018, 0.5]
    """
    std = float(among.std()) if len(among) else 0.0
    z = (values - among.mean()) / std if std > 0 else np.zeros(len(values))
    return np.asarray(1 / (1 + np.exp(np.clip(-2 * (z - 2), -700, 700))))


def _scale(vectors: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
    exact = vectors.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    return np.asarray(exact / np.where(norms > 0, norms, 1))


def _cut(n: int, width: int) -> list[slice]:
    step = max(1, _BLOCK_NUMBERS // (2 * max(width, 1)))
    return [slice(first, min(first + step, n)) for first in range(0, n, step)]
