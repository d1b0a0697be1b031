"""Distances to the nearest chosen row, kept in a ball tree with lazy propagation.

Distances only fall as rows are chosen, so a value that is out of date is an upper bound. Every node keeps the chosen
rows that are pending: not yet pushed down to its children or, at a leaf, applied to its points. Bringing everything
above a threshold up to date touches only nodes whose bound lies above it, and a chosen row is pushed down only to
children whose ball it can change.
"""

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.compiling import compiled, inner
from selection_job.numeric.trees.ball_tree import LANES, select_smallest
from selection_job.numeric.trees.search import (
    COLLECTS,
    FLOOR,
    LANE,
    LEAF_ROOM,
    N_POOL,
    NODE,
    NODE_ROOM,
    POOL,
    POOL_ROOM,
    POSITION,
    TAU,
    Search,
)
from selection_job.numeric.trees.vectors import PAIRS, add_squares, find_below, lowest_bit

CHUNK = 32  # features after which a distance that is too large already is given up


@compiled
def refresh(search: Search, chosen: NDArray[np.int32], tau: float, is_deep: bool, collects: bool) -> None:
    """Take in rows chosen since, at most POOL; bring every point above tau up to date and, if asked to, collect them.

    Not deep: the root pushes down what is pending, and nothing else. The pool may have to leave points above tau out:
    level[FLOOR] says above which distance it holds all.
    """
    push_to_root(search, chosen)
    root, top = len(search.peak) - 1, len(search.tree.first) - 2
    search.counts[N_POOL], search.counts[COLLECTS] = 0, collects
    search.level[TAU] = search.level[FLOOR] = tau
    if search.peak[root] <= search.level[TAU]:
        return
    level = top
    enter(search, top, root, is_deep)
    while level <= top:
        node = search.walk[NODE, level]
        if level == 0:
            apply_pending(search, node)
            if search.counts[COLLECTS] and search.walk[LANE, 0] == 0 and search.peak[node] > search.level[TAU]:
                _collect(search, node)
            level += 1
            continue
        below = push_down(search, level, node)
        is_full = below >= 0
        if not is_full:
            below = _find_next(search, level, node)
        if below >= 0:
            level -= 1
            enter(search, level, below, not is_full)
        else:
            set_peak(search, level, node)
            level += 1
    if search.counts[N_POOL] > POOL:
        _raise_floor(search)


@inner
def push_to_root(search: Search, chosen: NDArray[np.int32]) -> None:
    """Make rows, at most POOL, pending at the root, whose list is empty."""
    root = len(search.peak) - 1
    at, size = find_list(root, search.tree.first[1]), search.n_pending[root]
    for i in range(len(chosen)):
        search.pending[at + size + i] = chosen[i]
    search.n_pending[root] = size + len(chosen)


@inner
def enter(search: Search, level: int, node: int, is_deep: bool) -> None:
    """Begin at a node; one that is only emptied because its list is full visits none of its children."""
    search.walk[NODE, level] = node
    search.walk[POSITION, level] = 0
    search.walk[LANE, level] = 0 if is_deep else LANES


@inner
def find_list(node: int, n_leaves: int) -> int:
    """Return where the rows that are pending at a node begin."""
    if node < n_leaves:
        return node * LEAF_ROOM
    return n_leaves * LEAF_ROOM + (node - n_leaves) * NODE_ROOM


@inner
def first_child(search: Search, level: int, node: int) -> int:
    """Return the first child of a node above the leaves."""
    return int(search.tree.first[level - 1] + LANES * (node - search.tree.first[level]))


@inner
def find_near(search: Search, node: int, at: int, n_rows: int) -> int:
    """Compare four pending rows with the node's lanes: bit 16 j + lane says whether row j changes that lane."""
    d, pending, sums, limits = search.d, search.pending, search.sums, search.limits
    tile, limit = node * LANES * d, node * LANES
    r0 = pending[at] * np.int64(d)
    r1 = pending[at + min(1, n_rows - 1)] * np.int64(d)
    r2 = pending[at + min(2, n_rows - 1)] * np.int64(d)
    r3 = pending[at + min(3, n_rows - 1)] * np.int64(d)
    for i in range(LANES * PAIRS):
        sums[i] = 0
    found = 0
    for first in range(0, d, CHUNK):
        last = min(first + CHUNK, d)
        add_squares(search.tree.tiles, tile, tile, tile, tile, search.rows, r0, r1, r2, r3, first, last, sums)
        found = find_below(sums, limits, limit, limit, limit, limit)
        if found == 0:
            return 0
    if n_rows < PAIRS:
        found &= (1 << (LANES * n_rows)) - 1
    return found


@inner
def push_down(search: Search, level: int, node: int) -> int:
    """Push pending rows down to children they may change; stop at a child whose list is full and return it, or -1."""
    n_leaves = search.tree.first[1]
    child = first_child(search, level, node)
    child_at, room = find_list(child, n_leaves), LEAF_ROOM if level == 1 else NODE_ROOM
    at, size = find_list(node, n_leaves), search.n_pending[node]
    position = search.walk[POSITION, level]
    full = _find_full(search.n_pending, child, min(child + LANES, search.tree.first[level]), room)
    while full < 0 and position < size:
        n_rows = min(PAIRS, size - position)
        found = find_near(search, node, at + position, n_rows)
        is_full = False
        while found != 0:
            bit = lowest_bit(found)
            found &= found - 1
            lane = bit & (LANES - 1)
            n_there = search.n_pending[child + lane]
            search.pending[child_at + lane * room + n_there] = search.pending[at + position + (bit >> 4)]
            search.n_pending[child + lane] = n_there + 1
            is_full |= n_there + 1 > room - PAIRS
        position += n_rows
        if is_full:
            full = _find_full(search.n_pending, child, min(child + LANES, search.tree.first[level]), room)
    search.walk[POSITION, level] = position
    if full < 0:
        search.n_pending[node] = 0
        search.walk[POSITION, level] = 0
    return full


@inner
def _find_full(n_pending: NDArray[np.int32], first: int, last: int, room: int) -> int:
    for node in range(first, last):
        if n_pending[node] > room - PAIRS:
            return node
    return -1


@inner
def _find_next(search: Search, level: int, node: int) -> int:
    """Return the next child with anything above tau, or -1."""
    child = first_child(search, level, node)
    n_lanes = min(LANES, search.tree.first[level] - child)
    lane = search.walk[LANE, level]
    while lane < n_lanes:
        lane += 1
        if search.peak[child + lane - 1] > search.level[TAU]:
            search.walk[LANE, level] = lane
            return int(child + lane - 1)
    search.walk[LANE, level] = LANES
    return -1


@inner
def apply_pending(search: Search, leaf: int) -> None:
    """Lower the distances of the leaf's points by the rows that are pending there."""
    limit, at, size = leaf * LANES, leaf * LEAF_ROOM, search.n_pending[leaf]
    has_changed = False
    for position in range(0, size, PAIRS):
        found = find_near(search, leaf, at + position, min(PAIRS, size - position))
        has_changed |= found != 0
        while found != 0:
            bit = lowest_bit(found)
            found &= found - 1
            point = limit + (bit & (LANES - 1))
            if search.sums[bit] < search.limits[point]:
                search.limits[point] = search.sums[bit]
                search.nearest[point] = search.pending[at + position + (bit >> 4)]
    search.n_pending[leaf] = 0
    if has_changed:
        set_peak(search, 0, leaf)


@inner
def set_peak(search: Search, level: int, node: int) -> None:
    """Take the node's bound anew from its lanes, and tell its parent from which distance on a row can't change it."""
    peak = np.float32(-1.0)
    if level == 0:
        for i in range(node * LANES, node * LANES + LANES):
            peak = max(peak, search.limits[i])
    else:
        child = first_child(search, level, node)
        for i in range(child, min(child + LANES, search.tree.first[level])):
            peak = max(peak, search.peak[i])
    search.peak[node] = peak
    if node + 1 < len(search.peak):
        reach = (search.tree.radius[node] + np.sqrt(max(peak, np.float32(0.0)))) * search.stretch
        lane = node - search.tree.first[level]
        # Where every distance is 0 there is nothing left to lower.
        search.limits[LANES * search.tree.first[level + 1] + lane] = reach * reach if peak > 0 else -1.0


@inner
def _collect(search: Search, leaf: int) -> None:
    n_pool = search.counts[N_POOL]
    for i in range(leaf * LANES, leaf * LANES + LANES):
        if search.limits[i] > search.level[TAU]:
            search.pool_distances[n_pool] = search.limits[i]
            search.pool_ids[n_pool] = search.tree.ids[i]
            n_pool += 1
    search.counts[N_POOL] = n_pool
    if n_pool > POOL_ROOM:
        _raise_floor(search)


@inner
def _raise_floor(search: Search) -> None:
    """Keep the largest of the pool, fewer than POOL, and raise tau and floor to the largest value that is left out.

    Where that many are equal and none is larger, the lowest row of them stays: tau then lies just below their value,
    so that a lower row of the same value is still met.
    """
    distances, ids, size = search.pool_distances, search.pool_ids, search.counts[N_POOL]
    select_smallest(distances, ids, 0, size, size - POOL)
    floor = distances[size - POOL]
    n_kept, lowest = 0, ids[size - POOL]
    for i in range(size):
        if distances[i] > floor:
            distances[n_kept], ids[n_kept] = distances[i], ids[i]
            n_kept += 1
        elif distances[i] == floor:
            lowest = min(lowest, ids[i])
    search.level[TAU] = search.level[FLOOR] = floor
    if n_kept == 0:
        distances[0], ids[0], n_kept = floor, lowest, 1
        search.level[TAU] = np.nextafter(floor, np.float32(0.0))
    search.counts[N_POOL] = n_kept
