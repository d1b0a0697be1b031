"""Turned shapes: keypoints and masks of a task that speaks of the pictures in the files, on those that are shown."""

from dataclasses import replace

import numpy as np
from PIL import Image

from selection_job.images.upright import AS_STORED, turn_corners, turn_image, turn_size
from selection_job.predictions.shapes import Shape, fill_mask, list_runs


def turn_shape(shape: Shape, orientation: int, width_px: int, height_px: int) -> Shape:
    """Return the shape on the picture as it is shown; none where its size, and with it the turn, is not known.

    orientation          of the picture, 1 to 8; 0 where nothing was turned
    width_px, height_px  of the picture as it is shown
    A mask of another size than the stored picture is left out, as one of another size than the shown picture is.
    """
    if not (width_px and height_px):
        return Shape()
    if orientation in (0, AS_STORED):
        return shape
    return replace(
        shape,
        keypoints=_turn_points(shape.keypoints, orientation, width_px, height_px),
        runs=_turn_runs(shape.runs, orientation, width_px, height_px),
    )


def _turn_points(
    keypoints: tuple[tuple[float, float, float], ...], orientation: int, width_px: int, height_px: int
) -> tuple[tuple[float, float, float], ...]:
    if not keypoints:
        return ()
    places = np.array(keypoints, dtype=np.float64)[:, [0, 1, 0, 1]]  # boxes without a size
    edges = np.broadcast_to(np.array([width_px, height_px], dtype=np.float64), (len(places), 2))
    turned = turn_corners(places, np.full(len(places), orientation), edges)[:, :2].tolist()
    return tuple((x, y, confidence) for (x, y), (*_, confidence) in zip(turned, keypoints, strict=True))


def _turn_runs(runs: tuple[int, ...], orientation: int, width_px: int, height_px: int) -> tuple[int, ...]:
    stored = fill_mask(runs, *turn_size(width_px, height_px, orientation))
    if stored is None:
        return ()
    shown = turn_image(Image.fromarray(stored.astype(np.uint8)), orientation)
    return tuple(list_runs(np.asarray(shown).ravel() != 0))
