"""Strategy inputs: the strategies that rank images become arrays and objectives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.errors import UnusableData
from selection_job.manifest.goal import NamedStrategy
from selection_job.numeric.greedy.objectives import Balance, Diversity, Strategy, Weights
from selection_job.selection.class_shares import read_shares
from selection_job.selection.measures import average_by_owner, measure_similarity, measure_typicality, read_values
from selection_job.selection.selection import StrategyRecord
from selection_job.selection.sources import Sources
from selection_job.selection.vectors import normalize_rows, take_rows

_NEIGHBOURS = 20  # as LightlyStudio, where the configuration says nothing


@dataclass(frozen=True, eq=False)
class CandidateRows:
    """The images that take part, and those among them that pass every THRESHOLD or were selected before."""

    rows: NDArray[np.int64]  # (m,) of the catalog, sorted; the preselected ones come last
    passing: NDArray[np.int64]  # (p,) positions in rows, sorted; the last n_pool are the preselected ones
    vectors: NDArray[np.float32]  # (p, d) of those that pass, as distances are measured on them
    normalize: bool  # whether vectors are scaled to unit length
    seed: int
    n_pool: int = 0

    @property
    def n_open(self) -> int:
        """How many images may be chosen."""
        return len(self.passing) - self.n_pool

    @property
    def preselected(self) -> NDArray[np.int64]:
        """The places of the preselected ones among the passing."""
        return np.arange(self.n_open, len(self.passing))

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (m,) values of the passing ones at their places, NaN elsewhere."""
        spread = np.full(len(self.rows), np.nan)
        spread[self.passing] = values
        return spread


def make_strategies(
    entries: tuple[NamedStrategy, ...], sources: Sources, candidates: CandidateRows
) -> list[tuple[Strategy, StrategyRecord]]:
    """Return the objective of each strategy over the passing candidates, and what it looked at.

    Raises UnusableData where a source has not what a strategy needs.
    """
    made = []
    for entry in entries:
        with entry.located():
            made.append(_make_strategy(entry, sources, candidates))
    return made


def _make_strategy(
    entry: NamedStrategy, sources: Sources, candidates: CandidateRows
) -> tuple[Strategy, StrategyRecord]:
    kind = entry.strategy.type
    if kind == "DIVERSITY":
        return _make_diversity(entry, sources, candidates)
    if kind == "BALANCE":
        found = read_shares(entry, sources, candidates.rows)
        record = StrategyRecord(
            entry.name, kind, entry.strength, shares=found.shares, classes=found.classes, target=found.target
        )
        return Balance(take_rows(found.shares, candidates.passing), found.target, strength=entry.strength), record
    values = _measure(entry, sources, candidates)
    record = StrategyRecord(entry.name, kind, entry.strength, values=values)
    return _make_weights(entry, values[candidates.passing]), record


def _make_weights(entry: NamedStrategy, values: NDArray[np.float64]) -> Weights:
    strategy, span = entry.strategy, entry.strategy.target_range
    return Weights(
        values,
        strength=entry.strength,
        max_sum=strategy.stopping_condition_max_sum,
        target_range=(None, None) if span is None else (span.min_sum, span.max_sum),
        least_value=strategy.stopping_condition_minimum_typicality,
    )


def _measure(entry: NamedStrategy, sources: Sources, candidates: CandidateRows) -> NDArray[np.float64]:
    """Return (m,) the number of each candidate; what costs a search is measured among those that pass only."""
    given, strategy = entry.input, entry.strategy
    if strategy.type == "SIMILARITY":
        queries = _scale(sources.query_vectors(given.dataset_id or "", given.tag_name or ""), candidates)
        _check_dimensions(queries, candidates)
        return candidates.spread(measure_similarity(candidates.vectors, queries))
    if strategy.type == "TYPICALITY":
        k = strategy.num_nearest_neighbors or _NEIGHBOURS
        if not given.task:
            return candidates.spread(measure_typicality(candidates.vectors, k))
        vectors, owners = _objects(entry, sources, candidates)
        own = average_by_owner(measure_typicality(vectors, k), owners, len(candidates.passing))
        return candidates.spread(own)
    values = read_values(entry, sources, candidates.rows, seed=candidates.seed)
    is_open = values[candidates.passing[: candidates.n_open]]
    n_missing = int(np.count_nonzero(~np.isfinite(is_open)))
    if n_missing:
        raise UnusableData(f"{n_missing:,} images have no value in {entry.name}; WEIGHTS needs one each.")
    return _fill_pool(values, is_open, candidates.n_pool)


def _fill_pool(values: NDArray[np.float64], known: NDArray[np.float64], n_pool: int) -> NDArray[np.float64]:
    """Give images selected before that have no value any more the mean of those that may be chosen."""
    filled = values.copy()
    pool = filled[len(filled) - n_pool :]
    pool[~np.isfinite(pool)] = known.mean() if len(known) else 0.0
    return filled


def _make_diversity(
    entry: NamedStrategy, sources: Sources, candidates: CandidateRows
) -> tuple[Strategy, StrategyRecord]:
    min_distance = entry.strategy.stopping_condition_minimum_distance or 0.0
    if not entry.input.task:
        objective = Diversity(candidates.vectors, strength=entry.strength, min_distance=min_distance)
        return objective, StrategyRecord(entry.name, "DIVERSITY", entry.strength)
    vectors, owners = _objects(entry, sources, candidates)
    record = StrategyRecord(
        entry.name,
        "DIVERSITY",
        entry.strength,
        object_vectors=vectors,
        object_owners=candidates.passing[owners],
    )
    return Diversity(vectors, owners=owners, strength=entry.strength, min_distance=min_distance), record


def _objects(
    entry: NamedStrategy, sources: Sources, candidates: CandidateRows
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return (q, d) vectors of the passing candidates' objects, and (q,) whose each is: 0..p - 1."""
    vectors, rows = sources.object_vectors(entry.input.task or "")
    passing = candidates.rows[candidates.passing]
    places = np.searchsorted(passing, rows)
    is_taken = passing[np.minimum(places, len(passing) - 1)] == rows
    if not is_taken.any():
        raise UnusableData(
            f"The task {entry.input.task} has no objects on the images that may be chosen; "
            "there is nothing to compare them by."
        )
    return _scale(vectors[is_taken], candidates), places[is_taken].astype(np.int64)


def _scale(vectors: NDArray[np.float32], candidates: CandidateRows) -> NDArray[np.float32]:
    return normalize_rows(vectors) if candidates.normalize else vectors


def _check_dimensions(queries: NDArray[np.float32], candidates: CandidateRows) -> None:
    expected = candidates.vectors.shape[1]
    if not len(queries) or queries.shape[1] != expected:
        raise UnusableData(
            f"The query images have {queries.shape[1]} numbers each and there are {len(queries)}; "
            f"expected at least one with {expected}, as the images of this run have."
        )
