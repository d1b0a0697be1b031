"""Measures of an image's pixels, for strategies on the metadata lightly.sharpness and the like.

All are of the decoded image, 8 bit RGB in its full size, as stored; grey levels are those of Pillow's mode L. An image
is taken in tiles: some 20 MB of memory beside the image itself. docs/metadata.md has the formulas and what they cost.
Manifests may name what stands in COMPUTED_KEYS of selection_api.metadata_rules; width, height and bytes are no
measures: they come from headers (metadata/metadata_column.py).
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_TILE_PIXELS = 1 << 18  # its arrays stay in the processor's cache
_TILE_WIDTH = 1 << 14
_LEVELS = range(256)
_SMALLEST_FILTERED_PX = 3

_MOST_ROWS = 400
_REDUCED_PIXELS = 1 << 20  # of the image, from which some rows of the reduced one are made
_UNIFORM_RESPONSE = 5.0  # grey levels
_UNIFORM_SHARE = 0.97

_FINENESS = 1 << 16
_LUMINANCE_OF_CHANNELS = (0.2126, 0.7152, 0.0722)  # sRGB's, ITU-R BT.709


def measure_image(image: Image.Image, names: Sequence[str]) -> tuple[float, ...]:
    """Return the named measures of an image of mode RGB, in the order of names; each is finite.

    names  among MEASURES
    """
    found: dict[str, float] = {}
    for members, measure in _GROUPS.items():
        if not set(members).isdisjoint(names):
            found.update(zip(members, measure(image), strict=True))
    return tuple(found[name] for name in names)


def _measure_channels(image: Image.Image) -> tuple[float, ...]:
    """Return mean / standard deviation of all values of all channels, and each channel's mean from 0 to 1."""
    counts = np.array(image.histogram(), dtype=np.int64).reshape(3, 256)
    mean, deviation = _mean_and_deviation(counts.sum(axis=0))
    return mean / deviation if deviation else 0.0, *(_mean_and_deviation(channel)[0] / 255 for channel in counts)


def _measure_contrast(image: Image.Image) -> tuple[float]:
    """Return the standard deviation of the grey levels from 0 to 1: RMS contrast (Peli 1990)."""
    return (_mean_and_deviation(_count(image, (0, 0, *image.size)))[1] / 255,)


def _measure_sharpness(image: Image.Image) -> tuple[float]:
    """Return the standard deviation of the 3x3 Laplacian as Pillow's filter gives it: 0..255, the border unfiltered."""
    width, height = image.size
    if min(width, height) < _SMALLEST_FILTERED_PX:
        return (_mean_and_deviation(_count(image, (0, 0, width, height)))[1],)
    counts = np.zeros(256, dtype=np.int64)
    ends = (0, 0, width, 1), (0, height - 1, width, height)
    sides = (0, 1, 1, height - 1), (width - 1, 1, width, height - 1)
    for box in (*ends, *sides):
        counts += _count(image, box)
    for left, top, right, bottom in _cut_tiles(1, 1, width - 1, height - 1):
        grey = _to_grey(image.crop((left - 1, top - 1, right + 1, bottom + 1)))
        edges = np.clip(_filter_edges(grey.astype(np.int16)), 0, 255).astype(np.uint8)
        counts += np.array(Image.fromarray(edges).histogram())
    return (_mean_and_deviation(counts)[1],)


def _measure_luminance(image: Image.Image) -> tuple[float]:
    """Return the mean CIE lightness L*, 0 to 100, by linear interpolation in a table: its errors are below 1e-5."""
    width, height = image.size
    total = 0.0
    for tile in _cut_tiles(0, 0, width, height):
        channels = (np.asarray(channel) for channel in image.crop(tile).split())
        scaled = sum((table.take(channel) for table, channel in zip(_LUMINANCE, channels, strict=True)), np.float32(0))
        whole = scaled.astype(np.int32)
        scaled -= whole
        scaled *= _LIGHTNESS_STEPS.take(whole)
        total += float(scaled.sum(dtype=np.float64)) + float(_LIGHTNESS.take(whole).sum(dtype=np.float64))
    return (min(max(total / (width * height), 0.0), 100.0),)


def _measure_uniform_rows(image: Image.Image) -> tuple[float]:
    """Return the share of rows in which more than 97% of the pixels are as bright as the pixels around them.

    As LightlyOne's worker has it: of the grey image, larger ones reduced to a height of 400 by bilinear sampling
    without smoothing, a pixel is uniform where the 3x3 Laplacian lies between -5 and 5 levels; the border is left out.
    Images with an edge below 3 pixels have 0.
    """
    if min(image.size) < _SMALLEST_FILTERED_PX:
        return (0.0,)
    shrink = _MOST_ROWS / image.height
    height, width = image.height, image.width
    if shrink < 1:
        height, width = int(image.height * shrink), max(_SMALLEST_FILTERED_PX, int(image.width * shrink))
    pixels_each = math.ceil(image.height / height) * math.ceil(image.width / width)
    n_rows = max(1, _REDUCED_PIXELS // (min(width, _TILE_WIDTH) * pixels_each))
    n_uniform = 0
    for top, bottom in _cut(1, height - 1, n_rows):
        counts = np.zeros(bottom - top, dtype=np.int64)
        for left, right in _cut(1, width - 1, _TILE_WIDTH):
            levels = _sample(image, range(left - 1, right + 1), range(top - 1, bottom + 1), width, height)
            counts += np.count_nonzero(np.abs(_filter_edges(levels)) < _UNIFORM_RESPONSE, axis=1)
        n_uniform += int(np.count_nonzero(counts / (width - 2) > _UNIFORM_SHARE))
    return (n_uniform / (height - 2),)


def _sample(image: Image.Image, columns: range, rows: range, width: int, height: int) -> NDArray[np.float64]:
    """Return (r, c) grey levels of a part of the image resized to width x height, each from the four pixels around."""
    left, right, shares = _find_neighbours(columns, image.width, width)
    above, below, weights = _find_neighbours(rows, image.height, height)
    x, y = int(left[0]), int(above[0])
    grey = _to_grey(image.crop((x, y, int(right[-1]) + 1, int(below[-1]) + 1)))
    weights = weights[:, None]
    sampled = grey[above - y] * (1 - weights) + grey[below - y] * weights
    return sampled if width == image.width else sampled[:, left - x] * (1 - shares) + sampled[:, right - x] * shares


def _find_neighbours(
    places: range, n_from: int, n_to: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the pixels on both sides of each place of n_to pixels made from n_from, and the second's share."""
    centres = np.maximum((np.arange(places.start, places.stop) + 0.5) * (n_from / n_to) - 0.5, 0.0)
    before = centres.astype(np.int64)
    return before, np.minimum(before + 1, n_from - 1), centres - before


def _cut(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield first and last + 1 of each piece of a range."""
    for first in range(start, stop, step):
        yield first, min(first + step, stop)


def _cut_tiles(left: int, top: int, right: int, bottom: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes that cover a box."""
    n_rows = max(1, _TILE_PIXELS // min(right - left, _TILE_WIDTH))
    for upper, lower in _cut(top, bottom, n_rows):
        for first, last in _cut(left, right, _TILE_WIDTH):
            yield first, upper, last, lower


def _to_grey(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("L"))


def _count(image: Image.Image, box: tuple[int, int, int, int]) -> NDArray[np.int64]:
    """Return how many pixels of a part of the image have each grey level."""
    counts = np.zeros(256, dtype=np.int64)
    for tile in _cut_tiles(*box):
        counts += np.array(image.crop(tile).convert("L").histogram())
    return counts


def _filter_edges(grey: NDArray[np.int16] | NDArray[np.float64]) -> NDArray[np.int16] | NDArray[np.float64]:
    """Return (h - 2, w - 2) the Laplacian: 8 times a level less its eight neighbours."""
    rows = grey[:-2] + grey[1:-1] + grey[2:]
    squares = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return np.asarray(9 * grey[1:-1, 1:-1] - squares)


def _mean_and_deviation(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return mean and standard deviation of levels that occur so often; sums are whole numbers of any size."""
    n = int(counts.sum())
    total = sum(level * count for level, count in zip(_LEVELS, counts.tolist(), strict=True))
    squares = sum(level * level * count for level, count in zip(_LEVELS, counts.tolist(), strict=True))
    return total / n, math.sqrt(n * squares - total * total) / n


def _make_luminances() -> tuple[NDArray[np.float32], ...]:
    """Return for each channel (256,) what its levels add to the relative luminance Y, times _FINENESS."""
    encoded = np.arange(256) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return tuple((share * linear * _FINENESS).astype(np.float32) for share in _LUMINANCE_OF_CHANNELS)


def _make_lightness() -> NDArray[np.float64]:
    """Return (_FINENESS + 2,) L* of Y from 0 to a little above 1."""
    luminance = np.arange(_FINENESS + 2) / _FINENESS
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * (24389 / 27))


_LUMINANCE = _make_luminances()
_LIGHTNESS = _make_lightness().astype(np.float32)
_LIGHTNESS_STEPS = np.diff(_make_lightness()).astype(np.float32)

_GROUPS = {
    ("snr", "meanRed", "meanGreen", "meanBlue"): _measure_channels,
    ("contrast",): _measure_contrast,
    ("sharpness",): _measure_sharpness,
    ("luminance",): _measure_luminance,
    ("uniformRowRatio",): _measure_uniform_rows,
}
MEASURES = tuple(sorted(name for members in _GROUPS for name in members))
"""What can be measured: metadata keys without 'lightly.'."""
