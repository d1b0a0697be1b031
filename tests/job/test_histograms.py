"""Distances and histograms against brute force in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_job.numeric import histograms
from selection_job.numeric.histograms import (
    DistanceSample,
    bin_edges,
    count_bins,
    cover_distances,
    describe,
    neighbour_distances,
    pairwise_distances,
    query_rows,
)


def rows(n, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def all_distances(vectors):
    exact = vectors.astype(np.float64)
    return np.linalg.norm(exact[:, None] - exact[None], axis=2)


@given(n=st.integers(2, 30), seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_all_pairs_are_measured_when_there_are_few(n, seed):
    vectors = rows(n, seed=seed)
    sample = pairwise_distances(vectors, seed=0)
    np.testing.assert_allclose(sample.values, all_distances(vectors)[np.triu_indices(n, 1)], rtol=1e-12)
    assert sample.n_all == n * (n - 1) // 2
    assert not sample.is_sampled


def test_many_rows_give_a_stated_random_part_of_their_pairs():
    vectors = rows(2100)
    sample = pairwise_distances(vectors, seed=3)
    exact = all_distances(vectors)[np.triu_indices(2100, 1)]
    assert sample.is_sampled
    assert sample.n_all == len(exact)
    np.testing.assert_allclose(
        np.percentile(sample.values, (10, 50, 90)), np.percentile(exact, (10, 50, 90)), rtol=0.01
    )


def test_a_row_is_never_paired_with_itself():
    vectors = np.arange(2100, dtype=np.float32)[:, None]
    assert pairwise_distances(vectors, seed=0).values.min() >= 1


def test_the_same_seed_draws_the_same_pairs():
    vectors = rows(2100)
    first, again, other = (pairwise_distances(vectors, seed=seed).values for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_rows_have_no_distance(n):
    assert pairwise_distances(rows(n), seed=0).values.size == 0
    assert neighbour_distances(rows(n), seed=0).values.size == 0


def test_neighbour_distances_equal_the_brute_force():
    vectors = rows(300)
    distances = all_distances(vectors)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_allclose(neighbour_distances(vectors, seed=0).values, distances.min(axis=1), rtol=1e-5)


def test_sampled_neighbour_distances_are_those_of_the_sampled_rows(monkeypatch):
    vectors = rows(300)
    distances = all_distances(vectors)
    np.fill_diagonal(distances, np.inf)
    monkeypatch.setattr(histograms, "_QUERY_BUDGET", 0)
    monkeypatch.setattr(histograms, "_LEAST_QUERIES", 40)
    monkeypatch.setattr(histograms, "_BLOCK", 16)  # so that blocks of outside rows are crossed
    sample = neighbour_distances(vectors, seed=5)
    expected = distances.min(axis=1)[query_rows(300, 300, seed=5)]
    assert (len(sample.values), sample.n_all) == (40, 300)
    np.testing.assert_allclose(sample.values, expected, rtol=1e-5)


def test_a_twin_outside_the_sample_is_found(monkeypatch):
    vectors = np.repeat(rows(100), 2, axis=0)
    monkeypatch.setattr(histograms, "_QUERY_BUDGET", 0)
    monkeypatch.setattr(histograms, "_LEAST_QUERIES", 10)
    assert (neighbour_distances(vectors, seed=0).values == 0).all()


def test_cover_distances_equal_the_brute_force():
    vectors = rows(50)
    asked = np.array([3, 10, 49])
    expected = all_distances(vectors)[asked][:, :7].min(axis=1)
    np.testing.assert_allclose(cover_distances(vectors, vectors[:7], asked).values, expected, atol=1e-6)


def test_query_rows_are_distinct_sorted_and_bounded_by_the_budget():
    chosen = query_rows(5_000_000, 1_000_000, seed=0)
    assert len(chosen) == 20_000
    assert (np.diff(chosen) > 0).all()


def test_the_stated_error_of_a_sample_holds_for_its_shares():
    """Of 200 samples about 10 err by more, at a confidence of 95%."""
    everything = np.sort(np.random.default_rng(0).gamma(2, size=20_000))
    n_outside = 0
    for seed in range(200):
        values = np.sort(np.random.default_rng(seed).choice(everything, 500, replace=False))
        sample = DistanceSample(values, len(everything))
        shares = np.searchsorted(values, everything, side="right") / len(values)
        n_outside += np.abs(shares - np.arange(1, len(everything) + 1) / len(everything)).max() > sample.share_error
    assert n_outside <= 20
    assert DistanceSample(everything, len(everything)).share_error == 0
    assert DistanceSample(np.empty(0), 5).share_error == 1


def test_the_metrics_are_numpys():
    values = np.random.default_rng(0).gamma(2, size=501)
    assert describe(values) == pytest.approx(
        {
            "mean": values.mean(),
            "std": values.std(),
            "min": values.min(),
            "max": values.max(),
            "percentile10": np.percentile(values, 10),
            "median": np.median(values),
            "percentile90": np.percentile(values, 90),
        }
    )


def test_no_values_have_no_metrics():
    assert describe(np.empty(0)) is None


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=50), n_bins=st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_every_value_falls_into_exactly_one_bin(values, n_bins):
    edges = bin_edges(max(values), n_bins)
    assert count_bins(np.array(values), edges).sum() == len(values)
    assert (np.diff(edges) > 0).all()
