"""ObjectBoxes: where the objects of one task lie, from predictions, or from tiles and crops that need no model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_api.selection_config import AutoTask
from selection_api.spec import SelectionRunSpec
from selection_job.errors import UnusableData
from selection_job.predictions.task_predictions import TaskPredictions

MOST_OBJECTS = 1000
"""Objects of an image that are cut out: those with the highest scores. A file of 10 MB may name 100,000."""


@dataclass(frozen=True, eq=False)
class ObjectBoxes:
    """The boxes of every image, sorted by image; those of one image in the order of its predictions."""

    task: str
    starts: NDArray[np.int64]  # (n + 1,) the boxes of image i are starts[i] .. starts[i + 1]
    corners: NDArray[np.float32]  # (m, 4) x0, y0, x1, y1; may reach beyond the image
    is_relative: bool  # corners are shares of width and height instead of pixels
    numbers: NDArray[np.int32]  # (m,) place of the object among its image's predictions
    category_index: NDArray[np.int32]  # (m,)
    scores: NDArray[np.float32]  # (m,)
    categories: tuple[str, ...]

    def corners_of(self, row: int) -> NDArray[np.float32]:
        """Return (k, 4) the corners of one image's boxes."""
        return self.corners[self.starts[row] : self.starts[row + 1]]


def make_wanted_boxes(spec: SelectionRunSpec, n_images: int) -> list[ObjectBoxes]:
    """Return the boxes of the auto_tasks whose embeddings a strategy looks at."""
    config = spec.selection_config
    if config is None:
        return []
    named = {entry.input.task for entry in config.strategies if entry.input.type == "EMBEDDINGS"}
    return [make_auto_boxes(task, n_images) for task in config.auto_tasks if task.name in named]


def make_object_boxes(task: TaskPredictions, *, padding: float = 0.0) -> ObjectBoxes:
    """Return the boxes of a task's objects; those of more than MOST_OBJECTS on an image with the lowest scores are out.

    padding  how much a box grows: 0.1 makes it 10% wider and 10% higher, around its middle
    Raises UnusableData for a task without boxes.
    """
    if task.boxes_px is None:
        raise UnusableData(
            f"The prediction task {task.name!r} ({task.kind}) has no boxes, so there are no objects to cut out. "
            "Name a task of object detection, instance segmentation or keypoint detection."
        )
    n = len(task.has_file)
    has_box = np.isfinite(task.boxes_px).all(axis=1)
    kept = np.flatnonzero(has_box)[_best_per_owner(task.owners[has_box], task.scores[has_box])]
    x, y, width, height = task.boxes_px[kept].T.astype(np.float64)
    grow_x, grow_y = width * padding / 2, height * padding / 2
    corners = np.stack([x - grow_x, y - grow_y, x + width + grow_x, y + height + grow_y], axis=1)
    starts = np.searchsorted(task.owners[kept], np.arange(n + 1))
    return ObjectBoxes(
        task=task.name,
        starts=starts,
        corners=corners.astype(np.float32),
        is_relative=False,
        numbers=_number_within(task.owners)[kept],
        category_index=task.category_index[kept],
        scores=task.scores[kept],
        categories=tuple(category.name for category in task.categories),
    )


def make_auto_boxes(task: AutoTask, n_images: int) -> ObjectBoxes:
    """Return the same boxes on every image: a grid of tiles that covers it, or the given ones."""
    corners = _tile_corners(task) if task.type == "TILING" else _crop_corners(task)
    k = len(corners)
    return ObjectBoxes(
        task=task.name,
        starts=np.arange(n_images + 1, dtype=np.int64) * k,
        corners=np.tile(corners, (n_images, 1)),
        is_relative=True,
        numbers=np.tile(np.arange(k, dtype=np.int32), n_images),
        category_index=np.zeros(n_images * k, dtype=np.int32),
        scores=np.ones(n_images * k, dtype=np.float32),
        categories=("tile" if task.type == "TILING" else "crop",),
    )


def _best_per_owner(owners: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the sorted positions of each owner's MOST_OBJECTS highest scores; the first wins a tie."""
    by_score = np.lexsort((-scores, owners))  # stable
    return np.sort(by_score[_number_within(owners[by_score]) < MOST_OBJECTS])


def _number_within(owners: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return (m,) the place of each element among those of its owner; owners are sorted."""
    return (np.arange(len(owners)) - np.searchsorted(owners, owners)).astype(np.int32)


def _tile_corners(task: AutoTask) -> NDArray[np.float32]:
    assert task.num_rows is not None and task.num_cols is not None
    overlap = task.overlap or 0.0
    tops, left = _cut_axis(task.num_rows, overlap), _cut_axis(task.num_cols, overlap)
    return np.array([(x0, y0, x1, y1) for y0, y1 in tops for x0, x1 in left], dtype=np.float32)


def _cut_axis(n_tiles: int, overlap: float) -> list[tuple[float, float]]:
    """Return begin and end of tiles of one size that cover 0..1, each overlapping the next by this share of a tile.

    >>> _cut_axis(2, 0.5)
    [(0.0, 0.6666666666666666), (0.3333333333333333, 1.0)]
    """
    step = 1 - overlap
    size = 1 / (1 + (n_tiles - 1) * step)
    return [(i * step * size, min(1.0, i * step * size + size)) for i in range(n_tiles)]


def _crop_corners(task: AutoTask) -> NDArray[np.float32]:
    assert task.bboxs is not None
    boxes = np.array(task.bboxs, dtype=np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).astype(np.float32)
