"""Values of sentences and images in one space, beside plain loops."""

import math

import numpy as np
import pytest

from selection_job.numeric import sentences
from selection_job.numeric.sentences import (
    average_prompts,
    measure_fit,
    measure_probabilities,
    share_below,
    stand_out,
)

RNG = np.random.default_rng(5)
ROWS = (RNG.normal(size=(40, 8)) * RNG.uniform(0.1, 30, size=(40, 1))).astype(np.float32)
TEXTS = RNG.normal(size=(3, 8)).astype(np.float32)
OTHERS = RNG.normal(size=(2, 8)).astype(np.float32)


def cosine(a, b):
    a, b = a.astype(float).tolist(), b.astype(float).tolist()
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


@pytest.fixture(params=[False, True])
def small_blocks(request, monkeypatch):
    """As a whole, and a few rows at a time."""
    if request.param:
        monkeypatch.setattr(sentences, "_BLOCK_NUMBERS", 100)


@pytest.mark.usefixtures("small_blocks")
def test_with_alternatives_the_value_is_the_softmax_over_all_sentences_summed_over_the_texts():
    fit = measure_fit(ROWS, TEXTS, OTHERS, scale=7.5)
    for row, value, nearest in zip(ROWS, fit.values, fit.nearest, strict=True):
        raised = [math.exp(7.5 * cosine(row, text)) for text in (*TEXTS, *OTHERS)]
        assert value == pytest.approx(sum(raised[:3]) / sum(raised), abs=1e-9)
        assert nearest == max(range(3), key=lambda i: raised[i])


@pytest.mark.usefixtures("small_blocks")
def test_without_alternatives_an_image_counts_by_its_best_query_whatever_its_length():
    fit = measure_fit(ROWS, TEXTS)
    expected = [max(cosine(row, text) for text in TEXTS) for row in ROWS]
    np.testing.assert_allclose(fit.values, expected, atol=1e-9)
    doubled = measure_fit(2 * ROWS, 3 * TEXTS)
    np.testing.assert_allclose(doubled.values, expected, atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_probabilities_of_categories_add_up_to_1_and_are_those_of_a_loop():
    probabilities = measure_probabilities(ROWS, OTHERS, scale=3.0)
    for row, found in zip(ROWS, probabilities, strict=True):
        raised = [math.exp(3 * cosine(row, other)) for other in OTHERS]
        assert found.tolist() == pytest.approx([one / sum(raised) for one in raised], abs=1e-6)


def test_a_large_scale_neither_overflows_nor_loses_the_best():
    fit = measure_fit(
        np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[:1], np.eye(3, dtype=np.float32)[1:], scale=1e6
    )
    assert fit.values.tolist() == [1, 0, 0]


def test_a_vector_of_zeros_fits_everything_alike():
    fit = measure_fit(np.zeros((1, 8), np.float32), TEXTS, OTHERS, scale=100)
    assert fit.values[0] == pytest.approx(3 / 5)


def test_the_share_is_of_the_other_images_that_fit_less_well():
    values = RNG.integers(0, 12, 30).astype(float)
    expected = [sum(other < value for other in values) / 29 for value in values]
    np.testing.assert_allclose(share_below(values), expected)
    assert share_below(np.array([3.0])).tolist() == [1.0]
    assert share_below(np.array([])).tolist() == []


def test_the_best_twentieth_has_shares_of_at_least_095():
    assert int((share_below(RNG.normal(size=200)) >= 0.95).sum()) == 10


def test_how_far_a_value_stands_out_is_the_logistic_of_2_z_minus_4():
    values, among = RNG.normal(size=50), RNG.normal(3, 2, size=80)
    z = (values - np.mean(among)) / np.std(among)
    np.testing.assert_allclose(stand_out(values, among), 1 / (1 + np.exp(-2 * (z - 2))))
    assert stand_out(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == pytest.approx(1 / (1 + math.exp(4)))


def test_prompts_of_a_category_become_one_vector_of_unit_length():
    unit = TEXTS / np.linalg.norm(TEXTS, axis=1, keepdims=True)
    mean = unit.mean(axis=0)
    np.testing.assert_allclose(average_prompts(unit), mean / np.linalg.norm(mean), atol=1e-6)
