"""UMAP: neighbourhoods become a graph of similarities, and points move on a plane until near ones lie together.

McInnes, Healy & Melville 2018, written for what a report needs: exact neighbours and a start are handed in, and one
compiled loop moves the points. It is kept with the selection's kernels, so an image ships it compiled; importing the
authors' package and compiling its loop take ten seconds.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from selection_job.numeric.compiling import compiled

NEGATIVES = 5
"""Points that are pushed away for each one that is pulled near."""

_A, _B = np.float32(1.5769435), np.float32(0.8950609)
"""Similarity 1 / (1 + a d^2b) on the plane, which falls from 1 at a distance of about 0.1 (the authors' default)."""

_FARTHEST_STEP = np.float32(4.0)
_EXTENT = 10.0  # of the start
_HALVINGS = 40


def weigh_neighbours(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (n, k) how similar each neighbour is to its row, 0 to 1: 1 as far as the nearest that is no copy.

    distances  (n, k) to the neighbours of each row, ascending, the row itself not among them
    Each row's similarities fall off so that they add up to log2(k + 1): rows of dense and of thin places weigh alike.
    """
    k = distances.shape[1]
    nearest = np.where(distances > 0, distances, np.inf).min(axis=1)
    beyond = np.maximum(distances - np.where(np.isfinite(nearest), nearest, 0)[:, None], 0).astype(np.float64)
    low, high = np.zeros(len(beyond)), np.full(len(beyond), max(1e-9, 64 * float(beyond.max(initial=0))))
    wanted = np.log2(k + 1)
    for _ in range(_HALVINGS):
        scale = (low + high) / 2
        is_wide = np.exp(-beyond / scale[:, None]).sum(axis=1) > wanted
        low, high = np.where(is_wide, low, scale), np.where(is_wide, scale, high)
    least = 1e-3 * np.maximum(distances.mean(axis=1), 1e-9)
    similarities: NDArray[np.float64] = np.exp(-beyond / np.maximum(high, least)[:, None])
    return similarities


def make_graph(indices: NDArray[np.int64], distances: NDArray[np.float32]) -> "csr_array[np.float64]":
    """Return (n, n) similarities, symmetric: of a pair, the chance that either of its two rows counts the other in.

    indices, distances  (n, k) neighbours of each row, nearest first, the row itself not among them
    """
    n, k = indices.shape
    starts = np.arange(0, n * k + 1, k)
    one_way = csr_array((weigh_neighbours(distances).ravel(), indices.ravel(), starts), shape=(n, n))
    other_way = one_way.T.tocsr()
    graph = one_way + other_way - one_way.multiply(other_way)
    graph = csr_array(graph)
    graph.sort_indices()
    return graph


def lay_out(
    graph: "csr_array[np.float64]", start: NDArray[np.float64], *, n_epochs: int, seed: int
) -> NDArray[np.float64]:
    """Return (n, 2) where the points come to lie; the same for the same arguments on one machine.

    graph  (n, n) as make_graph gives it
    start  (n, 2) where they begin, at any scale
    O(n_epochs x entries of the graph) time, one thread; other Python threads go on meanwhile.
    """
    low = start.min(axis=0)
    extent = np.maximum(start.max(axis=0) - low, np.finfo(np.float64).tiny)
    points = (_EXTENT * (start - low) / extent).astype(np.float32)
    shares = (graph.data / graph.data.max(initial=1e-12)).astype(np.float32)
    phases = np.random.default_rng(seed).random(len(shares), dtype=np.float32)
    state = np.array([seed * 2 + 1], dtype=np.uint64)
    _move(points, graph.indptr.astype(np.int64), graph.indices.astype(np.int64), shares, phases, n_epochs, state)
    placed: NDArray[np.float64] = points.astype(np.float64)
    return placed


@compiled
def _move(
    points: NDArray[np.float32],  # (n, 2), changed
    starts: NDArray[np.int64],  # (n + 1,) where the pairs of a row begin
    others: NDArray[np.int64],  # (e,) the other row of each pair
    shares: NDArray[np.float32],  # (e,) in how many of the epochs a pair is pulled, 0 to 1
    phases: NDArray[np.float32],  # (e,) 0 to 1, which spread them over the epochs
    n_epochs: int,
    state: NDArray[np.uint64],  # (1,) of the random numbers
) -> None:
    """Move the points, in smaller and smaller steps."""
    n = np.uint64(len(points))
    random = state[0]
    for epoch in range(n_epochs):
        step = np.float32(1.0 - epoch / n_epochs)
        for row in range(len(points)):
            x, y = points[row, 0], points[row, 1]
            for pair in range(starts[row], starts[row + 1]):
                turn = phases[pair] + shares[pair] * np.float32(epoch)
                if int(turn + shares[pair]) == int(turn):
                    continue
                other = others[pair]
                dx, dy = x - points[other, 0], y - points[other, 1]
                squared = dx * dx + dy * dy
                if squared > np.float32(0):
                    power = squared**_B
                    pull = np.float32(-2) * _A * _B * power / (squared * (np.float32(1) + _A * power))
                    mx = step * min(max(pull * dx, -_FARTHEST_STEP), _FARTHEST_STEP)
                    my = step * min(max(pull * dy, -_FARTHEST_STEP), _FARTHEST_STEP)
                    x += mx
                    y += my
                    points[other, 0] -= mx
                    points[other, 1] -= my
                for _ in range(NEGATIVES):
                    random = random * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                    other = np.int64(((random >> np.uint64(32)) * n) >> np.uint64(32))
                    dx, dy = x - points[other, 0], y - points[other, 1]
                    squared = dx * dx + dy * dy
                    if other == row or squared <= np.float32(0):
                        continue
                    power = squared**_B
                    push = np.float32(2) * _B / ((np.float32(0.001) + squared) * (np.float32(1) + _A * power))
                    x += step * min(max(push * dx, -_FARTHEST_STEP), _FARTHEST_STEP)
                    y += step * min(max(push * dy, -_FARTHEST_STEP), _FARTHEST_STEP)
            points[row, 0], points[row, 1] = x, y
    state[0] = random
