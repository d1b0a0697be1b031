"""Half matching: embed the halves of some pictures, and count those that find each other, by colours alone as well."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.half_match import HalfMatch
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import Encoder
from selection_job.reading.half_sample import HalfSample
from selection_job.run.context import RunContext


def match_halves(context: RunContext, encoder: Encoder, sample: HalfSample) -> HalfMatch:
    """Embed the halves of the sample, in batches as images are, and count those that find each other.

    Raises UnusableData where an embedding is not finite.
    """
    config = context.spec.lightly_config
    colours: list[NDArray[np.float32]] = []

    def batches() -> Iterator[NDArray[np.uint8]]:
        for pixels in sample.batches(config.loader.batch_size):
            colours.append(_count_colours(pixels))
            yield pixels

    rows = list(embed_pixels(encoder, batches(), device=context.device, precision=config.trainer.precision))
    if not rows:
        return HalfMatch(0, 0, 0)
    return HalfMatch(len(sample), count_matches(np.concatenate(rows)), count_matches(np.concatenate(colours)))


def count_matches(rows: NDArray[np.float32]) -> int:
    """Count, in (2m, d) vectors of left and right halves in turns, the left ones whose right one is nearest.

    Of right ones that are equally near the first counts.
    """
    units = rows.astype(np.float64)
    units /= np.maximum(np.linalg.norm(units, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    nearest = (units[::2] @ units[1::2].T).argmax(axis=1)
    return int(np.count_nonzero(nearest == np.arange(len(nearest))))


def _count_colours(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (b, 64) roots of the shares of colours, four levels a channel."""
    levels = (pixels >> 6).reshape(len(pixels), -1, 3).astype(np.int64)
    colours = levels @ np.array([16, 4, 1])
    shares = np.stack([np.bincount(row, minlength=64) for row in colours]) / colours.shape[1]
    roots: NDArray[np.float32] = np.sqrt(shares).astype(np.float32)
    return roots
