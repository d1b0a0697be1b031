"""nearest_rows against a brute force in float64, across block borders."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_job.numeric import neighbours
from selection_job.numeric.neighbours import nearest_rows


def brute_force(queries, references, exclude_same_row=False):
    distances = np.linalg.norm(queries[:, None].astype(np.float64) - references[None], axis=2)
    if exclude_same_row:
        np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1), distances.min(axis=1)


@given(seed=st.integers(0, 10_000), m=st.integers(1, 20), n=st.integers(2, 20), block=st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_distances_equal_the_brute_force_for_any_block_size(seed, m, n, block):
    rng = np.random.default_rng(seed)
    queries, references = (rng.normal(size=(rows, 3)).astype(np.float32) for rows in (m, n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_BLOCK", block)
        indices, distances = nearest_rows(queries, references)
        own, own_distances = nearest_rows(references, references, exclude_same_row=True)
    expected_indices, expected = brute_force(queries, references)
    assert indices.tolist() == expected_indices.tolist()
    np.testing.assert_allclose(distances, expected, rtol=1e-5)
    assert own.tolist() == brute_force(references, references, True)[0].tolist()
    np.testing.assert_allclose(own_distances, brute_force(references, references, True)[1], rtol=1e-5)


def test_a_common_offset_does_not_blur_the_distances():
    rows = 500 + np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    _, distances = nearest_rows(rows, rows, exclude_same_row=True)
    np.testing.assert_allclose(distances, brute_force(rows, rows, True)[1], rtol=1e-4)


def test_no_queries_give_no_answers():
    indices, distances = nearest_rows(np.zeros((0, 3), np.float32), np.zeros((1, 3), np.float32))
    assert indices.shape == distances.shape == (0,)


def test_a_single_row_has_no_other_neighbour():
    with pytest.raises(ValueError, match="at least 2"):
        nearest_rows(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32), exclude_same_row=True)
