"""Exact nearest neighbours between two sets of rows, in blocks of bounded memory."""

import numpy as np
import torch
from numpy.typing import NDArray

_BLOCK = 2048  # 2048 x 2048 float32 distances are 16 MiB: fits the caches of a small machine


def nearest_rows(
    queries: NDArray[np.float32], references: NDArray[np.float32], *, exclude_same_row: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each query row the nearest reference row and its Euclidean distance.

    queries           (m, d) float32
    references        (n, d) float32, n >= 1 (n >= 2 with exclude_same_row)
    exclude_same_row  queries and references are the same array; a row is not its own neighbour
    returns           indices (m,) int64, distances (m,) float32; ties go to the lowest index up to rounding

    O(m n d) time, O(m + 4 Mi) memory. Candidates are found with 2 - 2ab products in blocks, centred first because
    cancellation grows with the norm; the distance of the winner is then recomputed by differences in float64.
    Raises ValueError when there is nothing to compare with.
    """
    if len(references) < 1 + exclude_same_row:
        raise ValueError(f"nearest_rows needs at least {1 + exclude_same_row} reference rows, got {len(references)}")
    centre = references.mean(axis=0, dtype=np.float64).astype(np.float32)
    targets = torch.from_numpy(np.ascontiguousarray(references - centre))
    indices = np.empty(len(queries), dtype=np.int64)
    for start in range(0, len(queries), _BLOCK):
        block = torch.from_numpy(np.ascontiguousarray(queries[start : start + _BLOCK] - centre))
        indices[start : start + _BLOCK] = _nearest_of_block(block, targets, start if exclude_same_row else None)
    return indices, _distances(queries, references, indices)


def _nearest_of_block(block: torch.Tensor, targets: torch.Tensor, first_row: int | None) -> NDArray[np.int64]:
    best = torch.full((len(block),), torch.inf)
    best_idx = torch.zeros(len(block), dtype=torch.int64)
    for start in range(0, len(targets), _BLOCK):
        part = targets[start : start + _BLOCK]
        sq_dist = torch.addmm((part * part).sum(1)[None, :], block, part.T, alpha=-2)  # |q|^2 is the same for all
        if first_row is not None:
            _exclude_diagonal(sq_dist, first_row - start)
        values, idx = sq_dist.min(dim=1)
        nearer = values < best
        best[nearer] = values[nearer]
        best_idx[nearer] = idx[nearer] + start
    return best_idx.numpy()


def _exclude_diagonal(sq_dist: torch.Tensor, offset: int) -> None:
    """Set to infinity the entries where query row and reference row are one and the same."""
    first, last = max(0, -offset), min(len(sq_dist), sq_dist.shape[1] - offset)
    rows = torch.arange(first, max(first, last))
    sq_dist[rows, rows + offset] = torch.inf


def _distances(
    queries: NDArray[np.float32], references: NDArray[np.float32], indices: NDArray[np.int64]
) -> NDArray[np.float32]:
    distances = np.empty(len(queries), dtype=np.float32)
    for start in range(0, len(queries), _BLOCK * 16):
        rows = slice(start, start + _BLOCK * 16)
        differences = queries[rows].astype(np.float64) - references[indices[rows]]
        distances[rows] = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    return distances
