"""Greedy selection where rows differ in one value and a few classes: only the best row of each class is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.greedy.objectives import Balance, Strategy, Weights
from selection_job.numeric.greedy.states import TINY, find_kinds, make_state

MOST_GROUPS = 4096
"""Different rows of class shares up to which grouping pays."""

_PROBE = 20_000


@dataclass(frozen=True, eq=False)
class Groups:
    """Rows that add the same to every class."""

    of_row: NDArray[np.int64]  # (n,) 0..g - 1
    examples: NDArray[np.int64]  # (g,) a row of each


def find_groups(n: int, strategies: Sequence[Strategy]) -> Groups | None:
    """Return the groups of n rows; None where the picks of these strategies can't be found by groups, or not faster.

    They can where there is no Diversity and at most one Weights, without target_range. O(n c log n) time.
    """
    weights = [strategy for strategy in strategies if isinstance(strategy, Weights)]
    balances = [strategy.distributions for strategy in strategies if isinstance(strategy, Balance)]
    if len(weights) + len(balances) < len(strategies) or len(weights) > 1 or not n:
        return None
    if any(strategy.target_range != (None, None) for strategy in weights):
        return None
    if not balances:
        return Groups(np.zeros(n, dtype=np.int64), np.zeros(1, dtype=np.int64))
    if len(find_kinds([classes[:_PROBE] for classes in balances], min(n, _PROBE))[1]) > MOST_GROUPS:
        return None
    of_row, examples = find_kinds(balances, n)
    return Groups(of_row, examples) if len(examples) <= MOST_GROUPS else None


class GroupedGreedy:
    """A selection under way: the open rows of each group, best first."""

    def __init__(self, n: int, strategies: Sequence[Strategy], groups: Groups, is_open: NDArray[np.bool_]) -> None:
        """Sort the open rows. The strategies are those that find_groups was given."""
        self.n_strategies = len(strategies)
        self._groups = groups
        self._limits = [make_state(strategy, n) for strategy in strategies if isinstance(strategy, Weights)]
        self._scales = [
            _ValueScale(strategy) if isinstance(strategy, Weights) else _ClassScale(strategy, groups)
            for strategy in strategies
            if isinstance(strategy, Weights | Balance)
        ]
        self._order, self._next = _sort_rows(strategies, groups, is_open)
        self._ends = np.append(self._next[1:], len(self._order))

    def find_best(self) -> tuple[int, NDArray[np.float64]]:
        """Return the next row and the strategies' gains with it; -1 where no row is left."""
        active = np.flatnonzero(self._next < self._ends)
        if not len(active):
            return -1, np.empty(0)
        heads = self._order[self._next[active]]
        gains = np.stack([scale.gain(heads, active) for scale in self._scales])
        totals = gains.sum(axis=0)
        ties = np.flatnonzero(totals == totals.max())
        best = int(ties[heads[ties].argmin()])
        return int(heads[best]), gains[:, best]

    def find_stop_before(self, row: int) -> str:
        """Return why the selection ends before this row; empty when it does not."""
        return next((stop for state in self._limits if (stop := state.stop_before(row))), "")

    def find_stop_after(self) -> str:
        """Return why the selection ends now; empty when it does not."""
        return next((stop for state in self._limits if (stop := state.stop_after())), "")

    def choose(self, row: int) -> None:
        """Choose the head of a group."""
        self._next[self._groups.of_row[row]] += 1
        self.count(row)

    def count(self, row: int) -> None:
        """Let a row that was not open take part in every objective."""
        for state in self._limits:
            state.add(row)
        for scale in self._scales:
            scale.add(row, int(self._groups.of_row[row]))


class _ValueScale:
    """What single rows add to the sum of a Weights; as its state has it, for some rows at a time."""

    def __init__(self, strategy: Weights) -> None:
        values = np.asarray(strategy.values, dtype=np.float64)
        self._strength = strategy.strength
        self._raised = values - min(values.min(initial=0.0), 0.0)
        self._least = TINY * max(self._raised.max(initial=0.0), TINY)
        self._sum = 0.0

    def gain(self, heads: NDArray[np.int64], active: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(self._strength * np.log(np.maximum(self._sum + self._raised[heads], self._least)))

    def add(self, row: int, group: int) -> None:
        self._sum += float(self._raised[row])


class _ClassScale:
    """What the rows of each group add to the classes of a Balance."""

    def __init__(self, strategy: Balance, groups: Groups) -> None:
        shares = np.asarray(strategy.distributions)[groups.examples]
        self._state = make_state(Balance(shares, strategy.target, strength=strategy.strength), len(shares))

    def gain(self, heads: NDArray[np.int64], active: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._state.gain()[active]

    def add(self, row: int, group: int) -> None:
        self._state.add(group)


def _sort_rows(
    strategies: Sequence[Strategy], groups: Groups, is_open: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the open rows, group after group, in each the best first; and where each group begins."""
    rows = np.flatnonzero(is_open)
    worth = np.zeros(len(rows))
    for strategy in strategies:
        if isinstance(strategy, Weights):
            worth = np.sign(strategy.strength) * np.asarray(strategy.values, dtype=np.float64)[rows]
    of_row = groups.of_row[rows]
    order = rows[np.lexsort((rows, -worth, of_row))]
    starts = np.searchsorted(groups.of_row[order], np.arange(len(groups.examples)))
    return order, starts
