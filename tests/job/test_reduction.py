"""Reduction for maps, and what wide tables cost."""

import numpy as np
from sklearn.decomposition import PCA

from selection_job.manifest.noun import IMAGE
from selection_job.numeric.reduction import reduce_rows
from selection_job.publishing.table_cost import note_table_cost


def test_rows_are_reduced_as_a_full_pca_reduces_them():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(300, 100)) * np.linspace(3, 0.1, 100) + 5).astype(np.float32)
    expected = PCA(8, svd_solver="full").fit_transform(rows.astype(np.float64))
    np.testing.assert_allclose(np.abs(reduce_rows(rows, 8)), np.abs(expected), atol=1e-4)


def test_narrow_rows_stay_as_they_are():
    rows = np.ones((3, 64), dtype=np.float32)
    assert reduce_rows(rows) is rows


def test_equal_rows_and_fewer_rows_than_dimensions_stay_finite():
    assert np.allclose(reduce_rows(np.full((5, 100), 7, dtype=np.float32)), 0, atol=1e-4)


def test_the_cost_of_wide_tables_is_told_from_a_hundred_million_numbers():
    assert note_table_cost(99_999, 1000, IMAGE) == []
    (note,) = note_table_cost(100_000, 1280, IMAGE)
    assert "100,000 images with 1,280 numbers each" in note and "5.4 GB" in note and "53.8 s" in note
