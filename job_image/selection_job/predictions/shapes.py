"""Keypoints and masks of the few images that need them: read again from their files, for a run keeps neither.

A mask takes as much memory as its image, and the strategies look at areas and confidences only.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.formats.json_reading import InvalidFile
from selection_job.predictions.json_decoding import MOST_BYTES
from selection_job.predictions.prediction_file import parse_file
from selection_job.predictions.task_schema import SCHEMA_FILE, TaskSchema
from selection_job.stores.sidecar_files import ImageRows, list_image_files, read_image_files, stem_of
from selection_job.stores.store import Store

KINDS_WITH_SHAPES = ("keypoint-detection", "instance-segmentation", "semantic-segmentation")


@dataclass(frozen=True)
class Shape:
    """What an object looks like beyond its box."""

    keypoints: tuple[tuple[float, float, float], ...] = ()
    """x, y in pixels and the confidence of each."""
    keypoint_names: tuple[str, ...] = ()
    """Of each; () where the schema names none."""
    runs: tuple[int, ...] = ()
    """A mask row by row: lengths of runs of zeros and ones in turn, zeros first."""


class ShapeFiles:
    """The files of a task, as they are listed now."""

    def __init__(self, store: Store, schema: TaskSchema, names: Sequence[str]) -> None:
        """List the task's files once. names are those of all images, to know which one a file is about."""
        self.schema = schema
        self._store, self._images = store, ImageRows(names)
        self._files = list_image_files(store, schema.folder, self._images, others={SCHEMA_FILE})
        self._size_of = dict(zip(self._files.rows, self._files.sizes_bytes, strict=True))

    def read(self, rows: Sequence[int]) -> Iterator[list[Shape]]:
        """Yield for each row the shapes of all objects in its image's file; [] where it has none that can be used."""
        first_of = [self._first_row(row) for row in rows]
        wanted = [row for row in first_of if row is not None]
        files = replace(
            self._files, rows=array("q", wanted), sizes_bytes=array("q", [self._size_of[row] for row in wanted])
        )
        contents = read_image_files(self._store, files, self._images.names, most_bytes=MOST_BYTES)
        for first in first_of:
            yield [] if first is None else self._parse(next(contents).content)

    def _first_row(self, row: int) -> int | None:
        """Return the row by which the file is listed that is about this row's image."""
        first = self._images.find(stem_of(self._images.names[row]))[0]
        return first if first in self._size_of else None

    def _parse(self, content: bytes) -> list[Shape]:
        try:
            found = parse_file(content, self.schema)
        except InvalidFile:
            return []
        return [self._shape(one) for one in found.objects]

    def _shape(self, found: Any) -> Shape:
        points = getattr(found, "keypoints", ())
        names = dict(zip(self.schema.index_of_id, self.schema.keypoint_names, strict=False)).get(found.category_id)
        return Shape(
            tuple(zip(*[iter(points)] * 3, strict=True)), names or (), tuple(getattr(found, "segmentation", ()))
        )


def fill_mask(runs: Sequence[int], width: int, height: int) -> NDArray[np.bool_] | None:
    """Return (height, width) True where the mask covers a pixel; None where it is of another size."""
    if not runs or sum(runs) != width * height:
        return None
    values = np.arange(len(runs)) % 2 == 1
    mask: NDArray[np.bool_] = np.repeat(values, runs).reshape(height, width)
    return mask


def list_runs(flat: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of runs of zeros and ones in turn, zeros first."""
    ends = np.flatnonzero(np.diff(flat, prepend=False))
    runs: list[int] = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return runs
