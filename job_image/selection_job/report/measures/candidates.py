"""Candidates: what could be chosen, with the vectors it was measured by, and a random choice beside it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.selection.selection import PASSED, Selection
from selection_job.selection.vectors import take_vectors


@dataclass(frozen=True)
class Candidates:
    """The selection's candidates that pass every THRESHOLD: what a filter kept out counts for nothing in any figure.

    Positions refer to the rows of `vectors`, in the catalog's order.
    """

    vectors: NDArray[np.float32]  # (q, d) what distances are measured on
    catalog_rows: NDArray[np.int64]  # (q,) sorted
    places: NDArray[np.int64]  # (q,) their places among the selection's candidates, sorted
    selected: NDArray[np.int64]  # (k,) positions in order of choice
    removed: NDArray[np.int64]  # (q - k,) positions, sorted
    random: NDArray[np.int64]  # (k,) positions of a seeded random choice of the same size, sorted; of whole sequences
    distance_to_selected: NDArray[np.float32]  # (q,) to the nearest selected or preselected; 0 where selected
    seed: int
    preselected: NDArray[np.float32]  # (p, d) vectors of what earlier runs selected; no candidates

    @property
    def is_selected(self) -> NDArray[np.bool_]:
        """(q,) True where selected."""
        mask = np.zeros(len(self.vectors), dtype=bool)
        mask[self.selected] = True
        return mask


def make_candidates(embeddings: NDArray[np.float32], selection: Selection, *, normalize: bool, seed: int) -> Candidates:
    """Gather the vectors of the candidates that pass, scaled to unit length where the selection did so.

    embeddings  (n, d) float32, aligned with the catalog
    One copy of these vectors is made, block by block.
    """
    places = selection.passing
    rows, is_removed = selection.candidates[places], selection.filtered_by == PASSED
    vectors = take_vectors(embeddings, rows, normalize=normalize)
    selected = np.searchsorted(rows, selection.selected)
    removed = np.searchsorted(rows, selection.removed[is_removed])
    distances = np.zeros(len(rows), dtype=np.float32)
    distances[removed] = selection.nearest_distance[is_removed]
    preselected = take_vectors(embeddings, selection.preselected, normalize=normalize)
    drawn = _draw(rows, selection, seed)
    return Candidates(vectors, rows, places, selected, removed, drawn, distances, seed, preselected)


def _draw(rows: NDArray[np.int64], selection: Selection, seed: int) -> NDArray[np.int64]:
    """Return positions of a random choice of as many images, or where sequences are selected of as many of these.

    rows  that could be chosen
    """
    chance, k = np.random.default_rng(seed), len(selection.selected)
    if selection.sequences is None:
        return np.sort(chance.choice(len(rows), k, replace=False))
    sequences = selection.sequences[np.isin(selection.sequences[:, 0], rows)]
    drawn = sequences[chance.choice(len(sequences), k // sequences.shape[1], replace=False)]
    return np.sort(np.searchsorted(rows, drawn.reshape(-1)))
