"""Farthest-first traversal (greedy k-center): each pick is the row farthest from all picks before it."""

import numpy as np
import torch
from numpy.typing import NDArray

_NONE: NDArray[np.int64] = np.empty(0, dtype=np.int64)


def farthest_first(
    embeddings: NDArray[np.float32],
    n_samples: int,
    *,
    preselected: NDArray[np.int64] | None = None,
    min_distance: float = 0.0,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Choose rows so that every row lies close to a chosen one.

    embeddings    (n, d) float32, finite
    n_samples     how many to choose besides preselected; more than there is chooses all
    preselected   rows already chosen; None or empty: the first pick is row 0
    min_distance  Euclidean; stop before the first pick that is nearer than this to an earlier one
    returns       indices (k,) int64 in order of choice, without preselected; radii (k,) float32, radii[i] is the
                  largest distance of any row to its nearest chosen one after pick i

    Ties go to the lowest index and the result depends on the input only. O(n k d) time, O(n d) memory besides the
    input.
    At most twice the optimal radius: Gonzalez 1985; as a core-set for active learning: Sener & Savarese 2018.
    Raises ValueError for a negative n_samples, a NaN or infinity, or a preselected row out of range.

    >>> indices, radii = farthest_first(np.array([[1.0], [3.0], [5.0]], dtype=np.float32), 2)
    >>> indices.tolist(), radii.tolist()
    ([0, 2], [4.0, 2.0])
    """
    chosen = _NONE if preselected is None else np.unique(np.asarray(preselected, dtype=np.int64))
    _check(embeddings, n_samples, chosen)
    return _traverse(torch.from_numpy(np.ascontiguousarray(embeddings)), n_samples, chosen, min_distance)


def _check(embeddings: NDArray[np.float32], n_samples: int, chosen: NDArray[np.int64]) -> None:
    if embeddings.ndim != 2 or embeddings.dtype != np.float32:
        raise ValueError(f"embeddings must be (n, d) float32, got {embeddings.shape} {embeddings.dtype}")
    if n_samples < 0:
        raise ValueError(f"n_samples must be 0 or more, got {n_samples}")
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings must be finite, found NaN or infinity")
    if chosen.size and not 0 <= chosen[0] <= chosen[-1] < len(embeddings):
        raise ValueError(f"preselected rows must lie in 0..{len(embeddings) - 1}")


def _traverse(
    rows: torch.Tensor, n_samples: int, chosen: NDArray[np.int64], min_distance: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    sq_dist = np.full(len(rows), np.inf, dtype=np.float32)  # to the nearest chosen row; -1 marks a chosen one
    differences = torch.empty_like(rows)
    for row in chosen.tolist():
        _choose(rows, row, sq_dist, differences)
    k = min(n_samples, len(rows) - len(chosen))
    indices, radii = np.empty(k, dtype=np.int64), np.empty(k, dtype=np.float32)
    for i in range(k):
        row = int(sq_dist.argmax())  # the first of equals
        if np.sqrt(sq_dist[row]) < min_distance:
            return indices[:i], radii[:i]
        _choose(rows, row, sq_dist, differences)
        indices[i], radii[i] = row, np.sqrt(max(float(sq_dist.max()), 0.0))
    return indices, radii


def _choose(rows: torch.Tensor, row: int, sq_dist: NDArray[np.float32], differences: torch.Tensor) -> None:
    """Mark row as chosen and lower every sq_dist to it; differences is scratch space of the shape of rows.

    By differences, not 2 - 2ab: products lose near-duplicates to cancellation.
    """
    torch.sub(rows, rows[row], out=differences)
    nearest = torch.from_numpy(sq_dist)
    torch.minimum(nearest, differences.square_().sum(dim=1), out=nearest)
    sq_dist[row] = -1.0
