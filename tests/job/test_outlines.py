"""Polygons around the parts of a mask: exact, without holes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from selection_job.numeric.outlines import trace_outlines


def fill(corners, shape):
    """Fill a polygon of vertical and horizontal edges: a pixel is inside behind an odd number of vertical ones."""
    inside = np.zeros(shape, dtype=bool)
    for (x, y), (x_next, y_next) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        assert (x == x_next) != (y == y_next)
        if x == x_next:
            inside[min(y, y_next) : max(y, y_next), x:] ^= True
    return inside


def find_holes(mask):
    """Return the pixels beside the mask from which no way leads out, step by step over edges."""
    free = np.pad(~mask, 1, constant_values=True)
    reached = np.zeros_like(free)
    reached[0, 0] = True
    while True:
        more = reached.copy()
        for axis in (0, 1):
            for step in (1, -1):
                more |= np.roll(reached, step, axis)
        more &= free
        if (more == reached).all():
            return (free & ~reached)[1:-1, 1:-1]
        reached = more


@given(st.one_of(array_shapes(min_dims=2, max_dims=2, max_side=7).flatmap(lambda shape: arrays(bool, shape))))
def test_the_outlines_cover_the_mask_and_at_most_its_holes(mask):
    outlines = trace_outlines(mask)
    covered = np.zeros_like(mask)
    for corners in outlines:
        covered |= fill(corners, mask.shape)
    assert (covered | ~mask).all()
    assert not (covered & ~mask & ~find_holes(mask)).any()
    assert bool(outlines) == mask.any()


def test_a_mask_without_holes_is_covered_exactly():
    rows, columns = np.mgrid[:60, :80]
    mask = (rows - 20) ** 2 + (columns - 30) ** 2 < 300
    mask[50:, 70:] = True
    one, other = trace_outlines(mask)
    assert (fill(one, mask.shape) | fill(other, mask.shape) == mask).all()
