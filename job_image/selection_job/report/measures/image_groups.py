"""Groups of images that explain a selection: exact copies, crowded regions that were thinned, outliers that stay."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.numeric.histograms import query_rows
from selection_job.numeric.neighbours import find_neighbours, measure_pairs
from selection_job.report.measures.candidates import Candidates
from selection_job.report.models.images import (
    MOST_GROUPS,
    MOST_IN_GROUP,
    MOST_OUTLIERS,
    CopyGroup,
    Outlier,
    ThinnedGroup,
)
from selection_job.selection.selection import PASSED, Selection

_PRICE = 10  # a tenth of the pairs that the report's other distances may take


def group_duplicates(catalog: Catalog) -> list[CopyGroup]:
    """Return the images with the most exact copies, the largest group first."""
    copies = np.flatnonzero(catalog.is_duplicate)
    originals = catalog.duplicate_of[copies]
    return [
        CopyGroup(
            filename=catalog.names[original],
            n_copies=number,
            copies=[catalog.names[row] for row in copies[originals == original][:MOST_IN_GROUP].tolist()],
        )
        for original, number in _most_frequent(originals)
    ]


def find_thinned(selection: Selection, names: Sequence[str]) -> list[ThinnedGroup]:
    """Return selected images that stand for the most removed ones.

    A removed image belongs to the selected one nearest to it; those that a THRESHOLD kept out belong to none. Named are
    the nearest. An image of the datapool may stand for others too.
    """
    is_removed = selection.filtered_by == PASSED
    rows, owners = selection.removed[is_removed], selection.nearest_selected[is_removed]
    distances = selection.nearest_distance[is_removed]
    found = []
    for owner, number in _most_frequent(owners):
        own = np.flatnonzero(owners == owner)
        nearest = own[np.argsort(distances[own], kind="stable")][:MOST_IN_GROUP]
        found.append(
            ThinnedGroup(
                selected_image=names[owner],
                n_removed=number,
                removed_images=[names[row] for row in rows[nearest].tolist()],
            )
        )
    return found


def _most_frequent(rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    values, counts = np.unique(rows, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_GROUPS]
    return list(zip(values[order].tolist(), counts[order].tolist(), strict=True))


def find_outliers(pool: Candidates, names: Sequence[str]) -> tuple[list[Outlier], int]:
    """Return the selected images that lie farthest from every other image, and how many were searched for them.

    The farthest comes first. Of very many selected images a seeded sample is searched, as for the other distances.
    """
    if len(pool.vectors) < 2:
        return [], 0
    rows = query_rows(len(pool.selected), _PRICE * len(pool.vectors), seed=pool.seed)
    positions = pool.selected[rows]
    own = pool.vectors[positions]
    found, _ = find_neighbours(own, pool.vectors, 2)  # one of them is the row itself, or both are copies of it
    others = np.where(found[:, 0] == positions, found[:, 1], found[:, 0])
    distances = measure_pairs(own, pool.vectors, others)
    order = np.lexsort((positions, -distances))[:MOST_OUTLIERS]
    outliers = [
        Outlier(filename=names[pool.catalog_rows[positions[i]]], distance=float(distances[i])) for i in order.tolist()
    ]
    return outliers, len(positions)
