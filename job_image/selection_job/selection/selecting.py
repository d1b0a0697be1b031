"""Select: from the configuration and the embeddings to the images that are kept."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_api.spec import SelectionRunSpec
from selection_api.stopping_condition import SampleTarget
from selection_job.catalog.catalog import Catalog
from selection_job.errors import UnusableData
from selection_job.numeric.farthest_first import farthest_first
from selection_job.numeric.neighbours import nearest_rows
from selection_job.numeric.random_order import random_order
from selection_job.numeric.strategies import select
from selection_job.selection.selection import Selection
from selection_job.selection.strategy_inputs import is_simple, make_strategies


@dataclass(frozen=True)
class Goal:
    """What the configuration asks for, whichever of its two forms it was written in."""

    method: str  # "coreset" | "random" | "strategies": several at once, or one with a turn
    n_samples: int | None  # None: as many as the stopping conditions allow
    min_distance: float  # 0: off
    seed: int


def make_goal(spec: SelectionRunSpec, n_input: int) -> Goal:
    """Return what selectionConfig, or method and stopping_condition, ask for. A share counts from n_input images."""
    config, seed = spec.selection_config, spec.lightly_config.seed
    if config is None:
        stopping = spec.worker_config.stopping_condition
        n_samples = None if stopping.n_samples is None else stopping.n_samples.resolve(n_input)
        return Goal(spec.worker_config.method, n_samples, max(stopping.min_distance, 0.0), seed)
    entry = config.strategies[0]
    n_samples = _resolve(config.n_samples, config.proportion_samples, n_input)
    if len(config.strategies) > 1 or not is_simple(entry):
        return Goal("strategies", n_samples, 0.0, seed)
    if entry.input.type == "RANDOM":
        return Goal("random", n_samples, 0.0, seed if entry.input.random_seed is None else entry.input.random_seed)
    return Goal("coreset", n_samples, entry.strategy.stopping_condition_minimum_distance or 0.0, seed)


def _resolve(n_samples: int | None, proportion: float | None, n_input: int) -> int | None:
    if proportion is not None:
        return SampleTarget(share=proportion).resolve(n_input)
    return None if n_samples == -1 else n_samples


def select_images(catalog: Catalog, embeddings: NDArray[np.float32], spec: SelectionRunSpec) -> Selection:
    """Choose images by the configuration.

    embeddings  (n, d) float32, aligned with catalog.names
    Raises UnusableData when no image is left to choose from.
    """
    worker = spec.worker_config
    goal = make_goal(spec, catalog.n_input)
    every_row = np.arange(len(catalog.names))
    candidates = every_row[~catalog.is_duplicate] if worker.remove_exact_duplicates else every_row
    if not len(candidates):
        raise UnusableData("Nothing to select from: no readable image is left.")
    vectors = embeddings[candidates]
    if worker.normalize_embeddings:
        vectors = normalize_rows(vectors)
    chosen, radii, stopped_by = _choose(vectors, goal, spec)
    return _describe(candidates, vectors, chosen, radii, goal, stopped_by)


def normalize_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows scaled to unit length; a row of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)


def _choose(
    vectors: NDArray[np.float32], goal: Goal, spec: SelectionRunSpec
) -> tuple[NDArray[np.int64], NDArray[np.float32], str]:
    """Return the rows in order of choice, the covering radii (NaN where they are not known), and what ended it."""
    n_samples = len(vectors) if goal.n_samples is None else goal.n_samples
    if goal.method == "coreset":
        chosen, radii = farthest_first(vectors, n_samples, min_distance=goal.min_distance)
        return chosen, radii, _stop_reason(goal, len(chosen), len(vectors))
    if goal.method == "random":
        chosen = random_order(vectors, n_samples, min_distance=goal.min_distance, seed=goal.seed)
        stopped_by = _stop_reason(goal, len(chosen), len(vectors))
    else:
        choice = select(len(vectors), make_strategies(spec, vectors), min(n_samples, len(vectors)))
        chosen, stopped_by = choice.indices, choice.stopped_by
        if stopped_by == "n_samples" and len(chosen) != goal.n_samples:
            stopped_by = "all candidates selected"
    return chosen, np.full(len(chosen), np.nan, dtype=np.float32), stopped_by


def _describe(
    candidates: NDArray[np.int64],
    vectors: NDArray[np.float32],
    chosen: NDArray[np.int64],
    radii: NDArray[np.float32],
    goal: Goal,
    stopped_by: str,
) -> Selection:
    is_removed = np.ones(len(candidates), dtype=bool)
    is_removed[chosen] = False
    removed = np.flatnonzero(is_removed)
    nearest, distances = nearest_rows(vectors[removed], vectors[chosen])
    return Selection(
        candidates=candidates,
        selected=candidates[chosen],
        radii=radii,
        removed=candidates[removed],
        nearest_selected=candidates[chosen][nearest],
        nearest_distance=distances,
        method=goal.method,
        stopped_by=stopped_by,
        notes=_notes(goal, len(chosen), len(candidates)),
    )


def _stop_reason(goal: Goal, n_chosen: int, n_candidates: int) -> str:
    if n_chosen == goal.n_samples:
        return "n_samples"
    return "all candidates selected" if n_chosen == n_candidates else "min_distance"


def _notes(goal: Goal, n_chosen: int, n_candidates: int) -> list[str]:
    if goal.n_samples is not None and n_chosen == n_candidates < goal.n_samples:
        return [f"{goal.n_samples} images were asked for and {n_candidates} are there: all of them are kept."]
    return []
