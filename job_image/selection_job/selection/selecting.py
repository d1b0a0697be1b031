"""Select: from a goal, the items and what is known of them to those that are kept."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from selection_job.errors import UnusableData
from selection_job.manifest.goal import Goal
from selection_job.manifest.noun import agree
from selection_job.numeric.farthest_first import traverse
from selection_job.numeric.greedy.random_order import random_order
from selection_job.numeric.neighbours import measure_pairs, nearest_rows
from selection_job.numeric.strategies import select as select_greedily
from selection_job.selection.items import Items, Participants
from selection_job.selection.selection import PASSED, Selection, StrategyRecord
from selection_job.selection.sources import Sources
from selection_job.selection.strategy_inputs import make_strategies
from selection_job.selection.thresholds import apply_thresholds
from selection_job.selection.vectors import narrow_rows, normalize_rows

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
    """What was chosen among those that pass, and what is known about each pick."""

    positions: NDArray[np.int64]  # (k,) 0..q - 1, in order of choice
    radii: NDArray[np.float32]  # (k,) NaN where they are not known
    distances: NDArray[np.float64]  # (k,) when taken; NaN where they are not known
    contributions: NDArray[np.float64]  # (k, s)
    stopped_by: str
    rankings: tuple[StrategyRecord, ...] = ()
    nearest: NDArray[np.int32] | None = None  # (q,) the position of the nearest pick, where the choice has found it out


def select(goal: Goal, items: Items, sources: Sources, *, normalize: bool) -> Selection:
    """Choose items as the goal says. The rows of the selection are those of the items.

    sources    what strategies look at besides the vectors, aligned with the items
    normalize  whether distances are measured on vectors of unit length
    Raises UnusableData where no item passes every THRESHOLD, where a stopping condition ends the selection before its
    first pick, and where a source has not what a strategy needs.
    """
    candidates = np.flatnonzero(items.takes_part)
    thresholds, filtered_by = apply_thresholds(goal.thresholds, sources, candidates)
    rows, m = np.concatenate([candidates, items.pool]), len(candidates)
    passing = np.concatenate([np.flatnonzero(filtered_by == PASSED), np.arange(m, len(rows))])
    vectors = narrow_rows(items.vectors, rows)
    if normalize:
        vectors = normalize_rows(vectors)
    participants = Participants(rows, passing, len(items.pool), narrow_rows(vectors, passing), normalize)
    choice = _choose(goal, participants, sources)
    if not len(choice.positions):
        raise UnusableData(_WHY_NOTHING.get(choice.stopped_by, _NOTHING))
    chosen = passing[choice.positions]
    removed = np.setdiff1d(np.arange(m), chosen, assume_unique=True)
    kept = np.concatenate([chosen, np.arange(m, len(rows))])
    nearest, distances = _find_nearest(vectors, removed, kept, passing, choice)
    return Selection(
        candidates=candidates,
        selected=rows[chosen],
        radii=choice.radii,
        removed=rows[removed],
        nearest_selected=rows[kept][nearest],
        nearest_distance=distances,
        method=goal.method,
        stopped_by=choice.stopped_by,
        distances=choice.distances,
        contributions=choice.contributions,
        filtered_by=filtered_by[removed],
        rankings=tuple(_without_pool(record, m) for record in choice.rankings),
        thresholds=thresholds,
        preselected=items.pool,
        n_asked=goal.n_samples,
        cut_off=_find_cut_off(goal, choice),
        notes=list(_note(goal, items, n_chosen=len(chosen), n_passing=participants.n_open)),
    )


def _find_nearest(
    vectors: NDArray[np.float32],
    removed: NDArray[np.int64],
    kept: NDArray[np.int64],
    passing: NDArray[np.int64],
    choice: _Choice,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each removed row which of the kept ones is nearest, of equals the first, and its distance."""
    if choice.nearest is None:
        return nearest_rows(vectors[removed], vectors[kept])
    places = np.full(len(vectors), -1, dtype=np.int64)  # among the kept, of whose pick is nearest
    rank = np.empty(len(passing), dtype=np.int64)
    rank[choice.positions] = np.arange(len(choice.positions))
    places[passing] = rank[choice.nearest]
    nearest = places[removed]
    if len(unknown := np.flatnonzero(nearest < 0)):  # what a THRESHOLD keeps out
        nearest[unknown], _ = nearest_rows(vectors[removed[unknown]], vectors[kept])
    return nearest, measure_pairs(vectors[removed], vectors[kept], nearest)


def _find_cut_off(goal: Goal, choice: _Choice) -> float:
    """Return the distance that decided between the last pick and the others; NaN where that was no distance."""
    if goal.method in ("coreset", "random") and choice.stopped_by == "min_distance":
        return float(goal.min_distance)
    last = float(choice.distances[-1])
    return last if goal.method == "coreset" and math.isfinite(last) else math.nan


def _choose(goal: Goal, participants: Participants, sources: Sources) -> _Choice:
    vectors, n_open = participants.vectors, participants.n_open
    n_samples, nearest = n_open if goal.n_samples is None else min(goal.n_samples, n_open), None
    if goal.method == "strategies":
        return _combine(goal, participants, sources, n_samples)
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
        chosen, taken_at, nearest = traverse(
            vectors, n_samples, preselected=participants.preselected, min_distance=goal.min_distance
        )
        radii, distances = taken_at[1:], taken_at[:-1].astype(np.float64)
        rankings = tuple(StrategyRecord(entry.name, "DIVERSITY", entry.strength) for entry in goal.rankings)
    if len(chosen) == goal.n_samples:
        stopped_by = "n_samples"
    else:
        stopped_by = "all candidates selected" if len(chosen) == n_open else "min_distance"
    return _Choice(chosen, radii, distances, np.empty((len(chosen), 0)), stopped_by, rankings, nearest)


def _combine(goal: Goal, participants: Participants, sources: Sources, n_samples: int) -> _Choice:
    made = make_strategies(goal.rankings, sources, participants, seed=goal.seed)
    strategies, records = [strategy for strategy, _ in made], tuple(record for _, record in made)
    choice = select_greedily(len(participants.passing), strategies, n_samples, preselected=participants.preselected)
    stopped_by = choice.stopped_by
    if stopped_by == "n_samples" and len(choice.indices) != goal.n_samples:
        stopped_by = "all candidates selected"
    radii = np.full(len(choice.indices), np.nan, dtype=np.float32)
    return _Choice(choice.indices, radii, choice.distances, choice.contributions, stopped_by, records, choice.nearest)


def _without_pool(record: StrategyRecord, m: int) -> StrategyRecord:
    """Return the record of the m that could be chosen."""
    values = None if record.values is None else record.values[:m]
    return replace(record, values=values, shares=None if record.shares is None else record.shares[:m])


def _note(goal: Goal, items: Items, *, n_chosen: int, n_passing: int) -> Iterator[str]:
    n_pool, n_all, nouns = len(items.pool), int(items.takes_part.sum()), items.noun.plural
    if n_pool:
        were = agree(n_pool, "were")
        yield f"{items.pool_noun.count(n_pool)} that {were} selected before {were} taken into account."
    if n_passing < n_all:
        names = {"min_counts" if entry.is_min_count else "THRESHOLD": None for entry in goal.thresholds}
        yield f"{' and '.join(names)} {agree(len(names), 'let')} {n_passing} of {n_all} {nouns} pass."
    if goal.n_samples is not None and n_chosen == n_passing < goal.n_samples:
        there = f"{agree(n_passing, 'are')} there" if n_passing == n_all else agree(n_passing, "pass")
        kept = "it is kept" if n_passing == 1 else "all of them are kept"
        yield f"{goal.n_samples} {nouns} were asked for and {n_passing} {there}: {kept}."
