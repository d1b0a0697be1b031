"""Pool: the candidates of a selection with the vectors it measured them by, and a random choice beside it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.selection.selection import Selection
from selection_job.selection.vectors import take_vectors


@dataclass(frozen=True)
class Candidates:
    """Positions refer to the rows of `vectors`, which are the selection's candidates in the catalog's order."""

    vectors: NDArray[np.float32]  # (m, d) what distances are measured on
    catalog_rows: NDArray[np.int64]  # (m,) sorted
    selected: NDArray[np.int64]  # (k,) positions in order of choice
    removed: NDArray[np.int64]  # (m - k,) positions, sorted
    random: NDArray[np.int64]  # (k,) positions of a seeded random choice of the same size, sorted; of whole sequences
    distance_to_selected: NDArray[np.float32]  # (m,) to the nearest selected or preselected; 0 where selected
    seed: int
    preselected: NDArray[np.float32]  # (p, d) vectors of what earlier runs selected; no candidates

    @property
    def is_selected(self) -> NDArray[np.bool_]:
        """(m,) True where selected."""
        mask = np.zeros(len(self.vectors), dtype=bool)
        mask[self.selected] = True
        return mask


def make_candidates(embeddings: NDArray[np.float32], selection: Selection, *, normalize: bool, seed: int) -> Candidates:
    """Gather the candidates' vectors, scaled to unit length where the selection did so.

    embeddings  (n, d) float32, aligned with the catalog
    One copy of the candidates' vectors is made, block by block.
    """
    candidates = selection.candidates
    vectors = take_vectors(embeddings, candidates, normalize=normalize)
    selected = np.searchsorted(candidates, selection.selected)
    removed = np.searchsorted(candidates, selection.removed)
    distances = np.zeros(len(candidates), dtype=np.float32)
    distances[removed] = selection.nearest_distance
    preselected = take_vectors(embeddings, selection.preselected, normalize=normalize)
    return Candidates(vectors, candidates, selected, removed, _draw(selection, seed), distances, seed, preselected)


def _draw(selection: Selection, seed: int) -> NDArray[np.int64]:
    """Return positions of a random choice of as many images, or where sequences are selected of as many of these."""
    chance, k = np.random.default_rng(seed), len(selection.selected)
    if selection.sequences is None:
        return np.sort(chance.choice(len(selection.candidates), k, replace=False))
    n, length = selection.sequences.shape
    drawn = selection.sequences[chance.choice(n, k // length, replace=False)]
    return np.sort(np.searchsorted(selection.candidates, drawn.reshape(-1)))
