"""ChosenImages: the selected images with all that is known of each, for the exports."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.formats.distinct_names import keep_apart
from selection_job.images.upright import AS_STORED
from selection_job.manifest.medium import Medium
from selection_job.predictions.shapes import Shape, ShapeFiles
from selection_job.predictions.task_predictions import STORED, TaskPredictions
from selection_job.predictions.turned_shapes import turn_shape
from selection_job.results.exports.media_place import MediaPlace
from selection_job.selection.selection import Selection

_DISTANCE, _FRAME_VALUES = "taken_at_distance", ("video", "frame_index", "timestamp_sec")


@dataclass(frozen=True)
class FoundObject:
    """A prediction on an image."""

    category: str
    score: float
    box_px: tuple[float, float, float, float] | None  # x, y, width, height


@dataclass(frozen=True)
class ChosenImage:
    """One selected image. Sizes are 0 where no image was opened."""

    rank: int  # from 1
    name: str
    file_name: str  # of the file that holds it: the name, or of a frame its copy's
    width_px: int
    height_px: int
    values: dict[str, Any]
    """taken_at_distance, scores, metadata; of frames video, frame_index and timestamp_sec; without what is unknown."""
    objects: dict[str, list[FoundObject]]
    """By prediction task."""


@dataclass(frozen=True, eq=False)
class ChosenImages:
    """The selection beside what the run knows."""

    catalog: Catalog
    selection: Selection
    place: MediaPlace
    file_names: Sequence[str]
    """(k,) of the selected images, in the order of choice."""
    columns: Mapping[str, Sequence[Any] | NDArray[Any]]
    """By name, which is none of an image's own: (n,) scores and metadata; NaN and '' where unknown."""
    tasks: Mapping[str, TaskPredictions]
    shapes: Mapping[str, ShapeFiles] = field(default_factory=dict)
    """By prediction task, where its objects are more than boxes."""

    @property
    def value_names(self) -> list[str]:
        """The names that ChosenImage.values may have, an image's own before scores and metadata."""
        return [*_list_own_values(self.catalog.medium), *self.columns]

    def __len__(self) -> int:
        return len(self.selection.selected)

    def __iter__(self) -> Iterator[ChosenImage]:
        widths, heights = self.catalog.widths_px, self.catalog.heights_px
        for i, row in enumerate(self.selection.selected.tolist()):
            objects = {name: list(list_objects(task, row)) for name, task in self.tasks.items()}
            yield ChosenImage(
                i + 1,
                self.catalog.names[row],
                self.file_names[i],
                int(widths[row]),
                int(heights[row]),
                self._values(i, row),
                {name: found for name, found in objects.items() if found},
            )

    def with_shapes(self) -> Iterator[tuple[ChosenImage, dict[str, list[Shape]]]]:
        """Yield each image with the shapes of its objects, by task; a task is left out where they are not known."""
        readers = {name: self._read_shapes(files) for name, files in self.shapes.items()}
        for image in self:
            found = {name: next(shapes) for name, shapes in readers.items()}
            counts = {name: len(objects) for name, objects in image.objects.items()}
            yield image, {name: shapes for name, shapes in found.items() if len(shapes) == counts.get(name)}

    def _read_shapes(self, files: ShapeFiles) -> Iterator[list[Shape]]:
        """Yield for each image the shapes on it as it is shown, as the boxes of its objects are."""
        rows, catalog = self.selection.selected.tolist(), self.catalog
        for row, shapes in zip(rows, files.read(rows), strict=True):
            if files.schema.coordinates == STORED:
                turned_by = AS_STORED if catalog.orientations is None else int(catalog.orientations[row])
                size = int(catalog.widths_px[row]), int(catalog.heights_px[row])
                yield [turn_shape(shape, turned_by, *size) for shape in shapes]
            else:
                yield shapes

    def _values(self, i: int, row: int) -> dict[str, Any]:
        values: dict[str, Any] = {_DISTANCE: float(self.selection.distances[i])}
        values |= {name: _to_plain(column[row]) for name, column in self.columns.items()}
        if self.catalog.medium.has_many_per_file:
            frames = self.catalog.frames
            values["video"] = frames.videos[int(frames.video_rows[row])]
            values["frame_index"] = int(frames.indices[row])
            values["timestamp_sec"] = float(frames.seconds[row])
        return {name: value for name, value in values.items() if is_known(value)}


def name_values(wanted: Sequence[str], medium: Medium) -> list[str]:
    """Return distinct names for scores and metadata, which may be called as one another or as an image's own values."""
    own = _list_own_values(medium)
    return keep_apart([f"{name}_" if name in own else name for name in wanted], own)


def _list_own_values(medium: Medium) -> list[str]:
    return [_DISTANCE, *(_FRAME_VALUES if medium.has_many_per_file else ())]


def is_known(value: object) -> bool:
    """Say whether a value says something: no NaN, no infinity, no empty word."""
    return value != "" if isinstance(value, str) else bool(np.isfinite(value))  # type: ignore[call-overload]


def list_objects(task: TaskPredictions, row: int) -> Iterator[FoundObject]:
    """Yield what the task found on an image of the catalog."""
    start, end = np.searchsorted(task.owners, [row, row + 1]).tolist()
    for place in range(start, end):
        box = None if task.boxes_px is None else task.boxes_px[place]
        known = box is not None and bool(np.isfinite(box).all())
        yield FoundObject(
            task.categories[int(task.category_index[place])].name,
            float(task.scores[place]),
            tuple(float(value) for value in box) if known and box is not None else None,  # type: ignore[arg-type]
        )


def _to_plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
