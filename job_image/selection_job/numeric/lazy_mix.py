"""One diversity combined with weights and balances: the same picks as the dense greedy, from bounds over a ball tree.

A distance that is out of date is too large, and so is a score made of it. A pick is searched among leaves whose bound,
made of the largest distance, the best weights and the best balance in them, reaches the best row found so far; only
such a leaf is compared with the rows chosen since it was looked at last, four at a time.
"""

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.ball_tree import LANES
from selection_job.numeric.lazy_greedy import GROUP, lower_tiles
from selection_job.numeric.lazy_tree import start_search
from selection_job.numeric.mix_kernels import Scores, catch_up, find_best
from selection_job.numeric.objectives import Balance, Diversity, Strategy, Weights
from selection_job.numeric.states import TINY, make_state
from selection_job.numeric.vectors import PAIRS

_TRAIL = 64


class LazyMix:
    """A selection under way."""

    def __init__(self, n: int, strategies: list[Strategy], is_open: NDArray[np.bool_], n_most: int) -> None:
        self._diversity = next(s for s in strategies if isinstance(s, Diversity))
        self._strategies = strategies
        self._order = np.zeros(n_most + PAIRS, dtype=np.int32)  # the chosen rows
        search = start_search(np.ascontiguousarray(self._diversity.vectors))
        self._search = search._replace(pending=self._order)
        ids = self._search.tree.ids
        self._lanes = np.empty(n, dtype=np.int64)
        self._lanes[ids[ids >= 0]] = np.flatnonzero(ids >= 0)
        room = -(-n_most // GROUP) * GROUP
        self._tiles = np.zeros(room * self._search.d, dtype=np.float32)
        self._nearest = np.full(room, -1, dtype=np.float32)  # of each chosen row, squared, to its nearest other
        self._n_chosen = 0
        self._set_up_weights(n)
        self._set_up_balances(n)
        self._scores = self._make_scores(is_open)

    def _set_up_weights(self, n: int) -> None:
        self._weights = [s for s in self._strategies if isinstance(s, Weights)]
        self._weight_states = [make_state(s, n) for s in self._weights]

    def _set_up_balances(self, n: int) -> None:
        """Tell the kinds of rows apart: those of one kind change a balance alike."""
        balances = [s for s in self._strategies if isinstance(s, Balance)]
        self._kinds, self._balance_states = [], []
        for balance in balances:
            make_state(balance, n)  # checks its arrays
            kinds, kind_of = np.unique(balance.distributions, axis=0, return_inverse=True)
            self._kinds.append(kind_of.reshape(-1).astype(np.int32))
            self._balance_states.append(make_state(Balance(kinds, balance.target, balance.strength), len(kinds)))

    def _make_scores(self, is_open: NDArray[np.bool_]) -> Scores:
        ids = self._search.tree.ids
        values = [np.asarray(s.values, dtype=np.float64) for s in self._weights]
        raised = [v - min(v.min(initial=0.0), 0.0) for v in values]
        strengths = np.array([s.strength for s in self._weights], dtype=np.float64)
        by_lane = np.stack([v[ids] for v in raised]) if raised else np.zeros((0, len(ids)))
        signed = np.where(ids >= 0, by_lane * np.sign(strengths)[:, None], -np.inf)
        leaves = signed.reshape(len(raised), -1, LANES).max(axis=2)
        groups = np.pad(leaves, ((0, 0), (0, -leaves.shape[1] % LANES)), constant_values=-np.inf)
        groups = groups.reshape(len(raised), -1, LANES).max(axis=2)
        best = np.concatenate([leaves, groups], axis=1) * np.sign(strengths)[:, None]
        return Scores(
            is_open=is_open[ids] & (ids >= 0),
            values=by_lane,
            best_values=np.where(np.isfinite(best), best, 0.0),
            strengths=strengths,
            least=np.array([TINY * max(v.max(initial=0.0), TINY) for v in raised], dtype=np.float64),
            sums=np.zeros(len(raised)),
            kinds=np.stack([k[ids] for k in self._kinds]) if self._kinds else np.zeros((0, len(ids)), np.int32),
            tables=np.zeros((len(self._kinds), max((int(k.max()) + 1 for k in self._kinds), default=1))),
            largest=np.array([v.max(initial=0.0) for v in raised], dtype=np.float64),
            slopes=np.zeros(3 + len(raised)),
            trail=np.zeros(_TRAIL, dtype=np.int64),
            turn=np.zeros(1, dtype=np.int64),
            seen=np.zeros(len(ids) // LANES, dtype=np.int64),
        )

    def add(self, row: int) -> None:
        """Choose a row."""
        search, lane = self._search, self._lanes[row]
        at, d = self._n_chosen, search.d
        own = search.rows.reshape(-1, d)[row]
        catch_up(search, self._scores, lane // LANES, at)
        if at:
            lower_tiles(self._tiles, self._nearest, at, search.rows, row * d, d, search.sums)
        self._tiles.reshape(-1, d, LANES)[at // LANES, :, at % LANES] = own
        self._nearest[at] = search.limits[lane]
        self._n_chosen += 1
        self._order[at] = row
        self._scores.is_open[lane] = False
        for j, state in enumerate(self._weight_states):
            state.add(row)
            self._scores.sums[j] += self._scores.values[j, lane]
        for kind_of, balance in zip(self._kinds, self._balance_states, strict=True):
            balance.add(int(kind_of[row]))

    def find_best(self) -> int:
        """Return the row with the largest product of objectives, the lowest of equals; -1 where none is open."""
        for j, state in enumerate(self._balance_states):
            table = state.gain()
            self._scores.tables[j, : len(table)] = table
        return int(find_best(self._search, self._scores, self._n_chosen, self._diversity.strength, *self._among()))

    def _among(self) -> tuple[float, float]:
        """Return the sum over the chosen, and the least objective; infinite before the first."""
        if not self._n_chosen:
            return np.inf, np.inf
        nearest = self._nearest[: self._n_chosen].astype(np.float64)
        among = float(nearest.sum()) if self._n_chosen > 1 else 0.0
        return among, TINY * max(among, TINY)

    def explain(self, row: int) -> tuple[float, list[float]]:
        """Return the distance of a row to the nearest chosen one, and each strategy's part of its score."""
        lane = self._lanes[row]
        sq_dist, (among, least) = float(self._search.limits[lane]), self._among()
        a = self._diversity.strength
        parts = {id(self._diversity): 0.0 if among == np.inf else a * np.log(max(among + sq_dist, least))}
        for j, weight in enumerate(self._weights):
            worth = self._scores.sums[j] + self._scores.values[j, lane]
            parts[id(weight)] = weight.strength * np.log(max(worth, self._scores.least[j]))
        balances = (s for s in self._strategies if isinstance(s, Balance))
        for j, balance in enumerate(balances):
            parts[id(balance)] = self._scores.tables[j, self._scores.kinds[j, lane]]
        return sq_dist**0.5, [float(parts[id(strategy)]) for strategy in self._strategies]

    def find_stop_before(self, row: int) -> str:
        """Return why the selection ends before this row; empty when it does not."""
        distance = float(self._search.limits[self._lanes[row]]) ** 0.5
        if distance < self._diversity.min_distance:
            return "min_distance"
        return next((stop for state in self._weight_states if (stop := state.stop_before(row))), "")

    def find_stop_after(self) -> str:
        """Return why the selection ends now; empty when it does not."""
        return next((stop for state in self._weight_states if (stop := state.stop_after())), "")
