"""The sources of a run: predictions, metadata and query sets, loaded where the configuration names them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_api import Stage
from selection_api.spec import SelectionRunSpec
from selection_job.embedding_stage import Embedded
from selection_job.embeddings.query_set import load_query_set, query_key
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.goal import NamedStrategy, make_goal
from selection_job.workplace import Workplace

COMPUTED = "lightly."
"""What keys of metadata that are computed from the images begin with."""


@dataclass(frozen=True)
class Needs:
    """What the strategies of a run look at besides the images' embeddings. All sorted."""

    tasks: tuple[str, ...]
    """Whose predictions are read: for scores, counts and classes."""
    scores: tuple[tuple[str, str], ...]
    """Task and score."""
    object_tasks: tuple[str, ...]
    """Whose objects are embedded."""
    metadata: tuple[str, ...]
    """Keys."""
    query_sets: tuple[tuple[str, str], ...]
    """dataset_id and tag_name."""


def find_needs(spec: SelectionRunSpec) -> Needs:
    """Return what the configuration names."""
    entries = _list_strategies(spec)
    scores = {(entry.input.task or "", entry.input.score or "") for entry in _of_type(entries, "SCORES")}
    counted = {entry.input.task or "" for entry in _of_type(entries, "PREDICTIONS")}
    embeddings = _of_type(entries, "EMBEDDINGS")
    return Needs(
        tasks=tuple(sorted({task for task, _ in scores if task} | counted)),
        scores=tuple(sorted(scores)),
        object_tasks=tuple(sorted({entry.input.task for entry in embeddings if entry.input.task})),
        metadata=tuple(sorted({entry.input.key or "" for entry in _of_type(entries, "METADATA")})),
        query_sets=tuple(
            sorted(
                {
                    (entry.input.dataset_id, entry.input.tag_name)
                    for entry in embeddings
                    if entry.input.dataset_id and entry.input.tag_name
                }
            )
        ),
    )


def _list_strategies(spec: SelectionRunSpec) -> tuple[NamedStrategy, ...]:
    goal = make_goal(spec, 1)
    return (*goal.thresholds, *goal.rankings)


def list_source_versions(place: Workplace) -> list[tuple[str, str]]:
    """Return key and version of every file that the strategies read, sorted: they change when one is changed."""
    needs = find_needs(place.spec)
    folders = [f".lightly/predictions/{task}/" for task in sorted({*needs.tasks, *needs.object_tasks})]
    if any(not key.startswith(COMPUTED) for key in needs.metadata):
        folders.append(".lightly/metadata/")
    keys = {query_key(*query_set) for query_set in needs.query_sets}
    found = [(info.key, info.version) for folder in folders for info in place.target.list(folder)]
    found += [(info.key, info.version) for key in keys for info in place.target.list(key) if info.key in keys]
    return sorted(found)


def _of_type(entries: tuple[NamedStrategy, ...], kind: str) -> list[NamedStrategy]:
    return [entry for entry in entries if entry.input.type == kind]


def gather_sources(
    place: Workplace, embedded: Embedded, table_scores: NDArray[np.float64] | None = None
) -> GatheredSources:
    """Load all that the strategies look at, and compute the scores.

    table_scores  (n,) the al_score column of workerConfig.embeddings, where it has one
    Raises UnusableData where something that the configuration names is missing or wrong.
    """
    needs, names = find_needs(place.spec), embedded.catalog.names
    sources = GatheredSources(
        n=len(names),
        columns=_load_columns(place, embedded, needs),
        tasks=_load_tasks(place, names, needs),
        objects={crops.task: (crops.vectors, crops.owners) for crops in embedded.crops},
        queries=_load_queries(place, needs, embedded.embeddings.shape[1]),
        scorer_config=place.worker.scorer_config,
        table_scores=table_scores,
    )
    if needs.scores:
        with place.progress.stage(Stage.COMPUTING_ACTIVE_LEARNING_SCORES):
            for entry in _of_type(_list_strategies(place.spec), "SCORES"):
                with entry.located():
                    sources.scores(entry.input.task or "", entry.input.score or "")
    return sources


def _load_columns(place: Workplace, embedded: Embedded, needs: Needs) -> dict[str, MetadataColumn]:
    if not needs.metadata:
        return {}
    from selection_job.metadata.loading import load_metadata  # type: ignore[import-not-found]

    with place.progress.stage(Stage.LOADING_METADATA):
        return {column.key: column for column in load_metadata(place.target, embedded.catalog.names)}


def _load_tasks(place: Workplace, names: list[str], needs: Needs) -> dict[str, TaskPredictions]:
    if not needs.tasks:
        return {}
    from selection_job.predictions.loading import load_predictions  # type: ignore[import-not-found]

    with place.progress.stage(Stage.LOADING_PREDICTION):
        loaded: dict[str, TaskPredictions] = load_predictions(place.target, needs.tasks, names)
    return loaded


def _load_queries(place: Workplace, needs: Needs, dimensions: int) -> dict[tuple[str, str], NDArray[np.float32]]:
    return {
        (dataset_id, tag_name): load_query_set(
            place.target, dataset_id, tag_name, dimensions=dimensions, scratch=place.scratch
        )
        for dataset_id, tag_name in needs.query_sets
    }
