"""GatheredSources: counts and shares from predictions, and what is said where something is not there."""

import dataclasses

import numpy as np
import pytest

from selection_job.errors import UnusableData
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.selection.gathered_sources import GatheredSources


def make_task(owners, category_index, probabilities=None):
    return TaskPredictions(
        name="t", kind="object-detection", categories=(Category(3, "car"), Category(7, "bus"), Category(9, "rare")),
        has_file=np.ones(4, bool), owners=np.array(owners, np.int64),
        category_index=np.array(category_index, np.int32), scores=np.ones(len(owners), np.float32),
        probabilities=None if probabilities is None else np.array(probabilities, np.float32),
    )  # fmt: skip


OBJECTS = ([0, 0, 2, 3, 3, 3], [0, 1, 0, 0, 0, 1])


def test_objects_of_the_categories_are_counted_for_each_image():
    sources = GatheredSources(4, tasks={"t": make_task(*OBJECTS)})
    assert sources.category_counts("t", ["car"]).tolist() == [1, 0, 1, 2]
    assert sources.category_counts("t", ["bus", "car"]).tolist() == [2, 0, 1, 3]
    assert sources.category_counts("t", ["rare"]).tolist() == [0, 0, 0, 0]


def test_the_distribution_is_the_sum_of_the_probabilities_and_1_for_an_object_without():
    nan = np.nan
    probabilities = [[0.5, 0.5, 0], [nan] * 3, [0.2, 0.2, 0.6], [1, 0, 0], [nan] * 3, [nan] * 3]
    sources = GatheredSources(4, tasks={"t": make_task(*OBJECTS, probabilities)})
    sums, names = sources.class_distributions("t")
    assert names == ("car", "bus", "rare")
    expected = [[0.5, 1.5, 0], [0, 0, 0], [0.2, 0.2, 0.6], [2, 1, 0]]
    np.testing.assert_allclose(sums, expected, rtol=1e-6)


def test_an_empty_task_counts_nothing():
    sources = GatheredSources(4, tasks={"t": make_task([], [])})
    assert sources.category_counts("t", ["car"]).tolist() == [0, 0, 0, 0]
    assert sources.class_distributions("t")[0].tolist() == [[0, 0, 0]] * 4


def test_what_is_not_there_is_named_beside_what_is():
    sources = GatheredSources(4, tasks={"t": make_task(*OBJECTS)}, columns={"w": MetadataColumn("w", labels=["a"] * 4)})
    for call, message in (
        (lambda: sources.category_counts("t", ["car", "tram"]), r"no categories 'tram'; .*'car', 'bus', 'rare'"),
        (lambda: sources.class_distributions("u"), "no predictions of the task 'u'; the tasks of this run: 't'"),
        (lambda: sources.scores("u", "uncertainty_margin"), "no predictions of the task 'u'"),
        (lambda: sources.metadata("v"), "no metadata 'v'; the keys of this run: 'w'"),
        (lambda: GatheredSources(4).metadata("v"), "the keys of this run: none"),
        (lambda: sources.scores("", "al_score"), "takes scores from a column al_score"),
        (lambda: sources.object_vectors("t"), "No objects"),
        (lambda: sources.query_vectors("d", "t"), "d/t was not loaded"),
    ):
        with pytest.raises(UnusableData, match=message):
            call()


def test_the_scores_of_the_embeddings_table_have_no_task():
    scores = np.array([0.1, 0.2])
    assert GatheredSources(2, table_scores=scores).scores("", "al_score") is scores


def test_shares_that_would_fill_the_memory_are_refused():
    with pytest.raises(UnusableData, match=r"task t has 3 categories for 1,000,000,000 images; .* 500,000,000 at most"):
        GatheredSources(10**9, tasks={"t": make_task(*OBJECTS)}).class_distributions("t")


def test_probabilities_of_categories_are_added_up_and_the_object_that_has_most_counts():
    probabilities = [[0.5, 0.4, 0.1], [0.2, 0.2, 0.6], [0.9, 0.1, 0], [1, 0, 0], [0.1, 0.8, 0.1], [0, 0, 1]]
    sources = GatheredSources(4, tasks={"t": make_task(*OBJECTS, probabilities)})
    found = sources.category_probabilities("t", ["rare", "bus"])
    np.testing.assert_allclose(found, [0.8, 0, 0.1, 1], atol=1e-6)


def test_a_mere_score_is_the_probability_of_its_category():
    sources = GatheredSources(4, tasks={"t": make_task([1], [2])})
    assert sources.category_probabilities("t", ["rare"]).tolist() == [0, 1, 0, 0]
    assert sources.category_probabilities("t", ["car"]).tolist() == [0, 0, 0, 0]


def test_an_unknown_category_has_no_probability():
    sources = GatheredSources(4, tasks={"t": make_task(*OBJECTS)})
    with pytest.raises(UnusableData, match="no categories 'tram'"):
        sources.category_probabilities("t", ["tram"])


def test_a_zero_shot_task_is_balanced_by_the_best_category_whole():
    probabilities = [[0.6, 0.4, 0], [0.1, 0.9, 0], [0.5, 0.3, 0.2]]
    task = dataclasses.replace(make_task([0, 1, 2], [0, 1, 0], probabilities), is_zero_shot=True)
    assert GatheredSources(4, tasks={"t": task}).class_distributions("t")[0].tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [1, 0, 0],
        [0, 0, 0],
    ]
