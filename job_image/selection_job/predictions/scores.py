"""Active-learning scores: from the predictions of a task to a number for each image, high where a label helps most.

The formulas are those of lightly's open scorers (lightly/active_learning/scorers of 2023), which the worker's
documentation names.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from selection_api.worker_config import ScorerConfig
from selection_job.catalog.image_names import quote_some
from selection_job.errors import UnusableData
from selection_job.predictions.task_predictions import TaskPredictions, find_categories

_BLOCK = 65536

Rows = NDArray[np.float64]


def least_confidence(probabilities: Rows) -> Rows:
    """Return (m,) 1 - the largest of each row (m, c), scaled so that equal shares give 1."""
    c = probabilities.shape[1]
    return np.asarray(np.clip((1 - probabilities.max(axis=1)) / (1 - 1 / c), 0, 1))


def margin(probabilities: Rows) -> Rows:
    """Return (m,) 1 - the difference of the two largest of each row (m, c)."""
    top = np.partition(probabilities, -2, axis=1)
    return np.asarray(np.clip(1 - (top[:, -1] - top[:, -2]), 0, 1))


def entropy(probabilities: Rows) -> Rows:
    """Return (m,) the entropy of each row (m, c), scaled so that equal shares give 1; 0 log 0 is 0."""
    logs = np.log2(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    c = probabilities.shape[1]
    return np.asarray(np.clip(-(probabilities * logs).sum(axis=1) / np.log2(c), 0, 1))


_UNCERTAINTIES: Mapping[str, Callable[[Rows], Rows]] = {
    "uncertainty_least_confidence": least_confidence,
    "uncertainty_margin": margin,
    "uncertainty_entropy": entropy,
}
_OF_OBJECTS = ("object_frequency", "objectness_least_confidence", *_UNCERTAINTIES)
_SCORES: Mapping[str, tuple[str, ...]] = {
    "classification": tuple(_UNCERTAINTIES),
    "object-detection": _OF_OBJECTS,
    "instance-segmentation": _OF_OBJECTS,
    "semantic-segmentation": tuple(_UNCERTAINTIES),
    "keypoint-detection": ("mean_uncertainty", "object_frequency"),
}


def available_scores(task: TaskPredictions) -> tuple[str, ...]:
    """Return the names of the scores that a task's kind has."""
    return _SCORES.get(task.kind, ())


def check_score(task: TaskPredictions, score: str) -> None:
    """Raise UnusableData where the task's kind has no such score, naming those it has."""
    if score not in available_scores(task):
        known = quote_some(list(available_scores(task))) or "none"
        raise UnusableData(f"The task {task.name!r} ({task.kind}) has no score {score!r}; its scores: {known}.")


def compute_score(
    task: TaskPredictions, score: str, n: int, *, scorer_config: ScorerConfig | None = None
) -> NDArray[np.float64]:
    """Return (n,) 0..1 the score of each image; 0 where the task says nothing about it (object_frequency: the least).

    Uncertainties of an image are those of its most uncertain object; of a semantic segmentation the mean over the
    segments weighted by their areas. A prediction without probabilities counts as its score for its category and
    equal shares of the rest for the others.
    Raises UnusableData where the task's kind has no such score, naming those it has.
    """
    check_score(task, score)
    if score == "object_frequency":
        return _object_frequency(task, n, scorer_config or ScorerConfig())
    if score == "objectness_least_confidence":
        return _one_minus_mean(task.scores, task.owners, n)
    if score == "mean_uncertainty":
        return _one_minus_mean(_keypoint_confidences(task), task.owners, n)
    values = _score_objects(task, _UNCERTAINTIES[score])
    if task.kind == "semantic-segmentation":
        return _weighted_mean(values, _areas(task), task.owners, n)
    largest = np.zeros(n)
    np.maximum.at(largest, task.owners, values)
    return largest


def add_probabilities(task: TaskPredictions, categories: Sequence[str], n: int) -> NDArray[np.float64]:
    """Return (n,) 0..1 the probabilities of these categories added up; 0 where the task says nothing about an image.

    An image with several objects counts by the one that is one of them most probably. An object without probabilities
    counts as compute_score has it.
    Raises UnusableData for a category that the task has not.
    """
    places = find_categories(task, categories)
    largest = np.zeros(n)
    for start in range(0, len(task.owners), _BLOCK):
        block = slice(start, start + _BLOCK)
        sums = class_probabilities(task, block)[:, places].sum(axis=1)
        np.maximum.at(largest, task.owners[block], np.clip(sums, 0, 1))
    return largest


def _object_frequency(task: TaskPredictions, n: int, config: ScorerConfig) -> NDArray[np.float64]:
    """Add 1 for the first object of a category on an image and the penalty for each further one; scale over all."""
    pairs = task.owners * len(task.categories) + task.category_index
    found, counts = np.unique(pairs, return_counts=True)
    raw = np.zeros(n)
    np.add.at(raw, found // max(len(task.categories), 1), 1 + config.frequency_penalty * (counts - 1))
    low, high = (raw.min(), raw.max()) if n else (0.0, 0.0)
    share = (raw - low) / (high - low) if high > low else np.ones(n)
    return np.asarray(config.min_score + (1 - config.min_score) * share)


def _one_minus_mean(values: NDArray[np.float32], owners: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    counts = np.bincount(owners, minlength=n)
    sums = np.bincount(owners, weights=values, minlength=n)
    return np.where(counts > 0, 1 - sums / np.maximum(counts, 1), 0.0)


def _weighted_mean(values: Rows, weights: Rows, owners: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    total = np.bincount(owners, weights=weights, minlength=n)
    sums = np.bincount(owners, weights=values * weights, minlength=n)
    return np.asarray(np.divide(sums, total, out=np.zeros(n), where=total > 0))


def _score_objects(task: TaskPredictions, measure: Callable[[Rows], Rows]) -> Rows:
    """Return (m,) the measure of each object's distribution, block by block: 80 classes of a million take 640 MB."""
    values = np.empty(len(task.owners))
    for start in range(0, len(values), _BLOCK):
        block = slice(start, start + _BLOCK)
        values[block] = measure(class_probabilities(task, block))
    return values


def class_probabilities(task: TaskPredictions, block: slice = slice(None)) -> NDArray[np.float64]:
    """Return (m, max(c, 2)) distributions of the objects; a single category gets the rest as a second one."""
    c = len(task.categories)
    scores = task.scores[block].astype(np.float64)
    probabilities = np.repeat(((1 - scores) / max(c - 1, 1))[:, None], max(c, 2), axis=1)
    probabilities[np.arange(len(scores)), task.category_index[block]] = scores
    if task.probabilities is None:
        return probabilities
    given = task.probabilities[block].astype(np.float64)
    if c == 1:
        given = np.concatenate([given, 1 - given], axis=1)
    is_given = np.isfinite(given).all(axis=1)
    probabilities[is_given] = given[is_given]
    return probabilities


def _keypoint_confidences(task: TaskPredictions) -> NDArray[np.float32]:
    if task.keypoint_confidences is None:
        raise UnusableData(f"The predictions of the task {task.name!r} have no keypoints.")
    return task.keypoint_confidences


def _areas(task: TaskPredictions) -> NDArray[np.float64]:
    if task.areas_px is None:
        raise UnusableData(f"The predictions of the task {task.name!r} have no segments.")
    return task.areas_px
