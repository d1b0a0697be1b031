"""Active-learning scores: tables computed by hand, a plain loop over images as the reference, and what a task lacks."""

import math

import numpy as np
import pytest

from selection_api.worker_config import ScorerConfig
from selection_job.errors import UnusableData
from selection_job.predictions.scores import available_scores, compute_score
from selection_job.predictions.task_predictions import Category, TaskPredictions

UNCERTAINTIES = ("uncertainty_least_confidence", "uncertainty_margin", "uncertainty_entropy")


def task(kind, n, owners, category_index, *, scores=None, probabilities=None, c=3, **columns):
    m = len(owners)
    return TaskPredictions(
        name="t",
        kind=kind,
        categories=tuple(Category(10 * i, f"class {i}") for i in range(c)),
        has_file=np.ones(n, dtype=bool),
        owners=np.array(owners, dtype=np.int64),
        category_index=np.array(category_index, dtype=np.int32),
        scores=np.array([0.5] * m if scores is None else scores, dtype=np.float32),
        probabilities=None if probabilities is None else np.array(probabilities, dtype=np.float32).reshape(m, c),
        **columns,
    )


CLASSIFIED = [  # probabilities; least confidence, margin, entropy by hand
    ([1.0, 0.0, 0.0], (0.0, 0.0, 0.0)),
    ([1 / 3, 1 / 3, 1 / 3], (1.0, 1.0, 1.0)),
    ([0.5, 0.5, 0.0], (0.75, 1.0, 1 / math.log2(3))),
    ([0.7, 0.2, 0.1], (0.45, 0.5, 1.1567796494470395 / math.log2(3))),
]


@pytest.mark.parametrize(("probabilities", "expected"), CLASSIFIED)
def test_uncertainties_of_a_classification_are_those_computed_by_hand(probabilities, expected):
    weather = task("classification", 1, [0], [0], probabilities=[probabilities])
    found = [compute_score(weather, score, 1)[0] for score in UNCERTAINTIES]
    assert found == pytest.approx(expected, abs=1e-6)


def test_one_category_counts_as_it_and_its_opposite():
    certain = task("classification", 2, [0, 1], [0, 0], probabilities=[[1.0], [0.5]], c=1)
    assert compute_score(certain, "uncertainty_margin", 2) == pytest.approx([0, 1])
    assert compute_score(certain, "uncertainty_entropy", 2) == pytest.approx([0, 1])


def test_an_image_is_as_uncertain_as_its_most_uncertain_object_and_without_objects_not_at_all():
    cars = task("object-detection", 3, [0, 0, 2], [0, 1, 2], probabilities=[[1, 0, 0], [0.2, 0.7, 0.1], [0, 0, 1]])
    assert compute_score(cars, "uncertainty_margin", 3) == pytest.approx([0.5, 0, 0])


def test_without_probabilities_the_score_goes_to_the_category_and_the_rest_to_the_others():
    cars = task("object-detection", 2, [0, 1], [0, 2], scores=[0.6, 0.9])
    assert compute_score(cars, "uncertainty_margin", 2) == pytest.approx([1 - 0.4, 1 - 0.85], abs=1e-6)
    expected = [(1 - 0.6) * 1.5, (1 - 0.9) * 1.5]
    assert compute_score(cars, "uncertainty_least_confidence", 2) == pytest.approx(expected, abs=1e-6)


def test_objects_with_and_without_probabilities_are_scored_side_by_side():
    nothing = [np.nan] * 3
    mixed = task("object-detection", 2, [0, 1], [0, 0], scores=[0.6, 0.6], probabilities=[nothing, [1, 0, 0]])
    assert compute_score(mixed, "uncertainty_margin", 2) == pytest.approx([0.6, 0], abs=1e-6)


def test_object_frequency_counts_further_objects_of_a_class_less_and_is_scaled_over_the_data_set():
    owners, classes = [0, 0, 0, 1, 2, 2], [0, 0, 1, 2, 0, 1]
    cars = task("object-detection", 4, owners, classes)
    raw = np.array([1.25 + 1, 1, 2, 0])
    assert compute_score(cars, "object_frequency", 4) == pytest.approx(0.9 + 0.1 * raw / 2.25)
    own = ScorerConfig(frequency_penalty=1.0, min_score=0.0)
    assert compute_score(cars, "object_frequency", 4, scorer_config=own) == pytest.approx([1, 1 / 3, 2 / 3, 0])


def test_images_that_all_have_as_many_objects_have_the_highest_frequency():
    assert compute_score(task("object-detection", 2, [0, 1], [0, 0]), "object_frequency", 2).tolist() == [1, 1]
    assert compute_score(task("object-detection", 2, [], []), "object_frequency", 2).tolist() == [1, 1]


def test_objectness_is_one_minus_the_mean_score_of_the_objects():
    cars = task("object-detection", 3, [0, 0, 2], [0, 0, 0], scores=[0.5, 1.0, 0.25])
    assert compute_score(cars, "objectness_least_confidence", 3) == pytest.approx([0.25, 0, 0.75])


def test_mean_uncertainty_is_one_minus_the_mean_confidence_of_the_keypoints():
    confidences = np.array([0.25, 0.75, 1.0], dtype=np.float32)
    people = task("keypoint-detection", 3, [0, 0, 1], [0, 0, 0], keypoint_confidences=confidences)
    assert compute_score(people, "mean_uncertainty", 3) == pytest.approx([0.5, 0, 0])


def test_segments_count_by_their_area():
    road = task(
        "semantic-segmentation", 2, [0, 0], [0, 1], probabilities=[[1, 0, 0], [0.5, 0.5, 0]],
        areas_px=np.array([300.0, 100.0]),
    )  # fmt: skip
    assert compute_score(road, "uncertainty_margin", 2) == pytest.approx([0.25, 0])


def test_scores_of_many_objects_equal_a_loop_over_the_images():
    random = np.random.default_rng(0)
    n, m, c = 500, 70_000, 4  # more objects than one block
    owners = np.sort(random.integers(0, n, m))
    probabilities = random.dirichlet([0.3] * c, m).astype(np.float32)
    cars = task("object-detection", n, owners, random.integers(0, c, m), probabilities=probabilities, c=c)
    found = compute_score(cars, "uncertainty_entropy", n)
    for row in range(0, n, 25):
        own = probabilities[owners == row].astype(float)
        loop = [-sum(p * math.log2(p) for p in one if p > 0) / math.log2(c) for one in own]
        assert found[row] == pytest.approx(max(loop, default=0), abs=1e-6)


@pytest.mark.parametrize("kind", ["classification", "object-detection", "semantic-segmentation", "keypoint-detection"])
def test_a_score_that_the_kind_lacks_is_refused_with_those_it_has(kind):
    some = task(kind, 1, [0], [0])
    with pytest.raises(UnusableData, match=rf"no score 'beauty'.*{available_scores(some)[0]}"):
        compute_score(some, "beauty", 1)


FROM_SCORES = [  # score of the first of three categories; least confidence, margin, entropy by hand
    (1.0, (0.0, 0.0, 0.0)),
    (0.6, (0.6, 0.6, -(0.6 * math.log2(0.6) + 0.4 * math.log2(0.2)) / math.log2(3))),
    (0.1, (0.825, 1.0, -(0.1 * math.log2(0.1) + 0.9 * math.log2(0.45)) / math.log2(3))),
    (0.0, (0.75, 1.0, 1 / math.log2(3))),
]


@pytest.mark.parametrize(("score", "expected"), FROM_SCORES)
@pytest.mark.parametrize("kind", ["object-detection", "instance-segmentation", "classification"])
def test_uncertainties_of_a_mere_score_are_those_computed_by_hand(kind, score, expected):
    cars = task(kind, 1, [0], [0], scores=[score])
    assert [compute_score(cars, name, 1)[0] for name in UNCERTAINTIES] == pytest.approx(expected, abs=1e-6)


def test_segments_with_mere_scores_count_by_their_area_too():
    areas = np.array([100.0, 300.0, 0.0, 7.0])
    road = task("semantic-segmentation", 3, [0, 0, 0, 2], [0, 1, 2, 0], scores=[1, 0.6, 0.1, 0.6], areas_px=areas)
    assert compute_score(road, "uncertainty_margin", 3) == pytest.approx([0.75 * 0.6, 0, 0.6], abs=1e-6)
    entropy = -(0.6 * math.log2(0.6) + 0.4 * math.log2(0.2)) / math.log2(3)
    assert compute_score(road, "uncertainty_entropy", 3) == pytest.approx([0.75 * entropy, 0, entropy], abs=1e-6)


def test_object_frequency_equals_the_formula_over_a_data_set():
    random = np.random.default_rng(1)
    n, m, c = 200, 900, 4
    owners, classes = np.sort(random.integers(0, n - 20, m)), random.integers(0, c, m)
    config = ScorerConfig(frequency_penalty=0.4, min_score=0.3)
    raw = []
    for row in range(n):
        counts = [int(((owners == row) & (classes == one)).sum()) for one in range(c)]
        raw.append(sum(1 + 0.4 * (count - 1) for count in counts if count))
    expected = [0.3 + 0.7 * (value - min(raw)) / (max(raw) - min(raw)) for value in raw]
    for kind in ("object-detection", "instance-segmentation", "keypoint-detection"):
        found = compute_score(task(kind, n, owners, classes, c=c), "object_frequency", n, scorer_config=config)
        assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    "kind",
    ["classification", "object-detection", "instance-segmentation", "semantic-segmentation", "keypoint-detection"],
)
def test_an_image_without_predictions_has_the_least_of_every_score(kind):
    columns = {"areas_px": np.array([5.0]), "keypoint_confidences": np.array([0.5], np.float32)}
    some = task(kind, 3, [1], [0], **columns)
    for score in available_scores(some):
        missing = 0.9 if score == "object_frequency" else 0
        assert compute_score(some, score, 3)[[0, 2]] == pytest.approx([missing] * 2), score
        nothing = task(kind, 2, [], [], **{name: column[:0] for name, column in columns.items()})
        assert compute_score(nothing, score, 2).tolist() == [1 if score == "object_frequency" else 0] * 2
