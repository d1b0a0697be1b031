"""Zero-shot tasks of vectors made by hand: prompts, probabilities, and what is said where nothing is told apart."""

import numpy as np
import pytest

from selection_api.zero_shot import ZeroShotTask
from selection_job.errors import UnusableData
from selection_job.predictions import zero_shot
from selection_job.predictions.zero_shot import (
    classify_images,
    list_prompts,
    make_zero_shot_schema,
    measure_certainty,
    note_certainty,
)

TASK = ZeroShotTask.model_validate(
    {
        "name": "weather",
        "categories": [{"name": "rain"}, {"name": "snow", "texts": ["a white street"]}, {"name": "fog"}],
        "templates": ["a street in {}.", "{}"],
    }
)
SCHEMA = make_zero_shot_schema(TASK)
CORNERS = np.eye(3, dtype=np.float32)


def classify(rows, classes=CORNERS, scale=5.0):
    return classify_images(SCHEMA, np.array(rows, dtype=np.float32), np.array(classes, np.float32), scale=scale)


def test_a_category_without_texts_stands_in_the_templates():
    prompts = [list_prompts(TASK, category) for category in TASK.categories]
    assert prompts == [("a street in rain.", "rain"), ("a white street",), ("a street in fog.", "fog")]


def test_each_image_is_one_whole_object_of_its_best_category():
    task = classify([[3, 0, 0], [0, 0.2, 0.1], [0, 0, 9]])
    assert task.owners.tolist() == [0, 1, 2]
    assert task.category_index.tolist() == [0, 1, 2]
    raised = np.exp(5 * np.array([[0, 2, 1]]) / np.sqrt(5))
    np.testing.assert_allclose(task.probabilities[1], (raised / raised.sum())[0], atol=1e-6)
    np.testing.assert_array_equal(task.scores, task.probabilities.max(axis=1))


def test_other_prompts_and_other_encoders_make_other_schemas():
    changed = TASK.model_copy(update={"templates": ("{}",)})
    made = {make_zero_shot_schema(one, encoder).made_by for one in (TASK, changed) for encoder in ("a", "b")}
    assert len(made) == 4
    assert all(words.startswith("zero_shot_tasks ") for words in made)


def test_alike_categories_and_one_for_all_are_told_and_good_ones_are_not():
    alike = classify([[1, 0, 0]] * 4, [[0, 1, 0]] * 3)
    assert measure_certainty(alike, 4).mean_entropy == pytest.approx(1)
    assert "can't tell these categories apart: on average" in measure_certainty(alike, 4).remark
    one = classify([[1, 0, 0]] * 4)
    assert measure_certainty(one, 4).shares == {"rain": 1, "snow": 0, "fog": 0}
    assert measure_certainty(one, 4).remark.startswith("More than 99% of the images are rain")
    good = classify([[1, 0, 0], [0, 1, 0]])
    assert measure_certainty(good, 2).remark is None
    assert list(note_certainty(good, 2)) == []


def test_a_share_of_99_percent_is_not_yet_one_for_all():
    rows = [[1, 0, 0]] * 99 + [[0, 1, 0]]
    assert measure_certainty(classify(rows), 100).remark is None


def test_probabilities_that_would_fill_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr(zero_shot, "MOST_PROBABILITIES", 5)
    with pytest.raises(UnusableData, match="has 3 categories for 2 images; their product may be 5 at most"):
        classify([[1, 0, 0], [0, 1, 0]])
