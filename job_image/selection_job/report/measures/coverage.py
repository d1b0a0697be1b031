"""Coverage: how far the farthest image is from a selected one, after each pick."""

import math

import numpy as np
from numpy.typing import NDArray

from selection_job.report.models.selection import (
    MOST_LINES,
    MOST_PICKS,
    Coverage,
    CoverRadiusByPick,
    ImagesForRadius,
)
from selection_job.selection.selection import BY_OBJECTS, Selection

_OF_SEQUENCES = (
    "What was chosen are sequences of frames, each by the mean of its frames, so the frames themselves were not chosen "
    "for a radius; only the one at their end is known."
)
_OF_MIXES = (
    "Where several strategies are combined, only the radius at the end is known; DIVERSITY on EMBEDDINGS alone knows "
    "it after each pick."
)
_OF_ONE = (
    "The strategy is not DIVERSITY on EMBEDDINGS with a positive strength, so it does not aim at a radius, and only "
    "the one at the end is known."
)
_WHY_NOT = {
    BY_OBJECTS: (
        "What was chosen are objects on the images, so the images themselves were not chosen for a radius; only the "
        "one at their end is known."
    ),
    "random": "A random choice does not aim at a radius, so only the one at its end is known.",
}


def describe_coverage(selection: Selection) -> Coverage:
    """Return a table that says how many images a radius needs, exact, of the images that pass every THRESHOLD.

    It is empty, and why_unknown says why, for other methods than coreset.
    """
    is_known = _is_known(selection)
    otherwise = _OF_MIXES if len(selection.rankings) > 1 else _OF_ONE
    why = _OF_SEQUENCES if selection.sequences is not None else _WHY_NOT.get(selection.method, otherwise)
    return Coverage(
        is_exact=is_known,
        why_unknown=None if is_known else why,
        images_for_radius=[
            ImagesForRadius(radius=radius, n_images=n_picks) for radius, n_picks in list_picks_for_radii(selection)
        ],
    )


def list_picks_for_radii(selection: Selection) -> list[tuple[float, int]]:
    """Return some ten round radii, falling, with how many picks reach each; none where the radii are not known."""
    return _make_table(selection.radii.astype(np.float64)) if _is_known(selection) else []


def _is_known(selection: Selection) -> bool:
    return bool(np.isfinite(selection.radii).all())


def describe_curve(selection: Selection) -> CoverRadiusByPick:
    """Return the covering radius after so many picks, at most MOST_PICKS of them; null where it is not known."""
    picks = _spread_picks(len(selection.radii))
    radii = selection.radii[picks].astype(np.float64)
    return CoverRadiusByPick(picks=(picks + 1).tolist(), radii=radii.tolist())


def _spread_picks(k: int) -> NDArray[np.int64]:
    """Return at most MOST_PICKS indices below k, first and last included, denser where the radius falls fast."""
    if k <= MOST_PICKS:
        return np.arange(k)
    return np.unique(np.geomspace(1, k, MOST_PICKS).round().astype(np.int64)) - 1


def _make_table(radii: NDArray[np.float64]) -> list[tuple[float, int]]:
    if not len(radii):
        return []
    picks = np.unique(np.geomspace(1, len(radii), MOST_LINES).round().astype(np.int64)) - 1
    wanted = sorted({round_up(float(radius)) for radius in radii[picks]}, reverse=True)
    return [(radius, count_for_radius(radii, radius)) for radius in wanted]


def round_up(radius: float) -> float:
    """Return the next number of two digits that is not below.

    >>> round_up(0.1234), round_up(0.12), round_up(0.0), round_up(97.3)
    (0.13, 0.12, 0.0, 98.0)
    """
    if radius <= 0:
        return 0.0
    digits = 1 - math.floor(math.log10(radius))
    nearest = round(radius, digits)
    return nearest if nearest >= radius else round(nearest + 10.0**-digits, digits)


def count_for_radius(radii: NDArray[np.float64], radius: float) -> int:
    """Return how many picks it takes until the covering radius is at most this.

    radii   (k,) never rising; the last is at most radius
    """
    return int(np.searchsorted(-radii, -radius)) + 1
