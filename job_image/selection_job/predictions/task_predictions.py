"""TaskPredictions: everything that one prediction task says about the images, in columns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.image_names import quote_some
from selection_job.errors import UnusableData

SHOWN, STORED = "SHOWN", "STORED"
COORDINATES = (SHOWN, STORED)
"""What boxes refer to: the picture turned by its EXIF orientation, or the one that lies in the file."""


@dataclass(frozen=True, slots=True)
class Category:
    """A class of a task's schema."""

    id: int
    name: str


@dataclass(frozen=True, eq=False)
class TaskPredictions:
    """The objects of all images, sorted by image. Classification has at most one "object" an image."""

    name: str
    kind: str  # "classification", "object-detection", "semantic-segmentation", …
    categories: tuple[Category, ...]
    has_file: NDArray[np.bool_]  # (n,) images with a valid prediction file
    owners: NDArray[np.int64]  # (m,) the image's row, ascending
    category_index: NDArray[np.int32]  # (m,) index into categories
    scores: NDArray[np.float32]  # (m,) 0..1
    probabilities: NDArray[np.float32] | None = None  # (m, c); a row of NaN where the file gives none
    boxes_px: NDArray[np.float32] | None = None  # (m, 4) x, y, w, h in pixels, as given; NaN where there is none
    areas_px: NDArray[np.float64] | None = None  # (m,) pixels of each segment
    keypoint_confidences: NDArray[np.float32] | None = None  # (m,) mean over the object's keypoints, 0..1
    mask_pixels: NDArray[np.int64] | None = None  # (n,) what each mask of an image covers; 0 where it has none
    coordinates: str = SHOWN  # one of COORDINATES: what boxes_px refer to
    is_zero_shot: bool = False  # made from prompts: BALANCE counts the best category, whole, instead of probabilities


OF_IMAGES = ("has_file", "mask_pixels")
"""Columns with a value an image; all others have one an object."""


def find_categories(task: TaskPredictions, names: Sequence[str]) -> list[int]:
    """Return the places of the categories of these names. Raises UnusableData, naming those there are."""
    known = [category.name for category in task.categories]
    if missing := [name for name in names if name not in known]:
        raise UnusableData(
            f"The task {task.name} has no categories {quote_some(missing)}; its categories: {quote_some(known)}."
        )
    return [place for place, name in enumerate(known) if name in names]


def take_images(task: TaskPredictions, rows: NDArray[np.int64]) -> TaskPredictions:
    """Return what the task says about these images, in the same order. rows are sorted and differ."""
    places = np.full(len(task.has_file), -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    owners = places[task.owners]
    of_images: dict[str, Any] = {
        name: None if (column := getattr(task, name)) is None else column[rows] for name in OF_IMAGES
    }
    return replace(take_objects(task, np.flatnonzero(owners >= 0)), owners=owners[owners >= 0], **of_images)


def add_images(task: TaskPredictions, n: int) -> TaskPredictions:
    """Return the task with n more images behind, of which nothing is known."""
    of_images: dict[str, Any] = {
        name: None if (column := getattr(task, name)) is None else np.concatenate([column, np.zeros(n, column.dtype)])
        for name in OF_IMAGES
    }
    return replace(task, **of_images)


def take_objects(task: TaskPredictions, objects: NDArray[np.int64]) -> TaskPredictions:
    """Return the task with these of its objects only; owners and the columns of images keep their meaning."""
    columns: dict[str, Any] = {
        name: column[objects]
        for name, column in vars(task).items()
        if isinstance(column, np.ndarray) and name not in OF_IMAGES
    }
    return replace(task, **columns)
