"""Cutting: the pixels of the objects on one image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selection_job.images.preprocessing import Preprocessing
from selection_job.images.upright import AS_STORED, turn_corners

LEAST_EDGE_PX = 1


@dataclass(frozen=True, slots=True, eq=False)
class CropPixels:
    """The objects of one image that lie on it."""

    places: NDArray[np.int64]  # (j,) which of the given boxes
    boxes_px: NDArray[np.int32]  # (j, 4) x0, y0, x1, y1 as cut; x1 and y1 are exclusive
    pixels: NDArray[np.uint8]  # (j, s, s, 3) RGB


def cut_objects(
    image: Image.Image,
    corners: NDArray[np.float32],
    *,
    is_relative: bool,
    preprocessing: Preprocessing,
    turned_by: int = AS_STORED,
    padding: float = 0.0,
) -> CropPixels:
    """Cut the boxes out of an RGB image and make the encoder's input of each, as of a whole image.

    corners    (k, 4) x0, y0, x1, y1; a box is clipped to the image, and left out where nothing of it lies on the image
    turned_by  the orientation by which the image was turned and the boxes were not
    padding    how much what lies on the image grows: 0.1 makes it 10% wider and 10% higher, around its middle
    """
    edges = np.array([image.width, image.height], dtype=np.float64)
    exact = corners.astype(np.float64) * (np.tile(edges, 2) if is_relative else 1.0)
    if turned_by != AS_STORED:
        exact = turn_corners(exact, np.full(len(exact), turned_by), np.broadcast_to(edges, (len(exact), 2)))
    boxes = clip_boxes(exact, image.width, image.height, padding=padding)
    places = np.flatnonzero((boxes[:, 2:] - boxes[:, :2] >= LEAST_EDGE_PX).all(axis=1))
    edge_px = preprocessing.size_px
    pixels = np.empty((len(places), edge_px, edge_px, 3), dtype=np.uint8)
    for i, box in enumerate(boxes[places].tolist()):
        # crop first: resize(box=…) blends in pixels around the box
        pixels[i] = preprocessing.make_pixels(image.crop(tuple(box)))
    return CropPixels(places, boxes[places], pixels)


def clip_boxes(exact: NDArray[np.float64], width_px: int, height_px: int, *, padding: float = 0.0) -> NDArray[np.int32]:
    """Return (k, 4) int32 the whole pixels that each box touches, inside the image; zeros where it has no area there.

    padding  as above: a box that reaches beyond the image is as large as what of it is seen
    """
    edges = np.array([width_px, height_px] * 2, dtype=np.float64)
    seen = np.clip(exact, 0, edges)
    sizes = seen[:, 2:] - seen[:, :2]
    more = sizes * (padding / 2)
    grown = np.concatenate([seen[:, :2] - more, seen[:, 2:] + more], axis=1)
    nearly = 1e-3  # a float32 0.3333 of 300 pixels ends at 100, not at 101
    rounded = np.concatenate([np.floor(grown[:, :2] + nearly), np.ceil(grown[:, 2:] - nearly)], axis=1)
    clipped: NDArray[np.int32] = np.clip(rounded, 0, edges).astype(np.int32)
    clipped[~(sizes > 0).all(axis=1)] = 0
    return clipped
