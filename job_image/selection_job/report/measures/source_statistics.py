"""Statistics of metadata and predictions: the input beside the selection and a random choice of the same size."""

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.predictions.zero_shot import measure_certainty
from selection_job.report.measures.box_examples import choose_boxes
from selection_job.report.measures.candidates import Candidates
from selection_job.report.measures.value_sets import SETS, compare_labels, compare_numbers, count_labels, rows_of_sets
from selection_job.report.models.selection import MOST_CATEGORIES
from selection_job.report.models.statistics import (
    CategoricalPerSet,
    CountPerSet,
    DetectionTaskInformation,
    MetadataInformation,
    NumericPerSet,
    TaskInformation,
    ZeroShotInformation,
)
from selection_job.selection.gathered_sources import GatheredSources

MOST_COLUMNS = 50
"""Keys of metadata that are described."""

MOST_COUNTED = 12
"""Categories whose numbers of objects on an image are described, the most frequent first."""

_COMPUTED = "lightly."

Rows = dict[str, NDArray[np.int64]]


def describe_metadata(sources: GatheredSources, pool: Candidates) -> MetadataInformation:
    """Return of each key the values of the input, the selection and a random choice."""
    rows = rows_of_sets(pool)
    measured: dict[str, NumericPerSet] = {}
    given: dict[str, NumericPerSet] = {}
    words: dict[str, CategoricalPerSet] = {}
    for key in sorted(sources.columns)[:MOST_COLUMNS]:
        column = sources.columns[key]
        if column.numbers is not None:
            numbers = measured if key.startswith(_COMPUTED) else given
            numbers[key] = compare_numbers({name: column.numbers[rows[name]] for name in SETS})
        else:
            words[key] = _compare_words(column, rows)
    return MetadataInformation(
        lightly_numeric=measured, custom_numeric=given, custom_categorical=words, n_keys=len(sources.columns)
    )


def _compare_words(column: MetadataColumn, rows: Rows) -> CategoricalPerSet:
    labels = column.labels or []
    return compare_labels({name: count_labels([labels[row] for row in rows[name].tolist()]) for name in SETS})


def describe_predictions(sources: GatheredSources, pool: Candidates, catalog: Catalog) -> dict[str, TaskInformation]:
    """Return for each task its classes, objects and scores in each set."""
    rows = rows_of_sets(pool)
    return {name: _describe_task(task, rows, sources, catalog) for name, task in sorted(sources.tasks.items())}


def _describe_task(task: TaskPredictions, rows: Rows, sources: GatheredSources, catalog: Catalog) -> TaskInformation:
    n, names = len(task.has_file), [category.name for category in task.categories]
    is_object = {key: _mark(rows[key], n)[task.owners] for key in SETS}
    per_image = np.bincount(task.owners, minlength=n).astype(np.float64)
    return TaskInformation(
        task_type=task.kind,
        n_categories=len(names),
        category_id_to_name={str(one.id): one.name for one in task.categories[:MOST_CATEGORIES]},
        n_images_with_predictions=CountPerSet(**{key: int(task.has_file[rows[key]].sum()) for key in SETS}),
        category_distribution=compare_labels({key: _count(task, names, is_object[key]) for key in SETS}),
        category_to_image_with_category_count=compare_labels(
            {key: _count(task, names, is_object[key] & _is_first(task)) for key in SETS}
        ),
        objects_per_sample=compare_numbers({key: per_image[rows[key]] for key in SETS}),
        category_to_counts_per_sample=_count_per_image(task, names, rows, is_object["input"]),
        prediction_score_distribution=compare_numbers(
            {key: task.scores[is_object[key]].astype(np.float64) for key in SETS}
        ),
        active_learning_score_distributions={
            score: compare_numbers({key: values[rows[key]] for key in SETS})
            for (of_task, score), values in sorted(sources.known_scores.items())
            if of_task == task.name
        },
        detection_task_information=None
        if task.boxes_px is None
        else DetectionTaskInformation(bbox_examples=choose_boxes(task, rows["selected"], catalog)),
        zero_shot=ZeroShotInformation(**vars(measure_certainty(task, catalog.n_new))) if task.is_zero_shot else None,
    )


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


def _count_per_image(
    task: TaskPredictions, names: list[str], rows: Rows, is_input: NDArray[np.bool_]
) -> dict[str, NumericPerSet]:
    totals = np.bincount(task.category_index[is_input], minlength=len(names))
    found = {}
    for place in np.argsort(-totals, kind="stable")[:MOST_COUNTED].tolist():
        owners = task.owners[task.category_index == place]
        counts = np.bincount(owners, minlength=len(task.has_file)).astype(np.float64)
        found[names[place]] = compare_numbers({key: counts[rows[key]] for key in SETS})
    return found
