"""PCA against numpy's SVD, neighbourhoods against brute force, UMAP by what a map must keep."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from selection_job.numeric.projections import (
    find_neighbourhoods,
    fit_pca,
    project_pca,
    project_umap,
)
from selection_job.numeric.umap_layout import weigh_neighbours


def rows(n, d=5, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) * np.arange(1, d + 1) + 10).astype(np.float32)


def test_pca_equals_the_singular_value_decomposition():
    vectors = rows(200)
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    pca = fit_pca(vectors)
    np.testing.assert_allclose(np.abs(project_pca(pca, vectors)), np.abs(centred @ directions[:2].T), atol=1e-9)
    np.testing.assert_allclose(pca.explained, (singular**2 / (singular**2).sum())[:2])


def test_the_sign_of_a_pca_axis_does_not_depend_on_the_order_of_rows():
    vectors = rows(100)
    first, turned = fit_pca(vectors), fit_pca(vectors[::-1].copy())
    np.testing.assert_allclose(first.axes, turned.axes, atol=1e-9)
    assert (first.axes[np.arange(2), np.abs(first.axes).argmax(axis=1)] > 0).all()


def test_pca_across_blocks_equals_pca_in_one(monkeypatch):
    vectors = rows(100)
    whole = fit_pca(vectors)
    monkeypatch.setattr("selection_job.numeric.projections._BLOCK", 7)
    np.testing.assert_allclose(fit_pca(vectors).axes, whole.axes, atol=1e-9)


@pytest.mark.parametrize("vectors", [rows(1), rows(2), rows(3), rows(5, d=1), np.ones((4, 3), np.float32)])
def test_pca_of_degenerate_rows_is_finite(vectors):
    pca = fit_pca(vectors)
    coordinates = project_pca(pca, vectors)
    assert coordinates.shape == (len(vectors), 2)
    assert np.isfinite(coordinates).all()
    assert np.isfinite(pca.explained).all()


def test_neighbourhoods_equal_the_brute_force():
    vectors = rows(1100)  # more than one block
    distances = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors[None], axis=2)
    np.fill_diagonal(distances, -1)
    found = find_neighbourhoods(vectors, 8)
    assert (found.indices == distances.argsort(axis=1)[:, :8]).all()
    np.testing.assert_allclose(found.distances[:, 1:], np.sort(distances, axis=1)[:, 1:8], rtol=1e-4)


def test_a_row_comes_first_among_its_copies():
    found = find_neighbourhoods(np.ones((6, 3), np.float32), 4)
    assert (found.indices[:, 0] == np.arange(6)).all()
    assert (found.distances == 0).all()


def make_map(vectors, k, seed=1):
    start = project_pca(fit_pca(vectors), vectors)
    return project_umap(find_neighbourhoods(vectors, min(k, len(vectors) - 1)), start, k=k, seed=seed)


def test_what_is_near_on_a_map_is_near_in_truth():
    """benchmarks/maps.py has the same measure beside the authors' package."""
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(30, 40))[rng.integers(0, 30, 900)] + rng.normal(size=(900, 40))).astype(np.float32)
    flat = project_pca(fit_pca(vectors), vectors)
    found = [trustworthiness(vectors, make_map(vectors, k), n_neighbors=15) for k in (5, 15, 50)]
    assert min(found) > 0.9 > trustworthiness(vectors, flat, n_neighbors=15)


def test_similarities_of_a_row_add_up_to_the_logarithm_of_its_neighbours():
    distances = np.sort(np.random.default_rng(0).random((50, 14)).astype(np.float32), axis=1)
    similarities = weigh_neighbours(distances)
    np.testing.assert_allclose(similarities.sum(axis=1), np.log2(15), atol=1e-3)
    assert (similarities[:, 0] == 1).all()


def test_umap_keeps_groups_apart():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 40)
    vectors = (20 * np.eye(8)[groups] + rng.normal(size=(120, 8))).astype(np.float32)
    coordinates = make_map(vectors, 15)
    distances = np.linalg.norm(coordinates[:, None] - coordinates[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (groups[distances.argmin(axis=1)] == groups).all()


def test_umap_is_the_same_each_time():
    vectors = rows(80)
    assert (make_map(vectors, 15) == make_map(vectors, 15)).all()
    assert (make_map(vectors, 15) != make_map(vectors, 15, seed=2)).any()


@pytest.mark.parametrize("vectors", [rows(4), rows(6), np.ones((30, 3), np.float32)], ids=["4", "6", "equal rows"])
def test_umap_takes_fewer_rows_than_neighbours_and_equal_rows(vectors):
    assert np.isfinite(make_map(vectors, 50)).all()
