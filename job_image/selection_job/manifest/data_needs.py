"""Needs: which predictions, metadata and query sets a configuration names."""

from dataclasses import dataclass

from selection_api.metadata_rules import COMPUTED
from selection_api.spec import SelectionRunSpec
from selection_job.images.image_measures import MEASURES
from selection_job.manifest.goal import NamedStrategy, make_goal


@dataclass(frozen=True)
class DataNeeds:
    """What the strategies of a run look at besides the images' embeddings. All sorted."""

    tasks: tuple[str, ...]
    """Whose predictions are read: for scores, counts, classes and objects."""
    scores: tuple[tuple[str, str], ...]
    """Task and score."""
    object_tasks: tuple[str, ...]
    """Whose objects are looked at; auto_tasks are not among them."""
    metadata: tuple[str, ...]
    """Keys."""
    query_sets: tuple[tuple[str, str], ...]
    """dataset_id and tag_name."""


def find_needs(spec: SelectionRunSpec) -> DataNeeds:
    """Return what the configuration names."""
    entries = list_strategies(spec)
    scores = {(entry.input.task or "", entry.input.score or "") for entry in _of_type(entries, "SCORES")}
    counted = {entry.input.task or "" for entry in _of_type(entries, "PREDICTIONS")}
    object_tasks = _name_object_tasks(spec)
    queries = {(entry.input.dataset_id, entry.input.tag_name) for entry in _of_type(entries, "EMBEDDINGS")}
    return DataNeeds(
        tasks=tuple(sorted({task for task, _ in scores if task} | counted | object_tasks)),
        scores=tuple(sorted(scores)),
        object_tasks=tuple(sorted(object_tasks)),
        metadata=tuple(sorted({entry.input.key or "" for entry in _of_type(entries, "METADATA")})),
        query_sets=tuple(sorted((dataset, tag) for dataset, tag in queries if dataset and tag)),
    )


def _name_object_tasks(spec: SelectionRunSpec) -> set[str]:
    config, own = spec.selection_config, spec.worker_config.object_level.task_name
    auto = {task.name for task in config.auto_tasks} if config else set()
    named = {entry.input.task for entry in _of_type(list_strategies(spec), "EMBEDDINGS") if entry.input.task}
    return {name for name in (*named, own) if name} - auto


def list_measures(spec: SelectionRunSpec) -> tuple[str, ...]:
    """Return what has to be measured in the pixels of each image, among image_measures.MEASURES."""
    named = (key.removeprefix(COMPUTED) for key in find_needs(spec).metadata if key.startswith(COMPUTED))
    return tuple(name for name in named if name in MEASURES)


def list_strategies(spec: SelectionRunSpec) -> tuple[NamedStrategy, ...]:
    """Return every strategy, thresholds first, whichever form of selection the configuration has."""
    goal = make_goal(spec, 1)
    return (*goal.thresholds, *goal.rankings)


def _of_type(entries: tuple[NamedStrategy, ...], kind: str) -> list[NamedStrategy]:
    return [entry for entry in entries if entry.input.type == kind]


def list_scores(spec: SelectionRunSpec) -> tuple[tuple[str, str], ...]:
    """Return task and score of each score of the strategies: those that rank first, then those that filter."""
    entries = sorted(list_strategies(spec), key=lambda entry: entry.strategy.type == "THRESHOLD")
    given = ((entry.input.task or "", entry.input.score or "") for entry in entries if entry.input.type == "SCORES")
    return tuple(dict.fromkeys(given))
