"""ObjectBoxes: where the objects of one task lie, from predictions, or from tiles and crops that need no model."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_api.selection_config import AutoTask
from selection_api.spec import SelectionRunSpec
from selection_job.errors import UnusableData
from selection_job.predictions.task_predictions import STORED, TaskPredictions

MOST_OBJECTS = 1000
"""Objects of an image that are cut out: those with the highest scores. A file of 10 MB may name 100,000."""

_MOST_PADDING = 1e6  # beyond it every box covers its image


@dataclass(frozen=True, eq=False)
class ObjectBoxes:
    """The boxes of every image, sorted by image; those of one image in the order of its predictions."""

    task: str
    starts: NDArray[np.int64]  # (n + 1,) the boxes of image i are starts[i] .. starts[i + 1]
    corners: NDArray[np.float32]  # (m, 4) x0, y0, x1, y1; may reach beyond the image
    is_relative: bool  # corners are shares of width and height instead of pixels
    is_stored: bool  # corners are of the stored picture instead of the turned one
    padding: float  # how much a box grows: 0.1 makes it 10% wider and 10% higher, around its middle
    numbers: NDArray[np.int32]  # (m,) place of the object among its image's predictions
    category_index: NDArray[np.int32]  # (m,)
    scores: NDArray[np.float32]  # (m,)
    categories: tuple[str, ...]

    def corners_of(self, row: int) -> NDArray[np.float32]:
        """Return (k, 4) the corners of one image's boxes."""
        return self.corners[self.starts[row] : self.starts[row + 1]]


def make_wanted_boxes(spec: SelectionRunSpec, n_images: int, tasks: Mapping[str, TaskPredictions]) -> list[ObjectBoxes]:
    """Return the boxes of each task whose embeddings are looked at: on the object level of that task alone.

    tasks  predictions, aligned with the n images; a name that auto_tasks have too means theirs
    Raises UnusableData for a task without boxes.
    """
    config, own = spec.selection_config, spec.worker_config.object_level
    auto = {task.name: task for task in config.auto_tasks} if config else {}
    made = []
    for name, path in sorted(_name_wanted(spec).items()):
        padding = own.padding if name == own.task_name else 0.0
        if name in auto:
            made.append(make_auto_boxes(auto[name], n_images, padding=padding))
            continue
        try:
            made.append(make_object_boxes(tasks[name], padding=padding))
        except UnusableData as error:
            raise UnusableData(f"{path}: {error}") from error
    return made


def _name_wanted(spec: SelectionRunSpec) -> dict[str, str]:
    """Return each task whose objects are cut out, with the path of the field that first names it."""
    own = spec.worker_config.object_level.task_name
    if own:
        return {own: "spec.workerConfig.object_level.task_name"}
    paths: dict[str, str] = {}
    for i, entry in enumerate(spec.selection_config.strategies if spec.selection_config else ()):
        if entry.input.type == "EMBEDDINGS" and entry.input.task:
            paths.setdefault(entry.input.task, f"spec.selectionConfig.strategies[{i}].input.task")
    return paths


def make_object_boxes(task: TaskPredictions, *, padding: float = 0.0) -> ObjectBoxes:
    """Return the boxes of a task's objects; those of more than MOST_OBJECTS on an image with the lowest scores are out.

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
    boxes = task.boxes_px[kept].astype(np.float64)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    starts = np.searchsorted(task.owners[kept], np.arange(n + 1))
    return ObjectBoxes(
        task=task.name,
        starts=starts,
        corners=corners.astype(np.float32),
        is_relative=False,
        is_stored=task.coordinates == STORED,
        padding=min(padding, _MOST_PADDING),
        numbers=_number_within(task.owners)[kept],
        category_index=task.category_index[kept],
        scores=task.scores[kept],
        categories=tuple(category.name for category in task.categories),
    )


def make_auto_boxes(task: AutoTask, n_images: int, *, padding: float = 0.0) -> ObjectBoxes:
    """Return the same boxes on every image: a grid of tiles that covers it, or the given ones."""
    corners = _tile_corners(task) if task.type == "TILING" else _crop_corners(task)
    k = len(corners)
    return ObjectBoxes(
        task=task.name,
        starts=np.arange(n_images + 1, dtype=np.int64) * k,
        corners=np.tile(corners, (n_images, 1)),
        is_relative=True,
        is_stored=False,
        padding=min(padding, _MOST_PADDING),
        numbers=np.tile(np.arange(k, dtype=np.int32), n_images),
        category_index=np.broadcast_to(np.int32(0), n_images * k),
        scores=np.broadcast_to(np.float32(1), n_images * k),
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
