"""Pool: the candidates of a selection with the vectors it measured them by, and a random choice beside it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.selection.selection import Selection
from selection_job.selection.vectors import normalize_rows

_BLOCK = 65536


@dataclass(frozen=True)
class Pool:
    """Positions refer to the rows of `vectors`, which are the selection's candidates in the catalog's order."""

    vectors: NDArray[np.float32]  # (m, d) what distances are measured on
    catalog_rows: NDArray[np.int64]  # (m,) sorted
    selected: NDArray[np.int64]  # (k,) positions in order of choice
    removed: NDArray[np.int64]  # (m - k,) positions, sorted
    random: NDArray[np.int64]  # (k,) positions of a seeded random choice of the same size, sorted
    distance_to_selected: NDArray[np.float32]  # (m,) to the nearest selected or preselected; 0 where selected
    seed: int
    preselected: NDArray[np.float32]  # (p, d) vectors of what earlier runs selected; no candidates

    @property
    def is_selected(self) -> NDArray[np.bool_]:
        """(m,) True where selected."""
        mask = np.zeros(len(self.vectors), dtype=bool)
        mask[self.selected] = True
        return mask


def make_pool(embeddings: NDArray[np.float32], selection: Selection, *, normalize: bool, seed: int) -> Pool:
    """Gather the candidates' vectors, scaled to unit length where the selection did so.

    embeddings  (n, d) float32, aligned with the catalog
    One copy of the candidates' vectors is made, block by block.
    """
    candidates = selection.candidates
    vectors = _take(embeddings, candidates, normalize=normalize)
    selected = np.searchsorted(candidates, selection.selected)
    removed = np.searchsorted(candidates, selection.removed)
    distances = np.zeros(len(candidates), dtype=np.float32)
    distances[removed] = selection.nearest_distance
    chance = np.random.default_rng(seed).choice(len(candidates), len(selected), replace=False)
    preselected = _take(embeddings, selection.preselected, normalize=normalize)
    return Pool(vectors, candidates, selected, removed, np.sort(chance), distances, seed, preselected)


def _take(embeddings: NDArray[np.float32], rows: NDArray[np.int64], *, normalize: bool) -> NDArray[np.float32]:
    vectors = np.empty((len(rows), embeddings.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = embeddings[rows[start : start + _BLOCK]]
        vectors[start : start + _BLOCK] = normalize_rows(block) if normalize else block
    return vectors
