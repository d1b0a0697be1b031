"""Farthest-first over a lazy tree: the same picks as the plain one, from a small part of its distances."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.compile_helpers import start_helper
from selection_job.numeric.compiling import compiled, inner
from selection_job.numeric.trees.ball_tree import LANES
from selection_job.numeric.trees.lazy_tree import CHUNK, refresh
from selection_job.numeric.trees.search import FLOOR, N_POOL, POOL, Search, start_search
from selection_job.numeric.trees.vectors import PAIRS, add_squares, find_below, lower_to

GROUP = LANES * PAIRS
_NO_ROWS: NDArray[np.int32] = np.empty(0, dtype=np.int32)
_LEAST_ROWS = 8192
"""Of a part that is worth a thread of its own."""

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


class Pool(NamedTuple):
    """Points that may come next, laid out like leaves."""

    tiles: NDArray[np.float32]  # (p * d,), p a multiple of POOL
    distances: NDArray[np.float32]  # (p,) squared; -1 where empty


def traverse(
    rows: NDArray[np.float32], n_samples: int, chosen: NDArray[np.int64], min_distance: float, n_threads: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int32]]:
    """Choose rows farthest-first; arguments as checked by farthest_first, n_samples at most the rows left to choose.

    rows       (n, d) float32, C-contiguous, of a magnitude whose squares float32 can hold
    n_threads  each searches a part of the rows; the result is the same for any number
    returns    indices (k,) int64; distances (k + 1,) float32: at which each was taken, then the covering radius;
               nearest (n,) int32: for each row the nearest chosen one, of equals the one that was taken first, itself
               where it was taken. Among equals of those that were chosen before, any
    """
    helper = start_helper("refresh", refresh)  # while the tree is built
    with _Greedy(rows, n_threads) as greedy:
        helper.wait()
        picks, sq_dist = np.empty(n_samples, dtype=np.int64), np.full(n_samples + 1, np.inf, dtype=np.float32)
        n_done = 0
        if not len(chosen):
            picks[0], n_done = 0, 1
        greedy.push(chosen if len(chosen) else picks[:1])
        while n_done < n_samples:
            n_new = greedy.pick(picks[n_done:], sq_dist[n_done:], min_distance)
            if n_new == 0:
                break
            n_done += n_new
        sq_dist[n_done] = greedy.find_peak()
        nearest = greedy.find_nearest(len(rows))
    if sq_dist[n_done] == 0 and min_distance <= 0:
        _add_copies(picks, sq_dist, n_done, chosen, len(rows))
        n_done = n_samples
    nearest[picks[:n_done]] = picks[:n_done]
    return picks[:n_done], np.sqrt(sq_dist[: n_done + 1]), nearest


def _add_copies(
    picks: NDArray[np.int64], sq_dist: NDArray[np.float32], n_done: int, chosen: NDArray[np.int64], n: int
) -> None:
    """Fill the picks up with what is left, in the order of the rows: all of it lies at distance 0."""
    is_left = np.ones(n, dtype=bool)
    is_left[chosen] = False
    is_left[picks[:n_done]] = False
    picks[n_done:] = np.flatnonzero(is_left)[: len(picks) - n_done]
    sq_dist[n_done:] = 0


class _Greedy:
    """A choice under way. Every call comes back within a fraction of a second, so that a signal is heard.

    The rows are cut into parts, each with a tree of its own. In a round every part brings what lies above tau up to
    date and answers with a pool; above the largest of their floors the pools together are complete, so what is picked
    among those points is what one tree would have picked. The next round tells every part of it.
    """

    def __init__(self, rows: NDArray[np.float32], n_threads: int) -> None:
        parts = cut_into_parts(len(rows), n_threads)
        self._threads = ThreadPoolExecutor(len(parts)) if len(parts) > 1 else None
        self._searches = self._call(lambda part: start_search(rows, part), parts)
        size = POOL * len(parts)
        self._pool = Pool(np.empty(size * rows.shape[1], dtype=np.float32), np.empty(size, dtype=np.float32))
        self._joint = self._searches[0]
        """Holds the pools of all parts, joined."""
        if len(parts) > 1:
            self._joint = self._joint._replace(
                pool_ids=np.empty(size, dtype=np.int32),
                pool_distances=np.empty(size, dtype=np.float32),
                counts=np.zeros(2, dtype=np.int64),
                level=np.zeros(2, dtype=np.float32),
                sums=np.zeros_like(self._joint.sums),
            )
        self._unpushed = _NO_ROWS
        self._upper = np.inf  # no squared distance is larger
        self._width = 0.1  # share of the covering radius that the pool is taken from

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def _call(self, function: Callable[[_Argument], _Result], arguments: Iterable[_Argument]) -> list[_Result]:
        """Return what the function makes of each, in threads where there are any."""
        return list(map(function, arguments) if self._threads is None else self._threads.map(function, arguments))

    def push(self, chosen: NDArray[np.int64]) -> None:
        """Bring all distances up to date after these are chosen."""
        self._call(lambda search: push_all(search, chosen), self._searches)

    def pick(self, picks: NDArray[np.int64], sq_dist: NDArray[np.float32], min_distance: float) -> int:
        """Fill in the next picks and the squared distances at which they are taken; return how many, 0 at the end."""
        n_pool = self._fill_pool()
        if n_pool == 0:
            return 0
        n_new, is_exhausted = _pick(self._joint, self._pool, n_pool, picks, sq_dist, min_distance)
        self._unpushed = picks[:n_new].astype(np.int32)
        if is_exhausted:
            self._upper = float(self._joint.level[FLOOR])
        return int(n_new)

    def find_peak(self) -> float:
        """Return the squared covering radius."""
        n_pool = self._fill_pool()
        return float(self._joint.pool_distances[:n_pool].max(initial=0.0))

    def find_nearest(self, n: int) -> NDArray[np.int32]:
        """Return (n,) the nearest chosen row of each. What was put off is little: 30 ms at 300,000 rows of 32."""
        self._call(partial(bring_up_to_date, self._unpushed), self._searches)
        self._unpushed = _NO_ROWS
        nearest = np.empty(n, dtype=np.int32)
        for search in self._searches:
            take_nearest(search, nearest)
        return nearest

    def _fill_pool(self) -> int:
        """Collect the points that are farthest from what is chosen; none where every distance is 0."""
        while (peak := max(float(search.peak[-1]) for search in self._searches)) > 0:
            upper = min(self._upper, peak)
            tau = float(np.float32(upper * (1 - self._width) ** 2))
            unpushed, self._unpushed = self._unpushed, _NO_ROWS
            self._call(partial(_refresh, unpushed, tau), self._searches)
            n_pool, floor = self._join(), float(self._joint.level[FLOOR])
            if floor > tau:
                self._width = max(1 - (floor / upper) ** 0.5, 1e-7)
            elif n_pool < POOL // 2 * len(self._searches):
                self._width = min(1.25 * self._width, 0.5)
            if n_pool > 0:
                return n_pool
            self._upper = tau
        return 0

    def _join(self) -> int:
        """Join the pools of all parts: above the largest floor they are complete; return how many points there are.

        A part whose pool goes farther down leaves out what lies below that floor. What lies at it stays, for where
        nothing lies above it the lowest row of them comes next, and each part's pool holds its own lowest.
        """
        joint = self._joint
        if len(self._searches) == 1:
            return int(joint.counts[N_POOL])
        floor, n_pool = max(search.level[FLOOR] for search in self._searches), 0
        for search in self._searches:
            size = int(search.counts[N_POOL])
            kept = np.flatnonzero(search.pool_distances[:size] >= floor)
            joint.pool_ids[n_pool : n_pool + len(kept)] = search.pool_ids[kept]
            joint.pool_distances[n_pool : n_pool + len(kept)] = search.pool_distances[kept]
            n_pool += len(kept)
        joint.level[FLOOR] = floor
        return n_pool


def cut_into_parts(n: int, n_threads: int) -> list[slice]:
    """Return consecutive parts of n rows, of about the same size, as many as are worth a thread."""
    n_parts = max(min(n_threads, n // _LEAST_ROWS), 1)
    edges = [n * i // n_parts for i in range(n_parts + 1)]
    return [slice(first, end) for first, end in pairwise(edges)]


def bring_up_to_date(chosen: NDArray[np.int32], search: Search) -> None:
    """Take in rows chosen since, however many, and bring every point up to date."""
    for start in range(0, len(chosen), POOL):
        refresh(search, chosen[start : start + POOL], -1.0, False, False)
    refresh(search, _NO_ROWS, -1.0, True, False)


def take_nearest(search: Search, nearest: NDArray[np.int32]) -> None:
    """Write the nearest chosen row of each point to its place among all rows."""
    is_row = search.tree.ids >= 0
    nearest[search.tree.ids[is_row]] = search.nearest[is_row]


def _refresh(chosen: NDArray[np.int32], tau: float, search: Search) -> None:
    """Take in rows chosen since, however many, and collect every point above tau."""
    last = max(len(chosen) - 1, 0) // POOL * POOL
    for start in range(0, last, POOL):
        refresh(search, chosen[start : start + POOL], -1.0, False, False)
    if search.peak[-1] <= tau:  # nothing here can come next: the rows may wait, but the root's list must not fill up
        refresh(search, chosen[last:], -1.0, False, False)
        search.counts[N_POOL], search.level[FLOOR] = 0, tau
    else:
        refresh(search, chosen[last:], tau, True, True)


def push_all(search: Search, chosen: NDArray[np.int64]) -> None:
    """Bring all distances up to date after rows are chosen.

    Shuffled and in doubling batches: the first few keep most of the others from going far down.
    """
    shuffled = np.random.default_rng(0).permutation(chosen).astype(np.int32)
    start, size = 0, 1
    while start < len(shuffled):
        batch = shuffled[start : start + size]
        for at in range(0, len(batch), POOL):
            refresh(search, batch[at : at + POOL], -1.0, False, False)
        refresh(search, _NO_ROWS, -1.0, True, False)
        start, size = start + size, 2 * size


@inner
def _lay_out(search: Search, pool: Pool, n_pool: int) -> None:
    d = search.d
    for i in range(n_pool):
        at, row = (i // LANES) * LANES * d + i % LANES, search.pool_ids[i] * np.int64(d)
        for f in range(d):
            pool.tiles[at + f * LANES] = search.rows[row + f]
    for i in range(len(pool.distances)):
        pool.distances[i] = search.pool_distances[i] if i < n_pool else np.float32(-1.0)


@compiled
def _pick(
    search: Search, pool: Pool, n_pool: int, picks: NDArray[np.int64], sq_dist: NDArray[np.float32],
    min_distance: float,
) -> tuple[int, bool]:  # fmt: skip
    """Run the plain greedy inside the pool while its largest distance lies above the floor.

    Returns how many it took, and whether nothing above the floor is left. The first is taken in any case: of those at
    the floor the pool holds the lowest row.
    """
    _lay_out(search, pool, n_pool)
    n_done, floor = 0, search.level[FLOOR]
    while n_done < len(picks):
        best = _find_farthest(pool.distances, search.pool_ids, n_pool)
        if pool.distances[best] <= floor and n_done > 0:
            return n_done, True
        if np.sqrt(pool.distances[best]) < min_distance:
            return n_done, False
        picks[n_done], sq_dist[n_done] = search.pool_ids[best], pool.distances[best]
        row = search.pool_ids[best] * np.int64(search.d)
        lower_tiles(pool.tiles, pool.distances, n_pool, search.rows, row, search.d, search.sums)
        pool.distances[best] = -1.0
        n_done += 1
    return n_done, False


@inner
def _find_farthest(distances: NDArray[np.float32], ids: NDArray[np.int32], n_pool: int) -> int:
    best = 0
    for i in range(1, n_pool):
        is_tie = distances[i] == distances[best]
        if distances[i] > distances[best] or (is_tie and ids[i] < ids[best]):
            best = i
    return best


@compiled
def lower_tiles(
    tiles: NDArray[np.float32], distances: NDArray[np.float32], n: int,
    rows: NDArray[np.float32], row: int, d: int, sums: NDArray[np.float32],
) -> None:  # fmt: skip
    """Lower the squared distances of the first n points of some tiles by those to the row that begins at `row`.

    The lengths are those of whole groups of four tiles; distances are -1 in empty lanes.
    """
    for l0 in range(0, n, GROUP):
        l1, l2, l3 = l0 + LANES, l0 + 2 * LANES, l0 + 3 * LANES
        for i in range(GROUP):
            sums[i] = 0
        found = 0
        for first in range(0, d, CHUNK):
            last = min(first + CHUNK, d)
            add_squares(tiles, l0 * d, l1 * d, l2 * d, l3 * d, rows, row, row, row, row, first, last, sums)
            found = find_below(sums, distances, l0, l1, l2, l3)
            if found == 0:
                break
        if found != 0:
            lower_to(sums, distances, l0, l1, l2, l3)
