"""SequenceSources: what strategies look at, of sequences instead of single frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.errors import UnusableData
from selection_job.manifest.query import Query
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.numeric.sentences import Fit
from selection_job.selection.sources import Sources

_BLOCK_NUMBERS = 4 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class SequenceSources:
    """A Sources over s sequences, and p frames of the datapool behind them, each of which stands for itself."""

    frames: Sources
    """Of the single frames."""
    rows: NDArray[np.int64]  # (s, L) the frames of each sequence
    pool: NDArray[np.int64]  # (p,)

    def scores(self, task: str, score: str) -> NDArray[np.float64]:
        """Return (s + p,) the mean over the frames."""
        return self._average(self.frames.scores(task, score))

    def category_counts(self, task: str, categories: Sequence[str]) -> NDArray[np.float64]:
        """Return (s + p,) how many objects of these categories a frame has, on average."""
        return self._average(self.frames.category_counts(task, categories))

    def category_probabilities(self, task: str, categories: Sequence[str]) -> NDArray[np.float64]:
        """Return (s + p,) the mean over the frames."""
        return self._average(self.frames.category_probabilities(task, categories))

    def class_distributions(self, task: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """Return (s + p, c) sums over the frames, and the names of the classes."""
        shares, classes = self.frames.class_distributions(task)
        sums = np.zeros((len(self.rows), len(classes)))
        for of_place in self.rows.T:  # shares of all frames at once would be another table as large as theirs
            sums += shares[of_place]
        return np.concatenate([sums, shares[self.pool]]), classes

    def metadata(self, key: str) -> MetadataColumn:
        """Return the mean over the frames; NaN where one of them has no value. Words are left to `labels`."""
        column = self.frames.metadata(key)
        return MetadataColumn(key, numbers=None if column.numbers is None else self._average(column.numbers))

    def labels(self, key: str, rows: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
        """Return the words of all frames of these sequences, and whose each is."""
        is_single = rows >= len(self.rows)
        counts = np.where(is_single, 1, self.rows.shape[1])
        owners = np.repeat(np.arange(len(rows)), counts)
        of_frames = np.empty(len(owners), dtype=np.int64)
        of_frames[~is_single[owners]] = self.rows[rows[~is_single]].reshape(-1)
        of_frames[is_single[owners]] = self.pool[rows[is_single] - len(self.rows)]
        return self.frames.labels(key, of_frames)[0], owners

    def object_vectors(self, task: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Raise UnusableData: objects have no mean."""
        raise UnusableData(f"Objects, as those of the task {task!r}, can't be compared where sequences are selected.")

    def name_items(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the first frame of each sequence, and the datapool's frames."""
        return self.frames.name_items(np.concatenate([self.rows[:, 0], self.pool])[rows])

    def query_vectors(self, dataset_id: str, tag_name: str) -> NDArray[np.float32]:
        """Return (q, d) embeddings that the means of sequences are compared with."""
        return self.frames.query_vectors(dataset_id, tag_name)

    def query_images(self, folder: str) -> NDArray[np.float32]:
        """Return (q, d) embeddings of the images in a folder that a QUERIES input names."""
        return self.frames.query_images(folder)

    def query_fit(self, query: Query) -> Fit:
        """Raise UnusableData: a query is compared with single frames."""
        raise UnusableData(f"Sequences can't be compared with a query, as {query.describe()}.")

    def _average(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([values[self.rows].mean(axis=1), values[self.pool]])


def average_rows(embeddings: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (s, d) the mean of the embeddings of each sequence, summed in float64.

    embeddings  (n, d), rows (s, L); 64 MB besides the result
    """
    means = np.empty((len(rows), embeddings.shape[1]), dtype=np.float32)
    n_block = max(1, _BLOCK_NUMBERS // max(1, rows.shape[1] * embeddings.shape[1]))
    for start in range(0, len(rows), n_block):
        block = rows[start : start + n_block]
        means[start : start + n_block] = embeddings[block].mean(axis=1, dtype=np.float64)
    return means
