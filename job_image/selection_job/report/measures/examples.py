"""Examples of decisions: retained images, each beside the removed image that lies nearest to it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from selection_job.numeric.histograms import query_rows
from selection_job.numeric.neighbours import nearest_rows
from selection_job.report.measures.candidates import Candidates
from selection_job.report.numbers import rounded

JsonObject = dict[str, Any]

_STEP = 11  # filter_decision_0, _11, _22, …: the worker's file names


def choose_examples(pool: Candidates, names: Sequence[str], n_examples: int) -> list[JsonObject]:
    """Return one entry for each filter_decision plot, from the nearest pair to the farthest, evenly spread.

    names  of the catalog's rows

    Where nothing was removed the retained images stand alone (removedImage null); where fewer images were retained than
    examples asked for, the last entries are empty (selectedImage null), so that each promised plot has its entry.
    The nearest removed image is exact; with very many images it is searched for a seeded sample of retained ones.
    """
    entries = _choose_pairs(pool, names, n_examples) if len(pool.removed) else _choose_alone(pool, names, n_examples)
    entries += [_entry(None, None, None)] * (n_examples - len(entries))
    return [{**entry, "plot": decision_plot(i)} for i, entry in enumerate(entries)]


def decision_plot(i: int) -> str:
    """Return the file of the i-th example, relative to the run's folder."""
    return f"plots/filter_decision_{i * _STEP}.png"


def _choose_pairs(pool: Candidates, names: Sequence[str], n_examples: int) -> list[JsonObject]:
    queries = query_rows(len(pool.selected), len(pool.removed), seed=pool.seed)
    retained = pool.selected[queries]
    nearest, distances = nearest_rows(pool.vectors[retained], pool.vectors[pool.removed])
    by_distance = np.lexsort((retained, distances))
    spread = np.linspace(0, len(by_distance) - 1, min(n_examples, len(by_distance))).round().astype(np.int64)
    return [
        _entry(
            names[pool.catalog_rows[retained[i]]],
            names[pool.catalog_rows[pool.removed[nearest[i]]]],
            rounded(float(distances[i])),
        )
        for i in by_distance[spread].tolist()
    ]


def _choose_alone(pool: Candidates, names: Sequence[str], n_examples: int) -> list[JsonObject]:
    rows = pool.catalog_rows[pool.selected[:n_examples]].tolist()
    return [_entry(names[row], None, None) for row in rows]


def _entry(selected: str | None, removed: str | None, distance: float | None) -> JsonObject:
    return {"selectedImage": selected, "removedImage": removed, "distance": distance}
