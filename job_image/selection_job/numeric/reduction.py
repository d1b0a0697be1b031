"""Reduction: fewer numbers a row for maps, along the directions of largest variance."""

import numpy as np
from numpy.typing import NDArray

MAP_DIMENSIONS = 64
"""Of rows that have more. Maps made of so many are nearly as trustworthy as those made of all (docs/benchmarks.md)."""

_BLOCK = 8192


def reduce_rows(vectors: NDArray[np.float32], dimensions: int = MAP_DIMENSIONS) -> NDArray[np.float32]:
    """Return the rows on their first principal axes, (n, min(d, dimensions)); rows that are narrow already as they are.

    vectors  (n, d) float32, n >= 1, finite
    Distances between the results are never larger than those between the rows. The covariance is summed in float64, in
    blocks: O(n d^2) time, O(d^2) memory beside the result. The sign of each axis is made definite.
    """
    n, d = vectors.shape
    if d <= dimensions:
        return vectors
    mean = vectors.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((d, d))
    for start in range(0, n, _BLOCK):
        centred = vectors[start : start + _BLOCK] - mean
        covariance += centred.T @ centred
    axes = np.linalg.eigh(covariance)[1][:, : -dimensions - 1 : -1]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(dimensions)])
    reduced = np.empty((n, dimensions), dtype=np.float32)
    for start in range(0, n, _BLOCK):
        reduced[start : start + _BLOCK] = (vectors[start : start + _BLOCK] - mean) @ axes
    return reduced
