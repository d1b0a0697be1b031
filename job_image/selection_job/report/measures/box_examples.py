"""Examples of boxes: the first selected images on which a task found objects, with what it found."""

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.report.models.statistics import MOST_BOXES, MOST_EXAMPLES, BoxExample, DetectedObject


def choose_boxes(task: TaskPredictions, selected: NDArray[np.int64], catalog: Catalog) -> list[BoxExample]:
    """Return bboxExamples, in the order in which the images were chosen.

    selected  (k,) rows of the images, in order of choice

    bbox is x, y, width, height in pixels, as in the prediction files.
    """
    if task.boxes_px is None:
        return []
    has_box = np.isfinite(task.boxes_px).all(axis=1).reshape(-1)
    marked = np.zeros(len(task.has_file), dtype=bool)
    marked[task.owners[has_box]] = True
    shown = selected[marked[selected]][:MOST_EXAMPLES].tolist()
    return [_describe(task, row, catalog, has_box) for row in shown]


def _describe(task: TaskPredictions, row: int, catalog: Catalog, has_box: NDArray[np.bool_]) -> BoxExample:
    start, end = np.searchsorted(task.owners, [row, row + 1])
    places = np.arange(start, end)[has_box[start:end]]
    best = places[np.argsort(-task.scores[places], kind="stable")][:MOST_BOXES]
    return BoxExample(
        filename=catalog.names[row],
        width_px=int(catalog.widths_px[row]),
        height_px=int(catalog.heights_px[row]),
        n_predictions=len(places),
        predictions=[_describe_object(task, place) for place in best.tolist()],
    )


def _describe_object(task: TaskPredictions, place: int) -> DetectedObject:
    assert task.boxes_px is not None
    return DetectedObject(
        category_id=task.categories[int(task.category_index[place])].id,
        bbox=task.boxes_px[place].tolist(),
        score=float(task.scores[place]),
    )
