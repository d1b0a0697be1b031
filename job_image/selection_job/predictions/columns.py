"""Columns: what the files of a task say, gathered object by object, and kept as arrays."""

import zipfile
import zlib
from array import array
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.errors import UnusableData
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
    """Return the score; of a classification without one its category's probability, of a mere label 1."""
    if found.score is not None:
        return float(found.score)
    return 1.0 if found.probabilities is None else float(found.probabilities[place])


def _box(found: Any) -> tuple[float, ...]:
    """Return x, y, width, height, cut off at 0; of a pose without a box that of its keypoints that were seen."""
    if found.bbox is None:
        seen = [(x, y) for x, y, confidence in zip(*[iter(found.keypoints)] * 3, strict=True) if confidence > 0]
        if not seen:
            return _NO_BOX
        (x0, y0), (x1, y1) = map(min, zip(*seen, strict=True)), map(max, zip(*seen, strict=True))
    else:
        x0, y0, width, height = found.bbox
        x1, y1 = x0 + width, y0 + height
    x0, y0 = max(x0, 0.0), max(y0, 0.0)
    return x0, y0, max(x1 - x0, 0.0), max(y1 - y0, 0.0)


def _floats(values: "array[float]") -> NDArray[np.float32]:
    return np.frombuffer(values, dtype=np.float32)


def save_columns(task: TaskPredictions, folder: Path) -> None:
    """Write the arrays into the folder."""
    columns: dict[str, Any] = {name: value for name, value in vars(task).items() if isinstance(value, np.ndarray)}
    np.savez(folder / _FILE, **columns)


def load_columns(schema: TaskSchema, n: int, folder: Path) -> TaskPredictions:
    """Read what save_columns wrote. Raises ValueError where it is something else: a bucket is hostile."""
    try:
        with (
            (folder / _FILE).open("rb") as file,
            zipfile.ZipFile(file),
            np.load(file, allow_pickle=False) as archive,
        ):
            columns: dict[str, Any] = {name: archive[name] for name in archive.files}
        task = TaskPredictions(name=schema.task, kind=schema.kind, categories=schema.categories, **columns)
    except (TypeError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{_FILE} is damaged: {error}") from error
    _check(task, n)
    return task


def _check(task: TaskPredictions, n: int) -> None:
    m, c = len(task.owners), len(task.categories)
    expected: dict[str, tuple[Any, tuple[int, ...]]] = {
        "has_file": (np.bool_, (n,)),
        "mask_pixels": (np.int64, (n,)),
        "owners": (np.int64, (m,)),
        "category_index": (np.int32, (m,)),
        "scores": (np.float32, (m,)),
        "probabilities": (np.float32, (m, c)),
        "boxes_px": (np.float32, (m, 4)),
        "areas_px": (np.float64, (m,)),
        "keypoint_confidences": (np.float32, (m,)),
    }
    needed = {"has_file", "owners", "category_index", "scores"}
    needed |= {"boxes_px"} if task.kind in _WITH_BOX else set()
    needed |= {"areas_px", "mask_pixels"} if task.kind in _WITH_MASK else set()
    needed |= {"keypoint_confidences"} if task.kind == "keypoint-detection" else set()
    for name, (dtype, shape) in expected.items():
        values = getattr(task, name)
        if values is None and name in needed:
            raise ValueError(f"{name} is missing")
        if values is not None and (values.dtype != dtype or values.shape != shape):
            raise ValueError(f"{name} does not fit {n} images and {m} objects")
    is_sorted = bool((np.diff(task.owners) >= 0).all())
    if m and not (is_sorted and task.owners[0] >= 0 and task.owners[-1] < n):
        raise ValueError("it names images that do not exist")
    if m and not 0 <= task.category_index.min() <= task.category_index.max() < c:
        raise ValueError("it names categories that do not exist")
