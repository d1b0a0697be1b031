"""Clipped boxes: what of each box lies on its picture. Detectors' boxes stick out, which not every tool takes."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.manifest.noun import BOX, agree
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.predictions.turned_boxes import BLOCK

_NOTEWORTHY_PX = 0.01  # computing with float32 moves edges by less


@dataclass(frozen=True, eq=False)
class ClippedBoxes:
    """A task with boxes as they lie on the pictures; NaN where nothing of one does, or it has no area."""

    task: TaskPredictions
    n_cut: int = 0
    """Boxes that are smaller than they were."""
    n_lost: int = 0
    """Boxes that are NaN now and were not."""

    @property
    def notes(self) -> tuple[str, ...]:
        """How many boxes are others than in the files, in a sentence; none where all are as they were."""
        parts = []
        if self.n_lost:
            parts.append(
                f"{BOX.count_with(self.n_lost, 'have')} no area on the picture and {agree(self.n_lost, 'are')} "
                "left out of exports and crops"
            )
        if self.n_cut:
            parts.append(
                f"{BOX.count_with(self.n_cut, 'reach')} beyond the picture and {agree(self.n_cut, 'are')} "
                "cut off at its edge"
            )
        return (f"The task {self.task.name}: {'; '.join(parts)}. Scores count every object.",) if parts else ()


def clip_boxes(task: TaskPredictions, catalog: Catalog) -> ClippedBoxes:
    """Clip the boxes to the pictures; where the size of one is not known, to its upper and left edge.

    task  aligned with catalog.names; boxes on the pictures as they are shown
    """
    if task.boxes_px is None:
        return ClippedBoxes(task)
    boxes, n_cut, n_lost = task.boxes_px, 0, 0
    for start in range(0, len(boxes), BLOCK):
        exact = task.boxes_px[start : start + BLOCK].astype(np.float64)
        corners = np.concatenate([exact[:, :2], exact[:, :2] + exact[:, 2:]], axis=1)
        clipped = np.clip(corners, 0, _edges(catalog, task.owners[start : start + BLOCK]))
        sizes = clipped[:, 2:] - clipped[:, :2]
        beyond = np.abs(clipped - corners).max(axis=1)
        is_lost = (sizes <= 0).any(axis=1)
        is_cut = (beyond > 0) & ~is_lost  # NaN is neither
        n_lost += int(np.count_nonzero(is_lost))
        n_cut += int(np.count_nonzero(is_cut & (beyond > _NOTEWORTHY_PX)))
        if (is_lost | is_cut).any():
            boxes = boxes.copy() if boxes is task.boxes_px else boxes
            boxes[start + np.flatnonzero(is_cut)] = np.concatenate([clipped[:, :2], sizes], axis=1)[is_cut]
            boxes[start + np.flatnonzero(is_lost)] = np.nan
    return ClippedBoxes(replace(task, boxes_px=boxes), n_cut, n_lost)


def _edges(catalog: Catalog, owners: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (m, 4) width, height, width, height of each box's picture; infinity where these are not known."""
    sizes = np.stack([catalog.widths_px[owners], catalog.heights_px[owners]] * 2, axis=1)
    return np.where(sizes > 0, sizes.astype(np.float64), np.inf)
