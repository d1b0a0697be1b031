"""Examples of boxes: the first selected images on which a task found objects, with what it found."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.report.numbers import rounded, rounded_all

MOST_EXAMPLES = 10

MOST_BOXES = 30
"""Objects of an image that are listed, those with the highest scores first."""

JsonObject = dict[str, Any]


def choose_boxes(task: TaskPredictions, selected: NDArray[np.int64], catalog: Catalog) -> list[JsonObject]:
    """Return bboxExamples, in the order in which the images were chosen.

    selected  (k,) rows of the images, in order of choice

    Each is {filename, widthPx, heightPx, nPredictions, predictions}; a size is 0 where the image was not opened. bbox
    is x, y, width, height in pixels, as in the prediction files.
    """
    if task.boxes_px is None:
        return []
    has_box = np.isfinite(task.boxes_px).all(axis=1).reshape(-1)
    marked = np.zeros(len(task.has_file), dtype=bool)
    marked[task.owners[has_box]] = True
    shown = selected[marked[selected]][:MOST_EXAMPLES].tolist()
    return [_describe(task, row, catalog, has_box) for row in shown]


def _describe(task: TaskPredictions, row: int, catalog: Catalog, has_box: NDArray[np.bool_]) -> JsonObject:
    start, end = np.searchsorted(task.owners, [row, row + 1])
    places = np.arange(start, end)[has_box[start:end]]
    best = places[np.argsort(-task.scores[places], kind="stable")][:MOST_BOXES]
    return {
        "filename": catalog.names[row],
        "widthPx": int(catalog.widths_px[row]),
        "heightPx": int(catalog.heights_px[row]),
        "nPredictions": len(places),
        "predictions": [_describe_object(task, place) for place in best.tolist()],
    }


def _describe_object(task: TaskPredictions, place: int) -> JsonObject:
    assert task.boxes_px is not None
    return {
        "categoryId": task.categories[int(task.category_index[place])].id,
        "bbox": rounded_all(task.boxes_px[place].tolist()),
        "score": rounded(float(task.scores[place])),
    }
