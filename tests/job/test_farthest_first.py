"""farthest_first against a float64 brute force and the laws of a greedy k-center."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_job.numeric.farthest_first import farthest_first


def brute_force(embeddings, n_samples, preselected=(), min_distance=0.0):
    """Greedy k-center in float64, all distances from scratch at each step."""
    rows = embeddings.astype(np.float64)
    chosen, picks, radii = list(preselected), [], []
    for _ in range(min(n_samples, len(rows) - len(set(preselected)))):
        if chosen:
            distances = np.linalg.norm(rows[:, None] - rows[chosen][None], axis=2).min(axis=1)
            distances[chosen] = -1
            pick = int(distances.argmax())
            if distances[pick] < min_distance:
                break
        else:
            pick = 0
        chosen.append(pick)
        picks.append(pick)
        radii.append(np.linalg.norm(rows[:, None] - rows[chosen][None], axis=2).min(axis=1).max())
    return picks, radii


def integer_rows(seed, n, d):
    """Small integers: distances are exact in float32, so ties are true ties."""
    return np.random.default_rng(seed).integers(-4, 5, (n, d)).astype(np.float32)


@given(seed=st.integers(0, 10_000), n=st.integers(1, 12), d=st.integers(1, 4), k=st.integers(0, 14))
@settings(max_examples=150, deadline=None)
def test_picks_and_radii_equal_the_brute_force(seed, n, d, k):
    embeddings = integer_rows(seed, n, d)
    indices, radii = farthest_first(embeddings, k)
    picks, expected = brute_force(embeddings, k)
    assert indices.tolist() == picks
    np.testing.assert_allclose(radii, expected, rtol=1e-6, atol=1e-6)


@given(seed=st.integers(0, 10_000), n=st.integers(2, 12), share=st.floats(0.1, 0.9))
@settings(max_examples=100, deadline=None)
def test_preselected_rows_count_as_chosen_and_are_not_returned(seed, n, share):
    embeddings = integer_rows(seed, n, 3)
    preselected = np.random.default_rng(seed).permutation(n)[: max(1, int(share * n))]
    indices, _ = farthest_first(embeddings, n, preselected=preselected)
    assert indices.tolist() == brute_force(embeddings, n, preselected.tolist())[0]
    assert not set(indices.tolist()) & set(preselected.tolist())


def test_first_pick_is_row_0_and_the_second_the_farthest_from_it():
    indices, radii = farthest_first(np.array([[1.0], [3.0], [5.0]], dtype=np.float32), 2)
    assert indices.tolist() == [0, 2]
    assert radii.tolist() == [4.0, 2.0]


def test_min_distance_stops_before_the_first_pick_nearer_than_it():
    embeddings = np.random.default_rng(0).random((60, 2)).astype(np.float32)
    indices, radii = farthest_first(embeddings, 60, min_distance=0.2)
    distances = np.linalg.norm(embeddings[indices][:, None] - embeddings[indices][None], axis=2)
    assert distances[~np.eye(len(indices), dtype=bool)].min() >= 0.2
    assert radii[-1] < 0.2


def test_a_shorter_choice_is_the_beginning_of_a_longer_one():
    embeddings = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)
    shorter, longer = farthest_first(embeddings, 20), farthest_first(embeddings, 50)
    assert shorter[0].tolist() == longer[0][:20].tolist()
    assert shorter[1].tolist() == longer[1][:20].tolist()


def test_two_batches_with_preselection_equal_one_run():
    embeddings = np.random.default_rng(2).normal(size=(300, 8)).astype(np.float32)
    first, _ = farthest_first(embeddings, 30)
    second, _ = farthest_first(embeddings, 30, preselected=first)
    assert [*first.tolist(), *second.tolist()] == farthest_first(embeddings, 60)[0].tolist()


def test_exact_copies_are_chosen_last_lowest_row_first():
    embeddings = np.array([[0, 0], [0, 0], [1, 0], [0, 0]], dtype=np.float32)
    assert farthest_first(embeddings, 4)[0].tolist() == [0, 2, 1, 3]


def test_near_duplicates_far_from_the_origin_are_told_apart():
    """2 - 2ab in float32 would see distance 0 here."""
    embeddings = (1000 + np.array([[0.0], [0.001], [0.004]])).astype(np.float32)
    assert farthest_first(embeddings, 3)[0].tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("embeddings", "options", "message"),
    [
        (np.zeros((2, 1), np.float64), {}, "float32"),
        (np.zeros(3, np.float32), {}, "float32"),
        (np.full((2, 1), np.nan, np.float32), {}, "finite"),
        (np.zeros((2, 1), np.float32), {"preselected": np.array([2])}, "preselected"),
    ],
    ids=["float64", "one dimension", "NaN", "preselected out of range"],
)
def test_unusable_input_is_refused(embeddings, options, message):
    with pytest.raises(ValueError, match=message):
        farthest_first(embeddings, 1, **options)


def test_negative_n_samples_is_refused():
    with pytest.raises(ValueError, match="n_samples"):
        farthest_first(np.zeros((2, 1), np.float32), -1)
