"""Columns: what the files of a task say, gathered object by object, and kept as arrays."""

from array import array
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.errors import UnusableData
from selection_job.formats.column_file import ColumnFile, ColumnType, DamagedFile, open_column_file, write_column_file
from selection_job.predictions.prediction_file import ImageObjects
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.predictions.task_schema import TaskSchema

MOST_OBJECTS = 50_000_000
"""Of a task: 2 GB."""
MOST_PROBABILITIES = 1_000_000_000
"""Of a task: 4 GB."""

_FILE = "predictions.npz"
_WITH_BOX = ("object-detection", "instance-segmentation", "keypoint-detection")
_WITH_MASK = ("semantic-segmentation", "instance-segmentation")
_NO_BOX = (np.nan,) * 4

_OF_IMAGES = {"has_file": ColumnType(np.bool_), "mask_pixels": ColumnType(np.int64)}
_OWNERS = ColumnType(np.int64)
_OF_OBJECTS = {
    "owners": _OWNERS,
    "category_index": ColumnType(np.int32),
    "scores": ColumnType(np.float32),
    "probabilities": ColumnType(np.float32, (None,)),  # (m, c)
    "boxes_px": ColumnType(np.float32, (4,)),
    "areas_px": ColumnType(np.float64),
    "keypoint_confidences": ColumnType(np.float32),
}


class ColumnsBuilder:
    """Takes in one image after the other, in any order; memory is 20 to 50 bytes an object and 4 a probability."""

    def __init__(self, schema: TaskSchema, n: int) -> None:
        self._schema = schema
        self._has_file = np.zeros(n, dtype=np.bool_)
        self._mask_pixels = np.zeros(n, dtype=np.int64)
        self._owners, self._category_index, self._scores = array("q"), array("i"), array("f")
        self._given, self._probabilities = array("b"), array("f")
        self._boxes, self._areas, self._confidences = array("f"), array("d"), array("f")

    def add(self, row: int, image: ImageObjects) -> None:
        """Take in what a file says about the image of this row.

        Raises UnusableData where the task has more than MOST_OBJECTS objects or MOST_PROBABILITIES probabilities.
        """
        self._has_file[row] = True
        self._mask_pixels[row] = image.mask_pixels or 0
        index_of_id, kind = self._schema.index_of_id, self._schema.kind
        for found in image.objects:
            place = index_of_id[found.category_id]
            self._owners.append(row)
            self._category_index.append(place)
            self._scores.append(_score(found, place))
            self._given.append(found.probabilities is not None)
            if found.probabilities is not None:
                self._probabilities.extend(found.probabilities)
            if kind in _WITH_MASK:
                self._areas.append(sum(found.segmentation[1::2]))
            if kind in _WITH_BOX:
                self._boxes.extend(_box(found))
            if kind == "keypoint-detection":
                confidences = found.keypoints[2::3]
                self._confidences.append(sum(confidences) / len(confidences))
        if len(self._owners) > MOST_OBJECTS or len(self._probabilities) > MOST_PROBABILITIES:
            raise UnusableData(_explain_many(self._schema.task, len(self._owners), len(self._probabilities)))

    def build(self) -> TaskPredictions:
        """Return the columns, sorted by image; objects of an image stay in the order of its file."""
        owners = np.frombuffer(self._owners, dtype=np.int64)
        order = np.argsort(owners, kind="stable")
        kind = self._schema.kind
        return TaskPredictions(
            name=self._schema.task,
            kind=kind,
            categories=self._schema.categories,
            has_file=self._has_file,
            owners=owners[order],
            category_index=np.frombuffer(self._category_index, dtype=np.int32)[order],
            scores=_floats(self._scores)[order],
            probabilities=self._build_probabilities(order),
            boxes_px=_floats(self._boxes).reshape(-1, 4)[order] if kind in _WITH_BOX else None,
            areas_px=np.frombuffer(self._areas, dtype=np.float64)[order] if kind in _WITH_MASK else None,
            keypoint_confidences=_floats(self._confidences)[order] if kind == "keypoint-detection" else None,
            mask_pixels=self._mask_pixels if kind in _WITH_MASK else None,
            coordinates=self._schema.coordinates,
        )

    def _build_probabilities(self, order: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return (m, c), rows of NaN for objects without; None where no object has any."""
        c = len(self._schema.categories)
        given, values = np.frombuffer(self._given, dtype=np.bool_), _floats(self._probabilities).reshape(-1, c)
        if not len(values):
            return None
        row_of = np.cumsum(given) - 1
        probabilities: NDArray[np.float32] = values[row_of[order]]
        probabilities[~given[order]] = np.nan
        return probabilities


def _explain_many(task: str, n_objects: int, n_probabilities: int) -> str:
    return (
        f"The task {task} has more than {n_objects - 1:,} objects with {n_probabilities:,} probabilities; a run takes "
        f"{MOST_OBJECTS:,} objects and {MOST_PROBABILITIES:,} probabilities. Leave out objects of low scores, or the "
        "probabilities."
    )


def _score(found: Any, place: int) -> float:
    """Return the score; without one the category's probability, of a mere label 1."""
    if found.score is not None:
        return float(found.score)
    return 1.0 if found.probabilities is None else float(found.probabilities[place])


def _box(found: Any) -> tuple[float, ...]:
    """Return x, y, width, height as given; of a pose without a box that of its seen keypoints, if it has an area."""
    if found.bbox is not None:
        return tuple(found.bbox)
    seen = [(x, y) for x, y, confidence in zip(*[iter(found.keypoints)] * 3, strict=True) if confidence > 0]
    if not seen:
        return _NO_BOX
    (x0, y0), (x1, y1) = map(min, zip(*seen, strict=True)), map(max, zip(*seen, strict=True))
    return (x0, y0, x1 - x0, y1 - y0) if x1 > x0 and y1 > y0 else _NO_BOX


def _floats(values: "array[float]") -> NDArray[np.float32]:
    return np.frombuffer(values, dtype=np.float32)


def save_task_columns(task: TaskPredictions, folder: Path) -> None:
    """Write the arrays into the folder."""
    columns = {name: value for name, value in vars(task).items() if isinstance(value, np.ndarray)}
    write_column_file(folder / _FILE, columns)


def load_task_columns(schema: TaskSchema, n: int, folder: Path) -> TaskPredictions:
    """Read what save_task_columns wrote. Raises ValueError where it is something else: a bucket is hostile."""
    try:
        with open_column_file(folder / _FILE) as file:
            columns: dict[str, Any] = dict(_read(file, schema, n))
    except DamagedFile as error:
        raise ValueError(f"{_FILE} is damaged: {error}") from error
    owners, index = columns["owners"], columns["category_index"]
    if len(owners) and not ((np.diff(owners) >= 0).all() and owners[0] >= 0 and owners[-1] < n):
        raise ValueError("it names images that do not exist")
    if len(owners) and not 0 <= index.min() <= index.max() < len(schema.categories):
        raise ValueError("it names categories that do not exist")
    return TaskPredictions(
        name=schema.task, kind=schema.kind, categories=schema.categories, coordinates=schema.coordinates, **columns
    )


def _read(file: ColumnFile, schema: TaskSchema, n: int) -> dict[str, NDArray[Any]]:
    """Return all columns; no other may be there, and none that the kind of task needs may be missing."""
    with_box, with_mask = schema.kind in _WITH_BOX, schema.kind in _WITH_MASK
    is_needed = {
        "has_file": True, "owners": True, "category_index": True, "scores": True, "probabilities": False,
        "boxes_px": with_box, "areas_px": with_mask, "mask_pixels": with_mask,
        "keypoint_confidences": schema.kind == "keypoint-detection",
    }  # fmt: skip
    if missing := [name for name, needed in is_needed.items() if needed and name not in file.names]:
        raise ValueError(f"{missing[0]} is missing")
    if others := [name for name in file.names if name not in is_needed]:
        raise DamagedFile(f"{others[0]!r} is no column of a task")
    m = len(file.take("owners", _OWNERS))
    fits = f"{n} images and {m} objects"
    wanted = _OF_OBJECTS | {"probabilities": ColumnType(np.float32, (len(schema.categories),))}
    of_images = {name: column for name, column in _OF_IMAGES.items() if name in file.names}
    of_objects = {name: column for name, column in wanted.items() if name in file.names}
    return file.take_all(of_images, n, fits=fits) | file.take_all(of_objects, m, fits=fits)
