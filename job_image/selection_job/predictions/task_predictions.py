"""TaskPredictions: everything that one prediction task says about the images, in columns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
    boxes_px: NDArray[np.float32] | None = None  # (m, 4) x, y, w, h in pixels; NaN where there is none
    areas_px: NDArray[np.float64] | None = None  # (m,) pixels of each segment
    keypoint_confidences: NDArray[np.float32] | None = None  # (m,) mean over the object's keypoints, 0..1
