"""Needs: which predictions, metadata, query sets and queries a configuration names."""

from dataclasses import dataclass

from selection_api.metadata_rules import COMPUTED
from selection_api.spec import SelectionRunSpec
from selection_job.images.image_measures import MEASURES
from selection_job.manifest.goal import Goal, NamedStrategy
from selection_job.manifest.path_regex import compile_path_regex
from selection_job.manifest.query import Query, make_query


@dataclass(frozen=True)
class DataNeeds:
    """What the strategies of a run look at besides the images' embeddings. All but the queries are sorted."""

    tasks: tuple[str, ...]
    """Whose predictions are read: for scores, counts, classes and objects."""
    scores: tuple[tuple[str, str], ...]
    """Task and score."""
    metadata: tuple[str, ...]
    """Keys."""
    query_sets: tuple[tuple[str, str], ...]
    """dataset_id and tag_name."""
    queries: tuple[Query, ...] = ()
    """Of QUERIES inputs, each once, in the order of the strategies."""
    path_regex: str | None = None
    """lightly_path_regex, whose groups are metadata too."""

    @property
    def query_folders(self) -> tuple[str, ...]:
        """Folders of images that queries look for, in the lightly datasource."""
        return tuple(query.folder for query in self.queries if query.folder)

    @property
    def measures(self) -> tuple[str, ...]:
        """What has to be measured in the pixels of each image, among image_measures.MEASURES."""
        named = (key.removeprefix(COMPUTED) for key in self.metadata if key.startswith(COMPUTED))
        return tuple(name for name in named if name in MEASURES)

    @property
    def computed_metadata(self) -> tuple[str, ...]:
        """Keys of what is known of an image once it was read."""
        return tuple(key for key in self.metadata if key.startswith(COMPUTED))

    @property
    def custom_metadata(self) -> tuple[str, ...]:
        """Keys of what the user says of the images, in files or by their names."""
        return tuple(key for key in self.metadata if not key.startswith(COMPUTED))

    @property
    def metadata_in_files(self) -> tuple[str, ...]:
        """Keys that are neither computed nor a group of lightly_path_regex. Raises InvalidManifest for a wrong one."""
        keys = set(self.custom_metadata)
        if keys and self.path_regex:
            keys -= set(compile_path_regex(self.path_regex).groupindex)
        return tuple(sorted(keys))


def find_needs(spec: SelectionRunSpec, goal: Goal) -> DataNeeds:
    """Return what the strategies of the goal, and the rest of the configuration, name."""
    config = spec.selection_config
    counted = {entry.input.task or "" for entry in _of_type(goal, "PREDICTIONS")}
    object_tasks = _name_object_tasks(spec, goal)
    queries = {(entry.input.dataset_id, entry.input.tag_name) for entry in _of_type(goal, "EMBEDDINGS")}
    return DataNeeds(
        tasks=tuple(sorted({task for task, _ in goal.scores if task} | counted | object_tasks)),
        scores=tuple(sorted(goal.scores)),
        metadata=tuple(sorted({entry.input.key or "" for entry in _of_type(goal, "METADATA")})),
        query_sets=tuple(sorted((dataset, tag) for dataset, tag in queries if dataset and tag)),
        queries=tuple(dict.fromkeys(make_query(entry.input) for entry in _of_type(goal, "QUERIES"))),
        path_regex=config.lightly_path_regex if config else None,
    )


def _name_object_tasks(spec: SelectionRunSpec, goal: Goal) -> set[str]:
    """Return the tasks whose objects are looked at, but for auto_tasks, which have no files."""
    config, own = spec.selection_config, spec.worker_config.object_level.task_name
    auto = {task.name for task in config.auto_tasks} if config else set()
    named = {entry.input.task for entry in _of_type(goal, "EMBEDDINGS") if entry.input.task}
    return {name for name in (*named, own) if name} - auto


def _of_type(goal: Goal, kind: str) -> list[NamedStrategy]:
    return [entry for entry in goal.strategies if entry.input.type == kind]
