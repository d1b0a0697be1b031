"""Strategy inputs: the entries of selectionConfig.strategies become arrays and objectives."""

import numpy as np
from numpy.typing import NDArray

from selection_api.selection_config import SelectionStrategy
from selection_api.spec import SelectionRunSpec
from selection_job.numeric.objectives import Diversity, Strategy, Weights, random_weights, typicality_weights
from selection_job.numeric.projections import find_neighbourhoods

_NEIGHBOURS = 20  # as LightlyStudio, where the configuration says nothing


def is_simple(entry: SelectionStrategy) -> bool:
    """Whether the entry alone is the coreset or the random choice of the older form."""
    strategy = entry.strategy
    is_limited = strategy.stopping_condition_max_sum is not None or strategy.target_range is not None
    is_known = strategy.type == "DIVERSITY" or entry.input.type == "RANDOM"
    return is_known and not is_limited and (strategy.strength is None or strategy.strength > 0)


def make_strategies(spec: SelectionRunSpec, vectors: NDArray[np.float32]) -> list[Strategy]:
    """Return the objectives of selectionConfig over the candidates.

    vectors  (n, d) float32, the candidates' embeddings as distances are measured on them
    """
    config = spec.selection_config
    assert config is not None
    return [_make_strategy(entry, vectors, spec.lightly_config.seed) for entry in config.strategies]


def _make_strategy(entry: SelectionStrategy, vectors: NDArray[np.float32], seed: int) -> Strategy:
    strategy = entry.strategy
    strength = 1.0 if strategy.strength is None else strategy.strength
    if strategy.type == "DIVERSITY":
        return Diversity(vectors, strength=strength, min_distance=strategy.stopping_condition_minimum_distance or 0.0)
    if strategy.type == "TYPICALITY":
        values = _measure_typicality(vectors, strategy.num_nearest_neighbors or _NEIGHBOURS)
        return Weights(values, strength=strength, least_value=strategy.stopping_condition_minimum_typicality)
    own_seed = seed if entry.input.random_seed is None else entry.input.random_seed
    span = strategy.target_range
    return Weights(
        random_weights(len(vectors), own_seed),
        strength=strength,
        max_sum=strategy.stopping_condition_max_sum,
        target_range=(None, None) if span is None else (span.min_sum, span.max_sum),
    )


def _measure_typicality(vectors: NDArray[np.float32], k: int) -> NDArray[np.float64]:
    if len(vectors) < 2:
        return np.ones(len(vectors))
    neighbours = find_neighbourhoods(vectors, min(k, len(vectors) - 1) + 1)
    return typicality_weights(neighbours.distances[:, 1:])
