"""Exact nearest neighbours between two sets of rows, and within one."""

import numpy as np
import torch
from numpy.typing import NDArray

from selection_job.numeric.scaling import divide, find_exponent, find_largest

PLAIN_UP_TO = 5e8
"""m * n * d up to which distances are taken one and all: a second, where the tree may have to be compiled."""

_BLOCK = 512  # queries at a time
_ROWS = 65536  # of which differences are taken in float64 at a time


def nearest_rows(
    queries: NDArray[np.float32], references: NDArray[np.float32], *, exclude_same_row: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each query row the nearest reference row and its Euclidean distance.

    queries           (m, d) float32, finite
    references        (n, d) float32, finite, n >= 1 (n >= 2 with exclude_same_row)
    exclude_same_row  queries and references are the same array; a row is not its own neighbour
    returns           indices (m,) int64, distances (m,) float32; ties go to the lowest index

    Exact up to the rounding of float32: another row is nearer by less than (d + 6) 2^-24 of the distance, if any is;
    distances are by differences in float64. Costs as find_neighbours. Raises ValueError when there is nothing to
    compare with, and for NaN or infinity.
    """
    indices, _ = find_neighbours(queries, references, 1, exclude_same_row=exclude_same_row)
    return indices[:, 0], measure_pairs(queries, references, indices[:, 0])


def find_neighbours(
    queries: NDArray[np.float32], references: NDArray[np.float32], k: int, *, exclude_same_row: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each query row the k nearest reference rows and their Euclidean distances, nearest first.

    Arguments as of nearest_rows, k at least 1 and at most the rows there are to find.
    returns  indices (m, k) int64, distances (m, k) float32 up to (d + 6) 2^-24; ties go to the lowest index

    Up to PLAIN_UP_TO every distance is computed. Beyond, a ball tree rules out most where rows form clusters, on as
    many threads as torch has: 0.02 of all at a million rows of 32; at worst O(m n d).
    """
    n_found = len(references) - exclude_same_row
    if not 1 <= k <= n_found:
        raise ValueError(f"{k} neighbours of each row need at least {k + exclude_same_row} rows, got {len(references)}")
    largest = [find_largest(queries), find_largest(references)]
    if not np.isfinite(largest).all():
        raise ValueError("rows must be finite, found NaN or infinity")
    exponent = find_exponent(max(largest))
    targets = divide(references, exponent)
    rows = targets if exclude_same_row else divide(queries, exponent)
    if len(rows) * targets.size <= PLAIN_UP_TO or not targets.size:
        indices, distances = _compare_all(rows, targets, k, exclude_same_row)
    else:
        from selection_job.numeric.trees.neighbour_tree import find_nearest  # loads numba

        ids, sq_dist = find_nearest(rows, targets, k, is_self=exclude_same_row)
        indices, distances = ids.astype(np.int64), np.sqrt(sq_dist, out=sq_dist)
    return indices, np.ldexp(distances, exponent) if exponent else distances


def _compare_all(
    queries: NDArray[np.float32], references: NDArray[np.float32], k: int, exclude_same_row: bool
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    indices, distances = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    targets = _as_tensor(references)
    for start in range(0, len(queries), _BLOCK):
        rows = _as_tensor(queries[start : start + _BLOCK])
        # By differences: products, 2 - 2ab, lose near-duplicates to cancellation.
        found = torch.cdist(rows, targets, compute_mode="donot_use_mm_for_euclid_dist")
        if exclude_same_row:
            found[torch.arange(len(rows)), torch.arange(start, start + len(rows))] = torch.inf
        here = slice(start, start + len(rows))
        indices[here], distances[here] = _take_nearest(found, k)
    return indices, distances


def _as_tensor(rows: NDArray[np.float32]) -> torch.Tensor:
    """Return the rows without a copy, unless they can't be written: torch warns of that."""
    return torch.from_numpy(rows if rows.flags.writeable else rows.copy())


def _take_nearest(distances: torch.Tensor, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the columns and values of the k smallest of each row, the lowest column of equals."""
    last = distances.topk(k, dim=1, largest=False).values.amax(dim=1, keepdim=True)
    is_less, is_last = distances < last, distances == last
    is_taken = is_less | (is_last & (is_last.cumsum(1) <= k - is_less.sum(1, keepdim=True)))
    columns = is_taken.nonzero()[:, 1].reshape(-1, k)
    values, order = distances.gather(1, columns).sort(dim=1, stable=True)
    return columns.gather(1, order).numpy(), values.numpy()


def measure_pairs(
    queries: NDArray[np.float32], references: NDArray[np.float32], indices: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return (m,) the distance of each query row to references[indices], by differences in float64."""
    distances = np.empty(len(queries), dtype=np.float32)
    for start in range(0, len(queries), _ROWS):
        rows = slice(start, start + _ROWS)
        differences = queries[rows].astype(np.float64) - references[indices[rows]]
        distances[rows] = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    return distances
