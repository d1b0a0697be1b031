"""select against the published small cases, a brute force written from the formulas, and lightly's own engine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_job.numeric import strategies as module
from selection_job.numeric.farthest_first import farthest_first
from selection_job.numeric.greedy import states
from selection_job.numeric.greedy.objectives import (
    Balance,
    Diversity,
    Weights,
    input_target,
    is_within,
    random_weights,
    similarity_weights,
    typicality_weights,
    uniform_target,
)
from selection_job.numeric.greedy.states import make_state
from selection_job.numeric.strategies import select


def rows(values):
    return np.array(values, dtype=np.float32)


def chosen(n, strategies, n_samples, **options):
    return select(n, strategies, n_samples, **options).indices.tolist()


def weights(*values, **options):
    return Weights(np.array(values, dtype=float), **options)


def balance(distributions, target, **options):
    return Balance(np.array(distributions, dtype=float), np.array(target, dtype=float), **options)


MIXED = [[1, 0], [0.3, 0.7], [0, 1], [0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("n", "strategies", "expected"),
    [
        (3, [Diversity(rows([[1], [3], [5]]))], [0, 2]),
        (3, [weights(1, 2, 3)], [2, 1]),
        (3, [weights(1, 2, 3), weights(6, 5, 3)], [1, 2]),
        (3, [Weights(similarity_weights(rows([0, 2**0.5, 0.1])))], [0, 2]),
        (5, [balance(MIXED, [0.5, 0.5])], [4, 1]),
    ],
    ids=["diversity", "weights", "two weights", "similarity", "balance"],
)
def test_the_published_small_cases(n, strategies, expected):
    assert chosen(n, strategies, 2) == expected


def test_the_documented_product_of_21_and_10_8_is_not_the_largest_of_either():
    """The worker's page: objective values 21.0/20.8/20.5 and 10.3/10.8/10.9 choose the second."""
    assert chosen(3, [weights(21.0, 20.8, 20.5), weights(10.3, 10.8, 10.9)], 1) == [1]


def brute_force(n, vectors, strength, weight_lists, balances, k):
    """The product of objectives, literally, every distance from scratch at each pick."""
    picks = []
    for _ in range(k):
        values = np.full(n, -np.inf)
        for row in set(range(n)) - set(picks):
            value = 0.0
            if picks:
                others = [[p for p in picks if p != s] for s in picks]
                among = sum(
                    min((((vectors[s] - vectors[o]) ** 2).sum() for o in other), default=0.0)
                    for s, other in zip(picks, others, strict=True)
                )
                own = min(((vectors[row] - vectors[p]) ** 2).sum() for p in picks)
                value += strength * np.log(max(among + own, 1e-20))
            for values_of, b in weight_lists:
                value += b * np.log(values_of[[*picks, row]].sum())
            for classes, target, c in balances:
                counts = classes[[*picks, row]].sum(axis=0)
                value += c * np.log((np.sqrt(counts / counts.sum() * target)).sum())
            values[row] = value
        picks.append(int(values.argmax()))
    return picks


@given(seed=st.integers(0, 10_000), a=st.sampled_from([0.5, 1, 2, -1]), b=st.sampled_from([0.3, 1, -2]))
@settings(max_examples=60, deadline=None)
def test_mixes_equal_the_brute_force(seed, a, b):
    rng = np.random.default_rng(seed)
    n = 25
    vectors, values, classes = rng.normal(size=(n, 3)).astype(np.float32), rng.random(n) + 0.01, rng.random((n, 3))
    target = np.array([0.6, 0.3, 0.1])
    strategies = [Diversity(vectors, strength=a), Weights(values, strength=b), Balance(classes, target, strength=3)]
    expected = brute_force(n, vectors.astype(float), a, [(values, b)], [(classes, target, 3)], 9)
    assert chosen(n, strategies, 9) == expected


def test_the_order_of_the_strategies_changes_nothing():
    rng = np.random.default_rng(1)
    mix = [Diversity(rng.normal(size=(60, 4)).astype(np.float32)), Weights(rng.random(60)), Weights(rng.random(60))]
    assert chosen(60, mix, 20) == chosen(60, mix[::-1], 20)


def test_the_unit_of_a_strategy_changes_nothing():
    rng = np.random.default_rng(2)
    vectors, values = rng.normal(size=(60, 4)).astype(np.float32), rng.random(60)
    expected = chosen(60, [Diversity(vectors), Weights(values)], 20)
    assert chosen(60, [Diversity(vectors * 8), Weights(values * 1000)], 20) == expected


def test_a_strength_of_0_switches_a_strategy_off_and_a_negative_one_turns_it_round():
    vectors = np.random.default_rng(3).normal(size=(50, 3)).astype(np.float32)
    assert (
        chosen(50, [Diversity(vectors), weights(*range(50), strength=0)], 20) == farthest_first(vectors, 20)[0].tolist()
    )
    assert chosen(4, [weights(3, 1, 2, 4, strength=-1)], 3) == [1, 2, 0]


def test_preselected_rows_count_and_two_batches_equal_one_run():
    rng = np.random.default_rng(4)
    mix = [Diversity(rng.normal(size=(60, 4)).astype(np.float32)), Weights(rng.random(60))]
    whole = chosen(60, mix, 20)
    assert chosen(60, mix, 12, preselected=np.array(whole[:8])) == whole[8:]


def test_rows_outside_the_threshold_are_never_chosen_alone_or_in_a_mix():
    vectors, scores = np.arange(6, dtype=np.float32)[:, None], np.array([0.1, 0.9, 0.5, np.nan, 0.7, 0.2])
    eligible = is_within(scores, "BIGGER_EQUAL", 0.5)
    assert eligible.tolist() == [False, True, True, False, True, False]
    assert chosen(6, [Diversity(vectors)], 9, eligible=eligible) == [1, 4, 2]
    assert chosen(6, [Diversity(vectors), Weights(np.ones(6))], 9, eligible=eligible) == [1, 4, 2]


@pytest.mark.parametrize(
    ("operation", "kept"), [("SMALLER", [0]), ("SMALLER_EQUAL", [0, 1]), ("BIGGER", [2]), ("BIGGER_EQUAL", [1, 2])]
)
def test_the_four_comparisons_of_a_threshold(operation, kept):
    assert np.flatnonzero(is_within(np.array([1.0, 2.0, 3.0]), operation, 2.0)).tolist() == kept


def test_each_stopping_condition_ends_the_selection_and_says_so():
    line = rows([[0], [1], [2], [10]])
    ends = {
        "min_distance": [Diversity(line, min_distance=1.5), Weights(np.ones(4))],
        "max_sum": [weights(4, 3, 2, 1, max_sum=6)],
        "least_value": [weights(4, 3, 2, 1, least_value=2.5)],
    }
    for reason, strategies in ends.items():
        choice = select(4, strategies, 4)
        assert choice.stopped_by == reason
        assert len(choice.indices) == {"min_distance": 3, "max_sum": 2, "least_value": 2}[reason]


def test_a_target_range_is_met_where_it_can_be():
    values = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    choice = select(5, [Weights(values, target_range=(None, 8))], 3)
    assert values[choice.indices].sum() <= 8
    rising = [Weights(values, strength=-1, target_range=(11, None))]
    assert values[select(5, rising, 3).indices].sum() >= 11


def test_unnamed_classes_share_the_rest_of_the_target():
    classes = [[1, 0]] * 5 + [[0, 1]] * 5  # the named class, any other
    choice = select(10, [balance(classes, [0.25, 0.75])], 4)
    assert (choice.indices < 5).sum() == 1


def test_a_balance_reaches_its_target_on_unequal_input():
    label = np.array([0] * 80 + [1] * 15 + [2] * 5)
    classes = np.eye(3)[label]
    for target in (uniform_target(3), input_target(classes), np.array([0.2, 0.5, 0.3])):
        picks = select(100, [Balance(classes, target)], 10).indices
        shares = classes[picks].mean(axis=0)
        assert np.abs(shares - target).max() <= 0.1


def test_several_vectors_of_a_row_count_by_their_mean():
    """Rows 1 and 2 have one object far out, row 2 another one nearby: 1 is the farther one; row 3 has none."""
    vectors, owners = rows([[0], [9], [9], [1], [5]]), np.array([0, 1, 2, 2, 4])
    choice = select(5, [Diversity(vectors, owners=owners)], 5)
    assert choice.indices.tolist()[:2] == [0, 1]
    assert choice.distances.tolist()[1] == 9.0
    assert choice.indices.tolist()[-1] in (2, 3)


def test_every_pick_says_at_what_distance_it_was_taken_and_what_each_strategy_gave():
    choice = select(3, [Diversity(rows([[0], [1], [3]])), weights(1, 3, 1)], 2)
    assert choice.indices.tolist() == [1, 2]
    assert choice.distances.tolist() == [np.inf, 2.0]
    np.testing.assert_allclose(choice.contributions, np.log([[1, 3], [4, 4]]), atol=1e-12)


def test_negative_values_are_raised_to_0():
    assert chosen(3, [weights(-5, -1, -3)], 3) == [1, 2, 0]


def test_random_weights_are_the_same_for_a_seed_and_others_for_another():
    assert random_weights(9, 5).tolist() == random_weights(9, 5).tolist()
    assert random_weights(9, -5).tolist() != random_weights(9, 5).tolist()


@pytest.mark.parametrize(
    "strategies",
    [
        [],
        [weights(1, 2)],
        [weights(1, np.nan, 3)],
        [Diversity(np.zeros((2, 1), np.float32)), weights(1, 2, 3)],
        [balance([[1], [1]], [1])],
        [balance([[1], [1], [-1]], [1])],
        [balance([[1], [1], [1]], [1.5])],
    ],
)
def test_arrays_that_do_not_fit_are_refused(strategies):
    with pytest.raises(ValueError, match=r"need|target"):
        select(3, strategies, 1)


def test_similarity_and_typicality_are_as_defined():
    assert similarity_weights(rows([0, 0])).tolist() == [1, 1]
    np.testing.assert_allclose(similarity_weights(rows([1, 3])), np.exp([-0.5, -1.5]))
    np.testing.assert_allclose(
        typicality_weights(rows([[1, 2], [3, 6]])), np.exp(-np.array([[1, 2], [3, 6]]) / 3).mean(axis=1)
    )


@pytest.mark.parametrize("a", [1.0, 0.4, -0.5])
@pytest.mark.parametrize("b", [0.7, -1.0])
@pytest.mark.parametrize("preselected", [[], [3, 600]])
def test_bounds_over_a_tree_give_the_picks_of_the_dense_greedy(monkeypatch, a, b, preselected):
    rng = np.random.default_rng(7)
    n = 700
    vectors = (rng.normal(size=(20, 6))[rng.integers(0, 20, n)] + 0.1 * rng.normal(size=(n, 6))).astype(np.float32)
    strategies = [
        Balance(np.eye(4)[rng.integers(0, 4, n)], uniform_target(4)),
        Diversity(vectors, strength=a),
        Weights(rng.random(n), strength=b),
        Weights(rng.random(n) ** 4),
    ]
    options = {"eligible": rng.random(n) < 0.9, "preselected": np.array(preselected, dtype=np.int64)}
    dense = select(n, strategies, 150, **options)
    monkeypatch.setattr(module, "DENSE_UP_TO", 0)
    lazy = select(n, strategies, 150, **options)
    assert lazy.indices.tolist() == dense.indices.tolist()
    np.testing.assert_allclose(lazy.distances, dense.distances, rtol=1e-5)
    np.testing.assert_allclose(lazy.contributions, dense.contributions, rtol=1e-5, atol=1e-5)
    assert (lazy.nearest is None) == bool(preselected)
    if not preselected:
        assert_nearest(vectors, lazy)


def assert_nearest(vectors, choice):
    """The choice says which pick is nearest to each row: by distance, as picks of equal distance may lie apart."""
    distances = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors[choice.indices], axis=2)
    own = np.linalg.norm(vectors.astype(np.float64) - vectors[choice.nearest], axis=1)
    np.testing.assert_allclose(own, distances.min(axis=1), rtol=1e-5, atol=1e-6)
    assert np.isin(choice.nearest, choice.indices).all()


def assert_best(n, strategies, indices, error=1e-5):
    """Each pick is the best by the float64 states, or a tie: worth less than the best by no more than rounding."""
    states_ = [make_state(strategy, n) for strategy in strategies]
    is_open = np.ones(n, dtype=bool)
    for row in indices.tolist():
        gains = sum(state.gain() for state in states_)
        assert gains[row] >= gains[is_open].max() - error
        is_open[row] = False
        for state in states_:
            state.add(row)


def clusters(rng, n, d):
    weights = 1 / np.arange(1, 31)
    label = rng.choice(30, n, p=weights / weights.sum())
    return rng.normal(size=(30, d))[label] + rng.uniform(0.02, 0.2, 30)[label, None] * rng.normal(size=(n, d))


KINDS = {
    "clusters": clusters,
    "video walks": lambda rng, n, d: np.cumsum(0.01 * rng.normal(size=(n, d)), axis=0),
    "uniform noise": lambda rng, n, d: rng.random((n, d)),
    "copies": lambda rng, n, d: rng.normal(size=(40, d))[rng.integers(0, 40, n)],
    "all equal": lambda rng, n, d: np.full((n, d), 0.3),
    "one far outlier": lambda rng, n, d: rng.normal(size=(n, d)) * np.where(np.arange(n) == 7, 1e3, 1)[:, None],
}


@pytest.mark.parametrize(("n", "d", "k"), [(1500, 6, 700), (400, 1, 400), (300, 2048, 60), (1, 3, 1), (20, 3, 20)])
@pytest.mark.parametrize("kind", KINDS)
def test_each_pick_of_a_mix_is_the_best_in_float64_up_to_proven_ties(monkeypatch, kind, n, d, k):
    rng = np.random.default_rng(9)
    vectors = KINDS[kind](rng, n, d).astype(np.float32)
    classes = np.eye(5)[rng.choice(5, n, p=[0.4, 0.3, 0.2, 0.08, 0.02])]
    strategies = [Diversity(vectors), Weights(rng.random(n)), Balance(classes, uniform_target(5))]
    monkeypatch.setattr(module, "DENSE_UP_TO", 0)
    choice = select(n, strategies, k)
    assert len(set(choice.indices.tolist())) == k
    assert_best(n, strategies, choice.indices)


@pytest.mark.parametrize("kind", ["copies", "all equal"])
def test_where_rows_are_equal_in_everything_the_lowest_is_taken(monkeypatch, kind):
    """More rows are tied than a pool holds."""
    n = 2500
    vectors = np.round(KINDS[kind](np.random.default_rng(4), n, 3) * 4).astype(np.float32)
    strategies = [Diversity(vectors), Weights(np.ones(n))]
    dense = select(n, strategies, 120).indices.tolist()
    monkeypatch.setattr(module, "DENSE_UP_TO", 0)
    assert select(n, strategies, 120).indices.tolist() == dense


@given(
    seed=st.integers(0, 10_000),
    a=st.sampled_from([0.3, 1, 2, -1, 0]),
    b=st.sampled_from([0.5, 1, -2, 0]),
    n_kinds=st.integers(1, 6),
    n_chosen=st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_bounds_over_a_tree_change_no_pick_whatever_the_strengths(seed, a, b, n_kinds, n_chosen):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 400))
    label = rng.integers(0, n_kinds, n)
    strategies = [
        Weights(rng.normal(size=n), strength=b),
        Diversity(rng.normal(size=(n, 3)).astype(np.float32), strength=a),
        Balance(np.eye(n_kinds)[label], uniform_target(n_kinds), strength=2),
        Balance(np.stack([label % 2, label // 2], axis=1).astype(float), np.array([0.3, 0.5])),
    ]
    options = {"eligible": rng.random(n) < 0.8, "preselected": rng.permutation(n)[:n_chosen]}
    dense = select(n, strategies, 40, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DENSE_UP_TO", 0)
        lazy = select(n, strategies, 40, **options)
    assert lazy.indices.tolist() == dense.indices.tolist()
    assert lazy.stopped_by == dense.stopped_by
    np.testing.assert_allclose(lazy.contributions, dense.contributions, rtol=1e-4, atol=1e-4)


def test_a_mix_by_bounds_is_the_beginning_of_a_longer_one(monkeypatch):
    monkeypatch.setattr(module, "DENSE_UP_TO", 0)
    rng = np.random.default_rng(3)
    vectors = clusters(rng, 1200, 5).astype(np.float32)
    strategies = [Diversity(vectors), Weights(rng.random(1200))]
    longer = chosen(1200, strategies, 900)
    assert all(chosen(1200, strategies, k) == longer[:k] for k in (1, 255, 256, 257, 600))
    assert chosen(1200, strategies, 500, preselected=np.array(longer[:400])) == longer[400:]


@pytest.mark.parametrize("case", ["two diversities", "objects", "range", "soft classes"])
def test_kernels_in_float32_give_the_picks_of_the_float64_states(monkeypatch, case):
    rng = np.random.default_rng(6)
    n = 800
    vectors = clusters(rng, n, 6).astype(np.float32)
    owners = rng.integers(0, n, 2 * n)  # some rows have many vectors, some none
    strategies = {
        "two diversities": [Diversity(vectors), Diversity(rng.normal(size=(n, 3)).astype(np.float32), strength=0.5)],
        "objects": [
            Diversity(clusters(rng, 2 * n, 4).astype(np.float32), owners=owners, min_distance=0.01),
            Weights(rng.random(n)),
        ],
        "range": [Diversity(vectors), Weights(rng.random(n), target_range=(40, 60))],
        "soft classes": [Diversity(vectors), Balance(rng.dirichlet(np.ones(4), n), uniform_target(4))],
    }[case]
    exact = select(n, strategies, 100)
    monkeypatch.setattr(module, "DENSE_UP_TO", 0)
    monkeypatch.setattr(states, "EXACT_UP_TO", 0)
    fast = select(n, strategies, 100)
    assert fast.indices.tolist() == exact.indices.tolist()
    np.testing.assert_allclose(fast.distances, exact.distances, rtol=1e-5)
    np.testing.assert_allclose(fast.contributions, exact.contributions, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("limit", [0, 3000])
@pytest.mark.parametrize("exponent", [-90, 80])
def test_vectors_of_any_magnitude_are_told_apart(monkeypatch, limit, exponent):
    monkeypatch.setattr(module, "DENSE_UP_TO", limit)
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(300, 3)).astype(np.float32)
    values = rng.random(300)
    usual = select(300, [Diversity(vectors, min_distance=0.5), Weights(values)], 200)
    scaled = Diversity(np.ldexp(vectors, exponent), min_distance=float(np.ldexp(0.5, exponent)))
    choice = select(300, [scaled, Weights(values)], 200)
    assert choice.indices.tolist() == usual.indices.tolist()
    assert choice.stopped_by == usual.stopped_by == "min_distance"
    np.testing.assert_allclose(choice.distances, np.ldexp(usual.distances, exponent), rtol=1e-6)


@pytest.mark.parametrize("limit", [0, 3000])
@pytest.mark.parametrize(
    "strategy",
    [
        Diversity(np.full((3, 2), np.nan, np.float32)),
        Diversity(np.array([[0], [np.inf], [1]], np.float32)),
        Diversity(np.zeros((2, 1), np.float32)),
        Diversity(np.zeros((2, 1), np.float32), owners=np.array([0, 3])),
        Diversity(np.zeros((2, 1), np.float32), owners=np.array([0, 1, 2])),
    ],
    ids=["NaN", "infinity", "too few", "owner out of range", "owners of other length"],
)
def test_vectors_that_do_not_fit_are_refused_before_anything_is_compared(monkeypatch, limit, strategy):
    monkeypatch.setattr(module, "DENSE_UP_TO", limit)
    with pytest.raises(ValueError, match=r"need|finite"):
        select(3, [strategy, Weights(np.ones(3))], 1)


def test_classes_that_are_equally_wanted_are_equal_to_the_bit():
    classes = np.eye(7)[np.random.default_rng(2).permutation(np.arange(70) % 7)]
    picks = chosen(70, [Balance(classes, uniform_target(7))], 21)
    assert picks[:1] == [0]
    assert all(len(set(classes[picks[i : i + 7]].argmax(axis=1))) == 7 for i in (0, 7, 14))
    firsts = [int(np.flatnonzero(classes[:, c])[0]) for c in range(7)]
    assert sorted(picks[:7]) == sorted(firsts) == picks[:7]


@pytest.mark.parametrize(("stop", "reason"), [({"max_sum": 20}, "max_sum"), ({"least_value": 0.5}, "least_value")])
def test_bounds_over_a_tree_end_where_the_dense_greedy_does(monkeypatch, stop, reason):
    rng = np.random.default_rng(8)
    vectors, values = rng.normal(size=(300, 4)).astype(np.float32), rng.random(300)
    strategies = [Diversity(vectors, min_distance=0.01), Weights(values, **stop)]
    dense = select(300, strategies, 300)
    monkeypatch.setattr(module, "DENSE_UP_TO", 0)
    lazy = select(300, strategies, 300)
    assert (lazy.indices.tolist(), lazy.stopped_by) == (dense.indices.tolist(), reason)
    assert lazy.nearest is None  # the tree knows of picks that were not kept
