"""The k nearest rows by a ball tree, exact: sixteen queries that lie close go down together, nearest child first.

A child is entered by the queries whose ball of the k rows found so far reaches into its ball. Each query is answered
by itself, so the result does not depend on how queries are grouped or spread over threads.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.compiling import compiled, inner
from selection_job.numeric.threads import count_threads
from selection_job.numeric.trees.ball_tree import LANES, BallTree, build_tree, find_stretch, order_rows
from selection_job.numeric.trees.lazy_tree import CHUNK
from selection_job.numeric.trees.vectors import PAIRS, add_squares, find_below, lowest_bit

_GROUPS = 32  # of sixteen queries, which a thread answers at a time: a fraction of a second, so that a signal is heard


class Targets(NamedTuple):
    """The rows that are searched."""

    tree: BallTree
    radius: NDArray[np.float32]  # (nodes + 16,) of the tree, so that sixteen can be read from any
    lowest: NDArray[np.int32]  # (nodes,) lowest row below
    stretch: float  # factor on bounds that covers rounding


class Queries(NamedTuple):
    """What is searched for, and what has been found; row q of the arrays belongs to query q."""

    rows: NDArray[np.float32]  # (m * d,) read-only
    d: int
    order: NDArray[np.int32]  # (m,) queries that lie close are neighbours
    is_self: bool  # whether query q is row q of the targets, and no neighbour of itself
    sq_dist: NDArray[np.float32]  # (m, k) ascending; infinite where none was found
    ids: NDArray[np.int32]  # (m, k)


class _Walk(NamedTuple):
    """Scratch of one thread."""

    nodes: NDArray[np.int64]  # (depth,) nodes still to be visited
    levels: NDArray[np.int64]  # (depth,) theirs
    distances: NDArray[np.float32]  # (levels * 256,) squared, query by query to the centres of sixteen siblings
    group: NDArray[np.int64]  # (16,)
    active: NDArray[np.int64]  # (16,) positions in the group of those that reach into a node
    begins: NDArray[np.int64]  # (20,) where their rows begin; the last again up to a multiple of four
    farthest: NDArray[np.float32]  # (20,) squared distance of the last of their neighbours, likewise
    reach: NDArray[np.float32]  # (64,) squared distances below which a lane matters to a query
    sums: NDArray[np.float32]  # (64,)
    near: NDArray[np.float32]  # (16,) of each child, to the query it is nearest to


def find_nearest(
    queries: NDArray[np.float32], targets: NDArray[np.float32], k: int, *, is_self: bool
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the k nearest targets of each query and their squared distances, nearest first, lowest row of equals.

    queries, targets  (m, d), (n, d) float32 C-contiguous, finite, of a magnitude whose squares float32 can hold
    is_self           queries and targets are the same rows, and a row is no neighbour of itself
    returns           (m, k) int32, (m, k) float32; k is at most the targets there are to find

    O(m n d) where nothing has structure, a few hundredths of it where rows form clusters; memory of the tree, which is
    that of the targets, and of the result. On as many threads as torch has; the same bits for any number.
    """
    given = [np.asarray(rows).view() for rows in (queries, targets)]
    for rows in given:
        rows.flags.writeable = False  # one type for all inputs: the kernels are compiled once
    tree = build_tree(given[1])
    m, d = queries.shape
    order = tree.ids[: len(targets)] if is_self else order_rows(given[0])
    found = Queries(
        given[0].reshape(-1), d, order, is_self, np.full((m, k), np.inf, np.float32), np.full((m, k), -1, np.int32)
    )
    searched = Targets(tree, np.append(tree.radius, np.zeros(LANES, np.float32)), _find_lowest(tree), find_stretch(d))
    step = LANES * _GROUPS
    pool = ThreadPoolExecutor(count_threads())
    try:
        for answer in [
            pool.submit(_answer, searched, found, start, min(start + step, m)) for start in range(0, m, step)
        ]:
            answer.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return found.ids, found.sq_dist


def _find_lowest(tree: BallTree) -> NDArray[np.int32]:
    lowest = np.empty(int(tree.first[-1]), dtype=np.int32)
    ids = np.where(tree.ids < 0, np.iinfo(np.int32).max, tree.ids)
    lowest[: tree.first[1]] = ids.reshape(-1, LANES).min(axis=1)
    for level in range(1, len(tree.first) - 1):
        low, high = int(tree.first[level - 1]), int(tree.first[level])
        starts = np.arange(0, high - low, LANES)
        lowest[high : high + len(starts)] = np.minimum.reduceat(lowest[low:high], starts)
    return lowest


def _answer(targets: Targets, queries: Queries, start: int, end: int) -> None:
    depth = LANES * len(targets.tree.first)
    walk = _Walk(
        nodes=np.empty(depth, dtype=np.int64),
        levels=np.empty(depth, dtype=np.int64),
        distances=np.empty(depth * LANES, dtype=np.float32),
        group=np.empty(LANES, dtype=np.int64),
        active=np.empty(LANES, dtype=np.int64),
        begins=np.empty(LANES + PAIRS, dtype=np.int64),
        farthest=np.empty(LANES + PAIRS, dtype=np.float32),
        reach=np.empty(LANES * PAIRS, dtype=np.float32),
        sums=np.empty(LANES * PAIRS, dtype=np.float32),
        near=np.empty(LANES, dtype=np.float32),
    )
    search_groups(targets, queries, walk, start, end)


@compiled
def search_groups(targets: Targets, queries: Queries, walk: _Walk, start: int, end: int) -> None:
    """Answer the queries at start..end of the order."""
    for low in range(start, end, LANES):
        size = min(LANES, end - low)
        for i in range(size):
            walk.group[i] = queries.order[low + i]
        _search_group(targets, queries, walk, size)


@inner
def _search_group(targets: Targets, queries: Queries, walk: _Walk, size: int) -> None:
    n_open, root, top = 1, len(targets.lowest) - 1, len(targets.tree.first) - 2
    walk.nodes[0], walk.levels[0] = root, top
    for i in range(LANES * LANES):
        walk.distances[top * LANES * LANES + i] = 0
    while n_open > 0:
        n_open -= 1
        node, level = walk.nodes[n_open], walk.levels[n_open]
        n_active = _gather(targets, queries, walk, node, level, size)
        if n_active > 0 and level == 0:
            _search_leaf(targets, queries, walk, node, n_active)
        elif n_active > 0:
            n_open = _open_node(targets, queries, walk, node, level, n_active, n_open)


@inner
def _gather(targets: Targets, queries: Queries, walk: _Walk, node: int, level: int, size: int) -> int:
    """Find the queries of the group that may have a neighbour below the node."""
    last, n_active = queries.sq_dist.shape[1] - 1, 0
    at = level * LANES * LANES + (node - targets.tree.first[level]) % LANES
    for i in range(size):
        query = walk.group[i]
        farthest = queries.sq_dist[query, last]
        reach = (targets.radius[node] + np.sqrt(farthest)) * np.float32(targets.stretch)
        is_near = walk.distances[at + i * LANES] <= _above(reach * reach)
        if farthest == 0 and targets.lowest[node] > queries.ids[query, last]:
            is_near = False  # copies of higher rows only
        if is_near:
            walk.active[n_active], walk.begins[n_active] = i, query * queries.d
            walk.farthest[n_active] = farthest
            n_active += 1
    for i in range(n_active, n_active + PAIRS - 1):
        walk.begins[i], walk.farthest[i] = walk.begins[n_active - 1], walk.farthest[n_active - 1]
    return n_active


@compiled
def _measure(
    tiles: NDArray[np.float32], tile: int, rows: NDArray[np.float32], begins: NDArray[np.int64], first: int, d: int,
    sums: NDArray[np.float32], reach: NDArray[np.float32],
) -> int:  # fmt: skip
    """Compare four queries, from the given active one on, with a tile; bits as of find_below against reach."""
    for i in range(LANES * PAIRS):
        sums[i] = 0
    found = 0
    r0, r1, r2, r3 = begins[first], begins[first + 1], begins[first + 2], begins[first + 3]
    for begin in range(0, d, CHUNK):
        end = min(begin + CHUNK, d)
        add_squares(tiles, tile, tile, tile, tile, rows, r0, r1, r2, r3, begin, end, sums)
        found = find_below(sums, reach, 0, LANES, 2 * LANES, 3 * LANES)
        if found == 0:
            return 0
    return found


@inner
def _drop_repeated(found: int, n_left: int) -> int:
    """Return the bits of the first n_left of four queries."""
    return found & ((1 << (LANES * n_left)) - 1) if n_left < PAIRS else found


@inner
def _above(sq_dist: np.float32) -> np.float32:
    """Return a little more: a row at the same distance may be a lower one."""
    return max(sq_dist * np.float32(1 + 2.0**-22), np.float32(1e-37))


@inner
def _search_leaf(targets: Targets, queries: Queries, walk: _Walk, leaf: int, n_active: int) -> None:
    tile, ids, reach = leaf * LANES * queries.d, targets.tree.ids, walk.reach
    for first in range(0, n_active, PAIRS):
        for j in range(PAIRS):
            limit = _above(walk.farthest[first + j])
            for lane in range(LANES):
                reach[j * LANES + lane] = limit
        found = _measure(targets.tree.tiles, tile, queries.rows, walk.begins, first, queries.d, walk.sums, reach)
        found = _drop_repeated(found, n_active - first)
        while found != 0:
            bit = lowest_bit(found)
            found &= found - 1
            target = ids[leaf * LANES + (bit & (LANES - 1))]
            query = walk.group[walk.active[first + (bit >> 4)]]
            if target >= 0 and not (queries.is_self and target == query):
                _insert(queries.sq_dist, queries.ids, query, walk.sums[bit], target)


@inner
def _insert(sq_dist: NDArray[np.float32], ids: NDArray[np.int32], query: int, value: float, target: int) -> None:
    """Put a neighbour where it belongs among the query's, and drop the last."""
    at = ids.shape[1] - 1
    if value > sq_dist[query, at] or (value == sq_dist[query, at] and target > ids[query, at] >= 0):
        return
    while at > 0:
        before = sq_dist[query, at - 1]
        if value > before or (value == before and target > ids[query, at - 1] >= 0):
            break
        sq_dist[query, at], ids[query, at] = before, ids[query, at - 1]
        at -= 1
    sq_dist[query, at], ids[query, at] = value, target


@inner
def _open_node(
    targets: Targets, queries: Queries, walk: _Walk, node: int, level: int, n_active: int, n_open: int
) -> int:
    """Lay the node's children on the stack, the nearest on top; return how many nodes lie there."""
    first = targets.tree.first
    child = first[level - 1] + LANES * (node - first[level])
    near = _measure_centres(targets, queries, walk, node, child, level - 1, n_active)
    begin = n_open
    for lane in range(min(LANES, first[level] - child)):
        if near >> lane & 1:
            at = n_open
            while at > begin and walk.near[walk.nodes[at - 1] - child] < walk.near[lane]:
                walk.nodes[at] = walk.nodes[at - 1]
                at -= 1
            walk.nodes[at], walk.levels[n_open] = child + lane, level - 1
            n_open += 1
    return n_open


@inner
def _measure_centres(
    targets: Targets, queries: Queries, walk: _Walk, node: int, child: int, level: int, n_active: int
) -> int:
    """Measure the active queries' distances to the centres of a node's children, which lie at `level`.

    returns  bit `lane` says whether any of them reaches into that child's ball
    """
    tile, reach, stretch, any_near = node * LANES * queries.d, walk.reach, np.float32(targets.stretch), 0
    at = level * LANES * LANES
    for lane in range(LANES):
        walk.near[lane] = np.inf
    for i in range(at, at + LANES * LANES):
        walk.distances[i] = np.inf
    for first in range(0, n_active, PAIRS):
        for j in range(PAIRS):
            farthest = np.sqrt(walk.farthest[first + j])
            for lane in range(LANES):
                limit = (targets.radius[child + lane] + farthest) * stretch
                reach[j * LANES + lane] = _above(limit * limit)
        found = _measure(targets.tree.tiles, tile, queries.rows, walk.begins, first, queries.d, walk.sums, reach)
        any_near |= found
        for j in range(min(PAIRS, n_active - first)):
            own = at + walk.active[first + j] * LANES
            for lane in range(LANES):
                walk.distances[own + lane] = walk.sums[j * LANES + lane]
                walk.near[lane] = min(walk.near[lane], walk.sums[j * LANES + lane])
    any_near |= any_near >> (2 * LANES)
    return any_near | any_near >> LANES
