"""Halves: the left and the right half of a picture as an encoder's input, and how the picture looks from afar."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selection_job.images.preprocessing import Preprocessing

_COLUMNS, _ROWS = 4, 8  # of greys a half: 8 x 8 of the picture


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """One picture in two halves."""

    pixels: NDArray[np.uint8]  # (2, s, s, 3) RGB: the left half, the right half
    greys: NDArray[np.float32]  # (64,) 0 to 255: the picture in 8 x 8 greys, its left half first


def cut_halves(image: Image.Image, preprocessing: Preprocessing) -> Halves | None:
    """Return both halves of an RGB picture, each preprocessed as a picture is; None of one that is 1 pixel wide.

    The two have no pixel in common: the column in the middle of an odd width is in neither.
    """
    width, height = image.width // 2, image.height
    if not width:
        return None
    # crop first: resize(box=…) blends in pixels of the other half
    boxes = ((0, 0, width, height), (image.width - width, 0, image.width, height))
    pixels = np.stack([preprocessing.make_pixels(image.crop(box)) for box in boxes])
    return Halves(pixels, np.concatenate([_look_from_afar(half) for half in pixels]))


def _look_from_afar(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = Image.fromarray(pixels).convert("L").resize((_COLUMNS, _ROWS), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel()
