"""A tree of balls over rows, sixteen children to a node, laid out for vectors of sixteen lanes."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.compiling import compiled_fastmath, inner_freely

LANES = 16
"""Points of a leaf, children of a node, floats of a vector."""

_UNIT = 2.0**-24  # rounding error of one float32 operation
_SAMPLE = 128  # rows that decide how a range is split
_ROUNDS = 3  # of 2-means over them


class BallTree(NamedTuple):
    """Nodes in one sequence, level by level from the leaves: a leaf's lanes are points, another's are its children.

    Node v of level l has the children first[l - 1] + 16 (v - first[l]) + lane; the last node is the root.
    """

    ids: NDArray[np.int32]  # (16 leaves,) row of each point; -1 where a lane of the last leaf is empty
    first: NDArray[np.int64]  # (levels + 1,) first node of each level, then the number of nodes
    tiles: NDArray[np.float32]  # (nodes * d * 16,) features of the lanes, feature-major; aligned to 64 bytes
    radius: NDArray[np.float32]  # (nodes,) largest distance from the node's centre to a point below it


def build_tree(rows: NDArray[np.float32]) -> BallTree:
    """Order the rows so that neighbours come to lie in one leaf, and wrap every node into a ball.

    rows  (n, d) float32 C-contiguous, read-only, finite, n >= 1, n < 2**31 - 16

    O(n d log n) time; 1.07 times the memory of rows, and 8 bytes for each row.
    """
    n, d = rows.shape
    first = _count_levels(n)
    ids = np.full(LANES * first[1], -1, dtype=np.int32)
    ids[:n] = order_rows(rows)
    tiles, radius = _aligned_zeros(int(first[-1]) * d * LANES), np.zeros(first[-1], dtype=np.float32)
    _pack_leaves(rows, ids, tiles)
    for level in range(len(first) - 2):
        _wrap_level(rows, ids, first, level, tiles, radius)
    return BallTree(ids, first, tiles, radius)


def order_rows(rows: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return the order in which each sixteen rows, each 256, ... lie close to each other; rows as for build_tree."""
    ids = np.arange(len(rows), dtype=np.int32)
    _order(rows, ids, np.empty(len(rows), dtype=np.float32))
    return ids


def find_stretch(d: int) -> float:
    """Return the factor on bounds that covers rounding: three distances of an inequality err by (d + 6) / 2 units."""
    return 1.0 + 2.0 * (d + 8) * _UNIT


def _count_levels(n: int) -> NDArray[np.int64]:
    first, n_nodes = [0], -(-n // LANES)
    while n_nodes > 1:
        first.append(first[-1] + n_nodes)
        n_nodes = -(-n_nodes // LANES)
    return np.array([*first, first[-1] + 1], dtype=np.int64)


def _aligned_zeros(size: int) -> NDArray[np.float32]:
    """Return zeros that begin at a cache line, so that no vector lies across two."""
    raw = np.zeros(size + LANES, dtype=np.float32)
    skipped = -(raw.ctypes.data // 4) % LANES
    return raw[skipped : skipped + size]


@compiled_fastmath
def _order(rows: NDArray[np.float32], ids: NDArray[np.int32], keys: NDArray[np.float32]) -> None:
    """Split ranges of ids until they fit a leaf; the left part holds a power of two of leaves, so that nodes align."""
    stack = np.empty((128, 2), dtype=np.int64)
    stack[0, 0], stack[0, 1] = 0, len(keys)
    n_open = 1
    means = np.empty((2, rows.shape[1]), dtype=np.float32)
    sums = np.empty((2, rows.shape[1]), dtype=np.float32)
    while n_open > 0:
        n_open -= 1
        low, high = stack[n_open, 0], stack[n_open, 1]
        if high - low <= LANES:
            continue
        left = LANES
        while 2 * left < high - low:
            left *= 2
        _project(rows, ids, keys, low, high, means, sums)
        select_smallest(keys, ids, low, high, low + left)
        stack[n_open, 0], stack[n_open, 1] = low, low + left
        stack[n_open + 1, 0], stack[n_open + 1, 1] = low + left, high
        n_open += 2


@inner_freely
def _project(
    rows: NDArray[np.float32], ids: NDArray[np.int32], keys: NDArray[np.float32], low: int, high: int,
    means: NDArray[np.float32], sums: NDArray[np.float32],
) -> None:  # fmt: skip
    """Set keys[low:high] to the coordinates along the line through the two means of the range."""
    _find_two_means(rows, ids, low, high, means, sums)
    for f in range(rows.shape[1]):
        sums[0, f] = means[1, f] - means[0, f]
    for i in range(low, high):
        row = ids[i]
        key = np.float32(0.0)
        for f in range(rows.shape[1]):
            key += rows[row, f] * sums[0, f]
        keys[i] = key


@inner_freely
def _find_two_means(
    rows: NDArray[np.float32], ids: NDArray[np.int32], low: int, high: int,
    means: NDArray[np.float32], sums: NDArray[np.float32],
) -> None:  # fmt: skip
    """Run a few rounds of 2-means over an even sample of the range, from two rows that lie far apart."""
    step = max(1, (high - low) // _SAMPLE)
    start = _find_farthest(rows, ids, low, high, step, rows[ids[low]])
    opposite = _find_farthest(rows, ids, low, high, step, rows[start])
    for f in range(rows.shape[1]):
        means[0, f], means[1, f] = rows[start, f], rows[opposite, f]
    for _ in range(_ROUNDS):
        for f in range(rows.shape[1]):
            sums[0, f] = sums[1, f] = 0
        n_right = n_left = 0
        for i in range(low, high, step):
            row = ids[i]
            which = 1 if _is_right(rows, row, means) else 0
            n_right += which
            n_left += 1 - which
            for f in range(rows.shape[1]):
                sums[which, f] += rows[row, f]
        if n_right == 0 or n_left == 0:
            return
        for f in range(rows.shape[1]):
            means[0, f] = sums[0, f] / np.float32(n_left)
            means[1, f] = sums[1, f] / np.float32(n_right)


@inner_freely
def _is_right(rows: NDArray[np.float32], row: int, means: NDArray[np.float32]) -> bool:
    """Whether the row lies nearer to the second mean than to the first."""
    side = np.float32(0.0)
    for f in range(rows.shape[1]):
        middle = np.float32(0.5) * (means[0, f] + means[1, f])
        side += (rows[row, f] - middle) * (means[1, f] - means[0, f])
    return bool(side > 0)


@inner_freely
def _find_farthest(
    rows: NDArray[np.float32], ids: NDArray[np.int32], low: int, high: int, step: int, point: NDArray[np.float32]
) -> int:
    farthest, largest = ids[low], np.float32(-1.0)
    for i in range(low, high, step):
        row = ids[i]
        sq_dist = np.float32(0.0)
        for f in range(rows.shape[1]):
            difference = rows[row, f] - point[f]
            sq_dist += difference * difference
        if sq_dist > largest:
            farthest, largest = row, sq_dist
    return int(farthest)


@inner_freely
def select_smallest(keys: NDArray[Any], ids: NDArray[Any], low: int, high: int, middle: int) -> None:
    """Reorder keys and ids in low..high so that no key before middle is larger than one from there on. Hoare 1961."""
    high -= 1
    while low < high:
        a, b, c = keys[low], keys[(low + high) // 2], keys[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while keys[i] < pivot:
                i += 1
            while keys[j] > pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                ids[i], ids[j] = ids[j], ids[i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return


@compiled_fastmath
def _pack_leaves(rows: NDArray[np.float32], ids: NDArray[np.int32], tiles: NDArray[np.float32]) -> None:
    """Copy each row into its lane; the empty lanes of the last leaf stay 0."""
    d = rows.shape[1]
    for leaf in range(len(ids) // LANES):
        at = leaf * LANES * d
        for lane in range(LANES):
            row = ids[leaf * LANES + lane]
            if row >= 0:
                for f in range(d):
                    tiles[at + f * LANES + lane] = rows[row, f]


@compiled_fastmath
def _wrap_level(
    rows: NDArray[np.float32], ids: NDArray[np.int32], first: NDArray[np.int64], level: int,
    tiles: NDArray[np.float32], radius: NDArray[np.float32],
) -> None:  # fmt: skip
    """Give each node of a level its radius, and its parent's lane the centre, which is the mean of its points."""
    d = rows.shape[1]
    n_points = LANES ** (level + 1)
    centre = np.empty(d, dtype=np.float32)
    total = np.empty(d, dtype=np.float64)
    for node in range(first[level], first[level + 1]):
        low = (node - first[level]) * n_points
        high = min(low + n_points, len(ids))
        while ids[high - 1] < 0:
            high -= 1
        _find_mean(rows, ids, low, high, total, centre)
        farthest = _find_farthest(rows, ids, low, high, 1, centre)
        sq_dist = 0.0
        for f in range(d):
            sq_dist += (rows[farthest, f] - centre[f]) ** 2
        radius[node] = np.sqrt(sq_dist)
        parent = first[level + 1] + (node - first[level]) // LANES
        at = parent * LANES * d + (node - first[level]) % LANES
        for f in range(d):
            tiles[at + f * LANES] = centre[f]


@inner_freely
def _find_mean(
    rows: NDArray[np.float32], ids: NDArray[np.int32], low: int, high: int,
    total: NDArray[np.float64], mean: NDArray[np.float32],
) -> None:  # fmt: skip
    for f in range(rows.shape[1]):
        total[f] = 0
    for i in range(low, high):
        for f in range(rows.shape[1]):
            total[f] += rows[ids[i], f]
    for f in range(rows.shape[1]):
        mean[f] = np.float32(total[f] / (high - low))
