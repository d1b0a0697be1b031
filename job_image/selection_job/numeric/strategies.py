"""Greedy selection by several strategies at once: each pick makes the product of all objectives the largest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.farthest_first import traverse
from selection_job.numeric.greedy.grouped_greedy import GroupedGreedy, find_groups
from selection_job.numeric.greedy.objectives import Balance, Diversity, Strategy, Weights
from selection_job.numeric.greedy.states import State, check_diversity, find_kinds, make_state
from selection_job.numeric.scaling import divide, find_exponent, find_largest

_NOTHING = (np.empty(0, np.int64), np.empty(0), np.empty(0))

MOST_KINDS = 64
"""Different rows of all balances together up to which bounds are kept for each."""

DENSE_UP_TO = 3000
"""Rows up to which every score is computed at each pick, in float64; beyond, bounds spare most (lazy_mix)."""


@dataclass(frozen=True)
class Choice:
    """Which rows were chosen, in order, and why."""

    indices: NDArray[np.int64]  # (k,) without the preselected
    distances: NDArray[np.float64]  # (k,) to the nearest chosen row when taken; inf for a first, NaN without Diversity
    contributions: NDArray[np.float64]  # (k, strategies) strength * log(objective with the pick); their sum was largest
    stopped_by: str  # n_samples, min_distance, max_sum, least_value or "no row left"
    nearest: NDArray[np.int32] | None = None  # (n,) as of Traversal, by the only Diversity, where that is known


def select(
    n: int,
    strategies: Sequence[Strategy],
    n_samples: int,
    *,
    eligible: NDArray[np.bool_] | None = None,
    preselected: NDArray[np.int64] | None = None,
) -> Choice:
    """Choose up to n_samples rows of n, each the one that makes the product of objectives ** strength the largest.

    n            rows; the arrays of the strategies have as many
    eligible     (n,) rows that may be chosen (THRESHOLD); None: all
    preselected  rows chosen already, which count in every objective; they need not be eligible

    Ties go to the lowest row. A negative strength turns a strategy round, 0 switches it off. With one Diversity alone
    this is farthest_first, with one Weights alone the order of the values. The objectives: objectives.py and
    docs/selection.md. O(n k (d + strategies)) time where strategies are combined, O(n) memory besides the input.
    Raises ValueError for arrays of other lengths, NaN, infinity, or no strategy.
    """
    chosen = np.empty(0, np.int64) if preselected is None else np.unique(np.asarray(preselected, dtype=np.int64))
    _check(n, strategies, n_samples, chosen)
    is_open = np.ones(n, dtype=bool) if eligible is None else eligible.copy()
    is_open[chosen] = False
    if _is_plain_diversity(strategies) and (eligible is None or eligible.all()):
        return _select_by_distance(strategies[0], n_samples, chosen)
    strategies, exponent = _scale(strategies)
    choice = _choose(n, strategies, is_open, n_samples, chosen)
    return replace(choice, distances=np.ldexp(choice.distances, exponent)) if exponent else choice


def _scale(strategies: Sequence[Strategy]) -> tuple[list[Strategy], int]:
    """Divide vectors whose squares float32 can't hold by powers of two; return that of the first Diversity.

    What such a Diversity is said to contribute is then in that unit: a constant less at each pick.
    """
    scaled, exponents = list(strategies), [0]
    for i, strategy in enumerate(strategies):
        if isinstance(strategy, Diversity):
            exponent = find_exponent(find_largest(strategy.vectors))
            least = float(np.ldexp(strategy.min_distance, -exponent))
            scaled[i] = replace(strategy, vectors=divide(strategy.vectors, exponent), min_distance=least)
            exponents.append(exponent)
    return scaled, exponents[min(1, len(exponents) - 1)]


def _choose(
    n: int, strategies: list[Strategy], is_open: NDArray[np.bool_], n_samples: int, chosen: NDArray[np.int64]
) -> Choice:
    if n > DENSE_UP_TO and _is_lazy(n, strategies):
        return _select_lazily(n, strategies, is_open, n_samples, chosen)
    groups = find_groups(n, strategies) if n > DENSE_UP_TO else None
    if groups is not None:
        return _select_by_groups(GroupedGreedy(n, strategies, groups, is_open), n_samples, chosen)
    return _select_greedily([make_state(strategy, n) for strategy in strategies], is_open, n_samples, chosen)


def _is_lazy(n: int, strategies: Sequence[Strategy]) -> bool:
    """Whether there is one Diversity of one vector a row, with vectors to bound, few kinds of classes and no range."""
    diversities = [s for s in strategies if isinstance(s, Diversity)]
    limited = [s for s in strategies if isinstance(s, Weights) and s.target_range != (None, None)]
    if len(diversities) != 1 or diversities[0].owners is not None or limited or not diversities[0].vectors.size:
        return False
    return len(find_kinds([s.distributions for s in strategies if isinstance(s, Balance)], n)[1]) <= MOST_KINDS


def _check(n: int, strategies: Sequence[Strategy], n_samples: int, chosen: NDArray[np.int64]) -> None:
    if not strategies or n_samples < 0:
        raise ValueError("select needs a strategy and an n_samples of 0 or more")
    if chosen.size and not 0 <= chosen[0] <= chosen[-1] < n:
        raise ValueError(f"preselected rows must lie in 0..{n - 1}")
    for strategy in strategies:
        if isinstance(strategy, Diversity):
            check_diversity(strategy, n)


def _is_plain_diversity(strategies: Sequence[Strategy]) -> bool:
    first = strategies[0]
    return len(strategies) == 1 and isinstance(first, Diversity) and first.owners is None and first.strength > 0


def _select_by_distance(strategy: Strategy, n_samples: int, chosen: NDArray[np.int64]) -> Choice:
    assert isinstance(strategy, Diversity)
    found = traverse(strategy.vectors, n_samples, preselected=chosen, min_distance=strategy.min_distance)
    indices, distances = found.indices, found.distances
    is_all = len(indices) + len(chosen) == len(strategy.vectors)
    reason = "n_samples" if len(indices) == n_samples else "no row left" if is_all else "min_distance"
    return Choice(indices, distances[:-1].astype(np.float64), np.zeros((len(indices), 1)), reason, found.nearest)


def _select_lazily(
    n: int, strategies: list[Strategy], is_open: NDArray[np.bool_], n_samples: int, chosen: NDArray[np.int64]
) -> Choice:
    from selection_job.numeric.greedy.lazy_mix import LazyMix  # loads numba

    mix = LazyMix(n, strategies, is_open, min(n, n_samples + len(chosen)))
    mix.preselect(chosen)
    watch = _Watch(n, strategies, chosen)
    found: list[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]] = []
    n_done, reason, keeps_all = 0, "", not len(chosen)
    while not reason and n_done < n_samples:
        batch = mix.choose(n_samples - n_done)
        n_kept, reason = watch.follow(batch[0], batch[1])
        keeps_all &= n_kept == len(batch[0])
        found.append((batch[0][:n_kept], batch[1][:n_kept], batch[2][:n_kept]))
        n_done += n_kept
    indices, distances, parts = (np.concatenate(arrays) for arrays in zip(*found, strict=True)) if found else _NOTHING
    nearest = mix.find_nearest() if keeps_all else None
    return Choice(indices, distances, parts.reshape(-1, len(strategies)), reason or "n_samples", nearest)


class _Watch:
    """The stopping conditions of picks that are made in batches: they end a selection, and change none of it."""

    def __init__(self, n: int, strategies: list[Strategy], chosen: NDArray[np.int64]) -> None:
        self._least_distance = max((s.min_distance for s in strategies if isinstance(s, Diversity)), default=0.0)
        self._states = [make_state(s, n) for s in strategies if isinstance(s, Weights)]
        for row in chosen.tolist():
            self._add(row)

    def _add(self, row: int) -> None:
        for state in self._states:
            state.add(row)

    def follow(self, rows: NDArray[np.int64], distances: NDArray[np.float64]) -> tuple[int, str]:
        """Return how many of the picks to keep, and why the selection ends with them; empty when it does not."""
        for i, row in enumerate(rows.tolist()):
            if distances[i] < self._least_distance:
                return i, "min_distance"
            if stop := _find_stop(self._states, row):
                return i, stop
            self._add(row)
            if stop := next((stop for state in self._states if (stop := state.stop_after())), ""):
                return i + 1, stop
        return len(rows), "" if len(rows) else "no row left"


def _select_by_groups(greedy: GroupedGreedy, n_samples: int, chosen: NDArray[np.int64]) -> Choice:
    for row in chosen.tolist():
        greedy.count(row)
    indices: list[int] = []
    contributions, reason = [], ""
    while not reason and len(indices) < n_samples:
        row, gains = greedy.find_best()
        reason = greedy.find_stop_before(row) if row >= 0 else "no row left"
        if not reason:
            greedy.choose(row)
            indices.append(row)
            contributions.append(gains)
            reason = greedy.find_stop_after()
    parts = np.array(contributions, dtype=np.float64).reshape(-1, greedy.n_strategies)
    return Choice(np.array(indices, dtype=np.int64), np.full(len(indices), np.nan), parts, reason or "n_samples")


def _select_greedily(
    states: list[State], is_open: NDArray[np.bool_], n_samples: int, chosen: NDArray[np.int64]
) -> Choice:
    for row in chosen.tolist():
        _add(states, is_open, row)
    indices: list[int] = []
    distances, contributions = [], []
    reason = ""
    while not reason and len(indices) < n_samples:
        possible = _find_possible(states, is_open, n_samples - len(indices))
        gains = np.where(possible, np.stack([state.gain() for state in states]), -np.inf)
        row = int(gains.sum(axis=0).argmax())
        reason = _find_stop(states, row) if possible[row] else "no row left"
        if reason:
            break
        indices.append(row)
        distances.append(next((state.distance_of(row) for state in states if state.has_distance), np.nan))
        contributions.append(gains[:, row])
        _add(states, is_open, row)
        reason = next((stop for state in states if (stop := state.stop_after())), "")
    return Choice(
        np.array(indices, dtype=np.int64),
        np.array(distances, dtype=np.float64),
        np.array(contributions, dtype=np.float64).reshape(-1, len(states)),
        reason or "n_samples",
    )


def _add(states: list[State], is_open: NDArray[np.bool_], row: int) -> None:
    is_open[row] = False
    for state in states:
        state.add(row)


def _find_possible(states: list[State], is_open: NDArray[np.bool_], n_left: int) -> NDArray[np.bool_]:
    possible = is_open
    for state in states:
        possible = possible & state.allow(is_open, n_left)
    return possible


def _find_stop(states: list[State], row: int) -> str:
    return next((stop for state in states if (stop := state.stop_before(row))), "")
