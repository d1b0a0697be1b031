"""Greedy selection by several strategies at once: each pick makes the product of all objectives the largest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.farthest_first import traverse
from selection_job.numeric.objectives import Diversity, Strategy, Weights
from selection_job.numeric.states import State, make_state

DENSE_UP_TO = 3000
"""Rows up to which every score is computed at each pick, in float64; beyond, bounds spare most (lazy_mix)."""


@dataclass(frozen=True)
class Choice:
    """Which rows were chosen, in order, and why."""

    indices: NDArray[np.int64]  # (k,) without the preselected
    distances: NDArray[np.float64]  # (k,) to the nearest chosen row when taken; inf for a first, NaN without Diversity
    contributions: NDArray[np.float64]  # (k, strategies) strength * log(objective with the pick); their sum was largest
    stopped_by: str  # n_samples, min_distance, max_sum, least_value or "no row left"


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
    if n > DENSE_UP_TO and _is_lazy(strategies):
        return _select_lazily(n, list(strategies), is_open, n_samples, chosen)
    return _select_greedily([make_state(strategy, n) for strategy in strategies], is_open, n_samples, chosen)


def _is_lazy(strategies: Sequence[Strategy]) -> bool:
    """Whether there is one Diversity of one vector a row, with vectors to bound, and nothing that limits sums."""
    diversities = [s for s in strategies if isinstance(s, Diversity)]
    limited = [s for s in strategies if isinstance(s, Weights) and s.target_range != (None, None)]
    return len(diversities) == 1 and diversities[0].owners is None and not limited and diversities[0].vectors.size > 0


def _check(n: int, strategies: Sequence[Strategy], n_samples: int, chosen: NDArray[np.int64]) -> None:
    if not strategies or n_samples < 0:
        raise ValueError("select needs a strategy and an n_samples of 0 or more")
    if chosen.size and not 0 <= chosen[0] <= chosen[-1] < n:
        raise ValueError(f"preselected rows must lie in 0..{n - 1}")


def _is_plain_diversity(strategies: Sequence[Strategy]) -> bool:
    first = strategies[0]
    return len(strategies) == 1 and isinstance(first, Diversity) and first.owners is None and first.strength > 0


def _select_by_distance(strategy: Strategy, n_samples: int, chosen: NDArray[np.int64]) -> Choice:
    assert isinstance(strategy, Diversity)
    indices, distances = traverse(
        strategy.vectors, n_samples, preselected=chosen, min_distance=strategy.min_distance
    )  # fmt: skip
    is_all = len(indices) + len(chosen) == len(strategy.vectors)
    reason = "n_samples" if len(indices) == n_samples else "no row left" if is_all else "min_distance"
    return Choice(indices, distances[:-1].astype(np.float64), np.zeros((len(indices), 1)), reason)


def _select_lazily(
    n: int, strategies: list[Strategy], is_open: NDArray[np.bool_], n_samples: int, chosen: NDArray[np.int64]
) -> Choice:
    from selection_job.numeric.lazy_mix import LazyMix  # loads numba

    mix = LazyMix(n, strategies, is_open, min(n, n_samples + len(chosen)))
    for row in chosen.tolist():
        mix.add(row)
    indices: list[int] = []
    explained: list[tuple[float, list[float]]] = []
    reason = ""
    while not reason and len(indices) < n_samples:
        row = mix.find_best()
        reason = "no row left" if row < 0 else mix.find_stop_before(row)
        if not reason:
            indices.append(row)
            explained.append(mix.explain(row))
            mix.add(row)
            reason = mix.find_stop_after()
    return Choice(
        np.array(indices, dtype=np.int64),
        np.array([distance for distance, _ in explained], dtype=np.float64),
        np.array([parts for _, parts in explained], dtype=np.float64).reshape(-1, len(strategies)),
        reason or "n_samples",
    )


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
