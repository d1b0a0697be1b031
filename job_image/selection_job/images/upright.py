"""Upright: what an EXIF orientation does to a picture, and to boxes on it.

Whoever shows or labels a picture turns it so, and whatever this program says of a picture is said of the turned one:
it is turned as soon as it is decoded. Boxes may still come from a loader that does not turn.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

AS_STORED = 1
"""The orientation of a picture that is stored as it is shown."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = (5, 6, 7, 8)
_MIRRORED_ACROSS = (2, 3, 6, 7)
_MIRRORED_DOWN = (3, 4, 7, 8)


def turn_image(image: Image.Image, orientation: int) -> Image.Image:
    """Return the picture as it is shown: the same object where nothing is to be done."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def turn_size(width_px: int, height_px: int, orientation: int) -> tuple[int, int]:
    """Return width and height of the turned picture. Another turn takes them back."""
    return (height_px, width_px) if orientation in _ON_ITS_SIDE else (width_px, height_px)


def turn_corners(
    corners: NDArray[np.float64], orientations: NDArray[Any], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (m, 4) x0, y0, x1, y1 on the turned picture, of boxes on the stored one.

    corners       (m, 4) in pixels of the stored picture
    orientations  (m,) of each box's picture, 1 to 8
    edges         (m, 2) width and height of each box's turned picture
    """
    sideways = np.isin(orientations, _ON_ITS_SIDE)[:, None]
    turned = np.where(sideways, corners[:, [1, 0, 3, 2]], corners)
    for axis, mirrored in enumerate((_MIRRORED_ACROSS, _MIRRORED_DOWN)):
        rows = np.isin(orientations, mirrored)
        low, high = axis, axis + 2
        turned[rows, low], turned[rows, high] = (
            edges[rows, axis] - turned[rows, high],
            edges[rows, axis] - turned[rows, low],
        )
    return turned


def is_on_its_side(orientations: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of the pictures have width and height exchanged by their turn."""
    return np.isin(orientations, _ON_ITS_SIDE)
