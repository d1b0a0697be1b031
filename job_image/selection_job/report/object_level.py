"""What was chosen on the object level: the objects among all objects, beside a random choice of as many."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.histograms import neighbour_distances
from selection_job.report.coverage import describe_curve
from selection_job.report.numbers import rounded
from selection_job.report.pool import make_pool
from selection_job.report.strategy_effects import describe_strategies
from selection_job.selection.object_selection import ObjectSelection

JsonObject = dict[str, Any]

_MOST_CATEGORIES = 1000


def describe_object_level(objects: ObjectSelection, *, normalize: bool, seed: int) -> JsonObject:
    """Return the report's objectLevelInformation. Distances are between objects, on the vectors that were compared.

    One copy of the candidates' vectors is made. Seconds for a million objects.
    """
    crops, selection = objects.crops, objects.selection
    pool = make_pool(crops.vectors, selection, normalize=normalize, seed=seed)
    sets = {"input": np.arange(len(pool.vectors)), "selected": pool.selected, "random": pool.random}
    nearest: JsonObject = {
        name: {"metrics": {"mean": _mean_to_nearest(pool.vectors[rows], seed)}} for name, rows in sets.items()
    }
    strategies = describe_strategies(selection, pool, nearest)
    counts = {
        name: np.bincount(crops.category_index[pool.catalog_rows[rows]], minlength=len(crops.categories)).tolist()
        for name, rows in sets.items()
    }
    return {
        "task": crops.task,
        "nObjects": len(crops),
        "nCandidates": len(selection.candidates),
        "nFiltered": selection.n_filtered,
        "nSelected": len(selection.selected),
        "nImagesWithObjects": len(np.unique(crops.owners)),
        "method": selection.method,
        "stoppedBy": selection.stopped_by,
        "coverRadius": rounded(float(pool.distance_to_selected.max())),
        "coverMean": rounded(float(pool.distance_to_selected.mean(dtype=np.float64))),
        "coverRadiusByPick": describe_curve(selection),
        "categories": [
            {"name": name, **{of_set: numbers[i] for of_set, numbers in counts.items()}}
            for i, name in enumerate(crops.categories[:_MOST_CATEGORIES])
        ],
        "strategies": [{**entry, "measure": entry["measure"].replace("image", "object")} for entry in strategies],
    }


def _mean_to_nearest(vectors: NDArray[np.float32], seed: int) -> float | None:
    values = neighbour_distances(vectors, seed=seed).values
    return rounded(float(values.mean())) if len(values) else None
