"""Sources: what strategies look at besides the items' own vectors."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from selection_job.manifest.query import Query
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.numeric.sentences import Fit


class Sources(Protocol):
    """Arrays are aligned with the items, which are called images here.

    Each raises UnusableData where the run has nothing of the kind.
    """

    def scores(self, task: str, score: str) -> NDArray[np.float64]:
        """Return (n,) the active-learning scores of a task."""

    def category_counts(self, task: str, categories: Sequence[str]) -> NDArray[np.float64]:
        """Return (n,) how many objects of these categories the task found on each image."""

    def category_probabilities(self, task: str, categories: Sequence[str]) -> NDArray[np.float64]:
        """Return (n,) 0..1 how probable these categories are together, on each image."""

    def class_distributions(self, task: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """Return (n, c) sums of the class probabilities of each image's objects, and the names of the classes."""

    def metadata(self, key: str) -> MetadataColumn:
        """Return the values of a key."""

    def labels(self, key: str, rows: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
        """Return the words that these rows have for a key, and (q,) the place among the rows of each word's owner."""

    def object_vectors(self, task: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return (m, d) embeddings of the task's object crops, and (m,) the image that each belongs to."""

    def name_items(self, rows: NDArray[np.int64]) -> list[str]:
        """Return what people know these rows by, where that is known."""

    def query_vectors(self, dataset_id: str, tag_name: str) -> NDArray[np.float32]:
        """Return (q, d) embeddings of the images that SIMILARITY compares with."""

    def query_images(self, folder: str) -> NDArray[np.float32]:
        """Return (q, d) embeddings of the images in a folder that a QUERIES input names."""

    def query_fit(self, query: Query) -> Fit:
        """Return how well each of the n fits to a query."""
