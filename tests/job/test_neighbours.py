"""Nearest neighbours, compared one and all and by the tree, against a brute force in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_job.numeric import neighbours
from selection_job.numeric.neighbours import find_neighbours, nearest_rows


@pytest.fixture(params=["plain", "tree"], autouse=True)
def engine(request, monkeypatch):
    """Send every input, however small, through one of the two."""
    monkeypatch.setattr(neighbours, "PLAIN_UP_TO", np.inf if request.param == "plain" else -1)
    return request.param


def measure(queries, references, exclude_same_row):
    distances = np.linalg.norm(queries[:, None].astype(np.float64) - references[None], axis=2)
    if exclude_same_row:
        np.fill_diagonal(distances, np.inf)
    return distances


def assert_nearest(queries, references, k, exclude_same_row=False):
    """The k smallest distances, and rows that have them: no row left out is nearer than float32 can tell."""
    indices, distances = find_neighbours(queries, references, k, exclude_same_row=exclude_same_row)
    exact = measure(queries, references, exclude_same_row)
    error = (queries.shape[1] + 8) * 2.0**-23
    found = np.take_along_axis(exact, indices, axis=1)
    np.testing.assert_allclose(found, np.sort(exact, axis=1)[:, :k], rtol=error, atol=1e-30)
    np.testing.assert_allclose(distances, found, rtol=error, atol=1e-30)
    assert all(len(set(row)) == k for row in indices.tolist())


def clusters(rng, n, d):
    return rng.normal(size=(20, d))[rng.integers(0, 20, n)] + 0.05 * rng.normal(size=(n, d))


KINDS = {
    "clusters": clusters,
    "video walks": lambda rng, n, d: np.cumsum(0.01 * rng.normal(size=(n, d)), axis=0),
    "uniform noise": lambda rng, n, d: rng.random((n, d)),
    "near-copies far from the origin": lambda rng, n, d: 100 + rng.integers(0, 9, (n, d)) * 2.0**-17,
    "one far outlier": lambda rng, n, d: rng.normal(size=(n, d)) * np.where(np.arange(n) == 7, 1e6, 1)[:, None],
}


@pytest.mark.parametrize(("n", "d", "k"), [(700, 3, 20), (500, 40, 5), (300, 1, 7), (60, 2048, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_no_row_is_nearer_than_those_found(kind, n, d, k):
    rows = KINDS[kind](np.random.default_rng(3), n, d).astype(np.float32)
    assert_nearest(rows, rows, k, exclude_same_row=True)
    assert_nearest(rows[: n // 3], rows[n // 3 :], k)


@given(
    seed=st.integers(0, 10_000), m=st.integers(1, 40), n=st.integers(2, 70), d=st.integers(1, 4), k=st.integers(1, 9)
)
@settings(max_examples=100, deadline=None)
def test_indices_equal_the_brute_force_whatever_the_ties(seed, m, n, d, k):
    """Small integers: distances are exact in float32, so ties are true ties, and go to the lowest row."""
    rng = np.random.default_rng(seed)
    queries, references = (rng.integers(-2, 3, (rows, d)).astype(np.float32) for rows in (m, n))
    for limit in (np.inf, -1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(neighbours, "PLAIN_UP_TO", limit)
            found = find_neighbours(queries, references, min(k, n))[0]
            own = find_neighbours(references, references, min(k, n - 1), exclude_same_row=True)[0]
        expected = measure(queries, references, False).argsort(axis=1, kind="stable")[:, : min(k, n)]
        assert found.tolist() == expected.tolist()
        expected = measure(references, references, True).argsort(axis=1, kind="stable")[:, : min(k, n - 1)]
        assert own.tolist() == expected.tolist()


def test_of_many_copies_the_lowest_rows_are_the_neighbours():
    rows = np.zeros((2000, 3), np.float32)
    indices, distances = find_neighbours(rows, rows, 3, exclude_same_row=True)
    assert (distances == 0).all()
    assert indices[:4].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert (indices[3:] == [0, 1, 2]).all()


@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_number_of_threads_changes_no_bit(seed):
    rows = clusters(np.random.default_rng(seed), 1500, 5).astype(np.float32)
    found = []
    threads = torch.get_num_threads()
    for n_threads in (1, 2, 3):
        torch.set_num_threads(n_threads)
        found.append(find_neighbours(rows, rows, 4, exclude_same_row=True))
    torch.set_num_threads(threads)
    assert all(indices.tobytes() == found[0][0].tobytes() for indices, _ in found)
    assert all(distances.tobytes() == found[0][1].tobytes() for _, distances in found)


@pytest.mark.parametrize("exponent", [-100, -40, 60, 110])
def test_the_unit_of_the_rows_changes_nothing_but_the_distances(exponent):
    rows = np.random.default_rng(0).integers(-4, 5, (60, 3)).astype(np.float32)
    indices, distances = nearest_rows(rows[:20], rows[20:])
    scaled_indices, scaled = find_neighbours(np.ldexp(rows[:20], exponent), np.ldexp(rows[20:], exponent), 1)
    assert scaled_indices[:, 0].tolist() == indices.tolist()
    np.testing.assert_allclose(scaled[:, 0], np.ldexp(distances, exponent), rtol=1e-6)


def test_near_duplicates_are_told_apart_by_differences():
    """2 - 2ab in float32 would take any of the three for the nearest."""
    rows = (500 + np.array([[0.0], [0.001], [0.004]])).astype(np.float32)
    assert nearest_rows(rows, rows, exclude_same_row=True)[0].tolist() == [1, 0, 1]


def test_no_queries_give_no_answers():
    indices, distances = nearest_rows(np.zeros((0, 3), np.float32), np.zeros((1, 3), np.float32))
    assert indices.shape == distances.shape == (0,)


def test_rows_without_features_are_all_copies():
    assert nearest_rows(np.zeros((3, 0), np.float32), np.zeros((2, 0), np.float32))[0].tolist() == [0, 0, 0]


def test_rows_mapped_from_a_file_give_the_same(tmp_path):
    rows = clusters(np.random.default_rng(0), 400, 5).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert nearest_rows(mapped[:50], mapped[50:])[0].tolist() == nearest_rows(rows[:50], rows[50:])[0].tolist()


def test_a_single_row_has_no_other_neighbour():
    with pytest.raises(ValueError, match="at least 2"):
        nearest_rows(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32), exclude_same_row=True)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value):
    rows = np.zeros((5, 2), np.float32)
    with pytest.raises(ValueError, match="finite"):
        nearest_rows(np.full((1, 2), value, np.float32), rows)
    with pytest.raises(ValueError, match="finite"):
        nearest_rows(rows, np.full((1, 2), value, np.float32))
