"""Statistics of metadata and predictions: the input beside the selection and a random choice of the same size."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.report.measures.box_examples import choose_boxes
from selection_job.report.measures.candidates import Candidates
from selection_job.report.measures.value_sets import SETS, compare_labels, compare_numbers, count_labels, rows_of_sets
from selection_job.selection.gathered_sources import GatheredSources

MOST_COLUMNS = 50
"""Keys of metadata that are described."""

MOST_CATEGORIES = 1000
"""Categories whose names are listed."""

MOST_COUNTED = 12
"""Categories whose numbers of objects on an image are described, the most frequent first."""

_COMPUTED = "lightly."

JsonObject = dict[str, Any]
Rows = dict[str, NDArray[np.int64]]


def describe_metadata(sources: GatheredSources, pool: Candidates) -> JsonObject:
    """Return metadataInformation: of each key the values of the input, the selection and a random choice."""
    rows = rows_of_sets(pool)
    found: JsonObject = {"lightlyNumeric": {}, "customNumeric": {}, "customCategorical": {}}
    for key in sorted(sources.columns)[:MOST_COLUMNS]:
        column = sources.columns[key]
        if column.numbers is not None:
            kind = "lightlyNumeric" if key.startswith(_COMPUTED) else "customNumeric"
            found[kind][key] = compare_numbers({name: column.numbers[rows[name]] for name in SETS})
        else:
            found["customCategorical"][key] = _compare_words(column, rows)
    return {**found, "nKeys": len(sources.columns)}


def _compare_words(column: MetadataColumn, rows: Rows) -> JsonObject:
    labels = column.labels or []
    return compare_labels({name: count_labels([labels[row] for row in rows[name].tolist()]) for name in SETS})


def describe_predictions(sources: GatheredSources, pool: Candidates, catalog: Catalog) -> JsonObject:
    """Return predictionTaskInformation: for each task its classes, objects and scores in each set."""
    rows, found = rows_of_sets(pool), {}
    for name, task in sorted(sources.tasks.items()):
        found[name] = _describe_task(task, rows, sources)
        if task.boxes_px is not None:
            found[name]["detectionTaskInformation"] = {"bboxExamples": choose_boxes(task, rows["selected"], catalog)}
    return found


def _describe_task(task: TaskPredictions, rows: Rows, sources: GatheredSources) -> JsonObject:
    n, names = len(task.has_file), [category.name for category in task.categories]
    is_object = {key: _mark(rows[key], n)[task.owners] for key in SETS}
    per_image = np.bincount(task.owners, minlength=n).astype(np.float64)
    return {
        "taskType": task.kind,
        "nCategories": len(names),
        "categoryIdToName": {str(one.id): one.name for one in task.categories[:MOST_CATEGORIES]},
        "nImagesWithPredictions": {key: int(task.has_file[rows[key]].sum()) for key in SETS},
        "categoryDistribution": compare_labels({key: _count(task, names, is_object[key]) for key in SETS}),
        "categoryToImageWithCategoryCount": compare_labels(
            {key: _count(task, names, is_object[key] & _is_first(task)) for key in SETS}
        ),
        "objectsPerSample": compare_numbers({key: per_image[rows[key]] for key in SETS}),
        "categoryToCountsPerSample": _count_per_image(task, names, rows),
        "predictionScoreDistribution": compare_numbers(
            {key: task.scores[is_object[key]].astype(np.float64) for key in SETS}
        ),
        "activeLearningScoreDistributions": {
            score: compare_numbers({key: values[rows[key]] for key in SETS})
            for (of_task, score), values in sorted(sources.known_scores.items())
            if of_task == task.name
        },
    }


def _mark(rows: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    marked = np.zeros(n, dtype=bool)
    marked[rows] = True
    return marked


def _count(task: TaskPredictions, names: list[str], is_counted: NDArray[np.bool_]) -> dict[str, int]:
    counts = np.bincount(task.category_index[is_counted], minlength=len(names))
    return dict(zip(names, counts.tolist(), strict=True))


def _is_first(task: TaskPredictions) -> NDArray[np.bool_]:
    """Return (m,) True for the first object of its category on an image."""
    pairs = task.owners * max(1, len(task.categories)) + task.category_index
    first = np.zeros(len(pairs), dtype=bool)
    first[np.unique(pairs, return_index=True)[1]] = True
    return first


def _count_per_image(task: TaskPredictions, names: list[str], rows: Rows) -> JsonObject:
    totals = np.bincount(task.category_index, minlength=len(names))
    found = {}
    for place in np.argsort(-totals, kind="stable")[:MOST_COUNTED].tolist():
        owners = task.owners[task.category_index == place]
        counts = np.bincount(owners, minlength=len(task.has_file)).astype(np.float64)
        found[names[place]] = compare_numbers({key: counts[rows[key]] for key in SETS})
    return found
