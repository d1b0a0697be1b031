"""Image sizes: predictions that do not fit the images they are about, which shows once the images were read."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.image_names import quote_some
from selection_job.predictions.problems import PROBLEMS_FILE, append_problem_line, problem_line
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.predictions.task_schema import task_folder
from selection_job.stores.sidecar_files import stem_of


def note_misfits(task: TaskPredictions, catalog: Catalog, *, scratch: Path) -> list[str]:
    """Return how many images have predictions that do not fit, as a note; none where all fit.

    scratch  where the lines of data/prediction_problems.csv wait, which says which ones
    """
    n_odd, first = 0, ""
    for row, reason in find_misfits(task, catalog):
        key = f"{task_folder(task.name)}{stem_of(catalog.names[row])}.json"
        append_problem_line(scratch, problem_line(task.name, key, f"counts as it is: {reason}"))
        n_odd, first = n_odd + 1, first or f"{quote_some([key])}: {reason}"
    if not n_odd:
        return []
    return [
        f"The task {task.name}: the predictions of {n_odd} images do not fit the images, and count as they are; "
        f"data/{PROBLEMS_FILE} says why. The first: {first}"
    ]


def find_misfits(task: TaskPredictions, catalog: Catalog) -> Iterator[tuple[int, str]]:
    """Yield row and reason of images of which a box lies wholly outside, or whose masks are of another size.

    task  aligned with catalog.names

    By row. Images whose size is not known are passed over.
    """
    widths, heights = catalog.widths_px.astype(np.int64), catalog.heights_px.astype(np.int64)
    outside = _find_outside(task, widths, heights)
    is_odd = np.zeros(len(widths), dtype=np.bool_)
    is_odd[list(outside)] = True
    if task.mask_pixels is not None:
        is_odd |= (task.mask_pixels > 0) & (widths > 0) & (task.mask_pixels != widths * heights)
    for row in np.flatnonzero(is_odd).tolist():
        size = f"the image has {widths[row]} x {heights[row]} pixels"
        if row in outside:
            yield row, f"predictions[{outside[row]}].bbox: lies outside of the image; {size}"
        elif task.mask_pixels is not None:
            yield row, f"segmentation: the runs of a mask add up to {task.mask_pixels[row]} pixels; {size}"


def _find_outside(task: TaskPredictions, widths: NDArray[np.int64], heights: NDArray[np.int64]) -> dict[int, int]:
    """Return, for each image that has any, the first of its boxes that lies outside, counted from 0."""
    if task.boxes_px is None:
        return {}
    owners, x, y = task.owners, task.boxes_px[:, 0], task.boxes_px[:, 1]
    odd = np.flatnonzero(((x >= widths[owners]) | (y >= heights[owners])) & (widths[owners] > 0))
    rows, first = np.unique(owners[odd], return_index=True)
    begins = np.searchsorted(owners, rows)
    return dict(zip(rows.tolist(), (odd[first] - begins).tolist(), strict=True))
