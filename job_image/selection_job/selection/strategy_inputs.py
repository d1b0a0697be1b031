"""Strategy inputs: the strategies that rank items become arrays and objectives."""

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.image_names import quote_some
from selection_job.errors import UnusableData
from selection_job.manifest.goal import NamedStrategy
from selection_job.manifest.noun import IMAGE
from selection_job.manifest.query import make_query
from selection_job.numeric.greedy.objectives import Balance, Diversity, Strategy, Weights, random_weights
from selection_job.selection.class_shares import keep_reachable, read_shares
from selection_job.selection.items import Participants
from selection_job.selection.measures import average_by_owner, measure_similarity, measure_typicality, read_values
from selection_job.selection.query_values import weigh_texts
from selection_job.selection.selection import StrategyRecord
from selection_job.selection.sources import Sources
from selection_job.selection.vectors import narrow_rows, normalize_rows

_MOST_NAMED = 10
_NEIGHBOURS = 20  # as LightlyStudio, where the configuration says nothing


def make_strategies(
    entries: tuple[NamedStrategy, ...], sources: Sources, participants: Participants, *, seed: int
) -> list[tuple[Strategy, StrategyRecord]]:
    """Return the objective of each strategy over the participants that pass, and what it looked at.

    seed  of the numbers by chance whose strategy names none
    Raises UnusableData where a source has not what a strategy needs.
    """
    made = []
    for entry in entries:
        with entry.located():
            made.append(_make_strategy(entry, sources, participants, seed))
    return made


def _make_strategy(
    entry: NamedStrategy, sources: Sources, participants: Participants, seed: int
) -> tuple[Strategy, StrategyRecord]:
    kind, strategy = entry.strategy.type, entry.strategy
    if kind == "DIVERSITY":
        return _make_diversity(entry, sources, participants)
    if kind == "BALANCE":
        found = read_shares(entry, sources, participants.rows)
        passing = narrow_rows(found.shares, participants.passing)
        record = StrategyRecord(
            entry.name,
            kind,
            entry.strength,
            shares=found.shares,
            classes=found.classes,
            target=keep_reachable(found.target, passing),
            distribution=strategy.distribution or "",
        )
        return Balance(passing, found.target, strength=entry.strength), record
    if kind == "SIMILARITY":
        values = _compare_with_queries(entry, sources, participants)
    elif kind == "TYPICALITY":
        values = _measure_typicality(entry, sources, participants)
    elif kind == "WEIGHTS":
        values = _read_weights(entry, sources, participants, seed)
    else:
        raise ValueError(f"{kind} does not rank")
    span = strategy.target_range
    weights = Weights(
        values[participants.passing],
        strength=entry.strength,
        max_sum=strategy.stopping_condition_max_sum,
        target_range=(None, None) if span is None else (span.min_sum, span.max_sum),
        least_value=strategy.stopping_condition_minimum_typicality,
    )
    query = make_query(entry.input) if entry.input.type == "QUERIES" else None
    return weights, StrategyRecord(entry.name, kind, entry.strength, values=values, query=query)


def _compare_with_queries(entry: NamedStrategy, sources: Sources, participants: Participants) -> NDArray[np.float64]:
    """Return (m,) how near each participant that passes lies to the query images, or how well it fits to texts."""
    given = entry.input
    if given.texts:
        query, rows = make_query(given), participants.rows
        return weigh_texts(query, sources.query_fit(query).values[rows], len(rows) - participants.n_pool)
    queries = (
        sources.query_images(make_query(given).folder)
        if given.images
        else sources.query_vectors(given.dataset_id or "", given.tag_name or "")
    )
    expected = participants.vectors.shape[1]
    if not len(queries) or queries.shape[1] != expected:
        raise UnusableData(
            f"The query images have {queries.shape[1]} numbers each and there are {len(queries)}; "
            f"expected at least one with {expected}, as the images of this run have."
        )
    return participants.spread(measure_similarity(participants.vectors, _scale(queries, participants)))


def _measure_typicality(entry: NamedStrategy, sources: Sources, participants: Participants) -> NDArray[np.float64]:
    """Return (m,) how typical each participant that passes is among these, or its objects are among all of theirs."""
    k = entry.strategy.num_nearest_neighbors or _NEIGHBOURS
    if not entry.input.task:
        return participants.spread(measure_typicality(participants.vectors, k))
    vectors, owners = _find_objects(entry, sources, participants)
    own = average_by_owner(measure_typicality(vectors, k), owners, len(participants.passing))
    return participants.spread(own)


def _read_weights(entry: NamedStrategy, sources: Sources, participants: Participants, seed: int) -> NDArray[np.float64]:
    """Return (m,) the number of each participant; one preselected that has none any more has the mean of the others."""
    if entry.input.type == "RANDOM":
        own_seed = entry.input.random_seed
        return random_weights(len(participants.rows), seed if own_seed is None else own_seed)
    values = read_values(entry, sources, participants.rows)
    is_open = values[participants.passing[: participants.n_open]]
    missing = participants.rows[participants.passing[: participants.n_open]][~np.isfinite(is_open)]
    if len(missing):
        names = quote_some(sources.name_items(missing[:_MOST_NAMED]))
        more = f" and {len(missing) - _MOST_NAMED:,} more" if len(missing) > _MOST_NAMED else ""
        raise UnusableData(
            f"{IMAGE.count_with(len(missing), 'have')} no value in {entry.name}{f' ({names}{more})' if names else ''}; "
            "WEIGHTS needs one each."
        )
    filled = values.copy()
    pool = filled[len(filled) - participants.n_pool :]
    pool[~np.isfinite(pool)] = is_open.mean() if len(is_open) else 0.0
    return filled


def _make_diversity(
    entry: NamedStrategy, sources: Sources, participants: Participants
) -> tuple[Strategy, StrategyRecord]:
    min_distance = entry.strategy.stopping_condition_minimum_distance or 0.0
    if not entry.input.task:
        objective = Diversity(participants.vectors, strength=entry.strength, min_distance=min_distance)
        return objective, StrategyRecord(entry.name, "DIVERSITY", entry.strength)
    vectors, owners = _find_objects(entry, sources, participants)
    record = StrategyRecord(
        entry.name,
        "DIVERSITY",
        entry.strength,
        object_vectors=vectors,
        object_owners=participants.passing[owners],
    )
    return Diversity(vectors, owners=owners, strength=entry.strength, min_distance=min_distance), record


def _find_objects(
    entry: NamedStrategy, sources: Sources, participants: Participants
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return (r, d) vectors of the objects of the participants that pass, and (r,) whose each is: 0..q - 1."""
    vectors, rows = sources.object_vectors(entry.input.task or "")
    passing = participants.rows[participants.passing]
    places = np.searchsorted(passing, rows)
    is_taken = passing[np.minimum(places, len(passing) - 1)] == rows
    if not is_taken.any():
        raise UnusableData(
            f"The task {entry.input.task} has no objects on the images that may be chosen; "
            "there is nothing to compare them by."
        )
    return _scale(vectors[is_taken], participants), places[is_taken].astype(np.int64)


def _scale(vectors: NDArray[np.float32], participants: Participants) -> NDArray[np.float32]:
    return normalize_rows(vectors) if participants.normalize else vectors
