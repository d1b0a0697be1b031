"""Image sizes: predictions that do not fit the images they are about, which shows once the images were read."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.image_names import quote_some
from selection_job.manifest.noun import IMAGE
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
        f"The task {task.name}: the predictions of {IMAGE.count(n_odd)} do not fit the picture, and count in scores as "
        f"they are; data/{PROBLEMS_FILE} says why. The first: {first}"
    ]


def find_misfits(task: TaskPredictions, catalog: Catalog) -> Iterator[tuple[int, str]]:
    """Yield row and reason of images of which a box has no area or lies outside, or whose masks are of another size.

    task  aligned with catalog.names; boxes on the pictures as they are shown, not clipped

    By row. Where the size of an image is not known, only boxes without an area are odd.
    """
    widths, heights = catalog.widths_px.astype(np.int64), catalog.heights_px.astype(np.int64)
    odd = _find_odd_boxes(task, widths, heights)
    is_odd = np.zeros(len(widths), dtype=np.bool_)
    is_odd[list(odd)] = True
    if task.mask_pixels is not None:
        is_odd |= (task.mask_pixels > 0) & (widths > 0) & (task.mask_pixels != widths * heights)
    for row in np.flatnonzero(is_odd).tolist():
        size = f"the image has {widths[row]} x {heights[row]} pixels"
        if row in odd:
            number, width, height = odd[row]
            if min(width, height) > 0:
                yield row, f"predictions[{number}].bbox: lies outside of the image; {size}"
            else:
                yield row, f"predictions[{number}]: its box has no area, {width:g} x {height:g} pixels"
        elif task.mask_pixels is not None:
            yield row, f"segmentation: the runs of a mask add up to {task.mask_pixels[row]} pixels; {size}"


def _find_odd_boxes(
    task: TaskPredictions, widths: NDArray[np.int64], heights: NDArray[np.int64]
) -> dict[int, tuple[int, float, float]]:
    """Return, for each image that has any, the first box of which nothing is seen: its place from 0, and its size."""
    if task.boxes_px is None:
        return {}
    owners, (x, y, width, height) = task.owners, task.boxes_px.T
    is_outside = ((x >= widths[owners]) | (y >= heights[owners])) & (widths[owners] > 0)
    odd = np.flatnonzero(is_outside | (x + width <= 0) | (y + height <= 0) | (width <= 0) | (height <= 0))
    rows, first = np.unique(owners[odd], return_index=True)
    numbers = odd[first] - np.searchsorted(owners, rows)
    sizes = task.boxes_px[odd[first], 2:].tolist()
    return {row: (number, *size) for row, number, size in zip(rows.tolist(), numbers.tolist(), sizes, strict=True)}
