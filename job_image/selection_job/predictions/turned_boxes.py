"""Turned boxes: those of a task that speaks of the pictures in the files, on the pictures as they are shown."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.images.upright import AS_STORED, turn_corners
from selection_job.predictions.task_predictions import SHOWN, STORED, TaskPredictions

BLOCK = 1 << 20
"""Boxes that are computed with at a time: 100 MB."""


def turn_boxes(task: TaskPredictions, catalog: Catalog) -> TaskPredictions:
    """Return the task with boxes on the pictures as they are shown; NaN on images that were not opened.

    task  aligned with catalog.names; one that is SHOWN comes back as it is
    """
    if task.coordinates == SHOWN:
        return task
    if task.boxes_px is None:
        return replace(task, coordinates=SHOWN)
    boxes = task.boxes_px.copy()
    boxes[~_is_opened(task, catalog)] = np.nan
    for part in _on_turned_pictures(task, catalog):
        boxes[part] = _turn(boxes[part], task.owners[part], catalog)
    return replace(task, boxes_px=boxes, coordinates=SHOWN)


def note_unturned(task: TaskPredictions, catalog: Catalog) -> list[str]:
    """Return how many boxes turn_boxes takes away, as a note; none where it takes none.

    task  as it was before
    """
    if task.coordinates != STORED or task.boxes_px is None:
        return []
    n_lost = int(np.count_nonzero(~_is_opened(task, catalog) & np.isfinite(task.boxes_px[:, 0])))
    if not n_lost:
        return []
    return [
        f"The task {task.name}: its schema says that boxes are of the stored pictures ({STORED}), and {n_lost} of them "
        "are on images that this run did not open. Whether these are turned is not known, so the boxes are left out. "
        f"Write the predictions for the turned pictures, and coordinates {SHOWN}."
    ]


def _is_opened(task: TaskPredictions, catalog: Catalog) -> NDArray[np.bool_]:
    """Return (m,) whether the size, and with it the orientation, of each object's image is known."""
    is_opened: NDArray[np.bool_] = (catalog.widths_px > 0)[task.owners]
    return is_opened


def _on_turned_pictures(task: TaskPredictions, catalog: Catalog) -> Iterator[NDArray[np.int64]]:
    """Yield the places of the objects on pictures that were turned, some at a time."""
    if catalog.orientations is None:
        return
    is_turned = catalog.orientations != AS_STORED
    for start in range(0, len(task.owners), BLOCK):
        yield start + np.flatnonzero(is_turned[task.owners[start : start + BLOCK]])


def _turn(boxes: NDArray[np.float32], owners: NDArray[np.int64], catalog: Catalog) -> NDArray[np.float64]:
    assert catalog.orientations is not None
    edges = np.stack([catalog.widths_px[owners], catalog.heights_px[owners]], axis=1).astype(np.float64)
    exact = boxes.astype(np.float64)
    corners = turn_corners(
        np.concatenate([exact[:, :2], exact[:, :2] + exact[:, 2:]], axis=1), catalog.orientations[owners], edges
    )
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
