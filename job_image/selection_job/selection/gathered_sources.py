"""GatheredSources: all that the strategies of a run look at, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from selection_api.legacy_selection import TABLE_SCORE
from selection_api.worker_config import ScorerConfig
from selection_job.catalog.image_names import quote_some
from selection_job.errors import UnusableData
from selection_job.manifest.query import Query
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.numeric.sentences import Fit
from selection_job.predictions.scores import add_probabilities, compute_score
from selection_job.predictions.task_predictions import TaskPredictions, find_categories

_MOST_CELLS = 500_000_000  # 4 GB

ObjectVectors = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class GatheredSources:
    """A Sources over what was loaded. Everything is aligned with the n images of the catalog."""

    n: int
    names: Sequence[str] = ()
    """For messages: of the n, or of what `name_rows` refers to."""
    name_rows: NDArray[np.int64] | None = None
    """(n,) which of the names each row goes by; None: its own."""
    tasks: Mapping[str, TaskPredictions] = field(default_factory=dict)
    columns: Mapping[str, MetadataColumn] = field(default_factory=dict)
    objects: Mapping[str, ObjectVectors] = field(default_factory=dict)
    """By task: (m, d) vectors and (m,) owning rows."""
    queries: Mapping[tuple[str, str], NDArray[np.float32]] = field(default_factory=dict)
    """By dataset_id and tag_name: (q, d)."""
    folders: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """By folder of a QUERIES input: (q, d) its images' embeddings."""
    fits: Mapping[Query, Fit] = field(default_factory=dict)
    """How well each of the n fits to each query."""
    scorer_config: ScorerConfig = field(default_factory=ScorerConfig)
    table_scores: NDArray[np.float64] | None = None
    """(n,) the al_score column of workerConfig.embeddings."""
    known_scores: dict[tuple[str, str], NDArray[np.float64]] = field(default_factory=dict)
    """By task and score: what was computed already."""

    def scores(self, task: str, score: str) -> NDArray[np.float64]:
        """Return (n,) the active-learning scores of a task; the column of the embeddings table where task is ''."""
        if (task, score) not in self.known_scores:
            self.known_scores[task, score] = self._compute(task, score)
        return self.known_scores[task, score]

    def _compute(self, task: str, score: str) -> NDArray[np.float64]:
        if task == "" and score == TABLE_SCORE:
            if self.table_scores is None:
                raise UnusableData(
                    f"spec.workerConfig.method coral takes scores from a column {TABLE_SCORE} of the file that "
                    "embeddings names, and it has none. Add the column behind labels, or name a prediction task in "
                    "active_learning.task_name."
                )
            return self.table_scores
        found = self._task(task)
        return compute_score(found, score, self.n, scorer_config=self.scorer_config)

    def category_counts(self, task: str, categories: Sequence[str]) -> NDArray[np.float64]:
        """Return (n,) how many objects of these categories the task found on each image."""
        found = self._task(task)
        owners = found.owners[np.isin(found.category_index, find_categories(found, categories))]
        return np.bincount(owners, minlength=self.n).astype(np.float64)

    def category_probabilities(self, task: str, categories: Sequence[str]) -> NDArray[np.float64]:
        """Return (n,) 0..1 how probable these categories are together; of several objects the largest, of none 0."""
        return add_probabilities(self._task(task), categories, self.n)

    def class_distributions(self, task: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """Return (n, c) sums of the class probabilities of each image's objects, and the names of the classes.

        An object without probabilities, and one of a zero-shot task, counts as 1 for its category.
        """
        found = self._task(task)
        if self.n * len(found.categories) > _MOST_CELLS:
            raise UnusableData(
                f"The task {task} has {len(found.categories):,} categories for {self.n:,} images; their product may be "
                f"{_MOST_CELLS:,} at most for BALANCE. Use a task with fewer categories."
            )
        sums = np.zeros((self.n, len(found.categories)))
        given = None if found.is_zero_shot else found.probabilities
        has_any = (
            np.zeros(len(found.owners), dtype=bool) if given is None else np.isfinite(given).all(axis=1).reshape(-1)
        )
        for i in range(len(found.categories)):  # one column at a time: objects may be many times the images
            weights = np.asarray(found.category_index == i, dtype=np.float64)
            if given is not None:
                weights[has_any] = given[has_any, i]
            sums[:, i] = np.bincount(found.owners, weights=weights, minlength=self.n)
        return sums, tuple(category.name for category in found.categories)

    def metadata(self, key: str) -> MetadataColumn:
        """Return the values of a key. Raises UnusableData, naming the keys there are, where it is none of them."""
        if key not in self.columns:
            known = quote_some(sorted(self.columns)) if self.columns else "none"
            raise UnusableData(f"There are no metadata {key!r}; the keys of this run: {known}.")
        return self.columns[key]

    def labels(self, key: str, rows: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
        """Return the word that each of these rows has for a key, and 0..m - 1."""
        words = self.metadata(key).need_labels()
        return [words[row] for row in rows.tolist()], np.arange(len(rows))

    def object_vectors(self, task: str) -> ObjectVectors:
        """Return (m, d) embeddings of the task's object crops, and (m,) the image that each belongs to."""
        if task not in self.objects:
            raise UnusableData(f"No objects of the task {task!r} were embedded.")
        return self.objects[task]

    def name_items(self, rows: NDArray[np.int64]) -> list[str]:
        """Return what people know these rows by, where that is known."""
        places = rows if self.name_rows is None else self.name_rows[rows]
        return [self.names[place] for place in places.tolist()] if self.names else []

    def query_vectors(self, dataset_id: str, tag_name: str) -> NDArray[np.float32]:
        """Return (q, d) embeddings of the images that SIMILARITY compares with."""
        if (dataset_id, tag_name) not in self.queries:
            raise UnusableData(f"The query set {dataset_id}/{tag_name} was not loaded.")
        return self.queries[dataset_id, tag_name]

    def query_images(self, folder: str) -> NDArray[np.float32]:
        """Return (q, d) embeddings of the images in a folder that a QUERIES input names."""
        return self.folders[folder]

    def query_fit(self, query: Query) -> Fit:
        """Return how well each of the n fits to a query."""
        return self.fits[query]

    def _task(self, task: str) -> TaskPredictions:
        if task not in self.tasks:
            known = quote_some(sorted(self.tasks)) if self.tasks else "none"
            raise UnusableData(f"There are no predictions of the task {task!r}; the tasks of this run: {known}.")
        return self.tasks[task]
