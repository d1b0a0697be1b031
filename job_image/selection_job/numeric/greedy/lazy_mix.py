"""One diversity combined with weights and balances: the same picks as the dense greedy, from bounds over a ball tree.

A distance that is out of date is too large, and so is a score made of it: only rows whose bound reaches the best are
looked at. Rows near the top are held in a pool, from which many picks are taken before the tree is asked again.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.compile_helpers import start_helper
from selection_job.numeric.greedy.lazy_greedy import GROUP, bring_up_to_date, push_all, take_nearest
from selection_job.numeric.greedy.mix_kernels import (
    N_CHOSEN,
    Chosen,
    Scores,
    lower_chosen,
    set_among,
    set_tables,
    sum_group,
)  # fmt: skip
from selection_job.numeric.greedy.mix_search import (
    BEST,
    BEST_LANE,
    FLOOR,
    N_PUSHED,
    ROOM,
    MixPool,
    Picks,
    fill,
    find_best,
    pick,
    pick_lane,
)
from selection_job.numeric.greedy.objectives import Balance, Diversity, Strategy, Weights
from selection_job.numeric.greedy.states import TINY, find_kinds, make_state, measure_spread
from selection_job.numeric.trees.ball_tree import LANES, BallTree
from selection_job.numeric.trees.lazy_tree import refresh
from selection_job.numeric.trees.search import POOL, Search, start_search

_BATCH = 256  # picks after which a signal is heard
_PATIENCE = 64  # picks for which the pool is not tried again where it served none


class LazyMix:
    """A selection under way."""

    def __init__(self, n: int, strategies: Sequence[Strategy], is_open: NDArray[np.bool_], n_most: int) -> None:
        self._helper, self._late_helper = start_helper("pool", fill), start_helper("refresh", refresh)
        self._strategies = strategies
        diversity = next(s for s in strategies if isinstance(s, Diversity))
        self._search = start_search(np.ascontiguousarray(diversity.vectors))
        ids = self._search.tree.ids
        self._lanes = np.empty(n, dtype=np.int64)
        self._lanes[ids[ids >= 0]] = np.flatnonzero(ids >= 0)
        self._scores = make_scores(strategies, self._search.tree, is_open, measure_spread(diversity.vectors))
        self._chosen = make_room(n_most, self._search.d)
        self._pool = make_pool(self._search, self._scores)
        self._width, self._wait, self._patience = np.inf, 0, 1

    def preselect(self, rows: NDArray[np.int64]) -> None:
        """Choose rows before the first pick. O(p^2 d) for p rows."""
        search, scores, chosen, p = self._search, self._scores, self._chosen, len(rows)
        if not p:
            return
        push_all(search, rows)
        chosen.order[:p] = rows
        tiled = np.zeros((-(-p // LANES) * LANES, search.d), dtype=np.float32)
        tiled[:p] = search.rows.reshape(-1, search.d)[rows]
        chosen.tiles[: tiled.size] = tiled.reshape(-1, LANES, search.d).transpose(0, 2, 1).reshape(-1)
        chosen.nearest[:p] = np.inf
        for at, row in enumerate(rows.tolist()):
            own, chosen.nearest[at] = chosen.nearest[at], -1  # no neighbour of itself
            lower_chosen(search, chosen, p, row * search.d)
            chosen.nearest[at] = own
        for group in range(-(-p // GROUP)):
            sum_group(chosen, group)
        lanes = self._lanes[rows]
        scores.is_open[lanes] = False
        scores.sums[:] = scores.values[:, lanes].sum(axis=1)
        scores.counts[:] = scores.classes[:, scores.kinds[lanes]].sum(axis=1)
        set_tables(scores)
        set_among(scores, chosen, p, 0)
        self._pool.counts[N_PUSHED] = p

    def choose(self, n_wanted: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Choose the next rows, at most n_wanted and some hundred; none where no row is open.

        returns  rows (m,); distances (m,) to the nearest chosen one, infinite for the first; what each strategy gave
                 (m, strategies)
        """
        n = min(n_wanted, _BATCH)
        picks = Picks(np.empty(n, dtype=np.int64), np.empty(n), np.empty((n, len(self._strategies))))
        n_done, n_before = 0, -1
        while n_before < n_done < n:
            n_before, n_done = n_done, self._pick(picks, n_done)
        rows = self._search.tree.ids[picks.lanes[:n_done]].astype(np.int64)
        return rows, np.sqrt(picks.distances[:n_done]), picks.parts[:n_done][:, self._find_columns()]

    def find_nearest(self) -> NDArray[np.int32]:
        """Return (n,) the nearest chosen row of each; of equals the first that was chosen, itself where it was."""
        self._late_helper.wait()
        counts, n_chosen = self._pool.counts, int(self._scores.distance_state[N_CHOSEN])
        chosen = self._chosen.order[:n_chosen]
        bring_up_to_date(chosen[counts[N_PUSHED] :], self._search)
        counts[N_PUSHED] = n_chosen
        nearest = np.empty(len(self._lanes), dtype=np.int32)
        take_nearest(self._search, nearest)
        nearest[chosen] = chosen
        return nearest

    def _pick(self, picks: Picks, n_before: int) -> int:
        """Pick some more; return how many are done then, as many as before where no row is open."""
        state = self._search, self._scores, self._chosen, self._pool
        n_done = int(pick(*state, picks, n_before))
        if n_done == n_before and self._wait == 0:
            self._fill_pool()
            n_done = int(pick(*state, picks, n_before))
            self._patience = 1 if n_done > n_before else min(2 * self._patience, _PATIENCE)
            self._wait = 0 if n_done > n_before else self._patience
        if n_done > n_before:
            return n_done
        lane = int(find_best(*state))
        if lane < 0:
            return n_before
        self._wait = max(self._wait - 1, 0)
        sq_dist = float(self._search.limits[lane]) if self._scores.distance_state[N_CHOSEN] else np.inf
        pick_lane(*state, picks, n_before, lane, sq_dist)
        return n_before + 1

    def _fill_pool(self) -> None:
        """Collect what may come next: some hundred rows, a width below the best one known."""
        level, counts = self._pool.level, self._pool.counts
        good = float(level[BEST]) if counts[BEST_LANE] >= 0 else -np.inf
        tau = good - self._width if np.isfinite(good) and np.isfinite(self._width) else -np.inf
        self._helper.wait()
        fill(self._search, self._scores, self._chosen, self._pool, tau)
        if level[FLOOR] > tau and np.isfinite(good):
            self._width = max(good - float(level[FLOOR]), 1e-9)
        elif counts[0] < POOL // 2:
            self._width *= 1.25

    def _find_columns(self) -> list[int]:
        """Return where the kernels put the part of each strategy."""
        kinds = (Diversity, Weights, Balance)
        by_kind = [i for kind in kinds for i, s in enumerate(self._strategies) if isinstance(s, kind)]
        return [by_kind.index(i) for i in range(len(self._strategies))]


def make_scores(strategies: Sequence[Strategy], tree: BallTree, is_open: NDArray[np.bool_], spread: float) -> Scores:
    """Lay the strategies out by lanes, nothing chosen. Raises ValueError for arrays that don't fit."""
    scores = lay_out_scores(strategies, tree, is_open, spread)
    set_tables(scores)
    return scores


def lay_out_scores(strategies: Sequence[Strategy], tree: BallTree, is_open: NDArray[np.bool_], spread: float) -> Scores:
    """Lay the strategies out by lanes, the tables not yet filled in."""
    ids, n = tree.ids, len(is_open)
    for strategy in strategies:
        if not isinstance(strategy, Diversity):
            make_state(strategy, n)  # checks its arrays
    weights = [s for s in strategies if isinstance(s, Weights)]
    balances = [s for s in strategies if isinstance(s, Balance)]
    raised = [v - min(v.min(initial=0.0), 0.0) for v in (np.asarray(s.values, dtype=np.float64) for s in weights)]
    values = np.stack([v[ids] for v in raised]) if raised else np.zeros((0, len(ids)))
    kinds, firsts = find_kinds([b.distributions for b in balances], n)
    strengths = np.array([s.strength for s in weights], dtype=np.float64)
    has_kind, best = _find_best_values(tree, values, strengths, kinds[ids], len(firsts))
    largest = np.array([v.max(initial=0.0) for v in raised])
    strength = next(s.strength for s in strategies if isinstance(s, Diversity))
    classes, roots = _pad_balances(balances, firsts)
    return Scores(
        is_open=is_open[ids] & (ids >= 0),
        values=values,
        kinds=kinds[ids].astype(np.int32),
        has_kind=has_kind,
        best=best,
        strengths=strengths,
        least=TINY * np.maximum(largest, TINY),
        largest=largest,
        sums=np.zeros(len(weights)),
        classes=classes,
        roots=roots,
        balance_strengths=np.array([s.strength for s in balances], dtype=np.float64),
        counts=np.zeros(roots.shape),
        tables=np.zeros((len(balances) + 1, len(firsts))),
        distance_state=np.array([0, 0, strength, TINY * max(spread, TINY), np.inf]),
        touch=np.concatenate([[spread], largest]),
        plane=np.zeros(2 + len(weights)),
    )


def _pad_balances(
    balances: Sequence[Balance], firsts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n_classes = max((len(b.target) for b in balances), default=0)
    classes, roots = np.zeros((len(balances), len(firsts), n_classes)), np.zeros((len(balances), n_classes))
    for b, balance in enumerate(balances):
        classes[b, :, : len(balance.target)] = np.asarray(balance.distributions)[firsts]
        roots[b, : len(balance.target)] = np.sqrt(np.asarray(balance.target, dtype=np.float64))
    return classes, roots


def _find_best_values(
    tree: BallTree, values: NDArray[np.float64], strengths: NDArray[np.float64], kinds: NDArray[np.int64], n_kinds: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return for each node which kinds lie below it, and each kind's best value for the sign of the strategy."""
    n_nodes, n_leaves = int(tree.first[-1]), int(tree.first[1])
    signs = np.where(strengths < 0, -1.0, 1.0)
    has_kind = np.zeros((n_nodes, n_kinds), dtype=bool)
    best = np.full((n_nodes, n_kinds, len(values)), -np.inf)
    lanes = np.flatnonzero(tree.ids >= 0)
    has_kind[lanes // LANES, kinds[lanes]] = True
    for j in range(len(values)):
        np.maximum.at(best[:, :, j], (lanes // LANES, kinds[lanes]), signs[j] * values[j, lanes])
    for level in range(1, len(tree.first) - 1):
        low, high = int(tree.first[level - 1]), int(tree.first[level])
        starts = np.arange(low, high, LANES)
        target = slice(high, high + len(starts))
        has_kind[target] = np.logical_or.reduceat(has_kind[low:high], starts - low, axis=0)
        best[target] = np.maximum.reduceat(best[low:high], starts - low, axis=0)
    assert n_leaves <= n_nodes
    return has_kind, np.where(np.isfinite(best), best * signs, 0.0)


def make_room(n_most: int, d: int) -> Chosen:
    """Return room for so many chosen rows of d features."""
    room = -(-max(n_most, 1) // GROUP) * GROUP
    return Chosen(
        order=np.zeros(room, dtype=np.int32),
        tiles=np.zeros(room * d, dtype=np.float32),
        nearest=np.full(room, -1, dtype=np.float32),
        totals=np.zeros(room // GROUP),
    )


def make_pool(search: Search, scores: Scores) -> MixPool:
    """Return an empty pool."""
    return MixPool(
        lanes=np.zeros(ROOM + LANES, dtype=np.int64),
        bounds=np.zeros(ROOM + LANES),
        tiles=np.zeros(POOL * search.d, dtype=np.float32),
        distances=np.full(POOL, -1, dtype=np.float32),
        level=np.full(3, -np.inf),
        counts=np.array([0, -1, 0, 0]),
        plane=np.zeros(len(scores.plane)),
        gaps=np.full(scores.tables.shape[1], np.inf),
    )
