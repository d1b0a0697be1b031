"""Finding the next rows of a mix of strategies in a lazy tree: a pool of many, or the single best.

As in lazy_tree, a walk visits only nodes whose bound reaches a threshold. What is left out of the pool stays below a
bound that is carried on from pick to pick, so that the pool serves many of them; where it can't tell (many rows are
equal, or bounds are loose because little is chosen) a walk looks for the best row alone.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.compiling import compiled, inner
from selection_job.numeric.greedy.lazy_greedy import lower_tiles
from selection_job.numeric.greedy.mix_kernels import (
    N_CHOSEN,
    PEAK,
    Chosen,
    Scores,
    bound_lane,
    bound_node,
    explain_lane,
    raised,
    score_lane,
    set_plane,
    take,
)  # fmt: skip
from selection_job.numeric.trees.ball_tree import LANES, select_smallest
from selection_job.numeric.trees.lazy_tree import (
    apply_pending,
    enter,
    first_child,
    push_down,
    push_to_root,
    set_peak,
)
from selection_job.numeric.trees.search import LANE, NODE, POOL, Search

ROOM = 4 * POOL
TAU, FLOOR, BEST = 0, 1, 2  # entries of `level`
SIZE, BEST_LANE, COLLECTS, N_PUSHED = 0, 1, 2, 3  # entries of `counts`


class MixPool(NamedTuple):
    """Rows that may come next, and what bounds all others."""

    lanes: NDArray[np.int64]  # (ROOM + 16,)
    bounds: NDArray[np.float64]  # (ROOM + 16,)
    tiles: NDArray[np.float32]  # (POOL * d,) laid out like leaves
    distances: NDArray[np.float32]  # (POOL,) squared; -1 where taken or empty
    level: NDArray[np.float64]  # (3,) threshold of the walk; bound on all that is left out; best score
    counts: NDArray[np.int64]  # (4,) rows in the pool; lane of the best; whether to collect; chosen the tree knows of
    plane: NDArray[np.float64]  # (2 + weights,) when the pool was filled
    gaps: NDArray[np.float64]  # (kinds,) at that time: how far above the plane's foot a row left out can lie


class Picks(NamedTuple):
    """Room for what is picked."""

    lanes: NDArray[np.int64]  # (m,)
    distances: NDArray[np.float64]  # (m,) squared, to the nearest chosen one; infinite for the first
    parts: NDArray[np.float64]  # (m, strategies) what each gave


@compiled
def fill(search: Search, scores: Scores, chosen: Chosen, pool: MixPool, tau: float) -> None:
    """Collect the rows whose bound lies above tau, or the best of them where they are too many."""
    _touch(scores, pool)
    pool.counts[SIZE], pool.counts[COLLECTS] = 0, 1
    set_plane(scores)
    _walk(search, scores, chosen, pool, tau)
    if pool.counts[SIZE] > POOL:
        _raise_floor(pool)
    for j in range(len(pool.plane)):
        pool.plane[j] = scores.plane[j]
    for kind in range(len(pool.gaps)):
        pool.gaps[kind] = pool.level[FLOOR] - scores.plane[0] - scores.tables[len(scores.tables) - 1, kind]
    _lay_out(search, pool)


@inner
def _touch(scores: Scores, pool: MixPool) -> None:
    """Let the plane touch the scores where the pool's best row lies."""
    for i in range(pool.counts[SIZE]):
        if pool.distances[i] >= 0 and pool.lanes[i] == pool.counts[BEST_LANE]:
            scores.touch[0] = np.float64(pool.distances[i])
            for j in range(len(scores.strengths)):
                scores.touch[1 + j] = scores.values[j, pool.lanes[i]]


@compiled
def find_best(search: Search, scores: Scores, chosen: Chosen, pool: MixPool) -> int:
    """Return the lane of the open row with the largest score, the lowest row of equals, or -1."""
    pool.counts[COLLECTS] = 0
    pool.counts[BEST_LANE], pool.level[BEST] = -1, -np.inf
    set_plane(scores)
    for i in range(pool.counts[SIZE]):  # those are near the top; their distances are exact
        if pool.distances[i] >= 0:
            _compare(search, scores, pool, pool.lanes[i], np.float64(pool.distances[i]))
    _walk(search, scores, chosen, pool, pool.level[BEST])
    return int(pool.counts[BEST_LANE])


@inner
def _walk(search: Search, scores: Scores, chosen: Chosen, pool: MixPool, tau: float) -> None:
    """Bring all nodes whose bound reaches tau up to date and look at their rows."""
    n_chosen = int(scores.distance_state[N_CHOSEN])
    push_to_root(search, chosen.order[pool.counts[N_PUSHED] : n_chosen])
    pool.counts[N_PUSHED] = n_chosen
    root, top = len(search.peak) - 1, len(search.tree.first) - 2
    pool.level[TAU] = pool.level[FLOOR] = tau
    level = top
    enter(search, top, root, True)
    while level <= top:
        node = search.walk[NODE, level]
        if level == 0:
            apply_pending(search, node)
            if search.walk[LANE, 0] == 0:
                _look(search, scores, pool, node)
            level += 1
            continue
        below = push_down(search, level, node)
        is_full = below >= 0
        if not is_full:
            below = _find_next(search, scores, pool, level, node)
        if below >= 0:
            level -= 1
            enter(search, level, below, not is_full)
        else:
            set_peak(search, level, node)
            level += 1
    scores.distance_state[PEAK] = max(np.float64(search.peak[root]), 0.0)


@inner
def _find_next(search: Search, scores: Scores, pool: MixPool, level: int, node: int) -> int:
    """Return the next child whose bound reaches tau, or -1."""
    child = first_child(search, level, node)
    n_lanes = min(LANES, search.tree.first[level] - child)
    lane = search.walk[LANE, level]
    while lane < n_lanes:
        lane += 1
        if bound_node(scores, child + lane - 1, np.float64(search.peak[child + lane - 1])) >= pool.level[TAU]:
            search.walk[LANE, level] = lane
            return int(child + lane - 1)
    search.walk[LANE, level] = LANES
    return -1


@inner
def _look(search: Search, scores: Scores, pool: MixPool, leaf: int) -> None:
    """Collect the leaf's rows above tau, or compare them with the best."""
    for lane in range(leaf * LANES, leaf * LANES + LANES):
        if not scores.is_open[lane]:
            continue
        x = np.float64(search.limits[lane])
        above = bound_lane(scores, lane, x)
        if pool.counts[COLLECTS] == 0:
            if above >= pool.level[BEST]:
                _compare(search, scores, pool, lane, x)
                pool.level[TAU] = pool.level[BEST]
        elif above > pool.level[TAU]:
            size = pool.counts[SIZE]
            pool.lanes[size], pool.bounds[size] = lane, above
            pool.counts[SIZE] = size + 1
    if pool.counts[SIZE] > ROOM and pool.counts[COLLECTS] != 0:
        _raise_floor(pool)


@inner
def _compare(search: Search, scores: Scores, pool: MixPool, lane: int, x: float) -> None:
    score, best, ids = score_lane(scores, lane, x), pool.counts[BEST_LANE], search.tree.ids
    if score > pool.level[BEST] or (score == pool.level[BEST] and (best < 0 or ids[lane] < ids[best])):
        pool.counts[BEST_LANE], pool.level[BEST] = lane, score


@inner
def _raise_floor(pool: MixPool) -> None:
    """Keep the largest of the pool, fewer than POOL, and raise tau and floor to the largest bound left out."""
    size = pool.counts[SIZE]
    select_smallest(pool.bounds, pool.lanes, 0, size, size - POOL)
    floor, n_kept = pool.bounds[size - POOL], 0
    for i in range(size - POOL, size):
        if pool.bounds[i] > floor:
            pool.bounds[n_kept], pool.lanes[n_kept] = pool.bounds[i], pool.lanes[i]
            n_kept += 1
    pool.level[TAU] = pool.level[FLOOR] = floor
    pool.counts[SIZE] = n_kept


@inner
def _lay_out(search: Search, pool: MixPool) -> None:
    d, size = search.d, pool.counts[SIZE]
    for i in range(POOL):
        pool.distances[i] = -1.0
    for i in range(size):
        at, row = (i // LANES) * LANES * d + i % LANES, search.tree.ids[pool.lanes[i]] * np.int64(d)
        for f in range(d):
            pool.tiles[at + f * LANES] = search.rows[row + f]
        pool.distances[i] = search.limits[pool.lanes[i]]


@compiled
def pick(search: Search, scores: Scores, chosen: Chosen, pool: MixPool, picks: Picks, n_done: int) -> int:
    """Run the greedy inside the pool while its best row beats all others; return how many picks are done then."""
    while n_done < len(picks.lanes):
        set_plane(scores)
        best = _find_in_pool(search, scores, pool)
        if best < 0 or pool.level[BEST] <= _bound_outside(scores, pool):
            break
        pick_lane(search, scores, chosen, pool, picks, n_done, pool.lanes[best], np.float64(pool.distances[best]))
        n_done += 1
    return n_done


@compiled
def pick_lane(
    search: Search, scores: Scores, chosen: Chosen, pool: MixPool, picks: Picks, at: int, lane: int, sq_dist: float
) -> None:
    """Choose a row as pick number `at`, and lower the pool's distances by it."""
    picks.lanes[at] = lane
    picks.distances[at] = sq_dist
    explain_lane(scores, lane, sq_dist, picks.parts[at])
    take(search, scores, chosen, lane, sq_dist)
    row = search.tree.ids[lane] * np.int64(search.d)
    size = pool.counts[SIZE]
    lower_tiles(pool.tiles, pool.distances, size, search.rows, row, search.d, search.sums)
    for i in range(size):
        if pool.lanes[i] == lane:
            pool.distances[i] = -1.0


@inner
def _find_in_pool(search: Search, scores: Scores, pool: MixPool) -> int:
    """Return the position of the best row in the pool, the lowest row of equals, or -1."""
    pool.counts[BEST_LANE], pool.level[BEST] = -1, -np.inf
    best = -1
    for i in range(pool.counts[SIZE]):
        x, lane = np.float64(pool.distances[i]), pool.lanes[i]
        if x >= 0 and bound_lane(scores, lane, x) >= pool.level[BEST]:
            _compare(search, scores, pool, lane, x)
            best = i if pool.counts[BEST_LANE] == lane else best
    return best


@inner
def _bound_outside(scores: Scores, pool: MixPool) -> float:
    """Return a bound on the rows that the pool left out, as things stand.

    Their distance above the foot of the plane was at most their kind's gap. Where all slopes are positive it has
    changed at most as much as the slope that fell least, otherwise by what each slope can have added.
    """
    plane, old, ratio, added = scores.plane, pool.plane, 0.0, 0.0
    is_rising = True
    for j in range(1, len(plane)):
        largest = scores.distance_state[PEAK] if j == 1 else scores.largest[j - 2]
        if plane[j] > old[j]:
            added += (plane[j] - old[j]) * largest
        if plane[j] < 0 or old[j] < 0 or (old[j] == 0 and plane[j] > 0):
            is_rising = False
        elif old[j] > 0:
            ratio = max(ratio, plane[j] / old[j])
    best, table = -np.inf, scores.tables[len(scores.tables) - 1]
    for kind in range(len(table)):
        gap = pool.gaps[kind] + added
        if is_rising and pool.gaps[kind] >= 0:
            gap = min(gap, ratio * pool.gaps[kind])
        best = max(best, gap + table[kind])
    return raised(plane[0] + best)
