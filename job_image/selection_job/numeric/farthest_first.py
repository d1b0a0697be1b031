"""Farthest-first traversal (greedy k-center): each pick is the row farthest from all picks before it."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.scaling import divide, find_exponent, find_largest, find_memory
from selection_job.numeric.threads import count_threads

PLAIN_UP_TO = 2e9
"""n * n * d up to which distances are taken one and all: seconds even for k = n, where the tree has to be compiled."""

_NONE: NDArray[np.int64] = np.empty(0, dtype=np.int64)


def farthest_first(
    embeddings: NDArray[np.float32],
    n_samples: int,
    *,
    preselected: NDArray[np.int64] | None = None,
    min_distance: float = 0.0,
    device: str = "cpu",
    threads: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Choose rows so that every row lies close to a chosen one.

    embeddings    (n, d) float32, finite; not copied where C-contiguous, so that it may be mapped from a file
    n_samples     how many to choose besides preselected; more than there is chooses all
    preselected   rows already chosen; None or empty: the first pick is row 0
    min_distance  Euclidean; stop before the first pick that is nearer than this to an earlier one
    device        of torch; any but the CPU computes the distances, and all of them
    threads       that search at the same time, each a part of the rows; 0 for as many as torch has
    returns       indices (k,) int64 in order of choice, without preselected; radii (k,) float32, radii[i] is the
                  largest distance of any row to its nearest chosen one after pick i: the distance of pick i + 1

    Ties go to the lowest index, and on the CPU the result depends on the input only, to the bit, whatever threads is.
    Exact up to the rounding of float32: a row that is farther than the pick is so by less than (d + 6) 2^-24 of its
    distance.
    Coordinates of less than 1e-19 of the largest count as equal.
    Up to PLAIN_UP_TO every distance is computed: O(n k d). Beyond, most are ruled out by balls (lazy_greedy): the
    same picks, from 1 to 7 in 100 of the distances where rows form clusters, at worst all; the memory of
    embeddings once more, and some 50 bytes for each row. Rows mapped from a file that leave no room for that are
    read in blocks (block_greedy), with every distance computed.
    At most twice the optimal radius: Gonzalez 1985; as a core-set for active learning: Sener & Savarese 2018.
    Raises ValueError for a negative n_samples, a NaN or infinity, or a preselected row out of range.

    >>> indices, radii = farthest_first(np.array([[1.0], [3.0], [5.0]], dtype=np.float32), 2)
    >>> indices.tolist(), radii.tolist()
    ([0, 2], [4.0, 2.0])
    """
    chosen = traverse(
        embeddings, n_samples, preselected=preselected, min_distance=min_distance, device=device, threads=threads
    )
    return chosen.indices, chosen.distances[1:]


class Traversal(NamedTuple):
    """What was chosen of n rows, and what was found out about them on the way."""

    indices: NDArray[np.int64]  # (k,) in order of choice
    distances: NDArray[np.float32]  # (k + 1,) of each to those before it, infinite for the very first; last the radius
    nearest: NDArray[np.int32] | None
    """(n,) the nearest chosen row of each, of equals the first that was taken; itself where it was taken. None where
    that was not found out: by blocks and plainly, and where rows were chosen before, whose order is not known."""


def traverse(
    embeddings: NDArray[np.float32],
    n_samples: int,
    *,
    preselected: NDArray[np.int64] | None = None,
    min_distance: float = 0.0,
    device: str = "cpu",
    threads: int = 0,
) -> Traversal:
    """Choose as farthest_first does, and say at which distance."""
    chosen = _NONE if preselected is None else np.unique(np.asarray(preselected, dtype=np.int64))
    exponent = find_exponent(_check(embeddings, n_samples, chosen))
    rows = divide(embeddings, exponent)
    min_distance = math.ldexp(min_distance, -exponent)
    n_samples = min(n_samples, len(rows) - len(chosen))
    nearest = None
    if n_samples and _is_for_blocks(embeddings, device):
        from selection_job.numeric.greedy.block_greedy import traverse_in_blocks  # loads torch

        indices, distances = traverse_in_blocks(rows, n_samples, chosen, min_distance, device=device)
    elif float(len(rows)) ** 2 * rows.shape[1] <= PLAIN_UP_TO or n_samples == 0:
        indices, distances = traverse_plainly(rows, n_samples, chosen, min_distance)
    else:
        from selection_job.numeric.greedy.lazy_greedy import traverse as traverse_lazily  # loads numba

        n_threads = threads or count_threads()
        indices, distances, found = traverse_lazily(rows, n_samples, chosen, min_distance, n_threads)
        nearest = None if len(chosen) else found
    with np.errstate(over="ignore"):  # a radius may be more than float32 holds where its rows are not
        return Traversal(indices, np.ldexp(distances, exponent) if exponent else distances, nearest)


def _is_for_blocks(embeddings: NDArray[np.float32], device: str) -> bool:
    return device != "cpu" or (isinstance(embeddings, np.memmap) and 1.5 * embeddings.nbytes > find_memory())


def _check(embeddings: NDArray[np.float32], n_samples: int, chosen: NDArray[np.int64]) -> float:
    """Return the largest magnitude: one pass over embeddings, which may be mapped from a file, serves both uses."""
    if embeddings.ndim != 2 or embeddings.dtype != np.float32:
        raise ValueError(f"embeddings must be (n, d) float32, got {embeddings.shape} {embeddings.dtype}")
    if n_samples < 0:
        raise ValueError(f"n_samples must be 0 or more, got {n_samples}")
    largest = find_largest(embeddings)
    if not math.isfinite(largest):
        raise ValueError("embeddings must be finite, found NaN or infinity")
    if chosen.size and not 0 <= chosen[0] <= chosen[-1] < len(embeddings):
        raise ValueError(f"preselected rows must lie in 0..{len(embeddings) - 1}")
    return largest


def traverse_plainly(
    rows: NDArray[np.float32], n_samples: int, chosen: NDArray[np.int64], min_distance: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Choose from checked arguments with every distance computed; results as of traverse."""
    features = np.ascontiguousarray(rows.T)  # sums along the first axis are taken in its order, whatever n is
    scratch = np.empty_like(features)
    sq_dist = np.full(len(rows), np.inf, dtype=np.float32)  # to the nearest chosen row; -1 marks a chosen one
    for row in chosen.tolist():
        _choose(features, row, sq_dist, scratch)
    indices, distances = np.empty(n_samples, dtype=np.int64), np.zeros(n_samples + 1, dtype=np.float32)
    for i in range(n_samples):
        row = int(sq_dist.argmax())  # the first of equals
        distances[i] = np.sqrt(sq_dist[row])
        if distances[i] < min_distance:
            return indices[:i], distances[: i + 1]
        _choose(features, row, sq_dist, scratch)
        indices[i] = row
    distances[n_samples] = np.sqrt(max(float(sq_dist.max(initial=0.0)), 0.0))
    return indices, distances


def _choose(
    features: NDArray[np.float32], row: int, sq_dist: NDArray[np.float32], scratch: NDArray[np.float32]
) -> None:
    """Mark row as chosen and lower every sq_dist to it.

    By differences, not 2 - 2ab: products lose near-duplicates to cancellation.
    """
    np.subtract(features, features[:, row, None], out=scratch)
    np.multiply(scratch, scratch, out=scratch)
    np.minimum(sq_dist, scratch.sum(axis=0), out=sq_dist)
    sq_dist[row] = -1.0
