"""Box forms: boxes that are probably no x, y, width and height in pixels, told by where they would lie."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.images.upright import is_on_its_side
from selection_job.predictions.task_predictions import SHOWN, STORED, TaskPredictions
from selection_job.predictions.task_schema import SCHEMA_FILE, task_folder
from selection_job.predictions.turned_boxes import BLOCK

_SLACK = 0.02  # of an edge, and a pixel at least: detectors' boxes stick out a little
_FEWEST = 3  # boxes beyond their pictures from which something is concluded
_NEARLY_ALL = 0.99
_SOME = 0.05
_SMALLEST_PX = 3  # on smaller pictures a box of a pixel is no wonder


@dataclass
class _Counts:
    """How many boxes of a task, of those that have an area, lie how."""

    n: int = 0
    within_a_pixel: int = 0
    on_known: int = 0
    """On pictures whose size is known; the following are among these."""
    beyond: int = 0
    fit_as_corners: int = 0
    on_side: int = 0
    """On pictures that lie on their side in the file."""
    on_side_beyond: int = 0
    on_side_fit_other: int = 0
    """On that of the two pictures, shown and stored, which the task does not speak of."""


def note_form(task: TaskPredictions, catalog: Catalog) -> list[str]:
    """Return a guess at what was written in place of x, y, width and height in pixels; none where nothing is odd.

    task  aligned with catalog.names, as its files and its schema say: neither turned nor clipped
    """
    if task.boxes_px is None:
        return []
    counts = _count(task, catalog)
    guess = (
        _guess_fractions(counts)
        or _guess_corners(counts)
        or _guess_other_picture(counts, task)
        or _guess_other_size(counts)
    )
    return [f"The task {task.name}: {guess}"] if guess else []


def _guess_fractions(counts: _Counts) -> str:
    if not counts.n or counts.within_a_pixel < counts.n:
        return ""
    return (
        f"all of its boxes ({counts.n:,}) lie within one pixel. They are probably fractions of the picture, where "
        "pixels are expected: multiply x and width by the picture's width, y and height by its height. YOLO's x and y "
        "are the middle of the box besides; subtract half of its width and height."
    )


def _guess_corners(counts: _Counts) -> str:
    if not _are_most_beyond(counts) or counts.fit_as_corners < _NEARLY_ALL * counts.on_known:
        return ""
    return (
        f"{_of_beyond(counts)}, and nearly all would lie on them if the third and fourth number were the right and the "
        "lower edge. They are probably corners (x0, y0, x1, y1), where x, y, width, height are expected: write x1 - x0 "
        "and y1 - y0 in place of x1 and y1."
    )


def _guess_other_picture(counts: _Counts, task: TaskPredictions) -> str:
    others_beyond = counts.beyond - counts.on_side_beyond
    is_told = counts.on_side_beyond >= max(_FEWEST, _SOME * counts.on_side)
    is_explained = counts.on_side_fit_other >= _NEARLY_ALL * counts.on_side
    if not (is_told and is_explained) or others_beyond > _SOME * (counts.on_known - counts.on_side):
        return ""
    named = {SHOWN: "the picture as it is shown", STORED: "the picture as it is stored"}
    other = STORED if task.coordinates == SHOWN else SHOWN
    return (
        f"of {counts.on_side:,} boxes on pictures that lie on their side in the file, {counts.on_side_beyond:,} reach "
        f"beyond {named[task.coordinates]}, and nearly all lie on {named[other]}. They were probably made on the "
        f'latter: say "coordinates": "{other}" in {task_folder(task.name)}{SCHEMA_FILE}.'
    )


def _guess_other_size(counts: _Counts) -> str:
    if not _are_most_beyond(counts):
        return ""
    return (
        f"{_of_beyond(counts)}. They were probably made on pictures of another size than those of the input, or are no "
        "x, y, width, height in pixels."
    )


def _are_most_beyond(counts: _Counts) -> bool:
    return counts.beyond >= _FEWEST and 2 * counts.beyond > counts.on_known


def _of_beyond(counts: _Counts) -> str:
    return f"{counts.beyond:,} of {counts.on_known:,} boxes reach beyond their pictures"


def _count(task: TaskPredictions, catalog: Catalog) -> _Counts:
    assert task.boxes_px is not None
    counts = _Counts()
    for start in range(0, len(task.boxes_px), BLOCK):
        boxes = task.boxes_px[start : start + BLOCK].astype(np.float64)
        owners = task.owners[start : start + BLOCK]
        counted = (boxes[:, 2:] > 0).all(axis=1)  # NaN is not
        _count_block(counts, boxes[counted], owners[counted], catalog, task.coordinates)
    return counts


def _count_block(
    counts: _Counts, boxes: NDArray[np.float64], owners: NDArray[np.int64], catalog: Catalog, coordinates: str
) -> None:
    """Add what the boxes, which have an area, say."""
    shown = np.stack([catalog.widths_px[owners], catalog.heights_px[owners]], axis=1).astype(np.float64)
    on_side = np.zeros(len(boxes), dtype=np.bool_)
    if catalog.orientations is not None:
        on_side = is_on_its_side(catalog.orientations)[owners]
    stored = np.where(on_side[:, None], shown[:, ::-1], shown)
    edges, others = (shown, stored) if coordinates == SHOWN else (stored, shown)
    known, large = (shown > 0).all(axis=1), (shown >= _SMALLEST_PX).all(axis=1)
    ends = boxes[:, :2] + boxes[:, 2:]
    beyond = known & ~_lies_within(ends, edges)
    corners = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & _lies_within(boxes[:, 2:], edges)
    found = {
        "n": large | ~known,
        "within_a_pixel": (large | ~known) & (boxes <= 1).all(axis=1),
        "on_known": known,
        "beyond": beyond,
        "fit_as_corners": known & corners,
        "on_side": known & on_side,
        "on_side_beyond": beyond & on_side,
        "on_side_fit_other": known & on_side & _lies_within(ends, others),
    }
    for name, is_so in found.items():
        setattr(counts, name, getattr(counts, name) + int(np.count_nonzero(is_so)))


def _lies_within(points: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points lie on pictures of these edges, or little beyond."""
    is_within: NDArray[np.bool_] = np.all(points <= edges + np.maximum(1.0, _SLACK * edges), axis=1)
    return is_within
