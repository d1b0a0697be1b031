"""Examples of decisions: retained images, each beside the removed image that lies nearest to it."""

from collections.abc import Sequence

import numpy as np

from selection_job.numeric.histograms import query_rows
from selection_job.numeric.neighbours import nearest_rows
from selection_job.report.measures.candidates import Candidates
from selection_job.report.models.images import SelectedAndRemovedImage

Entry = tuple[str | None, str | None, float | None]
"""Of a selected image, a removed one, and their distance."""

_STEP = 11  # filter_decision_0, _11, _22, …: the worker's file names


def choose_examples(pool: Candidates, names: Sequence[str], n_examples: int) -> list[SelectedAndRemovedImage]:
    """Return one entry for each filter_decision plot, from the nearest pair to the farthest, evenly spread.

    names  of the catalog's rows

    Where nothing was removed the retained images stand alone (no removed_image); where fewer images were retained than
    examples asked for, the last entries are empty (no selected_image), so that each promised plot has its entry.
    The nearest removed image is exact; with very many images it is searched for a seeded sample of retained ones.
    """
    if len(pool.removed):
        entries = _choose_pairs(pool, names, n_examples)
    else:
        entries = [(names[row], None, None) for row in pool.catalog_rows[pool.selected[:n_examples]].tolist()]
    entries += [(None, None, None)] * (n_examples - len(entries))
    return [
        SelectedAndRemovedImage(
            selected_image=selected, removed_image=removed, distance=distance, plot=decision_plot(i)
        )
        for i, (selected, removed, distance) in enumerate(entries)
    ]


def decision_plot(i: int) -> str:
    """Return the file of the i-th example, relative to the run's folder."""
    return f"plots/filter_decision_{i * _STEP}.png"


def _choose_pairs(pool: Candidates, names: Sequence[str], n_examples: int) -> list[Entry]:
    queries = query_rows(len(pool.selected), len(pool.removed), seed=pool.seed)
    retained = pool.selected[queries]
    nearest, distances = nearest_rows(pool.vectors[retained], pool.vectors[pool.removed])
    by_distance = np.lexsort((retained, distances))
    spread = np.linspace(0, len(by_distance) - 1, min(n_examples, len(by_distance))).round().astype(np.int64)
    return [
        (
            names[pool.catalog_rows[retained[i]]],
            names[pool.catalog_rows[pool.removed[nearest[i]]]],
            float(distances[i]),
        )
        for i in by_distance[spread].tolist()
    ]
