"""What was chosen on the object level: the objects among all objects, beside a random choice of as many."""

from typing import Any

import numpy as np

from selection_job.report.measures.choice_metrics import measure_level
from selection_job.selection.object_selection import ObjectSelection

JsonObject = dict[str, Any]

_MOST_CATEGORIES = 1000


def describe_object_level(objects: ObjectSelection, *, normalize: bool, seed: int) -> JsonObject:
    """Return the report's objectLevelInformation. Distances are between objects, on the vectors that were compared.

    One copy of the candidates' vectors is made. Seconds for a million objects.
    """
    crops = objects.crops
    pool, measured = measure_level(crops.vectors, objects.selection, "object", normalize=normalize, seed=seed)
    sets = {"input": np.arange(len(pool.vectors)), "selected": pool.selected, "random": pool.random}
    counts = {
        name: np.bincount(crops.category_index[pool.catalog_rows[rows]], minlength=len(crops.categories)).tolist()
        for name, rows in sets.items()
    }
    return {
        "task": crops.task,
        "nObjects": len(crops),
        "nImagesWithObjects": len(np.unique(crops.image_rows)),
        **measured,
        "categories": [
            {"name": name, **{of_set: numbers[i] for of_set, numbers in counts.items()}}
            for i, name in enumerate(crops.categories[:_MOST_CATEGORIES])
        ],
    }
