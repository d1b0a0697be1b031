"""Greedy by groups gives the picks of the dense greedy, and is taken where it can be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_job.numeric import strategies as module
from selection_job.numeric.greedy.grouped_greedy import find_groups
from selection_job.numeric.greedy.objectives import Balance, Diversity, Weights, uniform_target
from selection_job.numeric.strategies import select


def make_mix(rng, n, *, strength, n_balances, has_weights):
    mix = [
        Balance(np.eye(c)[rng.integers(0, c, n)], uniform_target(c), strength=rng.choice([1, 2.5]))
        for c in (3, 4)[:n_balances]
    ]
    if has_weights or not mix:
        mix.insert(0, Weights(rng.integers(0, 30, n) / 8.0, strength=strength))
    return mix


@given(
    seed=st.integers(0, 10_000), strength=st.sampled_from([1, 0.4, -1, 0]), n_balances=st.integers(0, 2),
    has_weights=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_groups_give_the_picks_of_the_dense_greedy(seed, strength, n_balances, has_weights):
    rng = np.random.default_rng(seed)
    n = 70
    mix = make_mix(rng, n, strength=strength, n_balances=n_balances, has_weights=has_weights)
    options = {"eligible": rng.random(n) < 0.8, "preselected": rng.integers(0, n, seed % 4)}
    dense = select(n, mix, 25, **options)
    before, module.DENSE_UP_TO = module.DENSE_UP_TO, 0
    try:
        assert find_groups(n, mix) is not None
        grouped = select(n, mix, 25, **options)
    finally:
        module.DENSE_UP_TO = before
    assert grouped.indices.tolist() == dense.indices.tolist()
    assert grouped.stopped_by == dense.stopped_by
    np.testing.assert_allclose(grouped.contributions, dense.contributions, rtol=1e-12)


@pytest.mark.parametrize(
    ("limit", "reason"), [({"max_sum": 9.0}, "max_sum"), ({"least_value": 3.0}, "least_value"), ({}, "no row left")]
)
def test_groups_end_where_the_dense_greedy_does(monkeypatch, limit, reason):
    mix = [Weights(np.arange(6.0), **limit)]
    dense = select(6, mix, 9)
    monkeypatch.setattr(module, "DENSE_UP_TO", 0)
    grouped = select(6, mix, 9)
    assert (grouped.indices.tolist(), grouped.stopped_by) == (dense.indices.tolist(), reason)


def test_there_are_no_groups_where_rows_differ_in_more():
    rng = np.random.default_rng(0)
    values, soft = rng.random(5000), rng.random((5000, 3))
    one_hot = Balance(np.eye(3)[rng.integers(0, 3, 5000)], uniform_target(3))
    for mix in (
        [Weights(values), Weights(values)],
        [Weights(values, target_range=(None, 9.0)), one_hot],
        [Balance(soft, uniform_target(3))],
        [one_hot, Diversity(soft.astype(np.float32))],
    ):
        assert find_groups(5000, mix) is None
    assert len(find_groups(5000, [one_hot, Weights(values)]).examples) == 3
