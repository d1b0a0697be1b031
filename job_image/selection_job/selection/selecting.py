"""Select: from the configuration, the embeddings and the other sources to the images that are kept."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from selection_api.spec import SelectionRunSpec
from selection_job.catalog.catalog import Catalog
from selection_job.errors import UnusableData
from selection_job.manifest.goal import Goal, make_goal
from selection_job.numeric.farthest_first import traverse
from selection_job.numeric.greedy.objectives import Strategy
from selection_job.numeric.greedy.random_order import random_order
from selection_job.numeric.neighbours import nearest_rows
from selection_job.numeric.strategies import select
from selection_job.selection.selection import PASSED, Selection, StrategyRecord
from selection_job.selection.sources import Sources
from selection_job.selection.strategy_inputs import CandidateRows, make_strategies
from selection_job.selection.thresholds import apply_thresholds
from selection_job.selection.vectors import normalize_rows, take_rows

_NOTHING = "Nothing was selected: the strategies of selectionConfig end the selection before its first image."
_WHY_NOTHING = {
    "min_distance": "Nothing was selected: each new image lies nearer than the minimum distance "
    "(stopping_condition.min_distance, or stopping_condition_minimum_distance of a strategy) to one that was selected "
    "before. Lower it, or add images.",
    "least_value": "Nothing was selected: the first image is already less typical than "
    "stopping_condition_minimum_typicality. Lower it.",
    "no row left": "Nothing was selected: every image alone takes the sum above target_range.max_sum. Raise it.",
}


@dataclass(frozen=True, eq=False)
class _Choice:
    """What was chosen among the passing candidates, and what is known about each pick."""

    positions: NDArray[np.int64]  # (k,) 0..p - 1, in order of choice
    radii: NDArray[np.float32]  # (k,) NaN where they are not known
    distances: NDArray[np.float64]  # (k,) when taken; NaN where they are not known
    contributions: NDArray[np.float64]  # (k, s)
    stopped_by: str
    rankings: tuple[StrategyRecord, ...] = ()


def select_images(
    catalog: Catalog,
    embeddings: NDArray[np.float32],
    spec: SelectionRunSpec,
    sources: Sources,
    *,
    what: str = "images",
) -> Selection:
    """Choose images by the configuration.

    embeddings  (n, d) float32, aligned with catalog.names
    sources     what strategies look at besides
    what        what notes call the rows of the catalog
    Raises UnusableData when no image is left to choose from, or a source has not what a strategy needs.
    """
    worker = spec.worker_config
    goal = make_goal(spec).resolve(catalog.n_input)
    new = np.arange(catalog.n_new)
    if worker.remove_exact_duplicates:
        new = new[~catalog.is_duplicate[: catalog.n_new]]
    if not len(new):
        raise UnusableData(_say_why_none(catalog))
    seed = spec.lightly_config.seed
    thresholds, filtered_by = apply_thresholds(goal.thresholds, sources, new, seed=seed)
    rows = np.concatenate([new, np.arange(catalog.n_new, len(catalog.names))])
    passing = np.concatenate([np.flatnonzero(filtered_by == PASSED), np.arange(len(new), len(rows))])
    vectors = _take(embeddings, rows, normalize=worker.normalize_embeddings)
    own = take_rows(vectors, passing)
    candidates = CandidateRows(
        rows, passing, own, normalize=worker.normalize_embeddings, seed=seed, n_pool=catalog.n_pool
    )
    choice = _choose(goal, candidates, sources)
    if not len(choice.positions):
        raise UnusableData(_WHY_NOTHING.get(choice.stopped_by, _NOTHING))
    return _describe(candidates, vectors, choice, (thresholds, filtered_by), goal, what)


def _say_why_none(catalog: Catalog) -> str:
    noun = "image" if catalog.frames is None else "frame"
    if catalog.n_new:
        return f"Nothing to select from: every readable {noun} is an exact copy of one that was selected before."
    if catalog.n_pool:
        return f"Nothing to select from: earlier runs have selected every readable {noun}. Add files."
    return f"Nothing to select from: no readable {noun} is left."


def _take(embeddings: NDArray[np.float32], rows: NDArray[np.int64], *, normalize: bool) -> NDArray[np.float32]:
    vectors = take_rows(embeddings, rows)
    return normalize_rows(vectors) if normalize else vectors


def _choose(goal: Goal, candidates: CandidateRows, sources: Sources) -> _Choice:
    vectors, n_open = candidates.vectors, candidates.n_open
    n_samples = n_open if goal.n_samples is None else min(goal.n_samples, n_open)
    if goal.method == "strategies":
        return _combine(goal, candidates, sources, n_samples)
    if goal.method == "random":
        chosen = random_order(
            vectors[:n_open],
            n_samples,
            min_distance=goal.min_distance,
            seed=goal.seed % 2**63,
            preselected=vectors[n_open:],
        )
        radii = np.full(len(chosen), np.nan, dtype=np.float32)
        distances = radii.astype(np.float64)
        rankings: tuple[StrategyRecord, ...] = ()
    else:
        chosen, taken_at = traverse(
            vectors, n_samples, preselected=candidates.preselected, min_distance=goal.min_distance
        )
        radii, distances = taken_at[1:], taken_at[:-1].astype(np.float64)
        rankings = tuple(StrategyRecord(entry.name, "DIVERSITY", entry.strength) for entry in goal.rankings)
    stopped_by = _stop_reason(goal, len(chosen), n_open)
    return _Choice(chosen, radii, distances, np.empty((len(chosen), 0)), stopped_by, rankings)


def _combine(goal: Goal, candidates: CandidateRows, sources: Sources, n_samples: int) -> _Choice:
    pairs = make_strategies(goal.rankings, sources, candidates)
    strategies: list[Strategy] = [strategy for strategy, _ in pairs]
    choice = select(len(candidates.passing), strategies, n_samples, preselected=candidates.preselected)
    stopped_by = choice.stopped_by
    if stopped_by == "n_samples" and len(choice.indices) != goal.n_samples:
        stopped_by = "all candidates selected"
    return _Choice(
        choice.indices,
        np.full(len(choice.indices), np.nan, dtype=np.float32),
        choice.distances,
        choice.contributions,
        stopped_by,
        tuple(record for _, record in pairs),
    )


def _stop_reason(goal: Goal, n_chosen: int, n_candidates: int) -> str:
    if n_chosen == goal.n_samples:
        return "n_samples"
    return "all candidates selected" if n_chosen == n_candidates else "min_distance"


def _describe(
    candidates: CandidateRows,
    vectors: NDArray[np.float32],
    choice: _Choice,
    filtering: tuple[tuple[StrategyRecord, ...], NDArray[np.int64]],
    goal: Goal,
    what: str,
) -> Selection:
    """Gather the outcome. vectors are those of all that took part, the filtered ones included."""
    thresholds, filtered_by = filtering
    chosen, n_new = candidates.passing[choice.positions], len(filtered_by)
    is_removed = np.ones(n_new, dtype=bool)
    is_removed[chosen] = False
    removed = np.flatnonzero(is_removed)
    kept = np.concatenate([chosen, np.arange(n_new, len(candidates.rows))])
    nearest, distances = nearest_rows(vectors[removed], vectors[kept])
    return Selection(
        candidates=candidates.rows[:n_new],
        selected=candidates.rows[chosen],
        radii=choice.radii,
        removed=candidates.rows[removed],
        nearest_selected=candidates.rows[kept][nearest],
        nearest_distance=distances,
        method=goal.method,
        stopped_by=choice.stopped_by,
        distances=choice.distances,
        contributions=choice.contributions,
        filtered_by=filtered_by[removed],
        rankings=tuple(_without_pool(record, n_new) for record in choice.rankings),
        thresholds=thresholds,
        preselected=candidates.rows[n_new:],
        notes=_notes(goal, len(chosen), candidates, what),
    )


def _without_pool(record: StrategyRecord, n_new: int) -> StrategyRecord:
    """Return the record of the images that could be chosen."""
    values = None if record.values is None else record.values[:n_new]
    return replace(record, values=values, shares=None if record.shares is None else record.shares[:n_new])


def _notes(goal: Goal, n_chosen: int, candidates: CandidateRows, what: str) -> list[str]:
    n_passing, n_all = candidates.n_open, len(candidates.rows) - candidates.n_pool
    notes = []
    if candidates.n_pool:
        members = what if what == "frames" else "images"
        notes.append(f"{candidates.n_pool} {members} that were selected before were taken into account.")
    if n_passing < n_all:
        notes.append(f"THRESHOLD lets {n_passing} of {n_all} {what} pass.")
    if goal.n_samples is not None and n_chosen == n_passing < goal.n_samples:
        there = "are there" if n_passing == n_all else "pass"
        notes.append(f"{goal.n_samples} {what} were asked for and {n_passing} {there}: all of them are kept.")
    return notes
