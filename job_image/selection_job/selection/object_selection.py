"""Selection of objects: each crop is chosen as an image would be; an image is kept where one of its crops is."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_api.selection_config import SelectionStrategy
from selection_api.worker_config import WorkerConfig
from selection_job.catalog.catalog import Catalog
from selection_job.catalog.crop_columns import Crops
from selection_job.errors import UnusableData
from selection_job.manifest.goal import Goal, NamedStrategy, name_min_counts, name_strategies
from selection_job.manifest.noun import OBJECT
from selection_job.metadata.metadata_column import MetadataColumn, take_columns
from selection_job.numeric.neighbours import nearest_rows
from selection_job.predictions.task_predictions import OF_IMAGES, TaskPredictions, take_objects
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.items import Items
from selection_job.selection.selecting import select
from selection_job.selection.selection import BY_OBJECTS, PASSED, Cause, Selection, StrategyRecord
from selection_job.selection.thresholds import apply_thresholds
from selection_job.selection.vectors import normalize_rows

KEY = "spec.workerConfig.object_level"


@dataclass(frozen=True, eq=False)
class ObjectSelection:
    """The objects of the task that object_level names, and which of them were chosen."""

    crops: Crops  # all there are, on exact duplicates too
    selection: Selection
    """Rows refer to the crops; candidates are those on images that take part and pass min_counts. Radii, distances and
    contributions are of crops among crops."""
    images: NDArray[np.int64]  # (c,) rows of the catalog that take part, sorted
    filters: tuple[StrategyRecord, ...]
    """What may keep an image out, aligned with images: that it has no object, pretagging_config.min_counts, that none
    of its objects passes every THRESHOLD."""
    filtered_by: NDArray[np.int64]  # (c,) which of `filters` keeps the image out, or PASSED


def select_objects(
    goal: Goal, catalog: Catalog, crops: Crops, sources: GatheredSources, worker: WorkerConfig
) -> ObjectSelection:
    """Choose crops by the configuration.

    goal     numbers count crops
    sources  of the images: predictions of the crops' own task, and metadata, are handed down to the crops
    Raises UnusableData where no image has an object, or where nothing is left to choose from.
    """
    is_in = np.ones(len(catalog.names), dtype=bool)
    if worker.remove_exact_duplicates:
        is_in &= ~catalog.is_duplicate
    images = np.flatnonzero(is_in)
    if not is_in[crops.image_rows].any():
        raise UnusableData(
            f"Nothing to select from: no image has an object of the task {crops.task!r} ({KEY}.task_name) that lies on "
            "it. Corrupt images and exact copies don't count."
        )
    min_counts = name_min_counts(worker)
    counted, failed = apply_thresholds(min_counts, sources, images)
    is_in[images[failed != PASSED]] = False
    takes_part = is_in[crops.image_rows]
    if not takes_part.any():
        raise UnusableData(
            "Nothing to select from: no image that passes spec.workerConfig.pretagging_config.min_counts has an object "
            f"of the task {crops.task!r} ({KEY}.task_name) that lies on it."
        )
    items = Items(OBJECT, crops.vectors, takes_part, pool_noun=OBJECT)
    try:
        selection = select(
            _read_for_crops(goal, crops.task, min_counts),
            items,
            hand_down(sources, crops),
            normalize=worker.normalize_embeddings,
        )
    except UnusableData as error:
        raise UnusableData(f"{KEY}: each object of {crops.task} is chosen as if it was an image. {error}") from error
    any_object = f"at least 1 object of {crops.task}"
    filters = [_count_objects(any_object, crops.image_rows, images, Cause.NO_OBJECT), *counted]
    if selection.thresholds:
        is_out = selection.removed[selection.filtered_by != PASSED]
        passing = np.setdiff1d(selection.candidates, is_out, assume_unique=True)
        name = f"{any_object} that passes every THRESHOLD"
        filters.append(_count_objects(name, crops.image_rows[passing], images, Cause.THRESHOLD))
    passes = np.stack([record.passes for record in filters if record.passes is not None])
    filtered_by = np.where(passes.all(axis=0), PASSED, passes.argmin(axis=0))
    return ObjectSelection(crops, selection, images, tuple(filters), filtered_by)


def _read_for_crops(goal: Goal, task: str, min_counts: Collection[NamedStrategy]) -> Goal:
    """Return the goal as it reads for crops: their own embeddings are the only ones, and min_counts are done with."""
    entries = [
        SelectionStrategy(input=entry.input.model_copy(update={"task": None}), strategy=entry.strategy)
        if entry.input.type == "EMBEDDINGS" and entry.input.task == task
        else SelectionStrategy(input=entry.input, strategy=entry.strategy)
        for entry in goal.rankings
    ]
    rankings = tuple(
        replace(named, path=entry.path) for named, entry in zip(name_strategies(entries), goal.rankings, strict=True)
    )
    thresholds = tuple(entry for entry in goal.thresholds if entry not in min_counts)
    if len(rankings) == 1 and rankings[0].strategy.type == "DIVERSITY" and rankings[0].strength > 0:
        min_distance = rankings[0].strategy.stopping_condition_minimum_distance or 0.0
        return Goal("coreset", goal.target, min_distance, goal.seed, thresholds, rankings)
    return replace(goal, thresholds=thresholds, rankings=rankings)


def hand_down(sources: GatheredSources, crops: Crops) -> GatheredSources:
    """Return the sources of crops: each has the prediction that it was cut out by, and its image's metadata."""
    task = sources.tasks.get(crops.task)
    return GatheredSources(
        n=len(crops),
        names=sources.names,
        name_rows=crops.image_rows,
        tasks={} if task is None else {crops.task: own_predictions(task, crops)},
        columns=_ColumnsOfImages(sources.columns, crops.image_rows),
        queries=sources.queries,
        scorer_config=sources.scorer_config,
    )


class _ColumnsOfImages(Mapping[str, MetadataColumn]):
    """The metadata of crops, made when looked at: all columns of ten million crops would take gigabytes."""

    def __init__(self, columns: Mapping[str, MetadataColumn], image_rows: NDArray[np.int64]) -> None:
        self._columns, self._image_rows = columns, image_rows

    def __getitem__(self, key: str) -> MetadataColumn:
        return take_columns({key: self._columns[key]}, self._image_rows)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def own_predictions(task: TaskPredictions, crops: Crops) -> TaskPredictions:
    """Return the predictions of the crops, as if each was an image with one object."""
    rows = np.searchsorted(task.owners, crops.image_rows) + crops.index_in_image
    of_images: dict[str, Any] = {
        name: None if (column := getattr(task, name)) is None else column[crops.image_rows] for name in OF_IMAGES
    }
    return replace(take_objects(task, rows), owners=np.arange(len(crops), dtype=np.int64), **of_images)


def _count_objects(name: str, image_rows: NDArray[np.int64], images: NDArray[np.int64], cause: Cause) -> StrategyRecord:
    """Return how many objects each image has, as a THRESHOLD of 1 sees it. image_rows are sorted."""
    counts = np.searchsorted(image_rows, images, side="right") - np.searchsorted(image_rows, images)
    return StrategyRecord(name, "THRESHOLD", None, values=counts.astype(np.float64), passes=counts > 0, cause=cause)


def keep_images(objects: ObjectSelection, embeddings: NDArray[np.float32], *, normalize: bool) -> Selection:
    """Return which images are kept: those with a chosen crop, in the order in which their first one was chosen.

    embeddings  (n, d) float32 of the images
    distances are of that crop when it was chosen; nearest_selected and nearest_distance are of whole images.
    """
    crops, of_crops = objects.crops, objects.selection
    chosen = crops.image_rows[of_crops.selected]
    _, first = np.unique(chosen, return_index=True)
    first.sort()
    selected = chosen[first]
    is_removed = ~np.isin(objects.images, selected)
    removed = objects.images[is_removed]
    vectors = normalize_rows(embeddings) if normalize else embeddings
    nearest, distances = nearest_rows(vectors[removed], vectors[selected])
    summary = (
        f"Object level: {len(chosen)} of {len(crops)} objects of {crops.task} were chosen; "
        f"{len(selected)} of the {len(np.unique(crops.image_rows))} images with objects have them."
    )
    return Selection(
        candidates=objects.images,
        selected=selected,
        radii=np.full(len(selected), np.nan, dtype=np.float32),
        removed=removed,
        nearest_selected=selected[nearest],
        nearest_distance=distances,
        method=BY_OBJECTS,
        stopped_by=of_crops.stopped_by,
        distances=of_crops.distances[first],
        contributions=np.empty((len(selected), 0)),
        filtered_by=objects.filtered_by[is_removed],
        thresholds=objects.filters,
        notes=[summary, *of_crops.notes],
    )
