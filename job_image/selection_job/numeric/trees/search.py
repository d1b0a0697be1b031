"""Search: a ball tree, and what is known of the distances to the chosen rows; lazy_tree.py keeps it up to date."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.trees.ball_tree import LANES, BallTree, build_tree, find_stretch
from selection_job.numeric.trees.vectors import PAIRS

POOL = 512
"""Points above the threshold that are worth comparing with each other at once; found by measuring."""

POOL_ROOM = 4 * POOL
LEAF_ROOM = 128  # rows that are pending at a leaf, and at another node
NODE_ROOM = 512

NODE, POSITION, LANE = 0, 1, 2  # rows of `walk`
N_POOL, COLLECTS = 0, 1  # entries of `counts`
TAU, FLOOR = 0, 1  # entries of `level`


class Search(NamedTuple):
    """The tree, and what is known so far. All distances are squared."""

    tree: BallTree
    rows: NDArray[np.float32]  # (n * d,)
    d: int
    stretch: float  # factor on bounds that covers rounding
    limits: NDArray[np.float32]  # (16 nodes,) of a point: its distance; of a child: from where on a row can't change it
    nearest: NDArray[np.int32]  # (16 leaves,) the chosen row that a point's distance is to, the first of equals
    peak: NDArray[np.float32]  # (nodes,) at least the largest distance below
    pending: NDArray[np.int32]  # rows that are pending, node by node
    n_pending: NDArray[np.int32]  # (nodes,)
    sums: NDArray[np.float32]  # (64,) scratch
    walk: NDArray[np.int64]  # (3, levels) where the walk down the tree stands
    pool_distances: NDArray[np.float32]  # the points above the threshold
    pool_ids: NDArray[np.int32]
    counts: NDArray[np.int64]  # (2,) points in the pool; whether the walk collects them
    level: NDArray[np.float32]  # (2,) tau: all above it is up to date; floor: all above it is in the pool


def start_search(rows: NDArray[np.float32], part: slice = slice(None)) -> Search:
    """Return a search among a part of the rows, with nothing chosen and infinite distances; any of them may be chosen.

    rows  as for build_tree
    """
    rows = np.asarray(rows).view()
    rows.flags.writeable = False  # one type for all inputs, mapped files too: the kernels are compiled once
    tree = build_tree(own := rows[part])
    tree.ids[: len(own)] += np.int32(part.start or 0)
    return lay_out(tree, own)._replace(rows=rows.reshape(-1))


def lay_out(tree: BallTree, rows: NDArray[np.float32]) -> Search:
    """Return a search over a tree; rows (n, d) as it was built from, read-only."""
    (n, d), n_nodes, n_leaves = rows.shape, int(tree.first[-1]), int(tree.first[1])
    limits = np.full(LANES * n_nodes, -1, dtype=np.float32)
    limits[:n] = np.inf
    for level in range(1, len(tree.first) - 1):
        limits[LANES * tree.first[level] :][: tree.first[level] - tree.first[level - 1]] = np.inf
    return Search(
        tree=tree,
        rows=rows.reshape(-1),
        d=d,
        stretch=find_stretch(d),
        limits=limits,
        nearest=np.full(LANES * n_leaves, -1, dtype=np.int32),
        peak=np.full(n_nodes, np.inf, dtype=np.float32),
        pending=np.empty(n_leaves * LEAF_ROOM + (n_nodes - n_leaves) * NODE_ROOM, dtype=np.int32),
        n_pending=np.zeros(n_nodes, dtype=np.int32),
        sums=np.zeros(LANES * PAIRS, dtype=np.float32),
        walk=np.zeros((3, len(tree.first)), dtype=np.int64),
        pool_distances=np.empty(POOL_ROOM + LANES, dtype=np.float32),
        pool_ids=np.empty(POOL_ROOM + LANES, dtype=np.int32),
        counts=np.zeros(2, dtype=np.int64),
        level=np.array([-1, np.inf], dtype=np.float32),
    )
