"""farthest_first, plain and by the tree, against a float64 brute force and the laws of a greedy k-center."""

import functools
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_job.numeric import farthest_first as module
from selection_job.numeric import neighbours
from selection_job.numeric.farthest_first import farthest_first
from selection_job.numeric.greedy import block_greedy, lazy_greedy


@pytest.fixture(params=["plain", "tree", "parts", "blocks"], autouse=True)
def engine(request, monkeypatch):
    """Send every input, however small, through one of the four; parts are three threads, each with a tree."""
    monkeypatch.setattr(lazy_greedy, "_LEAST_ROWS", 40)
    monkeypatch.setattr(module, "count_threads", lambda: 3 if request.param == "parts" else 1)
    monkeypatch.setattr(module, "_is_for_blocks", lambda *_: request.param == "blocks")
    monkeypatch.setattr(block_greedy, "POOL", 50)
    monkeypatch.setattr(block_greedy, "_PAIRS", 5000)
    monkeypatch.setattr(module, "PLAIN_UP_TO", np.inf if request.param == "plain" else 0)
    return request.param


def brute_force(embeddings, n_samples, preselected=(), min_distance=0.0):
    """Greedy k-center in float64, by differences."""
    rows = embeddings.astype(np.float64)
    nearest, picks, radii = np.full(len(rows), np.inf), [], []

    def choose(row):
        np.minimum(nearest, np.linalg.norm(rows - rows[row], axis=1), out=nearest)
        nearest[row] = -1

    for row in dict.fromkeys(preselected):
        choose(row)
    for _ in range(min(n_samples, len(rows) - len(set(preselected)))):
        pick = int(nearest.argmax())
        if nearest[pick] < min_distance:
            break
        choose(pick)
        picks.append(pick)
        radii.append(max(nearest.max(), 0.0))
    return picks, radii


def assert_greedy(embeddings, indices, radii, preselected=()):
    """Each pick is the farthest row, or a tie: nearer than the farthest by no more than float32 can tell."""
    rows = embeddings.astype(np.float64)
    error = (rows.shape[1] + 8) * 2.0**-23
    nearest = np.full(len(rows), np.inf)
    for row in preselected:
        np.minimum(nearest, np.linalg.norm(rows - rows[row], axis=1), out=nearest)
        nearest[row] = -1
    for pick, radius in zip(indices.tolist(), radii.tolist(), strict=True):
        assert nearest[pick] == np.inf or nearest[pick] >= nearest.max() * (1 - error)
        np.minimum(nearest, np.linalg.norm(rows - rows[pick], axis=1), out=nearest)
        nearest[pick] = -1
        assert radius == pytest.approx(max(nearest.max(), 0), rel=error, abs=1e-30)


def integer_rows(seed, n, d):
    """Small integers: distances are exact in float32, so ties are true ties."""
    return np.random.default_rng(seed).integers(-4, 5, (n, d)).astype(np.float32)


def clusters(rng, n, d):
    """Gaussians whose sizes follow a power law and whose spreads differ tenfold."""
    weights = 1 / np.arange(1, 31)
    label = rng.choice(30, n, p=weights / weights.sum())
    spread = rng.uniform(0.02, 0.2, 30)[label, None]
    return rng.normal(size=(30, d))[label] + spread * rng.normal(size=(n, d))


def video_walks(rng, n, d):
    """Scenes of 50 frames, each a small step from the one before."""
    steps = 0.01 * rng.normal(size=(n, d))
    steps[::50] = 3 * rng.normal(size=(len(steps[::50]), d))
    return np.cumsum(steps, axis=0)


KINDS = {
    "clusters": clusters,
    "video walks": video_walks,
    "uniform noise": lambda rng, n, d: rng.random((n, d)),
    "unit sphere": lambda rng, n, d: (x := rng.normal(size=(n, d))) / np.linalg.norm(x, axis=1, keepdims=True),
    "copies": lambda rng, n, d: rng.normal(size=(40, d))[rng.integers(0, 40, n)],
    "near-copies far from the origin": lambda rng, n, d: 100 + rng.integers(0, 9, (n, d)) * 2.0**-17,
    "one far outlier": lambda rng, n, d: rng.normal(size=(n, d)) * np.where(np.arange(n) == 7, 1e6, 1)[:, None],
    "all equal": lambda rng, n, d: np.full((n, d), 0.3),
    "zeros": lambda rng, n, d: np.zeros((n, d)),
    "one line": lambda rng, n, d: np.linspace(0, 1, n)[:, None] * np.ones(d),
}


@functools.cache
def rows_of(kind, n, d):
    return KINDS[kind](np.random.default_rng(5), n, d).astype(np.float32)


@pytest.mark.parametrize(("n", "d", "k"), [(1500, 3, 1500), (1200, 40, 500), (600, 1, 300), (300, 2048, 60)])
@pytest.mark.parametrize("kind", KINDS)
def test_each_pick_is_the_farthest_row_in_float64_up_to_proven_ties(kind, n, d, k):
    embeddings = rows_of(kind, n, d)
    indices, radii = farthest_first(embeddings, k)
    assert len(set(indices.tolist())) == len(indices) == k
    assert_greedy(embeddings, indices, radii)


@pytest.mark.parametrize("kind", ["clusters", "video walks", "uniform noise", "unit sphere", "one far outlier"])
def test_index_lists_equal_the_float64_brute_force(kind):
    """Rows of 16-bit integers: differences, squares and sums are exact in float32, so there are no rounding ties."""
    embeddings = np.round(rows_of(kind, 2000, 8) / np.abs(rows_of(kind, 2000, 8)).max() * 500).astype(np.float32)
    indices, radii = farthest_first(embeddings, 700)
    picks, expected = brute_force(embeddings, 700)
    assert indices.tolist() == picks
    np.testing.assert_allclose(radii, expected, rtol=1e-6)


@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), d=st.integers(1, 5), k=st.integers(0, 64))
@settings(max_examples=150, deadline=None)
def test_picks_and_radii_equal_the_brute_force_whatever_the_ties(seed, n, d, k):
    embeddings = integer_rows(seed, n, d)
    picks, expected = brute_force(embeddings, k)
    for limit in (np.inf, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "PLAIN_UP_TO", limit)
            indices, radii = farthest_first(embeddings, k)
        assert indices.tolist() == picks
        np.testing.assert_allclose(radii, expected, rtol=1e-6, atol=1e-6)


@given(seed=st.integers(0, 10_000), n=st.integers(2, 80), share=st.floats(0.05, 1))
@settings(max_examples=100, deadline=None)
def test_preselected_rows_count_as_chosen_and_are_not_returned(seed, n, share):
    embeddings = integer_rows(seed, n, 3)
    preselected = np.random.default_rng(seed).permutation(n)[: max(1, int(share * n))]
    for limit in (np.inf, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "PLAIN_UP_TO", limit)
            indices, radii = farthest_first(embeddings, n, preselected=preselected)
        picks, expected = brute_force(embeddings, n, preselected.tolist())
        assert indices.tolist() == picks
        np.testing.assert_allclose(radii, expected, rtol=1e-6, atol=1e-6)
    assert not set(indices.tolist()) & set(preselected.tolist())


@pytest.mark.parametrize("n_ties", [600, 3000])
def test_more_ties_than_a_pool_holds_go_to_the_lowest_row(n_ties):
    """Corners of a cube in many dimensions: from the first on, all others are about as far."""
    embeddings = np.zeros((n_ties, 64), dtype=np.float32)
    order = np.random.default_rng(0).permutation(n_ties)
    embeddings[np.arange(n_ties), order % 64] = 1 + order // 64 % 2
    assert farthest_first(embeddings, 200)[0].tolist() == brute_force(embeddings, 200)[0]


def test_the_order_of_the_rows_changes_nothing_but_their_numbers():
    embeddings = rows_of("clusters", 1500, 6)
    order = np.concatenate([[0], 1 + np.random.default_rng(3).permutation(1499)])
    indices, radii = farthest_first(embeddings, 400)
    shuffled, same_radii = farthest_first(embeddings[order], 400)
    assert order[shuffled].tolist() == indices.tolist()
    assert radii.tobytes() == same_radii.tobytes()


@given(exponent=st.integers(-120, 100), seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_the_unit_of_the_rows_changes_nothing_but_the_radii(exponent, seed):
    embeddings = integer_rows(seed, 40, 3)
    scaled = np.ldexp(embeddings, exponent)
    for limit in (np.inf, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "PLAIN_UP_TO", limit)
            indices, radii = farthest_first(embeddings, 40)
            again, scaled_radii = farthest_first(scaled, 40)
        assert again.tolist() == indices.tolist()
        assert scaled_radii.tolist() == np.ldexp(radii, exponent).tolist()


def test_first_pick_is_row_0_and_the_second_the_farthest_from_it():
    indices, radii = farthest_first(np.array([[1.0], [3.0], [5.0]], dtype=np.float32), 2)
    assert indices.tolist() == [0, 2]
    assert radii.tolist() == [4.0, 2.0]


@pytest.mark.parametrize(("kind", "limit"), [("uniform noise", 0.2), ("clusters", 0.3), ("copies", 1e-9)])
def test_min_distance_stops_before_the_first_pick_nearer_than_it(kind, limit):
    embeddings = rows_of(kind, 900, 3)
    indices, radii = farthest_first(embeddings, 900, min_distance=limit)
    distances = np.linalg.norm(embeddings[indices][:, None] - embeddings[indices][None], axis=2)
    assert 1 < len(indices) < 900
    assert distances[~np.eye(len(indices), dtype=bool)].min() >= limit
    assert radii[-1] < limit
    assert indices.tolist() == brute_force(embeddings, 900, min_distance=limit)[0]


@pytest.mark.parametrize("kind", ["clusters", "unit sphere", "copies"])
def test_a_shorter_choice_is_the_beginning_of_a_longer_one(kind):
    embeddings = rows_of(kind, 1500, 8)
    longer = farthest_first(embeddings, 1300)
    for k in (1, 20, 555):
        shorter = farthest_first(embeddings, k)
        assert shorter[0].tolist() == longer[0][:k].tolist()
        assert shorter[1].tobytes() == longer[1][:k].tobytes()


@given(seed=st.integers(0, 10_000), n=st.integers(2, 700), d=st.integers(1, 6), data=st.data())
@settings(max_examples=40, deadline=None)
def test_prefix_and_permutation_properties(seed, n, d, data):
    """The order of the rows matters only for the first pick, and where two are equally far to the last bit."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(n, d)).astype(np.float32)
    k = data.draw(st.integers(1, n))
    order = np.concatenate([[0], 1 + rng.permutation(n - 1)])
    for limit in (np.inf, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "PLAIN_UP_TO", limit)
            indices, radii = farthest_first(embeddings, n)
            shorter, shorter_radii = farthest_first(embeddings, k)
            shuffled, same_radii = farthest_first(embeddings[order], k)
        assert shorter.tolist() == indices[:k].tolist()
        assert shorter_radii.tobytes() == radii[:k].tobytes()
        same = find_first_tie(embeddings, shorter, order[shuffled])
        assert same_radii[:same].tobytes() == shorter_radii[:same].tobytes()


def find_first_tie(embeddings, one, other):
    """How many picks of both are the same; where they part, both picks are equally far from those before."""
    differing = np.flatnonzero(one != other)
    if not len(differing):
        return len(one)
    end = differing[0]
    gaps = np.linalg.norm(embeddings[[one[end], other[end]], None] - embeddings[one[:end]], axis=2).min(axis=1)
    assert gaps[0] == gaps[1]
    return end


def test_the_number_of_threads_changes_no_bit(engine):
    """Each number in a process of its own: libraries read it at their start."""
    program = (
        "import sys, numpy as np; from selection_job.numeric import farthest_first as module;"
        f"module._is_for_blocks = lambda *_: {engine == 'blocks'};"
        f"module.PLAIN_UP_TO = {'np.inf' if engine == 'plain' else '0'};"
        "from selection_job.numeric.greedy import lazy_greedy;"
        f"lazy_greedy._LEAST_ROWS = {500 if engine == 'parts' else 10**9};"
        "rows = np.random.default_rng(0).normal(size=(1500, 40)).astype(np.float32);"
        "found = module.farthest_first(rows, 600); sys.stdout.buffer.write(found[0].tobytes() + found[1].tobytes())"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    ]
    assert len(found[0]) == 600 * (8 + 4)
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_nearest_pick_of_each_row_comes_with_the_choice(kind, engine, monkeypatch):
    monkeypatch.setattr(neighbours, "PLAIN_UP_TO", 0)  # both by the same sums, to the bit
    rows = rows_of(kind, 900, 5)
    found = module.traverse(rows, 200)
    if engine in ("plain", "blocks"):
        assert found.nearest is None
        return
    assert found.nearest[found.indices].tolist() == found.indices.tolist()
    left = np.setdiff1d(np.arange(len(rows)), found.indices)
    expected, _ = neighbours.nearest_rows(rows[left], rows[found.indices])
    np.testing.assert_array_equal(found.nearest[left], found.indices[expected])
    assert module.traverse(rows, 20, preselected=np.arange(3)).nearest is None


@pytest.mark.parametrize("n_first", [1, 30, 700])
def test_two_batches_with_preselection_equal_one_run(n_first):
    embeddings = rows_of("clusters", 1500, 8)
    whole, radii = farthest_first(embeddings, 1000)
    first, _ = farthest_first(embeddings, n_first)
    second, second_radii = farthest_first(embeddings, 1000 - n_first, preselected=first)
    assert [*first.tolist(), *second.tolist()] == whole.tolist()
    assert second_radii.tobytes() == radii[n_first:].tobytes()


def test_exact_copies_are_chosen_last_lowest_row_first():
    embeddings = np.array([[0, 0], [0, 0], [1, 0], [0, 0]], dtype=np.float32)
    assert farthest_first(embeddings, 4)[0].tolist() == [0, 2, 1, 3]


def test_near_duplicates_far_from_the_origin_are_told_apart():
    """2 - 2ab in float32 would see distance 0 here."""
    embeddings = (1000 + np.array([[0.0], [0.001], [0.004]])).astype(np.float32)
    assert farthest_first(embeddings, 3)[0].tolist() == [0, 2, 1]


def test_rows_in_any_memory_order_or_mapped_from_a_file_give_the_same(tmp_path):
    embeddings = rows_of("clusters", 1200, 5)
    np.save(tmp_path / "rows.npy", embeddings)
    expected = farthest_first(embeddings, 50)[0].tolist()
    assert farthest_first(np.asfortranarray(embeddings), 50)[0].tolist() == expected
    assert farthest_first(np.load(tmp_path / "rows.npy", mmap_mode="r"), 50)[0].tolist() == expected
    assert farthest_first(np.repeat(embeddings, 2, axis=0)[::2], 50)[0].tolist() == expected


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (5, 0), (17, 1)])
def test_asking_for_more_than_there_is_takes_all(shape):
    indices, radii = farthest_first(np.zeros(shape, np.float32), 99)
    assert indices.tolist() == list(range(shape[0]))
    assert radii.tolist() == [0.0] * shape[0]


def test_rows_mapped_from_a_file_larger_than_the_memory_are_read_in_blocks(tmp_path, monkeypatch):
    monkeypatch.undo()
    embeddings = rows_of("clusters", 1200, 5)
    np.save(tmp_path / "rows.npy", embeddings)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    used = []
    in_blocks = block_greedy.traverse_in_blocks
    monkeypatch.setattr(block_greedy, "traverse_in_blocks", lambda *a, **k: used.append(1) or in_blocks(*a, **k))
    expected = farthest_first(embeddings, 50)[0].tolist()
    assert farthest_first(mapped, 50)[0].tolist() == expected
    assert not used
    monkeypatch.setattr(module, "find_memory", lambda: mapped.nbytes)
    assert farthest_first(mapped, 50)[0].tolist() == expected
    assert used


def test_asking_for_none_gives_none():
    indices, radii = farthest_first(rows_of("clusters", 1500, 8), 0)
    assert (indices.dtype, radii.dtype) == (np.int64, np.float32)
    assert indices.shape == radii.shape == (0,)


@pytest.mark.parametrize(
    ("embeddings", "options", "message"),
    [
        (np.zeros((2, 1), np.float64), {}, "float32"),
        (np.zeros(3, np.float32), {}, "float32"),
        (np.full((2, 1), np.nan, np.float32), {}, "finite"),
        (np.array([[0], [np.inf]], np.float32), {}, "finite"),
        (np.array([[0], [-np.inf]], np.float32), {}, "finite"),
        (np.zeros((2, 1), np.float32), {"preselected": np.array([2])}, "preselected"),
        (np.zeros((2, 1), np.float32), {"preselected": np.array([-1])}, "preselected"),
    ],
    ids=["float64", "one dimension", "NaN", "infinity", "minus infinity", "out of range", "negative row"],
)
def test_unusable_input_is_refused(embeddings, options, message):
    with pytest.raises(ValueError, match=message):
        farthest_first(embeddings, 1, **options)


def test_negative_n_samples_is_refused():
    with pytest.raises(ValueError, match="n_samples"):
        farthest_first(np.zeros((2, 1), np.float32), -1)
