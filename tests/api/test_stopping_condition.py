"""How many images to keep, and when to stop."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selection_api import SampleTarget

N_SAMPLES = "spec.workerConfig.stopping_condition.n_samples"
CONDITION = "spec.workerConfig.stopping_condition"


@pytest.mark.parametrize(
    ("written", "target"),
    [
        (0.1, SampleTarget(share=0.1)),
        (1e-5, SampleTarget(share=1e-5)),
        (0.999999, SampleTarget(share=0.999999)),
        ("25%", SampleTarget(share=0.25)),
        ("0.5%", SampleTarget(share=0.005)),
        ("100%", SampleTarget(share=1.0)),
        ("100.0%", SampleTarget(share=1.0)),
        (2, SampleTarget(count=2)),
        (2.0, SampleTarget(count=2)),
        (500, SampleTarget(count=500)),
    ],
)
def test_written_amount_means(parse, written, target):
    assert parse({N_SAMPLES: written}).spec.worker_config.stopping_condition.n_samples == target


@pytest.mark.parametrize("off", [-1, -1.0])
def test_minus_one_is_off(parse, off):
    condition = parse({CONDITION: {"n_samples": off, "min_distance": 0.1}}).spec.worker_config.stopping_condition
    assert condition.n_samples is None


@pytest.mark.parametrize(
    "written",
    [
        *(0, 0.0, -0.5, -2, 2.5, 1e300, 2**31, math.nan, math.inf, -math.inf, True, False, [], {}),
        *("10", "0%", "0.0%", "150%", "100.01%", "-5%", "25 %", "%", "1e1%", "٢٥%", "", "all"),
    ],
    ids=repr,
)
def test_impossible_amount_is_refused_with_the_way_out(problems, written):
    message = problems({N_SAMPLES: written})[N_SAMPLES]
    assert "percentage" in message
    assert "found " in message


@pytest.mark.parametrize("one", [1, 1.0])
def test_exactly_one_is_refused_with_both_ways_out(problems, one):
    message = problems({N_SAMPLES: one})[N_SAMPLES]
    assert '"100%"' in message
    assert "n_samples: 1" in message
    assert "proportion_samples: 1.0" in message


def test_both_off_says_so(problems):
    message = problems({CONDITION: {"n_samples": -1, "min_distance": -1}})[CONDITION]
    assert message.startswith("both n_samples and min_distance are off")


def test_nothing_given_says_that_nothing_tells_how_many(problems):
    assert "nothing tells how many" in problems({"spec.workerConfig": ...})[CONDITION]


def test_min_distance_alone_is_enough(parse):
    assert not parse({CONDITION: {"min_distance": 0.0}}).spec.worker_config.stopping_condition.is_off


def test_a_wrong_amount_is_one_problem_not_two(problems):
    assert list(problems({N_SAMPLES: 0})) == [N_SAMPLES]


@pytest.mark.parametrize(
    ("target", "n_input", "kept"),
    [
        (SampleTarget(share=0.1), 30, 3),
        (SampleTarget(share=0.1), 39, 3),
        (SampleTarget(share=0.1), 5, 1),
        (SampleTarget(share=0.29), 100, 29),
        (SampleTarget(share=0.57), 100, 57),
        (SampleTarget(share=1.0), 7, 7),
        (SampleTarget(count=500), 7, 500),
        (SampleTarget(share=0.3), 10_000_000, 3_000_000),
    ],
)
def test_target_resolves(target, n_input, kept):
    assert target.resolve(n_input) == kept


@given(st.integers(1, 9999), st.integers(1, 10**7))
def test_share_is_the_decimal_that_was_written(hundredths, n_input):
    share = float(f"0.{hundredths:04d}")
    assert SampleTarget(share=share).resolve(n_input) == max(1, math.floor(Fraction(hundredths, 10_000) * n_input))


@given(st.one_of(st.floats(0.0001, 0.9999).map(lambda s: SampleTarget(share=s)), st.integers(2, 2**31 - 1).map(
    lambda c: SampleTarget(count=c)), st.just(SampleTarget(share=1.0))))  # fmt: skip
def test_target_reads_back_as_it_was_written(target):
    from selection_api.stopping_condition import parse_sample_target

    assert parse_sample_target(target.to_manifest()) == target
